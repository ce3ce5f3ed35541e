package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"vhub/eth"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var pppClient = netip.MustParseAddr("172.16.0.200")

// inform makes a client's DHCPINFORM as an IPv4 packet.
func inform(src netip.Addr, change func(m *dhcpv4.DHCPv4)) []byte {
	m := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootRequest, HWType: 8, TransactionID: dhcpv4.TransactionID{1, 2, 3, 4}, ClientIPAddr: ip(pppClient), ClientHWAddr: net.HardwareAddr{0, 0x53, 0x45, 0, 0, 0},
		Options: dhcpv4.OptionsFromList(dhcpv4.OptMessageType(dhcpv4.MessageTypeInform))}
	if change != nil {
		change(m)
	}
	return appendIPv4UDP(nil, src, broadcast4, portClient, portServer, m.ToBytes())
}

func asking(codes ...uint8) func(*dhcpv4.DHCPv4) {
	return func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionParameterRequestList, codes)) }
}

func responder() *Responder {
	return &Responder{Server: netip.MustParseAddr("172.16.0.1"), Mask: 24, DNS: []netip.Addr{netip.MustParseAddr("172.16.0.53")}, Domain: "home.example", Search: []string{"home.example", "lab.example"},
		NTP: []netip.Addr{netip.MustParseAddr("172.16.0.1")}, Routes: []Route{
			{To: netip.MustParsePrefix("192.168.0.0/16")},
			{To: netip.MustParsePrefix("10.20.30.0/24"), Via: netip.MustParseAddr("172.16.0.254")},
		}}
}

// answered reads a reply packet; nil for none.
func answered(t *testing.T, r *Responder, packet []byte) *dhcpv4.DHCPv4 {
	t.Helper()
	reply, ok := r.Receive(packet, pppClient)
	if !ok {
		return nil
	}
	b := append(eth.AppendHeader(nil, 0, clientMAC, serverMAC, eth.TypeIPv4), reply...)
	l := eth.Parse(b)
	if l.IP != 4 || !l.ChecksumValid(b) || eth.Sum(b[l.Net:l.L4], 0) != 0xffff || l.End != len(b) {
		t.Fatalf("a damaged reply: %x", reply)
	}
	src, dst := netip.AddrFrom4([4]byte(reply[12:16])), netip.AddrFrom4([4]byte(reply[16:20]))
	if src != r.Server || dst != pppClient {
		t.Errorf("from %v to %v", src, dst)
	}
	m := message(b, portClient)
	if m == nil {
		t.Fatalf("an unreadable reply: %x", reply)
	}
	if m.MessageType() != dhcpv4.MessageTypeAck || m.TransactionID != (dhcpv4.TransactionID{1, 2, 3, 4}) || !m.YourIPAddr.IsUnspecified() ||
		m.Options.Has(dhcpv4.OptionIPAddressLeaseTime) || !m.ServerIdentifier().Equal(net.IP(ip(r.Server))) {
		t.Errorf("the reply breaks RFC 2131 section 4.3.5: %v", m.Summary())
	}
	return m
}

func codes(m *dhcpv4.DHCPv4) (l []uint8) {
	for c := range m.Options {
		if c != 53 && c != 54 && c != 61 {
			l = append(l, c)
		}
	}
	slices.Sort(l)
	return l
}

func TestInform(t *testing.T) {
	r := responder()
	// Windows asks for 249 and 121, both with the same bytes (RFC 3442).
	m := answered(t, r, inform(pppClient, asking(6, 44, 43, 77, 12, 15, 121, 249)))
	if got := fmt.Sprint(codes(m)); got != "[6 15 121 249]" {
		t.Errorf("options %s", got)
	}
	want := []byte{16, 192, 168, 172, 16, 0, 1, 24, 10, 20, 30, 172, 16, 0, 254}
	if a, b := m.Options[121], m.Options[249]; !slices.Equal(a, want) || !slices.Equal(b, want) {
		t.Errorf("routes %v and %v, want %v", a, b, want)
	}
	// macOS asks for 121 alone.
	if got := fmt.Sprint(codes(answered(t, r, inform(pppClient, asking(1, 3, 6, 15, 112, 113, 78, 79, 95, 121))))); got != "[1 6 15 121]" {
		t.Errorf("options %s", got)
	}
	if got := fmt.Sprint(codes(answered(t, r, inform(pppClient, nil)))); got != "[1 6 15 42 119 121 249]" {
		t.Errorf("without a list: %s", got)
	}
	// No ciaddr: the sender's address is enough. The identifier goes back.
	m = answered(t, r, inform(pppClient, func(m *dhcpv4.DHCPv4) {
		m.ClientIPAddr = nil
		m.UpdateOption(dhcpv4.OptClientIdentifier([]byte{1, 2, 3}))
	}))
	if m == nil || !slices.Equal(m.Options[61], []byte{1, 2, 3}) {
		t.Errorf("no ciaddr: %v", m)
	}
	// Without routes the client's own setting decides.
	r.Routes = nil
	if got := fmt.Sprint(codes(answered(t, r, inform(pppClient, asking(121, 249, 6))))); got != "[6]" {
		t.Errorf("no routes: %s", got)
	}
	// What does not fit loses the least needed; routes are told once then.
	r = responder()
	for i := range 55 {
		r.Routes = append(r.Routes, Route{To: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 1, 0}), 24)})
	}
	if m := answered(t, r, inform(pppClient, nil)); len(m.Options[121]) != 15+55*8 || m.Options.Has(dhcpv4.GenericOptionCode(249)) {
		t.Errorf("a long list: %v", codes(m))
	}
	if m := answered(t, r, inform(pppClient, func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMaxMessageSize(1400)) })); len(m.Options[249]) != 15+55*8 {
		t.Errorf("a long list to a client that takes it: %v", codes(m))
	}
}

func TestInformNotForUs(t *testing.T) {
	other := netip.MustParseAddr("172.16.0.201")
	for name, packet := range map[string][]byte{
		"another's sender":  inform(other, nil),
		"another's ciaddr":  inform(pppClient, func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = ip(other) }),
		"a DISCOVER":        inform(pppClient, func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeDiscover)) }),
		"a reply":           inform(pppClient, func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootReply }),
		"nothing":           nil,
		"an IPv6 packet":    append([]byte{0x60}, make([]byte, 60)...),
		"another port":      appendIPv4UDP(nil, pppClient, broadcast4, 68, 69, make([]byte, 300)),
		"too short for UDP": inform(pppClient, nil)[:25],
		"cut":               inform(pppClient, nil)[:200],
		"zeros":             appendIPv4UDP(nil, pppClient, broadcast4, 68, 67, make([]byte, 300)),
	} {
		if reply, ok := responder().Receive(packet, pppClient); ok || reply != nil {
			t.Errorf("%s was answered", name)
		}
	}
	frag := inform(pppClient, nil)
	frag[6] = 0x20
	if _, ok := responder().Receive(frag, pppClient); ok {
		t.Error("a fragment was answered")
	}
}

func FuzzInform(f *testing.F) {
	f.Add(inform(pppClient, nil))
	f.Add(inform(pppClient, asking(6, 121, 249)))
	f.Add(inform(pppClient, func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMaxMessageSize(68)) }))
	f.Fuzz(func(t *testing.T, packet []byte) {
		reply, ok := responder().Receive(packet, pppClient)
		if ok != (reply != nil) || len(reply) > 1500 {
			t.Fatalf("%v, %d bytes", ok, len(reply))
		}
		if src, p := udpTo(reply, portClient); ok && (src != responder().Server || p == nil) {
			t.Fatalf("a reply that is none: %x", reply)
		}
	})
}
