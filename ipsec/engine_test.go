package ipsec

import (
	"testing"
	"testing/synctest"
	"time"

	"vhub/ipsec/esp"
)

// twoNodes are a responder with a fixed address and an initiator.
func twoNodes(t *testing.T, initiator Network, responder *fakeHost, change func(*PeerConfig), configure ...func(*Config)) (a, b *node, at, bt *Tunnel) {
	b = startNode(t, "responder", responder, configure...)
	a = startNode(t, "initiator", initiator)
	home := PeerConfig{Name: "home", PeerID: id("keyid:branch1"), LocalID: id("fqdn:hub.example")}
	hub := PeerConfig{Name: "hub", Role: Initiator, Addresses: []string{responder.addrs[0].String()},
		PeerID: id("fqdn:hub.example"), LocalID: id("keyid:branch1")}
	if change != nil {
		change(&home)
		change(&hub)
	}
	bt = b.add(home)
	at = a.add(hub)
	return a, b, at, bt
}

func TestTwoEngines(t *testing.T) {
	for _, c := range []struct {
		name    string
		nat     bool
		change  func(*PeerConfig)
		wantUDP bool
	}{
		{"raw ESP, transport mode", false, nil, false},
		{"raw ESP, tunnel mode", false, func(p *PeerConfig) { p.Mode = esp.Tunnel }, false},
		{"through a NAT", true, nil, true},
		{"through a NAT, tunnel mode", true, func(p *PeerConfig) { p.Mode = esp.Tunnel }, true},
		{"UDP by choice", false, func(p *PeerConfig) { p.ForceNATT = true }, true},
		{"CBC with ESN", false, func(p *PeerConfig) {
			p.ESN, p.ESP = true, []esp.Suite{{Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACSHA256}}
		}, false},
		{"3DES with MD5, legacy", true, func(p *PeerConfig) {
			p.Legacy, p.ESP = true, []esp.Suite{{Cipher: esp.TripleDES, Auth: esp.HMACMD5}}
		}, true},
		{"aggressive mode through a NAT", true, func(p *PeerConfig) { p.Aggressive = true }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1)
				hub := w.host("203.0.113.10")
				var branch Network
				if c.nat {
					branch = w.newNAT("198.51.100.1").behind("192.168.1.2")
				} else {
					branch = w.host("198.51.100.2")
				}
				a, b, at, bt := twoNodes(t, branch, hub, c.change)
				took := waitFor(t, "both up", 10*time.Second, func() bool { return up(at)() && up(bt)() })
				t.Logf("up after %v", took)
				pass(t, a, b, at, bt, 50)
				if out := at.active.Load().out.Load(); out.child.UDP != c.wantUDP {
					t.Errorf("ESP in UDP: %v, want %v", out.child.UDP, c.wantUDP)
				}
				st := bt.Status()
				if !st.Up || st.PeerID != "keyid:branch1" || st.In.Packets != 50 || st.Out.Packets != 50 || len(st.Paths) != 1 {
					t.Errorf("status %+v", st)
				}
				a.halt()
				b.halt()
			})
		})
	}
}
