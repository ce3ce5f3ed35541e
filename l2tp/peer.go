package l2tp

import (
	"slices"
	"sync/atomic"
	"time"
)

// Peer is one peer of a Server, told apart by what carries it: one IPsec
// session.
type Peer struct {
	s  *Server
	c  Carrier
	ep *Endpoint
	// data is what the data path looks sessions up in: nearly always one.
	data  atomic.Pointer[[]dataSession]
	heard atomic.Int64 // Unix milliseconds, when something last came

	// The loop's.
	out      Out
	at       int // in the heap, -1 for not
	deadline time.Time
	closed   bool
	told     int64 // heard, as the machines know it
}

func sessionKey(tunnel, call uint16) uint32 { return uint32(tunnel)<<16 | uint32(call) }

// dataSession is a session by sessionKey, ours.
type dataSession struct {
	key uint32
	x   *session
}

var noSessions []dataSession

// sessions are the peer's, in the order they came. The list is never changed, but replaced.
func (p *Peer) sessions() []dataSession { return *p.data.Load() }

// enter adds a session.
func (p *Peer) enter(x *session) {
	list := append(slices.Clip(p.sessions()), dataSession{sessionKey(x.ev.Tunnel, x.ev.Session), x})
	p.data.Store(&list)
}

// leave takes a session out.
func (p *Peer) leave(x *session) {
	list := slices.DeleteFunc(slices.Clone(p.sessions()), func(d dataSession) bool { return d.x == x })
	p.data.Store(&list)
}

// session finds a session, also for the data path.
func (p *Peer) session(key uint32) *session {
	for _, d := range *p.data.Load() {
		if d.key == key {
			return d.x
		}
	}
	return nil
}

// control takes a control message, a copy.
func (p *Peer) control(now time.Time, pkt []byte) {
	if p.closed {
		return
	}
	if err := p.ep.Receive(now, pkt, &p.out); err != nil {
		p.s.log.Debug("l2tp control message dropped", "client", p.c.Remote(), "error", err)
	}
}

// carryOut does what the machines said, until they say no more.
func (p *Peer) carryOut(now time.Time) {
	for {
		out := p.out
		p.out = Out{} // an idle peer keeps no room for the next
		p.send(out.Packets)
		for _, ev := range out.Events {
			p.event(now, ev)
		}
		busy := len(out.Events) > 0
		for _, d := range p.sessions() {
			busy = d.x.carryOut(now) || busy
		}
		if !busy && len(p.out.Packets) == 0 && len(p.out.Events) == 0 {
			return
		}
	}
}

// send sends control messages.
func (p *Peer) send(pkts [][]byte) {
	if len(pkts) == 0 {
		return
	}
	w := p.s.pool.Get().(*writer)
	for _, b := range pkts {
		w.arena.Reset()
		out, ok := w.arena.Next(len(b))
		if !ok {
			continue // longer than any control message of ours
		}
		copy(out.Payload(), b)
		p.c.Send(w.arena.Packets())
	}
	w.arena.Reset()
	p.s.pool.Put(w)
}

func (p *Peer) event(now time.Time, ev Event) {
	switch ev.Kind {
	case SessionUp:
		p.newSession(now, ev)
	case SessionDown:
		if x := p.session(sessionKey(ev.Tunnel, ev.Session)); x != nil {
			x.finish(now, ev.Reason)
		}
	case TunnelDown:
		if ev.Reason != "" {
			p.s.log.Debug("l2tp tunnel closed", "client", p.c.Remote(), "host", ev.PeerHost, "reason", ev.Reason)
		}
	}
}

// advance does what is due.
func (p *Peer) advance(now time.Time) {
	if h := p.heard.Load(); h != p.told {
		p.told = h
		at := now.Add(-max(0, time.Duration(now.UnixMilli()-h)*time.Millisecond)) // by the monotonic clock
		for _, d := range p.sessions() {
			p.ep.Traffic(at, d.x.tunnel)
			d.x.link.Heard(at)
		}
	}
	p.ep.Advance(now, &p.out)
	for _, d := range p.sessions() {
		d.x.advance(now)
	}
}

func (p *Peer) nextDeadline() time.Time {
	next := p.ep.Deadline()
	for _, d := range p.sessions() {
		next = earlier(next, d.x.deadline())
	}
	return next
}

// earlier returns the earlier of two deadlines, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// gone ends everything: what carried the peer is no more.
func (p *Peer) gone(now time.Time, reason string) {
	if p.closed {
		return
	}
	for _, d := range p.sessions() {
		d.x.finish(now, reason)
	}
	p.closed = true
	p.s.tally.drops.control.add(p.ep.Counters)
	delete(p.s.peers, p)
}
