package lab_test

import (
	"strings"
	"testing"
	"time"

	"vhub/internal/interop"
	"vhub/lab/guest"
	"vhub/lab/sites"
)

// TestL2TPLibreswan has libreswan, xl2tpd and pppd as the road warrior, behind a
// router that only routes, then behind the same router when it rewrites ports and
// drops ESP (the picture is in l2tp_test.go). There is no DHCP server: addresses
// are of the pool.
func TestL2TPLibreswan(t *testing.T) {
	r := newRoadWAN(t, "--pool", roadPool, "--dhcp", "off")
	r.cloud.Must("ip", "route", "add", "192.168.1.0/24", "via", natWAN)
	r.nat.Must("nft", "delete", "table", "ip", "nat")
	g := guest.Boot(t, guest.LibreSwan, "home", guest.NIC{NS: r.nat, TAP: "g1", CIDR: homeLAN + "/24", Gateway: natLAN})
	r.nat.Must("ip", "link", "set", "dev", "g1", "master", "lan")
	m := libreswanVersion.FindStringSubmatch(g.Must("ipsec --version"))
	if m == nil {
		t.Fatal("the guest has no libreswan")
	}
	cfg := roadConfig()
	cfg.Libreswan = true
	w := guest.NewRoadWarrior(t, g, cfg)
	for _, c := range []struct {
		name, client, encap string // client is its address as vhub sees it
		nat                 bool
	}{
		{"straight", homeLAN, "transport mode {ESP=>", false},
		{"behind NAT", natWAN, "transport mode {ESPinUDP=>", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.nat {
				r.nat.Masquerade("wan0")
			}
			times, s := r.up(t, w)
			quick(t, c.name+", address of the pool", times)
			if s.AddressFrom != "pool" || !strings.HasPrefix(w.Address, "172.16.0.2") {
				t.Errorf("address %s from %q, want one of the pool", w.Address, s.AddressFrom)
			}
			if host, port, _ := strings.Cut(s.Client, ":"); host != c.client || c.nat && (port == "500" || port == "4500") {
				t.Errorf("client %s, want %s, behind NAT with a port that was rewritten", s.Client, c.client)
			}
			if out := g.Read("up.log"); !strings.Contains(out, c.encap) {
				t.Errorf("want %q: %s", c.encap, out)
			}
			r.carriesBriefly(t, g, w)
			if err := w.HangUp(); err != nil {
				t.Error(err)
			}
			r.gone(t)
			interop.Record(t, "libreswan + xl2tpd + pppd", m[1]+", 1.3.18, 2.4.9", "server", "L2TP/IPsec, "+c.name+", pool", "passed")
		})
	}
}

// carriesBriefly pings both ways with packets of 1,400 and 1,500 bytes and runs
// iperf3 both ways, a second each.
func (r *roadWAN) carriesBriefly(t *testing.T, g *guest.Guest, w *guest.RoadWarrior) {
	t.Helper()
	for _, size := range []string{"1372", "1472"} { // with IP and ICMP 1,400 and 1,500 bytes
		if p := r.vm.Ping("-c", "10", "-i", "0.05", "-M", "dont", "-s", size, w.Address); p.Received != 10 || p.Duplicates > 0 {
			t.Errorf("ping to the client, -s %s: %s", size, p.Output)
		}
		// A guest's ping may give up the last ones before it had the processor to look.
		out, _ := g.Run(30*time.Second, "ping -n -c 12 -i 0.05 -M dont -s "+size+" "+sites.VM)
		if sent, lost, double := settled(t, out, 2); sent != 10 || lost > 0 || double > 0 {
			t.Errorf("ping from the client, -s %s: %d sent, %d lost, %d double: %s", size, sent, lost, double, out)
		}
	}
	for _, way := range []struct{ name, option string }{{"from", ""}, {"to", "-R"}} {
		server := r.vm.Start("iperf3", "iperf3", "-s", "-1", "-p", "5201")
		r.lab.WaitFor("iperf3 listening", 5*time.Second, func() (bool, string) {
			out := r.vm.Must("ss", "-Hltn", "sport = :5201")
			return out != "", out
		})
		line := g.Must("iperf3 -c " + sites.VM + " -p 5201 -t 1 -f m " + way.option + " | grep -E 'receiver|error'")
		if f := strings.Fields(line); len(f) < 8 || !strings.HasPrefix(f[7], "Mbits") || f[6] == "0.00" {
			t.Errorf("iperf3 %s the client: %s", way.name, line)
		} else {
			t.Logf("iperf3 %s the client: %s Mbit/s", way.name, f[6])
		}
		<-server.Done()
	}
}
