package hub

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vhub/arp"
	"vhub/eth"
)

// strictPort fails the test when it is written to after it was detached.
type strictPort struct {
	t      *testing.T
	closed atomic.Bool
	frames atomic.Uint64
}

func (p *strictPort) WriteFrames(frames []eth.Frame) int {
	if p.closed.Load() {
		p.t.Error("WriteFrames was called after Detach returned")
	}
	p.frames.Add(uint64(len(frames)))
	return len(frames)
}

func (p *strictPort) StationLearned(uint16, eth.Addr) {
	if p.closed.Load() {
		p.t.Error("StationLearned was called after Detach returned")
	}
}

func (p *strictPort) StationGone(uint16, eth.Addr) {
	if p.closed.Load() {
		p.t.Error("StationGone was called after Detach returned")
	}
}

// Readers at work while links come, go, change and are flushed.
func TestEverythingAtOnce(t *testing.T) {
	h := New(Config{MaxStations: 3000, Neighbours: &arp.Config{Mode: arp.Assist}, Event: func(Event) {}})
	var done atomic.Bool
	var clock atomic.Int64
	now := func() time.Time { return start.Add(time.Duration(clock.Add(1000))) }
	var work, churn sync.WaitGroup
	for i := range 4 {
		p := &strictPort{t: t}
		link, err := h.Attach(now(), p, LinkConfig{Name: fmt.Sprint(i), Suppress: i%2 == 0, Kind: "tap"})
		must(t, err)
		for q := range 2 {
			in := link.NewReader()
			work.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), uint64(q)))
				for !done.Load() {
					var frames []eth.Frame
					for range 1 + r.IntN(20) {
						frames = append(frames, anyFrame(r))
					}
					in.Input(now(), frames)
					runtime.Gosched() // two cores, and much to do
				}
			})
		}
		churn.Go(func() {
			for range 30 {
				link.Flush(now())
				link.SetUp(now(), false)
				link.SetUp(now(), true)
				link.Announce(now())
				must(t, link.Update(LinkConfig{Name: fmt.Sprint(i), Suppress: true, Segment: []string{"", "w"}[rand.IntN(2)], MaxStations: rand.IntN(500)}))
				_ = link.AddStatic(now(), 0, mac(i))
				link.RemoveStatic(now(), 0, mac(i))
				link.Status()
			}
		})
	}
	churn.Go(func() {
		for range 100 {
			p := &strictPort{t: t}
			link, err := h.Attach(now(), p, LinkConfig{Name: "comes and goes", Suppress: true})
			must(t, err)
			in := link.NewReader()
			for n := range 20 {
				in.Input(now(), []eth.Frame{plain(eth.Broadcast, mac(5000+n), fmt.Sprint(n))})
			}
			link.Detach(now())
			p.closed.Store(true)
		}
	})
	churn.Go(func() {
		for range 50 {
			h.Advance(now().Add(time.Duration(rand.IntN(1000)) * time.Millisecond))
			h.Status()
			h.Stations(now())
			h.FlushStations(now(), func(s Station) bool { return s.MAC[5]%5 == 0 })
		}
	})
	churn.Wait()
	done.Store(true)
	work.Wait()

	s := h.Status()
	if listed := len(h.Stations(now())); listed > s.Stations || s.Stations > 3000 {
		t.Errorf("%d stations are listed, %d counted", listed, s.Stations)
	}
	for _, r := range append(h.readers, h.selves...) {
		if r.epoch.Load()&1 != 0 {
			t.Error("a reader is still in a batch")
		}
	}
}

func anyFrame(r *rand.Rand) eth.Frame {
	src, dst := mac(r.IntN(2000)), mac(r.IntN(2000))
	switch r.IntN(6) {
	case 0:
		return arpRequest(r.IntN(300), r.IntN(300))
	case 1:
		return tcp(dst, src, uint16(r.Uint32()), r.Uint32(), 1, eth.FlagACK, 50)
	case 2:
		return tagged(dst, src, uint16(r.IntN(3)), "x")
	case 3:
		return large(udp(dst, src, 1, seqBytes(3000)), eth.GSOUDP, 1000)
	}
	return udp(dst, src, uint16(r.Uint32()), []byte("payload"))
}

// A batch of another reader keeps Detach waiting, and nothing else does.
func TestDetachWaitsForTheBatch(t *testing.T) {
	h := New(Config{})
	entered, leave := make(chan bool), make(chan bool)
	slow := portFunc(func(frames []eth.Frame) int { entered <- true; <-leave; return len(frames) })
	a, err := h.Attach(start, discard{}, LinkConfig{Name: "a"})
	must(t, err)
	b, err := h.Attach(start, slow, LinkConfig{Name: "b"})
	must(t, err)
	go a.NewReader().Input(start, []eth.Frame{plain(eth.Broadcast, mac(1), "")})
	<-entered
	detached := make(chan bool)
	go func() { b.Detach(start); close(detached) }()
	for h.view.Load().member(b.id) != nil {
		time.Sleep(100 * time.Microsecond) // until Detach has begun
	}
	select {
	case <-detached:
		t.Fatal("Detach returned while a call of WriteFrames was under way")
	default:
	}
	close(leave)
	select {
	case <-detached:
	case <-time.After(10 * time.Second):
		t.Fatal("Detach did not return")
	}
}

type portFunc func([]eth.Frame) int

func (f portFunc) WriteFrames(frames []eth.Frame) int { return f(frames) }
