package hub

import (
	"errors"
	"time"

	"vhub/arp"
	"vhub/eth"
)

// This file holds the calls whose code is still to be committed; it goes away.

var errDraft = errors.New("hub: not committed yet")

type Hub struct{}
type Link struct{}
type Reader struct{}

// New makes a hub without links.
func New(cfg Config) *Hub { return &Hub{} }

// Attach joins a port under a name that no other link of the hub has. The link is up.
func (h *Hub) Attach(now time.Time, port Port, cfg LinkConfig) (*Link, error) { return nil, errDraft }

// Advance does what is due at now (ageing, neighbour help, segments) and says
// when to call it next at the latest.
func (h *Hub) Advance(now time.Time) time.Time { return now.Add(time.Second) }

// Status, with what each link counts.
func (h *Hub) Status() Status { return Status{} }

// Stations returns the forwarding table in the order of VLAN and MAC.
func (h *Hub) Stations(now time.Time) []Station { return nil }

// FlushStations forgets the learned (not the static) stations for which match is true; nil matches all.
func (h *Hub) FlushStations(match func(Station) bool) int { return 0 }

// Neighbours is the neighbour help, nil when Config.Neighbours was nil.
func (h *Hub) Neighbours() *arp.Segment { return nil }

// LinkName names a link number of the neighbour help; "" when it is gone.
func (h *Hub) LinkName(n arp.Link) string { return "" }

// Update changes everything but the name.
func (l *Link) Update(cfg LinkConfig) error { return nil }

// Detach takes the port away; after it returns no call of WriteFrames begins.
func (l *Link) Detach(now time.Time) {}

// SetUp tells whether the far end of the port is there. A link that is down keeps its stations, and is sent nothing.
func (l *Link) SetUp(now time.Time, up bool) {}

// Announce tells the other links which stations are behind this one.
func (l *Link) Announce(now time.Time) {}

// Flush forgets the stations learned behind the link.
func (l *Link) Flush(now time.Time) int { return 0 }

// AddStatic pins a station to the link: it neither ages nor moves.
func (l *Link) AddStatic(now time.Time, vlan uint16, mac eth.Addr) error { return nil }

// RemoveStatic is the opposite, and says whether it was there.
func (l *Link) RemoveStatic(now time.Time, vlan uint16, mac eth.Addr) bool { return false }

// Status of the link.
func (l *Link) Status() LinkStatus { return LinkStatus{} }

// Number is the link's number for the neighbour help, 1 to 65535.
func (l *Link) Number() arp.Link { return 0 }

// Name of the link.
func (l *Link) Name() string { return "" }

// NewReader makes what one reading goroutine hands frames in by.
func (l *Link) NewReader() *Reader { return nil }

// Input takes frames that came in by the link, in order, and is done with them when it returns.
func (r *Reader) Input(now time.Time, frames []eth.Frame) {}

// Close gives the reader up; its counts stay with the link.
func (r *Reader) Close() {}
