package arp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"vhub/eth"
)

// story drives a Segment step by step and compares what it sends, as text.
type story struct {
	t      *testing.T
	seg    *Segment
	now    time.Time
	out    Out
	events []string
}

func tell(t *testing.T, cfg Config) *story {
	s := &story{t: t, now: time.Unix(1_700_000_000, 0)}
	cfg.Event = func(e Event) {
		s.events = append(s.events, fmt.Sprintf("%v %v %s@%d %s@%d", e.Kind, e.IP, short(e.MAC), e.Link, short(e.OtherMAC), e.OtherLink))
	}
	if cfg.MaxIntroduced == 0 {
		cfg.MaxIntroduced = -1 // the stories are about other things
	}
	s.seg = New(cfg)
	return s
}

// gets is a frame that comes in by a link; it wants a verdict and these sends.
func (s *story) gets(what string, link Link, frame []byte, verdict Verdict, sends ...string) {
	s.t.Helper()
	s.out.Reset()
	v := s.seg.Receive(s.now, link, frame, &s.out)
	if v != verdict {
		s.t.Errorf("%s: verdict %d, want %d", what, v, verdict)
	}
	s.check(what, sends)
}

// waits lets time go by, and wants these sends in that time.
func (s *story) waits(what string, d time.Duration, sends ...string) {
	s.t.Helper()
	s.out.Reset()
	for end := s.now.Add(d); ; {
		next := s.seg.Deadline()
		if next.IsZero() || next.After(end) {
			s.now = end
			break
		}
		if next.After(s.now) {
			s.now = next
		}
		s.seg.Advance(s.now, &s.out)
	}
	s.check(what, sends)
}

func (s *story) check(what string, want []string) {
	s.t.Helper()
	var got []string
	for _, x := range s.out.Sends {
		got = append(got, describe(x))
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("%s:\n sent %s\n want %s", what, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
	checkInvariants(s.t, s.seg)
}

func (s *story) wantEvents(what string, want ...string) {
	s.t.Helper()
	if !slices.Equal(s.events, want) {
		s.t.Errorf("%s: events %q, want %q", what, s.events, want)
	}
	s.events = nil
}

func (s *story) neighbour(vlan uint16, ip netip.Addr) (Neighbour, bool) {
	for _, n := range s.seg.List(s.now) {
		if n.VLAN == vlan && n.IP == ip {
			return n, true
		}
	}
	return Neighbour{}, false
}

func short(m eth.Addr) string {
	switch m {
	case eth.Addr{}:
		return "-"
	case eth.Broadcast:
		return "all"
	case eth.Addr{0x02, 0x00, 0x76, 0x68, 0x75, 0x62}:
		return "hub"
	}
	if m[0] == 0x33 {
		return "group"
	}
	return fmt.Sprintf("m%d", m[5])
}

// describe writes a send as "to 2: m1>m2 who-has 10.0.0.2 tell 10.0.0.1".
func describe(x Send) string {
	where := fmt.Sprintf("to %d", x.To)
	if x.Flood {
		where = fmt.Sprintf("flood but %d", x.Except)
	}
	l := eth.Parse(x.Frame)
	if l.VLAN != 0 {
		where += fmt.Sprintf(" vlan %d", l.VLAN)
	}
	text := fmt.Sprintf("%s: %s>%s ", where, short(eth.Source(x.Frame)), short(eth.Destination(x.Frame)))
	if a := l.ARP(x.Frame); a != nil {
		if a.Op() == eth.ARPRequest {
			return text + fmt.Sprintf("who-has %v tell %v %s", a.TargetIP(), a.SenderIP(), short(a.SenderMAC()))
		}
		return text + fmt.Sprintf("%v is-at %s for %v", a.SenderIP(), short(a.SenderMAC()), a.TargetIP())
	}
	nd := l.ND(x.Frame)
	if nd == nil || !l.ChecksumValid(x.Frame) {
		return text + "malformed"
	}
	ip := l.IPv6(x.Frame)
	if nd.Type() == eth.NDNeighborSolicit {
		return text + fmt.Sprintf("%v>%v ns %v", ip.Src(), ip.Dst(), nd.Target())
	}
	mac, _ := nd.TargetLink()
	return text + fmt.Sprintf("%v>%v na %v is-at %s flags %x", ip.Src(), ip.Dst(), nd.Target(), short(mac), nd.Flags())
}

func m(n byte) eth.Addr     { return eth.Addr{2, 0, 0, 0, 0, n} }
func ip4(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }
func ip6(n byte) netip.Addr { return netip.AddrFrom16([16]byte{0xfd, 15: n}) }

func request(from, ask byte) []byte {
	return eth.AppendARPRequest(nil, 0, eth.Broadcast, m(from), ip4(from), ip4(ask))
}
func unicast(from, ask byte) []byte {
	return eth.AppendARPRequest(nil, 0, m(ask), m(from), ip4(from), ip4(ask))
}
func reply(from, to byte) []byte {
	return eth.AppendARPReply(nil, 0, m(to), m(from), ip4(from), ip4(to))
}
func toHub(from byte) []byte {
	return eth.AppendARPReply(nil, 0, eth.Addr{0x02, 0x00, 0x76, 0x68, 0x75, 0x62}, m(from), ip4(from), netip.IPv4Unspecified())
}
func gratuitous(mac, ip byte) []byte { return eth.AppendGratuitousARP(nil, 0, m(mac), ip4(ip)) }
func probeFor(mac, ip byte) []byte {
	return eth.AppendARPRequest(nil, 0, eth.Broadcast, m(mac), netip.IPv4Unspecified(), ip4(ip))
}

func TestAssist(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	s.gets("station 2 announces itself behind link 2", 2, gratuitous(2, 2), Forward)
	s.gets("station 1 asks for it behind link 1: only the station gets it", 1, request(1, 2), Handled,
		"to 2: m1>m2 who-has 10.0.0.2 tell 10.0.0.1 m1")
	s.waits("no answer: it is repeated to the station", 300*time.Millisecond,
		"to 2: m1>m2 10.0.0.1 is-at m1 for 10.0.0.2", // the conversation's first refresh
		"to 2: m1>m2 who-has 10.0.0.2 tell 10.0.0.1 m1")
	s.waits("no answer: it is flooded, and the station is probed", 300*time.Millisecond,
		"flood but 1: m1>all who-has 10.0.0.2 tell 10.0.0.1 m1",
		"to 2: hub>m2 who-has 10.0.0.2 tell 0.0.0.0 hub")
	s.gets("the station answers", 2, reply(2, 1), Forward)
	s.waits("nothing is left to do", time.Second)

	s.gets("the asker asks again", 1, request(1, 2), Handled,
		"to 2: m1>m2 who-has 10.0.0.2 tell 10.0.0.1 m1")
	s.gets("and again at once: it is sent again, not counted twice", 1, request(1, 2), Handled,
		"to 2: m1>m2 who-has 10.0.0.2 tell 10.0.0.1 m1")
	s.gets("the station answers the first", 2, reply(2, 1), Forward)
	s.waits("which closes the question", 600*time.Millisecond)

	s.gets("a question for a station of the asker's own leg passes", 2, request(3, 2), Forward)
	s.gets("a unicast question passes", 1, unicast(1, 2), Forward)
	s.gets("an announcement passes", 1, gratuitous(1, 1), Forward)
}

func TestAssistUnknown(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	s.gets("a question for an unknown station is flooded by the hub", 1, request(1, 9), Forward)
	s.gets("the host repeats it", 1, request(1, 9), Forward)
	s.waits("flooded again: a leg may have lost it", 300*time.Millisecond,
		"flood but 1: m1>all who-has 10.0.0.9 tell 10.0.0.1 m1")
	s.waits("and once more", 600*time.Millisecond,
		"flood but 1: m1>all who-has 10.0.0.9 tell 10.0.0.1 m1")
	s.waits("and then no more", 3*time.Second)
	if n := s.seg.Stats().Questions; n != 0 {
		t.Errorf("%d questions still open", n)
	}
	s.gets("the station answers a later one", 1, request(1, 9), Forward)
	s.gets("by unicast", 3, reply(9, 1), Forward)
	s.waits("which makes a conversation that is kept", 300*time.Millisecond,
		"to 3: m1>m9 10.0.0.1 is-at m1 for 10.0.0.9")
}

func TestProxy(t *testing.T) {
	s := tell(t, Config{Mode: Proxy})
	s.gets("station 2 announces itself", 2, gratuitous(2, 2), Forward)
	s.gets("the hub answers for it, with its address as the Ethernet source; the station is told of the asker", 1, request(1, 2), Handled,
		"to 1: m2>m1 10.0.0.2 is-at m2 for 10.0.0.1",
		"to 2: m1>m2 who-has 10.0.0.2 tell 10.0.0.1 m1")
	s.waits("the asker is refreshed in the station", 300*time.Millisecond,
		"to 2: m1>m2 10.0.0.1 is-at m1 for 10.0.0.2")
	s.now = s.now.Add(2 * time.Second)
	s.gets("2 s later the answer is verified in the background", 1, request(1, 2), Handled,
		"to 1: m2>m1 10.0.0.2 is-at m2 for 10.0.0.1",
		"to 2: hub>m2 who-has 10.0.0.2 tell 0.0.0.0 hub")
	s.gets("the station confirms: that ends at the hub", 2, toHub(2), Handled)
	s.waits("and no flood follows", 1200*time.Millisecond)
	s.gets("asked again", 1, request(1, 2), Handled,
		"to 1: m2>m1 10.0.0.2 is-at m2 for 10.0.0.1",
		"to 2: hub>m2 who-has 10.0.0.2 tell 0.0.0.0 hub")
	s.waits("it does not confirm: the question is flooded after all", 900*time.Millisecond,
		"to 2: hub>m2 who-has 10.0.0.2 tell 0.0.0.0 hub",
		"to 2: hub>m2 who-has 10.0.0.2 tell 0.0.0.0 hub",
		"flood but 1: m1>all who-has 10.0.0.2 tell 10.0.0.1 m1")
	s.gets("now it is not answered for", 1, request(1, 2), Handled,
		"to 2: m1>m2 who-has 10.0.0.2 tell 10.0.0.1 m1")
}

func TestDuplicateDetection(t *testing.T) {
	for _, mode := range []Mode{Assist, Proxy} {
		s := tell(t, Config{Mode: mode})
		s.gets("station 1", 1, gratuitous(1, 1), Forward)
		s.gets("it probes for its own address: never answered", 1, probeFor(1, 1), Forward)
		s.waits("and never probed by the hub meanwhile", 9*time.Second)
		s.gets("station 2 probes for the address of station 1: that gets it", 2, probeFor(2, 1), Handled,
			"to 1: m2>m1 who-has 10.0.0.1 tell 0.0.0.0 m2")
		if _, ok := s.neighbour(0, netip.IPv4Unspecified()); ok {
			t.Error("a probe taught 0.0.0.0")
		}
		s.waits("unanswered it is repeated, then flooded", 600*time.Millisecond,
			"to 1: m2>m1 who-has 10.0.0.1 tell 0.0.0.0 m2",
			"flood but 2: m2>all who-has 10.0.0.1 tell 0.0.0.0 m2")
		s.gets("a probe for a free address passes, and is not repeated for the host", 2, probeFor(2, 7), Forward)
		s.waits("really", 500*time.Millisecond)

		s.gets("an IPv6 station", 1, eth.AppendNA(nil, 0, eth.Addr{}, m(1), netip.Addr{}, ip6(1), eth.NAFlagOverride), Forward)
		s.gets("another one probes for its address", 2, eth.AppendNS(nil, 0, eth.Addr{}, m(2), netip.IPv6Unspecified(), ip6(1)), Handled,
			"to 1: m2>m1 ::>ff02::1:ff00:1 ns fd00::1")
		s.gets("the answer goes to all nodes, and to the asker by unicast", 1,
			eth.AppendNA(nil, 0, eth.Addr{}, m(1), netip.Addr{}, ip6(1), eth.NAFlagOverride), Forward,
			"to 2: m1>m2 fd00::1>ff02::1 na fd00::1 is-at m1 flags 20")
	}
}

func TestNeighbourDiscovery(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	ns := eth.AppendNS(nil, 0, eth.Addr{}, m(1), ip6(1), ip6(2))
	s.gets("a router says where it is", 2, eth.AppendNA(nil, 0, eth.Addr{}, m(2), netip.Addr{}, ip6(2), eth.NAFlagOverride|eth.NAFlagRouter), Forward)
	s.gets("a solicitation goes to it alone; the IPv6 destination stays the group", 1, ns, Handled,
		"to 2: m1>m2 fd00::1>ff02::1:ff00:2 ns fd00::2")
	s.gets("it answers", 2, eth.AppendNA(nil, 0, m(1), m(2), ip6(1), ip6(2), eth.NAFlagSolicited|eth.NAFlagOverride|eth.NAFlagRouter), Forward)
	s.waits("the asker is refreshed in the router", 300*time.Millisecond,
		"to 2: m1>m2 fd00::1>fd00::2 na fd00::1 is-at m1 flags 60")
	s.seg.setMode(Proxy)
	s.gets("proxy: the answer says that it is a router, or the asker would lose its default route", 1, ns, Handled,
		"to 1: m2>m1 fd00::2>fd00::1 na fd00::2 is-at m2 flags e0")
	s.gets("an advertisement without override does not take the address over", 3,
		eth.AppendNA(nil, 0, eth.Addr{}, m(3), netip.Addr{}, ip6(2), 0), Forward)
	if n, _ := s.neighbour(0, ip6(2)); n.MAC != m(2) || !n.Router {
		t.Errorf("neighbour %+v", n)
	}
	bad := slices.Clone(ns)
	bad[len(bad)-1]++
	s.gets("a wrong checksum teaches nothing", 1, bad, Forward)
	if n := s.seg.Stats().Invalid; n != 1 {
		t.Errorf("invalid %d, want 1", n)
	}
	s.gets("a solicitation for the hub's own link-local address is answered", 2,
		eth.AppendNS(nil, 0, s.seg.cfg.HubMAC, m(2), ip6(2), s.seg.hubLocal), Handled,
		"to 2: hub>m2 fe80::76ff:fe68:7562>fd00::2 na fe80::76ff:fe68:7562 is-at hub flags 60")
}

func TestConflict(t *testing.T) {
	s := tell(t, Config{Mode: Proxy})
	s.gets("station 1 has 10.0.0.1", 1, gratuitous(1, 1), Forward)
	s.gets("station 2 claims it: the owner is probed", 2, gratuitous(2, 1), Forward,
		"to 1: hub>m1 who-has 10.0.0.1 tell 0.0.0.0 hub")
	s.gets("meanwhile questions are flooded", 3, request(3, 1), Forward)
	s.gets("the owner answers: a conflict; it is announced again", 1, toHub(1), Handled,
		"flood but 1: m1>all who-has 10.0.0.1 tell 10.0.0.1 m1",
		"flood but 1: m1>all 10.0.0.1 is-at m1 for 10.0.0.1")
	s.wantEvents("reported with both", "conflict 10.0.0.1 m1@1 m2@2")
	s.gets("the owner answers the flooded question too", 1, reply(1, 3), Forward)
	s.gets("the second one claims again: only the owner hears it", 2, gratuitous(2, 1), Handled,
		"to 1: m2>m1 10.0.0.1 is-at m2 for 10.0.0.1")
	s.gets("the first keeps it under proxy", 3, request(3, 1), Handled,
		"to 3: m1>m3 10.0.0.1 is-at m1 for 10.0.0.3")
	s.now = s.now.Add(6 * time.Second)
	s.out.Reset()
	s.seg.Receive(s.now, 2, gratuitous(2, 1), &s.out)
	s.seg.Receive(s.now, 1, toHub(1), &s.out)
	s.wantEvents("it is reported once")
	s.now = s.now.Add(10 * time.Minute)
	s.seg.Receive(s.now, 1, gratuitous(1, 1), &s.out)
	s.seg.Receive(s.now, 2, gratuitous(2, 1), &s.out)
	s.seg.Receive(s.now, 1, toHub(1), &s.out)
	if len(s.events) != 0 && s.events[len(s.events)-1] != "conflict 10.0.0.1 m1@1 m2@2" || len(s.events) == 0 {
		t.Errorf("after the quiet time: events %q", s.events)
	}
}

func TestHandOver(t *testing.T) {
	for _, mode := range []Mode{Assist, Proxy} {
		s := tell(t, Config{Mode: mode})
		s.gets("station 1 has 10.0.0.1", 1, gratuitous(1, 1), Forward)
		s.gets("its successor claims it: the owner is probed", 2, gratuitous(2, 1), Forward,
			"to 1: hub>m1 who-has 10.0.0.1 tell 0.0.0.0 hub")
		s.waits("the owner is silent: three probes, then it is replaced and announced", 1000*time.Millisecond,
			"to 1: hub>m1 who-has 10.0.0.1 tell 0.0.0.0 hub",
			"to 1: hub>m1 who-has 10.0.0.1 tell 0.0.0.0 hub",
			"flood but 2: m2>all who-has 10.0.0.1 tell 10.0.0.1 m2",
			"flood but 2: m2>all 10.0.0.1 is-at m2 for 10.0.0.1")
		s.wantEvents("no conflict", "replaced 10.0.0.1 m2@2 m1@1")
	}
}

func TestRelay(t *testing.T) {
	s := tell(t, Config{Mode: Relay})
	s.gets("learned", 1, gratuitous(1, 1), Forward)
	s.gets("passed", 2, request(2, 1), Forward)
	s.gets("passed", 1, reply(1, 2), Forward)
	s.gets("another owner counts at once", 3, gratuitous(3, 1), Forward)
	s.gets("the first is back: a conflict", 1, gratuitous(1, 1), Forward)
	s.gets("and again", 3, gratuitous(3, 1), Forward)
	s.waits("nothing is ever sent", time.Minute)
	s.wantEvents("reported once", "replaced 10.0.0.1 m3@3 m1@1", "conflict 10.0.0.1 m1@1 m3@3")
	if n, ok := s.neighbour(0, ip4(1)); !ok || n.MAC != m(1) {
		t.Errorf("neighbour %+v", n)
	}
	s.waits("until they are too old", 10*time.Minute)
	if l := s.seg.List(s.now); len(l) != 0 {
		t.Errorf("still there: %+v", l)
	}
}

func TestMoves(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	s.gets("a VRRP master announces the virtual address", 1, gratuitous(1, 1), Forward)
	s.gets("a user", 3, gratuitous(3, 3), Forward)
	s.gets("asks for it", 3, unicast(3, 1), Forward)
	s.gets("the backup takes over, with the same MAC: others and its users are told", 2, gratuitous(1, 1), Forward,
		"flood but 2: m1>all who-has 10.0.0.1 tell 10.0.0.1 m1",
		"flood but 2: m1>all 10.0.0.1 is-at m1 for 10.0.0.1",
		"to 3: m1>m3 10.0.0.1 is-at m1 for 10.0.0.3")
	s.wantEvents("told once", "moved 10.0.0.1 m1@2 -@1")
	s.out.Reset()
	s.seg.StationMoved(s.now, 0, m(1), 1, 2, &s.out)
	s.check("the hub's own table says the same: nothing new", nil)
	s.seg.StationMoved(s.now.Add(time.Minute), 0, m(1), 2, 4, &s.out)
	if n, _ := s.neighbour(0, ip4(1)); n.Link != 4 || len(s.out.Sends) != 3 {
		t.Errorf("neighbour %+v, %d sends", n, len(s.out.Sends))
	}
}

func TestIndirectClaims(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	proxied := eth.AppendARPReply(nil, 0, m(3), m(9), ip4(1), ip4(3))
	copy(proxied[6:12], []byte{2, 0, 0, 0, 0, 8}) // the Ethernet source is another
	s.gets("an extender answers for a station", 2, proxied, Forward)
	if n, ok := s.neighbour(0, ip4(1)); !ok || n.MAC != m(9) || n.Link != 2 {
		t.Errorf("not learned: %+v", n)
	}
	s.gets("a station has an address", 1, gratuitous(5, 5), Forward)
	stolen := eth.AppendARPReply(nil, 0, m(3), m(9), ip4(5), ip4(3))
	copy(stolen[6:12], []byte{2, 0, 0, 0, 0, 8})
	s.gets("an indirect claim takes nothing over", 2, stolen, Forward)
	if n, _ := s.neighbour(0, ip4(5)); n.MAC != m(5) {
		t.Errorf("taken over: %+v", n)
	}
}

func TestNonsenseTeachesNothing(t *testing.T) {
	s := tell(t, Config{Mode: Proxy})
	for what, f := range map[string][]byte{
		"multicast address":  eth.AppendGratuitousARP(nil, 0, m(1), netip.MustParseAddr("224.0.0.1")),
		"broadcast address":  eth.AppendGratuitousARP(nil, 0, m(1), netip.MustParseAddr("255.255.255.255")),
		"loopback":           eth.AppendGratuitousARP(nil, 0, m(1), netip.MustParseAddr("127.0.0.1")),
		"this network":       eth.AppendGratuitousARP(nil, 0, m(1), netip.MustParseAddr("0.0.0.1")),
		"group MAC":          eth.AppendGratuitousARP(nil, 0, eth.Addr{3}, ip4(1)),
		"no MAC":             eth.AppendGratuitousARP(nil, 0, eth.Addr{}, ip4(1)),
		"multicast IPv6":     eth.AppendNA(nil, 0, eth.Addr{}, m(1), netip.Addr{}, netip.MustParseAddr("ff02::1"), 0),
		"two tags":           append(append(slices.Clone(gratuitous(1, 1)[:12]), 0x81, 0, 0, 1, 0x81, 0, 0, 2), gratuitous(1, 1)[12:]...),
		"cut":                gratuitous(1, 1)[:40],
		"hub's own, as echo": eth.AppendARPRequest(nil, 0, m(1), s.seg.cfg.HubMAC, netip.IPv4Unspecified(), ip4(1)),
	} {
		s.gets(what, 1, f, Forward)
		if l := s.seg.List(s.now); len(l) != 0 {
			t.Errorf("%s taught %+v", what, l)
		}
	}
}

func TestKeeper(t *testing.T) {
	s := tell(t, Config{Mode: Assist, Idle: 20 * time.Second})
	s.gets("station 1", 1, gratuitous(1, 1), Forward)
	s.waits("an idle station is probed now and then", 20*time.Second,
		"to 1: hub>m1 who-has 10.0.0.1 tell 0.0.0.0 hub",
		"to 1: hub>m1 who-has 10.0.0.1 tell 0.0.0.0 hub",
		"to 1: hub>m1 who-has 10.0.0.1 tell 0.0.0.0 hub",
		"to 1: hub>m1 who-has 10.0.0.1 tell 0.0.0.0 hub")
	s.waits("until it is silent", 5*time.Second)
	s.wantEvents("which is told", "silent 10.0.0.1 m1@1 -@0")
	s.gets("a question is flooded, and tried where it was", 2, request(2, 1), Forward,
		"to 1: m2>m1 who-has 10.0.0.1 tell 10.0.0.2 m2")
	s.gets("it is back", 1, toHub(1), Handled)
	if n, _ := s.neighbour(0, ip4(1)); n.Silent {
		t.Error("still silent")
	}
}

func TestAnnounceAndLinkDown(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	s.gets("station 1", 1, gratuitous(1, 1), Forward)
	s.gets("station 2", 1, eth.AppendNA(nil, 0, eth.Addr{}, m(2), netip.Addr{}, ip6(2), eth.NAFlagOverride), Forward)
	s.gets("station 3 behind another link", 2, gratuitous(3, 3), Forward)
	s.out.Reset()
	s.seg.Announce(s.now, 1, &s.out)
	if len(s.out.Sends) != 3 { // two forms of ARP, one advertisement
		t.Errorf("announced by %d frames, want 3", len(s.out.Sends))
	}
	for _, x := range s.out.Sends {
		if x.Flood && x.Except != 1 {
			t.Errorf("announced to its own link: %s", describe(x))
		}
	}
	s.seg.LinkDown(s.now, 1)
	checkInvariants(t, s.seg)
	if l := s.seg.List(s.now); len(l) != 1 || l[0].Link != 2 {
		t.Errorf("left: %+v", l)
	}
	s.waits("nothing is announced of a link that is gone", 3*time.Second)
}

func TestVLANs(t *testing.T) {
	s := tell(t, Config{Mode: Proxy})
	s.gets("station 2 in VLAN 5", 2, eth.AppendGratuitousARP(nil, 5, m(2), ip4(2)), Forward)
	s.gets("is unknown outside of it", 1, request(1, 2), Forward)
	s.gets("the answer carries the tag", 1, eth.AppendARPRequest(nil, 5, eth.Broadcast, m(1), ip4(1), ip4(2)), Handled,
		"to 1 vlan 5: m2>m1 10.0.0.2 is-at m2 for 10.0.0.1",
		"to 2 vlan 5: m1>m2 who-has 10.0.0.2 tell 10.0.0.1 m1")
}

func TestIsolation(t *testing.T) {
	s := tell(t, Config{Mode: Proxy, Allowed: func(a, b Link) bool { return a == 3 || b == 3 }})
	s.gets("station 2", 2, gratuitous(2, 2), Forward)
	s.gets("an isolated port learns nothing of it from the hub", 1, request(1, 2), Forward)
	if st := s.seg.Stats(); st.Pairs != 0 || st.Answered != 0 {
		t.Errorf("%+v", st)
	}
	s.gets("the other does", 3, request(3, 2), Handled,
		"to 3: m2>m3 10.0.0.2 is-at m2 for 10.0.0.3",
		"to 2: m3>m2 who-has 10.0.0.2 tell 10.0.0.3 m3")
}

func TestStatic(t *testing.T) {
	s := tell(t, Config{Mode: Proxy})
	if err := s.seg.SetStatic(s.now, 0, ip4(1), m(1), 1); err != nil {
		t.Fatal(err)
	}
	if s.seg.SetStatic(s.now, 0, netip.MustParseAddr("224.0.0.1"), m(1), 1) == nil || s.seg.SetStatic(s.now, 0, ip4(1), eth.Broadcast, 1) == nil {
		t.Error("nonsense accepted")
	}
	s.gets("it cannot be taken over; its owner is told", 2, gratuitous(2, 1), Handled,
		"to 1: m2>m1 10.0.0.1 is-at m2 for 10.0.0.1")
	s.wantEvents("reported", "conflict 10.0.0.1 m1@1 m2@2")
	s.waits("never probed, never too old", time.Hour)
	s.gets("answered for", 3, request(3, 1), Handled,
		"to 3: m1>m3 10.0.0.1 is-at m1 for 10.0.0.3",
		"to 1: m3>m1 who-has 10.0.0.1 tell 10.0.0.3 m3")
	if n := s.seg.Flush(nil); n != 1 {
		t.Errorf("flushed %d, want the one learned", n)
	}
	if !s.seg.RemoveStatic(0, ip4(1)) || s.seg.RemoveStatic(0, ip4(1)) || len(s.seg.List(s.now)) != 0 {
		t.Error("not removed")
	}
}

func TestLimits(t *testing.T) {
	s := tell(t, Config{Mode: Assist, MaxPerLink: 10, MaxNeighbours: 15, MaxPairs: 6, MaxUses: 3})
	for i := byte(1); i < 100; i++ {
		s.gets("one link floods the table", 1, gratuitous(i, i), Forward)
	}
	if n := len(s.seg.List(s.now)); n != 10 {
		t.Fatalf("%d neighbours, want 10", n)
	}
	s.wantEvents("told once", "full 10.0.0.11 m11@1 -@0")
	for i := byte(100); i < 110; i++ {
		s.gets("another link gets the rest", 2, gratuitous(i, i), Forward)
	}
	if n := len(s.seg.List(s.now)); n != 15 {
		t.Fatalf("%d neighbours, want 15", n)
	}
	for i := byte(1); i <= 10; i++ {
		s.gets("conversations", 1, unicast(i, 100), Forward)
		s.gets("conversations", 2, unicast(101, i), Forward)
	}
	if st := s.seg.Stats(); st.Pairs != 6 || st.LimitLink == 0 || st.LimitHub == 0 {
		t.Errorf("%+v", st)
	}
	for i := 0; i < 5000; i++ {
		f := request(1, 0)
		binary.BigEndian.PutUint32(f[38:], 0x0a010000+uint32(i))
		s.out.Reset()
		s.seg.Receive(s.now, 1, f, &s.out)
	}
	if st := s.seg.Stats(); st.Questions != maxLinkQuestions || st.LimitQuestions == 0 {
		t.Errorf("a scan opened %d questions", st.Questions)
	}
}

func TestPairsEnd(t *testing.T) {
	s := tell(t, Config{Mode: Assist, PairAge: time.Minute})
	s.gets("station 1", 1, gratuitous(1, 1), Forward)
	s.gets("station 2", 2, gratuitous(2, 2), Forward)
	s.gets("1 asks 2 by unicast", 1, unicast(1, 2), Forward)
	for range 20 {
		s.now = s.now.Add(5 * time.Second)
		s.seg.Advance(s.now, &s.out)
		s.seg.Receive(s.now, 1, toHub(1), &s.out)
		s.seg.Receive(s.now, 2, toHub(2), &s.out)
	}
	l := s.seg.List(s.now)
	if l[0].Users > 1 || l[1].Users != 0 {
		t.Errorf("the direction that can ask again by itself is kept: %+v", l)
	}
	if l[0].Users != 1 {
		t.Errorf("the direction that was never heard asking was given up: %+v", l)
	}
}

func TestRivalWhileOwnerProbes(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	s.gets("station 1 has 10.0.0.1", 1, gratuitous(1, 1), Forward)
	s.gets("its line was down: it probes for its address again", 1, probeFor(1, 1), Forward)
	s.gets("another claims the address: the hub must not probe the owner now", 2, gratuitous(2, 1), Forward)
	s.waits("so it waits", 9*time.Second)
	s.gets("the owner announces itself: it is a conflict", 1, gratuitous(1, 1), Forward)
	s.wantEvents("told", "conflict 10.0.0.1 m1@1 m2@2")
}

func TestOldestConversationGivesWay(t *testing.T) {
	s := tell(t, Config{Mode: Assist, MaxUses: 2})
	for i := byte(1); i <= 4; i++ {
		s.gets("stations", Link(i), gratuitous(i, i), Forward)
	}
	for i := byte(2); i <= 4; i++ {
		s.now = s.now.Add(time.Millisecond)
		s.gets("1 talks with all", 1, unicast(1, i), Forward)
	}
	users := map[netip.Addr]int{}
	for _, n := range s.seg.List(s.now) {
		users[n.IP] = n.Users
	}
	if users[ip4(1)] != 3 || users[ip4(2)] != 0 || users[ip4(3)] != 1 || users[ip4(4)] != 1 {
		t.Errorf("users %v", users)
	}
}

func TestHubsOwnAddress(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	hub := eth.Addr{2, 0, 0, 0, 0, 99}
	for _, ip := range []netip.Addr{ip4(99), ip6(99)} {
		if err := s.seg.SetStatic(s.now, 0, ip, hub, 0); err != nil {
			t.Fatal(err)
		}
	}
	s.gets("an address of the hub itself is answered in every mode that helps", 1, request(1, 99), Handled,
		"to 1: m99>m1 10.0.0.99 is-at m99 for 10.0.0.1")
	s.gets("and defended against a probe", 1, probeFor(1, 99), Handled,
		"to 1: m99>m1 10.0.0.99 is-at m99 for 0.0.0.0")
	s.gets("in IPv6 to all nodes", 1, eth.AppendNS(nil, 0, eth.Addr{}, m(1), netip.IPv6Unspecified(), ip6(99)), Handled,
		"to 1: m99>group fd00::63>ff02::1 na fd00::63 is-at m99 flags 20")
}

// router builds a router advertisement or solicitation with a source
// link-layer address and other options.
func router(typ byte, from byte, options ...byte) []byte {
	f := eth.AppendNS(nil, 0, m(1), m(from), ip6(from), ip6(1)) // for its headers
	f = f[:54]
	body := append([]byte{typ, 0, 0, 0, 64, 0, 0, 30}, make([]byte, 8)...)
	if typ == eth.NDRouterSolicit {
		body = body[:8]
	}
	f = append(append(f, body...), append([]byte{1, 1, 2, 0, 0, 0, 0, from}, options...)...)
	n := len(f) - 54
	f[18], f[19] = byte(n>>8), byte(n)
	sum := ^eth.Sum(f[54:], eth.PseudoSum(f[22:38], f[38:54], eth.ProtoICMPv6, n))
	binary.BigEndian.PutUint16(f[56:], sum)
	return f
}

func TestRouters(t *testing.T) {
	s := tell(t, Config{Mode: Proxy})
	s.gets("a router advertises itself", 2, router(eth.NDRouterAdvert, 2, 5, 1, 0, 0, 0, 0, 5, 0xdc), Forward)
	if n, ok := s.neighbour(0, ip6(2)); !ok || !n.Router || n.Source != FromND {
		t.Errorf("neighbour %+v", n)
	}
	s.gets("a host looks for routers", 1, router(eth.NDRouterSolicit, 1), Forward)
	if n, ok := s.neighbour(0, ip6(1)); !ok || n.Router {
		t.Errorf("neighbour %+v", n)
	}
	s.gets("the router stops being one", 2, eth.AppendNA(nil, 0, eth.Addr{}, m(2), netip.Addr{}, ip6(2), eth.NAFlagOverride), Forward)
	if n, _ := s.neighbour(0, ip6(2)); n.Router {
		t.Errorf("neighbour %+v", n)
	}
	secure := router(eth.NDRouterSolicit, 2, optCGA, 1, 0, 0, 0, 0, 0, 0)
	if p, bad := parse(secure); bad || !p.signed {
		t.Errorf("SEND not seen: %+v", p)
	}
}

func TestNames(t *testing.T) {
	for _, x := range []Mode{Relay, Assist, Proxy} {
		b, _ := x.MarshalText()
		var y Mode
		if err := y.UnmarshalText(b); err != nil || x != y {
			t.Errorf("%v became %v, %v", x, y, err)
		}
	}
	if _, err := ParseMode("on"); err == nil || !strings.Contains(err.Error(), "relay, assist or proxy") {
		t.Errorf("error %v", err)
	}
	got := fmt.Sprint(FromARP, FromND, FromDHCP, FromStatic, Conflict, Replaced, Moved, Silent, Full, Mode(9), EventKind(9))
	if got != "arp nd dhcp static conflict replaced moved silent full mode(9) event(9)" {
		t.Error(got)
	}
}

// setMode is Configure of the mode alone.
func (s *Segment) setMode(m Mode) {
	s.mu.Lock()
	c := s.cfg
	s.mu.Unlock()
	c.Mode = m
	s.Configure(c)
}
