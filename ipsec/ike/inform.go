package ike

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// inform sends one payload in an informational exchange (RFC 2409 5.7). Nothing answers it.
func (p *phase1) inform(kind PayloadType, body []byte) {
	if p.stage != stageUp {
		return
	}
	id := p.newID()
	msg, _ := p.write2(ExchangeInformational, 0, id, p.suite.exchangeIV(p.iv, id),
		func(rest []byte) []byte { return p.hash2(id, rest) },
		func(b *builder) { b.add(kind, body) })
	p.e.send(p.packet(msg))
}

// takeInformational takes a protected informational message.
func (p *phase1) takeInformational(m *message) error {
	rest, err := p.openPhase2(m, p.suite.exchangeIV(p.iv, m.id))
	if err != nil {
		// CONNECTED carries the message id of its quick mode, and some chain its IV too.
		if q := p.quick(m.id); q != nil {
			rest, err = p.openPhase2(m, q.iv)
		}
	}
	if err != nil {
		return p.e.drop(DropDecrypt, "informational: %v", err)
	}
	if err := p.verify2(m, rest); err != nil {
		return err
	}
	if p.quick(m.id) == nil && !p.sawID(m.id) {
		return p.e.drop(DropDuplicate, "informational message came again")
	}
	p.authentic(m)
	for _, pl := range m.payloads[1:] {
		if p.stage != stageUp {
			return nil // deleted by a payload before
		}
		switch pl.kind {
		case PayloadNotify:
			n, err := parseNotify(pl.body)
			if err != nil {
				return p.e.drop(DropMalformed, "informational: %v", err)
			}
			p.takeNotify(m, n)
		case PayloadDelete:
			d, err := parseDelete(pl.body)
			if err != nil {
				return p.e.drop(DropMalformed, "informational: %v", err)
			}
			p.takeDelete(d)
		}
	}
	return nil
}

func (p *phase1) takeNotify(m *message, n notification) {
	switch {
	case n.kind == NotifyRUThere && len(n.data) == 4:
		if !p.vendor.dpd { // who asks also answers, whatever its vendor ids were
			p.vendor.dpd = true
			p.dpd.start(p)
		}
		p.inform(PayloadNotify, notification{protocol: protoISAKMP, kind: NotifyRUThereAck, spi: p.dpdSPI(), data: n.data}.append(nil))
	case n.kind == NotifyRUThereAck:
		p.dpd.answered(n.data)
	case n.kind == NotifyInitialContact:
		if !p.initialContact && p.e.now.Sub(p.born) < halfOpenLifetime {
			p.initialContact = true
			p.s.supersede(p)
		}
	case n.kind == NotifyConnected:
		for _, k := range slices.Clone(p.s.children) {
			if q := p.quick(m.id); (q != nil && q.child == k) || k.hasSPI(n.spi) {
				k.makeUsable()
			}
		}
	case n.kind == NotifyInvalidSPI && n.protocol == protoESP:
		spi := n.spi
		if len(spi) != 4 {
			spi = n.data // RFC 2408 3.14.1 leaves open where it stands
		}
		if len(spi) == 4 {
			p.takeDelete(deletion{protocol: protoESP, spis: [][]byte{spi}})
		}
	case n.kind.IsError():
		p.refusedBy(n)
	}
}

// refusedBy ends the quick mode of ours that the peer refuses.
func (p *phase1) refusedBy(n notification) {
	var one *quick
	for _, q := range p.quicks {
		if !q.initiator || q.over {
			continue
		}
		if len(n.spi) == 4 && be32(n.spi) == q.spi {
			one = q
			break
		}
		if one == nil {
			one = q
		}
	}
	if one == nil {
		return
	}
	r := Reason{Code: PeerRefused, Detail: "the peer says " + n.kind.String(), Notify: n.kind}
	switch n.kind {
	case NotifyNoProposalChosen:
		r.Hint = "set the peer's phase 2 to " + one.want.advice()
	case NotifyInvalidID:
		r.Hint = fmt.Sprintf("the peer does not accept the selectors %s (ours) and %s (its own)", one.cfg.Local, one.cfg.Remote)
	}
	one.fail(r)
}

// takeDelete takes the peer's word that SAs are gone (RFC 2408 3.15). What is
// named twice, or was never there, does no harm.
func (p *phase1) takeDelete(d deletion) {
	s := p.s
	for _, spi := range d.spis {
		switch d.protocol {
		case protoISAKMP:
			for _, x := range slices.Clone(s.sas) {
				if x.stage == stageUp && string(spi[:8]) == string(x.c.i[:]) && string(spi[8:]) == string(x.c.r[:]) {
					x.end(false)
				}
			}
		case protoESP:
			for _, k := range slices.Clone(s.children) {
				if k.child.Out.SPI == binary.BigEndian.Uint32(spi) {
					k.deletedByPeer()
				}
			}
		}
	}
	s.maintain()
	s.lostPhase1(Reason{Code: PeerDeleted})
}

// unprotected takes an informational message in the clear: it is believed in one thing only,
// that a negotiation of ours is not welcome; and even then the peer may still answer for a while.
func (e *Endpoint) unprotected(m *message) error {
	if m.exchange != ExchangeInformational {
		return e.drop(DropUnexpected, "%s is not encrypted", m.exchange)
	}
	p := e.sas[m.cookies]
	if p == nil {
		p = e.dialling[m.i]
	}
	if p == nil || !p.initiator || p.stage >= stageUp || p.remote.Addr() != m.packet.Remote.Addr() {
		return e.drop(DropUnexpected, "unprotected informational message")
	}
	list, err := parsePayloads(m.next, m.body, true)
	if err != nil {
		return e.drop(DropMalformed, "unprotected informational message: %v", err)
	}
	for _, body := range all(list, PayloadNotify) {
		n, err := parseNotify(body)
		if err != nil || !n.kind.IsError() || p.suspect != nil {
			continue
		}
		r := Reason{Code: PeerRefused, Detail: "the peer says " + n.kind.String(), Notify: n.kind}
		switch {
		case n.kind == NotifyNoProposalChosen:
			r.Hint = "set the peer to " + advice(p.offered)
		case n.kind == NotifyInvalidID || n.kind == NotifyAuthenticationFailed:
			r.Hint = fmt.Sprintf("does the peer know our identity %s, and is the key the same?", p.localID)
		case p.stage == waitMain6:
			r.Hint = "compare the pre-shared keys"
		}
		p.suspect = &r
		if soon := e.now.Add(refusalGrace); p.resend.until.After(soon) {
			p.resend.until = soon
			p.resend.next = first(p.resend.next, soon)
		}
	}
	return nil
}

// refusalGrace is how long a negotiation goes on after an unprotected error notify: who forges
// one does not win against a peer that answers.
const refusalGrace = 3 * time.Second
