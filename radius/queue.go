package radius

import (
	"slices"
	"sync"
)

// queue holds records until a server has them. Records of one session leave
// one after the other, in their order. When it is full the oldest Interim goes
// first, then the oldest Start; a Stop says what both did.
type queue struct {
	mu      sync.Mutex
	limit   int
	list    []Record
	busy    map[string]bool // sessions with a record on its way
	sent    uint64
	dropped uint64
	more    chan struct{} // room for one: something to take
}

func (q *queue) init(limit int) {
	q.limit, q.busy, q.more = limit, map[string]bool{}, make(chan struct{}, 1)
}

func (q *queue) put(r Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.Phase != Start { // what is newer says all that an Interim says
		q.list = slices.DeleteFunc(q.list, func(x Record) bool { return x.Phase == Interim && x.Session.ID == r.Session.ID })
	}
	q.list = append(q.list, r)
	if len(q.list) > q.limit {
		i := 0
		for _, p := range []Phase{Interim, Start} {
			if j := slices.IndexFunc(q.list, func(x Record) bool { return x.Phase == p }); j >= 0 {
				i = j
				break
			}
		}
		q.list = slices.Delete(q.list, i, i+1)
		q.dropped++
	}
	q.signal()
}

// take removes the first record whose session has none on its way.
func (q *queue) take() (Record, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.list, func(r Record) bool { return !q.busy[r.Session.ID] })
	if i < 0 {
		return Record{}, false
	}
	r := q.list[i]
	q.list = slices.Delete(q.list, i, i+1)
	q.busy[r.Session.ID] = true
	if len(q.list) > 0 {
		q.signal()
	}
	return r, true
}

// done ends what take began; a record that no server has comes to the front
// again, unless a newer one says the same.
func (q *queue) done(r Record, sent bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.busy, r.Session.ID)
	switch {
	case sent:
		q.sent++
	case r.Phase == Interim && slices.ContainsFunc(q.list, func(x Record) bool { return x.Session.ID == r.Session.ID }):
	case len(q.list) >= q.limit:
		q.dropped++
	default:
		q.list = slices.Insert(q.list, 0, r)
	}
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// abandon drops what is left.
func (q *queue) abandon() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.list)
	q.dropped += uint64(n)
	q.list = nil
	return n
}

func (q *queue) counts() (waiting int, sent, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list) + len(q.busy), q.sent, q.dropped
}
