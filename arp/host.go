package arp

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"vhub/eth"
)

// Host is the virtual host of a client that has no Ethernet, such as a PPP
// link: it gives the client's IP packets an Ethernet header, asks for and
// answers for addresses in its name, and keeps out what is not for it.
//
// Route and Accept are the data path: they may be called by several
// goroutines at once, beside one that calls the other methods; they allocate
// nothing and take no lock. All other methods are one goroutine's.
type Host struct {
	cfg   HostConfig
	wants atomic.Pointer[map[netip.Addr]bool] // addresses that are asked for or probed; nil for none
	state atomic.Pointer[hostState]
	near  atomic.Pointer[map[netip.Addr]*near] // by next hop; copied on change

	asked    map[netip.Addr]*ask // nil: never any
	probe    *probe
	announce []time.Time
	sources6 []netip.Addr // that the client has used, oldest first
	prefixes []onLink
	router6  netip.Addr
	until6   time.Time // of the router
	Counters HostCounters

	// As Heeds last saw them.
	heededWants *map[netip.Addr]bool
	heededNear  *map[netip.Addr]*near
	heededState *hostState
}

// HostConfig is what a Host is made with.
type HostConfig struct {
	MAC  eth.Addr // of the virtual host, stable for user and device
	Hold int      // packets held for one unknown neighbour, default 16
}

// HostCounters count what a Host did not pass, by reason. They are the
// control goroutine's; Route and Accept give their reasons to the caller.
type HostCounters struct {
	Unreachable uint64 // packets whose next hop did not answer
	HeldTooMany uint64 // packets that made room for newer ones while their next hop was asked for
}

// Add adds the counters of another host.
func (c *HostCounters) Add(o HostCounters) {
	c.Unreachable += o.Unreachable
	c.HeldTooMany += o.HeldTooMany
}

// hostState is what the data path needs to know, never changed once published.
type hostState struct {
	addr4     netip.Addr // invalid: none yet
	prefix4   netip.Prefix
	router4   netip.Addr
	broadcast netip.Addr // of the prefix
	link6     netip.Addr // the client's link-local address
	addrs6    []netip.Addr
	prefixes6 []netip.Prefix
	router6   netip.Addr
}

// near is a neighbour whose address is known.
type near struct {
	mac   eth.Addr
	used  atomic.Int64 // seconds, when it was last a next hop
	check time.Time    // when it is looked at again; the control goroutine's
	asks  int          // since it last answered
}

// Pass is what Route and Accept decide.
type Pass uint8

// What to do with a packet or frame.
const (
	PassDrop    Pass = iota // count it by its reason
	PassData                // Route: send it to the MAC address; Accept: give it to the client
	PassControl             // hand a copy to FromClient or FromSegment, on the control goroutine
)

// Reason says why a packet or frame was dropped; its text is a counter's name.
type Reason uint8

// The reasons.
const (
	ReasonNone      Reason = iota
	ReasonMalformed        // no IP packet, or lengths that do not fit
	ReasonSource           // the sender's address is not the client's
	ReasonNoAddress        // the client has no address yet
	ReasonNotOurs          // a frame for somebody else
	ReasonProtocol         // neither IPv4 nor IPv6 nor ARP
)

var reasonNames = [...]string{"none", "malformed", "source-address", "no-address", "not-ours", "protocol"}

// String is the counter's name.
func (r Reason) String() string { return reasonNames[r] }

// Reasons is how many there are.
const Reasons = len(reasonNames)

// NewHost makes a Host without addresses.
func NewHost(cfg HostConfig) *Host {
	if cfg.Hold == 0 {
		cfg.Hold = 16
	}
	h := &Host{cfg: cfg}
	h.near.Store(&nobodyNear)
	h.state.Store(&nothing)
	return h
}

// What a Host begins with: both are copied on change.
var (
	nobodyNear = map[netip.Addr]*near{}
	nothing    hostState
)

// OpenIPv6 gives the client its link-local address: fe80:: with the interface
// identifier that IPV6CP agreed on (RFC 5072 section 5).
func (h *Host) OpenIPv6(id [8]byte) {
	b := [16]byte{0: 0xfe, 1: 0x80}
	copy(b[8:], id[:])
	s := *h.state.Load()
	s.link6 = netip.AddrFrom16(b)
	s.addrs6 = append([]netip.Addr{s.link6}, h.sources6...)
	h.state.Store(&s)
}

// CloseIPv6 takes the client's IPv6 addresses away.
func (h *Host) CloseIPv6() {
	s := *h.state.Load()
	s.link6, s.addrs6, h.sources6 = netip.Addr{}, nil, nil
	h.state.Store(&s)
}

// MAC is the host's address.
func (h *Host) MAC() eth.Addr { return h.cfg.MAC }

// Addr4 is the client's IPv4 address; invalid when it has none.
func (h *Host) Addr4() netip.Addr { return h.state.Load().addr4 }

// Addrs6 are the client's IPv6 addresses, the link-local one first.
func (h *Host) Addrs6() []netip.Addr { return h.state.Load().addrs6 }

// SetIPv4 gives the client its address. The prefix length is the segment's;
// router may be invalid, then everything counts as on the link. It announces
// the address on the segment.
func (h *Host) SetIPv4(now time.Time, addr netip.Prefix, router netip.Addr) {
	s := *h.state.Load()
	s.addr4, s.prefix4, s.router4 = addr.Addr(), addr.Masked(), router
	s.broadcast = netip.Addr{}
	if addr.Bits() < 31 {
		s.broadcast = lastAddr(s.prefix4)
	}
	h.state.Store(&s)
	for i := range 3 {
		h.announce = append(h.announce, now.Add(time.Duration(i)*hostAnnounce))
	}
}

// ClearIPv4 takes the address away: the lease is over.
func (h *Host) ClearIPv4() {
	s := *h.state.Load()
	s.addr4, s.prefix4, s.router4, s.broadcast = netip.Addr{}, netip.Prefix{}, netip.Addr{}, netip.Addr{}
	h.state.Store(&s)
	h.announce = nil
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	v := binary.BigEndian.Uint32(b[:]) | (1<<(32-p.Bits()) - 1)
	binary.BigEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

// Route decides where an IP packet of the client goes. nowSec is the time in
// seconds, of any epoch that the caller keeps to. On PassData dst is the
// destination MAC address and typ the EtherType of the frame to send, from the
// host's MAC. On PassControl hand a copy to FromClient.
func (h *Host) Route(nowSec int64, packet []byte) (dst eth.Addr, typ uint16, pass Pass, why Reason) {
	if len(packet) < 20 {
		return dst, 0, PassDrop, ReasonMalformed
	}
	switch packet[0] >> 4 {
	case 4:
		dst, pass, why = h.route4(nowSec, packet)
		return dst, eth.TypeIPv4, pass, why
	case 6:
		dst, pass, why = h.route6(nowSec, packet)
		return dst, eth.TypeIPv6, pass, why
	}
	return dst, 0, PassDrop, ReasonMalformed
}

func (h *Host) route4(nowSec int64, p []byte) (dst eth.Addr, pass Pass, why Reason) {
	s := h.state.Load()
	if !s.addr4.IsValid() {
		return dst, PassDrop, ReasonNoAddress
	}
	if total := int(binary.BigEndian.Uint16(p[2:])); total < 20 || total > len(p) {
		return dst, PassDrop, ReasonMalformed
	}
	if netip.AddrFrom4([4]byte(p[12:16])) != s.addr4 {
		return dst, PassDrop, ReasonSource
	}
	to := netip.AddrFrom4([4]byte(p[16:20]))
	switch {
	case p[16] >= 224 && p[16] < 240: // RFC 1112 section 6.4
		return eth.Addr{0x01, 0x00, 0x5e, p[17] & 0x7f, p[18], p[19]}, PassData, ReasonNone
	case to == s.broadcast || to == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return eth.Broadcast, PassData, ReasonNone
	}
	return h.nextHop(nowSec, s.hop4(to))
}

// hop4 is who takes a packet for an address: the station itself, or the router.
func (s *hostState) hop4(to netip.Addr) netip.Addr {
	if s.router4.IsValid() && !s.prefix4.Contains(to) {
		return s.router4
	}
	return to
}

func (h *Host) route6(nowSec int64, p []byte) (dst eth.Addr, pass Pass, why Reason) {
	if len(p) < 40 || int(binary.BigEndian.Uint16(p[4:]))+40 > len(p) {
		return dst, PassDrop, ReasonMalformed
	}
	s := h.state.Load()
	if !s.link6.IsValid() {
		return dst, PassDrop, ReasonNoAddress
	}
	src := netip.AddrFrom16([16]byte(p[8:24]))
	if p[6] == eth.ProtoICMPv6 && len(p) > 40 && (p[40] == eth.NDNeighborSolicit || p[40] == eth.NDNeighborAdvert || p[40] == eth.NDRouterSolicit) {
		return dst, PassControl, ReasonNone
	}
	if !s.owns6(src) {
		if s.may6(src) {
			return dst, PassControl, ReasonNone // an address the client made: learn it first
		}
		return dst, PassDrop, ReasonSource
	}
	if p[24] == 0xff { // RFC 2464 section 7
		return eth.Addr{0x33, 0x33, p[36], p[37], p[38], p[39]}, PassData, ReasonNone
	}
	return h.nextHop(nowSec, s.hop6(netip.AddrFrom16([16]byte(p[24:40]))))
}

func (s *hostState) owns6(a netip.Addr) bool {
	for _, x := range s.addrs6 {
		if x == a {
			return true
		}
	}
	return false
}

// may6 tells that the client may have made this address by autoconfiguration
// (RFC 4862, RFC 8981): its prefix was advertised on the segment.
func (s *hostState) may6(a netip.Addr) bool {
	for _, p := range s.prefixes6 {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (s *hostState) hop6(to netip.Addr) netip.Addr {
	if to.IsLinkLocalUnicast() || s.may6(to) || !s.router6.IsValid() {
		return to
	}
	return s.router6
}

func (h *Host) nextHop(nowSec int64, hop netip.Addr) (eth.Addr, Pass, Reason) {
	n := (*h.near.Load())[hop]
	if n == nil {
		return eth.Addr{}, PassControl, ReasonNone
	}
	if n.used.Load() != nowSec {
		n.used.Store(nowSec)
	}
	return n.mac, PassData, ReasonNone
}

// Accept decides about a frame of the segment. On PassData packet is the IP
// packet for the client, a view on the frame without padding. On PassControl
// hand a copy of the frame to FromSegment.
func (h *Host) Accept(frame []byte) (packet []byte, pass Pass, why Reason) {
	dst := eth.Destination(frame)
	if dst != h.cfg.MAC && !dst.IsGroup() {
		return nil, PassDrop, ReasonNotOurs
	}
	typ, off := eth.EtherType(frame)
	if off != eth.HeaderLen { // a tagged frame: the client is on no VLAN
		return nil, PassDrop, ReasonNotOurs
	}
	s := h.state.Load()
	switch typ {
	case eth.TypeARP:
		if h.ofInterest(s, frame[off:]) {
			return nil, PassControl, ReasonNone
		}
		return nil, PassDrop, ReasonNotOurs
	case eth.TypeIPv4:
		return s.accept4(frame[off:])
	case eth.TypeIPv6:
		return h.accept6(s, frame[off:])
	}
	return nil, PassDrop, ReasonProtocol
}

// ofInterest keeps the ARP of others, which every broadcast brings to every
// session, away from the control goroutine.
func (h *Host) ofInterest(s *hostState, p []byte) bool {
	if len(p) < 28 {
		return false
	}
	sender, target := netip.AddrFrom4([4]byte(p[14:18])), netip.AddrFrom4([4]byte(p[24:28]))
	if w := h.wants.Load(); w != nil && ((*w)[sender] || (*w)[target]) {
		return true
	}
	return target == s.addr4 || sender == s.addr4 || (*h.near.Load())[sender] != nil
}

// ofInterest6 does for neighbour discovery what ofInterest does for ARP. p is
// an IPv6 packet of a solicitation or an advertisement.
func (h *Host) ofInterest6(s *hostState, p []byte) bool {
	if len(p) < 64 {
		return false
	}
	if p[24] != 0xff { // to the client alone
		return true
	}
	sender, target := netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[48:64]))
	if w := h.wants.Load(); w != nil && ((*w)[sender] || (*w)[target]) {
		return true
	}
	near := *h.near.Load()
	return s.owns6(target) || near[sender] != nil || near[target] != nil
}

// Heeds returns the addresses whose ARP and neighbour discovery the host has a use
// for, as target or as sender: the client's own, those it asks for, those it knows. Some
// may stand twice. changed is false, and the list nil, when they are what they were when
// it was last called. Frames about other addresses need not be given to it.
func (h *Host) Heeds() (list []netip.Addr, changed bool) {
	wants, near, s := h.wants.Load(), h.near.Load(), h.state.Load()
	if wants == h.heededWants && near == h.heededNear && s == h.heededState {
		return nil, false
	}
	h.heededWants, h.heededNear, h.heededState = wants, near, s
	if s.addr4.IsValid() {
		list = append(list, s.addr4)
	}
	list = append(list, s.addrs6...)
	if wants != nil {
		for a := range *wants {
			list = append(list, a)
		}
	}
	for a := range *near {
		list = append(list, a)
	}
	return list, true
}

func (s *hostState) accept4(p []byte) ([]byte, Pass, Reason) {
	if len(p) < 20 || p[0]>>4 != 4 {
		return nil, PassDrop, ReasonMalformed
	}
	total := int(binary.BigEndian.Uint16(p[2:]))
	if total < 20 || total > len(p) {
		return nil, PassDrop, ReasonMalformed
	}
	if !s.addr4.IsValid() {
		return nil, PassDrop, ReasonNoAddress
	}
	to := netip.AddrFrom4([4]byte(p[16:20]))
	if to != s.addr4 && to != s.broadcast && p[16] < 224 {
		return nil, PassDrop, ReasonNotOurs
	}
	return p[:total], PassData, ReasonNone
}

func (h *Host) accept6(s *hostState, p []byte) ([]byte, Pass, Reason) {
	if len(p) < 40 || p[0]>>4 != 6 {
		return nil, PassDrop, ReasonMalformed
	}
	total := 40 + int(binary.BigEndian.Uint16(p[4:]))
	if total > len(p) {
		return nil, PassDrop, ReasonMalformed
	}
	if !s.link6.IsValid() {
		return nil, PassDrop, ReasonNoAddress
	}
	if p[24] != 0xff && !s.owns6(netip.AddrFrom16([16]byte(p[24:40]))) {
		return nil, PassDrop, ReasonNotOurs
	}
	if p[6] == eth.ProtoICMPv6 && total > 40 {
		switch p[40] {
		case eth.NDNeighborSolicit, eth.NDNeighborAdvert: // answered and learned here; PPP has no use for them
			if !h.ofInterest6(s, p) {
				return nil, PassDrop, ReasonNotOurs
			}
			return nil, PassControl, ReasonNone
		case eth.NDRouterAdvert: // learned here, and given to the client without link-layer options
			return nil, PassControl, ReasonNone
		}
	}
	return p[:total], PassData, ReasonNone
}
