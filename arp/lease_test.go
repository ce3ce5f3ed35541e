package arp

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"vhub/eth"
)

// dhcp builds a DHCPv4 frame; no checksums, as a kernel's offload leaves them.
func dhcp(fromServer bool, src, dst, client eth.Addr, xid uint32, yours netip.Addr, options ...byte) []byte {
	p := make([]byte, 240, 300)
	p[0], p[1], p[2] = 1, 1, 6
	ports := [4]byte{0, 68, 0, 67}
	if fromServer {
		p[0] = 2
		ports = [4]byte{0, 67, 0, 68}
		y := yours.As4()
		copy(p[16:], y[:])
	} else if yours.IsValid() {
		y := yours.As4()
		copy(p[12:], y[:]) // ciaddr
	}
	binary.BigEndian.PutUint32(p[4:], xid)
	copy(p[28:], client[:])
	binary.BigEndian.PutUint32(p[236:], 0x63825363)
	p = append(append(p, options...), 255)
	f := eth.AppendHeader(nil, 0, dst, src, eth.TypeIPv4)
	n := 28 + len(p)
	f = append(f, 0x45, 0, byte(n>>8), byte(n), 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 255, 255, 255, 255)
	f = append(f, ports[:]...)
	f = append(f, byte((n-20)>>8), byte(n-20), 0, 0)
	return append(f, p...)
}

func TestLeases(t *testing.T) {
	s := tell(t, Config{Mode: Proxy})
	ack := dhcp(true, m(1), m(7), m(7), 42, ip4(77), 53, 1, 5, 51, 4, 0, 0, 1, 44)
	s.gets("an ACK that nobody asked for teaches nothing", 1, ack, Forward)
	if len(s.seg.List(s.now)) != 0 {
		t.Error("learned")
	}
	s.gets("a client asks", 3, dhcp(false, m(7), eth.Broadcast, m(7), 42, netip.Addr{}, 53, 1, 3), Forward)
	s.gets("the wrong transaction", 1, dhcp(true, m(1), m(7), m(7), 43, ip4(77), 53, 1, 5), Forward)
	s.gets("the ACK", 1, ack, Forward)
	n, ok := s.neighbour(0, ip4(77))
	if !ok || n.MAC != m(7) || n.Link != 3 || n.Source != FromDHCP || n.Expires.Sub(s.now) != 300*time.Second || !n.Confirmed.IsZero() {
		t.Fatalf("learned %+v", n)
	}
	s.gets("it is not answered for before it was heard", 1, request(1, 77), Forward,
		"to 3: m1>m7 who-has 10.0.0.77 tell 10.0.0.1 m1")
	s.gets("its own probe is not answered", 3, probeFor(7, 77), Forward)
	s.gets("it announces itself", 3, gratuitous(7, 77), Forward)
	s.gets("now it is answered for", 2, request(2, 77), Handled,
		"to 2: m7>m2 10.0.0.77 is-at m7 for 10.0.0.2",
		"to 3: m2>m7 who-has 10.0.0.77 tell 10.0.0.2 m2")
	s.gets("a stranger cannot release it", 2, dhcp(false, m(2), eth.Broadcast, m(7), 44, ip4(77), 53, 1, 7), Forward)
	if _, ok := s.neighbour(0, ip4(77)); !ok {
		t.Error("released by a stranger")
	}
	s.gets("it is given back", 3, dhcp(false, m(7), m(1), m(7), 44, ip4(77), 53, 1, 7), Forward)
	if _, ok := s.neighbour(0, ip4(77)); ok {
		t.Error("still there")
	}
}

func TestLeaseNotHeard(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	s.gets("a client asks", 3, dhcp(false, m(7), eth.Broadcast, m(7), 42, netip.Addr{}, 53, 1, 3), Forward)
	s.gets("and is given an address", 1, dhcp(true, m(1), m(7), m(7), 42, ip4(77), 53, 1, 5, 51, 4, 0, 0, 0, 90), Forward)
	s.waits("it is left alone while it may probe", 9*time.Second)
	s.waits("then it is asked", 2*time.Second, "to 3: hub>m7 who-has 10.0.0.77 tell 0.0.0.0 hub")
	s.waits("and again", 30*time.Second, "to 3: hub>m7 who-has 10.0.0.77 tell 0.0.0.0 hub")
	s.waits("until the lease is over", 60*time.Second, "to 3: hub>m7 who-has 10.0.0.77 tell 0.0.0.0 hub")
	if len(s.seg.List(s.now)) != 0 {
		t.Error("still there")
	}
}

func TestRequestsAreBounded(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	ask := func(i int) {
		mac := eth.Addr{2, 1, 0, 0, byte(i >> 8), byte(i)}
		s.seg.Receive(s.now, 1, dhcp(false, mac, eth.Broadcast, mac, 1, netip.Addr{}, 53, 1, 3), &s.out)
	}
	for i := range 1000 {
		ask(i)
	}
	if n := len(s.seg.requests); n != maxRequests {
		t.Errorf("%d requests kept", n)
	}
	s.now = s.now.Add(2 * requestTime)
	ask(5000)
	if n := len(s.seg.requests); n != 1 {
		t.Errorf("%d requests kept after their time", n)
	}
	s.seg.LinkDown(s.now, 1)
	if n := len(s.seg.requests); n != 0 {
		t.Errorf("%d requests of a link that is gone", n)
	}
}

func TestDecline(t *testing.T) {
	s := tell(t, Config{Mode: Assist})
	s.gets("a client asks", 3, dhcp(false, m(7), eth.Broadcast, m(7), 42, netip.Addr{}, 53, 1, 3), Forward)
	s.gets("and is given an address", 1, dhcp(true, m(1), m(7), m(7), 42, ip4(77), 53, 1, 5), Forward)
	s.gets("which it finds in use", 3, dhcp(false, m(7), eth.Broadcast, m(7), 43, netip.Addr{}, 53, 1, 4, 50, 4, 10, 0, 0, 77), Forward)
	if l := s.seg.List(s.now); len(l) != 0 {
		t.Errorf("left: %+v", l)
	}
}
