package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// L2TP lets road warriors in by L2TP, in IPsec unless told otherwise. Each is a
// session of its own and a host of the segment.
type L2TP struct {
	Pool    []AddrRange  `json:"pool,omitempty"`    // IPv4, no overlaps
	Subnet  netip.Prefix `json:"subnet"`            // IPv4, masked; invalid where not given, see Prefix
	Router  netip.Addr   `json:"router"`            // invalid: none
	DNS     []netip.Addr `json:"dns,omitempty"`     // IPv4
	Routes  []Route      `json:"routes,omitempty"`  // pushed to clients by DHCPINFORM
	DHCP    string       `json:"dhcp"`              // auto, on or off; see UseDHCP
	Order   []string     `json:"order,omitempty"`   // of static, radius, dhcp, pool; see Sources
	IPv6    bool         `json:"ipv6"`              // IPV6CP and router advertisements
	MRU     int          `json:"mru"`               // bytes
	Methods []string     `json:"methods,omitempty"` // of mschapv2, eap-mschapv2, chap-md5, pap; see AuthMethods

	Radius     string `json:"radius,omitempty"` // name of the block; "": the local database only
	RadiusOnly bool   `json:"radius_only"`
	// Servers is the block that Radius names; nil when it names none.
	Servers *Radius `json:"-"`

	MaxSessions      int           `json:"max_sessions"`
	Hello            time.Duration `json:"hello"`
	TunnelSecretFile string        `json:"tunnel_secret_file,omitempty"`
	Insecure         bool          `json:"insecure_l2tp"`   // bare UDP port 1701
	Aggressive       bool          `json:"aggressive"`      // aggressive mode, for IPsec.PeerID
	IPsec            *IPsec        `json:"ipsec,omitempty"` // nil exactly when Insecure; Role is responder
}

// UseDHCP tells whether the segment's DHCP server is asked.
func (l *L2TP) UseDHCP() bool {
	return l.DHCP == "on" || l.DHCP == "auto" && len(l.Pool) == 0
}

// AuthMethods returns the methods of authentication, best first.
func (l *L2TP) AuthMethods() []string {
	if len(l.Methods) > 0 {
		return slices.Clone(l.Methods)
	}
	return []string{"mschapv2", "eap-mschapv2"}
}

// Sources returns where addresses come from, best first: only what the port has.
func (l *L2TP) Sources() []string {
	order := l.Order
	if len(order) == 0 {
		order = addressSources
	}
	return slices.DeleteFunc(slices.Clone(order), func(s string) bool { return !l.has(s) })
}

func (l *L2TP) has(source string) bool {
	switch source {
	case "radius":
		return l.Radius != ""
	case "dhcp":
		return l.UseDHCP()
	case "pool":
		return len(l.Pool) > 0
	}
	return true
}

// Prefix returns the segment's subnet for addresses that come by no lease: the
// one given, or the /24 around the pool, or a wider one where the pool needs
// it; invalid where nothing tells.
func (l *L2TP) Prefix() netip.Prefix {
	if l.Subnet.IsValid() || len(l.Pool) == 0 {
		return l.Subnet
	}
	p, _ := l.Pool[0].First.Prefix(24)
	for bits := 24; bits >= 0; bits-- {
		p, _ = l.Pool[0].First.Prefix(bits)
		if !slices.ContainsFunc(l.Pool, func(r AddrRange) bool { return !p.Contains(r.First) || !p.Contains(r.Last) }) {
			break
		}
	}
	return p
}

// AddrRange is IPv4 addresses from First to Last, both included.
type AddrRange struct {
	First netip.Addr `json:"first"`
	Last  netip.Addr `json:"last"`
}

// String returns "first-last", or one address.
func (r AddrRange) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Route is a network that clients reach by the tunnel.
type Route struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via"` // invalid: on the segment itself
}

// String returns "to" or "to via router".
func (r Route) String() string {
	if !r.Via.IsValid() {
		return r.To.String()
	}
	return r.To.String() + " via " + r.Via.String()
}

// parseRange reads "172.16.0.200-172.16.0.230", one address, or a subnet, of
// which the network's own address and the broadcast address are left out.
func parseRange(s string) (r AddrRange, err error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		if !p.Addr().Is4() || p.Bits() > 30 || p.Masked() != p || p.Bits() < 8 {
			return r, fmt.Errorf("%q is not an IPv4 subnet for a pool: want a network address with /8 to /30", s)
		}
		b := p.Addr().As4()
		last := beUint32(b) | (1<<(32-p.Bits()) - 1)
		return AddrRange{p.Addr().Next(), addr4(last - 1)}, nil
	}
	first, last, two := strings.Cut(s, "-")
	if !two {
		last = first
	}
	for _, t := range []struct {
		text string
		to   *netip.Addr
	}{{first, &r.First}, {last, &r.Last}} {
		a, err := netip.ParseAddr(strings.TrimSpace(t.text))
		if err != nil || !isStation4(a) {
			return r, fmt.Errorf("%q is not a range of addresses: want IPv4 addresses like 172.16.0.200-172.16.0.230", s)
		}
		*t.to = a
	}
	if r.Last.Less(r.First) {
		return r, fmt.Errorf("%q ends before it begins", s)
	}
	return r, nil
}

func parseRoute(s string) (r Route, err error) {
	f := strings.Fields(s)
	if len(f) != 1 && (len(f) != 3 || f[1] != "via") {
		return r, fmt.Errorf("%q is not a route: want \"10.0.0.0/8\" or \"10.0.0.0/8 via 172.16.0.1\"", s)
	}
	if r.To, err = parseSubnet(f[0]); err != nil {
		return r, err
	}
	if len(f) == 3 {
		if r.Via, err = netip.ParseAddr(f[2]); err != nil || !isStation4(r.Via) {
			return r, fmt.Errorf("%q is not the IPv4 address of a router", f[2])
		}
	}
	return r, nil
}

// parseSubnet reads an IPv4 subnet and refuses one with host bits.
func parseSubnet(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() {
		return p, fmt.Errorf("%q is not an IPv4 subnet, like 172.16.0.0/24", s)
	}
	if p.Masked() != p {
		return p, fmt.Errorf("%q is an address in a subnet; the subnet is %s", s, p.Masked())
	}
	return p, nil
}

// isStation4 tells an IPv4 address that a station may have.
func isStation4(a netip.Addr) bool {
	return a.Is4() && a.As4()[0] != 0 && a.As4()[0] < 224 && !a.IsLoopback()
}

func beUint32(b [4]byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func addr4(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// splitHostPort reads host, host:port, [v6]:port or a bare IPv6 address.
func splitHostPort(s string, port int) (string, int, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String(), port, nil
	}
	host, digits, ok := s, "", false
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, digits, ok = s[:i], s[i+1:], true
	}
	if ok {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("%q: the port after : must be 1..65535", s)
		}
		port = int(n)
	}
	if h, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(h, "]")
		if !isAddr(host) || host == h {
			return "", 0, fmt.Errorf("%q is not an address in brackets with a port", s)
		}
	}
	return host, port, nil
}

// checkL2TP checks what the keys of one port say together.
func (r *reader) checkL2TP(p *Port, given map[string]Pos, where func(string) Pos) {
	l := p.L2TP
	r.checkAddresses(p, where)
	r.checkSources(p, where)
	if l.RadiusOnly && l.Radius == "" {
		r.errorf(where("radius_only"), "radius_only needs radius, the block with the servers")
	}
	if slices.Contains(l.Methods, "chap-md5") && l.Radius == "" {
		r.errorf(where("methods"), "methods: chap-md5 needs the password itself, which the user database does not keep: give radius, whose servers may have it")
	}
	if l.Insecure {
		r.checkInsecure(p, given, where)
		return
	}
	if l.IPsec.KeyFile == "" {
		r.errorf(where("key_file"), "port %q needs key_file, the file with the pre-shared key", p.Name)
	}
	if !l.IPsec.PeerID.IsZero() && !l.Aggressive {
		r.errorf(where("peer_id"), "peer_id needs aggressive = true: in main mode a pre-shared key is chosen before the identity is known")
	}
	r.checkNegotiation(l.IPsec, where)
}

// checkInsecure: bare L2TP shows passwords to whoever listens, and has no IPsec.
func (r *reader) checkInsecure(p *Port, given map[string]Pos, where func(string) Pos) {
	for _, m := range p.L2TP.AuthMethods() {
		if m == "pap" || m == "chap-md5" {
			r.errorf(where("methods"), "methods: %s is allowed in IPsec only, and port %q has insecure_l2tp", m, p.Name)
		}
	}
	for _, a := range append(l2tpIPsecAttributes(), &Attribute{Name: "aggressive"}) {
		if pos, ok := given[a.Name]; ok {
			r.errorf(pos, "%s is of IPsec, and port %q has insecure_l2tp: remove one of the two", a.Name, p.Name)
		}
	}
	p.L2TP.IPsec = nil
}

// maxPool is the largest pool in addresses: more than a port has sessions.
const maxPool = 1 << 20

func (r *reader) checkAddresses(p *Port, where func(string) Pos) {
	l := p.L2TP
	total := 0
	for i, a := range l.Pool {
		total += int(beUint32(a.Last.As4())-beUint32(a.First.As4())) + 1
		for _, b := range l.Pool[:i] {
			if !a.Last.Less(b.First) && !b.Last.Less(a.First) {
				r.errorf(where("pool"), "pool: %s and %s overlap", b, a)
			}
		}
		if l.Subnet.IsValid() && (!l.Subnet.Contains(a.First) || !l.Subnet.Contains(a.Last)) {
			r.errorf(where("pool"), "pool: %s is not all in the subnet %s", a, l.Subnet)
		}
	}
	if total > maxPool {
		r.errorf(where("pool"), "pool: %d addresses are more than the %d a pool may have", total, maxPool)
	}
	if l.Router.IsValid() && !isStation4(l.Router) {
		r.errorf(where("router"), "router: %s is not the IPv4 address of a router", l.Router)
	} else if net := l.Prefix(); l.Router.IsValid() && net.IsValid() && !net.Contains(l.Router) {
		r.errorf(where("router"), "router %s is not in the subnet %s", l.Router, net)
	}
	for _, a := range l.DNS {
		if !isStation4(a) {
			r.errorf(where("dns"), "dns: %s is not the IPv4 address of a name server", a)
		}
	}
}

func (r *reader) checkSources(p *Port, where func(string) Pos) {
	l := p.L2TP
	for _, s := range l.Order {
		if !l.has(s) {
			hint := map[string]string{"radius": "radius names no servers", "dhcp": "dhcp is off (without a pool, or with dhcp = \"on\", it is on)", "pool": "there is no pool"}[s]
			r.errorf(where("order"), "order: %s gives no addresses: %s", s, hint)
		}
	}
	if !l.UseDHCP() && !l.Prefix().IsValid() {
		r.errorf(where("dhcp"), "port %q has neither DHCP nor a pool: users' own addresses need subnet, like subnet = \"172.16.0.0/24\"", p.Name)
	}
}

// resolveRadius finds the block that a port names.
func (r *reader) resolveRadius(c *Config, p *Port) {
	if p.L2TP.Radius == "" {
		return
	}
	if p.L2TP.Servers = c.RadiusNamed(p.L2TP.Radius); p.L2TP.Servers != nil {
		return
	}
	var names []string
	for _, q := range c.Radius {
		names = append(names, q.Name)
	}
	hint := didYouMean(p.L2TP.Radius, names)
	if hint == "" {
		hint = fmt.Sprintf("; write radius %q { ... } at the top of the file", p.L2TP.Radius)
	}
	r.errorf(p.Pos, "port %q: there is no radius %q%s", p.Name, p.L2TP.Radius, hint)
}

// claimClients: a client is let in by the port whose key it has (and, in
// aggressive mode, whose identifier); bare L2TP has one port 1701.
func (r *reader) claimClients(claims map[string]claim, p *Port, by string) {
	if p.L2TP.IPsec == nil {
		r.claim(claims, "insecure l2tp", claim{"UDP port 1701 (insecure_l2tp)", by, p.Pos})
		return
	}
	if key := p.L2TP.IPsec.KeyFile; key != "" {
		key = filepath.Clean(key)
		r.claim(claims, "clients' key "+key, claim{fmt.Sprintf("clients with the key of %s", key), by, p.Pos})
	}
	if id := p.L2TP.IPsec.PeerID; !id.IsZero() {
		r.claim(claims, "id "+id.String(), claim{"the peer " + id.String(), by, p.Pos})
	}
}
