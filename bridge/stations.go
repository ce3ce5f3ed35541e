package bridge

import (
	"sync"
	"sync/atomic"
	"time"

	"vhub/eth"
)

const (
	// maxStations bounds what one TAP pins; the hub's own limit is usually lower.
	maxStations = 1 << 16
	// A station whose frames go out before the hub has told of it (or that the
	// hub does not tell of: its own address, one over its limits) is pinned on
	// trial: for this time, and no more of them than this at once.
	trialTime = 2 * time.Second
	maxTrials = 1024
)

// station is a host behind the hub: a key of its table.
type station struct {
	vlan uint16 // 0 untagged
	mac  eth.Addr
}

// stations are those behind the hub as far as the port knows, and which changes
// of that the keeper has yet to bring into the bridge.
type stations struct {
	mu     sync.Mutex
	all    map[station]struct{}
	trials map[station]time.Time // those of all that the hub has not told of, since when
	dirty  map[station]struct{}  // changed since the last take
	kick   chan struct{}         // one slot
	over   uint64                // stations that did not fit
	gone   atomic.Uint64         // how often stations went: caches of all are void then
}

func (s *stations) init() {
	s.all = map[station]struct{}{}
	s.trials = map[station]time.Time{}
	s.dirty = map[station]struct{}{}
	s.kick = make(chan struct{}, 1)
}

// set notes that the hub told of a station, or that it is gone. It says whether
// the keeper has something to do.
func (s *stations) set(st station, here bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.trials, st)
	if _, known := s.all[st]; known == here {
		return false
	}
	if !here {
		s.remove(st)
		return true
	}
	return s.insert(st)
}

// try notes a station that the hub has not told of.
func (s *stations) try(st station, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.all[st]; known || len(s.trials) >= maxTrials || !s.insert(st) {
		return false
	}
	s.trials[st] = now
	return true
}

// expire ends the trials that have lasted long enough and says how many go on.
func (s *stations) expire(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st, since := range s.trials {
		if now.Sub(since) >= trialTime {
			delete(s.trials, st)
			s.remove(st)
		}
	}
	return len(s.trials)
}

func (s *stations) insert(st station) bool {
	if len(s.all) >= maxStations {
		s.over++
		return false
	}
	s.all[st] = struct{}{}
	s.changed(st)
	return true
}

func (s *stations) remove(st station) {
	delete(s.all, st)
	s.gone.Add(1)
	s.changed(st)
}

func (s *stations) changed(st station) {
	s.dirty[st] = struct{}{}
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *stations) has(st station) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.all[st]
	return ok
}

// take returns what changed and whether each is behind the hub now.
func (s *stations) take() map[station]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[station]bool, len(s.dirty))
	for st := range s.dirty {
		_, out[st] = s.all[st]
	}
	clear(s.dirty)
	return out
}

// list returns all stations, and forgets what had changed.
func (s *stations) list() []station {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]station, 0, len(s.all))
	for st := range s.all {
		out = append(out, st)
	}
	clear(s.dirty)
	return out
}

// StationLearned is hub.StationWatcher's: a station was learned at another port.
// It notes it and returns; the bridge is told by a goroutine of the port.
func (t *TAP) StationLearned(vlan uint16, mac eth.Addr) {
	st := station{vlan, mac}
	t.meet(st, func() bool { return t.stations.set(st, true) })
}

// StationGone is hub.StationWatcher's: the hub forgot the station, or it moved
// to this port.
func (t *TAP) StationGone(vlan uint16, mac eth.Addr) {
	t.stations.set(station{vlan, mac}, false)
}

// meet holds the frames of a station that is new, has note note it, which the
// keeper hears of, and lets them go again if that was no news. The wait must
// stand before the keeper hears: it is the keeper that ends it.
func (t *TAP) meet(st station, note func() bool) {
	held := t.pinning.Load() && !t.stations.has(st)
	if held {
		t.hold.await(st, time.Now())
	}
	if !note() && held {
		t.hold.release(st, t.writeHeld)
	}
}

// sourceCache is what a writer remembers of stations known to the port, so
// that the data path asks the locked table only for a new one.
type sourceCache struct {
	gone uint64 // stations.gone when it was filled
	keys [256]uint64
}

// meetSources makes sure that the sources of frames that are about to go out
// are pinned, or held until they are.
func (t *TAP) meetSources(frames []eth.Frame, c *sourceCache) {
	if gone := t.stations.gone.Load(); gone != c.gone {
		*c = sourceCache{gone: gone}
	}
	for i := range frames {
		b := frames[i].Data
		if len(b) < eth.HeaderLen {
			continue
		}
		key := uint64(eth.VLAN(b))<<48 | eth.Source(b).Uint64()
		at := &c.keys[(key^key>>8^key>>24)&255]
		if *at == key {
			continue
		}
		st := station{eth.VLAN(b), eth.Source(b)}
		if !t.stations.has(st) {
			t.meet(st, func() bool { return t.stations.try(st, time.Now()) })
		}
		if t.stations.has(st) {
			*at = key
		}
	}
}
