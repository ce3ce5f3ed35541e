package l2tp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// seeded is a source of test randomness.
type seeded struct{ *rand.Rand }

func (s seeded) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return len(b), nil
}

func source(seed uint64) seeded { return seeded{rand.New(rand.NewPCG(seed, 1))} }

// wire joins a client and a server in simulated time. It may lose, double and
// reorder packets.
type wire struct {
	t              testing.TB
	now            time.Time
	client, server *Endpoint
	rnd            *rand.Rand
	lose, double   float64
	delay          time.Duration // up to
	flight         []packetInFlight
	events         map[*Endpoint][]Event
	packets        map[*Endpoint]int
}

type packetInFlight struct {
	at  time.Time
	to  *Endpoint
	pkt []byte
}

func newWire(t testing.TB, seed uint64, cfg Config) *wire {
	w := &wire{t: t, now: time.Unix(1_800_000_000, 0), rnd: rand.New(rand.NewPCG(seed, 2)), delay: 20 * time.Millisecond,
		events: map[*Endpoint][]Event{}, packets: map[*Endpoint]int{}}
	cfg.Rand = source(seed)
	w.server = NewLNS(cfg)
	cfg.Rand = source(seed + 1)
	w.client = NewLAC(cfg)
	return w
}

// take sends what a call brought about.
func (w *wire) take(from *Endpoint, out *Out) {
	to := w.server
	if from == w.server {
		to = w.client
	}
	w.events[from] = append(w.events[from], out.Events...)
	for _, p := range out.Packets {
		w.packets[from]++
		for copies := 1; copies > 0; copies-- {
			if w.rnd.Float64() < w.lose {
				continue
			}
			if w.rnd.Float64() < w.double {
				copies++
			}
			at := w.now.Add(time.Duration(w.rnd.Int64N(int64(w.delay) + 1)))
			w.flight = append(w.flight, packetInFlight{at, to, bytes.Clone(p)})
		}
	}
	out.Reset()
}

// run lets time go by until done, or the limit.
func (w *wire) run(limit time.Duration, done func() bool) bool {
	var out Out
	for end := w.now.Add(limit); !done(); {
		next, who := end, 0
		for _, p := range w.flight {
			if p.at.Before(next) {
				next, who = p.at, 1
			}
		}
		for i, e := range []*Endpoint{w.client, w.server} {
			if d := e.Deadline(); !d.IsZero() && d.Before(next) {
				next, who = d, 2+i
			}
		}
		if next.After(w.now) {
			w.now = next
		}
		switch who {
		case 0:
			return done()
		case 1:
			i := slices.IndexFunc(w.flight, func(p packetInFlight) bool { return !p.at.After(w.now) })
			p := w.flight[i]
			w.flight = slices.Delete(w.flight, i, i+1)
			_ = p.to.Receive(w.now, p.pkt, &out)
			w.take(p.to, &out)
		default:
			e := []*Endpoint{w.client, w.server}[who-2]
			e.Advance(w.now, &out)
			w.take(e, &out)
		}
	}
	return true
}

func (w *wire) dial(id uint16) {
	w.t.Helper()
	var out Out
	if err := w.client.Dial(w.now, id, &out); err != nil {
		w.t.Fatal(err)
	}
	w.take(w.client, &out)
}

func (w *wire) last(e *Endpoint, kind EventKind) (ev Event, ok bool) {
	for _, x := range w.events[e] {
		if x.Kind == kind {
			ev, ok = x, true
		}
	}
	return ev, ok
}

func (w *wire) bothUp() bool { return w.client.Sessions() == 1 && w.server.Sessions() == 1 }

func TestCallComesUp(t *testing.T) {
	for _, secret := range []string{"", "tunnel secret"} {
		w := newWire(t, 1, Config{Secret: []byte(secret)})
		w.dial(1)
		if !w.run(time.Second, w.bothUp) {
			t.Fatalf("secret %q: not up within a second: %+v", secret, w.events)
		}
		c, _ := w.last(w.client, SessionUp)
		s, _ := w.last(w.server, SessionUp)
		if c.Tunnel != 1 || c.Tunnel != s.PeerTunnel || c.Session != s.PeerSess || s.Session != c.PeerSess || s.PeerHost != "vhub" {
			t.Errorf("secret %q: the ends disagree: %+v, %+v", secret, c, s)
		}
	}
}

func TestWrongTunnelSecret(t *testing.T) {
	w := newWire(t, 1, Config{Secret: []byte("a")})
	w.client.cfg.Secret = []byte("b")
	w.dial(0)
	w.run(5*time.Second, func() bool { _, ok := w.last(w.client, TunnelDown); return ok })
	ev, _ := w.last(w.client, TunnelDown)
	if w.server.Sessions() != 0 || !strings.Contains(ev.Reason, "wrong tunnel secret") {
		t.Errorf("client: %+v", ev)
	}
}

// TestLossyWires runs many seeds of a bad wire: each call is up in the end, or
// both sides have given up.
func TestLossyWires(t *testing.T) {
	up := 0
	for seed := range uint64(500) {
		w := newWire(t, seed, Config{})
		w.lose, w.double, w.delay = float64(seed%60)/100, 0.1, 200*time.Millisecond
		w.dial(1)
		if w.run(time.Minute, w.bothUp) {
			up++
			continue
		}
		w.run(3*time.Minute, func() bool { return len(w.client.tunnels)+len(w.server.tunnels) == 0 })
		if c, s := w.client.Sessions(), w.server.Sessions(); c != s {
			t.Fatalf("seed %d, %.0f %% lost: client has %d sessions, server %d", seed, 100*w.lose, c, s)
		}
	}
	t.Logf("500 wires that lose 0 to 59 %%: %d calls up", up)
	if up < 450 {
		t.Errorf("only %d of 500 calls came up", up)
	}
}

func TestSilentPeerIsGivenUp(t *testing.T) {
	w := newWire(t, 3, Config{HelloEvery: 10 * time.Second})
	w.dial(1)
	w.run(time.Second, w.bothUp)
	w.lose = 1
	start := w.now
	w.run(3*time.Minute, func() bool { return w.server.Sessions() == 0 && w.client.Sessions() == 0 })
	ev, ok := w.last(w.server, SessionDown)
	if !ok || ev.Reason != "the peer does not answer" {
		t.Fatalf("after %v: %+v", w.now.Sub(start), ev)
	}
	if took := w.now.Sub(start); took > time.Minute {
		t.Errorf("given up after %v, want under a minute", took)
	}
}

func TestHellosKeepAnIdleCallUp(t *testing.T) {
	w := newWire(t, 4, Config{HelloEvery: 10 * time.Second})
	w.lose = 0.2
	w.dial(1)
	w.run(time.Minute, w.bothUp)
	w.run(time.Hour, func() bool { return !w.bothUp() })
	if !w.bothUp() {
		t.Errorf("down: %+v", w.events[w.server])
	}
}

// message builds a control message by hand, as some client does.
func control(tunnel, session, ns, nr uint16, b avps) []byte {
	return appendControl(nil, tunnel, session, ns, nr, b)
}

func windowsSCCRQ() avps {
	return newMessage(SCCRQ).bytes(avpProtocolVersion, []byte{1, 0}).uint32(avpFramingCaps, 1).uint32(avpBearerCaps, 0).
		uint16(avpFirmwareRevision, 0x0a00).bytes(avpHostName, []byte("DESKTOP")).bytes(avpVendorName, []byte("Microsoft")).
		uint16(avpAssignedTunnel, 1).uint16(avpReceiveWindow, 8)
}

// steps drives a server with hand-made messages of a client.
type steps struct {
	t      *testing.T
	e      *Endpoint
	now    time.Time
	out    Out
	tunnel uint16 // the server's
}

func newSteps(t *testing.T, cfg Config) *steps {
	cfg.Rand = source(9)
	return &steps{t: t, e: NewLNS(cfg), now: time.Unix(1_800_000_000, 0)}
}

// in hands a message over and returns the types of the answers.
func (s *steps) in(pkt []byte) []string {
	s.t.Helper()
	s.out.Reset()
	_ = s.e.Receive(s.now, pkt, &s.out)
	return s.types()
}

func (s *steps) types() (types []string) {
	for _, p := range s.out.Packets {
		h, body, err := ParseHeader(p)
		if err != nil {
			s.t.Fatalf("the server sent rubbish: %x", p)
		}
		if len(body) == 0 {
			types = append(types, "ZLB")
			continue
		}
		m, err := parseMessage(body, nil)
		if err != nil {
			s.t.Fatalf("the server sent rubbish: %v: %x", err, p)
		}
		if id, ok := m.uint16(avpAssignedTunnel); ok && m.Type == SCCRP {
			s.tunnel = id
		}
		_ = h
		types = append(types, m.Type.String())
	}
	return types
}

func (s *steps) want(what string, got []string, want ...string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("%s: answered %v, want %v", what, got, want)
	}
}

func TestWindowsStory(t *testing.T) {
	s := newSteps(t, Config{})
	first := control(0, 0, 0, 0, windowsSCCRQ())
	s.want("SCCRQ", s.in(first), "SCCRP")
	id := s.tunnel
	s.now = s.now.Add(time.Second)
	s.want("the same SCCRQ again (its answer was lost)", s.in(first), "SCCRP")
	if s.tunnel != id || len(s.e.tunnels) != 1 {
		t.Fatalf("the repeated SCCRQ made another tunnel")
	}
	s.want("SCCCN", s.in(control(id, 0, 1, 1, newMessage(SCCCN))), "ZLB")
	s.want("ICRQ", s.in(control(id, 0, 2, 1, newMessage(ICRQ).uint16(avpAssignedSession, 1).uint32(avpCallSerial, 0))), "ICRP")
	s.want("ICCN", s.in(control(id, s.session(), 3, 2, newMessage(ICCN).uint32(avpTxSpeed, 1e8).uint32(avpFramingType, 1))), "ZLB")
	if s.e.Sessions() != 1 {
		t.Fatal("no session")
	}
	s.now = s.now.Add(10 * time.Second)
	s.want("a new SCCRQ with tunnel id 1 by the same SA: the client was restarted", s.in(first), "SCCRP")
	if s.tunnel == id || s.e.Sessions() != 0 || len(s.e.tunnels) != 1 {
		t.Errorf("the old tunnel was not replaced")
	}
	var reasons []string
	for _, ev := range s.out.Events {
		reasons = append(reasons, ev.Reason)
	}
	if !strings.Contains(strings.Join(reasons, ";"), "began anew") {
		t.Errorf("reasons: %v", reasons)
	}
}

// session is the server's id of the only session.
func (s *steps) session() uint16 {
	for _, t := range s.e.tunnels {
		for _, one := range t.sessions {
			id := one.id
			return id
		}
	}
	return 0
}

// up brings a call up.
func (s *steps) up() (tunnel, session uint16) {
	s.in(control(0, 0, 0, 0, windowsSCCRQ()))
	s.in(control(s.tunnel, 0, 1, 1, newMessage(SCCCN)))
	s.in(control(s.tunnel, 0, 2, 1, newMessage(ICRQ).uint16(avpAssignedSession, 1).uint32(avpCallSerial, 0)))
	s.in(control(s.tunnel, s.session(), 3, 2, newMessage(ICCN).uint32(avpTxSpeed, 1e8)))
	if s.e.Sessions() != 1 {
		s.t.Fatal("no session")
	}
	return s.tunnel, s.session()
}

func TestMessagesThatMustNotHarm(t *testing.T) {
	for _, tt := range []struct {
		name string
		msg  func(tunnel, session uint16) []byte
		want []string
		up   int
	}{
		{"a duplicate is acknowledged again", func(tu, se uint16) []byte { return control(tu, se, 3, 2, newMessage(ICCN)) }, []string{"ZLB"}, 1},
		{"an early message waits", func(tu, se uint16) []byte { return control(tu, se, 6, 2, newMessage(CDN).result(3, 0, "")) }, []string{"ZLB"}, 1},
		{"a message for a tunnel that is gone is answered by StopCCN",
			func(tu, se uint16) []byte { return control(tu+1, 0, 9, 9, newMessage(Hello)) }, []string{"StopCCN"}, 1},
		{"a StopCCN for a tunnel that is gone is not answered",
			func(tu, se uint16) []byte { return control(tu+1, 0, 9, 9, newMessage(StopCCN).result(1, 0, "")) }, nil, 1},
		{"an unknown optional AVP is ignored",
			func(tu, se uint16) []byte { return control(tu, 0, 4, 2, newMessage(Hello).optional(200, []byte{1})) }, []string{"ZLB"}, 1},
		{"an unknown mandatory AVP in a message of the session ends the session",
			func(tu, se uint16) []byte { return control(tu, se, 4, 2, newMessage(SLI).bytes(200, []byte{1})) }, []string{"CDN"}, 0},
		{"an unknown mandatory AVP in a message of the tunnel ends the tunnel",
			func(tu, se uint16) []byte { return control(tu, 0, 4, 2, newMessage(Hello).bytes(200, []byte{1})) }, []string{"StopCCN"}, 0},
		{"SLI, which Apple sends, is taken", func(tu, se uint16) []byte { return control(tu, se, 4, 2, newMessage(SLI)) }, []string{"ZLB"}, 1},
		{"an outgoing call is refused, the tunnel stays",
			func(tu, se uint16) []byte {
				return control(tu, 0, 4, 2, newMessage(OCRQ).uint16(avpAssignedSession, 7))
			}, []string{"CDN"}, 1},
		{"an AVP that is longer than the message ends the tunnel",
			func(tu, se uint16) []byte {
				b := newMessage(Hello)
				b = append(b, 0x83, 0xff, 0, 0, 0, 9)
				return control(tu, 0, 4, 2, b)
			}, []string{"StopCCN"}, 0},
		{"Apple's CDN, its result code byte-swapped",
			func(tu, se uint16) []byte {
				return control(tu, se, 4, 2, newMessage(CDN).bytes(avpResultCode, []byte{3, 0}).uint16(avpAssignedSession, 1))
			}, []string{"ZLB"}, 0},
		{"StopCCN", func(tu, se uint16) []byte {
			return control(tu, 0, 4, 2, newMessage(StopCCN).uint16(avpAssignedTunnel, 1).result(6, 0, ""))
		}, []string{"ZLB"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSteps(t, Config{})
			tu, se := s.up()
			s.want("answer", s.in(tt.msg(tu, se)), tt.want...)
			if n := s.e.Sessions(); n != tt.up {
				t.Errorf("%d sessions, want %d; events %+v", n, tt.up, s.out.Events)
			}
			if strings.Contains(tt.name, "byte-swapped") && (len(s.out.Events) != 1 || !strings.Contains(s.out.Events[0].Reason, "hung up")) {
				t.Errorf("events: %+v", s.out.Events)
			}
		})
	}
}

func TestEarlyMessagesAreTakenInTheirTurn(t *testing.T) {
	s := newSteps(t, Config{})
	s.in(control(0, 0, 0, 0, windowsSCCRQ()))
	s.want("ICRQ before SCCCN", s.in(control(s.tunnel, 0, 2, 1, newMessage(ICRQ).uint16(avpAssignedSession, 1))), "ZLB")
	s.want("SCCCN", s.in(control(s.tunnel, 0, 1, 1, newMessage(SCCCN))), "ICRP")
}

func TestHiddenAVP(t *testing.T) {
	secret, vector := []byte("s3cret"), []byte("0123456789abcdef")
	hide := func(a attribute, value []byte) []byte {
		plain := append([]byte{0, byte(len(value))}, value...)
		plain = append(plain, make([]byte, 16)...) // padding hides the length
		out := make([]byte, len(plain))
		var previous []byte
		for at := 0; at < len(plain); at += 16 {
			pad := hidingBlock(a, secret, vector, previous)
			for i := at; i < min(at+16, len(plain)); i++ {
				out[i] = plain[i] ^ pad[i-at]
			}
			previous = out[at:min(at+16, len(plain))]
		}
		return out
	}
	b := newMessage(SCCRQ).bytes(avpRandomVector, vector)
	at := len(b)
	b = b.bytes(avpHostName, hide(avpHostName, []byte("a host whose name is longer than sixteen bytes")))
	b[at] |= avpHidden >> 8
	m, err := parseMessage(b, secret)
	if err != nil || m.text(avpHostName) != "a host whose name is longer than sixteen bytes" {
		t.Errorf("%v: %q", err, m.text(avpHostName))
	}
	if _, err := parseMessage(b, nil); err == nil {
		t.Error("read without the secret")
	}
	if m, err := parseMessage(b, []byte("other")); err == nil && m.text(avpHostName) != "" && strings.HasPrefix(m.text(avpHostName), "a host") {
		t.Error("read with another secret")
	}
}

func TestManyTunnelsAndSessionsAreRefused(t *testing.T) {
	s := newSteps(t, Config{MaxTunnels: 2, MaxSessions: 2})
	for i := range uint16(3) {
		want := "SCCRP"
		if i == 2 {
			want = "StopCCN"
		}
		s.want(fmt.Sprintf("tunnel %d", i+1), s.in(control(0, 0, 0, 0, newMessage(SCCRQ).bytes(avpProtocolVersion, []byte{1, 0}).
			bytes(avpHostName, []byte("x")).uint32(avpFramingCaps, 3).uint16(avpAssignedTunnel, 10+i))), want)
	}
	s = newSteps(t, Config{MaxSessions: 2})
	s.up()
	s.want("second session", s.in(control(s.tunnel, 0, 4, 2, newMessage(ICRQ).uint16(avpAssignedSession, 2))), "ICRP")
	s.want("third session", s.in(control(s.tunnel, 0, 5, 3, newMessage(ICRQ).uint16(avpAssignedSession, 3))), "CDN")
}

func TestDataHeaders(t *testing.T) {
	for _, tt := range []struct{ name, pkt, payload string }{
		{"as SoftEther sends it", "4002000a00010002aabb", "aabb"},
		{"short, as pppd's kernel sends it", "000200010002aabb", "aabb"},
		{"with sequence numbers", "4802000e0001000200050006aabb", "aabb"},
		{"with an offset of two", "4202000e000100020002eeeeaabb", "aabb"},
		{"with ESP padding behind the length", "4002000a00010002aabb01020304", "aabb"},
	} {
		pkt, _ := hex.DecodeString(tt.pkt)
		h, p, err := ParseHeader(pkt)
		if err != nil || h.Control || h.Tunnel != 1 || h.Session != 2 || hex.EncodeToString(p) != tt.payload {
			t.Errorf("%s: %+v %x %v", tt.name, h, p, err)
		}
	}
	b := make([]byte, DataHeaderLen+3)
	PutDataHeader(b, 7, 8, 3)
	if h, p, err := ParseHeader(b); err != nil || h.Tunnel != 7 || h.Session != 8 || len(p) != 3 {
		t.Errorf("%+v %v %v", h, p, err)
	}
	b = make([]byte, SequencedHeaderLen+3)
	PutSequencedHeader(b, 7, 8, 65535, 0, 3)
	if h, p, err := ParseHeader(b); err != nil || !h.Sequenced || h.Ns != 65535 || len(p) != 3 {
		t.Errorf("%+v %v %v", h, p, err)
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add([]byte{0x40, 2, 0, 10, 0, 1, 0, 2, 0xaa, 0xbb})
	f.Add([]byte{0x42, 2, 0, 10, 0, 1, 0, 2, 0xff, 0xff}) // an offset beyond the end
	f.Add([]byte{0xc8, 2, 0, 3, 0, 1, 0, 2, 0, 0, 0, 0})  // a length inside the header
	f.Fuzz(func(t *testing.T, b []byte) {
		_, p, err := ParseHeader(b)
		if err == nil && len(p) > len(b) {
			t.Fatal("more out than in")
		}
	})
}

// FuzzEndpoint drives a server that has a call up with any control messages.
func FuzzEndpoint(f *testing.F) {
	f.Add([]byte(windowsSCCRQ()), uint16(0), uint16(0))
	f.Add([]byte(newMessage(StopCCN).result(6, 0, "")), uint16(4), uint16(0))
	f.Add([]byte{0x83, 0xff, 0, 0, 0, 0, 0, 1}, uint16(4), uint16(0)) // tcpdump's l2tp-avp-overflow kind
	f.Add([]byte(newMessage(ICRQ).uint16(avpAssignedSession, 0)), uint16(4), uint16(1))
	f.Fuzz(func(t *testing.T, body []byte, ns, which uint16) {
		s := &steps{t: &testing.T{}, e: NewLNS(Config{Rand: source(9), Secret: []byte("x")}), now: time.Unix(1_800_000_000, 0)}
		s.e.cfg.Secret = nil
		tu, se := s.up()
		if which%3 == 1 {
			se = 0
		} else if which%3 == 2 {
			tu, se = 0, 0
		}
		var out Out
		for i := range uint16(3) {
			_ = s.e.Receive(s.now, control(tu, se, ns+i, 2, body), &out)
			s.now = s.now.Add(time.Second)
			s.e.Advance(s.now, &out)
		}
		for range 200 {
			if d := s.e.Deadline(); d.After(s.now) {
				s.now = d
			}
			s.e.Advance(s.now, &out)
		}
		if n := s.e.Sessions(); len(s.e.tunnels) == 0 && n != 0 {
			t.Fatalf("%d sessions without a tunnel", n)
		}
	})
}
