package hub

import (
	"slices"
	"strings"
	"sync/atomic"
)

// member is one link as the data path sees it. It never changes; a new one
// takes its place.
type member struct {
	link     *Link
	id       uint16
	port     Port
	cfg      LinkConfig
	group    uint16 // split-horizon group, 0 none
	segment  uint16 // outside wire, 0 its own
	isolate  bool
	suppress bool
	up       bool
	sends    bool // floods to its wire leave by it
	maxFrame int
	capture  CaptureFunc
}

// view is the links of a hub. Its lists never change. Links with a Listener come
// and go by the thousand: they are in none of the lists, and only their places in byID and in
// their audience are written.
type view struct {
	byID     []atomic.Pointer[member] // by link number; nil where there is none
	flood    []*member                // those that floods leave by, in the order of attachment
	hearers  []*audience
	watchers []*member // those whose port is a StationWatcher
	suppress bool      // some link suppresses, so every frame is remembered
	detect   bool      // two or more do: they may be on one wire
}

// member returns the link with a number, or nil.
func (v *view) member(id uint16) *member {
	if int(id) < len(v.byID) {
		return v.byID[id].Load()
	}
	return nil
}

// oneWire tells whether two links are on one outside wire, and the first can
// still be used.
func (v *view) oneWire(a, b uint16) bool {
	x, y := v.member(a), v.member(b)
	return x != nil && y != nil && x.up && x.segment != 0 && x.segment == y.segment
}

// barred says why a frame that came by m must not leave by out, if so.
func (m *member) barred(out *member) (Reason, bool) {
	switch {
	case m == out:
		return SamePort, true
	case m.segment != 0 && m.segment == out.segment, m.group != 0 && m.group == out.group:
		return SplitHorizon, true
	case m.isolate && out.isolate:
		return Isolated, true
	}
	return 0, false
}

// publish makes a new view of the links and gives it to the data path. Called
// with h.mu held. What it costs grows with the number of links without a Listener,
// that is, with the ports of the configuration.
func (h *Hub) publish() {
	old := h.view.Load()
	v := &view{byID: make([]atomic.Pointer[member], room(len(h.byID)))}
	for i := range old.byID {
		if m := old.byID[i].Load(); m != nil && m.cfg.Listener != nil {
			v.byID[i].Store(m)
		}
	}
	for _, a := range h.hearers {
		v.hearers = append(v.hearers, a)
	}
	wires := h.wires()
	suppressing := 0
	for _, l := range h.links {
		m := h.memberOf(l, wires[l])
		if m.suppress {
			suppressing++
		}
		v.byID[l.id].Store(m)
	}
	v.suppress, v.detect = suppressing > 0, suppressing > 1
	best := make(map[uint16]*member)
	for _, l := range h.links {
		m := v.member(l.id)
		if b := best[m.segment]; m.segment != 0 && m.up && (b == nil || m.cfg.Kind == "tap" && b.cfg.Kind != "tap") {
			best[m.segment] = m
		}
	}
	for _, l := range h.links {
		m := v.member(l.id)
		if m.sends = m.up && (m.segment == 0 || best[m.segment] == m); m.sends {
			v.flood = append(v.flood, m)
		}
	}
	for _, l := range h.links {
		if l.watcher != nil {
			v.watchers = append(v.watchers, v.member(l.id))
		}
	}
	h.show(v)
}

// memberOf is a link as the data path is to see it. Called with h.mu held.
func (h *Hub) memberOf(l *Link, segment uint16) *member {
	m := &member{
		link: l, id: l.id, port: l.port, cfg: l.cfg, isolate: l.cfg.Isolate, suppress: l.cfg.Suppress,
		up: l.up, maxFrame: l.cfg.MaxFrame, capture: l.capture, segment: segment,
	}
	if g := l.cfg.Group; g != "" {
		if h.groups[g] == 0 {
			h.groups[g] = uint16(len(h.groups) + 1)
		}
		m.group = h.groups[g]
	}
	return m
}

// wires numbers the outside wires that links share: those that the
// configuration names, and those that the hub found, joined where they
// overlap. Called with h.mu held.
func (h *Hub) wires() map[*Link]uint16 {
	root := make(map[*Link]*Link)
	var find func(l *Link) *Link
	find = func(l *Link) *Link {
		if r, ok := root[l]; ok && r != l {
			return find(r)
		}
		return l
	}
	named := make(map[string]*Link)
	for _, l := range h.links {
		if s := l.cfg.Segment; s != "" {
			if first, ok := named[s]; ok {
				root[find(l)] = find(first)
			} else {
				named[s] = l
			}
		}
	}
	for p := range h.found {
		if a, b := find(p.a), find(p.b); a != b {
			root[a] = b
		}
	}
	numbers, wires := make(map[*Link]uint16), make(map[*Link]uint16)
	for _, l := range h.links {
		r := find(l)
		if len(root) == 0 && l.cfg.Segment == "" {
			continue
		}
		if numbers[r] == 0 {
			numbers[r] = uint16(len(numbers) + 1)
		}
		wires[l] = numbers[r]
	}
	return wires
}

// wireName is what status calls the wire of a link: its configured name, or the
// names of the links on it. Called with h.mu held.
func (h *Hub) wireName(v *view, l *Link) string {
	m := v.member(l.id)
	if l.cfg.Segment != "" || m == nil || m.segment == 0 {
		return l.cfg.Segment
	}
	var names []string
	for _, other := range h.links {
		if o := v.member(other.id); o != nil && o.segment == m.segment {
			names = append(names, other.cfg.Name)
		}
	}
	if len(names) < 2 {
		return ""
	}
	slices.Sort(names)
	return "auto:" + strings.Join(names, "+")
}
