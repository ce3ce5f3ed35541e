package ike

import (
	"bytes"
	"container/heap"
	"net/netip"
	"time"
)

// SessionStatus is what "sa list" shows of a session.
type SessionStatus struct {
	ID        SessionID
	Peer      *Peer // nil while the peer is not authenticated
	RemoteID  ID
	Dialled   bool
	Up        bool
	Local     netip.AddrPort
	Remote    netip.AddrPort
	NAT       NAT
	Phase1    []Phase1Status
	Children  []ChildStatus
	LastHeard time.Time
}

// Phase1Status is one phase 1 SA.
type Phase1Status struct {
	InitiatorCookie, ResponderCookie [8]byte
	Initiator                        bool
	Exchange                         Exchange
	State                            string
	Suite                            Suite
	NATT                             string
	Vendor                           string
	Born, ReauthAt, Expires          time.Time // the latter zero while not established, or not planned
	// Key decrypts phase 1, and with its IVs phase 2, in Wireshark ("--with-keys" only).
	Key []byte
}

// ChildStatus is one pair of ESP SAs.
type ChildStatus struct {
	Child            *Child
	Usable           bool // the peer has it too
	Sending          bool // it is the one that we send with
	RekeyAt, Expires time.Time
}

// Session tells about one session.
func (e *Endpoint) Session(id SessionID) (SessionStatus, bool) {
	s := e.sessions[id]
	if s == nil {
		return SessionStatus{}, false
	}
	return s.status(), true
}

// Sessions tells about all sessions, by id; negotiations that have not come to a
// known peer yet are among them.
func (e *Endpoint) Sessions() []SessionStatus {
	var list []SessionStatus
	for _, s := range e.byID() {
		list = append(list, s.status())
	}
	return list
}

func (s *session) status() SessionStatus {
	st := SessionStatus{ID: s.id, Peer: s.peer, RemoteID: s.remoteID, Dialled: s.dialled, Up: s.up, Local: s.local, Remote: s.remote,
		NAT: s.nat, LastHeard: s.lastHeard()}
	for _, p := range s.sas {
		x := Phase1Status{InitiatorCookie: p.c.i, ResponderCookie: p.c.r, Initiator: p.initiator, Exchange: p.mode, State: p.stage.String(),
			Suite: p.suite, NATT: p.natt.String(), Vendor: p.vendor.names, Born: p.born, ReauthAt: p.reauthAt, Expires: p.expires}
		if p.keys != nil {
			x.Key = bytes.Clone(p.keys.enc)
		}
		st.Phase1 = append(st.Phase1, x)
	}
	for _, k := range s.children {
		st.Children = append(st.Children, ChildStatus{Child: k.child, Usable: k.usable,
			Sending: k.usable && k.successor == nil && !k.deleted, RekeyAt: k.rekeyAt, Expires: k.expires})
	}
	return st
}

func removeTimer(t *timers, s *session) { heap.Remove(t, s.slot) }
