package hub

import (
	"fmt"
	"time"
)

// Two ports on one wire, such as a NIC and a TAP in a bridge that contains that
// NIC, betray themselves: a frame to a known station is sent out by one link
// only, and yet comes in by another, which must then be on the same wire as the
// link by which the frame entered or left. Flooded frames prove nothing, for
// the hub may have sent them out there itself.
const (
	proofsNeeded = 3
	proofSpan    = 10 * time.Second       // in which that many are needed
	proofEvery   = 500 * time.Millisecond // evidence of one link counts so often
	proofLasts   = time.Minute            // without evidence, the ports are apart again
)

// wirePair is two links, that with the lower number first.
type wirePair struct{ a, b *Link }

func makePair(a, b *Link) wirePair {
	if a.id > b.id {
		a, b = b, a
	}
	return wirePair{a, b}
}

type wireProof struct {
	since, last time.Time
	count       int
}

// doubted says why a frame that is an echo or a copy is dropped, tells the
// operator the first time, and takes evidence.
func (h *Hub) doubted(now time.Time, micros int64, v *view, in *member, f *finding, g *glance) Reason {
	if f.doubt == isCopy {
		if first(&in.link.said.copy, micros) {
			h.emit(now, Event{Kind: CopySeen, Link: in.cfg.Name, VLAN: g.vlan, MAC: addrOf(g.src),
				Text: fmt.Sprintf("the wire behind %s delivers frames twice, such as one from %v; the second is dropped", in.cfg.Name, addrOf(g.src))})
		}
		return Copy
	}
	from := v.member(f.first)
	to, known := h.sentTo(v, f, g, uint32(micros/1_000_000))
	sent := to == in
	if !known {
		sent = in.sends
		if from != nil {
			_, barred := from.barred(in)
			sent = sent && !barred
		}
	}
	if sent {
		if first(&in.link.said.echo, micros) {
			h.emit(now, Event{Kind: EchoSeen, Link: in.cfg.Name, VLAN: g.vlan, MAC: addrOf(g.src),
				Text: fmt.Sprintf("the wire behind %s hands back what the hub sends there, such as a frame of %v; it is dropped", in.cfg.Name, addrOf(g.src))})
		}
		return Echo
	}
	if v.detect && in.suppress {
		if at := in.link.proofAt.Load(); micros-at >= proofEvery.Microseconds() && in.link.proofAt.CompareAndSwap(at, micros) {
			h.evidence(now, in, from, to, known)
		}
	}
	return CopyOtherPort
}

// sentTo returns the one link that the hub sent the frame to (nil: none, it was
// to the hub itself), and whether that is known: not of a flooded frame.
func (h *Hub) sentTo(v *view, f *finding, g *glance, sec uint32) (*member, bool) {
	if g.group() || f.flooded {
		return nil, false
	}
	if g.dst == h.mac {
		return nil, true
	}
	p := h.stations.cur.Load().get(g.to())
	if !p.live(sec, h.stations.age.Load()) {
		return nil, false
	}
	m := v.member(p.link())
	return m, m != nil
}

// evidence notes that a frame which entered by from and left by to (either may
// be nil) came in by in, where the hub had not sent it.
func (h *Hub) evidence(now time.Time, in, from, to *member, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p, proof := range h.found {
		if p.a == in.link || p.b == in.link {
			proof.last = now
		}
	}
	if !known {
		return
	}
	// Only links that suppress can be on such a wire. With two candidates it
	// could be either: then this frame proves nothing.
	if from != nil && (!from.suppress || from == in) {
		from = nil
	}
	if to != nil && (!to.suppress || to == in) {
		to = nil
	}
	other := from
	if other == nil {
		other = to
	} else if to != nil && to != from {
		return
	}
	if other == nil || other.link.detached || in.link.detached || in.segment != 0 && in.segment == other.segment {
		return
	}
	h.prove(now, makePair(in.link, other.link))
}

// prove counts evidence for a pair of links. Called with h.mu held.
func (h *Hub) prove(now time.Time, p wirePair) {
	d := h.doubts[p]
	if d == nil || now.Sub(d.since) > proofSpan {
		d = &wireProof{since: now}
		h.doubts[p] = d
	}
	d.count, d.last = d.count+1, now
	if d.count < proofsNeeded {
		return
	}
	delete(h.doubts, p)
	h.found[p] = d
	h.publish()
	h.emit(now, Event{Kind: SegmentFound, Link: p.a.cfg.Name, Other: p.b.cfg.Name,
		Text: fmt.Sprintf("%s and %s are on one wire: the hub uses them as one; give both the same segment to make this permanent", p.a.cfg.Name, p.b.cfg.Name)})
}

// expireWires takes links apart of which no evidence came any more. Called with
// h.mu held.
func (h *Hub) expireWires(now time.Time) {
	changed := false
	for p, proof := range h.found {
		if now.Sub(proof.last) > proofLasts {
			h.partWire(now, p, fmt.Sprintf("nothing shows any more that %s and %s are on one wire", p.a.cfg.Name, p.b.cfg.Name))
			changed = true
		}
	}
	for p, d := range h.doubts {
		if now.Sub(d.last) > proofSpan {
			delete(h.doubts, p)
		}
	}
	if changed {
		h.publish()
	}
}

func (h *Hub) partWire(now time.Time, p wirePair, why string) {
	delete(h.found, p)
	h.emit(now, Event{Kind: SegmentGone, Link: p.a.cfg.Name, Other: p.b.cfg.Name, Text: why})
}

// forgetWires forgets all about a link that is detached. Called with h.mu held.
func (h *Hub) forgetWires(now time.Time, l *Link) {
	for p := range h.found {
		if p.a == l || p.b == l {
			h.partWire(now, p, fmt.Sprintf("%s was removed, which was on one wire with another port", l.cfg.Name))
		}
	}
	for p := range h.doubts {
		if p.a == l || p.b == l {
			delete(h.doubts, p)
		}
	}
}
