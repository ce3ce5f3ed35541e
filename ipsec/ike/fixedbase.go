package ike

import "math/big"

// fixedBase computes powers of 2 modulo p from a table, for exponents of one length:
// the product over all 4-bit digits d of the exponent, at place i, of 2^(d * 16^i)
// (Brickell and others, "Fast exponentiation with precomputation", 1992; Handbook of Applied Cryptography
// 14.6.3). Our own half of Diffie-Hellman always has this base; it takes a quarter of the time of
// squaring and multiplying. For 2048 bits the table has 350 KB.
//
// It is not constant in time, as math/big is not; an exponent is used once.
type fixedBase struct {
	p     *big.Int
	table [][15]*big.Int // by place, lowest first; by digit, from 1
}

// newFixedBase makes the table for exponents of so many bytes.
func newFixedBase(p *big.Int, bytes int) *fixedBase {
	f := &fixedBase{p: p, table: make([][15]*big.Int, 2*bytes)}
	base := big.NewInt(2)
	for i := range f.table {
		at := &f.table[i]
		at[0] = new(big.Int).Set(base)
		for d := 1; d < len(at); d++ {
			at[d] = new(big.Int).Mul(at[d-1], base)
			at[d].Rem(at[d], p)
		}
		base = new(big.Int).Mul(at[14], base)
		base.Rem(base, p)
	}
	return f
}

// power is 2^x mod p; x has at most the bytes that the table was made for, the
// highest first.
func (f *fixedBase) power(x []byte) *big.Int {
	y, product, quotient := big.NewInt(1), new(big.Int), new(big.Int)
	place := 2*len(x) - 1
	for _, b := range x {
		for _, d := range [2]byte{b >> 4, b & 15} {
			if d > 0 {
				product.Mul(y, f.table[place][d-1])
				quotient.QuoRem(product, f.p, y)
			}
			place--
		}
	}
	return y
}
