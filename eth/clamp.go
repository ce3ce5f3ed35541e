package eth

import "encoding/binary"

// ClampMSS lowers the MSS option of a TCP SYN to at most mss4 (IPv4) or mss6
// (IPv6) bytes, less 4 for each 802.1Q tag of the frame, and mends the
// checksum. 0 means no limit. It writes to f.Data, which must not be a lent
// frame. It reports whether it changed the frame.
//
// With NeedsCsum the checksum field holds the pseudo-header sum only, which
// does not cover options, and is left alone. A SYN without the option is left
// alone too: its sender takes 536 or 1,220 bytes at most (RFC 9293 section 3.7.1).
func ClampMSS(f *Frame, mss4, mss6 int) bool {
	b := f.Data
	l := Parse(b)
	t := l.TCP(b)
	if t == nil || t.Flags()&FlagSYN == 0 {
		return false
	}
	limit := mss4
	if l.IP == 6 {
		limit = mss6
	}
	if limit <= 0 {
		return false
	}
	limit -= TagLen * l.Tags()
	at := t.mssOption()
	if at == 0 || limit <= 0 {
		return false
	}
	old := binary.BigEndian.Uint16(t[at:])
	if int(old) <= limit {
		return false
	}
	binary.BigEndian.PutUint16(t[at:], uint16(limit))
	if !f.NeedsCsum {
		was, is := old, uint16(limit)
		if at&1 != 0 { // the option may start at an odd byte: its bytes lie in two words
			was, is = was>>8|was<<8, is>>8|is<<8
		}
		binary.BigEndian.PutUint16(t[16:], Update(t.Checksum(), was, is))
	}
	return true
}

// mssOption returns the offset of the value of the MSS option in the header
// (RFC 9293 section 3.2), 0 when there is none.
func (t TCP) mssOption() int {
	end := t.HeaderLen()
	for at := 20; at+1 < end; {
		switch t[at] {
		case 0: // end of options
			return 0
		case 1: // no operation
			at++
			continue
		}
		n := int(t[at+1])
		if n < 2 || at+n > end {
			return 0
		}
		if t[at] == 2 && n == 4 {
			return at + 2
		}
		at += n
	}
	return 0
}
