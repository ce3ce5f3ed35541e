package l2tp

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vhub/arp"
	"vhub/dhcp"
	"vhub/eth"
	"vhub/hub"
	"vhub/internal/packet"
	"vhub/ppp"
)

// office is a hub with an L2TP server and one station, in a bubble of fake time.
type office struct {
	t      *testing.T
	hub    *hub.Hub
	server *Server
	log    *bytes.Buffer
	mu     sync.Mutex
	seen   [][]byte // frames that reached the station's port
	in     *hub.Reader
	stop   context.CancelFunc
	ended  chan struct{}
}

var stationMAC = eth.Addr{0x02, 0, 0, 0, 0, 0x30}

const stationIP = "172.16.0.30"

func (o *office) WriteFrames(frames []eth.Frame) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range frames {
		o.seen = append(o.seen, bytes.Clone(f.Data))
	}
	return len(frames)
}

// users is an Authenticator with one password for all.
type passwords struct{ accounts chan Accounting }

func (p passwords) Login(_ context.Context, l Login) Grant {
	g := Grant{User: strings.ToLower(l.User), Result: l.CheckPassword("secret")}
	if !g.Result.OK {
		g.Reason = "wrong password"
	}
	return g
}

func (p passwords) Account(a Accounting) {
	if p.accounts != nil {
		p.accounts <- a
	}
}

type syncWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w syncWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func newOffice(t *testing.T, change func(*ServerConfig)) *office {
	t.Helper()
	o := &office{t: t, log: &bytes.Buffer{}, ended: make(chan struct{})}
	o.hub = hub.New(hub.Config{Name: "default", Neighbours: &arp.Config{Mode: arp.Relay}})
	link, err := o.hub.Attach(time.Now(), o, hub.LinkConfig{Name: "lan", Kind: "tap"})
	if err != nil {
		t.Fatal(err)
	}
	o.in = link.NewReader()
	r, err := dhcp.ParseRange("172.16.0.200-172.16.0.230")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := dhcp.NewPool(dhcp.PoolConfig{Ranges: []dhcp.Range{r}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := ServerConfig{Port: "road", Hub: o.hub, HubName: "default", Auth: passwords{}, Pool: pool, IPv6: true, Rand: rand.Reader,
		Facts: dhcp.Lease{Prefix: netip.MustParsePrefix("172.16.0.0/24")},
		Log:   slog.New(slog.NewTextHandler(syncWriter{&o.mu, o.log}, nil))}
	if change != nil {
		change(&cfg)
	}
	if o.server, err = NewServer(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o.stop = cancel
	go func() { defer close(o.ended); _ = o.server.Run(ctx) }()
	return o
}

func (o *office) close() { o.stop(); <-o.ended }

func (o *office) logged() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.String()
}

// station sends a frame from the station's port.
func (o *office) station(b []byte) { o.in.Input(time.Now(), []eth.Frame{{Data: b}}) }

func (o *office) reached() [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.seen
	o.seen = nil
	return s
}

// remote is a client at the end of a wire without delay.
type remote struct {
	o      *office
	c      *Client
	p      *Peer
	recv   func(time.Time, [][]byte)
	mu     sync.Mutex
	queue  [][]byte
	ip     [][]byte
	out    ClientOut
	cut    bool
	addr   netip.AddrPort
	closed bool
}

func (r *remote) Send(pkts []packet.Packet) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range pkts {
		if !r.cut {
			r.queue = append(r.queue, bytes.Clone(pkts[i].Payload()))
		}
	}
	return len(pkts)
}
func (r *remote) PathMTU() int           { return 1420 }
func (r *remote) Remote() netip.AddrPort { return r.addr }
func (r *remote) Close()                 { r.closed = true }

func (o *office) client(user, password, host string) *remote {
	o.t.Helper()
	r := &remote{o: o, addr: netip.MustParseAddrPort("203.0.113.9:4500")}
	r.c = NewClient(Config{HostName: host, Rand: rand.Reader}, ppp.Client{User: user, Password: password, IPv4: true, IPv6: true, DNS: true, Config: ppp.Config{Rand: rand.Reader}})
	r.p = o.server.Accept(r)
	r.recv = r.p.NewReceiver()
	if err := r.c.Dial(time.Now(), 1, &r.out); err != nil {
		o.t.Fatal(err)
	}
	return r
}

// run lets the client and the server talk until done or the limit. What the server sends
// is shown to each of those who see.
func (r *remote) run(limit time.Duration, done func() bool, see ...func(b []byte)) bool {
	for end := time.Now().Add(limit); ; {
		if len(r.out.Packets) > 0 && !r.cut {
			r.recv(time.Now(), r.out.Packets)
		}
		r.ip = append(r.ip, r.out.IP...)
		r.out = ClientOut{}
		synctest.Wait()
		r.mu.Lock()
		q := r.queue
		r.queue = nil
		r.mu.Unlock()
		for _, b := range q {
			for _, f := range see {
				f(b)
			}
			r.c.Receive(time.Now(), b, &r.out)
		}
		if d := r.c.Deadline(); !d.IsZero() && !d.After(time.Now()) {
			r.c.Advance(time.Now(), &r.out)
		}
		if len(r.out.Packets) > 0 || len(r.out.IP) > 0 {
			continue
		}
		if done() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *remote) up() {
	r.o.t.Helper()
	if !r.run(10*time.Second, func() bool { return r.c.Up && r.c.Up6 }) {
		r.o.t.Fatalf("not up: %q\n%s", r.c.Ended, r.o.logged())
	}
}

func TestClientBecomesAStation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		defer o.close()
		start := time.Now()
		r := o.client("Alice", "secret", "phone")
		r.up()
		t.Logf("up after %v of simulated time", time.Since(start))
		if time.Since(start) > 1500*time.Millisecond {
			t.Errorf("up after %v, want under 1.5 s", time.Since(start))
		}
		if r.c.Local != netip.MustParseAddr("172.16.0.200") || r.c.Peer != localAddr {
			t.Errorf("addresses %v and %v", r.c.Local, r.c.Peer)
		}
		list := o.server.Sessions()
		if len(list) != 1 || list[0].User != "alice" || list[0].State != "up" || list[0].Address != r.c.Local || list[0].MAC.IsZero() {
			t.Fatalf("sessions: %+v", list)
		}
		mac := list[0].MAC

		// The station asks for the client, the client's packets reach the station.
		o.reached()
		o.station(eth.AppendARPRequest(nil, 0, eth.Broadcast, stationMAC, netip.MustParseAddr(stationIP), r.c.Local))
		r.run(100*time.Millisecond, func() bool { return false })
		answered := false
		for _, f := range o.reached() {
			if l := eth.Parse(f); l.ARP(f) != nil && l.ARP(f).Op() == eth.ARPReply && l.ARP(f).SenderMAC() == mac {
				answered = true
			}
		}
		if !answered {
			t.Error("nobody answered for the client")
		}
		r.send(packet4(r.c.Local, stationIP, 100))
		got := o.ipFrames()
		if len(got) != 1 || eth.Destination(got[0]) != stationMAC || eth.Source(got[0]) != mac || len(got[0]) != 14+120 {
			t.Errorf("the station got %x", got)
		}
		o.station(frame4(mac, stationMAC, packet4(netip.MustParseAddr(stationIP), r.c.Local.String(), 200)))
		r.run(50*time.Millisecond, func() bool { return len(r.ip) > 0 })
		if len(r.ip) != 1 || len(r.ip[0]) != 220 {
			t.Errorf("the client got %d packets", len(r.ip))
		}

		// A large packet is cut, one that must not be is answered.
		r.ip = nil
		o.station(frame4(mac, stationMAC, packet4(netip.MustParseAddr(stationIP), r.c.Local.String(), 1480)))
		r.run(50*time.Millisecond, func() bool { return len(r.ip) > 1 })
		if len(r.ip) != 2 {
			t.Errorf("a packet of 1,500 bytes came as %d", len(r.ip))
		}
		df := packet4(netip.MustParseAddr(stationIP), r.c.Local.String(), 1480)
		df[6] = 0x40
		o.reached()
		o.station(frame4(mac, stationMAC, df))
		r.run(50*time.Millisecond, func() bool { return false })
		told := false
		for _, f := range o.ipFrames() {
			told = told || (f[23] == eth.ProtoICMP && f[34] == 3 && f[35] == 4)
		}
		if !told {
			t.Error("the sender of a packet with DF was not told")
		}

		// A forged sender goes nowhere.
		o.reached()
		r.send(packet4(netip.MustParseAddr("172.16.0.99"), stationIP, 10))
		if got := o.ipFrames(); len(got) != 0 || o.server.Counters.BadSource.Load() != 1 {
			t.Errorf("forged: %x", got)
		}

		var out ClientOut
		r.c.Close(time.Now(), &out)
		r.recv(time.Now(), out.Packets)
		r.run(time.Second, func() bool { return len(o.server.Sessions()) == 0 })
		if n := len(o.server.Sessions()); n != 0 || !strings.Contains(o.logged(), "session ended") {
			t.Errorf("%d sessions after the end: %s", n, o.logged())
		}
	})
}

func (r *remote) send(ip []byte) {
	r.recv(time.Now(), [][]byte{r.c.Send(nil, ip)})
	synctest.Wait()
}

// What the machines of a client drop is counted, also once the client is gone: packets
// for a station that is silent, and those that made room for newer ones.
func TestDropsOfMachinesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		defer o.close()
		r := o.client("alice", "secret", "phone")
		r.up()
		before := o.server.Status().InPackets
		o.reached()
		const sent = 20 // 16 are held
		for i := range sent {
			r.send(packet4(r.c.Local, "172.16.0.99", i))
			r.send(packet4(r.c.Local, stationIP, i))
		}
		mac := o.server.Sessions()[0].MAC
		o.station(eth.AppendARPReply(nil, 0, mac, stationMAC, netip.MustParseAddr(stationIP), r.c.Local))
		synctest.Wait()
		if got := o.ipFrames(); len(got) != 16 || len(got[15]) != eth.HeaderLen+20+sent-1 {
			t.Errorf("%d packets reached the station, want the newest 16", len(got))
		}
		r.run(10*time.Second, func() bool { return o.server.Status().Drops["next-hop-silent"] > 0 })
		st := o.server.Status()
		if st.Drops["next-hop-silent"] != 16 || st.Drops["next-hop-queue"] != 2*(sent-16) {
			t.Errorf("drops: %v", st.Drops)
		}
		if n := st.InPackets - before; n != 2*sent {
			t.Errorf("%d packets of the client are counted, want %d", n, 2*sent)
		}
		r.recv(time.Now(), [][]byte{appendControl(nil, 4711, 0, 0, 0, newMessage(Hello))})
		synctest.Wait()
		if st = o.server.Status(); st.Drops["control-tunnel"] != 1 {
			t.Errorf("drops after a message for another's tunnel: %v", st.Drops)
		}
		o.server.Closed(r.p, "the test is over")
		if after := o.server.Status().Drops; after["next-hop-silent"] != 16 || after["next-hop-queue"] != 2*(sent-16) || after["control-tunnel"] != 1 {
			t.Errorf("drops once the session is over: %v", after)
		}
	})
}

// segment4 is segment i of a TCP flow, with n bytes.
func segment4(src netip.Addr, dst string, i, n int) []byte {
	p := packet4(src, dst, 20+n)
	p[9] = eth.ProtoTCP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[4:], uint16(i))
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], ^eth.Sum(p[:20], 0))
	t := p[20:]
	binary.BigEndian.PutUint16(t, 4000)
	binary.BigEndian.PutUint16(t[2:], 5201)
	binary.BigEndian.PutUint32(t[4:], uint32(i*n))
	t[12], t[13] = 5<<4, eth.FlagACK
	for k := range t[20:] {
		t[20+k] = byte(i + k)
	}
	binary.BigEndian.PutUint16(t[16:], ^eth.Sum(t, eth.PseudoSum(p[12:16], p[16:20], eth.ProtoTCP, len(t))))
	return p
}

// Segments that came in one read are one frame for the hub.
func TestSegmentsOfAReadAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		defer o.close()
		a := o.client("alice", "secret", "phone")
		a.up()
		src := a.c.Local
		o.station(eth.AppendARPRequest(nil, 0, eth.Broadcast, stationMAC, netip.MustParseAddr(stationIP), src))
		a.run(100*time.Millisecond, func() bool { return false })
		o.reached()
		var batch [][]byte
		var payload []byte
		for i := range 20 {
			ip := segment4(src, stationIP, 1+i, 1000)
			payload = append(payload, ip[40:]...)
			batch = append(batch, a.c.Send(nil, ip))
		}
		a.recv(time.Now(), batch)
		synctest.Wait()
		got := o.ipFrames()
		if len(got) != 1 || !bytes.Equal(got[0][eth.HeaderLen+40:], payload) {
			t.Fatalf("%d frames reached the station's port, want one with all %d bytes", len(got), len(payload))
		}
	})
}

// ipFrames are the IPv4 frames that reached the station.
func (o *office) ipFrames() (list [][]byte) {
	for _, f := range o.reached() {
		if l := eth.Parse(f); l.EtherType == eth.TypeIPv4 {
			list = append(list, f)
		}
	}
	return list
}

func packet4(src netip.Addr, dst string, n int) []byte {
	p := make([]byte, 20+n)
	p[0], p[2], p[3], p[8], p[9] = 0x45, byte((20+n)>>8), byte(20+n), 64, 253
	a, b := src.As4(), netip.MustParseAddr(dst).As4()
	copy(p[12:], a[:])
	copy(p[16:], b[:])
	sum := ^eth.Sum(p[:20], 0)
	p[10], p[11] = byte(sum>>8), byte(sum)
	return p
}

func frame4(dst, src eth.Addr, ip []byte) []byte {
	return append(eth.AppendHeader(nil, 0, dst, src, eth.TypeIPv4), ip...)
}

func TestSameDeviceSameAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		defer o.close()
		a := o.client("alice", "secret", "phone")
		a.up()
		first := o.server.Sessions()[0]
		a.cut = true // the client's power goes
		b := o.client("alice", "secret", "phone")
		b.up()
		list := o.server.Sessions()
		if len(list) != 1 || list[0].MAC != first.MAC || list[0].Address != first.Address {
			t.Errorf("before %+v, now %+v\n%s", first, list, o.logged())
		}
		if !strings.Contains(o.logged(), "came back") {
			t.Errorf("log: %s", o.logged())
		}
	})
}

func TestTwoDevicesThatLookTheSameBothStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		defer o.close()
		a := o.client("alice", "secret", "phone")
		a.up()
		b := o.client("alice", "secret", "phone")
		if !b.run(10*time.Second, func() bool { a.run(0, func() bool { return true }); return b.c.Up }) {
			t.Fatalf("not up: %s", o.logged())
		}
		list := o.server.Sessions()
		if len(list) != 2 || list[0].MAC == list[1].MAC || list[0].Address == list[1].Address || a.c.Local != list[0].Address {
			t.Errorf("sessions: %+v", list)
		}
	})
}

func TestWrongPasswordAndLockOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		defer o.close()
		for i := range 6 {
			r := o.client("alice", fmt.Sprint("guess", i), "phone")
			if !r.run(time.Minute, func() bool { return r.c.Ended != "" }) || r.c.Up {
				t.Fatalf("guess %d: %q", i, r.c.Ended)
			}
		}
		r := o.client("alice", "secret", "phone")
		r.run(5*time.Second, func() bool { return r.c.Ended != "" || r.c.Up })
		if r.c.Up || !strings.Contains(o.logged(), "too many failures before") {
			t.Errorf("not locked out: %s", o.logged())
		}
		time.Sleep(time.Minute)
		r = o.client("alice", "secret", "phone")
		r.up()
	})
}

func TestCarrierGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		defer o.close()
		r := o.client("alice", "secret", "phone")
		r.up()
		o.server.Closed(r.p, "the peer deleted its SAs")
		synctest.Wait()
		if n := len(o.server.Sessions()); n != 0 {
			t.Errorf("%d sessions", n)
		}
		if err := o.server.Kick("road/1", "because"); err == nil || !strings.Contains(err.Error(), "no session") {
			t.Errorf("kick: %v", err)
		}
	})
}

func TestKick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		accounts := make(chan Accounting, 10)
		o := newOffice(t, func(c *ServerConfig) { c.Auth = passwords{accounts} })
		defer o.close()
		r := o.client("alice", "secret", "phone")
		r.up()
		if err := o.server.Kick(o.server.Sessions()[0].Name, "kicked by the administrator"); err != nil {
			t.Fatal(err)
		}
		if !r.run(10*time.Second, func() bool { return r.c.Ended != "" }) {
			t.Error("the client was not told")
		}
		if a, b := <-accounts, <-accounts; a.Phase != Start || b.Phase != Stop || !strings.Contains(b.Session.Reason, "kicked") ||
			b.Session.Address != a.Session.Address || !a.Session.Address.IsValid() {
			t.Errorf("accounting: %+v %+v", a, b)
		}
	})
}

func TestManyBehindOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *ServerConfig) {
			r, _ := dhcp.ParseRange("172.16.0.100-172.16.0.180")
			c.Pool, _ = dhcp.NewPool(dhcp.PoolConfig{Ranges: []dhcp.Range{r}})
		})
		defer o.close()
		var all []*remote
		for i := range 32 { // the same tunnel id, the same address, the same name of the machine
			r := o.client(fmt.Sprintf("user%d", i), "secret", "DESKTOP")
			r.up()
			all = append(all, r)
		}
		for i, r := range all {
			mac := o.server.Sessions()[i].MAC
			o.station(frame4(mac, stationMAC, packet4(netip.MustParseAddr(stationIP), r.c.Local.String(), 50+i)))
		}
		for i, r := range all {
			r.ip = nil
			r.run(50*time.Millisecond, func() bool { return len(r.ip) > 0 })
			if len(r.ip) != 1 || len(r.ip[0]) != 70+i {
				t.Errorf("client %d got %d packets", i, len(r.ip))
			}
		}
	})
}

// oneSession lets every user have one session.
type oneSession struct{ passwords }

func (a oneSession) Login(ctx context.Context, l Login) Grant {
	g := a.passwords.Login(ctx, l)
	g.MaxSessions = 1
	return g
}

func TestSessionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *ServerConfig) { c.Auth = oneSession{} })
		defer o.close()
		phone := o.client("alice", "secret", "phone")
		phone.up()
		laptop := o.client("alice", "secret", "laptop")
		if !laptop.run(10*time.Second, func() bool { return laptop.c.Ended != "" }) || laptop.c.Up {
			t.Error("a second device got in")
		}
		if !strings.Contains(o.logged(), "user alice has the limit of 1 sessions") {
			t.Errorf("the log does not tell: %s", o.logged())
		}
		o.client("bob", "secret", "phone").up() // the limit is each user's
		// The phone lost its line without a word: its old session is in nobody's way.
		phone.cut = true
		back := o.client("alice", "secret", "phone")
		back.up()
		if back.c.Local != phone.c.Local {
			t.Errorf("back with %v, before %v", back.c.Local, phone.c.Local)
		}
	})
}

// TestIdleClientIsAskedSeldom: one that asks nothing itself gets a hello each 45 s,
// and its acknowledgement makes every other question needless. When it is gone, that is found
// out within a minute and a half.
func TestIdleClientIsAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		defer o.close()
		r := &remote{o: o, addr: netip.MustParseAddrPort("203.0.113.9:4500")}
		r.c = NewClient(Config{HelloEvery: 10 * time.Minute, Rand: rand.Reader},
			ppp.Client{User: "alice", Password: "secret", IPv4: true, IPv6: true, Config: ppp.Config{EchoEvery: -1, Rand: rand.Reader}})
		r.p = o.server.Accept(r)
		r.recv = r.p.NewReceiver()
		if err := r.c.Dial(time.Now(), 1, &r.out); err != nil {
			t.Fatal(err)
		}
		r.up()
		r.run(5*time.Second, func() bool { return false }) // last words of the login
		hellos, others := 0, 0
		r.run(10*time.Minute, func() bool { return false }, func(b []byte) {
			if h, body, err := ParseHeader(b); err == nil && h.Control && len(body) > 0 {
				hellos++
			} else {
				others++
			}
		})
		if hellos < 12 || hellos > 14 || others > 0 {
			t.Errorf("%d hellos and %d other packets in 10 minutes, want 13 and none", hellos, others)
		}
		r.cut = true
		began := time.Now()
		r.run(5*time.Minute, func() bool { return len(o.server.Sessions()) == 0 })
		if took := time.Since(began); took > 90*time.Second {
			t.Errorf("a client that is gone was noticed after %v", took)
		}
	})
}
