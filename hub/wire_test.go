package hub

import (
	"fmt"
	"testing"
	"time"

	"vhub/eth"
)

// A configured segment: two ports on one wire are used as one.
func TestSegment(t *testing.T) {
	A, S := mac(1), mac(2) // A behind lan, S on the wire
	links := wires()
	links[1].Segment, links[2].Segment = "office", "office"
	runSteps(t, newLab(t, Config{}, links...), []step{
		{what: "floods leave by the tap only", link: "lan", frame: arpRequest(1, 2), want: "two:1"},
		{what: "and come back by the other", link: "one", frame: arpRequest(1, 2), want: "-", drop: "copy-other-port"},
		{what: "S comes in by both: first", link: "one", frame: ping(A, S, 1), want: "lan:1"},
		{what: "and second", link: "two", frame: ping(A, S, 1), want: "-", drop: "copy-other-port"},
		{what: "now first by two: no move", link: "two", frame: ping(A, S, 2), want: "lan:1", wait: ms},
		{what: "second by one", link: "one", frame: ping(A, S, 2), want: "-", drop: "copy-other-port"},
		{what: "to S, by one of them", link: "lan", frame: ping(S, A, 1), want: "one:1"},
		{what: "heard by the other", link: "two", frame: ping(S, A, 1), want: "-", drop: "copy-other-port"},
		{what: "nothing goes between them", link: "one", frame: plain(mac(9), S, "unknown"), want: "lan:1"},
		{what: "nor to a known station", link: "two", frame: plain(S, mac(3), "x"), want: "-", drop: "split-horizon"},
		{what: "TCP by both in turns", link: "one", frame: tcp(A, S, 1, 100, 1, eth.FlagACK, 10), want: "lan:1"},
		{what: "its copy", link: "two", frame: tcp(A, S, 1, 100, 1, eth.FlagACK, 10), want: "-", drop: "copy-other-port"},
		{what: "next first by two", link: "two", frame: tcp(A, S, 2, 110, 1, eth.FlagACK, 10), want: "lan:1"},
		{what: "its copy", link: "one", frame: tcp(A, S, 2, 110, 1, eth.FlagACK, 10), want: "-", drop: "copy-other-port"},
		{what: "without moves", do: func(l *lab) {
			if n := l.hub.Status().Counters.Moves; n != 0 {
				l.t.Fatalf("%d moves", n)
			}
		}},
		{what: "the tap goes down: the other takes over", link: "lan", frame: arpRequest(1, 3), want: "one:1",
			do: func(l *lab) { l.links["two"].SetUp(l.now, false) }},
		{what: "and S is found there", link: "lan", frame: ping(S, A, 5), want: "one:1"},
		{what: "the tap comes back", link: "lan", frame: arpRequest(1, 4), want: "two:1",
			do: func(l *lab) { l.links["two"].SetUp(l.now, true) }},
		{what: "one goes down", link: "lan", frame: ping(S, A, 6), want: "-", drop: "link-down",
			do: func(l *lab) { l.links["one"].SetUp(l.now, false) }},
		{what: "S is heard by two", link: "two", frame: ping(A, S, 6), want: "lan:1"},
		{what: "and reached by it at once", link: "lan", frame: ping(S, A, 7), want: "two:1"},
	})
}

// both plays a NIC and a TAP on one wire: what the hub sends by one comes in by
// the other, and what S sends comes in by both.
func both(l *lab, i int) {
	A, S := mac(1), mac(2)
	req, rep := ping(S, A, uint16(i)), ping(A, S, uint16(i))
	l.in["lan"].Input(l.now, []eth.Frame{req})
	for _, pair := range [][2]string{{"one", "two"}, {"two", "one"}} {
		for _, f := range l.ports[pair[0]].take() {
			l.in[pair[1]].Input(l.now, []eth.Frame{f})
		}
	}
	l.in["one"].Input(l.now, []eth.Frame{rep})
	l.in["two"].Input(l.now, []eth.Frame{rep})
}

func TestSegmentIsFound(t *testing.T) {
	l := newLab(t, Config{}, wires()...)
	l.send("lan", arpRequest(1, 2))
	l.send("one", plain(mac(1), mac(2), "reply"))
	for i := range 10 {
		both(l, i)
		l.wait(time.Second)
	}
	if l.count(SegmentFound) != 1 {
		t.Fatalf("the operator was told %d times that one and two are on one wire, want once", l.count(SegmentFound))
	}
	if got := l.links["one"].Status().Segment; got != "auto:one+two" {
		t.Errorf("segment is %q", got)
	}
	l.got()
	if got := l.send("lan", arpRequest(1, 5)); got != "two:1" {
		t.Errorf("a flood went to %s, want one copy on the wire", got)
	}
	if n := l.hub.Status().Counters.Moves; n != 0 {
		t.Errorf("%d moves", n)
	}
	for i := range 200 { // the evidence goes on
		both(l, 100+i)
		l.wait(time.Second)
	}
	if l.count(SegmentGone) != 0 {
		t.Error("the wire was given up although the evidence went on")
	}
	l.wait(2 * time.Minute)
	if l.count(SegmentGone) != 1 || l.links["one"].Status().Segment != "" {
		t.Error("the wire was not given up after two minutes without evidence")
	}
}

func TestSegmentEndsWithDetach(t *testing.T) {
	l := newLab(t, Config{}, wires()...)
	l.send("lan", arpRequest(1, 2))
	l.send("one", plain(mac(1), mac(2), "reply"))
	for i := range 5 {
		both(l, i)
		l.wait(time.Second)
	}
	if l.count(SegmentFound) != 1 {
		t.Fatal("not found")
	}
	l.links["one"].Detach(l.now)
	if l.count(SegmentGone) != 1 || l.links["two"].Status().Segment != "" {
		t.Error("the wire outlived its port")
	}
}

// Two reflecting wires are not one wire, whatever comes back.
func TestReflectingWiresAreApart(t *testing.T) {
	l := newLab(t, Config{}, wires()...)
	say := func(link string, f eth.Frame) {
		l.in[link].Input(l.now, []eth.Frame{f})
		for _, w := range []string{"one", "two"} {
			for _, g := range l.ports[w].take() {
				l.in[w].Input(l.now, []eth.Frame{g})
			}
		}
	}
	for i := range 300 {
		say("one", udp(mac(3), mac(2), 0, []byte(fmt.Sprint("a", i))))
		say("two", udp(mac(2), mac(3), 0, []byte(fmt.Sprint("b", i))))
		say("lan", udp(mac(2), mac(1), 0, []byte(fmt.Sprint("c", i))))
		say("one", udp(mac(10+i), mac(2), 0, []byte(fmt.Sprint("unknown", i))))
		say("two", udp(mac(3), mac(10+i), 0, []byte(fmt.Sprint("and its answer", i))))
		say("one", tcp(mac(1000+i), mac(2), 1, uint32(i), 0, eth.FlagSYN, 0))
		say("lan", arpRequest(1, i))
		l.wait(100 * ms)
	}
	if n := l.count(SegmentFound); n != 0 {
		t.Errorf("two reflecting wires were taken for one %d times", n)
	}
	if n := l.hub.Status().Counters.Moves; n != 0 {
		t.Errorf("%d moves", n)
	}
}
