package esp

import (
	"testing"

	"vhub/internal/packet"
)

var benchSuites = []Suite{
	{AESGCM16, 128, NoAuth}, {AESGCM16, 256, NoAuth},
	{AESCBC, 128, HMACSHA1}, {AESCBC, 256, HMACSHA1},
	{AESCBC, 128, HMACSHA256}, {AESCBC, 256, HMACSHA256}, {AESCBC, 256, HMACSHA512},
	{TripleDES, 0, HMACSHA1},
}

const benchSize, benchBatch = 1400, 16

// batchOf returns packets and a function that opens them up again for sealing.
func batchOf(n int) ([]packet.Packet, func()) {
	b := make([]packet.Packet, n)
	for i := range b {
		b[i] = packetOf(make([]byte, benchSize))
	}
	return b, func() {
		for i := range b {
			b[i].Off, b[i].End = packet.Headroom, packet.Headroom+benchSize
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, s := range benchSuites {
		b.Run(s.String(), func(b *testing.B) {
			out, _ := pairOf(b, configOf(s, Transport, true))
			packets, reset := batchOf(benchBatch)
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for n := 0; n < b.N; n += benchBatch {
				reset()
				if _, err := out.SealBatch(packets, ProtoEtherIP); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen opens the same sealed packets again and again; the window is
// set back, which costs nothing beside the cipher.
func BenchmarkOpen(b *testing.B) {
	for _, s := range benchSuites {
		b.Run(s.String(), func(b *testing.B) {
			out, in := pairOf(b, configOf(s, Transport, false))
			packets, _ := batchOf(benchBatch)
			if _, err := out.SealBatch(packets, ProtoEtherIP); err != nil {
				b.Fatal(err)
			}
			items := make([]Item, benchBatch)
			scratch := make([]byte, 2048*benchBatch)
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for n := 0; n < b.N; n += benchBatch {
				for i := range items {
					items[i].Data = append(scratch[i*2048:i*2048:(i+1)*2048], packets[i].Payload()...)
				}
				in.window.top.Store(0)
				in.window.word(0).Store(0)
				in.OpenBatch(items)
				if items[benchBatch-1].Err != nil {
					b.Fatal(items[benchBatch-1].Err)
				}
			}
		})
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED: under the race detector a sync.Pool forgets on purpose")
	}
	for _, s := range Suites() {
		out, in := pairOf(t, configOf(s, Tunnel, true))
		packets, reset := batchOf(4)
		items := make([]Item, len(packets))
		run := func() {
			reset()
			if _, err := out.SealBatch(packets, ProtoEtherIP); err != nil {
				t.Fatal(err)
			}
			for i := range packets {
				items[i].Data = packets[i].Payload()
			}
			in.OpenBatch(items)
			for i := range items {
				if items[i].Err != nil {
					t.Fatal(items[i].Err)
				}
			}
		}
		if n := testing.AllocsPerRun(100, run); n >= 1 {
			t.Errorf("%s: %v allocations for a batch sealed and opened", s, n)
		}
		one := func() {
			reset()
			if err := out.Seal(&packets[0], ProtoEtherIP); err != nil {
				t.Fatal(err)
			}
			if _, _, err := in.Open(packets[0].Payload()); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(100, one); n >= 1 {
			t.Errorf("%s: %v allocations for one packet sealed and opened", s, n)
		}
	}
}
