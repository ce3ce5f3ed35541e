package hub

import (
	"runtime"
	"sync/atomic"
)

// seen remembers the frames that were accepted lately: by which link, and when.
// Nobody locks it: whoever writes a record takes it by a compare-and-swap of its
// word, so that of two readers with the same frame, by two ports of one wire,
// one is the first. A set of four records is one cache line; the oldest record
// of a set makes room.
//
// A record is a key, written first, and a word with the rest:
//
//	63         38 37           22 21      14 13     8 7       0
//	+------------+---------------+----------+--------+---------+
//	| time       | link          | IP id    | tag    | flags   |
//	+------------+---------------+----------+--------+---------+
//
// Time counts in 64 µs and wraps after 71 minutes; sweep removes what is old.
// The tag repeats six bits of the key: a word that was left by another key
// while somebody writes does not match.
type seen struct {
	mask uint64 // number of sets - 1
	recs []record
}

type record struct{ key, word atomic.Uint64 }

const (
	seenWays  = 4
	seenValid = 1 << 0 // the record is in use
	// seenFlooded: the frame was flooded, so the hub itself may have sent it
	// where it came back.
	seenFlooded = 1 << 1
	// seenRepeats: the sender really repeats this frame.
	seenRepeats = 1 << 2
	// seenBusy stands alone in the word while a writer has the record.
	seenBusy      = 1 << 3
	seenCountUnit = 1 << 4 // the count of arrivals is in bits 4 to 7
	seenCountMask = 15 << 4
	seenTimeBits  = 26
	seenTimeMask  = 1<<seenTimeBits - 1
)

// usPerUnit is the resolution of seen's times in microseconds, as a shift.
const usPerUnit = 6

func newSeen(frames int) *seen {
	sets := 1
	for sets*seenWays < frames {
		sets *= 2
	}
	return &seen{mask: uint64(sets - 1), recs: make([]record, sets*seenWays)}
}

// seenWord is the word of a record.
type seenWord uint64

func makeSeen(key uint64, units uint32, link uint16, id uint8) seenWord {
	return seenWord(uint64(units&seenTimeMask)<<38 | uint64(link)<<22 | uint64(id)<<14 | key>>58<<8 | seenCountUnit | seenValid)
}

func (w seenWord) link() uint16 { return uint16(w >> 22) }
func (w seenWord) id() uint8    { return uint8(w >> 14) }
func (w seenWord) count() int   { return int(w&seenCountMask) / seenCountUnit }

// age returns how long ago the record was made, in units. A record of another
// reader, whose clock is a little ahead, has age 0.
func (w seenWord) age(units uint32) uint32 {
	a := (units - uint32(w>>38)) & seenTimeMask
	if a >= seenTimeMask-(1<<14) { // up to 1 s ahead
		return 0
	}
	return a
}

// again returns the word with one arrival more, no more than 15.
func (w seenWord) again() seenWord {
	if w&seenCountMask == seenCountMask {
		return w
	}
	return w + seenCountUnit
}

// at returns the word with a new time.
func (w seenWord) at(units uint32) seenWord {
	return w&^(seenTimeMask<<38) | seenWord(units&seenTimeMask)<<38
}

// set returns the records in which the key may be.
func (s *seen) set(key uint64) *[seenWays]record {
	i := int(key&s.mask) * seenWays
	return (*[seenWays]record)(s.recs[i : i+seenWays])
}

// find returns the record of a key and its word. Without one, known is false,
// and the record is the one to use for it, a free one or the oldest of the set,
// with the word to take it by.
func (s *seen) find(key uint64, units uint32) (r *record, w seenWord, known bool) {
	set := s.set(key)
	for range seenTries {
		busy := false
		r, w = &set[0], 0
		most := uint32(0)
		for i := range set {
			x := seenWord(set[i].word.Load())
			switch {
			case x&seenBusy != 0:
				busy = true // perhaps for this very key
			case set[i].key.Load() == key && uint64(x)>>8&63 == key>>58 && x&seenValid != 0:
				return &set[i], x, true
			}
			age := ^uint32(0)
			if x&seenValid != 0 {
				age = (units - uint32(x>>38)) & seenTimeMask
			}
			if x&seenBusy == 0 && age > most {
				r, w, most = &set[i], x, age
			}
		}
		if !busy {
			break
		}
		runtime.Gosched()
	}
	return r, w, false
}

// seenTries bounds how often readers that meet at a record try again; a frame
// that is not judged by then passes.
const seenTries = 64

// take writes a record for a key if it is still as find found it. It reports
// whether it did; if not, another reader was first.
func (r *record) take(was seenWord, key uint64, w seenWord) bool {
	if was&seenBusy != 0 || !r.word.CompareAndSwap(uint64(was), seenBusy) {
		return false
	}
	r.key.Store(key)
	r.word.Store(uint64(w))
	return true
}

// swap changes the word of a record if it is still what it was.
func (r *record) swap(was, w seenWord) bool {
	return r.word.CompareAndSwap(uint64(was), uint64(w))
}

// sweep removes the records older than max units in a part of the table:
// number part of parts.
func (s *seen) sweep(part, parts int, units, max uint32) {
	n := (len(s.recs) + parts - 1) / parts
	from := min(part*n, len(s.recs))
	for i := range s.recs[from:min(from+n, len(s.recs))] {
		r := &s.recs[from+i]
		if w := seenWord(r.word.Load()); w&seenValid != 0 && w.age(units) > max {
			r.swap(w, 0)
		}
	}
}
