package ike

import (
	"net/netip"
	"slices"
	"time"
)

// session is what connects us with one peer at one address: its phase 1 SAs, of which
// there are several while one replaces another, and its children. They are
// independent of each other (RFC 2409 3): children outlive the phase 1 they came from.
type session struct {
	e        *Endpoint
	id       SessionID
	peer     *Peer // nil until authenticated
	remoteID ID
	dialled  bool
	up       bool // a phase 1 was established
	gone     bool
	float    bool
	nat      NAT

	local, remote netip.AddrPort
	sas           []*phase1
	children      []*childSA

	heard     time.Time // last authenticated packet, as far as IKE knows
	keepalive time.Time // next NAT keepalive
	retryAt   time.Time // next attempt at what is missing
	replaces  []SessionID
	multipath bool
	unknownAt time.Time // not before then the next INVALID-SPI
	renew     bool      // phase 1 was lost: the peer may have lost the children too
	mode      Exchange  // of the last phase 1 that came up: the peer knows how
	failures  int       // quick modes of ours that failed in a row

	deadline time.Time
	slot     int

	before, after *session // of the same address; see index
}

func (e *Endpoint) newSession(p *Peer, local, remote netip.AddrPort) *session {
	e.lastID++
	s := &session{e: e, id: e.lastID, peer: p, local: local, remote: remote, slot: -1, heard: e.now}
	e.sessions[s.id] = s
	s.index(remote)
	return s
}

func (s *session) newPhase1(initiator bool, mode Exchange, local, remote netip.AddrPort) *phase1 {
	p := &phase1{e: s.e, s: s, initiator: initiator, mode: mode, local: local, remote: remote, born: s.e.now, handshake: new(handshake)}
	s.sas = append(s.sas, p)
	return p
}

// startPhase1 begins a negotiation with us as initiator.
func (s *session) startPhase1() error {
	mode := ExchangeMain
	switch {
	case s.mode != 0:
		mode = s.mode
	case s.peer.Aggressive:
		mode = ExchangeAggressive
	}
	p := s.newPhase1(true, mode, s.local, s.remote)
	p.peer, p.float = s.peer, s.float || s.remote.Port() == s.e.cfg.NATTPort
	copy(p.c.i[:], s.e.draw(8))
	p.c.i[0] |= 1
	s.e.dialling[p.c.i] = p
	if mode == ExchangeMain {
		p.startMain()
		return nil
	}
	return p.startAggressive()
}

// main is the newest established phase 1, or nil.
func (s *session) main() *phase1 {
	for _, p := range slices.Backward(s.sas) {
		if p.stage == stageUp && p.deleteAt.IsZero() {
			return p
		}
	}
	for _, p := range slices.Backward(s.sas) {
		if p.stage == stageUp {
			return p
		}
	}
	return nil
}

// underway tells whether a phase 1 is being negotiated by us.
func (s *session) underway() bool {
	return slices.ContainsFunc(s.sas, func(p *phase1) bool { return p.initiator && p.stage < stageUp })
}

// sendInitialContact tells whether the phase 1 under way is the first with this peer.
func (s *session) sendInitialContact(p *phase1) bool {
	return s.dialled && !s.up && !s.peer.NoInitialContact && len(s.children) == 0
}

// established is called when a phase 1 is up. It may move to the session that it renews.
func (p *phase1) established() {
	e := p.e
	p.stage, p.upAt = stageUp, e.now
	s := p.s
	if s.peer == nil { // a responder: who is it?
		s.peer, s.remoteID = p.peer, p.remoteID
		s.local = p.local
		s.index(p.remote)
		s.multipath = p.vendor.multipath && p.peer.Multipath
		if old := e.renewed(s); old != nil {
			s.sas = nil
			s.forget()
			old.sas = append(old.sas, p)
			p.s, s = old, old
		}
	}
	if e.cfg.KeyLog != nil {
		e.cfg.KeyLog(p.c.i, slices.Clone(p.keys.enc))
	}
	p.setTimers()
	p.handshake, p.keys.skeyid = nil, nil
	replaces := s.supersede(p)
	again := s.up
	s.up, s.mode, s.remoteID, s.heard = true, p.mode, p.remoteID, e.now
	s.nat = p.nat
	s.setAddresses(p.local, p.remote, p.float)
	s.startKeepalive()
	for _, old := range s.sas {
		// The initiator of the new phase 1 deletes the old ones, when what is under way has ended.
		if old != p && old.stage == stageUp {
			old.reauthAt = time.Time{}
			old.dpd.stop()
			if p.initiator && old.deleteAt.IsZero() {
				old.deleteAt = e.now.Add(replaceGrace)
			}
		}
	}
	p.dpd.start(p)
	e.out.event(Established{Session: s.id, Peer: s.peer, RemoteID: p.remoteID, LocalID: p.localID, Initiator: p.initiator,
		Local: p.local, Remote: p.remote, NAT: p.nat, NATT: p.natt.String(), Suite: p.suite, Lifetime: p.expires.Sub(e.now),
		DPD: p.vendor.dpd, Vendor: p.vendor.names, Reauth: again, Replaces: replaces})
	if len(s.sas) > maxPhase1 {
		s.sas[0].end(true)
	}
	if s.renew { // who deletes phase 1 may have deleted the children too, and the word got lost
		s.renew = false
		for _, k := range slices.Clone(s.children) {
			k.rekey()
		}
	}
	s.maintain()
}

// replaceGrace is how long what was replaced stays, for packets under way.
const replaceGrace = 10 * time.Second

// setTimers sets when the phase 1 is renewed and when it ends.
func (p *phase1) setTimers() {
	life := p.life.atMost(p.peer.lifetime())
	p.expires = p.e.now.Add(life)
	switch {
	case p.peer.PeerRekeys && !p.initiator:
	case p.initiator: // with a spread, so that two ends and many peers do not meet
		p.reauthAt = p.e.now.Add(life*85/100 - p.e.spread(life/20))
	default: // the responder waits for the initiator to do it
		p.reauthAt = p.e.now.Add(life * 95 / 100)
	}
}

// spread is a random duration below d.
func (e *Endpoint) spread(d time.Duration) time.Duration {
	return time.Duration(int64(be32(e.draw(4))) * int64(d>>16) >> 16)
}

// endReplaced ends the sessions that this one replaced.
func (s *session) endReplaced() {
	for _, id := range s.replaces {
		if o := s.e.sessions[id]; o != nil {
			o.end(Reason{Code: Replaced, Detail: "the peer came from " + s.remote.String()}, true)
		}
	}
	s.replaces = nil
}

// maintain brings up what a dialled session misses.
func (s *session) maintain() {
	if s.gone || !s.dialled || !s.up || s.e.now.Before(s.retryAt) {
		return
	}
	p := s.main()
	if p == nil {
		if !s.underway() {
			s.retryAt, s.renew = s.e.now.Add(retryPause), true
			_ = s.startPhase1() // fails only for want of a group; Dial has checked
		}
		return
	}
	for i := range s.peer.Children {
		if c := &s.peer.Children[i]; !s.hasChild(c.Name) {
			s.retryAt = s.e.now.Add(retryPause)
			p.startQuick(*c, nil)
		}
	}
}

// retryPause is how long a dialled session waits before it tries again what failed.
const retryPause = 2 * time.Second

func (s *session) hasChild(name string) bool {
	for _, k := range s.children {
		if k.successor == nil && !k.deleted && (k.child.Name == name || len(s.peer.Children) == 1) {
			return true
		}
	}
	for _, p := range s.sas {
		for _, q := range p.quicks {
			if q.initiator && !q.over && q.cfg.Name == name {
				return true
			}
		}
	}
	return false
}

// missing tells whether a dialled session lacks a child that it has to have.
func (s *session) missing() bool {
	return s.dialled && s.up && slices.ContainsFunc(s.peer.Children, func(c ChildConfig) bool { return !s.hasChild(c.Name) })
}

// reauth begins a new phase 1 unless one is under way.
func (s *session) reauth() {
	if !s.underway() {
		_ = s.startPhase1()
	}
}

func (s *session) setAddresses(local, remote netip.AddrPort, float bool) {
	s.local, s.float = local, float
	s.index(remote)
}

// follow makes all of IKE go to the address where the peer now is.
func (s *session) follow(remote netip.AddrPort) {
	s.index(remote)
	for _, p := range s.sas {
		if p.stage == stageUp {
			p.remote = remote
		}
	}
}

func (s *session) startKeepalive() {
	s.keepalive = time.Time{}
	if s.nat.Local && s.float && s.peer.Keepalive >= 0 {
		s.keepalive = s.e.now.Add(or(s.peer.Keepalive, 20*time.Second))
	}
}

// next is when advance has something to do.
func (s *session) next() time.Time {
	next := s.keepalive
	for _, p := range s.sas {
		next = first(next, p.dueAt())
	}
	for _, k := range s.children {
		next = first(next, k.dueAt())
	}
	next = first(next, s.orphaned())
	if s.missing() || (s.dialled && s.up && s.main() == nil && !s.underway()) {
		next = first(next, maxTime(s.retryAt, s.e.now.Add(time.Millisecond)))
	}
	return next
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// orphanIdle is how long children live on without phase 1 and without packets.
const orphanIdle = 2 * time.Minute

// orphaned is when a session without phase 1, whose children nobody uses, has to end; zero: not at all.
// Without phase 1 there is no dead peer detection, and the peer's deletes may have been lost.
func (s *session) orphaned() time.Time {
	if s.e.cfg.LastInbound == nil || s.dialled || !s.up || len(s.sas) > 0 || len(s.children) == 0 {
		return time.Time{}
	}
	return s.lastHeard().Add(orphanIdle)
}

// advance does what is due.
func (s *session) advance() {
	now := s.e.now
	if !s.keepalive.IsZero() && !s.keepalive.After(now) {
		s.e.send(Packet{Local: s.local, Remote: s.remote, NATT: true, Data: []byte{0xff}})
		s.startKeepalive()
	}
	for _, p := range slices.Clone(s.sas) {
		p.advance()
		if s.gone {
			return
		}
	}
	for _, k := range slices.Clone(s.children) {
		k.advance()
		if s.gone {
			return
		}
	}
	s.maintain()
	if t := s.orphaned(); !t.IsZero() && !t.After(now) {
		s.end(Reason{Code: PeerDead, Detail: "phase 1 is gone and nothing was heard for " + orphanIdle.String()}, false)
	}
	s.endIfEmpty(Reason{Code: Expired})
}

// endIfEmpty ends a session that has nothing left.
func (s *session) endIfEmpty(why Reason) {
	if !s.gone && len(s.sas) == 0 && len(s.children) == 0 {
		s.end(why, false)
	}
}

// end closes the session: deletes are sent once if tell, children go down, all is forgotten.
func (s *session) end(why Reason, tell bool) {
	if s.gone {
		return
	}
	for _, k := range slices.Clone(s.children) {
		k.down(why, tell)
	}
	for _, p := range slices.Clone(s.sas) {
		p.end(tell)
	}
	told := s.up || s.dialled
	s.forget()
	if told {
		s.e.out.event(Closed{Session: s.id, Peer: s.peer, Remote: s.remote, Reason: why})
	}
}

// forget removes the session from the tables.
func (s *session) forget() {
	for _, p := range s.sas {
		s.e.removePhase1(p)
	}
	s.sas, s.gone = nil, true
	s.unindex()
	delete(s.e.sessions, s.id)
	if s.slot >= 0 {
		s.deadline = time.Time{}
		removeTimer(&s.e.timers, s)
	}
}
