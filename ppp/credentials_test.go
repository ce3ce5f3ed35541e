package ppp

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// TestRFC2759Vectors are the values of RFC 2759 section 9.2.
func TestRFC2759Vectors(t *testing.T) {
	challenge := unhex("5B5D7C7D7B3F2F3E3C2C602132262628")
	peer := unhex("21402324255E262A28295F2B3A337C7E")
	nt := unhex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")
	const proof = "S=407A5589115FD0D6209F510FE9C04566932CDA56"
	if got := NTHash("clientPass"); !bytes.Equal(got[:], unhex("44EBBA8D5312B8D611474411F56989AE")) {
		t.Errorf("hash %x", got)
	}
	response, expect := respond("User", "clientPass", challenge, peer)
	want := append(append(append([]byte{}, peer...), make([]byte, 8)...), append(nt, 0)...)
	if !bytes.Equal(response, want) || expect != proof {
		t.Errorf("response %x, expects %s", response, expect)
	}
	for _, m := range []Method{MSCHAPv2, EAPMSCHAPv2} {
		c := Credentials{Method: m, User: "User", Challenge: challenge, Response: response}
		if r := c.CheckPassword("clientPass"); !r.OK || r.Authenticator != proof {
			t.Errorf("%v: %+v", m, r)
		}
		c.User = `HOME\User` // the domain does not count
		if r := c.CheckHash(NTHash("clientPass")); !r.OK {
			t.Errorf("%v with a domain: %+v", m, r)
		}
		for i := range 8 * responseLen {
			if i/8 >= challengeLen && i/8 < ntOffset || i/8 == responseLen-1 {
				continue // reserved
			}
			bad := c
			bad.Response = bytes.Clone(response)
			bad.Response[i/8] ^= 1 << (i % 8)
			if r := bad.CheckPassword("clientPass"); r.OK || r.Authenticator != "" {
				t.Fatalf("bit %d of the response does not matter", i)
			}
		}
	}
	for what, c := range map[string]Credentials{
		"password": {Method: MSCHAPv2, User: "User", Challenge: challenge, Response: response},
		"short":    {Method: MSCHAPv2, User: "User", Challenge: challenge, Response: response[:48]},
		"empty":    {Method: MSCHAPv2},
		"method":   {Method: PAP, Password: []byte("x"), Challenge: challenge, Response: response},
	} {
		if r := c.CheckPassword("clientpass"); r.OK {
			t.Errorf("%s: accepted", what)
		}
	}
}

// TestCHAPMD5 is RFC 1994 section 4.1; the value was computed with
// printf '\x07secret\x01...\x10' | md5sum.
func TestCHAPMD5(t *testing.T) {
	challenge := unhex("0102030405060708090a0b0c0d0e0f10")
	c := Credentials{Method: CHAPMD5, User: "u", ID: 7, Challenge: challenge, Response: unhex("9202454b727fb7e4d68ee20d80d9a59b")}
	if !c.CheckPassword("secret").OK || c.CheckPassword("Secret").OK {
		t.Error("wrong")
	}
	c.ID++
	if c.CheckPassword("secret").OK {
		t.Error("the identifier does not matter")
	}
}

func TestPAP(t *testing.T) {
	c := Credentials{Method: PAP, User: "u", Password: []byte("geheim")}
	if !c.CheckPassword("geheim").OK || c.CheckPassword("geheim2").OK || c.CheckPassword("").OK {
		t.Error("wrong")
	}
}
