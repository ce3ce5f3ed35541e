package hub

import (
	"time"

	"vhub/arp"
)

// Advance does what is due at now: ageing, the neighbour help's questions,
// probes and announcements, wires. It returns when to call it next at the
// latest; calling it earlier does no harm.
func (h *Hub) Advance(now time.Time) time.Time {
	const every = time.Second
	age := max(h.settings.Load().Age/16, 250*time.Millisecond)
	h.mu.Lock()
	h.start(now)
	sweep, aged := !now.Before(h.sweepAt), !now.Before(h.agedAt)
	if sweep {
		h.sweepAt = now.Add(every)
		h.rounds++
		h.expireWires(now)
		for _, l := range h.links {
			l.back.forget(uint32(h.micros(now) >> usPerUnit))
		}
	}
	if aged {
		h.agedAt = now.Add(age)
	}
	round, next := h.rounds, h.sweepAt
	if h.agedAt.Before(next) {
		next = h.agedAt
	}
	h.mu.Unlock()

	if sweep {
		h.dup.sweep(round, uint32(h.micros(now)>>usPerUnit))
	}
	if aged {
		h.stations.sweep(h.second(now))
	}
	if h.segment != nil {
		if due := h.segment.Deadline(); !due.IsZero() && !due.After(now) {
			h.originate(now, func(out *arp.Out) { h.segment.Advance(now, out) })
		}
		// Its deadline may become earlier with every frame that comes in.
		if soon := now.Add(50 * time.Millisecond); h.cfg.Wake == nil && soon.Before(next) {
			next = soon
		}
		h.promised.Store(h.micros(next)) // before its deadline is read: what comes between makes a call too many
		if due := h.segment.Deadline(); !due.IsZero() && due.Before(next) {
			next = due
			h.promised.Store(h.micros(next))
		}
	}
	h.deliver()
	return next
}

// hurry has Advance called earlier where the neighbour help has something to do
// before the time that Advance asked for.
func (h *Hub) hurry() {
	if h.cfg.Wake == nil {
		return
	}
	due := h.segment.Deadline()
	if due.IsZero() {
		return
	}
	for at := h.micros(due); ; {
		was := h.promised.Load()
		if at >= was {
			return
		}
		if h.promised.CompareAndSwap(was, at) {
			h.cfg.Wake()
			return
		}
	}
}
