package hub

import (
	"time"

	"vhub/eth"
)

// Counters count frames. In is what ports handed to the hub, out is what ports
// took from it. A large frame counts once in frames and as often as it has
// segments in segments; bytes are as handed over, without FCS.
type Counters struct {
	InFrames    uint64 `json:"in_frames"`
	InSegments  uint64 `json:"in_segments"`
	InBytes     uint64 `json:"in_bytes"`
	InFlooded   uint64 `json:"in_flooded"` // frames that came in and were flooded
	OutFrames   uint64 `json:"out_frames"`
	OutSegments uint64 `json:"out_segments"`
	OutBytes    uint64 `json:"out_bytes"`
	Learned     uint64 `json:"learned"`    // stations learned behind the link
	Moves       uint64 `json:"moves"`      // stations that came here from another link
	HeldMoves   uint64 `json:"held_moves"` // moves not made because the station flaps
	Unlearned   uint64 `json:"unlearned"`  // frames from stations over the limit
	Dropped     uint64 `json:"dropped"`    // sum of Drops
	Drops       Drops  `json:"drops"`      // reasons without a drop are left out
}

// Drops are dropped frames by reason.
type Drops map[Reason]uint64

// LinkStatus is one link for "port show".
type LinkStatus struct {
	Name     string     `json:"name"`
	Kind     string     `json:"kind"`
	Config   LinkConfig `json:"-"`
	Up       bool       `json:"up"`
	Since    time.Time  `json:"since"` // when Up last changed
	Stations int        `json:"stations"`
	// Segment is the wire that this link shares with other links: the
	// configured name, or "auto:" and the names of its links where the hub found
	// it out by itself.
	Segment string `json:"segment,omitempty"`
	// Sends tells that floods to the segment leave by this link.
	Sends    bool     `json:"sends"`
	Counters Counters `json:"counters"`
}

// Status is one hub for "hub show". Counters are the sums over all links since
// the hub began, detached ones too.
type Status struct {
	Name        string       `json:"name"`
	MAC         eth.Addr     `json:"mac"`
	Stations    int          `json:"stations"`
	MaxStations int          `json:"max_stations"`
	Counters    Counters     `json:"counters"`
	Links       []LinkStatus `json:"links"` // in the order of attachment
}

// Station is one entry of the forwarding table.
type Station struct {
	VLAN   uint16        `json:"vlan"`
	MAC    eth.Addr      `json:"mac"`
	Link   string        `json:"link"`
	Static bool          `json:"static"`
	Age    time.Duration `json:"age"` // since it last sent, to the second
}
