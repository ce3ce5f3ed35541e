package ipsec

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"vhub/internal/packet"
	"vhub/ipsec/ike"
)

// tickInterval is how often the loop looks at lifetimes in bytes.
const tickInterval = time.Second

// loop owns IKE: it takes messages and notes, does what is due, and carries out
// what the machine says.
func (e *Engine) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			e.goodbye()
			return
		case p := <-e.packets:
			e.message(p)
		case p := <-e.late:
			e.message(p)
		case n := <-e.notes:
			e.work(func(now time.Time) { e.take(now, n) })
		case <-timer.C:
			e.work(e.advance)
		case <-e.wake:
		}
		timer.Reset(time.Until(e.deadline()))
	}
}

// message gives IKE a message.
func (e *Engine) message(p ike.Packet) {
	e.work(func(now time.Time) {
		if err := e.ike.Receive(now, p, &e.out); err != nil {
			e.count.ikeBad.Add(1)
			e.cfg.Log.Debug("ipsec: ike message dropped", "from", p.Remote, "reason", err)
		}
	})
}

// work runs f with the loop's state and carries out what came of it.
func (e *Engine) work(f func(now time.Time)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	f(now)
	e.carryOut(now)
}

// take does what a note of the data path asks for.
func (e *Engine) take(now time.Time, n note) {
	switch n.kind {
	case noteUsed:
		if e.sessions[n.to.id] != n.to {
			// It ended while its first packet was on the way in: take back what used did.
			n.to.out.Store(nil)
			n.to.tunnel.active.CompareAndSwap(n.to, nil)
			return
		}
		e.ike.InboundUsed(now, n.spi, &e.out)
		e.endWait(n.to.id, n.spi)
	case noteMoved:
		e.ike.PeerMoved(now, n.session, n.remote)
		if s := e.sessions[n.session]; s != nil {
			e.sessionMoved(s, n.old, n.remote)
		}
	case noteRekey:
		e.ike.Rekey(now, n.spi, &e.out)
	case noteSwitched:
		e.cfg.Log.Info("ipsec: peer moved its traffic to another path", "port", n.to.tunnel.name,
			"remote", n.remote, "was", n.old)
		e.tell(n.to.tunnel, Event{Kind: Moved, Remote: n.remote, From: n.old, Reason: "the peer chose another path"})
	case noteUnknown:
		e.cfg.Log.Info("ipsec: ESP for an SPI that is not ours; the peer may use an SA from before a restart",
			"from", n.remote, "unknown", e.count.unknownSPI.Load())
		e.hurryDials(n.remote.Addr())
	}
}

// advance does what is due in IKE, dialling, probing and bookkeeping.
func (e *Engine) advance(now time.Time) {
	if d := e.ike.Deadline(); !d.IsZero() && !now.Before(d) {
		e.ike.Advance(now, &e.out)
		e.carryOut(now)
	}
	e.probe(now)
	e.dial(now)
	if now.Before(e.nextTick) {
		return
	}
	e.nextTick = now.Add(tickInterval)
	e.lifetimes(now)
}

// deadline is when advance is to be called next.
func (e *Engine) deadline() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.nextTick
	if d := e.ike.Deadline(); !d.IsZero() && d.Before(next) {
		next = d
	}
	if d := e.nextProbe(); !d.IsZero() && d.Before(next) {
		next = d
	}
	if d, some := e.nextDial(); some && d.Before(next) {
		next = d
	}
	return next
}

// carryOut handles events, then sends packets, until nothing more comes.
func (e *Engine) carryOut(now time.Time) {
	for len(e.out.Events) > 0 || len(e.out.Packets) > 0 {
		events, packets := e.out.Events, e.out.Packets
		e.out.Events, e.out.Packets = nil, nil // an event's handler may call IKE again
		for _, ev := range events {
			e.handle(now, ev)
		}
		for _, p := range packets {
			e.sendIKE(p)
		}
	}
}

func (e *Engine) sendIKE(p ike.Packet) {
	kind := IKE
	if p.NATT {
		kind = NATT
	}
	sock, err := e.socketFor(kind, p.Local.Addr())
	if err == nil {
		one := [1]packet.Packet{{Buf: p.Data, End: len(p.Data)}}
		_, err = sock.Send(p.Remote, p.Local.Addr(), e.uplinks[p.Local.Addr()], one[:])
	}
	if err != nil {
		e.count.ikeSend.Add(1)
		e.cfg.Log.Debug("ipsec: ike message not sent", "to", p.Remote, "reason", err)
	}
}

// lifetimes says which tunnels are down for good, asks for new SAs where bytes or sequence numbers run out, ends those
// whose hard limit is passed, and asks the routes for their MTU now and then.
func (e *Engine) lifetimes(now time.Time) {
	for _, p := range e.peers {
		e.checkDown(now, p.tunnel)
	}
	e.due = e.watched.turn(1, e.due[:0])
	e.due = e.calm.turn(calmTicks, e.due)
	for _, s := range e.due {
		for _, in := range s.children {
			e.checkLifetime(now, s, in)
			in.rest(now)
		}
		switch {
		case s.dialled:
			e.followRoute(now, s)
		case now.Sub(s.mtuAt) > mtuInterval && (s.sent()-s.mtuSent > mtuTraffic || now.Sub(s.mtuAt) > mtuIdle):
			e.refreshMTU(now, s)
		}
	}
	clear(e.due)
}

// calmTicks is in how many ticks a session is looked at that was not dialled and has
// no limits in bytes.
const calmTicks = 10

// restEvery is after what time with few packets an SA lets its ciphers go.
const restEvery = calmTicks * tickInterval

// rest is called in each look at an SA.
func (in *inbound) rest(now time.Time) {
	if now.Sub(in.restAt) < restEvery*9/10 {
		return
	}
	in.restAt = now
	in.sa.Rest()
	in.out.sa.Rest()
}

func (e *Engine) checkLifetime(now time.Time, s *session, in *inbound) {
	c := in.child
	st := in.out.sa.Stats()
	bytes := max(st.Bytes, in.sa.Bytes())
	if st.RekeyWanted || c.SoftBytes > 0 && bytes >= c.SoftBytes {
		if in.rekeyAt.IsZero() {
			in.rekeyAt = now
		}
		e.ike.Rekey(now, c.In.SPI, &e.out)
	}
	if c.HardBytes > 0 && bytes >= c.HardBytes && now.Sub(in.rekeyAt) >= rekeyTime && s.out.Load() == in.out {
		s.out.Store(nil)
	}
}

// rekeyTime is how long an SA whose bytes are used up is sent on while its
// successor is negotiated: on a fast line the last of them go within one tick, and
// no frame is to be lost for that. The peer may be stricter.
const rekeyTime = 3 * time.Second

// astrayPause is when a route that leads elsewhere is looked at again.
const astrayPause = 200 * time.Millisecond

// followRoute looks whether the address that a session was dialled from still is
// the one to use: lines are redialled and get another, default routes move to
// another line. Then the session is given up and dialled anew, which takes a few
// round trips instead of the many seconds of dead peer detection.
func (e *Engine) followRoute(now time.Time, s *session) {
	from := s.local.Addr()
	if s.uplink == "" {
		from = netip.Addr{}
	}
	local, mtu, err := e.net.Source(s.remote.Load().Addr(), from, s.ifindex)
	if err == nil && s.uplink != "" && s.ifindex != 0 {
		local, _, err = e.net.Uplink(s.uplink, local)
	}
	if err == nil && local == s.local.Addr() {
		s.mtu.Store(int32(mtu))
		s.astray = 0
		return
	}
	if s.astray++; s.astray < 2 {
		e.nextTick = now.Add(astrayPause) // a route that is being replaced is gone for a moment
		return
	}
	reason := "the route to the peer now leaves from " + local.String()
	if err != nil {
		reason = err.Error()
	}
	e.cfg.Log.Info("ipsec: the local address is not the one to use any more", "port", s.tunnel.name,
		"local", s.local.Addr(), "uplink", s.uplink, "reason", reason)
	e.ike.Close(now, s.id, &e.out)
	e.carryOut(now)
	if d := s.tunnel.peer.dialFrom(s.uplink); d != nil && d.session == 0 {
		d.next = now
	}
}

// mtuInterval is how often a route is asked for its MTU, when more than mtuTraffic bytes
// were sent since; else after mtuIdle. Asking takes a socket: of ten thousand idle sessions it was
// most of the cost.
const (
	mtuInterval = 30 * time.Second
	mtuIdle     = 10 * time.Minute
	mtuTraffic  = 4096
)

func (e *Engine) refreshMTU(now time.Time, s *session) {
	s.mtuAt, s.mtuSent = now, s.sent()
	if _, mtu, err := e.net.Source(s.remote.Load().Addr(), s.local.Addr(), s.ifindex); err == nil && mtu > 0 {
		s.mtu.Store(int32(mtu))
	}
}

// lastInbound is asked by IKE, on the loop, for dead peer detection.
func (e *Engine) lastInbound(spi uint32) time.Time {
	in := e.table.find(spi)
	if in == nil || in.last.Load() == 0 {
		return time.Time{}
	}
	return time.Unix(0, in.last.Load())
}

// goodbye deletes all sessions, so that peers do not send into the void.
func (e *Engine) goodbye() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	now := time.Now()
	for _, s := range slices.Collect(maps.Values(e.sessions)) {
		e.ike.Close(now, s.id, &e.out)
	}
	e.carryOut(now)
}

// tell gives an event to a tunnel's owner.
func (e *Engine) tell(t *Tunnel, ev Event) {
	if t.onEvent == nil {
		return
	}
	ev.Tunnel = t.name
	e.events.add(func() { t.onEvent(ev) })
}

// sessionMoved tells the owner when the address changed. Another port at the same
// address is a translator's doing and no matter for the segment.
func (e *Engine) sessionMoved(s *session, from, to netip.AddrPort) {
	if from.Addr() == to.Addr() {
		return
	}
	e.cfg.Log.Info("ipsec: peer moved", "port", s.tunnel.name, "remote", to, "was", from)
	e.refreshMTU(time.Now(), s)
	if s.tunnel.active.Load() == s {
		e.tell(s.tunnel, Event{Kind: Moved, Remote: to, From: from, Reason: "authenticated packet from another address"})
	}
}
