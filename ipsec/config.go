package ipsec

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// Config is what an Engine is made of. The zero value is good.
type Config struct {
	// Listen are the local addresses to serve; none means all, of both families.
	Listen []netip.Addr
	// Port and NATTPort are ours; 0 means 500 and 4500. Peers expect these.
	Port, NATTPort uint16
	// PeerPort and PeerNATTPort are where peers are dialled; 0 means 500 and 4500.
	PeerPort, PeerNATTPort uint16
	// NoRawESP leaves IP protocol 50 alone: ESP then goes in UDP only.
	NoRawESP bool
	// NoOffload leaves UDP segmentation and receive coalescing off.
	NoOffload bool

	// Readers is how many goroutines read UDP 4500, each on a socket of its own; 0 means
	// one for every two processors, 8 at most. A peer is always read by the same one.
	Readers int
	// Sealers is how many goroutines help to seal large batches of one tunnel; 0 means
	// one less than there are processors, none with fewer than four, negative none.
	Sealers int

	Log     *slog.Logger // nil: discarded
	Rand    io.Reader    // nil: crypto/rand
	Network Network      // nil: this machine's

	// Limits of IKE; 0 means what ike.Config says.
	MaxSessions, DHPerSource, DHBurst int
	Retransmit                        ike.Retransmit
}

// Role says who dials.
type Role uint8

// The roles.
const (
	Responder Role = iota // wait for the peer
	Initiator             // dial; a peer that dials is refused its children
	Either                // dial, and take the peer's call as well
)

// String returns "responder", "initiator" or "either".
func (r Role) String() string {
	return [...]string{"responder", "initiator", "either"}[min(r, Either)]
}

// Algorithms is what peers and road warriors have in common about negotiation.
// Zero values mean what ike.Peer says.
type Algorithms struct {
	Suites     []ike.Suite // phase 1, the preferred first
	ESP        []esp.Suite // phase 2
	Legacy     bool        // 3DES, MD5, MODP 1024 as the last choice
	PFS        ike.Group
	RequirePFS bool
	ESN        bool
	CommitBit  bool

	Lifetime, ChildLifetime time.Duration
	ChildBytes              uint64

	DPD        time.Duration // how long a peer may be silent; negative: never asked
	DPDRetries int
	Keepalive  time.Duration // NAT keepalives; negative: none
	ForceNATT  bool          // ESP in UDP even where no NAT is seen: UDP has offloads, protocol 50 has none
	HideNAT    bool          // let a Windows client see no NAT in front of us

	Window     int  // anti-replay window in packets, see esp.Config
	LaxPadding bool // take padding of any value
}

// PeerConfig is one peer with an identity: one Tunnel.
type PeerConfig struct {
	Name    string // the port's; unique in the Engine
	PeerID  ike.ID // the identity that the peer claims; the zero ID takes any with the key
	LocalID ike.ID // what we claim to be; the zero ID: our address
	Key     []byte
	Role    Role
	// Addresses are host names or addresses to dial, tried in turn.
	Addresses []string
	// Remote limits where the peer may come from; none: anywhere.
	Remote []netip.Prefix
	// Uplinks are interface names or local addresses to dial from, the preferred
	// first. With two or more, SAs are kept up on each and probed, if the peer is a
	// vhub with Multipath; traffic moves when the active path dies.
	Uplinks []string
	// Multipath accepts several sessions of the peer at once, as its responder.
	Multipath bool
	// HoldDown is how long a preferred path must be good before traffic returns to
	// it; 0 means 10 s.
	HoldDown   time.Duration
	Aggressive bool
	Mode       esp.Mode // what we offer as initiator; as responder both are taken
	// Protocol is the IP protocol inside ESP; 0 means EtherIP, 97. With UDP, 17, the
	// payloads are L2TP's, and the engine puts the header with port 1701 before them.
	Protocol uint8
	Algorithms

	// NewReceiver makes the receiver of one reading goroutine; it is called by that
	// goroutine when the first packet comes. Required.
	NewReceiver func() Receiver
	// OnEvent is told what becomes of the tunnel, in order, on a goroutine that all
	// tunnels share. May be nil.
	OnEvent func(Event)
}

// RoadConfig is a class of road warriors: any peer with the key. Each session is a
// Tunnel of its own, told apart by its SA and by nothing else, that carries UDP
// (L2TP) and ends with the session.
type RoadConfig struct {
	Name    string // the port's; unique in the Engine
	LocalID ike.ID
	Key     []byte
	Port    uint16 // our UDP port inside ESP; 0 means 1701
	// PeerID and Aggressive permit aggressive mode for clients that send this
	// identity (Android with an "IPSec identifier").
	PeerID     ike.ID
	Aggressive bool
	Algorithms

	// Accept is given each new session before its first packet; it says who takes
	// the payloads, UDP headers removed, or false to refuse. It is called on the
	// engine's loop: it must be quick and must not call the Engine.
	Accept func(*Tunnel) (Handler, bool)
}

// Handler is who owns a road warrior's session.
type Handler struct {
	NewReceiver func() Receiver
	// Closed is called once when the session is over, on a goroutine that all
	// tunnels share. May be nil.
	Closed func(reason string)
}

// Receiver takes the payloads of one read, in order, of one tunnel. They are lent
// until it returns and may be written to. It must not wait.
type Receiver func(now time.Time, payloads [][]byte)

// EventKind is what an Event tells.
type EventKind uint8

// The kinds.
const (
	Up    EventKind = iota // the tunnel carries traffic
	Moved                  // the peer is at another address, or traffic took another path: announce the segment
	Down                   // no SA is left
)

// String returns "up", "moved" or "down".
func (k EventKind) String() string { return [...]string{"up", "moved", "down"}[min(k, Down)] }

// Event is what becomes of a tunnel.
type Event struct {
	Kind   EventKind
	Tunnel string
	Remote netip.AddrPort // where the peer is now (Up, Moved)
	From   netip.AddrPort // where it was (Moved)
	Reason string         // why (Moved, Down)
}

const (
	defaultPort     = 500
	defaultNATTPort = 4500
	l2tpPort        = 1701
	defaultHoldDown = 10 * time.Second
)

func (c *Config) fill() {
	if c.Port == 0 {
		c.Port = defaultPort
	}
	if c.NATTPort == 0 {
		c.NATTPort = defaultNATTPort
	}
	if c.PeerPort == 0 {
		c.PeerPort = defaultPort
	}
	if c.PeerNATTPort == 0 {
		c.PeerNATTPort = defaultNATTPort
	}
	if c.Readers <= 0 {
		c.Readers = min(max(runtime.GOMAXPROCS(0)/2, 1), 8)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func (c *PeerConfig) check() error {
	switch {
	case c.Name == "":
		return errors.New("ipsec: a peer needs a name")
	case c.NewReceiver == nil:
		return fmt.Errorf("ipsec: peer %q has no receiver", c.Name)
	case c.Role != Responder && len(c.Addresses) == 0:
		return fmt.Errorf("ipsec: peer %q is to be dialled but has no address", c.Name)
	case c.Role == Responder && len(c.Uplinks) > 0:
		return fmt.Errorf("ipsec: peer %q has uplinks but is never dialled; give it an address or take the uplinks away", c.Name)
	}
	return nil
}

func (c *RoadConfig) check() error {
	switch {
	case c.Name == "":
		return errors.New("ipsec: road warriors need a name")
	case c.Accept == nil:
		return fmt.Errorf("ipsec: road warriors %q have nobody to accept them", c.Name)
	}
	return nil
}
