package ike

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"vhub/ipsec/esp"
)

// epoch is when all tests begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// seeded is a source of randomness that gives the same in each run.
func seeded(n uint64) io.Reader {
	var key [32]byte
	key[0], key[1], key[2] = byte(n), byte(n>>8), byte(n>>16)
	return rand.NewChaCha8(key)
}

// side is one Endpoint on a wire, with what it said.
type side struct {
	t      *testing.T
	name   string
	e      *Endpoint
	ip     netip.Addr
	out    Out
	events []Event
	when   []time.Time // of the events
	// what the data path would have
	in        map[uint32]*Child
	sending   map[SessionID]*Child
	esp       map[uint32]time.Time
	in1, out1 int // bytes received and sent
}

// flight is a packet under way.
type flight struct {
	at  time.Time
	seq int
	p   Packet
}

// wire joins sides, and may lose, double, delay and translate. All by its own clock.
type wire struct {
	t                     *testing.T
	now                   time.Time
	sides                 []*side
	air                   []flight
	seq                   int
	rnd                   *rand.Rand
	loss, double, reorder float64
	lose                  func(n int, p Packet) bool // decides alone if set
	count                 int
	nat                   *natBox
	tap                   func(from *side, p Packet)
	delay                 time.Duration
	lossy                 map[uint32]string // the first frame that nobody took, by SPI
}

func newWire(t *testing.T, seed uint64) *wire {
	return &wire{t: t, now: epoch, rnd: rand.New(rand.NewPCG(seed, 1)), delay: 5 * time.Millisecond}
}

func (w *wire) add(name, ip string, cfg Config) *side {
	w.t.Helper()
	if cfg.Rand == nil {
		cfg.Rand = seeded(uint64(len(w.sides)) + 7 + w.rnd.Uint64()%1000*8)
	}
	s := &side{t: w.t, name: name, ip: netip.MustParseAddr(ip), in: map[uint32]*Child{}, sending: map[SessionID]*Child{}, esp: map[uint32]time.Time{}}
	if cfg.LastInbound == nil {
		cfg.LastInbound = func(spi uint32) time.Time { return s.esp[spi] }
	}
	e, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	s.e = e
	w.sides = append(w.sides, s)
	return s
}

// natBox translates for one inside address: to the outside address, with other ports.
type natBox struct {
	inside, outside netip.Addr
	shift           uint16
}

// flush takes what a side said: events first, then packets.
func (w *wire) flush(s *side) {
	for _, ev := range s.out.Events {
		s.events = append(s.events, ev)
		s.when = append(s.when, w.now)
		switch ev := ev.(type) {
		case ChildInstalled:
			if s.in[ev.Child.In.SPI] != nil {
				w.t.Errorf("%s: child %#x installed twice", s.name, ev.Child.In.SPI)
			}
			s.in[ev.Child.In.SPI] = ev.Child
		case ChildUsable:
			if s.in[ev.Child.In.SPI] == nil {
				w.t.Errorf("%s: child %#x usable before installed", s.name, ev.Child.In.SPI)
			}
			s.sending[ev.Child.Session] = ev.Child
		case ChildDown:
			if s.in[ev.Child.In.SPI] == nil {
				w.t.Errorf("%s: child %#x down but not up", s.name, ev.Child.In.SPI)
			}
			delete(s.in, ev.Child.In.SPI)
			if s.sending[ev.Child.Session] == ev.Child {
				delete(s.sending, ev.Child.Session)
			}
		case Closed:
			delete(s.sending, ev.Session)
		}
	}
	for _, p := range s.out.Packets {
		w.transmit(s, p)
	}
	s.out.Reset()
}

func (w *wire) transmit(s *side, p Packet) {
	s.out1 += len(p.Data)
	if w.tap != nil {
		w.tap(s, p)
	}
	p.Data = bytes.Clone(p.Data)
	w.count++
	if w.lose != nil {
		if w.lose(w.count, p) {
			return
		}
	} else if w.rnd.Float64() < w.loss {
		return
	}
	// the other end's view
	p.Local, p.Remote = p.Remote, p.Local
	if n := w.nat; n != nil {
		if p.Remote.Addr() == n.inside {
			p.Remote = netip.AddrPortFrom(n.outside, p.Remote.Port()+n.shift)
		} else if p.Local.Addr() == n.outside {
			p.Local = netip.AddrPortFrom(n.inside, p.Local.Port()-n.shift)
		}
	}
	copies := 1
	if w.rnd.Float64() < w.double {
		copies = 2
	}
	for range copies {
		d := w.delay
		if w.rnd.Float64() < w.reorder {
			d += time.Duration(w.rnd.IntN(400)) * time.Millisecond
		}
		w.seq++
		w.air = append(w.air, flight{w.now.Add(d), w.seq, p})
	}
}

// next is when something happens.
func (w *wire) next() time.Time {
	var t time.Time
	for _, f := range w.air {
		t = first(t, f.at)
	}
	for _, s := range w.sides {
		t = first(t, s.e.Deadline())
	}
	return t
}

// run lets time pass until cond holds; false when it does not within limit.
func (w *wire) run(limit time.Duration, cond func() bool) bool {
	end := w.now.Add(limit)
	for steps := 0; ; steps++ {
		if steps > 200000 {
			w.t.Fatal("the machines spin without time passing")
		}
		if cond != nil && cond() {
			return true
		}
		t := w.next()
		if t.IsZero() || t.After(end) {
			w.now = end
			return cond != nil && cond()
		}
		if t.After(w.now) {
			w.now = t
		}
		slices.SortFunc(w.air, func(a, b flight) int {
			if c := a.at.Compare(b.at); c != 0 {
				return c
			}
			return a.seq - b.seq
		})
		if len(w.air) > 0 && !w.air[0].at.After(w.now) {
			f := w.air[0]
			w.air = w.air[1:]
			w.deliver(f.p)
			continue
		}
		for _, s := range w.sides {
			if d := s.e.Deadline(); !d.IsZero() && !d.After(w.now) {
				s.e.Advance(w.now, &s.out)
				w.flush(s)
				if d := s.e.Deadline(); !d.IsZero() && !d.After(w.now) {
					w.t.Fatalf("%s: Advance leaves a deadline that is over", s.name)
				}
			}
		}
	}
}

func (w *wire) deliver(p Packet) {
	for _, s := range w.sides {
		if s.ip == p.Local.Addr() {
			s.in1 += len(p.Data)
			_ = s.e.Receive(w.now, p, &s.out)
			w.flush(s)
			return
		}
	}
}

func (s *side) dial(w *wire, p *Peer, remote string) SessionID {
	s.t.Helper()
	id, err := s.e.Dial(w.now, p, netip.AddrPortFrom(s.ip, 500), netip.MustParseAddrPort(remote), &s.out)
	if err != nil {
		s.t.Fatal(err)
	}
	w.flush(s)
	return id
}

func eventsOf[T Event](s *side) []T {
	var list []T
	for _, e := range s.events {
		if x, ok := e.(T); ok {
			list = append(list, x)
		}
	}
	return list
}

// bothUp tells whether both sides send on SAs that the other one takes.
func bothUp(a, b *side) bool { return carries(a, b) == nil && carries(b, a) == nil }

// carries tells whether what a sends, b takes.
func carries(a, b *side) error {
	if len(a.sending) == 0 {
		return fmt.Errorf("%s has nothing to send with", a.name)
	}
	for _, c := range a.sending {
		in := b.in[c.Out.SPI]
		if in == nil {
			return fmt.Errorf("%s sends with %#x, which %s does not take", a.name, c.Out.SPI, b.name)
		}
		if in.Suite != c.Suite || in.ESN != c.ESN || in.Mode != c.Mode || in.UDP != c.UDP ||
			!bytes.Equal(in.In.Keys.Enc, c.Out.Keys.Enc) || !bytes.Equal(in.In.Keys.Auth, c.Out.Keys.Auth) || !bytes.Equal(in.In.Keys.Salt, c.Out.Keys.Salt) {
			return fmt.Errorf("%s and %s do not agree about %#x", a.name, b.name, c.Out.SPI)
		}
	}
	return nil
}

func (s *side) log() string {
	var b bytes.Buffer
	for i, e := range s.events {
		if i < len(s.when) {
			fmt.Fprintf(&b, "%10s ", s.when[i].Sub(epoch))
		}
		switch e := e.(type) {
		case Established:
			fmt.Fprintf(&b, "%s: established %s %v nat %v %s reauth %v\n", s.name, e.RemoteID, e.Suite, e.NAT, e.NATT, e.Reauth)
		case ChildInstalled:
			fmt.Fprintf(&b, "%s: installed in %#x out %#x %v\n", s.name, e.Child.In.SPI, e.Child.Out.SPI, e.Child.Suite)
		case ChildUsable:
			fmt.Fprintf(&b, "%s: usable in %#x\n", s.name, e.Child.In.SPI)
		case ChildDown:
			fmt.Fprintf(&b, "%s: down in %#x: %v\n", s.name, e.Child.In.SPI, e.Reason)
		case Closed:
			fmt.Fprintf(&b, "%s: closed %d: %v\n", s.name, e.Session, e.Reason)
		case Failed:
			fmt.Fprintf(&b, "%s: failed phase %d: %v\n", s.name, e.Phase, e.Reason)
		default:
			fmt.Fprintf(&b, "%s: %+v\n", s.name, e)
		}
	}
	return b.String()
}

// psk is long enough for aggressive mode too.
var psk = []byte("correct horse battery staple 0123456789")

func dialler(mod func(*Peer)) *Peer {
	p := &Peer{Name: "center", Key: psk, LocalID: ID{IDKeyID, "branch1"}, Accept: AcceptEtherIP,
		Children: []ChildConfig{EtherIPChild("tunnel", esp.Transport)}}
	if mod != nil {
		mod(p)
	}
	return p
}

func answerer(mod func(*Peer)) *Peer {
	p := &Peer{Name: "branch", Key: psk, RemoteID: ID{IDKeyID, "branch1"}, Accept: AcceptEtherIP}
	if mod != nil {
		mod(p)
	}
	return p
}

// pair makes a dialling and an answering side.
func pair(t *testing.T, seed uint64, d, a *Peer) (w *wire, x, y *side) {
	w = newWire(t, seed)
	x = w.add("branch", "192.0.2.1", Config{Peers: []*Peer{d}})
	y = w.add("center", "198.51.100.1", Config{Peers: []*Peer{a}})
	return w, x, y
}

func TestMainModeAndQuickMode(t *testing.T) {
	d := dialler(nil)
	w, x, y := pair(t, 1, d, answerer(nil))
	x.dial(w, d, "198.51.100.1:500")
	if !w.run(10*time.Second, func() bool { return bothUp(x, y) }) {
		t.Fatalf("not up:\n%s%s", x.log(), y.log())
	}
	t.Logf("\n%s%s", x.log(), y.log())
	t.Logf("up after %s; %d bytes there, %d back", w.now.Sub(epoch), y.in1, y.out1)
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }
