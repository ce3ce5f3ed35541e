package l2tp

import (
	"net/netip"
	"time"

	"vhub/ppp"
)

// Client is the other end: a pure machine that places a call and brings a PPP
// link up in it. Tests and benchmarks drive a Server with it; it is not for
// concurrent use.
type Client struct {
	Local, Peer netip.Addr // set once Up
	LinkLocal   [8]byte    // IPv6 interface identifier, once Up6
	Up, Up6     bool
	Ended       string // why it is over; empty while it is not

	ep    *Endpoint
	out   Out
	link  *ppp.Link
	pout  ppp.Out
	cfg   ppp.Client
	ev    Event
	parms ppp.Params
}

// ClientOut is what a call of a Client brings about.
type ClientOut struct {
	Packets [][]byte // payloads of UDP port 1701 for the server
	IP      [][]byte // IP packets for the client's own use
}

// NewClient makes a client. Nothing is sent before Dial.
func NewClient(control Config, link ppp.Client) *Client {
	return &Client{ep: NewLAC(control), cfg: link}
}

// Dial begins, with a tunnel id of the client's own choice: stock systems use
// 1, all of them.
func (c *Client) Dial(now time.Time, tunnel uint16, out *ClientOut) error {
	err := c.ep.Dial(now, tunnel, &c.out)
	c.settle(now, out)
	return err
}

// Receive takes a payload of UDP port 1701 from the server.
func (c *Client) Receive(now time.Time, pkt []byte, out *ClientOut) {
	h, body, err := ParseHeader(pkt)
	if err != nil {
		return
	}
	if h.Control {
		_ = c.ep.Receive(now, pkt, &c.out) // a bad packet is the server's affair; the tests look at what comes of it
		c.settle(now, out)
		return
	}
	if c.link == nil || h.Tunnel != c.ev.Tunnel || h.Session != c.ev.Session {
		return
	}
	proto, ip, ok := ppp.Split(body)
	if ok && (proto == ppp.ProtoIPv4 || proto == ppp.ProtoIPv6) {
		out.IP = append(out.IP, append([]byte(nil), ip...))
		return
	}
	c.link.Receive(now, body, &c.pout)
	c.settle(now, out)
}

// Send wraps an IP packet for the server; appended to b.
func (c *Client) Send(b, ip []byte) []byte {
	proto := uint16(ppp.ProtoIPv4)
	if ip[0]>>4 == 6 {
		proto = ppp.ProtoIPv6
	}
	at := len(b)
	b = append(b, make([]byte, DataHeaderLen)...)
	b = c.parms.AppendHeader(b, proto)
	b = append(b, ip...)
	PutDataHeader(b[at:], c.ev.PeerTunnel, c.ev.PeerSess, len(b)-at-DataHeaderLen)
	return b
}

// DataPath is what a data path of the caller's own puts before IP packets for the
// server: the ids of PutDataHeader and PPP's header. Only while Up.
func (c *Client) DataPath() (tunnel, session uint16, params ppp.Params) {
	return c.ev.PeerTunnel, c.ev.PeerSess, c.parms
}

// Close hangs up.
func (c *Client) Close(now time.Time, out *ClientOut) {
	if c.link != nil {
		c.link.Close(now, ppp.Closed, &c.pout)
		c.settle(now, out)
	}
	c.ep.Close(now, "closed", &c.out)
	c.settle(now, out)
}

// Advance does what is due.
func (c *Client) Advance(now time.Time, out *ClientOut) {
	c.ep.Advance(now, &c.out)
	if c.link != nil {
		c.link.Advance(now, &c.pout)
	}
	c.settle(now, out)
}

// Deadline is when Advance has something to do; zero for never.
func (c *Client) Deadline() time.Time {
	next := c.ep.Deadline()
	if c.link != nil {
		next = earlier(next, c.link.Deadline())
	}
	return next
}

func (c *Client) settle(now time.Time, out *ClientOut) {
	for len(c.out.Packets)+len(c.out.Events)+len(c.pout.Packets)+len(c.pout.Events) > 0 {
		out.Packets = append(out.Packets, c.out.Packets...)
		events := append([]Event(nil), c.out.Events...)
		c.out.Reset()
		for _, p := range c.pout.Packets {
			b := make([]byte, DataHeaderLen, DataHeaderLen+len(p))
			PutDataHeader(b, c.ev.PeerTunnel, c.ev.PeerSess, len(p))
			out.Packets = append(out.Packets, append(b, p...))
		}
		links := append([]ppp.Event(nil), c.pout.Events...)
		c.pout.Reset()
		for _, ev := range events {
			c.controlEvent(now, ev)
		}
		for _, ev := range links {
			c.linkEvent(ev)
		}
	}
}

func (c *Client) controlEvent(now time.Time, ev Event) {
	switch ev.Kind {
	case SessionUp:
		c.ev, c.link = ev, ppp.NewClient(c.cfg)
		c.link.Open(now, &c.pout)
	case SessionDown, TunnelDown:
		if c.Ended == "" {
			c.Ended = ev.Reason
		}
		c.Up, c.Up6 = false, false
	}
}

func (c *Client) linkEvent(ev ppp.Event) {
	switch ev := ev.(type) {
	case ppp.EventUp4:
		c.Up, c.Local, c.Peer, c.parms = true, ev.Local, ev.Peer, ev.Params
	case ppp.EventUp6:
		c.Up6, c.LinkLocal, c.parms = true, ev.LocalID, ev.Params
	case ppp.EventDown4:
		c.Up = false
	case ppp.EventDown6:
		c.Up6 = false
	case ppp.EventEnd:
		c.Up, c.Up6 = false, false
		c.Ended = ev.Reason.String()
	}
}
