package guide

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Identity is an IKE identity: Type is address, fqdn, user or keyid.
type Identity struct{ Type, Value string }

// Router is what a router at the other end of an etherip port has to know. It
// holds no key: the texts say where that goes.
type Router struct {
	Port    string // name of the port of vhub, for the comments
	KeyFile string // where vhub has the key, for the comments

	Server   string   // address or name to dial; "" when it is not known
	ServerID Identity // what vhub claims to be
	PeerID   Identity // what the peer has to claim; the zero Identity: its address
	PeerAddr string   // the peer's own address, when it is fixed; "" otherwise

	Mode   string   // auto, main or aggressive
	IKE    []string // phase 1 proposals the port takes, the best first; none: vhub's defaults
	ESP    []string // phase 2 proposals
	Legacy bool     // 3DES, MD5 and the 1024-bit group are allowed
	PFS    string   // none, or a group
	Tunnel bool     // ESP tunnel mode

	IKELifetime, ESPLifetime time.Duration
	DPDInterval, DPDTimeout  time.Duration // an interval of 0: none

	// InnerMTU is the largest inner IP packet in bytes that crosses whole with a phase
	// 2 suite.
	InnerMTU func(suite string) int
}

// router is one kind of peer.
type router struct {
	name, doc string
	ike, esp  []string // what the kind does best and is asked for, the preferred first
	knows     func(part string) bool
	write     func(r *Router, p plan) string
	// aggressive: identities other than addresses are only sent in aggressive mode.
	aggressive bool
}

// plan is what was chosen for one router.
type plan struct {
	ike        proposal
	esp        proposal
	aggressive bool
	mtu, mss   int
	server     string
}

// proposal is a suite in its parts; hash is "" with an AEAD, group with ESP.
type proposal struct{ cipher, hash, group string }

func parseProposal(s string) proposal {
	parts := append(strings.Split(s, "-"), "", "")
	return proposal{parts[0], parts[1], parts[2]}
}

func (p proposal) String() string {
	s := p.cipher
	for _, part := range []string{p.hash, p.group} {
		if part != "" {
			s += "-" + part
		}
	}
	return s
}

var routers = []router{necIX, cisco, yamaha, strongSwan, otherVHub}

// Routers are the kinds of peer that RouterConfig knows, by name.
func Routers() []string {
	var names []string
	for _, r := range routers {
		names = append(names, r.name)
	}
	return names
}

// RouterNames is Routers in one line.
func RouterNames() string { return strings.Join(Routers(), ", ") }

// RouterList is Routers with a line about each, for help texts.
func RouterList() string {
	var b strings.Builder
	for _, r := range routers {
		fmt.Fprintf(&b, "  %-11s %s\n", r.name, r.doc)
	}
	return b.String()
}

// RouterConfig writes the configuration of a kind of peer. The error says what
// of the port's settings the kind cannot do, and what to change.
func RouterConfig(kind string, r Router) (string, error) {
	i := slices.IndexFunc(routers, func(k router) bool { return k.name == kind })
	if i < 0 {
		return "", fmt.Errorf("unknown kind of peer %q; there are %s", kind, RouterNames())
	}
	k := routers[i]
	p := plan{server: or(r.Server, "SERVER-ADDRESS")}
	var err error
	if p.ike, err = k.choose("ike", r.Port, r.IKE, k.ike); err != nil {
		return "", err
	}
	if p.esp, err = k.choose("esp", r.Port, r.ESP, k.esp); err != nil {
		return "", err
	}
	named := r.PeerID.Type != "" && r.PeerID.Type != "address"
	switch {
	case r.Mode == "aggressive":
		p.aggressive = true
	case r.Mode == "main" && named && k.aggressive && r.PeerAddr == "":
		return "", fmt.Errorf("%s sends the identity %s only in aggressive mode, and port %s takes main mode only: vhub port set %s --mode auto", k.name, r.PeerID.text(), r.Port, r.Port)
	case r.Mode == "auto" && named && k.aggressive:
		p.aggressive = true
	}
	if p.mtu = r.InnerMTU(p.esp.String()); p.mtu > 40 {
		p.mss = p.mtu - 40 // IPv4 and TCP without options
	}
	return k.write(&r, p), nil
}

// choose takes the best of what both sides do.
func (k router) choose(what, port string, has, prefers []string) (proposal, error) {
	if len(has) == 0 {
		return parseProposal(prefers[0]), nil
	}
	for _, s := range has {
		p := parseProposal(s)
		if k.knows(p.cipher) && (p.hash == "" || k.knows(p.hash)) && (p.group == "" || k.knows(p.group)) {
			return p, nil
		}
	}
	return proposal{}, fmt.Errorf("%s knows none of the proposals of port %s (%s): vhub port set %s --%s %s", k.name, port, strings.Join(has, ", "), port, what, prefers[0])
}

// text writes an identity as vhub's file does.
func (i Identity) text() string {
	if i.Type == "" {
		return ""
	}
	return i.Type + ":" + i.Value
}

// or returns the first of its texts that is not empty.
func or(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// seconds is a lifetime as routers write it.
func seconds(d time.Duration) int { return int(d / time.Second) }

// retries is how many questions fit into a timeout.
func retries(interval, timeout time.Duration) int {
	if interval <= 0 {
		return 0
	}
	return max(int(timeout/interval), 1)
}

// lines gathers text; every add is a line.
type lines struct{ b strings.Builder }

func (l *lines) add(format string, args ...any) {
	fmt.Fprintf(&l.b, format, args...)
	l.b.WriteByte('\n')
}

// when adds a line under a condition.
func (l *lines) when(ok bool, format string, args ...any) {
	if ok {
		l.add(format, args...)
	}
}

// head is what every text begins with; c begins a comment.
func (l *lines) head(c, what string, r *Router, p plan) {
	mode := "main"
	if p.aggressive {
		mode = "aggressive"
	}
	l.add("%s %s for port %s of vhub", c, what, r.Port)
	l.add("%s phase 1 %s, %s mode; phase 2 %s; inner MTU %d, MSS %d", c, p.ike, mode, p.esp, p.mtu, p.mss)
	l.when(r.Server == "", "%s SERVER-ADDRESS is the address of vhub: it is not known here, say it with --address", c)
	l.add("%s KEY is the pre-shared key: the line in %s at vhub", c, r.KeyFile)
}
