package bridge

import (
	"errors"
	"maps"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vhub/eth"
)

// pin is an entry of the Linux bridge's forwarding table.
type pin struct {
	vid uint16 // 0 where the bridge does not filter VLANs
	mac eth.Addr
}

// fdb is the bridge's forwarding table as seen from one of its ports.
type fdb interface {
	add(p pin) error // pins on the port, from wherever the address was
	del(p pin) error // unpins; an entry that is not there is no error
	list() (fdbState, error)
}

// fdbState is what the bridge's table holds.
type fdbState struct {
	pins  map[pin]struct{}      // pins on the port
	fixed map[pin]struct{}      // entries that others fixed on other ports
	host  map[eth.Addr]struct{} // this host's own addresses: the bridge's and its ports'
}

// keepOff tells an entry that is not to be pinned over.
func (s *fdbState) keepOff(p pin) bool {
	_, fixed := s.fixed[p]
	_, host := s.host[p.mac]
	return fixed || host
}

// bridgeView says how the bridge tells VLANs apart.
type bridgeView struct {
	filtering bool   // vlan_filtering: entries are by (VLAN, MAC); else by MAC only
	pvid      uint16 // VLAN of untagged frames on the TAP's port; 0 none
}

// pinFor returns the entry that holds a station, and false where the bridge
// lets no frame of the station pass.
func (v bridgeView) pinFor(st station) (pin, bool) {
	switch {
	case !v.filtering:
		return pin{0, st.mac}, true
	case st.vlan != 0:
		return pin{st.vlan, st.mac}, true
	}
	return pin{v.pvid, st.mac}, v.pvid != 0
}

// pinner keeps the bridge's table in step with the stations. One goroutine uses
// it.
type pinner struct {
	table   fdb
	view    bridgeView
	of      map[station]pin
	refs    map[pin]int // stations that stand behind a pin: several where the bridge does not tell VLANs apart
	state   fdbState    // as last listed
	errs    uint64
	lastErr error
}

func newPinner(table fdb, view bridgeView) *pinner {
	return &pinner{table: table, view: view, of: map[station]pin{}, refs: map[pin]int{}}
}

// set pins a station or takes its pin away.
func (p *pinner) set(st station, here bool) {
	k, had := p.of[st]
	switch {
	case here && !had:
		k, ok := p.view.pinFor(st)
		if !ok {
			return
		}
		if p.state.keepOff(k) {
			return
		}
		p.of[st] = k
		if p.refs[k]++; p.refs[k] == 1 {
			p.note(p.table.add(k))
		}
	case !here && had:
		delete(p.of, st)
		if p.refs[k]--; p.refs[k] == 0 {
			delete(p.refs, k)
			p.note(p.table.del(k))
		}
	}
}

// resync makes the bridge's table what the stations say, whatever it held.
func (p *pinner) resync(all []station) error {
	state, err := p.table.list()
	if err != nil {
		return err
	}
	p.state = state
	clear(p.of)
	clear(p.refs)
	for _, st := range all {
		k, ok := p.view.pinFor(st)
		if !ok || state.keepOff(k) {
			continue
		}
		p.of[st] = k
		p.refs[k]++
	}
	for k := range state.pins {
		if p.refs[k] != 0 {
			continue
		}
		p.note(p.table.del(k))
		if k.vid == 0 { // the kernel (br_fdb_delete) takes the address out of every VLAN then
			maps.DeleteFunc(state.pins, func(q pin, _ struct{}) bool { return q.mac == k.mac })
		}
	}
	for k := range p.refs {
		if _, there := state.pins[k]; !there {
			p.note(p.table.add(k))
		}
	}
	return nil
}

func (p *pinner) note(err error) {
	if err != nil {
		p.errs++
		p.lastErr = err
	}
}

// kernelFDB is the table of a Linux bridge, by netlink.
type kernelFDB struct {
	nl          *netlink.Handle
	port        int // ifindex of the TAP
	bridgeIndex int
}

// add makes a static and sticky entry: a merely static one is moved by the
// kernel when the address is seen on another port (br_fdb_update asks only for
// BR_FDB_STICKY).
func (k *kernelFDB) add(p pin) error { return k.nl.NeighSet(k.entry(p)) }

func (k *kernelFDB) del(p pin) error {
	err := k.nl.NeighDel(k.entry(p))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func (k *kernelFDB) entry(p pin) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex: k.port, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP,
		Flags: netlink.NTF_MASTER | netlink.NTF_STICKY, HardwareAddr: p.mac[:], Vlan: int(p.vid),
	}
}

func (k *kernelFDB) list() (fdbState, error) {
	s := fdbState{pins: map[pin]struct{}{}, fixed: map[pin]struct{}{}, host: map[eth.Addr]struct{}{}}
	links, err := k.nl.LinkList()
	if err != nil {
		return s, err
	}
	for _, l := range links {
		if a := l.Attrs(); a.Index == k.bridgeIndex || a.MasterIndex == k.bridgeIndex {
			s.host[macOf(a.HardwareAddr)] = struct{}{}
		}
	}
	all, err := k.nl.NeighList(0, unix.AF_BRIDGE)
	if err != nil {
		return s, err
	}
	for i := range all {
		k.sort(&all[i], &s)
	}
	return s, nil
}

// sort puts an entry of the kernel's list where it belongs.
func (k *kernelFDB) sort(n *netlink.Neigh, s *fdbState) {
	if len(n.HardwareAddr) != 6 || n.MasterIndex != k.bridgeIndex {
		return
	}
	e := pin{uint16(n.Vlan), eth.Addr(n.HardwareAddr)}
	switch {
	case n.State&netlink.NUD_PERMANENT != 0: // "local": the host's
		s.host[e.mac] = struct{}{}
	case n.State&netlink.NUD_NOARP == 0: // learned by the bridge
	case n.LinkIndex != k.port:
		s.fixed[e] = struct{}{}
	case n.Flags&netlink.NTF_STICKY != 0:
		s.pins[e] = struct{}{}
	}
}
