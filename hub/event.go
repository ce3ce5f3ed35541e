package hub

import (
	"fmt"
	"time"

	"vhub/arp"
	"vhub/eth"
)

// EventKind says what happened. Its String is stable.
type EventKind uint8

// The kinds of event. Those that frames can cause are rate-limited.
const (
	LinkAttached    EventKind = iota // a port was joined
	LinkDetached                     // a port was taken away
	LinkUp                           // the port says that its far end is there
	LinkIsDown                       // the port says that its far end is gone
	StationMoved                     // a station changed its port
	StationFlapping                  // a station changes ports so often that its moves are held back
	StationLimit                     // a link or the hub holds as many stations as it may
	StaticViolation                  // a pinned address was seen at another port
	EchoSeen                         // the wire behind a port hands frames back (told once an episode)
	CopySeen                         // the wire behind a port delivers frames twice (told once an episode)
	SegmentFound                     // two ports turned out to be on one wire
	SegmentGone                      // ... and no longer are
	StormSeen                        // a storm limit acts (told once an episode)
	OwnSourceSeen                    // somebody else uses the hub's own address
	NeighbourEvent                   // what the neighbour help reports
	numEventKinds
)

var eventNames = [numEventKinds]string{
	"link-attached", "link-detached", "link-up", "link-down", "station-moved", "station-flapping", "station-limit",
	"static-violation", "echo-seen", "copy-seen", "segment-found", "segment-gone", "storm-seen", "own-source-seen", "neighbour",
}

// String returns the stable name, lower case with hyphens.
func (k EventKind) String() string {
	if k >= numEventKinds {
		return fmt.Sprintf("event-%d", uint8(k))
	}
	return eventNames[k]
}

// MarshalText makes an EventKind a JSON string.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Warning tells events that the operator should look at.
func (k EventKind) Warning() bool {
	switch k {
	case StationFlapping, StationLimit, StaticViolation, EchoSeen, CopySeen, SegmentFound, StormSeen, OwnSourceSeen:
		return true
	}
	return false
}

// Event is something that happened in a hub, one line.
type Event struct {
	Time  time.Time `json:"time"`
	Kind  EventKind `json:"kind"`
	Hub   string    `json:"hub"`
	Link  string    `json:"link,omitempty"`  // where
	Other string    `json:"other,omitempty"` // the other link, such as where a station was before
	VLAN  uint16    `json:"vlan"`
	MAC   eth.Addr  `json:"mac"` // zero where no station is meant
	// Text says it in words, lower case, with what to do where there is something.
	Text string `json:"text"`
	// Neighbour is the report where Kind is NeighbourEvent.
	Neighbour *arp.Event `json:"neighbour,omitempty"`
	// Suppressed is how many events of this kind were left out before this one.
	Suppressed uint64 `json:"suppressed,omitempty"`
}
