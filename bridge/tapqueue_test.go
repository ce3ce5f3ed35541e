package bridge

import (
	"context"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vhub/eth"
)

// reversed is the frame that answers f: addresses and ports the other way round.
func reversed(f eth.Frame) eth.Frame {
	b := append([]byte{}, f.Data...)
	swap := func(x, y, n int) {
		for i := range n {
			b[x+i], b[y+i] = b[y+i], b[x+i]
		}
	}
	swap(0, 6, 6)
	l := eth.Parse(f.Data)
	switch l.IP {
	case 4:
		swap(l.Net+12, l.Net+16, 4)
	case 6:
		swap(l.Net+8, l.Net+24, 16)
	}
	if l.L4 != 0 {
		swap(l.L4, l.L4+2, 2)
	}
	return eth.Frame{Data: b, Offload: f.Offload}
}

func TestAFlowHasOneQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := tcpSegments(1)[0]
		copy(f.Data, rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "stations"))
		copy(f.Data[26:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "addresses"))
		copy(f.Data[34:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ports"))
		n := rapid.IntRange(1, maxQueues).Draw(t, "queues")
		q := queueOf(f.Data, n)
		if q < 0 || q >= n {
			t.Fatalf("queue %d of %d", q, n)
		}
		if got := queueOf(reversed(f).Data, n); got != q {
			t.Fatalf("a flow has queue %d, its answers %d", q, got)
		}
		copy(f.Data[38:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "sequence and acknowledgement"))
		if got := queueOf(f.Data, n); got != q {
			t.Fatalf("a flow has queue %d, and then %d", q, got)
		}
	})
}

func TestFlowsSpreadOverQueues(t *testing.T) {
	const n, flows = 4, 4000
	var got [n]int
	f := tcpSegments(1)[0]
	for port := range flows {
		f.Data[34], f.Data[35] = byte((32768+port)>>8), byte(port)
		got[queueOf(f.Data, n)]++
	}
	for q, k := range got {
		if k < flows/n/2 || k > flows/n*2 {
			t.Errorf("queue %d has %d flows of %d: %v", q, k, flows, got)
		}
	}
}

// steer counts how often a flow changes the reader that it comes by.
type steer struct {
	mu      sync.Mutex
	reader  map[string]int
	changes map[string]int
	frames  int
}

// sink is the input of one reader.
type sink struct {
	*steer
	reader int
	to     port
}

func (s sink) Input(_ time.Time, frames []eth.Frame) {
	s.steer.mu.Lock()
	for i := range frames {
		l := eth.Parse(frames[i].Data)
		if l.Proto != eth.ProtoTCP || l.L4 == 0 {
			continue
		}
		flow := string(frames[i].Data[l.Net+12 : l.L4+4])
		if was, ok := s.steer.reader[flow]; ok && was != s.reader {
			s.changes[flow]++
		}
		s.steer.reader[flow] = s.reader
		s.frames++
	}
	s.steer.mu.Unlock()
	s.to.WriteFrames(frames)
}

// TestTheKernelKeepsAFlowOnOneQueue moves TCP through two TAPs with two queues
// each: but for the first frames, which come before the kernel has seen any
// answer, a flow comes by one reader.
func TestTheKernelKeepsAFlowOnOneQueue(t *testing.T) {
	lab := newLab(t)
	na, nb := lab.NS("a"), lab.NS("b")
	a := openTAP(t, TAPConfig{Name: "a", Netns: na.Path(), Queues: 2, Offload: true, Addresses: prefixes("10.80.0.1/24")})
	b := openTAP(t, TAPConfig{Name: "b", Netns: nb.Path(), Queues: 2, Offload: true, Addresses: prefixes("10.80.0.2/24")})
	var all []*steer
	for _, p := range [][2]*TAP{{a, b}, {b, a}} {
		s := &steer{reader: map[string]int{}, changes: map[string]int{}}
		all = append(all, s)
		readers := 0
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- p[0].run(ctx, func() input { readers++; return sink{s, readers, p[1]} })
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	na.Reaches("10.80.0.2", 20*time.Second)
	for range 4 {
		transfer(t, na, nb, "10.80.0.2", 8<<20)
	}
	for _, s := range all {
		s.mu.Lock()
		if s.frames < 100 {
			t.Errorf("only %d TCP frames came by", s.frames)
		}
		for flow, n := range s.changes {
			if n > 1 {
				t.Errorf("flow %x changed its reader %d times in %d frames", flow, n, s.frames)
			}
		}
		s.mu.Unlock()
	}
}

func TestQueuesByCPUs(t *testing.T) {
	for cpus, want := range map[int]int{1: 1, 2: 1, 3: 3, 4: 4, 64: maxQueues} {
		if got := defaultQueues(cpus); got != want {
			t.Errorf("%d CPUs: %d queues, want %d", cpus, got, want)
		}
	}
}
