package hub

import "sync/atomic"

// seen remembers the frames that were accepted lately: by which link, and when.
// Nobody locks it. A set of four records is one cache line; the oldest record
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
	seenRepeats   = 1 << 2
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

// find returns the record of a key and its word; without one, word 0 and the
// record to use for it: a free one, or the oldest of the set.
func (s *seen) find(key uint64, units uint32) (*record, seenWord) {
	set := s.set(key)
	best, most := &set[0], uint32(0)
	for i := range set {
		r := &set[i]
		w := seenWord(r.word.Load())
		if r.key.Load() == key && uint64(w)>>8&63 == key>>58 && w&seenValid != 0 {
			return r, w
		}
		age := ^uint32(0)
		if w&seenValid != 0 {
			age = (units - uint32(w>>38)) & seenTimeMask
		}
		if age > most {
			best, most = r, age
		}
	}
	return best, 0
}

// set writes a record for a key.
func (r *record) set(key uint64, w seenWord) {
	r.key.Store(key)
	r.word.Store(uint64(w))
}

// sweep removes the records older than max units in a part of the table:
// number part of parts.
func (s *seen) sweep(part, parts int, units, max uint32) {
	n := (len(s.recs) + parts - 1) / parts
	from := min(part*n, len(s.recs))
	for i := range s.recs[from:min(from+n, len(s.recs))] {
		r := &s.recs[from+i]
		if w := r.word.Load(); w != 0 && seenWord(w).age(units) > max {
			r.word.CompareAndSwap(w, 0)
		}
	}
}
