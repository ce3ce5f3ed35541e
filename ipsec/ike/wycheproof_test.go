package ike

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

// vectors reads one file of Project Wycheproof.
func vectors(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// What exchange.shared takes and refuses, for points as they stand in a KE payload (RFC 5903 7).
func TestWycheproofECDH(t *testing.T) {
	for file, g := range map[string]Group{"ecdh_secp256r1_ecpoint_test.json": ECP256, "ecdh_secp384r1_ecpoint_test.json": ECP384, "ecdh_secp521r1_ecpoint_test.json": ECP521} {
		var v struct {
			TestGroups []struct {
				Tests []struct {
					TcID                                     int
					Comment, Public, Private, Shared, Result string
				}
			}
		}
		vectors(t, file, &v)
		taken, refused := 0, 0
		for _, group := range v.TestGroups {
			for _, c := range group.Tests {
				public, err := hex.DecodeString(c.Public)
				if err != nil || len(public) == 0 || public[0] != 4 {
					continue // compressed or empty: cannot stand in a KE payload
				}
				secret, err := hex.DecodeString(c.Private)
				if err != nil {
					t.Fatal(err)
				}
				n := g.publicLen() / 2
				secret = bytes.TrimLeft(secret, "\x00")
				secret = append(make([]byte, max(0, n-len(secret))), secret...)
				key, err := g.curve().NewPrivateKey(secret)
				if err != nil {
					t.Fatalf("%s %d: %v", file, c.TcID, err)
				}
				x := &exchange{group: g, ec: key, public: key.PublicKey().Bytes()[1:]}
				got, err := x.shared(public[1:])
				switch {
				case c.Result == "invalid" && err == nil:
					t.Errorf("%s %d (%s): taken", file, c.TcID, c.Comment)
				case c.Result == "valid" && (err != nil || hex.EncodeToString(got) != c.Shared):
					t.Errorf("%s %d (%s): %x, %v", file, c.TcID, c.Comment, got, err)
				case err == nil:
					taken++
				default:
					refused++
				}
			}
		}
		t.Logf("%s: %d taken, %d refused, all rightly", g, taken, refused)
		if taken < 100 || refused == 0 {
			t.Errorf("%s: %d taken, %d refused", file, taken, refused)
		}
	}
}

// The PRFs of phase 1.
func TestWycheproofHMAC(t *testing.T) {
	for file, h := range map[string]Hash{"hmac_sha1_test.json": SHA1, "hmac_sha256_test.json": SHA256, "hmac_sha384_test.json": SHA384, "hmac_sha512_test.json": SHA512} {
		var v struct {
			TestGroups []struct {
				TagSize int
				Tests   []struct {
					TcID                  int
					Key, Msg, Tag, Result string
				}
			}
		}
		vectors(t, file, &v)
		n := 0
		for _, group := range v.TestGroups {
			for _, c := range group.Tests {
				tag := hex.EncodeToString(h.prf(unhex(c.Key), unhex(c.Msg))[:group.TagSize/8])
				if (tag == c.Tag) != (c.Result == "valid") {
					t.Errorf("%s %d", file, c.TcID)
				}
				n++
			}
		}
		if n < 50 {
			t.Errorf("%s: %d vectors", file, n)
		}
	}
}
