package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// What methods and order may name.
var (
	pppMethods     = []string{"mschapv2", "eap-mschapv2", "chap-md5", "pap"}
	addressSources = []string{"static", "radius", "dhcp", "pool"}
)

func l2tpAttributes() []*Attribute {
	return []*Attribute{
		{Name: "pool", single: true, Example: "172.16.0.200-172.16.0.230",
			Doc: "addresses for clients: ranges, single addresses or subnets; the port needs no DHCP server then", bind: on(func(p *Port) any { return &p.L2TP.Pool })},
		{Name: "subnet", Example: "172.16.0.0/24",
			Doc: "the segment's IPv4 subnet; without it that of the lease, or the /24 (or what is needed) around the pool", bind: on(func(p *Port) any { return &p.L2TP.Subnet })},
		{Name: "router", Example: "172.16.0.1",
			Doc: "the segment's router, for clients whose address does not come by DHCP", bind: on(func(p *Port) any { return &p.L2TP.Router })},
		{Name: "dns", Example: "172.16.0.1,172.16.0.2",
			Doc: "name servers for clients; the first two are used, and those of a DHCP lease where there are none", bind: on(func(p *Port) any { return &p.L2TP.DNS })},
		{Name: "routes", Example: "172.16.0.0/16,10.0.0.0/8 via 172.16.0.1",
			Doc: "networks that clients reach by the tunnel, told to those that ask by DHCPINFORM (Windows, macOS)", bind: on(func(p *Port) any { return &p.L2TP.Routes })},
		{Name: "dhcp", Default: "auto", enum: []string{"auto", "on", "off"},
			Doc: "ask the segment's own DHCP server for the clients' addresses; auto does where there is no pool", bind: on(func(p *Port) any { return &p.L2TP.DHCP })},
		{Name: "order", Example: "static,pool", check: checkOneOf("a source of addresses", addressSources),
			Doc:  "where addresses come from, best first: static (the user's own), radius, dhcp, pool; without it in that order, as far as there are any",
			bind: on(func(p *Port) any { return &p.L2TP.Order })},
		{Name: "ipv6", Default: "true",
			Doc: "IPv6 for clients, with the segment's router advertisements", bind: on(func(p *Port) any { return &p.L2TP.IPv6 })},
		{Name: "mru", Default: "1400", min: 576, max: 1500,
			Doc: "the largest packet in bytes that clients may send", bind: on(func(p *Port) any { return &p.L2TP.MRU })},
		{Name: "methods", Example: "mschapv2,eap-mschapv2,pap", check: checkOneOf("a method", pppMethods),
			Doc:  "how users prove who they are, best first: mschapv2, eap-mschapv2, chap-md5 (users of RADIUS only), pap; without it mschapv2, eap-mschapv2",
			bind: on(func(p *Port) any { return &p.L2TP.Methods })},
		{Name: "radius", Example: "corp", check: checkOptionalName,
			Doc: "the radius block whose servers are asked for users that the local database does not have", bind: on(func(p *Port) any { return &p.L2TP.Radius })},
		{Name: "radius_only", Default: "false",
			Doc: "ask RADIUS alone: users of the local database cannot log in", bind: on(func(p *Port) any { return &p.L2TP.RadiusOnly })},
		{Name: "max_sessions", Default: "10000", min: 1, max: 100000,
			Doc: "sessions of the port at once; more are refused", bind: on(func(p *Port) any { return &p.L2TP.MaxSessions })},
		{Name: "hello", Default: "45s", min: int64(time.Second), max: int64(10 * time.Minute),
			Doc: "a client silent for so long is asked whether it lives (RFC 2661 section 6.5)", bind: on(func(p *Port) any { return &p.L2TP.Hello })},
		{Name: "tunnel_secret_file", Example: "lac.secret", check: checkFile,
			Doc:  "file with the L2TP tunnel secret (RFC 2661 section 5.1.1), readable by its owner alone; stock clients have none",
			bind: on(func(p *Port) any { return &p.L2TP.TunnelSecretFile })},
		{Name: "insecure_l2tp", Default: "false",
			Doc: "L2TP without IPsec on UDP port 1701, which anybody on the way can read and forge", bind: on(func(p *Port) any { return &p.L2TP.Insecure })},
		{Name: "aggressive", Default: "false",
			Doc:  "answer aggressive mode too, for clients with an identifier (Android); whoever asks learns enough to guess the key offline, so it must be long and random",
			bind: on(func(p *Port) any { return &p.L2TP.Aggressive })},
	}
}

// l2tpIPsecAttributes is what a road warriors' port says of IKE and ESP: what
// a peer has, without what only makes sense of one peer (role, uplinks, ...).
// Clients sleep and roam, so they are asked less often and given more time.
func l2tpIPsecAttributes() []*Attribute {
	own := map[string]func(*Attribute){
		"key_file": func(a *Attribute) { a.Example = "road.psk" },
		"peer_id": func(a *Attribute) {
			a.Example = "keyid:road"
			a.Doc = "identifier that clients send in aggressive mode; without it any"
		},
		"local_id": nil, "ike": nil, "esp": nil, "legacy": nil,
		"nat_t":        func(a *Attribute) { a.Default = "auto" }, // Windows refuses a server that it believes behind a NAT
		"ike_lifetime": nil, "esp_lifetime": nil, "esp_bytes": nil,
		"dpd_interval":  func(a *Attribute) { a.Default = "1m" },
		"dpd_timeout":   func(a *Attribute) { a.Default = "2m" },
		"replay_window": nil, "esn": nil,
	}
	all := ipsecAttributes(func(p *Port) *IPsec { return p.L2TP.IPsec })
	all = slices.DeleteFunc(all, func(a *Attribute) bool { _, ok := own[a.Name]; return !ok })
	for _, a := range all {
		if f := own[a.Name]; f != nil {
			f(a)
		}
	}
	return all
}

// radiusTable is the schema of the radius blocks.
var radiusTable = finish([]*Attribute{
	{Name: "servers", Need: true, Example: "192.0.2.10,radius.example:1812", check: checkRadiusServer,
		Doc: "the servers, best first: address or host name, and :port where it is not 1812", bind: on(func(q *Radius) any { return &q.Servers })},
	{Name: "secret_file", Need: true, Example: "radius.secret", check: checkFile,
		Doc:  "file with the secret shared with the servers, readable by its owner alone; a relative name starts at the folder of the configuration",
		bind: on(func(q *Radius) any { return &q.SecretFile })},
	{Name: "local", Example: "198.51.100.1",
		Doc: "our address, by which the servers know us; without it the system's choice", bind: on(func(q *Radius) any { return &q.Local })},
	{Name: "timeout", Default: "2s", min: int64(100 * time.Millisecond), max: int64(30 * time.Second),
		Doc: "wait so long for an answer before asking again", bind: on(func(q *Radius) any { return &q.Timeout })},
	{Name: "retries", Default: "2", min: 0, max: 10,
		Doc: "ask a silent server so often again before the next one", bind: on(func(q *Radius) any { return &q.Retries })},
	{Name: "dead_time", Default: "1m", min: int64(time.Second), max: int64(time.Hour), zero: true,
		Doc: "a server that did not answer is asked last for so long; 0s forgets it at once", bind: on(func(q *Radius) any { return &q.DeadTime })},
	{Name: "accounting", Default: "true",
		Doc: "tell the servers when sessions begin and end and what they used (RFC 2866)", bind: on(func(q *Radius) any { return &q.Accounting })},
	{Name: "accounting_port", Default: "0", min: 1, max: math.MaxUint16, zero: true,
		Doc: "UDP port of accounting; 0 takes the port after that of authentication", bind: on(func(q *Radius) any { return &q.AccountingPort })},
	{Name: "nas_identifier", Example: "vhub-osaka", check: checkLine(253),
		Doc: "our name for the servers; without it the name of the host", bind: on(func(q *Radius) any { return &q.NASIdentifier })},
	{Name: "interim", Default: "0s", min: int64(time.Minute), max: int64(24 * time.Hour), zero: true,
		Doc: "tell what a session used so often on the way, where the server does not say; 0s only at its end", bind: on(func(q *Radius) any { return &q.Interim })},
}, &Radius{})

// RadiusAttributes returns what a radius block may say.
func RadiusAttributes() []*Attribute { return radiusTable }

func checkRadiusServer(s string) error {
	_, _, err := RadiusServer(s)
	return err
}

func checkOneOf(what string, words []string) func(string) error {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return fmt.Errorf("%q is not %s: there are %s%s", s, what, strings.Join(words, ", "), didYouMean(s, words))
	}
}
