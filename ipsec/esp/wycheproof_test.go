package esp

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

// wycheFile is as much of a Wycheproof file as is used here.
type wycheFile struct {
	TestGroups []struct {
		KeySize, IvSize, TagSize int
		Tests                    []struct {
			TcID                       int
			Comment                    string
			Key, Iv, Aad, Msg, Ct, Tag wycheHex
			Result                     string
		}
	}
}

type wycheHex []byte

func (h *wycheHex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func readWycheproof(t *testing.T, name string) wycheFile {
	t.Helper()
	data, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var f wycheFile
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// The AEAD exactly as the suite makes it, so only 96-bit nonces and 128-bit tags.
func TestWycheproofGCM(t *testing.T) {
	ran := 0
	for _, g := range readWycheproof(t, "aes_gcm_test.json").TestGroups {
		if g.IvSize != 96 || g.TagSize != 128 {
			continue
		}
		for _, v := range g.Tests {
			ran++
			block, err := Suite{AESGCM16, g.KeySize, NoAuth}.block(v.Key)
			if err != nil {
				t.Fatal(err)
			}
			aead, err := cipher.NewGCM(block)
			if err != nil {
				t.Fatal(err)
			}
			wire := append(bytes.Clone(v.Ct), v.Tag...)
			plain, err := aead.Open(wire[:0], v.Iv, wire, v.Aad)
			if (err == nil) != (v.Result == "valid") {
				t.Errorf("test %d (%s): %v, want %s", v.TcID, v.Comment, err, v.Result)
			}
			if err == nil && !bytes.Equal(plain, v.Msg) {
				t.Errorf("test %d (%s): opened %x", v.TcID, v.Comment, plain)
			}
		}
	}
	if ran < 100 {
		t.Errorf("only %d vectors ran", ran)
	}
}

// CBC with its mode object used for one packet after another. Wycheproof pads by
// PKCS #5; the valid ones show the cipher, the padding is not ours.
func TestWycheproofCBC(t *testing.T) {
	ran := 0
	for _, g := range readWycheproof(t, "aes_cbc_pkcs5_test.json").TestGroups {
		for _, v := range g.Tests {
			if v.Result != "valid" {
				continue
			}
			ran++
			block, err := Suite{AESCBC, g.KeySize, HMACSHA1}.block(v.Key)
			if err != nil {
				t.Fatal(err)
			}
			seal, open := modeOf(block, cipher.NewCBCEncrypter, 16), modeOf(block, cipher.NewCBCDecrypter, 16)
			pad := 16 - len(v.Msg)%16
			plain := append(bytes.Clone(v.Msg), bytes.Repeat([]byte{byte(pad)}, pad)...)
			got := bytes.Clone(plain)
			for range 2 {
				seal.SetIV(v.Iv)
				seal.CryptBlocks(got, got)
				if !bytes.Equal(got, v.Ct) {
					t.Errorf("test %d: sealed %x, want %x", v.TcID, got, []byte(v.Ct))
				}
				open.SetIV(v.Iv)
				open.CryptBlocks(got, got)
				if !bytes.Equal(got, plain) {
					t.Errorf("test %d: opened %x, want %x", v.TcID, got, plain)
				}
			}
		}
	}
	if ran < 50 {
		t.Errorf("only %d vectors ran", ran)
	}
}

// HMACs through the type that packets use; its ICV is a prefix of the tag, so a
// vector of a longer or equal tag decides it.
func TestWycheproofHMAC(t *testing.T) {
	for file, auth := range map[string]Auth{
		"hmac_sha1_test.json": HMACSHA1, "hmac_sha256_test.json": HMACSHA256,
		"hmac_sha384_test.json": HMACSHA384, "hmac_sha512_test.json": HMACSHA512,
	} {
		ran := 0
		for _, g := range readWycheproof(t, file).TestGroups {
			for _, v := range g.Tests {
				ran++
				m := newMAC(Suite{AESCBC, 128, auth}, v.Key, false)
				m.icv([]byte("something before"), 0)
				m.icv(v.Msg, 0)
				if got := bytes.Equal(m.sum[:g.TagSize/8], v.Tag); got != (v.Result == "valid") {
					t.Errorf("%s test %d (%s): match %v, want %s", file, v.TcID, v.Comment, got, v.Result)
				}
			}
		}
		if ran < 100 {
			t.Errorf("%s: only %d vectors ran", file, ran)
		}
	}
}
