package ike

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
)

// Endpoint is all of IKE of one daemon: peers, sessions, half-open negotiations.
// It must be used by one goroutine at a time. See the package comment.
type Endpoint struct {
	cfg    Config
	peers  peerTable
	half   halfOpen
	random io.Reader

	sas      map[cookies]*phase1 // both cookies known
	dialling map[[8]byte]*phase1 // ours, the peer's cookie is not known yet
	sessions map[SessionID]*session
	byRemote map[netip.Addr]*session           // the newest; the others follow it
	byPeer   map[string]map[SessionID]*session // peers with an identity of their own, by name
	spis     map[uint32]*childSA               // by our inbound SPI; nil while it is only reserved
	timers   timers
	lastID   SessionID

	dhBudget      budget             // per source: Diffie-Hellman for phase 1
	failBudget    budget             // per source: Failed events that strangers cause
	failAll       bucket             // and all of them together
	notifyBudget  budget             // per source: unprotected error notifies
	unknownAll    bucket             // all UnknownSPI together
	notifyAll     bucket             // and all of them together
	aggressiveAll bucket             // aggressive mode computes before the address is proved
	prompt        map[string]*bucket // per peer: AggressivePrompt

	count Counters

	now time.Time // of the call under way
	out *Out
}

// New makes an Endpoint.
func New(cfg Config) (*Endpoint, error) {
	if cfg.Rand == nil {
		return nil, errNoRand
	}
	cfg.Port, cfg.NATTPort, cfg.LocalNATTPort = or(cfg.Port, 500), or(cfg.NATTPort, 4500), or(cfg.LocalNATTPort, 4500)
	r := &cfg.Retransmit
	r.First, r.Factor = or(r.First, 500*time.Millisecond), or(r.Factor, 1.8)
	r.Max, r.Total = or(r.Max, 8*time.Second), or(r.Total, 30*time.Second)
	cfg.MaxSessions = or(cfg.MaxSessions, 30000)
	cfg.DHPerSource, cfg.DHBurst = or(cfg.DHPerSource, 20), or(cfg.DHBurst, 100)
	e := &Endpoint{
		cfg: cfg, random: cfg.Rand,
		sas: map[cookies]*phase1{}, dialling: map[[8]byte]*phase1{},
		sessions: map[SessionID]*session{},
		byRemote: map[netip.Addr]*session{}, byPeer: map[string]map[SessionID]*session{}, spis: map[uint32]*childSA{},
		dhBudget:      budget{rate: float64(cfg.DHPerSource), burst: float64(cfg.DHBurst)},
		failBudget:    budget{rate: 1.0 / 30, burst: 2},
		failAll:       bucket{rate: 2, burst: 30},
		notifyBudget:  budget{rate: 0.5, burst: 3},
		unknownAll:    bucket{rate: 20, burst: 20},
		notifyAll:     bucket{rate: 10, burst: 20},
		aggressiveAll: bucket{rate: 50, burst: 100},
		prompt:        map[string]*bucket{},
	}
	e.count.Dropped = map[Drop]uint64{}
	if err := e.half.init(e.random); err != nil {
		return nil, err
	}
	var err error
	e.peers, err = newPeerTable(cfg.Peers)
	return e, err
}

// enter begins a call.
func (e *Endpoint) enter(now time.Time, out *Out) func() {
	e.now, e.out = now, out
	return func() { e.out = nil }
}

// SetPeers replaces the configuration. Sessions of peers that are gone (by Name) or
// whose key or identity changed are closed; the others take on the new configuration.
func (e *Endpoint) SetPeers(now time.Time, peers []*Peer, out *Out) error {
	defer e.enter(now, out)()
	table, err := newPeerTable(peers)
	if err != nil {
		return err
	}
	e.peers = table
	for _, s := range e.byID() {
		if s.peer == nil { // who it is is looked up when it says so, in the new table
			continue
		}
		i := slices.IndexFunc(peers, func(p *Peer) bool { return p.Name == s.peer.Name })
		if i < 0 || !samePeer(peers[i], s.peer) {
			s.end(Reason{Code: LocalClose, Detail: "the configuration changed"}, true)
			continue
		}
		s.peer = peers[i]
		s.touch()
	}
	return nil
}

// Dial begins a session: phase 1 from local to remote, then the peer's children. A port of
// 0 stands for the IKE port. The session is kept up (rekeyed, re-authenticated) until
// Closed; after it the shell may dial again.
func (e *Endpoint) Dial(now time.Time, p *Peer, local, remote netip.AddrPort, out *Out) (SessionID, error) {
	defer e.enter(now, out)()
	if err := p.check(); err != nil {
		return 0, err
	}
	if !local.Addr().IsValid() || local.Addr().IsUnspecified() || !remote.Addr().IsValid() ||
		local.Addr().Unmap().Is4() != remote.Addr().Unmap().Is4() {
		return 0, fmt.Errorf("ike: cannot dial %s from %s", remote, local)
	}
	if len(e.sessions) >= e.cfg.MaxSessions {
		return 0, fmt.Errorf("ike: %d sessions are open, the limit", len(e.sessions))
	}
	local = netip.AddrPortFrom(local.Addr().Unmap(), or(local.Port(), 500))
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), or(remote.Port(), e.cfg.Port))
	s := e.newSession(p, local, remote)
	s.dialled = true
	if err := s.startPhase1(); err != nil {
		s.forget()
		return 0, err
	}
	s.touch()
	return s.id, nil
}

// Close ends a session: deletes are sent once, all is forgotten.
func (e *Endpoint) Close(now time.Time, id SessionID, out *Out) {
	defer e.enter(now, out)()
	if s := e.sessions[id]; s != nil {
		s.end(Reason{Code: LocalClose}, true)
	}
}

// Rekey negotiates a successor for the child with this inbound SPI, now. It does nothing
// if one is under way or exists.
func (e *Endpoint) Rekey(now time.Time, spi uint32, out *Out) {
	defer e.enter(now, out)()
	if k := e.spis[spi]; k != nil {
		k.rekey()
		k.s.touch()
	}
}

// Reauth begins a new phase 1 of a session, now. The old one and the children stay until it is up.
func (e *Endpoint) Reauth(now time.Time, id SessionID, out *Out) {
	defer e.enter(now, out)()
	if s := e.sessions[id]; s != nil && s.peer != nil {
		s.reauth()
		s.touch()
	}
}

// InboundUsed says that an authenticated ESP packet arrived on the inbound SPI.
// It needs to be called for the first packet of a child only, and does no harm otherwise.
func (e *Endpoint) InboundUsed(now time.Time, spi uint32, out *Out) {
	defer e.enter(now, out)()
	if k := e.spis[spi]; k != nil {
		k.s.heard = now
		k.makeUsable()
		k.s.touch()
	}
}

// UnknownSPI says that ESP with an SPI that we do not have came from an address. If an
// authenticated peer is there, it is told so in a protected notify (INVALID-SPI), at most
// once in 2 s and peer: it may have lost our delete. Strangers get no answer. The shell calls
// it within a budget of its own, or never. With raw ESP, remote's port does not matter.
func (e *Endpoint) UnknownSPI(now time.Time, remote netip.AddrPort, spi uint32, out *Out) {
	defer e.enter(now, out)()
	if !e.unknownAll.take(now) {
		return
	}
	for _, s := range e.at(remote.Addr().Unmap()) {
		if !s.up || (s.float && s.remote.Port() != remote.Port()) || now.Before(s.unknownAt) {
			continue
		}
		if p := s.main(); p != nil {
			s.unknownAt = now.Add(2 * time.Second)
			raw := binary.BigEndian.AppendUint32(nil, spi)
			p.inform(PayloadNotify, notification{protocol: protoESP, kind: NotifyInvalidSPI, spi: raw, data: raw}.append(nil))
		}
	}
}

// PeerMoved says that authenticated ESP of this session now comes from another
// address or port. IKE follows; no Moved event is made.
func (e *Endpoint) PeerMoved(now time.Time, id SessionID, remote netip.AddrPort) {
	if s := e.sessions[id]; s != nil && remote.IsValid() {
		s.follow(remote)
	}
}

// Receive takes one packet. The error says why it was dropped, if it was; it is
// a *Dropped.
func (e *Endpoint) Receive(now time.Time, p Packet, out *Out) error {
	defer e.enter(now, out)()
	e.count.Received++
	if p.NATT {
		if len(p.Data) == 1 && p.Data[0] == 0xff {
			return nil // a keepalive (RFC 3948 2.3)
		}
		if len(p.Data) < markerLen || p.Data[0]|p.Data[1]|p.Data[2]|p.Data[3] != 0 {
			return e.drop(DropMalformed, "no zero marker on the NAT-T port")
		}
		p.Data = p.Data[markerLen:]
	}
	p.Local = netip.AddrPortFrom(p.Local.Addr().Unmap(), p.Local.Port())
	p.Remote = netip.AddrPortFrom(p.Remote.Addr().Unmap(), p.Remote.Port())
	h, body, err := parseHeader(p.Data)
	if err != nil {
		if err == errVersion {
			return e.drop(DropVersion, "%v", err)
		}
		return e.drop(DropMalformed, "%v", err)
	}
	m := &message{header: h, packet: p, raw: p.Data[:h.length], body: body}
	return e.route(m)
}

// message is a received message on its way through the machine.
type message struct {
	header
	packet   Packet
	raw      []byte // the whole, without marker
	body     []byte // behind the header
	payloads []payload
	iv       []byte // after decryption: what the next message chains from
}

// route finds who the message is for.
func (e *Endpoint) route(m *message) error {
	var zero [8]byte
	if m.i == zero {
		return e.drop(DropMalformed, "initiator cookie of 0")
	}
	if m.cookies.r == zero {
		switch m.exchange {
		case ExchangeMain:
			return e.mainMode1(m)
		case ExchangeAggressive:
			return e.aggressive1(m)
		case ExchangeInformational:
			return e.unprotected(m)
		}
		return e.drop(DropUnknownSA, "%s without a phase 1", m.exchange)
	}
	p := e.sas[m.cookies]
	if p == nil {
		if q := e.dialling[m.i]; q != nil && q.initiator && q.remote == m.packet.Remote {
			p = q
		} else if m.exchange == ExchangeMain {
			return e.mainMode3(m)
		} else {
			return e.drop(DropUnknownSA, "%s of an unknown phase 1", m.exchange)
		}
	}
	s := p.s
	err := p.receive(m)
	s.touch()
	if p.s != s { // the phase 1 went to another session
		p.s.touch()
	}
	return err
}

// Advance does what is due.
func (e *Endpoint) Advance(now time.Time, out *Out) {
	defer e.enter(now, out)()
	e.half.expire(now)
	for len(e.timers) > 0 && !e.timers[0].deadline.After(now) {
		s := e.timers[0]
		s.advance()
		s.touch()
	}
}

// Deadline is when Advance wants to be called at the latest; the zero time: never.
func (e *Endpoint) Deadline() time.Time {
	next := e.half.deadline()
	if len(e.timers) > 0 {
		next = first(next, e.timers[0].deadline)
	}
	return next
}

// first is the earlier of two times; the zero time is never.
func first(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// timers are the sessions that wait for a time, a heap.
type timers []*session

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].deadline.Before(t[j].deadline) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].slot, t[j].slot = i, j
}

// Push is for container/heap.
func (t *timers) Push(x any) {
	s := x.(*session)
	s.slot = len(*t)
	*t = append(*t, s)
}

// Pop is for container/heap.
func (t *timers) Pop() any {
	last := len(*t) - 1
	s := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	s.slot = -1
	return s
}

// touch puts the session where its deadline belongs.
func (s *session) touch() {
	if s.gone {
		return
	}
	s.deadline = s.next()
	t := &s.e.timers
	switch {
	case s.deadline.IsZero() && s.slot >= 0:
		heap.Remove(t, s.slot)
	case s.deadline.IsZero():
	case s.slot >= 0:
		heap.Fix(t, s.slot)
	default:
		heap.Push(t, s)
	}
}

// byID lists the sessions in their order.
func (e *Endpoint) byID() []*session {
	list := make([]*session, 0, len(e.sessions))
	for _, s := range e.sessions {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	return list
}

// draw fills n bytes from the random source. A source that fails leaves nothing
// that could be done safely.
func (e *Endpoint) draw(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(e.random, b); err != nil {
		panic("ike: the random source failed: " + err.Error())
	}
	return b
}
