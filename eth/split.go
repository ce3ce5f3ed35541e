package eth

import "encoding/binary"

// minResplit is the smallest payload a segment is cut down to for a limit.
const minResplit = 64

// Split writes a frame as plain frames with complete checksums, each in a
// buffer of its own that next gives: next(n) is called once for each piece, in
// order, and returns n writable bytes (contents undefined), or nil to stop. A
// plain frame is one piece, copied as it is and completed where it has
// NeedsCsum.
//
// limit, where it is > 0, is the longest piece wanted in bytes with the Ethernet
// header: a large TCP frame whose segments would be longer is cut smaller.
// Plain frames and UDP datagrams are never cut by it.
//
// It returns how many pieces were written, and a fault where the frame is not
// what its Offload says (0 pieces). Bytes are copied once; nothing is allocated.
//
// Of a large frame, padding behind the IP packet is left out. The pieces' IPv4
// IDs count up from the frame's; FIN and PSH stay on the last segment only, CWR
// on the first only (RFC 3168 section 6.1.2: once for each reduction).
func Split(f *Frame, limit int, next func(n int) []byte) (pieces int, fault Fault) {
	if f.GSO == GSONone {
		return splitPlain(f, next)
	}
	if f.SegSize == 0 {
		return 0, FaultSegSize
	}
	l := Parse(f.Data)
	if !l.fits(f.GSO) {
		return 0, FaultGSOHeader
	}
	seg := int(f.SegSize)
	if room := limit - l.Data; limit > 0 && f.GSO != GSOUDP && seg > room && room >= minResplit {
		seg = room
	}
	c := cutter{l: l, f: f.Data, seg: seg}
	c.prepare()
	for at := l.Data; ; at += seg {
		end := min(at+seg, l.End)
		b := next(l.Data + end - at)
		if b == nil {
			return pieces, OK
		}
		c.cut(b, at, end, pieces)
		pieces++
		if end == l.End {
			return pieces, OK
		}
	}
}

// Pieces returns how many plain frames Split makes of f without a limit.
func Pieces(f *Frame) int {
	if f.GSO == GSONone || f.SegSize == 0 {
		return 1
	}
	l := Parse(f.Data)
	if !l.fits(f.GSO) || l.Data == l.End {
		return 1
	}
	return (l.End - l.Data + int(f.SegSize) - 1) / int(f.SegSize)
}

func splitPlain(f *Frame, next func(n int) []byte) (int, Fault) {
	if f.NeedsCsum && (f.CsumStart < HeaderLen || int(f.CsumStart)+int(f.CsumOffset)+2 > len(f.Data)) {
		return 0, FaultCsum
	}
	b := next(len(f.Data))
	if b == nil {
		return 0, OK
	}
	copy(b, f.Data)
	if f.NeedsCsum && !CompleteChecksum(b, &f.Offload) {
		return 0, FaultCsum
	}
	return 1, OK
}

// cutter holds what is the same for all pieces of a large frame.
type cutter struct {
	l      Layers
	f      []byte
	seg    int
	ipSum  uint16 // IPv4: sum of the header without length, ID and checksum
	ipID   uint16
	addrs  uint16 // sum of the pseudo-header without the length
	tcpSeq uint32
}

func (c *cutter) prepare() {
	p := c.f[c.l.Net:]
	if c.l.IP == 4 {
		c.ipID = binary.BigEndian.Uint16(p[4:])
		c.ipSum = Sum(p[6:10], Sum(p[:2], 0))
		c.ipSum = Sum(p[12:int(p[0]&15)*4], c.ipSum)
	}
	c.addrs = c.l.pseudo(c.f, 0)
	if c.l.Proto == ProtoTCP {
		c.tcpSeq = binary.BigEndian.Uint32(c.f[c.l.L4+4:])
	}
}

// cut writes piece number i, with the payload f[at:end], to b.
func (c *cutter) cut(b []byte, at, end, i int) {
	l := &c.l
	b = b[:l.Data+end-at]
	copy(b, c.f[:l.Data])
	copy(b[l.Data:], c.f[at:end])

	p := b[l.Net:]
	if l.IP == 4 {
		n, id := uint16(len(p)), c.ipID+uint16(i)
		binary.BigEndian.PutUint16(p[2:], n)
		binary.BigEndian.PutUint16(p[4:], id)
		binary.BigEndian.PutUint16(p[10:], ^fold(uint64(c.ipSum)+uint64(n)+uint64(id)))
	} else {
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
	}

	t := b[l.L4:]
	sum := fold(uint64(c.addrs) + uint64(len(t)))
	if l.Proto == ProtoUDP {
		binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
		t[6], t[7] = 0, 0
		putChecksum(t[6:], Sum(t, sum))
		return
	}
	binary.BigEndian.PutUint32(t[4:], c.tcpSeq+uint32(at-l.Data))
	if i > 0 {
		t[13] &^= FlagCWR
	}
	if end < l.End {
		t[13] &^= FlagFIN | FlagPSH
	}
	t[16], t[17] = 0, 0
	putChecksum(t[16:], Sum(t, sum))
}
