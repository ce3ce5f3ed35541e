package emulation

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"vhub/internal/packet"
	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
	"vhub/l2tp"
	"vhub/ppp"
)

// client is a profile at work: vhub's own IKE and ESP in the system's words, and L2TP and PPP that
// say what the profile lists and answer as the system does.
type client struct {
	t  *testing.T
	p  *profile
	w  *wan
	tr *trace

	ike     *ike.Endpoint
	out     ike.Out
	session ike.SessionID
	spi     *esp.Inbound
	seal    *esp.Outbound
	gone    bool // the IKE session
	refused bool // is meant to be

	ns, nr           uint16 // L2TP: next of ours, next expected
	peerTunnel       uint16
	peerSession      uint16
	connected, stops bool // SCCCN is out; StopCCN is
	acked            uint16
	link             *link
}

// ports of the client, behind the translator.
const (
	portIKE  = 500
	portNATT = 4500
	portL2TP = 1701
)

// newClient dials, with a shared key and a password that may be wrong.
func newClient(t *testing.T, p *profile, w *wan, tr *trace, key, password string) *client {
	c := &client{t: t, p: p, w: w, tr: tr, refused: key != sharedKey}
	server := &ike.Peer{Name: "server", Key: []byte(key), Suites: p.phase1, ESP: p.suites2(), Legacy: true, Wording: p.wording(),
		Lifetime: time.Duration(p.life) * time.Second, ChildLifetime: time.Duration(p.espLife) * time.Second, ChildBytes: uint64(p.kbytes) << 10,
		NoInitialContact: !p.initial, DPD: -1, Children: []ike.ChildConfig{{Name: "l2tp", Mode: esp.Transport,
			Local: ike.AddrSelector(w.client, esp.ProtoUDP, p.idPort), Remote: ike.AddrSelector(w.server, esp.ProtoUDP, p.srvPort)}}}
	var err error
	if c.ike, err = ike.New(ike.Config{Rand: rand.Reader, Peers: []*ike.Peer{server}, KeyLog: tr.keyLog}); err != nil {
		t.Fatal(err)
	}
	c.link = &link{c: c, password: password, id: p.firstID, ids: map[uint16]byte{}, wants: map[uint16][]option{}, open: map[uint16]uint8{}}
	if c.session, err = c.ike.Dial(time.Now(), server, netip.AddrPortFrom(w.client, portIKE), netip.AddrPortFrom(w.server, portIKE), &c.out); err != nil {
		t.Fatal(err)
	}
	c.carryOut()
	return c
}

// until lets everything go its way until done. The server's packets are looked at one by one, in order.
func (c *client) until(o *office, what string, limit time.Duration, done func() bool) {
	c.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		for busy := true; busy; {
			synctest.Wait()
			list := c.w.arrived()
			for _, d := range list {
				c.receive(d)
			}
			did := o.work()
			for _, line := range did {
				c.tr.note(line)
			}
			busy = len(list)+len(did) > 0
		}
		c.tr.logged(o.lines.take())
		if d := c.ike.Deadline(); !d.IsZero() && !d.After(time.Now()) {
			c.ike.Advance(time.Now(), &c.out)
			c.carryOut()
		}
		switch {
		case done():
			return
		case time.Now().After(end):
			c.t.Fatalf("%s: not within %v\n%s", what, limit, c.tr.text())
		}
	}
}

// receive takes one datagram of the server.
func (c *client) receive(d parcel) {
	if d.port == portNATT && len(d.data) >= 4 && [4]byte(d.data) != [4]byte{} {
		c.receiveESP(d.data)
		return
	}
	c.tr.ike(false, d.port, d.data)
	err := c.ike.Receive(time.Now(), ike.Packet{Local: netip.AddrPortFrom(c.w.client, d.port), Remote: netip.AddrPortFrom(c.w.server, d.port), NATT: d.port == portNATT, Data: d.data}, &c.out)
	if err != nil && !c.gone {
		c.t.Errorf("the client drops a message of IKE: %v", err)
	}
	c.carryOut()
}

// carryOut does what IKE says.
func (c *client) carryOut() {
	for len(c.out.Events)+len(c.out.Packets) > 0 {
		out := c.out
		c.out = ike.Out{}
		call := false
		for _, ev := range out.Events {
			switch ev := ev.(type) {
			case ike.Established:
				c.tr.suite = ev.Suite
				if ev.NATT != "rfc3947" || !ev.NAT.Local || ev.NAT.Remote {
					c.t.Errorf("NAT traversal by %q, NAT %+v", ev.NATT, ev.NAT)
				}
			case ike.ChildInstalled:
				c.install(ev.Child)
			case ike.ChildUsable:
				call = true
			case ike.Failed:
				if !c.refused {
					c.t.Errorf("IKE failed: %v", ev.Reason)
				}
			case ike.Closed:
				c.gone = true
			}
		}
		for _, p := range out.Packets {
			port := p.Local.Port()
			c.tr.ike(true, port, p.Data)
			c.w.send(port, p.Data)
		}
		if call {
			c.control("SCCRQ", 0, c.p.sccrq)
		}
	}
}

func (c *client) install(ch *ike.Child) {
	var err error
	if c.spi, err = esp.NewInbound(esp.Config{SPI: ch.In.SPI, Suite: ch.Suite, Keys: ch.In.Keys, Mode: ch.Mode}); err != nil {
		c.t.Fatal(err)
	}
	if c.seal, err = esp.NewOutbound(esp.Config{SPI: ch.Out.SPI, Suite: ch.Suite, Keys: ch.Out.Keys, Mode: ch.Mode, Rand: rand.Reader}); err != nil {
		c.t.Fatal(err)
	}
}

// send sends a payload of UDP from the system's port to 1701, in ESP in UDP.
func (c *client) send(payload []byte) {
	buf := make([]byte, packet.Headroom+len(payload)+packet.Tailroom)
	p := packet.Packet{Buf: buf, Off: packet.Headroom, End: packet.Headroom + len(payload)}
	copy(p.Payload(), payload)
	h := p.Prepend(8)
	binary.BigEndian.PutUint16(h, c.p.udpPort)
	binary.BigEndian.PutUint16(h[2:], portL2TP)
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(payload)))
	if err := c.seal.Seal(&p, esp.ProtoUDP); err != nil {
		c.t.Fatal(err)
	}
	c.w.send(portNATT, p.Payload())
}

func (c *client) receiveESP(b []byte) {
	if c.spi == nil {
		c.t.Error("ESP before there is an SA")
		return
	}
	payload, next, err := c.spi.Open(b)
	if err != nil || next != esp.ProtoUDP || len(payload) < 8 {
		c.t.Errorf("ESP that does not open: protocol %d, %v", next, err)
		return
	}
	src, dst, size := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]), binary.BigEndian.Uint16(payload[4:])
	if src != portL2TP || dst != c.p.udpPort || int(size) > len(payload) {
		c.t.Errorf("UDP from port %d to %d, the client is at %d", src, dst, c.p.udpPort)
		return
	}
	c.receiveL2TP(payload[8:size])
}

const (
	messageType     = 0
	assignedTunnel  = 9
	assignedSession = 14
)

var messageNumbers = map[string]uint16{"SCCRQ": 1, "SCCRP": 2, "SCCCN": 3, "StopCCN": 4, "HELLO": 6, "ICRQ": 10, "ICRP": 11, "ICCN": 12, "CDN": 14}

// control sends a control message; without a name an acknowledgement.
func (c *client) control(name string, session uint16, avps []avp) {
	var body []byte
	if name != "" {
		body = short(messageType, messageNumbers[name]).append(nil)
	}
	for _, a := range avps {
		body = a.append(body)
	}
	b := []byte{0xc8, 2}
	for _, v := range []uint16{uint16(12 + len(body)), c.peerTunnel, session, c.ns, c.nr} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	if name != "" {
		c.ns++
	}
	b = append(b, body...)
	c.tr.l2tp(true, b)
	c.send(b)
}

// receiveL2TP takes a message of the server.
func (c *client) receiveL2TP(b []byte) {
	h, body, err := l2tp.ParseHeader(b)
	if err != nil || h.Tunnel != c.p.tunnel {
		c.t.Errorf("not for this client: %x", b)
		return
	}
	if !h.Control {
		if h.Session != c.p.session {
			c.t.Errorf("data of session %d", h.Session)
			return
		}
		c.link.receive(body)
		return
	}
	c.tr.l2tp(false, b)
	c.acked = h.Nr
	if len(body) == 0 {
		c.waitedFor()
		return
	}
	if h.Ns != c.nr {
		c.t.Errorf("control message %d, expected %d", h.Ns, c.nr)
		return
	}
	c.nr++
	before := c.ns
	c.message(avpsOf(body))
	if c.ns == before {
		c.control("", 0, nil)
	}
}

// message answers what the server says.
func (c *client) message(values map[uint16][]byte) {
	u16 := func(kind uint16) uint16 {
		if len(values[kind]) != 2 {
			c.t.Errorf("no AVP %d", kind)
			return 0
		}
		return binary.BigEndian.Uint16(values[kind])
	}
	switch u16(messageType) {
	case messageNumbers["SCCRP"]:
		c.peerTunnel = u16(assignedTunnel)
		c.control("SCCCN", 0, nil)
		c.connected = true
		if !c.p.window1 {
			c.control("ICRQ", 0, c.p.icrq)
			c.connected = false
		}
	case messageNumbers["ICRP"]:
		c.peerSession = u16(assignedSession)
		c.control("ICCN", c.peerSession, c.p.iccn)
		c.link.begin(ppp.ProtoLCP, c.p.lcp)
	}
}

// waitedFor goes on where a window of one message had to be free.
func (c *client) waitedFor() {
	if c.connected && c.acked == c.ns {
		c.connected = false
		c.control("ICRQ", 0, c.p.icrq)
	}
}

// hangUp ends L2TP in the system's way.
func (c *client) hangUp() {
	if c.p.cdn != nil {
		c.control("CDN", c.peerSession, c.p.cdn)
	}
	c.control("StopCCN", 0, c.p.stop)
	c.stops = true
}

// closeIKE deletes the ESP SAs, then the ISAKMP SA.
func (c *client) closeIKE() {
	c.ike.Close(time.Now(), c.session, &c.out)
	c.carryOut()
}

func avpsOf(body []byte) map[uint16][]byte {
	values := map[uint16][]byte{}
	eachAVP(body, func(_ bool, kind uint16, value []byte) { values[kind] = value })
	return values
}

// eachAVP walks the AVPs of a control message, and tells whether their lengths fit.
func eachAVP(body []byte, f func(mandatory bool, kind uint16, value []byte)) bool {
	for len(body) >= 6 {
		n := int(binary.BigEndian.Uint16(body) & 0x3ff)
		if n < 6 || n > len(body) {
			return false
		}
		f(body[0]&0x80 != 0, binary.BigEndian.Uint16(body[4:]), body[6:n])
		body = body[n:]
	}
	return true
}
