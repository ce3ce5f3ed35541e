package arp

import (
	"net/netip"
	"time"

	"vhub/eth"
)

// pair is one direction of a conversation: user's cache entry of target is
// kept fresh. Linux takes a unicast ARP reply, or a solicited neighbour
// advertisement, for an entry that it has as a proof of reachability
// (RFC 4861 section 7.3.3), whether it asked or not; for an entry that it has
// not, it takes a request from the station for its own address.
type pair struct {
	user, target *neighbour
	heard        time.Time // last sign of the conversation
	proven       bool      // the user was heard asking by unicast: it can do so again
	rounds       int
	timer        timer
}

const (
	probeTries = 4  // unanswered probes, each after twice the time, until a station is silent
	askRounds  = 12 // every so many refreshes, one that also makes an entry where there is none
)

// interval is the time between two probes of a station that answers.
func (s *Segment) interval(n *neighbour) time.Duration {
	idle := s.cfg.Idle
	if s.vouched(n.link) {
		idle = max(idle, s.cfg.Age/2)
	} else if len(n.usedBy) > 0 {
		return s.cfg.Keep
	}
	// Stations that came together are not probed together: up to a quarter less.
	spread := uint32(n.mac[4])<<8 | uint32(n.mac[5])
	b := n.ip.As16()
	spread = (spread*31 + uint32(b[15])) * 2654435761 >> 16
	return idle - idle/4*time.Duration(spread&0xff)/256
}

func (s *Segment) vouched(l Link) bool { return s.cfg.Vouched != nil && s.cfg.Vouched(l) }

// tend is the timer of a neighbour: it probes it when it is due, and removes
// it when its time is over.
func (s *Segment) tend(now time.Time, n *neighbour, out *Out) {
	if n.fixed() {
		return
	}
	if !now.Before(n.expires) {
		s.stats.Expired++
		s.remove(n)
		return
	}
	next := now.Add(s.cfg.Idle)
	switch due := n.confirmed.Add(s.interval(n)); {
	case !s.helping():
	case now.Before(n.probing):
		next = n.probing
	case n.tries == 0 && now.Before(due): // it was heard in the meantime
		next = due
	case n.silent || n.confirmed.IsZero(): // it may come back: ask now and then
		s.probe(n, out)
	case n.tries >= probeTries:
		n.silent = true
		s.event(Event{Kind: Silent, Time: now, VLAN: n.vlan, IP: n.ip, MAC: n.mac, Link: n.link})
	default:
		s.probe(n, out)
		next = now.Add(s.cfg.Retry << n.tries)
		n.tries++
	}
	if next.After(n.expires) {
		next = n.expires
	}
	s.timers.set(&n.tendTimer, next)
}

// verify probes a station at once, unless that is under way.
func (s *Segment) verify(now time.Time, n *neighbour, out *Out) {
	if n.fixed() || n.tries > 0 || n.silent || now.Before(n.probing) {
		return
	}
	s.probe(n, out)
	n.tries = 1
	s.timers.set(&n.tendTimer, now.Add(s.cfg.Retry))
}

// probe asks a station, and only it, whether it is there. The sender address
// 0.0.0.0 teaches it nothing (RFC 5227 section 1.1). In IPv6 the unspecified
// address would be answered to all nodes, so the hub's link-local address asks.
func (s *Segment) probe(n *neighbour, out *Out) {
	s.stats.Probes++
	if n.ip.Is4() {
		out.add(n.link, eth.AppendARPRequest(out.room(), n.vlan, n.mac, s.cfg.HubMAC, netip.IPv4Unspecified(), n.ip))
		return
	}
	out.add(n.link, eth.AppendNS(out.room(), n.vlan, n.mac, s.cfg.HubMAC, s.hubLocal, n.ip))
}

// talk notes that user asked for target, and tells whether that is new to
// target. Both will have a cache entry for the other, and both are kept: one of
// them may be on a leg that loses questions.
func (s *Segment) talk(now time.Time, user, target *neighbour, unicast bool) bool {
	if user.ip.Is4() != target.ip.Is4() || !s.apart(user, target) {
		return false
	}
	if p := s.pair(now, user, target); p != nil && unicast {
		p.proven = true
	}
	if target.uses[user] != nil {
		s.pair(now, target, user)
		return false
	}
	p := s.pair(now, target, user)
	if p == nil {
		return false
	}
	s.timers.set(&p.timer, now.Add(s.cfg.Retry)) // after the question, which makes the entry
	return true
}

// pair returns the conversation of user with target, made where there is none.
// nil: there are too many.
func (s *Segment) pair(now time.Time, user, target *neighbour) *pair {
	if p := user.uses[target]; p != nil {
		p.heard = now
		return p
	}
	if len(user.uses) >= s.cfg.MaxUses {
		s.dropPair(oldest(user.uses))
	}
	if s.pairs >= s.cfg.MaxPairs {
		return nil
	}
	p := &pair{user: user, target: target, heard: now}
	p.timer.fire = func(now time.Time, out *Out) { s.keep(now, p, out) }
	if user.uses == nil {
		user.uses = make(map[*neighbour]*pair)
	}
	if target.usedBy == nil {
		target.usedBy = make(map[*neighbour]*pair)
	}
	user.uses[target], target.usedBy[user] = p, p
	s.pairs++
	s.timers.set(&p.timer, now.Add(s.cfg.Keep))
	if !target.fixed() && target.tries == 0 && !target.confirmed.IsZero() {
		s.timers.pull(&target.tendTimer, target.confirmed.Add(s.cfg.Keep))
	}
	return p
}

func oldest(pairs map[*neighbour]*pair) *pair {
	var o *pair
	for _, p := range pairs {
		if o == nil || p.heard.Before(o.heard) || p.heard.Equal(o.heard) && compareKeys(p.target.key, o.target.key) < 0 {
			o = p
		}
	}
	return o
}

func (s *Segment) dropPair(p *pair) {
	s.timers.stop(&p.timer)
	delete(p.user.uses, p.target)
	delete(p.target.usedBy, p.user)
	s.pairs--
}

// keep is the timer of a conversation. One that was not heard of for long goes
// if its user can be relied on to ask again by unicast. Where it was never
// heard to do that, its leg may lose all its questions: it is kept as long as
// both stations are there, and within the limits.
func (s *Segment) keep(now time.Time, p *pair, out *Out) {
	if p.proven && now.Sub(p.heard) >= s.cfg.PairAge {
		s.dropPair(p)
		return
	}
	if s.helping() && p.target.alive() && p.user.alive() && s.apart(p.user, p.target) {
		p.rounds++
		if p.rounds%askRounds == 0 {
			s.introduceTo(out, p.user, p.target)
		}
		s.refresh(out, p)
	}
	s.timers.set(&p.timer, now.Add(s.cfg.Keep))
}

// refresh makes the user's cache entry of the target reachable.
func (s *Segment) refresh(out *Out, p *pair) {
	if p.user.link == 0 {
		return
	}
	s.stats.Refreshes++
	s.tell(out, p.user.link, p.user.mac, p.user.ip, p.target)
}

// introduceTo makes a cache entry of a neighbour in a station that may have
// none: the neighbour asks for the station's address. The station's answer
// goes to the neighbour, and refreshes that one's cache.
func (s *Segment) introduceTo(out *Out, to, n *neighbour) {
	if to.link == 0 {
		return
	}
	s.stats.Introductions++
	if n.ip.Is4() {
		out.add(to.link, eth.AppendARPRequest(out.room(), n.vlan, to.mac, n.mac, n.ip, to.ip))
		return
	}
	out.add(to.link, eth.AppendNS(out.room(), n.vlan, to.mac, n.mac, n.ip, to.ip))
}

// refreshUsers tells all who talk with a neighbour where it is now.
func (s *Segment) refreshUsers(now time.Time, n *neighbour, out *Out) {
	if !s.helping() {
		return
	}
	for _, user := range sortedKeys(n.usedBy) {
		if p := n.usedBy[user]; user.alive() && s.apart(user, n) {
			s.refresh(out, p)
			s.timers.set(&p.timer, now.Add(s.cfg.Keep))
		}
	}
}
