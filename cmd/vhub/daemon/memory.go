package daemon

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimEvery is how often the daemon looks whether it holds memory that it does not need.
const trimEvery = 10 * time.Second

// What is worth a collection: garbage and free memory beyond a quarter of what is
// live and 8 MiB, while less than 4 MiB a second is allocated. Ten thousand clients that
// logged in would otherwise leave as much garbage as they need, for as long as nothing happens. A
// collection of their memory takes some 0.3 s of a processor: so there is one in two minutes at most,
// as often as the runtime collects by itself.
const (
	trimSlack = 8 << 20
	trimQuiet = 4 << 20
	trimPause = 2 * time.Minute
)

// trimLoop gives memory back to the system when a burst is over.
func (d *Daemon) trimLoop(ctx context.Context) error {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	m, last := newMemory(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if m.wasteful() && (time.Since(last) > trimPause || m.held > 2*m.kept) {
				last = time.Now()
				debug.FreeOSMemory()
				m.wasteful() // what the collection itself allocated is no sign of work
				m.kept = m.held
			}
		}
	}
}

// memory is what the runtime tells of its heap.
type memory struct {
	samples   []metrics.Sample
	allocated uint64
	held      uint64 // live, garbage and free, when it was last looked at
	kept      uint64 // of that, after the last collection of ours
}

func newMemory() *memory {
	m := &memory{}
	for _, name := range []string{"/gc/heap/live:bytes", "/memory/classes/heap/objects:bytes", "/memory/classes/heap/free:bytes",
		"/memory/classes/heap/unused:bytes", "/gc/heap/allocs:bytes"} {
		m.samples = append(m.samples, metrics.Sample{Name: name})
	}
	m.wasteful()
	return m
}

// wasteful tells whether memory can be given back, and whether now is the time.
func (m *memory) wasteful() bool {
	metrics.Read(m.samples)
	v := func(i int) uint64 { return m.samples[i].Value.Uint64() }
	live, held, allocs := v(0), v(1)+v(2)+v(3), v(4)
	busy := allocs-m.allocated > trimQuiet*uint64(trimEvery/time.Second)
	m.allocated, m.held = allocs, held
	return !busy && held > live+live/4+trimSlack
}
