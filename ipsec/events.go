package ipsec

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// handle carries out one event of IKE.
func (e *Engine) handle(now time.Time, ev ike.Event) {
	switch ev := ev.(type) {
	case ike.Established:
		e.established(now, ev)
	case ike.ChildInstalled:
		e.childInstalled(now, ev.Child)
	case ike.ChildUsable:
		e.childUsable(ev)
	case ike.ChildDown:
		e.childDown(now, ev.Child, ev.Reason)
	case ike.Moved:
		if s := e.sessions[ev.Session]; s != nil {
			to := ev.To
			from := *s.remote.Swap(&to)
			e.sessionMoved(s, from, to)
		}
	case ike.Failed:
		e.failed(ev)
	case ike.Closed:
		e.sessionClosed(now, ev)
	}
}

// established makes the session, or renews what is known of it.
func (e *Engine) established(now time.Time, ev ike.Established) {
	own, known := e.owners[ev.Peer]
	if !known {
		e.ike.Close(now, ev.Session, &e.out) // its port went while it was being negotiated
		return
	}
	if s := e.sessions[ev.Session]; s != nil {
		s.info = infoOf(&ev)
		return
	}
	s := &session{id: ev.Session, local: ev.Local, nat: ev.NAT, since: now, info: infoOf(&ev)}
	remote := ev.Remote
	s.remote.Store(&remote)
	s.mtu.Store(fallbackMTU)
	if own.peer != nil {
		s.tunnel = own.peer.tunnel
		if d := own.peer.dialOf(ev.Session); d != nil {
			s.dialled, s.uplink, s.ifindex = true, d.uplink, d.ifindex
			d.attempts = 0
		}
		s.path.init(now, own.peer.rank(s.uplink))
		own.peer.sessions = append(own.peer.sessions, s)
	} else {
		s.tunnel = own.road.newTunnel(e)
	}
	s.udpPort.Store(l2tpPort)
	e.refreshMTU(now, s)
	e.sessions[ev.Session] = s
	if s.dialled {
		e.watched.add(s)
	} else {
		e.calm.add(s)
	}
	e.cfg.Log.Info("ipsec: peer authenticated", "port", ev.Peer.Name, "id", ev.RemoteID.String(), "remote", ev.Remote,
		"local", ev.Local, "suite", ev.Suite.String(), "nat", natText(ev.NAT), "vendor", ev.Vendor)
}

func natText(n ike.NAT) string {
	switch {
	case n.Local && n.Remote:
		return "both sides"
	case n.Local:
		return "ours"
	case n.Remote:
		return "the peer's"
	}
	return "none"
}

// childInstalled takes packets from now on.
func (e *Engine) childInstalled(now time.Time, c *ike.Child) {
	s := e.sessions[c.Session]
	if s == nil {
		return
	}
	if s.tunnel.road != nil && !e.admit(s) {
		e.ike.Close(now, s.id, &e.out)
		return
	}
	if s.tunnel.proto == esp.ProtoUDP && c.RemoteSelector.Port != 0 {
		s.udpPort.Store(uint32(c.RemoteSelector.Port))
	}
	in, err := e.newChild(s, c)
	if err != nil {
		e.cfg.Log.Error("ipsec: SA not installed", "port", s.tunnel.name, "error", err)
		e.ike.Close(now, s.id, &e.out)
		return
	}
	s.children = append(s.children, in)
	if s.roster == &e.calm && (c.SoftBytes > 0 || c.HardBytes > 0) {
		s.leave()
		e.watched.add(s)
	}
	e.table.add(in)
}

// childUsable sends with it from now on. The session becomes the tunnel's, unless
// probes choose among several.
func (e *Engine) childUsable(ev ike.ChildUsable) {
	c := ev.Child
	s := e.sessions[c.Session]
	if s == nil || s.child(c.In.SPI) == nil {
		return
	}
	in := s.child(c.In.SPI)
	in.usable.Store(true)
	if old := s.out.Load(); c.Initiator && old != nil && old.child == ev.Replaces && old.child.SoftBytes == 0 && !in.told.Load() {
		in.waits = true
		time.AfterFunc(installWait, func() { e.work(func(time.Time) { e.endWait(c.Session, c.In.SPI) }) })
		return
	}
	first := s.out.Swap(in.out) == nil
	e.cfg.Log.Debug("ipsec: SA in use", "port", s.tunnel.name, "suite", c.Suite.String(), "mode", c.Mode.String(),
		"udp", c.UDP, "spi", c.In.SPI, "peer_spi", c.Out.SPI)
	t := s.tunnel
	old := t.active.Load()
	if old == s && s.up {
		return
	}
	if t.multi && old != nil && old != s && old.out.Load() != nil && (!first || !e.prefers(s, old)) {
		s.up = true
		return // up in reserve
	}
	e.activate(t, s, "a new negotiation of the same identity")
}

// installWait is how long the side that began a rekey goes on sending on the old SA,
// unless the peer uses the new one before. The peer installs its side when the last
// message arrives, and strongSwan some time after: a packet that overtakes that would be
// lost. An old SA with a limit of bytes may not have the room to wait.
const installWait = 300 * time.Millisecond

// endWait switches to an SA that was only waiting for the peer to have it.
func (e *Engine) endWait(id ike.SessionID, spi uint32) {
	s := e.sessions[id]
	if s == nil || s.child(spi) == nil || !s.child(spi).waits {
		return
	}
	in := s.child(spi)
	in.waits = false
	if old := s.out.Load(); old == nil || !old.child.Born.After(in.child.Born) {
		s.out.Store(in.out)
	}
}

// activate makes s what the tunnel sends with.
func (e *Engine) activate(t *Tunnel, s *session, reason string) {
	remote := *s.remote.Load()
	old := t.active.Swap(s)
	wasUp := t.up
	t.up, s.up = true, true
	switch {
	case !wasUp:
		out := s.out.Load()
		e.cfg.Log.Log(context.Background(), t.level(), "ipsec: tunnel up", "port", t.name, "remote", remote, "suite", out.child.Suite.String(),
			"mode", out.child.Mode.String(), "udp", out.child.UDP)
		e.tell(t, Event{Kind: Up, Remote: remote})
	case old != s:
		from := t.lastRemote
		e.cfg.Log.Info("ipsec: traffic moved", "port", t.name, "remote", remote, "uplink", s.uplink,
			"was", from, "reason", reason)
		e.tell(t, Event{Kind: Moved, Remote: remote, From: from, Reason: reason})
	}
	t.lastRemote = remote
}

// level is how loud a tunnel's ups and downs are: a road warrior's session has its
// own lines at begin and end.
func (t *Tunnel) level() slog.Level {
	if t.road != nil {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// childDown forgets both directions.
func (e *Engine) childDown(now time.Time, c *ike.Child, why ike.Reason) {
	s := e.sessions[c.Session]
	if s == nil || s.child(c.In.SPI) == nil {
		return
	}
	in := s.child(c.In.SPI)
	s.children = slices.DeleteFunc(s.children, func(x *inbound) bool { return x == in })
	e.table.remove(in)
	s.tunnel.done.fold(in)
	if s.out.Load() == in.out {
		s.out.Store(newestUsable(s))
	}
	if s.out.Load() == nil {
		e.withdraw(now, s, why)
	}
}

// newestUsable is what is left to send with when an SA goes.
func newestUsable(s *session) *outbound {
	var best *outbound
	for _, in := range s.children {
		if in.usable.Load() && (best == nil || in.child.Born.After(best.child.Born)) {
			best = in.out
		}
	}
	return best
}

// withdraw takes a session that cannot send any more away from its tunnel; another
// takes over, if there is one.
//
// When a new negotiation of the same identity replaces it, the tunnel is not down:
// the successor is about to be up, and that is one event, "moved".
func (e *Engine) withdraw(now time.Time, s *session, why ike.Reason) {
	t, reason := s.tunnel, why.Error()
	s.up = false
	if t.active.Load() != s {
		return
	}
	t.lastRemote = *s.remote.Load()
	if next := e.bestSession(t); next != nil {
		e.activate(t, next, reason)
		return
	}
	t.active.Store(nil)
	t.downAt, t.downReason = now, reason
	if why.Code == ike.Replaced {
		t.downAt = now.Add(replaceGrace)
	}
	e.checkDown(now, t)
}

// replaceGrace is how long a session that replaces another may take until the
// tunnel counts as down.
const replaceGrace = 5 * time.Second

// checkDown says that a tunnel is down when it has been without a session for long
// enough.
func (e *Engine) checkDown(now time.Time, t *Tunnel) {
	if !t.up || t.active.Load() != nil || now.Before(t.downAt) {
		return
	}
	t.up = false
	e.cfg.Log.Log(context.Background(), t.level(), "ipsec: tunnel down", "port", t.name, "reason", t.downReason)
	e.tell(t, Event{Kind: Down, Reason: t.downReason})
}

// bestSession is the newest session of a tunnel that can send; with probes the
// best path.
func (e *Engine) bestSession(t *Tunnel) *session {
	if t.peer == nil {
		return nil
	}
	var best *session
	for _, s := range t.peer.sessions {
		if s.out.Load() == nil || !s.up {
			continue
		}
		if best == nil || t.multi && s.path.betterThan(&best.path) || !t.multi && s.since.After(best.since) {
			best = s
		}
	}
	return best
}

func (e *Engine) failed(ev ike.Failed) {
	name := "?"
	if ev.Peer != nil {
		name = ev.Peer.Name
		if own := e.owners[ev.Peer]; own.peer != nil {
			own.peer.lastFailure = ev.Reason.Error()
		}
	}
	attrs := []any{"port", name, "remote", ev.Remote, "id", ev.RemoteID.String(), "phase", ev.Phase, "reason", ev.Reason.Error()}
	if ev.Reason.Code == ike.NoProposal {
		if port := e.portToConfigure(ev.Peer); port != "" {
			attrs = append(attrs, "what_to_type_there", "vhub port config "+port+" --for ROUTER")
		}
	}
	e.cfg.Log.Warn("ipsec: negotiation failed", attrs...)
}

// portToConfigure names the port whose peer is to be configured otherwise; "NAME" where
// it may be several, as before the peer has said who it is, and "" for road warriors.
func (e *Engine) portToConfigure(peer *ike.Peer) string {
	own := e.owners[peer]
	switch {
	case own.peer != nil:
		return portName(own.peer.tunnel.name)
	case peer != nil || len(e.peers) == 0:
		return ""
	case len(e.peers) > 1:
		return "NAME"
	}
	for _, p := range e.peers {
		return portName(p.tunnel.name)
	}
	return ""
}

// portName is the name of a port without its hub's.
func portName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// sessionClosed forgets a session. Its children are down already.
func (e *Engine) sessionClosed(now time.Time, ev ike.Closed) {
	for _, p := range e.peers {
		p.dialEnded(now, ev.Session)
	}
	s := e.sessions[ev.Session]
	if s == nil {
		return
	}
	for _, in := range slices.Clone(s.children) {
		e.childDown(now, in.child, ev.Reason)
	}
	delete(e.sessions, ev.Session)
	s.leave()
	s.out.Store(nil)
	if p := s.tunnel.peer; p != nil {
		p.forget(s)
	}
	e.withdraw(now, s, ev.Reason)
	e.cfg.Log.Info("ipsec: session over", "port", s.tunnel.name, "remote", *s.remote.Load(),
		"duration", now.Sub(s.since).Round(time.Second), "reason", ev.Reason.Error())
	if s.tunnel.road != nil {
		e.roadClosed(s, ev.Reason.Error())
	}
}

// addrOf is the address of an endpoint, for texts.
func addrOf(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}
