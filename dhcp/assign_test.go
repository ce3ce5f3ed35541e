package dhcp

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func assigner(t *testing.T, cfg AssignerConfig) (*world, *Assigner) {
	cfg.Key = "alice"
	cfg.Facts = &Lease{Prefix: netip.MustParsePrefix("192.168.1.0/24"), Routers: []netip.Addr{serverIP}}
	a := NewAssigner(cfg, random(1))
	return &world{t: t, m: a, srv: newServer(), now: t0, taken: map[netip.Addr]bool{}}, a
}

func TestAssign(t *testing.T) {
	dhcp := &ClientConfig{MAC: clientMAC}
	static, radius := netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("192.168.1.6")
	elsewhere := netip.MustParseAddr("10.9.9.9")
	for _, c := range []struct {
		name  string
		cfg   AssignerConfig
		pool  string // range
		taken []netip.Addr
		deaf  bool
		want  string // "source prefix", or what the failure says after "!"
	}{
		{"the user's own goes first", AssignerConfig{Static: static, RADIUS: radius, DHCP: dhcp}, "192.168.1.200-192.168.1.201", nil, false, "static 192.168.1.5/24"},
		{"then RADIUS", AssignerConfig{RADIUS: radius, DHCP: dhcp}, "192.168.1.200-192.168.1.201", nil, false, "radius 192.168.1.6/24"},
		{"RADIUS leaves the choice", AssignerConfig{RADIUS: netip.MustParseAddr("255.255.255.254"), DHCP: dhcp}, "", nil, false, "dhcp 192.168.1.100/24"},
		{"then DHCP", AssignerConfig{DHCP: dhcp}, "192.168.1.200-192.168.1.201", nil, false, "dhcp 192.168.1.100/24"},
		{"then the pool", AssignerConfig{DHCP: dhcp}, "192.168.1.200-192.168.1.201", nil, true, "pool 192.168.1.200/24"},
		{"told otherwise", AssignerConfig{Order: []Source{SourcePool, SourceDHCP}, DHCP: dhcp}, "192.168.1.200-192.168.1.201", nil, false, "pool 192.168.1.200/24"},
		{"no DHCP", AssignerConfig{}, "192.168.1.200-192.168.1.201", nil, false, "pool 192.168.1.200/24"},
		{"outside of the subnet", AssignerConfig{Static: elsewhere}, "", nil, false, "static 10.9.9.9/32"},
		{"the client's wish", AssignerConfig{Want: netip.MustParseAddr("192.168.1.201")}, "192.168.1.200-192.168.1.201", nil, false, "pool 192.168.1.201/24"},
		{"the client's wish by DHCP", AssignerConfig{Want: addrB, DHCP: dhcp}, "", nil, false, "dhcp 192.168.1.101/24"},
		{"a conflict in the pool", AssignerConfig{}, "192.168.1.200-192.168.1.201", []netip.Addr{netip.MustParseAddr("192.168.1.200")}, false, "pool 192.168.1.201/24"},
		{"a fixed address that another has", AssignerConfig{Static: static, DHCP: dhcp}, "192.168.1.200-192.168.1.201", []netip.Addr{static}, false, "!another station has 192.168.1.5, the fixed address of the user (static)"},
		{"nothing at all", AssignerConfig{}, "", nil, false, "!the port has neither a DHCP server to ask nor a pool, and the user no address"},
		{"nobody has one", AssignerConfig{DHCP: dhcp}, "192.168.1.200-192.168.1.200", []netip.Addr{netip.MustParseAddr("192.168.1.200")}, true, "!no DHCP server answered within 8s; no address is free in the pool"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.pool != "" {
				c.cfg.Pool = newPool(t, c.pool)
			}
			w, a := assigner(t, c.cfg)
			for _, x := range c.taken {
				w.taken[x] = true
			}
			w.srv.deaf = c.deaf
			w.do(a.Start)
			e := w.until(t0.Add(time.Minute), Assigned, Failed)
			if e == nil {
				t.Fatalf("no end: %+v", w.events)
			}
			got := "!" + e.Reason
			if e.Kind == Assigned {
				got = string(e.Lease.Source) + " " + e.Lease.Prefix.String()
				if a.Lease() != e.Lease || e.Lease.Routers[0] != serverIP {
					t.Errorf("lease %+v", a.Lease())
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAssignerKeepsLeases(t *testing.T) {
	mem := NewMemory(10)
	cfg := AssignerConfig{DHCP: &ClientConfig{MAC: clientMAC}, Memory: mem}
	w, a := assigner(t, cfg)
	w.do(a.Start)
	w.heard("DISCOVER", "REQUEST 192.168.1.100")
	w.until(t0.Add(31 * time.Minute))
	w.heard("REQUEST 192.168.1.100 renew")
	if got := mem.Recall(w.now, "alice"); got == nil || got.Expires != t0.Add(90*time.Minute) || a.Lease() != got {
		t.Errorf("the renewed lease is not kept: %+v", got)
	}

	// The line breaks off: the next connect asks for the same address at once.
	w.do(func(now time.Time, out *Out) { a.Release(now, true, out) })
	w.heard()
	now := w.now
	srv := w.srv
	w, a = assigner(t, cfg)
	w.now, w.srv = now, srv
	w.do(a.Start)
	w.heard("REQUEST 192.168.1.100 reboot")

	// The user hangs up: the server is told, and the lease forgotten.
	w.do(func(now time.Time, out *Out) { a.Release(now, false, out) })
	w.heard("RELEASE 192.168.1.100")
	if mem.Recall(now, "alice") != nil || a.Lease() != nil {
		t.Error("a released lease is kept")
	}

	// The server is silent until the end.
	w.do(a.Start)
	w.srv.deaf = true
	if e := w.until(now.Add(2*time.Hour), Lost); e == nil || a.Lease() != nil || mem.Recall(now, "alice") != nil {
		t.Errorf("%+v", w.events)
	}
}

func TestAssignerGivesBack(t *testing.T) {
	p := newPool(t, "192.168.1.200-192.168.1.201")
	w, a := assigner(t, AssignerConfig{Pool: p})
	w.do(a.Start)
	w.do(a.Start) // again, without an end in between
	if _, held := p.Use(); held != 1 {
		t.Errorf("%d held", held)
	}
	w.do(func(now time.Time, out *Out) { a.Release(now, true, out) })
	if _, held := p.Use(); held != 0 {
		t.Errorf("%d held after the end", held)
	}
	w.do(func(now time.Time, out *Out) { a.Release(now, false, out) })

	// Four in a row that others have are enough.
	big := newPool(t, "192.168.1.0/25")
	w, a = assigner(t, AssignerConfig{Pool: big})
	for x := addrA.Prev(); len(w.taken) < 200; x = x.Next() {
		w.taken[x] = true
	}
	for x := netip.MustParseAddr("192.168.1.1"); x.Less(addrA); x = x.Next() {
		w.taken[x] = true
	}
	w.do(a.Start)
	if e := w.until(t0.Add(time.Minute), Failed); e == nil || !strings.Contains(e.Reason, "other stations have 4 addresses of the pool") {
		t.Errorf("%+v", w.events)
	}
	if _, held := big.Use(); held != 0 {
		t.Errorf("%d held after the failure", held)
	}
}
