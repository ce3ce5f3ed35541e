package ike

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// advance does what is due in a phase 1.
func (p *phase1) advance() {
	now := p.e.now
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	if p.handshake != nil {
		if p.resend.due(p.e) {
			p.fail(p.silence())
			return
		}
		if due(p.deadline) { // a responder: the initiator did not finish
			p.fail(or2(p.suspect, Reason{Code: NoAnswer, Detail: "the peer stopped in " + p.describe() + " after message " + map[bool]string{true: "4", false: "2"}[p.mode == ExchangeMain],
				Hint: "a wrong pre-shared key on the peer, or UDP 4500 does not come through"}))
			return
		}
	}
	if due(p.expires) || due(p.deleteAt) {
		p.end(true)
		p.s.lostPhase1(Reason{Code: Expired, Detail: "phase 1"})
		return
	}
	if due(p.reauthAt) {
		p.reauthAt = time.Time{}
		if p.s.main() == p {
			p.s.reauth()
		}
	}
	p.dpd.advance(p)
	for _, q := range slices.Clone(p.quicks) {
		if slices.Contains(p.quicks, q) && !p.s.gone {
			q.advance()
		}
	}
}

func or2(r *Reason, fallback Reason) Reason {
	if r != nil {
		return *r
	}
	return fallback
}

// silence says what it may mean that the responder does not answer, at this stage.
func (p *phase1) silence() Reason {
	if p.suspect != nil {
		return *p.suspect
	}
	r := Reason{Code: NoAnswer}
	switch p.stage {
	case waitMain2:
		r.Detail = "no answer to message 1 of main mode"
		r.Hint = "is UDP 500 open on the way, and does the peer know our address? some peers are silent when no proposal fits"
	case waitAggressive2:
		r.Detail = "no answer to message 1 of aggressive mode"
		r.Hint = fmt.Sprintf("is UDP 500 open on the way, does the peer permit aggressive mode, and does it know our identity %s?", p.localID)
	case waitMain4:
		r.Detail = "no answer to message 3"
	default:
		r.Detail = "no answer to message 5"
		r.Hint = fmt.Sprintf("the peer's pre-shared key differs, it does not know our identity %s, or UDP 4500 does not come through", p.localID)
	}
	return r
}

// failed tells that this phase 1 came to nothing.
func (p *phase1) failed(r Reason) {
	f := Failed{Peer: p.peer, Initiator: p.initiator, Local: p.local, Remote: p.remote, RemoteID: p.remoteID, Phase: 1, Reason: r}
	if p.s.up || p.s.dialled {
		f.Session = p.s.id
	}
	p.e.failed(f)
}

// doubt keeps what is likely to be wrong; a responder tells it at once.
func (p *phase1) doubt(r Reason) {
	if p.suspect == nil {
		p.suspect = &r
		if !p.initiator {
			p.failed(r)
		}
	}
}

// fail ends a negotiation of phase 1.
func (p *phase1) fail(r Reason) {
	if p.initiator || p.suspect == nil { // a responder told its doubt at once
		p.failed(r)
	}
	s := p.s
	p.end(false)
	if !s.up {
		s.end(r, false)
		return
	}
	s.retryAt = s.e.now.Add(5 * time.Second)
	s.lostPhase1(r)
}

// end removes the phase 1 and what is being negotiated under it; a delete is sent once if tell.
func (p *phase1) end(tell bool) {
	if p.stage == stageDead {
		return
	}
	for _, q := range slices.Clone(p.quicks) {
		q.abandon()
	}
	if tell && p.stage == stageUp {
		spi := append(slices.Clone(p.c.i[:]), p.c.r[:]...)
		p.inform(PayloadDelete, deletion{protocol: protoISAKMP, spis: [][]byte{spi}}.append(nil))
	}
	p.e.removePhase1(p)
	p.s.sas = slices.DeleteFunc(p.s.sas, func(x *phase1) bool { return x == p })
}

func (e *Endpoint) removePhase1(p *phase1) {
	p.stage = stageDead
	if e.dialling[p.c.i] == p {
		delete(e.dialling, p.c.i)
	}
	if e.sas[p.c] == p {
		delete(e.sas, p.c)
	}
}

// lostPhase1 decides how a session goes on without a phase 1.
func (s *session) lostPhase1(why Reason) {
	switch {
	case s.gone || s.main() != nil || s.underway():
	case len(s.children) == 0:
		s.end(why, false)
	default:
		s.retryAt = maxTime(s.retryAt, s.e.now.Add(time.Second))
	}
}

// receivePhase2 takes quick mode and informational messages.
func (p *phase1) receivePhase2(m *message) error {
	switch {
	case m.flags&FlagEncrypted == 0:
		return p.e.unprotected(m)
	case p.stage == waitAggressive3:
		// The initiator goes on although we do not have its message 3: it answers our
		// message 2 with it again.
		_ = p.e.answerAggressive(p, m)
		return p.e.drop(DropUnexpected, "%s before aggressive message 3", m.exchange)
	case p.stage != stageUp:
		return p.e.drop(DropUnexpected, "%s while the phase 1 %s", m.exchange, p.stage)
	case m.id == 0:
		return p.e.drop(DropMalformed, "%s with message id 0", m.exchange)
	}
	if m.exchange == ExchangeInformational {
		return p.takeInformational(m)
	}
	if q := p.quick(m.id); q != nil {
		return q.receive(m)
	}
	return p.takeQuick1(m)
}

// openPhase2 decrypts and parses with an IV, and checks that the HASH payload stands first.
func (p *phase1) openPhase2(m *message, iv []byte) (rest []byte, err error) {
	plain, next, err := p.keys.open(iv, m.body)
	if err != nil {
		return nil, err
	}
	list, err := parsePayloads(m.next, plain, true)
	if err != nil {
		return nil, err
	}
	// RFC 2409 5.5: "a HASH payload MUST immediately follow the ISAKMP header".
	if len(list) == 0 || list[0].kind != PayloadHash || len(all(list, PayloadHash)) != 1 {
		return nil, fmt.Errorf("the first payload is not HASH")
	}
	m.payloads, m.iv = list, next
	return plain[list[0].end:list[len(list)-1].end], nil
}

// hash2 is HASH(1), HASH(2), or that of an informational exchange (RFC 2409 5.5, 5.7).
func (p *phase1) hash2(id uint32, parts ...[]byte) []byte {
	return p.keys.suite.Hash.prf(p.keys.a, append([][]byte{binary.BigEndian.AppendUint32(nil, id)}, parts...)...)
}

func (p *phase1) verify2(m *message, parts ...[]byte) error {
	if !hmac.Equal(find(m.payloads, PayloadHash), p.hash2(m.id, parts...)) {
		return p.e.drop(DropHash, "%s: the HASH payload does not verify", m.exchange)
	}
	return nil
}

// authentic is called for each message of phase 2 that verified: the peer lives, and it is
// where the message came from (only behind a NAT may that change).
func (p *phase1) authentic(m *message) {
	s := p.s
	s.heard = p.e.now
	p.answer = Packet{} // it came: the peer would not be here else
	if m.packet.Remote != s.remote && m.packet.NATT && p.float && p.natt != nattNone {
		from := s.remote
		s.follow(m.packet.Remote)
		p.e.out.event(Moved{Session: s.id, From: from, To: m.packet.Remote})
	}
}

// write2 puts the HASH payload in front of what fill adds, seals, and returns the message.
func (p *phase1) write2(x Exchange, flags Flags, id uint32, iv []byte, hashOf func(rest []byte) []byte, fill func(*builder)) (msg, next []byte) {
	b := p.message(x, FlagEncrypted|flags, id)
	size := p.keys.suite.Hash.size()
	b.add(PayloadHash, make([]byte, size))
	fill(b)
	body := b.body()
	copy(body[genericLen:], hashOf(body[genericLen+size:]))
	return p.keys.seal(iv, b)
}

// newID is a message id for an exchange of ours, drawn at random.
func (p *phase1) newID() uint32 {
	if p.peer.wording().CountIDs {
		p.lastID++
		return p.lastID
	}
	for {
		if id := be32(p.e.draw(4)); id != 0 && p.quick(id) == nil && !slices.Contains(p.seen, id) {
			return id
		}
	}
}

// sawID remembers the message id of an exchange that the peer began, and tells whether it is new.
func (p *phase1) sawID(id uint32) bool {
	if slices.Contains(p.seen, id) {
		return false
	}
	if len(p.seen) >= 128 {
		p.seen = slices.Delete(p.seen, 0, 1)
	}
	p.seen = append(p.seen, id)
	return true
}
