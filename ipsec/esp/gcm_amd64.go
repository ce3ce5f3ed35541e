//go:build amd64 && !purego

package esp

import (
	"crypto/subtle"
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

// fastGCM tells whether the routines of gcm_amd64.s may be used.
var fastGCM = fastCBC && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512VAES && cpu.X86.HasAVX512VPCLMULQDQ

// counter16 adds key stream to groups times sixteen blocks in place (SP 800-38D
// 6.5). It begins with the given counter block, and leaves the next one there.
// groups > 0.
//
//go:noescape
func counter16(keys *byte, rounds, groups int, counter *[16]byte, data *byte)

// ghash16 takes groups times sixteen blocks into the sum (SP 800-38D 6.4). groups > 0.
//
//go:noescape
func ghash16(sum *[16]byte, powers *[16][16]byte, groups int, data *byte)

// wideKeys is an AES key for the routines of gcm_amd64.s. It may be shared.
type wideKeys struct {
	roundKeys
	powers [16][16]byte // of the hash key, the 16th first, as ghash16 wants them
}

// rekey sets the key. It is needed before the first packet.
func (k *wideKeys) rekey(key []byte) {
	k.expand(key)
	var counter [16]byte
	var group [256]byte // its first block becomes the hash key, E(0) (SP 800-38D 6.4)
	counter16(&k.keys[0][0], k.rounds, 1, &counter, &group[0])
	power := [16]byte(group[:16])
	clear(group[:])
	for i := len(k.powers) - 1; i >= 0; i-- {
		k.powers[i] = element{binary.BigEndian.Uint64(power[:8]), binary.BigEndian.Uint64(power[8:])}.doubled()
		// The sum of a group that is zero but for its last block is that block times the hash key.
		copy(group[240:], power[:])
		power = [16]byte{}
		ghash16(&power, &k.powers, 1, &group[0])
	}
}

// element is an element of GCM's field: a block as a big-endian number, whose
// highest bit is the coefficient of x^0.
type element struct{ hi, lo uint64 }

// doubled is the element shifted by the one bit that the product of two numbers
// with their bits in opposite order is short of, lowest byte first.
func (a element) doubled() (b [16]byte) {
	carry := -(a.hi >> 63)
	binary.LittleEndian.PutUint64(b[:], a.lo<<1^carry&1)
	binary.LittleEndian.PutUint64(b[8:], a.hi<<1^a.lo>>63^carry&(0xc2<<56))
	return b
}

// wide is AES-GCM with a 12-byte nonce and a 16-byte tag, for one goroutine.
type wide struct {
	wideKeys
	counter, mask, sum [16]byte
	group              [256]byte // what is no whole group of the body
}

// seal encrypts the body in place and writes the tag.
func (w *wide) seal(nonce *[12]byte, aad, body, tag []byte) {
	w.crypt(nonce, body)
	w.hash(aad, body)
	subtle.XORBytes(tag, w.sum[:], w.mask[:])
}

// open checks the tag and decrypts the body in place. The body is undefined where
// the tag is wrong.
func (w *wide) open(nonce *[12]byte, aad, body, tag []byte) bool {
	w.hash(aad, body)
	w.crypt(nonce, body)
	subtle.XORBytes(w.sum[:], w.sum[:], w.mask[:])
	return subtle.ConstantTimeCompare(w.sum[:], tag) == 1
}

// crypt adds the key stream to the body. Its first block is the mask of the tag
// (SP 800-38D 7.1), so the first group has that and 15 blocks of the body.
func (w *wide) crypt(nonce *[12]byte, body []byte) {
	copy(w.counter[:], nonce[:])
	binary.BigEndian.PutUint32(w.counter[12:], 1)
	clear(w.group[:16])
	n := copy(w.group[16:], body)
	w.stream(1, &w.group[0])
	w.mask = [16]byte(w.group[:16])
	copy(body[:n], w.group[16:])
	body = body[n:]
	if groups := len(body) / len(w.group); groups > 0 {
		w.stream(groups, &body[0])
		body = body[groups*len(w.group):]
	}
	if len(body) > 0 {
		copy(w.group[:], body)
		w.stream(1, &w.group[0])
		copy(body, w.group[:])
	}
}

func (w *wide) stream(groups int, data *byte) {
	counter16(&w.keys[0][0], w.rounds, groups, &w.counter, data)
}

// hash leaves GHASH of additional data (up to 16 bytes), body and their lengths in
// sum. Zero blocks before everything else change nothing, so the first group is
// filled up with them and all others are whole.
func (w *wide) hash(aad, body []byte) {
	w.sum = [16]byte{}
	size := len(body)
	blocks := 1 + (size+15)/16 + 1
	at := len(w.group) - 16*((blocks-1)%16+1)
	clear(w.group[:])
	copy(w.group[at:], aad)
	body = body[copy(w.group[at+16:], body):]
	if blocks > 16 {
		ghash16(&w.sum, &w.powers, 1, &w.group[0])
		if groups := len(body) / len(w.group); groups > 0 {
			ghash16(&w.sum, &w.powers, groups, &body[0])
			body = body[groups*len(w.group):]
		}
		clear(w.group[:])
		copy(w.group[:], body)
	}
	binary.BigEndian.PutUint64(w.group[240:], uint64(len(aad))*8)
	binary.BigEndian.PutUint64(w.group[248:], uint64(size)*8)
	ghash16(&w.sum, &w.powers, 1, &w.group[0])
}
