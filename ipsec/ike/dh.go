package ike

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"
)

// Group is a Diffie-Hellman group, numbered as in RFC 2409 6, RFC 3526 and RFC 5903.
type Group uint16

// The groups. MODP1024 only under Legacy.
const (
	MODP1024 Group = 2
	MODP1536 Group = 5
	MODP2048 Group = 14
	MODP3072 Group = 15
	MODP4096 Group = 16
	ECP256   Group = 19
	ECP384   Group = 20
	ECP521   Group = 21
)

var allGroups = []Group{MODP1024, MODP1536, MODP2048, MODP3072, MODP4096, ECP256, ECP384, ECP521}

var groupNames = map[Group]string{
	MODP1024: "modp1024", MODP1536: "modp1536", MODP2048: "modp2048", MODP3072: "modp3072", MODP4096: "modp4096",
	ECP256: "ecp256", ECP384: "ecp384", ECP521: "ecp521",
}

// String is the name in strongSwan's manner.
func (g Group) String() string {
	if s, ok := groupNames[g]; ok {
		return s
	}
	return fmt.Sprintf("group%d", uint16(g))
}

// Known tells whether the group can be used at all. A number out of range must
// not get further (group 1025 crashed a daemon once: CVE-2014-9221).
func (g Group) Known() bool { _, ok := groupNames[g]; return ok }

// Legacy tells whether the group needs the peer's Legacy switch.
func (g Group) Legacy() bool { return g == MODP1024 }

// modp is a group of RFC 2409 6.2 or RFC 3526: a safe prime and generator 2.
type modp struct {
	p    *big.Int
	size int // bytes of p
	exp  int // bytes of our exponents: twice the strength of the group (RFC 3526 8)
	base func() *fixedBase
}

// The primes are 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + c)
// (RFC 2409 6.2, RFC 3526): only n and c differ.
var modps = map[Group]func() *modp{
	MODP1024: sync.OnceValue(func() *modp { return makeMODP(1024, 129093, 32) }),
	MODP1536: sync.OnceValue(func() *modp { return makeMODP(1536, 741804, 32) }),
	MODP2048: sync.OnceValue(func() *modp { return makeMODP(2048, 124476, 40) }),
	MODP3072: sync.OnceValue(func() *modp { return makeMODP(3072, 1690314, 48) }),
	MODP4096: sync.OnceValue(func() *modp { return makeMODP(4096, 240904, 56) }),
}

func makeMODP(n uint, c int64, exp int) *modp {
	p := new(big.Int).Lsh(big.NewInt(1), n)
	p.Sub(p, new(big.Int).Lsh(big.NewInt(1), n-64))
	p.Sub(p, big.NewInt(1))
	mid := piBits(n - 130)
	mid.Add(mid, big.NewInt(c))
	p.Add(p, mid.Lsh(mid, 64))
	return &modp{p: p, size: int(n) / 8, exp: exp, base: sync.OnceValue(func() *fixedBase { return newFixedBase(p, exp) })}
}

// piBits is floor(2^bits * pi), by Machin's formula pi = 16 atan(1/5) - 4 atan(1/239).
func piBits(bits uint) *big.Int {
	const guard = 64
	one := new(big.Int).Lsh(big.NewInt(1), bits+guard)
	atan := func(x int64) *big.Int {
		sum, power := new(big.Int), new(big.Int).Div(one, big.NewInt(x))
		for k := int64(1); power.Sign() != 0; k += 2 {
			term := new(big.Int).Div(power, big.NewInt(k))
			if k%4 == 1 {
				sum.Add(sum, term)
			} else {
				sum.Sub(sum, term)
			}
			power.Div(power, big.NewInt(x*x))
		}
		return sum
	}
	pi := new(big.Int).Mul(atan(5), big.NewInt(16))
	pi.Sub(pi, new(big.Int).Mul(atan(239), big.NewInt(4)))
	return pi.Rsh(pi, guard)
}

// exchange is one side's Diffie-Hellman secret.
type exchange struct {
	group  Group
	public []byte // as in a KE payload
	x      *big.Int
	ec     *ecdh.PrivateKey
}

func (g Group) curve() ecdh.Curve {
	switch g {
	case ECP256:
		return ecdh.P256()
	case ECP384:
		return ecdh.P384()
	case ECP521:
		return ecdh.P521()
	}
	return nil
}

// publicLen is the length in bytes of a KE payload's body. For curves it is x and y
// without the byte that ANSI puts before them (RFC 5903 7).
func (g Group) publicLen() int {
	switch g {
	case ECP256:
		return 64
	case ECP384:
		return 96
	case ECP521:
		return 132
	}
	return modps[g]().size
}

// newExchange draws a secret and computes the public value.
func newExchange(g Group, random io.Reader) (*exchange, error) {
	if !g.Known() {
		return nil, fmt.Errorf("ike: group %d is not supported", g)
	}
	e := &exchange{group: g}
	if curve := g.curve(); curve != nil {
		return e, e.drawEC(curve, random)
	}
	m := modps[g]()
	secret := make([]byte, m.exp)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, err
	}
	secret[0] |= 0x80 // the full length
	e.x = new(big.Int).SetBytes(secret)
	e.public = m.base().power(secret).FillBytes(make([]byte, m.size))
	return e, nil
}

// drawEC draws a scalar by rejection. ecdh.Curve.GenerateKey does not always read
// from the reader it is given; a machine without randomness of its own needs that.
func (e *exchange) drawEC(curve ecdh.Curve, random io.Reader) error {
	raw := make([]byte, (e.group.publicLen()/2*8+7)/8)
	for range 256 {
		if _, err := io.ReadFull(random, raw); err != nil {
			return err
		}
		if e.group == ECP521 {
			raw[0] &= 1 // 521 bits
		}
		key, err := curve.NewPrivateKey(raw)
		if err != nil {
			continue // 0 or not below the order: draw again (FIPS 186-5 A.2.2)
		}
		e.ec, e.public = key, key.PublicKey().Bytes()[1:]
		return nil
	}
	return errors.New("ike: the random source gives no usable scalar")
}

var errBadPublic = errors.New("public value is not usable in its group")

// shared computes g^xy from the peer's public value (for curves: the x coordinate, RFC 5903 7).
func (e *exchange) shared(peer []byte) ([]byte, error) {
	if len(peer) != e.group.publicLen() {
		return nil, fmt.Errorf("%s public value of %d bytes instead of %d", e.group, len(peer), e.group.publicLen())
	}
	if e.ec != nil {
		point := append([]byte{4}, peer...)
		key, err := e.ec.Curve().NewPublicKey(point) // checks that it is on the curve
		if err != nil {
			return nil, errBadPublic
		}
		return e.ec.ECDH(key)
	}
	m := modps[e.group]()
	y := new(big.Int).SetBytes(peer)
	// RFC 6989 2.1: 1 < y < p-1.
	if y.Cmp(big.NewInt(1)) <= 0 || y.Cmp(new(big.Int).Sub(m.p, big.NewInt(1))) >= 0 {
		return nil, errBadPublic
	}
	return new(big.Int).Exp(y, e.x, m.p).FillBytes(make([]byte, m.size)), nil
}
