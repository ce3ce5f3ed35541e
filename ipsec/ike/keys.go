package ike

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
)

// keys1 are the secrets of one phase 1 SA (RFC 2409 5).
type keys1 struct {
	suite  Suite
	skeyid []byte // proves identities
	d      []byte // makes keying material for children
	a      []byte // authenticates phase 2 and informational exchanges
	enc    []byte
}

// deriveKeys computes the secrets of a phase 1 with a pre-shared key.
func deriveKeys(s Suite, psk, nonceI, nonceR, shared []byte, c cookies) *keys1 {
	h := s.Hash
	k := &keys1{suite: s, skeyid: h.prf(psk, nonceI, nonceR)}
	k.d = h.prf(k.skeyid, shared, c.i[:], c.r[:], []byte{0})
	k.a = h.prf(k.skeyid, k.d, shared, c.i[:], c.r[:], []byte{1})
	e := h.prf(k.skeyid, k.a, shared, c.i[:], c.r[:], []byte{2})
	k.enc = e
	if len(e) < s.keyLen() { // RFC 2409 appendix B: Ka = K1 | K2 | K3
		k.enc = nil
		for part := []byte{0}; len(k.enc) < s.keyLen(); k.enc = append(k.enc, part...) {
			part = h.prf(e, part)
		}
	}
	k.enc = k.enc[:s.keyLen()]
	return k
}

// firstIV is the IV of phase 1 (RFC 2409 appendix B).
func (s Suite) firstIV(publicI, publicR []byte) []byte {
	return s.Hash.sum(publicI, publicR)[:s.blockLen()]
}

// exchangeIV is the IV of an exchange in phase 2, from phase 1's last block.
func (s Suite) exchangeIV(last []byte, id uint32) []byte {
	return s.Hash.sum(last, binary.BigEndian.AppendUint32(nil, id))[:s.blockLen()]
}

// authHash is HASH_I or HASH_R: own values first (RFC 2409 5).
func (k *keys1) authHash(own, other []byte, c1, c2 [8]byte, sa, id []byte) []byte {
	return k.suite.Hash.prf(k.skeyid, own, other, c1[:], c2[:], sa, id)
}

var errCipherLength = errors.New("encrypted part is not whole blocks")

// open decrypts the part behind the header in place and returns the next IV.
func (k *keys1) open(iv, body []byte) (plain, next []byte, err error) {
	n := k.suite.blockLen()
	if len(body) == 0 || len(body)%n != 0 {
		return nil, nil, errCipherLength
	}
	next = append([]byte(nil), body[len(body)-n:]...)
	plain = make([]byte, len(body))
	cipher.NewCBCDecrypter(k.suite.block(k.enc), iv).CryptBlocks(plain, body)
	return plain, next, nil
}

// seal pads and encrypts the payloads of a message and returns it, and the next IV.
func (k *keys1) seal(iv []byte, b *builder) (msg, next []byte) {
	n := k.suite.blockLen()
	for (len(b.buf)-markerLen-headerLen)%n != 0 {
		b.buf = append(b.buf, 0)
	}
	body := b.body()
	cipher.NewCBCEncrypter(k.suite.block(k.enc), iv).CryptBlocks(body, body)
	return b.finish(), append([]byte(nil), body[len(body)-n:]...)
}

// keymat makes keying material for one direction of a child (RFC 2409 5.5).
func (k *keys1) keymat(n int, shared []byte, spi uint32, nonceI, nonceR []byte) []byte {
	seed := append([]byte(nil), shared...)
	seed = append(seed, protoESP)
	seed = binary.BigEndian.AppendUint32(seed, spi)
	seed = append(seed, nonceI...)
	seed = append(seed, nonceR...)
	var out, part []byte
	for len(out) < n {
		part = k.suite.Hash.prf(k.d, part, seed)
		out = append(out, part...)
	}
	return out[:n]
}
