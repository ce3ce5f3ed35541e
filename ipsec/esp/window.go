package esp

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// window is the anti-replay window of RFC 4303 3.4.3 as a ring of words (the
// method of RFC 6479): moving it forward clears whole words and shifts nothing.
//
// Readers call check without a lock before they spend time on the ICV; what it
// says is a hint. accept, behind the ICV, decides under the lock. A packet that
// fails its ICV therefore never moves the window.
//
// An SA begins with room for its first numbers, and gets the ring when they are
// through: most SAs of idle clients never come that far.
type window struct {
	mu    sync.Mutex
	top   atomic.Uint64 // highest accepted sequence number
	size  uint64        // packets behind top that are still taken, top included
	first [4]atomic.Uint64
	ring  atomic.Pointer[[]atomic.Uint64] // bit n%64 of word n/64%len: n was accepted; nil: it is in first
}

// init sets the window to size packets.
func (w *window) init(size int) { w.size = uint64(size) }

// grow makes the ring. It has a word more than the window needs, so the word under
// the oldest numbers is never the one that is filled.
func (w *window) grow() {
	words := w.size/64 + 2
	ring := make([]atomic.Uint64, max(1<<bits.Len64(words-1), len(w.first)))
	for i := range w.first {
		ring[i].Store(w.first[i].Load())
	}
	w.ring.Store(&ring)
}

// fresh says whether seq is still to be had: not behind the window, not seen.
// The lock may be held or not.
func (w *window) fresh(seq uint64) bool {
	top := w.top.Load()
	if seq > top {
		return true
	}
	if top-seq >= w.size {
		return false
	}
	return w.word(seq).Load()&(1<<(seq%64)) == 0
}

// accept marks seq, or says false when it was seen or is behind the window.
// The caller holds mu.
func (w *window) accept(seq uint64) bool {
	if !w.fresh(seq) {
		return false
	}
	top := w.top.Load()
	if seq > top {
		w.advance(top, seq)
	}
	word := w.word(seq)
	word.Store(word.Load() | 1<<(seq%64))
	if seq > top {
		w.top.Store(seq)
	}
	return true
}

// advance clears the words of the numbers behind top, up to seq. It comes before top
// moves: who reads top without the lock finds the words that go with it.
func (w *window) advance(top, seq uint64) {
	ring := w.ring.Load()
	if ring == nil {
		if seq/64 < uint64(len(w.first)) {
			return // never used before
		}
		w.grow()
		ring = w.ring.Load()
	}
	steps := min(seq/64-top/64, uint64(len(*ring)))
	for n := range steps {
		w.word((top/64 + 1 + n) * 64).Store(0)
	}
}

func (w *window) word(seq uint64) *atomic.Uint64 {
	if ring := w.ring.Load(); ring != nil {
		return &(*ring)[seq/64&uint64(len(*ring)-1)]
	}
	return &w.first[seq/64%uint64(len(w.first))]
}

// recoverESN gives the 64-bit sequence number of a packet from the low 32 bits it
// carries (RFC 4303 appendix A2.1). False means that it would be before the first.
func (w *window) recoverESN(low uint32) (uint64, bool) {
	top := w.top.Load()
	high, edge := top>>32, uint32(top)-uint32(w.size-1) // edge: low bits of the window's oldest number
	if uint32(top) >= uint32(w.size-1) {
		// A: the window lies within one subspace of the high bits.
		if low < edge {
			high++
		}
	} else if low >= edge {
		// B: the window spans two, and this one is of the older.
		if high == 0 {
			return 0, false
		}
		high--
	}
	return high<<32 | uint64(low), true
}
