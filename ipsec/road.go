package ipsec

import (
	"fmt"
	"time"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// roadState is a class of road warriors. The loop owns it.
type roadState struct {
	cfg     RoadConfig
	ike     []*ike.Peer // main mode with the default key, and perhaps aggressive mode
	tunnels map[*Tunnel]*session
}

func newRoadState(e *Engine, cfg RoadConfig) *roadState {
	if cfg.Port == 0 {
		cfg.Port = l2tpPort
	}
	r := &roadState{cfg: cfg, tunnels: map[*Tunnel]*session{}}
	p := cfg.Algorithms.peer()
	p.Name, p.Key, p.LocalID = cfg.Name, cfg.Key, cfg.LocalID
	p.PeerRekeys = true
	p.ForceNATT = p.ForceNATT || e.lacksRaw()
	p.Accept = acceptProtocol(esp.ProtoUDP)
	r.ike = append(r.ike, p)
	if cfg.Aggressive && !cfg.PeerID.IsZero() {
		a := *p
		a.Name, a.RemoteID, a.Aggressive = cfg.Name+"/aggressive", cfg.PeerID, true
		r.ike = append(r.ike, &a)
	}
	return r
}

// newTunnel makes the tunnel of one session. Nobody has it yet.
func (r *roadState) newTunnel(e *Engine) *Tunnel {
	return &Tunnel{
		engine: e, name: r.cfg.Name, proto: esp.ProtoUDP, port: r.cfg.Port,
		alg: &r.cfg.Algorithms, readers: make([]Receiver, len(e.readers)), road: r,
	}
}

// admit shows a session to the port, once.
func (e *Engine) admit(s *session) bool {
	t := s.tunnel
	if t.receiver != nil {
		return true
	}
	t.session = s
	h, ok := t.road.cfg.Accept(t)
	if !ok || h.NewReceiver == nil {
		return false
	}
	t.receiver, t.closedBy = h.NewReceiver, h.Closed
	t.road.tunnels[t] = s
	return true
}

// roadClosed tells the port that a session is over.
func (e *Engine) roadClosed(s *session, reason string) {
	t := s.tunnel
	delete(t.road.tunnels, t)
	if t.closedBy != nil {
		e.events.add(func() { t.closedBy(reason) })
	}
}

// Close ends a road warrior's session; the peer is told. It must not be called
// from RoadConfig.Accept. For a peer's tunnel use Engine.RemovePeer.
func (t *Tunnel) Close() {
	if t.road == nil {
		return
	}
	e := t.engine
	e.work(func(now time.Time) { e.ike.Close(now, t.session.id, &e.out) })
	e.rouse()
}

// acceptProtocol accepts children for one protocol, whatever their addresses:
// behind a NAT these are private ones, and routers write 0.0.0.0/0.
func acceptProtocol(proto uint8) func(*ike.ChildRequest) error {
	return func(c *ike.ChildRequest) error {
		for _, sel := range []ike.Selector{c.Local, c.Remote} {
			if sel.Protocol != 0 && sel.Protocol != proto {
				return fmt.Errorf("protocol %d was asked for, this port carries protocol %d", sel.Protocol, proto)
			}
		}
		return nil
	}
}

// peer is the part of an ike.Peer that both kinds have in common.
func (a *Algorithms) peer() *ike.Peer {
	return &ike.Peer{
		Suites: a.Suites, ESP: a.ESP, Legacy: a.Legacy,
		Lifetime: a.Lifetime, ChildLifetime: a.ChildLifetime, ChildBytes: a.ChildBytes,
		PFS: a.PFS, RequirePFS: a.RequirePFS, ESN: a.ESN, CommitBit: a.CommitBit,
		DPD: a.DPD, DPDRetries: a.DPDRetries, Keepalive: a.Keepalive,
		ForceNATT: a.ForceNATT, HideNAT: a.HideNAT,
	}
}
