package ipsec

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"vhub/internal/packet"
	"vhub/ipsec/esp"
)

// Paths of a peer with several uplinks are probed inside their SAs, so that a dead
// one is noticed in a fraction of a second. A probe is an ESP dummy packet (next
// header 59), which every other peer discards unseen (RFC 4303 2.6):
//
//	"vhP1" | kind | flags | 0 0 | number (4) | epoch (8) | time (8)
//
// Kind 1 asks, kind 2 answers with the same number, epoch and time. Who dialled
// asks, and chooses; flag 1 says "my traffic takes this path", and the other side
// follows when the epoch, the time of the choice, is newer than the last it saw.
const (
	probeMagic   = 0x76685031
	probeAsk     = 1
	probeAnswer  = 2
	probeActive  = 1 // flag
	probeLen     = 28
	probeHistory = 128
)

// A path is asked every probeInterval and is dead when nothing came for
// probeSilence and four times the variation of its delay: a long delay that stays
// the same keeps answers coming at the pace of the questions.
const (
	probeInterval = 40 * time.Millisecond
	probeSilence  = 150 * time.Millisecond
)

// path is what probing knows of one session.
type path struct {
	rank int // place in PeerConfig.Uplinks

	heard  atomic.Int64                 // last probe or answer, Unix nanoseconds; 0: never
	rtt    atomic.Int64                 // smoothed, nanoseconds
	jitter atomic.Int64                 // smoothed deviation of rtt, nanoseconds
	back   atomic.Int64                 // when it was last heard again after a silence, Unix nanoseconds
	got    *[probeHistory]atomic.Uint32 // nil for road warriors

	// The loop's.
	number    uint32 // of the last question
	next      time.Time
	goodSince time.Time // zero while dead
}

func (p *path) init(now time.Time, rank int) {
	p.rank = rank
	p.goodSince = now
	p.got = new([probeHistory]atomic.Uint32)
}

// probed tells whether the peer speaks probes.
func (p *path) probed() bool { return p.heard.Load() != 0 }

// dead tells whether the path has gone silent.
func (p *path) dead(now time.Time) bool {
	heard := p.heard.Load()
	limit := probeSilence + 4*time.Duration(p.jitter.Load())
	return heard != 0 && now.Sub(time.Unix(0, heard)) > limit
}

// betterThan compares paths that can both send: the living before the dead, then
// by the configured order.
func (p *path) betterThan(q *path) bool {
	now := time.Now()
	if p.dead(now) != q.dead(now) {
		return q.dead(now)
	}
	return p.rank < q.rank
}

// loss is the share of the last questions, the newest left out, without answer.
func (p *path) loss() float64 {
	const recent = 5 // may still be on their way
	asked, lost := 0, 0
	for n := uint32(recent); n < probeHistory && n < p.number; n++ {
		asked++
		if number := p.number - n; p.got[number%probeHistory].Load() != number {
			lost++
		}
	}
	if asked == 0 {
		return 0
	}
	return float64(lost) / float64(asked)
}

// countProbing remembers how many tunnels have paths to probe. The caller holds mu.
func (e *Engine) countProbing() {
	e.probing = 0
	for _, p := range e.peers {
		if len(p.cfg.Uplinks) > 1 {
			e.probing++
		}
	}
}

// nextProbe is when the next question is due; zero when there is nobody to ask.
func (e *Engine) nextProbe() time.Time {
	var next time.Time
	if e.probing == 0 {
		return next
	}
	for _, p := range e.peers {
		if len(p.cfg.Uplinks) < 2 {
			continue
		}
		for _, s := range p.sessions {
			if s.dialled && s.out.Load() != nil && (next.IsZero() || s.path.next.Before(next)) {
				next = s.path.next
			}
		}
	}
	return next
}

// probe asks on the paths that are due and chooses anew where something changed.
func (e *Engine) probe(now time.Time) {
	if e.probing == 0 {
		return
	}
	for _, p := range e.peers {
		if len(p.cfg.Uplinks) < 2 {
			continue
		}
		for _, s := range p.sessions {
			if s.dialled && s.out.Load() != nil && !now.Before(s.path.next) {
				e.ask(now, s)
			}
			if s.path.dead(now) {
				s.path.goodSince = time.Time{}
			} else if s.path.goodSince.IsZero() {
				s.path.goodSince = now
			}
		}
		e.choose(now, p)
	}
}

// choose moves traffic off a dead path at once, and back to a preferred one when
// that has been good for the hold-down.
func (e *Engine) choose(now time.Time, p *peerState) {
	t := p.tunnel
	active, best := t.active.Load(), e.bestSession(t)
	if active == nil || best == nil || best == active || best.path.dead(now) {
		return
	}
	switch {
	case active.path.dead(now):
		e.switchTo(now, t, best, "the path that was used is silent")
	case best.path.rank < active.path.rank && best.path.probed() && now.Sub(best.path.goodSince) >= p.cfg.HoldDown:
		e.switchTo(now, t, best, "the preferred path is good again")
	}
}

func (e *Engine) switchTo(now time.Time, t *Tunnel, s *session, reason string) {
	t.epoch.Store(uint64(now.UnixNano()))
	e.activate(t, s, reason)
	e.ask(now, s) // the peer learns of it with this
}

// SwitchPath moves the traffic of a peer with several uplinks to one of them, by
// name, without a negotiation. A better path takes over again after the hold-down.
func (e *Engine) SwitchPath(name, uplink string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.peers[name]
	if p == nil {
		return errNoPeer(name)
	}
	for _, s := range p.sessions {
		if s.uplink == uplink && s.up {
			now := time.Now()
			for _, other := range p.sessions {
				other.path.goodSince = now // the hold-down begins again
			}
			e.switchTo(now, p.tunnel, s, "switched by the operator")
			e.carryOut(now)
			return nil
		}
	}
	return errNoPath(name, uplink)
}

// ask sends a question on a path.
func (e *Engine) ask(now time.Time, s *session) {
	out := s.out.Load()
	if out == nil {
		return
	}
	s.path.next = now.Add(probeInterval)
	s.path.number++
	var m [probeLen]byte
	binary.BigEndian.PutUint32(m[0:], probeMagic)
	m[4] = probeAsk
	if s.tunnel.active.Load() == s {
		m[5] = probeActive
	}
	binary.BigEndian.PutUint32(m[8:], s.path.number)
	binary.BigEndian.PutUint64(m[12:], s.tunnel.epoch.Load())
	binary.BigEndian.PutUint64(m[20:], uint64(now.UnixNano()))
	sendProbe(out, m[:])
}

// sendProbe seals and sends one; it is lost when the socket has no room.
func sendProbe(out *outbound, message []byte) {
	buf := make([]byte, packet.Headroom+len(message)+packet.Tailroom)
	copy(buf[packet.Headroom:], message)
	one := [1]packet.Packet{{Buf: buf, Off: packet.Headroom, End: packet.Headroom + len(message)}}
	if n, _ := out.sa.SealBatch(one[:], esp.ProtoNone); n == 1 {
		_, _ = out.sock.Send(out.remote(), out.session.local.Addr(), out.session.ifindex, one[:])
	}
}

// probeReceived takes a dummy packet on the reader's goroutine. What is no probe
// of ours is ignored, as the RFC wants it.
func (e *Engine) probeReceived(now time.Time, in *inbound, m []byte) {
	if len(m) < probeLen || binary.BigEndian.Uint32(m) != probeMagic {
		return
	}
	s := in.session
	switch m[4] {
	case probeAsk:
		s.path.heard.Store(now.UnixNano())
		answer := [probeLen]byte(m)
		answer[4] = probeAnswer
		if out := s.out.Load(); out != nil {
			sendProbe(out, answer[:])
		}
		if m[5]&probeActive != 0 && !s.dialled {
			e.followPath(s, binary.BigEndian.Uint64(m[12:]))
		}
	case probeAnswer:
		if s.dialled {
			s.path.answered(now, binary.BigEndian.Uint32(m[8:]), int64(binary.BigEndian.Uint64(m[20:])))
		}
	}
}

// answered notes an answer: only the reader of the path's socket writes here.
//
// What was asked while the path was silent stood in a queue somewhere, such as that of
// an address being resolved. How late it is says nothing about the path's delay, and
// would have the next cut noticed late.
func (p *path) answered(now time.Time, number uint32, asked int64) {
	if p.dead(now) {
		p.back.Store(now.UnixNano())
	}
	p.heard.Store(now.UnixNano())
	p.got[number%probeHistory].Store(number)
	if asked < p.back.Load() {
		return
	}
	sample := max(now.UnixNano()-asked, 0)
	rtt := p.rtt.Load()
	if rtt == 0 {
		p.rtt.Store(sample)
		p.jitter.Store(sample / 4)
		return
	}
	deviation := sample - rtt
	p.rtt.Store(rtt + deviation/8)
	if deviation < 0 {
		deviation = -deviation
	}
	p.jitter.Store(p.jitter.Load() + (deviation-p.jitter.Load())/8)
}

// followPath sends where the peer's traffic comes from, once for each choice.
func (e *Engine) followPath(s *session, epoch uint64) {
	t := s.tunnel
	for {
		seen := t.epoch.Load()
		if epoch <= seen {
			return
		}
		if t.epoch.CompareAndSwap(seen, epoch) {
			break
		}
	}
	old := t.active.Swap(s)
	if old == nil || old == s {
		return
	}
	e.note(note{kind: noteSwitched, to: s, remote: *s.remote.Load(), old: remoteOr(old, netip.AddrPort{})})
}

func remoteOr(s *session, or netip.AddrPort) netip.AddrPort {
	if r := s.remote.Load(); r != nil {
		return *r
	}
	return or
}

// prefers tells whether a path that just came up is to be used instead of one that
// is up already: only when that one is silent.
func (e *Engine) prefers(s, old *session) bool { return old.path.dead(time.Now()) }
