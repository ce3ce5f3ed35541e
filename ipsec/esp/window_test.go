package esp

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// slowWindow is the window as the RFC's words say it: a set and a highest number.
type slowWindow struct {
	seen map[uint64]bool
	top  uint64
	size uint64
}

func (w *slowWindow) accept(seq uint64) bool {
	if w.top > seq && w.top-seq >= w.size || w.seen[seq] {
		return false
	}
	w.seen[seq] = true
	w.top = max(w.top, seq)
	return true
}

// drawSeq draws numbers where it matters: near the top, near the window's far
// edge, at word borders, and far ahead.
func drawSeq(t *rapid.T, top, size uint64) uint64 {
	near := uint64(rapid.IntRange(0, 130).Draw(t, "near"))
	var seq uint64
	switch rapid.IntRange(0, 5).Draw(t, "where") {
	case 0, 1:
		seq = top + near
	case 2:
		seq = top - near
	case 3:
		seq = top - size + near - 65
	case 4:
		seq = top + uint64(rapid.IntRange(0, 3*int(size)).Draw(t, "jump"))
	case 5:
		seq = top - uint64(rapid.IntRange(0, 2*int(size)).Draw(t, "back"))
	}
	if int64(seq) < 1 {
		return 1
	}
	return seq
}

func TestWindowAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{1024, 1025, 1087, 2048, 4096}).Draw(t, "size")
		start := rapid.SampledFrom([]uint64{0, math.MaxUint32 - 2000, 1 << 40}).Draw(t, "start")
		var w window
		w.init(size)
		if start > 0 {
			w.grow()
			w.top.Store(start)
		}
		model := slowWindow{seen: map[uint64]bool{}, top: start, size: uint64(size)}
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			seq := drawSeq(t, model.top, model.size)
			hint, got, want := w.fresh(seq), w.accept(seq), model.accept(seq)
			if got != want || hint != want {
				t.Fatalf("number %d with top %d and size %d: hint %v, accepted %v, want %v", seq, model.top, size, hint, got, want)
			}
			if w.top.Load() != model.top {
				t.Fatalf("top %d, want %d", w.top.Load(), model.top)
			}
		}
	})
}

// Whatever the SA has got to, a number within the window or up to half the space
// ahead is recovered from its low bits (RFC 4303 appendix A2).
func TestRecoverESN(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		w.init(rapid.SampledFrom([]int{1024, 4096, 5000}).Draw(t, "size"))
		high := rapid.Uint64Range(0, 5).Draw(t, "high") << 32
		low := rapid.OneOf(rapid.Uint64Range(0, 10000), rapid.Uint64Range(1<<32-10000, 1<<32-1), rapid.Uint64Range(0, 1<<32-1)).Draw(t, "low")
		top := high | low
		w.top.Store(top)
		seq := top + rapid.Uint64Range(0, 1<<31).Draw(t, "ahead")
		if rapid.Bool().Draw(t, "behind") {
			seq = top - min(top, rapid.Uint64Range(0, w.size-1).Draw(t, "back"))
		}
		got, ok := w.recoverESN(uint32(seq))
		if !ok || got != seq {
			t.Fatalf("top %#x, window %d: %#x recovered as %#x, %v", top, w.size, seq, got, ok)
		}
	})
}

func TestRecoverESNBeforeTheFirst(t *testing.T) {
	var w window
	w.init(1024)
	w.top.Store(5)
	if seq, ok := w.recoverESN(math.MaxUint32); ok {
		t.Errorf("0xffffffff with top 5 was taken for %#x; it would lie before the first packet", seq)
	}
}

// Each number is accepted once, whoever brings it.
func TestWindowConcurrent(t *testing.T) {
	var w window
	w.init(4096)
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for seq := uint64(1); seq <= 3000; seq++ {
				w.fresh(seq)
				w.mu.Lock()
				if w.accept(seq) {
					accepted.Add(1)
				}
				w.mu.Unlock()
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 3000 {
		t.Errorf("%d accepted, want 3000", accepted.Load())
	}
}
