package hub

import (
	"time"

	"vhub/arp"
	"vhub/eth"
)

// wantsHelp tells frames that the neighbour help may want to see: ARP, ICMPv6,
// DHCPv4. It is quick; arp.Wants looks closer.
func wantsHelp(etherType uint16, b []byte) bool {
	off := eth.HeaderLen
	if b[12] == 0x81 && b[13] == 0 || b[12] == 0x88 && b[13] == 0xa8 {
		off += eth.TagLen
	}
	switch etherType {
	case eth.TypeARP:
		return true
	case eth.TypeIPv6:
		return len(b) >= off+40 && (b[off+6] == eth.ProtoICMPv6 || b[off+6] == 0)
	case eth.TypeIPv4:
		if len(b) < off+24 || b[off+9] != eth.ProtoUDP {
			return false
		}
		at := off + int(b[off]&15)*4 + 2 // destination port
		return len(b) >= at+2 && b[at] == 0 && (b[at+1] == 67 || b[at+1] == 68)
	}
	return false
}

// help shows a frame to the neighbour help, queues what it wants sent, and
// tells whether it has taken the frame over.
func (h *Hub) help(now time.Time, v *view, in *member, b []byte, s *scratch) bool {
	if !arp.Wants(b) {
		return false
	}
	verdict := h.segment.Receive(now, arp.Link(in.id), b, &s.arp)
	h.hurry()
	if len(s.arp.Sends) > 0 {
		h.sendOwn(now, v, s)
	}
	return verdict == arp.Handled
}

// sendOwn queues the frames that the neighbour help made, flushes them with
// what is queued before them, and empties the Out that owns them. Each is
// remembered as the hub's own, so that its echo is recognised.
func (h *Hub) sendOwn(now time.Time, v *view, s *scratch) {
	micros := h.micros(now)
	sec := uint32(micros / 1_000_000)
	for i := range s.arp.Sends {
		send := &s.arp.Sends[i]
		f := eth.Frame{Data: send.Frame}
		var g glance
		if g.read(&f, &h.dup.keys); !g.ok {
			continue
		}
		if v.suppress {
			var from uint16 // in whose name: the link of the station that seems to send it
			if p := h.stations.cur.Load().get(g.from()); p.live(sec, h.stations.age.Load()) {
				from = p.link()
			}
			h.dup.remember(&g.id, from, uint32(micros>>usPerUnit), send.Flood || g.group())
		}
		h.route(now, v, send, &f, g.to(), sec, s)
	}
	s.flush(now)
	s.arp.Reset()
}

// route queues one frame of the hub's own.
func (h *Hub) route(now time.Time, v *view, send *arp.Send, f *eth.Frame, to stationKey, sec uint32, s *scratch) {
	if !send.Flood {
		id := uint16(send.To)
		if id == 0 {
			if p := h.stations.cur.Load().get(to); p.live(sec, h.stations.age.Load()) {
				id = p.link()
			}
		}
		if m := v.member(id); m != nil && id != 0 {
			if m.up {
				s.send(now, m, f)
			}
			return
		}
		if send.To != 0 {
			return // the link is gone
		}
	}
	except := v.member(uint16(send.Except))
	for _, m := range v.flood {
		if except != nil {
			if _, barred := except.barred(m); barred {
				continue
			}
		}
		s.send(now, m, f)
	}
	if f.Data[0]&1 != 0 {
		for _, a := range v.hearers {
			a.send(now, v, except, f, s)
		}
	}
}

// vouched tells the neighbour help whose stations answer as long as their link is
// there: the hosts of clients, which are this program's own.
func (h *Hub) vouched(l arp.Link) bool {
	m := h.view.Load().member(uint16(l))
	return m != nil && m.cfg.Listener != nil
}

// allowed tells the neighbour help whether frames may pass between two links.
func (h *Hub) allowed(from, to arp.Link) bool {
	v := h.view.Load()
	a, b := v.member(uint16(from)), v.member(uint16(to))
	if a == nil || b == nil {
		return true
	}
	_, barred := a.barred(b)
	return !barred
}
