package emulation

import (
	"bytes"
	"encoding/binary"

	"vhub/eth"
)

// protoACSCP is Apple's own control protocol, by which its servers tell routes and domains.
const protoACSCP = 0x8235

// packet4 is an IPv4 packet.
func packet4(proto byte, src, dst [4]byte, payload []byte) []byte {
	n := 20 + len(payload)
	b := make([]byte, 20, n)
	b[0], b[2], b[3], b[8], b[9] = 0x45, byte(n>>8), byte(n), 64, proto
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[10:], ^eth.Sum(b, 0))
	return append(b, payload...)
}

// ping is an echo request of 84 bytes, as ping(8) sends.
func ping(src, dst [4]byte) []byte {
	icmp := make([]byte, 64)
	icmp[0], icmp[5], icmp[7] = 8, 1, 1
	binary.BigEndian.PutUint16(icmp[2:], ^eth.Sum(icmp, 0))
	return packet4(1, src, dst, icmp)
}

// pong answers one.
func pong(ip []byte) []byte {
	icmp := bytes.Clone(ip[20:])
	icmp[0], icmp[2], icmp[3] = 0, 0, 0
	binary.BigEndian.PutUint16(icmp[2:], ^eth.Sum(icmp, 0))
	return packet4(1, [4]byte(ip[16:20]), [4]byte(ip[12:16]), icmp)
}

// dhcpInform asks as a client that has its address already (RFC 2131 section 4.4.3), by broadcast.
func dhcpInform(src [4]byte, hardware byte, options []byte) []byte {
	m := make([]byte, 240)
	m[0], m[1] = 1, hardware
	copy(m[4:], "inf1") // the transaction
	copy(m[12:], src[:])
	copy(m[236:], []byte{0x63, 0x82, 0x53, 0x63})
	m = append(append(m, 53, 1, 8), options...)
	m = append(m, 255)
	udp := make([]byte, 8, 8+len(m))
	binary.BigEndian.PutUint16(udp, 68)
	binary.BigEndian.PutUint16(udp[2:], 67)
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(m)))
	return packet4(17, src, [4]byte{255, 255, 255, 255}, append(udp, m...))
}
