package ike

import (
	"bytes"
	"crypto/hmac"
	"fmt"
	"net/netip"
	"time"
)

// Aggressive mode with a pre-shared key (RFC 2409 5.4; NAT-D as in RFC 3947 3.2):
//
//	1  ->  HDR, SA, KE, Ni, IDii, VID...
//	2  <-  HDR, SA, KE, Nr, IDir, HASH_R, VID..., NAT-D, NAT-D
//	3  ->  HDR[*], HASH_I, NAT-D, NAT-D, [N]            from the NAT-T port if there is a NAT
//
// Here the responder has to compute before the initiator proved its address. So it is
// off unless a peer permits it, answers only to that peer's identity, has a budget of computations for all
// together, and never sends an address more bytes than came from it: an answer that is
// larger waits until the initiator has repeated itself.

// startAggressive sends message 1.
func (p *phase1) startAggressive() error {
	p.offer()
	// The KE payload fixes the group, so all transforms must have it (RFC 2409 5.1).
	group := p.offered[0].Group
	same := p.offered[:0:0]
	for _, s := range p.offered {
		if s.Group == group {
			same = append(same, s)
		}
	}
	if p.peer.Suites == nil {
		same = nil
		for _, s := range offerSuites(p.peer.Legacy) {
			if s.Group == MODP2048 {
				same = append(same, s)
			}
		}
	}
	p.offered = same
	p.sa = offerSA1(p.offered, p.peer.lifetime())
	if err := p.drawOwn(p.offered[0].Group); err != nil {
		return err
	}
	p.localID = p.ownID()
	b := p.message(ExchangeAggressive, 0, 0)
	b.add(PayloadSA, p.sa)
	b.add(PayloadKE, p.public[0])
	b.add(PayloadNonce, p.nonce[0])
	b.add(PayloadID, appendID(nil, p.localID))
	for _, id := range p.offerVendors() {
		b.add(PayloadVendor, id)
	}
	p.stage = waitAggressive2
	p.sendFirst(b.finish())
	return nil
}

// aggressive1 answers message 1.
func (e *Endpoint) aggressive1(m *message) error {
	list, err := parsePayloads(m.next, m.body, false)
	if err != nil {
		return e.drop(DropMalformed, "aggressive message 1: %v", err)
	}
	m.payloads = list
	if m.flags&FlagEncrypted != 0 || m.id != 0 {
		return e.drop(DropUnexpected, "aggressive message 1 with flags %#x and message id %#x", m.flags, m.id)
	}
	for _, kind := range []PayloadType{PayloadSA, PayloadKE, PayloadNonce, PayloadID} {
		if len(all(list, kind)) != 1 {
			return e.drop(DropMalformed, "aggressive message 1 without exactly one %s payload", kind)
		}
	}
	if len(find(list, PayloadSA)) > maxHalfOpenSA {
		return e.drop(DropMalformed, "aggressive message 1 with a huge SA payload")
	}
	id, err := parseID(find(list, PayloadID))
	if err != nil {
		return e.drop(DropMalformed, "aggressive message 1: %v", err)
	}
	if p := e.findAggressive(m); p != nil {
		return e.answerAggressive(p, m)
	}
	peer := e.peers.byID(id, m.packet.Remote.Addr())
	if peer == nil {
		e.failed(Failed{Local: m.packet.Local, Remote: m.packet.Remote, RemoteID: id, Phase: 1, Reason: Reason{Code: UnsupportedMode,
			Detail: fmt.Sprintf("aggressive mode from %s, which no peer with aggressive = true has", id),
			Hint:   "set the peer to main mode, or permit aggressive mode for this identity"}})
		return e.drop(DropIdentity, "aggressive mode of an identity that may not")
	}
	return e.beginAggressive(m, peer, id)
}

// findAggressive finds the phase 1 of a message 1 that comes again.
func (e *Endpoint) findAggressive(m *message) *phase1 {
	if q := e.dialling[m.i]; q != nil && !q.initiator && q.remote == m.packet.Remote && bytes.Equal(q.sa, find(m.payloads, PayloadSA)) {
		return q
	}
	return nil
}

func (e *Endpoint) beginAggressive(m *message, peer *Peer, id ID) error {
	offers, err := parseSA(find(m.payloads, PayloadSA))
	if err != nil {
		return e.drop(DropMalformed, "aggressive message 1: %v", err)
	}
	suites := peer.suites()
	ranks := map[Suite]int{}
	for i, s := range suites {
		// The KE payload is already there: only its group can be chosen.
		if _, twice := ranks[s]; !twice && s.Group.publicLen() == len(find(m.payloads, PayloadKE)) {
			ranks[s] = i
		}
	}
	choice, reason := choose1(offers, func(s Suite) (int, bool) { r, ok := ranks[s]; return r, ok })
	if reason != nil {
		reason.Hint = or(reason.Hint, hint1(offers, suites))
		return e.noProposal(m, peer, *reason)
	}
	if len(e.sessions) >= e.cfg.MaxSessions {
		return e.drop(DropLimit, "%d sessions are open", len(e.sessions))
	}
	if e.dialling[m.i] != nil {
		return e.drop(DropUnexpected, "initiator cookie is in use")
	}
	if !e.dhBudget.take(e.now, m.packet.Remote.Addr()) || !e.aggressiveAll.take(e.now) {
		return e.drop(DropBudget, "too many aggressive negotiations")
	}
	s := e.newSession(nil, m.packet.Local, m.packet.Remote)
	p := s.newPhase1(false, ExchangeAggressive, m.packet.Local, m.packet.Remote)
	p.c = cookies{m.i, e.half.cookie(e.now, m.packet.Local, m.packet.Remote, m.i)}
	p.float, p.peer, p.remoteID = m.packet.NATT, peer, id
	p.sa, p.suite, p.life = bytes.Clone(find(m.payloads, PayloadSA)), choice.suite, choice.life
	p.vendor = readVendors(m.payloads)
	p.natt = p.vendor.natt
	p.aggressiveID = bytes.Clone(find(m.payloads, PayloadID))
	if err = p.drawOwn(p.suite.Group); err == nil {
		p.nonce[1] = p.nonce[1][:16] // every byte counts here
		err = p.takeKE(m)
	}
	if err != nil {
		s.forget()
		return err
	}
	p.keys = p.derive(peer.Key)
	p.iv = p.suite.firstIV(p.public[0], p.public[1])
	p.localID = p.ownID()
	p.stage = waitAggressive3
	p.deadline = e.now.Add(halfOpenLifetime)
	p.answer = p.packet(p.aggressiveAnswer(choice))
	e.sas[p.c] = p
	e.dialling[p.c.i] = p
	s.touch()
	return e.answerAggressive(p, m)
}

// aggressiveAnswer makes message 2. All vendor ids stay even if it becomes larger than
// message 1: a peer that does not see DPD here never detects that we are gone.
func (p *phase1) aggressiveAnswer(choice choice1) []byte {
	own := appendID(nil, p.localID)
	b := p.message(ExchangeAggressive, 0, 0)
	b.add(PayloadSA, choice.answer)
	b.add(PayloadKE, p.public[1])
	b.add(PayloadNonce, p.nonce[1])
	b.add(PayloadID, own)
	b.add(PayloadHash, p.hashFor(false, p.keys, own))
	for _, id := range answerVendors(p.vendor, p.peer.Multipath) {
		b.add(PayloadVendor, id)
	}
	p.addNATD(b)
	return b.finish()
}

// answerAggressive sends message 2 if the address has sent as many bytes.
func (e *Endpoint) answerAggressive(p *phase1, m *message) error {
	p.credit += int(m.length)
	if p.credit < len(p.answer.Data) && !(p.peer.AggressivePrompt && e.promptBudget(p.peer.Name).take(e.now)) {
		return nil
	}
	p.credit -= len(p.answer.Data)
	e.send(p.answer)
	return nil
}

// promptBudget bounds the answers of AggressivePrompt.
func (e *Endpoint) promptBudget(name string) *bucket {
	b := e.prompt[name]
	if b == nil {
		b = &bucket{rate: 0.2, burst: 3}
		e.prompt[name] = b
	}
	return b
}

// takeAggressive2 verifies the responder and sends message 3.
func (p *phase1) takeAggressive2(m *message) error {
	if err := p.takeChoice(m); err != nil {
		return err
	}
	c := p.c
	p.c = m.cookies
	if err := p.takeKE(m); err != nil {
		p.c = c
		return err
	}
	p.keys = p.derive(p.peer.Key)
	if err := p.verifyResponder(m); err != nil {
		p.c = c
		return err
	}
	p.c = c
	p.learnCookie(m)
	p.iv = p.suite.firstIV(p.public[0], p.public[1])
	p.takeNATD(m.payloads)
	p.forceNAT()
	b := p.message(ExchangeAggressive, FlagEncrypted, 0)
	b.add(PayloadHash, p.hashFor(true, p.keys, appendID(nil, p.localID)))
	p.addNATD(b)
	if p.s.sendInitialContact(p) {
		b.add(PayloadNotify, p.initialContactNotify())
	}
	p.floatOut()
	var msg []byte
	msg, p.iv = p.keys.seal(p.iv, b)
	p.resend.stop()
	p.sendAnswer(msg)
	p.established()
	return nil
}

// takeAggressive3 verifies the initiator.
func (p *phase1) takeAggressive3(m *message) error {
	if !hmac.Equal(find(m.payloads, PayloadHash), p.hashFor(true, p.keys, p.aggressiveID)) {
		p.doubt(Reason{Code: WrongKey, Detail: "the initiator's hash does not verify", Hint: "compare the pre-shared keys"})
		return p.e.drop(DropHash, "HASH_I does not verify")
	}
	if m.iv != nil {
		p.iv = m.iv
	}
	// The NAT-D payloads hash the addresses that message 1 was sent between,
	// but the message itself may come from the NAT-T port.
	before := [2]netip.AddrPort{p.local, p.remote}
	p.local, p.remote, p.float = m.packet.Local, m.packet.Remote, m.packet.NATT
	p.takeNATD(m.payloads, before)
	if p.float && p.natt != nattNone && !p.nat.Any() {
		p.nat.Remote = true // it moved to the NAT-T port, so it saw one
	}
	p.forceNAT()
	p.takeNotifies(m.payloads)
	delete(p.e.dialling, p.c.i)
	p.deadline, p.answer = time.Time{}, Packet{}
	p.established()
	return nil
}
