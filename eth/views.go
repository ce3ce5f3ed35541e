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

// HeaderLen returns the bytes of the header with options.
func (p IPv4) HeaderLen() int { return int(p[0]&15) * 4 }

// TotalLen returns the bytes of the packet, header included.
func (p IPv4) TotalLen() int { return int(binary.BigEndian.Uint16(p[2:])) }

// ID returns the identification, which fragments of one packet share.
func (p IPv4) ID() uint16 { return binary.BigEndian.Uint16(p[4:]) }

// DF tells that the packet must not be fragmented.
func (p IPv4) DF() bool { return p[6]&0x40 != 0 }

// MF tells that more fragments follow.
func (p IPv4) MF() bool { return p[6]&0x20 != 0 }

// FragOffset returns where in the datagram this fragment begins, in bytes.
func (p IPv4) FragOffset() int { return int(binary.BigEndian.Uint16(p[6:])&0x1fff) * 8 }

// TTL returns the time to live, in hops.
func (p IPv4) TTL() uint8 { return p[8] }

// Protocol returns the upper protocol.
func (p IPv4) Protocol() uint8 { return p[9] }

// Src returns the source address.
func (p IPv4) Src() netip.Addr { return netip.AddrFrom4([4]byte(p[12:16])) }

// Dst returns the destination address.
func (p IPv4) Dst() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// HeaderValid tells whether the header checksum is right.
func (p IPv4) HeaderValid() bool { return Sum(p[:p.HeaderLen()], 0) == 0xffff }

// IPv6 is an IPv6 header and what follows, to the end of the packet (RFC 8200).
type IPv6 []byte

// IPv6 returns the view; nil when the frame has no sane IPv6 header.
func (l *Layers) IPv6(b []byte) IPv6 {
	if l.IP != 6 {
		return nil
	}
	return IPv6(b[l.Net:l.End])
}

// PayloadLen returns the bytes behind the fixed header, extension headers included.
func (p IPv6) PayloadLen() int { return int(binary.BigEndian.Uint16(p[4:])) }

// NextHeader returns the protocol of what follows the fixed header.
func (p IPv6) NextHeader() uint8 { return p[6] }

// HopLimit returns the hop limit.
func (p IPv6) HopLimit() uint8 { return p[7] }

// Src returns the source address.
func (p IPv6) Src() netip.Addr { return netip.AddrFrom16([16]byte(p[8:24])) }

// Dst returns the destination address.
func (p IPv6) Dst() netip.Addr { return netip.AddrFrom16([16]byte(p[24:40])) }

// TCP is a TCP header and its payload (RFC 9293).
type TCP []byte

// TCP returns the view; nil when the frame has no whole TCP header.
func (l *Layers) TCP(b []byte) TCP {
	if l.L4 == 0 || l.Proto != ProtoTCP {
		return nil
	}
	return TCP(b[l.L4:l.End])
}

// TCP flags (RFC 9293 section 3.1; ECE and CWR: RFC 3168 section 6.1).
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

// SrcPort returns the source port.
func (t TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(t) }

// DstPort returns the destination port.
func (t TCP) DstPort() uint16 { return binary.BigEndian.Uint16(t[2:]) }

// Seq returns the sequence number of the first byte.
func (t TCP) Seq() uint32 { return binary.BigEndian.Uint32(t[4:]) }

// Ack returns the acknowledgement number.
func (t TCP) Ack() uint32 { return binary.BigEndian.Uint32(t[8:]) }

// HeaderLen returns the bytes of the header with options.
func (t TCP) HeaderLen() int { return int(t[12]>>4) * 4 }

// Flags returns FlagFIN to FlagCWR.
func (t TCP) Flags() uint8 { return t[13] }

// Window returns the window as sent, not scaled.
func (t TCP) Window() uint16 { return binary.BigEndian.Uint16(t[14:]) }

// Checksum returns the checksum field.
func (t TCP) Checksum() uint16 { return binary.BigEndian.Uint16(t[16:]) }

// Options returns the bytes of the options, padding included.
func (t TCP) Options() []byte { return t[20:t.HeaderLen()] }

// Payload returns what follows the header.
func (t TCP) Payload() []byte { return t[t.HeaderLen():] }

// UDP is a UDP header and what follows, to the end of the IP packet (RFC 768).
type UDP []byte

// UDP returns the view; nil when the frame has no whole UDP header.
func (l *Layers) UDP(b []byte) UDP {
	if l.L4 == 0 || l.Proto != ProtoUDP {
		return nil
	}
	return UDP(b[l.L4:l.End])
}

// SrcPort returns the source port.
func (u UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(u) }

// DstPort returns the destination port.
func (u UDP) DstPort() uint16 { return binary.BigEndian.Uint16(u[2:]) }

// Len returns the length field: bytes with the header, as sent, not checked.
func (u UDP) Len() int { return int(binary.BigEndian.Uint16(u[4:])) }

// Checksum returns the checksum field, 0 for none.
func (u UDP) Checksum() uint16 { return binary.BigEndian.Uint16(u[6:]) }

// Payload returns what follows the header, to the end by the IP length.
func (u UDP) Payload() []byte { return u[8:] }

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

// Op returns the operation, ARPRequest or ARPReply.
func (a ARP) Op() uint16 { return binary.BigEndian.Uint16(a[6:]) }

// SenderMAC returns the hardware address of the sender.
func (a ARP) SenderMAC() Addr { return Addr(a[8:14]) }

// SenderIP returns the protocol address of the sender.
func (a ARP) SenderIP() netip.Addr { return netip.AddrFrom4([4]byte(a[14:18])) }

// TargetMAC returns the hardware address asked for or answered to.
func (a ARP) TargetMAC() Addr { return Addr(a[18:24]) }

// TargetIP returns the protocol address asked for or answered to.
func (a ARP) TargetIP() netip.Addr { return netip.AddrFrom4([4]byte(a[24:28])) }

// IsGratuitous tells an announcement: sender and target address are the same
// (RFC 5227 section 3), in a request or a reply.
func (a ARP) IsGratuitous() bool { return [4]byte(a[14:18]) == [4]byte(a[24:28]) }

// IsProbe tells an address probe: a request with the sender address 0.0.0.0
// (RFC 5227 section 1.1). It must teach nobody an address.
func (a ARP) IsProbe() bool { return a.Op() == ARPRequest && [4]byte(a[14:18]) == [4]byte{} }
