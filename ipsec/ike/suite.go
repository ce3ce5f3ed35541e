package ike

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// Cipher is a phase 1 encryption algorithm, numbered as in RFC 2409 appendix A.
type Cipher uint16

// The ciphers; all in CBC mode. TripleDES only under Legacy.
const (
	TripleDES Cipher = 5
	AES       Cipher = 7 // RFC 3602 6
)

// Hash is a phase 1 hash algorithm; its HMAC is the PRF (RFC 2409 4).
type Hash uint16

// The hashes. MD5 only under Legacy.
const (
	MD5    Hash = 1
	SHA1   Hash = 2
	SHA256 Hash = 4
	SHA384 Hash = 5
	SHA512 Hash = 6
)

var hashNames = map[Hash]string{MD5: "md5", SHA1: "sha1", SHA256: "sha256", SHA384: "sha384", SHA512: "sha512"}

// String is the name in strongSwan's manner.
func (h Hash) String() string {
	if s, ok := hashNames[h]; ok {
		return s
	}
	return fmt.Sprintf("hash%d", uint16(h))
}

func (h Hash) new() func() hash.Hash {
	switch h {
	case MD5:
		return md5.New
	case SHA1:
		return sha1.New
	case SHA256:
		return sha256.New
	case SHA384:
		return sha512.New384
	case SHA512:
		return sha512.New
	}
	return nil
}

// size is the length of the hash's result in bytes.
func (h Hash) size() int { return h.new()().Size() }

// prf is the HMAC of the parts, one after the other (RFC 2409 4).
func (h Hash) prf(key []byte, parts ...[]byte) []byte {
	m := hmac.New(h.new(), key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// sum is the plain hash of the parts.
func (h Hash) sum(parts ...[]byte) []byte {
	m := h.new()()
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// Suite is what phase 1 agrees on, besides the pre-shared key.
type Suite struct {
	Cipher  Cipher
	KeyBits int // 128, 192 or 256 for AES, 0 for TripleDES
	Hash    Hash
	Group   Group
}

// String names the suite as strongSwan's ike= does: "aes256-sha256-modp2048".
func (s Suite) String() string {
	c := fmt.Sprintf("cipher%d", s.Cipher)
	switch s.Cipher {
	case TripleDES:
		c = "3des"
	case AES:
		c = fmt.Sprintf("aes%d", s.KeyBits)
	}
	return c + "-" + s.Hash.String() + "-" + s.Group.String()
}

// ParseSuite reads the form that String writes.
func ParseSuite(text string) (Suite, error) {
	parts := strings.Split(strings.ToLower(text), "-")
	if len(parts) == 3 {
		for _, c := range []Suite{{Cipher: AES, KeyBits: 128}, {Cipher: AES, KeyBits: 192}, {Cipher: AES, KeyBits: 256}, {Cipher: TripleDES}} {
			for h := range hashNames {
				for _, g := range allGroups {
					c.Hash, c.Group = h, g
					if c.String() == strings.Join(parts, "-") {
						return c, nil
					}
				}
			}
		}
	}
	return Suite{}, fmt.Errorf("unknown phase 1 suite %q (for example aes256-sha256-modp2048, aes128-sha1-ecp256)", text)
}

// Check says what is wrong with a suite, or nil.
func (s Suite) Check() error {
	switch {
	case s.Cipher == TripleDES && s.KeyBits != 0:
		return errors.New("3des has no key length attribute")
	case s.Cipher == AES && s.KeyBits != 128 && s.KeyBits != 192 && s.KeyBits != 256:
		return fmt.Errorf("an AES key has 128, 192 or 256 bits, not %d", s.KeyBits)
	case s.Cipher != AES && s.Cipher != TripleDES:
		return fmt.Errorf("encryption algorithm %d is not supported", s.Cipher)
	case s.Hash.new() == nil:
		return fmt.Errorf("hash algorithm %d is not supported", s.Hash)
	case !s.Group.Known():
		return fmt.Errorf("group %d is not supported", s.Group)
	}
	return nil
}

// Legacy tells whether the suite needs the peer's Legacy switch.
func (s Suite) Legacy() bool {
	return s.Cipher == TripleDES || s.Hash == MD5 || s.Group.Legacy()
}

func (s Suite) keyLen() int {
	if s.Cipher == TripleDES {
		return 24
	}
	return s.KeyBits / 8
}

func (s Suite) blockLen() int {
	if s.Cipher == TripleDES {
		return des.BlockSize
	}
	return aes.BlockSize
}

func (s Suite) block(key []byte) cipher.Block {
	var b cipher.Block
	var err error
	if s.Cipher == TripleDES {
		b, err = des.NewTripleDESCipher(key)
	} else {
		b, err = aes.NewCipher(key)
	}
	if err != nil {
		panic("ike: " + err.Error()) // the key's length was made from the suite
	}
	return b
}

// DefaultSuites are the phase 1 suites in our order of preference: first the group
// (elliptic curves cost the least, and Windows asks for them), then the cipher, then the
// hash. MODP 1536 is there for routers that know nothing larger. With legacy,
// 3DES, MD5 and MODP 1024 follow. The list is the same for all, and not to be written to.
func DefaultSuites(legacy bool) []Suite {
	if legacy {
		return legacySuites
	}
	return goodSuites
}

var goodSuites, legacySuites = makeSuites(false), makeSuites(true)

func makeSuites(legacy bool) []Suite {
	var good, old []Suite
	groups := []Group{ECP384, ECP256, ECP521, MODP2048, MODP3072, MODP4096, MODP1536, MODP1024}
	ciphers := []Suite{{Cipher: AES, KeyBits: 256}, {Cipher: AES, KeyBits: 192}, {Cipher: AES, KeyBits: 128}, {Cipher: TripleDES}}
	for _, g := range groups {
		for _, s := range ciphers {
			for _, h := range []Hash{SHA256, SHA384, SHA512, SHA1, MD5} {
				s.Hash, s.Group = h, g
				if s.Legacy() {
					old = append(old, s)
				} else {
					good = append(good, s)
				}
			}
		}
	}
	if legacy {
		// Among the old ones the group weighs least: AES with MODP 1024 before 3DES and MD5.
		slices.SortStableFunc(old, func(a, b Suite) int { return oldness(a) - oldness(b) })
		good = append(good, old...)
	}
	return slices.Clip(good)
}

func oldness(s Suite) int {
	n := 0
	if s.Group.Legacy() {
		n++
	}
	if s.Cipher == TripleDES {
		n += 2
	}
	if s.Hash == MD5 {
		n += 4
	}
	return n
}

// offerSuites shortens a list of acceptable suites to what is worth offering:
// the default lists have over a hundred, and old routers choke on long offers.
func offerSuites(legacy bool) []Suite {
	offer := []Suite{
		{AES, 256, SHA256, ECP384}, {AES, 256, SHA256, ECP256}, {AES, 256, SHA256, MODP2048}, {AES, 128, SHA256, MODP2048},
		{AES, 256, SHA1, MODP2048}, {AES, 128, SHA1, MODP2048}, {AES, 256, SHA256, MODP1536}, {AES, 256, SHA1, MODP1536},
	}
	if legacy {
		offer = append(offer, Suite{AES, 256, SHA1, MODP1024}, Suite{AES, 128, SHA1, MODP1024}, Suite{TripleDES, 0, SHA1, MODP1536},
			Suite{TripleDES, 0, SHA1, MODP1024}, Suite{TripleDES, 0, MD5, MODP1024})
	}
	return offer
}
