//go:build amd64 && !purego

package esp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"pgregory.net/rapid"
)

func needFastCBC(t testing.TB) {
	if !fastCBC {
		t.Skip("SKIPPED: no AES instructions here, or built with purego")
	}
}

// Lanes are the library's CBC, for every key length, number of chains and mix of
// lengths, and touch nothing beside.
func TestLanesAgainstLibrary(t *testing.T) {
	needFastCBC(t)
	rapid.Check(t, func(t *rapid.T) {
		key := randomBytes(rapid.Uint64().Draw(t, "key"), rapid.SampledFrom([]int{16, 24, 32}).Draw(t, "key bytes"))
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		l := new(lanes)
		l.rekey(key)
		for range 2 { // the second use finds nothing of the first
			count := rapid.IntRange(1, 8).Draw(t, "chains")
			var got, want [][]byte
			for i := range count {
				n := 16 * rapid.IntRange(0, 100).Draw(t, "blocks")
				iv, body := randomBytes(uint64(i+100), 16), randomBytes(uint64(i), n)
				w := bytes.Clone(body)
				cipher.NewCBCEncrypter(block, iv).CryptBlocks(w, w)
				guarded := append(body, 0xaa, 0xbb)
				want, got = append(want, append(w, 0xaa, 0xbb)), append(got, guarded)
				if more := l.add(iv, guarded[:n]); more != (i < 7) {
					t.Fatalf("after %d chains: more=%v", i+1, more)
				}
			}
			l.run()
			for i := range count {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("chain %d of %d, %d bytes, is not the library's", i, count, len(want[i])-2)
				}
			}
		}
	})
}

func TestDecrypterAgainstLibrary(t *testing.T) {
	needFastCBC(t)
	rapid.Check(t, func(t *rapid.T) {
		key := randomBytes(rapid.Uint64().Draw(t, "key"), rapid.SampledFrom([]int{16, 24, 32}).Draw(t, "key bytes"))
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		n := 16 * rapid.IntRange(0, 200).Draw(t, "blocks")
		iv := [16]byte(randomBytes(3, 16))
		got, want := randomBytes(4, n), randomBytes(4, n)
		cipher.NewCBCDecrypter(block, iv[:]).CryptBlocks(want, want)
		var d decrypter
		d.rekey(key)
		d.decrypt(&iv, got)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes are not the library's", n)
		}
	})
}

// FIPS 197 appendix A: the last round keys of the three examples.
func TestKeyExpansion(t *testing.T) {
	needFastCBC(t)
	for _, v := range []struct{ key, last string }{
		{"2b7e151628aed2a6abf7158809cf4f3c", "d014f9a8c9ee2589e13f0cc8b6630ca6"},
		{"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "e98ba06f448c773c8ecc720401002202"},
		{"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "fe4890d1e6188d0b046df344706c631e"},
	} {
		var k roundKeys
		k.expand(unhex(v.key))
		if got := k.keys[k.rounds]; !bytes.Equal(got[:], unhex(v.last)) {
			t.Errorf("%d-byte key: last round key %x, want %s", len(v.key)/2, got, v.last)
		}
	}
}

// Wycheproof's CBC vectors through the routines.
func TestWycheproofLanes(t *testing.T) {
	needFastCBC(t)
	for _, g := range readWycheproof(t, "aes_cbc_pkcs5_test.json").TestGroups {
		for _, v := range g.Tests {
			if v.Result != "valid" {
				continue
			}
			pad := 16 - len(v.Msg)%16
			got := append(bytes.Clone(v.Msg), bytes.Repeat([]byte{byte(pad)}, pad)...)
			l := new(lanes)
			l.rekey(v.Key)
			l.add(v.Iv, got)
			l.run()
			if !bytes.Equal(got, v.Ct) {
				t.Errorf("test %d: sealed %x, want %x", v.TcID, got, []byte(v.Ct))
			}
		}
	}
}

func BenchmarkCBC(b *testing.B) {
	needFastCBC(b)
	key := randomBytes(1, 16)
	block, _ := aes.NewCipher(key)
	bodies := make([][]byte, 8)
	for i := range bodies {
		bodies[i] = make([]byte, 1424)
	}
	iv := make([]byte, 16)
	b.Run("lanes", func(b *testing.B) {
		l := new(lanes)
		l.rekey(key)
		b.SetBytes(1424)
		for n := 0; n < b.N; n += 8 {
			for i := range bodies {
				l.add(iv, bodies[i])
			}
			l.run()
		}
	})
	b.Run("lane", func(b *testing.B) {
		l := new(lanes)
		l.rekey(key)
		b.SetBytes(1424)
		for n := range b.N {
			l.add(iv, bodies[n%8])
			l.run()
		}
	})
	b.Run("library", func(b *testing.B) {
		mode := modeOf(block, cipher.NewCBCEncrypter, 16)
		b.SetBytes(1424)
		for n := range b.N {
			mode.SetIV(iv)
			mode.CryptBlocks(bodies[n%8], bodies[n%8])
		}
	})
	b.Run("decrypt", func(b *testing.B) {
		var d decrypter
		d.rekey(key)
		b.SetBytes(1424)
		for n := range b.N {
			d.decrypt((*[16]byte)(iv), bodies[n%8])
		}
	})
}
