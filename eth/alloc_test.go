package eth

import (
	"testing"
)

// Each thing on the data path runs without an allocation.
func TestNoAllocations(t *testing.T) {
	large := spec{payload: 63000, flags: 0x10, tcpOpts: 3}.large(1448)
	batch := segs(40, nil)
	big, mixed := make([]byte, 1<<17), &Joiner{UDP: true}
	synFrame := Frame{Data: syn(spec{}, 2, 2, 4, 5, 0xb4)}
	frag := spec{udp: true, payload: 4000}.build()
	df := spec{df: true, payload: 1400}.build()
	used := 0
	take := func(n int) []byte { used += n; return big[used-n : used] }
	mixed.Join(batch)
	for _, tc := range []struct {
		name string
		run  func()
	}{
		{"Parse", func() { l := Parse(df); sink += l.End }},
		{"Check", func() { sink += int(large.Check()) }},
		{"Split", func() { used = 0; Split(&large, 0, take) }},
		{"Split with a closure", func() {
			at := 0
			Split(&large, 0, func(n int) []byte { at += n; return big[at-n : at] })
		}},
		{"Fragment", func() { used = 0; Fragment(frag, 1400, take) }},
		{"Join", func() { sink += len(mixed.Join(batch)) }},
		{"ClampMSS", func() { ClampMSS(&synFrame, 1400, 1400) }},
		{"AppendTooBig", func() { AppendTooBig(big[:0], df, 1400) }},
		{"builders", func() {
			AppendARPRequest(big[:0], 1, Broadcast, macA, ip4A, ip4B)
			AppendNS(big[:0], 1, Addr{}, macA, ip6A, ip6B)
			AppendNA(big[:0], 1, macB, macA, ip6B, ip6A, 0)
		}},
	} {
		if n := testing.AllocsPerRun(100, tc.run); n != 0 {
			t.Errorf("%s: %v allocations", tc.name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	f := spec{df: true, payload: 1400, tcpOpts: 3}.build()
	for b.Loop() {
		l := Parse(f)
		sink += l.End
	}
}

// One 64 KB frame of 44 segments.
func BenchmarkSplit(b *testing.B) {
	f := spec{payload: 44 * 1448, flags: 0x10, tcpOpts: 3}.large(1448)
	buf := make([]byte, 1<<17)
	for b.Loop() {
		used := 0
		Split(&f, 0, func(n int) []byte { used += n; return buf[used-n : used] })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/44, "ns/segment")
}

// 44 segments of one flow, checksums looked at.
func BenchmarkJoin(b *testing.B) {
	in := segs(44, func(i int, s *spec) {
		s.payload = 1448
		s.seq, s.payloadOff = uint32(i)*1448, i*1448
	})
	j := new(Joiner)
	for b.Loop() {
		if out := j.Join(in); len(out) != 1 {
			b.Fatal(shape(out))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/44, "ns/segment")
}
