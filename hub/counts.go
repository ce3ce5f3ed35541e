package hub

import (
	"sync/atomic"

	"vhub/eth"
)

// tally is what a batch counts before it is added to the reader's counts.
type tally struct {
	frames, segments, bytes  uint64
	flooded, held, unlearned uint64
	drops                    [numReasons]uint64
}

// counts are a reader's counters. Only its goroutine adds to them.
type counts struct {
	frames, segments, bytes  atomic.Uint64
	flooded, held, unlearned atomic.Uint64
	learned, moves           atomic.Uint64 // only in sums
	drops                    [numReasons]atomic.Uint64
}

// add adds a tally and empties it.
func (c *counts) add(t *tally) {
	c.frames.Add(t.frames)
	c.segments.Add(t.segments)
	c.bytes.Add(t.bytes)
	if t.flooded > 0 {
		c.flooded.Add(t.flooded)
	}
	if t.held > 0 {
		c.held.Add(t.held)
	}
	if t.unlearned > 0 {
		c.unlearned.Add(t.unlearned)
	}
	for i, n := range t.drops {
		if n > 0 {
			c.drops[i].Add(n)
		}
	}
	*t = tally{}
}

// addAll adds the counts of another reader.
func (c *counts) addAll(o *counts) {
	c.frames.Add(o.frames.Load())
	c.segments.Add(o.segments.Load())
	c.bytes.Add(o.bytes.Load())
	c.flooded.Add(o.flooded.Load())
	c.held.Add(o.held.Load())
	c.unlearned.Add(o.unlearned.Load())
	c.learned.Add(o.learned.Load())
	c.moves.Add(o.moves.Load())
	for i := range c.drops {
		c.drops[i].Add(o.drops[i].Load())
	}
}

// outCounts count what left by a link. All readers add to them, once a batch.
type outCounts struct {
	frames, segments, bytes atomic.Uint64
	tooLong, full           atomic.Uint64
}

func (c *outCounts) addAll(o *outCounts) {
	c.frames.Add(o.frames.Load())
	c.segments.Add(o.segments.Load())
	c.bytes.Add(o.bytes.Load())
	c.tooLong.Add(o.tooLong.Load())
	c.full.Add(o.full.Load())
}

// took counts what a port took of frames, and what it left.
func (c *outCounts) took(frames []eth.Frame, n int) {
	segments, bytes := 0, 0
	for i := range frames[:n] {
		segments += segmentsOf(&frames[i])
		bytes += len(frames[i].Data)
	}
	c.frames.Add(uint64(n))
	c.segments.Add(uint64(segments))
	c.bytes.Add(uint64(bytes))
	if left := len(frames) - n; left > 0 {
		c.full.Add(uint64(left))
	}
}

func segmentsOf(f *eth.Frame) int {
	if f.GSO == eth.GSONone {
		return 1
	}
	return eth.Pieces(f)
}

// public returns the counters as Status shows them.
func public(in *counts, out *outCounts) Counters {
	c := Counters{
		InFrames: in.frames.Load(), InSegments: in.segments.Load(), InBytes: in.bytes.Load(), InFlooded: in.flooded.Load(),
		OutFrames: out.frames.Load(), OutSegments: out.segments.Load(), OutBytes: out.bytes.Load(),
		HeldMoves: in.held.Load(), Unlearned: in.unlearned.Load(), Learned: in.learned.Load(), Moves: in.moves.Load(),
		Drops: make(Drops),
	}
	for i := range in.drops {
		n := in.drops[i].Load()
		switch Reason(i) {
		case TooLong:
			n += out.tooLong.Load()
		case PortFull:
			n += out.full.Load()
		}
		if n > 0 {
			c.Drops[Reason(i)] = n
			c.Dropped += n
		}
	}
	return c
}
