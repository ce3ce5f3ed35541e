package etherip

import (
	"time"

	"vhub/eth"
)

// Receiver takes packets that came from the peer. One goroutine uses one.
//
// Segments of a TCP flow are joined here and not only where a TAP is written: the
// hub then looks at one frame and not at 44.
type Receiver struct {
	port   *Port
	in     Input
	frames []eth.Frame
	joiner eth.Joiner
}

// NewReceiver makes a Receiver whose frames go to in, usually a hub.Reader of
// the port's link.
func (p *Port) NewReceiver(in Input) *Receiver {
	return &Receiver{port: p, in: in}
}

// Receive takes a batch of payloads, each an EtherIP header and a frame, in the
// order in which they came. The carrier knows that the peer sent them. The
// bytes are lent until the call returns, and are written to: the MSS of a TCP
// SYN is lowered in place.
func (r *Receiver) Receive(now time.Time, payloads [][]byte) {
	p := r.port
	lim := p.limits()
	r.frames = r.frames[:0]
	form, bytes, clamped := Auto, 0, 0
	for _, b := range payloads {
		f, why := ParseHeader(b)
		if why != none {
			p.count.drop(why, 1)
			continue
		}
		form = f
		frame := eth.Frame{Data: b[HeaderLen:]}
		if fault := frame.Check(); fault != eth.OK {
			p.count.drop(faultReason(fault), 1)
			continue
		}
		if lim.mss4 > 0 && eth.ClampMSS(&frame, lim.mss4, lim.mss6) {
			clamped++
		}
		bytes += len(frame.Data)
		r.frames = append(r.frames, frame)
	}
	if form != Auto && Form(p.seen.Load()) != form {
		p.sawForm(form)
	}
	if len(r.frames) == 0 {
		return
	}
	p.count.inPackets.Add(uint64(len(r.frames)))
	p.count.inBytes.Add(uint64(bytes))
	addSome(&p.count.clamped, clamped)
	r.in.Input(now, r.joiner.Join(r.frames))
}

func faultReason(f eth.Fault) Reason {
	switch f {
	case eth.FaultLong:
		return LongFrame
	case eth.FaultGroupSource, eth.FaultZeroSource:
		return BadSource
	}
	return ShortPacket
}

// sawForm notes the form of the peer's header. A peer that uses the swapped one
// is worth a line; one that changes back and forth is not worth more.
func (p *Port) sawForm(f Form) {
	if old := Form(p.seen.Swap(uint32(f))); old == Auto && f == Swapped {
		p.log.Info("peer sends the swapped EtherIP header (03 00)", "port", p.cfg.Name, "sending", p.form().String())
	}
}
