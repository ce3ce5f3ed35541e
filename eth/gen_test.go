package eth

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// spec describes a test frame; build writes it, with complete checksums made
// byte by byte, so that nothing here shares code with the package.
type spec struct {
	tags       int
	v6         bool
	ipOpts     int // IPv4 options, 32-bit words
	ext        int // IPv6 extension headers
	udp        bool
	tcpOpts    int // 32-bit words
	flags      byte
	seq        uint32
	id         uint16
	df         bool
	srcPort    uint16
	payload    int
	payloadOff int // where in the pattern the payload starts
	tos        byte
}

func pattern(i int) byte { return byte(i*7 ^ i>>8*31) }

func (s spec) build() []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for i := range s.tags {
		typ := []byte{0x81, 0x00}
		if s.tags == 2 && i == 0 {
			typ = []byte{0x88, 0xa8}
		}
		b = append(b, typ[0], typ[1], 0x20, byte(10+i))
	}
	var tr []byte // transport header and payload
	if s.udp {
		tr = make([]byte, 8)
		binary.BigEndian.PutUint16(tr[4:], uint16(8+s.payload))
	} else {
		tr = make([]byte, 20+4*s.tcpOpts)
		binary.BigEndian.PutUint32(tr[4:], s.seq)
		binary.BigEndian.PutUint32(tr[8:], 0x01020304)
		tr[12], tr[13] = byte(5+s.tcpOpts)<<4, s.flags
		binary.BigEndian.PutUint16(tr[14:], 501)
		for i := 20; i < len(tr); i++ {
			tr[i] = 1
		}
	}
	binary.BigEndian.PutUint16(tr, s.srcPort)
	binary.BigEndian.PutUint16(tr[2:], 5201)
	for i := range s.payload {
		tr = append(tr, pattern(s.payloadOff+i))
	}
	proto := byte(6)
	if s.udp {
		proto = 17
	}
	var ip, src, dst []byte
	if s.v6 {
		b = append(b, 0x86, 0xdd)
		ip = make([]byte, 40)
		src, dst = ip[8:24], ip[24:40]
		src[0], src[15], dst[0], dst[15] = 0xfd, 1, 0xfd, 2
		n := 8*s.ext + len(tr)
		ip[0], ip[1], ip[4], ip[5], ip[6], ip[7] = 0x60|s.tos>>4, s.tos<<4, byte(n>>8), byte(n), proto, 64
		if s.ext > 0 {
			ip[6] = 60
		}
		for i := range s.ext { // destination options with PadN
			next := byte(60)
			if i == s.ext-1 {
				next = proto
			}
			ip = append(ip, next, 0, 1, 4, 0, 0, 0, 0)
		}
	} else {
		b = append(b, 0x08, 0x00)
		ip = make([]byte, 20+4*s.ipOpts)
		n := len(ip) + len(tr)
		ip[0], ip[1], ip[2], ip[3] = 0x40|byte(5+s.ipOpts), s.tos, byte(n>>8), byte(n)
		binary.BigEndian.PutUint16(ip[4:], s.id)
		if s.df {
			ip[6] = 0x40
		}
		ip[8], ip[9] = 64, proto
		copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
		for i := 20; i < len(ip); i++ {
			ip[i] = 1
		}
		src, dst = ip[12:16], ip[16:20]
		binary.BigEndian.PutUint16(ip[10:], ^slowSum(ip))
	}
	at := 16
	if s.udp {
		at = 6
	}
	c := ^slowSum(src, dst, []byte{0, proto}, []byte{byte(len(tr) >> 8), byte(len(tr))}, tr)
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(tr[at:], c)
	return append(append(b, ip...), tr...)
}

// slowSum is the checksum of RFC 1071, a byte at a time.
func slowSum(parts ...[]byte) uint16 {
	sum := 0
	for _, p := range parts {
		for i, x := range p {
			if i%2 == 0 {
				sum += int(x) << 8
			} else {
				sum += int(x)
			}
			if sum > 0xffff {
				sum -= 0xffff
			}
		}
	}
	return uint16(sum)
}

// large makes a large frame of the spec, as a virtio sender hands it in: the
// checksum is the pseudo-header sum only.
func (s spec) large(seg int) Frame {
	f := Frame{Data: s.build()}
	l := Parse(f.Data)
	f.Offload = Offload{NeedsCsum: true, SegSize: uint16(seg), HdrLen: uint16(l.Data), CsumStart: uint16(l.L4), CsumOffset: 16, GSO: GSOTCP4}
	switch {
	case s.udp:
		f.GSO, f.CsumOffset = GSOUDP, 6
	case s.v6:
		f.GSO = GSOTCP6
	}
	n := len(f.Data) - l.L4
	p := f.Data[l.Net:]
	addrs := p[12:20]
	if s.v6 {
		addrs = p[8:40]
	}
	binary.BigEndian.PutUint16(f.Data[l.L4+int(f.CsumOffset):], slowSum(addrs, []byte{0, l.Proto}, []byte{byte(n >> 8), byte(n)}))
	return f
}

// pieces is the slow model of Split: the frames the spec's frame is cut into.
func (s spec) pieces(seg int) [][]byte {
	var out [][]byte
	for at := 0; ; at += seg {
		p := s
		p.payload = min(seg, s.payload-at)
		p.payloadOff = s.payloadOff + at
		p.seq = s.seq + uint32(at)
		p.id = s.id + uint16(len(out))
		if at > 0 {
			p.flags &^= 0x80 // CWR
		}
		last := at+seg >= s.payload
		if !last {
			p.flags &^= 0x09 // FIN, PSH
		}
		out = append(out, p.build())
		if last {
			return out
		}
	}
}

func randomSpec(r *rand.Rand) (s spec, seg int) {
	s = spec{
		tags: r.IntN(3), v6: r.IntN(2) == 0, udp: r.IntN(3) == 0,
		seq: r.Uint32(), id: uint16(r.Uint32()), df: r.IntN(2) == 0,
		srcPort: uint16(r.Uint32()), tos: byte(r.Uint32()), payloadOff: r.IntN(1000),
	}
	if s.v6 {
		s.ext = max(0, r.IntN(5)-2)
	} else {
		s.ipOpts = max(0, r.IntN(8)-4)
	}
	if !s.udp {
		s.tcpOpts = r.IntN(11)
		s.flags = 0x10 | byte(r.Uint32())&0xe9 // any of CWR, ECE, URG, PSH, FIN
	}
	seg = 1 + r.IntN(1500)
	s.payload = r.IntN(min(65000, seg*50))
	if r.IntN(4) == 0 {
		s.payload = seg * (1 + r.IntN(5))
	}
	return s, seg
}

// splitAll collects the pieces of Split.
func splitAll(t testing.TB, f *Frame, limit int) [][]byte {
	t.Helper()
	var out [][]byte
	n, fault := Split(f, limit, func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = 0xa5 // contents of a buffer are undefined
		}
		out = append(out, b)
		return b
	})
	if fault != OK {
		t.Fatalf("split: %v", fault)
	}
	if n != len(out) {
		t.Fatalf("split says %d pieces, wrote %d", n, len(out))
	}
	return out
}
