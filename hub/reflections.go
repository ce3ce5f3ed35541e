package hub

import (
	"sync/atomic"
	"time"
)

// reflections is what a link knows of the frames that come back by it: how
// late. A frame that comes back later than the link's window is taken for that
// of a station that moved; where that keeps happening it is the wire, and the
// window grows, up to the hub's echo window. It begins far above what a switch
// needs, because a reader that waits for a processor takes its frames late.
// Times are in units of seen.
type reflections struct {
	delay atomic.Uint32 // of the late ones, 0 where there are none
	since atomic.Uint32 // of the late ones that are counted
	late  atomic.Uint32
}

const (
	firstWindow = 250 * time.Millisecond
	lateNeeded  = 3
	lateSpan    = 10 * time.Second // in which that many are needed
)

// window is how old an echo by this link may be; 0 where it does not suppress.
func (m *member) window(most uint32) uint32 {
	if !m.suppress {
		return 0
	}
	return min(most, max(units(firstWindow), 2*m.link.back.delay.Load()))
}

// note takes a frame that came by another link before, age ago.
func (r *reflections) note(at, age uint32) {
	if age < units(firstWindow) || age <= r.delay.Load() {
		return
	}
	if since := r.since.Load(); at-since > units(lateSpan) {
		if r.since.CompareAndSwap(since, at) {
			r.late.Store(0)
		}
	}
	if r.late.Add(1) >= lateNeeded {
		r.delay.Store(age)
		r.late.Store(0)
	}
}
