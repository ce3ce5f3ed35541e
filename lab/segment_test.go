// Package lab_test runs vhub against the real world: kernels, bridges, wires
// and other people's programs, in namespaces.
package lab_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/internal/testenv"
	"vhub/lab/sites"
)

// need says what every test of this package needs.
func need(t *testing.T, tools ...string) {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedTool(t, append([]string{"ip", "ping", "nft"}, tools...)...)
	testenv.NeedFile(t, "/dev/net/tun")
}

// TestThreeSites is the README's picture: a TAP site, a site behind another
// vhub, and a site behind an EtherIP router that is not vhub.
func TestThreeSites(t *testing.T) {
	need(t, "iperf3", "dnsmasq", "udhcpc")
	s := sites.Three(t)

	t.Run("every host pings every other, nothing lost, nothing double", func(t *testing.T) {
		for _, p := range []struct {
			from *netlab.NS
			to   string
		}{{s.VM, sites.PC}, {s.VM, sites.TV}, {s.PC, sites.VM}, {s.PC, sites.TV}, {s.TV, sites.VM}, {s.TV, sites.PC}} {
			got := p.from.Ping("-c", "100", "-i", "0.01", p.to)
			t.Logf("%s to %s: %v", p.from.Name, p.to, got)
			if got.Received != 100 || got.Duplicates != 0 {
				t.Errorf("%s to %s: %v", p.from.Name, p.to, got)
			}
		}
	})
	t.Run("a full 1500-byte packet that must not be fragmented crosses", func(t *testing.T) {
		for _, to := range []string{sites.PC, sites.TV} {
			got := s.VM.Ping("-c", "20", "-i", "0.01", "-M", "do", "-s", "1472", to)
			if got.Received != 20 || got.Duplicates != 0 {
				t.Errorf("to %s: %v", to, got)
			}
		}
	})
	t.Run("TCP runs between all sites", func(t *testing.T) {
		for _, x := range []*netlab.NS{s.PC, s.TV} {
			x.Start("iperf3", "iperf3", "-s")
		}
		for _, p := range []struct {
			from *netlab.NS
			to   string
		}{{s.VM, sites.PC}, {s.VM, sites.TV}, {s.TV, sites.PC}} {
			for _, dir := range []string{"", "-R"} {
				r := iperf(t, p.from, p.to, 1, dir)
				t.Logf("%s to %s %s: %.0f Mbit/s, %d retransmits", p.from.Name, p.to, dir, r.Mbps, r.Retransmits)
				if r.Mbps < 10 {
					t.Errorf("%s to %s %s: %.1f Mbit/s", p.from.Name, p.to, dir, r.Mbps)
				}
			}
		}
	})
	t.Run("DHCP and IPv6 autoconfiguration cross the segment", func(t *testing.T) {
		s.VM.Start("dnsmasq", "dnsmasq", "-d", "-C", "/dev/null", "-u", "root", "--port=0", "--leasefile-ro", "--interface=eth0",
			"--dhcp-range=172.16.0.100,172.16.0.150,1h", "--dhcp-range=2001:db8:7::,ra-only,64,1h", "--enable-ra", "--dhcp-authoritative", "--no-ping")
		s.VM.Addr("eth0", "2001:db8:7::10/64")
		for _, host := range []*netlab.NS{s.PC, s.TV} {
			out := host.Must("udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "10", "-T", "1", "-s", "/bin/true")
			if !strings.Contains(out, "172.16.0.1") {
				t.Errorf("%s: no lease: %s", host.Name, out)
			}
			host.Must("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=2")
			host.Sh("ip link set dev eth0 down; ip link set dev eth0 up") // asks the routers at once
			took := s.Lab.WaitFor("an address from the router at "+host.Name, 20*time.Second, func() (bool, string) {
				out := host.Must("ip", "-6", "addr", "show", "dev", "eth0", "scope", "global")
				return strings.Contains(out, "2001:db8:7:"), out
			})
			t.Logf("%s: autoconfigured after %v", host.Name, took.Round(time.Millisecond))
			got := host.Ping("-6", "-c", "20", "-i", "0.01", "2001:db8:7::10")
			if got.Received != 20 || got.Duplicates != 0 {
				t.Errorf("%s: IPv6 %v", host.Name, got)
			}
		}
	})
	t.Run("a VLAN-tagged ping crosses", func(t *testing.T) {
		for i, host := range []*netlab.NS{s.VM, s.PC, s.TV} {
			vlan(t, s.Lab, host, 7, fmt.Sprintf("172.17.0.%d/24", i+1))
		}
		for _, to := range []string{"172.17.0.2", "172.17.0.3"} {
			s.VM.Reaches(to, 20*time.Second)
			got := s.VM.Ping("-c", "20", "-i", "0.01", "-M", "do", "-s", "1472", to)
			if got.Received != 20 || got.Duplicates != 0 {
				t.Errorf("to %s: %v", to, got)
			}
		}
	})
}

// vlan gives a host an interface in a VLAN.
func vlan(t *testing.T, l *netlab.Lab, host *netlab.NS, id int, cidr string) {
	t.Helper()
	name := fmt.Sprintf("vlan%d", id)
	host.Start(name, sites.Tool(t), "vlan", "-dev", "eth0", "-tap", name, "-id", fmt.Sprint(id))
	l.WaitFor(name+" at "+host.Name, 20*time.Second, func() (bool, string) {
		out, err := host.Run("ip", "link", "show", name)
		return err == nil, out
	})
	host.Addr(name, cidr)
}

// iperfResult is what a run of iperf3 measured at its receiver.
type iperfResult struct {
	Mbps        float64
	Retransmits int
}

// iperf runs iperf3 for some seconds. The server must run already.
func iperf(t *testing.T, from *netlab.NS, to string, seconds float64, extra ...string) iperfResult {
	t.Helper()
	args := []string{"iperf3", "-J", "-c", to, "-t", fmt.Sprint(seconds), "--connect-timeout", "5000"}
	for _, x := range extra {
		if x != "" {
			args = append(args, x)
		}
	}
	var out string
	from.Lab().WaitFor("free iperf3 server", 20*time.Second, func() (bool, string) {
		var err error
		out, err = from.Run(args...)
		return err == nil, out
	})
	var doc struct {
		End struct {
			Sent struct {
				Retransmits int `json:"retransmits"`
			} `json:"sum_sent"`
			Received struct {
				BPS float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("iperf3: %v: %s", err, out)
	}
	return iperfResult{doc.End.Received.BPS / 1e6, doc.End.Sent.Retransmits}
}
