package l2tp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Config is what an Endpoint needs to know. The zero value of a field stands
// for its default.
type Config struct {
	HostName string // sent in Host Name; default "vhub"
	// Secret, when not empty, is the tunnel secret: the tunnel is authenticated
	// (section 5.1.1) and hidden AVPs can be read. Stock clients have none.
	Secret      []byte
	HelloEvery  time.Duration // a silent peer is asked; default 45 s, range 1 s to 10 min
	MaxTunnels  int           // of one endpoint; default 4
	MaxSessions int           // of one tunnel; default 16
	Rand        io.Reader     // ids, challenges; crypto/rand.Reader in earnest
}

func (c Config) withDefaults() Config {
	if c.HostName == "" {
		c.HostName = "vhub"
	}
	if c.HelloEvery == 0 {
		c.HelloEvery = 45 * time.Second
	}
	if c.MaxTunnels == 0 {
		c.MaxTunnels = 4
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 16
	}
	return c
}

// Out is what a call of an Endpoint brings about. Reset it and use it again.
type Out struct {
	Packets [][]byte // to send to the peer, in order; the receiver of Out owns the bytes
	Events  []Event
}

// Reset empties Out and keeps its room.
func (o *Out) Reset() { o.Packets, o.Events = o.Packets[:0], o.Events[:0] }

// EventKind says what happened.
type EventKind uint8

// The events.
const (
	TunnelUp    EventKind = iota // the control connection is established
	SessionUp                    // a session may carry PPP now
	SessionDown                  // it may not any more; ids may be used again
	TunnelDown                   // the control connection is gone, its sessions before it
)

// Event is something an Endpoint's owner must know.
type Event struct {
	Kind                 EventKind
	Tunnel, Session      uint16 // ours: what the peer writes into its headers
	PeerTunnel, PeerSess uint16 // the peer's: what we write
	PeerHost, PeerVendor string // as the peer said
	CallingNumber        string
	Sequencing           bool   // the peer demands sequence numbers in data messages
	Reason               string // TunnelDown, SessionDown: for people
	ByPeer               bool   // TunnelDown, SessionDown: the peer asked for it
}

// Counters count what an Endpoint did not act on, by reason.
type Counters struct {
	BadHeader, UnknownTunnel, UnknownSession, Malformed, Duplicates, Refused uint64
}

func (c *Counters) add(o Counters) {
	c.BadHeader += o.BadHeader
	c.UnknownTunnel += o.UnknownTunnel
	c.UnknownSession += o.UnknownSession
	c.Malformed += o.Malformed
	c.Duplicates += o.Duplicates
	c.Refused += o.Refused
}

// Endpoint is the L2TP side of one IPsec peer. It is pure: it does no I/O and
// reads no clock. It is not for concurrent use.
type Endpoint struct {
	cfg      Config
	tunnels  []*tunnel
	lac      bool // we are the client
	Counters Counters
}

// NewLNS makes the endpoint of a server.
func NewLNS(cfg Config) *Endpoint {
	return &Endpoint{cfg: cfg.withDefaults()}
}

// NewLAC makes the endpoint of a client that places calls; call Dial.
func NewLAC(cfg Config) *Endpoint {
	return &Endpoint{cfg: cfg.withDefaults(), lac: true}
}

// tunnel is the one with this id of ours, or nil. There are four at most.
func (e *Endpoint) tunnel(id uint16) *tunnel {
	for _, t := range e.tunnels {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (e *Endpoint) forget(t *tunnel) {
	e.tunnels = slices.DeleteFunc(e.tunnels, func(x *tunnel) bool { return x == t })
}

// Dial opens a tunnel with the given id of our own (0: a random one) and then
// one session in it. SessionUp follows, or TunnelDown.
func (e *Endpoint) Dial(now time.Time, id uint16, out *Out) error {
	if !e.lac {
		return errors.New("l2tp: a server does not dial")
	}
	t, err := e.newTunnel(id)
	if err != nil {
		return err
	}
	t.state = waitReply
	t.ch.send(0, t.hello(SCCRQ))
	t.ch.flush(now, out)
	return nil
}

// Receive takes a control message. Errors are for counting: each is "drop
// this packet"; what else they bring about is in out.
func (e *Endpoint) Receive(now time.Time, pkt []byte, out *Out) error {
	h, body, err := ParseHeader(pkt)
	if err != nil || !h.Control {
		e.Counters.BadHeader++
		return ErrHeader
	}
	t := e.tunnel(h.Tunnel)
	if h.Tunnel == 0 {
		if t, err = e.first(now, h, body, out); t == nil {
			return err
		}
	}
	if t == nil {
		e.Counters.UnknownTunnel++
		e.unknownTunnel(h, body, out)
		return fmt.Errorf("control message for tunnel %d, which is not here", h.Tunnel)
	}
	t.receive(now, h, body, out)
	if t.state == gone {
		e.forget(t)
	}
	return nil
}

// unknownTunnel answers a peer that speaks of a tunnel that a restart has
// forgotten, so that it starts anew at once instead of at its own time-out.
// The peer's tunnel id is unknown, so the StopCCN says 0 (section 4.4.3) and
// names in Assigned Tunnel ID the one that is gone. It comes only to peers in
// an SA, and is smaller than most questions; a StopCCN is not answered.
func (e *Endpoint) unknownTunnel(h Header, body []byte, out *Out) {
	if m, err := parseMessage(body, nil); len(body) == 0 || (err == nil && m.Type == StopCCN) {
		return
	}
	stop := newMessage(StopCCN).uint16(avpAssignedTunnel, h.Tunnel).result(1, 0, "")
	out.Packets = append(out.Packets, appendControl(nil, 0, 0, h.Nr, h.Ns+1, stop))
}

// first takes a message with tunnel id 0: an SCCRQ, or a StopCCN of a peer
// that does not know our id yet.
func (e *Endpoint) first(now time.Time, h Header, body []byte, out *Out) (*tunnel, error) {
	m, err := parseMessage(body, e.cfg.Secret)
	if err != nil {
		e.Counters.Malformed++
		return nil, err
	}
	if m.Type == StopCCN {
		id, _ := m.uint16(avpAssignedTunnel)
		for _, t := range e.tunnels {
			if t.ch.peerTunnel == id || t.id == id {
				return t, nil
			}
		}
		return nil, nil
	}
	if m.Type != SCCRQ || e.lac {
		e.Counters.Refused++
		return nil, fmt.Errorf("%v with tunnel id 0", m.Type)
	}
	peer, ok := m.uint16(avpAssignedTunnel)
	if !ok || peer == 0 {
		e.Counters.Malformed++
		return nil, fmt.Errorf("%w: SCCRQ without an Assigned Tunnel ID", ErrAVP)
	}
	for _, t := range e.tunnels {
		if t.ch.peerTunnel != peer {
			continue
		}
		if t.repeats(now, h, body) {
			e.Counters.Duplicates++
			t.ch.repeat(out)
			return nil, nil
		}
		// A new SCCRQ with a known id by the same SA: the client has begun anew.
		t.close("replaced: the client began anew", true, out)
		e.forget(t)
		break
	}
	if len(e.tunnels) >= e.cfg.MaxTunnels {
		e.Counters.Refused++
		stop := newMessage(StopCCN).uint16(avpAssignedTunnel, 0).result(2, 4, "too many tunnels from this peer")
		out.Packets = append(out.Packets, appendControl(nil, peer, 0, 0, h.Ns+1, stop))
		return nil, errors.New("too many tunnels of one peer")
	}
	t, err := e.newTunnel(0)
	if err != nil {
		return nil, err
	}
	t.ch.peerTunnel, t.firstBody, t.firstAt = peer, bytes.Clone(body), now
	return t, nil
}

// newTunnel makes a tunnel with an id that is free.
func (e *Endpoint) newTunnel(id uint16) (*tunnel, error) {
	for id == 0 || e.tunnel(id) != nil {
		var b [2]byte
		if _, err := io.ReadFull(e.cfg.Rand, b[:]); err != nil {
			return nil, fmt.Errorf("l2tp: no randomness: %w", err)
		}
		id = binary.BigEndian.Uint16(b[:])
	}
	t := &tunnel{e: e, id: id, ch: newChannel()}
	e.tunnels = append(e.tunnels, t)
	return t, nil
}

// Advance does what is due: retransmissions, hellos, giving up.
func (e *Endpoint) Advance(now time.Time, out *Out) {
	for _, t := range e.sorted() {
		t.advance(now, out)
		if t.state == gone {
			e.forget(t)
		}
	}
}

// Deadline is when Advance has something to do next; zero for never.
func (e *Endpoint) Deadline() (next time.Time) {
	for _, t := range e.tunnels {
		if d := t.deadline(); !d.IsZero() && (next.IsZero() || d.Before(next)) {
			next = d
		}
	}
	return next
}

// Hangup ends a session with a CDN that carries the text. code is the Result
// Code of section 4.4.2: 2 general error, 3 administrative.
func (e *Endpoint) Hangup(now time.Time, tunnel, session, code uint16, text string, out *Out) {
	t := e.tunnel(tunnel)
	if t == nil {
		return
	}
	s := t.session(session)
	if s == nil {
		return
	}
	t.ch.send(s.peer, newMessage(CDN).result(code, 0, text).uint16(avpAssignedSession, s.id))
	t.endSession(s, text, false, out)
	t.ch.flush(now, out)
}

// Close ends all tunnels with a StopCCN that carries the text. The packets go
// once; a peer that misses them finds out by its hello.
func (e *Endpoint) Close(now time.Time, text string, out *Out) {
	for _, t := range e.sorted() {
		t.stop(now, 6, 0, text, out)
		t.close(text, false, out)
		e.forget(t)
	}
}

func (e *Endpoint) sorted() []*tunnel {
	list := slices.Clone(e.tunnels)
	slices.SortFunc(list, func(a, b *tunnel) int { return int(a.id) - int(b.id) })
	return list
}

// Acknowledged tells that the peer has acknowledged all that was sent in a
// tunnel: after Hello, that it lives.
func (e *Endpoint) Acknowledged(tunnel uint16) bool {
	t := e.tunnel(tunnel)
	return t != nil && len(t.ch.queue) == 0
}

// Sessions is how many sessions are up.
func (e *Endpoint) Sessions() (n int) {
	for _, t := range e.tunnels {
		for _, s := range t.sessions {
			if s.up {
				n++
			}
		}
	}
	return n
}

// Hello asks a peer at once whether it is there; its acknowledgement counts as
// being heard.
func (e *Endpoint) Hello(now time.Time, tunnel uint16, out *Out) {
	if t := e.tunnel(tunnel); t != nil && t.state == established {
		t.ch.send(0, newMessage(Hello))
		t.ch.flush(now, out)
	}
}
