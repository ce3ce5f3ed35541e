package ppp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// wire joins two links, in fake time. It loses, doubles and reorders packets
// by chance.
type wire struct {
	t              *testing.T
	rng            *rand.Rand
	now            time.Time
	ends           [2]*Link // server, client
	packets        []onWire
	loss, double   float64
	jitter         time.Duration
	password       string // that the server knows
	assign         Addresses
	assignLater    time.Duration
	assignAt       time.Time
	tick           time.Duration // look at least so often; 0: only when something happens
	events         [2][]string
	up4            [2]EventUp4
	up6            [2]EventUp6
	ended          [2]*EventEnd
	checks, counts int
	trace          func(from int, packet []byte)
}

type onWire struct {
	at   time.Time
	to   int
	data []byte
}

// source is a seeded io.Reader.
type source struct{ *rand.Rand }

func (s source) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return len(b), nil
}

func newWire(t *testing.T, seed uint64, server Server, client Client) *wire {
	w := &wire{t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_700_000_000, 0), password: "secret"}
	server.Rand, client.Rand = source{w.rng}, source{w.rng}
	if client.User == "" {
		client.User, client.Password = "alice", "secret"
	}
	w.ends = [2]*Link{NewServer(server), NewClient(client)}
	w.assign = Addresses{
		Local: netip.MustParseAddr("192.0.2.1"), Peer: netip.MustParseAddr("192.0.2.99"),
		DNS:     [2]netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.0.2.54")},
		LocalID: [8]byte{7: 1}, PeerID: [8]byte{7: 2},
	}
	return w
}

// handle takes what one end sends and tells.
func (w *wire) handle(from int, out *Out) {
	for _, p := range out.Packets {
		w.counts++
		if w.trace != nil {
			w.trace(from, p)
		}
		copies := 1
		if w.rng.Float64() < w.double {
			copies = 2
		}
		for range copies {
			if w.rng.Float64() < w.loss {
				continue
			}
			at := w.now.Add(time.Millisecond)
			if w.jitter > 0 {
				at = at.Add(time.Duration(w.rng.Int64N(int64(w.jitter))))
			}
			w.packets = append(w.packets, onWire{at, 1 - from, bytes.Clone(p)})
		}
	}
	for _, e := range out.Events {
		w.events[from] = append(w.events[from], strings.TrimPrefix(fmt.Sprintf("%T", e), "ppp.Event"))
		switch e := e.(type) {
		case EventAuth:
			w.checks++
			w.call(from, func(l *Link, out *Out) { l.Authenticated(w.now, e.Seq, e.CheckPassword(w.password), out) })
		case EventNetwork:
			if from == 0 {
				w.assignAt = w.now.Add(w.assignLater)
			}
		case EventUp4:
			w.up4[from] = e
		case EventUp6:
			w.up6[from] = e
		case EventDown4:
			w.up4[from] = EventUp4{}
		case EventDown6:
			w.up6[from] = EventUp6{}
		case EventEnd:
			if w.ended[from] != nil {
				w.t.Errorf("end %d ended twice: %+v, %+v", from, *w.ended[from], e)
			}
			w.ended[from] = &e
		}
	}
}

func (w *wire) call(who int, f func(*Link, *Out)) {
	var out Out
	f(w.ends[who], &out)
	w.handle(who, &out)
}

// run lets time go by, at most d, until done.
func (w *wire) run(d time.Duration, done func() bool) bool {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.next(end) {
		var due []onWire
		rest := w.packets[:0:0]
		for _, p := range w.packets {
			if p.at.After(w.now) {
				rest = append(rest, p)
			} else {
				due = append(due, p)
			}
		}
		w.packets = rest
		for _, p := range due {
			w.call(p.to, func(l *Link, out *Out) { l.Receive(w.now, p.data, out) })
		}
		if !w.assignAt.IsZero() && !w.now.Before(w.assignAt) {
			w.assignAt = time.Time{}
			w.call(0, func(l *Link, out *Out) { l.Assign(w.now, w.assign, out) })
		}
		for i, l := range w.ends {
			if at := l.Deadline(); !at.IsZero() && !at.After(w.now) {
				w.call(i, func(l *Link, out *Out) { l.Advance(w.now, out) })
				if at := l.Deadline(); !at.IsZero() && !at.After(w.now) {
					w.t.Fatalf("end %d: the deadline %v does not move", i, at)
				}
			}
		}
		if done() {
			return true
		}
	}
	return false
}

// next is when something happens next, at least a millisecond from now.
func (w *wire) next(end time.Time) time.Time {
	next := end
	consider := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if w.tick > 0 {
		consider(w.now.Add(w.tick))
	}
	for _, p := range w.packets {
		consider(p.at)
	}
	consider(w.assignAt)
	consider(w.ends[0].Deadline())
	consider(w.ends[1].Deadline())
	if least := w.now.Add(time.Millisecond); next.Before(least) {
		return least
	}
	return next
}

func (w *wire) open() {
	for i := range w.ends {
		w.call(i, func(l *Link, out *Out) { l.Open(w.now, out) })
	}
}

func (w *wire) bothUp(v4, v6 bool) func() bool {
	return func() bool {
		return (!v4 || w.up4[0].Peer.IsValid() && w.up4[1].Peer.IsValid()) && (!v6 || w.up6[0].PeerID != [8]byte{} && w.up6[1].PeerID != [8]byte{})
	}
}

func (w *wire) bothEnded() bool { return w.ended[0] != nil && w.ended[1] != nil }

func dual(m ...Method) (Server, Client) {
	return Server{Methods: m}, Client{Methods: m, DNS: true, IPv4: true, IPv6: true}
}

func TestAllMethods(t *testing.T) {
	for _, m := range []Method{MSCHAPv2, EAPMSCHAPv2, CHAPMD5, PAP} {
		w := newWire(t, 1, Server{Methods: []Method{m}}, Client{Methods: []Method{m}, DNS: true, IPv4: true, IPv6: true})
		w.assignLater = 300 * time.Millisecond // DHCP takes a while
		w.open()
		start := w.now
		if !w.run(10*time.Second, w.bothUp(true, true)) {
			t.Fatalf("%v: not up: %v", m, w.events)
		}
		if d := w.now.Sub(start); d > 400*time.Millisecond {
			t.Errorf("%v: up after %v, of which 300 ms are the address's", m, d)
		}
		c := w.up4[1]
		if c.Local != w.assign.Peer || c.Peer != w.assign.Local || c.DNS != w.assign.DNS || c.Params.MTU != 1400 {
			t.Errorf("%v: client has %+v", m, c)
		}
		if s := w.up4[0]; s.Peer != w.assign.Peer || w.up6[0].PeerID != w.up6[1].LocalID || w.up6[1].PeerID != w.assign.LocalID {
			t.Errorf("%v: server has %+v, %+v, client %+v", m, s, w.up6[0], w.up6[1])
		}
		w.call(1, func(l *Link, out *Out) { l.Close(w.now, Closed, out) })
		if !w.run(10*time.Second, w.bothEnded) || w.ended[0].Reason != PeerClosed || w.ended[1].Reason != Closed {
			t.Errorf("%v: ended %+v", m, w.ended)
		}
		for i, l := range w.ends {
			if !l.Deadline().IsZero() {
				t.Errorf("%v: end %d still waits for %v", m, i, l.Deadline())
			}
		}
	}
}

func TestWrongPassword(t *testing.T) {
	for _, m := range []Method{MSCHAPv2, EAPMSCHAPv2, CHAPMD5, PAP} {
		w := newWire(t, 1, Server{Methods: []Method{m}}, Client{Methods: []Method{m}, IPv4: true})
		w.password = "other"
		w.open()
		if !w.run(10*time.Second, w.bothEnded) || w.ended[0].Reason != AuthFailed || w.ended[0].Detail != "alice" || w.ended[1].Reason != AuthFailed {
			t.Errorf("%v: ended %+v", m, w.ended)
		}
		if w.checks != 1 {
			t.Errorf("%v: %d checks", m, w.checks)
		}
	}
}

// TestNoOracle: a failure looks the same whatever its cause, in bytes and in
// the order of packets, but for what is random.
func TestNoOracle(t *testing.T) {
	for _, m := range []Method{MSCHAPv2, EAPMSCHAPv2, CHAPMD5, PAP} {
		var traces [2][]string
		for i, user := range []string{"alice", "nobody"} {
			w := newWire(t, 1, Server{Methods: []Method{m}}, Client{User: user, Password: "secret", Methods: []Method{m}, IPv4: true})
			w.password = "other"
			w.trace = func(from int, p []byte) {
				if from == 0 {
					traces[i] = append(traces[i], fmt.Sprintf("%x", p))
				}
			}
			w.open()
			w.run(10*time.Second, w.bothEnded)
		}
		if fmt.Sprint(traces[0]) != fmt.Sprint(traces[1]) {
			t.Errorf("%v:\n%v\n%v", m, traces[0], traces[1])
		}
	}
}

// TestFalseServer: a server that does not know the password lets everybody in;
// the client does not believe it.
func TestFalseServer(t *testing.T) {
	for _, m := range []Method{MSCHAPv2, EAPMSCHAPv2} {
		w := newWire(t, 1, Server{Methods: []Method{m}}, Client{Methods: []Method{m}, IPv4: true})
		var out Out
		w.open()
		w.run(2*time.Second, func() bool {
			return w.ends[0].phase == phaseAuthenticate && w.ends[0].auth.(*authServer).step == stepWaiting
		})
		a := w.ends[0].auth.(*authServer)
		a.step, a.at = stepChecking, time.Time{}
		w.ends[0].Authenticated(w.now, w.ends[0].seq, Result{OK: true, Authenticator: "S=" + strings.Repeat("0", 40)}, &out)
		w.packets = append(w.packets, onWire{w.now.Add(20 * time.Millisecond), 1, bytes.Clone(out.Packets[0])})
		w.run(10*time.Second, func() bool { return w.ended[1] != nil })
		if w.ended[1] == nil || w.ended[1].Reason != ServerNotTrue {
			t.Errorf("%v: %+v", m, w.ended[1])
		}
	}
}

func TestMethodsAreAgreed(t *testing.T) {
	for _, x := range []struct {
		what           string
		server, client []Method
		want           Method
		fails          bool
	}{
		{"the server's first", []Method{MSCHAPv2, PAP}, []Method{PAP, MSCHAPv2}, MSCHAPv2, false},
		{"the client proposes another that is allowed", []Method{EAPMSCHAPv2, MSCHAPv2, PAP}, []Method{PAP}, PAP, false},
		{"not allowed", []Method{MSCHAPv2}, []Method{PAP}, 0, true},
		{"not allowed either", []Method{MSCHAPv2, EAPMSCHAPv2}, []Method{PAP, CHAPMD5}, 0, true},
	} {
		w := newWire(t, 1, Server{Methods: x.server}, Client{Methods: x.client, IPv4: true})
		w.open()
		w.run(30*time.Second, func() bool { return w.bothUp(true, false)() || w.ended[0] != nil })
		switch {
		case x.fails && (w.ended[0] == nil || w.ended[0].Reason != NoAuthMethod || w.checks > 0):
			t.Errorf("%s: %+v, %d checks", x.what, w.ended[0], w.checks)
		case !x.fails && (w.ended[0] != nil || w.ends[0].methods[w.ends[0].lcp.method] != x.want):
			t.Errorf("%s: %+v, method %v", x.what, w.ended[0], w.ends[0].methods[w.ends[0].lcp.method])
		}
	}
}

// TestBadWires has 200 links on wires that lose, double and reorder.
func TestBadWires(t *testing.T) {
	worst := time.Duration(0)
	for seed := range uint64(200) {
		m := Method(seed % uint64(numMethods))
		server, client := dual(m)
		w := newWire(t, seed, server, client)
		w.loss, w.double, w.jitter = 0.2, 0.2, 30*time.Millisecond
		w.assignLater = time.Duration(seed) * time.Millisecond
		w.open()
		start := w.now
		if !w.run(55*time.Second, w.bothUp(true, true)) {
			t.Errorf("seed %d, %v: not up: %v %+v", seed, m, w.events, w.ended)
			continue
		}
		worst = max(worst, w.now.Sub(start))
		w.run(100*time.Second, func() bool { return false })
		if !w.bothUp(true, true)() || w.ended[0] != nil || w.ended[1] != nil {
			t.Errorf("seed %d, %v: it did not stay up: %v", seed, m, w.events)
		}
		w.call(0, func(l *Link, out *Out) { l.Close(w.now, Closed, out) })
		if !w.run(10*time.Minute, w.bothEnded) {
			t.Errorf("seed %d: not ended: %+v", seed, w.ended)
		}
	}
	t.Logf("slowest of 200: up after %v", worst)
}

func TestSilentPeer(t *testing.T) {
	server, client := dual(MSCHAPv2)
	w := newWire(t, 1, server, client)
	w.call(0, func(l *Link, out *Out) { l.Open(w.now, out) }) // the client never opens
	start := w.now
	if !w.run(2*time.Minute, func() bool { return w.ended[0] != nil }) || w.ended[0].Reason != NoAnswer {
		t.Fatalf("%+v", w.ended[0])
	}
	if d := w.now.Sub(start); w.counts != maxConfigure || d > 30*time.Second {
		t.Errorf("%d requests in %v, want %d", w.counts, d, maxConfigure)
	}

	w = newWire(t, 1, server, client)
	w.open()
	w.run(5*time.Second, w.bothUp(true, true))
	w.loss = 1
	start = w.now
	w.run(10*time.Minute, func() bool { return w.ended[0] != nil })
	if w.ended[0] == nil || w.ended[0].Reason != PeerSilent {
		t.Fatalf("%+v", w.ended[0])
	}
	if d := w.now.Sub(start); d > 125*time.Second {
		t.Errorf("a dead peer was noticed after %v", d)
	}
}

func TestHeardSavesEchoes(t *testing.T) {
	server, client := dual(MSCHAPv2)
	w := newWire(t, 1, server, client)
	w.open()
	w.run(5*time.Second, w.bothUp(true, true))
	w.counts, w.tick = 0, time.Second
	w.run(3*time.Minute, func() bool { w.ends[0].Heard(w.now); w.ends[1].Heard(w.now); return false })
	if w.counts != 0 {
		t.Errorf("%d packets while IP packets were heard", w.counts)
	}
}

func TestSetupTimeout(t *testing.T) {
	server, client := dual(MSCHAPv2)
	w := newWire(t, 1, server, client)
	w.assignLater = time.Hour // a DHCP server that never answers
	client.EchoEvery = -1
	w.open()
	start := w.now
	w.run(2*time.Minute, func() bool { return w.ended[0] != nil })
	if w.ended[0] == nil || w.ended[0].Reason != SetupTimeout && w.ended[0].Reason != PeerClosed || w.now.Sub(start) > 70*time.Second {
		t.Errorf("%+v after %v", w.ended[0], w.now.Sub(start))
	}
}

func TestIPv4Only(t *testing.T) {
	server, client := dual(MSCHAPv2)
	w := newWire(t, 1, server, client)
	w.assign.LocalID = [8]byte{}
	w.open()
	if !w.run(5*time.Second, w.bothUp(true, false)) {
		t.Fatal("not up")
	}
	w.run(5*time.Second, func() bool { return false })
	if w.ends[1].ipv6cp.state != stopped || w.ends[0].Stats().Rejected == 0 || w.ended[1] != nil {
		t.Errorf("IPV6CP in state %d, %+v", w.ends[1].ipv6cp.state, w.ends[0].Stats())
	}
	w = newWire(t, 1, server, client)
	w.assign = Addresses{}
	w.open()
	if !w.run(5*time.Second, w.bothEnded) || w.ended[0].Reason != NoNetwork {
		t.Errorf("nothing assigned: %+v", w.ended[0])
	}
}

// TestAgain: the client's LCP starts again on an open link.
func TestAgain(t *testing.T) {
	server, client := dual(MSCHAPv2)
	w := newWire(t, 1, server, client)
	w.open()
	w.run(5*time.Second, w.bothUp(true, true))
	for i := 1; ; i++ {
		c := client
		c.User, c.Password, c.Rand = "alice", "secret", source{w.rng}
		w.ends[1] = NewClient(c)
		w.ends[1].lcp.id = byte(i * 10)
		w.up4[1], w.up6[1], w.events[0] = EventUp4{}, EventUp6{}, nil
		w.call(1, func(l *Link, out *Out) { l.Open(w.now, out) })
		if !w.run(5*time.Second, w.bothUp(true, true)) {
			if w.ended[0] == nil || w.ended[0].Reason != TooManyRestart || i < 2 {
				t.Fatalf("round %d: not up again: %v %+v", i, w.events, w.ended[0])
			}
			break
		}
		if got := strings.Join(w.events[0], " "); !strings.HasPrefix(got, "Down4 Down6 Auth Network Up") {
			t.Errorf("round %d: %s", i, got)
		}
		if i > maxRestarts {
			t.Fatal("no end")
		}
	}
}

// TestStaleVerdict: RADIUS answers after the client has begun again.
func TestStaleVerdict(t *testing.T) {
	l := NewServer(Server{Config: Config{Rand: source{rand.New(rand.NewPCG(1, 1))}}})
	var out Out
	l.Open(time.Unix(0, 0), &out)
	l.lcp.state = opened
	l.established()
	a := l.auth.(*authServer)
	l.out = &out
	a.check("alice", Credentials{})
	l.torn()
	l.lcp.state = opened
	l.established()
	out.Reset()
	l.Authenticated(time.Unix(1, 0), l.seq, Result{OK: true, Authenticator: strings.Repeat("x", 42)}, &out)
	if l.phase != phaseAuthenticate || len(out.Packets) != 0 {
		t.Errorf("the answer to an old question let somebody in: phase %d", l.phase)
	}
}
