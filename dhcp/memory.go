package dhcp

import (
	"container/list"
	"maps"
	"sync"
	"time"
)

// Memory keeps leases from one connect to the next, by user and device. Over
// its limit it forgets what was kept for longest. Several goroutines may use it.
type Memory struct {
	mu    sync.Mutex
	limit int
	by    map[string]*list.Element // of remembered
	order *list.List               // oldest first
	count uint64                   // of changes
}

type remembered struct {
	key   string
	lease *Lease
}

// NewMemory makes a memory of at most limit leases.
func NewMemory(limit int) *Memory {
	return &Memory{limit: limit, by: map[string]*list.Element{}, order: list.New()}
}

// Keep remembers a lease.
func (m *Memory) Keep(key string, l *Lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(key)
	m.count++
	m.by[key] = m.order.PushBack(remembered{key, l})
	for m.order.Len() > m.limit {
		m.forget(m.order.Front().Value.(remembered).key)
	}
}

// Recall returns a lease that was kept and is not over; nil when there is none.
func (m *Memory) Recall(now time.Time, key string) *Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.by[key]
	if e == nil {
		return nil
	}
	l := e.Value.(remembered).lease
	if !l.Expires.IsZero() && !now.Before(l.Expires) {
		m.forget(key)
		return nil
	}
	return l
}

// Forget drops a lease: it was released, or the server took it back.
func (m *Memory) Forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(key)
}

func (m *Memory) forget(key string) {
	if e := m.by[key]; e != nil {
		m.order.Remove(e)
		delete(m.by, key)
		m.count++
	}
}

// Changes is a number that grows whenever All would say something else.
func (m *Memory) Changes() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// All returns what is kept, by key, to be written to disk; Keep takes it back.
func (m *Memory) All() map[string]*Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := make(map[string]*Lease, len(m.by))
	for e := range maps.Values(m.by) {
		r := e.Value.(remembered)
		l[r.key] = r.lease
	}
	return l
}
