package eth

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

func TestParse(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for range 500 {
		s, _ := randomSpec(r)
		s.payload = r.IntN(300)
		b := s.build()
		whole := len(b)
		b = append(b, make([]byte, r.IntN(20))...) // padding
		l := Parse(b)
		net := HeaderLen + 4*s.tags
		l4 := net + 20 + 4*s.ipOpts
		if s.v6 {
			l4 = net + 40 + 8*s.ext
		}
		data := l4 + 8
		if !s.udp {
			data = l4 + 20 + 4*s.tcpOpts
		}
		vlan := uint16(0)
		if s.tags > 0 {
			vlan = 10
		}
		if l.Net != net || l.L4 != l4 || l.Data != data || l.End != whole || l.VLAN != vlan || l.Tags() != s.tags || CanonicalLen(b) != whole {
			t.Fatalf("%+v: %+v (canonical %d), want net %d l4 %d data %d end %d", s, l, CanonicalLen(b), net, l4, data, whole)
		}
		if VLAN(b) != vlan || Destination(b) != (Addr{2, 0, 0, 0, 0, 1}) || Source(b) != (Addr{2, 0, 0, 0, 0, 2}) {
			t.Fatal("addresses or VLAN")
		}
		if s.udp {
			if u := l.UDP(b); u.SrcPort() != s.srcPort || u.DstPort() != 5201 || u.Len() != 8+s.payload || len(u.Payload()) != s.payload || l.TCP(b) != nil {
				t.Fatal("UDP view")
			}
		} else if v := l.TCP(b); v.SrcPort() != s.srcPort || v.DstPort() != 5201 || v.Seq() != s.seq || v.Ack() != 0x01020304 || v.Flags() != s.flags ||
			v.Window() != 501 || len(v.Options()) != 4*s.tcpOpts || len(v.Payload()) != s.payload || l.UDP(b) != nil {
			t.Fatal("TCP view")
		}
		if s.v6 {
			if p := l.IPv6(b); p.Src() != netip.MustParseAddr("fd00::1") || p.Dst() != netip.MustParseAddr("fd00::2") || p.HopLimit() != 64 || l.IPv4(b) != nil {
				t.Fatal("IPv6 view")
			}
		} else if p := l.IPv4(b); p.Src() != netip.MustParseAddr("10.0.0.1") || p.Dst() != netip.MustParseAddr("10.0.0.2") ||
			p.ID() != s.id || p.DF() != s.df || p.MF() || p.TTL() != 64 || !p.HeaderValid() || l.IPv6(b) != nil {
			t.Fatal("IPv4 view")
		}
	}
}

// Every prefix of a good frame, and of what it claims to be, is taken without
// a panic, and headers that are cut are not reported.
func TestParsePrefixes(t *testing.T) {
	for _, s := range []spec{{tags: 2, ipOpts: 3, tcpOpts: 5, payload: 9}, {v6: true, ext: 3, udp: true, payload: 9}} {
		b := s.build()
		for n := range len(b) {
			l := Parse(b[:n])
			if l.IP != 0 || l.L4 != 0 {
				t.Fatalf("%d of %d bytes: %+v: the IP length is a lie, but was taken", n, len(b), l)
			}
			if l.Net > n || l.End > n || CanonicalLen(b[:n]) > n {
				t.Fatalf("%d bytes: %+v", n, l)
			}
		}
	}
}

func TestCanonicalLen(t *testing.T) {
	arp := AppendGratuitousARP(nil, 7, Addr{2, 1}, netip.MustParseAddr("10.0.0.9"))
	pad := make([]byte, 18)
	for _, tc := range []struct {
		name string
		b    []byte
		want int
	}{
		{"ARP", append(bytes.Clone(arp), pad...), len(arp)},
		{"802.3 length", append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0, 3, 0x42, 0x42, 3}, pad...), 17},
		{"unknown type, padded to the minimum", append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5, 1, 2}, make([]byte, 44)...), 16},
		{"unknown type, longer: zeros may be its own", append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5, 1, 2}, make([]byte, 45)...), 61},
		{"all zero", make([]byte, 20), 14},
		{"shorter than a header", make([]byte, 5), 0},
	} {
		if got := CanonicalLen(tc.b); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestFragmentsHaveNoUpperHeader(t *testing.T) {
	b := spec{v6: true, udp: true, payload: 20}.build()
	frag := []byte{17, 0, 0, 1, 0, 0, 0, 9}
	b6 := append(append(bytes.Clone(b[:54]), frag...), b[54:]...)
	b6[20], b6[18], b6[19] = 44, 0, byte(len(b6)-54)
	if l := Parse(b6); l.Frag != FragFirst || l.Proto != ProtoUDP || l.L4 != 62 {
		t.Errorf("first IPv6 fragment: %+v", l)
	}
	b6[57] = 8 // offset 1
	if l := Parse(b6); l.Frag != FragLater || l.Proto != ProtoUDP || l.L4 != 0 {
		t.Errorf("later IPv6 fragment: %+v", l)
	}
	b4 := spec{udp: true, payload: 20}.build()
	b4[20] = 0x20
	if l := Parse(b4); l.Frag != FragFirst || l.L4 != 34 {
		t.Errorf("first IPv4 fragment: %+v", l)
	}
	b4[21] = 5
	if l := Parse(b4); l.Frag != FragLater || l.L4 != 0 || l.Proto != ProtoUDP {
		t.Errorf("later IPv4 fragment: %+v", l)
	}
}

func TestDHCPView(t *testing.T) {
	d := &layers.DHCPv4{Operation: layers.DHCPOpReply, HardwareType: 1, HardwareLen: 6, Xid: 77, YourClientIP: []byte{10, 0, 0, 50},
		ClientIP: []byte{10, 0, 0, 51}, ClientHWAddr: []byte{2, 9, 9, 9, 9, 9},
		Options: layers.DHCPOptions{layers.NewDHCPOption(layers.DHCPOptPad, nil), layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{5}), layers.NewDHCPOption(layers.DHCPOptServerID, []byte{10, 0, 0, 1})}}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{10, 0, 0, 50}}
	udp := &layers.UDP{SrcPort: 67, DstPort: 68}
	udp.SetNetworkLayerForChecksum(ip)
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}, ip, udp, d)
	if err != nil {
		t.Fatal(err)
	}
	b := buf.Bytes()
	l := Parse(b)
	v := l.DHCP(b)
	if v == nil || !v.IsReply() || v.MessageType() != DHCPAck || v.XID() != 77 || v.YourIP() != netip.MustParseAddr("10.0.0.50") ||
		v.ClientIP() != netip.MustParseAddr("10.0.0.51") || v.ClientMAC() != (Addr{2, 9, 9, 9, 9, 9}) || !bytes.Equal(v.Option(DHCPOptServerID), []byte{10, 0, 0, 1}) || v.Option(99) != nil {
		t.Fatalf("view %x", []byte(v))
	}
	b[l.L4+2], b[l.L4+3] = 0, 69
	if l.DHCP(b) != nil {
		t.Fatal("port 69 is no DHCP")
	}
}

func TestCheck(t *testing.T) {
	plain := func(edit func(f *Frame)) Frame {
		f := Frame{Data: spec{payload: 50}.build()}
		edit(&f)
		return f
	}
	big := func(edit func(f *Frame)) Frame {
		f := spec{payload: 5000, v6: true}.large(1400)
		edit(&f)
		return f
	}
	for _, tc := range []struct {
		name string
		f    Frame
		want Fault
	}{
		{"a plain frame", plain(func(f *Frame) {}), OK},
		{"a large frame", big(func(f *Frame) {}), OK},
		{"13 bytes", plain(func(f *Frame) { f.Data = f.Data[:13] }), FaultShort},
		{"14 bytes", plain(func(f *Frame) { f.Data = f.Data[:14] }), OK},
		{"cut in its tag", Frame{Data: []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 1, 8}}, FaultShort},
		{"as long as allowed", plain(func(f *Frame) { f.Data = append(f.Data, make([]byte, MaxPlainLen-len(f.Data))...) }), OK},
		{"one too long", plain(func(f *Frame) { f.Data = append(f.Data, make([]byte, MaxPlainLen+1-len(f.Data))...) }), FaultLong},
		{"large and too long", big(func(f *Frame) { f.Data = append(f.Data, make([]byte, MaxLargeLen)...) }), FaultLong},
		{"from a group", plain(func(f *Frame) { f.Data[6] = 1 }), FaultGroupSource},
		{"from nobody", plain(func(f *Frame) { clear(f.Data[6:12]) }), FaultZeroSource},
		{"checksum behind the end", plain(func(f *Frame) { f.NeedsCsum, f.CsumStart = true, uint16(len(f.Data)-1) }), FaultCsum},
		{"checksum in the addresses", plain(func(f *Frame) { f.NeedsCsum, f.CsumStart = true, 2 }), FaultCsum},
		{"no segment size", big(func(f *Frame) { f.SegSize = 0 }), FaultSegSize},
		{"headers longer than the frame", big(func(f *Frame) { f.HdrLen = 0xffff }), FaultGSOHeader},
		{"of another kind", big(func(f *Frame) { f.GSO = GSOTCP4 }), FaultGSOHeader},
		{"of an unknown kind", big(func(f *Frame) { f.GSO = 9 }), FaultGSOHeader},
		{"checksum not that of TCP", big(func(f *Frame) { f.CsumOffset = 6 }), FaultCsum},
	} {
		if got := tc.f.Check(); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// Every parser and writer takes any bytes.
func FuzzParse(f *testing.F) {
	r := rand.New(rand.NewPCG(17, 18))
	for range 20 {
		s, seg := randomSpec(r)
		s.payload %= 200
		f.Add(s.build(), byte(r.IntN(4)), uint16(seg), uint16(34), uint16(16))
	}
	f.Add(AppendNS(nil, 5, Addr{}, Addr{2}, netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")), byte(0), uint16(0), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, gso byte, seg, start, off uint16) {
		l := Parse(b)
		if l.Net > len(b) || l.L4 > l.End || l.Data > l.End || l.End > len(b) || l.CanonicalLen(b) > len(b) {
			t.Fatalf("offsets behind the end: %+v of %d", l, len(b))
		}
		if p := l.IPv4(b); p != nil {
			_, _, _ = p.Src(), p.Dst(), p.HeaderValid()
		}
		if p := l.IPv6(b); p != nil {
			_, _ = p.Src(), p.Dst()
		}
		if v := l.TCP(b); v != nil {
			_, _, _ = v.Options(), v.Payload(), v.mssOption()
		}
		if u := l.UDP(b); u != nil {
			_, _ = u.Payload(), u.Checksum()
		}
		if a := l.ARP(b); a != nil {
			_, _, _, _ = a.TargetIP(), a.SenderIP(), a.IsGratuitous(), a.IsProbe()
		}
		if n := l.ND(b); n != nil {
			_ = n.Target()
			n.SourceLink()
			n.TargetLink()
		}
		if d := l.DHCP(b); d != nil {
			d.Option(255)
			d.MessageType()
		}
		l.ChecksumValid(b)
		fr := Frame{Data: b, Offload: Offload{GSO: GSO(gso % 5), SegSize: seg, CsumStart: start, CsumOffset: off, NeedsCsum: seg%2 == 0}}
		fault := fr.Check()
		total := 0
		_, splitFault := Split(&fr, int(start), func(n int) []byte { total++; return make([]byte, n) })
		if fault == OK && splitFault != OK {
			t.Fatalf("Check says ok, Split says %v", splitFault)
		}
		Pieces(&fr)
		if len(b) >= HeaderLen {
			AppendTooBig(nil, b, 1400)
			Fragment(b, int(start), func(n int) []byte { return make([]byte, n) })
		}
		c := fr
		c.Data = bytes.Clone(b)
		ClampMSS(&c, int(seg), int(start))
	})
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"02:00:5e:10:00:01", "02-00-5e-10-00-01", "0200.5e10.0001", "2:0:0:0:0:1", "02:00:5e:10:00:01:02:03", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			return
		}
		if again, err := ParseAddr(a.String()); err != nil || again != a {
			t.Fatalf("%q is %v, which is %v, %v", s, a, again, err)
		}
	})
}
