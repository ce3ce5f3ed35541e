package esp

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// An SA is the same on the wire at rest and with ciphers of its own, whatever other
// SAs have borrowed before: each opens what the other has sealed.
func TestRestIsTheSameOnTheWire(t *testing.T) {
	type pair struct {
		out *Outbound
		in  *Inbound
	}
	var pairs []pair
	for i, s := range Suites() {
		for _, esn := range []bool{false, true} {
			c := configOf(s, Transport, esn)
			c.Keys.Enc = randomBytes(uint64(i), len(c.Keys.Enc))
			out, in := pairOf(t, c)
			pairs = append(pairs, pair{out, in})
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for n := range rapid.IntRange(1, 10).Draw(t, "packets") {
			p := rapid.SampledFrom(pairs).Draw(t, "SA")
			p.out.own.Store(nil)
			p.in.own.Store(nil)
			if rapid.Bool().Draw(t, "sealer awake") {
				p.out.wake(func() any { return &sealWorker{sealer: p.out.newSealer()} })
			}
			if rapid.Bool().Draw(t, "opener awake") {
				p.in.wake(func() any { return &openWorker{opener: p.in.newOpener()} })
			}
			p.out.lent.Store(0)
			p.in.lent.Store(0)
			want := randomBytes(uint64(n), rapid.IntRange(0, 300).Draw(t, "bytes"))
			pkt := packetOf(want)
			if err := p.out.Seal(&pkt, ProtoEtherIP); err != nil {
				t.Fatal(err)
			}
			got, next, err := p.in.Open(pkt.Payload())
			if err != nil || next != ProtoEtherIP || !bytes.Equal(got, want) {
				t.Fatalf("%s: opened %x, next header %d, %v; want %x", p.in.Suite(), got, next, err, want)
			}
		}
	})
}

// What little goes is opened and sealed with borrowed ciphers; more gets the SA its
// own, which it lets go when it rests again.
func TestRest(t *testing.T) {
	for _, s := range Suites() {
		out, in := pairOf(t, configOf(s, Transport, false))
		whole := packetOf(make([]byte, 20))
		cross := func() {
			p := whole
			if err := out.Seal(&p, ProtoUDP); err != nil {
				t.Fatal(err)
			}
			if _, _, err := in.Open(p.Payload()); err != nil {
				t.Fatal(err)
			}
		}
		own := func() (int, int) { return btoi(out.own.Load() != nil), btoi(in.own.Load() != nil) }
		borrows := out.shared() != nil
		cross()
		if o, i := own(); o+i != 0 && borrows {
			t.Errorf("%s: after one packet it has ciphers of its own: out %d, in %d", s, o, i)
		}
		for range restPackets {
			cross()
		}
		if o, i := own(); o+i != 2 {
			t.Errorf("%s: after %d packets it has ciphers of its own: out %d, in %d", s, restPackets+1, o, i)
		}
		out.Rest()
		in.Rest()
		if o, i := own(); o+i != 2 {
			t.Errorf("%s: it lets its ciphers go when %d packets went since the last time: out %d, in %d", s, restPackets+1, o, i)
		}
		out.Rest()
		in.Rest()
		if o, i := own(); o+i != 0 {
			t.Errorf("%s: it has ciphers of its own at rest: out %d, in %d", s, o, i)
		}
		if n := testing.AllocsPerRun(restPackets/2, cross); n >= 1 && borrows && !raceEnabled {
			t.Errorf("%s: %v allocations for a packet at rest", s, n)
		}
		// Forged packets cost no more than with any other SA.
		in.Rest()
		for range restPackets {
			in.OpenBatch([]Item{{Data: make([]byte, 8+s.PacketLen(20))}})
		}
		if _, i := own(); i != 1 {
			t.Errorf("%s: after %d forged packets it still borrows", s, restPackets)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// BenchmarkRest is an echo of an idle client, sealed and opened.
func BenchmarkRest(b *testing.B) {
	for _, s := range benchSuites {
		for _, name := range []string{"at rest", "awake"} {
			b.Run(s.String()+"/"+name, func(b *testing.B) {
				out, in := pairOf(b, configOf(s, Transport, false))
				p := packetOf(make([]byte, 20))
				whole := p
				b.ReportAllocs()
				for range b.N {
					if name == "at rest" {
						out.Rest()
						in.Rest()
					}
					p = whole
					if err := out.Seal(&p, ProtoUDP); err != nil {
						b.Fatal(err)
					}
					if _, _, err := in.Open(p.Payload()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
