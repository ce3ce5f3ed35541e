package ppp

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// Protocol numbers (RFC 1661 section 2 and the IANA registry).
const (
	ProtoIPv4   = 0x0021
	ProtoIPv6   = 0x0057
	ProtoIPCP   = 0x8021
	ProtoIPv6CP = 0x8057
	ProtoCCP    = 0x80fd
	ProtoLCP    = 0xc021
	ProtoPAP    = 0xc023
	ProtoCHAP   = 0xc223
	ProtoEAP    = 0xc227
)

// Method is a way to authenticate.
type Method uint8

// The methods. MSCHAPv2 and EAPMSCHAPv2 need the password or its NT hash, the
// others the password.
const (
	MSCHAPv2 Method = iota
	EAPMSCHAPv2
	CHAPMD5
	PAP
	numMethods
)

var methodNames = [...]string{"mschapv2", "eap-mschapv2", "chap-md5", "pap"}

// String returns the method's name in configuration and logs.
func (m Method) String() string { return methodNames[m%numMethods] }

// ParseMethod finds a method by its name.
func ParseMethod(name string) (Method, error) {
	for i, n := range methodNames {
		if n == name {
			return Method(i), nil
		}
	}
	return 0, fmt.Errorf("no method of authentication %q; there are %s", name, strings.Join(methodNames[:], ", "))
}

// Config is what both ends of a link have in common. The zero value of a
// field means its default.
type Config struct {
	MRU       int           // largest packet in bytes that this end takes. Default 1400
	Restart   time.Duration // before a request is repeated, the second time twice that, then three times (RFC 1661 section 4.6). Default 1 s
	EchoEvery time.Duration // a peer of an open link silent for so long is sent an echo request, and then another each time. Default 20 s; negative: never
	EchoFails int           // unanswered ones until the peer counts as gone. Default 4
	Setup     time.Duration // from Open until a network protocol is up. Default 60 s
	Rand      io.Reader     // magic numbers and challenges: crypto/rand.Reader
}

// Server is the end that demands authentication and assigns addresses.
type Server struct {
	Config
	Name string // of the authenticator, sent in challenges. Default "vhub"
	// Methods that are allowed, the most wanted first. Default: MSCHAPv2.
	Methods []Method
}

// Client is the end that authenticates itself and is assigned addresses.
type Client struct {
	Config
	User, Password string
	Methods        []Method // that it agrees to, the most wanted first. Default: MSCHAPv2
	DNS            bool     // ask for name servers
	IPv4, IPv6     bool     // network protocols to open
	InterfaceID    [8]byte  // IPv6: its own; zero: drawn from Rand
	// Accept tells whether the server's address options are awaited. Address
	// asks for a certain address; zero: any.
	Address netip.Addr
}

// Addresses is what a server assigns (Assign). An invalid Peer means no IPv4,
// a zero LocalID no IPv6.
type Addresses struct {
	Local netip.Addr // this end's IPv4 address, shown to the peer
	Peer  netip.Addr // the peer's
	DNS   [2]netip.Addr

	LocalID [8]byte // this end's IPv6 interface identifier
	PeerID  [8]byte // offered to a peer that proposes none, or ours
}

// Reason says why a link ended.
type Reason uint8

// The reasons.
const (
	Closed         Reason = iota // Close was called
	PeerClosed                   // the peer ended it
	PeerSilent                   // echo requests were not answered
	NoAnswer                     // the peer never answered
	NoAgreement                  // the two do not converge on options
	NoAuthMethod                 // the peer refuses all methods that are allowed
	AuthFailed                   // wrong user or password
	ServerNotTrue                // client: the server does not know the password
	NoNetwork                    // neither IPv4 nor IPv6 came up
	SetupTimeout                 // not up in time
	Looped                       // the peer sends back what it is sent
	TooManyRestart               // the peer negotiated again too often
	ProtocolError                // the peer rejects what every link needs
)

var reasonNames = [...]string{
	"closed here", "closed by the peer", "peer silent", "no answer", "no agreement on options",
	"no agreement on authentication", "authentication failed", "server does not know the password",
	"no network protocol", "not up in time", "line is looped back", "negotiated again too often", "protocol error",
}

// String returns the reason in words.
func (r Reason) String() string { return reasonNames[int(r)%len(reasonNames)] }

// Event is one of the Event types.
type Event interface{ event() }

// EventAuth asks the caller to check credentials. The answer is a call of
// Authenticated with the same Seq, at any later time.
type EventAuth struct {
	Seq uint64
	Credentials
}

// EventNetwork tells that the peer is who it says (or, for a client, that the
// server let it in). A server must now call Assign, at any later time.
type EventNetwork struct{ User string }

// EventUp4 tells that IPv4 packets may pass.
type EventUp4 struct {
	Local, Peer netip.Addr
	DNS         [2]netip.Addr
	Params      Params
}

// EventUp6 tells that IPv6 packets may pass. The link-local addresses are
// fe80:: with these identifiers.
type EventUp6 struct {
	LocalID, PeerID [8]byte
	Params          Params
}

// EventDown4 tells that IPv4 packets may no longer pass.
type EventDown4 struct{}

// EventDown6 tells that IPv6 packets may no longer pass.
type EventDown6 struct{}

// EventEnd tells that the link has ended. It is the last event; the Link is of
// no further use.
type EventEnd struct {
	Reason Reason
	Detail string // what the peer said, or what went on; printable, may be empty
}

func (EventAuth) event()    {}
func (EventNetwork) event() {}
func (EventUp4) event()     {}
func (EventUp6) event()     {}
func (EventDown4) event()   {}
func (EventDown6) event()   {}
func (EventEnd) event()     {}

// Params is what LCP agreed on for packets to the peer.
type Params struct {
	MTU  int  // bytes of an IP packet: the peer's MRU, at most 1500
	PFC  bool // the protocol may be one byte (RFC 1661 section 6.5)
	ACFC bool // address and control may be left out (RFC 1661 section 6.6)
}

// AppendHeader appends the header of an IP packet to the peer, 1 to 4 bytes.
func (p Params) AppendHeader(b []byte, proto uint16) []byte {
	if !p.ACFC {
		b = append(b, 0xff, 0x03)
	}
	if p.PFC && proto < 0x100 {
		return append(b, byte(proto))
	}
	return append(b, byte(proto>>8), byte(proto))
}

// Split takes the PPP header off a packet. It accepts every form that
// compression allows, agreed or not. ok is false for what is no PPP packet.
func Split(packet []byte) (proto uint16, payload []byte, ok bool) {
	if len(packet) >= 2 && packet[0] == 0xff && packet[1] == 0x03 {
		packet = packet[2:]
	}
	switch {
	case len(packet) >= 1 && packet[0]&1 == 1:
		return uint16(packet[0]), packet[1:], true
	case len(packet) >= 2 && packet[1]&1 == 1: // RFC 1661 section 2: the last byte is odd, those before are even
		return uint16(packet[0])<<8 | uint16(packet[1]), packet[2:], true
	}
	return 0, nil, false
}

// Out collects what a call wants sent and tells. It can be used again after
// Reset. One Out belongs to one goroutine.
type Out struct {
	Packets [][]byte // PPP packets with their headers; owned by the Out
	Events  []Event

	buf []byte
}

// Reset empties the Out; the packets in it are gone.
func (o *Out) Reset() {
	clear(o.Events)
	o.Packets, o.Events, o.buf = o.Packets[:0], o.Events[:0], o.buf[:0]
}

// Stats count what a link dropped, by reason, and what it rejected.
type Stats struct {
	Malformed  uint64 // no PPP packet, or a length field that does not fit
	Unexpected uint64 // not of this phase, or with an identifier that nobody waits for
	NotUp      uint64 // IP packets while their protocol is down
	Rejected   uint64 // Protocol-Rejects and Code-Rejects sent
}
