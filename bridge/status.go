package bridge

import "vhub/eth"

// Offloads says what crosses the device without being cut or summed first.
type Offloads struct {
	VnetHdr bool `json:"vnet_hdr"` // frames carry the virtio-net header
	Csum    bool `json:"csum"`     // checksums left to complete
	TSO4    bool `json:"tso4"`     // large TCP frames over IPv4
	TSO6    bool `json:"tso6"`     // large TCP frames over IPv6
	ECN     bool `json:"ecn"`      // large TCP frames with ECN
	USO4    bool `json:"uso4"`     // large UDP frames over IPv4
	USO6    bool `json:"uso6"`     // large UDP frames over IPv6
	Batch   bool `json:"batch"`    // many frames a system call: a TAP's by io_uring, a NIC's by recvmmsg and sendmmsg
}

// Counters are a port's sums since it was opened. A large frame counts as one.
type Counters struct {
	RxFrames uint64            `json:"rx_frames"` // from the device into the hub
	RxBytes  uint64            `json:"rx_bytes"`
	TxFrames uint64            `json:"tx_frames"` // out of the hub to the device
	TxBytes  uint64            `json:"tx_bytes"`
	Joined   uint64            `json:"tx_joined"` // frames that went out inside of a larger one
	Drops    map[string]uint64 `json:"drops"`     // by reason; reasons that never happened are left out
}

// TAPStatus is what "port show" tells of a TAP port.
type TAPStatus struct {
	Ifname       string   `json:"ifname"`
	Netns        string   `json:"netns,omitempty"`
	MAC          eth.Addr `json:"mac"`
	MTU          int      `json:"mtu"`
	Bridge       string   `json:"bridge,omitempty"`
	InBridge     bool     `json:"in_bridge"`      // the device is in that bridge now
	BridgeIsOurs bool     `json:"bridge_is_ours"` // vhub made the bridge and removes it
	Rejoins      uint64   `json:"rejoins"`        // how often it had to be put back
	Addresses    []string `json:"addresses,omitempty"`
	Queues       int      `json:"queues"`
	Driver       string   `json:"driver"` // "tun" with the virtio-net header, "water" without
	Offloads     Offloads `json:"offloads"`
	Pins         int      `json:"pins"`       // stations pinned in the bridge's table now
	PinErrors    uint64   `json:"pin_errors"` // pins that the bridge refused
	Held         uint64   `json:"held"`       // frames that waited for their station's pin
	Counters     Counters `json:"counters"`
	Warnings     []string `json:"warnings,omitempty"`
}

// NICStatus is what "port show" tells of a NIC port.
type NICStatus struct {
	Ifname   string   `json:"ifname"`
	Netns    string   `json:"netns,omitempty"`
	MAC      eth.Addr `json:"mac"`
	MTU      int      `json:"mtu"`
	Present  bool     `json:"present"` // the interface exists and is open
	Up       bool     `json:"up"`      // administratively up and with carrier
	Promisc  bool     `json:"promisc"`
	Bridge   string   `json:"bridge,omitempty"` // Linux bridge that holds the interface
	Reopens  uint64   `json:"reopens"`          // how often the interface went and came back
	Offloads Offloads `json:"offloads"`
	Counters Counters `json:"counters"`
	Warnings []string `json:"warnings,omitempty"`
}
