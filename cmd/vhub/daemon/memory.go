package daemon

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimEvery is how often the daemon looks whether it holds memory that it does not need.
const trimEvery = 10 * time.Second

// collectAt is by how many percent of what is live the heap grows until it is
// collected, where the environment does not say otherwise (GOGC). The data path allocates
// nothing, so collections are few. Ten thousand logins in a row leave holes the size of the last
// garbage: at 100 that is 2 KiB more a session than at 50, which costs 0.1 ms more a login.
const collectAt = 50

// What is worth a collection: garbage and free memory beyond a quarter of what is
// live, 8 MiB, and what the last collection could not give back, while less than 4 MiB a second
// is allocated. Ten thousand clients that logged in would otherwise leave much garbage, for as
// long as nothing happens. A collection of their memory takes some 0.3 s of a processor: so there
// is one in two minutes at most, as often as the runtime collects by itself.
const (
	trimSlack = 8 << 20
	trimQuiet = 4 << 20
	trimPause = 2 * time.Minute
)

// trimLoop gives memory back to the system when a burst is over.
func (d *Daemon) trimLoop(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
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
				m.collected()
			}
		}
	}
}

// memory is what the runtime tells of its heap.
type memory struct {
	samples   []metrics.Sample
	allocated uint64
	live      uint64 // at the end of the last collection, when it was last looked at
	held      uint64 // live, garbage and free, at that time
	kept      uint64 // of that, after the last collection of ours
	holes     uint64 // of kept, what was not live: pages that are not all free
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

// collected is to be called after a collection of ours: what it left is not worth another.
func (m *memory) collected() {
	m.wasteful() // what the collection itself allocated is no sign of work
	m.kept, m.holes = m.held, m.held-min(m.live, m.held)
}

// wasteful tells whether memory can be given back, and whether now is the time.
func (m *memory) wasteful() bool {
	metrics.Read(m.samples)
	v := func(i int) uint64 { return m.samples[i].Value.Uint64() }
	busy := v(4)-m.allocated > trimQuiet*uint64(trimEvery/time.Second)
	m.live, m.held, m.allocated = v(0), v(1)+v(2)+v(3), v(4)
	return !busy && m.held > m.live+m.live/4+trimSlack+m.holes
}
