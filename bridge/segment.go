package bridge

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
)

// IfInfo says what a port needs to know of an interface of this host.
type IfInfo struct {
	Ifname    string
	Kind      string // "device" for hardware, else the kind of virtual interface: bridge, veth, vlan, ...
	MTU       int
	Addresses []netip.Prefix // without link-local ones
	Bridge    string         // Linux bridge that holds the interface, "" none
}

// Interface looks at an interface in vhub's own network namespace.
func Interface(ifname string) (IfInfo, error) {
	s, err := openSpace("")
	if err != nil {
		return IfInfo{}, err
	}
	defer s.close()
	l, err := s.nl.LinkByName(ifname)
	if notFound(err) {
		return IfInfo{}, fmt.Errorf("no interface %s", ifname)
	} else if err != nil {
		return IfInfo{}, fmt.Errorf("interface %s: %w", ifname, err)
	}
	return s.info(l)
}

// info is Interface for a link that was found.
func (s *space) info(l netlink.Link) (IfInfo, error) {
	a := l.Attrs()
	i := IfInfo{Ifname: a.Name, Kind: l.Type(), MTU: a.MTU}
	addrs, err := s.nl.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return i, fmt.Errorf("addresses of %s: %w", a.Name, err)
	}
	for _, x := range addrs {
		ip, ok := netip.AddrFromSlice(x.IP)
		if !ok || ip.Unmap().IsLinkLocalUnicast() {
			continue
		}
		bits, _ := x.Mask.Size()
		i.Addresses = append(i.Addresses, netip.PrefixFrom(ip.Unmap(), bits))
	}
	if a.MasterIndex != 0 {
		if m, err := s.nl.LinkByIndex(a.MasterIndex); err == nil && m.Type() == "bridge" {
			i.Bridge = m.Attrs().Name
		}
	}
	return i, nil
}

// SegmentOf names the wire that an interface of this host is on, for
// hub.LinkConfig.Segment: "bridge:br0" for an interface in that bridge, so that a
// tap port in br0 and a nic port on a member of br0 are known to be on one wire;
// "" where it shares nothing, or does not exist.
func SegmentOf(ifname string) string {
	i, err := Interface(ifname)
	if err != nil || i.Bridge == "" {
		return ""
	}
	return segmentOfBridge(i.Bridge)
}

func segmentOfBridge(bridge string) string { return "bridge:" + bridge }

// nicWarnings says what the operator of a nic port should know.
func nicWarnings(i IfInfo) []string {
	bridge := i.Bridge
	if bridge == "" {
		bridge = "br0"
	}
	out := []string{fmt.Sprintf("a tap port in a Linux bridge with %[1]s is the better way to join this wire: it hears and reaches this host too, "+
		"needs no promiscuous mode of vhub's own and keeps the kernel's offloads: vhub port add tap lan --bridge %[2]s; ip link set %[1]s master %[2]s", i.Ifname, bridge)}
	owner := i.Ifname
	if i.Bridge != "" {
		owner = i.Bridge
		out = append(out, fmt.Sprintf("%s is in bridge %s: a tap port in %s is on the same wire as this port; "+
			"give both the segment %q, or keep only the tap port", i.Ifname, i.Bridge, i.Bridge, segmentOfBridge(i.Bridge)))
	}
	if len(i.Addresses) > 0 {
		var list []string
		for _, p := range i.Addresses {
			list = append(list, p.String())
		}
		out = append(out, fmt.Sprintf("this host's own address %s will not answer stations of the hub, as what a nic port sends goes to the wire and not to this host: "+
			"put the address on a bridge that holds %s and a tap port", strings.Join(list, ", "), owner))
	} else {
		out = append(out, fmt.Sprintf("this host itself will not answer stations of the hub through %s: an address that must answer belongs on a bridge with a tap port", owner))
	}
	return out
}
