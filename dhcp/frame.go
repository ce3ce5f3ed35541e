package dhcp

import (
	"encoding/binary"
	"net/netip"

	"vhub/eth"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// UDP ports (RFC 2131 section 4.1).
const (
	portServer = 67
	portClient = 68
)

// maxMessage is the longest DHCP message we take in bytes, and say so (option
// 57): what fits a 1,500-byte packet.
const maxMessage = 1500 - 28

// appendIPv4UDP appends an IPv4 packet with a UDP datagram (RFC 791, 768). It
// carries no fragment, has a time to live of 64 and a whole checksum.
func appendIPv4UDP(dst []byte, src, to netip.Addr, srcPort, toPort uint16, payload []byte) []byte {
	at := len(dst)
	s, d := src.As4(), to.As4()
	dst = append(dst, 0x45, 0x10) // DSCP: low delay, as other clients have it
	dst = binary.BigEndian.AppendUint16(dst, uint16(28+len(payload)))
	dst = append(dst, 0, 0, 0, 0, 64, eth.ProtoUDP, 0, 0)
	dst = append(append(dst, s[:]...), d[:]...)
	binary.BigEndian.PutUint16(dst[at+10:], ^eth.Sum(dst[at:at+20], 0))
	udp := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, srcPort)
	dst = binary.BigEndian.AppendUint16(dst, toPort)
	dst = binary.BigEndian.AppendUint16(dst, uint16(8+len(payload)))
	dst = append(append(dst, 0, 0), payload...)
	sum := ^eth.Sum(dst[udp:], eth.PseudoSum(s[:], d[:], eth.ProtoUDP, 8+len(payload)))
	if sum == 0 {
		sum = 0xffff // RFC 768: zero would mean none
	}
	binary.BigEndian.PutUint16(dst[udp+6:], sum)
	return dst
}

// IsReply tells whether a frame is a DHCP message for the client with this MAC
// address, to be handed to Receive: UDP to port 68, to the address or to all.
// It reads headers only and allocates nothing, for the data path.
func IsReply(frame []byte, mac eth.Addr) bool {
	if len(frame) < eth.HeaderLen {
		return false
	}
	if to := eth.Destination(frame); to != mac && to != eth.Broadcast {
		return false
	}
	l := eth.Parse(frame)
	return isUDPTo(frame, &l, portClient)
}

func isUDPTo(b []byte, l *eth.Layers, port uint16) bool {
	return l.IP == 4 && l.Proto == eth.ProtoUDP && l.Frag == eth.FragNone && l.L4 != 0 && l.Data != 0 &&
		binary.BigEndian.Uint16(b[l.L4+2:]) == port
}

// message reads the DHCP message of a frame, nil where there is none. The UDP
// checksum is not looked at: a frame from a TAP of this host may have a partial
// one, and the segment's own checksums covered the frame.
func message(frame []byte, port uint16) *dhcpv4.DHCPv4 {
	l := eth.Parse(frame)
	if !isUDPTo(frame, &l, port) || l.End-l.Data > 4096 {
		return nil
	}
	m, err := dhcpv4.FromBytes(frame[l.Data:l.End])
	if err != nil {
		return nil
	}
	return m
}
