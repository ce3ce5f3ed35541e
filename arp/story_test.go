package arp

import (
	"fmt"
	"testing"
	"time"
)

// TestLossyLeg is the story of the vanishing ARP entries: two hosts talk for
// two minutes, then one's leg begins to lose broadcasts in both directions.
func TestLossyLeg(t *testing.T) {
	for _, mode := range []Mode{Relay, Assist, Proxy} {
		for _, loss := range []float64{1, 0.9} {
			for _, ucast := range []int{0, 3} {
				for _, v6 := range []bool{false, true} {
					t.Run(fmt.Sprintf("%v loses %.0f%% unicast probes %d v6 %v", mode, loss*100, ucast, v6), func(t *testing.T) {
						failures, stall := talkOverLossyLeg(t, mode, loss, ucast, v6)
						t.Logf("failures %d, longest stall %v", failures, stall)
						switch {
						case mode != Relay && failures > 0:
							t.Errorf("entries failed %d times", failures)
						case mode != Relay && stall > time.Second:
							t.Errorf("the session stalled for %v", stall)
						case mode == Relay && ucast == 0 && loss == 1 && (failures == 0 || stall <= time.Second):
							t.Errorf("relay: no failure (%d, stall %v): this test shows nothing", failures, stall)
						}
					})
				}
			}
		}
	}
}

func talkOverLossyLeg(t *testing.T, mode Mode, loss float64, ucast int, v6 bool) (failures int, stall time.Duration) {
	l := newLab(t, Config{Mode: mode, Keep: 500 * time.Millisecond})
	lossy, good := l.addLeg(0), l.addLeg(0)
	a, b := l.addHost(lossy, 1, v6), l.addHost(good, 2, v6)
	a.ucast, b.ucast = ucast, ucast
	tick := 0
	chat := func() {
		if tick++; tick%50 == 0 {
			a.say(b.ip)
			b.say(a.ip)
		}
	}
	l.run(2*time.Second, chat)
	lossy.loss = loss
	a.failures, b.failures = 0, 0
	l.run(2*time.Minute, func() {
		chat()
		for _, last := range []time.Time{a.received[b.ip], b.received[a.ip]} {
			stall = max(stall, l.now.Sub(last))
		}
	})
	t.Logf("the segment sent %d frames, %+v", l.sent, l.seg.Stats())
	return a.failures + b.failures, stall
}

// TestNewStationOnLossyLeg: a host that nobody knows announces itself once, and
// is then behind a leg that loses all broadcasts. Its first session works
// because it was introduced.
func TestNewStationOnLossyLeg(t *testing.T) {
	for i := range 4 {
		mode, ucast := []Mode{Assist, Proxy}[i%2], i/2*3
		l := newLab(t, Config{Mode: mode, Keep: 500 * time.Millisecond})
		lossy, good := l.addLeg(0), l.addLeg(0)
		b := l.addHost(good, 2, false)
		b.announce()
		l.run(time.Second, nil)
		a := l.addHost(lossy, 1, false)
		a.ucast = ucast
		a.announce()
		l.run(100*time.Millisecond, nil)
		lossy.loss = 1
		tick, stall, start := 0, time.Duration(0), l.now
		l.run(20*time.Second, func() {
			if tick++; tick%50 == 0 {
				a.say(b.ip)
				if !b.received[a.ip].IsZero() {
					b.say(a.ip)
				}
			}
			last := b.received[a.ip]
			if last.IsZero() {
				last = start
			}
			stall = max(stall, l.now.Sub(last))
		})
		t.Logf("%v, %d unicast probes: longest stall %v, %d failures", mode, ucast, stall, a.failures)
		// A host that never asks by unicast gives an entry up before the hub can
		// know that it is in use; the other side's question then mends it.
		if stall > time.Second || ucast > 0 && a.failures > 0 {
			t.Errorf("%v, %d unicast probes: longest stall %v, %d failures", mode, ucast, stall, a.failures)
		}
	}
}

// TestKeeperIsQuiet counts what a segment of idle hosts costs.
func TestKeeperIsQuiet(t *testing.T) {
	l := newLab(t, Config{Mode: Assist})
	legs := []*leg{l.addLeg(0), l.addLeg(0), l.addLeg(0)}
	for i := range 30 {
		l.addHost(legs[i%3], byte(i+1), false).announce()
	}
	l.run(5*time.Second, nil)
	l.sent = 0
	l.run(time.Minute, nil)
	if perSecond := float64(l.sent) / 60; perSecond > 2 {
		t.Errorf("30 idle stations cost %.1f frames/s, want at most 2", perSecond)
	}
	if got := l.seg.Stats().Pairs; got != 0 {
		t.Errorf("%d conversations among hosts that never talked", got)
	}
}

// TestUsualTimes is the same with the times that Linux and the hub have by
// default, for longer than PairAge.
func TestUsualTimes(t *testing.T) {
	for _, mode := range []Mode{Assist, Proxy} {
		for _, ucast := range []int{0, 3} {
			l := newLab(t, Config{Mode: mode})
			lossy, good := l.addLeg(0), l.addLeg(0)
			a, b := l.addHost(lossy, 1, false), l.addHost(good, 2, false)
			for _, h := range []*host{a, b} {
				h.reachable, h.delay, h.retrans, h.ucast = 30*time.Second, 5*time.Second, time.Second, ucast
			}
			tick, stall := 0, time.Duration(0)
			each := func() {
				if tick++; tick%200 == 0 {
					a.say(b.ip)
					b.say(a.ip)
				}
				stall = max(stall, l.now.Sub(b.received[a.ip]), l.now.Sub(a.received[b.ip]))
			}
			l.run(10*time.Second, func() { each(); stall = 0 })
			lossy.loss = 1
			a.failures, b.failures = 0, 0
			l.run(25*time.Minute, each)
			if a.failures+b.failures > 0 || stall > time.Second {
				t.Errorf("%v, %d unicast probes: %d failures, longest stall %v", mode, ucast, a.failures+b.failures, stall)
			}
		}
	}
}
