package roadclient

import (
	"container/heap"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"vhub/internal/packet"
	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
	"vhub/l2tp"
	"vhub/ppp"
)

// client is one client. The loop owns it.
type client struct {
	crowd *Crowd
	n     int
	local netip.Addr
	peer  *ike.Peer
	oob   []byte // control message that has its packets leave from its address

	session ike.SessionID // 0: none
	out     *child        // what it seals with; nil: none
	l2tp    *l2tp.Client  // nil: not called yet
	began   time.Time     // of the first try
	redial  time.Time     // zero: not waiting
	counted bool          // as one that logs in; ended or up otherwise
	isUp    bool
	took    time.Duration // until it was up the first time

	deadline time.Time
	slot     int // in the heap, -1: not
}

// child is a pair of SAs of a client.
type child struct {
	of     *client
	in     *esp.Inbound
	out    *esp.Outbound
	remote netip.AddrPort
	heard  bool
}

func newClient(c *Crowd, n int, local netip.Addr, peer *ike.Peer) *client {
	return &client{crowd: c, n: n, local: local, peer: peer, oob: sourceOf(local), slot: -1, counted: true}
}

func (x *client) up() bool { return x.isUp }

// dial begins an IKE session.
func (x *client) dial(now time.Time) {
	c := x.crowd
	id, err := c.ike.Dial(now, x.peer, netip.AddrPortFrom(x.local, 500), netip.AddrPortFrom(c.cfg.Server, 500), &c.out)
	if err != nil {
		x.failed(now, err.Error())
		return
	}
	x.session = id
	c.bySession[id] = x
	c.carryOut(now)
}

// install makes the SAs of a child.
func (c *Crowd) install(ch *ike.Child) {
	x := c.bySession[ch.Session]
	if x == nil || ch.Mode != esp.Transport || !ch.UDP {
		return
	}
	in, err := esp.NewInbound(esp.Config{SPI: ch.In.SPI, Suite: ch.Suite, Keys: ch.In.Keys, Mode: ch.Mode, Window: esp.MinWindow, LaxPadding: true})
	if err != nil {
		return
	}
	out, err := esp.NewOutbound(esp.Config{SPI: ch.Out.SPI, Suite: ch.Suite, Keys: ch.Out.Keys, Mode: ch.Mode, Rand: rand.Reader})
	if err != nil {
		return
	}
	c.espOne = ch.Suite.String()
	c.bySPI[ch.In.SPI] = &child{of: x, in: in, out: out, remote: netip.AddrPortFrom(ch.Remote.Addr(), 4500)}
}

// use seals with a child from now on.
func (x *client) use(k *child) {
	x.out = k
	if x.l2tp == nil {
		x.crowd.fresh = append(x.crowd.fresh, x)
	}
}

// call places the L2TP call: the SA is there.
func (x *client) call(now time.Time) {
	if x.l2tp != nil || x.session == 0 {
		return
	}
	cfg := x.crowd.cfg
	x.l2tp = l2tp.NewClient(l2tp.Config{HostName: numbered(cfg.Host, x.n), HelloEvery: 10 * time.Minute, Rand: rand.Reader},
		ppp.Client{User: numbered(cfg.User, x.n), Password: numbered(cfg.Password, x.n), Methods: []ppp.Method{ppp.MSCHAPv2}, DNS: true, IPv4: true, IPv6: cfg.IPv6,
			Config: ppp.Config{EchoEvery: -1, Rand: rand.Reader}})
	var out l2tp.ClientOut
	if err := x.l2tp.Dial(now, 1, &out); err != nil { // stock systems take tunnel id 1
		x.failed(now, err.Error())
		return
	}
	x.settle(now, &out)
}

// settle sends what the machines want sent and looks how far they are.
func (x *client) settle(now time.Time, out *l2tp.ClientOut) {
	for _, p := range out.Packets {
		x.seal(p)
	}
	if f := x.crowd.cfg.OnIP; f != nil {
		for _, ip := range out.IP {
			f(x.n, ip)
		}
	}
	switch l := x.l2tp; {
	case l.Ended != "":
		x.failed(now, l.Ended)
		return
	case !x.isUp && l.Up && (l.Up6 || !x.crowd.cfg.IPv6):
		x.cameUp(now)
	}
	x.arm()
}

func (x *client) cameUp(now time.Time) {
	c := x.crowd
	x.isUp = true
	if x.counted {
		x.counted = false
		x.took = now.Sub(x.began)
		c.logging--
		c.last = now
	}
	c.arrived++
	c.tell()
}

// failed counts why it is over, and dials anew for as long as it may.
func (x *client) failed(now time.Time, why string) {
	c := x.crowd
	c.ended[why]++
	if x.isUp {
		x.isUp = false
		c.arrived--
	}
	if x.session != 0 {
		delete(c.bySession, x.session)
		c.ike.Close(now, x.session, &c.out)
		x.session = 0
	}
	x.out, x.l2tp = nil, nil
	if now.Sub(x.began) < c.cfg.Limit {
		c.redials++
		x.redial = now.Add(time.Second)
	} else if x.counted {
		x.counted = false
		c.logging--
	}
	x.arm()
	c.tell()
}

// arm sets the timer.
func (x *client) arm() {
	d := x.redial
	if x.l2tp != nil {
		d = x.l2tp.Deadline()
	}
	x.deadline = d
	due := &x.crowd.due
	switch {
	case d.IsZero() && x.slot >= 0:
		heap.Remove(due, x.slot)
	case d.IsZero():
	case x.slot >= 0:
		heap.Fix(due, x.slot)
	default:
		heap.Push(due, x)
	}
}

// advance does what is due.
func (x *client) advance(now time.Time) {
	if x.l2tp == nil {
		x.redial = time.Time{}
		x.arm()
		x.dial(now)
		return
	}
	var out l2tp.ClientOut
	x.l2tp.Advance(now, &out)
	x.settle(now, &out)
}

func (x *client) hangUp(now time.Time) {
	var out l2tp.ClientOut
	x.l2tp.Close(now, &out)
	for _, p := range out.Packets {
		x.seal(p)
	}
}

func (x *client) sendIP(ip []byte) bool {
	if !x.isUp || x.out == nil {
		return false
	}
	x.seal(x.l2tp.Send(nil, ip))
	return true
}

const (
	udpHeader = 8
	minESP    = 8 + 8 + 4 + 12
)

// seal sends a payload of UDP port 1701: UDP header (RFC 3948 3.1.2: no checksum),
// ESP, UDP 4500.
func (x *client) seal(payload []byte) {
	if x.out == nil {
		return
	}
	buf := make([]byte, packet.Headroom+len(payload)+packet.Tailroom)
	p := packet.Packet{Buf: buf, Off: packet.Headroom, End: packet.Headroom + len(payload)}
	copy(p.Payload(), payload)
	h := p.Prepend(udpHeader)
	binary.BigEndian.PutUint16(h, l2tpPort)
	binary.BigEndian.PutUint16(h[2:], l2tpPort)
	binary.BigEndian.PutUint16(h[4:], uint16(udpHeader+len(payload)))
	if x.out.out.Seal(&p, esp.ProtoUDP) == nil {
		x.crowd.send(true, p.Payload(), x.oob, x.out.remote)
	}
}

// receiveESP opens a packet for whom its SPI belongs to.
func (c *Crowd) receiveESP(now time.Time, b []byte) {
	k := c.bySPI[binary.BigEndian.Uint32(b)]
	if k == nil {
		return
	}
	payload, next, err := k.in.Open(b)
	if err != nil || next != esp.ProtoUDP || len(payload) < udpHeader {
		return
	}
	size := int(binary.BigEndian.Uint16(payload[4:]))
	if size < udpHeader || size > len(payload) || binary.BigEndian.Uint16(payload[2:]) != l2tpPort {
		return
	}
	if !k.heard {
		k.heard = true
		c.ike.InboundUsed(now, binary.BigEndian.Uint32(b), &c.out)
		c.carryOut(now)
	}
	if x := k.of; x.l2tp != nil {
		var out l2tp.ClientOut
		x.l2tp.Receive(now, payload[udpHeader:size], &out)
		x.settle(now, &out)
	}
}

// sum makes the report.
func (c *Crowd) sum() Report {
	r := Report{Clients: len(c.clients), Up: c.arrived, Redials: c.redials, Ended: map[string]int{}, IKE: c.ikeName, ESP: c.espOne}
	seen := map[netip.Addr]bool{}
	var took []time.Duration
	for _, x := range c.clients {
		if x.took > 0 {
			took = append(took, x.took)
		}
		if x.isUp {
			seen[x.l2tp.Local] = true
		}
	}
	r.Addresses = len(seen)
	for why, n := range c.ended {
		r.Ended[why] = n
	}
	if len(took) > 0 {
		slices.Sort(took)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		r.Seconds = c.last.Sub(c.start).Seconds()
		r.PerSecond = float64(len(took)) / r.Seconds
		r.FastestMS, r.MedianMS, r.SlowestMS = ms(took[0]), ms(took[len(took)/2]), ms(took[len(took)-1])
	}
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	r.CPU = float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	return r
}

// clientHeap orders clients by their deadlines.
type clientHeap []*client

func (h clientHeap) Len() int           { return len(h) }
func (h clientHeap) Less(i, j int) bool { return h[i].deadline.Before(h[j].deadline) }
func (h clientHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].slot, h[j].slot = i, j }
func (h *clientHeap) Push(v any)        { x := v.(*client); x.slot = len(*h); *h = append(*h, x) }
func (h *clientHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	x.slot = -1
	return x
}
