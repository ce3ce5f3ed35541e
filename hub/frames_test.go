package hub

import (
	"encoding/binary"
	"net/netip"

	"vhub/eth"
)

// tcp is an IPv4 TCP segment; id 0 is what hosts send that do not number.
func tcp(dst, src eth.Addr, id uint16, seq, ack uint32, flags byte, payload int) eth.Frame {
	b := append(append(append([]byte{}, dst[:]...), src[:]...), 8, 0)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(40+payload))
	b = binary.BigEndian.AppendUint16(b, id)
	b = append(b, 0x40, 0, 64, 6, 0, 0)
	b = append(append(b, 10, 0, src[4], src[5]), 10, 0, dst[4], dst[5])
	return eth.Frame{Data: appendTCP(b, seq, ack, flags, payload)}
}

// tcp6 is an IPv6 TCP segment.
func tcp6(dst, src eth.Addr, seq, ack uint32, flags byte, payload int) eth.Frame {
	b := ipv6(dst, src, 6, 20+payload)
	return eth.Frame{Data: appendTCP(b, seq, ack, flags, payload)}
}

func appendTCP(b []byte, seq, ack uint32, flags byte, payload int) []byte {
	b = append(b, 0x01, 0xbb, 0x80, 0x00)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
	for i := range payload {
		b = append(b, byte(seq)+byte(i))
	}
	return b
}

func ipv6(dst, src eth.Addr, next byte, length int) []byte {
	b := append(append(append([]byte{}, dst[:]...), src[:]...), 0x86, 0xdd)
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, next, 64)
	for _, a := range []eth.Addr{src, dst} {
		b = append(append(b, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0), a[:]...)
	}
	return b
}

// udp6 is an IPv6 UDP datagram.
func udp6(dst, src eth.Addr, payload []byte) eth.Frame {
	b := ipv6(dst, src, 17, 8+len(payload))
	b = append(b, 0x10, 0x20, 0x30, 0x40)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, 0, 0)
	return eth.Frame{Data: append(b, payload...)}
}

// large makes a large frame of f, with segments of size bytes.
func large(f eth.Frame, kind eth.GSO, size int) eth.Frame {
	f.GSO, f.SegSize, f.NeedsCsum = kind, uint16(size), true
	l := eth.Parse(f.Data)
	f.CsumStart, f.HdrLen = uint16(l.L4), uint16(l.Data)
	f.CsumOffset = 16
	if kind == eth.GSOUDP {
		f.CsumOffset = 6
	}
	return f
}

// pieces is what a wire makes of a large frame: plain frames with whole
// checksums.
func pieces(f eth.Frame) (all []eth.Frame) {
	eth.Split(&f, 0, func(n int) []byte {
		b := make([]byte, n)
		all = append(all, eth.Frame{Data: b})
		return b
	})
	return all
}

// edit returns a copy of a frame with changed bytes.
func edit(f eth.Frame, change func(b []byte) []byte) eth.Frame {
	f.Data = change(append([]byte{}, f.Data...))
	return f
}

func padded(f eth.Frame, n int) eth.Frame {
	return edit(f, func(b []byte) []byte { return append(b, make([]byte, n-len(b))...) })
}

// ping is an ICMP echo request.
func ping(dst, src eth.Addr, seq uint16) eth.Frame {
	f := udp(dst, src, seq, make([]byte, 56))
	return edit(f, func(b []byte) []byte {
		b[14+9] = 1
		copy(b[34:], []byte{8, 0, 0x12, 0x34, 0, 1, byte(seq >> 8), byte(seq)})
		return b
	})
}

func ip4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

func arpRequest(from, ask int) eth.Frame {
	return eth.Frame{Data: eth.AppendARPRequest(nil, 0, eth.Broadcast, mac(from), ip4(from), ip4(ask))}
}

func garp(n int) eth.Frame { return eth.Frame{Data: eth.AppendGratuitousARP(nil, 0, mac(n), ip4(n))} }

// hello is a multicast datagram that is always the same, such as a VRRP
// advertisement (RFC 5798 section 5.1) or an HSRP hello (RFC 2281 section 5).
func hello(n int, proto byte) eth.Frame {
	f := udp(eth.Addr{0x01, 0, 0x5e, 0, 0, 18}, eth.Addr{0, 0, 0x5e, 0, 1, byte(n)}, 0, make([]byte, 12))
	return edit(f, func(b []byte) []byte { b[14+9] = proto; return b })
}

// ptp is a PTP message (IEEE 1588 annex E, EtherType 88f7) with its number.
func ptp(n int, seq uint16) eth.Frame {
	f := plain(eth.Addr{0x01, 0x1b, 0x19, 0, 0, 0}, mac(n), string(make([]byte, 44)))
	return edit(f, func(b []byte) []byte {
		b[12], b[13] = 0x88, 0xf7
		binary.BigEndian.PutUint16(b[14+30:], seq)
		return b
	})
}
