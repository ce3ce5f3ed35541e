package ike

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vhub/ipsec/esp"
)

// recording is a file of testdata/strongswan-*.txt: messages and strongSwan's own secrets.
type recording struct {
	msgs   [][]byte
	values map[string][]byte
}

func readRecording(t *testing.T, name string) recording {
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r := recording{values: map[string][]byte{}}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if key == "#" {
			continue
		}
		b, err := hex.DecodeString(value)
		if err != nil {
			t.Fatalf("%s: %s: %v", name, key, err)
		}
		if key == "in" || key == "out" {
			r.msgs = append(r.msgs, b)
		} else if r.values[key] == nil {
			r.values[key] = b
		}
	}
	return r
}

func (r recording) message(t *testing.T, n int, id uint32) (header, []byte, []payload) {
	h, body, err := parseHeader(r.msgs[n])
	if err != nil || h.id != id {
		t.Fatalf("message %d: id %#x, %v", n, h.id, err)
	}
	if h.flags&FlagEncrypted != 0 {
		return h, body, nil
	}
	list, err := parsePayloads(h.next, body, false)
	if err != nil {
		t.Fatalf("message %d: %v", n, err)
	}
	return h, body, list
}

// TestRecordedStrongSwan derives everything anew from the messages of real runs and
// compares with what strongSwan printed of its own derivation.
func TestRecordedStrongSwan(t *testing.T) {
	files, _ := filepath.Glob("testdata/strongswan-*.txt")
	if len(files) < 3 {
		t.Fatalf("recordings: %v", files)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			r := readRecording(t, name)
			want := func(what string, got []byte) {
				t.Helper()
				if w := r.values[what]; w == nil || !bytes.Equal(w, got) {
					t.Errorf("%s is %x, strongSwan has %x", what, got, w)
				}
			}
			_, _, m1 := r.message(t, 0, 0)
			h2, _, m2 := r.message(t, 1, 0)
			_, _, m3 := r.message(t, 2, 0)
			_, _, m4 := r.message(t, 3, 0)
			answer, err := parseSA(find(m2, PayloadSA))
			if err != nil {
				t.Fatal(err)
			}
			suite := readTransform1(answer[0].transforms[0]).suite
			t.Log(suite)

			k := deriveKeys(suite, r.values["psk"], find(m3, PayloadNonce), find(m4, PayloadNonce), r.values["shared_Diffie_Hellman_secret"], h2.cookies)
			want("SKEYID", k.skeyid)
			want("SKEYID_d", k.d)
			want("SKEYID_a", k.a)
			want("encryption_key_Ka", k.enc)
			iv := suite.firstIV(find(m3, PayloadKE), find(m4, PayloadKE))
			want("initial_IV", iv)

			// Messages 5 and 6.
			kei, ker := find(m3, PayloadKE), find(m4, PayloadKE)
			sa := find(m1, PayloadSA)
			for n, side := range []string{"HASH_I", "HASH_R"} {
				h, body, _ := r.message(t, 4+n, 0)
				var plain []byte
				if plain, iv, err = k.open(iv, body); err != nil {
					t.Fatal(err)
				}
				list, err := parsePayloads(h.next, plain, true)
				if err != nil {
					t.Fatalf("message %d: %v", 5+n, err)
				}
				hash := k.authHash(kei, ker, h2.i, h2.r, sa, find(list, PayloadID))
				if n == 1 {
					hash = k.authHash(ker, kei, h2.r, h2.i, sa, find(list, PayloadID))
				}
				want(side, hash)
				if !bytes.Equal(hash, find(list, PayloadHash)) {
					t.Errorf("%s on the wire is %x", side, find(list, PayloadHash))
				}
			}
			checkRecordedQuick(t, r, k, iv, want)
		})
	}
}

func checkRecordedQuick(t *testing.T, r recording, k *keys1, last []byte, want func(string, []byte)) {
	h, _, err := parseHeader(r.msgs[6])
	if err != nil {
		t.Fatal(err)
	}
	p := &phase1{keys: k, e: &Endpoint{count: Counters{Dropped: map[Drop]uint64{}}}}
	iv := k.suite.exchangeIV(last, h.id)
	var nonce [2][]byte
	var spi [2]uint32
	var suite esp.Suite
	for n := range 3 {
		hn, body, err := parseHeader(r.msgs[6+n])
		if err != nil || hn.id != h.id {
			t.Fatalf("quick mode message %d: %v", n+1, err)
		}
		m := &message{header: hn, body: body}
		rest, err := p.openPhase2(m, iv)
		if n < 2 && err != nil {
			t.Fatalf("quick mode message %d: %v", n+1, err)
		}
		iv = m.iv
		switch n {
		case 0:
			err = p.verify2(m, rest)
		case 1:
			err = p.verify2(m, nonce[0], rest)
		case 2:
			q := &quick{id: h.id, nonce: nonce}
			if !bytes.Equal(find(m.payloads, PayloadHash), p.hash3(q)) {
				t.Error("HASH(3) does not verify")
			}
			continue
		}
		if err != nil {
			t.Errorf("quick mode message %d: %v", n+1, err)
		}
		nonce[n] = find(m.payloads, PayloadNonce)
		list, err := parseSA(find(m.payloads, PayloadSA))
		if err != nil {
			t.Fatal(err)
		}
		spi[n] = be32(list[0].spi)
		suite = readTransform2(list[0].transforms[0]).suite
	}
	// strongSwan's "initiator" key is for what the initiator sends: with the responder's SPI.
	for n, side := range []string{"responder", "initiator"} {
		keys, err := suite.SplitKeymat(k.keymat(suite.KeymatLen(), nil, spi[n], nonce[0], nonce[1]))
		if err != nil {
			t.Fatal(err)
		}
		want("encryption_"+side+"_key", append(bytes.Clone(keys.Enc), keys.Salt...))
		if len(keys.Auth) > 0 {
			want("integrity_"+side+"_key", keys.Auth)
		}
	}
}
