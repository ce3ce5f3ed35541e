//go:build amd64 && !purego

package esp

import (
	"encoding/binary"
	"math/bits"

	"golang.org/x/sys/cpu"
)

// fastCBC tells whether the routines of cbc_amd64.s may be used.
var fastCBC = cpu.X86.HasAES && cpu.X86.HasSSE2

// encrypt8 encrypts blocks blocks of each lane in place. A lane's chain starts with
// its iv, which is left at its last ciphertext block. blocks > 0.
//
//go:noescape
func encrypt8(keys *byte, rounds, blocks int, lanes *[8]*byte, ivs *[8][16]byte)

// decrypt8 decrypts groups times eight blocks in place; iv is left at the last
// ciphertext block. groups > 0.
//
//go:noescape
func decrypt8(keys *byte, rounds, groups int, data *byte, iv *[16]byte)

// subWord is SubWord of FIPS 197 5.2.
func subWord(w uint32) uint32

// invMix is InvMixColumns of FIPS 197 5.3.3 on one round key.
//
//go:noescape
func invMix(dst, src *[16]byte)

// roundKeys are an expanded AES key, as the instructions want it.
type roundKeys struct {
	rounds int
	keys   [15][16]byte
}

// expand is the key expansion of FIPS 197 5.2, on words with the first byte lowest.
// The key has 16, 24 or 32 bytes.
func (k *roundKeys) expand(key []byte) {
	n := len(key) / 4
	k.rounds = n + 6
	var w [60]uint32
	for i := range n {
		w[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	rcon := uint32(1)
	for i := n; i < 4*(k.rounds+1); i++ {
		t := w[i-1]
		switch {
		case i%n == 0:
			t = subWord(bits.RotateLeft32(t, -8)) ^ rcon
			rcon = rcon<<1 ^ (rcon>>7)*0x11b
		case n > 6 && i%n == 4:
			t = subWord(t)
		}
		w[i] = w[i-n] ^ t
	}
	for i := range 4 * (k.rounds + 1) {
		binary.LittleEndian.PutUint32(k.keys[i/4][i%4*4:], w[i])
	}
}

// invert makes the keys for decryption by the equivalent inverse cipher (FIPS 197
// 5.3.5): those of k in opposite order, all but the outer ones mixed.
func (d *roundKeys) invert(k *roundKeys) {
	d.rounds = k.rounds
	for i := range k.rounds + 1 {
		d.keys[i] = k.keys[k.rounds-i]
		if i > 0 && i < k.rounds {
			invMix(&d.keys[i], &k.keys[k.rounds-i])
		}
	}
}

// lanes encrypts CBC chains of several packets at once.
type lanes struct {
	keys  roundKeys
	ptrs  [8]*byte
	ivs   [8][16]byte
	idle  []byte // what lanes without a packet write to
	work  [8]lane
	count int
}

// lane is one chain: what is left of it.
type lane struct {
	iv   [16]byte
	body []byte
}

// rekey sets the key. It is needed before the first chain.
func (l *lanes) rekey(key []byte) { l.keys.expand(key) }

// add puts a chain to the others and tells whether there is room for one more. The
// body is whole blocks, and is encrypted in place by run.
func (l *lanes) add(iv, body []byte) (more bool) {
	l.work[l.count] = lane{[16]byte(iv), body}
	l.count++
	return l.count < len(l.work)
}

// run encrypts what was added: all chains together as far as the shortest goes,
// then those that are left, until none is.
func (l *lanes) run() {
	work := l.work[:l.count]
	for {
		shortest, live := 0, 0
		for i := range work {
			if n := len(work[i].body) / 16; n > 0 {
				live++
				if shortest == 0 || n < shortest {
					shortest = n
				}
			}
		}
		if live == 0 {
			break
		}
		l.step(work, shortest)
	}
	clear(work)
	l.count = 0
}

// step encrypts so many blocks of each chain that has any left.
func (l *lanes) step(work []lane, blocks int) {
	if len(l.idle) < blocks*16 {
		l.idle = make([]byte, max(blocks*16, 2048))
	}
	for i := range l.ptrs {
		l.ptrs[i] = &l.idle[0]
		if i < len(work) && len(work[i].body) > 0 {
			l.ptrs[i], l.ivs[i] = &work[i].body[0], work[i].iv
		}
	}
	encrypt8(&l.keys.keys[0][0], l.keys.rounds, blocks, &l.ptrs, &l.ivs)
	for i := range work {
		if len(work[i].body) > 0 {
			work[i].iv, work[i].body = l.ivs[i], work[i].body[blocks*16:]
		}
	}
	clear(l.ptrs[:])
}

// decrypter decrypts the CBC chain of one packet, eight blocks at a time.
type decrypter struct{ keys roundKeys }

// rekey sets the key. It is needed before the first packet.
func (d *decrypter) rekey(key []byte) {
	var k roundKeys
	k.expand(key)
	d.keys.invert(&k)
}

// decrypt works in place on whole blocks. What is no group of eight is made one. iv
// is undefined afterwards.
func (d *decrypter) decrypt(iv *[16]byte, body []byte) {
	if groups := len(body) / 128; groups > 0 {
		decrypt8(&d.keys.keys[0][0], d.keys.rounds, groups, &body[0], iv)
		body = body[groups*128:]
	}
	if len(body) > 0 {
		var group [128]byte
		copy(group[:], body)
		decrypt8(&d.keys.keys[0][0], d.keys.rounds, 1, &group[0], iv)
		copy(body, group[:])
	}
}
