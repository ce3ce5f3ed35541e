package ipsec

import (
	"net/netip"
	"sync"
	"time"

	"vhub/ipsec/ike"
)

// A note is what the data path tells the loop.
type note struct {
	kind    noteKind
	spi     uint32
	session ike.SessionID
	remote  netip.AddrPort // noteMoved: where the peer is now; noteUnknown: who sent it
	old     netip.AddrPort
	to      *session // noteUsed, noteSwitched
}

type noteKind uint8

const (
	noteUsed     noteKind = iota // first packet on an inbound SA
	noteMoved                    // authenticated packet from another address or port
	noteRekey                    // an SA has no sequence numbers left
	noteUnknown                  // ESP for no SA of ours
	noteSwitched                 // the peer moved its traffic to another path
)

// note leaves a message for the loop, or false when the loop is far behind.
func (e *Engine) note(n note) bool {
	select {
	case e.notes <- n:
		return true
	default:
		return false
	}
}

// used is called for each batch that opened: the first tells the loop and, when
// nothing else is there to send with, makes the SA usable at once, since the peer
// evidently has it.
func (e *Engine) used(in *inbound) {
	if in.told.Load() {
		return
	}
	s := in.session
	s.out.CompareAndSwap(nil, in.out)
	s.tunnel.active.CompareAndSwap(nil, s)
	if e.note(note{kind: noteUsed, spi: in.spi, to: s}) {
		in.told.Store(true)
	}
}

// unknownLogInterval is how often ESP for unknown SPIs may be a log line. There
// is no answer on the wire at all: to nobody a lie can be told about SPIs, and no
// packet of a stranger makes us send one.
const unknownLogInterval = time.Minute

func (e *Engine) unknownSPI(now time.Time, spi uint32, from netip.AddrPort) {
	e.count.unknownSPI.Add(1)
	last := e.unknownLogged.Load()
	if now.UnixNano()-last < int64(unknownLogInterval) || !e.unknownLogged.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	e.note(note{kind: noteUnknown, spi: spi, remote: from})
}

// eventQueue brings events to their receivers, in order, without making the loop
// wait for them.
type eventQueue struct {
	mu     sync.Mutex
	some   *sync.Cond
	queue  []func()
	closed bool
}

func (q *eventQueue) init() { q.some = sync.NewCond(&q.mu) }

func (q *eventQueue) add(f func()) {
	q.mu.Lock()
	q.queue = append(q.queue, f)
	q.mu.Unlock()
	q.some.Signal()
}

// close lets run end when everything is delivered.
func (q *eventQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.some.Signal()
}

func (q *eventQueue) run() {
	for {
		q.mu.Lock()
		for len(q.queue) == 0 && !q.closed {
			q.some.Wait()
		}
		queue := q.queue
		q.queue = nil
		q.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, f := range queue {
			f()
		}
	}
}
