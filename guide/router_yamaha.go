package guide

// Yamaha RTX has IKEv1 and ESP, but no EtherIP: a device behind the router does
// that, and the router's IPsec carries it in tunnel mode.
var yamaha = router{
	name: "yamaha", doc: "Yamaha RTX: IPsec for a device behind it that does EtherIP (RTX has none)",
	ike: []string{"aes256-sha256-modp2048"}, esp: []string{"aes256-sha256"},
	knows: func(part string) bool { return yamahaWords[part] != "" },
	write: writeYamaha, aggressive: true,
}

var yamahaWords = map[string]string{
	"3des": "3des-cbc", "aes128": "aes-cbc", "aes256": "aes256-cbc",
	"md5": "md5", "sha1": "sha", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512",
	"modp1024": "modp1024", "modp1536": "modp1536", "modp2048": "modp2048",
}

func writeYamaha(r *Router, p plan) string {
	l := &lines{}
	l.head("#", "Yamaha RTX", r, p)
	l.add("# RTX has no EtherIP. DEVICE is the address of a machine behind this router that does,")
	l.add("# for example a vhub with: vhub port add etherip hub --peer %s --plain", p.server)
	l.add("# ROUTER is the router's own address towards DEVICE; pp 1 is its way to the internet.")
	l.add("ip filter 9701 pass DEVICE %s 97 * *", p.server)
	l.add("ip route %s gateway tunnel 1 filter 9701 gateway pp 1", p.server)
	l.add("tunnel select 1")
	l.add(" ipsec tunnel 1")
	l.add("  ipsec sa policy 1 1 esp %s %s-hmac local-id=DEVICE/32 remote-id=%s/32", yamahaWords[p.esp.cipher], yamahaWords[p.esp.hash], p.server)
	l.add("  ipsec ike encryption 1 %s", yamahaWords[p.ike.cipher])
	l.add("  ipsec ike hash 1 %s", yamahaWords[p.ike.hash])
	l.add("  ipsec ike group 1 %s", yamahaWords[p.ike.group])
	l.add("  ipsec ike duration ike-sa 1 %d", seconds(r.IKELifetime))
	l.add("  ipsec ike duration ipsec-sa 1 %d", seconds(r.ESPLifetime))
	l.when(r.DPDInterval > 0, "  ipsec ike keepalive use 1 on dpd %d %d", seconds(r.DPDInterval), retries(r.DPDInterval, r.DPDTimeout))
	l.add("  ipsec ike local address 1 ROUTER")
	l.when(p.aggressive, "  ipsec ike local name 1 %s %s", r.PeerID.Value, yamahaID(r.PeerID))
	l.when(!p.aggressive && r.PeerID.Type == "address", "  ipsec ike local id 1 %s", r.PeerID.Value)
	l.add("  ipsec ike nat-traversal 1 on")
	if group := yamahaWords[r.PFS]; group != "" {
		l.add("  ipsec ike pfs 1 on")
	}
	l.add("  ipsec ike pre-shared-key 1 text KEY")
	l.add("  ipsec ike remote address 1 %s", p.server)
	if id := r.ServerID; id.Type != "" && id.Type != "address" {
		l.add("  ipsec ike remote name 1 %s %s", id.Value, yamahaID(id))
	}
	l.add("  ipsec auto refresh 1 on")
	l.add(" tunnel enable 1")
	l.add("# on DEVICE and its LAN: inner MTU %d, or TCP MSS %d", p.mtu, p.mss)
	return l.b.String()
}

// yamahaID is RTX's word for a type of identity.
func yamahaID(id Identity) string {
	switch id.Type {
	case "fqdn":
		return "fqdn"
	case "user":
		return "user-fqdn"
	case "address":
		return "ipv4-addr"
	}
	return "key-id"
}
