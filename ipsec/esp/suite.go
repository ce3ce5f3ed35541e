package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"
)

// Cipher is the encryption of a Suite, numbered as the ESP transform identifiers
// of the IPsec DOI (RFC 2407 4.4.4, RFC 3602 5.1, RFC 4106 8).
type Cipher uint8

// The ciphers. TripleDES is accepted under "legacy" only. ESP_NULL (11) and DES (2)
// are not offered.
const (
	TripleDES Cipher = 3  // 3DES-CBC, 24-byte key (RFC 2451)
	AESCBC    Cipher = 12 // AES-CBC (RFC 3602)
	AESGCM16  Cipher = 20 // AES-GCM with a 16-byte ICV (RFC 4106)
)

// Auth is the separate integrity of a Suite, numbered as the authentication
// algorithm attribute of the IPsec DOI (RFC 2407 4.5, RFC 4868 4).
type Auth uint8

// The integrity algorithms. HMACMD5 is accepted under "legacy" only. NoAuth goes
// with AESGCM16 and nothing else: encryption without integrity is not offered.
const (
	NoAuth     Auth = 0
	HMACMD5    Auth = 1 // HMAC-MD5-96 (RFC 2403)
	HMACSHA1   Auth = 2 // HMAC-SHA-1-96 (RFC 2404)
	HMACSHA256 Auth = 5 // HMAC-SHA-256-128 (RFC 4868)
	HMACSHA384 Auth = 6 // HMAC-SHA-384-192 (RFC 4868)
	HMACSHA512 Auth = 7 // HMAC-SHA-512-256 (RFC 4868)
)

// Suite is one choice of cipher, key length and integrity. It is comparable and
// may be a map key.
type Suite struct {
	Cipher  Cipher
	KeyBits int // 128, 192 or 256 for AES (without the GCM salt); 0 for TripleDES, whose key has one length
	Auth    Auth
}

// Suites lists all suites, the preferred first: GCM costs a sixth of CBC with
// HMAC, SHA-256 costs what SHA-1 costs. Those for which Legacy is true come last.
func Suites() []Suite {
	var out []Suite
	for _, bits := range []int{128, 256, 192} {
		out = append(out, Suite{AESGCM16, bits, NoAuth})
	}
	for _, auth := range []Auth{HMACSHA256, HMACSHA1, HMACSHA384, HMACSHA512} {
		for _, bits := range []int{128, 256, 192} {
			out = append(out, Suite{AESCBC, bits, auth})
		}
	}
	for _, bits := range []int{128, 256, 192} {
		out = append(out, Suite{AESCBC, bits, HMACMD5})
	}
	for _, auth := range []Auth{HMACSHA256, HMACSHA1, HMACSHA384, HMACSHA512, HMACMD5} {
		out = append(out, Suite{TripleDES, 0, auth})
	}
	return out
}

// Check says what is wrong with a suite, or nil.
func (s Suite) Check() error {
	switch s.Cipher {
	case TripleDES:
		if s.KeyBits != 0 {
			return fmt.Errorf("esp: 3des has one key length, not %d bits", s.KeyBits)
		}
	case AESCBC, AESGCM16:
		if s.KeyBits != 128 && s.KeyBits != 192 && s.KeyBits != 256 {
			return fmt.Errorf("esp: an AES key has 128, 192 or 256 bits, not %d", s.KeyBits)
		}
	default:
		return fmt.Errorf("esp: transform %d is not supported", s.Cipher)
	}
	if s.Cipher == AESGCM16 {
		if s.Auth != NoAuth {
			return fmt.Errorf("esp: AES-GCM carries its own integrity; leave the authentication algorithm out")
		}
		return nil
	}
	if s.hash() == nil {
		return fmt.Errorf("esp: authentication algorithm %d is not supported with CBC", s.Auth)
	}
	return nil
}

// Legacy tells whether the suite is to be accepted only when the operator asked
// for old algorithms: 3DES (64-bit blocks, RFC 8221 5) or MD5.
func (s Suite) Legacy() bool { return s.Cipher == TripleDES || s.Auth == HMACMD5 }

// EncKeyLen is the length of the encryption key in bytes, without the GCM salt.
func (s Suite) EncKeyLen() int {
	if s.Cipher == TripleDES {
		return 24
	}
	return s.KeyBits / 8
}

// SaltLen is the length in bytes of the salt that follows the encryption key in
// the keying material: 4 for GCM (RFC 4106 8.1), else 0.
func (s Suite) SaltLen() int {
	if s.Cipher == AESGCM16 {
		return 4
	}
	return 0
}

// AuthKeyLen is the length of the integrity key in bytes: the length of the
// hash's result (RFC 2403, 2404, RFC 4868 2.1.1), 0 for GCM.
func (s Suite) AuthKeyLen() int {
	switch s.Auth {
	case HMACMD5:
		return 16
	case HMACSHA1:
		return 20
	case HMACSHA256:
		return 32
	case HMACSHA384:
		return 48
	case HMACSHA512:
		return 64
	}
	return 0
}

// KeymatLen is the number of bytes of keying material one SA needs.
func (s Suite) KeymatLen() int { return s.EncKeyLen() + s.SaltLen() + s.AuthKeyLen() }

// IVLen is the length in bytes of the IV that each packet carries.
func (s Suite) IVLen() int {
	if s.Cipher == AESCBC {
		return 16
	}
	return 8
}

// ICVLen is the length in bytes of the integrity check value behind each packet.
func (s Suite) ICVLen() int {
	switch s.Auth {
	case HMACMD5, HMACSHA1:
		return 12
	case HMACSHA384:
		return 24
	case HMACSHA512:
		return 32
	}
	return 16 // GCM, SHA-256
}

// BlockLen is the number of bytes that payload, padding and trailer are a
// multiple of: the cipher's block for CBC, 4 for GCM (RFC 4303 2.4).
func (s Suite) BlockLen() int {
	switch s.Cipher {
	case AESCBC:
		return 16
	case TripleDES:
		return 8
	}
	return 4
}

var authNames = map[Auth]string{
	HMACMD5: "md5", HMACSHA1: "sha1", HMACSHA256: "sha256", HMACSHA384: "sha384", HMACSHA512: "sha512",
}

// String names the suite as strongSwan's configuration does: "aes128gcm16",
// "aes256-sha256", "3des-md5".
func (s Suite) String() string {
	auth, known := authNames[s.Auth]
	if !known {
		auth = fmt.Sprintf("auth%d", s.Auth)
	}
	switch s.Cipher {
	case AESGCM16:
		return fmt.Sprintf("aes%dgcm16", s.KeyBits)
	case AESCBC:
		return fmt.Sprintf("aes%d-%s", s.KeyBits, auth)
	case TripleDES:
		return "3des-" + auth
	}
	return fmt.Sprintf("transform%d-%d-%s", s.Cipher, s.KeyBits, auth)
}

// ParseSuite reads the form that String writes.
func ParseSuite(text string) (Suite, error) {
	for _, s := range Suites() {
		if s.String() == strings.ToLower(text) {
			return s, nil
		}
	}
	return Suite{}, fmt.Errorf("esp: unknown suite %q (for example aes128gcm16, aes256-sha256, 3des-sha1)", text)
}

// Keys are the secrets of one SA. The slices are kept, not copied: the caller
// must not write to them afterwards.
type Keys struct {
	Enc  []byte // Suite.EncKeyLen bytes
	Salt []byte // Suite.SaltLen bytes, GCM only
	Auth []byte // Suite.AuthKeyLen bytes, not with GCM
}

// SplitKeymat cuts keying material into keys, in the order of the RFCs: the
// encryption key, its salt, the integrity key (RFC 4106 8.1; RFC 2409 5.5 gives
// the whole). It needs Suite.KeymatLen bytes at least.
func (s Suite) SplitKeymat(keymat []byte) (Keys, error) {
	if len(keymat) < s.KeymatLen() {
		return Keys{}, fmt.Errorf("esp: %s needs %d bytes of keying material, not %d", s, s.KeymatLen(), len(keymat))
	}
	var k Keys
	k.Enc, keymat = keymat[:s.EncKeyLen():s.EncKeyLen()], keymat[s.EncKeyLen():]
	k.Salt, keymat = keymat[:s.SaltLen():s.SaltLen()], keymat[s.SaltLen():]
	k.Auth = keymat[:s.AuthKeyLen():s.AuthKeyLen()]
	return k, nil
}

// check tells whether the keys have the lengths the suite wants.
func (k Keys) check(s Suite) error {
	for _, part := range []struct {
		name      string
		got, want int
	}{
		{"encryption key", len(k.Enc), s.EncKeyLen()},
		{"salt", len(k.Salt), s.SaltLen()},
		{"integrity key", len(k.Auth), s.AuthKeyLen()},
	} {
		if part.got != part.want {
			return fmt.Errorf("esp: %s needs a %s of %d bytes, not %d", s, part.name, part.want, part.got)
		}
	}
	return nil
}

// hash is the hash function under the HMAC, or nil for NoAuth and unknown ones.
func (s Suite) hash() func() hash.Hash {
	switch s.Auth {
	case HMACMD5:
		return md5.New
	case HMACSHA1:
		return sha1.New
	case HMACSHA256:
		return sha256.New
	case HMACSHA384:
		return sha512.New384
	case HMACSHA512:
		return sha512.New
	}
	return nil
}

// block is the block cipher keyed with key.
func (s Suite) block(key []byte) (cipher.Block, error) {
	if s.Cipher == TripleDES {
		return des.NewTripleDESCipher(key)
	}
	return aes.NewCipher(key)
}
