package ppp

// IPV6CP's one option (RFC 5072 section 4.1).
const optInterfaceID = 1

// ipv6cp agrees on IPv6 interface identifiers.
type ipv6cp struct {
	automaton
	link *Link

	local, peer [8]byte
	offer       [8]byte // server: for a peer that proposes none, or ours
	noLocal     bool    // the peer refuses to hear ours
}

func (c *ipv6cp) request(b []byte) []byte {
	if c.noLocal {
		return b
	}
	return appendOption(b, optInterfaceID, c.local[:]...)
}

func (c *ipv6cp) review(opts []byte, rejects bool) (byte, []byte) {
	a := answer{rejects: rejects}
	c.peer = c.offer
	each(opts, func(kind byte, v, whole []byte) {
		if kind != optInterfaceID || len(v) != 8 {
			a.reject(whole)
			return
		}
		switch id := [8]byte(v); {
		case id != [8]byte{} && id != c.local:
			c.peer = id
		case c.offer == [8]byte{}:
			a.nak(whole, optInterfaceID, c.link.interfaceID()...)
		default:
			a.nak(whole, optInterfaceID, c.offer[:]...)
		}
	})
	return a.result()
}

// changed takes a Nak: the peer proposes another identifier because ours is
// its own, or zero.
func (c *ipv6cp) changed(opts []byte, rejected bool) bool {
	each(opts, func(kind byte, v, _ []byte) {
		switch {
		case kind != optInterfaceID:
		case rejected:
			c.noLocal = true
		case c.link.client != nil && len(v) == 8 && [8]byte(v) != [8]byte{}:
			c.local = [8]byte(v)
		}
	})
	return true
}

func (c *ipv6cp) up() {
	c.link.event(EventUp6{LocalID: c.local, PeerID: c.peer, Params: c.link.lcp.params()})
	c.link.networkUp()
}

func (c *ipv6cp) down() {
	c.link.event(EventDown6{})
	c.link.restarted()
}

func (c *ipv6cp) finished(bool) { c.link.networkFinished() }
