package hub

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"vhub/eth"
)

// The replay is a network in simulated time: stations that speak many
// protocols behind four ports.
//
//	lan   no suppression: an EtherIP peer
//	nic   hands back all that is sent there, large frames in pieces, short ones padded
//	tap   the same, after a longer and varying time
//	dbl   delivers everything that comes from its stations twice
//
// Each frame is handed in alone, so that what becomes of it is known: a frame
// of a station must be delivered; a reflected one or a copy must not be.
type replay struct {
	t    testing.TB
	hub  *Hub
	rand *rand.Rand
	now  time.Time
	port [4]*wirePort
	in   [4]*Reader
	todo sources
	back returns

	legit, reflected, copies uint64
	lost, doubled            uint64
	byKind                   map[string]uint64
	firstBad                 string
}

const (
	atLAN = iota
	atNIC
	atTAP
	atDBL
)

// wirePort counts what leaves by a port, and hands it back if its wire does.
type wirePort struct {
	r        *replay
	at       int
	reflects bool
	sent     uint64
}

func (p *wirePort) WriteFrames(frames []eth.Frame) int {
	p.sent += uint64(len(frames))
	if p.reflects {
		for i := range frames {
			p.r.reflect(p.at, &frames[i])
		}
	}
	return len(frames)
}

// returning is a frame that comes back, or comes twice.
type returning struct {
	at   time.Time
	port int
	copy bool
	f    eth.Frame
	buf  []byte
}

type returns struct {
	list []*returning
	free []*returning
}

func (h returns) Len() int           { return len(h.list) }
func (h returns) Less(i, j int) bool { return h.list[i].at.Before(h.list[j].at) }
func (h returns) Swap(i, j int)      { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *returns) Push(x any)        { h.list = append(h.list, x.(*returning)) }
func (h *returns) Pop() any {
	n := len(h.list) - 1
	x := h.list[n]
	h.list = h.list[:n]
	return x
}

// keep schedules a copy of a frame.
func (r *replay) keep(f *eth.Frame, port int, copied bool, after time.Duration) {
	var x *returning
	if n := len(r.back.free); n > 0 {
		x, r.back.free = r.back.free[n-1], r.back.free[:n-1]
	} else {
		x = new(returning)
	}
	x.buf = append(x.buf[:0], f.Data...)
	x.at, x.port, x.copy, x.f = r.now.Add(after), port, copied, *f
	if f.GSO == eth.GSONone && len(x.buf) < 60 && !copied {
		x.buf = append(x.buf, make([]byte, 60-len(x.buf))...)
	}
	x.f.Data = x.buf
	heap.Push(&r.back, x)
}

func (r *replay) reflect(port int, f *eth.Frame) {
	after := 20 * time.Microsecond
	if port == atTAP {
		after = time.Duration(50+r.rand.IntN(2000)) * time.Microsecond
	}
	r.keep(f, port, false, after)
}

// handIn gives one frame to the hub and returns to how many ports it went.
func (r *replay) handIn(port int, f eth.Frame) uint64 {
	before := r.port[0].sent + r.port[1].sent + r.port[2].sent + r.port[3].sent
	one := [1]eth.Frame{f}
	r.in[port].Input(r.now, one[:])
	return r.port[0].sent + r.port[1].sent + r.port[2].sent + r.port[3].sent - before
}

// comeBack hands in what returns now. A large frame comes in pieces.
func (r *replay) comeBack(x *returning) {
	frames := []eth.Frame{x.f}
	if x.f.GSO != eth.GSONone && !x.copy {
		frames = pieces(x.f)
	} else if x.f.NeedsCsum && !x.copy {
		eth.CompleteChecksum(x.f.Data, &x.f.Offload)
		frames[0].Offload = eth.Offload{}
	}
	for _, f := range frames {
		if x.copy {
			r.copies++
		} else {
			r.reflected++
		}
		if n := r.handIn(x.port, f); n > 0 {
			r.doubled++
			r.bad("a frame that came back was delivered", x.port, f)
		}
	}
	r.back.free = append(r.back.free, x)
}

func (r *replay) bad(what string, port int, f eth.Frame) {
	if r.firstBad == "" {
		r.firstBad = fmt.Sprintf("%s: at %v by port %d: % x", what, r.now.Sub(start), port, f.Data[:min(len(f.Data), 80)])
	}
}

// source is a station that says something now and then. say returns the frame
// and when it speaks next.
type source struct {
	at   time.Time
	kind string
	port int
	say  func(s *source) (eth.Frame, time.Duration)
}

type sources []*source

func (s sources) Len() int           { return len(s) }
func (s sources) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s sources) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *sources) Push(x any)        { *s = append(*s, x.(*source)) }
func (s *sources) Pop() any          { panic("sources do not end") }

func (r *replay) add(kind string, port int, say func(s *source) (eth.Frame, time.Duration)) {
	r.todo = append(r.todo, &source{at: r.now.Add(time.Duration(r.rand.IntN(1e9))), kind: kind, port: port, say: say})
}

// always says the same frame at an interval.
func (r *replay) always(kind string, port int, f eth.Frame, every time.Duration) {
	r.add(kind, port, func(*source) (eth.Frame, time.Duration) { return f, every })
}

// jitter is a random time around d.
func (r *replay) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(r.rand.Int64N(int64(d)))
}

// tcpFlow sends segments of a flow, some again, some large, and acknowledges.
func (r *replay) tcpFlow(kind string, port int, make func(seq, ack uint32, flags byte, n int) eth.Frame, numbered bool, every time.Duration) {
	seq, ack, id, last := r.rand.Uint32(), r.rand.Uint32(), uint16(r.rand.Uint32())|1, uint32(0)
	var cache [3]eth.Frame // by size, changed in place
	sizes := [3]int{0, 200, 5 * 1448}
	for i, n := range sizes {
		cache[i] = make(seq, ack, eth.FlagACK, n)
	}
	cache[2] = large(cache[2], map[bool]eth.GSO{true: eth.GSOTCP4, false: eth.GSOTCP6}[cache[2].Data[12] == 8], 1448)
	r.add(kind, port, func(*source) (eth.Frame, time.Duration) {
		size, wait := 1, r.jitter(every)
		at := seq
		switch p := r.rand.IntN(1000); {
		case p < 5 && last != 0: // retransmission
			at = last
		case p < 10: // duplicate ACK, three times
			size = 0
		case p < 20:
			size, wait = 2, 5*wait
		case p < 200:
			size = 0
			ack += uint32(r.rand.IntN(3000))
		}
		if size > 0 && at == seq {
			last = seq
			seq += uint32(sizes[size])
		}
		f := cache[size]
		l4 := 34
		if f.Data[12] == 8 {
			if numbered {
				binary.BigEndian.PutUint16(f.Data[18:], id)
				if id += 6; id < 6 {
					id = 1
				}
			}
		} else {
			l4 = 54
		}
		binary.BigEndian.PutUint32(f.Data[l4+4:], at)
		binary.BigEndian.PutUint32(f.Data[l4+8:], ack)
		return f, wait
	})
}

// counted sends datagrams that are all different.
func (r *replay) counted(kind string, port int, f eth.Frame, off int, every time.Duration) {
	n := uint64(0)
	r.add(kind, port, func(*source) (eth.Frame, time.Duration) {
		n++
		binary.BigEndian.PutUint64(f.Data[off:], n)
		return f, r.jitter(every)
	})
}

// populate makes the stations. Station n lives behind port n%4.
func (r *replay) populate() {
	for n := range 40 {
		port, src, dst := n%4, mac(n+100), mac((n+1+n%3)%40+100)
		numbered := n%5 != 4 || port == atDBL
		r.tcpFlow("tcp", port, func(seq, ack uint32, flags byte, size int) eth.Frame { return tcp(dst, src, 0, seq, ack, flags, size) }, numbered, 800*time.Microsecond)
		if !numbered {
			continue
		}
		if port != atDBL {
			r.tcpFlow("tcp over ipv6", port, func(seq, ack uint32, flags byte, size int) eth.Frame { return tcp6(dst, src, seq, ack, flags, size) }, false, 4*time.Millisecond)
		}
		r.counted("udp", port, udp(dst, src, 0, make([]byte, 100)), 42, 700*time.Microsecond)
		r.counted("udp over ipv6", port, udp6(dst, src, make([]byte, 60)), 62, 5*time.Millisecond)
		r.counted("large udp", port, large(udp(dst, src, 9, seqBytes(4000)), eth.GSOUDP, 1000), 42, 200*time.Millisecond)
		r.always("udp, identical, 20 ms", port, udp(dst, src, 0, []byte("tick "+src.String())), 20*time.Millisecond)
		r.always("udp over ipv6, identical, 20 ms", port, udp6(dst, src, []byte("tock")), 20*time.Millisecond)
		r.always("arp request, repeated", port, arpRequest(n+100, 250), time.Second)
		r.always("gratuitous arp, repeated", port, garp(n+100), 100*time.Millisecond)
		r.always("mdns", port, hello(n+20, 17), 250*time.Millisecond)
		r.always("llc", port, edit(plain(eth.Addr{1, 0x80, 0xc2, 0, 0, 0x21}, src, "\x42\x42\x03\x00"), func(b []byte) []byte { b[12], b[13] = 0, 4; return b }), 2*time.Second)
		r.counted("ptp", port, ptp(n+100, 0), 14+26, 7812*time.Microsecond)
		seq := uint16(0)
		f := ping(dst, src, 0)
		r.add("icmp", port, func(*source) (eth.Frame, time.Duration) {
			seq++
			binary.BigEndian.PutUint16(f.Data[40:], seq)
			binary.BigEndian.PutUint16(f.Data[18:], seq)
			return f, r.jitter(10 * time.Millisecond)
		})
	}
	r.always("vrrp", atNIC, hello(1, 112), time.Second)
	r.always("vrrp, 10 ms", atTAP, hello(2, 112), 10*time.Millisecond)
	r.always("hsrp, 50 ms", atLAN, hello(3, 17), 50*time.Millisecond)
	for i := range 4 { // stations that go from port to port
		f, n := udp(mac(100), mac(900+i), 0, make([]byte, 40)), uint64(0)
		r.add("roaming", i, func(s *source) (eth.Frame, time.Duration) {
			if n++; n%2000 == 0 {
				s.port = (s.port + 1) % 4
			}
			binary.BigEndian.PutUint64(f.Data[42:], n)
			return f, r.jitter(2 * time.Millisecond)
		})
	}
}

// run plays n frames of stations.
func (r *replay) run(n uint64) {
	heap.Init(&r.todo)
	tick := r.now
	for r.legit < n {
		s := r.todo[0]
		if len(r.back.list) > 0 && r.back.list[0].at.Before(s.at) {
			x := heap.Pop(&r.back).(*returning)
			r.now = x.at
			r.comeBack(x)
			continue
		}
		r.now = s.at
		if !r.now.Before(tick) {
			tick = r.hub.Advance(r.now)
		}
		f, wait := s.say(s)
		r.legit++
		r.byKind[s.kind]++
		if got := r.handIn(s.port, f); got == 0 && !r.local(s.port, f) {
			r.lost++
			r.bad("a frame of a station was lost: "+s.kind, s.port, f)
		}
		if s.port == atDBL {
			r.keep(&f, atDBL, true, time.Duration(5+r.rand.IntN(400))*time.Microsecond)
		}
		s.at = s.at.Add(wait)
		heap.Fix(&r.todo, 0)
	}
}

// local tells a frame to a station behind the port that it came from, which
// no hub forwards.
func (r *replay) local(port int, f eth.Frame) bool {
	dst := eth.Destination(f.Data)
	return !dst.IsGroup() && (int(dst[5])-100)%4 == port
}

func newReplay(t testing.TB, reflects bool) *replay {
	r := &replay{t: t, hub: New(Config{}), rand: rand.New(rand.NewPCG(7, 7)), now: start, byKind: map[string]uint64{}}
	for i, c := range []LinkConfig{{Name: "lan", Kind: "etherip"}, {Name: "nic", Kind: "nic", Suppress: true},
		{Name: "tap", Kind: "tap", Suppress: true}, {Name: "dbl", Kind: "nic", Suppress: true}} {
		r.port[i] = &wirePort{r: r, at: i, reflects: reflects && (i == atNIC || i == atTAP)}
		link, err := r.hub.Attach(r.now, r.port[i], c)
		must(t, err)
		r.in[i] = link.NewReader()
	}
	r.populate()
	return r
}

// Ten million frames of stations on reflecting and doubling wires: none is
// lost, and none is delivered twice.
func TestReplay(t *testing.T) {
	frames := uint64(10_000_000 / slowdown)
	if testing.Short() && slowdown == 1 {
		frames /= 20
	}
	r := newReplay(t, true)
	began := time.Now()
	r.run(frames)
	s := r.hub.Status()
	t.Logf("%d frames of stations in %v of simulated time (%.0f s): %d lost; %d reflected and %d copies came in: %d delivered; drops %v; %d moves",
		r.legit, r.now.Sub(start).Round(time.Second), time.Since(began).Seconds(), r.lost, r.reflected, r.copies, r.doubled, s.Counters.Drops, s.Counters.Moves)
	for k, n := range r.byKind {
		t.Logf("%10d %s", n, k)
	}
	if r.lost > 0 || r.doubled > 0 {
		t.Errorf("%d lost, %d doubled; first: %s", r.lost, r.doubled, r.firstBad)
	}
	if r.reflected < r.legit/2 || r.copies < r.legit/8 {
		t.Errorf("only %d reflected and %d copies: the wires do not do what they should", r.reflected, r.copies)
	}
	roamed := uint64(0)
	for _, l := range s.Links {
		roamed += l.Counters.Moves
	}
	if max := r.byKind["roaming"]/2000 + 4; roamed > max {
		t.Errorf("%d moves, but stations moved %d times at most", roamed, max)
	}
}
