package ike

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// quickSuites keep many runs cheap.
var quickSuites = []Suite{{AES, 128, SHA256, ECP256}}

func cheap(mods ...func(*Peer)) func(*Peer) {
	return func(p *Peer) {
		p.Suites = quickSuites
		for _, m := range mods {
			if m != nil {
				m(p)
			}
		}
	}
}

func aggressive(p *Peer) { p.Aggressive = true }

// settled tells whether a negotiation ended well or was given up on both sides, and
// never something between.
func settled(t *testing.T, x, y *side, what string) {
	t.Helper()
	if bothUp(x, y) {
		return
	}
	if len(x.in)+len(y.in)+len(x.sending)+len(y.sending) != 0 {
		t.Errorf("%s: one-sided:\n%s%s", what, x.log(), y.log())
	}
}

// Every pattern of loss among the first 11 packets: the ends agree.
func TestEveryLossPattern(t *testing.T) {
	for name, mod := range map[string]func(*Peer){"main": nil, "aggressive": aggressive} {
		t.Run(name, func(t *testing.T) {
			patterns := 1 << 11
			if testing.Short() {
				patterns = 1 << 7
			}
			worst, up := time.Duration(0), 0
			for pattern := range patterns {
				d := dialler(cheap())
				a := answerer(cheap())
				if mod != nil {
					mod(d)
					mod(a)
				}
				w, x, y := pair(t, uint64(pattern), d, a)
				w.lose = func(n int, p Packet) bool { return n <= 11 && pattern>>(n-1)&1 == 1 }
				x.dial(w, d, "198.51.100.1:500")
				if w.run(40*time.Second, func() bool { return bothUp(x, y) }) {
					up++
					worst = max(worst, w.now.Sub(epoch))
					continue
				}
				w.run(40*time.Second, nil) // what the responder holds half open ends too
				if len(x.e.sessions)+len(y.e.sessions)+len(x.in)+len(y.in) != 0 {
					t.Fatalf("pattern %011b: neither up nor given up:\n%s%s", pattern, x.log(), y.log())
				}
			}
			t.Logf("%d of %d patterns up, the slowest after %s; the others given up by both", up, patterns, worst)
			if up < patterns*8/10 {
				t.Errorf("only %d of %d patterns up", up, patterns)
			}
		})
	}
}

// A line that loses everything from a packet on: both sides give up.
func TestLineDies(t *testing.T) {
	for after := range 12 {
		d, a := dialler(cheap()), answerer(cheap())
		d.DPD, a.DPD = 10*time.Second, 10*time.Second
		w, x, y := pair(t, uint64(after), d, a)
		w.lose = func(n int, p Packet) bool { return n > after }
		x.dial(w, d, "198.51.100.1:500")
		w.run(3*time.Minute, nil)
		if len(x.e.sessions)+len(y.e.sessions)+len(x.in)+len(y.in) != 0 {
			t.Errorf("line dies after packet %d: something is left:\n%s%s", after, x.log(), y.log())
		}
		if n := len(eventsOf[Closed](x)); n != 1 {
			t.Errorf("line dies after packet %d: the dialler closed %d times:\n%s", after, n, x.log())
		}
		for _, s := range []*side{x, y} {
			if len(s.e.byPeer)+len(s.e.byRemote)+len(s.e.spis)+len(s.e.sas)+len(s.e.dialling)+len(s.e.timers)+len(s.e.half.entries) != 0 {
				t.Errorf("line dies after packet %d: %s leaks: %d SPIs, %d SAs, %d dialling, %d timers, %d half-open", after, s.name,
					len(s.e.spis), len(s.e.sas), len(s.e.dialling), len(s.e.timers), len(s.e.half.entries))
			}
		}
	}
}

func TestSeededBadWire(t *testing.T) {
	const seeds = 200
	up := 0
	for seed := range seeds {
		d, a := dialler(cheap()), answerer(cheap())
		if seed%3 == 1 {
			d.Aggressive, a.Aggressive = true, true
		}
		if seed%5 == 1 {
			a.CommitBit = true
		}
		w, x, y := pair(t, uint64(seed), d, a)
		w.loss, w.double, w.reorder = 0.35, 0.3, 0.4
		if seed%2 == 1 {
			w.nat = &natBox{x.ip, mustAddr("203.0.113.77"), 3000}
		}
		x.dial(w, d, "198.51.100.1:500")
		w.run(100*time.Second, nil)
		w.loss = 0
		w.traffic(x, y, 60*time.Second) // what was lost on the bad wire shows when frames flow,
		w.run(3*time.Minute, nil)       // or when none do
		settled(t, x, y, fmt.Sprintf("seed %d", seed))
		if bothUp(x, y) {
			up++
		}
	}
	t.Logf("%d of %d up", up, seeds)
	if up < seeds*8/10 {
		t.Errorf("only %d of %d runs came up at a loss of 35 %%", up, seeds)
	}
}

// traffic lets time pass in steps of 50 ms; at each step both sides have sent a frame that
// was under way for the step. It counts frames that nobody took.
func (w *wire) traffic(x, y *side, d time.Duration) (lost int) {
	for end := w.now.Add(d); w.now.Before(end); {
		type frame struct {
			from, to *side
			spi      uint32
		}
		var frames []frame
		for _, dir := range [][2]*side{{x, y}, {y, x}} {
			if len(dir[0].sending) == 0 {
				lost++
			}
			for _, c := range dir[0].sending {
				frames = append(frames, frame{dir[0], dir[1], c.Out.SPI})
			}
		}
		w.run(50*time.Millisecond, nil)
		for _, f := range frames {
			if f.to.in[f.spi] == nil {
				lost++
				if w.lossy == nil {
					w.lossy = map[uint32]string{}
				}
				if w.lossy[f.spi] == "" {
					w.lossy[f.spi] = fmt.Sprintf("%s: %s sent with %#x, which %s does not take", w.now.Sub(epoch), f.from.name, f.spi, f.to.name)
				}
				f.to.e.UnknownSPI(w.now, netip.AddrPortFrom(f.from.ip, 500), f.spi, &f.to.out)
				w.flush(f.to)
				continue
			}
			f.to.esp[f.spi] = w.now
			f.to.e.InboundUsed(w.now, f.spi, &f.to.out)
			w.flush(f.to)
		}
	}
	return lost
}

func shortLives(p *Peer) { p.ChildLifetime, p.Lifetime = 2*time.Minute, 7*time.Minute }

// Half an hour of traffic at 20 frames a second and side, with many rekeys of both phases, on
// good and bad wires, begun by one or both sides: not one frame is lost.
func TestRekeyLosesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		loss   float64
		cross  bool // both sides rekey at the same moment, again and again
		reauth bool // and re-authenticate
		mod    func(*Peer)
	}{
		"by timers":                  {},
		"by timers on a bad line":    {loss: 0.2},
		"with PFS and ESN":           {mod: func(p *Peer) { p.PFS, p.ESN = ECP256, true }},
		"both at once":               {cross: true},
		"both at once on a bad line": {cross: true, loss: 0.2},
		"both phases, both at once":  {cross: true, reauth: true},
		"both phases, on a bad line": {cross: true, reauth: true, loss: 0.2},
		"commit bit":                 {mod: func(p *Peer) { p.CommitBit = true }, cross: true},
		"aggressive":                 {mod: aggressive, reauth: true, cross: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				d, a := dialler(cheap(shortLives)), answerer(cheap(shortLives))
				if c.mod != nil {
					c.mod(d)
					c.mod(a)
				}
				w, x, y := pair(t, seed, d, a)
				id := x.dial(w, d, "198.51.100.1:500")
				if !w.run(20*time.Second, func() bool { return bothUp(x, y) }) {
					t.Fatalf("not up:\n%s%s", x.log(), y.log())
				}
				w.loss = c.loss
				lost := 0
				for range 20 {
					lost += w.traffic(x, y, 80*time.Second)
					if c.cross {
						for _, s := range []*side{x, y} {
							for _, k := range s.sending {
								s.e.Rekey(w.now, k.In.SPI, &s.out)
							}
						}
						w.flush(x)
						w.flush(y)
					}
					if c.reauth {
						x.e.Reauth(w.now, id, &x.out)
						for _, st := range y.e.Sessions() {
							y.e.Reauth(w.now, st.ID, &y.out)
						}
						w.flush(x)
						w.flush(y)
					}
				}
				rekeys, reauths := len(eventsOf[ChildInstalled](x))-1, len(eventsOf[Established](x))-1
				if lost != 0 {
					t.Errorf("seed %d: %d frames lost: %v\n%s%s", seed, lost, w.lossy, x.log(), y.log())
				}
				if rekeys < 10 || reauths < 3 {
					t.Errorf("only %d rekeys and %d re-authentications", rekeys, reauths)
				}
				if n := len(eventsOf[Closed](x)) + len(eventsOf[Closed](y)); n != 0 {
					t.Errorf("seed %d: %d sessions closed", seed, n)
				}
				if len(x.in) > 6 || len(y.in) > 6 || len(x.e.sas) > 6 {
					t.Errorf("seed %d: %d and %d children, %d phase 1 SAs are left", seed, len(x.in), len(y.in), len(x.e.sas))
				}
				t.Logf("seed %d: %d rekeys, %d re-authentications, 0 of %d frames lost", seed, rekeys, reauths, 20*80*20*2)
			}
		})
	}
}

// A tunnel that moves gigabits under a small limit of bytes rekeys every second, for
// minutes: more often than finished exchanges are forgotten.
func TestRekeyEverySecond(t *testing.T) {
	same := func(*Peer) {}
	d, a := dialler(cheap(same)), answerer(cheap(same))
	w, x, y := pair(t, 1, d, a)
	x.dial(w, d, "198.51.100.1:500")
	if !w.run(20*time.Second, func() bool { return bothUp(x, y) }) {
		t.Fatalf("not up:\n%s%s", x.log(), y.log())
	}
	lost := 0
	for range 120 {
		lost += w.traffic(x, y, time.Second)
		for _, k := range x.sending {
			x.e.Rekey(w.now, k.In.SPI, &x.out)
		}
		w.flush(x)
	}
	rekeys := len(eventsOf[ChildInstalled](x)) - 1
	t.Logf("%d rekeys, %d frames lost", rekeys, lost)
	if lost != 0 || rekeys < 100 || len(eventsOf[Closed](x)) != 0 {
		t.Errorf("%d rekeys in 120 s, %d frames lost, %d sessions closed\n%s", rekeys, lost, len(eventsOf[Closed](x)), x.log())
	}
	if n := len(x.in); n > maxChildren {
		t.Errorf("%d children are left", n)
	}
}

// Two quick modes that cross leave one child that both sides send on.
func TestCrossedRekeyAgrees(t *testing.T) {
	for seed := range uint64(40) {
		d, a := dialler(cheap()), answerer(cheap())
		w, x, y := pair(t, seed, d, a)
		x.dial(w, d, "198.51.100.1:500")
		w.run(5*time.Second, func() bool { return bothUp(x, y) })
		for _, s := range []*side{x, y} {
			for _, k := range s.sending {
				s.e.Rekey(w.now, k.In.SPI, &s.out)
			}
			w.flush(s)
		}
		w.run(30*time.Second, nil)
		if len(x.in) != 1 || len(y.in) != 1 || !bothUp(x, y) {
			t.Errorf("seed %d: %d and %d children:\n%s%s", seed, len(x.in), len(y.in), x.log(), y.log())
		}
		for _, k := range x.sending {
			for _, o := range y.sending {
				if k.In.SPI != o.Out.SPI || k.Out.SPI != o.In.SPI {
					t.Errorf("seed %d: the sides send on different children", seed)
				}
			}
		}
	}
}

// Both sides dial each other at the same moment.
func TestBothDial(t *testing.T) {
	for seed := range uint64(30) {
		w := newWire(t, seed)
		w.loss = 0.2
		mk := func(name, local, remote string) *Peer {
			p := dialler(cheap())
			p.Name, p.LocalID, p.RemoteID = name, ID{IDFQDN, local}, ID{IDFQDN, remote}
			return p
		}
		px, py := mk("y", "x.example", "y.example"), mk("x", "y.example", "x.example")
		x := w.add("x", "192.0.2.1", Config{Peers: []*Peer{px}})
		y := w.add("y", "198.51.100.1", Config{Peers: []*Peer{py}})
		x.dial(w, px, "198.51.100.1:500")
		y.dial(w, py, "192.0.2.1:500")
		if !w.run(60*time.Second, func() bool { return bothUp(x, y) }) {
			t.Fatalf("seed %d: not up:\n%s%s", seed, x.log(), y.log())
		}
		w.loss = 0
		w.run(60*time.Second, nil)
		if len(x.e.sessions) != 1 || len(y.e.sessions) != 1 || !bothUp(x, y) {
			t.Errorf("seed %d: %d and %d sessions:\n%s%s", seed, len(x.e.sessions), len(y.e.sessions), x.log(), y.log())
		}
	}
}

// A delete that is lost does not leave the sides apart for longer than dead peer detection takes.
func TestLostDelete(t *testing.T) {
	d, a := dialler(cheap()), answerer(cheap())
	d.DPD = 10 * time.Second
	w, x, y := pair(t, 3, d, a)
	x.dial(w, d, "198.51.100.1:500")
	w.run(5*time.Second, func() bool { return bothUp(x, y) })
	var id SessionID
	for _, st := range y.e.Sessions() {
		id = st.ID
	}
	w.lose = func(int, Packet) bool { return true }
	y.e.Close(w.now, id, &y.out)
	w.flush(y)
	w.lose = func(int, Packet) bool { return false }
	if !w.run(40*time.Second, func() bool { return len(eventsOf[Closed](x)) == 1 }) {
		t.Fatalf("the dialler did not notice:\n%s", x.log())
	}
	if r := eventsOf[Closed](x)[0].Reason; r.Code != PeerDead {
		t.Errorf("reason %v", r)
	}
}
