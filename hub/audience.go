package hub

import (
	"slices"
	"sync/atomic"
	"time"

	"vhub/eth"
)

// audience is the links that share a Listener. The data path reads the seats while
// links come and go; h.mu is held by who changes them.
type audience struct {
	listener Listener
	seats    atomic.Pointer[[]atomic.Pointer[member]]
	taken    atomic.Int64 // seats below were taken once; the rest is free
	free     []int        // seats below taken that are
}

// room is the length of a table for n entries: it doubles, so that one more link
// costs nothing.
func room(n int) int {
	size := 16
	for size < n {
		size *= 2
	}
	return size
}

// publishLink shows the data path one link that came, changed or goes. Called with h.mu
// held.
func (h *Hub) publishLink(l *Link) {
	if l.cfg.Listener == nil {
		h.publish()
		return
	}
	a := h.hearers[l.cfg.Listener]
	if a == nil {
		a = &audience{listener: l.cfg.Listener}
		a.seats.Store(new([]atomic.Pointer[member]))
		h.hearers[l.cfg.Listener] = a
		h.publish()
	}
	if len(h.view.Load().byID) < len(h.byID) {
		h.publish()
	}
	v := h.view.Load()
	if l.detached {
		v.byID[l.id].Store(nil)
		if a.leave(l); int(a.taken.Load()) == len(a.free) {
			delete(h.hearers, l.cfg.Listener)
			h.publish()
		}
		return
	}
	fresh := v.member(l.id) == nil
	m := h.memberOf(l, 0)
	m.sends = m.up
	v.byID[l.id].Store(m)
	if fresh {
		a.join(l)
	}
	(*a.seats.Load())[l.seat].Store(m)
}

// join gives a link a seat.
func (a *audience) join(l *Link) {
	if n := len(a.free); n > 0 {
		l.seat, a.free = a.free[n-1], a.free[:n-1]
		return
	}
	l.seat = int(a.taken.Load())
	if old := *a.seats.Load(); l.seat >= len(old) {
		more := make([]atomic.Pointer[member], room(l.seat+1))
		for i := range old {
			more[i].Store(old[i].Load())
		}
		a.seats.Store(&more)
	}
	a.taken.Add(1)
}

func (a *audience) leave(l *Link) {
	(*a.seats.Load())[l.seat].Store(nil)
	a.free = append(a.free, l.seat)
}

// send queues a frame to a group for those whom it is for, and says whether anybody
// was there to be asked (1) or not (0). in is where the frame came in, nil for the hub's own.
func (a *audience) send(now time.Time, v *view, in *member, f *eth.Frame, s *scratch) int {
	some, others, all := a.listener.Listeners(f)
	if all {
		seats := *a.seats.Load()
		for i := range min(int(a.taken.Load()), len(seats)) {
			if m := seats[i].Load(); m != nil {
				hear(now, in, m, f, s)
			}
		}
		return 1
	}
	for _, l := range some {
		if m := v.member(l.id); m != nil && m.link == l {
			hear(now, in, m, f, s)
		}
	}
	for _, l := range others {
		if m := v.member(l.id); m != nil && m.link == l && !slices.Contains(some, l) {
			hear(now, in, m, f, s)
		}
	}
	return 1
}

func hear(now time.Time, in, m *member, f *eth.Frame, s *scratch) {
	if !m.up {
		return
	}
	if in != nil {
		if _, barred := in.barred(m); barred {
			return
		}
	}
	s.send(now, m, f)
}
