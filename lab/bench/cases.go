package main

// benchCase is one row of the table.
type benchCase struct {
	name     string // for -cases
	title    string // for the table
	settings string // for the report: how it was set up, and where the settings are from
	build    func(s *stage)
}

// cases in the order of the table: first what only switches, then what
// encapsulates, then what encrypts.
var cases = []*benchCase{
	{"bridge", "Linux bridge", "two veth pairs in a bridge, all offloads on; the yardstick", kernelBridge},
	{"vhub", "vhub, TAP to TAP", "two tap ports, defaults", vhubTAPs("", 0)},
	{"vhub-nice", "vhub, TAP to TAP, nice -20", "the same at nice -20", vhubTAPs("", -20)},
	{"vhub-plain", "vhub, TAP to TAP, offload = false", "the same with offload = false", vhubTAPs("offload = false", 0)},
	{"vhub-nic", "vhub, nic to TAP", "a nic port on a veth with all offloads on, a tap port", vhubNIC},
	{"softether", "SoftEther, TAP to TAP, nice 0", "vpnserver without CAP_SYS_NICE, local bridges to two TAPs", softEtherTAPs(false)},
	{"softether-nice", "SoftEther, TAP to TAP, nice -20", "vpnserver as it comes (it sets nice -20 itself)", softEtherTAPs(true)},
	{"softether-nic", "SoftEther, nic to TAP", "local bridge to a veth, offloads of both its ends off (with them on it passes no TCP), and to a TAP; nice -20", softEtherNIC},
	{"vde", "vde_switch", "two TAPs (-t), defaults", vde},
	{"ovs", "Open vSwitch, netdev datapath", "datapath_type=netdev, fail_mode=standalone, two internal ports", openVSwitch},
	{"vhub-etherip", "vhub, EtherIP, plain", "two vhubs, a tap and an etherip port each; no encryption", vhubEtherIP(plainEtherIP)},
	{"vhub-gcm", "vhub, EtherIP/IPsec, AES-128-GCM", "two vhubs, IKEv1 with a pre-shared key, ESP aes128gcm16 in UDP (nat_t = always: the kernel then cuts and joins the packets)", vhubEtherIP(`esp = ["aes128gcm16"]`)},
	{"vhub-cbc", "vhub, EtherIP/IPsec, AES-128-CBC + HMAC-SHA1", "the same with ESP aes128-sha1", vhubEtherIP(`esp = ["aes128-sha1"]`)},
	{"vhub-cbc-tunnel", "vhub, EtherIP/IPsec, AES-128-CBC + HMAC-SHA1, tunnel mode", "the same in tunnel mode, for the next row", vhubEtherIP(cbcTunnel)},
	{"softether-etherip", "vhub dials SoftEther, EtherIP/IPsec, AES-128-CBC + HMAC-SHA1, tunnel mode", "vpnserver as responder (nice -20, which it sets itself; its hub on a TAP) for the same vhub as initiator with the same settings; tunnel mode because it appends padding in transport mode; daemon CPU and memory are of both ends", softEtherEtherIP},
	{"softether-tls", "SoftEther native client, TLS", "vpnclient to vpnserver, one TCP connection, AES-256-GCM, nice -20", softEtherClient},
	{"openvpn", "OpenVPN, tap, AES-256-GCM", "UDP, TLS with peer fingerprints, data channel in user space (--disable-dco), mssfix as it comes", openVPN},
	{"tinc", "tinc, switch, AES-256-CBC + SHA-256", "Mode = switch, ciphers as they come (its manual says CBC only)", tinc},
	{"n2n", "n2n, Twofish", "edges and a supernode, all as they come; the edges speak directly", n2n},
	{"wireguard", "wireguard-go with VXLAN, inner MTU 1370", "wireguard-go with MTU 1420, kernel VXLAN on it", wireGuard},
}
