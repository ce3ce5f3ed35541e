package ipsec

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// The translator gives the peer other ports: nothing is lost in the direction that
// shows it, and no negotiation is needed.
func TestNATRebinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(2)
		nat := w.newNAT("198.51.100.1")
		a, b, at, bt := twoNodes(t, nat.behind("192.168.1.2"), w.host("203.0.113.10"), nil)
		waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
		pass(t, a, b, at, bt, 3)
		before := bt.Remote()
		nat.rebind()
		if send(at, "from the new port") != 1 {
			t.Fatal("not taken")
		}
		waitFor(t, "payload through the new mapping", time.Second, func() bool { return b.count("home") == 4 })
		if bt.Remote() == before {
			t.Errorf("the endpoint is still %v", before)
		}
		pass(t, a, b, at, bt, 3)
		for _, ev := range b.eventList() {
			if ev.Kind == Moved {
				t.Errorf("a new port at the same address is no move for the segment: %+v", ev)
			}
		}
	})
}

// An old packet, delayed on the former path, does not move the peer back.
func TestLatePacketDoesNotMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(3)
		nat := w.newNAT("198.51.100.1")
		var held []flying
		a, b, at, bt := twoNodes(t, nat.behind("192.168.1.2"), w.host("203.0.113.10"), nil)
		waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
		pass(t, a, b, at, bt, 1)
		old := bt.Remote()
		w.mu.Lock()
		w.lose = func(src, dst netip.AddrPort, data []byte) bool {
			held = append(held, flying{NATT, old, dst, data})
			return true
		}
		w.mu.Unlock()
		send(at, "delayed")
		w.mu.Lock()
		w.lose = nil
		w.mu.Unlock()
		nat.rebind()
		send(at, "newer")
		waitFor(t, "the newer one", time.Second, func() bool { return b.count("home") == 2 })
		moved := bt.Remote()
		w.mu.Lock()
		w.flight = append(w.flight, held[0])
		w.mu.Unlock()
		w.arrive()
		waitFor(t, "the delayed one", time.Second, func() bool { return b.count("home") == 3 })
		if got := bt.Remote(); got != moved {
			t.Errorf("the delayed packet moved the peer from %v to %v", moved, got)
		}
	})
}

// The router comes back from another address and negotiates anew: one tunnel, the
// counters kept, the old SAs gone, one event.
func TestPeerReturnsFromAnotherAddress(t *testing.T) {
	for _, aggressive := range []bool{false, true} {
		t.Run(fmt.Sprintf("aggressive=%v", aggressive), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(4)
				branch, hub := w.host("198.51.100.2"), w.host("203.0.113.10")
				a, b, at, bt := twoNodes(t, branch, hub, func(p *PeerConfig) { p.Aggressive = aggressive })
				waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
				pass(t, a, b, at, bt, 5)
				old := bt.active.Load()

				// The router's line changes, and it starts over.
				a.halt()
				branch.renumber("198.18.0.77")
				begin := time.Now()
				a2 := startNode(t, "initiator-2", branch)
				at2 := a2.add(PeerConfig{Name: "hub", Role: Initiator, Addresses: []string{"203.0.113.10"}, Aggressive: aggressive,
					PeerID: id("fqdn:hub.example"), LocalID: id("keyid:branch1")})
				waitFor(t, "up again", 5*time.Second, func() bool { return up(at2)() && bt.active.Load() != old && up(bt)() })
				t.Logf("up again %v after the start from the new address", time.Since(begin))
				pass(t, a2, b, at2, bt, 5)
				st := bt.Status()
				if st.In.Packets != 10 || len(st.Paths) != 1 || st.Paths[0].Remote[:11] != "198.18.0.77" {
					t.Errorf("status %+v", st)
				}
			})
		})
	}
}

// The same without a goodbye from the old address: the line was simply cut.
func TestLineIsCutAndComesBackElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(5)
		hub := w.host("203.0.113.10")
		first, second := w.host("198.51.100.2"), w.host("198.18.0.77")
		a, b, at, bt := twoNodes(t, first, hub, nil)
		waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
		pass(t, a, b, at, bt, 5)
		w.mu.Lock()
		w.lose = func(src, dst netip.AddrPort, _ []byte) bool {
			return src.Addr() == first.addrs[0] || dst.Addr() == first.addrs[0]
		}
		w.mu.Unlock()
		a2 := startNode(t, "router-on-wan2", second)
		at2 := a2.add(PeerConfig{Name: "hub", Role: Initiator, Addresses: []string{"203.0.113.10"},
			PeerID: id("fqdn:hub.example"), LocalID: id("keyid:branch1")})
		waitFor(t, "up from the other address", 2*time.Second, func() bool {
			return up(at2)() && up(bt)() && bt.Remote().Addr() == second.addrs[0]
		})
		pass(t, a2, b, at2, bt, 5)
		waitFor(t, "the old SAs gone", 2*time.Second, func() bool { return len(bt.Status().Paths) == 1 })
		moved := 0
		waitFor(t, "an event", time.Second, func() bool {
			moved = 0
			for _, ev := range b.eventList() {
				if ev.Kind == Moved && ev.Remote.Addr() == second.addrs[0] {
					moved++
				}
			}
			return moved > 0
		})
		if moved != 1 {
			t.Errorf("%d events say that the peer moved, want 1: %+v", moved, b.eventList())
		}
	})
}

// The initiator's own address changes under it: it dials anew from the new one.
func TestOwnAddressChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(12)
		branch := w.host("198.51.100.2")
		a, b, at, bt := twoNodes(t, branch, w.host("203.0.113.10"), nil)
		waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
		pass(t, a, b, at, bt, 3)
		branch.renumber("198.18.0.77")
		took := waitFor(t, "up from the new address", 5*time.Second, func() bool {
			return up(at)() && up(bt)() && bt.Remote().Addr() == branch.addrs[0]
		})
		t.Logf("after %v", took)
		pass(t, a, b, at, bt, 3)
	})
}

// Rekeys of phase 2 and 1 under traffic lose nothing, whichever side begins.
func TestRekeyUnderTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(6)
		a, b, at, bt := twoNodes(t, w.newNAT("198.51.100.1").behind("10.0.0.2"), w.host("203.0.113.10"), func(p *PeerConfig) {
			p.Lifetime, p.ChildLifetime = 20*time.Minute, 5*time.Minute
		})
		waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
		spis := map[uint32]bool{}
		const every = 50 * time.Millisecond
		sent := 0
		for begin := time.Now(); time.Since(begin) < time.Hour; sent++ {
			if send(at, fmt.Sprint(sent)) != 1 || send(bt, fmt.Sprint(sent)) != 1 {
				t.Fatalf("payload %d was not taken after %v", sent, time.Since(begin))
			}
			spis[at.active.Load().out.Load().child.In.SPI] = true
			time.Sleep(every)
		}
		time.Sleep(time.Second)
		if a.count("hub") != sent || b.count("home") != sent {
			t.Errorf("of %d payloads each way %d and %d arrived", sent, a.count("hub"), b.count("home"))
		}
		if len(spis) < 10 {
			t.Errorf("only %d SAs in an hour of 5-minute lifetimes", len(spis))
		}
		t.Logf("%d payloads each way over %d SAs, 0 lost", sent, len(spis))
	})
}

// A lifetime in bytes brings a new SA before the hard limit stops the old one, also
// where the line is so fast that all the bytes go between two looks at them.
func TestByteLifetime(t *testing.T) {
	for name, every := range map[string]time.Duration{"slow": 10 * time.Millisecond, "fast": 300 * time.Microsecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, at := byteLimited(t)
				first := at.active.Load().out.Load().child.In.SPI
				lost := 0
				for range 12000 {
					lost += 1 - send(at, string(make([]byte, 1000)))
					time.Sleep(every)
				}
				if lost > 0 {
					t.Errorf("%d payloads found no SA", lost)
				}
				if at.active.Load().out.Load().child.In.SPI == first {
					t.Error("12 MB went by on an SA with a lifetime of 1 MiB")
				}
			})
		})
	}
}

// A peer that gives no successor does not keep the old SA for ever.
func TestByteLifetimeOfADeafPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, at := byteLimited(t)
		w.mu.Lock()
		w.lose = func(_, _ netip.AddrPort, _ []byte) bool { return true }
		w.mu.Unlock()
		took := 0
		for range 20000 {
			took += send(at, string(make([]byte, 1000)))
			time.Sleep(time.Millisecond)
		}
		if limit := 1000 + int((rekeyTime+3*tickInterval)/time.Millisecond); took > limit {
			t.Errorf("%d KB were sent on an SA of 1 MiB, want at most %d", took, limit)
		}
	})
}

// byteLimited is the dialling end of a tunnel whose SAs live for 1 MiB.
func byteLimited(t *testing.T) (*world, *Tunnel) {
	w := newWorld(7)
	_, _, at, bt := twoNodes(t, w.host("198.51.100.2"), w.host("203.0.113.10"), func(p *PeerConfig) {
		p.ChildBytes = 1 << 20
	})
	waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
	return w, at
}

func roadNode(t *testing.T, network Network, change func(*RoadConfig)) (*node, func() []*Tunnel) {
	n := startNode(t, "server", network)
	var tunnels []*Tunnel
	cfg := RoadConfig{Name: "road", Key: []byte("everybody's key"), Accept: func(tn *Tunnel) (Handler, bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		tunnels = append(tunnels, tn)
		name := fmt.Sprintf("road%d", len(tunnels))
		return Handler{NewReceiver: n.receiver(name), Closed: func(reason string) {
			n.onEvent(Event{Kind: Down, Tunnel: name, Reason: reason})
		}}, true
	}}
	if change != nil {
		change(&cfg)
	}
	if err := n.engine.AddRoadWarriors(cfg); err != nil {
		t.Fatal(err)
	}
	return n, func() []*Tunnel {
		n.mu.Lock()
		defer n.mu.Unlock()
		return append([]*Tunnel(nil), tunnels...)
	}
}

// 32 clients behind one translator, all with the same private address and UDP
// port 1701: each has a session of its own and sees only its own payloads.
func TestManyRoadWarriorsBehindOneNAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(8)
		server, sessions := roadNode(t, w.host("203.0.113.10"), nil)
		nat := w.newNAT("198.51.100.1")
		const clients = 32
		var nodes []*node
		var tunnels []*Tunnel
		for i := range clients {
			n := startNode(t, fmt.Sprintf("client%d", i), nat.behind("192.168.1.2"))
			nodes = append(nodes, n)
			tunnels = append(tunnels, n.add(PeerConfig{Name: "server", Role: Initiator, Addresses: []string{"203.0.113.10"},
				Key: []byte("everybody's key"), Protocol: esp.ProtoUDP}))
		}
		waitFor(t, "all up", 20*time.Second, func() bool {
			for _, tn := range tunnels {
				if !up(tn)() {
					return false
				}
			}
			return len(sessions()) == clients
		})
		for round := range 3 {
			for i, tn := range tunnels {
				send(tn, fmt.Sprintf("client %d round %d", i, round))
			}
			waitFor(t, "all payloads", 5*time.Second, func() bool {
				for i := range clients {
					if server.count(fmt.Sprintf("road%d", i+1)) != round+1 {
						return false
					}
				}
				return true
			})
			for i, tn := range sessions() {
				said := server.payloads(fmt.Sprintf("road%d", i+1))[round]
				send(tn, "answer to "+said)
			}
			waitFor(t, "all answers", 5*time.Second, func() bool {
				for i := range clients {
					if nodes[i].count("server") != round+1 {
						return false
					}
				}
				return true
			})
			for i := range clients {
				if got, want := nodes[i].payloads("server")[round], fmt.Sprintf("answer to client %d round %d", i, round); got != want {
					t.Fatalf("client %d was told %q, want %q", i, got, want)
				}
			}
			nat.rebind()
		}
		// One leaves; the others never notice.
		nodes[0].halt()
		waitFor(t, "the session's end", 10*time.Second, func() bool { return len(server.eventList()) == 1 })
		send(tunnels[1], "still here")
		waitFor(t, "the neighbour", time.Second, func() bool {
			all := 0
			for i := range clients {
				all += server.count(fmt.Sprintf("road%d", i+1))
			}
			return all == clients*3+1
		})
	})
}

// A client that is refused by the port gets no SA.
func TestRoadWarriorRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(9)
		server, _ := roadNode(t, w.host("203.0.113.10"), func(c *RoadConfig) {
			c.Accept = func(*Tunnel) (Handler, bool) { return Handler{}, false }
		})
		n := startNode(t, "client", w.host("198.51.100.2"))
		tn := n.add(PeerConfig{Name: "server", Role: Initiator, Addresses: []string{"203.0.113.10"},
			Key: []byte("everybody's key"), Protocol: esp.ProtoUDP})
		time.Sleep(30 * time.Second)
		server.engine.mu.Lock()
		defer server.engine.mu.Unlock()
		if server.engine.table.live != 0 || len(server.engine.sessions) != 0 && up(tn)() {
			t.Errorf("%d SAs, %d sessions", server.engine.table.live, len(server.engine.sessions))
		}
	})
}

// 200 peers on one engine, each with its identity and key.
func TestTwoHundredPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(10)
		hub := startNode(t, "hub", w.host("203.0.113.10"))
		const peers = 200
		var tunnels, ends []*Tunnel
		var nodes []*node
		for i := range peers {
			who, key := id(fmt.Sprintf("keyid:branch%d", i)), []byte(fmt.Sprintf("key of branch %d", i))
			ends = append(ends, hub.add(PeerConfig{Name: fmt.Sprintf("branch%d", i), PeerID: who, Key: key}))
			n := startNode(t, fmt.Sprintf("branch%d", i), w.host(fmt.Sprintf("198.18.%d.%d", i/100, i%100+1)))
			nodes = append(nodes, n)
			tunnels = append(tunnels, n.add(PeerConfig{Name: "hub", Role: Initiator, Addresses: []string{"203.0.113.10"}, LocalID: who, Key: key}))
		}
		took := waitFor(t, "all up", time.Minute, func() bool {
			for i := range peers {
				if !up(tunnels[i])() || !up(ends[i])() {
					return false
				}
			}
			return true
		})
		t.Logf("200 peers up after %v of the world's time", took)
		for i := range peers {
			send(tunnels[i], fmt.Sprintf("I am %d", i))
			send(ends[i], fmt.Sprintf("you are %d", i))
		}
		time.Sleep(time.Second)
		for i := range peers {
			if got := hub.payloads(fmt.Sprintf("branch%d", i)); len(got) != 1 || got[0] != fmt.Sprintf("I am %d", i) {
				t.Errorf("branch %d: hub got %q", i, got)
			}
			if got := nodes[i].payloads("hub"); len(got) != 1 || got[0] != fmt.Sprintf("you are %d", i) {
				t.Errorf("branch %d got %q", i, got)
			}
		}
	})
}

// lockedText is a log that a test reads.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what came since the last take.
func (l *lockedText) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// Wrong key, wrong identity, no common proposal: the peer next to it never notices,
// and the tunnel says why it is down.
func TestBadPeersBesideAGoodOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(11)
		hub := w.host("203.0.113.10")
		var log lockedText
		a, b, at, bt := twoNodes(t, w.host("198.51.100.2"), hub, nil, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
		b.add(PeerConfig{Name: "hub/third", PeerID: id("keyid:branch3")})
		for i, c := range []struct {
			bad  func(*PeerConfig)
			says []string // each line that the hub logs of it
		}{
			{func(p *PeerConfig) { p.Key = []byte("another key") }, []string{"does not decrypt", "the pre-shared key on the peer differs from the one here"}},
			{func(p *PeerConfig) { p.LocalID = id("keyid:nobody") }, []string{"claims to be keyid:nobody", "set peer_id = "}},
			{func(p *PeerConfig) {
				p.LocalID, p.Legacy = id("keyid:branch3"), true
				p.ESP = []esp.Suite{{Cipher: esp.TripleDES, Auth: esp.HMACMD5}}
			}, []string{"the peer offered 3des-md5 transport", "set the peer to one of aes128gcm16, ", `what_to_type_there="vhub port config third --for ROUTER"`}},
			{func(p *PeerConfig) {
				p.Suites = []ike.Suite{ike.DefaultSuites(true)[len(ike.DefaultSuites(true))-1]}
				p.Legacy = true
			}, []string{"the peer offered 3des-md5-modp1024", "set the peer to aes", "or permit 3des-md5-modp1024 with legacy = true", `what_to_type_there="vhub port config NAME --for ROUTER"`}},
		} {
			bad := c.bad
			log.take()
			n := startNode(t, fmt.Sprintf("bad%d", i), w.host(fmt.Sprintf("198.18.0.%d", i+1)))
			cfg := PeerConfig{Name: "hub", Role: Initiator, Addresses: []string{"203.0.113.10"}, LocalID: id("keyid:branch2")}
			bad(&cfg)
			tn := n.add(cfg)
			time.Sleep(40 * time.Second)
			if up(tn)() {
				t.Errorf("bad peer %d is up", i)
			}
			if st := tn.Status(); st.Problem == "" {
				t.Errorf("bad peer %d does not know why it is down", i)
			} else {
				t.Logf("bad peer %d: %s", i, st.Problem)
			}
			lines := slices.DeleteFunc(strings.Split(log.take(), "\n"), func(l string) bool { return !strings.Contains(l, "negotiation failed") })
			if len(lines) == 0 || len(lines) > 4 {
				t.Errorf("bad peer %d: %d lines in 40 s: %q", i, len(lines), lines)
			}
			for _, l := range lines {
				for _, s := range c.says {
					if !strings.Contains(l, s) {
						t.Errorf("bad peer %d: no %q in %s", i, s, l)
					}
				}
			}
			n.halt()
			pass(t, a, b, at, bt, 3)
		}
	})
}
