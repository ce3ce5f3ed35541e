package api

import (
	"encoding/json"
	"time"
)

// Version says which program answers.
type Version struct {
	// Version is the release, or "devel".
	Version string `json:"version"`
	// Commit is the revision of the source the program was built from, where it is known.
	Commit string `json:"commit,omitempty"`
	// Go is the version of the Go tool chain.
	Go string `json:"go"`
	// OS and Arch are what the program was built for.
	OS   string `json:"os"`
	Arch string `json:"arch"`
}

// Status is the daemon at one look.
type Status struct {
	Version Version `json:"version"`
	// PID is the process id of the daemon.
	PID int `json:"pid"`
	// Started is when the daemon began.
	Started time.Time `json:"started"`
	// UptimeSeconds is how long ago that is.
	UptimeSeconds float64 `json:"uptime_seconds"`
	// Socket is where this API is served.
	Socket string `json:"socket"`
	// ConfigFile is the configuration file in use.
	ConfigFile string `json:"config_file"`
	// StateDir is where revisions and other state are kept.
	StateDir string `json:"state_dir"`
	// Revision is the number of the configuration in use.
	Revision int `json:"revision"`
	// Confirm is set while an applied configuration waits to be confirmed.
	Confirm *Confirm `json:"confirm,omitempty"`
	// MemoryBytes is the resident size of the daemon.
	MemoryBytes uint64 `json:"memory_bytes"`
	// Goroutines is how many goroutines the daemon has.
	Goroutines int `json:"goroutines"`
	// Sessions is how many sessions of users are up, in all hubs.
	Sessions int `json:"sessions"`
	// Hubs are the hubs with their ports, by name.
	Hubs []Hub `json:"hubs"`
}

// Confirm is a configuration that goes back by itself unless it is confirmed.
type Confirm struct {
	// Revision is the one in use, which waits.
	Revision int `json:"revision"`
	// BackTo is the revision that returns when nobody confirms.
	BackTo int `json:"back_to"`
	// Deadline is when.
	Deadline time.Time `json:"deadline"`
}

// Hub is one virtual switch.
type Hub struct {
	// Name is the hub's name in the configuration.
	Name string `json:"name"`
	// ARP is the mode of neighbour help: relay, assist or proxy.
	ARP string `json:"arp"`
	// Options are the hub's settings that differ from the defaults, by their names in the file.
	Options map[string]string `json:"options"`
	// MACs is how many addresses the table holds, and MACLimit how many it may.
	MACs     int `json:"macs"`
	MACLimit int `json:"mac_limit"`
	// Neighbours is how many entries the neighbour table holds.
	Neighbours int `json:"neighbours"`
	// Sessions is how many sessions of users are up.
	Sessions int `json:"sessions"`
	// Moves is how often a station changed its port.
	Moves uint64 `json:"moves"`
	// Counters are the sums over all ports since the hub began.
	Counters Counters `json:"counters"`
	// Drops are the frames that were not forwarded, by reason.
	Drops []Drop `json:"drops"`
	// Ports are the hub's ports, by name.
	Ports []Port `json:"ports"`
}

// Port is one port of a hub: configuration that lives as long as it is
// configured, whatever comes and goes under it.
type Port struct {
	// Hub and Name say which port; a name is unique in its hub.
	Hub  string `json:"hub"`
	Name string `json:"name"`
	// Kind is tap, nic, etherip or l2tp.
	Kind string `json:"kind"`
	// State is up, down (the far end is not there), waiting (the device cannot be had; it tries again) or off (not enabled).
	State string `json:"state"`
	// Error is why it is not up, or what is wrong although it is.
	Error string `json:"error,omitempty"`
	// RetryAt is when it is tried again.
	RetryAt *time.Time `json:"retry_at,omitempty"`
	// UpSince is when it last came up.
	UpSince *time.Time `json:"up_since,omitempty"`
	// Ups is how often it came up.
	Ups int `json:"ups"`
	// Options are the port's settings that differ from the defaults, by their names in the file.
	Options map[string]string `json:"options"`
	// Where is the device or the peer, in short.
	Where string `json:"where"`
	// Counters are the frames since the port was configured.
	Counters Counters `json:"counters"`
	// Drops are the frames not forwarded at this port, by reason; reasons without a drop are left out.
	Drops []Drop `json:"drops"`
	// MACs is how many stations are behind the port.
	MACs int `json:"macs"`
	// Sessions is how many sessions of users are up, for ports that have them.
	Sessions int `json:"sessions,omitempty"`
	// Segment names the wire this port shares with other ports of the hub.
	Segment string `json:"segment,omitempty"`
	// Notes are what the user should know about this port, in sentences.
	Notes []string `json:"notes,omitempty"`
	// Device is what the port's own kind tells: see docs/json.md, by kind.
	Device json.RawMessage `json:"device,omitempty"`
}

// The states of a port.
const (
	StateUp      = "up"
	StateDown    = "down"
	StateWaiting = "waiting"
	StateOff     = "off"
)

// Counters count frames and bytes. In is what came from the wire into the hub,
// out is what the hub sent to the wire.
type Counters struct {
	InFrames  uint64 `json:"in_frames"`
	InBytes   uint64 `json:"in_bytes"`
	OutFrames uint64 `json:"out_frames"`
	OutBytes  uint64 `json:"out_bytes"`
	// InFlooded is how many frames that came in were sent to more than one port.
	InFlooded uint64 `json:"in_flooded"`
	// Dropped is the sum of all drops.
	Dropped uint64 `json:"dropped"`
}

// Drop is frames that were not forwarded for one reason.
type Drop struct {
	// Reason is the stable name, such as "echo".
	Reason string `json:"reason"`
	// Text says the same in words.
	Text string `json:"text"`
	// Frames is how many.
	Frames uint64 `json:"frames"`
}

// MAC is one entry of a hub's forwarding table.
type MAC struct {
	Hub string `json:"hub"`
	// VLAN is the 802.1Q tag, 0 for frames without one.
	VLAN int    `json:"vlan"`
	MAC  string `json:"mac"`
	Port string `json:"port"`
	// Static is an entry of the configuration, which does not age or move.
	Static bool `json:"static"`
	// AgeSeconds is how long ago the station last sent.
	AgeSeconds float64 `json:"age_seconds"`
}

// Neighbour is one entry of a hub's neighbour table: which station has which
// IP address.
type Neighbour struct {
	Hub  string `json:"hub"`
	VLAN int    `json:"vlan"`
	IP   string `json:"ip"`
	MAC  string `json:"mac"`
	// Port is the port the station is behind.
	Port string `json:"port"`
	// State is how sure the hub is of the entry.
	State string `json:"state"`
	// Source is what taught it: arp, nd, dhcp, ...
	Source string `json:"source"`
	// AgeSeconds is how long ago the station last confirmed it.
	AgeSeconds float64 `json:"age_seconds"`
	// Conflict is set when another station claims the same address.
	Conflict *NeighbourConflict `json:"conflict,omitempty"`
}

// NeighbourConflict is the other station that claims an address.
type NeighbourConflict struct {
	MAC  string    `json:"mac"`
	Port string    `json:"port"`
	Time time.Time `json:"time"`
}

// Event is something that happened, one line.
type Event struct {
	// Seq numbers the events of one daemon from 1, without holes.
	Seq uint64 `json:"seq"`
	// Time is when it happened.
	Time time.Time `json:"time"`
	// Level is debug, info, warn or error.
	Level string `json:"level"`
	// Hub and Port say where, when the event has a place.
	Hub  string `json:"hub,omitempty"`
	Port string `json:"port,omitempty"`
	// Message is what happened.
	Message string `json:"message"`
	// Detail is the rest of the log line, by key.
	Detail map[string]string `json:"detail,omitempty"`
}
