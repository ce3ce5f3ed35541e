package arp

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"vhub/eth"
)

// lab is a simulated segment in fake time: a switch with a Segment, legs that
// lose ARP and ND broadcasts, and hosts with the cache of Linux (net/core/neighbour.c).
type lab struct {
	t    *testing.T
	rng  *rand.Rand
	now  time.Time
	seg  *Segment
	out  Out
	legs []*leg
	fdb  map[station]Link
	// inFlight holds frames on their way: a frame takes one step of a
	// millisecond from host to hub and from hub to host.
	inFlight []flight
	events   []Event
	sent     int // frames that the segment made
}

type flight struct {
	frame []byte
	to    *leg // nil: to the hub
	from  *leg
}

type leg struct {
	link  Link
	loss  float64 // of broadcasts and multicasts of ARP and ND, in both directions
	hosts []*host
	down  bool
}

type nud uint8

const (
	nudNone nud = iota
	nudIncomplete
	nudReachable
	nudStale
	nudDelay
	nudProbe
	nudFailed
)

type cached struct {
	state  nud
	mac    eth.Addr
	until  time.Time // the state's timer
	probes int
}

// host is a station. Times are those of /proc/sys/net/ipv4/neigh.
type host struct {
	lab       *lab
	leg       *leg
	mac       eth.Addr
	ip        netip.Addr
	cache     map[netip.Addr]*cached
	reachable time.Duration // base_reachable_time
	delay     time.Duration // delay_first_probe_time
	retrans   time.Duration
	ucast     int // ucast_solicit
	failures  int // times that an entry became INCOMPLETE or FAILED
	received  map[netip.Addr]time.Time
	router    bool
	answers   int // frames that say where this host is, seen with the host as source
	broadcast int // ARP and ND group frames heard
	off       bool
}

func newLab(t *testing.T, cfg Config) *lab {
	l := &lab{t: t, rng: rand.New(rand.NewPCG(1, 2)), now: time.Unix(1_700_000_000, 0), fdb: map[station]Link{}}
	cfg.Event = func(e Event) { l.events = append(l.events, e) }
	l.seg = New(cfg)
	return l
}

func (l *lab) addLeg(loss float64) *leg {
	g := &leg{link: Link(len(l.legs) + 1), loss: loss}
	l.legs = append(l.legs, g)
	return g
}

func (l *lab) addHost(g *leg, n byte, v6 bool) *host {
	h := &host{
		lab: l, leg: g, mac: eth.Addr{2, 0, 0, 0, 0, n}, ip: netip.AddrFrom4([4]byte{10, 0, 0, n}),
		cache: map[netip.Addr]*cached{}, received: map[netip.Addr]time.Time{},
		reachable: 2 * time.Second, delay: time.Second, retrans: 300 * time.Millisecond, ucast: 3,
	}
	if v6 {
		h.ip = netip.AddrFrom16([16]byte{0xfd, 15: n})
	}
	g.hosts = append(g.hosts, h)
	return h
}

// step lets one millisecond go by.
func (l *lab) step() {
	l.now = l.now.Add(time.Millisecond)
	flights := l.inFlight
	l.inFlight = nil
	for _, f := range flights {
		if f.to == nil {
			l.hub(f.from, f.frame)
			continue
		}
		for _, h := range f.to.hosts {
			h.receive(f.frame)
		}
	}
	if d := l.seg.Deadline(); !d.IsZero() && !d.After(l.now) {
		l.out.Reset()
		l.seg.Advance(l.now, &l.out)
		l.deliver()
	}
	for _, g := range l.legs {
		for _, h := range g.hosts {
			h.timers()
		}
	}
}

func (l *lab) run(d time.Duration, each func()) {
	for end := l.now.Add(d); l.now.Before(end); {
		l.step()
		if each != nil {
			each()
		}
	}
}

func (l *lab) lost(g *leg, frame []byte) bool {
	return g.down || Wants(frame) && frame[0]&1 != 0 && g.loss > 0 && l.rng.Float64() < g.loss
}

// hub is what the hub does with a frame: learn, help, look up or flood.
func (l *lab) hub(from *leg, frame []byte) {
	src := station{eth.VLAN(frame), eth.Source(frame)}
	l.out.Reset()
	if old, ok := l.fdb[src]; ok && old != from.link {
		l.seg.StationMoved(l.now, src.vlan, src.mac, old, from.link, &l.out)
	}
	l.fdb[src] = from.link
	v := Forward
	if Wants(frame) {
		v = l.seg.Receive(l.now, from.link, frame, &l.out)
	}
	if v == Forward {
		l.forward(from.link, frame)
	}
	l.deliver()
}

func (l *lab) forward(from Link, frame []byte) {
	to, ok := l.fdb[station{eth.VLAN(frame), eth.Destination(frame)}]
	for _, g := range l.legs {
		if g.link != from && (!ok || g.link == to) {
			l.send(g, frame)
		}
	}
}

func (l *lab) deliver() {
	for _, s := range l.out.Sends {
		l.sent++
		for _, g := range l.legs {
			if s.Flood && g.link != s.Except || !s.Flood && g.link == s.To {
				l.send(g, s.Frame)
			}
		}
	}
}

func (l *lab) send(g *leg, frame []byte) {
	if !l.lost(g, frame) {
		l.inFlight = append(l.inFlight, flight{frame: append([]byte(nil), frame...), to: g})
	}
}

// transmit is a host sending a frame: its own leg hears it, and the hub.
func (h *host) transmit(frame []byte) {
	if h.off {
		return
	}
	for _, o := range h.leg.hosts {
		if o != h {
			o.receive(frame)
		}
	}
	if !h.lab.lost(h.leg, frame) {
		h.lab.inFlight = append(h.lab.inFlight, flight{frame: frame, from: h.leg})
	}
}

func (h *host) ask(ip netip.Addr, to eth.Addr) {
	if ip.Is4() {
		if to.IsZero() {
			to = eth.Broadcast
		}
		h.transmit(eth.AppendARPRequest(nil, 0, to, h.mac, h.ip, ip))
		return
	}
	h.transmit(eth.AppendNS(nil, 0, to, h.mac, h.ip, ip))
}

func (h *host) announce() {
	if h.ip.Is4() {
		h.transmit(eth.AppendGratuitousARP(nil, 0, h.mac, h.ip))
	} else {
		h.transmit(eth.AppendNA(nil, 0, eth.Addr{}, h.mac, netip.IPv6Unspecified(), h.ip, eth.NAFlagOverride))
	}
}

const dataType = 0x88b5 // IEEE's local experiment type: the payload of a session

// say sends one packet of a session, as neigh_resolve_output does.
func (h *host) say(ip netip.Addr) {
	e := h.cache[ip]
	if e == nil {
		e = &cached{}
		h.cache[ip] = e
	}
	switch e.state {
	case nudNone, nudFailed:
		h.setState(e, nudIncomplete)
		e.probes = 1
		e.until = h.lab.now.Add(h.retrans)
		h.ask(ip, eth.Addr{})
		return
	case nudIncomplete:
		return
	case nudStale:
		h.setState(e, nudDelay)
		e.until = h.lab.now.Add(h.delay)
	}
	frame := eth.AppendHeader(nil, 0, e.mac, h.mac, dataType)
	a, b := h.ip.As16(), ip.As16()
	h.transmit(append(append(frame, a[:]...), b[:]...))
}

func (h *host) setState(e *cached, s nud) {
	if s == nudIncomplete || s == nudFailed {
		h.failures++
	}
	e.state = s
}

// timers is neigh_timer_handler.
func (h *host) timers() {
	for ip, e := range h.cache {
		if e.until.IsZero() || h.lab.now.Before(e.until) {
			continue
		}
		switch e.state {
		case nudReachable:
			h.setState(e, nudStale)
			e.until = time.Time{}
		case nudDelay:
			h.setState(e, nudProbe)
			e.probes = 0
			fallthrough
		case nudProbe:
			if e.probes >= h.ucast { // mcast_resolicit is 0
				h.setState(e, nudFailed)
				e.until = time.Time{}
				continue
			}
			e.probes++
			e.until = h.lab.now.Add(h.retrans)
			h.ask(ip, e.mac)
		case nudIncomplete:
			if e.probes >= 3 {
				h.setState(e, nudFailed)
				e.until = time.Time{}
				continue
			}
			e.probes++
			e.until = h.lab.now.Add(h.retrans)
			h.ask(ip, eth.Addr{})
		}
	}
}

// receive is arp_process, ndisc_recv_ns and ndisc_recv_na.
func (h *host) receive(frame []byte) {
	dst := eth.Destination(frame)
	if h.off || dst != h.mac && !dst.IsGroup() {
		return
	}
	if typ, off := eth.EtherType(frame); typ == dataType {
		if from := netip.AddrFrom16([16]byte(frame[off:])).Unmap(); netip.AddrFrom16([16]byte(frame[off+16:])).Unmap() == h.ip {
			h.received[from] = h.lab.now
		}
		return
	}
	m, bad := parse(frame)
	if bad {
		h.lab.t.Errorf("a host got a malformed frame % x", frame)
	}
	if m.src == h.mac {
		h.answers++
		return
	}
	if dst.IsGroup() {
		h.broadcast++
	}
	switch m.kind {
	case question:
		if m.ask != h.ip {
			return
		}
		if m.claimIP.IsValid() {
			h.update(m.claimIP, m.claimMAC, nudStale, true)
		}
		h.reply(&m)
	case answer, notice:
		l := eth.Parse(frame)
		solicited := m.kind == answer && !dst.IsGroup()
		if nd := l.ND(frame); nd != nil {
			solicited = nd.Flags()&eth.NAFlagSolicited != 0
		}
		state := nudStale
		if solicited {
			state = nudReachable
		}
		h.update(m.claimIP, m.claimMAC, state, false)
	}
}

func (h *host) reply(m *message) {
	if h.ip.Is4() {
		ip := m.claimIP
		if !ip.IsValid() {
			ip = netip.IPv4Unspecified()
		}
		h.transmit(eth.AppendARPReply(nil, m.vlan, m.claimMAC, h.mac, h.ip, ip))
		return
	}
	flags := uint8(eth.NAFlagOverride)
	if h.router {
		flags |= eth.NAFlagRouter
	}
	if !m.claimIP.IsValid() {
		h.transmit(eth.AppendNA(nil, m.vlan, eth.Addr{}, h.mac, netip.IPv6Unspecified(), h.ip, flags))
		return
	}
	h.transmit(eth.AppendNA(nil, m.vlan, m.claimMAC, h.mac, m.claimIP, h.ip, flags|eth.NAFlagSolicited))
}

// update is neigh_update: only a request makes an entry.
func (h *host) update(ip netip.Addr, mac eth.Addr, state nud, create bool) {
	e := h.cache[ip]
	if e == nil {
		if !create {
			return
		}
		e = &cached{}
		h.cache[ip] = e
	}
	valid := e.state == nudReachable || e.state == nudStale || e.state == nudDelay || e.state == nudProbe
	if state == nudStale && valid && e.mac == mac {
		return
	}
	e.mac = mac
	h.setState(e, state)
	e.until = time.Time{}
	if state == nudReachable {
		e.until = h.lab.now.Add(h.reachable/2 + time.Duration(h.lab.rng.Int64N(int64(h.reachable))))
	}
}
