package guest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/internal/testenv"
	"vhub/lab/guest"
	"vhub/lab/softether"
)

const (
	vhubAddr      = "198.51.100.1"
	softEtherAddr = "198.51.100.2"
	clientAddr    = "198.51.100.10"
)

// server is one of the two that the client dials.
type server struct {
	name, addr string
	ns         *netlab.NS
	wire       *netlab.Proc    // tcpdump of what the client and the server say
	total      []time.Duration // from the first IKE packet to the address
	own        []time.Duration // what of it the client waited for the server
	overloaded int             // how often the machine was
}

// onWire joins a namespace to the internet.
func onWire(l *netlab.Lab, wan *netlab.NS, name, addr string) *server {
	s := &server{name: name, addr: addr, ns: l.NS(name)}
	l.Wire(s.ns, "wan0", wan, name)
	s.ns.Addr("wan0", addr+"/24")
	wan.Must("ip", "link", "set", "dev", name, "master", "internet")
	s.wire = s.ns.Start("tcpdump", "tcpdump", "-n", "-tt", "-l", "--immediate-mode", "-i", "wan0", "udp or esp")
	return s
}

// dhcp gives the server's segment, which is at the interface, a DHCP server.
func (s *server) dhcp(ifname string) {
	s.ns.Addr(ifname, "172.16.0.1/24")
	s.ns.Start("dnsmasq", "dnsmasq", "-d", "-C", "/dev/null", "-u", "root", "--port=0", "--leasefile-ro", "--interface="+ifname, "--bind-interfaces",
		"--dhcp-range=172.16.0.100,172.16.0.150,1h", "--dhcp-authoritative", "--no-ping")
}

func (s *server) config() guest.RoadWarriorConfig {
	return guest.RoadWarriorConfig{Server: s.addr, PSK: "labsecret", User: "alice", Password: "labpass", MSCHAPv2Only: true, Routes: []string{"172.16.0.0/24"}}
}

// dial has the client dial, ping and hang up, and notes the time it took.
func (s *server) dial(t *testing.T, g *guest.Guest, cfg guest.RoadWarriorConfig, limit time.Duration) {
	t.Helper()
	w := guest.NewRoadWarrior(t, g, cfg)
	from := len(s.wire.Output())
	times, err := w.Dial(limit)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	if times.Overloaded() {
		s.overloaded++
	}
	own := waited(s.wire.Output()[from:])
	s.total, s.own = append(s.total, times.Total), append(s.own, own)
	t.Logf("%s: %v; of it %.3f s waiting for the server", s.name, times, own.Seconds())
	if !strings.HasPrefix(w.Address, "172.16.0.1") {
		t.Errorf("%s: address %q", s.name, w.Address)
	}
	if got := s.ns.Ping("-c", "20", "-i", "0.02", w.Address); got.Received != 20 || got.Duplicates != 0 {
		t.Errorf("%s: ping to the client: %v", s.name, got)
	}
	if err := w.HangUp(); err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
	w.Stop()
}

var packetLine = regexp.MustCompile(`(?m)^(\d+\.\d+) IP (\S+) > `)

// waited sums up the times between a packet of the client and the server's next
// one, where no other of the client came between: then it was the server's turn.
func waited(wire string) (sum time.Duration) {
	var asked float64
	for _, m := range packetLine.FindAllStringSubmatch(wire, -1) {
		at, _ := strconv.ParseFloat(m[1], 64)
		if strings.HasPrefix(m[2], clientAddr) {
			asked = at
		} else if asked != 0 {
			sum += time.Duration((at - asked) * 1e9)
			asked = 0
		}
	}
	return sum
}

// figures is a median and a range.
func figures(d []time.Duration) string {
	s := slices.Sorted(slices.Values(d))
	return fmt.Sprintf("%.2f s (%.2f to %.2f)", median(d).Seconds(), s[0].Seconds(), s[len(s)-1].Seconds())
}

func median(d []time.Duration) time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }

// What a user may be asked to wait, and what of it vhub may take: two probes of
// the address make up nearly all of that.
const (
	upWithin  = 1500 * time.Millisecond
	ownWithin = 700 * time.Millisecond
)

// TestRoadWarriorBesideSoftEther has one guest dial vhub and SoftEther by turns.
// What fails with SoftEther too is the client's fault.
func TestRoadWarriorBesideSoftEther(t *testing.T) {
	softether.Need(t)
	testenv.NeedTool(t, "linux.uml", "debootstrap", "dnsmasq", "ping", "tcpdump")
	l := netlab.New(t)
	wan := l.NS("wan")
	wan.Sh("ip tuntap add dev g1 mode tap")
	wan.Bridge("internet", "g1")
	ours, theirs := onWire(l, wan, "vhub", vhubAddr), onWire(l, wan, "softether", softEtherAddr)
	v := startVHub(t, ours)
	se := softether.Start(t, theirs.ns, softether.Config{PSK: "labsecret", User: "alice", Password: "labpass"})
	theirs.dhcp(softether.TAP)
	g := guest.Boot(t, guest.StrongSwan, "g1", guest.NIC{NS: wan, TAP: "g1", CIDR: clientAddr + "/24"})

	// The first dial loads the guest's modules for ESP and PPP, and counts for nobody.
	wrong := ours.config()
	wrong.Password = "wrong"
	w := guest.NewRoadWarrior(t, g, wrong)
	if _, err := w.Dial(20 * time.Second); err == nil || !strings.Contains(err.Error(), "authentication failed") {
		t.Errorf("wrong password: got %v", err)
	}
	w.Stop()
	// What the daemon said comes with the explanation.
	if out := v.Must("explain", "691", "--client", clientAddr); !strings.Contains(out, "login failed") {
		t.Errorf("explain: %s", out)
	}

	for round := range 3 {
		if round > 0 {
			se.WaitForgotten(40 * time.Second)
		}
		for _, s := range []*server{theirs, ours} {
			cfg := s.config()
			if round == 1 {
				cfg.IKE, cfg.ESP = guest.NetworkManagerIKE, guest.NetworkManagerESP
			}
			s.dial(t, g, cfg, 40*time.Second)
		}
	}
	t.Logf("up after: vhub %s, SoftEther %s", figures(ours.total), figures(theirs.total))
	t.Logf("of it waiting for the server: vhub %s, SoftEther %s", figures(ours.own), figures(theirs.own))
	if m := median(ours.own); m > ownWithin && ours.overloaded < 2 {
		t.Errorf("the client waited %v for vhub, want at most %v", m, ownWithin)
	}
	if m := median(ours.total); m > upWithin && ours.overloaded < 2 {
		t.Errorf("up after %v, want at most %v", m, upWithin)
	} else if m >= median(theirs.total) {
		t.Errorf("up after %v, SoftEther after %v", m, median(theirs.total))
	}

	other := ours.config()
	other.ForceUDP, other.EphemeralUDP = true, true // ESP in UDP, L2TP from another port than 1701
	ours.dial(t, g, other, 20*time.Second)
	card := v.Must("client", "card", "alice", "--for", "windows", "--server", vhubAddr)
	if !strings.Contains(card, vhubAddr) || strings.Contains(card, "labsecret") {
		t.Errorf("card: %s", card)
	}
}

// startVHub starts a vhub with a port for road warriors, its segment on lan0.
func startVHub(t *testing.T, s *server) *netlab.VHub {
	t.Helper()
	v := s.ns.VHub("cloud", "hub \"default\" {\n}\n")
	for name, text := range map[string]string{"road.psk": "labsecret\n", "alice.password": "labpass\n"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(v.Config), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v.Must("port", "add", "tap", "lan", "--interface", "lan0")
	v.Must("port", "add", "l2tp", "road", "--key-file", "road.psk")
	v.Must("user", "add", "alice", "--password-file", filepath.Join(filepath.Dir(v.Config), "alice.password"))
	s.dhcp("lan0")
	return v
}
