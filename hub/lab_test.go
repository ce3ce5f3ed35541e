package hub

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"vhub/eth"
)

// start is when simulated time begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// testPort keeps copies of what it is sent.
type testPort struct {
	mu   sync.Mutex
	got  []eth.Frame
	room int // takes so many frames a call; 0 all
}

func (p *testPort) WriteFrames(frames []eth.Frame) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(frames)
	if p.room > 0 {
		n = min(n, p.room)
	}
	for _, f := range frames[:n] {
		f.Data = slices.Clone(f.Data)
		p.got = append(p.got, f)
	}
	return n
}

func (p *testPort) take() []eth.Frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

// watchPort is a port that watches stations.
type watchPort struct {
	testPort
	stations map[string]bool
	calls    []string
}

func newWatchPort() *watchPort { return &watchPort{stations: make(map[string]bool)} }

func (p *watchPort) StationLearned(vlan uint16, mac eth.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stations[fmt.Sprintf("%d/%v", vlan, mac)] = true
	p.calls = append(p.calls, fmt.Sprintf("+%d/%v", vlan, mac))
}

func (p *watchPort) StationGone(vlan uint16, mac eth.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stations, fmt.Sprintf("%d/%v", vlan, mac))
	p.calls = append(p.calls, fmt.Sprintf("-%d/%v", vlan, mac))
}

// discard takes everything and keeps nothing.
type discard struct{}

func (discard) WriteFrames(frames []eth.Frame) int { return len(frames) }

// lab is a hub with ports named a, b, c, ... under a clock of its own.
type lab struct {
	t      testing.TB
	hub    *Hub
	now    time.Time
	ports  map[string]*testPort
	links  map[string]*Link
	in     map[string]*Reader
	events []Event
}

func newLab(t testing.TB, cfg Config, links ...LinkConfig) *lab {
	l := &lab{t: t, now: start, ports: map[string]*testPort{}, links: map[string]*Link{}, in: map[string]*Reader{}}
	cfg.Name = "test"
	cfg.Event = func(e Event) { l.events = append(l.events, e) }
	l.hub = New(cfg)
	for _, c := range links {
		l.attach(c)
	}
	return l
}

func (l *lab) attach(c LinkConfig) {
	l.t.Helper()
	p := &testPort{}
	link, err := l.hub.Attach(l.now, p, c)
	if err != nil {
		l.t.Fatal(err)
	}
	l.ports[c.Name], l.links[c.Name], l.in[c.Name] = p, link, link.NewReader()
}

// send hands frames in by a link and returns how many each port got, such as
// "b:1 c:1", in the order of names.
func (l *lab) send(link string, frames ...eth.Frame) string {
	l.in[link].Input(l.now, frames)
	return l.got()
}

func (l *lab) got() string {
	var names []string
	for n := range l.ports {
		names = append(names, n)
	}
	slices.Sort(names)
	s := ""
	for _, n := range names {
		if k := len(l.ports[n].take()); k > 0 {
			s += fmt.Sprintf(" %s:%d", n, k)
		}
	}
	if s == "" {
		return "-"
	}
	return s[1:]
}

func (l *lab) wait(d time.Duration) {
	for end := l.now.Add(d); l.now.Before(end); {
		next := l.hub.Advance(l.now)
		if next.After(end) {
			next = end
		}
		l.now = next
	}
}

func (l *lab) drops(link string, r Reason) uint64 { return l.links[link].Status().Counters.Drops[r] }

func (l *lab) count(k EventKind) (n int) {
	for _, e := range l.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

// mac is the address of station n.
func mac(n int) eth.Addr {
	return eth.Addr{0x02, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// plain is a frame of an experimental EtherType with a payload of its own.
func plain(dst, src eth.Addr, payload string) eth.Frame {
	b := append(append(append([]byte{}, dst[:]...), src[:]...), 0x88, 0xb5)
	return eth.Frame{Data: append(b, payload...)}
}

func tagged(dst, src eth.Addr, vlan uint16, payload string) eth.Frame {
	b := append(append(append([]byte{}, dst[:]...), src[:]...), 0x81, 0x00)
	b = binary.BigEndian.AppendUint16(b, vlan)
	return eth.Frame{Data: append(append(b, 0x88, 0xb5), payload...)}
}
