package daemon

import (
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vhub/api"
)

func messages(lines []api.Event) []string {
	out := []string{}
	for _, l := range lines {
		out = append(out, l.Message)
	}
	return out
}

func TestLinesAreKeptByClient(t *testing.T) {
	l := NewLogger(io.Discard, "error", "text")
	peer := netip.MustParseAddrPort("203.0.113.7:4500")
	l.Info("as a value", "remote", peer)
	l.With("client", peer).Warn("as an attribute of the logger")
	l.Info("as text", "peer", "203.0.113.7")
	l.Info("mapped", "client", "[::ffff:203.0.113.7]:500")
	l.Info("moved", "remote", "198.51.100.9:4500", "was", peer)
	l.Info("twice", "client", peer, "remote", peer)
	l.Debug("too small", "client", peer)
	l.Info("a name", "peer", "office")
	l.Info("nobody", "client", "0.0.0.0:0")
	l.Info("another", "client", "[2001:db8::1%eth0]:500")
	for _, tt := range []struct{ addr, want string }{
		{"203.0.113.7", "[as a value as an attribute of the logger as text mapped moved twice]"},
		{"::ffff:203.0.113.7", "[as a value as an attribute of the logger as text mapped moved twice]"},
		{"198.51.100.9", "[moved]"},
		{"2001:db8::1", "[another]"},
		{"192.0.2.1", "[]"},
	} {
		if got := fmt.Sprint(messages(l.clients.last(netip.MustParseAddr(tt.addr), 0))); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.addr, got, tt.want)
		}
	}
	if got := fmt.Sprint(messages(l.clients.last(peer.Addr(), 2))); got != "[moved twice]" {
		t.Errorf("the last two: %s", got)
	}
}

// What is kept is what a list of everything says: the last lines of the addresses that were heard of last.
func TestClientLogAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addresses, lines := rapid.IntRange(1, 4).Draw(t, "addresses"), rapid.IntRange(1, 4).Draw(t, "lines")
		c := newClientLog(addresses, lines)
		kept := map[string][]string{}
		var order []string // oldest first
		for i := range rapid.IntRange(0, 60).Draw(t, "steps") {
			who := fmt.Sprintf("192.0.2.%d", rapid.IntRange(1, 6).Draw(t, "who"))
			what := fmt.Sprint(i)
			c.add(api.Event{Message: what, Detail: map[string]string{"client": who}})
			for j, o := range order {
				if o == who {
					order = append(order[:j], order[j+1:]...)
					break
				}
			}
			order = append(order, who)
			if len(order) > addresses {
				delete(kept, order[0])
				order = order[1:]
			}
			kept[who] = append(kept[who], what)
			kept[who] = kept[who][max(0, len(kept[who])-lines):]
			for i := 1; i <= 6; i++ {
				a := fmt.Sprintf("192.0.2.%d", i)
				got := messages(c.last(netip.MustParseAddr(a), 0))
				if fmt.Sprint(got) != fmt.Sprint(append([]string{}, kept[a]...)) {
					t.Fatalf("%s: %v, want %v", a, got, kept[a])
				}
			}
		}
	})
}

func TestClientLogFromManyGoroutines(t *testing.T) {
	c := newClientLog(8, 8)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				c.add(api.Event{Detail: map[string]string{"client": fmt.Sprintf("192.0.2.%d", (g*7+i)%20)}})
				c.last(netip.MustParseAddr("192.0.2.1"), 3)
			}
		})
	}
	wg.Wait()
	if n := len(c.byAddr); n != 8 || c.recent.Len() != 8 {
		t.Errorf("%d addresses, %d in the list; want 8", n, c.recent.Len())
	}
}
