package arp

import (
	"net/netip"
	"slices"
	"time"

	"vhub/eth"
)

// pending is a question that was asked by broadcast or multicast and not seen
// answered yet.
type pending struct {
	target  key
	link    Link // of the asker
	mac     eth.Addr
	ip      netip.Addr // the asker's, zero in a probe
	frame   []byte     // as it came
	how     help
	step    int
	asked   time.Time
	expires timer
}

// help is what was done with a question at first.
type help uint8

const (
	passed     help = iota // target unknown: flooded, and flooded again twice
	redirected             // sent to the station: repeated to it, then flooded
	vouched                // answered for the station: flooded if the station does not confirm
)

const (
	maxQuestions     = 1024 // open at once a hub
	maxLinkQuestions = 64   // by askers of one link
	maxQuestionLen   = 512  // bytes of a frame that is kept
	vouchTime        = time.Second
	detectionTime    = 10 * time.Second // a host that probes for an address is left alone: RFC 5227 section 2.1.1 takes 7 s at most
)

// question decides what becomes of a question.
func (s *Segment) question(now time.Time, link Link, m *message, frame []byte, out *Out) Verdict {
	target := key{m.vlan, m.ask}
	n := s.table[target]
	if m.probe && n != nil && n.mac == m.claimMAC {
		// The owner probes for its own address. To answer would be a conflict
		// with itself, and so would a probe of ours (RFC 5227 section 2.1.1).
		n.probing = now.Add(detectionTime)
		return Forward
	}
	asker, first := s.asker(m), false
	if n != nil && asker != nil {
		first = s.talk(now, asker, n, !m.dst.IsGroup())
	}
	switch {
	case !s.helping() || !m.dst.IsGroup():
		return Forward
	case n != nil && (n.link == link || n.mac == m.claimMAC || n.mac == m.src):
		return Forward // the station hears the question without help, or is the asker
	case n == nil || !n.known() || n.rival != nil && n.rival.open || !s.allowed(link, n.link):
		if n != nil && !n.known() && s.allowed(link, n.link) {
			out.copyTo(n.link, n.mac, frame) // where it was last, or is leased: that leg may lose the flooded one
		}
		s.pass(now, link, m, target, frame)
		return Forward
	case s.cfg.Mode == Proxy && !m.probe && !m.signed && n.alive() || n.fixed() && n.link == 0:
		s.vouch(now, link, m, n, frame, out)
		if first { // the station did not hear the question, which would have taught it the asker
			s.introduceTo(out, n, asker)
		}
		return Handled
	}
	return s.redirect(now, link, m, n, frame, out)
}

// asker returns the neighbour who asks, nil in a probe and where it is not
// known to have the address it asks from.
func (s *Segment) asker(m *message) *neighbour {
	if a := s.table[key{m.vlan, m.claimIP}]; a != nil && a.mac == m.claimMAC {
		return a
	}
	return nil
}

// pass lets a question for an unknown station be flooded, and floods it again
// where nobody answers: a leg may have lost it. Probes are repeated by the
// host that makes them.
func (s *Segment) pass(now time.Time, link Link, m *message, target key, frame []byte) {
	if m.probe || s.isOpen(target, m.claimMAC) {
		return
	}
	s.openQuestion(now, passed, link, m, target, frame)
}

// redirect sends a question to the station that is asked for, and to nobody
// else. The IPv6 destination stays the multicast group: only the Ethernet
// destination changes (RFC 6085 allows that).
func (s *Segment) redirect(now time.Time, link Link, m *message, n *neighbour, frame []byte, out *Out) Verdict {
	if !s.isOpen(n.key, m.claimMAC) && !s.openQuestion(now, redirected, link, m, n.key, frame) {
		return Forward
	}
	s.stats.Redirected++
	out.copyTo(n.link, n.mac, frame)
	return Handled
}

// vouch answers for a station. The answer's Ethernet source is the station, so
// that the switches of the asker's leg learn that it is this way.
func (s *Segment) vouch(now time.Time, link Link, m *message, n *neighbour, frame []byte, out *Out) {
	s.stats.Answered++
	s.tell(out, link, m.claimMAC, m.claimIP, n)
	if n.fixed() || now.Sub(n.confirmed) < vouchTime || s.isOpen(n.key, m.claimMAC) {
		return
	}
	s.openQuestion(now, vouched, link, m, n.key, frame)
	s.verify(now, n, out)
}

// tell sends a station the answer that n is at n.mac.
func (s *Segment) tell(out *Out, to Link, mac eth.Addr, ip netip.Addr, n *neighbour) {
	if n.ip.Is4() {
		if !ip.IsValid() {
			ip = netip.IPv4Unspecified()
		}
		out.add(to, eth.AppendARPReply(out.room(), n.vlan, mac, n.mac, n.ip, ip))
		return
	}
	if !ip.IsValid() { // duplicate address detection is answered to all nodes (RFC 4861 section 7.2.4)
		out.add(to, eth.AppendNA(out.room(), n.vlan, eth.Addr{}, n.mac, netip.IPv6Unspecified(), n.ip, n.flags()))
		return
	}
	out.add(to, eth.AppendNA(out.room(), n.vlan, mac, n.mac, ip, n.ip, n.flags()|eth.NAFlagSolicited))
}

func (s *Segment) isOpen(target key, mac eth.Addr) bool {
	return slices.ContainsFunc(s.questions[target], func(q *pending) bool { return q.mac == mac })
}

// openQuestion notes a question and tells whether there was room.
func (s *Segment) openQuestion(now time.Time, how help, link Link, m *message, target key, frame []byte) bool {
	if s.open >= maxQuestions || s.asking[link] >= maxLinkQuestions || len(frame) > maxQuestionLen {
		s.stats.LimitQuestions++
		return false
	}
	q := &pending{
		target: target, link: link, mac: m.claimMAC, ip: m.claimIP,
		frame: slices.Clone(frame), how: how, asked: now,
	}
	q.expires.fire = func(now time.Time, out *Out) { s.unanswered(now, q, out) }
	s.questions[target] = append(s.questions[target], q)
	s.asking[link]++
	s.open++
	s.timers.set(&q.expires, now.Add(s.cfg.Retry))
	return true
}

func (s *Segment) closeQuestion(q *pending) {
	s.timers.stop(&q.expires)
	list := slices.DeleteFunc(s.questions[q.target], func(x *pending) bool { return x == q })
	if len(list) == 0 {
		delete(s.questions, q.target)
	} else {
		s.questions[q.target] = list
	}
	if s.asking[q.link]--; s.asking[q.link] == 0 {
		delete(s.asking, q.link)
	}
	s.open--
}

// unanswered is the next step of a question that nobody answered, once every
// Config.Retry:
//
//	          step 1             2              3          4
//	passed     flood again       -              flood      give up
//	redirected to the station    flood          give up
//	vouched    -                 -              flood, unless the station confirmed
func (s *Segment) unanswered(now time.Time, q *pending, out *Out) {
	q.step++
	n := s.table[q.target]
	last := 3
	switch {
	case !s.helping():
		q.step = last
	case q.how == passed:
		if last = 4; q.step == 1 || q.step == 3 {
			s.flood(now, q, out)
		}
	case q.how == redirected && q.step == 1 && n != nil && n.known() && n.mac != q.mac && n.mac != eth.Source(q.frame) && s.allowed(q.link, n.link):
		s.stats.Repeated++
		out.copyTo(n.link, n.mac, q.frame)
	case q.how == redirected && q.step <= 2:
		s.stats.Flooded++
		s.flood(now, q, out)
		q.step = 2
		if n != nil && n.known() {
			s.verify(now, n, out)
		}
	case q.how == vouched && q.step == 3 && (n == nil || n.confirmed.Before(q.asked)):
		s.stats.Flooded++
		s.flood(now, q, out)
	}
	if q.step >= last {
		s.closeQuestion(q)
		return
	}
	s.timers.set(&q.expires, now.Add(s.cfg.Retry))
}

// flood sends a question to all links but the asker's.
func (s *Segment) flood(now time.Time, q *pending, out *Out) {
	if !s.repeats.take(now) {
		s.stats.DropOwnQuestion++
		return
	}
	s.stats.Repeated++
	out.flood(q.link, append(out.room(), q.frame...))
}

// answered closes the questions that an answer answers. An answer to a probe
// goes to all nodes (RFC 4861 section 7.2.4), which the asker's leg may lose:
// the asker gets it by unicast too.
func (s *Segment) answered(now time.Time, m *message, frame []byte, out *Out) {
	n := s.table[key{m.vlan, m.claimIP}]
	for _, q := range slices.Clone(s.questions[key{m.vlan, m.claimIP}]) {
		if m.dst != q.mac && !m.dst.IsGroup() || m.claimMAC == q.mac || m.src == q.mac {
			continue
		}
		if m.dst.IsGroup() && s.helping() && n != nil && s.allowed(n.link, q.link) {
			out.copyTo(q.link, q.mac, frame)
		}
		s.closeQuestion(q)
		if a := s.table[key{m.vlan, q.ip}]; n != nil && a != nil && a.mac == q.mac {
			s.talk(now, a, n, false)
		}
	}
}
