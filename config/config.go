// Package config is vhub's configuration: one HCL file, parsed and checked
// into a Config, edited without losing the user's comments, and written so
// that a crash at any moment leaves a whole file.
//
//	file ── Parse ──> Config ── Diff ──> what the daemon must touch
//	  ^                  ^
//	  └── Store ── Edit ─┘     AddPort, SetPort, RemovePort, AddHub, ..., AddRadius, ..., SetBlock
//
// One table, the schema, says for every key its name, kind of value, default,
// range and meaning. The parser, the checks, the commands' flags, the help
// texts, the reference file and the manual page all come from it, so that the
// file and the commands say the same thing.
//
// Secrets never stand in a Config: it names the files that hold them (see
// ReadSecret), so a Config may be logged, shown and sent as it is.
package config

import (
	"net/netip"
	"path/filepath"
	"time"

	"vhub/eth"
)

// Config is a whole configuration: parsed, checked, with defaults filled in.
// Nobody changes one after it was made; edits make a new one.
type Config struct {
	// File is the name of the file it was read from; Path resolves against its
	// folder. Empty for a configuration that came from no file.
	File  string `json:"-"`
	Log   Log    `json:"log"`
	IPsec Engine `json:"ipsec"`
	// Radius are the groups of RADIUS servers that ports may name, in the order
	// of the file.
	Radius []Radius `json:"radius"`
	Hubs   []Hub    `json:"hubs"` // in the order of the file

	radiusAt map[string]Pos // where the radius blocks stand
}

// Log says how the daemon logs.
type Log struct {
	Level  string `json:"level"`  // debug, info, warn or error
	Format string `json:"format"` // text or json
}

// Engine holds the settings of the IPsec engine that all ports share.
type Engine struct {
	Listen    []netip.Addr  `json:"listen"`        // addresses of the IKE sockets; none means every address
	Port      int           `json:"port"`          // IKE, 500
	NATPort   int           `json:"nat_port"`      // IKE and ESP in UDP, 4500
	RawESP    bool          `json:"raw_esp"`       // IP protocol 50 for peers without NAT
	KeepAlive time.Duration `json:"nat_keepalive"` // NAT-T keepalive interval (RFC 3948 section 4)
}

// Hub is one virtual hub: one Ethernet segment.
type Hub struct {
	Name string `json:"name"`
	Pos  Pos    `json:"-"`

	ARP        string        `json:"arp"`         // relay, assist or proxy
	ARPLimit   int           `json:"arp_limit"`   // neighbours remembered
	ARPAge     time.Duration `json:"arp_age"`     // a silent neighbour is forgotten after it
	ARPKeep    time.Duration `json:"arp_keep"`    // a neighbour silent for so long is asked again; 0 turns the keeper off
	MACLimit   int           `json:"mac_limit"`   // addresses in the forwarding table
	MACAge     time.Duration `json:"mac_age"`     // a silent address is forgotten after it
	EchoWindow time.Duration `json:"echo_window"` // how long a frame is recognised as the echo of one sent
	CopyWindow time.Duration `json:"copy_window"` // how long the same frame on one port is a copy
	// ForwardReserved lets frames to 01:80:c2:00:00:00..0f through (spanning
	// tree, LLDP, LACP), which a bridge keeps to itself (802.1Q section 8.6.3).
	ForwardReserved bool   `json:"forward_reserved"`
	Ports           []Port `json:"ports"` // in the order of the file
}

// Kinds of port.
const (
	KindTAP     = "tap"
	KindNIC     = "nic"
	KindEtherIP = "etherip"
	KindL2TP    = "l2tp"
)

// Port is one port of a hub. Exactly one of the pointers is set: that of Kind.
type Port struct {
	Kind string `json:"kind"`
	Name string `json:"name"` // unique in its hub
	Pos  Pos    `json:"-"`

	Enabled        bool        `json:"enabled"`
	Description    string      `json:"description,omitempty"`
	Isolate        bool        `json:"isolate"`           // no traffic with other isolated ports
	Group          string      `json:"group,omitempty"`   // split horizon: no traffic between ports of one group
	Segment        string      `json:"segment,omitempty"` // ports on one outside wire: used as one, never bridged to each other
	Suppress       bool        `json:"suppress"`          // drop echoes and copies that come in by this port
	MaxMACs        int         `json:"max_macs"`          // stations behind the port
	BroadcastLimit int         `json:"broadcast_limit"`   // frames a second into the hub, 0 no limit
	MulticastLimit int         `json:"multicast_limit"`   // frames a second into the hub, 0 no limit
	UnknownLimit   int         `json:"unknown_limit"`     // unknown unicast frames a second into the hub, 0 no limit
	StaticMACs     []StaticMAC `json:"static_macs,omitempty"`

	TAP     *TAP     `json:"tap,omitempty"`
	NIC     *NIC     `json:"nic,omitempty"`
	EtherIP *EtherIP `json:"etherip,omitempty"`
	L2TP    *L2TP    `json:"l2tp,omitempty"`
}

// StaticMAC is a station pinned to a port: neither aged nor moved.
type StaticMAC struct {
	MAC  eth.Addr `json:"mac"`
	VLAN int      `json:"vlan"` // 0 untagged, else 1..4094
}

// TAP joins the hub to this host by a TAP device.
type TAP struct {
	Interface    string         `json:"interface"` // device name, at most 15 bytes; "vh-" and the port's name unless told
	Bridge       string         `json:"bridge,omitempty"`
	CreateBridge bool           `json:"create_bridge"`
	PinStations  bool           `json:"pin_stations"` // keep the hub's stations pinned in the bridge's own table
	MTU          int            `json:"mtu"`          // bytes of payload; 0 takes the bridge's, or 1500
	MAC          eth.Addr       `json:"mac"`          // zero: made from hub and port name, the same at every start
	Addresses    []netip.Prefix `json:"addresses,omitempty"`
	Queues       int            `json:"queues"` // 0: one a CPU, at most 8; on two CPUs one
	Offload      bool           `json:"offload"`
}

// NIC joins the hub to a physical interface by AF_PACKET.
type NIC struct {
	Interface string `json:"interface"`
	Promisc   bool   `json:"promisc"` // by membership; off where the segment behind is known to flood
}

// EtherIP joins the hub to one peer by EtherIP (RFC 3378), plain or in IPsec.
type EtherIP struct {
	Peer        string     `json:"peer,omitempty"`  // address; a DNS name is allowed in IPsec; "" waits for the peer (IPsec only)
	Local       netip.Addr `json:"local"`           // invalid: the system's choice
	Plain       bool       `json:"plain"`           // IP protocol 97 without IPsec
	Header      string     `json:"header"`          // auto, standard (30 00) or swapped (03 00)
	DF          bool       `json:"df"`              // never make outer fragments; answer with ICMP too-big
	PreFragment bool       `json:"pre_fragment"`    // cut the inner IPv4 packet instead of the outer one
	MSSClamp    bool       `json:"mss_clamp"`       // lower TCP MSS to what the path carries whole
	PathMTU     int        `json:"path_mtu"`        // bytes; 0 finds it
	IPsec       *IPsec     `json:"ipsec,omitempty"` // nil exactly when Plain
}

// IPsec holds what a port says of its peer's IKE and ESP.
type IPsec struct {
	Role        string        `json:"role"`              // responder, initiator or either
	Mode        string        `json:"mode"`              // auto, main or aggressive
	PeerID      Identity      `json:"peer_id"`           // decides the port; never the address
	LocalID     Identity      `json:"local_id"`          // zero: the local address
	KeyFile     string        `json:"key_file"`          // file with the pre-shared key; see Config.Path, ReadSecret
	IKE         []string      `json:"ike"`               // phase 1 proposals, best first
	ESP         []string      `json:"esp"`               // phase 2 proposals, best first
	PFS         string        `json:"pfs"`               // none, or the group of phase 2
	Tunnel      bool          `json:"tunnel"`            // ESP tunnel mode asked for; both are accepted
	Legacy      bool          `json:"legacy"`            // allows 3DES, MD5, MODP 1024
	Uplinks     []string      `json:"uplinks,omitempty"` // interfaces or source addresses, best first
	HoldDown    time.Duration `json:"hold_down"`         // an uplink is good for so long before traffic moves back to it
	NATT        string        `json:"nat_t"`             // always or auto
	IKELifetime time.Duration `json:"ike_lifetime"`
	ESPLifetime time.Duration `json:"esp_lifetime"`
	ESPBytes    int64         `json:"esp_bytes"`    // bytes before a rekey, 0 no limit
	DPDInterval time.Duration `json:"dpd_interval"` // 0 turns DPD off
	DPDTimeout  time.Duration `json:"dpd_timeout"`
	Replay      int           `json:"replay_window"` // packets
	ESN         bool          `json:"esn"`           // offer 64-bit sequence numbers
}

// Pos is a place in a configuration file.
type Pos struct {
	File string
	Line int // from 1; 0 for what stands in no file
}

// Path resolves a file name of the configuration (a key_file) against the
// folder the configuration stands in.
func (c *Config) Path(name string) string {
	if filepath.IsAbs(name) || c.File == "" {
		return name
	}
	return filepath.Join(filepath.Dir(c.File), name)
}

// Hub finds a hub by name; nil when there is none.
func (c *Config) Hub(name string) *Hub {
	for i := range c.Hubs {
		if c.Hubs[i].Name == name {
			return &c.Hubs[i]
		}
	}
	return nil
}

// Port finds a port by name; nil when there is none.
func (h *Hub) Port(name string) *Port {
	for i := range h.Ports {
		if h.Ports[i].Name == name {
			return &h.Ports[i]
		}
	}
	return nil
}
