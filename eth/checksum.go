package eth

import (
	"encoding/binary"
	"math/bits"
)

// Sum returns the one's complement sum (RFC 1071) of b and initial, as 16 bits
// in network order, not complemented. An odd last byte is followed by zero.
// Sums of parts can be chained through initial where each part but the last
// has an even length.
func Sum(b []byte, initial uint16) uint16 {
	// Words are read little-endian and the sum is swapped at the end (RFC 1071
	// section 2 (B)). Two chains, so that their additions run side by side.
	var s0, s1, c uint64
	for len(b) >= 64 {
		w := (*[64]byte)(b)
		s0, c = bits.Add64(s0, binary.LittleEndian.Uint64(w[0:]), 0)
		s0, c = bits.Add64(s0, binary.LittleEndian.Uint64(w[8:]), c)
		s0, c = bits.Add64(s0, binary.LittleEndian.Uint64(w[16:]), c)
		s0, c = bits.Add64(s0, binary.LittleEndian.Uint64(w[24:]), c)
		s0 += c
		s1, c = bits.Add64(s1, binary.LittleEndian.Uint64(w[32:]), 0)
		s1, c = bits.Add64(s1, binary.LittleEndian.Uint64(w[40:]), c)
		s1, c = bits.Add64(s1, binary.LittleEndian.Uint64(w[48:]), c)
		s1, c = bits.Add64(s1, binary.LittleEndian.Uint64(w[56:]), c)
		s1 += c
		b = b[64:]
	}
	for len(b) >= 8 {
		s0, c = bits.Add64(s0, binary.LittleEndian.Uint64(b), 0)
		s0 += c
		b = b[8:]
	}
	var tail uint64
	if len(b) >= 4 {
		tail = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		tail += uint64(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		tail += uint64(b[0])
	}
	s0, c = bits.Add64(s0, s1, 0)
	s0, c = bits.Add64(s0, tail, c)
	s0, c = bits.Add64(s0, uint64(bits.ReverseBytes16(initial)), c)
	s0, c = bits.Add64(s0, 0, c)
	s0 += c
	return bits.ReverseBytes16(fold(s0))
}

// fold brings a 64-bit one's complement sum down to 16 bits.
func fold(s uint64) uint16 {
	s = s&0xffffffff + s>>32
	s = s&0xffff + s>>16
	s = s&0xffff + s>>16
	s = s&0xffff + s>>16
	return uint16(s)
}

// PseudoSum returns the sum, not complemented, of the pseudo-header of TCP,
// UDP (RFC 9293 section 3.1, RFC 768) and ICMPv6 (RFC 8200 section 8.1). src
// and dst are 4 or 16 bytes each; length is the upper header and payload.
func PseudoSum(src, dst []byte, proto uint8, length int) uint16 {
	return fold(uint64(Sum(src, 0)) + uint64(Sum(dst, 0)) + uint64(proto) + uint64(length))
}

// Update returns the checksum that holds after a 16-bit word that it covers
// changed from old to new (RFC 1624 section 3, equation 3).
func Update(checksum, old, new uint16) uint16 {
	return ^fold(uint64(^checksum) + uint64(^old) + uint64(new))
}

// CompleteChecksum finishes the checksum of b, a writable copy of a plain
// frame whose Offload o has NeedsCsum: it adds up from CsumStart to the end and
// writes the result. It reports false, and writes nothing, where the offsets
// are outside of the frame.
func CompleteChecksum(b []byte, o *Offload) bool {
	start, at := int(o.CsumStart), int(o.CsumStart)+int(o.CsumOffset)
	if start < HeaderLen || at+2 > len(b) {
		return false
	}
	end := len(b)
	if l := Parse(b); l.L4 == start && at+2 <= l.End {
		end = l.End // padding is not summed
	}
	putChecksum(b[at:], Sum(b[start:end], 0))
	return true
}

// putChecksum writes the complement of a sum; 0 becomes 0xffff, which means the
// same in one's complement and is what UDP asks for (RFC 768).
func putChecksum(at []byte, sum uint16) {
	if sum = ^sum; sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(at, sum)
}

// pseudo returns the pseudo-header sum of the packet for an upper part of n bytes.
func (l *Layers) pseudo(b []byte, n int) uint16 {
	p := b[l.Net:]
	if l.IP == 4 { // 32-bit words fold to the same sum
		return fold(uint64(binary.BigEndian.Uint32(p[12:])) + uint64(binary.BigEndian.Uint32(p[16:])) + uint64(l.Proto) + uint64(n))
	}
	return Sum(p[8:40], fold(uint64(l.Proto)+uint64(n)))
}

// sum20 is Sum of an IPv4 header without options.
func sum20(p []byte) uint16 {
	h := (*[20]byte)(p)
	s := uint64(binary.BigEndian.Uint32(h[0:])) + uint64(binary.BigEndian.Uint32(h[4:])) + uint64(binary.BigEndian.Uint32(h[8:])) +
		uint64(binary.BigEndian.Uint32(h[12:])) + uint64(binary.BigEndian.Uint32(h[16:]))
	return fold(s)
}

// ChecksumValid tells whether the TCP, UDP or ICMP checksum of a plain frame
// that is no fragment is right. UDP over IPv4 without a checksum counts as
// valid (RFC 768). It reports false for anything it can not check.
func (l *Layers) ChecksumValid(b []byte) bool {
	if l.L4 == 0 || l.Frag != FragNone || l.Data == 0 {
		return false
	}
	n := l.End - l.L4
	sum := uint16(0)
	switch l.Proto {
	case ProtoICMP:
		if l.IP != 4 {
			return false
		}
	case ProtoUDP:
		if u := UDP(b[l.L4:l.End]); u.Checksum() == 0 {
			return l.IP == 4
		} else if n != u.Len() {
			return false
		}
		sum = l.pseudo(b, n)
	case ProtoTCP, ProtoICMPv6:
		sum = l.pseudo(b, n)
	}
	return Sum(b[l.L4:l.End], sum) == 0xffff
}
