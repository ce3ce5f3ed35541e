package arp

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"time"

	"vhub/eth"
)

// Timing of a Host. A login must not wait for RFC 5227's two to seven seconds
// of probing, so probes are fewer and closer: on a segment that vhub switches
// an answer takes milliseconds.
const (
	hostProbes     = 2
	hostProbeEvery = 100 * time.Millisecond
	hostAnnounce   = time.Second
	hostTries      = 4
	hostAskEvery   = 250 * time.Millisecond // doubled with each try
	silence        = 3 * time.Second        // how long an unreachable neighbour is not asked for again
	freshFor       = 60 * time.Second       // then a neighbour in use is asked again, unicast
	forgetAfter    = 10 * time.Minute       // unused
	maxNear        = 1024
	maxAsked       = 64
	maxSources6    = 16
	maxPrefixes6   = 8
)

// HostOut is what a call of a Host brings about. Its byte slices are the
// receiver's until Reset.
type HostOut struct {
	Frames  [][]byte // for the segment
	Packets [][]byte // IP packets for the client
	Free    bool     // the address that was probed is free
	Taken   eth.Addr // not zero: somebody has the address that was probed, or the client's own (conflict)
}

// Reset empties it.
func (o *HostOut) Reset() { *o = HostOut{Frames: o.Frames[:0], Packets: o.Packets[:0]} }

type ask struct {
	tries  int
	at     time.Time
	held   [][]byte // IP packets of the client, with their EtherTypes to be told by their version
	failed bool     // given up; at is when the silence ends
}

type probe struct {
	addr netip.Addr
	sent int
	at   time.Time
}

type onLink struct {
	prefix netip.Prefix
	until  time.Time
}

// Probe begins to find out whether somebody on the segment has an IPv4
// address already; HostOut.Free or Taken answers within 300 ms.
func (h *Host) Probe(now time.Time, addr netip.Addr, out *HostOut) {
	h.probe = &probe{addr: addr, at: now}
	h.Advance(now, out)
}

// FromClient takes a packet that Route gave PassControl for.
func (h *Host) FromClient(now time.Time, packet []byte, out *HostOut) {
	if len(packet) >= 40 && packet[0]>>4 == 6 {
		h.fromClient6(now, packet, out)
		return
	}
	if len(packet) < 20 {
		return
	}
	s := h.state.Load()
	h.resolve(now, s.hop4(netip.AddrFrom4([4]byte(packet[16:20]))), packet, out)
}

func (h *Host) fromClient6(now time.Time, p []byte, out *HostOut) {
	src := netip.AddrFrom16([16]byte(p[8:24]))
	if p[6] == eth.ProtoICMPv6 && len(p) >= 48 {
		switch p[40] {
		case eth.NDRouterSolicit: // as it is, but for a link-layer option that PPP has not
			out.Frames = append(out.Frames, h.frame(eth.Addr{0x33, 0x33, 0, 0, 0, 2}, eth.TypeIPv6, p))
			return
		case eth.NDNeighborSolicit:
			h.clientAsks(now, src, p, out)
			return
		case eth.NDNeighborAdvert:
			return // said to the link, which is us; the segment hears it when it asks
		}
	}
	s := h.state.Load()
	if !s.owns6(src) {
		if !s.may6(src) {
			return
		}
		h.learnSource(src)
		s = h.state.Load()
		out.Frames = append(out.Frames, eth.AppendNA(nil, 0, eth.Addr{}, h.cfg.MAC, netip.Addr{}, src, eth.NAFlagOverride))
	}
	if dst, _, pass, _ := h.Route(now.Unix(), p); pass == PassData {
		out.Frames = append(out.Frames, h.frame(dst, eth.TypeIPv6, p))
		return
	}
	h.resolve(now, s.hop6(netip.AddrFrom16([16]byte(p[24:40]))), p, out)
}

// clientAsks takes a neighbour solicitation of the client. Duplicate address
// detection goes to the segment in the host's name; a question for a
// neighbour is answered at once, since on PPP the answer carries no address
// and the host asks the segment when the first packet comes.
func (h *Host) clientAsks(now time.Time, src netip.Addr, p []byte, out *HostOut) {
	if len(p) < 64 {
		return
	}
	target := netip.AddrFrom16([16]byte(p[48:64]))
	s := h.state.Load()
	if src.IsUnspecified() {
		if s.may6(target) {
			h.learnSource(target)
		}
		if s.may6(target) || s.owns6(target) {
			out.Frames = append(out.Frames, eth.AppendNS(nil, 0, eth.Addr{}, h.cfg.MAC, netip.IPv6Unspecified(), target))
		}
		return
	}
	if s.owns6(target) || !s.owns6(src) {
		return
	}
	na := eth.AppendNA(nil, 0, h.cfg.MAC, h.cfg.MAC, src, target, eth.NAFlagSolicited|eth.NAFlagOverride)
	if pkt, ok := stripLinkOptions(na[eth.HeaderLen:], 24); ok {
		out.Packets = append(out.Packets, pkt)
	}
}

func (h *Host) learnSource(a netip.Addr) {
	h.sources6 = append(h.sources6, a)
	if len(h.sources6) > maxSources6 {
		h.sources6 = h.sources6[1:]
	}
	s := *h.state.Load()
	s.addrs6 = append([]netip.Addr{s.link6}, h.sources6...)
	h.state.Store(&s)
}

// frame builds an Ethernet frame around an IP packet.
func (h *Host) frame(dst eth.Addr, typ uint16, packet []byte) []byte {
	f := eth.AppendHeader(make([]byte, 0, eth.HeaderLen+len(packet)), 0, dst, h.cfg.MAC, typ)
	return append(f, packet...)
}

// resolve asks for a next hop and holds the packet until it is known.
func (h *Host) resolve(now time.Time, hop netip.Addr, packet []byte, out *HostOut) {
	if n := (*h.near.Load())[hop]; n != nil { // it answered in between
		out.Frames = append(out.Frames, h.frame(n.mac, etherType(packet), packet))
		return
	}
	a := h.asked[hop]
	switch {
	case a == nil && len(h.asked) >= maxAsked, a != nil && a.failed:
		h.Counters.Unreachable++
		return
	case a == nil:
		a = &ask{at: now}
		if h.asked == nil {
			h.asked = map[netip.Addr]*ask{}
		}
		h.asked[hop] = a
	}
	if len(a.held) >= h.cfg.Hold {
		a.held = a.held[1:] // the oldest goes: what is newest is most likely still wanted
		h.Counters.HeldTooMany++
	}
	a.held = append(a.held, slices.Clone(packet))
	h.Advance(now, out)
}

func etherType(packet []byte) uint16 {
	if packet[0]>>4 == 6 {
		return eth.TypeIPv6
	}
	return eth.TypeIPv4
}

// question builds the frame that asks for an address: broadcast, or to the
// station that had it.
func (h *Host) question(addr netip.Addr, to eth.Addr) []byte {
	s := h.state.Load()
	if addr.Is6() {
		return eth.AppendNS(nil, 0, to, h.cfg.MAC, s.link6, addr)
	}
	if to.IsZero() {
		to = eth.Broadcast
	}
	from := s.addr4
	if !from.IsValid() {
		from = netip.IPv4Unspecified()
	}
	return eth.AppendARPRequest(nil, 0, to, h.cfg.MAC, from, addr)
}

// count tells the data path which answers are awaited.
func (h *Host) count() {
	if h.probe == nil && len(h.asked) == 0 {
		h.wants.Store(nil)
		return
	}
	if w := h.wants.Load(); w != nil && h.wanted(*w) {
		return
	}
	w := make(map[netip.Addr]bool, len(h.asked)+1)
	for a := range h.asked {
		w[a] = true
	}
	if h.probe != nil {
		w[h.probe.addr] = true
	}
	h.wants.Store(&w)
}

// wanted tells whether w is what is awaited now.
func (h *Host) wanted(w map[netip.Addr]bool) bool {
	n := len(h.asked)
	for a := range h.asked {
		if !w[a] {
			return false
		}
	}
	if h.probe != nil && h.asked[h.probe.addr] == nil {
		n++
	}
	return n == len(w) && (h.probe == nil || w[h.probe.addr])
}

// FromSegment takes a frame that Accept gave PassControl for.
func (h *Host) FromSegment(now time.Time, frame []byte, out *HostOut) {
	defer h.count()
	l := eth.Parse(frame)
	switch {
	case l.EtherType == eth.TypeARP:
		if a := l.ARP(frame); a != nil {
			h.arp(now, a, out)
		}
	case l.IP == 6 && l.Proto == eth.ProtoICMPv6:
		if nd := l.ND(frame); nd != nil && l.ChecksumValid(frame) {
			h.nd(now, frame, l.IPv6(frame), nd, out)
		}
	}
}

func (h *Host) arp(now time.Time, a eth.ARP, out *HostOut) {
	from, mac := a.SenderIP(), a.SenderMAC()
	if !isStation(mac) || mac == h.cfg.MAC {
		return
	}
	if h.probe != nil && (from == h.probe.addr || (a.IsProbe() && a.TargetIP() == h.probe.addr)) {
		h.probe = nil
		out.Taken = mac
	}
	own := h.state.Load().addr4
	switch {
	case own.IsValid() && from == own:
		// RFC 5227 section 2.4: defend once by an announcement, and say so.
		out.Taken = mac
		out.Frames = append(out.Frames, eth.AppendGratuitousARP(nil, 0, h.cfg.MAC, own))
		return
	case own.IsValid() && a.TargetIP() == own && a.Op() == eth.ARPRequest:
		to := from
		if !to.IsValid() || to.IsUnspecified() {
			to = netip.IPv4Unspecified()
		}
		out.Frames = append(out.Frames, eth.AppendARPReply(nil, 0, mac, h.cfg.MAC, own, to))
	}
	if !from.IsUnspecified() {
		h.learn(now, from, mac, a.TargetIP() == own, out)
	}
}

func (h *Host) nd(now time.Time, frame []byte, ip eth.IPv6, nd eth.ND, out *HostOut) {
	s := h.state.Load()
	from := ip.Src()
	switch nd.Type() {
	case eth.NDNeighborSolicit:
		link, has := nd.SourceLink()
		if has && !from.IsUnspecified() {
			h.learn(now, from, link, s.owns6(nd.Target()), out)
		}
		if !s.owns6(nd.Target()) {
			return
		}
		if from.IsUnspecified() { // duplicate address detection: defend to all nodes
			out.Frames = append(out.Frames, eth.AppendNA(nil, 0, eth.Addr{}, h.cfg.MAC, netip.Addr{}, nd.Target(), eth.NAFlagOverride))
			return
		}
		if !has {
			link = eth.Source(frame)
		}
		out.Frames = append(out.Frames, eth.AppendNA(nil, 0, link, h.cfg.MAC, from, nd.Target(), eth.NAFlagSolicited|eth.NAFlagOverride))
	case eth.NDNeighborAdvert:
		if link, ok := nd.TargetLink(); ok && isStation(link) && link != h.cfg.MAC {
			h.learn(now, nd.Target(), link, true, out)
			if s.owns6(nd.Target()) { // it has the address that our client wants: the client must hear it
				if pkt, ok := stripLinkOptions(ip, 24); ok {
					out.Packets = append(out.Packets, pkt)
				}
			}
		}
	case eth.NDRouterAdvert:
		h.routerAdvert(now, frame, ip, nd)
		if pkt, ok := stripLinkOptions(ip, 16); ok {
			out.Packets = append(out.Packets, pkt)
		}
	}
}

// routerAdvert learns the router and the prefixes that are on the link or that
// addresses may be made from (RFC 4861 section 4.6.2).
func (h *Host) routerAdvert(now time.Time, frame []byte, ip eth.IPv6, nd eth.ND) {
	from := ip.Src()
	if !from.IsLinkLocalUnicast() || len(nd) < 16 {
		return
	}
	link, ok := nd.SourceLink()
	if !ok {
		link = eth.Source(frame)
	}
	var discard HostOut
	h.learn(now, from, link, true, &discard)
	if life := time.Duration(binary.BigEndian.Uint16(nd[6:])) * time.Second; life > 0 {
		h.router6, h.until6 = from, now.Add(life)
	} else if h.router6 == from {
		h.router6 = netip.Addr{}
	}
	for o := nd[16:]; len(o) >= 8; {
		n := int(o[1]) * 8
		if n == 0 || n > len(o) {
			break
		}
		if o[0] == 3 && n == 32 && o[2] <= 128 && o[3]&0xc0 != 0 { // Prefix Information, on-link or autonomous
			h.learnPrefix(now, netip.PrefixFrom(netip.AddrFrom16([16]byte(o[16:32])), int(o[2])).Masked(),
				time.Duration(binary.BigEndian.Uint32(o[4:]))*time.Second)
		}
		o = o[n:]
	}
	h.publish6()
}

func (h *Host) learnPrefix(now time.Time, p netip.Prefix, life time.Duration) {
	if p.Bits() < 16 || p.Addr().IsLinkLocalUnicast() || p.Addr().IsMulticast() {
		return
	}
	h.prefixes = slices.DeleteFunc(h.prefixes, func(o onLink) bool { return o.prefix == p })
	if life > 0 && len(h.prefixes) < maxPrefixes6 {
		h.prefixes = append(h.prefixes, onLink{p, now.Add(life)})
	}
}

func (h *Host) publish6() {
	s := *h.state.Load()
	s.router6, s.prefixes6 = h.router6, nil
	for _, p := range h.prefixes {
		s.prefixes6 = append(s.prefixes6, p.prefix)
	}
	h.state.Store(&s)
}

// learn notes where a neighbour is: one that was asked for, one that is known,
// or (wanted) one that speaks to us. It sends what was held.
func (h *Host) learn(now time.Time, addr netip.Addr, mac eth.Addr, wanted bool, out *HostOut) {
	if !isStation(mac) || !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return
	}
	old := *h.near.Load()
	known, a := old[addr], h.asked[addr]
	if known == nil && a == nil && !wanted {
		return
	}
	if known != nil && known.mac == mac {
		known.check, known.asks = now.Add(freshFor), 0
	} else {
		if known == nil && len(old) >= maxNear {
			return
		}
		next := maps.Clone(old)
		n := &near{mac: mac, check: now.Add(freshFor)}
		n.used.Store(now.Unix())
		next[addr] = n
		h.near.Store(&next)
	}
	if a != nil {
		delete(h.asked, addr)
		for _, p := range a.held {
			out.Frames = append(out.Frames, h.frame(mac, etherType(p), p))
		}
	}
}

// Advance does what is due.
func (h *Host) Advance(now time.Time, out *HostOut) {
	defer h.count()
	h.advanceProbe(now, out)
	own := h.state.Load().addr4
	for len(h.announce) > 0 && !now.Before(h.announce[0]) {
		h.announce = h.announce[1:]
		if own.IsValid() {
			out.Frames = append(out.Frames, eth.AppendGratuitousARP(nil, 0, h.cfg.MAC, own))
		}
	}
	for addr, a := range h.asked {
		if now.Before(a.at) {
			continue
		}
		switch {
		case a.failed:
			delete(h.asked, addr)
		case a.tries >= hostTries:
			h.Counters.Unreachable += uint64(len(a.held))
			a.held, a.failed, a.at = nil, true, now.Add(silence)
		default:
			out.Frames = append(out.Frames, h.question(addr, eth.Addr{}))
			a.at = now.Add(hostAskEvery << a.tries)
			a.tries++
		}
	}
	h.refresh(now, out)
	if h.router6.IsValid() && !now.Before(h.until6) {
		h.router6 = netip.Addr{}
		h.publish6()
	}
	if slices.ContainsFunc(h.prefixes, func(o onLink) bool { return !now.Before(o.until) }) {
		h.prefixes = slices.DeleteFunc(h.prefixes, func(o onLink) bool { return !now.Before(o.until) })
		h.publish6()
	}
}

func (h *Host) advanceProbe(now time.Time, out *HostOut) {
	p := h.probe
	if p == nil || now.Before(p.at) {
		return
	}
	if p.sent >= hostProbes {
		h.probe = nil
		out.Free = true
		return
	}
	out.Frames = append(out.Frames, eth.AppendARPRequest(nil, 0, eth.Broadcast, h.cfg.MAC, netip.IPv4Unspecified(), p.addr))
	p.sent++
	p.at = now.Add(hostProbeEvery)
}

// refresh asks neighbours in use again before they grow stale, and forgets
// those that are not used or do not answer.
func (h *Host) refresh(now time.Time, out *HostOut) {
	old := *h.near.Load()
	var gone []netip.Addr
	for addr, n := range old {
		unused := now.Unix() - n.used.Load()
		switch {
		case now.Before(n.check):
		case unused > int64(forgetAfter/time.Second), n.asks >= hostTries:
			gone = append(gone, addr) // the next packet asks anew, by broadcast
		case unused < int64(freshFor/time.Second):
			out.Frames = append(out.Frames, h.question(addr, n.mac))
			n.asks++
			n.check = now.Add(time.Second)
		default:
			n.check = now.Add(freshFor)
		}
	}
	if len(gone) == 0 {
		return
	}
	next := maps.Clone(old)
	for _, a := range gone {
		delete(next, a)
	}
	h.near.Store(&next)
}

// Deadline is when Advance has something to do next; zero for never.
func (h *Host) Deadline() (next time.Time) {
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if h.probe != nil {
		sooner(h.probe.at)
	}
	if len(h.announce) > 0 {
		sooner(h.announce[0])
	}
	for _, a := range h.asked {
		sooner(a.at)
	}
	for _, n := range *h.near.Load() {
		sooner(n.check)
	}
	if h.router6.IsValid() {
		sooner(h.until6)
	}
	for _, p := range h.prefixes {
		sooner(p.until)
	}
	return next
}

// stripLinkOptions copies an ICMPv6 packet without its source and target
// link-layer options (fixed is the length of the message before options), as
// PPP has no such addresses and Windows 11 refuses advertisements with them.
func stripLinkOptions(p []byte, fixed int) ([]byte, bool) {
	total := 40 + int(binary.BigEndian.Uint16(p[4:]))
	if total > len(p) || total < 40+fixed || p[6] != eth.ProtoICMPv6 {
		return nil, false
	}
	q := slices.Clone(p[:40+fixed])
	for o := p[40+fixed : total]; len(o) >= 8; {
		n := int(o[1]) * 8
		if n == 0 || n > len(o) {
			return nil, false
		}
		if o[0] != 1 && o[0] != 2 {
			q = append(q, o[:n]...)
		}
		o = o[n:]
	}
	binary.BigEndian.PutUint16(q[4:], uint16(len(q)-40))
	q[42], q[43] = 0, 0
	sum := ^eth.Sum(q[40:], eth.PseudoSum(q[8:24], q[24:40], eth.ProtoICMPv6, len(q)-40))
	binary.BigEndian.PutUint16(q[42:], sum)
	return q, true
}
