package eth

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func TestSumAgainstSlowSum(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	b := make([]byte, 3000)
	for n := range 700 {
		for i := range b {
			b[i] = byte(r.Uint32())
			if n%3 == 0 {
				b[i] = 0xff // many carries
			}
		}
		off, init := r.IntN(9), uint16(r.Uint32())
		got := Sum(b[off:off+n], init)
		want := slowSum([]byte{byte(init >> 8), byte(init)}, b[off:off+n])
		if got%0xffff != want%0xffff || (got == 0) != (want == 0) {
			t.Fatalf("%d bytes, initial %#x: %#x, want %#x", n, init, got, want)
		}
	}
}

// RFC 1071 section 3 has these eight bytes and their sum.
func TestSumOfRFC1071(t *testing.T) {
	if got := Sum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0); got != 0xddf2 {
		t.Fatalf("%#x, want 0xddf2", got)
	}
}

// RFC 1624 section 4: the case that the older equation gets wrong.
func TestUpdateOfRFC1624(t *testing.T) {
	if got := Update(0xdd2f, 0x5555, 0x3285); got != 0x0000 {
		t.Fatalf("%#x, want 0", got)
	}
}

func TestUpdateEqualsNewSum(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 2000 {
		b := make([]byte, 40)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		before := ^Sum(b, 0)
		at, word := 2*r.IntN(20), uint16(r.Uint32())
		old := binary.BigEndian.Uint16(b[at:])
		binary.BigEndian.PutUint16(b[at:], word)
		if got, want := Update(before, old, word), ^Sum(b, 0); got != want {
			t.Fatalf("%#x, want %#x", got, want)
		}
	}
}

func TestChecksumValid(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for range 300 {
		s, _ := randomSpec(r)
		s.payload = r.IntN(1000)
		b := s.build()
		l := Parse(b)
		if !l.ChecksumValid(b) {
			t.Fatalf("%+v: a right checksum was refused", s)
		}
		b[l.L4+r.IntN(len(b)-l.L4)] ^= 1 << r.IntN(8)
		if l = Parse(b); l.ChecksumValid(b) && !(s.udp && l.UDP(b).Checksum() == 0) {
			t.Fatalf("%+v: a wrong checksum was taken", s)
		}
	}
}

func BenchmarkSum1448(b *testing.B) {
	p := make([]byte, 1448)
	b.SetBytes(1448)
	for b.Loop() {
		sink += int(Sum(p, 0))
	}
}

var sink int
