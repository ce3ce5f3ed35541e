package ike

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"vhub/ipsec/esp"
)

// Peer is the configuration of one peer, or of a class of peers that share a key
// (road warriors). It must not be changed while an Endpoint has it.
type Peer struct {
	Name string // for events and log lines: the port's name
	Key  []byte // pre-shared key, not empty

	// RemoteID is the identity the peer has to claim and prove. The zero ID takes any:
	// then this is a default for peers that no other Peer describes.
	RemoteID ID
	// Remote limits where the peer may come from. Empty: anywhere.
	Remote []netip.Prefix
	// LocalID is what we claim to be. The zero ID stands for the local address.
	LocalID ID

	// Suites are the phase 1 suites, the preferred first; nil means DefaultSuites(Legacy).
	Suites []Suite
	// ESP are the phase 2 suites, the preferred first; nil means DefaultESP(Legacy).
	ESP []esp.Suite
	// Legacy permits 3DES, MD5 and MODP 1024, as the last choice.
	Legacy bool

	// Aggressive permits aggressive mode: as initiator it is what we begin with, as responder
	// we answer it besides main mode. What is up is renewed in its own mode. It needs a
	// RemoteID (responder) and a long key: anyone who sees or asks for message 2 can guess
	// the key offline.
	Aggressive bool
	// AggressivePrompt answers message 1 of aggressive mode at once even if the answer is
	// larger (by a third, with long hashes): three times, then once in 5 s. Without it such an answer waits
	// until the peer has repeated its message, which costs its retransmission time.
	AggressivePrompt bool

	// Lifetime of phase 1; 0 means 8 h. ChildLifetime of phase 2; 0 means 1 h.
	Lifetime, ChildLifetime time.Duration
	// ChildBytes is the kilobyte lifetime of phase 2 in bytes; 0 means none.
	ChildBytes uint64

	// PFS is the group of the Diffie-Hellman exchange in phase 2; 0 means none is
	// offered. As responder we take what the peer offers, if it is a group of ours.
	PFS Group
	// RequirePFS refuses phase 2 without PFS.
	RequirePFS bool
	// ESN offers and accepts extended sequence numbers (RFC 4304).
	ESN bool
	// CommitBit makes us, as responder of quick mode, set the commit bit and send
	// CONNECTED. The peer's commit bit is always honoured.
	CommitBit bool

	// DPD is how long a peer may be silent before it is asked; 0 means 20 s, negative
	// never. DPDRetries is how many questions, 2 s apart, stay unanswered until the
	// peer is dead; 0 means 5.
	DPD        time.Duration
	DPDRetries int

	// ForceNATT makes both sides believe in a NAT, so that ESP goes in UDP 4500.
	ForceNATT bool
	// HideNAT tells the peer, as responder, what the peer itself told about our
	// address, so that it sees no NAT in front of us: for Windows clients, which
	// refuse a server behind a NAT unless AssumeUDPEncapsulationContextOnSendRule is set.
	HideNAT bool
	// Keepalive is the interval of NAT keepalives; 0 means 20 s, negative none.
	Keepalive time.Duration

	// PeerRekeys leaves rekeying and re-authentication to the peer (road warriors).
	PeerRekeys bool
	// InitialContact is sent by us with the first phase 1 of a session. NoInitialContact
	// suppresses it (a peer that we reach on several paths at once).
	NoInitialContact bool
	// Multipath permits several sessions of this identity from different addresses at once
	// (vhub to vhub with several uplinks): it is told to the peer by a vendor id, and both
	// sides need it. Otherwise the newest session replaces older ones.
	Multipath bool

	// Children are brought up by a session that Dial starts, and kept up.
	Children []ChildConfig
	// Wording is for an initiator that plays another system. nil: we are ourselves.
	Wording *Wording
	// Accept decides about a quick mode that the peer starts. nil refuses all.
	// It must be quick and must not call the Endpoint.
	Accept func(*ChildRequest) error
}

// ChildConfig is one pair of ESP SAs to bring up.
type ChildConfig struct {
	Name string
	Mode esp.Mode
	// Local and Remote are the selectors to offer. The zero Selector stands for
	// the phase 1 address of that side, any protocol. A Selector without addresses but with a
	// protocol stands for that protocol at that address.
	Local, Remote Selector
}

// ChildRequest is a quick mode of a peer that waits for an answer.
type ChildRequest struct {
	Peer          *Peer
	Session       SessionID
	RemoteID      ID // of phase 1
	Mode          esp.Mode
	UDP           bool     // ESP in UDP
	Local, Remote Selector // as the peer sent them, or its address when it sent none
	Answer        bool     // we are the initiator and the peer answered other selectors than we offered
}

// NAT tells which sides of a session stand behind an address translator, as
// seen (or pretended) by the NAT-D payloads.
type NAT struct {
	Local, Remote bool
}

// Any tells whether ESP has to go in UDP.
func (n NAT) Any() bool { return n.Local || n.Remote }

// The limits of an Endpoint.
const (
	MaxKeys          = 256              // keys tried on one message 5
	maxMessage       = 16 << 10         // bytes of one IKE message
	maxPayloads      = 64               // payloads in one message
	maxProposals     = 32               // proposals in an SA payload
	maxTransforms    = 128              // transforms in an SA payload
	maxAttributes    = 24               // attributes in a transform
	maxChildren      = 16               // children in a session, old ones included
	maxPhase1        = 4                // phase 1 SAs in a session
	maxQuick         = 8                // quick modes at once in a phase 1 SA
	maxQuickOver     = 16               // and those that are over, kept to answer what comes again
	maxMultipath     = 8                // sessions of one identity at once
	halfOpenEntries  = 16384            // messages 1 remembered
	halfOpenBytes    = 8 << 20          // and their bytes
	halfOpenLifetime = 30 * time.Second // how long message 3 may take
	maxHalfOpenSA    = 2048             // bytes of a message 1's SA payload
)

// Config is what an Endpoint is made of.
type Config struct {
	Rand  io.Reader // crypto/rand.Reader, or a seeded one in tests
	Peers []*Peer

	// Port and NATTPort are the ports peers listen on; 0 means 500 and 4500.
	Port, NATTPort uint16
	// LocalNATTPort is our own port for ESP in UDP; 0 means 4500.
	LocalNATTPort uint16

	// Retransmit says how an unanswered message is repeated.
	Retransmit Retransmit

	// LastInbound tells when an authenticated ESP packet last arrived on the child with
	// this inbound SPI; the zero time if never. May be nil; then peers are asked whether they
	// live although they send, and children without phase 1 stay until they expire.
	LastInbound func(spi uint32) time.Time

	// MaxSessions bounds all sessions together; 0 means 30000.
	MaxSessions int
	// DHPerSource and DHBurst bound the phase 1 Diffie-Hellman computations that one
	// source address (IPv6: /64) may cause per second; 0 means 20 and 100.
	DHPerSource, DHBurst int
	// FewVendorIDs sends only the vendor ids without which a feature would not
	// work (NAT-T and DPD).
	FewVendorIDs bool

	// KeyLog is told, when a phase 1 is up, what deciphers its messages: the initiator's
	// cookie and the encryption key, as Wireshark's ikev1_decryption_table has them. nil: nobody.
	KeyLog func(cookie [8]byte, key []byte)
}

// Retransmit is the back-off of unanswered messages: after First, then each time
// Factor later, at most Max apart, until Total has passed since the first sending.
type Retransmit struct {
	First  time.Duration // 0 means 500 ms
	Factor float64       // 0 means 1.8
	Max    time.Duration // 0 means 8 s
	Total  time.Duration // 0 means 30 s
}

func (p *Peer) check() error {
	switch {
	case len(p.Key) == 0:
		return fmt.Errorf("ike: peer %q has no key", p.Name)
	case p.Aggressive && p.RemoteID.IsZero() && len(p.Children) == 0:
		return fmt.Errorf("ike: peer %q: aggressive mode needs the peer's identity", p.Name)
	case p.Lifetime < 0 || p.ChildLifetime < 0:
		return fmt.Errorf("ike: peer %q has a negative lifetime", p.Name)
	}
	for _, s := range p.Suites {
		if err := s.Check(); err != nil {
			return fmt.Errorf("ike: peer %q: %w", p.Name, err)
		}
	}
	for _, s := range p.ESP {
		if err := s.Check(); err != nil {
			return fmt.Errorf("ike: peer %q: %w", p.Name, err)
		}
	}
	if p.PFS != 0 && !p.PFS.Known() {
		return fmt.Errorf("ike: peer %q: unknown PFS group %d", p.Name, p.PFS)
	}
	return nil
}

var errNoRand = errors.New("ike: Config.Rand is missing")

// or returns the first of its values that is not zero.
func or[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}
