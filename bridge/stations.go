package bridge

import (
	"sync"
	"time"

	"vhub/eth"
)

// maxStations bounds what one TAP pins; the hub's own limit is usually lower.
const maxStations = 1 << 16

// stations is what the hub has told of the stations at its other ports, and
// which of that the keeper has yet to bring into the bridge.
type stations struct {
	mu    sync.Mutex
	all   map[station]struct{}
	dirty map[station]struct{} // changed since the last take
	kick  chan struct{}        // one slot
	over  uint64               // stations that did not fit
}

func (s *stations) init() {
	s.all = map[station]struct{}{}
	s.dirty = map[station]struct{}{}
	s.kick = make(chan struct{}, 1)
}

// set notes that a station is, or is no longer, behind the hub. It says whether
// that is news.
func (s *stations) set(st station, here bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.all[st]; known == here {
		return false
	}
	if here {
		if len(s.all) >= maxStations {
			s.over++
			return false
		}
		s.all[st] = struct{}{}
	} else {
		delete(s.all, st)
	}
	s.dirty[st] = struct{}{}
	select {
	case s.kick <- struct{}{}:
	default:
	}
	return true
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

// list returns all stations behind the hub, and forgets what had changed.
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
	if t.stations.has(st) {
		return
	}
	if t.pinning.Load() { // before the keeper hears of it, which ends the wait
		t.hold.await(st, time.Now())
	}
	if !t.stations.set(st, true) {
		t.hold.release(st, t.writeHeld)
	}
}

// StationGone is hub.StationWatcher's: the hub forgot the station, or it moved
// to this port.
func (t *TAP) StationGone(vlan uint16, mac eth.Addr) {
	t.stations.set(station{vlan, mac}, false)
}
