package ike

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"vhub/ipsec/esp"
)

// Quick mode (RFC 2409 5.5; NAT-OA as in RFC 3947 5.2):
//
//	1  ->  HDR*, HASH(1), SA, Ni, [KE], IDci, IDcr, [NAT-OAi, NAT-OAr]
//	2  <-  HDR*, HASH(2), SA, Nr, [KE], IDci, IDcr, [NAT-OAi, NAT-OAr], [N RESPONDER-LIFETIME]
//	3  ->  HDR*, HASH(3)
//	4  <-  HDR*, HASH, N CONNECTED          an informational exchange, if the commit bit was set
//
// The responder takes packets on its new inbound SPI from message 2 on and sends on the
// new SA from message 3 on, or from the first packet that the initiator sends on it.
type quick struct {
	p         *phase1
	id        uint32
	initiator bool
	over      bool // kept only to answer what comes again
	iv        []byte

	cfg      ChildConfig // selectors resolved
	replaces *childSA
	want     want2
	spi      uint32
	ids      [2][]byte // IDci, IDcr as sent; nil if none
	nonce    [2][]byte
	dh       *exchange
	commit   bool // the peer set the commit bit

	child   *childSA
	started time.Time
	resend  resend
	lastIn  [32]byte
	answer  Packet
	again   int
	removal time.Time
}

func (p *phase1) newQuick(id uint32, initiator bool) *quick {
	q := &quick{p: p, id: id, initiator: initiator, started: p.e.now, iv: p.suite.exchangeIV(p.iv, id)}
	p.quicks = append(p.quicks, q)
	return q
}

// want2 is what a peer's configuration accepts in phase 2.
func (p *phase1) want2() want2 {
	c := p.peer
	suites := c.ESP
	if suites == nil {
		suites = DefaultESP(c.Legacy)
	}
	return want2{suites: suites, udp: p.nat.Any(), style: p.natt, requirePFS: c.RequirePFS, esn: c.ESN,
		groupOK: func(g Group) bool { return g.Known() && (c.Legacy || !g.Legacy() || g == c.PFS) },
		life:    c.childLifetime(), kbytes: (c.ChildBytes + 1023) / 1024}
}

func (w want2) advice() string {
	if len(w.suites) == 0 {
		return "nothing"
	}
	s := w.suites[0].String() + ", " + w.mode.String() + " mode"
	if w.group != 0 {
		return s + ", PFS " + w.group.String()
	}
	return s + ", PFS off"
}

// drawSPI reserves an inbound SPI.
func (e *Endpoint) drawSPI() uint32 {
	for {
		spi := be32(e.draw(4))
		if _, used := e.spis[spi]; spi >= 0x1000 && !used {
			e.spis[spi] = nil
			return spi
		}
	}
}

// underway counts the quick modes that are not over; those that are only wait
// for what may come again.
func (p *phase1) underway() (n int) {
	for _, q := range p.quicks {
		if !q.over {
			n++
		}
	}
	return n
}

// startQuick begins a quick mode of ours. It reports whether it did: not while
// there are too many.
func (p *phase1) startQuick(cfg ChildConfig, replaces *childSA) bool {
	if p.underway() >= maxQuick || p.stage != stageUp {
		return false
	}
	q := p.newQuick(p.newID(), true)
	resolve := func(s Selector, a netip.Addr) Selector {
		if !s.From.IsValid() && s.Name.IsZero() {
			s.From, s.To = a, a
		}
		return s
	}
	cfg.Local, cfg.Remote = resolve(cfg.Local, p.local.Addr()), resolve(cfg.Remote, p.remote.Addr())
	q.cfg, q.replaces, q.want = cfg, replaces, p.want2()
	q.want.mode, q.want.group = cfg.Mode, p.peer.PFS
	if p.peer.ESP == nil {
		q.want.suites = offerESP(p.peer.Legacy)
	}
	if replaces != nil {
		q.want.group = or(replaces.child.PFS, q.want.group)
	}
	q.spi = p.e.drawSPI()
	q.nonce[0] = p.e.draw(or(p.peer.wording().NonceLen, nonceLen))
	q.ids = [2][]byte{appendSelector(nil, cfg.Local), appendSelector(nil, cfg.Remote)}
	if q.want.group != 0 {
		var err error
		if q.dh, err = newExchange(q.want.group, p.e.random); err != nil {
			q.fail(Reason{Code: NoProposal, Detail: err.Error()})
			return true
		}
	}
	var msg []byte
	msg, q.iv = p.write2(ExchangeQuick, 0, q.id, q.iv, func(rest []byte) []byte { return p.hash2(q.id, rest) }, func(b *builder) {
		offer := p.peer.wording().SA2
		if offer == nil {
			offer = func(spi uint32) []byte { return offerSA2(q.want, spi) }
		}
		b.add(PayloadSA, offer(q.spi))
		q.addRest(b, 0)
	})
	pkt := p.packet(msg)
	q.resend.start(p.e, pkt)
	p.e.send(pkt)
	return true
}

// addRest appends what follows the SA payload in messages 1 and 2: nonce, KE, IDs, NAT-OA.
func (q *quick) addRest(b *builder, side int) {
	b.add(PayloadNonce, q.nonce[side])
	if q.dh != nil {
		b.add(PayloadKE, q.dh.public)
	}
	if q.ids[0] != nil {
		b.add(PayloadID, q.ids[0])
		b.add(PayloadID, q.ids[1])
	}
	if q.cfg.Mode == esp.Transport && q.want.udp && q.p.natt != nattNone {
		// RFC 3947 5.2: the initiator's and the responder's address as the sender sees them.
		i, r := q.p.local.Addr(), q.p.remote.Addr()
		if side == 1 {
			i, r = r, i
		}
		b.add(q.p.natt.natoa(), appendOA(nil, i))
		b.add(q.p.natt.natoa(), appendOA(nil, r))
	}
}

// receive takes a message of a quick mode that is under way.
func (q *quick) receive(m *message) error {
	p := q.p
	sum := sha256.Sum256(m.raw)
	if sum == q.lastIn {
		if len(q.answer.Data) > 0 && q.again < maxAnswers {
			q.again++
			p.e.count.Retransmits++
			p.e.send(q.answer)
		}
		return p.e.drop(DropDuplicate, "quick mode message came again")
	}
	if q.over && q.initiator {
		return q.takeQuick4(m)
	}
	if q.over {
		return p.e.drop(DropUnexpected, "quick mode is over")
	}
	rest, err := p.openPhase2(m, q.iv)
	if err != nil {
		return p.e.drop(DropDecrypt, "quick mode: %v", err)
	}
	if q.initiator {
		err = q.takeQuick2(m, rest)
	} else {
		err = q.takeQuick3(m)
	}
	if err != nil {
		return err
	}
	q.lastIn, q.again = sum, 0
	p.authentic(m)
	return nil
}

// readSelectors reads IDci and IDcr: both or none.
func readSelectors(list []payload) (sel [2]Selector, raw [2][]byte, err error) {
	ids := all(list, PayloadID)
	if len(ids) == 0 {
		return sel, raw, nil
	}
	if len(ids) != 2 {
		return sel, raw, fmt.Errorf("%d ID payloads instead of 2", len(ids))
	}
	for i := range ids {
		if sel[i], err = parseSelector(ids[i]); err != nil {
			return sel, raw, err
		}
		raw[i] = bytes.Clone(ids[i])
	}
	return sel, raw, nil
}

func checkQuick(list []payload) error {
	for _, kind := range []PayloadType{PayloadSA, PayloadNonce} {
		if n := len(all(list, kind)); n != 1 {
			return fmt.Errorf("%d %s payloads", n, kind)
		}
	}
	if n := len(find(list, PayloadNonce)); n < 8 || n > 256 {
		return fmt.Errorf("nonce of %d bytes", n)
	}
	if len(all(list, PayloadKE)) > 1 {
		return fmt.Errorf("more than one KE payload")
	}
	return nil
}

// takeQuick1 answers the first message of a quick mode of the peer.
func (p *phase1) takeQuick1(m *message) error {
	rest, err := p.openPhase2(m, p.suite.exchangeIV(p.iv, m.id))
	if err != nil {
		return p.e.drop(DropDecrypt, "quick mode: %v", err)
	}
	if err := p.verify2(m, rest); err != nil {
		return err
	}
	if n := p.underway(); n >= maxQuick || len(p.s.children) >= maxChildren {
		return p.e.drop(DropLimit, "%d quick modes and %d children", n, len(p.s.children))
	}
	if !p.sawID(m.id) {
		return p.e.drop(DropDuplicate, "quick mode was done before")
	}
	p.authentic(m)
	if err := checkQuick(m.payloads); err != nil {
		return p.refuse(m, Reason{Code: BadMessage, Detail: err.Error()}, NotifyMalformed)
	}
	offers, err := parseSA(find(m.payloads, PayloadSA))
	if err != nil {
		return p.refuse(m, Reason{Code: BadMessage, Detail: err.Error()}, NotifyMalformed)
	}
	sel, raw, err := readSelectors(m.payloads)
	if err != nil {
		return p.refuse(m, Reason{Code: BadMessage, Detail: err.Error()}, NotifyInvalidID)
	}
	want := p.want2()
	choice, reason := choose2(offers, want)
	if reason != nil {
		return p.refuse(m, *reason, NotifyNoProposalChosen)
	}
	q := p.newQuick(m.id, false)
	q.iv, q.commit = m.iv, m.flags&FlagCommit != 0
	q.want, q.ids = want, raw
	q.want.udp = choice.udp
	q.cfg = ChildConfig{Mode: choice.espMode, Remote: sel[0], Local: sel[1]}
	if raw[0] == nil { // RFC 2409 5.5: without IDs, the addresses of phase 1
		q.cfg.Remote, q.cfg.Local = AddrSelector(p.s.remote.Addr(), 0, 0), AddrSelector(p.local.Addr(), 0, 0)
	}
	if err := q.accept(false); err != nil {
		q.drop()
		return p.refuse(m, Reason{Code: Refused, Detail: err.Error()}, NotifyInvalidID)
	}
	shared, err := q.answerKE(m, choice.group)
	if err != nil {
		q.drop()
		return p.refuse(m, Reason{Code: BadMessage, Detail: err.Error()}, NotifyInvalidKey)
	}
	q.nonce = [2][]byte{bytes.Clone(find(m.payloads, PayloadNonce)), p.e.draw(nonceLen)}
	q.spi = p.e.drawSPI()
	q.lastIn = sha256.Sum256(m.raw)
	q.child = q.makeChild(choice, shared, m.payloads)
	q.child.install()
	q.sendQuick2(choice)
	return nil
}

// accept asks the engine.
func (q *quick) accept(answer bool) error {
	p := q.p
	if p.s.peer.Accept == nil {
		return fmt.Errorf("nothing is accepted from this peer")
	}
	return p.s.peer.Accept(&ChildRequest{Peer: p.s.peer, Session: p.s.id, RemoteID: p.remoteID, Mode: q.cfg.Mode, UDP: q.want.udp,
		Local: q.cfg.Local, Remote: q.cfg.Remote, Answer: answer})
}

// answerKE does the Diffie-Hellman exchange of PFS as responder.
func (q *quick) answerKE(m *message, g Group) ([]byte, error) {
	ke := find(m.payloads, PayloadKE)
	if g == 0 {
		if ke != nil {
			return nil, fmt.Errorf("a KE payload, but no group in the proposal")
		}
		return nil, nil
	}
	if len(ke) != g.publicLen() {
		return nil, fmt.Errorf("KE payload of %d bytes for %s", len(ke), g)
	}
	var err error
	if q.dh, err = newExchange(g, q.p.e.random); err != nil {
		return nil, err
	}
	return q.dh.shared(ke)
}

// sendQuick2 sends message 2. The peer is authenticated, so it is repeated until message 3.
func (q *quick) sendQuick2(c choice2) {
	p := q.p
	var flags Flags
	if p.peer.CommitBit {
		flags = FlagCommit
	}
	var msg []byte
	msg, q.iv = p.write2(ExchangeQuick, flags, q.id, q.iv,
		func(rest []byte) []byte { return p.hash2(q.id, q.nonce[0], rest) },
		func(b *builder) {
			b.add(PayloadSA, answerSA2(c, q.spi))
			q.addRest(b, 1)
			if n := q.responderLifetime(c); n != nil {
				b.add(PayloadNotify, n)
			}
		})
	q.answer = p.packet(msg)
	q.resend.start(p.e, q.answer)
	p.e.send(q.answer)
}

// responderLifetime is the notify that tells that we end the SA earlier than offered
// (RFC 2407 4.6.3.1), or nil.
func (q *quick) responderLifetime(c choice2) []byte {
	var data []byte
	if c.life.seconds > uint64(q.want.life/time.Second) {
		data = appendAttribute(data, attr2LifeType, unitSeconds)
		data = appendAttribute(data, attr2LifeTime, uint64(q.want.life/time.Second))
	}
	if q.want.kbytes != 0 && c.life.kbytes > q.want.kbytes {
		data = appendAttribute(data, attr2LifeType, unitKilobytes)
		data = appendAttribute(data, attr2LifeTime, q.want.kbytes)
	}
	if data == nil {
		return nil
	}
	return notification{protocol: protoESP, kind: NotifyResponderLifetime, spi: binary.BigEndian.AppendUint32(nil, q.spi), data: data}.append(nil)
}

// takeQuick2 takes the responder's answer and sends message 3.
func (q *quick) takeQuick2(m *message, rest []byte) error {
	p := q.p
	if err := p.verify2(m, q.nonce[0], rest); err != nil {
		return err
	}
	bad := func(err error) error {
		q.fail(Reason{Code: BadMessage, Detail: err.Error()})
		return p.e.drop(DropUnexpected, "quick mode message 2: %v", err)
	}
	if err := checkQuick(m.payloads); err != nil {
		return bad(err)
	}
	list, err := parseSA(find(m.payloads, PayloadSA))
	if err != nil {
		return bad(err)
	}
	choice, err := accepted2(list, q.want)
	if err != nil {
		return bad(err)
	}
	sel, raw, err := readSelectors(m.payloads)
	if err != nil {
		return bad(err)
	}
	if raw[0] != nil && (!bytes.Equal(raw[0], q.ids[0]) || !bytes.Equal(raw[1], q.ids[1])) {
		// SoftEther and others answer with selectors of their own.
		q.cfg.Local, q.cfg.Remote = sel[0], sel[1]
		if err := q.accept(true); err != nil {
			return bad(err)
		}
	}
	var shared []byte
	if q.dh != nil {
		if shared, err = q.dh.shared(find(m.payloads, PayloadKE)); err != nil {
			return bad(err)
		}
	}
	for _, body := range all(m.payloads, PayloadNotify) {
		if n, err := parseNotify(body); err == nil && n.kind == NotifyResponderLifetime && n.protocol == protoESP {
			choice.life.narrow(n.data, attr2LifeType, attr2LifeTime)
		}
	}
	q.nonce[1] = bytes.Clone(find(m.payloads, PayloadNonce))
	q.resend.stop()
	q.child = q.makeChild(choice, shared, m.payloads)
	q.child.install()

	b := p.message(ExchangeQuick, FlagEncrypted, q.id)
	// RFC 2409 5.5: HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)
	b.add(PayloadHash, p.hash3(q))
	var msg []byte
	msg, q.iv = p.keys.seal(m.iv, b)
	q.answer = p.packet(msg)
	p.e.send(q.answer)
	q.finish()
	if m.flags&FlagCommit != 0 { // RFC 2408 3.1: wait for CONNECTED, but not for ever
		q.child.usableAt = p.e.now.Add(commitWait)
	} else {
		q.child.makeUsable()
	}
	return nil
}

// commitWait is how long a promised CONNECTED may take.
const commitWait = time.Second

func (p *phase1) hash3(q *quick) []byte {
	return p.keys.suite.Hash.prf(p.keys.a, []byte{0}, binary.BigEndian.AppendUint32(nil, q.id), q.nonce[0], q.nonce[1])
}

// takeQuick3 is the end for the responder.
func (q *quick) takeQuick3(m *message) error {
	p := q.p
	if !bytes.Equal(find(m.payloads, PayloadHash), p.hash3(q)) {
		return p.e.drop(DropHash, "quick mode message 3: the HASH payload does not verify")
	}
	q.iv = m.iv
	q.resend.stop()
	q.answer = Packet{}
	q.finish()
	if p.peer.CommitBit || q.commit {
		p.inform(PayloadNotify, notification{protocol: protoESP, kind: NotifyConnected, spi: binary.BigEndian.AppendUint32(nil, q.spi)}.append(nil))
	}
	if q.commit {
		q.child.usableAt = p.e.now.Add(commitWait)
		return nil
	}
	q.child.makeUsable()
	return nil
}

// takeQuick4 takes CONNECTED in the form of a fourth message of quick mode.
func (q *quick) takeQuick4(m *message) error {
	rest, err := q.p.openPhase2(m, q.iv)
	if err != nil {
		return q.p.e.drop(DropDecrypt, "quick mode message 4: %v", err)
	}
	if err := q.p.verify2(m, rest); err != nil {
		return err
	}
	for _, body := range all(m.payloads, PayloadNotify) {
		if n, err := parseNotify(body); err == nil && n.kind == NotifyConnected && q.child != nil {
			q.child.makeUsable()
		}
	}
	return nil
}

// finish keeps the exchange for a while, to answer what comes again.
func (q *quick) finish() {
	q.over = true
	q.dh = nil
	q.removal = q.p.e.now.Add(q.p.e.cfg.Retransmit.Total)
	q.p.s.failures = 0
	q.p.forgetOldest()
}

// forgetOldest bounds the quick modes that are over: a peer that rekeys by
// volume may make many in the time that one is kept.
func (p *phase1) forgetOldest() {
	var oldest *quick
	over := 0
	for _, q := range p.quicks {
		if q.over {
			over++
			if oldest == nil || q.removal.Before(oldest.removal) {
				oldest = q
			}
		}
	}
	if over > maxQuickOver {
		oldest.drop()
	}
}

// refuse tells the peer and the shell that a quick mode is not taken.
func (p *phase1) refuse(m *message, r Reason, kind NotifyType) error {
	if p.e.failBudget.take(p.e.now, p.remote.Addr()) {
		p.e.out.event(Failed{Session: p.s.id, Peer: p.s.peer, Local: p.local, Remote: p.remote, RemoteID: p.remoteID, Phase: 2, Reason: r})
	}
	if p.e.notifyBudget.take(p.e.now, p.remote.Addr()) {
		var spi []byte
		if list, err := parseSA(find(m.payloads, PayloadSA)); err == nil && len(list) > 0 {
			spi = slices.Clone(list[0].spi)
		}
		p.inform(PayloadNotify, notification{protocol: protoESP, kind: kind, spi: spi}.append(nil))
	}
	return p.e.drop(DropRefused, "quick mode: %v", r)
}

// fail ends a quick mode of ours.
func (q *quick) fail(r Reason) {
	p, s := q.p, q.p.s
	q.drop()
	p.e.out.event(Failed{Session: s.id, Peer: s.peer, Initiator: true, Local: p.local, Remote: p.remote, RemoteID: p.remoteID, Phase: 2, Reason: r})
	s.failures++
	if s.dialled && len(s.children) == 0 && s.failures >= 3 {
		s.end(r, true)
		return
	}
	s.retryAt = p.e.now.Add(time.Duration(s.failures) * retryPause)
	if k := q.replaces; k != nil && !k.gone {
		k.rekeyAt = p.e.now.Add(rekeyRetry)
	}
}

// rekeyRetry is when a rekey that failed is tried again.
const rekeyRetry = 10 * time.Second

// drop forgets the exchange.
func (q *quick) drop() {
	q.p.quicks = slices.DeleteFunc(q.p.quicks, func(x *quick) bool { return x == q })
	q.over = true
	if q.child != nil {
		q.child.q = nil
	}
	if q.child == nil {
		delete(q.p.e.spis, q.spi)
	}
}

// abandon ends the exchange because its phase 1 ends.
func (q *quick) abandon() {
	k := q.child
	q.drop()
	if k != nil && !k.usable && !k.gone {
		k.down(Reason{Code: NoAnswer, Detail: "phase 1 ended during quick mode"}, false)
	}
}

func (q *quick) dueAt() time.Time { return first(q.resend.next, q.removal) }

func (q *quick) advance() {
	p := q.p
	if q.resend.due(p.e) {
		r := Reason{Code: NoAnswer, Detail: "no answer to quick mode", Hint: "the peer forgot phase 1, or refuses phase 2 without saying so: compare phase 2 proposals and selectors"}
		if q.initiator {
			q.fail(r)
			// The peer may not know this phase 1 any more: a new one finds out.
			if s := p.s; !s.gone && s.heard.Before(q.started) {
				p.end(false)
				s.lostPhase1(r)
			}
			return
		}
		r.Detail, r.Hint = "no message 3 of quick mode", ""
		q.drop()
		if !q.child.usable {
			q.child.down(r, true)
		}
		return
	}
	if !q.removal.IsZero() && !q.removal.After(p.e.now) {
		q.drop()
	}
}
