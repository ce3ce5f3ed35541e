package ppp

import (
	"net/netip"
	"slices"
)

// IPCP options (RFC 1332 section 3, RFC 1877 section 1). The numbers of the
// name servers of Windows (NBNS), 130 and 132, are refused like any other.
const (
	optAddress = 3
	optDNS1    = 129
	optDNS2    = 131
)

// ipcp agrees on IPv4 addresses.
type ipcp struct {
	automaton
	link *Link

	local netip.Addr // this end's; a client's is 0.0.0.0 until the server names it
	peer  netip.Addr // server: what it assigns; client: what the server says
	dns   [2]netip.Addr

	noAddress bool    // the peer refuses to hear our address
	noDNS     [2]bool // client: the server refuses to name one
	asked     bool    // server: the peer was told to ask for an address
}

func (c *ipcp) request(b []byte) []byte {
	if !c.noAddress {
		a := c.local.As4()
		b = appendOption(b, optAddress, a[:]...)
	}
	if c.link.client == nil || !c.link.client.DNS {
		return b
	}
	for i, kind := range []byte{optDNS1, optDNS2} {
		if !c.noDNS[i] {
			a := c.dns[i].As4()
			b = appendOption(b, kind, a[:]...)
		}
	}
	return b
}

func (c *ipcp) review(opts []byte, rejects bool) (byte, []byte) {
	a := answer{rejects: rejects}
	hasAddress := false
	each(opts, func(kind byte, v, whole []byte) {
		switch {
		case kind == optAddress && len(v) == 4:
			hasAddress = true
			c.reviewAddress(&a, netip.AddrFrom4([4]byte(v)), whole)
		case kind == optDNS1 && len(v) == 4 && c.link.serves:
			c.reviewDNS(&a, c.dns[0], v, whole)
		case kind == optDNS2 && len(v) == 4 && c.link.serves:
			c.reviewDNS(&a, c.dns[1], v, whole)
		default:
			a.reject(whole)
		}
	})
	if !hasAddress && c.link.serves && !c.asked && len(a.refuse) == 0 {
		c.asked = true // once: a peer may do without (RFC 1661 section 5.3 lets a Nak append options)
		p := c.peer.As4()
		a.nak(nil, optAddress, p[:]...)
	}
	return a.result()
}

func (c *ipcp) reviewAddress(a *answer, x netip.Addr, whole []byte) {
	switch {
	case c.link.serves && x != c.peer:
		p := c.peer.As4()
		a.nak(whole, optAddress, p[:]...)
	case c.link.client != nil && x.IsUnspecified():
		a.reject(whole)
	case c.link.client != nil:
		c.peer = x
	}
}

func (c *ipcp) reviewDNS(a *answer, want netip.Addr, v, whole []byte) {
	if !want.Is4() {
		a.reject(whole)
		return
	}
	if w := want.As4(); !slices.Equal(v, w[:]) {
		a.nak(whole, whole[0], w[:]...)
	}
}

// changed: a client takes what the server names; a server's own address is not
// for the peer to choose.
func (c *ipcp) changed(opts []byte, rejected bool) bool {
	each(opts, func(kind byte, v, _ []byte) {
		index := slices.Index([]byte{optDNS1, optDNS2}, kind)
		switch {
		case kind == optAddress && rejected:
			c.noAddress = true
		case kind == optAddress && c.link.client != nil && len(v) == 4:
			c.local = netip.AddrFrom4([4]byte(v))
		case index >= 0 && rejected:
			c.noDNS[index], c.dns[index] = true, netip.IPv4Unspecified()
		case index >= 0 && c.link.client != nil && len(v) == 4:
			c.dns[index] = netip.AddrFrom4([4]byte(v))
		}
	})
	return true
}

func (c *ipcp) up() {
	if c.link.client != nil && (c.noAddress || c.local.IsUnspecified()) {
		c.link.end(NoNetwork, "the server names no address")
		return
	}
	dns := c.dns
	for i := range dns {
		if !dns[i].IsValid() || dns[i].IsUnspecified() {
			dns[i] = netip.Addr{}
		}
	}
	c.link.event(EventUp4{Local: c.local, Peer: c.peer, DNS: dns, Params: c.link.lcp.params()})
	c.link.networkUp()
}

func (c *ipcp) down() {
	c.asked = false
	c.link.event(EventDown4{})
	c.link.restarted()
}

func (c *ipcp) finished(bool) { c.link.networkFinished() }
