package guest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/internal/testenv"
	"vhub/lab/guest"
)

// The same client against vhub: the times to read beside SoftEther's.
func TestRoadWarriorWithVHub(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "linux.uml", "debootstrap", "ping")
	l := netlab.New(t)
	wan, server := l.NS("wan"), l.NS("server")
	l.Wire(server, "wan0", wan, "server")
	server.Addr("wan0", "198.51.100.1/24")
	wan.Sh("ip tuntap add dev g1 mode tap")
	wan.Bridge("internet", "server", "g1")
	v := server.VHub("cloud", "hub \"default\" {\n}\n")
	file := func(name, text string) string {
		path := filepath.Join(filepath.Dir(v.Config), name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("road.psk", "labsecret")
	v.Must("port", "add", "tap", "lan", "--interface", "lan0")
	server.Addr("lan0", "172.16.0.1/24")
	v.Must("port", "add", "l2tp", "road", "--key-file", "road.psk", "--pool", "172.16.0.100-172.16.0.150")
	v.Must("user", "add", "alice", "--password-file", file("alice.password", "labpass"))
	g := guest.Boot(t, guest.StrongSwan, "g1", guest.NIC{NS: wan, TAP: "g1", CIDR: "198.51.100.10/24"})
	for _, tt := range []struct {
		name string
		edit func(*guest.RoadWarriorConfig)
		want string
	}{
		{"wrong password", func(c *guest.RoadWarriorConfig) { c.Password = "wrong" }, "authentication failed"},
		{"plain", func(*guest.RoadWarriorConfig) {}, ""},
		{"again at once, as NetworkManager-l2tp", func(c *guest.RoadWarriorConfig) {
			c.IKE, c.ESP = guest.NetworkManagerIKE, guest.NetworkManagerESP
		}, ""},
		{"ESP in UDP, L2TP from another port than 1701", func(c *guest.RoadWarriorConfig) { c.ForceUDP, c.EphemeralUDP = true, true }, ""},
	} {
		cfg := roadWarrior()
		tt.edit(&cfg)
		w := guest.NewRoadWarrior(t, g, cfg)
		times, err := w.Dial(20 * time.Second)
		if tt.want != "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
			}
			// What the daemon said comes with the explanation.
			if out := v.Must("explain", "691", "--client", "198.51.100.10"); !strings.Contains(out, "login failed") {
				t.Errorf("explain: %s", out)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", tt.name, err, v.Output())
		}
		t.Logf("%s: vhub: %v; %s has %s", tt.name, times, w.Interface, w.Address)
		if got := server.Ping("-c", "20", "-i", "0.02", w.Address); got.Received != 20 || got.Duplicates != 0 {
			t.Errorf("%s: ping to the client: %v", tt.name, got)
		}
		if err := w.HangUp(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	card := v.Must("client", "card", "alice", "--for", "windows", "--server", "198.51.100.1")
	if !strings.Contains(card, "198.51.100.1") || strings.Contains(card, "labsecret") {
		t.Errorf("card: %s", card)
	}
}
