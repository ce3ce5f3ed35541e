package ike

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"testing"
)

// The primes are computed from pi; here are the beginnings and ends that RFC 2409 6.2 and
// RFC 3526 2 to 5 print. All of them are safe primes. (live_test.go agrees with
// strongSwan in every group.)
func TestMODPPrimes(t *testing.T) {
	for _, c := range []struct {
		g    Group
		bits int
		head string // RFC: FFFFFFFF FFFFFFFF C90FDAA2 2168C234 C4C6628B 80DC1CD1 ...
		tail string // its first 8 bytes stand among the last 32
	}{
		{MODP1024, 1024, "c90fdaa22168c234c4c6628b80dc1cd1", "5a899fa5ae9f24117c4b1fe649286651ece65381"},
		{MODP1536, 1536, "c90fdaa22168c234c4c6628b80dc1cd1", "f1746c08ca237327"},
		{MODP2048, 2048, "c90fdaa22168c234c4c6628b80dc1cd1", "15728e5a8aacaa68"},
		{MODP3072, 3072, "c90fdaa22168c234c4c6628b80dc1cd1", "4b82d120a93ad2ca"},
		{MODP4096, 4096, "c90fdaa22168c234c4c6628b80dc1cd1", "4df435c934063199"},
	} {
		p := modps[c.g]().p
		raw := p.Bytes()
		if p.BitLen() != c.bits {
			t.Errorf("%s has %d bits", c.g, p.BitLen())
		}
		if got := hex.EncodeToString(raw[8 : 8+16]); got != c.head {
			t.Errorf("%s begins with %s", c.g, got)
		}
		if !bytes.Contains(raw[len(raw)-32:], unhex(c.tail)[:8]) {
			t.Errorf("%s ends with %x", c.g, raw[len(raw)-32:])
		}
		if !bytes.Equal(raw[:8], bytes.Repeat([]byte{0xff}, 8)) || !bytes.Equal(raw[len(raw)-8:], bytes.Repeat([]byte{0xff}, 8)) {
			t.Errorf("%s is not framed by ones", c.g)
		}
		half := new(big.Int).Rsh(p, 1)
		if !p.ProbablyPrime(4) || !half.ProbablyPrime(4) {
			t.Errorf("%s is not a safe prime", c.g)
		}
	}
}

// RFC 5903 8.1 to 8.3.
func TestECPVectors(t *testing.T) {
	for _, c := range []struct {
		g           Group
		i, r        string // secrets
		kei, shared string
	}{
		{ECP256, "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433", "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
			"DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180" + "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
			"D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"},
		{ECP384, "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194", "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC",
			"667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA" + "9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C",
			"11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746"},
		{ECP521, "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A095AA85A30FE1C2952C6771D937BA9777F5957B2639BAB072462F68C27A57382D4A52", "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E9C677D600B343757A3BDBF2A3163E4C2F869CCA7458AA4A4EFFC311F5CB151685EB9",
			"0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBEE1E3BF42E00B8E380AEAE57C2D107564941885942AF5A7F4601723C4195D176CED3E" + "017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4A10AD8A788015AC405D7799DC75E7B7D5B6CF2261A6A7F1507438BF01BEB6CA3926F9582",
			"01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04D1427E73CA4BAA240A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3DDEA"},
	} {
		side := func(secret string) *exchange {
			key, err := c.g.curve().NewPrivateKey(unhex(secret))
			if err != nil {
				t.Fatal(err)
			}
			return &exchange{group: c.g, ec: key, public: key.PublicKey().Bytes()[1:]}
		}
		i, r := side(c.i), side(c.r)
		if !bytes.Equal(i.public, unhex(c.kei)) {
			t.Errorf("%s: KEi is %X", c.g, i.public)
		}
		for _, pair := range [][2]*exchange{{i, r}, {r, i}} {
			got, err := pair[0].shared(pair[1].public)
			if err != nil || !bytes.Equal(got, unhex(c.shared)) {
				t.Errorf("%s: g^ir is %X, %v", c.g, got, err)
			}
		}
	}
}

func TestEveryGroupAgrees(t *testing.T) {
	for _, g := range allGroups {
		a, err := newExchange(g, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := newExchange(g, seeded(2))
		again, _ := newExchange(g, seeded(1))
		if !bytes.Equal(a.public, again.public) {
			t.Errorf("%s: the same randomness gives another key", g)
		}
		x, err1 := a.shared(b.public)
		y, err2 := b.shared(a.public)
		if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
			t.Errorf("%s: %v %v, secrets equal: %v", g, err1, err2, bytes.Equal(x, y))
		}
		if len(a.public) != g.publicLen() {
			t.Errorf("%s: public value of %d bytes", g, len(a.public))
		}
	}
}

func TestBadPublicValues(t *testing.T) {
	for _, g := range allGroups {
		a, err := newExchange(g, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		n := g.publicLen()
		bad := map[string][]byte{"empty": nil, "short": make([]byte, n-1), "long": make([]byte, n+1), "zero": make([]byte, n)}
		one := make([]byte, n)
		one[n-1] = 1
		bad["one"] = one
		bad["all ones"] = bytes.Repeat([]byte{0xff}, n)
		if m := modps[g]; m != nil {
			p := m().p
			bad["p"] = p.Bytes()
			bad["p-1"] = new(big.Int).Sub(p, big.NewInt(1)).Bytes()
		} else {
			off := bytes.Clone(a.public)
			off[n-1] ^= 1
			bad["off the curve"] = off
		}
		for name, v := range bad {
			if s, err := a.shared(v); err == nil {
				t.Errorf("%s: %s is taken: %x", g, name, s)
			}
		}
	}
	for _, g := range []Group{0, 1, 3, 17, 18, 22, 24, 31, 1025, 65535} { // 1025: CVE-2014-9221
		if g.Known() {
			t.Errorf("group %d is known", g)
		}
		if _, err := newExchange(g, seeded(1)); err == nil {
			t.Errorf("group %d gives a key", g)
		}
	}
}

func BenchmarkDH(b *testing.B) {
	for _, g := range allGroups {
		b.Run(g.String(), func(b *testing.B) {
			r := seeded(1)
			peer, _ := newExchange(g, r)
			for b.Loop() {
				x, _ := newExchange(g, r)
				if _, err := x.shared(peer.public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
