package daemon

import (
	"runtime/debug"
	"testing"
)

// TestWasteful has a burst of garbage counted as waste once nothing is allocated any more,
// and no longer when it was given back.
func TestWasteful(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nobody collects but the test
	debug.FreeOSMemory()
	m := newMemory()
	var keep [][]byte
	for range 256 {
		keep = append(keep, make([]byte, 1<<20))
	}
	debug.FreeOSMemory() // live now: a burst that is under way
	if m.wasteful() {
		t.Error("a burst that is under way counts as over")
	}
	clear(keep)
	if m.wasteful() {
		t.Error("memory that is in use, as far as the last collection knows, counts as waste")
	}
	debug.FreeOSMemory()
	if m.wasteful() {
		t.Error("what was given back counts as waste")
	}
	for i := range keep {
		keep[i] = make([]byte, 1<<17)
	}
	clear(keep)
	if !m.wasteful() {
		t.Error("32 MiB of garbage are not seen")
	}
}
