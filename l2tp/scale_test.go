package l2tp

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"vhub/arp"
	"vhub/dhcp"
	"vhub/hub"
	"vhub/internal/packet"
	"vhub/ppp"
)

// crowd is many clients of one server, in real time, at the end of wires
// without delay.
type crowd struct {
	t       *testing.T
	server  *Server
	hub     *hub.Hub
	stop    context.CancelFunc
	ended   chan struct{}
	members []*member
}

// member is one client and its carrier. Its goroutine lives until it is up.
type member struct {
	mu   sync.Mutex // for in
	p    *Peer
	c    *Client
	in   chan []byte
	addr netip.AddrPort
	took time.Duration
}

func (m *member) Send(pkts []packet.Packet) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range pkts {
		select {
		case m.in <- bytes.Clone(pkts[i].Payload()):
		default: // lost
		}
	}
	return len(pkts)
}
func (m *member) PathMTU() int           { return 1420 }
func (m *member) Remote() netip.AddrPort { return m.addr }
func (m *member) Close()                 {}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{t: t, ended: make(chan struct{})}
	c.hub = hub.New(hub.Config{Name: "default", MaxStations: 50_000, Neighbours: &arp.Config{Mode: arp.Assist}})
	r, err := dhcp.ParseRange("10.64.0.1-10.64.255.254")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := dhcp.NewPool(dhcp.PoolConfig{Ranges: []dhcp.Range{r}})
	if err != nil {
		t.Fatal(err)
	}
	c.server, err = NewServer(ServerConfig{Port: "road", Hub: c.hub, HubName: "default", Auth: passwords{}, Pool: pool, IPv6: true, Rand: rand.Reader,
		MaxSessions: 20_000, Facts: dhcp.Lease{Prefix: netip.MustParsePrefix("10.64.0.0/10")}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.stop = cancel
	go func() { defer close(c.ended); _ = c.server.Run(ctx) }()
	return c
}

func (c *crowd) close() { c.stop(); <-c.ended }

// dial has clients log in, at most window at once, and returns how long it took
// until the last was up.
func (c *crowd) dial(from, n, window int) time.Duration {
	c.t.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	slots := make(chan struct{}, window)
	failed := make(chan string, n)
	for i := from; i < from+n; i++ {
		slots <- struct{}{}
		m := &member{in: make(chan []byte, 32), addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 4500)}
		c.members = append(c.members, m)
		wg.Go(func() {
			defer func() { <-slots }()
			if why := m.run(c.server, "user"+strconv.Itoa(i), 30*time.Second); why != "" {
				failed <- why
			}
		})
	}
	wg.Wait()
	if len(failed) > 0 {
		c.t.Fatalf("%d of %d clients are not up, one: %s", len(failed), n, <-failed)
	}
	return time.Since(start)
}

// run logs in; it returns why not.
func (m *member) run(s *Server, user string, limit time.Duration) string {
	start := time.Now()
	m.c = NewClient(Config{HostName: "pc", Rand: rand.Reader}, ppp.Client{User: user, Password: "secret", IPv4: true, IPv6: true, Config: ppp.Config{Rand: rand.Reader}})
	m.p = s.Accept(m)
	recv := m.p.NewReceiver()
	var out ClientOut
	if err := m.c.Dial(start, 1, &out); err != nil {
		return err.Error()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for time.Since(start) < limit {
		if len(out.Packets) > 0 {
			recv(time.Now(), out.Packets)
		}
		out = ClientOut{}
		if m.c.Up && m.c.Up6 {
			m.took = time.Since(start)
			return ""
		}
		if m.c.Ended != "" {
			return m.c.Ended
		}
		wait := time.Second
		if d := m.c.Deadline(); !d.IsZero() {
			wait = max(time.Until(d), 0)
		}
		timer.Reset(wait)
		select {
		case b := <-m.in:
			m.c.Receive(time.Now(), b, &out)
		case <-timer.C:
			m.c.Advance(time.Now(), &out)
		}
	}
	return "not up within the limit"
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestManySessions logs many clients in and prints what that costs. VHUB_SESSIONS
// says how many (10,000 in the figures of the documents). The limits are wide:
// they are for what grows with the square of the number.
func TestManySessions(t *testing.T) {
	n := 1500 / slower
	if s := os.Getenv("VHUB_SESSIONS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	empty := heapBytes()
	c := newCrowd(t)
	defer c.close()
	used := cpu()
	took := c.dial(0, n, 512)
	each := (cpu() - used) / time.Duration(n)
	t.Logf("%d sessions up in %v: %.0f logins/s, %v of processor each (client and server)", n, took.Round(time.Millisecond), float64(n)/took.Seconds(), each.Round(time.Microsecond))
	if st := c.server.Status(); st.Sessions != n || st.Logins != uint64(n) {
		t.Errorf("status: %+v", st)
	}
	seen := map[netip.Addr]bool{}
	for _, m := range c.members {
		if seen[m.c.Local] {
			t.Errorf("%s is given twice", m.c.Local)
		}
		seen[m.c.Local] = true
	}

	// What a session costs in memory: the clients let go of theirs.
	for _, m := range c.members {
		m.mu.Lock()
		m.c, m.in = nil, nil
		m.mu.Unlock()
	}
	per := (float64(heapBytes()) - float64(empty)) / float64(n)
	t.Logf("%.0f bytes a session", per)
	if per > 100_000 {
		t.Errorf("%.0f bytes a session, want at most 100,000", per)
	}

	// And at rest: the clients are silent, so this includes timers, not answers.
	rest := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			next := c.hub.Advance(time.Now()) // the clock of the hub, which the daemon has
			time.Sleep(min(max(time.Until(next), time.Millisecond), 250*time.Millisecond))
		}
	}
	rest(5 * time.Second) // until the last has announced itself three times
	used = cpu()
	rest(2 * time.Second)
	idle := float64(cpu()-used) / 2e9
	t.Logf("at rest %.2f %% of a processor for %d sessions", 100*idle, n)
	start := time.Now()
	c.server.Sessions()
	t.Logf("session list of %d: %v", n, time.Since(start).Round(time.Microsecond))
	start = time.Now()
	c.close()
	t.Logf("all hung up in %v", time.Since(start).Round(time.Millisecond))
}

// TestAllComeBack has clients dial in one moment, as after a restart:
// all are up, none is wedged.
func TestAllComeBack(t *testing.T) {
	const n = 1000 / slower
	c := newCrowd(t)
	c.dial(0, n, 256)
	c.close()
	c = newCrowd(t)
	defer c.close()
	took := c.dial(0, n, n)
	slowest := time.Duration(0)
	for _, m := range c.members {
		slowest = max(slowest, m.took)
	}
	t.Logf("%d clients that dial at once are back in %v (the slowest waited %v); %d control packets found the loop behind",
		n, took.Round(time.Millisecond), slowest.Round(time.Millisecond), c.server.Counters.Overloaded.Load())
	if took > 20*time.Second {
		t.Errorf("back after %v, want at most 20 s", took)
	}
}
