package ike

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// peerTable is the configuration in the order in which it is asked.
type peerTable struct {
	all  []*Peer
	rank map[Suite]int // of the peers that may come from anywhere
	list []Suite

	multipath bool  // some peer permits it
	anywhere  *Peer // what NAT options the peers without an address have, together
}

func newPeerTable(peers []*Peer) (peerTable, error) {
	t := peerTable{all: slices.Clone(peers)}
	names := map[string]bool{}
	for _, p := range peers {
		if err := p.check(); err != nil {
			return t, err
		}
		if names[p.Name] {
			return t, fmt.Errorf("ike: two peers named %q", p.Name)
		}
		names[p.Name] = true
	}
	// Identities first, defaults last: where both would do, the more special one decides.
	slices.SortStableFunc(t.all, func(a, b *Peer) int { return cmp.Compare(class(a), class(b)) })
	t.rank = map[Suite]int{}
	t.anywhere = &Peer{}
	for _, p := range t.all {
		t.multipath = t.multipath || p.Multipath
		if len(p.Remote) == 0 {
			t.list = addSuites(t.rank, t.list, p)
			t.anywhere.ForceNATT = t.anywhere.ForceNATT || p.ForceNATT
			t.anywhere.HideNAT = t.anywhere.HideNAT || p.HideNAT
		}
	}
	return t, nil
}

func class(p *Peer) int {
	switch {
	case len(p.Remote) > 0 && !p.RemoteID.IsZero():
		return 0
	case len(p.Remote) > 0:
		return 1
	case !p.RemoteID.IsZero():
		return 2
	}
	return 3
}

// suites are the phase 1 suites that a peer takes.
func (p *Peer) suites() []Suite {
	if p.Suites != nil {
		return p.Suites
	}
	return DefaultSuites(p.Legacy)
}

// addSuites appends the suites of p that are not there yet.
func addSuites(rank map[Suite]int, list []Suite, p *Peer) []Suite {
	for _, s := range p.suites() {
		if _, known := rank[s]; !known {
			rank[s] = len(list)
			list = append(list, s)
		}
	}
	return list
}

func (p *Peer) from(a netip.Addr) bool {
	return len(p.Remote) == 0 || slices.ContainsFunc(p.Remote, func(x netip.Prefix) bool { return x.Contains(a) })
}

// candidates are the peers that may come from an address, the most special first.
func (t *peerTable) candidates(a netip.Addr) []*Peer {
	var list []*Peer
	for _, p := range t.all {
		if p.from(a) {
			list = append(list, p)
		}
	}
	// A peer whose identity is this very address comes before all others.
	want := AddrID(a)
	slices.SortStableFunc(list, func(x, y *Peer) int {
		return cmp.Compare(b2i(y.RemoteID == want), b2i(x.RemoteID == want))
	})
	return list
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ranking tells how suites rank for an address: those of peers bound to it come first.
func (t *peerTable) ranking(a netip.Addr) (func(Suite) (int, bool), []Suite) {
	rank, list := map[Suite]int(nil), []Suite(nil)
	for _, p := range t.all {
		if len(p.Remote) > 0 && p.from(a) {
			if rank == nil {
				rank = map[Suite]int{}
			}
			list = addSuites(rank, list, p)
		}
	}
	n := len(list)
	if n == 0 {
		return func(s Suite) (int, bool) { r, ok := t.rank[s]; return r, ok }, t.list
	}
	return func(s Suite) (int, bool) {
		if r, ok := rank[s]; ok {
			return r, true
		}
		r, ok := t.rank[s]
		return n + r, ok
	}, append(list, t.list...)
}

// natOptions are ForceNATT and HideNAT for an address whose identity is not known
// yet: message 4 of main mode needs them.
func (t *peerTable) natOptions(a netip.Addr) *Peer {
	for _, p := range t.all {
		if len(p.Remote) > 0 && p.from(a) {
			return p
		}
	}
	return t.anywhere
}

// byID finds the peer that aggressive mode with this identity is for. A default does
// not count: an unknown identity is not answered.
func (t *peerTable) byID(id ID, a netip.Addr) *Peer {
	for _, p := range t.all {
		if p.Aggressive && !p.RemoteID.IsZero() && p.RemoteID.equal(id) && p.from(a) {
			return p
		}
	}
	return nil
}

// samePeer tells whether sessions of old may go on under the new configuration.
func samePeer(a, b *Peer) bool {
	return bytes.Equal(a.Key, b.Key) && a.RemoteID == b.RemoteID && a.LocalID == b.LocalID &&
		slices.Equal(a.Remote, b.Remote)
}
