package ike

import (
	"fmt"
	"net/netip"
	"time"

	"vhub/ipsec/esp"
)

// Packet is one UDP datagram of IKE.
type Packet struct {
	Local, Remote netip.AddrPort
	// NATT tells that it belongs to the NAT-T port: Data then begins with four
	// zero bytes (RFC 3948 2.2), or is a keepalive of one byte 0xff.
	NATT bool
	Data []byte // received: lent for the call. To send: read-only
}

// Out collects what a call has to say. The shell handles the events first, then
// sends the packets, then calls Reset.
type Out struct {
	Packets []Packet
	Events  []Event
}

// Reset empties it for the next call.
func (o *Out) Reset() {
	clear(o.Packets)
	clear(o.Events)
	o.Packets, o.Events = o.Packets[:0], o.Events[:0]
}

func (o *Out) event(e Event) { o.Events = append(o.Events, e) }

// SessionID names a session within its Endpoint. It is never 0 and never used again.
type SessionID uint64

// Event is one of Established, ChildInstalled, ChildUsable, ChildDown, Moved,
// Failed and Closed.
type Event interface{ event() }

// Established: phase 1 is up, the peer is authenticated.
type Established struct {
	Session   SessionID
	Peer      *Peer
	RemoteID  ID
	LocalID   ID
	Initiator bool
	Local     netip.AddrPort
	Remote    netip.AddrPort
	NAT       NAT
	NATT      string // "rfc3947", "draft-03", "draft-02" or ""
	Suite     Suite
	Lifetime  time.Duration
	DPD       bool // the peer can be asked whether it lives
	Vendor    string
	Reauth    bool // the session was up before: this phase 1 follows another
	// Replaces are sessions of the same identity that end because of this one: at once on
	// INITIAL-CONTACT, else when this session's first child is usable. Their Closed comes with
	// the reason Replaced: the port goes over to this session and keeps what it knows.
	Replaces []SessionID
}

// SA is one direction of a child. It is immutable.
type SA struct {
	SPI  uint32
	Keys esp.Keys
}

// Child is a pair of ESP SAs with all that the data path needs. It is immutable.
type Child struct {
	Session SessionID
	Peer    *Peer
	Name    string // of the ChildConfig; empty when the peer asked for it
	In, Out SA     // In.SPI is ours: the peer sends with it
	Suite   esp.Suite
	Mode    esp.Mode
	ESN     bool
	UDP     bool // ESP in UDP, between Local and Remote
	// Local and Remote are the ends at the time of the negotiation: with UDP the
	// address and port of both sides, without it the ports are 0.
	Local, Remote                 netip.AddrPort
	LocalSelector, RemoteSelector Selector
	// LocalOA and RemoteOA are the addresses as their owners see them (NAT-OA, RFC 3947
	// 5.2), for the checksums of transport mode; invalid when not told.
	LocalOA, RemoteOA netip.Addr
	Initiator         bool // we began the quick mode
	PFS               Group
	Born              time.Time
	Lifetime          time.Duration // hard: the child is down after it
	SoftBytes         uint64        // call Rekey after so many bytes in either direction; 0: no limit
	HardBytes         uint64        // drop after so many; 0: no limit
}

// ChildInstalled: take packets on Child.In from now on.
type ChildInstalled struct{ Child *Child }

// ChildUsable: send with Child.Out from now on. Replaces is what was sent with until
// now for the same selectors, or nil; it stays valid inbound until its ChildDown.
type ChildUsable struct{ Child, Replaces *Child }

// ChildDown: forget both directions of the child.
type ChildDown struct {
	Child  *Child
	Reason Reason
}

// Moved: the session's peer sends from another address or port; ESP in UDP goes there.
type Moved struct {
	Session  SessionID
	From, To netip.AddrPort
}

// Failed: a negotiation came to nothing. For a dialled session Closed follows
// if it was phase 1.
type Failed struct {
	Session       SessionID // 0 when there was none yet
	Peer          *Peer     // nil when not known
	Initiator     bool
	Local, Remote netip.AddrPort
	RemoteID      ID // zero when not known
	Phase         int
	Reason        Reason
}

// Closed: the session is over.
type Closed struct {
	Session SessionID
	Peer    *Peer
	Remote  netip.AddrPort
	Reason  Reason
}

func (Established) event()    {}
func (ChildInstalled) event() {}
func (ChildUsable) event()    {}
func (ChildDown) event()      {}
func (Moved) event()          {}
func (Failed) event()         {}
func (Closed) event()         {}

// Code is why something ended or failed.
type Code uint8

// The codes.
const (
	NoReason        Code = iota
	NoProposal           // no common proposal
	WrongKey             // the pre-shared keys differ (or a packet was forged)
	WrongIdentity        // the peer is not who it has to be, or is not configured
	NoAnswer             // the peer does not answer
	PeerDead             // dead peer detection
	PeerDeleted          // the peer sent a delete
	PeerRefused          // the peer sent an error notify
	Replaced             // by a newer one
	Expired              // lifetime over
	LocalClose           // we were told to close
	BadMessage           // malformed or out of order
	Refused              // by our policy
	TooMany              // a limit was reached
	UnsupportedMode      // exchange or authentication method that we do not do
)

var codeNames = [...]string{"", "no common proposal", "wrong key", "wrong identity", "no answer",
	"peer is dead", "deleted by the peer", "refused by the peer", "replaced", "expired", "closed",
	"bad message", "refused by policy", "limit reached", "not supported"}

// String names the code in words.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Reason is a Code with its facts. It is an error.
type Reason struct {
	Code   Code
	Detail string     // the facts, for example which proposals were offered
	Hint   string     // the likely cause and what to do, for example what to type on the peer
	Notify NotifyType // the peer's error notify, or 0
}

// Error is one line: code, facts, hint.
func (r Reason) Error() string {
	s := r.Code.String()
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	if r.Hint != "" {
		s += " (" + r.Hint + ")"
	}
	return s
}
