package hub

import (
	"time"

	"vhub/eth"
)

// The data path of the hub. Each frame of a batch goes from top to bottom:
//
//	1  whole?      long enough, from a station, its Offload fits: else a drop with its reason
//	2  new?        an echo or a copy teaches nothing and goes nowhere
//	3  learn       (VLAN, source) is behind this link
//	4  filters     pinned and unlearned sources, storm limits of groups
//	5  neighbours  ARP, ND and DHCP are shown to the neighbour help, which may take the frame over
//	6  look up     one link, or flood; never back out of the link it came from
//	7  gather      for each link, in order; the ports get theirs when the batch is over (scratch.flush)
//
// Reading the table takes no lock. A frame from a station that has not moved to
// one that is known writes nothing that another reader writes, but the second
// of its entry, once a second, and what duplicate suppression remembers of it.
func (h *Hub) forward(now time.Time, v *view, in *member, frames []eth.Frame, s *scratch) {
	micros := h.micros(now)
	sec, at := uint32(micros/1_000_000), uint32(micros>>usPerUnit)
	s.glances = h.glances(frames, v.suppress, s.glances)
	for i := range frames {
		f, g := &frames[i], &s.glances[i]

		// 1 whole?
		s.frames++
		s.bytes += uint64(len(f.Data))
		if !g.ok {
			s.segments++
			s.drops[Runt]++
			continue
		}
		segments := 1
		if f.GSO != eth.GSONone || f.NeedsCsum {
			if f.Check() == eth.OK {
				segments = segmentsOf(f)
			} else {
				segments = maxSegments + 1
			}
			if segments > maxSegments {
				s.segments++
				s.drops[BadOffload]++
				continue
			}
		}
		s.segments += uint64(segments)
		if reason, bad := h.misfit(in, f, g); bad {
			s.drops[reason]++
			continue
		}

		// 2 new?
		var found finding
		if v.suppress {
			found = h.dup.look(f, g, in.id, at, in.window(h.dup.echo.Load()))
			if found.other && found.age >= units(firstWindow) {
				in.link.back.note(at, found.age, found.doubt == isNew)
			}
			if found.doubt != isNew {
				s.drops[h.doubted(now, micros, v, in, &found, g)]++
				continue
			}
		}
		if g.src == h.mac {
			h.ownSource(now, in, g.src)
			s.drops[OwnSource]++
			continue
		}

		// 3 learn
		key := g.from()
		table := h.stations.cur.Load()
		sl := table.find(key)
		var p place
		if sl != nil {
			p = place(sl.place.Load())
		}
		if p != 0 && p.link() == in.id {
			switch {
			case p.doubtful() && !found.other:
				in.link.back.wrong()
				sl.place.CompareAndSwap(uint64(p), uint64(p.seen(sec).doubt(false)))
			case p.sec() != sec && (!p.static() || p.sec() < sec):
				sl.place.CompareAndSwap(uint64(p), uint64(p.seen(sec)))
			}
		} else if reason, drop := h.learn(now, micros, v, in, key, p, sec, found.other, s); drop {
			s.drops[reason]++ // 4 filters: of the source
			continue
		}

		// 4 filters: of groups
		if g.group() {
			if reason, drop := h.storm(now, micros, in, g.dst, segments); drop {
				s.drops[reason]++
				continue
			}
		}

		// 5 neighbours
		if h.segment != nil && wantsHelp(g.etherType, f.Data) {
			if h.help(now, v, in, f.Data, s) {
				s.drops[Answered]++
				continue
			}
		}
		if g.dst == h.mac {
			s.drops[ToHub]++
			continue
		}

		// 6 look up
		if !g.group() {
			if p := h.stations.cur.Load().get(g.to()); p.live(sec, h.stations.age.Load()) {
				if out := v.member(p.link()); out != nil {
					reason, barred := in.barred(out)
					if !barred && !out.up {
						reason, barred = LinkDown, true
					}
					if barred {
						s.drops[reason]++
						continue
					}
					s.send(now, out, f) // 7 gather
					continue
				}
			}
			if !in.link.storms.unknown.take(micros, segments, in.cfg.Storm.Unknown, in.cfg.Storm.Burst) {
				h.stormed(now, micros, in, StormUnknown)
				s.drops[StormUnknown]++
				continue
			}
		}
		if v.detect {
			h.dup.markFlooded(&found, f, g, at)
		}
		sent := 0
		for _, out := range v.flood {
			if _, barred := in.barred(out); !barred {
				s.send(now, out, f) // 7 gather
				sent++
			}
		}
		if g.group() {
			for _, a := range v.hearers {
				sent += a.send(now, v, in, f, s)
			}
		}
		if sent == 0 {
			s.drops[NoPort]++
			continue
		}
		s.flooded++
	}
}

// maxSegments is what a large frame may be made of; kernels make 128 datagrams
// or 64 KB of TCP at most. It bounds the work for one frame.
const maxSegments = 4096

// misfit says what is wrong with a frame's size and addresses, if so.
func (h *Hub) misfit(in *member, f *eth.Frame, g *glance) (Reason, bool) {
	switch {
	case longest(f) > in.maxFrame || len(f.Data) > eth.MaxLargeLen:
		return Oversize, true
	case g.src>>40&1 != 0 || g.src == 0:
		return BadSource, true
	case g.dst>>4 == 0x0180c200000 && (!h.settings.Load().ForwardReserved || g.dst&15 == 1):
		return Reserved, true // 802.1Q section 8.6.3; 802.3 annex 31B for pause
	}
	return 0, false
}

// learn puts a station behind a link that is new, or was behind another (p). Its
// frame is late if it came by another link before. It says why the frame must be
// dropped, if so.
func (h *Hub) learn(now time.Time, micros int64, v *view, in *member, key stationKey, p place, sec uint32, late bool, s *scratch) (Reason, bool) {
	if p != 0 {
		same := v.oneWire(p.link(), in.id)
		switch {
		case p.static() && !same:
			h.pinned(now, v, in, key, p)
			return StaticMove, true
		case p.static(), same && p.silent(sec) < 2:
			return 0, false // where it is will do
		case p.held(sec) && p.live(sec, h.stations.age.Load()):
			s.held++
			return 0, false
		}
	} else if micros < in.link.fullUntil.Load() || micros < h.fullUntil.Load() {
		return h.unlearned(in, s)
	}
	if p.doubtful() && !late {
		if m := v.member(p.link()); m != nil {
			m.link.back.right(uint32(micros >> usPerUnit)) // the station never was there
		}
	}
	res, flapped := h.stations.learn(now, key, makePlace(in.id, false, sec).doubt(late), v.oneWire)
	if flapped {
		h.flapping(now, v, in, key, p)
	}
	switch res {
	case learnedHeld:
		s.held++
	case learnedStatic:
		h.pinned(now, v, in, key, p)
		return StaticMove, true
	case learnedFull, learnedFullHub:
		h.full(now, micros, in, res)
		return h.unlearned(in, s)
	}
	return 0, false
}

// unlearned counts a frame from a station over the limit.
func (h *Hub) unlearned(in *member, s *scratch) (Reason, bool) {
	if in.cfg.DropUnlearned {
		return NotLearned, true
	}
	s.unlearned++
	return 0, false
}

// storm applies the limits for group addresses.
func (h *Hub) storm(now time.Time, micros int64, in *member, dst uint64, segments int) (Reason, bool) {
	c := &in.cfg.Storm
	if dst == 0xffffffffffff {
		if !in.link.storms.broadcast.take(micros, segments, c.Broadcast, c.Burst) {
			h.stormed(now, micros, in, StormBroadcast)
			return StormBroadcast, true
		}
	} else if !in.link.storms.multicast.take(micros, segments, c.Multicast, c.Burst) {
		h.stormed(now, micros, in, StormMulticast)
		return StormMulticast, true
	}
	return 0, false
}
