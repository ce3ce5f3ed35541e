package api

import (
	"context"
	"sync"
	"time"
)

// Events remembers the last events and hands new ones to whoever listens. It
// may be used by many goroutines at once. A listener that does not keep up
// reads on from what is still remembered; the numbers show the hole.
type Events struct {
	mu    sync.Mutex
	ring  []Event // event with number seq is at (seq-1) % len
	last  uint64  // number of the newest event
	fresh chan struct{}
}

// NewEvents remembers the last n events, n > 0.
func NewEvents(n int) *Events {
	return &Events{ring: make([]Event, n), fresh: make(chan struct{})}
}

// Add numbers the event and keeps it.
func (e *Events) Add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	ev.Seq = e.last
	e.ring[(ev.Seq-1)%uint64(len(e.ring))] = ev
	close(e.fresh)
	e.fresh = make(chan struct{})
}

// after returns the oldest remembered event with a number above seq, or a
// channel that is closed when there is one.
func (e *Events) after(seq uint64) (Event, bool, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if seq >= e.last {
		return Event{}, false, e.fresh
	}
	if n := uint64(len(e.ring)); e.last > n && seq < e.last-n {
		seq = e.last - n
	}
	return e.ring[seq%uint64(len(e.ring))], true, nil
}

// before returns the number of the event n before the next one to come.
func (e *Events) before(n int) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n <= 0 {
		return e.last
	}
	return e.last - min(e.last, uint64(n))
}

// Watch is the WatchEvents operation at the time now.
func (e *Events) Watch(ctx context.Context, now time.Time, req EventsRequest, send func(Event) error) error {
	seq := req.AfterSeq
	if req.AfterSeq == 0 && req.SinceSeconds <= 0 {
		seq = e.before(req.Last)
	}
	var since time.Time
	if req.SinceSeconds > 0 {
		since = now.Add(-time.Duration(req.SinceSeconds * float64(time.Second)))
	}
	for {
		ev, ok, fresh := e.after(seq)
		if !ok {
			if !req.Follow {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-fresh:
				continue
			}
		}
		seq = ev.Seq
		if ev.Time.Before(since) || req.Hub != "" && ev.Hub != req.Hub || req.Port != "" && ev.Port != req.Port {
			continue
		}
		if err := send(ev); err != nil {
			return err
		}
	}
}
