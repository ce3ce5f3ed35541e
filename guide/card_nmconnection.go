package guide

import (
	"fmt"
	"strings"
)

// keyFileText escapes a value of a GLib key file: a backslash, and spaces at
// both ends, which would be cut off.
func keyFileText(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	start := len(s) - len(strings.TrimLeft(s, " "))
	body := strings.TrimRight(s[start:], " ")
	end := len(s) - start - len(body)
	return strings.Repeat(`\s`, start) + body + strings.Repeat(`\s`, end)
}

// nmConnection is a NetworkManager keyfile for the l2tp plug-in. It belongs
// into /etc/NetworkManager/system-connections with mode 0600. Password flag 2
// asks at each connect (NMSettingSecretFlags: not saved).
func nmConnection(v Values) string {
	var b strings.Builder
	set := func(k, value string) { fmt.Fprintf(&b, "%s=%s\n", k, keyFileText(value)) }
	b.WriteString("[connection]\n")
	set("id", v.Name)
	set("uuid", uuid(v, "connection"))
	set("type", "vpn")
	set("autoconnect", "false")
	b.WriteString("\n[vpn]\n")
	set("gateway", v.Server)
	set("ipsec-enabled", "yes")
	if v.Key == "" {
		set("ipsec-psk-flags", "2")
	} else {
		set("ipsec-psk-flags", "0")
	}
	set("machine-auth-type", "psk")
	set("mru", "1400")
	set("mtu", "1400")
	set("password-flags", "2")
	for _, method := range []string{"chap", "eap", "mschap", "pap"} {
		set("refuse-"+method, "yes")
	}
	set("user", v.User)
	set("user-auth-type", "password")
	set("service-type", "org.freedesktop.NetworkManager.l2tp")
	if v.Key != "" {
		b.WriteString("\n[vpn-secrets]\n")
		set("ipsec-psk", v.Key)
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, "\n[%s]\n", family)
		set("method", "auto")
		if len(v.Routes) > 0 {
			set("never-default", "true")
		}
		n := 0
		for _, r := range v.Routes {
			if r.Addr().Is4() == (family == "ipv4") {
				n++
				set(fmt.Sprintf("route%d", n), r.String())
			}
		}
	}
	return b.String()
}
