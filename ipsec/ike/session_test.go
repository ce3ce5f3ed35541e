package ike

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vhub/ipsec/esp"
)

// up dials and waits.
func (w *wire) up(x, y *side, d *Peer) SessionID {
	w.t.Helper()
	id := x.dial(w, d, netip.AddrPortFrom(y.ip, 500).String())
	if !w.run(20*time.Second, func() bool { return bothUp(x, y) }) {
		w.t.Fatalf("not up:\n%s%s", x.log(), y.log())
	}
	return id
}

// The peer's key decides which peer it is, in main mode, from an address that nobody configured.
func TestKeyDecidesThePeer(t *testing.T) {
	var peers []*Peer
	for i := range 200 {
		p := answerer(cheap())
		p.Name = "branch" + strings.Repeat("x", i)
		p.Key = append([]byte{byte(i)}, psk...)
		p.RemoteID = ID{IDKeyID, p.Name}
		peers = append(peers, p)
	}
	peers = append(peers, &Peer{Name: "road", Key: []byte("road warriors"), Suites: quickSuites, Accept: AcceptL2TP})
	for _, n := range []int{0, 17, 199} {
		w := newWire(t, uint64(n))
		d := dialler(cheap())
		d.Key, d.LocalID = peers[n].Key, peers[n].RemoteID
		x, y := w.add("x", "192.0.2.1", Config{}), w.add("y", "198.51.100.1", Config{Peers: peers})
		w.up(x, y, d)
		if e := eventsOf[Established](y)[0]; e.Peer != peers[n] {
			t.Errorf("peer %q instead of %q", e.Peer.Name, peers[n].Name)
		}
	}
	// The key of one peer with the identity of another is refused.
	w := newWire(t, 9)
	d := dialler(cheap())
	d.Key, d.LocalID = peers[3].Key, peers[4].RemoteID
	x, y := w.add("x", "192.0.2.1", Config{}), w.add("y", "198.51.100.1", Config{Peers: peers})
	x.dial(w, d, "198.51.100.1:500")
	w.run(40*time.Second, nil)
	if len(y.sending) != 0 || len(eventsOf[Failed](y)) != 1 || eventsOf[Failed](y)[0].Reason.Code != WrongIdentity {
		t.Errorf("wrong identity:\n%s", y.log())
	}
}

// What goes wrong is named once, with the likely cause, on the side that can know it.
func TestReasons(t *testing.T) {
	for _, c := range []struct {
		name   string
		d, a   func(*Peer)
		server Code
		detail string // in the server's reason
		client Code
	}{
		{"wrong key", func(p *Peer) { p.Key = []byte("something else") }, nil, WrongKey, "does not decrypt with any of the 1", NoAnswer},
		{"wrong key in aggressive mode", func(p *Peer) { aggressive(p); p.Key = []byte("something else") }, aggressive, NoReason, "", WrongKey},
		{"wrong identity", func(p *Peer) { p.LocalID = ID{IDFQDN, "stranger"} }, nil, WrongIdentity, "claims to be fqdn:stranger", NoAnswer},
		{"responder is someone else", func(p *Peer) { p.RemoteID = ID{IDFQDN, "center"} }, nil, NoReason, "", WrongIdentity},
		{"no common suite", func(p *Peer) { p.Suites = []Suite{{TripleDES, 0, SHA1, MODP1024}} }, nil, NoProposal, "3des-sha1-modp1024", PeerRefused},
		{"unknown identity in aggressive mode", func(p *Peer) { aggressive(p); p.LocalID = ID{IDFQDN, "stranger"} }, aggressive, UnsupportedMode, "fqdn:stranger", NoAnswer},
		{"aggressive mode is off", aggressive, nil, UnsupportedMode, "keyid:branch1", NoAnswer},
		{"no common ESP suite", func(p *Peer) { p.ESP = []esp.Suite{{Cipher: esp.TripleDES, Auth: esp.HMACMD5}} }, nil, NoProposal, "3des-md5 transport", PeerRefused},
		{"PFS wanted", nil, func(p *Peer) { p.RequirePFS = true }, NoProposal, "aes128gcm16", PeerRefused},
		{"selectors refused", nil, func(p *Peer) { p.Accept = AcceptL2TP }, Refused, "not for L2TP", PeerRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, a := dialler(c.d), answerer(c.a)
			w, x, y := pair(t, 5, d, a)
			x.dial(w, d, "198.51.100.1:500")
			w.run(70*time.Second, nil)
			if len(x.e.sessions)+len(y.e.sessions)+len(x.in)+len(y.in) != 0 {
				t.Errorf("something is up:\n%s%s", x.log(), y.log())
			}
			closed := eventsOf[Closed](x)
			if len(closed) != 1 || closed[0].Reason.Code != c.client {
				t.Errorf("the client closed with %+v", closed)
			}
			failed := eventsOf[Failed](y)
			if c.server == NoReason && len(failed) == 0 {
				return
			}
			if len(failed) == 0 || len(failed) > 4 || (c.server != NoReason && (failed[0].Reason.Code != c.server || !strings.Contains(failed[0].Reason.Detail, c.detail) || failed[0].Reason.Hint == "" && c.server != Refused)) {
				t.Errorf("the server said %+v", failed)
			}
			t.Logf("\n%s%s", x.log(), y.log())
		})
	}
}

// A peer comes back from another address: the old session ends, at once with INITIAL-CONTACT, else
// when the first new child is usable; never before there is something to replace it.
func TestFailover(t *testing.T) {
	for _, c := range []struct {
		name string
		mod  func(*Peer)
	}{{"with INITIAL-CONTACT", nil}, {"without", func(p *Peer) { p.NoInitialContact = true }}, {"aggressive", aggressive}} {
		t.Run(c.name, func(t *testing.T) {
			d, a := dialler(cheap()), answerer(cheap())
			if c.mod != nil {
				c.mod(d)
				c.mod(a)
				a.AggressivePrompt = true
			}
			w := newWire(t, 1)
			wan1, wan2 := w.add("wan1", "192.0.2.1", Config{}), w.add("wan2", "203.0.113.1", Config{})
			y := w.add("center", "198.51.100.1", Config{Peers: []*Peer{a}})
			w.up(wan1, y, d)
			w.lose = func(n int, p Packet) bool { return p.Local.Addr() == wan1.ip || p.Remote.Addr() == wan1.ip }
			begun := w.now
			wan2.dial(w, d, "198.51.100.1:500")
			if !w.run(2*time.Second, func() bool { return carries(wan2, y) == nil && len(eventsOf[Closed](y)) == 1 }) {
				t.Fatalf("not replaced:\n%s", y.log())
			}
			t.Logf("replaced after %s at a one-way delay of %s", w.now.Sub(begun), w.delay)
			if w.now.Sub(begun) > 60*time.Millisecond {
				t.Errorf("replaced after %s", w.now.Sub(begun))
			}
			e := eventsOf[Established](y)
			if len(e) != 2 || len(e[1].Replaces) != 1 || e[1].Replaces[0] != e[0].Session {
				t.Errorf("established %+v", e)
			}
			if r := eventsOf[Closed](y)[0].Reason; r.Code != Replaced {
				t.Errorf("closed with %v", r)
			}
			if len(y.in) != 1 || len(y.e.sessions) != 1 {
				t.Errorf("%d children and %d sessions are left", len(y.in), len(y.e.sessions))
			}
		})
	}
}

// Two uplinks of a multipath peer live side by side; other peers' sessions never matter.
func TestMultipath(t *testing.T) {
	multi := cheap(func(p *Peer) { p.Multipath = true })
	d, a := dialler(multi), answerer(multi)
	w := newWire(t, 1)
	wan1, wan2 := w.add("wan1", "192.0.2.1", Config{}), w.add("wan2", "203.0.113.1", Config{})
	y := w.add("center", "198.51.100.1", Config{Peers: []*Peer{a}})
	w.up(wan1, y, d)
	d2 := *d
	d2.NoInitialContact = true
	wan2.dial(w, &d2, "198.51.100.1:500")
	w.run(30*time.Second, nil)
	if carries(wan1, y) != nil || carries(wan2, y) != nil || len(y.e.sessions) != 2 {
		t.Fatalf("the paths do not live side by side:\n%s", y.log())
	}
	// A restart begins with INITIAL-CONTACT: all old paths end.
	wan3 := w.add("wan3", "203.0.113.99", Config{})
	wan3.dial(w, d, "198.51.100.1:500")
	w.run(5*time.Second, nil)
	if len(y.e.sessions) != 1 || carries(wan3, y) != nil {
		t.Errorf("after a restart %d sessions:\n%s", len(y.e.sessions), y.log())
	}
}

// Road warriors with one key, one private address and one identity behind one NAT stay apart.
func TestManyBehindOneNAT(t *testing.T) {
	road := &Peer{Name: "road", Key: psk, Suites: quickSuites, Accept: AcceptL2TP, PeerRekeys: true}
	w := newWire(t, 1)
	y := w.add("server", "198.51.100.1", Config{Peers: []*Peer{road}})
	type client struct {
		e   *Endpoint
		out Out
		up  *Child
	}
	clients := make([]*client, 32)
	private := netip.MustParseAddr("192.168.1.7")
	outside := netip.MustParseAddr("203.0.113.9")
	for i := range clients {
		e, err := New(Config{Rand: seeded(uint64(100 + i))})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{e: e}
		clients[i] = c
		d := &Peer{Name: "s", Key: psk, Suites: quickSuites, LocalID: AddrID(private), Children: []ChildConfig{L2TPChild("l2tp")}}
		if _, err := e.Dial(epoch, d, netip.AddrPortFrom(private, 500), netip.MustParseAddrPort("198.51.100.1:500"), &c.out); err != nil {
			t.Fatal(err)
		}
	}
	now := epoch
	for range 8 { // rounds of all clients at once, ports rewritten for each of them
		now = now.Add(10 * time.Millisecond)
		for i, c := range clients {
			packets := c.out.Packets
			c.out.Packets = nil
			for _, p := range packets {
				p.Local, p.Remote = p.Remote, netip.AddrPortFrom(outside, p.Local.Port()+uint16(10000+i))
				_ = y.e.Receive(now, p, &y.out)
			}
		}
		answers := y.out.Packets
		y.events = append(y.events, y.out.Events...)
		y.out = Out{}
		for _, p := range answers {
			base := uint16(500)
			if p.NATT {
				base = 4500
			}
			c := clients[p.Remote.Port()-base-10000]
			p.Local, p.Remote = netip.AddrPortFrom(private, base), p.Local
			_ = c.e.Receive(now, p, &c.out)
			for _, ev := range c.out.Events {
				if u, ok := ev.(ChildUsable); ok {
					c.up = u.Child
				}
			}
			c.out.Events = nil
		}
	}
	byRemote := map[netip.AddrPort]*Child{}
	for _, u := range eventsOf[ChildUsable](y) {
		byRemote[u.Child.Remote] = u.Child
	}
	if len(byRemote) != 32 || len(y.e.sessions) != 32 {
		t.Fatalf("%d clients, %d sessions", len(byRemote), len(y.e.sessions))
	}
	for i, c := range clients {
		s := byRemote[netip.AddrPortFrom(outside, uint16(14500+i))]
		if c.up == nil || s == nil || c.up.Out.SPI != s.In.SPI || c.up.In.SPI != s.Out.SPI {
			t.Errorf("client %d: its child is not the server's", i)
		}
	}
}

func TestDeadPeerAndSilence(t *testing.T) {
	d, a := dialler(cheap()), answerer(cheap())
	d.DPD, a.DPD = -1, 10*time.Second
	w, x, y := pair(t, 1, d, a)
	w.up(x, y, d)
	// As long as ESP arrives, nothing is asked.
	sent := y.e.Counters().Sent
	for range 10 {
		w.traffic(x, y, 5*time.Second)
	}
	if y.e.Counters().Sent != sent {
		t.Error("asked although ESP arrives")
	}
	w.lose = func(int, Packet) bool { return true }
	died := w.now
	w.run(time.Minute, func() bool { return len(eventsOf[Closed](y)) == 1 })
	if took := w.now.Sub(died); took < 15*time.Second || took > 25*time.Second {
		t.Errorf("noticed after %s:\n%s", took, y.log())
	}
}

// The NAT changes the port of a session that is up: authenticated packets take IKE along.
func TestFollowsPort(t *testing.T) {
	d, a := dialler(cheap()), answerer(cheap())
	d.DPD = 5 * time.Second
	w, x, y := pair(t, 1, d, a)
	w.nat = &natBox{x.ip, mustAddr("203.0.113.7"), 1000}
	w.up(x, y, d)
	w.nat.shift = 2000
	w.run(20*time.Second, nil)
	moved := eventsOf[Moved](y)
	if len(moved) != 1 || moved[0].To.Port() != 6500 {
		t.Fatalf("moved %+v:\n%s", moved, y.log())
	}
	if len(eventsOf[Closed](x)) != 0 {
		t.Errorf("closed:\n%s", x.log())
	}
	// ESP noticed first.
	var id SessionID
	for _, st := range y.e.Sessions() {
		id = st.ID
	}
	y.e.PeerMoved(w.now, id, netip.MustParseAddrPort("203.0.113.7:7777"))
	if st, _ := y.e.Session(id); st.Remote.Port() != 7777 {
		t.Errorf("IKE goes to %s", st.Remote)
	}
}

func TestNATKeepalive(t *testing.T) {
	d, a := dialler(cheap()), answerer(cheap())
	w, x, y := pair(t, 1, d, a)
	w.nat = &natBox{x.ip, mustAddr("203.0.113.7"), 1000}
	w.up(x, y, d)
	n := 0
	w.tap = func(from *side, p Packet) {
		if len(p.Data) == 1 && p.Data[0] == 0xff && p.NATT {
			n++
			if from != x {
				t.Error("the side without NAT sends keepalives")
			}
		}
	}
	w.run(65*time.Second, nil)
	if n != 3 {
		t.Errorf("%d keepalives in 65 s", n)
	}
}

// A peer that came in main mode may refuse aggressive mode, even if we would take it.
// strongSwan does, and is renewed by us when its own renewal of phase 1 is delayed.
func TestRenewsInThePeersMode(t *testing.T) {
	d, a := dialler(cheap()), answerer(cheap(aggressive))
	w, x, y := pair(t, 1, d, a)
	w.up(x, y, d)
	y.e.Reauth(w.now, y.e.Sessions()[0].ID, &y.out)
	w.flush(y)
	if !w.run(10*time.Second, func() bool { return len(eventsOf[Established](x)) == 2 && len(eventsOf[Established](y)) == 2 }) {
		t.Fatalf("not renewed:\n%s%s", x.log(), y.log())
	}
	if e := eventsOf[Established](y)[1]; !e.Initiator || !e.Reauth {
		t.Errorf("renewed by %+v, want the responder's own negotiation", e)
	}
}

// ResponderLifetime: the shorter lifetime counts on both sides.
func TestLifetimes(t *testing.T) {
	d, a := dialler(cheap()), answerer(cheap())
	d.Lifetime, d.ChildLifetime, d.ChildBytes = 10*time.Hour, 5*time.Hour, 1<<32
	a.Lifetime, a.ChildLifetime, a.ChildBytes = 2*time.Hour, 30*time.Minute, 1<<30
	w, x, y := pair(t, 1, d, a)
	w.up(x, y, d)
	for _, s := range []*side{x, y} {
		if e := eventsOf[Established](s)[0]; e.Lifetime != 2*time.Hour {
			t.Errorf("%s: phase 1 lives %s", s.name, e.Lifetime)
		}
		if c := eventsOf[ChildUsable](s)[0].Child; c.Lifetime != 30*time.Minute || c.HardBytes != 1<<30 || c.SoftBytes >= c.HardBytes {
			t.Errorf("%s: child lives %s, %d bytes", s.name, c.Lifetime, c.HardBytes)
		}
	}
}

// Windows refuses a server that seems to be behind a NAT; HideNAT answers it with its own words.
func TestHideNAT(t *testing.T) {
	for _, hide := range []bool{false, true} {
		d, a := dialler(cheap()), answerer(cheap(func(p *Peer) { p.HideNAT = hide }))
		w := newWire(t, 1)
		x := w.add("client", "192.168.1.7", Config{})
		y := w.add("server", "10.0.0.5", Config{Peers: []*Peer{a}})
		// both behind NATs: the client's address is rewritten, and so is the server's
		outside, public := mustAddr("203.0.113.7"), mustAddr("198.51.100.1")
		x.dial(w, d, "198.51.100.1:500")
		w.now = epoch
		step := func() {
			air := w.air
			w.air = nil
			for _, f := range air {
				p := f.p
				switch {
				case p.Local.Addr() == public: // to the server
					p.Local = netip.AddrPortFrom(y.ip, p.Local.Port())
					p.Remote = netip.AddrPortFrom(outside, p.Remote.Port())
				case p.Local.Addr() == outside:
					p.Local = netip.AddrPortFrom(x.ip, p.Local.Port())
					p.Remote = netip.AddrPortFrom(public, p.Remote.Port())
				}
				w.deliver(p)
			}
		}
		for range 12 {
			step()
		}
		e := eventsOf[Established](x)
		if len(e) != 1 || !e[0].NAT.Local || e[0].NAT.Remote == hide {
			t.Errorf("hide %v: the client sees %+v", hide, e)
		}
	}
}

func TestSetPeersAndClose(t *testing.T) {
	d, a := dialler(cheap()), answerer(cheap())
	w, x, y := pair(t, 1, d, a)
	w.up(x, y, d)
	same := *a
	if err := y.e.SetPeers(w.now, []*Peer{&same}, &y.out); err != nil || len(y.out.Events) != 0 {
		t.Errorf("a new copy of the same peer disturbs: %v %v", err, y.out.Events)
	}
	other := *a
	other.Key = []byte("new key")
	if err := y.e.SetPeers(w.now, []*Peer{&other}, &y.out); err != nil {
		t.Fatal(err)
	}
	w.flush(y)
	w.run(time.Second, nil)
	if len(y.e.sessions) != 0 || len(y.in) != 0 || len(x.sending) != 0 {
		t.Errorf("a changed key leaves the session up:\n%s%s", x.log(), y.log())
	}
	if err := y.e.SetPeers(w.now, []*Peer{a, a}, &y.out); err == nil {
		t.Error("two peers of one name are taken")
	}
	if err := y.e.SetPeers(w.now, []*Peer{{Name: "x"}}, &y.out); err == nil {
		t.Error("a peer without key is taken")
	}
}

// Extended sequence numbers are used where both sides have them, and only there; a
// side without them is no obstacle.
func TestESN(t *testing.T) {
	for _, c := range []struct{ initiator, responder bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		for name, mod := range map[string]func(*Peer){"GCM": func(*Peer) {}, "CBC": func(p *Peer) {
			p.ESP = []esp.Suite{{Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACSHA256}}
		}} {
			d, a := dialler(cheap(mod)), answerer(cheap(mod))
			d.ESN, a.ESN = c.initiator, c.responder
			w, x, y := pair(t, 1, d, a)
			w.up(x, y, d)
			for _, s := range []*side{x, y} {
				if got := eventsOf[ChildUsable](s)[0].Child.ESN; got != (c.initiator && c.responder) {
					t.Errorf("%s: initiator %v, responder %v: %s has ESN %v", name, c.initiator, c.responder, s.name, got)
				}
			}
		}
	}
}

// The commit bit, set by either side (NEC IX: "ipsec commit-bit"): who sets it says CONNECTED, who
// sees it waits for that, or for a packet on the new SA, or for a second.
func TestCommitBit(t *testing.T) {
	t.Run("set by the responder", func(t *testing.T) {
		d, a := dialler(cheap()), answerer(cheap(func(p *Peer) { p.CommitBit = true }))
		w, x, y := pair(t, 1, d, a)
		x.dial(w, d, "198.51.100.1:500")
		w.run(5*time.Second, func() bool { return len(x.in) == 1 })
		if len(x.sending) != 0 {
			t.Error("the initiator does not wait for CONNECTED")
		}
		begun := w.now
		if !w.run(time.Second, func() bool { return bothUp(x, y) }) || w.now.Sub(begun) > 20*time.Millisecond {
			t.Errorf("up only after %s", w.now.Sub(begun))
		}
	})
	t.Run("CONNECTED is lost", func(t *testing.T) {
		d, a := dialler(cheap()), answerer(cheap(func(p *Peer) { p.CommitBit = true }))
		w, x, y := pair(t, 1, d, a)
		w.lose = func(n int, p Packet) bool { return n == 10 } // 6 of main mode, 3 of quick mode, then it
		x.dial(w, d, "198.51.100.1:500")
		w.run(5*time.Second, func() bool { return bothUp(x, y) })
		if took := w.now.Sub(epoch); took < commitWait || took > commitWait+200*time.Millisecond {
			t.Errorf("up after %s:\n%s%s", took, x.log(), y.log())
		}
	})
	for _, chained := range []bool{false, true} {
		t.Run("set by the initiator", func(t *testing.T) {
			d, a := dialler(cheap()), answerer(cheap())
			w, x, y := pair(t, 1, d, a)
			w.up(x, y, d)
			// A second quick mode by hand, with the commit bit and CONNECTED under its message id.
			x.e.now, x.e.out = w.now, &x.out
			var px *phase1
			for _, p := range x.e.sas {
				px = p
			}
			q := px.newQuick(px.newID(), true)
			q.cfg, q.want = ChildConfig{Mode: esp.Transport}, px.want2()
			q.want.suites = q.want.suites[:1]
			q.want.mode = esp.Transport
			q.spi, q.nonce[0] = x.e.drawSPI(), x.e.draw(nonceLen)
			var msg []byte
			msg, q.iv = px.write2(ExchangeQuick, FlagCommit, q.id, q.iv, func(rest []byte) []byte { return px.hash2(q.id, rest) }, func(b *builder) {
				b.add(PayloadSA, offerSA2(q.want, q.spi))
				q.addRest(b, 0)
			})
			px.e.send(px.packet(msg))
			w.flush(x)
			w.run(100*time.Millisecond, nil)
			usable := len(eventsOf[ChildUsable](y))
			if len(y.in) != 2 || usable != 1 {
				t.Fatalf("%d children, %d usable:\n%s", len(y.in), usable, y.log())
			}
			iv := px.suite.exchangeIV(px.iv, q.id)
			if chained {
				iv = q.iv
			}
			spi := binary.BigEndian.AppendUint32(nil, q.child.child.In.SPI)
			x.e.now, x.e.out = w.now, &x.out
			msg, _ = px.write2(ExchangeInformational, 0, q.id, iv, func(rest []byte) []byte { return px.hash2(q.id, rest) }, func(b *builder) {
				b.add(PayloadNotify, notification{protocol: protoESP, kind: NotifyConnected, spi: spi}.append(nil))
			})
			px.e.send(px.packet(msg))
			w.flush(x)
			w.run(100*time.Millisecond, nil)
			if len(eventsOf[ChildUsable](y)) != 2 {
				t.Errorf("chained %v: CONNECTED is not understood:\n%s %v", chained, y.log(), y.e.Counters().Dropped)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	for _, nat := range []bool{false, true} {
		d, a := dialler(cheap()), answerer(cheap())
		w := newWire(t, 1)
		x := w.add("branch", "2001:db8:1::1", Config{})
		y := w.add("center", "2001:db8:2::1", Config{Peers: []*Peer{a}})
		if nat {
			w.nat = &natBox{x.ip, mustAddr("2001:db8:3::9"), 500}
		}
		w.up(x, y, d)
		e := eventsOf[Established](y)[0]
		if e.NAT.Remote != nat || eventsOf[Established](x)[0].RemoteID != AddrID(y.ip) {
			t.Errorf("nat %v: %+v", nat, e)
		}
		for _, c := range y.sending {
			if c.UDP != nat || (nat && (c.RemoteOA != x.ip || c.LocalOA != y.ip)) {
				t.Errorf("nat %v: child %+v", nat, c)
			}
		}
	}
}

// A session from a new address that gets no child leaves the old one alone.
func TestNoChildNoReplacement(t *testing.T) {
	d, a := dialler(cheap(func(p *Peer) { p.NoInitialContact = true })), answerer(cheap())
	w := newWire(t, 1)
	wan1, wan2 := w.add("wan1", "192.0.2.1", Config{}), w.add("wan2", "203.0.113.1", Config{})
	y := w.add("center", "198.51.100.1", Config{Peers: []*Peer{a}})
	w.up(wan1, y, d)
	bad := *d
	bad.ESP = []esp.Suite{{Cipher: esp.TripleDES, Auth: esp.HMACMD5}}
	wan2.dial(w, &bad, "198.51.100.1:500")
	w.run(time.Minute, nil)
	if carries(wan1, y) != nil || carries(y, wan1) != nil {
		t.Errorf("the old session is gone:\n%s", y.log())
	}
}
