package bridge

import (
	"context"
	"slices"
	"testing"
	"time"

	"vhub/hub"
	"vhub/internal/netlab"
)

// attach joins ports to a hub and runs them until the test ends.
func attach(t *testing.T, h *hub.Hub, name string, p hub.Port, suppress bool, segment string) {
	t.Helper()
	kind := "tap"
	if _, ok := p.(*NIC); ok {
		kind = "nic"
	}
	link, err := h.Attach(time.Now(), p, hub.LinkConfig{Name: name, Kind: kind, Suppress: suppress, Segment: segment})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		switch p := p.(type) {
		case *TAP:
			done <- p.Run(ctx, link)
		case *NIC:
			done <- p.Run(ctx, link)
		}
	}()
	t.Cleanup(func() {
		link.Detach(time.Now())
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestReflectingWireWithTheHub is the pitfall with the real hub: a TAP and a
// NIC in one bridge, a nic port, and both at once.
func TestReflectingWireWithTheHub(t *testing.T) {
	for _, c := range []struct {
		name     string
		tap, nic bool
	}{
		{"TAP and NIC in one bridge", true, false},
		{"nic port", false, true},
		{"both at once", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab := newLab(t)
			client, gw, host, wire := lab.NS("client"), lab.NS("gw"), lab.NS("host"), lab.NS("wire")
			lab.Wire(gw, "nic0", wire, "sw")
			lab.Wire(host, "lan0", wire, "hw")
			wire.Bridge("br0", "sw", "hw")
			host.Addr("lan0", "10.79.0.2/24")
			h := hub.New(hub.Config{Name: "test"})
			pc := openTAP(t, TAPConfig{Name: "pc", Netns: client.Path(), Offload: true, Addresses: prefixes("10.79.0.1/24")})
			attach(t, h, "pc", pc, true, "")
			moves := func() int { return 0 }
			if c.tap {
				gw.Bridge("br0", "nic0")
				moves = fdbMoves(t, gw, macIn(t, client, "vh-pc"))
				lan := openTAP(t, TAPConfig{Name: "lan", Netns: gw.Path(), Bridge: "br0", PinStations: true, Offload: true})
				attach(t, h, "lan", lan, true, lan.Segment())
			}
			if c.nic {
				nic := openNIC(t, NICConfig{Name: "wire", Netns: gw.Path(), Ifname: "nic0", Promisc: true, Offload: true})
				if c.tap && nic.Segment() != "bridge:br0" {
					t.Errorf("segment %q", nic.Segment())
				}
				attach(t, h, "wire", nic, true, nic.Segment())
			}
			wire.Reflect("sw")
			reflectedTraffic(t, client, host)
			if n := moves(); n != 0 {
				t.Errorf("the bridge moved the client's address to its NIC %d times", n)
			}
			if t.Failed() {
				for _, l := range h.Status().Links {
					t.Logf("%s: %+v", l.Name, l.Counters)
				}
			}
			if s := h.Status(); s.Counters.Moves != 0 || s.Counters.HeldMoves != 0 {
				t.Errorf("stations moved in the hub: %+v", s)
			}
		})
	}
}

// reflectedTraffic wants no loss and no duplicates between two hosts.
func reflectedTraffic(t *testing.T, client, host *netlab.NS) {
	t.Helper()
	client.Reaches("10.79.0.2", 20*time.Second)
	wantPing(t, client, "-c", "50", "10.79.0.2")
	wantPing(t, host, "-c", "50", "10.79.0.1")
	client.Must("ip", "neigh", "flush", "all")
	host.Must("ip", "neigh", "flush", "all")
	wantPing(t, host, "-c", "20", "10.79.0.1")
	transfer(t, client, host, "10.79.0.2", 4<<20)
	transfer(t, host, client, "10.79.0.1", 4<<20)
}

// TestAStationReallyMoves takes a station from behind the hub to the wire: its
// pin must not keep it there.
func TestAStationReallyMoves(t *testing.T) {
	lab := newLab(t)
	client, other, gw, wire, lan := lab.NS("client"), lab.NS("other"), lab.NS("gw"), lab.NS("wire"), lab.NS("lan")
	lab.Wire(gw, "nic0", wire, "sw")
	lab.Wire(lan, "lan0", wire, "lw")
	wire.Bridge("br0", "sw", "lw")
	gw.Bridge("br0", "nic0")
	h := hub.New(hub.Config{Name: "test"})
	pc := openTAP(t, TAPConfig{Name: "pc", Netns: client.Path(), Offload: true, Addresses: prefixes("10.79.0.1/24")})
	pc2 := openTAP(t, TAPConfig{Name: "pc2", Netns: other.Path(), Offload: true, Addresses: prefixes("10.79.0.3/24")})
	bridged := openTAP(t, TAPConfig{Name: "lan", Netns: gw.Path(), Bridge: "br0", PinStations: true, Offload: true})
	attach(t, h, "pc", pc, true, "")
	attach(t, h, "pc2", pc2, true, "")
	attach(t, h, "lan", bridged, true, bridged.Segment())
	wire.Reflect("sw")
	lan.Addr("lan0", "10.79.0.2/24")
	client.Reaches("10.79.0.2", 20*time.Second)
	client.Reaches("10.79.0.3", 20*time.Second)
	moving := macIn(t, client, "vh-pc")
	if !slices.Contains(pinsOf(gw, "vh-lan"), moving.String()) {
		t.Fatalf("%s is not pinned: %v", moving, pinsOf(gw, "vh-lan"))
	}

	t.Log("to the wire")
	client.Must("ip", "link", "set", "vh-pc", "down")
	wantPing(t, lan, "-c", "40", "10.79.0.3") // longer than the hub's echo window: in it, a station that turns up elsewhere may be an echo
	lan.Must("ip", "addr", "flush", "dev", "lan0")
	lan.Must("ip", "link", "set", "lan0", "address", moving.String())
	lan.Addr("lan0", "10.79.0.1/24")
	outage(t, lan, "10.79.0.3")
	wantPing(t, other, "-c", "20", "10.79.0.1")
	if slices.Contains(pinsOf(gw, "vh-lan"), moving.String()) {
		t.Errorf("%s is still pinned", moving)
	}

	t.Log("and back")
	lan.Must("ip", "link", "set", "lan0", "down")
	client.Must("ip", "link", "set", "vh-pc", "up")
	outage(t, client, "10.79.0.3")
	wantPing(t, other, "-c", "20", "10.79.0.1")
}

// outage pings every 20 ms from a station that has just moved, and wants answers
// at once.
func outage(t *testing.T, from *netlab.NS, addr string) {
	t.Helper()
	const gap = 20 * time.Millisecond
	p := from.Ping("-c", "100", "-i", "0.02", "-W", "1", addr)
	lost := time.Duration(p.Sent-p.Received) * gap
	deaf := max(lost, time.Duration(p.MaxMS*float64(time.Millisecond))) // frames that wait for ARP are late, not lost
	t.Logf("the moved station was deaf for %v (%v)", deaf, p)
	if deaf > 500*time.Millisecond { // after 1 s ARP asks again, and would hide a lost answer
		t.Errorf("%s", p)
	}
}
