package ike

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// Main mode with a pre-shared key (RFC 2409 5.4, with the payloads of RFC 3947):
//
//	1  ->  HDR, SA, VID...
//	2  <-  HDR, SA, VID...
//	3  ->  HDR, KE, Ni, NAT-D, NAT-D
//	4  <-  HDR, KE, Nr, NAT-D, NAT-D
//	5  ->  HDR*, IDii, HASH_I, [N INITIAL-CONTACT]     from the NAT-T port if there is a NAT
//	6  <-  HDR*, IDir, HASH_R, [N RESPONDER-LIFETIME]

// offer makes the SA payload that an initiator sends.
func (p *phase1) offer() {
	p.offered = p.peer.Suites
	if p.offered == nil {
		p.offered = offerSuites(p.peer.Legacy)
	}
	p.sa = p.peer.wording().SA1
	if p.sa == nil {
		p.sa = offerSA1(p.offered, p.peer.lifetime())
	}
}

// startMain sends message 1.
func (p *phase1) startMain() {
	p.offer()
	b := p.message(ExchangeMain, 0, 0)
	b.add(PayloadSA, p.sa)
	for _, id := range p.offerVendors() {
		b.add(PayloadVendor, id)
	}
	p.stage = waitMain2
	p.sendFirst(b.finish())
}

// takeChoice reads the responder's SA payload.
func (p *phase1) takeChoice(m *message) error {
	list, err := parseSA(find(m.payloads, PayloadSA))
	if err != nil {
		return p.e.drop(DropMalformed, "answer to the offer: %v", err)
	}
	suite, life, err := accepted1(list, p.offered)
	if err != nil {
		p.doubt(Reason{Code: BadMessage, Detail: err.Error()})
		return p.e.drop(DropUnexpected, "%v", err)
	}
	p.suite, p.life = suite, life
	p.vendor = readVendors(m.payloads)
	p.natt = p.vendor.natt
	return nil
}

// takeMessage2 reads the choice and sends message 3.
func (p *phase1) takeMessage2(m *message) error {
	if err := p.takeChoice(m); err != nil {
		return err
	}
	p.learnCookie(m)
	if err := p.drawOwn(p.suite.Group); err != nil {
		return p.e.drop(DropLimit, "%v", err)
	}
	b := p.message(ExchangeMain, 0, 0)
	b.add(PayloadKE, p.public[0])
	b.add(PayloadNonce, p.nonce[0])
	p.addNATD(b)
	p.stage = waitMain4
	p.sendFirst(b.finish())
	return nil
}

// learnCookie takes the responder's cookie.
func (p *phase1) learnCookie(m *message) {
	delete(p.e.dialling, p.c.i)
	p.c = m.cookies
	p.e.sas[p.c] = p
}

// takeMessage3 is the responder's: it computes and sends message 4.
func (p *phase1) takeMessage3(m *message) error {
	for _, kind := range []PayloadType{PayloadKE, PayloadNonce} {
		if len(all(m.payloads, kind)) != 1 {
			return p.e.drop(DropMalformed, "message 3 without exactly one %s payload", kind)
		}
	}
	if len(find(m.payloads, PayloadKE)) != p.suite.Group.publicLen() {
		return p.e.drop(DropMalformed, "KE payload does not have the length of %s", p.suite.Group)
	}
	if err := p.drawOwn(p.suite.Group); err != nil {
		return p.e.drop(DropLimit, "%v", err)
	}
	if err := p.takeKE(m); err != nil {
		return err
	}
	p.takeNATD(m.payloads)
	b := p.message(ExchangeMain, 0, 0)
	b.add(PayloadKE, p.public[1])
	b.add(PayloadNonce, p.nonce[1])
	p.addNATD(b)
	p.iv = p.suite.firstIV(p.public[0], p.public[1])
	p.stage = waitMain5
	p.deadline = p.e.now.Add(halfOpenLifetime)
	p.remember(m)
	p.sendAnswer(b.finish())
	return nil
}

// takeMessage4 makes the keys and sends message 5.
func (p *phase1) takeMessage4(m *message) error {
	if err := p.takeKE(m); err != nil {
		return err
	}
	p.takeNATD(m.payloads)
	p.forceNAT()
	p.keys = p.derive(p.peer.Key)
	p.iv = p.suite.firstIV(p.public[0], p.public[1])
	p.localID = p.ownID()
	p.floatOut()

	id := appendID(nil, p.localID)
	b := p.message(ExchangeMain, FlagEncrypted, 0)
	b.add(PayloadID, id)
	b.add(PayloadHash, p.hashFor(true, p.keys, id))
	if p.s.sendInitialContact(p) {
		b.add(PayloadNotify, p.initialContactNotify())
	}
	var msg []byte
	msg, p.iv = p.keys.seal(p.iv, b)
	p.stage = waitMain6
	p.sendFirst(msg)
	return nil
}

func (p *phase1) initialContactNotify() []byte {
	spi := append(slices.Clone(p.c.i[:]), p.c.r[:]...)
	return notification{protocol: protoISAKMP, kind: NotifyInitialContact, spi: spi}.append(nil)
}

// maxWrong is how many messages 5 that no key fits are tried before they are dropped unread.
const maxWrong = 4

// takeMessage5 finds the key and the peer, and sends message 6.
func (p *phase1) takeMessage5(m *message) error {
	if m.flags&FlagEncrypted == 0 {
		return p.e.drop(DropUnexpected, "message 5 is not encrypted")
	}
	if p.wrong >= maxWrong {
		return p.e.drop(DropBudget, "too many messages 5 that no key fits")
	}
	candidates := p.e.peers.candidates(m.packet.Remote.Addr())
	psk, id, err := p.tryKeys(m, candidates)
	if err != nil {
		p.wrong++
		p.doubt(Reason{Code: WrongKey, Detail: fmt.Sprintf("message 5 does not decrypt with any of the %d configured keys", distinctKeys(candidates)),
			Hint: "the pre-shared key on the peer differs from the one here"})
		return err
	}
	peer := choosePeer(candidates, psk, id)
	if reason := p.refusal(peer, id); reason != nil {
		p.wrong, p.remoteID = maxWrong, id
		p.doubt(*reason)
		return p.e.drop(DropIdentity, "%v", reason)
	}
	p.peer, p.remoteID = peer, id
	p.local, p.remote, p.float = m.packet.Local, m.packet.Remote, m.packet.NATT
	p.forceNAT()
	p.localID = p.ownID()
	p.takeNotifies(m.payloads)

	own := appendID(nil, p.localID)
	b := p.message(ExchangeMain, FlagEncrypted, 0)
	b.add(PayloadID, own)
	b.add(PayloadHash, p.hashFor(false, p.keys, own))
	p.addResponderLifetime(b)
	var msg []byte
	msg, p.iv = p.keys.seal(m.iv, b)
	p.deadline = time.Time{}
	p.sendAnswer(msg)
	p.established()
	return nil
}

// tryKeys finds the pre-shared key that decrypts message 5 and verifies its hash. The
// message's payloads and its IV are left in m, the keys in p.
func (p *phase1) tryKeys(m *message, candidates []*Peer) (psk []byte, id ID, err error) {
	err = &Dropped{DropDecrypt, "no key fits"}
	tried := map[string]bool{}
	for _, c := range candidates {
		if tried[string(c.Key)] || len(tried) >= MaxKeys {
			continue
		}
		tried[string(c.Key)] = true
		p.e.count.KeysTried++
		k := p.derive(c.Key)
		plain, next, openErr := k.open(p.iv, m.body)
		if openErr != nil {
			return nil, ID{}, p.e.drop(DropDecrypt, "%v", openErr)
		}
		list, parseErr := parsePayloads(m.next, plain, true)
		if parseErr != nil || len(all(list, PayloadID)) != 1 || len(all(list, PayloadHash)) != 1 {
			continue
		}
		body := find(list, PayloadID)
		if !hmac.Equal(find(list, PayloadHash), p.hashFor(true, k, body)) {
			continue
		}
		if id, err = parseID(body); err != nil {
			return nil, ID{}, p.e.drop(DropMalformed, "message 5: %v", err)
		}
		m.payloads, m.iv, p.keys = list, next, k
		return c.Key, id, nil
	}
	p.e.count.Dropped[DropDecrypt]++
	return nil, ID{}, err
}

func distinctKeys(peers []*Peer) int {
	keys := map[string]bool{}
	for _, p := range peers {
		keys[string(p.Key)] = true
	}
	return len(keys)
}

// choosePeer picks who the proved identity is: with this key, the identity's own peer, else a default.
func choosePeer(candidates []*Peer, psk []byte, id ID) *Peer {
	var fallback *Peer
	for _, c := range candidates {
		if !bytes.Equal(c.Key, psk) {
			continue
		}
		if c.RemoteID.equal(id) && !c.RemoteID.IsZero() {
			return c
		}
		if c.RemoteID.IsZero() && fallback == nil {
			fallback = c
		}
	}
	return fallback
}

// refusal says why an authenticated identity is not taken, or nil.
func (p *phase1) refusal(peer *Peer, id ID) *Reason {
	switch {
	case peer == nil:
		return &Reason{Code: WrongIdentity, Detail: fmt.Sprintf("the peer has the right key but claims to be %s", id),
			Hint: fmt.Sprintf("set peer_id = %q here, or the peer's own identity to what is configured", id)}
	case !slices.Contains(peer.suites(), p.suite):
		return &Reason{Code: NoProposal, Detail: fmt.Sprintf("%s is not permitted for %s", p.suite, peer.Name),
			Hint: "set the peer to " + advice(peer.suites())}
	}
	return nil
}

// takeMessage6 verifies the responder.
func (p *phase1) takeMessage6(m *message) error {
	if err := p.verifyResponder(m); err != nil {
		return err
	}
	p.iv = m.iv
	p.takeNotifies(m.payloads)
	p.resend.stop()
	p.established()
	return nil
}

// verifyResponder checks IDir and HASH_R.
func (p *phase1) verifyResponder(m *message) error {
	body := find(m.payloads, PayloadID)
	if !hmac.Equal(find(m.payloads, PayloadHash), p.hashFor(false, p.keys, body)) {
		p.doubt(Reason{Code: WrongKey, Detail: "the responder's hash does not verify", Hint: "compare the pre-shared keys"})
		return p.e.drop(DropHash, "HASH_R does not verify")
	}
	id, err := parseID(body)
	if err != nil {
		return p.e.drop(DropMalformed, "identity of the responder: %v", err)
	}
	if !p.peer.RemoteID.IsZero() && !p.peer.RemoteID.equal(id) {
		p.doubt(Reason{Code: WrongIdentity, Detail: fmt.Sprintf("the peer claims to be %s, not %s", id, p.peer.RemoteID),
			Hint: fmt.Sprintf("set peer_id = %q here if that is right", id)})
		return p.e.drop(DropIdentity, "the peer claims to be %s", id)
	}
	p.remoteID = id
	return nil
}

// takeNotifies reads the notifies that come with the last messages of phase 1.
func (p *phase1) takeNotifies(list []payload) {
	for _, body := range all(list, PayloadNotify) {
		n, err := parseNotify(body)
		if err != nil {
			continue
		}
		switch n.kind {
		case NotifyInitialContact:
			p.initialContact = true
		case NotifyResponderLifetime:
			if p.initiator && n.protocol == protoISAKMP {
				p.life.narrow(n.data, attr1LifeType, attr1LifeTime)
			}
		}
	}
}

// addResponderLifetime tells the initiator that we end the SA earlier than it asked for (RFC 2407 4.6.3.1).
func (p *phase1) addResponderLifetime(b *builder) {
	ours := uint64(p.peer.lifetime() / time.Second)
	if p.life.seconds <= ours {
		return
	}
	data := appendAttribute(nil, attr1LifeType, unitSeconds)
	data = appendAttribute(data, attr1LifeTime, ours)
	spi := append(slices.Clone(p.c.i[:]), p.c.r[:]...)
	b.add(PayloadNotify, notification{protocol: protoISAKMP, kind: NotifyResponderLifetime, spi: spi, data: data}.append(nil))
}

// narrow lowers a lifetime to what a RESPONDER-LIFETIME notify says.
func (l *lifetime) narrow(data []byte, unitKind, valueKind uint16) {
	list, err := parseAttributes(data)
	if err != nil {
		return
	}
	n := lifetime{}
	for _, a := range list {
		switch a.kind {
		case unitKind:
			n.unit = a.value
		case valueKind:
			if n.duration(a) != nil {
				return
			}
		}
	}
	lower := func(old, new uint64) uint64 {
		if new != 0 && (old == 0 || new < old) {
			return new
		}
		return old
	}
	l.seconds, l.kbytes = lower(l.seconds, n.seconds), lower(l.kbytes, n.kbytes)
}

// lifetimes of a peer's configuration, with their defaults.
func (p *Peer) lifetime() time.Duration      { return or(p.Lifetime, 8*time.Hour) }
func (p *Peer) childLifetime() time.Duration { return or(p.ChildLifetime, time.Hour) }

// be32 reads four bytes.
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
