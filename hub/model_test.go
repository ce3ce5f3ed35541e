package hub

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
	"vhub/eth"
)

// model is the forwarding table as one would write it without a hurry.
type model struct {
	age   time.Duration
	where map[string]modelEntry
}

type modelEntry struct {
	link   string
	seen   time.Time
	static bool
}

func (m *model) live(k string, now time.Time) (modelEntry, bool) {
	e, ok := m.where[k]
	return e, ok && (e.static || now.Truncate(time.Second).Sub(e.seen.Truncate(time.Second)) <= m.age)
}

// Random frames, pins, flushes, detachments and pauses on the hub and on the
// model: both send each frame to the same ports.
func TestTableAgainstModel(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		l := &lab{t: nil, now: start, ports: map[string]*testPort{}, links: map[string]*Link{}, in: map[string]*Reader{}}
		l.hub = New(Config{Age: 10 * time.Second})
		join := func(n string) {
			p := &testPort{}
			link, err := l.hub.Attach(l.now, p, LinkConfig{Name: n})
			if err != nil {
				t.Fatal(err)
			}
			l.ports[n], l.links[n], l.in[n] = p, link, link.NewReader()
		}
		for _, n := range names {
			join(n)
		}
		m := &model{age: 10 * time.Second, where: map[string]modelEntry{}}
		station := rapid.IntRange(1, 30)
		link := rapid.SampledFrom(names)
		vlan := rapid.SampledFrom([]uint16{0, 0, 7})
		key := func(v uint16, n int) string { return fmt.Sprintf("%d/%v", v, mac(n)) }
		serial := 0
		t.Repeat(map[string]func(*rapid.T){
			"frame": func(t *rapid.T) {
				from, src, dst, v := link.Draw(t, "link"), station.Draw(t, "src"), station.Draw(t, "dst"), vlan.Draw(t, "vlan")
				serial++
				// One move each two seconds, so that no station is taken to flap.
				if e, ok := m.where[key(v, src)]; ok && e.link != from {
					l.now = l.now.Add(2 * time.Second)
				}
				to := mac(dst)
				if rapid.IntRange(0, 4).Draw(t, "group") == 0 {
					to = eth.Broadcast
				}
				f := plain(to, mac(src), fmt.Sprint(serial))
				if v != 0 {
					f = tagged(to, mac(src), v, fmt.Sprint(serial))
				}
				want := map[string]bool{}
				e, known := m.where[key(v, src)]
				pinnedElsewhere := known && e.static && e.link != from
				if !pinnedElsewhere {
					m.where[key(v, src)] = modelEntry{from, l.now, known && e.static}
					if d, ok := m.live(key(v, dst), l.now); ok && !to.IsGroup() {
						if d.link != from {
							want[d.link] = true
						}
					} else {
						for _, n := range names {
							want[n] = n != from
						}
					}
				}
				l.in[from].Input(l.now, []eth.Frame{f})
				for _, n := range names {
					if got := len(l.ports[n].take()) > 0; got != want[n] {
						t.Fatalf("frame %d from %s (%v to %v, VLAN %d): port %s got it: %v, want %v", serial, from, mac(src), to, v, n, got, want[n])
					}
				}
			},
			"wait": func(t *rapid.T) {
				l.now = l.now.Add(time.Duration(rapid.IntRange(1, 8000).Draw(t, "ms")) * time.Millisecond)
				if rapid.Bool().Draw(t, "advance") {
					l.hub.Advance(l.now)
				}
			},
			"pin": func(t *rapid.T) {
				at, n, v := link.Draw(t, "link"), station.Draw(t, "station"), vlan.Draw(t, "vlan")
				e, known := m.where[key(v, n)]
				err := l.links[at].AddStatic(l.now, v, mac(n))
				if bad := known && e.static && e.link != at; bad != (err != nil) {
					t.Fatalf("pin: %v, want an error: %v", err, bad)
				}
				if err == nil {
					m.where[key(v, n)] = modelEntry{at, l.now, true}
				}
			},
			"unpin": func(t *rapid.T) {
				at, n, v := link.Draw(t, "link"), station.Draw(t, "station"), vlan.Draw(t, "vlan")
				e, known := m.where[key(v, n)]
				was := known && e.static && e.link == at
				if got := l.links[at].RemoveStatic(l.now, v, mac(n)); got != was {
					t.Fatalf("unpin: %v, want %v", got, was)
				}
				if was {
					delete(m.where, key(v, n))
				}
			},
			"flush": func(t *rapid.T) {
				at := link.Draw(t, "link")
				l.links[at].Flush(l.now)
				for k, e := range m.where {
					if e.link == at && !e.static {
						delete(m.where, k)
					}
				}
			},
			"reattach": func(t *rapid.T) {
				at := link.Draw(t, "link")
				l.links[at].Detach(l.now)
				for k, e := range m.where {
					if e.link == at {
						delete(m.where, k)
					}
				}
				join(at)
			},
			"": func(t *rapid.T) {
				live := 0
				for k := range m.where {
					if _, ok := m.live(k, l.now); ok {
						live++
					}
				}
				all := l.hub.Stations(l.now)
				if len(all) != live {
					t.Fatalf("%d stations are listed, want %d", len(all), live)
				}
				for _, s := range all {
					if e, ok := m.live(fmt.Sprintf("%d/%v", s.VLAN, s.MAC), l.now); !ok || e.link != s.Link || e.static != s.Static {
						t.Fatalf("listed %+v, want %+v %v", s, e, ok)
					}
				}
			},
		})
	})
}

// The array against a map, with growth, death and return of keys.
func TestStationsAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		max := rapid.IntRange(1, 4000).Draw(t, "max")
		st := newStations(max, 100, rapid.Uint64().Draw(t, "seed"), func(change) {})
		apart := func(a, b uint16) bool { return false }
		want := map[stationKey]uint16{}
		sec := uint32(1000)
		check := func() {
			if st.live != len(want) {
				t.Fatalf("%d live, want %d", st.live, len(want))
			}
			per := map[uint16]int{}
			for k, l := range want {
				per[l]++
				if p := st.cur.Load().get(k); p.link() != l {
					t.Fatalf("%x is at %d, want %d", k, p.link(), l)
				}
			}
			for id := range st.links {
				n := 0
				for at := st.links[id].head; at >= 0; at = st.next[at] {
					n++
				}
				if n != per[uint16(id)] || st.links[id].count != n {
					t.Fatalf("link %d has %d in its list, counts %d, want %d", id, n, st.links[id].count, per[uint16(id)])
				}
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			sec += 50 // no station flaps
			from, n, link := rapid.IntRange(0, 5000).Draw(t, "from"), rapid.IntRange(0, 2000).Draw(t, "n"), rapid.Uint16Range(1, 5).Draw(t, "link")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				for i := range n {
					k := makeKey(0, uint64(from+i))
					res, _ := st.learn(start, k, makePlace(link, false, sec), apart)
					if _, known := want[k]; !known && len(want) >= max {
						if res == learnedOK { // the old ones made room
							for old := range want {
								if st.cur.Load().get(old) == 0 {
									delete(want, old)
								}
							}
							want[k] = link
						}
						continue
					}
					if res != learnedOK {
						t.Fatalf("learn: %d", res)
					}
					want[k] = link
				}
			case 2:
				st.flush(func(k stationKey, p place) bool { return int(k.mac().Uint64())%3 == 0 })
				for k := range want {
					if int(k.mac().Uint64())%3 == 0 {
						delete(want, k)
					}
				}
			case 3:
				st.flushLink(link, true)
				for k, l := range want {
					if l == link {
						delete(want, k)
					}
				}
			}
			check()
		}
	})
}
