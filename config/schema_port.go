package config

import "math"

// stormMax is the largest storm limit in frames a second: more than any link
// this program serves can carry.
const stormMax = 100_000_000

// commonAttributes is what every port has. Suppression is on by default where
// a cloud's virtual switch may hand frames back.
func commonAttributes(kind string) []*Attribute {
	suppress := "false"
	if kind == KindTAP || kind == KindNIC {
		suppress = "true"
	}
	return []*Attribute{
		{Name: "enabled", Default: "true",
			Doc: "a port that is not enabled stays configured and carries nothing", bind: on(func(p *Port) any { return &p.Enabled })},
		{Name: "description", Example: "the router in Osaka", check: checkLine(200),
			Doc: "a note for people", bind: on(func(p *Port) any { return &p.Description })},
		{Name: "isolate", Default: "false",
			Doc: "no traffic with other ports that are isolated", bind: on(func(p *Port) any { return &p.Isolate })},
		{Name: "group", Example: "branches", check: checkOptionalName,
			Doc: "split horizon: no traffic between ports that name the same group", bind: on(func(p *Port) any { return &p.Group })},
		{Name: "segment", Example: "cloud-lan", check: checkOptionalName,
			Doc:  "ports that name the same segment lead to one outside wire: frames go out by one of them and never from one to another",
			bind: on(func(p *Port) any { return &p.Segment })},
		{Name: "suppress", Default: suppress,
			Doc: "drop echoes of the hub's own frames and copies that come in by this port", bind: on(func(p *Port) any { return &p.Suppress })},
		{Name: "max_macs", Default: "8192", min: 1, max: 1 << 20,
			Doc: "MAC addresses learned behind the port; frames of more stations are dropped", bind: on(func(p *Port) any { return &p.MaxMACs })},
		{Name: "broadcast_limit", Default: "0", min: 1, max: stormMax, zero: true,
			Doc: "broadcast frames a second taken from the port; 0 takes all", bind: on(func(p *Port) any { return &p.BroadcastLimit })},
		{Name: "multicast_limit", Default: "0", min: 1, max: stormMax, zero: true,
			Doc: "multicast frames a second taken from the port; 0 takes all", bind: on(func(p *Port) any { return &p.MulticastLimit })},
		{Name: "unknown_limit", Default: "0", min: 1, max: stormMax, zero: true,
			Doc: "frames a second to unknown stations taken from the port; 0 takes all", bind: on(func(p *Port) any { return &p.UnknownLimit })},
		{Name: "static_macs", Example: "02:00:5e:10:00:01,02:00:5e:10:00:02@100",
			Doc: "stations pinned to the port, MAC or MAC@VLAN: neither aged nor moved", bind: on(func(p *Port) any { return &p.StaticMACs })},
	}
}

var tapAttributes = []*Attribute{
	{Name: "bridge", Example: "br0", check: checkOptionalInterface,
		Doc: "the Linux bridge the TAP is joined to, at every start anew", bind: on(func(p *Port) any { return &p.TAP.Bridge })},
	{Name: "create_bridge", Default: "false",
		Doc: "make the bridge when it is not there; it is removed with the port", bind: on(func(p *Port) any { return &p.TAP.CreateBridge })},
	{Name: "interface", Example: "vhub0", check: checkInterface,
		Doc: "name of the TAP device, at most 15 characters; without it \"vh-\" and the port's name", bind: on(func(p *Port) any { return &p.TAP.Interface })},
	{Name: "mtu", Default: "0", min: 68, max: 9000, zero: true,
		Doc: "MTU of the TAP in bytes; 0 takes that of the bridge, or 1500", bind: on(func(p *Port) any { return &p.TAP.MTU })},
	{Name: "mac", Example: "02:00:5e:10:00:01",
		Doc: "MAC address of the TAP; without it one that is the same at every start", bind: on(func(p *Port) any { return &p.TAP.MAC })},
	{Name: "addresses", Example: "192.168.10.1/24,2001:db8:10::1/64",
		Doc: "addresses of this host on the segment", bind: on(func(p *Port) any { return &p.TAP.Addresses })},
	{Name: "queues", Default: "0", min: 1, max: 64, zero: true,
		Doc: "queues of the TAP, a reader each; 0 takes one a processor, at most 8, and one in all on two processors", bind: on(func(p *Port) any { return &p.TAP.Queues })},
	{Name: "offload", Default: "true",
		Doc: "exchange large frames and unfinished checksums with the kernel (virtio header)", bind: on(func(p *Port) any { return &p.TAP.Offload })},
	{Name: "pin_stations", Default: "true",
		Doc:  "pin the stations behind the hub on the TAP in the bridge's own table, so that an echo cannot move them there",
		bind: on(func(p *Port) any { return &p.TAP.PinStations })},
}

var nicAttributes = []*Attribute{
	{Name: "interface", Need: true, Example: "eth1", check: checkInterface,
		Doc: "the physical interface", bind: on(func(p *Port) any { return &p.NIC.Interface })},
	{Name: "promisc", Default: "true",
		Doc: "take frames to every address (by membership, the interface's flag is left alone)", bind: on(func(p *Port) any { return &p.NIC.Promisc })},
}

func etherIPAttributes() []*Attribute {
	return []*Attribute{
		{Name: "peer", Example: "203.0.113.7", check: checkHost,
			Doc: "address of the peer; in IPsec also a DNS name, or nothing: the peer comes to us", bind: on(func(p *Port) any { return &p.EtherIP.Peer })},
		{Name: "local", Example: "198.51.100.1",
			Doc: "our address; without it the system's choice", bind: on(func(p *Port) any { return &p.EtherIP.Local })},
		{Name: "plain", Default: "false",
			Doc: "plain EtherIP (IP protocol 97), which anybody on the way can read and forge", bind: on(func(p *Port) any { return &p.EtherIP.Plain })},
		{Name: "header", Default: "auto", enum: []string{"auto", "standard", "swapped"},
			Doc: "the EtherIP header sent: 30 00, 03 00 of OpenBSD-style peers, or as the peer sends it; both are taken", bind: on(func(p *Port) any { return &p.EtherIP.Header })},
		{Name: "df", Default: "false",
			Doc: "never send outer fragments: answer a frame that is too big for the path with ICMP", bind: on(func(p *Port) any { return &p.EtherIP.DF })},
		{Name: "pre_fragment", Default: "false",
			Doc: "cut an inner IPv4 packet that is too big for the path, instead of the outer one", bind: on(func(p *Port) any { return &p.EtherIP.PreFragment })},
		{Name: "mss_clamp", Default: "true",
			Doc: "lower the MSS of TCP connections to what the path carries whole", bind: on(func(p *Port) any { return &p.EtherIP.MSSClamp })},
		{Name: "path_mtu", Default: "0", min: 576, max: 65535, zero: true,
			Doc: "MTU of the path to the peer in bytes; 0 finds it", bind: on(func(p *Port) any { return &p.EtherIP.PathMTU })},
	}
}

// noLimit is the top of a range that has none.
const noLimit = math.MaxInt64
