package l2tp

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vhub/arp"
	"vhub/dhcp"
	"vhub/eth"
	"vhub/hub"
	"vhub/ppp"
)

// loginLimit is how long an Authenticator may take.
const loginLimit = 20 * time.Second

// proveAlive is how long an older session of the same user and device has to
// show that it lives, before the new one takes its place.
const proveAlive = 700 * time.Millisecond

// session is one client: its PPP link, its address, its virtual host, its
// port of the hub.
type session struct {
	p    *Peer
	name string // "road/17", unique in the port
	ev   Event  // of its call
	ns   atomic.Uint32

	// The loop's.
	tunnel  uint16
	link    *ppp.Link
	pout    ppp.Out
	grant   Grant
	user    string // who wanted in, and how
	method  ppp.Method
	assign  *dhcp.Assigner
	dout    dhcp.Out
	lease   *dhcp.Lease
	host    *arp.Host
	hout    arp.HostOut
	hubLink *hub.Link
	mac     eth.Addr
	addr4   netip.Addr // the last it had: for accounting and the closing line, when PPP is closed already
	heeds   []heed     // what it listens for on the segment
	device  string     // key of address and MAC: user and device
	began   time.Time
	upAt    time.Time
	only6   time.Time // when IPv6 alone counts as up
	rivalAt time.Time // when the wait for an older session to prove itself ends
	rivals  map[*session]uint64
	interim time.Time
	reason  string
	over    bool

	checking bool     // the credentials, now
	barred   []string // users who lost their right to log in meanwhile

	// What the data path meets.
	flow  atomic.Pointer[flow]
	inMu  sync.Mutex
	in    *hub.Reader
	count sessionCounters
}

// flow is what the data path needs to know of a session; never changed once
// published.
type flow struct {
	host      *arp.Host
	params    ppp.Params
	v4, v6    bool
	dhcp      bool // DHCP frames of the segment are for the assigner
	mss4In    int  // for what the client sends
	mss6In    int
	responder *dhcp.Responder
}

type sessionCounters struct {
	inPackets, inBytes, outPackets, outBytes atomic.Uint64
}

// in counts an IP packet of the client, whether the data path places it or the loop.
func (c *sessionCounters) in(ip []byte) {
	c.inPackets.Add(1)
	c.inBytes.Add(uint64(len(ip)))
}

// newSession begins a session for a call that is up.
func (p *Peer) newSession(now time.Time, ev Event) {
	s := p.s
	x := &session{p: p, ev: ev, tunnel: ev.Tunnel, name: fmt.Sprintf("%s/%d", s.cfg.Port, s.cfg.Numbers.Add(1)), began: now}
	if len(s.sessions) >= s.cfg.MaxSessions {
		s.tally.full++
		p.ep.Hangup(now, ev.Tunnel, ev.Session, 4, "no more sessions", &p.out)
		s.log.Warn("login refused: the port has its limit of sessions", "client", p.c.Remote(), "limit", s.cfg.MaxSessions)
		return
	}
	x.link = ppp.NewServer(ppp.Server{Name: "vhub", Methods: s.cfg.Methods,
		Config: ppp.Config{MRU: s.cfg.MRU, EchoEvery: 2 * p.ep.cfg.HelloEvery, Rand: s.cfg.Rand}})
	s.sessions[x.name] = x
	p.enter(x)
	x.link.Open(now, &x.pout)
}

// carryOut does what the session's machines said; it reports whether there was
// anything.
func (x *session) carryOut(now time.Time) bool {
	if len(x.pout.Packets)+len(x.pout.Events)+len(x.dout.Frames)+len(x.dout.Events)+len(x.hout.Frames)+len(x.hout.Packets) == 0 &&
		!x.hout.Free && x.hout.Taken.IsZero() {
		return false
	}
	x.listen() // before anything is asked
	for _, pkt := range x.pout.Packets {
		x.sendPPP(pkt)
	}
	events, dout, hout := x.pout.Events, x.dout, x.hout
	x.pout, x.dout, x.hout = ppp.Out{}, dhcp.Out{}, arp.HostOut{} // an idle session keeps no room for the next
	x.toSegment(now, dout.Frames)
	x.toSegment(now, hout.Frames)
	for _, pkt := range hout.Packets {
		x.sendIP(pkt)
	}
	for _, ev := range events {
		x.pppEvent(now, ev)
	}
	for _, ev := range dout.Events {
		x.addressEvent(now, ev)
	}
	if hout.Free || !hout.Taken.IsZero() {
		x.probed(now, hout.Free, hout.Taken)
	}
	return true
}

func (x *session) pppEvent(now time.Time, ev ppp.Event) {
	if x.over {
		return
	}
	switch ev := ev.(type) {
	case ppp.EventAuth:
		x.authenticate(now, ev)
	case ppp.EventNetwork:
		x.network(now)
	case ppp.EventUp4:
		x.up4(now, ev)
	case ppp.EventUp6:
		x.up6(now, ev)
	case ppp.EventDown4:
		x.setFlow(func(f *flow) { f.v4 = false })
		if x.host != nil {
			x.host.ClearIPv4()
		}
	case ppp.EventDown6:
		x.setFlow(func(f *flow) { f.v6 = false })
		if x.host != nil {
			x.host.CloseIPv6()
		}
	case ppp.EventEnd:
		text := ev.Reason.String()
		if ev.Detail != "" {
			text += ": " + ev.Detail
		}
		if x.reason == "" {
			x.reason = text
		}
		x.p.ep.Hangup(now, x.ev.Tunnel, x.ev.Session, 3, x.reason, &x.p.out)
		x.finish(now, x.reason)
	}
}

// unname takes a session out of those of its user.
func (s *Server) unname(x *session) {
	of := slices.DeleteFunc(s.byUser[x.grant.User], func(o *session) bool { return o == x })
	if len(of) == 0 {
		delete(s.byUser, x.grant.User)
		return
	}
	s.byUser[x.grant.User] = of
}

// authenticate has the credentials checked, on a goroutine of its own since a
// RADIUS server may be slow.
func (x *session) authenticate(now time.Time, ev ppp.EventAuth) {
	s := x.p.s
	l := Login{Credentials: ev.Credentials, Port: s.cfg.Port, Session: x.name, Remote: x.p.c.Remote(), Host: x.ev.PeerHost, Calling: x.ev.CallingNumber}
	x.user, x.method = l.User, l.Method
	source := l.Remote.Addr()
	if wait := s.lock.locked(now, l.User, source); wait > 0 {
		s.tally.locked++
		s.log.Warn("login refused: too many failures before", "user", l.User, "client", l.Remote, "wait", wait.Round(time.Second))
		x.link.Authenticated(now, ev.Seq, ppp.Result{}, &x.pout)
		return
	}
	x.checking, x.barred = true, nil
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), loginLimit)
		defer cancel()
		g := s.cfg.Auth.Login(ctx, l)
		s.post(x.p, func(now time.Time) { x.checked(now, ev.Seq, l, g) })
	}()
}

// checked goes on with what the Authenticator said.
func (x *session) checked(now time.Time, seq uint64, l Login, g Grant) {
	x.checking = false
	if x.over {
		return
	}
	s := x.p.s
	switch source := l.Remote.Addr(); {
	case g.Result.OK && slices.Contains(x.barred, g.User):
		g.Result = ppp.Result{}
		x.reason = "login failed: the user lost the right to log in meanwhile"
	case g.Result.OK:
		s.tally.logins++
		s.lock.succeeded(l.User, source)
		s.unname(x)
		x.grant = g
		s.byUser[g.User] = append(s.byUser[g.User], x)
	default:
		s.tally.failures++
		s.lock.failed(now, l.User, source)
		s.log.Warn("login failed", "user", l.User, "client", l.Remote, "method", l.Method.String(), "reason", g.Reason)
		x.reason = "login failed: " + g.Reason
	}
	x.link.Authenticated(now, seq, g.Result, &x.pout)
}

// network goes on after a login: the limits of the user, the address.
func (x *session) network(now time.Time) {
	s := x.p.s
	x.device = x.grant.User + "\x00" + x.ev.PeerHost + "\x00" + x.ev.PeerVendor + "\x00" + x.ev.CallingNumber
	n := 0
	for _, o := range s.byUser[x.grant.User] {
		if o == x || o.over || o.mac.IsZero() {
			continue
		}
		n++
		if o.device == x.device {
			if x.rivals == nil {
				x.rivals = map[*session]uint64{}
			}
			x.rivals[o] = o.count.inPackets.Load()
		}
	}
	for o := range x.rivals {
		o.p.ep.Hello(now, o.ev.Tunnel, &o.p.out)
		o.p.carryOut(now)
	}
	if x.grant.MaxSessions > 0 && n-len(x.rivals) >= x.grant.MaxSessions {
		x.close(now, fmt.Sprintf("user %s has the limit of %d sessions", x.grant.User, x.grant.MaxSessions))
		return
	}
	if len(x.rivals) > 0 {
		x.rivalAt = now.Add(proveAlive)
		return
	}
	x.join(now)
}

// judge ends older sessions of the same user and device that did not answer: it
// is this client that came back. One that answered is another device that
// looks the same, and both stay.
func (x *session) judge(now time.Time) {
	x.rivalAt = time.Time{}
	alive := 0
	for o, before := range x.rivals {
		if o.over {
			continue
		}
		if o.count.inPackets.Load() != before || o.p.ep.Acknowledged(o.ev.Tunnel) {
			alive++
			continue
		}
		o.close(now, "replaced: the same user and device came back")
		o.finish(now, o.reason)
		o.p.s.settle(now, o.p)
	}
	x.rivals = nil
	if x.grant.MaxSessions > 0 && alive >= x.grant.MaxSessions {
		x.close(now, fmt.Sprintf("user %s has the limit of %d sessions", x.grant.User, x.grant.MaxSessions))
		return
	}
	x.join(now)
}

// join makes the client a station of the segment and looks for its address.
func (x *session) join(now time.Time) {
	s := x.p.s
	x.mac = s.macFor(x)
	link, err := s.cfg.Hub.Attach(now, x, x.linkConfig())
	if err != nil {
		x.close(now, err.Error())
		return
	}
	x.hubLink = link
	x.inMu.Lock()
	x.in = link.NewReader()
	x.inMu.Unlock()
	if err := link.AddStatic(now, 0, x.mac); err != nil {
		x.close(now, err.Error())
		return
	}
	s.macs[x.mac] = x
	x.host = arp.NewHost(arp.HostConfig{MAC: x.mac})
	x.flow.Store(&flow{host: x.host, dhcp: true})
	cfg := dhcp.AssignerConfig{Key: x.device, Order: s.cfg.Order, Static: x.grant.Address, RADIUS: x.grant.Framed,
		Memory: s.cfg.Memory, Pool: s.cfg.Pool, Facts: s.facts}
	if s.cfg.DHCP {
		host := x.ev.PeerHost
		if host == "" {
			host = x.grant.User
		}
		cfg.DHCP = &dhcp.ClientConfig{MAC: x.mac, HostName: host}
	}
	x.assign = dhcp.NewAssigner(cfg, s.cfg.Rand)
	x.assign.Start(now, &x.dout)
}

// linkConfig is what the hub knows of the session's link.
func (x *session) linkConfig() hub.LinkConfig {
	lc := x.p.s.cfg.Link
	lc.Name, lc.Kind, lc.MaxStations, lc.DropUnlearned, lc.Listener = x.name, "l2tp", 1, true, x.p.s.ears
	return lc
}

// macFor makes the MAC address of a session: the user's own, or one made from
// user and device, the same at every connect. A second device that cannot be
// told from the first gets the next.
func (s *Server) macFor(x *session) eth.Addr {
	if m := x.grant.MAC; !m.IsZero() && s.macs[m] == nil {
		return m
	}
	for i := 0; ; i++ {
		h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", s.cfg.HubName, s.cfg.Port, x.device, i))
		m := eth.Addr(h[:6])
		m[0] = m[0]&^3 | 2 // locally administered, one station
		if s.macs[m] == nil {
			if i > 0 {
				x.device += fmt.Sprintf("\x00%d", i)
			}
			return m
		}
	}
}

func (x *session) addressEvent(now time.Time, ev dhcp.Event) {
	if x.over {
		return
	}
	switch ev.Kind {
	case dhcp.Check:
		x.host.Probe(now, ev.Addr, &x.hout)
	case dhcp.Assigned:
		x.lease = ev.Lease
		a := ppp.Addresses{Local: localAddr, Peer: ev.Lease.Addr()}
		copy(a.DNS[:], ev.Lease.DNS)
		if x.p.s.cfg.IPv6 {
			a.PeerID, a.LocalID = interfaceIDs(x.mac)
		}
		x.link.Assign(now, a, &x.pout)
	case dhcp.Changed:
		x.lease = ev.Lease
	case dhcp.Lost, dhcp.Failed:
		x.close(now, "no address: "+ev.Reason)
	case dhcp.Note:
		x.p.s.log.Info("address of a session", "session", x.name, "user", x.grant.User, "note", ev.Reason)
	}
}

// interfaceIDs are IPv6 interface identifiers: the client's from its MAC
// address (RFC 4291 appendix A), ours the same with the last bit turned.
func interfaceIDs(m eth.Addr) (peer, local [8]byte) {
	peer = [8]byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}
	local = peer
	local[7] ^= 1
	return peer, local
}

// probed passes on what the segment said about an address, or a conflict about
// the one in use.
func (x *session) probed(now time.Time, free bool, taken eth.Addr) {
	if x.assign == nil || x.over {
		return
	}
	if x.upAt.IsZero() || free {
		x.assign.Checked(now, !free, &x.dout)
		return
	}
	x.p.s.log.Warn("another station claims a client's address", "session", x.name, "address", x.host.Addr4(), "mac", taken)
}

func (x *session) up4(now time.Time, ev ppp.EventUp4) {
	prefix := netip.PrefixFrom(ev.Peer, 32)
	var router netip.Addr
	if x.lease != nil {
		prefix = x.lease.Prefix
		if len(x.lease.Routers) > 0 {
			router = x.lease.Routers[0]
		}
	}
	if prefix.Bits() == 32 {
		prefix = netip.PrefixFrom(ev.Peer, 24) // nobody said: the usual size of a home's net
	}
	x.addr4 = ev.Peer
	x.host.SetIPv4(now, netip.PrefixFrom(ev.Peer, prefix.Bits()), router)
	r := &dhcp.Responder{Server: localAddr, Mask: prefix.Bits(), Routes: x.p.s.cfg.Routes}
	if x.lease != nil {
		r.DNS, r.NTP, r.Domain, r.Search = x.lease.DNS, x.lease.NTP, x.lease.Domain, x.lease.Search
	}
	room := x.room(ev.Params)
	x.setFlow(func(f *flow) {
		f.v4, f.params, f.responder = true, ev.Params, r
		f.mss4In, f.mss6In = room-40, room-60
	})
	x.comesUp(now)
}

// waitFor4 is how long a session whose IPv6 is up waits for IPv4 before it
// counts as up without: the line in the log and accounting name the address.
const waitFor4 = 3 * time.Second

func (x *session) up6(now time.Time, ev ppp.EventUp6) {
	x.host.OpenIPv6(ev.PeerID)
	room := x.room(ev.Params)
	x.setFlow(func(f *flow) {
		f.v6, f.params = true, ev.Params
		f.mss4In, f.mss6In = room-40, room-60
	})
	if x.upAt.IsZero() {
		x.only6 = now.Add(waitFor4)
	}
}

// room is the largest IP packet in bytes that goes to the client whole: what
// it takes, and what the path carries without outer fragments.
func (x *session) room(p ppp.Params) int {
	return min(p.MTU, x.p.c.PathMTU()-DataHeaderLen-4)
}

func (x *session) comesUp(now time.Time) {
	if !x.upAt.IsZero() {
		return
	}
	x.upAt, x.only6 = now, time.Time{}
	if x.grant.Interim > 0 {
		x.interim = now.Add(x.grant.Interim)
	}
	x.p.s.log.Info("session up", "session", x.name, "user", x.grant.User, "client", x.p.c.Remote(), "host", x.ev.PeerHost,
		"address", x.host.Addr4(), "mac", x.mac, "method", x.method.String(), "after", now.Sub(x.began).Round(time.Millisecond))
	x.account(now, Start)
}

func (x *session) account(now time.Time, ph Phase) {
	if x.grant.User != "" {
		x.p.s.cfg.Auth.Account(Accounting{Phase: ph, Session: x.status(now), Class: x.grant.Class})
	}
}

func (x *session) setFlow(change func(*flow)) {
	f := x.flow.Load()
	if f == nil {
		return
	}
	next := *f
	change(&next)
	x.flow.Store(&next)
}

// advance does what is due.
func (x *session) advance(now time.Time) {
	if x.over {
		return
	}
	x.link.Advance(now, &x.pout)
	if x.assign != nil {
		x.assign.Advance(now, &x.dout)
	}
	if x.host != nil {
		x.host.Advance(now, &x.hout)
	}
	if !x.rivalAt.IsZero() && !now.Before(x.rivalAt) {
		x.judge(now)
	}
	if !x.only6.IsZero() && !now.Before(x.only6) {
		x.comesUp(now)
	}
	if !x.interim.IsZero() && !now.Before(x.interim) {
		x.interim = now.Add(x.grant.Interim)
		x.account(now, Interim)
	}
	if end := x.ends(); !end.IsZero() && !now.Before(end) {
		x.close(now, "the session's time is over")
	}
}

// ends is when the session's time is over, zero for never.
func (x *session) ends() (end time.Time) {
	if x.upAt.IsZero() {
		return end
	}
	if x.grant.MaxTime > 0 {
		end = x.upAt.Add(x.grant.MaxTime)
	}
	if x.grant.IdleTime > 0 {
		quiet := x.upAt
		if h := time.UnixMilli(x.p.heard.Load()); h.After(quiet) {
			quiet = h
		}
		end = earlier(end, quiet.Add(x.grant.IdleTime))
	}
	return end
}

func (x *session) deadline() time.Time {
	if x.over {
		return time.Time{}
	}
	next := earlier(x.link.Deadline(), x.rivalAt)
	next = earlier(earlier(next, x.interim), x.only6)
	next = earlier(next, x.ends())
	if x.assign != nil {
		next = earlier(next, x.assign.Deadline())
	}
	if x.host != nil {
		next = earlier(next, x.host.Deadline())
	}
	return next
}

// close ends the session in good order: PPP tells the client, then L2TP.
func (x *session) close(now time.Time, reason string) {
	if x.over || x.reason != "" && x.link == nil {
		return
	}
	x.reason = reason
	x.link.Close(now, ppp.Closed, &x.pout)
}

// finish forgets the session; its one closing line is written here.
func (x *session) finish(now time.Time, reason string) {
	if x.over {
		return
	}
	if x.reason == "" {
		x.reason = reason
	}
	s := x.p.s
	s.logEnd(now, x)
	if !x.upAt.IsZero() {
		x.account(now, Stop)
	}
	x.over = true
	s.tally.ended++
	s.tally.traffic.add(&x.count)
	if x.host != nil {
		s.tally.drops.hosts.Add(x.host.Counters)
	}
	x.flow.Store(nil)
	if x.assign != nil {
		x.assign.Release(now, !x.byChoice(), &x.dout)
		x.toSegment(now, x.dout.Frames)
		x.dout.Reset()
	}
	if x.hubLink != nil {
		link := x.hubLink
		x.inMu.Lock()
		x.in = nil
		x.inMu.Unlock()
		x.hear(nil)
		link.Detach(now)
	}
	if s.macs[x.mac] == x {
		delete(s.macs, x.mac)
	}
	delete(s.sessions, x.name)
	s.unname(x)
	x.p.leave(x)
}
