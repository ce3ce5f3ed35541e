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
	age := max(h.cfg.Age/16, 250*time.Millisecond)
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
		if soon := now.Add(50 * time.Millisecond); soon.Before(next) {
			next = soon
		}
		if due := h.segment.Deadline(); !due.IsZero() && due.Before(next) {
			next = due
		}
	}
	h.deliver()
	return next
}
