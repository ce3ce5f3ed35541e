package eth

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

var (
	macA, macB = Addr{2, 0, 0, 0, 0, 0xa}, Addr{2, 0, 0, 0, 0, 0xb}
	ip4A, ip4B = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	ip6A, ip6B = netip.MustParseAddr("fe80::aa:bbcc"), netip.MustParseAddr("fe80::11:2233")
)

func TestBuildARP(t *testing.T) {
	for _, tc := range []struct {
		name               string
		b                  []byte
		vlan               uint16
		to                 Addr
		op                 uint16
		sender, target     netip.Addr
		targetMAC          Addr
		gratuitous, probes bool
	}{
		{"broadcast request", AppendARPRequest(nil, 0, Broadcast, macA, ip4A, ip4B), 0, Broadcast, ARPRequest, ip4A, ip4B, Addr{}, false, false},
		{"unicast request in a VLAN", AppendARPRequest(nil, 300, macB, macA, ip4A, ip4B), 300, macB, ARPRequest, ip4A, ip4B, Addr{}, false, false},
		{"probe", AppendARPRequest(nil, 0, Broadcast, macA, netip.IPv4Unspecified(), ip4B), 0, Broadcast, ARPRequest, netip.IPv4Unspecified(), ip4B, Addr{}, false, true},
		{"reply", AppendARPReply(nil, 4094, macB, macA, ip4A, ip4B), 4094, macB, ARPReply, ip4A, ip4B, macB, false, false},
		{"gratuitous", AppendGratuitousARP(nil, 1, macA, ip4A), 1, Broadcast, ARPRequest, ip4A, ip4A, Addr{}, true, false},
	} {
		l := Parse(tc.b)
		a := l.ARP(tc.b)
		if a == nil || Destination(tc.b) != tc.to || Source(tc.b) != macA || l.VLAN != tc.vlan || a.Op() != tc.op || a.SenderMAC() != macA ||
			a.SenderIP() != tc.sender || a.TargetIP() != tc.target || a.TargetMAC() != tc.targetMAC || a.IsGratuitous() != tc.gratuitous || a.IsProbe() != tc.probes {
			t.Errorf("%s: %x", tc.name, tc.b)
		}
		p := gopacket.NewPacket(tc.b, layers.LayerTypeEthernet, gopacket.Default)
		if g, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); !ok || g.Operation != tc.op || !bytes.Equal(g.SourceHwAddress, macA[:]) {
			t.Errorf("%s: gopacket reads %v", tc.name, p)
		}
	}
}

func TestBuildND(t *testing.T) {
	multicast := netip.MustParseAddr("ff02::1:ff11:2233")
	for _, tc := range []struct {
		name     string
		b        []byte
		vlan     uint16
		to       Addr
		src, dst netip.Addr
		typ      uint8
		target   netip.Addr
		flags    uint8
		option   bool
	}{
		{"multicast solicitation", AppendNS(nil, 0, Addr{}, macA, ip6A, ip6B), 0, Addr{0x33, 0x33, 0xff, 0x11, 0x22, 0x33}, ip6A, multicast, NDNeighborSolicit, ip6B, 0, true},
		{"unicast solicitation", AppendNS(nil, 9, macB, macA, ip6A, ip6B), 9, macB, ip6A, ip6B, NDNeighborSolicit, ip6B, 0, true},
		{"duplicate address detection", AppendNS(nil, 0, Addr{}, macA, netip.IPv6Unspecified(), ip6B), 0, Addr{0x33, 0x33, 0xff, 0x11, 0x22, 0x33}, netip.IPv6Unspecified(), multicast, NDNeighborSolicit, ip6B, 0, false},
		{"advertisement", AppendNA(nil, 0, macB, macA, ip6B, ip6A, NAFlagSolicited|NAFlagOverride), 0, macB, ip6A, ip6B, NDNeighborAdvert, ip6A, NAFlagSolicited | NAFlagOverride, true},
		{"unsolicited advertisement", AppendNA(nil, 8, Addr{}, macA, netip.Addr{}, ip6A, NAFlagSolicited|NAFlagOverride), 8, Addr{0x33, 0x33, 0, 0, 0, 1}, ip6A, netip.IPv6LinkLocalAllNodes(), NDNeighborAdvert, ip6A, NAFlagOverride, true},
	} {
		l := Parse(tc.b)
		n, p := l.ND(tc.b), l.IPv6(tc.b)
		if n == nil {
			t.Errorf("%s: no ND: %x", tc.name, tc.b)
			continue
		}
		mac, ok := n.SourceLink()
		if tc.typ == NDNeighborAdvert {
			mac, ok = n.TargetLink()
		}
		if Destination(tc.b) != tc.to || Source(tc.b) != macA || l.VLAN != tc.vlan || p.Src() != tc.src || p.Dst() != tc.dst || p.HopLimit() != 255 ||
			n.Type() != tc.typ || n.Target() != tc.target || n.Flags() != tc.flags || ok != tc.option || ok && mac != macA || !l.ChecksumValid(tc.b) || len(tc.b) != l.End {
			t.Errorf("%s: %x", tc.name, tc.b)
		}
		g := gopacket.NewPacket(tc.b, layers.LayerTypeEthernet, gopacket.Default)
		if e := g.ErrorLayer(); e != nil {
			t.Errorf("%s: gopacket: %v", tc.name, e.Error())
		}
	}
}

func TestTooBig(t *testing.T) {
	edit := func(s spec, f func(b []byte)) []byte { b := s.build(); f(b); return b }
	for _, tc := range []struct {
		name  string
		frame []byte
		ok    bool
		len   int // of the answer
	}{
		{"IPv4 with DF", spec{df: true, payload: 1460}.build(), true, 14 + 576},
		{"IPv4 with DF, short", spec{df: true, udp: true, payload: 10}.build(), true, 14 + 28 + 38},
		{"IPv4 with tags", spec{df: true, payload: 1460, tags: 2}.build(), true, 22 + 576},
		{"IPv4 without DF", spec{payload: 1460}.build(), false, 0},
		{"IPv6", spec{v6: true, payload: 1460}.build(), true, 14 + 1280},
		{"IPv6 with a tag and extension headers", spec{v6: true, ext: 2, tags: 1, payload: 1460}.build(), true, 18 + 1280},
		{"ARP", AppendGratuitousARP(nil, 0, macA, ip4A), false, 0},
		{"to a group MAC", edit(spec{df: true}, func(b []byte) { b[0] |= 1 }), false, 0},
		{"to a multicast", edit(spec{df: true}, func(b []byte) { b[30] = 224 }), false, 0},
		{"to the limited broadcast", edit(spec{df: true}, func(b []byte) { copy(b[30:], []byte{255, 255, 255, 255}) }), false, 0},
		{"from 0.0.0.0", edit(spec{df: true}, func(b []byte) { clear(b[26:30]) }), false, 0},
		{"IPv6 to a multicast", edit(spec{v6: true}, func(b []byte) { b[38] = 0xff }), false, 0},
		{"IPv6 from ::", edit(spec{v6: true}, func(b []byte) { clear(b[22:38]) }), false, 0},
		{"a later fragment", edit(spec{df: true, udp: true}, func(b []byte) { b[21] = 9 }), false, 0},
		{"a first fragment", edit(spec{df: true, udp: true, payload: 1000}, func(b []byte) { b[20] |= 0x20 }), true, 14 + 576},
		{"an ICMP error", edit(spec{df: true, udp: true}, func(b []byte) { b[23], b[34] = 1, 3 }), false, 0},
		{"an echo request", edit(spec{df: true, udp: true, payload: 600}, func(b []byte) { b[23], b[34] = 1, 8 }), true, 14 + 576},
		{"an ICMPv6 error", edit(spec{v6: true, udp: true}, func(b []byte) { b[20], b[54] = 58, 1 }), false, 0},
		{"an ICMPv6 redirect", edit(spec{v6: true, udp: true}, func(b []byte) { b[20], b[54] = 58, 137 }), false, 0},
		{"an ICMPv6 echo", edit(spec{v6: true, udp: true, payload: 10}, func(b []byte) { b[20], b[54] = 58, 128 }), true, 14 + 48 + 40 + 18},
	} {
		got, ok := AppendTooBig([]byte("x"), tc.frame, 1406)
		if got[0] != 'x' {
			t.Fatalf("%s: not appended", tc.name)
		}
		got = got[1:]
		if ok != tc.ok || len(got) != tc.len {
			t.Errorf("%s: %v, %d bytes, want %v, %d", tc.name, ok, len(got), tc.ok, tc.len)
			continue
		}
		if !ok {
			continue
		}
		checkTooBig(t, tc.name, tc.frame, got)
	}
}

// checkTooBig reads the answer with gopacket.
func checkTooBig(t *testing.T, name string, frame, got []byte) {
	t.Helper()
	p := gopacket.NewPacket(got, layers.LayerTypeEthernet, gopacket.Default)
	e := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if !bytes.Equal(e.DstMAC, frame[6:12]) || !bytes.Equal(e.SrcMAC, frame[:6]) {
		t.Errorf("%s: goes from %v to %v", name, e.SrcMAC, e.DstMAC)
	}
	l, was := Parse(got), Parse(frame)
	if !l.ChecksumValid(got) || l.VLAN != was.VLAN || l.Tags() != was.Tags() {
		t.Errorf("%s: checksum or tags of the answer are wrong", name)
	}
	if i, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
		if i.TypeCode != layers.CreateICMPv4TypeCode(3, 4) || i.Seq != 1406 || !bytes.HasPrefix(frame[was.Net:], i.Payload) || !l.IPv4(got).HeaderValid() {
			t.Errorf("%s: %v", name, i)
		}
		if l.IPv4(got).Dst() != was.IPv4(frame).Src() || l.IPv4(got).Src() != was.IPv4(frame).Dst() {
			t.Errorf("%s: addresses are not turned around", name)
		}
		return
	}
	i, ok := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	if !ok || i.TypeCode != layers.CreateICMPv6TypeCode(2, 0) || !bytes.Equal(i.Payload[:4], []byte{0, 0, 0x05, 0x7e}) || !bytes.HasPrefix(frame[was.Net:], i.Payload[4:]) {
		t.Errorf("%s: %v", name, p)
	}
	if l.IPv6(got).Dst() != was.IPv6(frame).Src() || l.IPv6(got).Src() != was.IPv6(frame).Dst() {
		t.Errorf("%s: addresses are not turned around", name)
	}
}
