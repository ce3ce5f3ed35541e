package hub

import (
	"testing"

	"vhub/eth"
)

// A wire that hands frames back two fifths of a second late is found out after
// three: from then on its echoes are told from stations that move.
func TestSlowReflections(t *testing.T) {
	l := newLab(t, Config{}, LinkConfig{Name: "lan", Suppress: true}, LinkConfig{Name: "slow", Suppress: true})
	passed := 0
	for i := range 40 {
		f := ping(mac(2), mac(1), uint16(i))
		l.in["lan"].Input(l.now, []eth.Frame{f})
		l.wait(400 * ms)
		before := l.hub.Status().Counters.Drops[Echo] + l.hub.Status().Counters.Drops[CopyOtherPort]
		l.in["slow"].Input(l.now, []eth.Frame{f})
		if after := l.hub.Status().Counters.Drops[Echo] + l.hub.Status().Counters.Drops[CopyOtherPort]; after == before {
			passed++
		}
		l.wait(100 * ms)
	}
	t.Logf("%d of 40 late echoes passed", passed)
	if passed == 0 || passed > lateNeeded {
		t.Errorf("%d of 40 late echoes passed, want 1 to %d", passed, lateNeeded)
	}
}
