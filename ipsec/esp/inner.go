package esp

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"vhub/internal/packet"
)

// innerHeader is the IP header that tunnel mode puts before the payload, made
// once (RFC 4301 5.1.2). Type of service 0, DF clear, hop limit 64.
type innerHeader struct {
	v6  bool
	hdr [40]byte
	sum uint32 // IPv4: sum of the header's words without length, identification, protocol
}

func newInnerHeader(src, dst netip.Addr) (innerHeader, error) {
	var h innerHeader
	src, dst = src.Unmap(), dst.Unmap()
	if !src.IsValid() || !dst.IsValid() || src.Is4() != dst.Is4() {
		return h, errors.New("esp: tunnel mode needs two inner addresses of one family")
	}
	if h.v6 = src.Is6(); h.v6 {
		h.hdr[0], h.hdr[7] = 0x60, 64
		copy(h.hdr[8:], src.AsSlice())
		copy(h.hdr[24:], dst.AsSlice())
		return h, nil
	}
	h.hdr[0], h.hdr[8] = 0x45, 64
	copy(h.hdr[12:], src.AsSlice())
	copy(h.hdr[16:], dst.AsSlice())
	for i := 0; i < 20; i += 2 {
		h.sum += uint32(binary.BigEndian.Uint16(h.hdr[i:]))
	}
	return h, nil
}

// proto is the next header of ESP before this header.
func (h *innerHeader) proto() uint8 {
	if h.v6 {
		return ProtoIPv6
	}
	return ProtoIPv4
}

// write puts the header before the payload of p.
func (h *innerHeader) write(p *packet.Packet, proto uint8, id uint16) {
	size := p.End - p.Off
	if h.v6 {
		b := p.Prepend(40)
		copy(b, h.hdr[:])
		binary.BigEndian.PutUint16(b[4:], uint16(size))
		b[6] = proto
		return
	}
	b := p.Prepend(20)
	copy(b, h.hdr[:20])
	binary.BigEndian.PutUint16(b[2:], uint16(size+20))
	binary.BigEndian.PutUint16(b[4:], id)
	b[9] = proto
	sum := h.sum + uint32(size+20) + uint32(id) + uint32(proto)
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
}

// Inner is what ParseInner finds in the IP packet that tunnel mode carries.
type Inner struct {
	Src, Dst netip.Addr
	Proto    uint8  // of Payload, behind any IPv6 extension headers
	Payload  []byte // a part of the packet; TFC padding behind the IP length is cut off

	// A fragment has Offset > 0 or More: Payload is then the piece at Offset.
	ID     uint32
	Offset int // bytes
	More   bool
}

// Fragment tells whether the packet is a piece of a larger one.
func (in *Inner) Fragment() bool { return in.More || in.Offset > 0 }

// ErrInner is what ParseInner says of bytes that are no IP packet.
var ErrInner = errors.New("esp: inner IP header is malformed")

// ParseInner reads the packet inside tunnel mode: IPv4 for the next header
// ProtoIPv4, IPv6 for ProtoIPv6. The IPv4 header checksum is checked; the ICV has
// already vouched for the peer, so a wrong one is the peer's fault.
func ParseInner(next uint8, pkt []byte) (Inner, error) {
	switch next {
	case ProtoIPv4:
		return parseInner4(pkt)
	case ProtoIPv6:
		return parseInner6(pkt)
	}
	return Inner{}, ErrInner
}

func parseInner4(pkt []byte) (Inner, error) {
	if len(pkt) < 20 || pkt[0]>>4 != 4 {
		return Inner{}, ErrInner
	}
	hlen := int(pkt[0]&15) * 4
	total := int(binary.BigEndian.Uint16(pkt[2:]))
	if hlen < 20 || total < hlen || total > len(pkt) || !goodSum(pkt[:hlen]) {
		return Inner{}, ErrInner
	}
	frag := binary.BigEndian.Uint16(pkt[6:])
	return Inner{
		Src:     netip.AddrFrom4([4]byte(pkt[12:16])),
		Dst:     netip.AddrFrom4([4]byte(pkt[16:20])),
		Proto:   pkt[9],
		Payload: pkt[hlen:total:total],
		ID:      uint32(binary.BigEndian.Uint16(pkt[4:])),
		Offset:  int(frag&0x1fff) * 8,
		More:    frag&0x2000 != 0,
	}, nil
}

// goodSum tells whether an IPv4 header with its checksum adds up to 0xffff.
func goodSum(hdr []byte) bool {
	sum := uint32(0)
	for i := 0; i < len(hdr); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(hdr[i:]))
	}
	sum = sum>>16 + sum&0xffff
	return sum+sum>>16 == 0xffff
}

// IPv6 extension headers that may stand before the payload (RFC 8200 4.1).
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extDestination = 60
)

func parseInner6(pkt []byte) (Inner, error) {
	if len(pkt) < 40 || pkt[0]>>4 != 6 {
		return Inner{}, ErrInner
	}
	size := int(binary.BigEndian.Uint16(pkt[4:]))
	if size > len(pkt)-40 {
		return Inner{}, ErrInner
	}
	in := Inner{
		Src:     netip.AddrFrom16([16]byte(pkt[8:24])),
		Dst:     netip.AddrFrom16([16]byte(pkt[24:40])),
		Proto:   pkt[6],
		Payload: pkt[40 : 40+size : 40+size],
	}
	for range 8 {
		switch in.Proto {
		case extHopByHop, extRouting, extDestination:
			if len(in.Payload) < 8 || len(in.Payload) < (int(in.Payload[1])+1)*8 {
				return Inner{}, ErrInner
			}
			in.Proto, in.Payload = in.Payload[0], in.Payload[(int(in.Payload[1])+1)*8:]
		case extFragment:
			if len(in.Payload) < 8 || in.Fragment() {
				return Inner{}, ErrInner
			}
			frag := binary.BigEndian.Uint16(in.Payload[2:])
			in.ID = binary.BigEndian.Uint32(in.Payload[4:])
			in.Offset, in.More = int(frag&^7), frag&1 != 0
			in.Proto, in.Payload = in.Payload[0], in.Payload[8:]
			if in.Fragment() {
				return in, nil // what follows is a piece, not a header
			}
		default:
			return in, nil
		}
	}
	return Inner{}, ErrInner
}
