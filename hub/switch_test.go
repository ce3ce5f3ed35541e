package hub

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vhub/eth"
)

// A step sends one frame and says who gets it. In order: what it shows, the
// link, the frame, the ports that get it, and the reason of the drop if there
// is one.
type step struct {
	what  string
	link  string
	frame eth.Frame
	want  string
	drop  string
	wait  time.Duration // before
	do    func(*lab)    // before
}

func runSteps(t *testing.T, l *lab, steps []step) {
	t.Helper()
	for i, s := range steps {
		if s.do != nil {
			s.do(l)
		}
		l.wait(s.wait)
		if s.link == "" {
			continue
		}
		before := l.links[s.link].Status().Counters
		if got := l.send(s.link, s.frame); got != s.want {
			t.Fatalf("step %d, %s: sent to %s, want %s", i+1, s.what, got, s.want)
		}
		after := l.links[s.link].Status().Counters
		reason := ""
		for _, r := range Reasons() {
			if after.Drops[r] > before.Drops[r] {
				reason = r.String()
			}
		}
		if reason != s.drop {
			t.Fatalf("step %d, %s: dropped as %q, want %q", i+1, s.what, reason, s.drop)
		}
	}
}

func named(names ...string) (all []LinkConfig) {
	for _, n := range names {
		all = append(all, LinkConfig{Name: n, Kind: "etherip"})
	}
	return all
}

func TestSwitch(t *testing.T) {
	A, B, C := mac(1), mac(2), mac(3)
	group := eth.Addr{0x01, 0, 0x5e, 0, 0, 0xfb}
	cases := []struct {
		name  string
		cfg   Config
		links []LinkConfig
		steps []step
	}{
		{"learns and looks up", Config{}, named("a", "b", "c"), []step{
			{what: "unknown is flooded", link: "a", frame: plain(B, A, "1"), want: "b:1 c:1"},
			{what: "the answer goes to one port", link: "b", frame: plain(A, B, "2"), want: "a:1"},
			{what: "and now both ways", link: "a", frame: plain(B, A, "3"), want: "b:1"},
			{what: "broadcast goes to all others", link: "b", frame: plain(eth.Broadcast, B, "4"), want: "a:1 c:1"},
			{what: "multicast too", link: "b", frame: plain(group, B, "5"), want: "a:1 c:1"},
			{what: "never back out of its own port", link: "a", frame: plain(A, C, "6"), want: "-", drop: "same-port"},
		}},
		{"an entry is not used when it is old, although nothing swept it", Config{Age: 10 * time.Second}, named("a", "b", "c"), []step{
			{what: "learn", link: "b", frame: plain(eth.Broadcast, B, ""), want: "a:1 c:1"},
			{what: "just young enough", link: "a", frame: plain(B, A, ""), want: "b:1", do: func(l *lab) { l.now = l.now.Add(10 * time.Second) }},
			{what: "too old", link: "a", frame: plain(B, A, ""), want: "b:1 c:1", do: func(l *lab) { l.now = l.now.Add(2 * time.Second) }},
			{what: "back at once when it speaks", link: "b", frame: plain(A, B, ""), want: "a:1"},
			{what: "known again", link: "a", frame: plain(B, A, ""), want: "b:1"},
		}},
		{"a station that goes on speaking is not aged", Config{Age: 5 * time.Second}, named("a", "b", "c"), []step{
			{what: "learn", link: "b", frame: plain(eth.Broadcast, B, ""), want: "a:1 c:1"},
			{what: "speaks", link: "b", frame: plain(eth.Broadcast, B, ""), want: "a:1 c:1", wait: 4 * time.Second},
			{what: "speaks", link: "b", frame: plain(eth.Broadcast, B, ""), want: "a:1 c:1", wait: 4 * time.Second},
			{what: "known", link: "a", frame: plain(B, A, ""), want: "b:1", wait: 4 * time.Second},
			{what: "swept", link: "a", frame: plain(B, A, ""), want: "b:1 c:1", wait: 20 * time.Second},
		}},
		{"a station moves with its first frame", Config{}, named("a", "b", "c"), []step{
			{what: "at b", link: "b", frame: plain(eth.Broadcast, B, "1"), want: "a:1 c:1"},
			{what: "at c", link: "c", frame: plain(eth.Broadcast, B, "2"), want: "a:1 b:1"},
			{what: "found at c", link: "a", frame: plain(B, A, ""), want: "c:1"},
		}},
		{"VLANs are apart", Config{}, named("a", "b", "c"), []step{
			{what: "B in VLAN 7 at b", link: "b", frame: tagged(eth.Broadcast, B, 7, ""), want: "a:1 c:1"},
			{what: "B in VLAN 8 at c", link: "c", frame: tagged(eth.Broadcast, B, 8, ""), want: "a:1 b:1"},
			{what: "to B in 7", link: "a", frame: tagged(B, A, 7, ""), want: "b:1"},
			{what: "to B in 8, whatever the priority", link: "a", frame: tagged(B, A, 8|0xe000, ""), want: "c:1"},
			{what: "B without a tag is unknown", link: "a", frame: plain(B, A, ""), want: "b:1 c:1"},
		}},
		{"a pinned station", Config{}, named("a", "b", "c"), []step{
			{what: "is at b before it speaks", link: "a", frame: plain(B, A, ""), want: "b:1",
				do: func(l *lab) { must(l.t, l.links["b"].AddStatic(l.now, 0, B)) }},
			{what: "cannot speak at c", link: "c", frame: plain(A, B, ""), want: "-", drop: "static-move"},
			{what: "speaks at b", link: "b", frame: plain(A, B, ""), want: "a:1"},
			{what: "does not age", link: "a", frame: plain(B, A, ""), want: "b:1", wait: 400 * time.Second},
			{what: "is free again", link: "c", frame: plain(eth.Broadcast, B, ""), want: "a:1 b:1",
				do: func(l *lab) {
					if !l.links["b"].RemoveStatic(l.now, 0, B) {
						l.t.Fatal("the static entry was not there")
					}
				}},
			{what: "at c", link: "a", frame: plain(B, A, ""), want: "c:1"},
		}},
		{"limit of a link", Config{}, []LinkConfig{{Name: "a", MaxStations: 2}, {Name: "b"}, {Name: "c"}}, []step{
			{what: "one", link: "a", frame: plain(eth.Broadcast, mac(11), ""), want: "b:1 c:1"},
			{what: "two", link: "a", frame: plain(eth.Broadcast, mac(12), ""), want: "b:1 c:1"},
			{what: "three is forwarded", link: "a", frame: plain(eth.Broadcast, mac(13), ""), want: "b:1 c:1"},
			{what: "but not learned", link: "b", frame: plain(mac(13), B, ""), want: "a:1 c:1"},
			{what: "the others were not pushed out", link: "b", frame: plain(mac(11), B, ""), want: "a:1"},
			{what: "other links learn", link: "c", frame: plain(B, C, ""), want: "b:1"},
			{what: "when the old ones are too old there is room", link: "a", frame: plain(eth.Broadcast, mac(13), ""), want: "b:1 c:1",
				do: func(l *lab) { l.now = l.now.Add(302 * time.Second) }},
			{what: "learned", link: "b", frame: plain(mac(13), B, ""), want: "a:1"},
		}},
		{"a link may drop what it cannot learn", Config{}, []LinkConfig{{Name: "a", MaxStations: 1, DropUnlearned: true}, {Name: "b"}}, []step{
			{what: "one", link: "a", frame: plain(eth.Broadcast, mac(11), ""), want: "b:1"},
			{what: "two", link: "a", frame: plain(eth.Broadcast, mac(12), ""), want: "-", drop: "not-learned"},
			{what: "two again", link: "a", frame: plain(eth.Broadcast, mac(12), ""), want: "-", drop: "not-learned"},
		}},
		{"limit of the hub", Config{MaxStations: 2}, named("a", "b", "c"), []step{
			{what: "one", link: "a", frame: plain(eth.Broadcast, A, ""), want: "b:1 c:1"},
			{what: "two", link: "b", frame: plain(eth.Broadcast, B, ""), want: "a:1 c:1"},
			{what: "three is not learned", link: "c", frame: plain(eth.Broadcast, C, ""), want: "a:1 b:1"},
			{what: "to three floods", link: "a", frame: plain(C, A, ""), want: "b:1 c:1"},
			{what: "a known one may move", link: "c", frame: plain(A, B, ""), want: "a:1"},
		}},
		{"isolated links talk to the others only", Config{}, []LinkConfig{{Name: "a", Isolate: true}, {Name: "b", Isolate: true}, {Name: "c"}}, []step{
			{what: "flood", link: "a", frame: plain(eth.Broadcast, A, ""), want: "c:1"},
			{what: "flood", link: "b", frame: plain(eth.Broadcast, B, ""), want: "c:1"},
			{what: "unicast", link: "a", frame: plain(B, A, ""), want: "-", drop: "isolated"},
			{what: "from the other", link: "c", frame: plain(B, C, ""), want: "b:1"},
			{what: "to the other", link: "a", frame: plain(C, A, ""), want: "c:1"},
		}},
		{"split horizon", Config{}, []LinkConfig{{Name: "a", Group: "wan"}, {Name: "b", Group: "wan"}, {Name: "c", Group: "lan"}, {Name: "d"}}, []step{
			{what: "flood", link: "a", frame: plain(eth.Broadcast, A, ""), want: "c:1 d:1"},
			{what: "flood", link: "b", frame: plain(eth.Broadcast, B, ""), want: "c:1 d:1"},
			{what: "unicast", link: "a", frame: plain(B, A, ""), want: "-", drop: "split-horizon"},
			{what: "other group", link: "c", frame: plain(B, C, ""), want: "b:1"},
			{what: "to a known station of another group", link: "b", frame: plain(C, B, ""), want: "c:1"},
			{what: "after the group is lifted", link: "a", frame: plain(B, A, ""), want: "b:1",
				do: func(l *lab) { must(l.t, l.links["a"].Update(LinkConfig{Name: "a"})) }},
		}},
		{"addresses that are no stations", Config{MAC: mac(99)}, named("a", "b"), []step{
			{what: "group source", link: "a", frame: plain(B, group, ""), want: "-", drop: "bad-source"},
			{what: "zero source", link: "a", frame: plain(B, eth.Addr{}, ""), want: "-", drop: "bad-source"},
			{what: "the hub's own source", link: "a", frame: plain(B, mac(99), ""), want: "-", drop: "own-source"},
			{what: "to the hub", link: "a", frame: plain(mac(99), A, ""), want: "-", drop: "to-hub"},
			{what: "a BPDU", link: "a", frame: plain(eth.Addr{1, 0x80, 0xc2, 0, 0, 0}, A, ""), want: "-", drop: "reserved"},
			{what: "just above the block", link: "a", frame: plain(eth.Addr{1, 0x80, 0xc2, 0, 0, 0x10}, A, ""), want: "b:1"},
			{what: "a runt", link: "a", frame: eth.Frame{Data: make([]byte, 13)}, want: "-", drop: "runt"},
			{what: "nothing", link: "a", frame: eth.Frame{}, want: "-", drop: "runt"},
			{what: "a cut tag", link: "a", frame: eth.Frame{Data: tagged(B, A, 1, "").Data[:17]}, want: "-", drop: "runt"},
			{what: "a bad checksum offset", link: "a", frame: eth.Frame{Data: plain(B, A, "xxxx").Data, Offload: eth.Offload{NeedsCsum: true, CsumStart: 60}}, want: "-", drop: "bad-offload"},
			{what: "a large frame that is none", link: "a", frame: eth.Frame{Data: plain(B, A, "xxxx").Data, Offload: eth.Offload{GSO: eth.GSOTCP4, SegSize: 100}}, want: "-", drop: "bad-offload"},
		}},
		{"reserved addresses may pass, pause frames never", Config{ForwardReserved: true}, named("a", "b"), []step{
			{what: "a BPDU", link: "a", frame: plain(eth.Addr{1, 0x80, 0xc2, 0, 0, 0}, A, ""), want: "b:1"},
			{what: "LLDP", link: "a", frame: plain(eth.Addr{1, 0x80, 0xc2, 0, 0, 0xe}, A, ""), want: "b:1"},
			{what: "pause", link: "a", frame: plain(eth.Addr{1, 0x80, 0xc2, 0, 0, 1}, A, ""), want: "-", drop: "reserved"},
		}},
		{"lengths", Config{}, []LinkConfig{{Name: "a"}, {Name: "b", MaxFrame: 1514}, {Name: "c"}}, []step{
			{what: "jumbo in, only where it fits out", link: "a", frame: plain(eth.Broadcast, A, string(make([]byte, 9000))), want: "c:1"},
			{what: "full size everywhere", link: "a", frame: plain(eth.Broadcast, A, string(make([]byte, 1500))), want: "b:1 c:1"},
			{what: "too long for the link", link: "b", frame: plain(eth.Broadcast, B, string(make([]byte, 1501))), want: "-", drop: "oversize"},
			{what: "longer than any", link: "a", frame: plain(eth.Broadcast, A, string(make([]byte, 9009))), want: "-", drop: "oversize"},
		}},
		{"a link that is down keeps its stations", Config{}, named("a", "b", "c"), []step{
			{what: "learn", link: "b", frame: plain(eth.Broadcast, B, ""), want: "a:1 c:1"},
			{what: "down: unicast is dropped, not flooded", link: "a", frame: plain(B, A, ""), want: "-", drop: "link-down",
				do: func(l *lab) { l.links["b"].SetUp(l.now, false) }},
			{what: "down: no flood", link: "a", frame: plain(eth.Broadcast, A, ""), want: "c:1"},
			{what: "up again", link: "a", frame: plain(B, A, ""), want: "b:1",
				do: func(l *lab) { l.links["b"].SetUp(l.now, true) }},
		}},
		{"flush", Config{}, named("a", "b", "c"), []step{
			{what: "learn", link: "b", frame: plain(eth.Broadcast, B, ""), want: "a:1 c:1"},
			{what: "flushed", link: "a", frame: plain(B, A, ""), want: "b:1 c:1",
				do: func(l *lab) {
					if n := l.links["b"].Flush(l.now); n != 1 {
						l.t.Fatalf("flushed %d stations, want 1", n)
					}
				}},
			{what: "learn", link: "b", frame: plain(eth.Broadcast, B, ""), want: "a:1 c:1"},
			{what: "flushed by match", link: "a", frame: plain(B, A, ""), want: "b:1 c:1",
				do: func(l *lab) {
					if n := l.hub.FlushStations(l.now, func(s Station) bool { return s.MAC == B }); n != 1 {
						l.t.Fatalf("flushed %d stations, want 1", n)
					}
				}},
		}},
		{"alone", Config{}, named("a"), []step{
			{what: "nobody to send to", link: "a", frame: plain(eth.Broadcast, A, ""), want: "-", drop: "no-port"},
		}},
		{"detach", Config{}, named("a", "b", "c"), []step{
			{what: "learn", link: "b", frame: plain(eth.Broadcast, B, ""), want: "a:1 c:1"},
			{what: "its stations are unknown", link: "a", frame: plain(B, A, ""), want: "c:1", do: func(l *lab) { l.links["b"].Detach(l.now) }},
			{what: "what still comes in by it is dropped", link: "b", frame: plain(A, B, ""), want: "-", drop: "detached"},
			{what: "twice does nothing", link: "a", frame: plain(B, A, ""), want: "c:1", do: func(l *lab) { l.links["b"].Detach(l.now) }},
			{what: "the name is free again", link: "b", frame: plain(A, B, ""), want: "a:1", do: func(l *lab) { l.attach(LinkConfig{Name: "b"}) }},
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { runSteps(t, newLab(t, c.cfg, c.links...), c.steps) })
	}
}

// TestConfigure changes a hub under its stations: what they do next is by the new
// settings, and they stay.
func TestConfigure(t *testing.T) {
	A, B, C := mac(1), mac(2), mac(3)
	bpdu := eth.Addr{1, 0x80, 0xc2}
	to := func(c Config) func(*lab) { return func(l *lab) { l.hub.Configure(c) } }
	runSteps(t, newLab(t, Config{MaxStations: 2}, LinkConfig{Name: "a", Suppress: true}, LinkConfig{Name: "b", Suppress: true}), []step{
		{what: "one", link: "a", frame: plain(eth.Broadcast, A, "1"), want: "b:1"},
		{what: "two", link: "b", frame: plain(A, B, "2"), want: "a:1"},
		{what: "three is not learned", link: "a", frame: plain(eth.Broadcast, C, "3"), want: "b:1"},
		{what: "to three is flooded", link: "a", frame: plain(C, A, "4"), want: "b:1"},
		{what: "three is learned", link: "a", frame: plain(eth.Broadcast, C, "5"), want: "b:1", do: to(Config{MaxStations: 100})},
		{what: "and found", link: "a", frame: plain(C, A, "6"), want: "-", drop: "same-port"},
		{what: "a lower limit takes nobody away", link: "a", frame: plain(C, A, "7"), want: "-", drop: "same-port", do: to(Config{MaxStations: 1})},
		{what: "a BPDU stays here", link: "a", frame: plain(bpdu, A, "8"), want: "-", drop: "reserved"},
		{what: "a BPDU passes", link: "a", frame: plain(bpdu, A, "9"), want: "b:1", do: to(Config{ForwardReserved: true})},
		{what: "still known after 4 minutes", link: "b", frame: plain(A, B, "10"), want: "a:1", wait: 4 * time.Minute},
		{what: "too old by the new age", link: "a", frame: plain(B, A, "11"), want: "b:1", wait: 22 * time.Second, do: to(Config{Age: 10 * time.Second})},
		{what: "and forgotten: the sweep takes as long again as the age", do: func(l *lab) {
			if n := l.hub.Status().Stations; n > 1 {
				l.t.Fatalf("%d stations are kept", n)
			}
		}},
		{what: "an echo in the window", link: "b", frame: plain(B, A, "11"), want: "-", drop: "echo", wait: 100 * time.Millisecond},
		{what: "a frame", link: "a", frame: plain(B, A, "12"), want: "b:1"},
		{what: "its echo after a shorter window is no echo", link: "b", frame: plain(B, A, "12"), want: "a:1", wait: 100 * time.Millisecond, do: to(Config{EchoWindow: 50 * time.Millisecond})},
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStorm(t *testing.T) {
	l := newLab(t, Config{}, LinkConfig{Name: "a", Storm: StormConfig{Broadcast: 100, Multicast: 50, Unknown: 10, Burst: 20}}, LinkConfig{Name: "b"})
	pass := func(f func(i int) eth.Frame) (n int) {
		for i := range 1000 { // a second, one each millisecond
			if l.send("a", f(i)) != "-" {
				n++
			}
			l.now = l.now.Add(time.Millisecond)
		}
		return n
	}
	if n := pass(func(i int) eth.Frame { return plain(eth.Broadcast, mac(1), fmt.Sprint(i)) }); n < 117 || n > 121 {
		t.Errorf("%d broadcasts passed in a second, want 100 and a burst of 20", n)
	}
	if n := pass(func(i int) eth.Frame { return plain(eth.Addr{0x33, 0x33}, mac(1), fmt.Sprint(i)) }); n < 68 || n > 71 {
		t.Errorf("%d multicasts passed in a second, want 50 and a burst of 20", n)
	}
	if n := pass(func(i int) eth.Frame { return plain(mac(7), mac(1), fmt.Sprint(i)) }); n < 28 || n > 31 {
		t.Errorf("%d frames to unknown stations passed in a second, want 10 and a burst of 20", n)
	}
	l.send("b", plain(mac(1), mac(7), ""))
	if n := pass(func(i int) eth.Frame { return plain(mac(7), mac(1), fmt.Sprint(i)) }); n != 1000 {
		t.Errorf("%d frames to a known station passed, want all", n)
	}
	if d := l.drops("a", StormBroadcast); d < 879 || d > 883 {
		t.Errorf("%d storm drops are counted", d)
	}
	if l.count(StormSeen) != 1 {
		t.Errorf("the operator was told %d times, want once", l.count(StormSeen))
	}
}

func TestFlappingIsDamped(t *testing.T) {
	l := newLab(t, Config{}, named("a", "b", "c")...)
	for i := range 2000 { // two seconds of a loop
		l.send([]string{"a", "b"}[i%2], plain(eth.Broadcast, mac(1), fmt.Sprint(i)))
		l.now = l.now.Add(time.Millisecond)
	}
	moves := l.hub.Status().Counters.Moves
	if moves < flapMoves || moves > flapMoves+6 {
		t.Errorf("%d moves, want %d and then one a second", moves, flapMoves)
	}
	if held := l.hub.Status().Counters.HeldMoves; held < 900 {
		t.Errorf("%d moves were held back, want almost all", held)
	}
	if l.count(StationFlapping) == 0 {
		t.Error("the operator was not told")
	}
	if n := l.count(StationMoved); n > eventBurst+3 {
		t.Errorf("%d events of moves, want them rate-limited", n)
	}
	l.wait(3 * time.Second)
	l.send("b", plain(eth.Broadcast, mac(1), "settled"))
	if got := l.send("c", plain(mac(1), mac(3), "")); got != "b:1" {
		t.Errorf("after it settled at b, a frame to it goes to %s", got)
	}
}

func TestPortFull(t *testing.T) {
	l := newLab(t, Config{}, named("a", "b")...)
	l.ports["b"].room = 3
	var frames []eth.Frame
	for i := range 10 {
		frames = append(frames, plain(eth.Broadcast, mac(1), fmt.Sprint(i)))
	}
	if got := l.send("a", frames...); got != "b:3" {
		t.Fatalf("got %s", got)
	}
	s := l.links["b"].Status().Counters
	if s.Drops[PortFull] != 7 || s.OutFrames != 3 || s.Dropped != 7 {
		t.Errorf("counted %+v", s)
	}
}

func TestOrderIsKept(t *testing.T) {
	l := newLab(t, Config{}, named("a", "b", "c")...)
	l.send("b", plain(eth.Broadcast, mac(2), ""))
	var frames []eth.Frame
	for i := range 100 {
		dst := eth.Broadcast
		if i%3 == 0 {
			dst = mac(2)
		}
		frames = append(frames, plain(dst, mac(1), fmt.Sprintf("%03d", i)))
	}
	l.in["a"].Input(l.now, frames)
	got := l.ports["b"].take()
	if len(got) != 100 {
		t.Fatalf("b got %d frames, want 100", len(got))
	}
	for i, f := range got {
		if string(f.Data[14:]) != fmt.Sprintf("%03d", i) {
			t.Fatalf("frame %d is %q", i, f.Data[14:])
		}
	}
}

// A flood to more links than a batch may gather at once.
func TestFloodToThousands(t *testing.T) {
	h := New(Config{})
	var links []*Link
	for i := range 3000 {
		link, err := h.Attach(start, discard{}, LinkConfig{Name: fmt.Sprint(i)})
		must(t, err)
		links = append(links, link)
	}
	var frames []eth.Frame
	for i := range 20 {
		frames = append(frames, plain(eth.Broadcast, mac(1), fmt.Sprint(i)))
	}
	links[0].NewReader().Input(start, frames)
	for _, l := range links[1:] {
		if n := l.Status().Counters.OutFrames; n != 20 {
			t.Fatalf("link %s got %d frames, want 20", l.Name(), n)
		}
	}
}

func TestWatcher(t *testing.T) {
	l := newLab(t, Config{Age: 10 * time.Second}, named("a", "b")...)
	l.send("a", plain(eth.Broadcast, mac(1), ""))
	w := newWatchPort()
	link, err := l.hub.Attach(l.now, w, LinkConfig{Name: "tap", Kind: "tap"})
	must(t, err)
	in := link.NewReader()
	say := func(what string, want ...string) {
		t.Helper()
		if len(w.stations) != len(want) {
			t.Fatalf("%s: the watcher knows %v, want %v", what, w.stations, want)
		}
		for _, s := range want {
			if !w.stations[s] {
				t.Fatalf("%s: the watcher knows %v, want %v", what, w.stations, want)
			}
		}
	}
	one, two := "0/"+mac(1).String(), "7/"+mac(2).String()
	say("what was there before is told", one)
	l.send("b", tagged(eth.Broadcast, mac(2), 7, ""))
	say("a new one", one, two)
	calls := len(w.calls)
	l.send("b", plain(eth.Broadcast, mac(1), "moved"))
	say("moved between others", one, two)
	if len(w.calls) != calls {
		t.Error("a move between others was told")
	}
	in.Input(l.now, []eth.Frame{plain(eth.Broadcast, mac(1), "here")})
	say("moved here", two)
	l.send("a", plain(eth.Broadcast, mac(1), "away"))
	say("moved away", one, two)
	must(t, l.links["a"].Update(LinkConfig{Name: "a", Segment: "x"}))
	must(t, link.Update(LinkConfig{Name: "tap", Kind: "tap", Segment: "x"}))
	say("a is on the wire of the watcher now: its stations are not to be pinned", two)
	must(t, link.Update(LinkConfig{Name: "tap", Kind: "tap"}))
	say("and no longer", one, two)
	l.wait(30 * time.Second)
	say("aged")
	l.send("a", plain(eth.Broadcast, mac(1), "again"))
	l.links["a"].Detach(l.now)
	say("gone with its port")
	link.Detach(l.now)
	calls = len(w.calls)
	l.send("b", plain(eth.Broadcast, mac(3), ""))
	if len(w.calls) != calls {
		t.Error("told after Detach")
	}
}

func TestStatus(t *testing.T) {
	l := newLab(t, Config{}, named("a", "b")...)
	l.send("a", plain(eth.Broadcast, mac(1), "x"), plain(mac(1), mac(2), "y"))
	s := l.hub.Status()
	if s.Stations != 2 || s.Counters.InFrames != 2 || s.Counters.OutFrames != 1 || s.Counters.InFlooded != 1 || s.Counters.Drops[SamePort] != 1 || s.Counters.Learned != 2 {
		t.Errorf("status is %+v", s)
	}
	l.links["a"].Detach(l.now)
	after := l.hub.Status()
	if after.Counters.InFrames != 2 || after.Counters.Learned != 2 || after.Stations != 0 || len(after.Links) != 1 {
		t.Errorf("after detach, status is %+v", after)
	}
	for _, bad := range []LinkConfig{{}, {Name: "b"}, {Name: "x", MaxFrame: 20}, {Name: "x", MaxStations: -1}, {Name: "x", Storm: StormConfig{Unknown: -1}}} {
		if _, err := l.hub.Attach(l.now, discard{}, bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// A reader that is closed after its link was detached, as a TAP's is, takes nobody
// else's out.
func TestReaderClosedAfterDetach(t *testing.T) {
	l := newLab(t, Config{}, named("a", "b", "c")...)
	for range 3 {
		late := l.links["a"].NewReader()
		other := l.links["b"].NewReader()
		before := len(l.hub.readers)
		l.links["a"].Detach(l.now)
		gone := before - len(l.hub.readers)
		late.Close()
		if len(l.hub.readers) != before-gone || !slices.Contains(l.hub.readers, other) {
			t.Fatalf("%d readers before, %d after; the other's there: %v", before, len(l.hub.readers), slices.Contains(l.hub.readers, other))
		}
		for i, r := range l.hub.readers {
			if r.at != i {
				t.Fatalf("reader %d thinks it is %d", i, r.at)
			}
		}
		l.attach(LinkConfig{Name: "a"})
	}
}
