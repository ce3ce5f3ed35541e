package arp

import (
	"net/netip"
	"slices"
	"time"

	"vhub/eth"
)

const (
	announcements = 3 // of one neighbour: at once, after Retry, and after 1 s more
	// announceBatch neighbours of a link are announced every announcePause.
	announceBatch = 32
	announcePause = 10 * time.Millisecond
	// introduceBatch neighbours are introduced to a new station every introducePause.
	introduceBatch = 4
	introducePause = 10 * time.Millisecond
	// maxIntroducing introductions are under way at once.
	maxIntroducing = 64
)

// Announce tells everybody else which stations are behind link, by gratuitous
// ARP and unsolicited neighbour advertisements, three times. For a port that
// came back: stations that were silent while it was away are asked again.
func (s *Segment) Announce(now time.Time, link Link, out *Out) {
	s.mu.Lock()
	defer s.unlock()
	if !s.helping() {
		return
	}
	for i, n := range all(s.links[link]) {
		at := now.Add(time.Duration(i/announceBatch) * announcePause)
		if !n.fixed() {
			n.tries, n.silent = 0, false
			s.timers.set(&n.tendTimer, at)
		}
		n.announced = announcements
		s.timers.set(&n.announceTimer, at)
	}
	s.timers.run(now, out)
}

// announce begins to tell everybody else where a neighbour is.
func (s *Segment) announce(now time.Time, n *neighbour, out *Out) {
	if s.helping() && n.known() {
		n.announced = announcements
		s.announceNext(now, n, out)
	}
}

// announceNext is one announcement. In ARP it has the form of a request
// (RFC 5227 section 3), and that of a reply for hosts that only take those.
// In IPv6 it is an unsolicited advertisement to all nodes (RFC 4861 section 7.2.6).
func (s *Segment) announceNext(now time.Time, n *neighbour, out *Out) {
	if !s.helping() || !n.known() {
		return
	}
	s.stats.Announcements++
	if n.ip.Is4() {
		out.flood(n.link, eth.AppendGratuitousARP(out.room(), n.vlan, n.mac, n.ip))
		out.flood(n.link, eth.AppendARPReply(out.room(), n.vlan, eth.Broadcast, n.mac, n.ip, n.ip))
	} else {
		out.flood(n.link, eth.AppendNA(out.room(), n.vlan, eth.Addr{}, n.mac, netip.IPv6Unspecified(), n.ip, n.flags()))
	}
	if n.announced--; n.announced > 0 {
		pause := s.cfg.Retry
		if n.announced == 1 {
			pause = time.Second
		}
		s.timers.set(&n.announceTimer, now.Add(pause))
	}
}

// introduction tells a new station and the others of each other, by unicast,
// a few at a time: so the first question is answered even where it is lost.
type introduction struct {
	who    *neighbour
	others []key
	timer  timer
}

// introduce begins the introduction of a neighbour that was heard for the
// first time.
func (s *Segment) introduce(now time.Time, n *neighbour, out *Out) {
	if !s.helping() || s.introducing >= maxIntroducing || s.cfg.MaxIntroduced < 0 || !s.newcomers.take(now) {
		return
	}
	others := s.company(n)
	if len(others) == 0 {
		return
	}
	i := &introduction{who: n, others: others}
	i.timer.fire = func(now time.Time, out *Out) { s.introduceNext(now, i, out) }
	s.introducing++
	s.timers.set(&i.timer, now)
}

// company returns the neighbours that a new station is introduced to: those
// with the most conversations first (the gateway), then those heard last.
func (s *Segment) company(n *neighbour) []key {
	var list []*neighbour
	vouched := s.vouched(n.link) // two such can rely on their questions: nothing of the world is between them
	for _, x := range s.table {
		if x != n && !(vouched && s.vouched(x.link)) && x.vlan == n.vlan && x.ip.Is4() == n.ip.Is4() && x.ip.IsLinkLocalUnicast() == n.ip.IsLinkLocalUnicast() &&
			x.alive() && s.apart(n, x) {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b *neighbour) int {
		if d := len(b.usedBy) - len(a.usedBy); d != 0 {
			return d
		}
		if d := b.confirmed.Compare(a.confirmed); d != 0 {
			return d
		}
		return compareKeys(a.key, b.key)
	})
	keys := make([]key, 0, min(len(list), s.cfg.MaxIntroduced))
	for _, x := range list[:cap(keys)] {
		keys = append(keys, x.key)
	}
	return keys
}

func (s *Segment) introduceNext(now time.Time, i *introduction, out *Out) {
	n := i.who
	if s.table[n.key] != n || !s.helping() {
		i.others = nil
	}
	for range min(introduceBatch, len(i.others)) {
		x := s.table[i.others[0]]
		i.others = i.others[1:]
		if x != nil && x.alive() && n.alive() && s.apart(n, x) {
			s.introduceTo(out, n, x)
			s.introduceTo(out, x, n)
		}
	}
	if len(i.others) == 0 {
		s.introducing--
		return
	}
	s.timers.set(&i.timer, now.Add(introducePause))
}

func sortedKeys(pairs map[*neighbour]*pair) []*neighbour {
	list := make([]*neighbour, 0, len(pairs))
	for n := range pairs {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *neighbour) int { return compareKeys(a.key, b.key) })
	return list
}
