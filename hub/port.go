package hub

import "vhub/eth"

// Port is the way out of the hub to one device or peer.
type Port interface {
	// WriteFrames sends frames out of the port in order and says how many it
	// took, from the first on; the hub counts the rest as drops of that port
	// (PortFull). Frames are lent until the call returns, shared with other
	// ports and read-only. It never waits, never calls Input, Attach, Update or
	// Detach, and may be called by several goroutines at once. The hub holds no
	// lock while it calls.
	WriteFrames(frames []eth.Frame) int
}

// Listener says whom of many a flooded frame is for; see LinkConfig.Listener. It is
// compared: make it a pointer.
type Listener interface {
	// Listeners returns the links that are to be given a frame to a group address; a
	// link may be in both lists. With all, every link with this Listener is. It is
	// called by many goroutines at once, for every such frame, and must neither wait nor call the
	// hub. The lists are lent until it is called again, and must not change.
	Listeners(f *eth.Frame) (some, others []*Link, all bool)
}

// StationWatcher is what a Port may also be: one that wants to know which
// stations are behind the other ports of its hub, such as a TAP in a Linux
// bridge that pins them there.
//
// Calls come one at a time, in the order in which the table changed, with no
// lock held, from goroutines that move frames: they must not block. A station
// that moves from one other port to another is not told again. After Attach
// the stations that the hub already knows are told. After Detach has returned
// no call begins.
type StationWatcher interface {
	// StationLearned: the station is behind another port of the hub.
	StationLearned(vlan uint16, mac eth.Addr)
	// StationGone: it no longer is: aged, flushed, or moved to this port.
	StationGone(vlan uint16, mac eth.Addr)
}
