package arp

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vhub/eth"
)

type failer interface {
	Helper()
	Errorf(format string, args ...any)
}

// checkInvariants checks that all indices of a Segment say the same, and that
// its limits hold.
func checkInvariants(t failer, s *Segment) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	pairs, byStation, byLink, open := 0, 0, 0, 0
	for k, n := range s.table {
		if n.key != k {
			t.Errorf("%v is under %v", n.key, k)
		}
		if s.stations[station{n.vlan, n.mac}][n.atStation] != n {
			t.Errorf("%v is not in its station", k)
		}
		if s.links[n.link][n.atLink] != n {
			t.Errorf("%v is not in its link", k)
		}
		if !n.fixed() && n.tendTimer.pos == 0 {
			t.Errorf("%v has no timer", k)
		}
		if len(n.uses) > s.cfg.MaxUses {
			t.Errorf("%v has %d conversations", k, len(n.uses))
		}
		for target, p := range n.uses {
			if p.user != n || p.target != target || target.usedBy[n] != p || s.table[target.key] != target || p.timer.pos == 0 {
				t.Errorf("conversation of %v with %v is broken", k, target.key)
			}
		}
		pairs += len(n.uses)
	}
	for st, set := range s.stations {
		if len(set) == 0 {
			t.Errorf("empty station %v", st)
		}
		byStation += len(set)
	}
	for l, set := range s.links {
		byLink += len(set)
		if len(set) > s.cfg.MaxPerLink {
			t.Errorf("%d neighbours behind link %d", len(set), l)
		}
	}
	for k, list := range s.questions {
		if len(list) == 0 {
			t.Errorf("empty questions for %v", k)
		}
		open += len(list)
	}
	switch {
	case byStation != len(s.table) || byLink != len(s.table):
		t.Errorf("%d neighbours, %d by station, %d by link", len(s.table), byStation, byLink)
	case pairs != s.pairs || pairs > s.cfg.MaxPairs:
		t.Errorf("%d pairs, counted %d", pairs, s.pairs)
	case open != s.open || open > maxQuestions:
		t.Errorf("%d questions, counted %d", open, s.open)
	case len(s.table) > s.cfg.MaxNeighbours || len(s.requests) > maxRequests || s.introducing < 0 || s.introducing > maxIntroducing:
		t.Errorf("over a limit")
	}
	for i, x := range s.timers {
		if x.pos != i+1 || i > 0 && x.at.Before(s.timers[(i-1)/2].at) {
			t.Errorf("heap broken at %d", i)
		}
	}
}

// checkSends checks what must be true of every frame that a Segment makes.
func checkSends(t failer, s *Segment, out *Out) {
	t.Helper()
	for _, x := range out.Sends {
		p, bad := parse(x.Frame)
		switch {
		case bad || p.kind == none:
			t.Errorf("malformed frame % x", x.Frame)
		case s.Mode() == Relay:
			t.Errorf("relay sent %s", describe(x))
		case !x.Flood && x.To == 0:
			t.Errorf("sent to the hub itself: %s", describe(x))
		case p.src == p.dst:
			t.Errorf("a station was told of itself: %s", describe(x))
		}
	}
}

func anyFrame(t *rapid.T) []byte {
	n := func(what string) byte { return rapid.ByteRange(1, 6).Draw(t, what) }
	vlan := rapid.SampledFrom([]uint16{0, 0, 0, 5}).Draw(t, "vlan")
	mac, owner, ask := m(n("mac")), n("address"), n("ask")
	to := rapid.SampledFrom([]eth.Addr{eth.Broadcast, m(ask), {2, 0, 0x76, 0x68, 0x75, 0x62}}).Draw(t, "to")
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0:
		return eth.AppendGratuitousARP(nil, vlan, mac, ip4(owner))
	case 1:
		return eth.AppendARPRequest(nil, vlan, to, mac, netip.IPv4Unspecified(), ip4(ask))
	case 2:
		return eth.AppendARPReply(nil, vlan, to, mac, ip4(owner), ip4(ask))
	case 3:
		return eth.AppendNS(nil, vlan, eth.Addr{}, mac, ip6(owner), ip6(ask))
	case 4:
		return eth.AppendNA(nil, vlan, m(ask), mac, ip6(ask), ip6(owner), rapid.Byte().Draw(t, "flags")&0xe0)
	case 5:
		return eth.AppendNS(nil, vlan, eth.Addr{}, mac, netip.IPv6Unspecified(), ip6(ask))
	case 6:
		return dhcp(false, mac, eth.Broadcast, mac, 1, ip4(owner), 53, 1, rapid.ByteRange(1, 8).Draw(t, "type"))
	case 7:
		return dhcp(true, m(1), mac, mac, 1, ip4(owner), 53, 1, 5)
	default:
		return eth.AppendARPRequest(nil, vlan, to, mac, ip4(owner), ip4(ask))
	}
}

// TestProperties does anything in any order.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Config{
			Mode: Mode(rapid.IntRange(0, 2).Draw(t, "mode")), Keep: 500 * time.Millisecond, Idle: 2 * time.Second, Age: 10 * time.Second,
			PairAge: 5 * time.Second, MaxPerLink: 5, MaxNeighbours: 12, MaxPairs: 10, MaxUses: 3, MaxIntroduced: 4,
		})
		now := time.Unix(1_700_000_000, 0)
		var out Out
		link := func() Link { return Link(rapid.IntRange(1, 4).Draw(t, "link")) }
		t.Repeat(map[string]func(*rapid.T){
			"receive": func(t *rapid.T) {
				frame := anyFrame(t)
				v := s.Receive(now, link(), frame, &out)
				if v == Handled && len(out.Sends) == 0 && eth.Destination(frame).IsGroup() && s.Mode() != Proxy {
					t.Errorf("silence instead of % x", frame) // under proxy, a second owner's claim may end here
				}
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ms")) * time.Millisecond)
				s.Advance(now, &out)
			},
			"move": func(t *rapid.T) {
				s.StationMoved(now, 0, m(rapid.ByteRange(1, 6).Draw(t, "mac")), link(), link(), &out)
			},
			"down": func(t *rapid.T) { s.LinkDown(now, link()) },
			"back": func(t *rapid.T) { s.Announce(now, link(), &out) },
			"mode": func(t *rapid.T) { s.setMode(Mode(rapid.IntRange(0, 2).Draw(t, "mode"))); out.Reset() },
			"list": func(t *rapid.T) { s.List(now) },
			"static": func(t *rapid.T) {
				if n := rapid.ByteRange(1, 6).Draw(t, "ip"); n == 1 {
					_ = s.SetStatic(now, 0, ip4(n), m(n), 1)
				} else {
					s.RemoveStatic(0, ip4(1))
				}
			},
			"": func(t *rapid.T) {
				checkInvariants(t, s)
				checkSends(t, s, &out)
				if len(out.Sends) > 200 {
					t.Errorf("%d frames at once", len(out.Sends))
				}
				out.Reset()
			},
		})
		now = now.Add(time.Hour)
		s.RemoveStatic(0, ip4(1))
		for range 1000 { // everything ends
			s.Advance(now, &out)
			now = now.Add(time.Minute)
		}
		if st := s.Stats(); st.Neighbours+st.Pairs+st.Questions != 0 || len(s.timers) != 0 || len(s.stations)+len(s.links) != 0 {
			t.Errorf("left: %+v, %d timers", st, len(s.timers))
		}
	})
}

func FuzzReceive(f *testing.F) {
	f.Add(byte(1), request(1, 2), gratuitous(2, 2))
	f.Add(byte(2), gratuitous(2, 2), request(1, 2))
	f.Add(byte(2), probeFor(1, 2), reply(2, 1))
	f.Add(byte(1), eth.AppendNS(nil, 5, eth.Addr{}, m(1), ip6(1), ip6(2)), eth.AppendNA(nil, 5, m(1), m(2), ip6(1), ip6(2), 0x60))
	f.Add(byte(0), dhcp(false, m(7), eth.Broadcast, m(7), 42, netip.Addr{}, 53, 1, 3), dhcp(true, m(1), m(7), m(7), 42, ip4(77), 53, 1, 5))
	f.Fuzz(func(t *testing.T, mode byte, a, b []byte) {
		s := New(Config{Mode: Mode(mode % 3)})
		now := time.Unix(1_700_000_000, 0)
		var out Out
		for i, frame := range [][]byte{gratuitous(2, 2), a, b, a} {
			w := Wants(frame)
			before := s.Stats()
			s.Receive(now, Link(i%2+1), frame, &out)
			if p, _ := parse(frame); p.kind != none && !w {
				t.Errorf("%v is of use, but not wanted: % x", p.kind, frame)
			}
			if after := s.Stats(); after.Neighbours > before.Neighbours+1 {
				t.Errorf("one frame taught %d addresses", after.Neighbours-before.Neighbours)
			}
			now = now.Add(350 * time.Millisecond)
			s.Advance(now, &out)
			checkSends(t, s, &out)
			out.Reset()
		}
		checkInvariants(t, s)
	})
}

// TestReaders has several readers, a ticker and a lister at once; it is for
// the race detector.
func TestReaders(t *testing.T) {
	var mu sync.Mutex
	events := 0
	var s *Segment
	s = New(Config{Mode: Proxy, Event: func(Event) {
		s.Stats() // calling back is allowed: no lock is held
		mu.Lock()
		events++
		mu.Unlock()
	}})
	now := time.Unix(1_700_000_000, 0)
	var wg sync.WaitGroup
	for r := range 4 {
		wg.Go(func() {
			var out Out
			for i := range 2000 {
				out.Reset()
				n := byte(i%50 + 1)
				s.Receive(now.Add(time.Duration(i)*time.Millisecond), Link(r+1), request(n, byte((i*7)%50+1)), &out)
				for _, x := range out.Sends {
					_ = x.Frame[len(x.Frame)-1]
				}
			}
		})
	}
	wg.Go(func() {
		var out Out
		for i := range 2000 {
			out.Reset()
			s.Advance(now.Add(time.Duration(i)*time.Millisecond), &out)
			s.Deadline()
			if i%100 == 0 {
				s.List(now)
				s.Announce(now, 2, &out)
				s.Flush(func(n Neighbour) bool { return n.IP == ip4(3) })
			}
		}
	})
	wg.Wait()
	checkInvariants(t, s)
	if events == 0 {
		t.Error("stations moved between four links, and no event told")
	}
}

// TestKnownFramesDoNotAllocate: the usual frames of a settled segment.
func TestKnownFramesDoNotAllocate(t *testing.T) {
	s := New(Config{Mode: Proxy})
	now := time.Unix(1_700_000_000, 0)
	var out Out
	s.Receive(now, 1, gratuitous(1, 1), &out)
	s.Receive(now, 2, gratuitous(2, 2), &out)
	for what, f := range map[string][]byte{"reply": reply(2, 1), "unicast question": unicast(2, 1), "answered question": request(2, 1)} {
		if n := testing.AllocsPerRun(100, func() {
			out.Reset()
			s.Receive(now, 2, f, &out)
		}); n > 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func ExampleSegment() {
	s := New(Config{Mode: Proxy})
	now := time.Unix(0, 0)
	var out Out
	s.Receive(now, 2, eth.AppendGratuitousARP(nil, 0, m(2), ip4(2)), &out)
	out.Reset()
	v := s.Receive(now, 1, eth.AppendARPRequest(nil, 0, eth.Broadcast, m(1), ip4(1), ip4(2)), &out)
	fmt.Println(v == Handled, describe(out.Sends[0]))
	// Output: true to 1: m2>m1 10.0.0.2 is-at m2 for 10.0.0.1
}
