package main

// benchCase is one row of the table.
type benchCase struct {
	name     string // for -cases
	title    string // for the table
	settings string // for the report: how it was set up, and where the settings are from
	build    func(s *stage)
	measure  func(r *result, o options) // nil: as all others
	most     int                        // runs at most; 0: as many as asked for
	group    int                        // cases of one group are up at once and measured in turn
}

// cases in the order of the table: first what only switches, then what
// encapsulates, then what encrypts.
var cases = []*benchCase{
	{name: "bridge", title: "Linux bridge", build: kernelBridge,
		settings: "two veth pairs in a bridge, all offloads on; the yardstick"},
	{name: "relay", title: "a bare relay between two TAPs, no switch", build: relayed,
		settings: "one thread that reads a frame from one TAP and writes it to the other, with the virtio header and no more (lab/tool): what of the other rows is the machine's"},
	{name: "vhub", title: "vhub, TAP to TAP", build: vhubTAPs("", 0),
		settings: "two tap ports, defaults"},
	{name: "vhub-nice", title: "vhub, TAP to TAP, nice -20", build: vhubTAPs("", -20),
		settings: "the same at nice -20"},
	{name: "vhub-plain", title: "vhub, TAP to TAP, offload = false", build: vhubTAPs("offload = false", 0),
		settings: "the same with offload = false"},
	{name: "vhub-nic", title: "vhub, nic to TAP", build: vhubNIC,
		settings: "a nic port on a veth with all offloads on, a tap port"},
	{name: "softether", title: "SoftEther, TAP to TAP, nice 0", build: softEtherTAPs(false),
		settings: "vpnserver without CAP_SYS_NICE, local bridges to two TAPs"},
	{name: "softether-nice", title: "SoftEther, TAP to TAP, nice -20", build: softEtherTAPs(true),
		settings: "vpnserver as it comes (it sets nice -20 itself)"},
	{name: "softether-nic", title: "SoftEther, nic to TAP", build: softEtherNIC,
		settings: "local bridge to a veth, offloads of both its ends off (with them on it passes no TCP), and to a TAP; nice -20"},
	{name: "vde", title: "vde_switch", build: vde,
		settings: "two TAPs (-t), defaults"},
	{name: "ovs", title: "Open vSwitch, netdev datapath", build: openVSwitch,
		settings: "datapath_type=netdev, fail_mode=standalone, two internal ports"},
	{name: "vhub-etherip", title: "vhub, EtherIP, plain", build: vhubEtherIP(plainEtherIP),
		settings: "two vhubs, a tap and an etherip port each; no encryption"},
	{name: "vhub-gcm", title: "vhub, EtherIP/IPsec, AES-GCM", build: vhubEtherIP(`esp = ["aes128gcm16"]`),
		settings: "two vhubs, IKEv1 with a pre-shared key, ESP aes128gcm16 in UDP (nat_t = always: the kernel then cuts and joins the packets)"},
	{name: "vhub-cbc", title: "vhub, EtherIP/IPsec, AES-CBC + SHA1", build: vhubEtherIP(`esp = ["aes128-sha1"]`),
		settings: "the same with ESP aes128-sha1 (AES-128-CBC, HMAC-SHA1-96)"},
	{name: "vhub-cbc-tunnel", title: "vhub, EtherIP/IPsec, AES-CBC + SHA1, tunnel mode", build: vhubEtherIP(cbcTunnel),
		settings: "the same in tunnel mode, for the next row"},
	{name: "softether-etherip", title: "vhub dials SoftEther, the same, tunnel mode", build: softEtherEtherIP,
		settings: "vpnserver as responder (nice -20, which it sets itself; its hub on a TAP) for the same vhub as initiator with the same settings; tunnel mode because it appends padding in transport mode; daemon CPU and memory are of both ends"},
	{name: "vhub-l2tp", title: "vhub, L2TP/IPsec, synthetic client, MTU 1400", build: l2tpSynthetic(false),
		settings: "the client of lab/roadclient (vhub's own IKE, ESP and L2TP client half, with a TAP; its CPU time does not count), IKE aes256-sha1-modp2048, ESP aes128-sha1 in UDP, MS-CHAPv2, an address by DHCP; the server's CPU and memory alone"},
	{name: "softether-l2tp", title: "SoftEther, L2TP/IPsec, the same client, MTU 1400", build: l2tpSynthetic(true),
		settings: "vpnserver (nice -20, which it sets itself; its hub on a TAP) for the same client with the same settings"},
	{name: "softether-tls", title: "SoftEther native client, TLS", build: softEtherClient,
		settings: "vpnclient to vpnserver, one TCP connection, AES-256-GCM, nice -20"},
	{name: "openvpn", title: "OpenVPN, tap, AES-256-GCM", build: openVPN,
		settings: "UDP, TLS with peer fingerprints, data channel in user space (--disable-dco), mssfix as it comes"},
	{name: "tinc", title: "tinc, switch, AES-256-CBC + SHA-256", build: tinc,
		settings: "Mode = switch, ciphers as they come (its manual says CBC only)"},
	{name: "n2n", title: "n2n, Twofish", build: n2n,
		settings: "edges and a supernode, all as they come; the edges speak directly"},
	{name: "wireguard", title: "wireguard-go with VXLAN, inner MTU 1370", build: wireGuard,
		settings: "wireguard-go with MTU 1420, kernel VXLAN on it"},
	{name: "vhub-guest", title: "vhub, L2TP/IPsec, stock client in a guest, its limit", build: l2tpGuest(false), measure: measureRoad, most: 3, group: 1,
		settings: "a stock client (strongSwan, xl2tpd, pppd) in a user-mode-linux guest, which is the limit of this row and not the server: the same settings as above; at most 3 runs, each of which dials anew; iperf3 runs in the guest, ping at host B; the server's CPU and memory alone; measured after the rows above, in turns with the next"},
	{name: "softether-guest", title: "SoftEther, L2TP/IPsec, the same guest, its limit", build: l2tpGuest(true), measure: measureRoad, most: 3, group: 1,
		settings: "vpnserver (nice -20) for the same stock client in a guest"},
}

// groups is how many groups of cases there are.
const groups = 2
