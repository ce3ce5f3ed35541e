package ike

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// dpd is dead peer detection (RFC 3706): a question after silence, some more, the end.
type dpd struct {
	next    time.Time // zero: not used
	seq     uint32
	asked   int       // questions without answer
	askedAt time.Time // the first of them
}

// dpdGap is the time between two questions that are not answered.
const dpdGap = 2 * time.Second

// dpdSlack is how much later than it is due a silent peer may be looked at: those of
// many peers then go together, and the processor sleeps in between.
const dpdSlack = 250 * time.Millisecond

func (p *Peer) dpdInterval() time.Duration { return or(p.DPD, 20*time.Second) }

func (d *dpd) start(p *phase1) {
	d.stop()
	if p.vendor.dpd && p.peer.dpdInterval() > 0 {
		d.next = p.e.now.Add(p.peer.dpdInterval())
		d.seq = be32(p.e.draw(4)) &^ 0x80000000 // RFC 3706 7: the high bit is 0 at first
	}
}

func (d *dpd) stop() { d.next, d.asked = time.Time{}, 0 }

// answered takes an R-U-THERE-ACK; only the newest question counts.
func (d *dpd) answered(data []byte) {
	if len(data) == 4 && be32(data) == d.seq {
		d.asked = 0
	}
}

func (p *phase1) dpdSPI() []byte { return append(slices.Clone(p.c.i[:]), p.c.r[:]...) }

func (d *dpd) advance(p *phase1) {
	now := p.e.now
	if d.next.IsZero() || d.next.After(now) || p.stage != stageUp {
		return
	}
	interval := p.peer.dpdInterval()
	heard := p.s.lastHeard()
	if d.asked > 0 && heard.After(d.askedAt) {
		d.asked = 0
	}
	switch {
	case d.asked == 0 && heard.Add(interval).After(now):
		next := heard.Add(interval + dpdSlack)
		d.next = next.Add(-time.Duration(next.UnixNano() % int64(dpdSlack)))
	case d.asked >= or(p.peer.DPDRetries, 5):
		p.s.end(Reason{Code: PeerDead, Detail: fmt.Sprintf("nothing heard for %s, %d questions not answered", now.Sub(heard).Round(time.Second), d.asked),
			Hint: "the line or the peer is down, or the peer forgot us without saying so"}, true)
	default:
		if d.asked == 0 {
			d.seq++
			d.askedAt = now
		}
		d.asked++
		d.next = now.Add(dpdGap)
		p.inform(PayloadNotify, notification{protocol: protoISAKMP, kind: NotifyRUThere, spi: p.dpdSPI(),
			data: binary.BigEndian.AppendUint32(nil, d.seq)}.append(nil))
	}
}

// lastHeard is when the peer was last heard, by IKE or by ESP.
func (s *session) lastHeard() time.Time {
	heard := s.heard
	if s.e.cfg.LastInbound != nil {
		for _, k := range s.children {
			heard = maxTime(heard, s.e.cfg.LastInbound(k.child.In.SPI))
		}
	}
	return heard
}
