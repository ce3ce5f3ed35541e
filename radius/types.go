package radius

import (
	"fmt"
	"net/netip"
	"time"
)

// Method is how a user proves who he is.
type Method uint8

// The methods. EAP with MS-CHAPv2 is taken apart before and asked as MSCHAPv2.
const (
	MSCHAPv2 Method = iota // RFC 2548 section 2.3
	CHAPMD5                // RFC 2865 section 5.3
	PAP                    // RFC 2865 section 5.2
)

// Request is a login to be checked. The bytes are not kept.
type Request struct {
	User   string // as presented; 1 to 253 bytes
	Method Method

	Password  []byte // PAP, at most 128 bytes
	ID        byte   // of the challenge; not PAP
	Challenge []byte // not PAP: 16 bytes for MSCHAPv2, 1 to 253 for CHAPMD5
	Response  []byte // CHAPMD5: 16 bytes; MSCHAPv2: the 49 bytes of RFC 2759 section 4

	Session Session
}

// Session is what requests and records tell about a session. What is zero or
// empty is not told.
type Session struct {
	ID      string     // Acct-Session-Id: unique, also over restarts
	Port    string     // NAS-Port-Id: the port and number, for people
	Calling netip.Addr // Calling-Station-Id, Tunnel-Client-Endpoint: the client's address
	Called  string     // Called-Station-Id: where the client called
	Host    string     // Tunnel-Client-Auth-ID: what the client calls its machine
}

// Grant is a server's answer to a Request.
type Grant struct {
	OK     bool
	Reason string // of a refusal, one line, for the log
	Server string // who answered: address and port

	Message       string        // Reply-Message, made printable; of accepted users too
	Authenticator string        // MSCHAPv2: "S=" and 40 hex digits, for the client
	Address       netip.Addr    // Framed-IP-Address, invalid where the server leaves it to us
	Class         [][]byte      // to be said again in accounting, in order
	MaxTime       time.Duration // Session-Timeout, 0 none
	IdleTime      time.Duration // Idle-Timeout, 0 none
	Interim       time.Duration // Acct-Interim-Interval, at least a minute (RFC 2869 section 5.16); 0 none
	Filter        string        // Filter-Id, for the caller to make sense of
	VLAN          int           // 1 to 4094, 0 none
}

// Phase is what a Record is about.
type Phase uint8

// The phases, as the values of Acct-Status-Type (RFC 2866 section 5.1).
const (
	Start   Phase = 1
	Stop    Phase = 2
	Interim Phase = 3
)

// String returns the phase for logs.
func (p Phase) String() string {
	switch p {
	case Start:
		return "start"
	case Stop:
		return "stop"
	case Interim:
		return "interim"
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Cause is why a session ended, as the values of Acct-Terminate-Cause (RFC
// 2866 section 5.10).
type Cause uint32

// The causes that a vhub has.
const (
	UserRequest        Cause = 1
	LostCarrier        Cause = 2
	IdleTimeout        Cause = 4
	SessionTimeout     Cause = 5
	AdminReset         Cause = 6
	NASError           Cause = 9
	NASRequest         Cause = 10
	NASReboot          Cause = 11
	PortPreempted      Cause = 13
	ServiceUnavailable Cause = 15
	UserError          Cause = 17
)

// Record is accounting of a session.
type Record struct {
	Phase   Phase
	At      time.Time // when it was so; a late record tells how late it is
	User    string
	Local   bool // the user was found in the local database, not by RADIUS
	Class   [][]byte
	Address netip.Addr // of the client in the segment
	Session Session

	Duration              time.Duration
	InBytes, OutBytes     uint64 // from and to the client
	InPackets, OutPackets uint64
	Cause                 Cause // Stop
}
