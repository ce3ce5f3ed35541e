package arp

import (
	"net/netip"
	"sync"
	"time"

	"vhub/eth"
)

// Segment is the neighbour table of one hub, with its questions, its keeper
// and its announcements.
type Segment struct {
	mu  sync.Mutex
	cfg Config
}

// New makes an empty segment.
func New(cfg Config) *Segment { return &Segment{cfg: cfg} }

// SetMode changes the mode; the table stays.
func (s *Segment) SetMode(m Mode) {}

// Mode returns the mode.
func (s *Segment) Mode() Mode { return s.cfg.Mode }

// Wants tells whether Receive can do anything with the frame: ARP, neighbour
// or router discovery, DHCPv4. It is quick, takes no lock, and is false for
// anything malformed.
func Wants(frame []byte) bool { return false }

// Receive looks at one frame that came in by link, which is lent. The hub
// calls it after it learned the frame's source and passed its filters; the
// verdict says whether to forward the frame. Out is appended to.
func (s *Segment) Receive(now time.Time, link Link, frame []byte, out *Out) Verdict { return Forward }

// Advance does what is due at now.
func (s *Segment) Advance(now time.Time, out *Out) {}

// Deadline is when Advance must be called next at the latest; zero: nothing
// is due. It may become earlier with every other call.
func (s *Segment) Deadline() time.Time { return time.Time{} }

// StationMoved tells that the hub's table moved a station from one link to
// another: its addresses go with it and are announced to everybody else.
func (s *Segment) StationMoved(now time.Time, vlan uint16, mac eth.Addr, from, to Link, out *Out) {}

// LinkDown forgets all that is behind a link that was detached.
func (s *Segment) LinkDown(now time.Time, link Link) {}

// Announce tells everybody else which stations are behind link, by gratuitous
// ARP and unsolicited neighbour advertisements, three times. For a port that
// came back.
func (s *Segment) Announce(now time.Time, link Link, out *Out) {}

// SetStatic enters an address that needs no confirmation and cannot be taken
// over, for example that of a session whose address vhub assigned. It replaces
// what was known of the address.
func (s *Segment) SetStatic(now time.Time, vlan uint16, ip netip.Addr, mac eth.Addr, link Link) error {
	return nil
}

// RemoveStatic removes what SetStatic entered and tells whether it was there.
func (s *Segment) RemoveStatic(vlan uint16, ip netip.Addr) bool { return false }

// List returns the table ordered by VLAN and address.
func (s *Segment) List(now time.Time) []Neighbour { return nil }

// Flush forgets the learned (not the static) neighbours for which match is
// true; nil matches all. It returns how many went. match is called with the
// mutex held.
func (s *Segment) Flush(match func(Neighbour) bool) int { return 0 }

// Stats returns the counters.
func (s *Segment) Stats() Stats { return Stats{} }
