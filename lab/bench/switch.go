package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"vhub/eth"
	"vhub/hub"
)

// alone is a hub in this process, without devices: what a frame costs of
// learning, suppression, look-up and gathering, and of nothing else. Frames of 60
// bytes go in batches between random stations, half of which are behind the first
// link, half behind the second; the other links are idle.
type alone struct {
	in     *hub.Reader
	frames [8][]eth.Frame
	pairs  [][12]byte // destination and source
	next   int
	now    time.Time
}

// aloneBatch is how many frames a reader hands over at once.
const aloneBatch = 64

// alonePairs is how many pairs of stations are sent between, one after another;
// a power of two.
const alonePairs = 1 << 19

// nowhere is a port that takes everything.
type nowhere struct{}

func (nowhere) WriteFrames(frames []eth.Frame) int { return len(frames) }

func newAlone(stations, links int) (*alone, error) {
	a := &alone{now: time.Now()}
	h := hub.New(hub.Config{MaxStations: 1 << 20})
	var in [2]*hub.Reader
	for i := range max(links, 2) {
		link, err := h.Attach(a.now, nowhere{}, hub.LinkConfig{Name: fmt.Sprint(i), Kind: "tap", Suppress: true})
		if err != nil {
			return nil, err
		}
		if i < 2 {
			in[i] = link.NewReader()
		}
	}
	a.in = in[0]
	half := stations / 2
	for side := range in {
		for n := 0; n < half; n += aloneBatch {
			var batch []eth.Frame
			for i := n; i < min(n+aloneBatch, half); i++ {
				f := make([]byte, 60)
				copy(f, aloneStation(1-side, 0))
				copy(f[6:], aloneStation(side, i))
				f[12], f[13] = 0x88, 0xb5
				batch = append(batch, eth.Frame{Data: f})
			}
			in[side].Input(a.now, batch)
		}
	}
	if got := h.Status().Stations; got != 2*half {
		return nil, fmt.Errorf("the switch alone has learned %d of %d stations", got, 2*half)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range alonePairs {
		a.pairs = append(a.pairs, [12]byte(append(aloneStation(1, r.IntN(half)), aloneStation(0, r.IntN(half))...)))
	}
	for i := range a.frames {
		for range aloneBatch {
			f := make([]byte, 60)
			f[12], f[13] = 0x88, 0xb5
			a.frames[i] = append(a.frames[i], eth.Frame{Data: f})
		}
	}
	return a, nil
}

func aloneStation(side, n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x02, 0x0a + byte(side)}, uint32(n))
}

// cost is the ns a frame, over this time.
func (a *alone) cost(length time.Duration) float64 {
	start, n := time.Now(), 0
	for time.Since(start) < length {
		for range 64 {
			batch := a.frames[a.next/aloneBatch%len(a.frames)]
			for i := range batch {
				copy(batch[i].Data, a.pairs[(a.next+i)&(alonePairs-1)][:])
				binary.BigEndian.PutUint64(batch[i].Data[14:], uint64(a.next+i)) // no two frames are the same
			}
			a.next += aloneBatch
			n += aloneBatch
			a.now = a.now.Add(10 * time.Microsecond)
			a.in.Input(a.now, batch)
		}
	}
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}
