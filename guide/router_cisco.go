package guide

// Cisco IOS has IKEv1 and ESP, but no EtherIP: a device behind the router does
// that, and the router's IPsec carries it in tunnel mode.
var cisco = router{
	name: "cisco", doc: "Cisco IOS: IPsec for a device behind it that does EtherIP (IOS has none)",
	ike: []string{"aes256-sha256-modp2048"}, esp: []string{"aes256-sha256"},
	knows: func(part string) bool { return ciscoWords[part] != "" },
	write: writeCisco, aggressive: true,
}

var ciscoWords = map[string]string{
	"3des": "3des", "aes128": "aes 128", "aes192": "aes 192", "aes256": "aes 256",
	"md5": "md5", "sha1": "sha", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512",
	"modp1024": "2", "modp1536": "5", "modp2048": "14", "modp3072": "15", "modp4096": "16",
	"ecp256": "19", "ecp384": "20", "ecp521": "21",
	"aes128gcm16": "gcm 128", "aes256gcm16": "gcm 256",
}

func writeCisco(r *Router, p plan) string {
	l := &lines{}
	l.head("!", "Cisco IOS", r, p)
	l.add("! IOS has no EtherIP. DEVICE is the address of a machine behind this router that does,")
	l.add("! for example a vhub with: vhub port add etherip hub --peer %s --plain", p.server)
	l.add("! Outside0 is the interface to the internet.")
	l.add("crypto isakmp policy 10")
	l.add(" encryption %s", ciscoWords[p.ike.cipher])
	l.add(" hash %s", ciscoWords[p.ike.hash])
	l.add(" authentication pre-share")
	l.add(" group %s", ciscoWords[p.ike.group])
	l.add(" lifetime %d", seconds(r.IKELifetime))
	l.when(r.DPDInterval > 0, "crypto isakmp keepalive %d %d periodic", seconds(r.DPDInterval), max(seconds(r.DPDTimeout)/5, 2))
	ciscoIdentity(l, r, p)
	l.add("crypto ipsec transform-set vhub %s", ciscoTransforms(p.esp))
	l.add(" mode tunnel")
	l.add("ip access-list extended vhub-etherip")
	l.add(" permit 97 host DEVICE host %s", p.server)
	l.add("crypto map vhub 10 ipsec-isakmp")
	l.add(" set peer %s", p.server)
	l.add(" set transform-set vhub")
	l.add(" set security-association lifetime seconds %d", seconds(r.ESPLifetime))
	l.when(p.aggressive, " set isakmp-profile vhub")
	if group := ciscoWords[r.PFS]; group != "" {
		l.add(" set pfs group%s", group)
	}
	l.add(" match address vhub-etherip")
	l.add("interface Outside0")
	l.add(" crypto map vhub")
	l.add("! on DEVICE and its LAN: inner MTU %d, or TCP MSS %d", p.mtu, p.mss)
	return l.b.String()
}

// ciscoIdentity writes who the router says it is. In main mode IOS says its
// address, or its host name.
func ciscoIdentity(l *lines, r *Router, p plan) {
	if !p.aggressive {
		l.add("crypto isakmp key KEY address %s", p.server)
		l.when(r.PeerID.Type == "fqdn", "crypto isakmp identity hostname")
		l.when(r.PeerID.Type == "fqdn", "! host name and domain name of the router must give %s", r.PeerID.Value)
		return
	}
	l.add("crypto keyring vhub")
	l.add(" pre-shared-key address %s key KEY", p.server)
	l.add("crypto isakmp profile vhub")
	l.add(" keyring vhub")
	switch r.PeerID.Type {
	case "keyid":
		l.add(" self-identity keyid %s", r.PeerID.Value)
	case "user":
		l.add(" self-identity user-fqdn %s", r.PeerID.Value)
	case "fqdn":
		l.add(" self-identity fqdn %s", r.PeerID.Value)
	default:
		l.add(" self-identity address")
	}
	l.add(" match identity address %s 255.255.255.255", p.server)
	l.add(" initiate mode aggressive")
}

func ciscoTransforms(p proposal) string {
	if p.hash == "" {
		return "esp-" + ciscoWords[p.cipher]
	}
	return "esp-" + ciscoWords[p.cipher] + " esp-" + ciscoWords[p.hash] + "-hmac"
}
