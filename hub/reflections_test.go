package hub

import (
	"fmt"
	"testing"
	"time"

	"vhub/eth"
)

func (l *lab) echoes(link string) uint64 { return l.drops(link, Echo) + l.drops(link, CopyOtherPort) }

// A wire that hands frames back two fifths of a second late is found out after
// three stations that never were there, and forgotten when it no longer does.
func TestSlowReflections(t *testing.T) {
	l := newLab(t, Config{}, LinkConfig{Name: "lan", Suppress: true}, LinkConfig{Name: "slow", Suppress: true})
	passed := func(frames int) (n int) {
		for i := range frames {
			f := ping(mac(2), mac(1), uint16(i))
			l.in["lan"].Input(l.now, []eth.Frame{f})
			l.wait(400 * ms)
			before := l.echoes("slow")
			l.in["slow"].Input(l.now, []eth.Frame{f})
			if l.echoes("slow") == before {
				n++
			}
			l.wait(100 * ms)
		}
		return n
	}
	n := passed(40)
	t.Logf("%d of 40 late echoes passed", n)
	if n == 0 || n > returnsNeeded+1 {
		t.Errorf("%d of 40 late echoes passed, want 1 to %d", n, returnsNeeded+1)
	}
	if l.wait(lateLasts / 2); passed(1) != 0 {
		t.Error("half a minute later a late echo passed")
	}
	if l.wait(lateLasts + 2*time.Second); passed(1) != 1 {
		t.Error("the window did not go back after a minute without late echoes")
	}
}

// A reader that got no processor for 300 ms picks up a whole burst of echoes, of
// many stations that say nothing meanwhile: nearly all are told.
func TestLateBurst(t *testing.T) {
	l := newLab(t, Config{}, LinkConfig{Name: "lan", Suppress: true}, LinkConfig{Name: "wire", Suppress: true})
	var burst []eth.Frame
	for i := range 200 {
		burst = append(burst, ping(mac(1), mac(2+i%20), uint16(i)))
	}
	l.in["lan"].Input(l.now, burst)
	l.wait(300 * ms)
	l.in["wire"].Input(l.now, burst)
	if n := len(burst) - int(l.echoes("wire")); n > 2*rowNeeded {
		t.Errorf("%d of %d late echoes passed, want at most %d", n, len(burst), 2*rowNeeded)
	}
}

// A station that goes to and fro between two ports, each time as soon as the
// first window allows, and repeats there what it always says when a cable is
// plugged in, is at its new place with its first frame, each time. Only some
// times does it say anything new.
func TestMoverThatRepeatsItself(t *testing.T) {
	for _, every := range []time.Duration{260 * ms, 300 * ms, 430 * ms, 490 * ms, 700 * ms} {
		for _, fresh := range []int{0, 1, 2} { // never, every move, every second move
			t.Run(fmt.Sprintf("every %v, new every %d", every, fresh), func(t *testing.T) {
				l := newLab(t, Config{}, LinkConfig{Name: "a", Suppress: true}, LinkConfig{Name: "b", Suppress: true})
				var hello []eth.Frame
				for i := range 7 {
					hello = append(hello, ping(eth.Broadcast, mac(9), uint16(i)))
				}
				for move := range 10 {
					here := []string{"a", "b"}[move%2]
					was := l.links[here].Status().Stations
					l.in[here].Input(l.now, hello[:1])
					if now := l.links[here].Status().Stations; l.echoes(here) != 0 || now != was+1 {
						t.Fatalf("move %d: the first frame behind %s: %d echoes, %d stations", move, here, l.echoes(here), now)
					}
					l.in[here].Input(l.now, hello[1:])
					if fresh > 0 && move%fresh == 0 {
						l.in[here].Input(l.now, []eth.Frame{ping(mac(1), mac(9), uint16(100+move))})
					}
					l.wait(every)
				}
			})
		}
	}
}
