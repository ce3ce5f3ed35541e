package arp

import (
	"net/netip"
	"slices"
	"time"

	"vhub/eth"
)

type key struct {
	vlan uint16
	ip   netip.Addr
}

type station struct {
	vlan uint16
	mac  eth.Addr
}

// neighbour is one address and the station that has it.
type neighbour struct {
	key
	mac    eth.Addr
	link   Link
	source Source
	router bool

	since     time.Time
	confirmed time.Time // zero: never heard, only leased
	expires   time.Time // zero for static ones
	tries     int       // probes since the last confirmation
	silent    bool
	probing   time.Time // no probe before: the station itself is probing for the address

	introduced bool
	movedAt    time.Time
	announced  int // announcements still to make

	atStation, atLink int // places in the lists of the station's and the link's

	tendTimer     timer
	announceTimer timer

	uses   map[*neighbour]*pair // conversations in which this station's cache is kept
	usedBy map[*neighbour]*pair // the opposite ends

	rival      *rival
	reported   time.Time // when the last conflict was reported
	reportedOf eth.Addr  // with whom
	former     eth.Addr  // relay: the owner before the last replacement
	formerAt   time.Time
}

// fixed tells a static neighbour: always taken as alive, never taken over.
func (n *neighbour) fixed() bool { return n.source == FromStatic }

// known tells whether questions for it are worth sending to it.
func (n *neighbour) known() bool {
	return n.fixed() || !n.silent && !n.confirmed.IsZero()
}

// alive tells whether others may be told of it: it answered lately.
func (n *neighbour) alive() bool { return n.fixed() || n.known() && n.tries < 3 }

func (n *neighbour) flags() uint8 {
	if n.router {
		return eth.NAFlagRouter | eth.NAFlagOverride
	}
	return eth.NAFlagOverride
}

// add enters an address. It returns nil at a limit; a silent neighbour of the
// same link makes room at the link's.
func (s *Segment) add(now time.Time, k key, mac eth.Addr, link Link, source Source) *neighbour {
	if source != FromStatic {
		if len(s.links[link]) >= s.cfg.MaxPerLink && !s.dropSilent(link) {
			s.stats.LimitLink++
			s.full(now, k, mac, link)
			return nil
		}
		if len(s.table) >= s.cfg.MaxNeighbours && !s.dropSilent(link) {
			s.stats.LimitHub++
			s.full(now, k, mac, link)
			return nil
		}
	}
	n := &neighbour{key: k, mac: mac, link: link, source: source, since: now}
	n.tendTimer.fire = func(now time.Time, out *Out) { s.tend(now, n, out) }
	n.announceTimer.fire = func(now time.Time, out *Out) { s.announceNext(now, n, out) }
	s.table[k] = n
	s.index(n)
	s.stats.Learned++
	return n
}

func (s *Segment) dropSilent(link Link) bool {
	for _, n := range s.links[link] {
		if n.silent {
			s.remove(n)
			return true
		}
	}
	return false
}

func (s *Segment) full(now time.Time, k key, mac eth.Addr, link Link) {
	if !s.fullAt.IsZero() && now.Sub(s.fullAt) < time.Minute {
		return
	}
	s.fullAt = now
	s.event(Event{Kind: Full, Time: now, VLAN: k.vlan, IP: k.ip, MAC: mac, Link: link})
}

func (s *Segment) index(n *neighbour) {
	k := station{n.vlan, n.mac}
	n.atStation, n.atLink = len(s.stations[k]), len(s.links[n.link])
	s.stations[k] = append(s.stations[k], n)
	s.links[n.link] = append(s.links[n.link], n)
}

// unindex has the last of each list take its place.
func (s *Segment) unindex(n *neighbour) {
	k := station{n.vlan, n.mac}
	of := s.stations[k]
	last := of[len(of)-1]
	of[n.atStation], last.atStation = last, n.atStation
	shorten(s.stations, k)
	of = s.links[n.link]
	last = of[len(of)-1]
	of[n.atLink], last.atLink = last, n.atLink
	shorten(s.links, n.link)
}

func shorten[K comparable](m map[K][]*neighbour, k K) {
	of := m[k]
	of[len(of)-1] = nil
	if m[k] = of[:len(of)-1]; len(m[k]) == 0 {
		delete(m, k)
	}
}

// place gives a neighbour another owner or link.
func (s *Segment) place(n *neighbour, mac eth.Addr, link Link) {
	s.unindex(n)
	n.mac, n.link = mac, link
	s.index(n)
}

func (s *Segment) remove(n *neighbour) {
	s.timers.stop(&n.tendTimer)
	s.timers.stop(&n.announceTimer)
	s.closeRival(n)
	for _, p := range n.uses {
		s.dropPair(p)
	}
	for _, p := range n.usedBy {
		s.dropPair(p)
	}
	s.unindex(n)
	delete(s.table, n.key)
}

// all returns a copy of a list in a fixed order, so that what is sent does not
// depend on who went before.
func all(of []*neighbour) []*neighbour {
	list := slices.Clone(of)
	slices.SortFunc(list, func(a, b *neighbour) int { return compareKeys(a.key, b.key) })
	return list
}

func compareKeys(a, b key) int {
	if a.vlan != b.vlan {
		return int(a.vlan) - int(b.vlan)
	}
	return a.ip.Compare(b.ip)
}

func (n *neighbour) export() Neighbour {
	return Neighbour{
		VLAN: n.vlan, IP: n.ip, MAC: n.mac, Link: n.link, Source: n.source,
		Since: n.since, Confirmed: n.confirmed, Expires: n.expires,
		Silent: n.silent, Router: n.router, Users: len(n.usedBy),
	}
}
