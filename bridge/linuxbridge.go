package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// findBridge returns the Linux bridge of that name and makes it where it is
// missing and create is set.
func (s *space) findBridge(name string, create bool) (netlink.Link, error) {
	l, err := s.nl.LinkByName(name)
	if err == nil {
		if l.Type() != "bridge" {
			return nil, fmt.Errorf("%s is not a Linux bridge but an interface of type %s", name, l.Type())
		}
		return l, nil
	}
	if !notFound(err) {
		return nil, rights(fmt.Errorf("bridge %s: %w", name, err))
	}
	if !create {
		return nil, fmt.Errorf("no bridge %s: make it (ip link add %s type bridge), or have vhub make it (create_bridge = true)", name, name)
	}
	return s.makeBridge(name)
}

// makeBridge makes a bridge that forwards at once, and marks it as vhub's, so
// that the next vhub knows it after this one was killed. It gets an address of
// its own: else it would take another with each port that joins.
func (s *space) makeBridge(name string) (netlink.Link, error) {
	mac := stableMAC(0x02, "bridge", s.name, name)
	b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: mac[:]}}
	if err := s.nl.LinkAdd(b); err != nil {
		if errors.Is(err, unix.EEXIST) { // another port was faster
			return s.findBridge(name, false)
		}
		return nil, rights(fmt.Errorf("making bridge %s: %w", name, err))
	}
	l, err := s.nl.LinkByName(name)
	if err == nil {
		err = s.nl.LinkSetAlias(l, aliasPrefix)
	}
	if err == nil {
		err = s.setNoDelay(l.Attrs().Index)
	}
	if err == nil {
		err = s.nl.LinkSetUp(l)
	}
	if err != nil {
		s.nl.LinkDel(b)
		return nil, fmt.Errorf("setting up bridge %s: %w", name, err)
	}
	return s.nl.LinkByName(name)
}

// setNoDelay turns STP and the forward delay of a bridge off. netlink.Bridge
// has no fields for them.
func (s *space) setNoDelay(index int) error {
	return s.do(func() error {
		req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
		msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
		msg.Index = int32(index)
		req.AddData(msg)
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
		data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
		data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
		data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
		req.AddData(info)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
}

// isOurs tells whether vhub, this one or one before, made the interface.
func isOurs(l netlink.Link) bool { return strings.HasPrefix(l.Attrs().Alias, aliasPrefix) }

// removeBridge removes a bridge that vhub made, once it has no members. It says
// whether it did.
func (s *space) removeBridge(name string) (bool, error) {
	l, err := s.nl.LinkByName(name)
	if err != nil || l.Type() != "bridge" || !isOurs(l) {
		return false, nil
	}
	n, err := s.members(l.Attrs().Index)
	if err != nil || n > 0 {
		return false, err
	}
	if err := s.nl.LinkDel(l); err != nil && !notFound(err) {
		return false, fmt.Errorf("removing bridge %s: %w", name, err)
	}
	return true, nil
}

// members counts the ports of a bridge.
func (s *space) members(index int) (int, error) {
	all, err := s.nl.LinkList()
	if err != nil {
		return 0, fmt.Errorf("listing interfaces: %w", err)
	}
	n := 0
	for _, l := range all {
		if l.Attrs().MasterIndex == index {
			n++
		}
	}
	return n, nil
}

// view reads how a bridge tells VLANs apart on one of its ports.
func (s *space) view(bridge netlink.Link, port int) (bridgeView, error) {
	b, ok := bridge.(*netlink.Bridge)
	if !ok || b.VlanFiltering == nil || !*b.VlanFiltering {
		return bridgeView{}, nil
	}
	v := bridgeView{filtering: true}
	vlans, err := s.nl.BridgeVlanList()
	if err != nil {
		return v, fmt.Errorf("VLANs of the bridge: %w", err)
	}
	for _, i := range vlans[int32(port)] {
		if i.PortVID() {
			v.pvid = i.Vid
		}
	}
	return v, nil
}

// addAddresses gives addresses to an interface and returns those that were not
// there before.
func (s *space) addAddresses(l netlink.Link, want []netip.Prefix) (added []netip.Prefix, err error) {
	for _, p := range want {
		err := s.nl.AddrAdd(l, linkAddr(p))
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return added, rights(fmt.Errorf("address %s of %s: %w", p, l.Attrs().Name, err))
		}
		added = append(added, p)
	}
	return added, nil
}

// delAddresses takes addresses away; those that are gone already are no error.
func (s *space) delAddresses(l netlink.Link, old []netip.Prefix) error {
	for _, p := range old {
		if err := s.nl.AddrDel(l, linkAddr(p)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("address %s of %s: %w", p, l.Attrs().Name, err)
		}
	}
	return nil
}

func linkAddr(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
}
