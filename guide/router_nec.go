package guide

// NEC UNIVERGE IX2000, IX2100 and later with IKEv1. Assembled from NEC's samples
// and published configurations; it has not run on a real IX in this form.
var necIX = router{
	name: "nec-ix", doc: "NEC UNIVERGE IX (IX2015, IX2105, IX2215, ...), EtherIP over IPsec with IKEv1",
	ike: []string{"aes256-sha256-modp1536"}, esp: []string{"aes256-sha1"},
	knows: func(part string) bool { return necWords[part] != "" },
	write: writeNEC, aggressive: true,
}

var necWords = map[string]string{
	"3des": "3des", "aes128": "aes", "aes192": "aes-192", "aes256": "aes-256",
	"md5": "md5", "sha1": "sha", "sha256": "sha2-256", "sha384": "sha2-384", "sha512": "sha2-512",
	"modp1024": "1024-bit", "modp1536": "1536-bit", "modp2048": "2048-bit",
}

func writeNEC(r *Router, p plan) string {
	l := &lines{}
	mode := ""
	if p.aggressive {
		mode = " mode aggressive"
	}
	esp := "transport"
	if r.Tunnel {
		esp = "tunnel"
	}
	l.head("!", "NEC IX", r, p)
	l.add("! GigaEthernet1.0 is the LAN; the way to the internet (GigaEthernet0.0) stays as it is")
	l.add("ip access-list vhub-list permit ip src any dest any")
	l.add("ike nat-traversal")
	l.add("ike proposal vhub-ike encryption %s hash %s group %s lifetime %d", necWords[p.ike.cipher], necWords[p.ike.hash], necWords[p.ike.group], seconds(r.IKELifetime))
	l.add("ike policy vhub-policy peer %s key KEY%s vhub-ike", p.server, mode)
	if id := r.PeerID; id.Type != "" {
		l.add("ike local-id vhub-policy %s %s", necID(id), id.Value)
	}
	if id := r.ServerID; id.Type != "" && id.Type != "address" {
		l.add("ike remote-id vhub-policy %s %s", necID(id), id.Value)
	}
	l.when(r.DPDInterval > 0, "ike keepalive vhub-policy %d %d", seconds(r.DPDInterval), retries(r.DPDInterval, r.DPDTimeout))
	l.add("ike initial-contact always")
	l.add("ipsec autokey-proposal vhub-sec esp-%s esp-%s lifetime time %d", necWords[p.esp.cipher], necWords[p.esp.hash], seconds(r.ESPLifetime))
	pfs := ""
	if group := necWords[r.PFS]; group != "" {
		pfs = " pfs " + group
	}
	l.add("ipsec autokey-map vhub-map vhub-list peer %s vhub-sec%s", p.server, pfs)
	l.add("bridge irb enable")
	l.add("interface GigaEthernet1.0")
	l.add("  no ip address")
	l.add("  bridge-group 1")
	l.add("interface BVI1")
	l.add("  ! the router's own address on the segment, if it has one:")
	l.add("  ! ip address 192.168.1.1/24")
	l.add("  bridge-group 1")
	l.add("interface Tunnel0.0")
	l.add("  tunnel mode ether-ip ipsec")
	l.add("  no ip address")
	l.add("  ipsec policy %s vhub-map", esp)
	l.add("  bridge-group 1")
	l.add("  bridge ip tcp adjust-mss %d", p.mss)
	l.add("  no shutdown")
	l.add("! behind address translation on the IX itself: ip napt static GigaEthernet0.0 udp 500, udp 4500 and 50")
	l.add("! the IX knows no spanning tree: a second way between the LANs is a loop")
	return l.b.String()
}

// necID is the IX's word for a type of identity.
func necID(id Identity) string {
	switch id.Type {
	case "user":
		return "user-fqdn"
	case "address", "fqdn", "keyid":
		return id.Type
	}
	return "keyid"
}
