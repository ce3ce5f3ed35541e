package hub

import (
	"testing"
	"time"

	"vhub/arp"
	"vhub/eth"
)

// helped is a hub with neighbour help; lan and one know A and B by ARP.
func helped(t *testing.T, mode arp.Mode) *lab {
	l := newLab(t, Config{MAC: mac(77), Neighbours: &arp.Config{Mode: mode}}, wires()...)
	l.send("lan", garp(1))
	l.send("one", garp(2))
	l.wait(2 * time.Second)
	l.got()
	return l
}

func TestNeighbourHelp(t *testing.T) {
	t.Run("relay floods a question", func(t *testing.T) {
		l := helped(t, arp.Relay)
		if got := l.send("lan", arpRequest(1, 2)); got != "one:1 two:1" {
			t.Errorf("sent to %s", got)
		}
	})
	t.Run("assist asks the station only, and knows the echo of that", func(t *testing.T) {
		l := helped(t, arp.Assist)
		l.in["lan"].Input(l.now, []eth.Frame{arpRequest(1, 2)})
		asked := l.ports["one"].take()
		if len(asked) != 1 || eth.Destination(asked[0].Data) != mac(2) || len(l.ports["two"].take()) != 0 {
			t.Fatalf("one got %d frames: %+v", len(asked), asked)
		}
		if l.drops("lan", Answered) != 1 {
			t.Error("not counted as answered")
		}
		if got := l.send("one", asked...); got != "-" || l.drops("one", Echo) != 1 {
			t.Errorf("the echo went to %s, %v", got, l.links["one"].Status().Counters.Drops)
		}
		reply := eth.Frame{Data: eth.AppendARPReply(nil, 0, mac(1), mac(2), ip4(2), ip4(1))}
		if got := l.send("one", reply); got != "lan:1" {
			t.Errorf("the answer went to %s", got)
		}
	})
	t.Run("assist floods after all when the station is silent", func(t *testing.T) {
		l := helped(t, arp.Assist)
		l.send("lan", arpRequest(1, 2))
		l.wait(5 * time.Second)
		if n := len(l.ports["two"].take()); n == 0 {
			t.Error("the question was never flooded")
		}
		if n := len(l.ports["lan"].take()); n > 20 {
			t.Errorf("the asker got %d frames", n)
		}
	})
	t.Run("proxy answers the asker at once", func(t *testing.T) {
		l := helped(t, arp.Proxy)
		l.in["one"].Input(l.now, []eth.Frame{arpRequest(2, 1)})
		got := l.ports["one"].take()
		if len(got) != 1 || eth.Source(got[0].Data) != mac(1) {
			t.Fatalf("one got %+v", got)
		}
		l.got()
		if got := l.send("one", got[0]); got != "-" || l.drops("one", Echo) != 1 {
			t.Errorf("what comes back of the answer went to %s", got)
		}
	})
	t.Run("a question for the hub's own address goes nowhere else", func(t *testing.T) {
		l := helped(t, arp.Assist)
		if got := l.send("lan", plain(mac(77), mac(1), "to the hub")); got != "-" || l.drops("lan", ToHub) != 1 {
			t.Errorf("sent to %s", got)
		}
	})
	t.Run("a port that came back is announced to the others", func(t *testing.T) {
		l := helped(t, arp.Assist)
		l.links["one"].Announce(l.now)
		l.wait(100 * ms)
		found := false
		for _, f := range l.ports["lan"].take() {
			p := eth.Parse(f.Data)
			if a := p.ARP(f.Data); a != nil && a.IsGratuitous() && a.SenderMAC() == mac(2) {
				found = true
			}
		}
		if !found {
			t.Error("lan was not told of the station behind one")
		}
	})
	t.Run("a station that moved is announced", func(t *testing.T) {
		l := helped(t, arp.Assist)
		l.send("two", plain(mac(1), mac(2), "I am here now"))
		l.wait(100 * ms)
		found := false
		for _, n := range l.hub.Neighbours().List(l.now) {
			found = found || n.MAC == mac(2) && n.Link == l.links["two"].Number()
		}
		if !found {
			t.Errorf("the neighbour table is %+v", l.hub.Neighbours().List(l.now))
		}
	})
	t.Run("no help across isolated ports", func(t *testing.T) {
		l := newLab(t, Config{Neighbours: &arp.Config{Mode: arp.Proxy}},
			LinkConfig{Name: "a", Isolate: true}, LinkConfig{Name: "b", Isolate: true}, LinkConfig{Name: "c"})
		l.send("a", garp(1))
		l.send("b", garp(2))
		l.wait(time.Second)
		l.got()
		l.in["a"].Input(l.now, []eth.Frame{arpRequest(1, 2)})
		if n := len(l.ports["a"].take()) + len(l.ports["b"].take()); n != 0 {
			t.Errorf("%d frames crossed", n)
		}
	})
	t.Run("its table forgets a detached port", func(t *testing.T) {
		l := helped(t, arp.Assist)
		l.links["one"].Detach(l.now)
		for _, n := range l.hub.Neighbours().List(l.now) {
			if n.MAC == mac(2) {
				t.Errorf("still there: %+v", n)
			}
		}
	})
}

// What the hub asks and announces on a reflecting wire comes back, and must
// neither move a station nor be passed on, over two minutes.
func TestNeighbourHelpOnReflectingWires(t *testing.T) {
	for _, mode := range []arp.Mode{arp.Relay, arp.Assist, arp.Proxy} {
		t.Run(mode.String(), func(t *testing.T) {
			l := helped(t, mode)
			for end := l.now.Add(2 * time.Minute); l.now.Before(end); {
				for i, link := range []string{"lan", "one"} {
					if l.now.UnixMilli()%1000 < 50 {
						l.in[link].Input(l.now, []eth.Frame{arpRequest(1+i, 2-i)})
					}
				}
				for _, w := range []string{"one", "two"} {
					for _, f := range l.ports[w].take() {
						l.in[w].Input(l.now.Add(ms), []eth.Frame{f})
					}
				}
				l.wait(50 * ms)
			}
			if n := l.hub.Status().Counters.Moves; n != 0 {
				t.Errorf("%d moves", n)
			}
			for _, s := range l.hub.Stations(l.now) {
				if s.MAC == mac(1) && s.Link != "lan" || s.MAC == mac(2) && s.Link != "one" || s.MAC == mac(77) {
					t.Errorf("station %+v is at the wrong place", s)
				}
			}
			if n := l.count(SegmentFound); n != 0 {
				t.Errorf("the wires were taken for one %d times", n)
			}
		})
	}
}
