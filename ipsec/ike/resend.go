package ike

import "time"

// resend repeats a message until it is answered.
type resend struct {
	packet Packet
	next   time.Time // zero: nothing to repeat
	until  time.Time
	wait   time.Duration
}

func (r *resend) start(e *Endpoint, p Packet) {
	c := e.cfg.Retransmit
	r.packet, r.wait = p, c.First
	r.next, r.until = e.now.Add(c.First), e.now.Add(c.Total)
}

func (r *resend) stop() { *r = resend{} }

// due repeats the message when its time has come, and tells when it is time to give up.
func (r *resend) due(e *Endpoint) (gaveUp bool) {
	if r.next.IsZero() || r.next.After(e.now) {
		return false
	}
	if !r.until.After(e.now) {
		r.stop()
		return true
	}
	e.count.Retransmits++
	e.send(r.packet)
	r.wait = min(time.Duration(float64(r.wait)*e.cfg.Retransmit.Factor), e.cfg.Retransmit.Max)
	r.next = e.now.Add(r.wait)
	if r.next.After(r.until) {
		r.next = r.until
	}
	return false
}
