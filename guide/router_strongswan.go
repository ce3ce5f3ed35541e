package guide

import "strings"

// strongSwan on Linux, in both of its configuration forms. The kernel has no
// EtherIP: a plain port of vhub does that there.
var strongSwan = router{
	name: "strongswan", doc: "Linux with strongSwan and the kernel's ESP, and plain EtherIP inside",
	ike: []string{"aes256-sha256-modp2048"}, esp: []string{"aes128gcm16"},
	knows: func(string) bool { return true },
	write: writeStrongSwan,
}

func writeStrongSwan(r *Router, p plan) string {
	l := &lines{}
	mode, yes := "transport", "no"
	if r.Tunnel {
		mode = "tunnel"
	}
	if p.aggressive {
		yes = "yes"
	}
	esp := p.esp.String()
	if r.PFS != "" && r.PFS != "none" {
		esp += "-" + r.PFS
	}
	l.head("#", "strongSwan", r, p)
	l.add("#")
	l.add("# either /etc/ipsec.conf")
	l.add("conn %s", r.Port)
	l.add("    keyexchange=ikev1")
	l.add("    aggressive=%s", yes)
	l.add("    authby=secret")
	l.add("    type=%s", mode)
	l.add("    left=%%defaultroute")
	l.when(r.PeerID.Type != "", "    leftid=%s", strongSwanID(r.PeerID))
	l.add("    leftprotoport=97")
	l.add("    right=%s", p.server)
	l.add("    rightid=%s", or(strongSwanID(r.ServerID), "%any"))
	l.add("    rightprotoport=97")
	l.add("    ike=%s!", p.ike)
	l.add("    esp=%s!", esp)
	l.add("    ikelifetime=%ds", seconds(r.IKELifetime))
	l.add("    lifetime=%ds", seconds(r.ESPLifetime))
	l.when(r.DPDInterval > 0, "    dpddelay=%ds", seconds(r.DPDInterval))
	l.when(r.DPDInterval > 0, "    dpdtimeout=%ds", seconds(r.DPDTimeout))
	l.when(r.DPDInterval > 0, "    dpdaction=restart")
	l.add("    auto=start")
	l.add("# and /etc/ipsec.secrets (mode 0600)")
	l.add("%s : PSK \"KEY\"", or(strongSwanID(r.ServerID), "%any"))
	l.add("#")
	l.add("# or /etc/swanctl/conf.d/%s.conf (mode 0600)", r.Port)
	swanctl(l, r, p, mode, yes, esp)
	l.when(p.aggressive, "# and, because of aggressive mode, in strongswan.conf: charon.i_dont_care_about_security_and_use_aggressive_mode_psk = yes")
	l.add("#")
	l.add("# the EtherIP inside, at the same machine:")
	l.add("#   vhub port add etherip hub --peer %s --plain", p.server)
	l.add("#   vhub port add tap lan --bridge br0")
	l.add("# the plain port does not see the overhead of IPsec: give it --path-mtu %d", p.mtu+14+2+20)
	return l.b.String()
}

func swanctl(l *lines, r *Router, p plan, mode, aggressive, esp string) {
	l.add("connections {")
	l.add("    %s {", r.Port)
	l.add("        version = 1")
	l.add("        aggressive = %s", aggressive)
	l.add("        remote_addrs = %s", p.server)
	l.add("        proposals = %s", p.ike)
	l.add("        reauth_time = %ds", seconds(r.IKELifetime)*9/10)
	if r.DPDInterval > 0 {
		l.add("        dpd_delay = %ds", seconds(r.DPDInterval))
		l.add("        dpd_timeout = %ds", seconds(r.DPDTimeout))
	}
	l.add("        local {")
	l.add("            auth = psk")
	l.when(r.PeerID.Type != "", "            id = %s", strongSwanID(r.PeerID))
	l.add("        }")
	l.add("        remote {")
	l.add("            auth = psk")
	l.when(r.ServerID.Type != "", "            id = %s", strongSwanID(r.ServerID))
	l.add("        }")
	l.add("        children {")
	l.add("            etherip {")
	l.add("                mode = %s", mode)
	l.add("                local_ts = dynamic[97]")
	l.add("                remote_ts = dynamic[97]")
	l.add("                esp_proposals = %s", esp)
	l.add("                rekey_time = %ds", seconds(r.ESPLifetime)*9/10)
	l.add("                start_action = start")
	l.when(r.DPDInterval > 0, "                dpd_action = restart")
	l.add("            }")
	l.add("        }")
	l.add("    }")
	l.add("}")
	l.add("secrets {")
	l.add("    ike-%s {", r.Port)
	l.when(r.ServerID.Type != "", "        id = %s", strongSwanID(r.ServerID))
	l.add("        secret = \"KEY\"")
	l.add("    }")
	l.add("}")
}

// strongSwanID writes an identity with its type, where strongSwan would guess
// another.
func strongSwanID(id Identity) string {
	value := id.Value
	if strings.ContainsAny(value, " ,#=") {
		value = `"` + value + `"`
	}
	switch id.Type {
	case "fqdn":
		return "fqdn:" + value
	case "user":
		return "userfqdn:" + value
	case "keyid":
		return "keyid:" + value
	}
	return value
}
