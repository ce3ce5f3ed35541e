package ike

import (
	"net/netip"
	"time"
)

// Endpoint is all of IKE of one daemon: peers, sessions, half-open negotiations.
// It must be used by one goroutine at a time. See the package comment.
type Endpoint struct {
	now time.Time // of the call under way
	out *Out
}

// New makes an Endpoint.
func New(cfg Config) (*Endpoint, error) { return nil, nil }

// SetPeers replaces the configuration. Sessions of peers that are gone (by Name) or
// whose key or identity changed are closed; the others take on the new configuration.
func (e *Endpoint) SetPeers(now time.Time, peers []*Peer, out *Out) error { return nil }

// Dial begins a session: phase 1 from local to remote, then the peer's children. A port of
// 0 stands for the IKE port. The session is kept up (rekeyed, re-authenticated) until
// Closed; after it the shell may dial again.
func (e *Endpoint) Dial(now time.Time, p *Peer, local, remote netip.AddrPort, out *Out) (SessionID, error) {
	return 0, nil
}

// Close ends a session: deletes are sent once, all is forgotten.
func (e *Endpoint) Close(now time.Time, id SessionID, out *Out) {}

// Rekey negotiates a successor for the child with this inbound SPI, now. It does nothing
// if one is under way or exists.
func (e *Endpoint) Rekey(now time.Time, spi uint32, out *Out) {}

// Reauth begins a new phase 1 of a session, now. The old one and the children stay until it is up.
func (e *Endpoint) Reauth(now time.Time, id SessionID, out *Out) {}

// InboundUsed says that an authenticated ESP packet arrived on the inbound SPI.
// It needs to be called for the first packet of a child only, and does no harm otherwise.
func (e *Endpoint) InboundUsed(now time.Time, spi uint32, out *Out) {}

// PeerMoved says that authenticated ESP of this session now comes from another
// address or port. IKE follows; no Moved event is made.
func (e *Endpoint) PeerMoved(now time.Time, id SessionID, remote netip.AddrPort) {}

// Receive takes one packet. The error says why it was dropped, if it was.
func (e *Endpoint) Receive(now time.Time, p Packet, out *Out) error { return nil }

// Advance does what is due.
func (e *Endpoint) Advance(now time.Time, out *Out) {}

// Deadline is when Advance wants to be called at the latest; the zero time: never.
func (e *Endpoint) Deadline() time.Time { return time.Time{} }

// SessionStatus is what "sa list" shows of a session.
type SessionStatus struct {
	ID        SessionID
	Peer      *Peer
	RemoteID  ID
	Dialled   bool
	Local     netip.AddrPort
	Remote    netip.AddrPort
	NAT       NAT
	Phase1    []Phase1Status
	Children  []ChildStatus
	LastHeard time.Time
}

// Phase1Status is one phase 1 SA.
type Phase1Status struct {
	InitiatorCookie, ResponderCookie [8]byte
	Initiator                        bool
	Exchange                         Exchange
	State                            string
	Suite                            Suite
	Born, ReauthAt, Expires          time.Time // zero while not established
	// Key and IV decrypt phase 1 for Wireshark ("--with-keys" only).
	Key []byte
}

// ChildStatus is one pair of ESP SAs.
type ChildStatus struct {
	Child            *Child
	Usable           bool // we send with it, or could
	RekeyAt, Expires time.Time
}

// Session tells about one session.
func (e *Endpoint) Session(id SessionID) (SessionStatus, bool) { return SessionStatus{}, false }

// Sessions tells about all sessions, by id.
func (e *Endpoint) Sessions() []SessionStatus { return nil }

// Counters count what happened since New.
type Counters struct {
	Received, Sent uint64
	HalfOpen       int // now
	Sessions       int // now
	DH             uint64
	Retransmits    uint64
	// Dropped counts packets that were not taken, by reason.
	Dropped map[Drop]uint64
}

// Drop is why a packet was not taken.
type Drop string

// Counters tells the counts.
func (e *Endpoint) Counters() Counters { return Counters{} }
