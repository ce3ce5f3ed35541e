package bridge

import (
	"context"
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
			if s := h.Status(); s.Counters.Moves != 0 || s.Counters.HeldMoves != 0 {
				t.Errorf("stations moved in the hub: %+v", s)
			}
		})
	}
}

// reflectedTraffic wants no loss and no duplicates between two hosts.
func reflectedTraffic(t *testing.T, client, host *netlab.NS) {
	t.Helper()
	client.Reaches("10.79.0.2", 5*time.Second)
	wantPing(t, client, "-c", "50", "10.79.0.2")
	wantPing(t, host, "-c", "50", "10.79.0.1")
	client.Must("ip", "neigh", "flush", "all")
	host.Must("ip", "neigh", "flush", "all")
	wantPing(t, host, "-c", "20", "10.79.0.1")
	transfer(t, client, host, "10.79.0.2", 4<<20)
	transfer(t, host, client, "10.79.0.1", 4<<20)
}
