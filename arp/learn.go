package arp

import (
	"time"

	"vhub/eth"
)

// claim learns what a frame says of its sender: "claimIP is at claimMAC". It
// returns Handled only for a claim that must not be spread.
func (s *Segment) claim(now time.Time, link Link, m *message, out *Out) Verdict {
	if !m.claimIP.IsValid() {
		return Forward // a probe teaches nothing (RFC 5227 section 2.1.1)
	}
	k := key{m.vlan, m.claimIP}
	n := s.table[k]
	if n != nil && !n.expires.IsZero() && !now.Before(n.expires) { // the sweep is late
		s.stats.Expired++
		s.remove(n)
		n = nil
	}
	switch {
	case n == nil:
		s.learn(now, k, link, m, out)
	case n.mac == m.claimMAC:
		s.confirm(now, n, link, m, out)
	default:
		return s.contest(now, n, link, m, out)
	}
	return Forward
}

// learn enters an address that nobody had.
func (s *Segment) learn(now time.Time, k key, link Link, m *message, out *Out) {
	if m.silentIP {
		return // no link-layer address in it: the Ethernet source may be a relay's
	}
	source := FromARP
	if k.ip.Is6() {
		source = FromND
	}
	if n := s.add(now, k, m.claimMAC, link, source); n != nil {
		s.confirm(now, n, link, m, out)
	}
}

// indirect tells a claim in a frame that another station sent: proxy ARP, a
// wireless extender, VRRP hosts that answer with the virtual MAC address.
func (m *message) indirect() bool { return m.claimMAC != m.src }

// confirm notes that the owner of an address was heard.
func (s *Segment) confirm(now time.Time, n *neighbour, link Link, m *message, out *Out) {
	if n.link != link && !m.indirect() && !n.fixed() {
		s.moveStation(now, n.vlan, n.mac, link, out)
		if s.table[n.key] != n {
			return // no room behind the new link
		}
	}
	s.stats.Confirmed++
	n.confirmed = now
	n.router = n.router && !m.noRouter || m.router
	if !n.fixed() {
		if e := now.Add(s.cfg.Age); e.After(n.expires) {
			n.expires = e
		}
	}
	if !n.fixed() && (n.tries > 0 || n.silent || n.tendTimer.pos == 0) {
		n.tries, n.silent = 0, false
		s.timers.set(&n.tendTimer, now.Add(s.interval(n)))
	}
	if n.rival != nil && n.rival.open {
		s.conflict(now, n, out)
	}
	if !n.introduced {
		n.introduced = true
		s.introduce(now, n, out)
	}
}

// moveStation puts all addresses of a station behind another link, tells all
// others, and refreshes the caches of those that talk with it.
func (s *Segment) moveStation(now time.Time, vlan uint16, mac eth.Addr, to Link, out *Out) {
	told := false
	for _, n := range all(s.stations[station{vlan, mac}]) {
		if n.link == to || n.fixed() {
			continue
		}
		from := n.link
		if len(s.links[to]) >= s.cfg.MaxPerLink && !s.dropSilent(to) {
			s.stats.LimitLink++
			s.full(now, n.key, mac, to)
			s.remove(n)
			continue
		}
		s.place(n, mac, to)
		if !n.movedAt.IsZero() && now.Sub(n.movedAt) < time.Second {
			continue // it flaps: the hub's guard is for that, and announcing it would not help
		}
		n.movedAt = now
		if !told {
			told = true
			s.event(Event{Kind: Moved, Time: now, VLAN: vlan, IP: n.ip, MAC: mac, Link: to, OtherLink: from})
		}
		s.announce(now, n, out)
		s.refreshUsers(now, n, out)
	}
}

// StationMoved tells that the hub's table moved a station from one link to
// another: its addresses go with it and are announced to everybody else.
func (s *Segment) StationMoved(now time.Time, vlan uint16, mac eth.Addr, from, to Link, out *Out) {
	s.mu.Lock()
	defer s.unlock()
	if from != to {
		s.moveStation(now, vlan, mac, to, out)
	}
}
