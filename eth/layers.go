package eth

import "encoding/binary"

// IP protocol numbers that are looked into.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// Frag tells what part of an IP datagram a frame holds.
type Frag uint8

// The parts of a datagram.
const (
	FragNone  Frag = iota // the whole datagram
	FragFirst             // the first fragment: the upper header is here, the end is not
	FragLater             // any other fragment: no upper header
)

// Layers says where the headers of a frame are. Parse checks all bounds once;
// after it, the views made by the methods of Layers read without a further
// check. All offsets are bytes from the start of the frame.
type Layers struct {
	EtherType uint16 // after at most two tags; below 0x600 it is an 802.3 length
	VLAN      uint16 // VLAN id of the outer tag; 0: untagged, or tagged with priority only
	IP        uint8  // 4 or 6 where the IP header is whole and sane, else 0
	Proto     uint8  // IP: the upper protocol, behind IPv6 extension headers
	Frag      Frag   // IP
	Net       int    // what follows the EtherType
	L4        int    // the upper header; 0 where there is none (not IP, damaged, FragLater)
	Data      int    // what follows the upper header, for TCP and UDP (L4+8 for ICMP); 0 else
	End       int    // end of the packet by its own length field: bytes behind it are padding
}

// Tags returns the number of 802.1Q tags, 0 to 2.
func (l *Layers) Tags() int { return (l.Net - HeaderLen) / TagLen }

// Destination returns the destination address. The frame has HeaderLen bytes.
func Destination(b []byte) Addr { return Addr(b[:6]) }

// Source returns the source address. The frame has HeaderLen bytes.
func Source(b []byte) Addr { return Addr(b[6:12]) }

// VLAN returns the VLAN id of the outer tag, 0 for an untagged frame and for
// one that is only tagged with a priority (802.1Q section 9.6: VID 0).
func VLAN(b []byte) uint16 {
	if len(b) < HeaderLen+TagLen || !isTag(binary.BigEndian.Uint16(b[12:])) {
		return 0
	}
	return binary.BigEndian.Uint16(b[14:]) & 0xfff
}

// EtherType returns the type behind at most two tags, and the offset of the
// payload. Off is 0 when the frame is too short to have them.
func EtherType(b []byte) (typ uint16, off int) {
	if len(b) < HeaderLen {
		return 0, 0
	}
	typ, off = binary.BigEndian.Uint16(b[12:]), HeaderLen
	for tags := 0; tags < 2 && isTag(typ); tags++ {
		if len(b) < off+TagLen {
			return 0, 0
		}
		typ = binary.BigEndian.Uint16(b[off+2:])
		off += TagLen
	}
	return typ, off
}

func isTag(typ uint16) bool { return typ == TypeVLAN || typ == TypeQinQ }

// Parse finds the headers of a frame. A frame shorter than its Ethernet header
// and tags gives Net == 0 and nothing else.
func Parse(b []byte) (l Layers) {
	if len(b) < HeaderLen {
		return l
	}
	l.EtherType, l.Net = binary.BigEndian.Uint16(b[12:]), HeaderLen
	if isTag(l.EtherType) {
		if l.EtherType, l.Net = EtherType(b); l.Net == 0 {
			return l
		}
		l.VLAN = VLAN(b)
	}
	l.End = len(b)
	switch l.EtherType {
	case TypeIPv4:
		l.parseIPv4(b)
	case TypeIPv6:
		l.parseIPv6(b)
	case TypeARP:
		if l.Net+arpLen <= len(b) && isARP(b[l.Net:]) {
			l.End = l.Net + arpLen
		}
	default:
		if l.EtherType < 0x600 && l.Net+int(l.EtherType) <= len(b) { // 802.3: a length
			l.End = l.Net + int(l.EtherType)
		}
	}
	return l
}

func (l *Layers) parseIPv4(b []byte) {
	p := b[l.Net:]
	if len(p) < 20 || p[0]>>4 != 4 {
		return
	}
	hdr, total := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
	if hdr < 20 || total < hdr || total > len(p) {
		return
	}
	l.IP, l.Proto, l.End = 4, p[9], l.Net+total
	switch frag := binary.BigEndian.Uint16(p[6:]); {
	case frag&0x1fff != 0:
		l.Frag = FragLater
		return
	case frag&0x2000 != 0:
		l.Frag = FragFirst
	}
	l.parseL4(b, l.Net+hdr)
}

// maxExtensions bounds the chain of IPv6 extension headers that is followed.
const maxExtensions = 8

func (l *Layers) parseIPv6(b []byte) {
	p := b[l.Net:]
	if len(p) < 40 || p[0]>>4 != 6 {
		return
	}
	total := 40 + int(binary.BigEndian.Uint16(p[4:]))
	if total > len(p) {
		return
	}
	if total == 40 && p[6] == 0 { // a jumbogram (RFC 2675): its length is in an option
		total = len(p)
	}
	l.IP, l.End = 6, l.Net+total
	next, off := p[6], 40
	for range maxExtensions {
		l.Proto = next
		switch next {
		case 0, 43, 60: // hop-by-hop options, routing, destination options (RFC 8200 section 4)
			if off+8 > total {
				return
			}
			next, off = p[off], off+8+int(p[off+1])*8
		case 51: // authentication header (RFC 4302 section 2.2)
			if off+8 > total {
				return
			}
			next, off = p[off], off+8+int(p[off+1])*4
		case 44: // fragment (RFC 8200 section 4.5)
			if off+8 > total {
				return
			}
			frag := binary.BigEndian.Uint16(p[off+2:])
			next = p[off]
			off += 8
			switch {
			case frag&0xfff8 != 0:
				l.Proto, l.Frag = next, FragLater
				return
			case frag&1 != 0:
				l.Frag = FragFirst
			}
		default:
			l.parseL4(b, l.Net+off)
			return
		}
	}
}

func (l *Layers) parseL4(b []byte, off int) {
	hdr := 0
	switch l.Proto {
	case ProtoTCP:
		if off+20 > l.End {
			return
		}
		if hdr = int(b[off+12]>>4) * 4; hdr < 20 {
			return
		}
	case ProtoUDP, ProtoICMP, ProtoICMPv6:
		hdr = 8
	}
	if off+hdr > l.End {
		return
	}
	l.L4 = off
	if hdr > 0 {
		l.Data = off + hdr
	}
}

// CanonicalLen returns the length of a frame without padding: what the IPv4
// total length, the IPv6 payload length, the ARP format or an 802.3 length say;
// of another frame of at most 60 bytes, the length without trailing zeros (but
// never less than the header and tags).
func CanonicalLen(b []byte) int {
	l := Parse(b)
	return l.CanonicalLen(b)
}

// CanonicalLen is like the function, for a frame that was parsed.
func (l *Layers) CanonicalLen(b []byte) int {
	n := l.End
	if n == len(b) && n <= 60 && l.IP == 0 && l.EtherType != TypeARP {
		for n > l.Net && b[n-1] == 0 {
			n--
		}
	}
	return n
}
