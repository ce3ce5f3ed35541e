package ike

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"vhub/ipsec/esp"
)

// childSA is a pair of ESP SAs in its life: installed, usable, succeeded, down.
type childSA struct {
	s     *session
	child *Child
	q     *quick // that made it, while that is under way

	usable    bool
	deleted   bool     // by the peer: only packets under way are taken
	gone      bool     // down
	successor *childSA // sends in its place

	started  time.Time // of the quick mode
	usableBy time.Time // when it became usable
	nonce    []byte    // the smaller one of its quick mode: decides between two that crossed

	rekeyAt, expires time.Time
	usableAt         time.Time // commit bit: do not wait longer
	deleteAt         time.Time // replaced: send the delete then
	downAt           time.Time // deleted: forget it then
	drain            time.Duration
}

// drain is how long an inbound SA is kept after its delete, for packets under way.
const drain = 3 * time.Second

// makeChild computes the keys and puts together the immutable result.
func (q *quick) makeChild(c choice2, shared []byte, list []payload) *childSA {
	p, s := q.p, q.p.s
	now := p.e.now
	keys := func(spi uint32) esp.Keys {
		k, err := c.suite.SplitKeymat(p.keys.keymat(c.suite.KeymatLen(), shared, spi, q.nonce[0], q.nonce[1]))
		if err != nil {
			panic(err) // the length is the suite's own
		}
		return k
	}
	child := &Child{Session: s.id, Peer: s.peer, Name: q.cfg.Name, In: SA{q.spi, keys(q.spi)}, Out: SA{c.spi, keys(c.spi)},
		Suite: c.suite, Mode: c.espMode, ESN: c.esn, UDP: c.udp, Local: s.local, Remote: s.remote,
		LocalSelector: q.cfg.Local, RemoteSelector: q.cfg.Remote, Initiator: q.initiator, PFS: c.group, Born: now,
		Lifetime: c.life.atMost(s.peer.childLifetime())}
	if !c.udp {
		child.Local, child.Remote = netip.AddrPortFrom(s.local.Addr(), 0), netip.AddrPortFrom(s.remote.Addr(), 0)
	}
	if kb := lowest(c.life.kbytes, q.want.kbytes); kb != 0 && kb < 1<<50 {
		child.HardBytes = kb << 10
		child.SoftBytes = child.HardBytes / 100 * 85
	}
	// NAT-OA: the initiator's address, then the responder's, each as the sender sees it.
	if oa := all(list, p.natt.natoa()); p.natt != nattNone && len(oa) > 0 {
		child.RemoteOA = parseOA(oa[b2i(q.initiator)%len(oa)])
		if len(oa) > 1 {
			child.LocalOA = parseOA(oa[1-b2i(q.initiator)])
		}
	}
	k := &childSA{s: s, child: child, q: q, started: q.started, expires: now.Add(child.Lifetime), nonce: q.nonce[0]}
	if bytes.Compare(q.nonce[1], k.nonce) < 0 {
		k.nonce = q.nonce[1]
	}
	k.setRekey()
	return k
}

func lowest(a, b uint64) uint64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// setRekey sets when the child is rekeyed. Who began comes first, the other waits nearly to the end.
func (k *childSA) setRekey() {
	life := k.child.Lifetime
	switch {
	case k.child.Initiator:
		k.rekeyAt = k.child.Born.Add(life*85/100 - k.s.e.spread(life/20))
	case k.s.peer.PeerRekeys:
	default:
		k.rekeyAt = k.child.Born.Add(life - min(life/20, 30*time.Second))
	}
}

// install makes it known: packets on its inbound SPI are taken from now on.
func (k *childSA) install() {
	s := k.s
	s.children = append(s.children, k)
	s.e.spis[k.child.In.SPI] = k
	s.e.out.event(ChildInstalled{k.child})
	for i := 0; len(s.children) > maxChildren && i < len(s.children); {
		if old := s.children[i]; old.successor != nil {
			old.down(Reason{Code: TooMany, Detail: fmt.Sprintf("more than %d children", maxChildren)}, true)
			continue
		}
		i++
	}
}

// sameFlow tells whether two children are for the same traffic, so that the newer
// replaces the older. In transport mode addresses do not count: they are those of phase 1,
// however each side sees them. A session we dialled for one child has one flow.
func (k *childSA) sameFlow(o *childSA) bool {
	a, b := k.child, o.child
	if k.s.dialled && len(k.s.peer.Children) == 1 {
		return true
	}
	if a.Mode != b.Mode {
		return false
	}
	if a.Mode == esp.Transport {
		return a.LocalSelector.Protocol == b.LocalSelector.Protocol && a.LocalSelector.Port == b.LocalSelector.Port &&
			a.RemoteSelector.Protocol == b.RemoteSelector.Protocol && a.RemoteSelector.Port == b.RemoteSelector.Port
	}
	return a.LocalSelector == b.LocalSelector && a.RemoteSelector == b.RemoteSelector
}

// current is the child that sends for k's flow now, other than k.
func (k *childSA) current() *childSA {
	for _, o := range slices.Backward(k.s.children) {
		if o != k && o.usable && !o.deleted && o.successor == nil && o.sameFlow(k) {
			return o
		}
	}
	return nil
}

// crossed tells whether both sides began a quick mode for the same flow at the same time.
func (k *childSA) crossed(o *childSA) bool {
	return k.child.Initiator != o.child.Initiator && !k.started.After(o.usableBy) && !o.started.After(k.usableBy)
}

// unlike tells that a child has another mode than we dialled for, and o has that. SoftEther
// answers a quick mode for tunnel mode, and begins one of its own for transport mode.
func (k *childSA) unlike(o *childSA) bool {
	s := k.s
	if !s.dialled || len(s.peer.Children) != 1 {
		return false
	}
	want := s.peer.Children[0].Mode
	return k.child.Mode != want && o.child.Mode == want
}

// makeUsable: the peer has the child too, so we may send on it.
func (k *childSA) makeUsable() {
	if k.usable || k.gone || k.deleted {
		return
	}
	s := k.s
	k.usable, k.usableBy, k.usableAt = true, s.e.now, time.Time{}
	if k.q != nil && !k.q.initiator {
		k.q.resend.stop() // it is as good as message 3
	}
	old := k.current()
	if old != nil && (k.unlike(old) || k.crossed(old) && !old.unlike(k) && bytes.Compare(k.nonce, old.nonce) < 0) {
		// Two quick modes crossed: both ends keep the one whose smaller nonce is larger. The
		// other one works until the side that began it deletes it.
		k.succeededBy(old, k.child.Initiator)
		return
	}
	var replaces *Child
	if old != nil {
		replaces = old.child
	}
	s.e.out.event(ChildUsable{k.child, replaces})
	for _, o := range s.children {
		if o != k && o.successor == nil && o.usable && o.sameFlow(k) {
			ours := k.child.Initiator // who began the new one deletes the old one
			if k.crossed(o) {
				ours = o.child.Initiator // who began the redundant one deletes it
			}
			o.succeededBy(k, ours)
		}
	}
	if len(s.replaces) > 0 {
		s.endReplaced()
	}
}

// succeededBy retires a child; if it is on us, its delete is sent after a while.
func (k *childSA) succeededBy(next *childSA, delete bool) {
	k.successor, k.rekeyAt = next, time.Time{}
	if delete && k.deleteAt.IsZero() && k.downAt.IsZero() {
		k.deleteAt = k.s.e.now.Add(replaceGrace)
	}
}

// rekey begins a successor.
func (k *childSA) rekey() {
	if k.successor != nil || k.deleted || k.gone {
		return
	}
	s := k.s
	for _, p := range s.sas {
		for _, q := range p.quicks {
			if q.replaces == k && !q.over {
				return
			}
		}
	}
	p := s.main()
	if p == nil { // a phase 1 first
		s.reauth()
		k.rekeyAt = s.e.now.Add(rekeyRetry)
		return
	}
	k.rekeyAt = time.Time{}
	if !p.startQuick(ChildConfig{Name: k.child.Name, Mode: k.child.Mode, Local: k.child.LocalSelector, Remote: k.child.RemoteSelector}, k) {
		k.rekeyAt = s.e.now.Add(time.Second)
	}
}

// deletedByPeer: the peer takes no more packets on it.
func (k *childSA) deletedByPeer() {
	if k.deleted || k.gone {
		return
	}
	k.deleted, k.rekeyAt, k.deleteAt = true, time.Time{}, time.Time{}
	why := Reason{Code: PeerDeleted}
	next := k.successor
	if next == nil || next.gone || next.deleted {
		next = k.newest()
	}
	if next == nil {
		k.down(why, false)
		return
	}
	if k.successor == nil { // we still sent on it
		k.successor = next
		next.successor, next.deleteAt = nil, time.Time{}
		if !next.usable {
			next.makeUsable()
		} else {
			k.s.e.out.event(ChildUsable{next.child, k.child})
			next.setRekeyAgain()
		}
	}
	k.downAt = k.s.e.now.Add(drain)
}

// newest is the newest other child of the flow that lives.
func (k *childSA) newest() *childSA {
	for _, o := range slices.Backward(k.s.children) {
		if o != k && !o.deleted && !o.gone && o.sameFlow(k) {
			return o
		}
	}
	return nil
}

func (k *childSA) setRekeyAgain() {
	k.setRekey()
	if !k.rekeyAt.IsZero() && k.rekeyAt.Before(k.s.e.now) {
		k.rekeyAt = k.s.e.now
	}
}

func (k *childSA) hasSPI(spi []byte) bool {
	return len(spi) == 4 && (be32(spi) == k.child.In.SPI || be32(spi) == k.child.Out.SPI)
}

// sendDelete tells the peer that we take no more packets on it (RFC 2408 3.15).
func (k *childSA) sendDelete() {
	if p := k.s.main(); p != nil {
		spi := []byte{byte(k.child.In.SPI >> 24), byte(k.child.In.SPI >> 16), byte(k.child.In.SPI >> 8), byte(k.child.In.SPI)}
		p.inform(PayloadDelete, deletion{protocol: protoESP, spis: [][]byte{spi}}.append(nil))
	}
}

// down ends the child.
func (k *childSA) down(why Reason, tell bool) {
	if k.gone {
		return
	}
	k.gone = true
	s := k.s
	if tell && !k.deleted && k.downAt.IsZero() {
		k.sendDelete()
	}
	delete(s.e.spis, k.child.In.SPI)
	s.children = slices.DeleteFunc(s.children, func(x *childSA) bool { return x == k })
	s.e.out.event(ChildDown{k.child, why})
}

func (k *childSA) dueAt() time.Time {
	next := k.expires
	for _, t := range []time.Time{k.rekeyAt, k.usableAt, k.deleteAt, k.downAt} {
		next = first(next, t)
	}
	return next
}

// stillUsed tells whether the peer goes on sending on a child that we deleted.
func (k *childSA) stillUsed() bool {
	e := k.s.e
	return !k.deleted && e.cfg.LastInbound != nil && e.now.Before(k.expires) &&
		e.cfg.LastInbound(k.child.In.SPI).After(e.now.Add(-k.drain))
}

// advance does what is due.
func (k *childSA) advance() {
	now := k.s.e.now
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	if due(k.usableAt) {
		k.makeUsable()
	}
	switch {
	case due(k.downAt) && k.stillUsed():
		// Our delete was lost, or the peer prefers the old one. As long as it sends, we take it.
		k.sendDelete()
		k.drain *= 2
		k.downAt = now.Add(k.drain)
	case due(k.downAt):
		k.down(Reason{Code: Replaced}, false)
	case due(k.expires):
		k.down(Reason{Code: Expired}, true)
	case due(k.deleteAt):
		k.deleteAt = time.Time{}
		k.sendDelete()
		k.drain = drain
		k.downAt = now.Add(drain)
	case due(k.rekeyAt):
		k.rekeyAt = time.Time{}
		k.rekey()
	}
}
