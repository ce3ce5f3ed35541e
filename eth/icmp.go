package eth

// AppendTooBig appends a frame that tells the sender of frame that its IP
// packet is larger than mtu bytes: ICMP "fragmentation needed" (RFC 792,
// RFC 1191 section 4) for IPv4 with DF, ICMPv6 "packet too big" (RFC 4443
// section 3.2) for IPv6. The answer comes from the packet's destination, MAC
// and IP address, with the frame's tags. It reports false, and appends nothing,
// where no answer may be sent: to an ICMP error, a multicast or broadcast, a
// fragment other than the first, an unspecified or group source (RFC 1122
// section 3.2.2, RFC 4443 section 2.4), or an IPv4 packet without DF.
func AppendTooBig(dst, frame []byte, mtu int) ([]byte, bool) { return dst, false }
