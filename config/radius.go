package config

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Radius is a group of RADIUS servers that know the same users: the first that
// is alive is asked.
type Radius struct {
	Name           string        `json:"name"`
	Servers        []string      `json:"servers"`         // host or host:port, best first; see RadiusServer
	SecretFile     string        `json:"secret_file"`     // file with the shared secret; see Config.Path, ReadSecret
	Local          netip.Addr    `json:"local"`           // our address; invalid: the system's choice
	Timeout        time.Duration `json:"timeout"`         // for one answer
	Retries        int           `json:"retries"`         // requests after the first, to one server
	DeadTime       time.Duration `json:"dead_time"`       // a silent server is asked last for so long
	Accounting     bool          `json:"accounting"`      // tell what sessions use
	AccountingPort int           `json:"accounting_port"` // 0: the port after that of authentication
	NASIdentifier  string        `json:"nas_identifier"`  // "" takes the name of the host
	Interim        time.Duration `json:"interim"`         // between two reports of a session, where the server says nothing; 0 none
}

// RadiusNamed finds a radius block by name; nil when there is none.
func (c *Config) RadiusNamed(name string) *Radius {
	for i := range c.Radius {
		if c.Radius[i].Name == name {
			return &c.Radius[i]
		}
	}
	return nil
}

const radiusDoc = "RADIUS servers that know the same users; ports name the block, and there may be several"

// RadiusNotes is what the manual says of RADIUS, a paragraph each.
func RadiusNotes() []string {
	return []string{
		"A port of kind l2tp names the block with its key radius. Users of the local database are decided by it alone, all others by the servers; with radius_only = true everybody is.",
		"Every Access-Request carries a Message-Authenticator, and an answer without a good one is dropped (BlastRADIUS, CVE-2024-3596). FreeRADIUS sends it by itself since 3.2.5; an older one does with update reply { Message-Authenticator := 0x00 } in its section post-auth, and in Post-Auth-Type REJECT there.",
		"Of an Access-Accept these are used: Framed-IP-Address (the source radius of the key order), Session-Timeout, Idle-Timeout, Acct-Interim-Interval, Class (sent back in accounting) and Reply-Message (logged). Filter-Id is logged with the login and does nothing else: vhub has no filters that it could name. A VLAN (Tunnel-Private-Group-ID, a number from 1 to 4094, with Tunnel-Type VLAN and Tunnel-Medium-Type IEEE-802 of the same tag, RFC 3580) lets the user in too and is logged as a warning: sessions of l2tp are in the hub's untagged segment. Other tunnel attributes are ignored. A Service-Type other than Framed is a refusal.",
		"Sent are User-Name, the proof of the method (EAP-MSCHAPv2 is sent as MS-CHAPv2, RFC 2548), NAS-Identifier, NAS-Port-Type, NAS-Port-Id, Service-Type, Framed-Protocol, Calling-Station-Id (the client's address), Called-Station-Id (hub and port), Acct-Session-Id, Tunnel-Type, Tunnel-Medium-Type, Tunnel-Client-Endpoint and Tunnel-Client-Auth-ID.",
	}
}

// radiusPort is the port of RADIUS authentication (RFC 2865 section 3).
const radiusPort = 1812

// RadiusServer takes an item of Radius.Servers apart; the port is 1812 where
// none is given.
func RadiusServer(s string) (host string, port int, err error) {
	host, port, err = splitHostPort(s, radiusPort)
	if err != nil {
		return "", 0, err
	}
	if host == "" || checkHost(host) != nil {
		return "", 0, fmt.Errorf("%q is not a server: want an address or a host name, with :port or without", s)
	}
	return host, port, nil
}

func (r *reader) radius(c *Config, b *hclsyntax.Block) {
	pos := r.at(b.TypeRange)
	if len(b.Labels) != 1 {
		r.errorf(pos, "a radius block has one name: radius \"corp\" {")
		return
	}
	q := newRadius(b.Labels[0])
	where := fmt.Sprintf("radius %q", q.Name)
	if err := checkName(q.Name); err != nil {
		r.errorf(pos, "radius %v", err)
	}
	r.noBlocks(b.Body, where)
	r.attributes(b.Body, radiusTable, q, where)
	if first, ok := c.radiusAt[q.Name]; ok {
		r.errs = append(r.errs, &Error{Pos: pos, Message: fmt.Sprintf("there are two radius blocks %q; give one another name", q.Name), Also: []Pos{first}})
		return
	}
	c.radiusAt[q.Name] = pos
	c.Radius = append(c.Radius, *q)
}

func newRadius(name string) *Radius {
	q := &Radius{Name: name}
	setDefaults(radiusTable, q)
	return q
}
