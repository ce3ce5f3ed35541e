package bridge

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"vhub/eth"
)

// Limits of the frames that wait for a pin.
const (
	holdFrames = 512
	holdBytes  = 1 << 20
	// holdTime bounds the wait: a pin takes some 20 µs, and more where the machine
	// is busy (20 ms was exceeded under a load of 10 on two processors); where
	// netlink is stuck behind another's long change, frames pass unpinned after this.
	holdTime = 200 * time.Millisecond
)

// holder keeps the first frames of a new station back until the station is
// pinned in the bridge, and the first frames to a station that moved to the
// bridge's side until it is no longer. Without it the first frame, handed back by
// the wire, would teach the bridge the wrong port before the pin stands; and the
// bridge would drop the answer to a moved station's first frame.
type holder struct {
	waiting atomic.Int32 // stations in wait; the data path looks only at this
	held    atomic.Uint64
	mu      sync.Mutex
	wait    map[station]*heldFrames
	n       int // frames held, of all stations
	bytes   int
}

type heldFrames struct {
	since  time.Time
	frames []eth.Frame // copies
}

// await starts to hold the frames of a station.
func (h *holder) await(st station, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wait == nil {
		h.wait = map[station]*heldFrames{}
	}
	if h.wait[st] == nil {
		h.wait[st] = &heldFrames{since: now}
		h.waiting.Add(1)
	}
}

// filter takes over the frames whose station waits and appends the others to
// pass. A frame that does not fit passes: better unpinned than lost.
func (h *holder) filter(frames, pass []eth.Frame) []eth.Frame {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range frames {
		f := &frames[i]
		if len(f.Data) < eth.HeaderLen || !h.keep(f, now) {
			pass = append(pass, *f)
		}
	}
	return pass
}

func (h *holder) keep(f *eth.Frame, now time.Time) bool {
	vlan := eth.VLAN(f.Data)
	w := h.wait[station{vlan, eth.Source(f.Data)}]
	if w == nil {
		w = h.wait[station{vlan, eth.Destination(f.Data)}]
	}
	if w == nil || now.Sub(w.since) > holdTime || h.n >= holdFrames || h.bytes+len(f.Data) > holdBytes {
		return false
	}
	w.frames = append(w.frames, eth.Frame{Data: bytes.Clone(f.Data), Offload: f.Offload})
	h.n++
	h.bytes += len(f.Data)
	h.held.Add(1)
	return true
}

// release ends the wait of a station: it writes what was held, in order, and
// only then lets new frames pass by.
func (h *holder) release(st station, write func([]eth.Frame)) {
	for {
		h.mu.Lock()
		w := h.wait[st]
		if w == nil {
			h.mu.Unlock()
			return
		}
		if len(w.frames) == 0 {
			delete(h.wait, st)
			h.waiting.Add(-1)
			h.mu.Unlock()
			return
		}
		frames := w.frames
		w.frames = nil
		for i := range frames {
			h.n--
			h.bytes -= len(frames[i].Data)
		}
		h.mu.Unlock()
		write(frames)
	}
}

// releaseAll ends every wait.
func (h *holder) releaseAll(write func([]eth.Frame)) {
	h.mu.Lock()
	all := make([]station, 0, len(h.wait))
	for st := range h.wait {
		all = append(all, st)
	}
	h.mu.Unlock()
	for _, st := range all {
		h.release(st, write)
	}
}
