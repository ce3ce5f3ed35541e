package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/binary"
	"hash"

	"vhub/internal/packet"
)

// A sealer is the cipher of one SA with scratch of its own, used by one goroutine
// at a time. It is given whole batches, so that an implementation may work on
// several packets at once.
type sealer interface {
	// seal fills IV, ciphertext and ICV of packets that Outbound.frame has laid out.
	// Packet i has the sequence number first+i.
	seal(packets []packet.Packet, first uint64)
}

// An opener is the same for the other direction.
type opener interface {
	// open checks the ICV of one packet, whose length has been checked, and
	// decrypts it in place. It returns payload, padding and trailer, or false.
	open(pkt []byte, seq uint64) ([]byte, bool)
}

// gcm is AES-GCM with a 16-byte ICV (RFC 4106), both directions. The nonce is the
// salt and an IV that is the 64-bit sequence number: a counter never repeats
// under one key, and the IV of GCM need not be unpredictable (RFC 4106 3.1).
type gcm struct {
	aead  cipher.AEAD // nil where there is wide
	wide  *wide
	esn   bool
	nonce [12]byte
	aad   [12]byte
}

// newGCM makes the cipher of an SA, for either direction.
func newGCM(k *secrets) *gcm {
	g := new(gcm)
	if fastGCM {
		g.wide = new(wide)
		g.rekey(k)
		return g
	}
	var err error
	if g.aead, err = cipher.NewGCM(k.block()); err != nil {
		panic(err) // AES has GCM's block length
	}
	g.esn = k.esn
	copy(g.nonce[:], k.keys.Salt)
	return g
}

// rekey gives it another SA's keys, where there is wide.
func (g *gcm) rekey(k *secrets) {
	g.wide.rekey(k.keys.Enc)
	g.esn = k.esn
	copy(g.nonce[:], k.keys.Salt)
}

func (g *gcm) seal(packets []packet.Packet, first uint64) {
	for i := range packets {
		pkt := packets[i].Payload()
		iv, body := pkt[headerLen:headerLen+8], pkt[headerLen+8:len(pkt)-16]
		binary.BigEndian.PutUint64(iv, first+uint64(i))
		copy(g.nonce[4:], iv)
		aad := g.header(pkt, first+uint64(i))
		if g.wide != nil {
			g.wide.seal(&g.nonce, aad, body, pkt[len(pkt)-16:])
			continue
		}
		g.aead.Seal(body[:0], g.nonce[:], body, aad)
	}
}

func (g *gcm) open(pkt []byte, seq uint64) ([]byte, bool) {
	copy(g.nonce[4:], pkt[headerLen:headerLen+8])
	body := pkt[headerLen+8:]
	if g.wide != nil {
		text, tag := body[:len(body)-16], body[len(body)-16:]
		return text, g.wide.open(&g.nonce, g.header(pkt, seq), text, tag)
	}
	plain, err := g.aead.Open(body[:0], g.nonce[:], body, g.header(pkt, seq))
	return plain, err == nil
}

// header is the additional data (RFC 4106 5): SPI and sequence number as sent, or
// SPI and all 64 bits with ESN.
func (g *gcm) header(pkt []byte, seq uint64) []byte {
	if !g.esn {
		return pkt[:headerLen]
	}
	copy(g.aad[:4], pkt)
	binary.BigEndian.PutUint64(g.aad[4:], seq)
	return g.aad[:]
}

// mac is a truncated HMAC over an ESP packet.
type mac struct {
	hash  hash.Hash
	len   int
	esn   bool
	high  [4]byte
	sum   []byte
	spare map[Auth]*keyedHash // of rekey
}

func newMAC(s Suite, key []byte, esn bool) mac {
	return mac{hash: hmac.New(s.hash(), key), len: s.ICVLen(), esn: esn, sum: make([]byte, 0, 64)}
}

// rekey gives it another SA's key, and algorithm.
func (m *mac) rekey(k *secrets) {
	h := m.spare[k.suite.Auth]
	if h == nil {
		h = &keyedHash{Hash: k.suite.hash()()}
		if m.spare == nil {
			m.spare = map[Auth]*keyedHash{}
		}
		m.spare[k.suite.Auth] = h
	}
	h.key = append(h.key[:0], k.keys.Auth...)
	m.hash, m.len, m.esn = h, k.suite.ICVLen(), k.esn
}

// keyedHash is HMAC (RFC 2104) under a key that may change, at the price of two more
// blocks a packet than the library's. The key is no longer than a block.
type keyedHash struct {
	hash.Hash
	key []byte
	pad [128]byte
	sum [64]byte
}

// Reset begins with the inner pad.
func (h *keyedHash) Reset() { h.begin(0x36) }

// Sum appends the HMAC. Nothing may be written after it until Reset.
func (h *keyedHash) Sum(b []byte) []byte {
	inner := h.Hash.Sum(h.sum[:0])
	h.begin(0x5c)
	h.Write(inner)
	return h.Hash.Sum(b)
}

func (h *keyedHash) begin(pad byte) {
	block := h.pad[:h.BlockSize()]
	for i := range block {
		block[i] = pad
	}
	subtle.XORBytes(block, block[:len(h.key)], h.key)
	h.Hash.Reset()
	h.Write(block)
}

// icv computes the ICV of data, SPI to next header (RFC 4303 2.8). The result is
// good until the next call.
func (m *mac) icv(data []byte, seq uint64) []byte {
	m.hash.Reset()
	m.hash.Write(data)
	if m.esn {
		binary.BigEndian.PutUint32(m.high[:], uint32(seq>>32))
		m.hash.Write(m.high[:])
	}
	m.sum = m.hash.Sum(m.sum[:0])
	return m.sum[:m.len]
}

// ivSetter is what the CBC modes of crypto/aes and crypto/des have beside
// cipher.BlockMode: it lets one mode serve many packets without allocating.
type ivSetter interface {
	cipher.BlockMode
	SetIV([]byte)
}

// modeOf makes a BlockMode that can be set to a new IV for each packet.
func modeOf(block cipher.Block, make func(cipher.Block, []byte) cipher.BlockMode, ivLen int) ivSetter {
	zero := [16]byte{}
	if m, ok := make(block, zero[:ivLen]).(ivSetter); ok {
		return m
	}
	return &slowMode{block: block, make: make}
}

// slowMode makes a new mode for each packet: correct for a library without SetIV,
// at the price of an allocation.
type slowMode struct {
	cipher.BlockMode
	block cipher.Block
	make  func(cipher.Block, []byte) cipher.BlockMode
}

func (m *slowMode) SetIV(iv []byte) { m.BlockMode = m.make(m.block, iv) }

// cbcSealer is CBC encryption, then HMAC.
//
// The IV of packet n is E(k, n) under a random key k of the SA's own: no IV comes
// twice, and who does not know k cannot tell the next from all before, which CBC
// needs (RFC 3602 3; NIST SP 800-38A appendix C). For an 8-byte IV it is cut.
//
// Chains of several packets are encrypted together where the machine can (lanes).
type cbcSealer struct {
	lanes *lanes   // nil: one chain after the other, by mode
	mode  ivSetter // nil where there are lanes
	ivs   cipher.Block
	ivLen int
	mac   mac
	count [16]byte
	iv    [16]byte
}

func newCBCSealer(k *secrets) *cbcSealer {
	c := &cbcSealer{ivLen: k.suite.IVLen(), mac: newMAC(k.suite, k.keys.Auth, k.esn)}
	var err error
	if c.ivs, err = aes.NewCipher(k.ivs[:]); err != nil {
		panic(err) // the key has 16 bytes
	}
	if k.suite.Cipher == AESCBC && fastCBC {
		c.lanes = new(lanes)
		c.lanes.rekey(k.keys.Enc)
	} else {
		c.mode = modeOf(k.block(), cipher.NewCBCEncrypter, c.ivLen)
	}
	return c
}

// rekey gives it another SA's keys, where there are lanes.
func (c *cbcSealer) rekey(k *secrets) {
	c.lanes.rekey(k.keys.Enc)
	if c.ivs == nil {
		c.ivs = new(laneBlock)
	}
	c.ivs.(*laneBlock).lanes.rekey(k.ivs[:])
	c.ivLen = k.suite.IVLen()
	c.mac.rekey(k)
}

// laneBlock is AES whose key may change.
type laneBlock struct {
	cipher.Block
	lanes lanes
	zero  [16]byte
}

// Encrypt encrypts one block, which is a chain of one with an IV of zeros.
func (b *laneBlock) Encrypt(dst, src []byte) {
	copy(dst, src)
	b.lanes.add(b.zero[:], dst[:16])
	b.lanes.run()
}

func (c *cbcSealer) seal(packets []packet.Packet, first uint64) {
	for i := range packets {
		iv, body := c.begin(packets[i].Payload(), first+uint64(i))
		if c.lanes == nil {
			c.mode.SetIV(iv)
			c.mode.CryptBlocks(body, body)
		} else if !c.lanes.add(iv, body) {
			c.lanes.run()
		}
	}
	if c.lanes != nil {
		c.lanes.run()
	}
	for i := range packets {
		pkt := packets[i].Payload()
		icvAt := len(pkt) - c.mac.len
		copy(pkt[icvAt:], c.mac.icv(pkt[:icvAt], first+uint64(i)))
	}
}

// begin writes the IV of a packet and returns it with what is to be encrypted.
func (c *cbcSealer) begin(pkt []byte, seq uint64) (iv, body []byte) {
	binary.BigEndian.PutUint64(c.count[8:], seq)
	c.ivs.Encrypt(c.iv[:], c.count[:])
	iv = pkt[headerLen : headerLen+c.ivLen]
	copy(iv, c.iv[:])
	return iv, pkt[headerLen+c.ivLen : len(pkt)-c.mac.len]
}

// cbcOpener checks the HMAC, then decrypts CBC.
type cbcOpener struct {
	fast  *decrypter // nil: all by mode
	mode  ivSetter   // nil where there is fast
	ivLen int
	mac   mac
	iv    [16]byte
}

func newCBCOpener(k *secrets) *cbcOpener {
	c := &cbcOpener{ivLen: k.suite.IVLen(), mac: newMAC(k.suite, k.keys.Auth, k.esn)}
	if k.suite.Cipher == AESCBC && fastCBC {
		c.fast = new(decrypter)
		c.fast.rekey(k.keys.Enc)
	} else {
		c.mode = modeOf(k.block(), cipher.NewCBCDecrypter, c.ivLen)
	}
	return c
}

// rekey gives it another SA's keys, where there is fast.
func (c *cbcOpener) rekey(k *secrets) {
	c.fast.rekey(k.keys.Enc)
	c.ivLen = k.suite.IVLen()
	c.mac.rekey(k)
}

func (c *cbcOpener) open(pkt []byte, seq uint64) ([]byte, bool) {
	icvAt := len(pkt) - c.mac.len
	if subtle.ConstantTimeCompare(c.mac.icv(pkt[:icvAt], seq), pkt[icvAt:]) != 1 {
		return nil, false
	}
	body := pkt[headerLen+c.ivLen : icvAt]
	copy(c.iv[:], pkt[headerLen:headerLen+c.ivLen])
	if c.fast != nil {
		c.fast.decrypt(&c.iv, body)
	} else {
		c.mode.SetIV(c.iv[:c.ivLen])
		c.mode.CryptBlocks(body, body)
	}
	return body, true
}
