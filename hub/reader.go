package hub

import (
	"slices"
	"sync/atomic"
	"time"

	"vhub/arp"
	"vhub/eth"
)

// Reader is what one goroutine hands frames in by. It has counters of its own,
// so that readers share no cache line. An idle one takes about 350 bytes.
type Reader struct {
	hub  *Hub
	link *Link // nil: the hub itself
	at   int   // in hub.readers, -1 when it is out; under hub.mu
	// epoch is odd while the reader is in a batch and may hold the view of its
	// beginning.
	epoch  atomic.Uint64
	counts counts
	_      [64]byte
}

// NewReader makes a reader, to be used by one goroutine at a time. Several may
// be in use at once, one for each queue of a device.
func (l *Link) NewReader() *Reader {
	r := &Reader{hub: l.hub, link: l}
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	l.readers = append(l.readers, r)
	r.at = len(l.hub.readers)
	l.hub.readers = append(l.hub.readers, r)
	return r
}

// Close gives the reader up; its counts stay with the link. It must not be in
// Input. Readers of a detached link need not be closed.
func (r *Reader) Close() {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(r.link.readers, r); i >= 0 {
		r.link.readers = slices.Delete(r.link.readers, i, i+1)
		if r.link.closed == nil {
			r.link.closed = new(counts)
		}
		r.link.closed.addAll(&r.counts)
		h.forgetReader(r)
	}
}

// forgetReader takes a reader out of the hub's list, where it is no more when its
// link was detached. Called with h.mu held.
func (h *Hub) forgetReader(r *Reader) {
	if r.at < 0 {
		return
	}
	last := len(h.readers) - 1
	moved := h.readers[last]
	h.readers[r.at], moved.at = moved, r.at
	h.readers[last] = nil
	h.readers = h.readers[:last]
	r.at = -1
}

// Input takes frames that came in by the link, in order, and runs each to its
// end: when it returns, the ports that should have them were given them, and
// the hub is done with their bytes. It waits for nobody. now must not go back
// from call to call.
func (r *Reader) Input(now time.Time, frames []eth.Frame) {
	if len(frames) == 0 {
		return
	}
	h := r.hub
	s := h.scratch.Get().(*scratch)
	r.epoch.Add(1)
	v := h.view.Load()
	if in := v.member(r.link.id); in != nil && in.link == r.link {
		if in.capture != nil {
			in.capture(now, false, frames)
		}
		h.forward(now, v, in, frames, s)
		s.flush(now)
	} else {
		s.drops[Detached] += uint64(len(frames))
	}
	r.epoch.Add(1)
	r.counts.add(&s.tally)
	h.scratch.Put(s)
	if h.notices.pending.Load() {
		h.deliver()
	}
}

// waitReaders waits until every reader has left the batch that it is in now.
func (h *Hub) waitReaders() {
	type batch struct {
		r     *Reader
		epoch uint64
	}
	var busy []batch
	h.mu.Lock()
	for _, list := range [][]*Reader{h.readers, h.selves} {
		for _, r := range list {
			if e := r.epoch.Load(); e&1 != 0 {
				busy = append(busy, batch{r, e})
			}
		}
	}
	h.mu.Unlock()
	for _, b := range busy {
		waitFor(func() bool { return b.r.epoch.Load() != b.epoch })
	}
}

// originate sends what the neighbour help puts into out when ask is called.
func (h *Hub) originate(now time.Time, ask func(out *arp.Out)) {
	r, s := h.takeSelf(), h.scratch.Get().(*scratch)
	r.epoch.Add(1)
	ask(&s.arp)
	if h.segment != nil {
		h.hurry()
	}
	if len(s.arp.Sends) > 0 {
		v := h.view.Load()
		h.sendOwn(now, v, s)
		s.flush(now)
	}
	r.epoch.Add(1)
	s.tally = tally{} // what the hub makes itself came in by no link
	h.scratch.Put(s)
	h.mu.Lock()
	h.idle = append(h.idle, r)
	h.mu.Unlock()
}

// takeSelf returns a reader of the hub's own that nobody uses.
func (h *Hub) takeSelf() *Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.idle); n > 0 {
		r := h.idle[n-1]
		h.idle = h.idle[:n-1]
		return r
	}
	r := &Reader{hub: h}
	h.selves = append(h.selves, r)
	return r
}
