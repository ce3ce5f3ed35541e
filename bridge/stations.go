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
	lapsed map[station]struct{}  // not in all: frames to them went out, but the hub has not said that they are gone
	dirty  map[station]struct{}  // changed since the last take
	kick   chan struct{}         // one slot
	over   uint64                // stations that did not fit
	gone   atomic.Uint64         // how often stations went: caches of all are void then

	filter [1 << filterBits]atomic.Int32 // stations of all by slot: 0 means none, without the lock
}

const filterBits = 13

func (st station) key() uint64 { return uint64(st.vlan)<<48 | st.mac.Uint64() }

// slot is where a key is in stations.filter (Fibonacci hashing).
func slot(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> (64 - filterBits) }

func (s *stations) init() {
	s.all = map[station]struct{}{}
	s.trials = map[station]time.Time{}
	s.lapsed = map[station]struct{}{}
	s.dirty = map[station]struct{}{}
	s.kick = make(chan struct{}, 1)
}

// set notes that the hub told of a station, or that it is gone. It says whether
// the keeper has something to do.
func (s *stations) set(st station, here bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.trials, st)
	delete(s.lapsed, st)
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
	if _, told := s.lapsed[st]; told {
		delete(s.lapsed, st)
	} else {
		s.trials[st] = now
	}
	return true
}

// lapse takes a station away that the hub sends frames to by this port: it has
// moved, and the hub is about to tell.
func (s *stations) lapse(st station) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.all[st]; !known {
		return false
	}
	if _, trial := s.trials[st]; trial {
		delete(s.trials, st)
	} else if len(s.lapsed) < maxTrials {
		s.lapsed[st] = struct{}{}
	}
	s.remove(st)
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
	s.filter[slot(st.key())].Add(1)
	s.changed(st)
	return true
}

func (s *stations) remove(st station) {
	delete(s.all, st)
	s.filter[slot(st.key())].Add(-1)
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

// meetStations makes sure that the sources of frames that are about to go out
// are pinned and their destinations are not, or that the frames are held until
// then.
//
// A destination that is pinned here has moved to the bridge's side: the hub sends
// what is for its other ports there. Frames to it wait until the pin is away, else
// the bridge would drop them, as coming from where they are to go.
func (t *TAP) meetStations(frames []eth.Frame, c *sourceCache) {
	if gone := t.stations.gone.Load(); gone != c.gone {
		*c = sourceCache{gone: gone}
	}
	for i := range frames {
		b := frames[i].Data
		if len(b) < eth.HeaderLen {
			continue
		}
		vlan := eth.VLAN(b)
		if to := (station{vlan, eth.Destination(b)}); t.stations.filter[slot(to.key())].Load() > 0 && t.stations.has(to) {
			t.hold.await(to, time.Now())
			if !t.stations.lapse(to) {
				t.hold.release(to, t.writeHeld)
			}
		}
		st := station{vlan, eth.Source(b)}
		key := st.key()
		at := &c.keys[slot(key)&255]
		if *at == key {
			continue
		}
		if !t.stations.has(st) {
			t.meet(st, func() bool { return t.stations.try(st, time.Now()) })
		}
		if t.stations.has(st) {
			*at = key
		}
	}
}
