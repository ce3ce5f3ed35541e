package etherip

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"vhub/eth"
	"vhub/internal/packet"
)

// Config says how a port sends. The zero value is what most want.
type Config struct {
	// Name of the port, for log lines.
	Name string
	// Header pins the form of the header that is sent.
	Header Form
	// DF: outer packets are never fragmented. What is larger than the path is
	// answered with ICMP "fragmentation needed" or ICMPv6 "packet too big"
	// toward its sender; inner IPv4 without DF is cut as with PreFragment; what
	// is no IP is dropped. The Sender must not fragment either.
	DF bool
	// PreFragment: an inner IPv4 packet without DF that is larger than the path
	// is cut before it is encapsulated, so that the peer need not reassemble.
	// What may not be cut goes in outer fragments.
	PreFragment bool
	// NoClamp leaves the MSS of TCP SYNs alone, both ways.
	NoClamp bool
}

// arenaBytes is the size of a send buffer: about a hundred full packets.
const arenaBytes = 192 << 10

// Port is an EtherIP port of a hub. It is a hub.Port.
type Port struct {
	cfg     Config
	log     *slog.Logger
	sender  atomic.Pointer[Sender]
	seen    atomic.Uint32 // Form of the last packet that came
	scratch sync.Pool     // *outgoing
	answers answerQueue
	count   counters
}

// NewPort makes a port without a Sender; it drops until it is given one.
func NewPort(cfg Config, log *slog.Logger) *Port {
	p := &Port{cfg: cfg, log: log}
	p.answers.init()
	p.scratch.New = func() any {
		o := &outgoing{port: p, arena: packet.NewArena(arenaBytes)}
		o.place = o.next
		o.keep = o.copyAside
		return o
	}
	return p
}

// SetSender makes the port send through s from now on; nil stops it.
func (p *Port) SetSender(s Sender) {
	if s == nil {
		p.sender.Store(nil)
		return
	}
	p.sender.Store(&s)
}

// form is the form of the header to send now.
func (p *Port) form() Form {
	if p.cfg.Header != Auto {
		return p.cfg.Header
	}
	if Form(p.seen.Load()) == Swapped {
		return Swapped
	}
	return Standard
}

// limits are what follows from the path MTU, in bytes; 0 means no limit.
type limits struct {
	payload    int // EtherIP header and frame
	frame      int // frame with its header and tags
	inner      int // IP packet in an untagged frame
	mss4, mss6 int // for an untagged frame; 0 too where clamping is off
}

func (p *Port) limits() limits {
	s := p.sender.Load()
	if s == nil {
		return limits{}
	}
	return p.limitsFor((*s).PathMTU())
}

func (p *Port) limitsFor(pathMTU int) limits {
	l := limits{payload: pathMTU, frame: pathMTU - HeaderLen, inner: pathMTU - HeaderLen - eth.HeaderLen}
	if pathMTU <= 0 || l.inner < minInner {
		return limits{}
	}
	if !p.cfg.NoClamp {
		l.mss4, l.mss6 = l.inner-20-20, l.inner-40-20
	}
	return l
}

// minInner is the smallest inner MTU that the port takes for one: below it
// (RFC 791 section 3.2: every host takes 68 bytes) a value is no real path's.
const minInner = 68

// WriteFrames sends frames to the peer. It is hub.Port's.
func (p *Port) WriteFrames(frames []eth.Frame) int {
	s := p.sender.Load()
	if s == nil {
		p.count.drop(NoPath, len(frames))
		return len(frames)
	}
	o := p.scratch.Get().(*outgoing)
	n := o.write(*s, frames)
	p.scratch.Put(o)
	return n
}

// outgoing is what one call of WriteFrames works with.
type outgoing struct {
	port   *Port
	arena  *packet.Arena
	sender Sender
	lim    limits
	form   Form

	of     []int32 // packet of the arena -> its frame
	frame  int32   // the frame being written
	full   bool    // the sender took less than it was given
	taken  int32   // full: the frames before it were taken
	larger int     // packets in the arena that are larger than the path

	sent, bytes, sentLarger, clamped, cut int // for the counters

	aside []byte // pieces of a large frame that must be looked at one by one
	parts []int  // their lengths
	place func(n int) []byte
	keep  func(n int) []byte
}

func (o *outgoing) write(s Sender, frames []eth.Frame) int {
	p := o.port
	o.sender, o.lim, o.form = s, p.limitsFor(s.PathMTU()), p.form()
	o.full, o.sent, o.bytes, o.sentLarger, o.clamped, o.cut = false, 0, 0, 0, 0, 0
	for i := range frames {
		o.frame = int32(i)
		o.add(&frames[i])
		if o.full {
			break
		}
	}
	if !o.full {
		o.flush()
	}
	o.sender = nil
	p.count.outPackets.Add(uint64(o.sent))
	p.count.outBytes.Add(uint64(o.bytes))
	addSome(&p.count.outLarger, o.sentLarger)
	addSome(&p.count.clamped, o.clamped)
	addSome(&p.count.fragmented, o.cut)
	if !o.full {
		return len(frames)
	}
	return int(o.taken) // the hub counts the rest
}

// addSome leaves the cache line alone where there is nothing to add.
func addSome(c *atomic.Uint64, n int) {
	if n > 0 {
		c.Add(uint64(n))
	}
}

// add writes one frame of the hub into the arena, in as many packets as it needs.
func (o *outgoing) add(f *eth.Frame) {
	if o.lim.frame > 0 && (o.port.cfg.DF || o.port.cfg.PreFragment) && o.exceeds(f) {
		o.addTooLong(f)
		return
	}
	_, fault := eth.Split(f, o.lim.frame, o.place)
	if fault != eth.OK {
		o.port.count.drop(BadFrame, 1)
		return
	}
	if f.GSO == eth.GSONone && !o.full {
		o.clamp()
	}
}

// clamp lowers the MSS in the packet just written, the last of the arena.
func (o *outgoing) clamp() {
	if o.lim.mss4 == 0 {
		return
	}
	pkts := o.arena.Packets()
	f := eth.Frame{Data: pkts[len(pkts)-1].Payload()[HeaderLen:]}
	if eth.ClampMSS(&f, o.lim.mss4, o.lim.mss6) {
		o.clamped++
	}
}

// next opens a packet for a frame of n bytes, with the EtherIP header before
// it. It sends what is in the arena when that is full, and returns nil when the
// sender takes no more.
func (o *outgoing) next(n int) []byte {
	pkt, ok := o.arena.Next(n)
	if !ok {
		if !o.flush() {
			return nil
		}
		if pkt, ok = o.arena.Next(n); !ok {
			return nil // longer than an arena: no frame is
		}
	}
	o.of = append(o.of, o.frame)
	if o.lim.frame > 0 && n > o.lim.frame {
		o.larger++
	}
	frame := pkt.Payload()
	PutHeader(pkt.Prepend(HeaderLen), o.form)
	return frame
}

// flush sends what is in the arena and reports whether all of it was taken.
func (o *outgoing) flush() bool {
	pkts := o.arena.Packets()
	if len(pkts) == 0 {
		return true
	}
	bytes := 0
	for i := range pkts { // before Send, which may seal in place
		bytes += pkts[i].End - pkts[i].Off - HeaderLen
	}
	n := o.sender.Send(pkts)
	if n < len(pkts) {
		o.full, o.taken = true, o.of[n]
		bytes = bytes * n / len(pkts)
	}
	o.sent += n
	o.bytes += bytes
	o.sentLarger += o.larger
	o.larger, o.of = 0, o.of[:0]
	o.arena.Reset()
	return !o.full
}
