package eth

import "encoding/binary"

// Fragment cuts a plain frame with an IPv4 packet that may be fragmented (DF is
// 0) into frames of at most limit bytes with the Ethernet header (RFC 791
// section 3.2). next is as in Split. It returns the number of pieces, 0 when
// the frame can not be fragmented: not IPv4, DF set, or limit too small.
//
// The upper checksum has to be complete: pass frames through Split first. A
// frame that is a fragment already is cut further; padding is left out.
func Fragment(frame []byte, limit int, next func(n int) []byte) int {
	l := Parse(frame)
	p := l.IPv4(frame)
	if p == nil || p.DF() {
		return 0
	}
	hdr := p.HeaderLen()
	room := (limit - l.Net - hdr) &^ 7 // offsets count in units of 8 bytes
	if room < 8 {
		return 0
	}
	first, more := p.FragOffset(), p.MF()
	opts := copiedOptions(p[20:hdr])
	pieces := 0
	for at := hdr; ; {
		h := hdr
		if pieces > 0 {
			h = 20 + opts.n
			room = (limit - l.Net - h) &^ 7
		}
		end, last := at+room, false
		if at+limit-l.Net-h >= len(p) { // the last piece need not be a multiple of 8
			end, last = len(p), true
		}
		b := next(l.Net + h + end - at)
		if b == nil {
			return pieces
		}
		copy(b, frame[:l.Net])
		q := b[l.Net:]
		copy(q, p[:20])
		if pieces == 0 {
			copy(q[20:], p[20:hdr])
		} else {
			copy(q[20:], opts.bytes[:opts.n])
		}
		copy(q[h:], p[at:end])
		q[0] = 0x40 | byte(h/4)
		binary.BigEndian.PutUint16(q[2:], uint16(h+end-at))
		frag := uint16((first + at - hdr) / 8)
		if !last || more {
			frag |= 0x2000
		}
		binary.BigEndian.PutUint16(q[6:], frag)
		q[10], q[11] = 0, 0
		binary.BigEndian.PutUint16(q[10:], ^Sum(q[:h], 0))
		pieces++
		if last {
			return pieces
		}
		at = end
	}
}

// ipOptions are the options that all fragments carry.
type ipOptions struct {
	bytes [40]byte
	n     int // a multiple of 4
}

// copiedOptions picks the options whose copied flag is set (RFC 791 section
// 3.1), padded to 32 bits with end-of-options.
func copiedOptions(o []byte) (r ipOptions) {
	for len(o) > 0 && o[0] != 0 {
		n := 1
		if o[0] != 1 {
			if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
				break
			}
			n = int(o[1])
		}
		if o[0]&0x80 != 0 {
			r.n += copy(r.bytes[r.n:], o[:n])
		}
		o = o[n:]
	}
	r.n = (r.n + 3) &^ 3
	return r
}
