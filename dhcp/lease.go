package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"time"

	"vhub/eth"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// maxLease is the longest lease we count; a longer one never ends.
const maxLease = 10 * 365 * 24 * time.Hour

// leaseOf reads the lease of an OFFER or ACK that came from station from. It
// refuses what no host could use.
func leaseOf(now time.Time, m *dhcpv4.DHCPv4, from eth.Addr) (*Lease, error) {
	addr, ok := netip.AddrFromSlice(m.YourIPAddr.To4())
	if !ok || addr.IsUnspecified() || addr.IsLoopback() || addr.IsMulticast() || addr.As4()[0] >= 240 {
		return nil, fmt.Errorf("%v is not the address of a host", m.YourIPAddr)
	}
	mask := m.SubnetMask()
	if mask == nil {
		mask = net.IP(m.YourIPAddr.To4()).DefaultMask() // RFC 2131 section 2: as before there were subnets
	}
	ones, bits := mask.Size()
	if bits != 32 || ones == 0 {
		return nil, fmt.Errorf("%v is not a subnet mask", mask)
	}
	l := &Lease{Source: SourceDHCP, Prefix: netip.PrefixFrom(addr, ones), Since: now, serverMAC: from}
	if ones <= 30 && (addr == l.Prefix.Masked().Addr() || addr == lastAddr(l.Prefix)) {
		return nil, fmt.Errorf("%s is not the address of a host in its subnet", l.Prefix)
	}
	l.Server, _ = netip.AddrFromSlice(m.ServerIdentifier().To4())
	l.Routers, l.DNS, l.NTP = addrs(m.Router()), addrs(m.DNS()), addrs(m.NTPServers())
	l.Domain = printable(m.DomainName())
	if s := m.DomainSearch(); s != nil {
		for _, d := range s.Labels {
			l.Search = append(l.Search, printable(d))
		}
	}
	l.Routes = routesOf(m)
	if b := m.Options.Get(dhcpv4.OptionInterfaceMTU); len(b) == 2 {
		if mtu := int(b[0])<<8 | int(b[1]); mtu >= 68 { // RFC 2132 section 5.1
			l.MTU = mtu
		}
	}
	return l, times(l, m, now)
}

// times sets when a lease is renewed, rebound and over (RFC 2131 section 4.4.5).
func times(l *Lease, m *dhcpv4.DHCPv4, now time.Time) error {
	life := m.IPAddressLeaseTime(0)
	if life < time.Second {
		return fmt.Errorf("it has no lease time")
	}
	t1, t2 := m.IPAddressRenewalTime(0), m.IPAddressRebindingTime(0)
	if t2 <= 0 || t2 >= life {
		t2 = life / 8 * 7
	}
	if t1 <= 0 || t1 >= t2 {
		t1 = min(life/2, t2)
	}
	if life >= maxLease { // 0xffffffff is for ever (section 3.3)
		return nil
	}
	l.Renew, l.Rebind, l.Expires = now.Add(t1), now.Add(t2), now.Add(life)
	return nil
}

func addrs(ips []net.IP) (l []netip.Addr) {
	for _, x := range ips {
		if a, ok := netip.AddrFromSlice(x.To4()); ok && !a.IsUnspecified() && !a.IsMulticast() {
			l = append(l, a)
		}
	}
	return l
}

// printable leaves of a server's text what may stand in a log line.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c <= ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// routesOf reads option 121, or Microsoft's 249 of the same form.
func routesOf(m *dhcpv4.DHCPv4) (l []Route) {
	b := m.Options.Get(dhcpv4.OptionClasslessStaticRoute)
	if b == nil {
		b = m.Options.Get(dhcpv4.GenericOptionCode(optionMicrosoftRoutes))
	}
	var routes dhcpv4.Routes
	if routes.FromBytes(b) != nil {
		return nil // half a list is worse than none
	}
	for _, r := range routes {
		to, ok1 := netip.AddrFromSlice(r.Dest.IP.To4())
		via, ok2 := netip.AddrFromSlice(r.Router.To4())
		ones, _ := r.Dest.Mask.Size()
		if ok1 && ok2 {
			l = append(l, Route{netip.PrefixFrom(to, ones).Masked(), via})
		}
	}
	return l
}

// lastAddr is the broadcast address of an IPv4 subnet.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// sameFacts tells that a session need not be told of a renewal: only its times
// are new.
func sameFacts(a, b *Lease) bool {
	x, y := *a, *b
	x.Since, x.Renew, x.Rebind, x.Expires, x.serverMAC, x.Server = time.Time{}, time.Time{}, time.Time{}, time.Time{}, eth.Addr{}, netip.Addr{}
	y.Since, y.Renew, y.Rebind, y.Expires, y.serverMAC, y.Server = time.Time{}, time.Time{}, time.Time{}, time.Time{}, eth.Addr{}, netip.Addr{}
	return reflect.DeepEqual(x, y)
}
