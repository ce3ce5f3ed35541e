package hub

import "sync/atomic"

// flows remembers TCP flows in one direction: by which link the flow comes in,
// and how far it has come. Pieces of a large segment that come back by another
// link end no later than that, in whatever sizes they come.
//
// A record is a key, how far (sequence number behind the last byte, highest
// acknowledgement), and a word:
//
//	63            32 31           16 15        8 7       0
//	+---------------+---------------+-----------+---------+
//	| time          | link          | version   | flags   |
//	+---------------+---------------+-----------+---------+
//
// Time is the same unit as in seen, with more bits. A writer takes the record
// by setting flowBusy, and gives it back with the next version; a reader that
// saw it busy or changed reads again.
type flows struct {
	mask uint64
	recs []flow
}

type flow struct{ key, far, word, _ atomic.Uint64 }

const (
	flowWays    = 4
	flowValid   = seenValid
	flowFlooded = seenFlooded
	flowHasAck  = 1 << 2 // far holds an acknowledgement
	flowBusy    = 1 << 3
)

func newFlows(n int) *flows {
	sets := 1
	for sets*flowWays < n {
		sets *= 2
	}
	return &flows{mask: uint64(sets - 1), recs: make([]flow, sets*flowWays)}
}

type flowWord uint64

func (w flowWord) link() uint16 { return uint16(w >> 16) }

func (w flowWord) age(units uint32) uint32 {
	if a := units - uint32(w>>32); int32(a) > 0 {
		return a
	}
	return 0
}

// next returns the word to give a record back with.
func (w flowWord) next(units uint32, link uint16, flags uint64) flowWord {
	version := uint8(w>>8) + 1
	return flowWord(uint64(units)<<32 | uint64(link)<<16 | uint64(version)<<8 | flags)
}

// segment is what matters of a TCP segment: where it ends (SYN and FIN count
// one each, RFC 9293 section 3.4) and what it acknowledges.
type segment struct {
	end, ack uint32
	hasAck   bool
	syn      bool
}

func (s *flows) set(key uint64) *[flowWays]flow {
	i := int(key&s.mask) * flowWays
	return (*[flowWays]flow)(s.recs[i : i+flowWays])
}

// read returns a consistent view of a record, if it holds the key.
func (f *flow) read(key uint64) (w flowWord, far uint64, ok bool) {
	for range 1000 {
		w = flowWord(f.word.Load())
		if f.key.Load() != key {
			return 0, 0, false
		}
		far = f.far.Load()
		if w&flowBusy == 0 && flowWord(f.word.Load())&^flowFlooded == w&^flowFlooded {
			return w, far, w&flowValid != 0
		}
	}
	return 0, 0, false // its writer does not run
}

// find returns the record of a flow.
func (s *flows) find(key uint64) (f *flow, w flowWord, far uint64) {
	set := s.set(key)
	for i := range set {
		if set[i].key.Load() == key {
			if w, far, ok := set[i].read(key); ok {
				return &set[i], w, far
			}
		}
	}
	return nil, 0, 0
}

// oldest returns the record to use for a new flow.
func (s *flows) oldest(key uint64, units uint32) (f *flow, w flowWord) {
	set := s.set(key)
	most := uint32(0)
	for i := range set {
		v := flowWord(set[i].word.Load())
		if v&flowValid == 0 && v&flowBusy == 0 {
			return &set[i], v
		}
		if a := v.age(units); v&flowBusy == 0 && (a >= most || f == nil) {
			f, w, most = &set[i], v, a
		}
	}
	return f, w
}

// write takes the record if it is still as w says, and writes it. Whoever
// comes too late leaves it to the other.
func (f *flow) write(w flowWord, key uint64, seg segment, units uint32, link uint16, flags uint64) {
	if !f.word.CompareAndSwap(uint64(w), uint64(w|flowBusy)) {
		return
	}
	if f.key.Load() != key {
		f.key.Store(key)
	}
	if seg.hasAck {
		flags |= flowHasAck
	}
	f.far.Store(uint64(seg.end)<<32 | uint64(seg.ack))
	f.word.Store(uint64(w.next(units, link, flags|flowValid)))
}

// beyond tells a segment that goes beyond what the flow has come to (sequence
// numbers compare modulo 2^32, RFC 9293 section 3.4).
func (seg segment) beyond(w flowWord, far uint64) bool {
	if int32(seg.end-uint32(far>>32)) > 0 {
		return true
	}
	return seg.hasAck && (w&flowHasAck == 0 || int32(seg.ack-uint32(far)) > 0)
}

// join returns how far a flow is with seg added.
func (seg segment) join(w flowWord, far uint64) segment {
	if seg.syn {
		return seg
	}
	if end := uint32(far >> 32); int32(end-seg.end) > 0 {
		seg.end = end
	}
	if ack := uint32(far); w&flowHasAck != 0 && (!seg.hasAck || int32(ack-seg.ack) > 0) {
		seg.ack, seg.hasAck = ack, true
	}
	return seg
}

// sweep forgets flows that were silent for more than max units, in a part of
// the table: number part of parts.
func (s *flows) sweep(part, parts int, units, max uint32) {
	n := (len(s.recs) + parts - 1) / parts
	from := min(part*n, len(s.recs))
	for i := range s.recs[from:min(from+n, len(s.recs))] {
		f := &s.recs[from+i]
		if w := flowWord(f.word.Load()); w&flowValid != 0 && w&flowBusy == 0 && w.age(units) > max {
			f.word.CompareAndSwap(uint64(w), uint64(w&^flowValid))
		}
	}
}
