package eth

import "net/netip"

// The builders append a whole frame to dst and return the result. vlan is the
// VLAN id of an 802.1Q tag to put on it, 0 for none. Addresses of the wrong
// family are an error of the program and panic.

// AppendARPRequest asks for the station with the address ask. to is Broadcast,
// or one station's address for a unicast request (RFC 1122 section 2.3.2.1).
// fromIP may be 0.0.0.0 for a probe (RFC 5227 section 2.1.1).
func AppendARPRequest(dst []byte, vlan uint16, to, from Addr, fromIP, ask netip.Addr) []byte {
	return dst
}

// AppendARPReply tells station to (with address toIP) that fromIP is at from.
func AppendARPReply(dst []byte, vlan uint16, to, from Addr, fromIP, toIP netip.Addr) []byte {
	return dst
}

// AppendGratuitousARP announces to all that ip is at from: a request with
// sender and target address the same (RFC 5227 section 3).
func AppendGratuitousARP(dst []byte, vlan uint16, from Addr, ip netip.Addr) []byte { return dst }

// AppendNS asks for the station with the IPv6 address ask (RFC 4861 section
// 4.3). A zero to sends it to the solicited-node multicast address, else it is
// a unicast solicitation. fromIP may be unspecified (::), for duplicate address
// detection; then there is no link-layer option.
func AppendNS(dst []byte, vlan uint16, to, from Addr, fromIP, ask netip.Addr) []byte { return dst }

// AppendNA tells that the IPv6 address target is at from (RFC 4861 section 4.4),
// with a target link-layer option. A zero to, or an unspecified toIP, sends it
// to all nodes. flags are NAFlagRouter, NAFlagSolicited, NAFlagOverride.
func AppendNA(dst []byte, vlan uint16, to, from Addr, toIP, target netip.Addr, flags uint8) []byte {
	return dst
}
