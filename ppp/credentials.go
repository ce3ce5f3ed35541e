package ppp

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"layeh.com/radius/rfc2759"
)

// Credentials are what a peer presents. Which fields are set depends on
// Method. They can be checked here, where the password or its NT hash is
// known, or be sent to a RADIUS server as they are (RFC 2865, RFC 2548).
type Credentials struct {
	Method Method
	User   string // as presented, with realm or hub

	Password []byte // PAP

	ID        byte   // of the challenge; not PAP
	Challenge []byte // not PAP: 16 bytes, ours
	Response  []byte // CHAPMD5: 16 bytes; MS-CHAPv2: the 49 bytes of the value field (RFC 2759 section 4)
}

// Result is the answer to an EventAuth.
type Result struct {
	OK bool
	// Authenticator is the proof that this end knows the password too, "S=" and
	// 40 hex digits (RFC 2759 section 5). MS-CHAPv2 needs it.
	Authenticator string
}

const (
	challengeLen = 16
	responseLen  = 49 // peer's challenge 16, reserved 8, NT response 24, flags 1
	ntOffset     = 24
)

// CheckHash checks MS-CHAPv2 credentials against the NT hash of the password,
// in a time that does not depend on where they differ. It refuses other methods.
func (c *Credentials) CheckHash(ntHash [16]byte) Result {
	if c.Method != MSCHAPv2 && c.Method != EAPMSCHAPv2 || len(c.Response) != responseLen || len(c.Challenge) != challengeLen {
		return Result{}
	}
	peer, nt := c.Response[:challengeLen], c.Response[ntOffset:ntOffset+24]
	hash := rfc2759.ChallengeHash(peer, c.Challenge, hashedName(c.User))
	want := rfc2759.ChallengeResponse(hash, ntHash[:])
	if subtle.ConstantTimeCompare(want, nt) != 1 {
		return Result{}
	}
	return Result{OK: true, Authenticator: serverProof(ntHash, hash, nt)}
}

// CheckPassword checks credentials of any method against the password.
func (c *Credentials) CheckPassword(password string) Result {
	switch c.Method {
	case PAP:
		want, got := sha256.Sum256([]byte(password)), sha256.Sum256(c.Password) // equal lengths
		return Result{OK: subtle.ConstantTimeCompare(want[:], got[:]) == 1}
	case CHAPMD5:
		want := md5Response(c.ID, password, c.Challenge)
		return Result{OK: subtle.ConstantTimeCompare(want, c.Response) == 1}
	}
	return c.CheckHash(NTHash(password))
}

// NTHash is the hash that MS-CHAPv2 needs instead of the password: MD4 of the
// password in UTF-16 (RFC 2759 section 8.3). It is worth as much as the
// password to whoever has it.
func NTHash(password string) [16]byte {
	utf16, err := rfc2759.ToUTF16([]byte(password))
	if err != nil { // not UTF-8: no client can send the same
		utf16 = []byte(password)
	}
	return [16]byte(rfc2759.NTPasswordHash(utf16))
}

// hashedName is the part of a user name that goes into the hash: without a
// domain before a backslash (RFC 2759 section 8.2, and what Windows does).
func hashedName(user string) []byte {
	return []byte(user[strings.LastIndexByte(user, '\\')+1:])
}

// md5Response is RFC 1994 section 4.1.
func md5Response(id byte, password string, challenge []byte) []byte {
	h := md5.New()
	h.Write([]byte{id})
	h.Write([]byte(password))
	h.Write(challenge)
	return h.Sum(nil)
}

// serverProof is RFC 2759 section 8.7, from the NT hash. challengeHash is
// the 8 bytes of section 8.2.
func serverProof(ntHash [16]byte, challengeHash, ntResponse []byte) string {
	const (
		magic1 = "Magic server to client signing constant"
		magic2 = "Pad to make it do more than one iteration"
	)
	h := sha1.New()
	h.Write(rfc2759.NTPasswordHash(ntHash[:])) // the hash of the hash: section 8.4
	h.Write(ntResponse)
	h.Write([]byte(magic1))
	digest := h.Sum(nil)
	h.Reset()
	h.Write(digest)
	h.Write(challengeHash)
	h.Write([]byte(magic2))
	return "S=" + strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}

// respond makes a client's 49 bytes for a challenge, and the proof to expect
// from the server.
func respond(user, password string, challenge, peerChallenge []byte) (response []byte, expect string) {
	nt := NTHash(password)
	hash := rfc2759.ChallengeHash(peerChallenge, challenge, hashedName(user))
	r := rfc2759.ChallengeResponse(hash, nt[:])
	response = append(make([]byte, 0, responseLen), peerChallenge...)
	response = append(response, make([]byte, 8)...)
	response = append(append(response, r...), 0)
	return response, serverProof(nt, hash, r)
}
