package l2tp

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync/atomic"

	"vhub/eth"
	"vhub/hub"
)

// ears tell the hub which sessions a frame to a group is for. Every login asks the
// segment whether its address is free, and announces it; each of these frames
// would go to all sessions, which costs with the square of their number. So a
// question goes to the session that has the address, an answer to those that wait for it or
// know the sender (arp.Host.Heeds), DHCP's replies to the one they name.
// Everything else that clients have a use for goes to all.
//
// The loop writes; the data path reads without a lock. A bucket is a list that
// never changes, and is replaced as a whole.
type ears struct {
	seed    maphash.Seed
	buckets [1 << 12]atomic.Pointer[[]ear]
}

// heed is what a session listens for: an IP address, or its own MAC address in a
// DHCP reply.
type heed struct {
	addr netip.Addr
	mac  eth.Addr
}

// ear is the sessions that listen for one thing.
type ear struct {
	what  heed
	links []*hub.Link
	// many is how many there are, once there were more than maxEars: a router, say, that
	// all have as next hop. Then links is empty, and frames go to all sessions.
	many int
}

const maxEars = 64

func newEars() *ears { return &ears{seed: maphash.MakeSeed()} }

func (e *ears) bucket(what heed) *atomic.Pointer[[]ear] {
	return &e.buckets[maphash.Comparable(e.seed, what)%uint64(len(e.buckets))]
}

func (e *ears) find(what heed) (links []*hub.Link, all bool) {
	list := e.bucket(what).Load()
	if list == nil {
		return nil, false
	}
	for i := range *list {
		if r := &(*list)[i]; r.what == what {
			return r.links, r.many > 0
		}
	}
	return nil, false
}

// change has a link listen, or no longer.
func (e *ears) change(what heed, l *hub.Link, on bool) {
	b := e.bucket(what)
	var list []ear
	if old := b.Load(); old != nil {
		list = slices.Clone(*old)
	}
	i := slices.IndexFunc(list, func(r ear) bool { return r.what == what })
	switch {
	case i < 0 && !on:
		return
	case i < 0:
		list = append(list, ear{what: what, links: []*hub.Link{l}})
	case list[i].many > 0 && on:
		list[i].many++
	case list[i].many > 0:
		list[i].many--
	case on && len(list[i].links) == maxEars:
		list[i].many, list[i].links = maxEars+1, nil
	case on:
		list[i].links = append(slices.Clone(list[i].links), l)
	default:
		list[i].links = slices.DeleteFunc(slices.Clone(list[i].links), func(x *hub.Link) bool { return x == l })
	}
	if i >= 0 && list[i].many == 0 && len(list[i].links) == 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		b.Store(nil)
		return
	}
	b.Store(&list)
}

// Listeners is hub.Listener's.
func (e *ears) Listeners(f *eth.Frame) (some, others []*hub.Link, all bool) {
	typ, off := eth.EtherType(f.Data)
	if off != eth.HeaderLen {
		return nil, nil, false // a tagged frame: clients are on no VLAN
	}
	p := f.Data[off:]
	switch {
	case typ == eth.TypeARP && len(p) >= 28:
		return e.both(netip.AddrFrom4([4]byte(p[24:28])), netip.AddrFrom4([4]byte(p[14:18])))
	case typ == eth.TypeIPv6 && len(p) > 40 && p[6] == eth.ProtoICMPv6:
		switch p[40] {
		case eth.NDNeighborSolicit, eth.NDNeighborAdvert:
			if len(p) < 64 {
				return nil, nil, false
			}
			return e.both(netip.AddrFrom16([16]byte(p[48:64])), netip.AddrFrom16([16]byte(p[8:24])))
		case eth.NDRouterSolicit: // RFC 4861 section 6.2.6: no host has a use for it
			return nil, nil, false
		}
		return nil, nil, true
	case typ == eth.TypeIPv4:
		if port := dhcpPort(p); port == 67 {
			return nil, nil, false // clients are no DHCP servers
		} else if port == 68 && f.GSO == eth.GSONone && len(p) >= 20+8+34 {
			some, all = e.find(heed{mac: eth.Addr(p[20+8+28:])})
			return some, nil, all
		}
		return nil, nil, true
	case typ == eth.TypeIPv6:
		return nil, nil, true
	}
	return nil, nil, false
}

// dhcpPort is the port that a DHCPv4 message goes to, or 0: it has no IP options
// and is no fragment.
func dhcpPort(p []byte) byte {
	if len(p) < 28 || p[0] != 0x45 || p[9] != eth.ProtoUDP || p[6]&0x3f != 0 || p[7] != 0 || p[22] != 0 || p[23] != 67 && p[23] != 68 {
		return 0
	}
	return p[23]
}

func (e *ears) both(target, sender netip.Addr) (some, others []*hub.Link, all bool) {
	if some, all = e.find(heed{addr: target}); all {
		return nil, nil, true
	}
	if target != sender {
		others, all = e.find(heed{addr: sender})
	}
	return some, others, all
}

// listen brings what the session listens for up to what its host heeds.
func (x *session) listen() {
	if x.host == nil || x.hubLink == nil || x.over {
		return
	}
	addrs, changed := x.host.Heeds()
	if !changed {
		return
	}
	next := make([]heed, 0, len(addrs)+1)
	next = append(next, heed{mac: x.mac})
	for _, a := range addrs {
		if h := (heed{addr: a}); !slices.Contains(next, h) {
			next = append(next, h)
		}
	}
	x.hear(next)
}

func (x *session) hear(next []heed) {
	e := x.p.s.ears
	for _, h := range x.heeds {
		if !slices.Contains(next, h) {
			e.change(h, x.hubLink, false)
		}
	}
	for _, h := range next {
		if !slices.Contains(x.heeds, h) {
			e.change(h, x.hubLink, true)
		}
	}
	x.heeds = next
}
