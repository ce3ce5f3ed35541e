package ipsec

import (
	"context"
	"runtime"
	"sync"

	"vhub/internal/packet"
	"vhub/ipsec/esp"
)

// sealers are goroutines that help to seal large batches of one busy tunnel. Who
// has a batch gives parts only to those who are idle at the moment, and does the
// rest itself: nothing ever waits in a queue, and the batch stays in order.
type sealers struct {
	jobs  chan sealPart // without a buffer: a send succeeds when someone is waiting
	count int
	waits sync.Pool // of *sync.WaitGroup
}

type sealPart struct {
	run  func(part int)
	part int
	wait *sync.WaitGroup
}

// sealersFrom is from how many processors on help is worth its hand-over: with
// fewer, readers and the programs beside vhub have them busy anyway.
const sealersFrom = 4

func newSealers(asked int) *sealers {
	s := &sealers{jobs: make(chan sealPart), count: asked}
	if procs := runtime.GOMAXPROCS(0); asked == 0 && procs >= sealersFrom {
		s.count = procs - 1
	}
	return s
}

// run is one helper, until ctx ends. What is sealed after that finds no helper.
func (s *sealers) run(ctx context.Context) {
	for {
		select {
		case p := <-s.jobs:
			p.run(p.part)
			p.wait.Done()
		case <-ctx.Done():
			return
		}
	}
}

// Spread is described at esp.Spreader.
func (s *sealers) Spread(parts int, run func(part int)) {
	wait, _ := s.waits.Get().(*sync.WaitGroup)
	if wait == nil {
		wait = new(sync.WaitGroup)
	}
	for i := 1; i < parts; i++ {
		wait.Add(1)
		select {
		case s.jobs <- sealPart{run, i, wait}:
		default:
			wait.Done()
			run(i)
		}
	}
	run(0)
	wait.Wait()
	s.waits.Put(wait)
}

// From how many packets on a batch is spread: what a hand-over costs (a few
// microseconds) is then small beside what it saves.
const (
	spreadCBC = 16
	spreadGCM = 64
)

// seal seals a batch, on several cores when it is large.
func (e *Engine) seal(out *outbound, packets []packet.Packet, proto uint8) (int, error) {
	part := spreadCBC
	if out.child.Suite.Cipher == esp.AESGCM16 {
		part = spreadGCM
	}
	parts := min(len(packets)/part, e.sealers.count+1)
	if parts < 2 {
		return out.sa.SealBatch(packets, proto)
	}
	return out.sa.SealSpread(packets, proto, parts, e.sealers)
}
