package arp

import (
	"container/heap"
	"time"
)

// timer is something that is due at a time. It is embedded in what it is for;
// pos is 0 while it is not set.
type timer struct {
	at   time.Time
	pos  int
	fire func(now time.Time, out *Out)
}

// timers is a heap of timers, the earliest first.
type timers []*timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].pos, t[j].pos = i+1, j+1
}

// Push is for package heap.
func (t *timers) Push(x any) {
	*t = append(*t, x.(*timer))
	x.(*timer).pos = len(*t)
}

// Pop is for package heap.
func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	x.pos = 0
	(*t)[last] = nil
	*t = (*t)[:last]
	return x
}

func (t *timers) set(x *timer, at time.Time) {
	x.at = at
	if x.pos > 0 {
		heap.Fix(t, x.pos-1)
		return
	}
	heap.Push(t, x)
}

// pull brings a timer forward to at; one that is due earlier stays.
func (t *timers) pull(x *timer, at time.Time) {
	if x.pos == 0 || at.Before(x.at) {
		t.set(x, at)
	}
}

func (t *timers) stop(x *timer) {
	if x.pos > 0 {
		heap.Remove(t, x.pos-1)
	}
}

// run fires what is due. What is set again while it runs, for now or earlier,
// is left for the next call, so that it always ends.
func (t *timers) run(now time.Time, out *Out) {
	for n := len(*t); n > 0 && len(*t) > 0 && !(*t)[0].at.After(now); n-- {
		x := (*t)[0]
		heap.Pop(t)
		x.fire(now, out)
	}
}

// budget is a token bucket: what happens more often than per second allows is
// refused.
type budget struct {
	perSecond, burst float64
	tokens           float64
	last             time.Time
}

func (b *budget) take(now time.Time) bool {
	if b.last.IsZero() {
		b.tokens = b.burst
	} else if d := now.Sub(b.last); d > 0 {
		b.tokens = min(b.burst, b.tokens+d.Seconds()*b.perSecond)
	}
	if b.last.Before(now) {
		b.last = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
