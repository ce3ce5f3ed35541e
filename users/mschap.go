package users

import (
	"crypto/des" // RFC 2759 is made of it; it lives inside ESP
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 the NT hash is MD4
)

// HashPassword is NtPasswordHash (RFC 2759 section 8.3).
func HashPassword(password string) NTHash {
	h := md4.New()
	for _, u := range utf16.Encode([]rune(password)) {
		h.Write([]byte{byte(u), byte(u >> 8)})
	}
	return NTHash(h.Sum(nil))
}

// challengeHash is ChallengeHash (section 8.2). A Windows domain before the
// name is not part of it.
func challengeHash(challenge, peer [16]byte, name string) [8]byte {
	if _, after, ok := strings.Cut(name, `\`); ok {
		name = after
	}
	h := sha1.New()
	h.Write(peer[:])
	h.Write(challenge[:])
	h.Write([]byte(name))
	return [8]byte(h.Sum(nil))
}

// ntResponse is GenerateNTResponse (section 8.1).
func ntResponse(challenge, peer [16]byte, name string, hash NTHash) (out [24]byte) {
	c := challengeHash(challenge, peer, name)
	var keys [21]byte
	copy(keys[:], hash[:])
	for i := range 3 {
		block, err := des.NewCipher(desKey([7]byte(keys[7*i:])))
		if err != nil {
			panic(err) // a key of 8 bytes is always good
		}
		block.Encrypt(out[8*i:], c[:])
	}
	return out
}

// desKey spreads 56 bits over 8 bytes; the parity bits are not looked at.
func desKey(k [7]byte) []byte {
	var v uint64
	for _, b := range k {
		v = v<<8 | uint64(b)
	}
	out := make([]byte, 8)
	for i := range out {
		out[i] = byte(v>>(49-7*i)) << 1
	}
	return out
}

const (
	magic1 = "Magic server to client signing constant"
	magic2 = "Pad to make it do more than one iteration"
)

// authenticatorResponse is GenerateAuthenticatorResponse (section 8.7).
func authenticatorResponse(challenge, peer [16]byte, name string, hash NTHash, response [24]byte) string {
	m := md4.New()
	m.Write(hash[:])
	h := sha1.New()
	h.Write(m.Sum(nil))
	h.Write(response[:])
	h.Write([]byte(magic1))
	digest := h.Sum(nil)
	c := challengeHash(challenge, peer, name)
	h = sha1.New()
	h.Write(digest)
	h.Write(c[:])
	h.Write([]byte(magic2))
	return "S=" + strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}
