package ipsec

import (
	"slices"
	"testing"
	"time"

	"vhub/internal/netlab"
)

// twoWANs is a branch with two lines over real interfaces:
//
//	branch wan0 198.51.100.2 --- internet --- 203.0.113.10 hub
//	       wan1 198.18.0.2   ---
func twoWANs(t *testing.T) (internet *netlab.NS, a, b *node, at, bt *Tunnel) {
	needLab(t)
	lab := netlab.New(t)
	branch, internet, hub := lab.NS("branch"), lab.NS("internet"), lab.NS("hub")
	lab.Wire(branch, "ipwan0", internet, "ipnet0")
	lab.Wire(branch, "ipwan1", internet, "ipnet1")
	lab.Wire(internet, "ipnet2", hub, "iphub")
	branch.Addr("ipwan0", "198.51.100.2/24")
	branch.Addr("ipwan1", "198.18.0.2/24")
	internet.Addr("ipnet0", "198.51.100.1/24")
	internet.Addr("ipnet1", "198.18.0.1/24")
	internet.Addr("ipnet2", "203.0.113.1/24")
	hub.Addr("iphub", "203.0.113.10/24")
	internet.Must("sysctl", "-qw", "net.ipv4.ip_forward=1")
	branch.Must("ip", "route", "add", "default", "via", "198.51.100.1", "dev", "ipwan0", "metric", "10")
	branch.Must("ip", "route", "add", "default", "via", "198.18.0.1", "dev", "ipwan1", "metric", "20")
	hub.Must("ip", "route", "add", "default", "via", "203.0.113.1")
	branch.Must("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.ipwan1.rp_filter=0")

	b = startNode(t, "hub", nsNetwork{t, hub})
	a = startNode(t, "branch", nsNetwork{t, branch})
	bt = b.add(PeerConfig{Name: "home", PeerID: id("keyid:branch1"), Multipath: true})
	at = a.add(PeerConfig{Name: "hub", Role: Initiator, Addresses: []string{"203.0.113.10"}, LocalID: id("keyid:branch1"),
		Uplinks: []string{"ipwan0", "ipwan1"}, HoldDown: 300 * time.Millisecond})
	waitFor(t, "both paths probed", 20*time.Second, func() bool {
		paths := at.Status().Paths
		return len(paths) == 2 && paths[0].Probed && paths[1].Probed && uplinkOf(at) == "ipwan0"
	})
	return internet, a, b, at, bt
}

// Real interfaces: the line in use is cut silently, five times; pings at 100/s
// both ways go on over the other within 300 ms.
func TestUplinkIsCut(t *testing.T) {
	internet, a, b, at, bt := twoWANs(t)
	const pace = 10 * time.Millisecond
	var gaps []time.Duration
	for range 5 {
		lostAB, lostBA := pings(t, a, b, at, bt, 80, pace, func(i int) {
			if i == 20 {
				internet.Nft(`table ip cut {
	chain f { type filter hook prerouting priority -300; iifname "ipnet0" drop; }
	chain o { type filter hook postrouting priority 300; oifname "ipnet0" drop; }
}`)
			}
		})
		gaps = append(gaps, time.Duration(max(lostAB, lostBA))*pace)
		if uplinkOf(at) != "ipwan1" {
			t.Fatalf("traffic is on %q", uplinkOf(at))
		}
		internet.Must("nft", "delete", "table", "ip", "cut")
		waitFor(t, "the preferred line", 20*time.Second, func() bool { return uplinkOf(at) == "ipwan0" })
		waitFor(t, "the other side on it as well", 5*time.Second, func() bool {
			return bt.Remote().Addr().String() == "198.51.100.2"
		})
	}
	slices.Sort(gaps)
	t.Logf("gaps: %v", gaps)
	if worst := gaps[len(gaps)-1]; worst > 300*time.Millisecond {
		t.Errorf("a gap of %v", worst)
	}
	for _, p := range at.Status().Paths {
		t.Logf("%s active=%v rtt=%v jitter=%v loss=%.2f", p.Uplink, p.Active, p.RTT, p.Jitter, p.Loss)
	}
}
