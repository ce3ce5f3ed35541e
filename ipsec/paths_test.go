package ipsec

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// twoLines is a vhub with two uplinks that dials another vhub.
func twoLines(t *testing.T, seed uint64) (w *world, branch *fakeHost, a, b *node, at, bt *Tunnel) {
	w = newWorld(seed)
	branch, hub := w.host("198.51.100.2", "198.18.0.2"), w.host("203.0.113.10")
	branch.uplinks["wan0"], branch.uplinks["wan1"] = branch.addrs[0], branch.addrs[1]
	a, b, at, bt = twoNodes(t, branch, hub, func(p *PeerConfig) {
		p.Multipath = true
		if p.Role == Initiator {
			p.Uplinks = []string{"wan0", "wan1"}
		}
	})
	waitFor(t, "both paths up and probed", 20*time.Second, func() bool {
		paths := at.Status().Paths
		return len(paths) == 2 && paths[0].Probed && paths[1].Probed && up(bt)() && len(bt.Status().Paths) == 2
	})
	waitFor(t, "traffic on the preferred path", 30*time.Second, func() bool { return uplinkOf(at) == "wan0" })
	return w, branch, a, b, at, bt
}

func uplinkOf(t *Tunnel) string {
	if s := t.active.Load(); s != nil {
		return s.uplink
	}
	return ""
}

// cut loses everything to and from an address.
func (w *world) cut(a netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = func(src, dst netip.AddrPort, _ []byte) bool { return src.Addr() == a || dst.Addr() == a }
}

func (w *world) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = nil
}

// pingUntil sends numbered payloads both ways at a pace and notes those that came.
func pings(t *testing.T, a, b *node, at, bt *Tunnel, n int, each time.Duration, at0 func(i int)) (lostAB, lostBA int) {
	t.Helper()
	haveA, haveB := a.count(at.Name()), b.count(bt.Name())
	for i := range n {
		if at0 != nil {
			at0(i)
		}
		send(at, fmt.Sprint(i))
		send(bt, fmt.Sprint(i))
		time.Sleep(each)
	}
	time.Sleep(500 * time.Millisecond)
	return n - (b.count(bt.Name()) - haveB), n - (a.count(at.Name()) - haveA)
}

// The active line is cut again and again: traffic is on the other within 300 ms,
// both ways, and comes back by the hold-down with nothing lost.
func TestLineIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, branch, a, b, at, bt := twoLines(t, 20)
		var gaps []time.Duration
		const pace = 10 * time.Millisecond
		for range 20 {
			lostAB, lostBA := pings(t, a, b, at, bt, 100, pace, func(i int) {
				if i == 30 {
					w.cut(branch.addrs[0])
				}
			})
			gaps = append(gaps, time.Duration(max(lostAB, lostBA))*pace)
			if got := uplinkOf(at); got != "wan1" {
				t.Fatalf("traffic is on %q after the cut", got)
			}
			w.mend()
			ab, ba := pings(t, a, b, at, bt, 500, 50*time.Millisecond, nil)
			if ab+ba > 0 {
				t.Errorf("%d and %d lost on the way back", ab, ba)
			}
			waitFor(t, "the preferred line", time.Minute, func() bool { return uplinkOf(at) == "wan0" })
		}
		slices.Sort(gaps)
		t.Logf("gaps of 20 cuts: min %v, median %v, max %v", gaps[0], gaps[10], gaps[19])
		if gaps[19] > 300*time.Millisecond {
			t.Errorf("a gap of %v", gaps[19])
		}
	})
}

// A planned switch loses nothing.
func TestPlannedSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, a, b, at, bt := twoLines(t, 21)
		lostAB, lostBA := pings(t, a, b, at, bt, 300, 10*time.Millisecond, func(i int) {
			if i == 100 {
				if err := a.engine.SwitchPath("hub", "wan1"); err != nil {
					t.Error(err)
				}
			}
		})
		if lostAB+lostBA > 0 {
			t.Errorf("%d and %d lost", lostAB, lostBA)
		}
		if uplinkOf(at) != "wan1" {
			t.Errorf("traffic is on %q", uplinkOf(at))
		}
		if got := bt.Remote().Addr().String(); got != "198.18.0.2" {
			t.Errorf("the other side sends to %v", got)
		}
	})
}

// A path that loses some of its packets is shown as such; one that is good is not.
func TestPathStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, branch, _, _, at, _ := twoLines(t, 22)
		w.mu.Lock()
		w.lose = func(src, _ netip.AddrPort, _ []byte) bool {
			return src.Addr() == branch.addrs[1] && w.rand.IntN(100) < 20
		}
		w.mu.Unlock()
		time.Sleep(20 * time.Second)
		for _, p := range at.Status().Paths {
			t.Logf("%s: rtt %v jitter %v loss %.2f", p.Uplink, p.RTT, p.Jitter, p.Loss)
			if p.RTT < 10*time.Millisecond || p.RTT > 12*time.Millisecond {
				t.Errorf("%s: rtt %v, want 10 ms", p.Uplink, p.RTT)
			}
			if p.Uplink == "wan0" && p.Loss != 0 || p.Uplink == "wan1" && (p.Loss < 0.05 || p.Loss > 0.4) {
				t.Errorf("%s: loss %v", p.Uplink, p.Loss)
			}
		}
	})
}

// Both lines are cut and one comes back: no operator is needed.
func TestBothLinesCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, branch, a, b, at, bt := twoLines(t, 23)
		w.mu.Lock()
		w.lose = func(src, dst netip.AddrPort, _ []byte) bool { return true }
		w.mu.Unlock()
		time.Sleep(5 * time.Minute)
		w.cut(branch.addrs[0])
		waitFor(t, "traffic on the line that is back", 2*time.Minute, func() bool {
			return uplinkOf(at) == "wan1" && up(at)() && up(bt)() && bt.Remote().Addr() == branch.addrs[1]
		})
		pass(t, a, b, at, bt, 5)
	})
}

// Questions that stood in a queue while the line was cut are answered late when it is
// mended. The next cut is noticed as fast as the first.
func TestLateAnswersOfACut(t *testing.T) {
	var p path
	now := time.Unix(1000, 0)
	p.init(now, 0)
	number := uint32(0)
	answer := func(delay time.Duration) {
		number++
		p.answered(now, number, now.Add(-delay).UnixNano())
	}
	steady := func() {
		for range 3 {
			now = now.Add(probeInterval)
			answer(2 * time.Millisecond)
		}
	}
	for range 20 {
		steady()
	}
	for range 5 {
		now = now.Add(900 * time.Millisecond) // the cut
		if !p.dead(now) {
			t.Fatal("the cut is not noticed")
		}
		for i := range 20 {
			answer(900*time.Millisecond - time.Duration(i)*probeInterval)
		}
		steady()
		if !p.dead(now.Add(probeSilence + 20*time.Millisecond)) {
			t.Fatalf("with late answers the path counts as alive for longer: jitter %v", time.Duration(p.jitter.Load()))
		}
	}
	for range 100 { // the line has become long, and is measured anew
		now = now.Add(probeInterval)
		answer(600 * time.Millisecond)
	}
	if rtt := time.Duration(p.rtt.Load()); rtt < 590*time.Millisecond {
		t.Errorf("a path of 600 ms is measured as %v", rtt)
	}
}
