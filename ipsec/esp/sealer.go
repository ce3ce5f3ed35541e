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

// gcmOf returns the function that makes the ciphers of one key, for either direction.
func gcmOf(block cipher.Block, keys Keys, esn bool) (func() *gcm, error) {
	wide := newWideKeys(keys.Enc, block)
	var aead cipher.AEAD
	if wide == nil {
		var err error
		if aead, err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
	}
	return func() *gcm {
		g := &gcm{aead: aead, wide: newWide(wide), esn: esn}
		copy(g.nonce[:], keys.Salt)
		return g
	}, nil
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
	hash hash.Hash
	len  int
	esn  bool
	high [4]byte
	sum  []byte
}

func newMAC(s Suite, key []byte, esn bool) mac {
	return mac{hash: hmac.New(s.hash(), key), len: s.ICVLen(), esn: esn, sum: make([]byte, 0, 64)}
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
	mode  ivSetter
	key   []byte // for lanes; nil: one chain after the other
	lanes *lanes // made with the first batch: an SA that only sends echoes has none
	ivs   cipher.Block
	ivLen int
	mac   mac
	count [16]byte
	iv    [16]byte
}

func ivCipher(secret [16]byte) (cipher.Block, error) { return aes.NewCipher(secret[:]) }

func newCBCSealer(s Suite, block, ivs cipher.Block, keys Keys, esn bool) *cbcSealer {
	c := &cbcSealer{
		mode:  modeOf(block, cipher.NewCBCEncrypter, s.IVLen()),
		ivs:   ivs,
		ivLen: s.IVLen(),
		mac:   newMAC(s, keys.Auth, esn),
	}
	if s.Cipher == AESCBC {
		c.key = keys.Enc
	}
	return c
}

// fastLen is from how many bytes on a decrypter is of use.
const fastLen = 128

// minLanes is from how many packets on lanes are faster than one chain at a time.
const minLanes = 2

func (c *cbcSealer) seal(packets []packet.Packet, first uint64) {
	if len(packets) >= minLanes && c.key != nil && c.lanes == nil {
		if c.lanes = newLanes(c.key); c.lanes == nil {
			c.key = nil
		}
	}
	together := c.lanes != nil && len(packets) >= minLanes
	for i := range packets {
		iv, body := c.begin(packets[i].Payload(), first+uint64(i))
		if together {
			if !c.lanes.add(iv, body) {
				c.lanes.run()
			}
			continue
		}
		c.mode.SetIV(iv)
		c.mode.CryptBlocks(body, body)
	}
	if together {
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
	mode  ivSetter
	key   []byte     // for fast; nil: all by mode
	fast  *decrypter // made with the first packet that is long enough
	ivLen int
	mac   mac
	iv    [16]byte
}

func newCBCOpener(s Suite, block cipher.Block, keys Keys, esn bool) *cbcOpener {
	c := &cbcOpener{
		mode:  modeOf(block, cipher.NewCBCDecrypter, s.IVLen()),
		ivLen: s.IVLen(),
		mac:   newMAC(s, keys.Auth, esn),
	}
	if s.Cipher == AESCBC {
		c.key = keys.Enc
	}
	return c
}

func (c *cbcOpener) open(pkt []byte, seq uint64) ([]byte, bool) {
	icvAt := len(pkt) - c.mac.len
	if subtle.ConstantTimeCompare(c.mac.icv(pkt[:icvAt], seq), pkt[icvAt:]) != 1 {
		return nil, false
	}
	body := pkt[headerLen+c.ivLen : icvAt]
	copy(c.iv[:], pkt[headerLen:headerLen+c.ivLen])
	rest := body
	if c.fast == nil && c.key != nil && len(body) >= fastLen {
		if c.fast = newDecrypter(c.key); c.fast == nil {
			c.key = nil
		}
	}
	if c.fast != nil {
		rest = c.fast.decrypt(&c.iv, body)
	}
	if len(rest) > 0 {
		c.mode.SetIV(c.iv[:c.ivLen])
		c.mode.CryptBlocks(rest, rest)
	}
	return body, true
}
