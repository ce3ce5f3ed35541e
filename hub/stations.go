package hub

import (
	"sync"
	"sync/atomic"
	"time"
)

// Moves of one station that are too many: more than flapMoves within
// flapSeconds hold it where it is for holdSeconds.
const (
	flapMoves   = 10
	flapSeconds = 10
	holdSeconds = 1
)

// stations is the forwarding table: which station is behind which link. It is
// read without a lock through cur; all that changes who is where happens under
// mu, and is checked again there.
type stations struct {
	cur atomic.Pointer[slots]
	age atomic.Uint32 // seconds; a station silent for longer is not used

	rebuilding atomic.Bool // nobody should wait for mu just now
	mu         sync.Mutex
	max        int                       // stations
	live       int                       // stations now
	used       int                       // slots with a key
	next, prev []int32                   // lists of the stations of each link, by slot; -1 ends
	links      []linkStations            // by link number
	flaps      map[stationKey]*flapCount // stations that moved lately
	sweepAt    int                       // slot at which the sweep goes on

	// changed is called with mu held for each change, in order.
	changed func(change)
}

// linkStations is the stations of one link.
type linkStations struct {
	head    int32 // first slot of the list, or -1
	count   int
	max     int    // stations; 0: no limit of its own
	purged  uint32 // second in which old stations were last looked for, because of a limit
	learned uint64
	moves   uint64
}

type flapCount struct {
	since uint32
	moves int
}

// change is one change of the table: from 0 is a new station, to 0 one that
// is gone.
type change struct {
	key      stationKey
	from, to uint16
	now      time.Time // of a move
	quiet    bool      // within one wire: it is not a move
}

func newStations(max int, age uint32, seed uint64, changed func(change)) *stations {
	t := &stations{max: max, flaps: make(map[stationKey]*flapCount), changed: changed}
	t.age.Store(age)
	t.adopt(newSlots(1<<10, seed))
	return t
}

// adopt makes an empty array the current one of an empty table.
func (t *stations) adopt(s *slots) {
	t.used = 0
	t.next, t.prev = make([]int32, len(s.array)), make([]int32, len(s.array))
	t.cur.Store(s)
}

// linkOf returns the list of a link.
func (t *stations) linkOf(id uint16) *linkStations {
	for len(t.links) <= int(id) {
		t.links = append(t.links, linkStations{head: -1})
	}
	return &t.links[id]
}

// configure sets the table's limit and age. Stations over a lower limit stay until
// they are too old.
func (t *stations) configure(max int, age uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.max = max
	t.age.Store(age)
}

// setLink sets a link's limit of stations; 0 for none.
func (t *stations) setLink(id uint16, max int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.linkOf(id).max = max
}

// forgetLink resets what is counted of a link number that will be used again.
// The link must have no stations.
func (t *stations) forgetLink(id uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*t.linkOf(id) = linkStations{head: -1}
}

// learned is what came of learning a station.
type learned uint8

const (
	learnedOK      learned = iota // it is in the table
	learnedHeld                   // it flaps: it stays where it was
	learnedStatic                 // it is pinned to another link
	learnedFull                   // the link or the hub holds as many as it may
	learnedFullHub                // ... the hub
	learnedBusy                   // the table is being rebuilt: next time
)

// learn puts a station where its frame came from. oneWire tells whether two
// links are on one outside wire. flapped is set when this move is one too many.
func (t *stations) learn(now time.Time, k stationKey, to place, oneWire func(a, b uint16) bool) (res learned, flapped bool) {
	link, sec := to.link(), to.sec()
	if t.rebuilding.Load() {
		return learnedBusy, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.cur.Load()
	var p place
	sl := s.find(k)
	if sl != nil {
		p = place(sl.place.Load())
	}
	switch {
	case p == 0:
		if res := t.room(link, sec); res != learnedOK {
			return res, false
		}
		t.put(k, to)
		t.linkOf(link).learned++
		t.changed(change{key: k, to: link})
		return learnedOK, false
	case p.link() == link:
		sl.place.CompareAndSwap(uint64(p), uint64(p.seen(sec)))
		return learnedOK, false
	case p.static():
		return learnedStatic, false
	case p.held(sec) && p.live(sec, t.age.Load()):
		return learnedHeld, false
	}
	quiet := oneWire(p.link(), link)
	if !t.linkOf(link).hasRoom() && !t.purge(link, sec) {
		return learnedFull, false
	}
	if !quiet && p.live(sec, t.age.Load()) {
		t.linkOf(link).moves++
		if flapped = t.flap(k, sec); flapped {
			to = to.holdUntil(sec + holdSeconds)
		}
	}
	t.put(k, to)
	t.changed(change{key: k, from: p.link(), to: link, now: now, quiet: quiet})
	return learnedOK, flapped
}

// flap counts a move, and tells one that is too many.
func (t *stations) flap(k stationKey, sec uint32) bool {
	f := t.flaps[k]
	switch {
	case f == nil:
		if len(t.flaps) >= 4096 { // the sweep makes room
			return false
		}
		f = &flapCount{since: sec}
		t.flaps[k] = f
	case sec-f.since >= flapSeconds:
		*f = flapCount{since: sec}
	}
	f.moves++
	return f.moves > flapMoves
}

func (l *linkStations) hasRoom() bool { return l.max == 0 || l.count < l.max }

// room tells whether one more station may be learned behind the link. It looks
// for stations that are too old, but never takes a station that is not.
func (t *stations) room(link uint16, sec uint32) learned {
	if !t.linkOf(link).hasRoom() && !t.purge(link, sec) {
		return learnedFull
	}
	if t.live < t.max {
		return learnedOK
	}
	if l := t.linkOf(0); sec != l.purged { // number 0 stands for the whole hub
		l.purged = sec
		t.sweepSlots(0, len(t.cur.Load().array), sec)
	}
	if t.live < t.max {
		return learnedOK
	}
	return learnedFullHub
}

// purge removes the too old stations of a link, at most once a second, and
// tells whether it has room then.
func (t *stations) purge(link uint16, sec uint32) bool {
	l := t.linkOf(link)
	if sec == l.purged {
		return false
	}
	l.purged = sec
	s := t.cur.Load()
	for at := l.head; at >= 0; {
		next := t.next[at]
		if p := place(s.array[at].place.Load()); !p.live(sec, t.age.Load()) {
			t.drop(int(at))
		}
		at = next
	}
	return l.hasRoom()
}

// put writes a station's place and keeps the lists and counts.
func (t *stations) put(k stationKey, p place) {
	s := t.cur.Load()
	at, fresh := s.index(k)
	if fresh {
		t.used++
	}
	old := place(s.array[at].place.Load())
	if old != 0 {
		t.unlink(int32(at), old.link())
	} else {
		t.live++
	}
	t.link(int32(at), p.link())
	s.array[at].place.Store(uint64(p))
	if fresh && t.used > len(s.array)/2 {
		t.rebuild()
	}
}

// drop removes the station in a slot and tells it.
func (t *stations) drop(at int) {
	sl := &t.cur.Load().array[at]
	p := place(sl.place.Swap(0))
	t.unlink(int32(at), p.link())
	t.live--
	t.changed(change{key: stationKey(sl.key.Load()), from: p.link()})
}

func (t *stations) link(at int32, id uint16) {
	l := t.linkOf(id)
	t.prev[at], t.next[at] = -1, l.head
	if l.head >= 0 {
		t.prev[l.head] = at
	}
	l.head = at
	l.count++
}

func (t *stations) unlink(at int32, id uint16) {
	l := t.linkOf(id)
	if t.prev[at] >= 0 {
		t.next[t.prev[at]] = t.next[at]
	} else {
		l.head = t.next[at]
	}
	if t.next[at] >= 0 {
		t.prev[t.next[at]] = t.prev[at]
	}
	l.count--
}

// rebuild copies the stations into a new array without dead keys, at most three
// eighths full, and publishes it. Readers go on in the old one meanwhile; a
// second that they note there is lost.
func (t *stations) rebuild() {
	t.rebuilding.Store(true)
	defer t.rebuilding.Store(false)
	old := t.cur.Load()
	size := len(old.array)
	for t.live > size/8*3 {
		size *= 2
	}
	s := newSlots(size, old.seed)
	t.used = 0
	t.next, t.prev = make([]int32, size), make([]int32, size)
	for i := range t.links {
		t.links[i].head, t.links[i].count = -1, 0
	}
	for i := range old.array {
		p := old.array[i].place.Load()
		if p == 0 {
			continue
		}
		at, _ := s.index(stationKey(old.array[i].key.Load()))
		t.used++
		s.array[at].place.Store(p)
		t.link(int32(at), place(p).link())
	}
	t.cur.Store(s)
}
