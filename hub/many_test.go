package hub

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vhub/eth"
)

// crowdEars is a Listener for whom nobody listens, or all.
type crowdEars struct {
	some []*Link
	all  bool
}

func (c *crowdEars) Listeners(*eth.Frame) (some, others []*Link, all bool) { return c.some, nil, c.all }

// countPort counts what it is given.
type countPort struct{ frames int }

func (p *countPort) WriteFrames(f []eth.Frame) int { p.frames += len(f); return len(f) }

// manyHub is a hub with two ports and n clients' links.
type manyHub struct {
	h       *Hub
	ears    *crowdEars
	in      *Reader
	out     *countPort
	clients []*Link
	ports   []*countPort
	now     time.Time
}

func newManyHub(t testing.TB, n int) *manyHub {
	m := &manyHub{h: New(Config{Name: "many", MaxStations: 1 << 17}), ears: &crowdEars{}, out: &countPort{}, now: time.Unix(1_700_000_000, 0)}
	a, err := m.h.Attach(m.now, &countPort{}, LinkConfig{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.h.Attach(m.now, m.out, LinkConfig{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddStatic(m.now, 0, eth.Addr{2, 0xb}); err != nil {
		t.Fatal(err)
	}
	m.in = a.NewReader()
	for range n {
		m.attach(t)
	}
	return m
}

func (m *manyHub) attach(t testing.TB) *Link {
	i := len(m.clients)
	p := &countPort{}
	l, err := m.h.Attach(m.now, p, LinkConfig{Name: fmt.Sprint("client ", i), MaxStations: 1, Listener: m.ears})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AddStatic(m.now, 0, clientAddr(i)); err != nil {
		t.Fatal(err)
	}
	l.NewReader()
	m.clients, m.ports = append(m.clients, l), append(m.ports, p)
	return l
}

func clientAddr(i int) eth.Addr { return eth.Addr{2, 1, 0, byte(i >> 16), byte(i >> 8), byte(i)} }

// batch is frames from port a to a station.
func batchTo(dst eth.Addr, n int) []eth.Frame {
	list := make([]eth.Frame, n)
	for i := range list {
		b := make([]byte, 100)
		copy(b, dst[:])
		copy(b[6:], []byte{2, 0xa, 0, 0, 0, 1})
		b[12], b[13] = 0x88, 0xb5
		list[i].Data = b
	}
	return list
}

// TestListener has frames to groups go to whom the Listener says, and to nobody else.
func TestListener(t *testing.T) {
	m := newManyHub(t, 40)
	got := func() (who []int) {
		for i, p := range m.ports {
			for range p.frames {
				who = append(who, i)
			}
			p.frames = 0
		}
		return who
	}
	send := func(dst eth.Addr) { m.in.Input(m.now, batchTo(dst, 1)) }
	send(eth.Broadcast)
	if w := got(); w != nil {
		t.Errorf("a broadcast for nobody went to %v", w)
	}
	m.ears.some = []*Link{m.clients[3], m.clients[17]}
	send(eth.Broadcast)
	if w := got(); !slices.Equal(w, []int{3, 17}) {
		t.Errorf("a broadcast for 3 and 17 went to %v", w)
	}
	m.clients[3].SetUp(m.now, false)
	m.clients[17].Detach(m.now)
	send(eth.Broadcast)
	if w := got(); w != nil {
		t.Errorf("a broadcast for one that is down and one that is gone went to %v", w)
	}
	m.ears.all = true
	send(eth.Broadcast)
	if w := got(); len(w) != 38 || slices.Contains(w, 3) || slices.Contains(w, 17) {
		t.Errorf("a broadcast for all went to %v", w)
	}
	send(eth.Addr{2, 9, 9, 9, 9, 9})
	if w := got(); w != nil {
		t.Errorf("unicast to an unknown station went to %v", w)
	}
	send(clientAddr(5))
	if w := got(); !slices.Equal(w, []int{5}) {
		t.Errorf("unicast to 5 went to %v", w)
	}
	// What comes from a client goes to all others and to the ports.
	r, before := m.clients[5].NewReader(), m.out.frames
	f := batchTo(eth.Broadcast, 1)
	src := clientAddr(5)
	copy(f[0].Data[6:], src[:])
	r.Input(m.now, f)
	if w := got(); len(w) != 37 || slices.Contains(w, 5) || m.out.frames != before+1 {
		t.Errorf("a client's broadcast went to %v and %d times to the port", w, m.out.frames-before)
	}
	// Isolated clients do not hear each other, and the seats of those that went are taken again.
	for _, l := range m.clients[20:] {
		l.Detach(m.now)
	}
	m.clients, m.ports = m.clients[:20], m.ports[:20]
	for range 60 {
		m.attach(t)
	}
	for _, l := range []*Link{m.clients[5], m.clients[60]} {
		if err := l.Update(LinkConfig{Name: l.Name(), MaxStations: 1, Isolate: true, Listener: m.ears}); err != nil {
			t.Fatal(err)
		}
	}
	r.Input(m.now, f)
	if w := got(); len(w) != 80-4 || slices.Contains(w, 60) {
		t.Errorf("an isolated client's broadcast went to %d: %v", len(w), w)
	}
	if st := m.h.Status(); len(st.Links) != 2+79 || st.Links[2].Name != "client 0" {
		t.Errorf("status has %d links, the third %q", len(st.Links), st.Links[2].Name)
	}
	for _, l := range m.clients {
		l.Detach(m.now)
	}
	if v := m.h.view.Load(); len(v.hearers) != 0 || len(m.h.names) != 2 {
		t.Errorf("%d audiences and %d names are left", len(v.hearers), len(m.h.names))
	}
}

// quickest is the shortest time of f a round.
func quickest(rounds, times int, f func()) time.Duration {
	best := time.Hour
	for range rounds {
		begin := time.Now()
		for range times {
			f()
		}
		best = min(best, time.Since(begin)/time.Duration(times))
	}
	return best
}

// TestCostOfManyLinks shows the curves: a frame to one station costs the same however many
// clients are there, and so does one client more. A broadcast that all want is linear, and
// one that nobody wants is not. The best of interleaved rounds, since the machine is
// shared; the limits are for what grows with the number.
func TestCostOfManyLinks(t *testing.T) {
	if slowdown > 1 {
		t.Skip("the race detector's own costs would be measured")
	}
	sizes := []int{10, 1000, 10_000}
	type cost struct{ port, client, nobody, all, attach, detach time.Duration }
	costs := make([]cost, len(sizes))
	hubs := make([]*manyHub, len(sizes))
	for i, n := range sizes {
		hubs[i] = newManyHub(t, n)
		costs[i] = cost{time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour}
	}
	toPort, group := batchTo(eth.Addr{2, 0xb}, 32), batchTo(eth.Broadcast, 32)
	// Short samples by turns, for as long as it takes until each hub had a moment to itself: the
	// machine is shared.
	sample := func() {
		for i, m := range hubs {
			c := &costs[i]
			toClient := batchTo(clientAddr(len(m.clients)/2), 32)
			c.port = min(c.port, quickest(20, 100, func() { m.in.Input(m.now, toPort) })/32)
			c.client = min(c.client, quickest(20, 100, func() { m.in.Input(m.now, toClient) })/32)
			c.nobody = min(c.nobody, quickest(20, 100, func() { m.in.Input(m.now, group) })/32)
			n := len(m.clients)
			c.attach = min(c.attach, quickest(1, 50, func() { m.attach(t) })) // with the static station and the reader
			begin := time.Now()
			for _, l := range m.clients[n:] {
				l.Detach(m.now)
			}
			c.detach = min(c.detach, time.Since(begin)/50)
			m.clients, m.ports = m.clients[:n], m.ports[:n]
		}
	}
	grown := func() (list []string) {
		few, many := costs[0], costs[len(costs)-1]
		for _, x := range []struct {
			what      string
			few, many time.Duration
			limit     float64
		}{
			{"a frame to a port", few.port, many.port, 1.5}, {"a frame to a client", few.client, many.client, 1.5},
			{"a broadcast that no client hears", few.nobody, many.nobody, 1.5}, {"to attach one more", few.attach, many.attach, 10},
		} {
			if r := float64(x.many) / float64(x.few); r > x.limit {
				list = append(list, fmt.Sprintf("%s costs %.2f times as much with %d links as with %d, want at most %.1f", x.what, r, sizes[len(sizes)-1], sizes[0], x.limit))
			}
		}
		return list
	}
	for begin := time.Now(); ; {
		for range 5 {
			sample()
		}
		if time.Since(begin) > 20*time.Second || len(grown()) == 0 {
			break
		}
	}
	for i, m := range hubs {
		m.ears.all = true
		costs[i].all = quickest(3, 1, func() { m.in.Input(m.now, group) }) / 32
	}
	for i, n := range sizes {
		c := costs[i]
		t.Logf("%6d links: %v a frame to a port, %v to a client, %v to a group that no client hears, %v to all; %v to attach one more, %v to detach it",
			n, c.port, c.client, c.nobody, c.all, c.attach, c.detach)
	}
	for _, x := range grown() {
		t.Error(x)
	}
}
