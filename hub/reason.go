package hub

import "fmt"

// Reason says why a frame was not forwarded. Its String is stable: a JSON key
// and a Prometheus label.
type Reason uint8

// The reasons. In parentheses which link counts it: in is the one by which the
// frame came, out the one by which it should have left.
const (
	Runt           Reason = iota // in: shorter than an Ethernet header, or cut in its tag
	Oversize                     // in: longer than the link's MaxFrame
	BadOffload                   // in: what its Offload says cannot be (segment size, headers, checksum)
	BadSource                    // in: source is a group address or zero (802 section 8.2)
	OwnSource                    // in: claims to come from the hub itself
	Echo                         // in: the hub sent this frame out here and it came back
	CopyOtherPort                // in: the same frame came by another port of the same wire
	Copy                         // in: the same frame came by this link just before
	StaticMove                   // in: source is pinned to another link
	NotLearned                   // in: station limit reached, and the link drops such frames
	Reserved                     // in: to a reserved group address, which a bridge keeps to itself
	StormBroadcast               // in: over the link's broadcast limit
	StormMulticast               // in: over the link's multicast limit
	StormUnknown                 // in: over the link's limit of unknown unicast
	ToHub                        // in: to the hub's own address; its neighbour help has seen it
	Answered                     // in: the neighbour help answered or sends it in another form
	SamePort                     // in: the destination is behind the link by which it came
	SplitHorizon                 // in: the destination is in the same group or on the same wire
	Isolated                     // in: both links are isolated
	NoPort                       // in: nothing to flood to
	LinkDown                     // in: the destination's link is down
	Detached                     // in: the link has been detached
	TooLong                      // out: longer than MaxFrame of the link it should leave by
	PortFull                     // out: the port did not take it
	numReasons
)

var reasonNames = [numReasons]struct{ name, text string }{
	Runt:           {"runt", "shorter than an Ethernet header"},
	Oversize:       {"oversize", "longer than this port takes"},
	BadOffload:     {"bad-offload", "segmentation or checksum offload that does not fit the frame"},
	BadSource:      {"bad-source", "source address is a group address or zero"},
	OwnSource:      {"own-source", "claims to come from the hub itself"},
	Echo:           {"echo", "sent out by the hub and handed back by the wire"},
	CopyOtherPort:  {"copy-other-port", "the same frame came by another port on the same wire"},
	Copy:           {"copy", "the same frame came twice by this port"},
	StaticMove:     {"static-move", "source address is pinned to another port"},
	NotLearned:     {"not-learned", "station limit reached"},
	Reserved:       {"reserved", "to a reserved group address (802.1Q section 8.6.3)"},
	StormBroadcast: {"storm-broadcast", "over the broadcast limit"},
	StormMulticast: {"storm-multicast", "over the multicast limit"},
	StormUnknown:   {"storm-unknown", "over the limit of unicast to unknown stations"},
	ToHub:          {"to-hub", "to the hub's own address"},
	Answered:       {"answered", "handled by the neighbour help"},
	SamePort:       {"same-port", "destination is behind the port it came from"},
	SplitHorizon:   {"split-horizon", "destination is in the same group or on the same wire"},
	Isolated:       {"isolated", "between isolated ports"},
	NoPort:         {"no-port", "no other port to send it to"},
	LinkDown:       {"link-down", "destination's port is down"},
	Detached:       {"detached", "port is being removed"},
	TooLong:        {"too-long", "longer than the outgoing port takes"},
	PortFull:       {"port-full", "outgoing port did not take it"},
}

// String returns the stable name, lower case with hyphens.
func (r Reason) String() string {
	if r >= numReasons {
		return fmt.Sprintf("reason-%d", uint8(r))
	}
	return reasonNames[r].name
}

// Text returns the reason in words for people.
func (r Reason) Text() string {
	if r >= numReasons {
		return r.String()
	}
	return reasonNames[r].text
}

// MarshalText makes a Reason a JSON string or key.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is the opposite of MarshalText.
func (r *Reason) UnmarshalText(b []byte) error {
	for i := range reasonNames {
		if reasonNames[i].name == string(b) {
			*r = Reason(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no drop reason", b)
}

// Reasons returns all reasons, in the order in which a frame meets them.
func Reasons() []Reason {
	all := make([]Reason, numReasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}
