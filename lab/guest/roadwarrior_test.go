package guest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/internal/testenv"
	"vhub/lab/guest"
	"vhub/lab/softether"
)

// softEtherSegment is a SoftEther server at 198.51.100.1 whose hub has a DHCP
// server, and a guest at .10.
func softEtherSegment(t *testing.T) (*guest.Guest, *netlab.NS, *softether.Server) {
	t.Helper()
	softether.Need(t)
	testenv.NeedTool(t, "linux.uml", "debootstrap", "dnsmasq", "ping")
	l := netlab.New(t)
	wan, server := l.NS("wan"), l.NS("server")
	l.Wire(server, "wan0", wan, "server")
	server.Addr("wan0", "198.51.100.1/24")
	wan.Sh("ip tuntap add dev g1 mode tap")
	wan.Bridge("internet", "server", "g1")
	se := softether.Start(t, server, softether.Config{PSK: "labsecret", User: "alice", Password: "labpass"})
	server.Addr(softether.TAP, "172.16.0.1/24")
	server.Start("dnsmasq", "dnsmasq", "-d", "-C", "/dev/null", "-u", "root", "--port=0", "--leasefile-ro", "--interface="+softether.TAP, "--bind-interfaces",
		"--dhcp-range=172.16.0.100,172.16.0.150,1h", "--dhcp-authoritative", "--no-ping")
	g := guest.Boot(t, guest.StrongSwan, "g1", guest.NIC{NS: wan, TAP: "g1", CIDR: "198.51.100.10/24"})
	return g, server, se
}

func roadWarrior() guest.RoadWarriorConfig {
	return guest.RoadWarriorConfig{Server: "198.51.100.1", PSK: "labsecret", User: "alice", Password: "labpass", MSCHAPv2Only: true, Routes: []string{"172.16.0.0/24"}}
}

// The client against a server that is not ours: what fails here is the client's fault.
func TestRoadWarriorWithSoftEther(t *testing.T) {
	g, server, se := softEtherSegment(t)
	for _, tt := range []struct {
		name  string
		edit  func(*guest.RoadWarriorConfig)
		limit time.Duration
		want  string // "" comes up; else in the error
	}{
		{"wrong key", func(c *guest.RoadWarriorConfig) { c.PSK = "wrong" }, 10 * time.Second, "no IPsec"},
		{"plain", func(c *guest.RoadWarriorConfig) {
			c.IKELifetime, c.ESPLifetime, c.RekeyMargin = time.Minute, 30*time.Second, 24*time.Second
		}, 40 * time.Second, ""},
		{"wrong password", func(c *guest.RoadWarriorConfig) { c.Password = "wrong" }, 40 * time.Second, "authentication failed"},
		{"as NetworkManager-l2tp", func(c *guest.RoadWarriorConfig) {
			c.IKE, c.ESP = guest.NetworkManagerIKE, guest.NetworkManagerESP
		}, 40 * time.Second, ""},
	} {
		start := time.Now()
		cfg := roadWarrior()
		tt.edit(&cfg)
		w := guest.NewRoadWarrior(t, g, cfg)
		times, err := w.Dial(tt.limit)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want == "":
			t.Logf("%s: SoftEther: %v; %s has %s", tt.name, times, w.Interface, w.Address)
			if !strings.HasPrefix(w.Address, "172.16.0.1") {
				t.Errorf("%s: address %q", tt.name, w.Address)
			}
			if got := server.Ping("-c", "20", "-i", "0.02", w.Address); got.Received != 20 {
				t.Errorf("%s: ping to the client: %v", tt.name, got)
			}
			if cfg.ESPLifetime > 0 {
				rekeys(t, w, server)
			}
			if err := w.HangUp(); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		case err == nil || !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		w.Stop()
		t.Logf("%s: %.1f s", tt.name, time.Since(start).Seconds())
		se.WaitForgotten(40 * time.Second)
	}
}

// rekeys waits for a rekey of phase 2 and looks whether the client is still there.
func rekeys(t *testing.T, w *guest.RoadWarrior, server *netlab.NS) {
	t.Helper()
	server.Lab().WaitFor("rekey of phase 2", 40*time.Second, func() (bool, string) {
		ike, esp := w.Established()
		return esp >= 2, fmt.Sprintf("%d phase 1, %d phase 2", ike, esp)
	})
	if got := server.Ping("-c", "20", "-i", "0.02", w.Address); got.Received < 19 {
		t.Errorf("ping after a rekey: %v", got)
	}
}
