package l2tp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"vhub/arp"
	"vhub/eth"
	"vhub/hub"
)

// TestEars compares the ears with what the hosts themselves say of random frames: a
// host that has a use for one must be among those that are to be given it.
func TestEars(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1_700_000_000, 0)
	h := hub.New(hub.Config{Name: "default"})
	p := &Peer{s: &Server{ears: newEars()}}
	var list []*session
	four := func() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(40))}) }
	six := func() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: byte(r.IntN(40))}) }
	mac := func(i int) eth.Addr { return eth.Addr{2, 7, 0, 0, 0, byte(i)} }
	for i := range 30 {
		x := &session{p: p, mac: mac(i), name: fmt.Sprint("road/", i)}
		x.host = arp.NewHost(arp.HostConfig{MAC: x.mac})
		l, err := h.Attach(now, x, hub.LinkConfig{Name: x.name, Listener: p.s.ears})
		if err != nil {
			t.Fatal(err)
		}
		x.hubLink = l
		list = append(list, x)
	}
	frame := func() []byte {
		src := mac(50 + r.IntN(40))
		switch r.IntN(5) {
		case 0:
			return eth.AppendARPRequest(nil, 0, eth.Broadcast, src, four(), four())
		case 1:
			return eth.AppendARPReply(nil, 0, eth.Broadcast, src, four(), four())
		case 2:
			return eth.AppendGratuitousARP(nil, 0, src, four())
		case 3:
			return eth.AppendNS(nil, 0, eth.Addr{}, src, six(), six())
		}
		return eth.AppendNA(nil, 0, eth.Addr{}, src, netip.IPv6Unspecified(), six(), 0)
	}
	wanted := 0
	for round := range 20_000 {
		x := list[r.IntN(len(list))]
		switch now = now.Add(100 * time.Millisecond); r.IntN(7) {
		case 0:
			x.host.SetIPv4(now, netip.PrefixFrom(four(), 24), netip.Addr{})
		case 1:
			x.host.Probe(now, four(), &x.hout)
		case 2:
			x.host.OpenIPv6([8]byte{7: byte(r.IntN(40))})
		case 3:
			x.host.FromSegment(now, frame(), &x.hout)
		case 4:
			if a := x.host.Addr4(); a.IsValid() { // a packet for a neighbour that must be asked for
				x.host.FromClient(now, testUDP(a, four()), &x.hout)
			}
		default:
			x.host.Advance(now, &x.hout)
		}
		x.hout.Reset()
		x.listen()
		f := eth.Frame{Data: frame()}
		some, others, all := p.s.ears.Listeners(&f)
		for _, y := range list {
			if _, pass, _ := y.host.Accept(f.Data); pass == arp.PassDrop {
				continue
			}
			wanted++
			if !all && !slices.Contains(some, y.hubLink) && !slices.Contains(others, y.hubLink) {
				t.Fatalf("round %d: %s has a use for % x and is not asked", round, y.name, f.Data)
			}
		}
	}
	if wanted < 1000 {
		t.Errorf("only %d frames were wanted by anybody: the test shows little", wanted)
	}
	for _, x := range list {
		x.hear(nil)
	}
	for i := range p.s.ears.buckets {
		if b := p.s.ears.buckets[i].Load(); b != nil {
			t.Fatalf("after all have gone, somebody listens: %+v", *b)
		}
	}
}

// testUDP is an IPv4 packet of an empty UDP datagram.
func testUDP(src, dst netip.Addr) []byte {
	b := make([]byte, 28)
	b[0], b[3], b[8], b[9], b[25] = 0x45, 28, 64, eth.ProtoUDP, 8
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return b
}

// TestEarsOfMany has what more listen for than a list is worth go to all, and to nobody
// once they are gone.
func TestEarsOfMany(t *testing.T) {
	e := newEars()
	what := heed{addr: netip.MustParseAddr("10.0.0.1")}
	f := eth.Frame{Data: eth.AppendARPRequest(nil, 0, eth.Broadcast, eth.Addr{2, 1}, what.addr, netip.MustParseAddr("10.0.0.9"))}
	links := make([]*hub.Link, maxEars+10)
	for i := range links {
		links[i] = new(hub.Link)
		e.change(what, links[i], true)
		if _, others, all := e.Listeners(&f); all != (i >= maxEars) || !all && len(others) != i+1 {
			t.Fatalf("with %d that listen: %d, all %v", i+1, len(others), all)
		}
	}
	for i, l := range links {
		e.change(what, l, false)
		if _, _, all := e.Listeners(&f); all != (i < len(links)-1) {
			t.Fatalf("after %d have gone: all %v", i+1, all)
		}
	}
	// What no client has a use for goes to none, what all may want to all.
	for _, c := range []struct {
		name  string
		frame []byte
		all   bool
	}{
		{"another EtherType", append(eth.AppendHeader(nil, 0, eth.Broadcast, eth.Addr{2, 1}, 0x88b5), make([]byte, 60)...), false},
		{"a tagged frame", append(eth.AppendHeader(nil, 5, eth.Broadcast, eth.Addr{2, 1}, eth.TypeIPv4), make([]byte, 60)...), false},
		{"an IPv4 broadcast", append(eth.AppendHeader(nil, 0, eth.Broadcast, eth.Addr{2, 1}, eth.TypeIPv4), testUDP(what.addr, netip.MustParseAddr("10.0.0.255"))...), true},
	} {
		if some, others, all := e.Listeners(&eth.Frame{Data: c.frame}); all != c.all || len(some)+len(others) > 0 {
			t.Errorf("%s: all %v, %d and %d links", c.name, all, len(some), len(others))
		}
	}
}
