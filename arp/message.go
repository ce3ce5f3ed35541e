package arp

import (
	"encoding/binary"
	"net/netip"

	"vhub/eth"
)

type messageKind uint8

const (
	none     messageKind = iota
	question             // ARP request, neighbour solicitation
	answer               // ARP reply, neighbour advertisement
	notice               // gratuitous ARP, router solicitation and advertisement: a claim and nothing else
	lease                // DHCPv4
)

// message is what ARP and neighbour discovery have in common.
type message struct {
	kind     messageKind
	vlan     uint16
	dst, src eth.Addr // of the Ethernet header

	// The claim "claimIP is at claimMAC". claimIP is the zero Addr in a probe.
	claimIP  netip.Addr
	claimMAC eth.Addr
	weak     bool // the claim confirms what is known, but teaches nothing that contradicts it
	silentIP bool // the claim has no link-layer address: claimMAC is the Ethernet source
	router   bool // the claimer says that it is a router
	noRouter bool // the claimer says that it is none

	ask    netip.Addr // question: the address that is asked for
	probe  bool       // question: duplicate address detection (RFC 5227 section 2.1, RFC 4862 section 5.4)
	signed bool       // it is part of SEND (RFC 3971): nobody else can answer it

	dhcp eth.DHCP
}

// maxFrame is the longest frame in bytes that is looked at: longer ND messages
// exist (router advertisements with many options), longer questions do not.
const maxFrame = 1522

// parse reads a frame. ok is false for what is none of ours; bad for what
// pretends to be and is malformed.
func parse(frame []byte) (m message, bad bool) {
	l := eth.Parse(frame)
	if l.Net == 0 || l.Tags() > 1 || len(frame) > maxFrame || binary.BigEndian.Uint16(frame[12:]) == eth.TypeQinQ {
		return m, false
	}
	m.vlan, m.dst, m.src = l.VLAN, eth.Destination(frame), eth.Source(frame)
	switch {
	case l.EtherType == eth.TypeARP:
		if a := l.ARP(frame); a != nil {
			return m, !m.fromARP(a)
		}
		return m, true
	case l.IP == 6 && l.Proto == eth.ProtoICMPv6 && l.L4 != 0 && isND(frame[l.L4]):
		nd := l.ND(frame)
		if nd == nil || !l.ChecksumValid(frame) {
			return m, true
		}
		return m, !m.fromND(l.IPv6(frame), nd)
	case l.IP == 4 && l.Proto == eth.ProtoUDP:
		if d := l.DHCP(frame); d != nil {
			m.kind, m.dhcp = lease, d
		}
	}
	return m, false
}

func isND(icmpType uint8) bool {
	return icmpType >= eth.NDRouterSolicit && icmpType <= eth.NDNeighborAdvert
}

func (m *message) fromARP(a eth.ARP) bool {
	m.claimIP, m.claimMAC, m.ask = a.SenderIP(), a.SenderMAC(), a.TargetIP()
	if !isStation(m.claimMAC) {
		return false
	}
	switch {
	case a.IsProbe():
		m.kind, m.probe, m.claimIP = question, true, netip.Addr{}
	case a.IsGratuitous():
		m.kind = notice
	case a.Op() == eth.ARPRequest:
		m.kind = question
	case a.Op() == eth.ARPReply:
		m.kind = answer
	default:
		return false
	}
	if m.kind == question && !isAssignable(m.ask) || m.claimIP.IsValid() && !isAssignable(m.claimIP) {
		m.kind = none
		return false
	}
	return true
}

// SEND options (RFC 3971 sections 5.1 and 5.2).
const (
	optCGA = 11
	optRSA = 12
)

func (m *message) fromND(ip eth.IPv6, nd eth.ND) bool {
	hasLink := false
	src := ip.Src()
	switch nd.Type() {
	case eth.NDNeighborSolicit:
		m.kind, m.claimIP, m.ask = question, src, nd.Target()
		m.claimMAC, hasLink = nd.SourceLink()
		m.probe = src.IsUnspecified()
		if !isAssignable(m.ask) {
			m.kind = none
			return false
		}
	case eth.NDNeighborAdvert:
		m.kind, m.claimIP = answer, nd.Target()
		m.claimMAC, hasLink = nd.TargetLink()
		m.router = nd.Flags()&eth.NAFlagRouter != 0
		m.noRouter = !m.router
		m.weak = nd.Flags()&eth.NAFlagOverride == 0 // anycast or a proxy (RFC 4861 section 4.4)
	case eth.NDRouterSolicit, eth.NDRouterAdvert:
		m.kind, m.claimIP = notice, src
		m.claimMAC, hasLink = nd.SourceLink()
		m.router = nd.Type() == eth.NDRouterAdvert
	}
	if m.claimIP.IsUnspecified() {
		m.claimIP = netip.Addr{}
	} else if !isAssignable(m.claimIP) {
		m.kind = none
		return false
	}
	if !hasLink {
		m.claimMAC, m.silentIP, m.weak = m.src, true, true
	}
	if !isStation(m.claimMAC) {
		m.kind = none
		return false
	}
	m.signed = hasOption(nd, optCGA) || hasOption(nd, optRSA)
	return true
}

// hasOption tells whether a checked message of RFC 4861 has an option.
func hasOption(nd eth.ND, kind uint8) bool {
	fixed := 24
	switch nd.Type() {
	case eth.NDRouterSolicit:
		fixed = 8
	case eth.NDRouterAdvert:
		fixed = 16
	}
	for o := nd[fixed:]; len(o) >= 8 && o[1] != 0 && int(o[1])*8 <= len(o); o = o[int(o[1])*8:] {
		if o[0] == kind {
			return true
		}
	}
	return false
}

// isStation tells an address that one station can have.
func isStation(mac eth.Addr) bool { return !mac.IsGroup() && !mac.IsZero() }

// isAssignable tells an address that a station of a segment can have: no
// unspecified, loopback, multicast, broadcast or "this network" (RFC 6890) one.
func isAssignable(ip netip.Addr) bool {
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || ip.Is4In6() {
		return false
	}
	if ip.Is4() {
		b := ip.As4()
		return b[0] != 0 && b[0] != 127 && b[0] < 240
	}
	return true
}

// Wants tells whether Receive can do anything with the frame: ARP, neighbour
// or router discovery, DHCPv4. It is quick, takes no lock, and is false for
// anything shorter than a header of those.
func Wants(frame []byte) bool {
	typ, off := eth.EtherType(frame)
	if off == 0 {
		return false
	}
	p := frame[off:]
	switch typ {
	case eth.TypeARP:
		return true
	case eth.TypeIPv6:
		return len(p) > 40 && p[6] == eth.ProtoICMPv6 && isND(p[40])
	case eth.TypeIPv4:
		if len(p) < 28 || p[9] != eth.ProtoUDP {
			return false
		}
		h := int(p[0]&15) * 4
		if h < 20 || len(p) < h+4 {
			return false
		}
		sp, dp := binary.BigEndian.Uint16(p[h:]), binary.BigEndian.Uint16(p[h+2:])
		return (sp == 67 || sp == 68) && (dp == 67 || dp == 68)
	}
	return false
}
