package eth

import (
	"encoding/binary"
	"net/netip"
)

// DHCP is a BOOTP/DHCP message (RFC 2131 section 2), from the op byte to the
// end of the UDP payload.
type DHCP []byte

// DHCP options and message types that the hub looks at (RFC 2132).
const (
	DHCPOptRequestedIP = 50
	DHCPOptMessageType = 53
	DHCPOptServerID    = 54

	DHCPDiscover = 1
	DHCPOffer    = 2
	DHCPRequest  = 3
	DHCPDecline  = 4
	DHCPAck      = 5
	DHCPNak      = 6
	DHCPRelease  = 7
	DHCPInform   = 8

	dhcpFixedLen = 240 // with the magic cookie
	dhcpCookie   = 0x63825363
)

// DHCP returns the view; nil when the frame is no IPv4 DHCP message between
// ports 67 and 68 (either way, or relayed 67 to 67) for Ethernet, or is a
// fragment.
func (l *Layers) DHCP(b []byte) DHCP {
	if l.IP != 4 || l.Proto != ProtoUDP || l.L4 == 0 || l.Frag != FragNone {
		return nil
	}
	u := UDP(b[l.L4:l.End])
	src, dst := u.SrcPort(), u.DstPort()
	if dst != 67 && dst != 68 || src != 67 && src != 68 {
		return nil
	}
	p := u[8:]
	if n := u.Len() - 8; n >= 0 && n < len(p) {
		p = p[:n]
	}
	if len(p) < dhcpFixedLen || p[1] != 1 || p[2] != 6 || binary.BigEndian.Uint32(p[236:]) != dhcpCookie {
		return nil
	}
	return DHCP(p)
}

// IsReply tells a message of a server (BOOTREPLY).
func (d DHCP) IsReply() bool { return d[0] == 2 }

// XID returns the transaction id.
func (d DHCP) XID() uint32 { return binary.BigEndian.Uint32(d[4:]) }

// ClientIP returns ciaddr: the address that the client has already.
func (d DHCP) ClientIP() netip.Addr { return netip.AddrFrom4([4]byte(d[12:16])) }

// YourIP returns yiaddr: the address that the server gives.
func (d DHCP) YourIP() netip.Addr { return netip.AddrFrom4([4]byte(d[16:20])) }

// ClientMAC returns chaddr.
func (d DHCP) ClientMAC() Addr { return Addr(d[28:34]) }

// MessageType returns option 53, 0 when there is none (BOOTP).
func (d DHCP) MessageType() uint8 {
	if o := d.Option(DHCPOptMessageType); len(o) == 1 {
		return o[0]
	}
	return 0
}

// Option returns the value of the first option with the code in the options
// field; nil when it is not there. Options in overloaded fields (RFC 2132
// section 9.3) are not looked for.
func (d DHCP) Option(code uint8) []byte {
	for o := []byte(d[dhcpFixedLen:]); len(o) >= 2; {
		switch o[0] {
		case 0: // pad
			o = o[1:]
			continue
		case 255: // end
			return nil
		}
		n := 2 + int(o[1])
		if n > len(o) {
			return nil
		}
		if o[0] == code {
			return o[2:n]
		}
		o = o[n:]
	}
	return nil
}
