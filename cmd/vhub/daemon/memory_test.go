package daemon

import (
	"runtime"
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

// TestHoles has what a collection cannot give back, because something lives in each page,
// count as waste once only.
func TestHoles(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	debug.FreeOSMemory()
	m := newMemory()
	keep := make([]*[256]byte, 1<<18)
	for i := range keep {
		keep[i] = new([256]byte)
	}
	for i := range keep {
		if i%8 != 0 {
			keep[i] = nil
		}
	}
	debug.FreeOSMemory()
	m.wasteful() // the burst
	if !m.wasteful() {
		t.Fatal("some 50 MiB between what lives are not seen: the test shows nothing")
	}
	m.collected()
	if m.wasteful() {
		t.Error("what a collection could not give back is worth another")
	}
	garbage := make([][]byte, 20)
	for i := range garbage {
		garbage[i] = make([]byte, 1<<20)
	}
	clear(garbage)
	if !m.wasteful() {
		t.Error("20 MiB of new garbage are not seen")
	}
	runtime.KeepAlive(keep)
}
