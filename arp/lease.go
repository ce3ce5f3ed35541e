package arp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"vhub/eth"
)

// dhcpRequest is what a client asked of a DHCP server. An ACK teaches an
// address only to the client that asked for it, where it asked from.
type dhcpRequest struct {
	xid  uint32
	link Link
	at   time.Time
}

const (
	requestTime   = time.Minute // an ACK comes within it
	maxRequests   = 256
	longestLease  = 30 * 24 * time.Hour
	shortestLease = time.Minute
	optLeaseTime  = 51 // RFC 2132 section 9.2
)

// learnLease learns from DHCPv4 (RFC 2131): an address that a client was given
// is known before the client is heard using it, and stays known while it
// sleeps. It is not answered for before it was heard.
func (s *Segment) learnLease(now time.Time, link Link, m *message) {
	d := m.dhcp
	who := station{m.vlan, d.ClientMAC()}
	if !isStation(who.mac) {
		s.stats.Invalid++
		return
	}
	if d.IsReply() {
		if d.MessageType() == eth.DHCPAck {
			s.acknowledged(now, who, d)
		}
		return
	}
	if who.mac != m.src {
		return // a relay agent's
	}
	switch d.MessageType() {
	case eth.DHCPRequest:
		s.requested(now, who, dhcpRequest{xid: d.XID(), link: link, at: now})
	case eth.DHCPRelease:
		s.released(key{m.vlan, d.ClientIP()}, who.mac)
	case eth.DHCPDecline:
		if o := d.Option(eth.DHCPOptRequestedIP); len(o) == 4 {
			s.released(key{m.vlan, netip.AddrFrom4([4]byte(o))}, who.mac)
		}
	}
}

func (s *Segment) requested(now time.Time, who station, r dhcpRequest) {
	if _, known := s.requests[who]; !known && len(s.requests) >= maxRequests {
		for k, old := range s.requests {
			if now.Sub(old.at) >= requestTime {
				delete(s.requests, k)
			}
		}
		if len(s.requests) >= maxRequests {
			return
		}
	}
	s.requests[who] = r
}

func (s *Segment) acknowledged(now time.Time, who station, d eth.DHCP) {
	r, ok := s.requests[who]
	if !ok || r.xid != d.XID() || now.Sub(r.at) >= requestTime || !isAssignable(d.YourIP()) {
		return
	}
	delete(s.requests, who)
	life := shortestLease
	if o := d.Option(optLeaseTime); len(o) == 4 {
		life = time.Duration(binary.BigEndian.Uint32(o)) * time.Second
		life = max(shortestLease, min(life, longestLease))
	}
	k := key{who.vlan, d.YourIP()}
	n := s.table[k]
	if n != nil && n.mac != who.mac && !n.fixed() && n.silent {
		s.remove(n)
		n = nil
	}
	switch {
	case n == nil:
		if n = s.add(now, k, who.mac, r.link, FromDHCP); n == nil {
			return
		}
		n.probing = now.Add(detectionTime) // it will probe for its new address itself
		s.timers.set(&n.tendTimer, n.probing)
	case n.mac != who.mac || n.fixed():
		return // another station has the address and answers: the client will find that out
	default:
		n.source = FromDHCP
	}
	if e := now.Add(life); e.After(n.expires) {
		n.expires = e
	}
}

// released forgets an address that its owner gave back or does not want.
func (s *Segment) released(k key, mac eth.Addr) {
	if n := s.table[k]; n != nil && n.mac == mac && !n.fixed() {
		s.remove(n)
	}
}
