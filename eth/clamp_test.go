package eth

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// syn builds a SYN whose options are opts, padded with end-of-options.
func syn(s spec, flags byte, opts ...byte) []byte {
	for len(opts)%4 != 0 {
		opts = append(opts, 0)
	}
	s.flags, s.tcpOpts = flags, len(opts)/4
	b := s.build()
	l := Parse(b)
	copy(b[l.L4+20:], opts)
	b[l.L4+16], b[l.L4+17] = 0, 0
	putChecksum(b[l.L4+16:], Sum(b[l.L4:], l.pseudo(b, len(b)-l.L4)))
	return b
}

func TestClampMSS(t *testing.T) {
	mss := func(v int) []byte { return []byte{2, 4, byte(v >> 8), byte(v)} }
	for _, tc := range []struct {
		name    string
		b       []byte
		want    int // MSS afterwards, 0: unchanged frame
		partial bool
	}{
		{"IPv4 SYN", syn(spec{}, 2, mss(1460)...), 1400, false},
		{"IPv4 SYN+ACK", syn(spec{}, 0x12, mss(1460)...), 1400, false},
		{"IPv6 SYN", syn(spec{v6: true}, 2, mss(1440)...), 1380, false},
		{"behind extension headers", syn(spec{v6: true, ext: 2}, 2, mss(1440)...), 1380, false},
		{"with IP options", syn(spec{ipOpts: 3}, 2, mss(1460)...), 1400, false},
		{"one tag", syn(spec{tags: 1}, 2, mss(1460)...), 1396, false},
		{"two tags", syn(spec{tags: 2, v6: true}, 2, mss(1460)...), 1372, false},
		{"option at an odd byte", syn(spec{}, 2, append([]byte{1}, mss(1460)...)...), 1400, false},
		{"behind other options", syn(spec{}, 2, append([]byte{4, 2, 3, 3, 7, 1, 1}, mss(9000)...)...), 1400, false},
		{"partial checksum stays", syn(spec{}, 2, mss(1460)...), 1400, true},
		{"already lower", syn(spec{}, 2, mss(1200)...), 0, false},
		{"equal", syn(spec{}, 2, mss(1400)...), 0, false},
		{"not a SYN", syn(spec{}, 0x10, mss(1460)...), 0, false},
		{"no option", syn(spec{}, 2, 1, 1, 1, 1), 0, false},
		{"behind the end of options", syn(spec{}, 2, append([]byte{0}, mss(1460)...)...), 0, false},
		{"option cut", syn(spec{}, 2, 1, 1, 2, 4), 0, false},
		{"option of length 0", syn(spec{}, 2, 8, 0, 2, 4, 5, 0xb4), 0, false},
	} {
		before := bytes.Clone(tc.b)
		f := Frame{Data: tc.b, Offload: Offload{NeedsCsum: tc.partial}}
		changed := ClampMSS(&f, 1400, 1380)
		if changed != (tc.want != 0) || !changed && !bytes.Equal(before, tc.b) {
			t.Errorf("%s: changed %v", tc.name, changed)
			continue
		}
		l := Parse(tc.b)
		v := l.TCP(tc.b)
		if changed {
			if got := int(binary.BigEndian.Uint16(v[v.mssOption():])); got != tc.want {
				t.Errorf("%s: MSS %d, want %d", tc.name, got, tc.want)
			}
		}
		if tc.partial {
			if v.Checksum() != binary.BigEndian.Uint16(before[l.L4+16:]) {
				t.Errorf("%s: partial checksum changed", tc.name)
			}
		} else if !l.ChecksumValid(tc.b) {
			t.Errorf("%s: checksum is wrong afterwards", tc.name)
		}
	}
	f := Frame{Data: syn(spec{}, 2, mss(1460)...)}
	if ClampMSS(&f, 0, 0) {
		t.Error("0 means no limit")
	}
}
