// Package dhcp gives addresses to sessions that have no Ethernet of their own,
// such as PPP links: from the user's entry, from RADIUS, by DHCP from the
// server that the segment has already, or from a pool of the port; and it
// answers the clients' own DHCPINFORM with routes and name servers.
//
//	Assigner   the order of sources for one session, with conflict detection
//	Client     DHCPv4 client of one session on the segment (RFC 2131)
//	Pool       addresses of a port, the same user the same address
//	Memory     leases kept from one connect to the next
//	Responder  answers DHCPINFORM inside the session (RFC 2131 section 4.3.5)
//
// All are pure: they get packets and the time, and give packets and events.
// They are used by one goroutine each; Pool and Memory, which sessions share,
// may be used by several.
//
// A frame of the client, here a DISCOVER:
//
//	+----------+-----------+----------------+--------------------------------+
//	| Ethernet | IPv4      | UDP            | op 1, xid, flags, ciaddr,      |
//	| to all   | 0.0.0.0 > | 68 > 67        | chaddr, magic cookie,          |
//	|          | broadcast |                | options 53, 61, 12, 50, 55, 57 |
//	+----------+-----------+----------------+--------------------------------+
package dhcp

import (
	"fmt"
	"net/netip"
	"time"

	"vhub/eth"
)

// Source says where an address came from.
type Source string

// The sources.
const (
	SourceStatic Source = "static" // the user's entry
	SourceRADIUS Source = "radius" // Framed-IP-Address
	SourceDHCP   Source = "dhcp"   // the segment's server
	SourcePool   Source = "pool"   // the port's pool
)

// Lease is an address with what belongs to it. Nobody changes one after it was
// made.
type Lease struct {
	Source  Source       `json:"source"`
	Prefix  netip.Prefix `json:"prefix"` // the address, with the length of its subnet
	Routers []netip.Addr `json:"routers,omitempty"`
	DNS     []netip.Addr `json:"dns,omitempty"`
	NTP     []netip.Addr `json:"ntp,omitempty"`
	Domain  string       `json:"domain,omitempty"`
	Search  []string     `json:"search,omitempty"`
	Routes  []Route      `json:"routes,omitempty"` // classless (RFC 3442); where there are any, Routers is not for the default route
	MTU     int          `json:"mtu,omitempty"`    // bytes, 0 unknown
	Server  netip.Addr   `json:"server"`           // DHCP only
	Since   time.Time    `json:"since"`
	Renew   time.Time    `json:"renew"`   // T1; DHCP only
	Rebind  time.Time    `json:"rebind"`  // T2; DHCP only
	Expires time.Time    `json:"expires"` // zero: never

	serverMAC eth.Addr // the station that the server's answer came from
}

// Addr is the address without its prefix length.
func (l *Lease) Addr() netip.Addr { return l.Prefix.Addr() }

// Route is one classless static route.
type Route struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via"` // 0.0.0.0: on link
}

// String returns "to via router".
func (r Route) String() string { return fmt.Sprintf("%s via %s", r.To, r.Via) }

// Out gathers what a machine wants done. Frames are the caller's.
type Out struct {
	Frames [][]byte // whole Ethernet frames for the segment, in order
	Events []Event
}

// Reset empties an Out for the next call.
func (o *Out) Reset() { o.Frames, o.Events = o.Frames[:0], o.Events[:0] }

// EventKind is what happened.
type EventKind uint8

// The kinds of event.
const (
	// Check asks the caller to look whether anybody on the segment has Addr
	// (RFC 5227) and to call Checked with what it found.
	Check EventKind = iota + 1
	// Assigned: the session has Lease now.
	Assigned
	// Changed: Lease replaces the one before; its address is the same.
	Changed
	// Lost: the address must not be used any more, for Reason. The machine is
	// at rest; Start begins anew.
	Lost
	// Failed: there is no address to be had, for Reason. The machine is at
	// rest; Start begins anew.
	Failed
	// Note is for the log: something went another way than it should, Reason.
	Note
)

var eventNames = [...]string{"", "check", "assigned", "changed", "lost", "failed", "note"}

// String names the kind.
func (k EventKind) String() string { return eventNames[k] }

// Event is one thing that happened.
type Event struct {
	Kind   EventKind
	Addr   netip.Addr // of Check
	Lease  *Lease     // of Assigned and Changed
	Reason string     // of Lost, Failed and Note; one line
}

func (o *Out) event(e Event) { o.Events = append(o.Events, e) }

func (o *Out) note(format string, args ...any) {
	o.event(Event{Kind: Note, Reason: fmt.Sprintf(format, args...)})
}
