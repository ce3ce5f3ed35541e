package ike

import (
	"container/list"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net/netip"
	"time"
)

// halfOpen remembers messages 1 of main mode until message 3 shows our cookie. What is
// kept is what later steps cannot do without: HASH_I covers the initiator's SA payload
// (RFC 2409 5), so that has to stay. Its size is bounded; the oldest goes first.
type halfOpen struct {
	secret  [32]byte
	entries map[halfKey]*list.Element
	order   list.List // of *halfEntry, the oldest first
	bytes   int
}

type halfKey struct {
	i      [8]byte
	remote netip.AddrPort
}

type halfEntry struct {
	key    halfKey
	r      [8]byte
	born   time.Time
	sa     []byte
	choice choice1
	vendor vendorInfo
}

func (h *halfOpen) init(random io.Reader) error {
	h.entries = map[halfKey]*list.Element{}
	_, err := io.ReadFull(random, h.secret[:])
	return err
}

// cookie is our responder cookie: a keyed hash of the addresses, the initiator's
// cookie and the time (RFC 2408 2.5.3).
func (h *halfOpen) cookie(now time.Time, local, remote netip.AddrPort, i [8]byte) (c [8]byte) {
	m := hmac.New(sha256.New, h.secret[:])
	for _, a := range []netip.AddrPort{local, remote} {
		raw := a.Addr().As16()
		m.Write(raw[:])
		m.Write(binary.BigEndian.AppendUint16(nil, a.Port()))
	}
	m.Write(i[:])
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano())))
	copy(c[:], m.Sum(nil))
	c[0] |= 1 // never all zero
	return c
}

func (h *halfOpen) find(k halfKey) *halfEntry {
	if el := h.entries[k]; el != nil {
		return el.Value.(*halfEntry)
	}
	return nil
}

func (h *halfOpen) put(x *halfEntry) {
	h.remove(x.key)
	h.entries[x.key] = h.order.PushBack(x)
	h.bytes += len(x.sa) + len(x.choice.answer)
	for len(h.entries) > halfOpenEntries || h.bytes > halfOpenBytes {
		h.remove(h.order.Front().Value.(*halfEntry).key)
	}
}

func (h *halfOpen) remove(k halfKey) {
	el := h.entries[k]
	if el == nil {
		return
	}
	x := h.order.Remove(el).(*halfEntry)
	delete(h.entries, k)
	h.bytes -= len(x.sa) + len(x.choice.answer)
}

func (h *halfOpen) deadline() time.Time {
	if el := h.order.Front(); el != nil {
		return el.Value.(*halfEntry).born.Add(halfOpenLifetime)
	}
	return time.Time{}
}

func (h *halfOpen) expire(now time.Time) {
	for el := h.order.Front(); el != nil; el = h.order.Front() {
		x := el.Value.(*halfEntry)
		if x.born.Add(halfOpenLifetime).After(now) {
			return
		}
		h.remove(x.key)
	}
}

// mainMode1 answers message 1 of main mode (RFC 2409 5.4): SA, vendor ids. Nothing is
// computed, the answer is never larger, and it goes out once for each message received.
func (e *Endpoint) mainMode1(m *message) error {
	list, err := parsePayloads(m.next, m.body, false)
	if err != nil {
		return e.drop(DropMalformed, "message 1: %v", err)
	}
	if m.flags&FlagEncrypted != 0 || m.id != 0 {
		return e.drop(DropUnexpected, "message 1 with flags %#x and message id %#x", m.flags, m.id)
	}
	sas := all(list, PayloadSA)
	if len(sas) != 1 || len(sas[0]) > maxHalfOpenSA || list[0].kind != PayloadSA {
		return e.drop(DropMalformed, "message 1 without exactly one SA payload in front, or a huge one")
	}
	key := halfKey{m.i, m.packet.Remote}
	x := e.half.find(key)
	if x == nil || string(x.sa) != string(sas[0]) {
		offers, err := parseSA(sas[0])
		if err != nil {
			return e.drop(DropMalformed, "message 1: %v", err)
		}
		rank, taken := e.peers.ranking(m.packet.Remote.Addr())
		choice, reason := choose1(offers, rank)
		if reason != nil {
			reason.Hint = or(reason.Hint, hint1(offers, taken))
			return e.noProposal(m, nil, *reason)
		}
		x = &halfEntry{key: key, born: e.now, sa: append([]byte(nil), sas[0]...), choice: choice, vendor: readVendors(list)}
		x.r = e.half.cookie(e.now, m.packet.Local, m.packet.Remote, m.i)
		e.half.put(x)
	}
	b := newMessage(cookies{m.i, x.r}, ExchangeMain, 0, 0)
	b.add(PayloadSA, x.choice.answer)
	for _, id := range answerVendors(x.vendor, e.peers.multipath) {
		if b.size()+genericLen+len(id) <= int(m.length) {
			b.add(PayloadVendor, id)
		}
	}
	if b.size() > int(m.length) {
		return e.drop(DropMalformed, "message 1 is too short to be answered")
	}
	e.reply(m.packet, b.finish())
	return nil
}

// mainMode3 takes message 3: KE, NONCE, NAT-D. It names the cookie that we sent to its
// address, so the address is proved and the computing may begin.
func (e *Endpoint) mainMode3(m *message) error {
	key := halfKey{m.i, m.packet.Remote}
	x := e.half.find(key)
	if x == nil || x.r != m.r {
		return e.drop(DropUnknownSA, "main mode with unknown cookies")
	}
	list, err := parsePayloads(m.next, m.body, false)
	if err != nil {
		return e.drop(DropMalformed, "message 3: %v", err)
	}
	if m.flags&FlagEncrypted != 0 || m.id != 0 {
		return e.drop(DropUnexpected, "message 3 with flags %#x and message id %#x", m.flags, m.id)
	}
	m.payloads = list
	if len(e.sessions) >= e.cfg.MaxSessions {
		return e.drop(DropLimit, "%d sessions are open", len(e.sessions))
	}
	if !e.dhBudget.take(e.now, m.packet.Remote.Addr()) {
		return e.drop(DropBudget, "too many negotiations from %s", m.packet.Remote.Addr())
	}
	s := e.newSession(nil, m.packet.Local, m.packet.Remote)
	p := s.newPhase1(false, ExchangeMain, m.packet.Local, m.packet.Remote)
	p.c = m.cookies
	p.float = m.packet.NATT
	p.sa, p.suite, p.life, p.vendor = x.sa, x.choice.suite, x.choice.life, x.vendor
	p.natt = x.vendor.natt
	if err := p.takeMessage3(m); err != nil {
		s.forget()
		return err
	}
	e.half.remove(key)
	e.sas[p.c] = p
	s.touch()
	return nil
}

// noProposal reports an offer without anything for us, and says so to the peer within narrow limits.
func (e *Endpoint) noProposal(m *message, p *Peer, r Reason) error {
	e.failed(Failed{Peer: p, Local: m.packet.Local, Remote: m.packet.Remote, Phase: 1, Reason: r})
	e.notifyStranger(m, NotifyNoProposalChosen)
	return e.drop(DropNoProposal, "%s", r.Detail)
}

// notifyStranger sends an unprotected error notify: within the budgets, and not larger than what it answers.
func (e *Endpoint) notifyStranger(m *message, kind NotifyType) {
	b := newMessage(m.cookies, ExchangeInformational, 0, 0)
	b.add(PayloadNotify, notification{protocol: protoISAKMP, kind: kind}.append(nil))
	if b.size() <= int(m.length) && e.notifyBudget.take(e.now, m.packet.Remote.Addr()) && e.notifyAll.take(e.now) {
		e.reply(m.packet, b.finish())
	}
}

// reply sends a message with marker room back where a packet came from.
func (e *Endpoint) reply(to Packet, msg []byte) {
	if !to.NATT {
		msg = msg[markerLen:]
	}
	e.send(Packet{Local: to.Local, Remote: to.Remote, NATT: to.NATT, Data: msg})
}

func (e *Endpoint) send(p Packet) {
	e.count.Sent++
	e.out.Packets = append(e.out.Packets, p)
}
