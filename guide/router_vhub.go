package guide

import (
	"fmt"
	"strings"
	"time"
)

// Another vhub, as file and as command.
var otherVHub = router{
	name: "vhub", doc: "another vhub",
	ike: []string{"aes256-sha256-ecp384"}, esp: []string{"aes128gcm16"},
	knows: func(string) bool { return true },
	write: writeVHub,
}

// setting is one key of a port.
type setting struct{ name, value string }

func writeVHub(r *Router, p plan) string {
	l := &lines{}
	settings := []setting{{"peer", p.server}}
	if id := r.ServerID.text(); id != "" {
		settings = append(settings, setting{"peer_id", id})
	}
	if id := r.PeerID.text(); id != "" {
		settings = append(settings, setting{"local_id", id})
	}
	settings = append(settings, setting{"key_file", r.Port + ".psk"})
	if r.Mode != "auto" {
		settings = append(settings, setting{"mode", r.Mode})
	}
	for _, list := range []struct {
		name   string
		values []string
	}{{"ike", r.IKE}, {"esp", r.ESP}} {
		if len(list.values) > 0 {
			settings = append(settings, setting{list.name, strings.Join(list.values, ",")})
		}
	}
	if r.PFS != "" && r.PFS != "none" {
		settings = append(settings, setting{"pfs", r.PFS})
	}
	if r.Tunnel {
		settings = append(settings, setting{"tunnel", "true"})
	}
	if r.Legacy {
		settings = append(settings, setting{"legacy", "true"})
	}
	settings = append(settings, setting{"ike_lifetime", duration(r.IKELifetime)}, setting{"esp_lifetime", duration(r.ESPLifetime)})
	l.head("#", "vhub", r, p)
	l.add("# put KEY into the file %s.psk beside the configuration, mode 0600:", r.Port)
	l.add("#   install -m 600 /dev/stdin /etc/vhub/%s.psk", r.Port)
	l.add("# then one of the two; MTU and MSS are found and kept by themselves")
	command := []string{"vhub port add etherip " + r.Port}
	for _, s := range settings {
		if s.value == "true" {
			command = append(command, "--"+flagName(s.name))
		} else {
			command = append(command, "--"+flagName(s.name)+" "+s.value)
		}
	}
	l.add("#   %s", strings.Join(command, " "))
	l.add("port \"etherip\" %q {", r.Port)
	for _, s := range settings {
		l.add("  %-12s = %s", s.name, literal(s))
	}
	l.add("}")
	return l.b.String()
}

func flagName(name string) string { return strings.ReplaceAll(name, "_", "-") }

// literal is a value as the file writes it.
func literal(s setting) string {
	switch s.name {
	case "ike", "esp":
		parts := strings.Split(s.value, ",")
		for i := range parts {
			parts[i] = fmt.Sprintf("%q", parts[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case "tunnel", "legacy":
		return s.value
	}
	return fmt.Sprintf("%q", s.value)
}

// duration is a time without the zeros that Go writes: "8h", not "8h0m0s".
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
