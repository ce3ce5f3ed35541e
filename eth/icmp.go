package eth

import "encoding/binary"

// AppendTooBig appends a frame that tells the sender of frame that its IP
// packet is larger than mtu bytes: ICMP "fragmentation needed" (RFC 792,
// RFC 1191 section 4) for IPv4 with DF, ICMPv6 "packet too big" (RFC 4443
// section 3.2) for IPv6. The answer comes from the packet's destination, MAC
// and IP address, with the frame's tags. It reports false, and appends nothing,
// where no answer may be sent: to an ICMP error, a multicast or broadcast, a
// fragment other than the first, an unspecified or group source (RFC 1122
// section 3.2.2, RFC 4443 section 2.4), or an IPv4 packet without DF.
//
// RFC 4443 section 2.4 (e.3) would allow a "packet too big" in answer to a
// multicast; it is not sent, as a segment may have many receivers that answer.
func AppendTooBig(dst, frame []byte, mtu int) ([]byte, bool) {
	l := Parse(frame)
	if l.IP == 0 || l.Frag == FragLater || Destination(frame).IsGroup() || Source(frame).IsGroup() {
		return dst, false
	}
	if l.IP == 4 {
		return appendFragNeeded(dst, frame, &l, mtu)
	}
	return appendPacketTooBig(dst, frame, &l, mtu)
}

// appendReplyHeader turns the frame's own header and tags around.
func appendReplyHeader(dst, frame []byte, l *Layers) []byte {
	dst = append(dst, frame[6:12]...)
	dst = append(dst, frame[:6]...)
	return append(dst, frame[12:l.Net]...)
}

func appendFragNeeded(dst, frame []byte, l *Layers, mtu int) ([]byte, bool) {
	p := l.IPv4(frame)
	src, to := [4]byte(p[12:16]), [4]byte(p[16:20])
	if !p.DF() || !isHost4(src) || !isHost4(to) || l.isICMPError(frame) {
		return dst, false
	}
	quote := p[:min(len(p), 576-20-8)] // RFC 1812 section 4.3.2.3: as much as fits in 576 bytes
	dst = appendReplyHeader(dst, frame, l)
	dst = appendIPv4(dst, 8+len(quote), ProtoICMP, 64, to, src)
	icmp := len(dst)
	dst = append(dst, 3, 4, 0, 0, 0, 0, byte(mtu>>8), byte(mtu))
	dst = append(dst, quote...)
	binary.BigEndian.PutUint16(dst[icmp+2:], ^Sum(dst[icmp:], 0))
	return dst, true
}

func appendPacketTooBig(dst, frame []byte, l *Layers, mtu int) ([]byte, bool) {
	p := l.IPv6(frame)
	src, to := [16]byte(p[8:24]), [16]byte(p[24:40])
	if !isHost6(src) || !isHost6(to) || l.isICMPError(frame) {
		return dst, false
	}
	quote := p[:min(len(p), 1280-40-8)] // RFC 4443 section 3.2: within the minimum IPv6 MTU
	dst = appendReplyHeader(dst, frame, l)
	dst = appendIPv6(dst, 8+len(quote), ProtoICMPv6, 64, to, src)
	icmp := len(dst)
	dst = append(dst, 2, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(mtu))
	dst = append(dst, quote...)
	putChecksum(dst[icmp+2:], Sum(dst[icmp:], PseudoSum(to[:], src[:], ProtoICMPv6, len(dst)-icmp)))
	return dst, true
}

// isHost4 tells an address that can be one host's: not in 0/8 or 127/8, and
// below the groups and the reserved block with 255.255.255.255.
func isHost4(a [4]byte) bool { return a[0] != 0 && a[0] != 127 && a[0] < 224 }

func isHost6(a [16]byte) bool {
	return a[0] != 0xff && a != [16]byte{} && a != [16]byte{15: 1}
}

// isICMPError tells a packet that must not be answered with an ICMP error. A
// packet whose ICMP header is not whole counts as one.
func (l *Layers) isICMPError(b []byte) bool {
	switch {
	case l.IP == 4 && l.Proto == ProtoICMP:
		if l.L4 == 0 {
			return true
		}
		switch b[l.L4] {
		case 3, 4, 5, 11, 12: // RFC 1122 section 3.2.2: errors and redirect
			return true
		}
	case l.IP == 6 && l.Proto == ProtoICMPv6:
		// RFC 4443 section 2.4 (e.1, e.2): types below 128 are errors; 137 is redirect
		return l.L4 == 0 || b[l.L4] < 128 || b[l.L4] == NDRedirect
	}
	return false
}
