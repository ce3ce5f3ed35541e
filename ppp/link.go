package ppp

import (
	"crypto/rand"
	"io"
	"net/netip"
	"time"
)

// phase is the phase of the link (RFC 1661 section 3.2).
type phase uint8

const (
	phaseDead phase = iota
	phaseEstablish
	phaseAuthenticate
	phaseNetwork
	phaseTerminate
	phaseOver
)

const (
	maxRestarts = 10  // times that an open protocol is negotiated again, in a link's life
	maxHeld     = 256 // bytes of a Configure-Request that waits for Assign
)

// Link is one end of a PPP link.
type Link struct {
	cfg     Config
	serves  bool
	name    string   // of a server
	client  *Client  // nil for a server
	methods []Method // shared by all links of a server

	now time.Time // of the call
	out *Out

	phase  phase
	lcp    lcp
	ipcp   ipcp
	ipv6cp ipv6cp
	auth   authenticator // nil: nobody authenticates

	seq      uint64 // of the last EventAuth
	assigned bool
	held4    []byte // server: the peer's last Configure-Request before Assign
	held6    []byte

	setupAt   time.Time
	echoAt    time.Time
	echoID    byte
	lastHeard time.Time
	missed    int
	restarts  int

	blamed bool
	reason Reason
	detail string
	stats  Stats

	hand hand
}

// NewServer makes the end of a server. Nothing is sent before Open.
func NewServer(cfg Server) *Link {
	if cfg.Name == "" {
		cfg.Name = "vhub"
	}
	l := newLink(cfg.Config, cfg.Methods)
	l.serves, l.name = true, cfg.Name
	return l
}

// NewClient makes the end of a client. Nothing is sent before Open.
func NewClient(cfg Client) *Link {
	l := newLink(cfg.Config, cfg.Methods)
	l.client = &cfg
	return l
}

func newLink(cfg Config, methods []Method) *Link {
	if cfg.MRU <= 0 {
		cfg.MRU = 1400
	}
	if cfg.Restart <= 0 {
		cfg.Restart = time.Second
	}
	if cfg.EchoEvery == 0 {
		cfg.EchoEvery = 20 * time.Second
	}
	if cfg.EchoFails <= 0 {
		cfg.EchoFails = 4
	}
	if cfg.Setup <= 0 {
		cfg.Setup = time.Minute
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if len(methods) == 0 {
		methods = defaultMethods
	}
	l := &Link{cfg: cfg, methods: methods}
	l.lcp.link, l.lcp.automaton = l, automaton{link: l, hand: &l.hand, proto: ProtoLCP, opts: &l.lcp}
	l.ipcp.link, l.ipcp.automaton = l, automaton{link: l, hand: &l.hand, proto: ProtoIPCP, opts: &l.ipcp}
	l.ipv6cp.link, l.ipv6cp.automaton = l, automaton{link: l, hand: &l.hand, proto: ProtoIPv6CP, opts: &l.ipv6cp}
	return l
}

var defaultMethods = []Method{MSCHAPv2}

// enter begins a call of an exported method.
func (l *Link) enter(now time.Time, out *Out) { l.now, l.out = now, out }

// Open begins: the layer below is up.
func (l *Link) Open(now time.Time, out *Out) {
	if l.phase != phaseDead {
		return
	}
	l.enter(now, out)
	l.phase = phaseEstablish
	l.setupAt, l.lastHeard = now.Add(l.cfg.Setup), now
	l.lcp.reset()
	l.lcp.trigger(evOpen)
	l.lcp.trigger(evUp)
}

// Receive takes one packet of the peer, with its PPP header; it is lent. IP
// packets are counted as drops: the caller passes those on itself.
func (l *Link) Receive(now time.Time, packet []byte, out *Out) {
	l.enter(now, out)
	proto, payload, ok := Split(packet)
	switch {
	case !ok:
		l.stats.Malformed++
		return
	case l.phase == phaseDead || l.phase == phaseOver:
		l.stats.Unexpected++
		return
	}
	l.lastHeard = now
	switch proto {
	case ProtoIPv4, ProtoIPv6:
		l.stats.NotUp++
		return
	case ProtoLCP:
	default: // RFC 1661 section 3.4: nothing but LCP before LCP is open
		if l.lcp.state != opened {
			l.stats.Unexpected++
			return
		}
	}
	switch proto {
	case ProtoLCP, ProtoIPCP, ProtoIPv6CP, ProtoPAP, ProtoCHAP, ProtoEAP:
		l.control(proto, payload)
	default:
		l.refuse(proto, payload)
	}
}

// control takes a packet that begins with code, identifier and length.
func (l *Link) control(proto uint16, payload []byte) {
	if len(payload) < 4 {
		l.stats.Malformed++
		return
	}
	n := int(payload[2])<<8 | int(payload[3])
	if n < 4 || n > len(payload) {
		l.stats.Malformed++ // RFC 1661 section 5: silently discarded
		return
	}
	payload = payload[:n] // what follows is padding
	code, id, data := payload[0], payload[1], payload[4:]
	switch proto {
	case ProtoLCP:
		l.lcp.receive(code, id, data, payload)
	case ProtoIPCP, ProtoIPv6CP:
		l.network(proto, code, id, data, payload)
	default:
		if l.auth == nil || l.auth.protocol() != proto {
			l.stats.Unexpected++
			return
		}
		l.auth.receive(code, id, data)
	}
	l.hand = hand{}
}

// network takes a packet of IPCP or IPV6CP.
func (l *Link) network(proto uint16, code, id byte, data, packet []byte) {
	if l.phase == phaseAuthenticate && l.auth != nil {
		l.auth.networkHeard()
	}
	a, held := &l.ipcp.automaton, &l.held4
	if proto == ProtoIPv6CP {
		a, held = &l.ipv6cp.automaton, &l.held6
	}
	switch {
	case l.phase != phaseNetwork:
		l.stats.Unexpected++
	case !l.assigned:
		if code == codeConfReq && len(packet) <= maxHeld {
			*held = append((*held)[:0], packet...)
		}
	case a.state == initial:
		l.refuse(proto, packet)
	default:
		a.receive(code, id, data, packet)
	}
}

// refuse sends a Protocol-Reject (RFC 1661 section 5.7).
func (l *Link) refuse(proto uint16, payload []byte) {
	l.stats.Rejected++
	l.lcp.serial++
	data := append([]byte{byte(proto >> 8), byte(proto)}, payload[:min(len(payload), maxRejected)]...)
	l.send(ProtoLCP, codeProtoRej, l.lcp.serial, data)
}

// send makes a control packet. Control packets are never compressed, which
// every peer takes.
func (l *Link) send(proto uint16, code, id byte, data []byte) {
	n := 4 + len(data)
	start := len(l.out.buf)
	b := append(l.out.buf, 0xff, 0x03, byte(proto>>8), byte(proto), code, id, byte(n>>8), byte(n))
	b = append(b, data...)
	l.out.buf = b
	l.out.Packets = append(l.out.Packets, b[start:len(b):len(b)])
}

func (l *Link) event(e Event) { l.out.Events = append(l.out.Events, e) }

// random returns n bytes. A source of randomness that fails is no state that a
// server can go on in (crypto/rand ends the program too).
func (l *Link) random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(l.cfg.Rand, b); err != nil {
		panic("ppp: no randomness: " + err.Error())
	}
	return b
}

// interfaceID draws an IPv6 interface identifier; its universal bit is 0
// (RFC 5072 section 4.1).
func (l *Link) interfaceID() []byte {
	b := l.random(8)
	b[0] &^= 2
	b[7] |= 1 // never zero
	return b
}

// established: LCP is open.
func (l *Link) established() {
	if l.cfg.EchoEvery > 0 {
		l.echoAt, l.missed = l.now.Add(l.cfg.EchoEvery), 0
	}
	switch {
	case l.serves:
		l.auth = newAuthServer(l, l.methods[l.lcp.method])
	case l.lcp.peer.auth:
		l.auth = newAuthClient(l, l.lcp.peer.method)
	default:
		l.admitted("")
		return
	}
	l.phase = phaseAuthenticate
	l.auth.start()
}

// torn: LCP is no longer open; all above it goes down.
func (l *Link) torn() {
	l.auth, l.echoAt = nil, time.Time{}
	l.assigned, l.held4, l.held6 = false, nil, nil
	if l.phase == phaseAuthenticate || l.phase == phaseNetwork {
		l.phase = phaseEstablish
	}
	for _, a := range []*automaton{&l.ipcp.automaton, &l.ipv6cp.automaton} {
		a.trigger(evDown)
		a.trigger(evClose)
	}
	l.restarted()
}

// restarted counts what was open and is negotiated again.
func (l *Link) restarted() {
	if l.restarts++; l.restarts > maxRestarts && l.phase != phaseTerminate {
		l.end(TooManyRestart, "")
	}
}

// admitted: authentication is over.
func (l *Link) admitted(user string) {
	l.phase = phaseNetwork
	l.event(EventNetwork{User: user})
	if l.client != nil {
		l.assigned = true
		l.openClient()
	}
}

func (l *Link) openClient() {
	if l.client.IPv4 {
		l.openIPv4(l.client.Address, [2]netip.Addr{})
	}
	if l.client.IPv6 {
		id := l.client.InterfaceID
		if id == [8]byte{} {
			id = [8]byte(l.interfaceID())
		}
		l.openIPv6(id, [8]byte{})
	}
}

// Assign answers EventNetwork: a server opens IPCP and IPV6CP with these
// addresses. Called again, it negotiates again.
func (l *Link) Assign(now time.Time, a Addresses, out *Out) {
	l.enter(now, out)
	if !l.serves || l.phase != phaseNetwork {
		return
	}
	l.assigned = true
	if a.Peer.Is4() {
		l.ipcp.peer = a.Peer
		l.openIPv4(a.Local, a.DNS)
	}
	if a.LocalID != [8]byte{} {
		l.openIPv6(a.LocalID, a.PeerID)
	}
	held4, held6 := l.held4, l.held6
	l.held4, l.held6 = nil, nil
	if held4 != nil {
		l.control(ProtoIPCP, held4)
	}
	if held6 != nil {
		l.control(ProtoIPv6CP, held6)
	}
	l.networkFinished()
}

// openIPv4 begins IPCP, from the start where it had begun.
func (l *Link) openIPv4(local netip.Addr, dns [2]netip.Addr) {
	c := &l.ipcp
	c.trigger(evDown)
	c.noAddress, c.noDNS, c.asked = false, [2]bool{}, false
	c.local, c.dns = local, dns
	if !local.Is4() {
		c.local, c.noAddress = netip.IPv4Unspecified(), l.serves
	}
	if l.client != nil {
		c.dns = [2]netip.Addr{netip.IPv4Unspecified(), netip.IPv4Unspecified()}
	}
	c.trigger(evOpen)
	c.trigger(evUp)
}

// openIPv6 begins IPV6CP, from the start where it had begun.
func (l *Link) openIPv6(local, offer [8]byte) {
	c := &l.ipv6cp
	c.trigger(evDown)
	c.noLocal, c.local, c.offer = false, local, offer
	c.trigger(evOpen)
	c.trigger(evUp)
}

// Authenticated answers an EventAuth. An answer to one that the peer has
// overtaken by negotiating again is ignored.
func (l *Link) Authenticated(now time.Time, seq uint64, result Result, out *Out) {
	l.enter(now, out)
	if a, ok := l.auth.(*authServer); ok && seq == l.seq && l.phase == phaseAuthenticate {
		a.verdict(result)
	}
}

// networkUp: one network protocol is up, so the link is.
func (l *Link) networkUp() {
	l.setupAt = time.Time{}
	if l.serves {
		l.auth = nil // the peer has heard the verdict
	}
}

// networkFinished ends a link that has no network protocol left.
func (l *Link) networkFinished() {
	if l.phase == phaseNetwork && l.assigned && l.ipcp.state < reqSent && l.ipv6cp.state < reqSent {
		l.end(NoNetwork, "")
	}
}

// rejected: the peer does not know a protocol.
func (l *Link) rejected(proto uint16) {
	switch proto {
	case ProtoIPCP:
		l.ipcp.trigger(evRXJMinus)
	case ProtoIPv6CP:
		l.ipv6cp.trigger(evRXJMinus)
	case ProtoLCP:
		l.end(ProtocolError, "the peer rejects LCP")
	case ProtoPAP, ProtoCHAP, ProtoEAP:
		if l.phase == phaseAuthenticate && l.auth != nil && l.auth.protocol() == proto {
			l.end(NoAuthMethod, "the peer agreed to "+l.methods[l.lcp.method].String()+" and rejects it")
		}
	}
}

// Advance does what is due at now.
func (l *Link) Advance(now time.Time, out *Out) {
	l.enter(now, out)
	due := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
	for _, a := range []*automaton{&l.lcp.automaton, &l.ipcp.automaton, &l.ipv6cp.automaton} {
		if due(a.at) {
			a.timeout()
		}
	}
	if l.auth != nil && due(l.auth.deadline()) {
		l.auth.timeout()
	}
	if due(l.echoAt) {
		l.echo()
	}
	if due(l.setupAt) {
		l.setupAt = time.Time{}
		l.end(SetupTimeout, "")
	}
}

// Deadline is when Advance must be called next at the latest; zero: never.
func (l *Link) Deadline() time.Time {
	d := l.lcp.at
	times := [...]time.Time{l.ipcp.at, l.ipv6cp.at, l.echoAt, l.setupAt, {}}
	if l.auth != nil {
		times[4] = l.auth.deadline()
	}
	for _, t := range times {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	return d
}

// echo asks a peer that was not heard for EchoEvery whether it is there.
func (l *Link) echo() {
	if at := l.lastHeard.Add(l.cfg.EchoEvery); at.After(l.now) {
		l.echoAt, l.missed = at, 0
		return
	}
	l.echoAt = l.now.Add(l.cfg.EchoEvery)
	if l.missed++; l.missed > l.cfg.EchoFails {
		l.end(PeerSilent, "")
		return
	}
	l.echoID++
	m := l.lcp.magic
	l.send(ProtoLCP, codeEchoReq, l.echoID, []byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)})
}

// Heard tells when something came from the peer that the link does not see, an IP
// packet say: it was alive then, and no echo request is needed for a while.
func (l *Link) Heard(at time.Time) {
	if at.Before(l.lastHeard) {
		return
	}
	l.lastHeard, l.missed = at, 0
	if !l.echoAt.IsZero() {
		l.echoAt = at.Add(l.cfg.EchoEvery)
	}
}

// Close ends the link: the peer is told, and EventEnd follows when it has
// confirmed or after two requests.
func (l *Link) Close(now time.Time, reason Reason, out *Out) {
	l.enter(now, out)
	l.end(reason, "")
}

// blame notes why the link ends; the first reason counts.
func (l *Link) blame(reason Reason, detail string) {
	if !l.blamed {
		l.blamed, l.reason, l.detail = true, reason, detail
	}
}

// end closes LCP, which ends all.
func (l *Link) end(reason Reason, detail string) {
	if l.phase == phaseTerminate || l.phase == phaseOver {
		return
	}
	l.blame(reason, detail)
	l.phase, l.setupAt = phaseTerminate, time.Time{}
	l.lcp.trigger(evClose)
	if l.lcp.state == closed || l.lcp.state == initial {
		l.over()
	}
}

// over: there is nothing left to do.
func (l *Link) over() {
	if l.phase == phaseOver {
		return
	}
	l.phase, l.auth = phaseOver, nil
	l.setupAt, l.echoAt = time.Time{}, time.Time{}
	l.event(EventEnd{Reason: l.reason, Detail: l.detail})
}

// Stats returns the counters.
func (l *Link) Stats() Stats { return l.stats }
