package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// start is the clock of the tests.
var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func TestParseRange(t *testing.T) {
	for in, want := range map[string]string{
		"172.16.0.200-172.16.0.230":   "172.16.0.200-172.16.0.230",
		"172.16.0.200 - 172.16.0.230": "172.16.0.200-172.16.0.230",
		"10.1.2.0/24":                 "10.1.2.1-10.1.2.254",
		"10.1.2.77/30":                "10.1.2.77-10.1.2.78",
		"10.1.2.3":                    "10.1.2.3-10.1.2.3",
		"10.1.2.3-10.1.2.2":           `"10.1.2.3-10.1.2.2" ends before it begins`,
		"10.0.0.0/8":                  `"10.0.0.0/8" has 16777214 addresses; at most 1048576 are allowed`,
		"10.1.2.3-":                   `"10.1.2.3-" is not a range of IPv4 addresses, like 172.16.0.200-172.16.0.230`,
		"2001:db8::1-2001:db8::2":     `"2001:db8::1-2001:db8::2" is not a range of IPv4 addresses, like 172.16.0.200-172.16.0.230`,
		"10.1.2.0/31":                 `"10.1.2.0/31" is not a range of IPv4 addresses, like 172.16.0.200-172.16.0.230`,
		"127.0.0.1":                   `"127.0.0.1" has addresses that no host may have`,
		"223.0.0.1-224.0.0.1":         `"223.0.0.1-224.0.0.1" has 16777217 addresses; at most 1048576 are allowed`,
		"0.0.0.0":                     `"0.0.0.0" has addresses that no host may have`,
		"":                            `"" is not a range of IPv4 addresses, like 172.16.0.200-172.16.0.230`,
	} {
		r, err := ParseRange(in)
		got := r.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func newPool(t testing.TB, ranges string, reserved ...string) *Pool {
	t.Helper()
	r, err := ParseRange(ranges)
	if err != nil {
		t.Fatal(err)
	}
	cfg := PoolConfig{Ranges: []Range{r}}
	for _, s := range reserved {
		cfg.Reserved = append(cfg.Reserved, netip.MustParseAddr(s))
	}
	p, err := NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPool(t *testing.T) {
	p := newPool(t, "10.0.0.1-10.0.0.4", "10.0.0.2")
	give := func(key, want, expect string) *Grant {
		t.Helper()
		w, _ := netip.ParseAddr(want)
		g, err := p.Assign(start, key, w)
		if err != nil {
			if expect != err.Error() {
				t.Errorf("%s: %v, want %s", key, err, expect)
			}
			return nil
		}
		if g.Addr.String() != expect {
			t.Errorf("%s got %v, want %s", key, g.Addr, expect)
		}
		return g
	}
	a := give("alice", "", "10.0.0.1")
	b := give("bob", "10.0.0.4", "10.0.0.4")
	c := give("carol", "", "10.0.0.3")
	give("dave", "", "no address is free in the pool")
	give("dave", "10.0.0.2", "no address is free in the pool")
	if total, held := p.Use(); total != 4 || held != 3 {
		t.Errorf("%d of %d", held, total)
	}

	// The same again, also while the old session is there still; its end then is void.
	a2 := give("alice", "", "10.0.0.1")
	p.Release(a)
	give("dave", "", "no address is free in the pool")
	p.Release(a2)
	p.Release(a2)
	// Sticky while nobody else needs it.
	p.Release(b)
	b = give("bob", "", "10.0.0.4")
	a = give("alice", "10.0.0.77", "10.0.0.1")
	// The one unused for longest goes to somebody else, who keeps it.
	p.Release(b)
	p.Release(a)
	d := give("dave", "", "10.0.0.4")
	b = give("bob", "", "10.0.0.1")
	give("alice", "", "no address is free in the pool")
	p.Release(d)
	give("alice", "", "10.0.0.4")
	p.Release(b)

	// Another station has it: not given for ten minutes.
	p.Conflict(start, c)
	p.Conflict(start, c)
	c = give("carol", "10.0.0.3", "10.0.0.1")
	give("eve", "", "no address is free in the pool")
	if g, err := p.Assign(start.Add(10*time.Minute), "eve", netip.Addr{}); err != nil || g.Addr.String() != "10.0.0.3" {
		t.Errorf("after the quarantine: %v %v", g, err)
	}
	// Reserved from now on: whoever has it keeps it until the end.
	p.SetReserved([]netip.Addr{c.Addr})
	give("carol", "", "10.0.0.1")
	p.SetReserved([]netip.Addr{c.Addr, netip.MustParseAddr("10.0.0.4")})

	if _, err := NewPool(PoolConfig{Ranges: []Range{{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.9")}, {netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.10")}}}); err == nil {
		t.Error("ranges overlap")
	}
}

// A pool against a plain model: no address is held twice, none is given that is
// reserved, outside or in quarantine, and it is exhausted only when all are in
// use.
func TestPoolProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 12).Draw(t, "size")
		first := netip.MustParseAddr("10.0.0.250") // over a byte's end
		last := first
		for range size - 1 {
			last = last.Next()
		}
		reserved := map[netip.Addr]bool{first: rapid.Bool().Draw(t, "first is reserved")}
		cfg := PoolConfig{Ranges: []Range{{first, last}}, Quarantine: time.Minute}
		if reserved[first] {
			cfg.Reserved = append(cfg.Reserved, first)
		}
		p, err := NewPool(cfg)
		if err != nil {
			t.Fatal(err)
		}
		now := start
		held := map[string]*Grant{}
		had := map[string]netip.Addr{} // and nobody else since
		blocked := map[netip.Addr]time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second)
			key := fmt.Sprint("user", rapid.IntRange(0, size+2).Draw(t, "key"))
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				g, err := p.Assign(now, key, netip.Addr{})
				usable := 0
				for a := first; !last.Less(a); a = a.Next() {
					free := !reserved[a] && !now.Before(blocked[a])
					for k, h := range held {
						free = free && (k == key || h.Addr != a)
					}
					if free {
						usable++
					}
				}
				if err != nil {
					if !errors.Is(err, ErrExhausted) || usable > 0 {
						t.Fatalf("%v with %d free", err, usable)
					}
					continue
				}
				for k, h := range held {
					if k != key && h.Addr == g.Addr {
						t.Fatalf("%v is %s's and %s's", g.Addr, k, key)
					}
				}
				if old := held[key]; old != nil && old.Addr != g.Addr {
					t.Fatalf("%s came back and got %v for %v", key, g.Addr, old.Addr)
				}
				if a, ok := had[key]; ok && a != g.Addr {
					t.Fatalf("%s had %v, nobody else needed it, and got %v", key, a, g.Addr)
				}
				if !p.Contains(g.Addr) || reserved[g.Addr] || now.Before(blocked[g.Addr]) {
					t.Fatalf("%v must not be given", g.Addr)
				}
				for k, a := range had {
					if a == g.Addr && k != key {
						delete(had, k)
					}
				}
				held[key], had[key] = g, g.Addr
			case 3, 4:
				if g := held[key]; g != nil {
					p.Release(g)
					delete(held, key)
				}
			case 5:
				if g := held[key]; g != nil {
					p.Conflict(now, g)
					blocked[g.Addr] = now.Add(time.Minute)
					delete(held, key)
					delete(had, key)
				}
			}
			if _, n := p.Use(); n != len(held) {
				t.Fatalf("%d held, %d counted", len(held), n)
			}
		}
	})
}

func TestMemory(t *testing.T) {
	m := NewMemory(2)
	l := func(minutes int) *Lease { return &Lease{Expires: start.Add(time.Duration(minutes) * time.Minute)} }
	m.Keep("a", l(1))
	m.Keep("b", l(2))
	m.Keep("a", l(3))
	m.Keep("c", &Lease{})
	if m.Recall(start, "b") != nil || m.Recall(start, "a") == nil || m.Recall(start.Add(time.Hour), "c") == nil {
		t.Error("the wrong one was forgotten")
	}
	if m.Recall(start.Add(3*time.Minute), "a") != nil || m.Recall(start, "a") != nil || len(m.All()) != 1 {
		t.Error("a lease that is over was kept")
	}
	m.Forget("c")
	m.Forget("c")
	if len(m.All()) != 0 {
		t.Error("not forgotten")
	}
}
