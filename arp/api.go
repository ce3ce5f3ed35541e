package arp

import (
	"fmt"
	"net/netip"
	"time"

	"vhub/eth"
)

// Link is the hub's number of a link (an attached port). 0 is the hub itself.
type Link uint32

// Mode says how much the hub helps.
type Mode uint8

// The modes, from least to most help.
const (
	// Relay learns and passes everything; it sends nothing of its own.
	Relay Mode = iota
	// Assist turns a question for a known station into a unicast to it, repeats
	// what is not answered, floods what stays unanswered, and keeps caches fresh.
	Assist
	// Proxy is Assist, and answers for known stations at once with the
	// station's own MAC address.
	Proxy
)

var modeNames = [...]string{"relay", "assist", "proxy"}

// String returns the mode's name in the configuration.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// ParseMode reads "relay", "assist" or "proxy".
func ParseMode(s string) (Mode, error) {
	for i, n := range modeNames {
		if s == n {
			return Mode(i), nil
		}
	}
	return Relay, fmt.Errorf("no arp mode %q: want relay, assist or proxy", s)
}

// MarshalText makes a Mode a JSON string.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is the opposite of MarshalText.
func (m *Mode) UnmarshalText(b []byte) error {
	x, err := ParseMode(string(b))
	*m = x
	return err
}

// Source says what a neighbour was learned from.
type Source uint8

// The sources.
const (
	FromARP    Source = iota // ARP request, reply or announcement
	FromND                   // neighbour or router discovery
	FromDHCP                 // a DHCPv4 ACK that the station asked for
	FromStatic               // SetStatic
)

var sourceNames = [...]string{"arp", "nd", "dhcp", "static"}

// String returns "arp", "nd", "dhcp" or "static".
func (s Source) String() string { return sourceNames[s&3] }

// MarshalText makes a Source a JSON string.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Neighbour is one line of the table.
type Neighbour struct {
	VLAN      uint16     `json:"vlan"` // 0: untagged
	IP        netip.Addr `json:"ip"`
	MAC       eth.Addr   `json:"mac"`
	Link      Link       `json:"link"`
	Source    Source     `json:"source"`
	Since     time.Time  `json:"since"`     // this MAC has had the address since
	Confirmed time.Time  `json:"confirmed"` // last heard from the station itself; zero for a lease or static entry not heard yet
	Expires   time.Time  `json:"expires"`   // when it goes unless confirmed before; zero: never
	Silent    bool       `json:"silent"`    // did not answer the keeper; nobody is told of it
	Router    bool       `json:"router"`    // IPv6: says that it is a router
	Users     int        `json:"users"`     // conversations that the keeper holds up with it
}

// EventKind says what an Event reports.
type EventKind uint8

// The kinds of event.
const (
	// Conflict: MAC (the first, which answered a probe) and OtherMAC both claim
	// IP. Once, and again after Config.ConflictQuiet.
	Conflict EventKind = iota
	// Replaced: OtherMAC had IP and did not answer; MAC has it now.
	Replaced
	// Moved: the station is now behind Link; it was behind OtherLink.
	Moved
	// Silent: the station no longer answers the keeper.
	Silent
	// Full: a neighbour was not learned because of a limit. At most once a minute.
	Full
)

var eventNames = [...]string{"conflict", "replaced", "moved", "silent", "full"}

// String returns the name of the kind, as logs show it.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// MarshalText makes an EventKind a JSON string.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is something an operator may want to know.
type Event struct {
	Kind      EventKind  `json:"kind"`
	Time      time.Time  `json:"time"`
	VLAN      uint16     `json:"vlan"`
	IP        netip.Addr `json:"ip"`
	MAC       eth.Addr   `json:"mac"`
	Link      Link       `json:"link"`
	OtherMAC  eth.Addr   `json:"other_mac"`
	OtherLink Link       `json:"other_link"`
}

// Verdict tells the hub what to do with the frame that Receive looked at.
type Verdict uint8

// The verdicts.
const (
	Forward Verdict = iota // go on as usual: look up or flood
	Handled                // do not forward it: what is needed instead is in Out
)

// Config is a segment's configuration. The zero value of every field means its
// default.
type Config struct {
	Mode   Mode
	HubMAC eth.Addr // source of the hub's probes; one of its own for each hub. Default 02:00:76:68:75:62

	Keep          time.Duration // between two refreshes of a conversation, and between probes of its stations. Default 5 s, at least 500 ms
	Idle          time.Duration // between probes of a station that is in no conversation. Default 30 s, at least Keep
	Retry         time.Duration // before a question or probe is repeated. Default 300 ms, at least 20 ms
	Age           time.Duration // an entry goes when not confirmed for so long. Default 10 min
	PairAge       time.Duration // a conversation whose host can ask again by unicast goes when not heard of for so long. Default 10 min
	ConflictQuiet time.Duration // before the same conflict is reported again. Default 10 min

	MaxNeighbours int // addresses a hub. Default 16,384
	MaxPerLink    int // addresses a link. Default 1,024
	MaxPairs      int // conversations (one direction each) a hub. Default 8,192
	MaxUses       int // conversations a station keeps. Default 64
	MaxIntroduced int // neighbours that a new station is introduced to. Default 64; negative: none

	// Allowed tells whether frames may pass from one link to another (port
	// isolation). nil: always. It is called with the mutex held: it must be
	// quick and must not call the Segment.
	Allowed func(from, to Link) bool

	// Vouched tells that the stations of a link answer for as long as the link is there;
	// they are probed twice in Age only, and not introduced to each other. nil: none. Under the same
	// rules as Allowed.
	Vouched func(Link) bool

	// Event is told what happened, with no lock held, by the goroutine that
	// called the method in which it happened. nil: nobody.
	Event func(Event)
}

// Send is one frame that the hub has to send. The hub learns nothing from it.
type Send struct {
	Frame  []byte // a complete Ethernet frame; owned by the Out
	To     Link   // the one link to send it out of; 0 and not Flood: look the destination up in the FDB
	Flood  bool   // out of all links but Except (and those that Except is isolated from)
	Except Link
}

// Out collects what a call wants sent. It can be used again after Reset, and
// then allocates nothing. One Out belongs to one goroutine.
type Out struct {
	Sends []Send

	buf []byte // the frames, one after another
}

// Reset empties the Out; the frames in it are gone.
func (o *Out) Reset() {
	o.Sends = o.Sends[:0]
	o.buf = o.buf[:0]
}

// Stats are counters since New.
type Stats struct {
	Neighbours int `json:"neighbours"` // now
	Pairs      int `json:"pairs"`      // conversations, now
	Questions  int `json:"questions"`  // open, now

	Learned         uint64 `json:"learned"`           // new addresses
	Confirmed       uint64 `json:"confirmed"`         // times that a station was heard
	Expired         uint64 `json:"expired"`           // entries that went by age, lease or silence
	Redirected      uint64 `json:"redirected"`        // questions sent to the station instead of flooded
	Answered        uint64 `json:"answered"`          // questions answered for the station
	Repeated        uint64 `json:"repeated"`          // questions sent again
	Flooded         uint64 `json:"flooded"`           // questions flooded after all
	Probes          uint64 `json:"probes"`            // the keeper's probes
	Refreshes       uint64 `json:"refreshes"`         // cache entries of hosts refreshed
	Introductions   uint64 `json:"introductions"`     // neighbours told to a new station, and the other way
	Announcements   uint64 `json:"announcements"`     // announcements of moved stations and ports
	Conflicts       uint64 `json:"conflicts"`         // conflicts seen
	Invalid         uint64 `json:"invalid"`           // frames passed on that taught nothing: malformed or forged
	LimitHub        uint64 `json:"limit_hub"`         // addresses not learned: hub's limit
	LimitLink       uint64 `json:"limit_link"`        // addresses not learned: link's limit
	LimitQuestions  uint64 `json:"limit_questions"`   // questions passed without help: too many open
	DropConflict    uint64 `json:"drop_conflict"`     // frames not forwarded: claim of the second owner, under proxy
	DropToHub       uint64 `json:"drop_to_hub"`       // frames not forwarded: they were for the hub itself
	DropOwnQuestion uint64 `json:"drop_own_question"` // repeats withheld: the repeat budget was used up
}
