//go:build amd64 && !purego

package esp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"
)

// The wide routines are the library's GCM for every key length and every length of
// a body up to two groups beyond the largest split of one, both ways, and touch
// nothing beside; a bit that changes anywhere is found.
func TestWideGCMAgainstLibrary(t *testing.T) {
	if !fastGCM {
		t.Skip("SKIPPED: no 512-bit AES and carry-less multiplication here, or built with purego")
	}
	for _, keyLen := range []int{16, 24, 32} {
		key := randomBytes(uint64(keyLen), keyLen)
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		w := new(wide)
		w.rekey(key) // one for all: nothing is left over from the packet before
		sizes := []int{1440, 1442, 8999, 65535}
		for n := range 1100 {
			sizes = append(sizes, n)
		}
		for i, n := range sizes {
			nonce := [12]byte(randomBytes(uint64(i)+1, 12))
			aad := randomBytes(uint64(i)+2, []int{8, 12}[i%2])
			plain := randomBytes(uint64(i)+3, n)
			want := append(aead.Seal(nil, nonce[:], plain, aad), 0xaa, 0xbb)
			got := append(append(bytes.Clone(plain), make([]byte, 16)...), 0xaa, 0xbb)
			w.seal(&nonce, aad, got[:n], got[n:n+16])
			if !bytes.Equal(got, want) {
				t.Fatalf("%d-byte key, body of %d bytes: sealed it is not the library's", keyLen, n)
			}
			wrong := bytes.Clone(want)
			wrong[(i*7)%(n+16)] ^= 1 << (i % 8)
			if w.open(&nonce, aad, wrong[:n], wrong[n:n+16]) {
				t.Fatalf("%d-byte key, body of %d bytes: a changed bit was not found", keyLen, n)
			}
			if !w.open(&nonce, aad, got[:n], got[n:n+16]) || !bytes.Equal(got[:n], plain) || !bytes.Equal(got[n:], want[n:]) {
				t.Fatalf("%d-byte key, body of %d bytes: opened it is not what was sealed", keyLen, n)
			}
			aad[i%8] ^= 1
			if w.open(&nonce, aad, got[:n], got[n:n+16]) {
				t.Fatalf("%d-byte key, body of %d bytes: other additional data was taken", keyLen, n)
			}
		}
	}
}
