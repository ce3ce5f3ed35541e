package eth

import (
	"encoding/binary"
	"net/netip"
)

// The builders append a whole frame to dst and return the result. vlan is the
// VLAN id of an 802.1Q tag to put on it, 0 for none. Addresses of the wrong
// family are an error of the program and panic.

// AppendHeader appends an Ethernet header, with a tag where vlan is not 0.
func AppendHeader(dst []byte, vlan uint16, to, from Addr, etherType uint16) []byte {
	dst = append(dst, to[:]...)
	dst = append(dst, from[:]...)
	if vlan != 0 {
		dst = append(dst, TypeVLAN>>8, TypeVLAN&0xff, byte(vlan>>8)&0xf, byte(vlan))
	}
	return binary.BigEndian.AppendUint16(dst, etherType)
}

// AppendARPRequest asks for the station with the address ask. to is Broadcast,
// or one station's address for a unicast request (RFC 1122 section 2.3.2.1).
// fromIP may be 0.0.0.0 for a probe (RFC 5227 section 2.1.1).
func AppendARPRequest(dst []byte, vlan uint16, to, from Addr, fromIP, ask netip.Addr) []byte {
	return appendARP(dst, vlan, to, ARPRequest, from, fromIP, Addr{}, ask)
}

// AppendARPReply tells station to (with address toIP) that fromIP is at from.
func AppendARPReply(dst []byte, vlan uint16, to, from Addr, fromIP, toIP netip.Addr) []byte {
	return appendARP(dst, vlan, to, ARPReply, from, fromIP, to, toIP)
}

// AppendGratuitousARP announces to all that ip is at from: a request with
// sender and target address the same (RFC 5227 section 3).
func AppendGratuitousARP(dst []byte, vlan uint16, from Addr, ip netip.Addr) []byte {
	return appendARP(dst, vlan, Broadcast, ARPRequest, from, ip, Addr{}, ip)
}

func appendARP(dst []byte, vlan uint16, to Addr, op byte, from Addr, fromIP netip.Addr, target Addr, targetIP netip.Addr) []byte {
	dst = AppendHeader(dst, vlan, to, from, TypeARP)
	dst = append(dst, 0, 1, 8, 0, 6, 4, 0, op)
	a, t := fromIP.Unmap().As4(), targetIP.Unmap().As4()
	dst = append(dst, from[:]...)
	dst = append(dst, a[:]...)
	dst = append(dst, target[:]...)
	return append(dst, t[:]...)
}

// AppendNS asks for the station with the IPv6 address ask (RFC 4861 section
// 4.3). A zero to sends it to the solicited-node multicast address, else it is
// a unicast solicitation. fromIP may be unspecified (::), for duplicate address
// detection; then there is no link-layer option.
func AppendNS(dst []byte, vlan uint16, to, from Addr, fromIP, ask netip.Addr) []byte {
	target, src := as16(ask), as16(fromIP)
	toIP := target
	if to.IsZero() {
		toIP = solicitedNode(target)
		to = Addr{0x33, 0x33, toIP[12], toIP[13], toIP[14], toIP[15]}
	}
	option := byte(ndOptSourceLink)
	if fromIP.IsUnspecified() {
		option = 0 // RFC 4861 section 4.3: must not be there
	}
	return appendNeighbor(dst, vlan, to, from, src, toIP, NDNeighborSolicit, 0, target, option)
}

// AppendNA tells that the IPv6 address target is at from (RFC 4861 section 4.4),
// with a target link-layer option. A zero to, or an unspecified toIP, sends it
// to all nodes. flags are NAFlagRouter, NAFlagSolicited, NAFlagOverride.
func AppendNA(dst []byte, vlan uint16, to, from Addr, toIP, target netip.Addr, flags uint8) []byte {
	if to.IsZero() || !toIP.IsValid() || toIP.IsUnspecified() {
		to = Addr{0x33, 0x33, 0, 0, 0, 1}
		toIP = netip.IPv6LinkLocalAllNodes()
		flags &^= NAFlagSolicited // RFC 4861 section 7.2.4
	}
	t := as16(target)
	return appendNeighbor(dst, vlan, to, from, t, as16(toIP), NDNeighborAdvert, flags, t, ndOptTargetLink)
}

func appendNeighbor(dst []byte, vlan uint16, to, from Addr, src, dstIP [16]byte, typ, flags byte, target [16]byte, option byte) []byte {
	n := ndNeighborLen
	if option != 0 {
		n += 8
	}
	dst = AppendHeader(dst, vlan, to, from, TypeIPv6)
	dst = appendIPv6(dst, n, ProtoICMPv6, 255, src, dstIP)
	icmp := len(dst)
	dst = append(dst, typ, 0, 0, 0, flags, 0, 0, 0)
	dst = append(dst, target[:]...)
	if option != 0 {
		dst = append(dst, option, 1)
		dst = append(dst, from[:]...)
	}
	putChecksum(dst[icmp+2:], Sum(dst[icmp:], PseudoSum(src[:], dstIP[:], ProtoICMPv6, n)))
	return dst
}

func appendIPv6(dst []byte, payload int, proto, hops byte, src, to [16]byte) []byte {
	dst = append(dst, 0x60, 0, 0, 0, byte(payload>>8), byte(payload), proto, hops)
	dst = append(dst, src[:]...)
	return append(dst, to[:]...)
}

func appendIPv4(dst []byte, payload int, proto, ttl byte, src, to [4]byte) []byte {
	h := len(dst)
	n := 20 + payload
	dst = append(dst, 0x45, 0, byte(n>>8), byte(n), 0, 0, 0, 0, ttl, proto, 0, 0)
	dst = append(dst, src[:]...)
	dst = append(dst, to[:]...)
	binary.BigEndian.PutUint16(dst[h+10:], ^Sum(dst[h:], 0))
	return dst
}

func as16(a netip.Addr) [16]byte {
	if !a.Is6() {
		panic("eth: not an IPv6 address")
	}
	return a.As16()
}

// solicitedNode is ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1).
func solicitedNode(a [16]byte) [16]byte {
	return [16]byte{0xff, 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}
}
