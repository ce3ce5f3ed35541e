package hub

import (
	"fmt"
	"time"

	"vhub/arp"
	"vhub/eth"
)

// Defaults of Config.
const (
	DefaultMaxStations = 65536
	DefaultAge         = 300 * time.Second
	DefaultEchoWindow  = 500 * time.Millisecond
	DefaultCopyWindow  = 5 * time.Millisecond
	DefaultSeenFrames  = 1 << 16
)

// Limits of Config.
const (
	maxLinks      = 1<<16 - 1 // link numbers are 16 bits, 0 is the hub itself
	maxStations   = 1 << 24
	maxEchoWindow = 10 * time.Second
	maxAge        = 365 * 24 * time.Hour
)

// Config is what a hub is made with. The zero value works; a value out of
// range is brought into it.
type Config struct {
	// Name stands in events.
	Name string
	// MAC is the hub's own address, which the keeper asks from. Frames to it go
	// to the neighbour help only; frames that claim to come from it are dropped.
	// Every hub of a segment needs one of its own: zero means one drawn at random
	// (02:76:68 and three bytes).
	MAC eth.Addr
	// MaxStations is how many stations the table holds, up to 16,777,216;
	// 0 means DefaultMaxStations.
	MaxStations int
	// Age is how long a silent station is remembered, at least one second;
	// 0 means DefaultAge.
	Age time.Duration
	// EchoWindow is how long a frame that comes back by another link is
	// recognised, up to 10 s; 0 means DefaultEchoWindow.
	EchoWindow time.Duration
	// CopyWindow is how long the same frame by the same link is a copy, up to
	// EchoWindow; 0 means DefaultCopyWindow.
	CopyWindow time.Duration
	// SeenFrames is how many frames duplicate suppression remembers, and how
	// many TCP flows (16 and 32 bytes each); 0 means DefaultSeenFrames. It is
	// rounded up to a power of two.
	SeenFrames int
	// ForwardReserved lets frames to 01:80:c2:00:00:00 to 0f through (spanning
	// tree, LLDP, LACP), which a bridge keeps to itself (802.1Q section 8.6.3).
	// Pause frames (01:80:c2:00:00:01) never pass.
	ForwardReserved bool
	// Neighbours is the neighbour help (ARP, IPv6 ND), or nil for none. The hub
	// fills in HubMAC, Allowed and Event; the result is at Hub.Neighbours.
	Neighbours *arp.Config
	// Wake is called when Advance must be called earlier than it said last: a frame
	// came that makes the neighbour help want something. By many goroutines at once; it must not block.
	// nil: Advance wants to be called every 50 ms.
	Wake func()
	// Event is called for each event, or nil. One call at a time, in order, with
	// no lock held, from a goroutine that moves frames: it must not block and
	// must not call Detach.
	Event func(Event)
}

// LinkConfig says how a port is joined to a hub. It may be changed by Update.
type LinkConfig struct {
	// Name is unique in the hub, and not empty.
	Name string
	// Kind is tap, nic, etherip, l2tp, ...: for status and events. Of several
	// ports on one wire the hub prefers a tap to send by.
	Kind string
	// Suppress drops echoes and copies that come in by this port.
	Suppress bool
	// Isolate: no traffic with other isolated links.
	Isolate bool
	// Group is the split-horizon group: no traffic between links with the same
	// Group that is not empty.
	Group string
	// Segment names the outside wire of this port. Links of a hub with the same
	// Segment that is not empty are on one wire: the hub never forwards between
	// them, floods by one of them only, and takes a station seen at either for
	// one that has not moved.
	Segment string
	// MaxStations is how many stations may be behind the link; 0 means the limit
	// of the hub.
	MaxStations int
	// DropUnlearned drops frames from stations over the limit. Otherwise they
	// are forwarded but not learned.
	DropUnlearned bool
	// MaxFrame is the longest plain frame (or segment of a large frame) that may
	// enter or leave by this link, in bytes with header and tags, without FCS;
	// 0 means eth.MaxPlainLen.
	MaxFrame int
	// Listener, when not nil, says which of the links that share it a frame to a
	// group is for: with ten thousand clients of one port that is one or none, and the hub need not ask
	// each. Such a link has stations that are known (AddStatic): unicast
	// to unknown stations is never flooded to it. It is on no wire (Segment), does not
	// suppress, and its port is no StationWatcher. Update cannot change it.
	Listener Listener
	// Storm limits what floods from this link into the hub.
	Storm StormConfig
}

// StormConfig limits what a link may flood, in frames (segments) a second.
// 0 means no limit.
type StormConfig struct {
	Broadcast int
	Multicast int
	Unknown   int // unicast to stations that the hub does not know
	// Burst is how many frames may come at once; 0 means a second's worth.
	Burst int
}

// withDefaults fills in the defaults and brings the rest into range.
func (c Config) withDefaults() Config {
	c.MaxStations = orDefault(c.MaxStations, DefaultMaxStations, 1, maxStations)
	c.Age = orDefault(c.Age, DefaultAge, time.Second, maxAge)
	c.EchoWindow = orDefault(c.EchoWindow, DefaultEchoWindow, time.Millisecond, maxEchoWindow)
	c.CopyWindow = orDefault(c.CopyWindow, DefaultCopyWindow, 0, c.EchoWindow)
	c.SeenFrames = orDefault(c.SeenFrames, DefaultSeenFrames, 1<<8, 1<<24)
	return c
}

func orDefault[T int | time.Duration](v, def, low, high T) T {
	if v == 0 {
		v = def
	}
	return min(max(v, low), high)
}

// withDefaults checks c and fills in the defaults.
func (c LinkConfig) withDefaults() (LinkConfig, error) {
	if c.MaxFrame == 0 {
		c.MaxFrame = eth.MaxPlainLen
	}
	s := c.Storm
	switch {
	case c.Name == "":
		return c, fmt.Errorf("a link has no name")
	case c.Listener != nil && (c.Segment != "" || c.Suppress):
		return c, fmt.Errorf("link %q: a link with a Listener is on no wire: neither Segment nor Suppress", c.Name)
	case c.MaxStations < 0:
		return c, fmt.Errorf("link %q: max stations %d is below 0", c.Name, c.MaxStations)
	case c.MaxFrame < 64 || c.MaxFrame > eth.MaxLargeLen:
		return c, fmt.Errorf("link %q: longest frame %d is not from 64 to %d", c.Name, c.MaxFrame, eth.MaxLargeLen)
	case s.Broadcast < 0 || s.Multicast < 0 || s.Unknown < 0 || s.Burst < 0:
		return c, fmt.Errorf("link %q: a storm limit is below 0", c.Name)
	}
	return c, nil
}
