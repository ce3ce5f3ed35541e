package dhcp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"vhub/eth"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
)

// optionMicrosoftRoutes is what Windows asks for beside option 121, with the
// same content.
const optionMicrosoftRoutes = 249

// Responder answers a client's own DHCPINFORM (RFC 2131 section 4.3.5), the
// only way to tell a Windows or macOS client of routes: IPCP has none. The
// client sends it through its PPP link when it is up.
type Responder struct {
	Server netip.Addr   // our end of the link, the server identifier and the routes' router
	Mask   int          // prefix length of the subnet, 0 does not say
	DNS    []netip.Addr // option 6
	NTP    []netip.Addr // option 42
	Domain string       // option 15
	Search []string     // option 119
	// Routes are pushed as options 121 and 249, those the client asks for. A Via
	// that is not valid is Server. With none, neither option is sent, and the
	// client's own setting decides.
	Routes []Route
}

// minMessage is what every client takes (RFC 2131 section 2), without the IP
// and UDP headers.
const minMessage = 576 - 28

// Receive takes an IPv4 packet, without Ethernet, that the client with this
// address sent. Where it is the client's DHCPINFORM, ok tells so, and reply is
// the packet to send to the client. What is somebody else's, or damaged, is
// left alone.
func (r *Responder) Receive(packet []byte, client netip.Addr) (reply []byte, ok bool) {
	src, payload := udpTo(packet, portServer)
	if payload == nil || src != client {
		return nil, false
	}
	m, err := dhcpv4.FromBytes(payload)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootRequest || m.MessageType() != dhcpv4.MessageTypeInform {
		return nil, false
	}
	if !m.ClientIPAddr.IsUnspecified() && !m.ClientIPAddr.Equal(net.IP(ip(client))) {
		return nil, false // it asks for another's
	}
	return appendIPv4UDP(nil, r.Server, client, portServer, portClient, r.answer(m).ToBytes()), true
}

// udpTo returns the sender and the payload of an IPv4 packet that is a whole
// UDP datagram to a port; a nil payload for all else.
func udpTo(b []byte, port uint16) (src netip.Addr, payload []byte) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return src, nil
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < 20 || total < head+8 || total > len(b) || b[9] != eth.ProtoUDP {
		return src, nil
	}
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 { // a fragment
		return src, nil
	}
	udp := b[head:total]
	n := int(binary.BigEndian.Uint16(udp[4:]))
	if binary.BigEndian.Uint16(udp[2:]) != port || n < 8 || n > len(udp) {
		return src, nil
	}
	return netip.AddrFrom4([4]byte(b[12:16])), udp[8:n]
}

// answer makes the DHCPACK: no yiaddr and no lease time, and what the client
// asked for, or all where it does not say.
func (r *Responder) answer(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	a := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootReply,
		HWType:        m.HWType,
		TransactionID: m.TransactionID,
		Flags:         m.Flags,
		ClientIPAddr:  m.ClientIPAddr,
		ClientHWAddr:  m.ClientHWAddr,
		Options: dhcpv4.OptionsFromList(
			dhcpv4.OptMessageType(dhcpv4.MessageTypeAck), dhcpv4.OptServerIdentifier(ip(r.Server))),
	}
	if id := m.Options.Get(dhcpv4.OptionClientIdentifier); id != nil {
		a.UpdateOption(dhcpv4.OptClientIdentifier(id)) // RFC 6842 section 3
	}
	var asked []uint8
	for _, c := range m.ParameterRequestList() {
		asked = append(asked, c.Code())
	}
	have := r.options()
	for _, o := range have {
		if asked == nil || slices.Contains(asked, o.Code.Code()) {
			a.UpdateOption(o)
		}
	}
	// What is too long for the client loses what it can do without, last first.
	limit := minMessage
	if n, err := m.MaxMessageSize(); err == nil {
		limit = max(limit, min(int(n)-28, maxMessage))
	}
	for i := len(have) - 1; i > 0 && len(a.ToBytes()) > limit; i-- {
		a.Options.Del(have[i].Code)
	}
	return a
}

// options is what there is to tell, the most needed first.
func (r *Responder) options() (l []dhcpv4.Option) {
	if len(r.Routes) > 0 {
		var routes dhcpv4.Routes
		for _, x := range r.Routes {
			via := x.Via
			if !via.IsValid() {
				via = r.Server
			}
			to := x.To.Masked()
			routes = append(routes, &dhcpv4.Route{Dest: &net.IPNet{IP: ip(to.Addr()), Mask: net.CIDRMask(to.Bits(), 32)}, Router: ip(via)})
		}
		b := routes.ToBytes()
		l = append(l, dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, b))
		defer func() { l = append(l, dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(optionMicrosoftRoutes), b)) }()
	}
	if r.Mask > 0 {
		l = append(l, dhcpv4.OptSubnetMask(net.CIDRMask(r.Mask, 32)))
	}
	if len(r.DNS) > 0 {
		l = append(l, dhcpv4.OptDNS(ips(r.DNS)...))
	}
	if r.Domain != "" {
		l = append(l, dhcpv4.OptDomainName(r.Domain))
	}
	if len(r.Search) > 0 {
		l = append(l, dhcpv4.OptDomainSearch(&rfc1035label.Labels{Labels: r.Search}))
	}
	if len(r.NTP) > 0 {
		l = append(l, dhcpv4.OptNTPServers(ips(r.NTP)...))
	}
	return l
}

func ips(l []netip.Addr) (out []net.IP) {
	for _, a := range l {
		out = append(out, ip(a))
	}
	return out
}
