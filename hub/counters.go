package hub

import (
	"cmp"
	"slices"
)

// Status of the link, with what it counts.
func (l *Link) Status() LinkStatus {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	return l.hub.statusOf(l)
}

// statusOf is called with h.mu held.
func (h *Hub) statusOf(l *Link) LinkStatus {
	in, out := l.sum()
	var of linkStations
	if !l.detached { // its number may be another's by now
		_, of = h.stations.counts(l.id)
	}
	in.learned.Add(of.learned)
	in.moves.Add(of.moves)
	v := h.view.Load()
	m := v.member(l.id)
	if m != nil && m.link != l {
		m = nil
	}
	return LinkStatus{
		Name: l.cfg.Name, Kind: l.cfg.Kind, Config: l.cfg, Up: l.up, Since: l.since, Stations: of.count,
		Segment: h.wireName(v, l), Sends: m != nil && m.sends, Counters: public(in, out),
	}
}

// sum returns what the readers of a link counted, and what left by it. Called
// with h.mu held.
func (l *Link) sum() (*counts, *outCounts) {
	in, out := new(counts), new(outCounts)
	if l.closed != nil {
		in.addAll(l.closed)
	}
	for _, r := range l.readers {
		in.addAll(&r.counts)
	}
	out.addAll(&l.out)
	return in, out
}

// Status of the hub and of all its links.
func (h *Hub) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	in, out := new(counts), new(outCounts)
	in.addAll(&h.past)
	out.addAll(&h.pastOut)
	all, _ := h.stations.counts(0)
	s := Status{Name: h.cfg.Name, MAC: h.cfg.MAC, Stations: all, MaxStations: h.settings.Load().MaxStations, Links: []LinkStatus{}}
	for _, l := range h.attached() {
		i, o := l.sum()
		_, of := h.stations.counts(l.id)
		i.learned.Add(of.learned)
		i.moves.Add(of.moves)
		in.addAll(i)
		out.addAll(o)
		s.Links = append(s.Links, h.statusOf(l))
	}
	s.Counters = public(in, out)
	return s
}

// attached are all links, in the order of attachment. Called with h.mu held.
func (h *Hub) attached() []*Link {
	all := make([]*Link, 0, len(h.names))
	for _, l := range h.names {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Link) int { return cmp.Compare(a.order, b.order) })
	return all
}

// keep adds the counts of a link that goes to those of the hub, and lets its
// readers go. Called with h.mu held.
func (h *Hub) keep(l *Link) {
	in, out := l.sum()
	h.past.addAll(in)
	h.pastOut.addAll(out)
	for _, r := range l.readers {
		h.forgetReader(r)
	}
}
