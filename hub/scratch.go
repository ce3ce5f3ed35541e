package hub

import (
	"time"

	"vhub/arp"
	"vhub/eth"
)

// scratch is what one batch needs. Readers share a pool of them, so that an
// idle reader costs nothing.
type scratch struct {
	tally
	out     []pending // by link number
	touched []*member // those with pending frames, in the order in which they got the first
	queued  int       // pending frames of all links
	glances []glance
	arp     arp.Out
}

// pending are the frames that will leave by one link, in order.
type pending struct{ frames []eth.Frame }

// maxQueued is how many pending frames a scratch gathers before it flushes in
// the middle of a batch, so that a flood to thousands of links stays small.
const maxQueued = 8192

// send queues a frame for a link.
func (s *scratch) send(now time.Time, out *member, f *eth.Frame) {
	if longest(f) > out.maxFrame {
		out.link.out.tooLong.Add(1)
		return
	}
	for int(out.id) >= len(s.out) {
		s.out = append(s.out, pending{})
	}
	p := &s.out[out.id]
	if len(p.frames) == 0 {
		s.touched = append(s.touched, out)
	}
	p.frames = append(p.frames, *f)
	if s.queued++; s.queued >= maxQueued {
		s.flush(now)
	}
}

// longest is the length of the frame, or of the longest segment of a large one.
func longest(f *eth.Frame) int {
	if f.GSO == eth.GSONone {
		return len(f.Data)
	}
	return min(len(f.Data), int(f.HdrLen)+int(f.SegSize))
}

// flush hands each touched port its frames.
func (s *scratch) flush(now time.Time) {
	for _, m := range s.touched {
		p := &s.out[m.id]
		n := m.port.WriteFrames(p.frames)
		n = min(max(n, 0), len(p.frames))
		if m.capture != nil {
			m.capture(now, true, p.frames[:n])
		}
		m.link.out.took(p.frames, n)
		clear(p.frames) // the bytes are not ours
		p.frames = p.frames[:0]
	}
	clear(s.touched)
	s.touched, s.queued = s.touched[:0], 0
}
