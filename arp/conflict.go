package arp

import (
	"time"

	"vhub/eth"
)

// rival is a second station that claims a neighbour's address. While it is
// open the owner is being probed: an owner that answers keeps the address, and
// that is a conflict; one that is silent has been replaced.
type rival struct {
	mac    eth.Addr
	link   Link
	open   bool
	lost   bool      // the owner answered: this is the second one
	opened time.Time // last
	tries  int
	timer  timer
}

const (
	rivalPause = 5 * time.Second  // between two times that an owner is probed for a rival that lost
	formerTime = 60 * time.Second // relay: an owner that comes back within it is in conflict with its successor
	ownerTries = 3                // probes to an owner before it is taken to be gone
)

// contest handles the claim of another station than the owner.
func (s *Segment) contest(now time.Time, n *neighbour, link Link, m *message, out *Out) Verdict {
	if m.weak || m.indirect() {
		return Forward // it neither proves nor disproves anything
	}
	if n.fixed() {
		s.report(now, n, m.claimMAC, link)
		return s.suppress(n, link, m, out)
	}
	if n.silent || n.confirmed.IsZero() {
		s.replace(now, n, m.claimMAC, link, m, out)
		return Forward
	}
	if !s.helping() {
		s.contestPassive(now, n, link, m, out)
		return Forward
	}
	r := n.rival
	switch {
	case r == nil || r.mac != m.claimMAC && !r.open:
		s.closeRival(n)
		n.rival = &rival{mac: m.claimMAC, link: link}
		n.rival.timer.fire = func(now time.Time, out *Out) { s.challenge(now, n, out) }
		s.openRival(now, n, out)
	case r.mac != m.claimMAC: // a third one, while the owner is being probed
	case !r.open && now.Sub(r.opened) >= rivalPause:
		r.link = link
		s.openRival(now, n, out)
	}
	if n.rival.lost && n.rival.mac == m.claimMAC {
		return s.suppress(n, link, m, out)
	}
	return Forward
}

// suppress keeps the second owner's claims from everybody but the first under
// proxy: the first must see them, to defend itself (RFC 5227 section 2.4).
func (s *Segment) suppress(n *neighbour, link Link, m *message, out *Out) Verdict {
	if s.cfg.Mode != Proxy || m.kind == question && m.ask != m.claimIP {
		return Forward
	}
	s.stats.DropConflict++
	switch {
	case n.link == 0 || !n.alive() || !s.allowed(link, n.link):
	case n.ip.Is4():
		out.add(n.link, eth.AppendARPReply(out.room(), n.vlan, n.mac, m.claimMAC, n.ip, n.ip))
	default:
		out.add(n.link, eth.AppendNA(out.room(), n.vlan, n.mac, m.claimMAC, n.ip, n.ip, eth.NAFlagOverride))
	}
	return Handled
}

func (s *Segment) openRival(now time.Time, n *neighbour, out *Out) {
	n.rival.open, n.rival.opened, n.rival.tries = true, now, 0
	s.challenge(now, n, out)
}

// challenge probes the owner once more, or gives its address to the rival.
func (s *Segment) challenge(now time.Time, n *neighbour, out *Out) {
	r := n.rival
	if !s.helping() {
		s.closeRival(n)
		return
	}
	if now.Before(n.probing) { // the owner probes for the address itself; a probe of ours would be a conflict to it
		s.timers.set(&r.timer, n.probing)
		return
	}
	if r.tries == ownerTries {
		s.replace(now, n, r.mac, r.link, nil, out)
		return
	}
	r.tries++
	s.probe(n, out)
	s.timers.set(&r.timer, now.Add(s.cfg.Retry))
}

// conflict is reached when an owner answers while a rival is open. Under
// proxy the first keeps the address, so others are told again that it does.
func (s *Segment) conflict(now time.Time, n *neighbour, out *Out) {
	r := n.rival
	r.open, r.lost = false, true
	s.timers.stop(&r.timer)
	s.report(now, n, r.mac, r.link)
	if s.cfg.Mode == Proxy {
		s.announce(now, n, out)
	}
}

// report tells of a conflict, once in a while.
func (s *Segment) report(now time.Time, n *neighbour, mac eth.Addr, link Link) {
	if !n.reported.IsZero() && n.reportedOf == mac && now.Sub(n.reported) < s.cfg.ConflictQuiet {
		return
	}
	n.reported, n.reportedOf = now, mac
	s.stats.Conflicts++
	s.event(Event{Kind: Conflict, Time: now, VLAN: n.vlan, IP: n.ip, MAC: n.mac, Link: n.link, OtherMAC: mac, OtherLink: link})
}

// contestPassive is for relay, which must not probe: the newest claim counts,
// and an owner that claims its address back soon is in conflict.
func (s *Segment) contestPassive(now time.Time, n *neighbour, link Link, m *message, out *Out) {
	if m.claimMAC == n.former && now.Sub(n.formerAt) < formerTime {
		mac, l := n.mac, n.link
		s.place(n, m.claimMAC, link)
		s.report(now, n, mac, l)
		n.former = eth.Addr{}
		return
	}
	if n.reportedOf == m.claimMAC && now.Sub(n.reported) < formerTime {
		return // known to be the second; the first was heard just now
	}
	s.replace(now, n, m.claimMAC, link, m, out)
}

// replace gives an address to another station.
func (s *Segment) replace(now time.Time, n *neighbour, mac eth.Addr, link Link, m *message, out *Out) {
	s.closeRival(n)
	if n.link != link && len(s.links[link]) >= s.cfg.MaxPerLink && !s.dropSilent(link) {
		s.stats.LimitLink++
		s.full(now, n.key, mac, link)
		s.remove(n)
		return
	}
	oldMAC, oldLink := n.mac, n.link
	s.place(n, mac, link)
	n.former, n.formerAt = oldMAC, now
	n.source, n.since, n.expires, n.router = FromARP, now, time.Time{}, false
	if n.ip.Is6() {
		n.source = FromND
	}
	if m == nil {
		m = &message{claimMAC: mac, src: mac}
	}
	s.confirm(now, n, link, m, out)
	s.event(Event{Kind: Replaced, Time: now, VLAN: n.vlan, IP: n.ip, MAC: mac, Link: link, OtherMAC: oldMAC, OtherLink: oldLink})
	s.announce(now, n, out)
	s.refreshUsers(now, n, out)
}

func (s *Segment) closeRival(n *neighbour) {
	if n.rival != nil {
		s.timers.stop(&n.rival.timer)
		n.rival = nil
	}
}
