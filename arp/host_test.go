package arp

import (
	"net/netip"
	"testing"
	"time"

	"vhub/eth"
)

// hostStory drives a Host step by step in simulated time.
type hostStory struct {
	t   *testing.T
	h   *Host
	now time.Time
	out HostOut
}

var (
	hostMAC    = eth.Addr{0x02, 0xca, 0, 0, 0, 1}
	printerMAC = eth.Addr{0x02, 0, 0, 0, 0, 0x30}
	routerMAC  = eth.Addr{0x02, 0, 0, 0, 0, 0x01}
	clientIP   = netip.MustParseAddr("172.16.0.201")
	printerIP  = netip.MustParseAddr("172.16.0.30")
	routerIP   = netip.MustParseAddr("172.16.0.1")
)

func newHostStory(t *testing.T) *hostStory {
	s := &hostStory{t: t, now: time.Unix(1_800_000_000, 0),
		h: NewHost(HostConfig{MAC: hostMAC, Hold: 3})}
	s.h.OpenIPv6([8]byte{7: 0x77})
	s.h.SetIPv4(s.now, netip.PrefixFrom(clientIP, 24), routerIP)
	return s
}

func ipv4Packet(src, dst netip.Addr, n int) []byte {
	p := make([]byte, 20+n)
	p[0], p[3], p[8], p[9] = 0x45, byte(20+n), 64, eth.ProtoUDP
	a, b := src.As4(), dst.As4()
	copy(p[12:], a[:])
	copy(p[16:], b[:])
	return p
}

// client sends a packet of the client's through the host.
func (s *hostStory) client(p []byte) (Pass, Reason) {
	dst, typ, pass, why := s.h.Route(s.now.Unix(), p)
	s.out.Reset()
	switch pass {
	case PassData:
		s.out.Frames = append(s.out.Frames, s.h.frame(dst, typ, p))
	case PassControl:
		s.h.FromClient(s.now, p, &s.out)
	}
	return pass, why
}

// segment hands the host a frame; what it gives the client is in out.Packets.
func (s *hostStory) segment(f []byte) (Pass, Reason) {
	p, pass, why := s.h.Accept(f)
	s.out.Reset()
	switch pass {
	case PassData:
		s.out.Packets = append(s.out.Packets, p)
	case PassControl:
		s.h.FromSegment(s.now, f, &s.out)
	}
	return pass, why
}

func (s *hostStory) after(d time.Duration) {
	s.now = s.now.Add(d)
	s.out.Reset()
	s.h.Advance(s.now, &s.out)
}

func (s *hostStory) frames(what string, n int) [][]byte {
	s.t.Helper()
	if len(s.out.Frames) != n {
		s.t.Fatalf("%s: %d frames, want %d: %x", what, len(s.out.Frames), n, s.out.Frames)
	}
	return s.out.Frames
}

func TestHostAsksHoldsAndSends(t *testing.T) {
	s := newHostStory(t)
	for i := range 5 {
		s.client(ipv4Packet(clientIP, printerIP, i))
		if i == 0 {
			f := s.frames("first packet to an unknown station", 2) // the announcement is due too
			q := eth.Parse(f[len(f)-1])
			if a := q.ARP(f[len(f)-1]); a == nil || a.TargetIP() != printerIP || a.SenderIP() != clientIP || a.Op() != eth.ARPRequest {
				t.Fatalf("question: %x", f)
			}
		} else {
			s.frames("further packets ask no further", 0)
		}
	}
	s.segment(eth.AppendARPReply(nil, 0, hostMAC, printerMAC, printerIP, clientIP))
	for i, f := range s.frames("the newest three were held", 3) {
		if eth.Destination(f) != printerMAC || eth.Source(f) != hostMAC || len(f) != 14+20+2+i {
			t.Errorf("held packet %d: %x", i, f)
		}
	}
	if pass, _ := s.client(ipv4Packet(clientIP, printerIP, 0)); pass != PassData || eth.Destination(s.out.Frames[0]) != printerMAC {
		t.Errorf("a known station is data: %v", pass)
	}
	if s.h.Counters.HeldTooMany != 2 {
		t.Errorf("counters: %+v", s.h.Counters)
	}
}

func TestHostRepeatsQuestionsThenGivesUpForAWhile(t *testing.T) {
	s := newHostStory(t)
	s.client(ipv4Packet(clientIP, printerIP, 0))
	questions := 1
	for range 100 {
		s.after(100 * time.Millisecond)
		for _, f := range s.out.Frames {
			if l := eth.Parse(f); l.ARP(f) != nil && !l.ARP(f).IsGratuitous() {
				questions++
			}
		}
	}
	if questions != hostTries || s.h.Counters.Unreachable != 1 {
		t.Errorf("%d questions, want %d; %+v", questions, hostTries, s.h.Counters)
	}
	s.client(ipv4Packet(clientIP, printerIP, 0))
	s.frames("after the silence it is asked for again", 1)
}

func TestHostRoutesWhatIsNotOnTheLink(t *testing.T) {
	s := newHostStory(t)
	s.segment(eth.AppendARPRequest(nil, 0, eth.Broadcast, routerMAC, routerIP, clientIP)) // the router asks for us: learned
	if s.client(ipv4Packet(clientIP, netip.MustParseAddr("8.8.8.8"), 0)); eth.Destination(s.out.Frames[0]) != routerMAC {
		t.Errorf("to the router: %x", s.out.Frames)
	}
	for _, tt := range []struct {
		to   string
		want eth.Addr
	}{{"172.16.0.255", eth.Broadcast}, {"255.255.255.255", eth.Broadcast}, {"224.0.0.251", eth.Addr{1, 0, 0x5e, 0, 0, 0xfb}}, {"239.255.255.250", eth.Addr{1, 0, 0x5e, 0x7f, 0xff, 0xfa}}} {
		if s.client(ipv4Packet(clientIP, netip.MustParseAddr(tt.to), 0)); len(s.out.Frames) != 1 || eth.Destination(s.out.Frames[0]) != tt.want {
			t.Errorf("to %s: %x", tt.to, s.out.Frames)
		}
	}
}

func TestHostKeepsOut(t *testing.T) {
	s := newHostStory(t)
	frame := func(dst eth.Addr, p []byte) []byte {
		return append(eth.AppendHeader(nil, 0, dst, printerMAC, eth.TypeIPv4), p...)
	}
	other := netip.MustParseAddr("172.16.0.202")
	for _, tt := range []struct {
		name string
		f    []byte
		pass Pass
		why  Reason
	}{
		{"to the client", append(frame(hostMAC, ipv4Packet(printerIP, clientIP, 8)), make([]byte, 18)...), PassData, ReasonNone},
		{"to another station (flooded)", frame(printerMAC, ipv4Packet(printerIP, clientIP, 8)), PassDrop, ReasonNotOurs},
		{"another address at our MAC", frame(hostMAC, ipv4Packet(printerIP, other, 8)), PassDrop, ReasonNotOurs},
		{"multicast DNS", frame(eth.Addr{1, 0, 0x5e, 0, 0, 0xfb}, ipv4Packet(printerIP, netip.MustParseAddr("224.0.0.251"), 8)), PassData, ReasonNone},
		{"a length beyond the frame", frame(hostMAC, func() []byte { p := ipv4Packet(printerIP, clientIP, 8); p[3] = 200; return p }()), PassDrop, ReasonMalformed},
		{"tagged", append(eth.AppendHeader(nil, 5, hostMAC, printerMAC, eth.TypeIPv4), ipv4Packet(printerIP, clientIP, 8)...), PassDrop, ReasonNotOurs},
		{"spanning tree", append(eth.AppendHeader(nil, 0, eth.Addr{1, 0x80, 0xc2}, printerMAC, 38), make([]byte, 40)...), PassDrop, ReasonProtocol},
	} {
		pass, why := s.segment(tt.f)
		if pass != tt.pass || why != tt.why {
			t.Errorf("%s: %v %v, want %v %v", tt.name, pass, why, tt.pass, tt.why)
		}
		if pass == PassData && len(s.out.Packets[0]) != 28 {
			t.Errorf("%s: padding given to the client: %d bytes", tt.name, len(s.out.Packets[0]))
		}
	}
	if pass, why := s.client(ipv4Packet(other, printerIP, 0)); pass != PassDrop || why != ReasonSource {
		t.Errorf("a forged sender: %v %v", pass, why)
	}
}

func TestHostAnswersAnnouncesDefends(t *testing.T) {
	s := newHostStory(t)
	announced := 0
	for range 40 {
		s.after(100 * time.Millisecond)
		announced += len(s.out.Frames)
	}
	if announced != 3 {
		t.Errorf("%d announcements, want 3", announced)
	}
	s.segment(eth.AppendARPRequest(nil, 0, eth.Broadcast, printerMAC, printerIP, clientIP))
	f := s.frames("a question for the client", 1)[0]
	if l := eth.Parse(f); l.ARP(f).Op() != eth.ARPReply || l.ARP(f).SenderIP() != clientIP || eth.Destination(f) != printerMAC {
		t.Errorf("answer: %x", f)
	}
	s.segment(eth.AppendARPRequest(nil, 0, eth.Broadcast, printerMAC, netip.IPv4Unspecified(), clientIP))
	s.frames("a probe for the client's address is answered", 1)
	s.segment(eth.AppendGratuitousARP(nil, 0, printerMAC, clientIP))
	if s.out.Taken != printerMAC {
		t.Errorf("a conflict is reported: %+v", s.out)
	}
	s.frames("and defended", 1)
}

func TestHostProbesBeforeUse(t *testing.T) {
	s := newHostStory(t)
	s.after(time.Minute)
	free := netip.MustParseAddr("172.16.0.222")
	s.out.Reset()
	s.h.Probe(s.now, free, &s.out)
	s.frames("the first probe goes at once", 1)
	for start := s.now; !s.out.Free; {
		s.after(s.h.Deadline().Sub(s.now))
		if s.now.Sub(start) > time.Second {
			t.Fatal("no answer within a second")
		}
	}
	s.h.Probe(s.now, printerIP, &s.out)
	s.segment(eth.AppendARPReply(nil, 0, hostMAC, printerMAC, printerIP, netip.IPv4Unspecified()))
	if s.out.Taken != printerMAC || s.out.Free {
		t.Errorf("taken: %+v", s.out)
	}
}

func TestHostForgetsTheSilentAndFollowsTheMoved(t *testing.T) {
	s := newHostStory(t)
	s.client(ipv4Packet(clientIP, printerIP, 0))
	s.segment(eth.AppendARPReply(nil, 0, hostMAC, printerMAC, printerIP, clientIP))
	s.segment(eth.AppendGratuitousARP(nil, 0, routerMAC, printerIP)) // another card now
	if s.client(ipv4Packet(clientIP, printerIP, 0)); eth.Destination(s.out.Frames[0]) != routerMAC {
		t.Errorf("not followed: %x", s.out.Frames)
	}
	asked := 0
	for range 90 {
		s.client(ipv4Packet(clientIP, printerIP, 0))
		s.after(time.Second)
		for _, f := range s.out.Frames {
			if l := eth.Parse(f); l.ARP(f) != nil && eth.Destination(f) == routerMAC {
				asked++
			}
		}
	}
	if asked != hostTries {
		t.Errorf("asked %d times by unicast, want %d", asked, hostTries)
	}
	if n := (*s.h.near.Load())[printerIP]; n != nil {
		t.Errorf("a silent neighbour is still used")
	}
}

func TestHostDeadlineAlwaysMoves(t *testing.T) {
	s := newHostStory(t)
	s.client(ipv4Packet(clientIP, printerIP, 0))
	s.segment(eth.AppendARPReply(nil, 0, hostMAC, printerMAC, printerIP, clientIP))
	for range 1000 {
		d := s.h.Deadline()
		if d.IsZero() {
			break
		}
		if !d.After(s.now) {
			t.Fatalf("a deadline that is past stays: %v at %v", d, s.now)
		}
		s.after(d.Sub(s.now))
	}
}

func FuzzHost(f *testing.F) {
	f.Add(eth.AppendARPReply(nil, 0, hostMAC, printerMAC, printerIP, clientIP))
	f.Add(eth.AppendNS(nil, 0, eth.Addr{}, printerMAC, netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::77")))
	f.Add(append([]byte{0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255}, make([]byte, 56)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newHostStory(t)
		if len(b) >= eth.MinLen {
			s.segment(b)
		}
		s.client(b)
		for range 20 {
			s.after(time.Second)
		}
		if len(s.h.asked) > maxAsked || len(*s.h.near.Load()) > maxNear {
			t.Fatal("unbounded")
		}
	})
}
