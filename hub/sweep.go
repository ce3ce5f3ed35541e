package hub

import "slices"

// sweep removes stations that are too old, in a sixteenth of the table. Who
// looks one up before does not use it either.
func (t *stations) sweep(sec uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.cur.Load().array)
	if t.sweepAt >= n {
		t.sweepAt = 0
	}
	to := min(t.sweepAt+n/16, n)
	t.sweepSlots(t.sweepAt, to, sec)
	t.sweepAt = to
	for k, f := range t.flaps {
		if sec-f.since >= flapSeconds {
			delete(t.flaps, k)
		}
	}
}

func (t *stations) sweepSlots(from, to int, sec uint32) {
	s := t.cur.Load()
	for i := from; i < to; i++ {
		if p := place(s.array[i].place.Load()); p != 0 && !p.live(sec, t.age.Load()) {
			t.drop(i)
		}
	}
}

// flush removes the learned stations for which match is true and says how many.
func (t *stations) flush(match func(stationKey, place) bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, n := t.cur.Load(), 0
	for i := range s.array {
		if p := place(s.array[i].place.Load()); p != 0 && !p.static() && match(stationKey(s.array[i].key.Load()), p) {
			t.drop(i)
			n++
		}
	}
	return n
}

// flushLink removes the stations behind a link, the static ones too if all is
// set, and says how many.
func (t *stations) flushLink(link uint16, all bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, n := t.cur.Load(), 0
	for at := t.linkOf(link).head; at >= 0; {
		next := t.next[at]
		if all || !place(s.array[at].place.Load()).static() {
			t.drop(int(at))
			n++
		}
		at = next
	}
	return n
}

// pin adds a static station, wherever it is now.
func (t *stations) pin(k stationKey, link uint16, sec uint32) learned {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.cur.Load().get(k)
	if p == 0 {
		if res := t.room(link, sec); res != learnedOK {
			return res
		}
	} else if p.static() && p.link() != link {
		return learnedStatic
	}
	t.put(k, makePlace(link, true, sec))
	if p.link() != link {
		t.changed(change{key: k, from: p.link(), to: link})
	}
	return learnedOK
}

// unpin removes a static station of a link and says whether it was there.
func (t *stations) unpin(k stationKey, link uint16) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.cur.Load()
	sl := s.find(k)
	if sl == nil {
		return false
	}
	if p := place(sl.place.Load()); p == 0 || !p.static() || p.link() != link {
		return false
	}
	at, _ := s.index(k)
	t.drop(at)
	return true
}

// entry is one station, for lists.
type entry struct {
	key   stationKey
	place place
}

// list returns the stations that may be used, ordered by key. It takes no lock.
func (t *stations) list(sec uint32) []entry {
	var all []entry
	s := t.cur.Load()
	for i := range s.array {
		if p := place(s.array[i].place.Load()); p.live(sec, t.age.Load()) {
			all = append(all, entry{stationKey(s.array[i].key.Load()), p})
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	return all
}

// counts returns how many stations there are, and what is counted of a link.
func (t *stations) counts(link uint16) (all int, of linkStations) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live, *t.linkOf(link)
}
