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

// identify puts the identity of a frame into its glance.
func (k *keyer) identify(f *eth.Frame, g *glance) {
	b := f.Data
	l, ok := common(b, g)
	if !ok {
		l = eth.Parse(b)
	}
	g.id = identity{}
	hdr := k.ethernet(b, &l, g)
	switch {
	case l.L4 == 0 || l.Frag != eth.FragNone:
		g.id.key = k.content(b[l.Net:canonicalEnd(b, &l)], &l, hdr)
	case l.Proto == eth.ProtoTCP:
		k.segment(b, &l, hdr, &g.id)
	case l.Proto == eth.ProtoUDP:
		g.id.kind, g.id.key = kindUDP, k.datagram(b, &l, hdr, l.Data, l.End)
		if l.IP == 4 {
			g.id.id = b[l.Net+4] ^ b[l.Net+5]
		}
		if f.GSO == eth.GSOUDP && f.SegSize > 0 {
			g.id.kind = kindUDPs
		}
	case l.Proto == eth.ProtoICMP || l.Proto == eth.ProtoICMPv6:
		h := k.ip(b, &l, l.End-l.Net, true) ^ uint64(binary.BigEndian.Uint16(b[l.L4:]))
		g.id.key = mix(hdr^maphash.Bytes(k.seed, b[l.L4+4:l.End]), h^k.c)
	default:
		g.id.key = k.content(b[l.Net:l.End], &l, hdr)
	}
}

// canonicalEnd is where a frame ends without padding. Where only its length
// tells, zeros at the end of a short frame count as padding, and then always,
// so that a frame and its padded self end alike.
func canonicalEnd(b []byte, l *eth.Layers) int {
	const shortest = 60 + eth.TagLen // what padding fills up to, without FCS
	n := l.End
	if l.IP == 0 && n <= shortest {
		for n > l.Net && b[n-1] == 0 {
			n--
		}
	}
	return n
}

// common is what eth.Parse says of a whole IPv4 packet without options in an
// untagged or once tagged frame, with TCP or UDP in it: most frames are so.
func common(b []byte, g *glance) (l eth.Layers, ok bool) {
	off := eth.HeaderLen
	if g.tagged {
		off += eth.TagLen
	}
	if g.etherType != eth.TypeIPv4 || len(b) < off+28 || b[off] != 0x45 {
		return l, false
	}
	p := b[off : off+28]
	total := int(binary.BigEndian.Uint16(p[2:]))
	if total < 28 || off+total > len(b) || p[6]&0x3f != 0 || p[7] != 0 {
		return l, false
	}
	hdr := 8
	switch p[9] {
	case eth.ProtoTCP:
		if total < 40 {
			return l, false
		}
		if hdr = int(b[off+32]>>4) * 4; hdr < 20 || 20+hdr > total {
			return l, false
		}
	case eth.ProtoUDP:
	default:
		return l, false
	}
	l.EtherType, l.VLAN, l.IP, l.Proto = eth.TypeIPv4, g.vlan, 4, p[9]
	l.Net, l.L4, l.Data, l.End = off, off+20, off+20+hdr, off+total
	return l, true
}

// ethernet is the part of the key that the Ethernet header gives.
func (k *keyer) ethernet(b []byte, l *eth.Layers, g *glance) uint64 {
	hdr := mix(g.dst<<16|uint64(g.etherType)^k.a, g.src<<16|uint64(g.vlan)^k.b)
	if l.Net > eth.HeaderLen+eth.TagLen { // a second tag
		hdr = mix(hdr^uint64(binary.BigEndian.Uint16(b[l.Net-eth.TagLen:])&0xfff), k.d)
	}
	return hdr
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
func (k *keyer) ip(b []byte, l *eth.Layers, length int, withID bool) uint64 {
	p := b[l.Net:]
	if l.IP == 4 {
		head := uint64(p[1])<<56 | uint64(length)<<36 | uint64(p[6]>>5)<<32 | uint64(p[8])<<24 | uint64(l.Proto)<<16
		if withID {
			head |= uint64(binary.BigEndian.Uint16(p[4:]))
		}
		h := mix(head^k.c, k.a^binary.BigEndian.Uint64(p[12:]))
		if l.L4 > l.Net+20 {
			h = mix(h^maphash.Bytes(k.seed, b[l.Net+20:l.L4]), k.b)
		}
		return h
	}
	head := uint64(length)<<40 ^ uint64(binary.BigEndian.Uint32(p))<<16 ^ uint64(p[7])<<8 ^ uint64(l.Proto)
	h := mix(head^k.c, k.addresses6(p)^k.a)
	if l.L4 > l.Net+40 {
		h = mix(h^maphash.Bytes(k.seed, b[l.Net+40:l.L4]), k.b)
	}
	return h
}

func (k *keyer) addresses6(p []byte) uint64 {
	src := mix(binary.BigEndian.Uint64(p[8:])^k.a, binary.BigEndian.Uint64(p[16:])^k.b)
	return src ^ mix(binary.BigEndian.Uint64(p[24:])^k.c, binary.BigEndian.Uint64(p[32:])^k.d)
}

// datagram is the key of a UDP datagram whose payload is b[from:to]: that of
// the frame, or one piece of a large one.
func (k *keyer) datagram(b []byte, l *eth.Layers, hdr uint64, from, to int) uint64 {
	h := k.ip(b, l, l.Data-l.Net+to-from, false) ^ uint64(binary.BigEndian.Uint32(b[l.L4:]))
	return mix(hdr^maphash.Bytes(k.seed, b[from:to]), h^k.d)
}

// segment makes the identity of a TCP segment, or of a large frame of them.
func (k *keyer) segment(b []byte, l *eth.Layers, hdr uint64, id *identity) {
	p, t := b[l.Net:], b[l.L4:]
	var h uint64
	if l.IP == 4 {
		h = binary.BigEndian.Uint64(p[12:])
	} else {
		h = k.addresses6(p)
	}
	h = mix(hdr^uint64(binary.BigEndian.Uint32(t)), h^k.d)
	flags := t[13]
	id.kind, id.key = kindTCP, h
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
}
