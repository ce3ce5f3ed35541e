package ike

import (
	"cmp"
	"net/netip"
	"slices"
)

// renewed finds the session that a newly authenticated one continues: same
// configuration, same identity, same addresses.
func (e *Endpoint) renewed(s *session) *session {
	for _, o := range e.likely(s) {
		if o != s && o.peer != nil && o.peer.Name == s.peer.Name && o.remote == s.remote && o.local.Addr() == s.local.Addr() &&
			(o.remoteID.equal(s.remoteID) || (!o.up && (o.peer.RemoteID.IsZero() || o.peer.RemoteID.equal(s.remoteID)))) {
			return o
		}
	}
	return nil
}

// likely are the sessions that may be of the same peer as s: those from its address, and,
// if its identity is one of its own, those with that identity. So that the ten thousandth
// road warrior costs no more than the first.
func (e *Endpoint) likely(s *session) []*session {
	list := e.at(s.remote.Addr())
	if !s.peer.RemoteID.IsZero() {
		for _, o := range e.byPeer[s.peer.Name] {
			if o.remote.Addr() != s.remote.Addr() {
				list = append(list, o)
			}
		}
	}
	slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	return list
}

// at are the sessions of an address, by id.
func (e *Endpoint) at(a netip.Addr) []*session {
	var list []*session
	for s := e.byRemote[a]; s != nil; s = s.after {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	return list
}

// index enters the session where likely looks; it is called whenever its address or peer changes.
func (s *session) index(remote netip.AddrPort) {
	s.unindex()
	s.remote = remote
	addr := remote.Addr()
	if s.after = s.e.byRemote[addr]; s.after != nil {
		s.after.before = s
	}
	s.e.byRemote[addr] = s
	if s.peer != nil && !s.peer.RemoteID.IsZero() {
		if s.e.byPeer[s.peer.Name] == nil {
			s.e.byPeer[s.peer.Name] = map[SessionID]*session{}
		}
		s.e.byPeer[s.peer.Name][s.id] = s
	}
}

func (s *session) unindex() {
	addr := s.remote.Addr()
	switch {
	case s.before != nil:
		s.before.after = s.after
	case s.e.byRemote[addr] == s && s.after != nil:
		s.e.byRemote[addr] = s.after
	case s.e.byRemote[addr] == s:
		delete(s.e.byRemote, addr)
	}
	if s.after != nil {
		s.after.before = s.before
	}
	s.before, s.after = nil, nil
	if s.peer != nil {
		if delete(s.e.byPeer[s.peer.Name], s.id); len(s.e.byPeer[s.peer.Name]) == 0 {
			delete(s.e.byPeer, s.peer.Name)
		}
	}
}

// supersede finds the sessions that this one takes the place of. With INITIAL-CONTACT (RFC 2407
// 4.6.3.3) they end at once, else when the first child is usable: the old path may still carry frames.
func (s *session) supersede(p *phase1) []SessionID {
	var list []*session
	for _, o := range s.e.likely(s) {
		if o == s || !o.up || o.peer.Name != s.peer.Name || !o.remoteID.equal(s.remoteID) {
			continue
		}
		// A default peer is not one identity: behind one NAT, two clients may even have
		// the same private address as identity. Only the same address and port is the same client.
		if s.peer.RemoteID.IsZero() && o.remote != s.remote {
			continue
		}
		if (s.dialled && o.dialled) || (s.multipath && o.multipath && !p.initialContact) {
			continue // several paths
		}
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	if s.multipath && !p.initialContact && len(list) == 0 {
		list = s.tooManyPaths()
	}
	ids := make([]SessionID, 0, len(list))
	for _, o := range list {
		ids = append(ids, o.id)
		if p.initialContact {
			o.end(Reason{Code: Replaced, Detail: "the peer came anew from " + s.remote.String()}, false)
		}
	}
	if p.initialContact { // what this session itself still had is of the peer's former life
		// But not what was made while this phase 1 was being made: both sides may have begun at once.
		for _, k := range slices.Clone(s.children) {
			if k.child.Born.Before(p.born) {
				k.down(Reason{Code: Replaced, Detail: "the peer started anew"}, false)
			}
		}
		for _, o := range slices.Clone(s.sas) {
			if o.stage == stageUp && o.upAt.Before(p.born) {
				o.end(false)
			}
		}
	} else if len(ids) > 0 {
		s.replaces = ids
	}
	return ids
}

// tooManyPaths lists the oldest paths of a multipath peer beyond the limit.
func (s *session) tooManyPaths() []*session {
	var paths []*session
	for _, o := range s.e.likely(s) {
		if o != s && o.up && o.peer.Name == s.peer.Name && o.remoteID.equal(s.remoteID) {
			paths = append(paths, o)
		}
	}
	return paths[:max(0, len(paths)-maxMultipath+1)]
}
