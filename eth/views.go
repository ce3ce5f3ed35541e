package eth

import (
	"encoding/binary"
	"net/netip"
)

// The views below are made by the methods of Layers, which say whether the
// frame has such a header. Their accessors check nothing more.

// IPv4 is an IPv4 header and what follows, to the end of the packet (RFC 791).
type IPv4 []byte

// IPv4 returns the view; nil when the frame has no sane IPv4 header.
func (l *Layers) IPv4(b []byte) IPv4 {
	if l.IP != 4 {
		return nil
	}
	return IPv4(b[l.Net:l.End])
}

func (p IPv4) HeaderLen() int    { return int(p[0]&15) * 4 }                    // bytes, with options
func (p IPv4) TotalLen() int     { return int(binary.BigEndian.Uint16(p[2:])) } // bytes
func (p IPv4) ID() uint16        { return binary.BigEndian.Uint16(p[4:]) }
func (p IPv4) DF() bool          { return p[6]&0x40 != 0 } // don't fragment
func (p IPv4) MF() bool          { return p[6]&0x20 != 0 } // more fragments follow
func (p IPv4) FragOffset() int   { return int(binary.BigEndian.Uint16(p[6:])&0x1fff) * 8 }
func (p IPv4) TTL() uint8        { return p[8] }
func (p IPv4) Protocol() uint8   { return p[9] }
func (p IPv4) Src() netip.Addr   { return netip.AddrFrom4([4]byte(p[12:16])) }
func (p IPv4) Dst() netip.Addr   { return netip.AddrFrom4([4]byte(p[16:20])) }
func (p IPv4) HeaderValid() bool { return Sum(p[:p.HeaderLen()], 0) == 0xffff } // header checksum

// IPv6 is an IPv6 header and what follows, to the end of the packet (RFC 8200).
type IPv6 []byte

// IPv6 returns the view; nil when the frame has no sane IPv6 header.
func (l *Layers) IPv6(b []byte) IPv6 {
	if l.IP != 6 {
		return nil
	}
	return IPv6(b[l.Net:l.End])
}

func (p IPv6) PayloadLen() int   { return int(binary.BigEndian.Uint16(p[4:])) } // bytes, with extension headers
func (p IPv6) NextHeader() uint8 { return p[6] }
func (p IPv6) HopLimit() uint8   { return p[7] }
func (p IPv6) Src() netip.Addr   { return netip.AddrFrom16([16]byte(p[8:24])) }
func (p IPv6) Dst() netip.Addr   { return netip.AddrFrom16([16]byte(p[24:40])) }

// TCP is a TCP header and its payload (RFC 9293).
type TCP []byte

// TCP returns the view; nil when the frame has no whole TCP header.
func (l *Layers) TCP(b []byte) TCP {
	if l.L4 == 0 || l.Proto != ProtoTCP {
		return nil
	}
	return TCP(b[l.L4:l.End])
}

// TCP flags.
const (
	FlagFIN = 1 << iota
	FlagSYN
	FlagRST
	FlagPSH
	FlagACK
	FlagURG
	FlagECE
	FlagCWR
)

func (t TCP) SrcPort() uint16  { return binary.BigEndian.Uint16(t) }
func (t TCP) DstPort() uint16  { return binary.BigEndian.Uint16(t[2:]) }
func (t TCP) Seq() uint32      { return binary.BigEndian.Uint32(t[4:]) }
func (t TCP) Ack() uint32      { return binary.BigEndian.Uint32(t[8:]) }
func (t TCP) HeaderLen() int   { return int(t[12]>>4) * 4 } // bytes, with options
func (t TCP) Flags() uint8     { return t[13] }
func (t TCP) Window() uint16   { return binary.BigEndian.Uint16(t[14:]) }
func (t TCP) Checksum() uint16 { return binary.BigEndian.Uint16(t[16:]) }
func (t TCP) Options() []byte  { return t[20:t.HeaderLen()] }
func (t TCP) Payload() []byte  { return t[t.HeaderLen():] }

// UDP is a UDP header and what follows, to the end of the IP packet (RFC 768).
type UDP []byte

// UDP returns the view; nil when the frame has no whole UDP header.
func (l *Layers) UDP(b []byte) UDP {
	if l.L4 == 0 || l.Proto != ProtoUDP {
		return nil
	}
	return UDP(b[l.L4:l.End])
}

func (u UDP) SrcPort() uint16  { return binary.BigEndian.Uint16(u) }
func (u UDP) DstPort() uint16  { return binary.BigEndian.Uint16(u[2:]) }
func (u UDP) Len() int         { return int(binary.BigEndian.Uint16(u[4:])) } // bytes, with the header, as sent: not checked
func (u UDP) Checksum() uint16 { return binary.BigEndian.Uint16(u[6:]) }
func (u UDP) Payload() []byte  { return u[8:] } // by the IP length

// ARP is an ARP packet for Ethernet and IPv4 (RFC 826), 28 bytes.
type ARP []byte

const arpLen = 28

// ARP operations.
const (
	ARPRequest = 1
	ARPReply   = 2
)

func isARP(p []byte) bool {
	return binary.BigEndian.Uint64(p)>>16 == 0x000108000604 // Ethernet, IPv4, 6, 4
}

// ARP returns the view; nil when the frame is no ARP for Ethernet and IPv4.
func (l *Layers) ARP(b []byte) ARP {
	if l.EtherType != TypeARP || l.Net == 0 || l.Net+arpLen > len(b) || !isARP(b[l.Net:]) {
		return nil
	}
	return ARP(b[l.Net : l.Net+arpLen])
}

func (a ARP) Op() uint16           { return binary.BigEndian.Uint16(a[6:]) }
func (a ARP) SenderMAC() Addr      { return Addr(a[8:14]) }
func (a ARP) SenderIP() netip.Addr { return netip.AddrFrom4([4]byte(a[14:18])) }
func (a ARP) TargetMAC() Addr      { return Addr(a[18:24]) }
func (a ARP) TargetIP() netip.Addr { return netip.AddrFrom4([4]byte(a[24:28])) }

// IsGratuitous tells an announcement: sender and target address are the same
// (RFC 5227 section 3), in a request or a reply.
func (a ARP) IsGratuitous() bool { return [4]byte(a[14:18]) == [4]byte(a[24:28]) }

// IsProbe tells an address probe: a request with the sender address 0.0.0.0
// (RFC 5227 section 1.1). It must teach nobody an address.
func (a ARP) IsProbe() bool { return a.Op() == ARPRequest && [4]byte(a[14:18]) == [4]byte{} }
