package ipsec

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vhub/internal/netlab"
)

// Both sides dial at the same moment: soon there is one session, and it stays.
func TestBothDial(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(30 + seed)
			left, right := w.host("198.51.100.2"), w.host("203.0.113.10")
			a, b := startNode(t, "left", left), startNode(t, "right", right)
			at := a.add(PeerConfig{Name: "right", Role: Either, Addresses: []string{"203.0.113.10"}, PeerID: id("fqdn:right"), LocalID: id("fqdn:left")})
			bt := b.add(PeerConfig{Name: "left", Role: Either, Addresses: []string{"198.51.100.2"}, PeerID: id("fqdn:left"), LocalID: id("fqdn:right")})
			waitFor(t, "both up", 20*time.Second, func() bool { return up(at)() && up(bt)() })
			time.Sleep(30 * time.Second)
			before, events := at.active.Load(), len(a.eventList())
			pass(t, a, b, at, bt, 5)
			time.Sleep(10 * time.Minute)
			pass(t, a, b, at, bt, 5)
			if n := len(at.Status().Paths); n != 1 || at.active.Load() != before || len(a.eventList()) != events {
				t.Errorf("%d sessions; changed after it had settled: %v; events %+v", n, at.active.Load() != before, a.eventList())
			}
		})
	}
}

// An initiator's port takes no calls.
func TestInitiatorTakesNoCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(40)
		a, b := startNode(t, "left", w.host("198.51.100.2")), startNode(t, "right", w.host("203.0.113.10"))
		// b's peer is to be dialled at an address where nobody is.
		b.add(PeerConfig{Name: "left", Role: Initiator, Addresses: []string{"192.0.2.99"}, PeerID: id("fqdn:left"), LocalID: id("fqdn:right")})
		at := a.add(PeerConfig{Name: "right", Role: Initiator, Addresses: []string{"203.0.113.10"}, PeerID: id("fqdn:right"), LocalID: id("fqdn:left")})
		time.Sleep(time.Minute)
		if up(at)() {
			t.Error("the call was taken")
		}
	})
}

func TestPeersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(41)
		a, b, at, bt := twoNodes(t, w.host("198.51.100.2"), w.host("203.0.113.10"), nil)
		waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
		other := b.add(PeerConfig{Name: "other", PeerID: id("keyid:other")})
		if _, err := b.engine.AddPeer(PeerConfig{Name: "home", Key: []byte("k"), NewReceiver: b.receiver("home")}); err == nil {
			t.Error("a second port of the same name")
		}
		session := bt.active.Load()
		// A change that concerns neither key nor identity leaves the session alone.
		cfg := PeerConfig{Name: "home", PeerID: id("keyid:branch1"), LocalID: id("fqdn:hub.example"), Key: []byte("a key long enough for anyone to use it")}
		cfg.DPD = 15 * time.Second
		if err := b.engine.UpdatePeer(cfg); err != nil {
			t.Fatal(err)
		}
		pass(t, a, b, at, bt, 3)
		if bt.active.Load() != session {
			t.Error("a new DPD interval cost the session")
		}
		// Another key ends it, and the peer does not come back with the old one.
		cfg.Key = []byte("another key that the peer does not have")
		if err := b.engine.UpdatePeer(cfg); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the session's end", 10*time.Second, func() bool { return bt.active.Load() == nil })
		time.Sleep(time.Minute)
		if up(bt)() {
			t.Error("up with the old key")
		}
		cfg.Key = []byte("a key long enough for anyone to use it")
		if err := b.engine.UpdatePeer(cfg); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "up again", 2*time.Minute, func() bool { return up(at)() && up(bt)() })
		pass(t, a, b, at, bt, 3)
		b.engine.RemovePeer("other")
		pass(t, a, b, at, bt, 3)
		b.engine.RemovePeer("home")
		if send(bt, "into the void") != 0 {
			t.Error("a removed peer's tunnel sends")
		}
		if n := len(b.engine.Tunnels()); n != 0 {
			t.Errorf("%d tunnels left", n)
		}
		_ = other
		b.engine.mu.Lock()
		defer b.engine.mu.Unlock()
		if len(b.engine.sessions) != 0 || b.engine.table.live != 0 {
			t.Errorf("%d sessions and %d SAs left", len(b.engine.sessions), b.engine.table.live)
		}
	})
}

// Keys are told by Keys and by nothing else, and both sides tell the same.
func TestKeysOnlyWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(42)
		a, b, at, bt := twoNodes(t, w.host("198.51.100.2"), w.host("203.0.113.10"), nil)
		waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
		keysA, keysB := a.engine.Keys(""), b.engine.Keys("home")
		if len(keysA) != 2 || len(keysB) != 2 {
			t.Fatalf("%d and %d keys", len(keysA), len(keysB))
		}
		same := 0
		for _, x := range keysA {
			for _, y := range keysB {
				if x.SPI == y.SPI && x.Key == y.Key && x.Source == y.Source && x.Dest == y.Dest {
					same++
				}
			}
		}
		if same != 2 {
			t.Errorf("the sides tell different keys: %+v %+v", keysA, keysB)
		}
		shown, err := json.Marshal([]any{a.engine.Status(), a.engine.Tunnels(), bt.Status()})
		if err != nil {
			t.Fatal(err)
		}
		secrets := []string{"a key long enough", hex.EncodeToString(at.active.Load().out.Load().child.Out.Keys.Enc)}
		for _, k := range keysA {
			secrets = append(secrets, strings.TrimPrefix(k.Key, "0x"))
		}
		for _, s := range secrets {
			if strings.Contains(string(shown), s) {
				t.Errorf("status shows %q", s)
			}
		}
	})
}

// A kernel policy that may catch our packets is named.
func TestKernelPolicyIsNamed(t *testing.T) {
	needLab(t)
	lab := netlab.New(t)
	ns := lab.NS("xfrm")
	if w := (nsNetwork{t, ns}).Warnings(); len(w) != 0 {
		t.Errorf("warnings in an empty namespace: %q", w)
	}
	if out, err := ns.Run("ip", "xfrm", "policy", "add", "src", "192.0.2.0/24", "dst", "198.51.100.0/24", "dir", "out", "action", "block"); err != nil {
		t.Skipf("SKIPPED here, run in a guest by lab.TestWhatThisKernelMayLack: this kernel has no IPsec policies: %s", out)
	}
	e, err := New(Config{Network: nsNetwork{t, ns}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	w := strings.Join(e.Status().Warnings, "; ")
	t.Log(w)
	if !strings.Contains(w, "198.51.100.0/24") || !strings.Contains(w, "1 IPsec polic") {
		t.Errorf("warnings %q", w)
	}
}
