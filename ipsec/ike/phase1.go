package ike

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// stage is how far a phase 1 is.
type stage uint8

const (
	waitMain2 stage = iota // initiator
	waitMain4
	waitMain6
	waitAggressive2
	waitMain5 // responder
	waitAggressive3
	stageUp
	stageDead
)

var stageNames = [...]string{"sent message 1", "sent message 3", "sent message 5", "sent aggressive message 1",
	"waits for message 5", "waits for aggressive message 3", "established", "dead"}

func (s stage) String() string { return stageNames[s] }

// step says what a stage takes: checked before the handler sees the message.
type step struct {
	exchange  Exchange
	encrypted bool
	once      []PayloadType // each exactly once
	handle    func(*phase1, *message) error
}

// steps are the exchanges of RFC 2409 5.4 (pre-shared key), by what is waited for.
// Message 3 of main mode and messages 1 have no phase 1 yet: halfopen.go, aggressive.go.
var steps map[stage]step

func init() { // a variable initialiser would be a cycle
	steps = map[stage]step{
		waitMain2:       {ExchangeMain, false, []PayloadType{PayloadSA}, (*phase1).takeMessage2},
		waitMain4:       {ExchangeMain, false, []PayloadType{PayloadKE, PayloadNonce}, (*phase1).takeMessage4},
		waitMain6:       {ExchangeMain, true, []PayloadType{PayloadID, PayloadHash}, (*phase1).takeMessage6},
		waitMain5:       {ExchangeMain, true, nil, (*phase1).takeMessage5}, // which key? so it decrypts itself
		waitAggressive2: {ExchangeAggressive, false, []PayloadType{PayloadSA, PayloadKE, PayloadNonce, PayloadID, PayloadHash}, (*phase1).takeAggressive2},
		waitAggressive3: {ExchangeAggressive, false, []PayloadType{PayloadHash}, (*phase1).takeAggressive3}, // encrypted or not, both are sent
	}
}

// phase1 is one ISAKMP SA, from its first message to its end.
type phase1 struct {
	e         *Endpoint
	s         *session
	initiator bool
	mode      Exchange
	stage     stage
	c         cookies

	local, remote netip.AddrPort
	float         bool // on the NAT-T port

	peer   *Peer // nil at a responder until message 5
	suite  Suite
	life   lifetime
	vendor vendorInfo
	natt   nattStyle
	nat    NAT

	*handshake     // nil once it is established
	keys           *keys1
	iv             []byte // chained through phase 1; then its last block, which phase 2 starts from
	localID        ID
	remoteID       ID
	initialContact bool

	lastIn   [32]byte
	answer   Packet // what lastIn was answered with
	answered int    // how often lastIn was answered again

	upAt, born        time.Time
	reauthAt, expires time.Time
	deleteAt          time.Time // replaced: delete it then
	quicks            []*quick
	seen              []uint32 // message ids of informational exchanges
	lastID            uint32   // of Wording.CountIDs
	dpd               dpd
}

// handshake is what only the exchange itself needs: nobody can find the keys by it
// when it is over, and ten thousand sessions do not carry it.
type handshake struct {
	offered      []Suite
	sa           []byte   // the initiator's SA payload: HASH_I and HASH_R cover it
	theirs       [][]byte // NAT-D payloads of the peer: our address first
	dh           *exchange
	public       [2][]byte // KE: initiator's, responder's
	nonce        [2][]byte
	shared       []byte
	aggressiveID []byte // responder: body of the ID payload of aggressive message 1
	credit       int    // responder in aggressive mode: bytes received minus bytes sent

	resend   resend
	wrong    int // messages 5 that no key fits
	suspect  *Reason
	deadline time.Time // responder: when the exchange has to be over
}

// quick is the quick mode with this message id, or nil.
func (p *phase1) quick(id uint32) *quick {
	for _, q := range p.quicks {
		if q.id == id {
			return q
		}
	}
	return nil
}

// maxAnswers bounds how often a message that comes again is answered again.
const maxAnswers = 12

func (p *phase1) receive(m *message) error {
	if m.exchange == ExchangeQuick || m.exchange == ExchangeInformational {
		return p.receivePhase2(m)
	}
	sum := sha256.Sum256(m.raw)
	if sum == p.lastIn {
		return p.again()
	}
	st, ok := steps[p.stage]
	if !ok || st.exchange != m.exchange || m.id != 0 {
		return p.e.drop(DropUnexpected, "%s message while the phase 1 %s", m.exchange, p.stage)
	}
	if err := p.unwrap(m, st); err != nil {
		return err
	}
	for _, kind := range st.once {
		if n := len(all(m.payloads, kind)); n != 1 {
			return p.e.drop(DropMalformed, "%d %s payloads while the phase 1 %s", n, kind, p.stage)
		}
	}
	if err := st.handle(p, m); err != nil {
		return err
	}
	p.lastIn, p.answered = sum, 0
	return nil
}

// remember marks a message as taken, so that it is answered again when it comes again.
func (p *phase1) remember(m *message) { p.lastIn, p.answered = sha256.Sum256(m.raw), 0 }

// unwrap decrypts and parses.
func (p *phase1) unwrap(m *message, st step) error {
	encrypted := m.flags&FlagEncrypted != 0
	if p.stage == waitMain5 && encrypted {
		return nil
	}
	if encrypted != st.encrypted && p.stage != waitAggressive3 {
		return p.e.drop(DropUnexpected, "encryption flag is %v while the phase 1 %s", encrypted, p.stage)
	}
	body, next := m.body, p.iv
	var err error
	if encrypted {
		if body, next, err = p.keys.open(p.iv, m.body); err != nil {
			return p.e.drop(DropDecrypt, "%v", err)
		}
	}
	if m.payloads, err = parsePayloads(m.next, body, encrypted); err != nil {
		if encrypted {
			p.doubt(Reason{Code: WrongKey, Detail: "the peer's message does not decrypt", Hint: "compare the pre-shared keys"})
			return p.e.drop(DropDecrypt, "%v", err)
		}
		return p.e.drop(DropMalformed, "%v", err)
	}
	if encrypted {
		m.iv = next
	}
	return nil
}

// again answers a message that came once more: only after the peer proved its
// address, and not for ever.
func (p *phase1) again() error {
	if len(p.answer.Data) > 0 && p.answered < maxAnswers {
		p.answered++
		p.e.count.Retransmits++
		p.e.send(p.answer)
	}
	return p.e.drop(DropDuplicate, "phase 1 message came again")
}

// message writes a message of this phase 1.
func (p *phase1) message(x Exchange, flags Flags, id uint32) *builder {
	return newMessage(p.c, x, flags, id)
}

// packet makes a datagram of a message with room for the marker.
func (p *phase1) packet(msg []byte) Packet {
	if !p.float {
		msg = msg[markerLen:]
	}
	return Packet{Local: p.local, Remote: p.remote, NATT: p.float, Data: msg}
}

// sendAnswer sends and remembers what the message under way is answered with.
func (p *phase1) sendAnswer(msg []byte) {
	p.answer = p.packet(msg)
	p.e.send(p.answer)
}

// sendFirst sends and repeats until answered.
func (p *phase1) sendFirst(msg []byte) {
	pkt := p.packet(msg)
	p.resend.start(p.e, pkt)
	p.e.send(pkt)
}

// who is the index of a side in public and nonce.
func (p *phase1) own() int {
	if p.initiator {
		return 0
	}
	return 1
}

// drawOwn makes our nonce and our public value.
func (p *phase1) drawOwn(g Group) error {
	p.e.count.DH++
	dh, err := newExchange(g, p.e.random)
	if err != nil {
		return err
	}
	p.dh, p.public[p.own()] = dh, dh.public
	p.nonce[p.own()] = p.e.draw(or(p.peer.wording().NonceLen, nonceLen))
	return nil
}

// nonceLen is the length of our nonces; peers' may have 8 to 256 bytes (RFC 2409 5).
const nonceLen = 32

// takeKE takes the peer's public value and nonce.
func (p *phase1) takeKE(m *message) error {
	n := find(m.payloads, PayloadNonce)
	if len(n) < 8 || len(n) > 256 {
		return p.e.drop(DropMalformed, "nonce of %d bytes", len(n))
	}
	ke := find(m.payloads, PayloadKE)
	shared, err := p.dh.shared(ke)
	if err != nil {
		return p.e.drop(DropMalformed, "KE payload: %v", err)
	}
	other := 1 - p.own()
	p.public[other], p.nonce[other], p.shared = bytes.Clone(ke), bytes.Clone(n), shared
	return nil
}

// derive makes the keys of phase 1 with one pre-shared key.
func (p *phase1) derive(psk []byte) *keys1 {
	return deriveKeys(p.suite, psk, p.nonce[0], p.nonce[1], p.shared, p.c)
}

// hashFor is HASH_I (initiator true) or HASH_R over an ID payload's body.
func (p *phase1) hashFor(initiator bool, k *keys1, id []byte) []byte {
	if initiator {
		return k.authHash(p.public[0], p.public[1], p.c.i, p.c.r, p.sa, id)
	}
	return k.authHash(p.public[1], p.public[0], p.c.r, p.c.i, p.sa, id)
}

// addNATD appends our NAT-D payloads: the address we send to, then our own (RFC 3947 3.2).
func (p *phase1) addNATD(b *builder) {
	if p.natt == nattNone {
		return
	}
	remote, local := natHash(p.suite.Hash, p.c, p.remote), natHash(p.suite.Hash, p.c, p.local)
	peer := p.peer
	if peer == nil { // responder: what the likely peers of this address want
		peer = p.e.peers.natOptions(p.remote.Addr())
	}
	if peer.ForceNATT {
		// The initiator pretends about itself, the responder about the peer: Windows
		// clients refuse a responder that seems to be behind a NAT.
		if p.initiator {
			local = p.e.draw(len(local))
		} else {
			remote = p.e.draw(len(remote))
		}
	}
	if peer.HideNAT && !p.initiator && len(p.theirs) > 0 {
		local = p.theirs[0]
	}
	b.add(p.natt.natd(), remote)
	b.add(p.natt.natd(), local)
}

// takeNATD compares the peer's NAT-D payloads with the addresses as we see them. Where the
// peer may have meant the addresses of before a move to the NAT-T port, they count as well.
func (p *phase1) takeNATD(list []payload, before ...[2]netip.AddrPort) {
	p.theirs = nil
	if p.natt == nattNone {
		return
	}
	for _, h := range all(list, p.natt.natd()) {
		p.theirs = append(p.theirs, bytes.Clone(h))
	}
	if len(p.theirs) < 2 { // the peer does not follow through (RFC 3947 3.2: two at least)
		p.natt, p.nat = nattNone, NAT{}
		return
	}
	p.nat = NAT{Local: true, Remote: true}
	for _, pair := range append(before, [2]netip.AddrPort{p.local, p.remote}) {
		local, remote := natHash(p.suite.Hash, p.c, pair[0]), natHash(p.suite.Hash, p.c, pair[1])
		if bytes.Equal(p.theirs[0], local) {
			p.nat.Local = false
		}
		if slices.ContainsFunc(p.theirs[1:], func(h []byte) bool { return bytes.Equal(h, remote) }) {
			p.nat.Remote = false
		}
	}
}

// forceNAT applies ForceNATT on our own side.
func (p *phase1) forceNAT() {
	if p.natt != nattNone && p.peer != nil && p.peer.ForceNATT && !p.nat.Any() {
		if p.initiator {
			p.nat.Local = true
		} else {
			p.nat.Remote = true
		}
	}
}

// floatOut moves to the NAT-T port (RFC 3947 4): the initiator does, with the message
// after the NAT-D payloads.
func (p *phase1) floatOut() {
	if p.nat.Any() && !p.float {
		p.float = true
		p.local = netip.AddrPortFrom(p.local.Addr(), p.e.cfg.LocalNATTPort)
		p.remote = netip.AddrPortFrom(p.remote.Addr(), p.e.cfg.NATTPort)
	}
}

// ownID is the identity that we claim.
func (p *phase1) ownID() ID {
	if p.peer.LocalID.IsZero() {
		return AddrID(p.local.Addr())
	}
	return p.peer.LocalID
}

// dueAt is the next time at which the phase 1 has something to do.
func (p *phase1) dueAt() time.Time {
	next := p.reauthAt
	for _, t := range []time.Time{p.expires, p.deleteAt, p.dpd.next} {
		next = first(next, t)
	}
	if p.handshake != nil {
		next = first(next, first(p.resend.next, p.deadline))
	}
	for _, q := range p.quicks {
		next = first(next, q.dueAt())
	}
	return next
}

// describe names the phase 1 in reasons.
func (p *phase1) describe() string { return fmt.Sprintf("%s %s", p.mode, p.suite) }
