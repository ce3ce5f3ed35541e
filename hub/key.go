package hub

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"

	"vhub/eth"
)

// keyer makes the canonical keys of frames: the same for a frame and for what
// a wire makes of it when it hands it back. So a key leaves out
//   - padding,
//   - the priority in 802.1Q tags,
//   - checksums of IPv4, TCP, UDP and ICMP: on their way out they may be partial
//     and on their way back complete,
//   - of UDP, the IPv4 ID: a large frame of datagrams is numbered when it is split.
//
// The seeds differ from hub to hub and from start to start, so nobody outside
// can make frames with equal keys.
type keyer struct {
	seed       maphash.Seed
	a, b, c, d uint64
}

func newKeyer() keyer {
	k := keyer{seed: maphash.MakeSeed()}
	for i, s := range []*uint64{&k.a, &k.b, &k.c, &k.d} {
		*s = maphash.Bytes(k.seed, []byte{byte(i)})
	}
	return k
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// frameKind says how a frame is told from others.
type frameKind uint8

const (
	kindFrame frameKind = iota // by its content
	kindUDP                    // ... and the IPv4 ID only when it comes by the same link
	kindUDPs                   // a large frame of datagrams: each by its content
	kindTCP                    // by its flow and how far it goes
)

// identity is what duplicate suppression knows a frame by.
type identity struct {
	kind frameKind
	key  uint64 // of the content, or of the TCP flow
	// copy is the key of a TCP segment with its IPv4 ID; 0 where it has none, so
	// that a copy cannot be told from a retransmission.
	copy uint64
	id   uint8 // kindUDP: the IPv4 ID, folded
	seg  segment
}

// identify makes the identity of a frame. hdr is the part of the key that
// the Ethernet header gives.
func (k *keyer) identify(f *eth.Frame, l *eth.Layers, hdr uint64) identity {
	b := f.Data
	if l.Net > eth.HeaderLen+eth.TagLen {
		hdr = mix(hdr^uint64(binary.BigEndian.Uint16(b[l.Net-eth.TagLen:])&0xfff), k.d)
	}
	if l.L4 == 0 || l.Frag != eth.FragNone {
		return identity{key: k.content(b[l.Net:l.CanonicalLen(b)], l, hdr)}
	}
	switch l.Proto {
	case eth.ProtoTCP:
		return k.segment(b, l, hdr)
	case eth.ProtoUDP:
		id := identity{kind: kindUDP, key: k.datagram(b, l, hdr, l.Data, l.End)}
		if l.IP == 4 {
			id.id = b[l.Net+4] ^ b[l.Net+5]
		}
		if f.GSO == eth.GSOUDP && f.SegSize > 0 {
			id.kind = kindUDPs
		}
		return id
	case eth.ProtoICMP, eth.ProtoICMPv6:
		h := k.ip(b, l, hdr, l.End-l.Net, true)
		h = mix(h^uint64(binary.BigEndian.Uint16(b[l.L4:])), k.c)
		return identity{key: mix(h^maphash.Bytes(k.seed, b[l.L4+4:l.End]), k.d)}
	}
	return identity{key: k.content(b[l.Net:l.End], l, hdr)}
}

// ethernet is the part of the key that the Ethernet header gives.
func (k *keyer) ethernet(dst, src uint64, vlan, etherType uint16) uint64 {
	return mix(dst<<16|uint64(etherType)^k.a, src<<16|uint64(vlan)^k.b)
}

// content is the key of anything whose upper header is not looked into: all of
// it but the IPv4 header checksum.
func (k *keyer) content(p []byte, l *eth.Layers, hdr uint64) uint64 {
	if l.IP == 4 {
		hdr = mix(hdr^binary.BigEndian.Uint64(p), k.c)
		hdr = mix(hdr^uint64(binary.BigEndian.Uint16(p[8:])), k.d)
		p = p[12:]
	}
	return mix(hdr^maphash.Bytes(k.seed, p), k.d^uint64(len(p)))
}

// ip is the key of an IP header, with length in place of the packet's own.
func (k *keyer) ip(b []byte, l *eth.Layers, hdr uint64, length int, withID bool) uint64 {
	p := b[l.Net:]
	if l.IP == 4 {
		head := uint64(p[1])<<56 | uint64(length)<<24 | uint64(binary.BigEndian.Uint16(p[6:]))<<8 | uint64(p[8])
		hdr = mix(hdr^head, k.a^binary.BigEndian.Uint64(p[12:]))
		if withID {
			hdr = mix(hdr^uint64(binary.BigEndian.Uint16(p[4:])), k.b)
		}
		if opts := b[l.Net+20 : l.L4]; len(opts) > 0 {
			hdr = mix(hdr^maphash.Bytes(k.seed, opts), k.b)
		}
		return mix(hdr, k.c^uint64(l.Proto))
	}
	head := uint64(binary.BigEndian.Uint32(p))<<24 ^ uint64(p[7])<<56 ^ uint64(length)
	hdr = mix(hdr^head, k.a^uint64(l.Proto))
	hdr = k.addresses6(p, hdr)
	if ext := b[l.Net+40 : l.L4]; len(ext) > 0 {
		hdr = mix(hdr^maphash.Bytes(k.seed, ext), k.b)
	}
	return hdr
}

func (k *keyer) addresses6(p []byte, hdr uint64) uint64 {
	x := mix(hdr^binary.BigEndian.Uint64(p[8:]), k.b^binary.BigEndian.Uint64(p[16:]))
	return mix(x^binary.BigEndian.Uint64(p[24:]), k.c^binary.BigEndian.Uint64(p[32:]))
}

// datagram is the key of a UDP datagram whose payload is b[from:to]: that of
// the frame, or one piece of a large one.
func (k *keyer) datagram(b []byte, l *eth.Layers, hdr uint64, from, to int) uint64 {
	h := k.ip(b, l, hdr, l.Data-l.Net+to-from, false)
	h = mix(h^uint64(binary.BigEndian.Uint32(b[l.L4:])), k.d)
	return mix(h^maphash.Bytes(k.seed, b[from:to]), k.a)
}

// segment is the identity of a TCP segment, or of a large frame of them.
func (k *keyer) segment(b []byte, l *eth.Layers, hdr uint64) identity {
	p, t := b[l.Net:], b[l.L4:]
	var h uint64
	if l.IP == 4 {
		h = mix(hdr^binary.BigEndian.Uint64(p[12:]), k.a)
	} else {
		h = k.addresses6(p, hdr)
	}
	h = mix(h^uint64(binary.BigEndian.Uint32(t)), k.d)
	flags := t[13]
	id := identity{kind: kindTCP, key: h}
	id.seg.end = binary.BigEndian.Uint32(t[4:]) + uint32(l.End-l.Data)
	if flags&eth.FlagSYN != 0 {
		id.seg.syn = true
		id.seg.end++
	}
	if flags&eth.FlagFIN != 0 {
		id.seg.end++
	}
	if flags&eth.FlagACK != 0 {
		id.seg.hasAck, id.seg.ack = true, binary.BigEndian.Uint32(t[8:])
	}
	if l.IP == 4 {
		if ipID := binary.BigEndian.Uint16(p[4:]); ipID != 0 {
			rest := uint64(ipID)<<48 | uint64(l.End-l.Data)<<16 | uint64(binary.BigEndian.Uint16(t[12:]))
			id.copy = mix(h^binary.BigEndian.Uint64(t[4:]), k.b^rest)
		}
	}
	return id
}
