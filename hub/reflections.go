package hub

import (
	"sync/atomic"
	"time"
)

// reflections is what a link knows of the frames that come back by it: how
// late. A frame that comes back later than the link's window is taken for that
// of a station that moved. It may be the wire all the same, and then the window
// must grow, up to the hub's echo window; but a station that really moves says
// again what it said at its old place (who it is, what groups it is in, who its
// gateway is), and must not be what makes the wire look late, or the first
// frames of its next move are dropped. What tells them apart is what comes next:
//
//   - the station is heard at its old place again, without anything new from
//     here: it never was here (right);
//   - something new from here: it has moved (wrong);
//   - neither: many in a row, more than a station has to repeat, are the wire.
//
// The window begins far above what a switch needs, because a reader that waits
// for a processor takes its frames late. It goes back when nothing came late
// for a minute. Times are in units of seen.
type reflections struct {
	delay   atomic.Uint32 // of the late ones, 0 where there are none
	age     atomic.Uint32 // of the late frame that came last
	last    atomic.Uint32 // when it came
	returns within        // of stations that never were here
	row     within        // of late frames that passed
}

const (
	firstWindow   = 250 * time.Millisecond
	returnsNeeded = 3
	returnsSpan   = 10 * time.Second // in which that many are needed
	rowNeeded     = 16
	rowSpan       = time.Second
	lateLasts     = time.Minute
)

// window is how old an echo by this link may be; 0 where it does not suppress.
func (m *member) window(most uint32) uint32 {
	if !m.suppress {
		return 0
	}
	return min(most, max(units(firstWindow), 2*m.link.back.delay.Load()))
}

// note takes a frame that came by another link before, longer ago than the
// first window, and whether it passed.
func (r *reflections) note(at, age uint32, passed bool) {
	r.last.Store(at)
	if !passed {
		return
	}
	r.age.Store(age)
	if r.row.reaches(rowNeeded, at, units(rowSpan)) {
		r.grow(age)
	}
}

// right tells that the station of a frame that came late is not here.
func (r *reflections) right(at uint32) {
	if r.returns.reaches(returnsNeeded, at, units(returnsSpan)) {
		r.grow(r.age.Load())
	}
}

// wrong tells that the station of a frame that came late is here.
func (r *reflections) wrong() { r.row.count.Store(0) }

func (r *reflections) grow(age uint32) {
	if age > r.delay.Load() {
		r.delay.Store(age)
	}
}

// forget lets the window go back where nothing comes late any more.
func (r *reflections) forget(at uint32) {
	if r.delay.Load() != 0 && at-r.last.Load() > units(lateLasts) {
		r.delay.Store(0)
	}
}

// within counts what happens within a span of time.
type within struct{ since, count atomic.Uint32 }

// reaches counts one more, and tells when they are so many; then it begins anew.
func (t *within) reaches(most, at, span uint32) bool {
	if since := t.since.Load(); at-since > span {
		if t.since.CompareAndSwap(since, at) {
			t.count.Store(0)
		}
	}
	if t.count.Add(1) < most {
		return false
	}
	t.count.Store(0)
	return true
}
