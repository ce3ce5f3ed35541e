package ike

import (
	"crypto/rand"
	"math/big"
	"testing"
)

// Powers of 2 from the table are those of math/big, for random exponents and for
// those at the edges, in every group.
func TestFixedBase(t *testing.T) {
	for g, make := range modps {
		m := make()
		f := m.base()
		check := func(x []byte) {
			t.Helper()
			if got, want := f.power(x), new(big.Int).Exp(big.NewInt(2), new(big.Int).SetBytes(x), m.p); got.Cmp(want) != 0 {
				t.Errorf("%s: 2^%x is %x, want %x", g, x, got, want)
			}
		}
		edge := func(first, rest, last byte) []byte {
			x := make2(m.exp, rest)
			x[0], x[m.exp-1] = first, last
			return x
		}
		for _, x := range [][]byte{{0}, {1}, {0xf0}, edge(0x80, 0, 0), edge(0xff, 0xff, 0xff), edge(0, 0, 1), edge(0x0f, 0xf0, 0x0f)} {
			check(x)
		}
		for range 20 {
			x := make2(m.exp, 0)
			_, _ = rand.Read(x)
			check(x)
		}
	}
}

func make2(n int, fill byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = fill
	}
	return b
}

// Our own half, from the table, beside the peer's.
func BenchmarkHalves(b *testing.B) {
	for _, g := range []Group{MODP2048, MODP4096, ECP256, ECP384} {
		own, err := newExchange(g, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(g.String()+"/own", func(b *testing.B) {
			for b.Loop() {
				if _, err := newExchange(g, rand.Reader); err != nil {
					b.Fatal(err)
				}
			}
		})
		peer, _ := newExchange(g, rand.Reader)
		b.Run(g.String()+"/shared", func(b *testing.B) {
			for b.Loop() {
				if _, err := own.shared(peer.public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
