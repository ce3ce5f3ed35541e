package lab_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"vhub/internal/netlab"
	"vhub/lab/sites"
)

// arpWatch is how long the ARP pitfall is watched.
const arpWatch = 2 * time.Minute

// TestARPBroadcastsDie is the second pitfall: one leg of the segment drops ARP
// broadcasts, or nine in ten of them, both ways. The hosts are of the kind that
// asks only by broadcast, with cache times of about two seconds:
//
//	a -- [leg: drops] -- tap "a" -- hub -- tap "b" -- b
func TestARPBroadcastsDie(t *testing.T) {
	need(t)
	for _, c := range []struct {
		mode, drop string
		dies       bool
	}{
		{"relay", "all", true}, {"assist", "all", false}, {"proxy", "all", false},
		{"relay", "nine in ten", true}, {"assist", "nine in ten", false}, {"proxy", "nine in ten", false},
	} {
		t.Run(fmt.Sprintf("%s, %s dropped", c.mode, c.drop), func(t *testing.T) {
			t.Parallel()
			a, b, hub, begin := lossyLeg(t, c.mode, c.drop)
			echoes := filepath.Join(a.Lab().Dir(), "echoes")
			ses := a.Start("session", sites.Tool(t), "session", "-connect", bAddr+":7777", "-for", arpWatch.String(), "-every", "5s", "-echoes", echoes)
			a.Lab().WaitFor("the session", 20*time.Second, func() (bool, string) {
				raw, _ := os.ReadFile(echoes)
				return len(raw) > 0, ses.Output()
			})
			begin()
			bad := watchNeighbours(t, ses, a, bAddr, b, aAddr)
			var res struct {
				Rounds     int       `json:"rounds"`
				MaxStallMS float64   `json:"max_stall_ms"`
				Stalls     []float64 `json:"stalls_over_200ms"`
				Error      string    `json:"error"`
			}
			if err := json.Unmarshal([]byte(ses.Output()), &res); err != nil {
				t.Fatalf("session: %v: %s", err, ses.Output())
			}
			t.Logf("%d looks found the entry incomplete or failed; session: %d rounds, longest stall %.0f ms", len(bad), res.Rounds, res.MaxStallMS)
			if c.dies {
				if len(bad) == 0 || (res.MaxStallMS < 1000 && res.Error == "") {
					t.Errorf("relay did not suffer, so the other modes prove nothing")
				}
				return
			}
			if len(bad) > 0 {
				t.Errorf("entries died: %s\n%s", bad[0], hub.Must("arp", "list"))
			}
			if res.MaxStallMS > 1000 || res.Error != "" {
				t.Errorf("the session stalled for %.0f ms: %s", res.MaxStallMS, res.Error)
			}
		})
	}
}

const aAddr, bAddr = "10.78.0.1", "10.78.0.2"

// lossyLeg builds the picture and lets both hosts find each other; with begin it
// begins to drop.
func lossyLeg(t *testing.T, mode, drop string) (a, b *netlab.NS, hub *netlab.VHub, begin func()) {
	t.Helper()
	l := netlab.New(t)
	a, b = l.NS("a"), l.NS("b")
	leg, site := l.NS("leg"), l.NS("site")
	l.Wire(a, "eth0", leg, "toa")
	l.Wire(leg, "tosite", site, "leg0")
	l.Wire(b, "eth0", site, "b0")
	leg.Bridge("br0", "toa", "tosite")
	site.Bridge("bra", "leg0")
	site.Bridge("brb", "b0")
	for _, h := range []struct {
		ns *netlab.NS
		a  string
	}{{a, aAddr}, {b, bAddr}} {
		h.ns.Must("ip", "ntable", "change", "name", "arp_cache", "dev", "eth0",
			"base_reachable", "2000", "gc_stale", "2000", "delay_probe", "1000", "ucast_probes", "0")
		h.ns.Addr("eth0", h.a+"/24")
	}
	// Linux forgets stale entries only while its table, one for all namespaces,
	// holds more than gc_thresh1 (128): fill it with entries that stay.
	var full strings.Builder
	for i := range 140 {
		fmt.Fprintf(&full, "neigh replace 10.78.1.%d lladdr 02:00:00:00:78:01 dev eth0 nud permanent\n", i+1)
	}
	batch := filepath.Join(l.Dir(), "neighbours")
	if err := os.WriteFile(batch, []byte(full.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	b.Must("ip", "-batch", batch)
	hub = site.VHub("site", fmt.Sprintf(`hub "default" {
  arp      = %q
  arp_keep = "1s"
  port "tap" "a" {
    interface = "ta"
    bridge    = "bra"
  }
  port "tap" "b" {
    interface = "tb"
    bridge    = "brb"
  }
}
`, mode))
	b.Start("echo", sites.Tool(t), "session-server", "-listen", ":7777")
	l.WaitFor("the echo server", 20*time.Second, func() (bool, string) {
		out, _ := b.Run("ss", "-Hltn")
		return strings.Contains(out, ":7777"), out
	})
	a.Reaches(bAddr, 20*time.Second)
	b.Reaches(aAddr, 20*time.Second)
	rule := "ether type arp ether daddr ff:ff:ff:ff:ff:ff counter drop"
	if drop == "nine in ten" {
		rule = "ether type arp ether daddr ff:ff:ff:ff:ff:ff numgen random mod 10 < 9 counter drop"
	}
	var script strings.Builder
	script.WriteString("table netdev leg {\n")
	for _, dev := range []string{"toa", "tosite"} {
		fmt.Fprintf(&script, "chain %s {\ntype filter hook ingress device \"%s\" priority 0;\n%s\n}\n", dev, dev, rule)
	}
	script.WriteString("}\n")
	return a, b, hub, func() { leg.Nft(script.String()) }
}

// watchNeighbours looks at both hosts' entries every 100 ms until the session
// ends, and returns the looks that found one incomplete or failed.
func watchNeighbours(t *testing.T, ses *netlab.Proc, a *netlab.NS, forA string, b *netlab.NS, forB string) (bad []string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	type host struct {
		name string
		h    *netlink.Handle
		want net.IP
	}
	var hosts []host
	for _, x := range []struct {
		ns   *netlab.NS
		want string
	}{{a, forA}, {b, forB}} {
		ns, err := netns.GetFromPath(x.ns.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		h, err := netlink.NewHandleAt(ns, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		hosts = append(hosts, host{x.ns.Name, h, net.ParseIP(x.want)})
	}
	for {
		select {
		case <-ses.Done():
			return bad
		case now := <-tick.C:
			for _, x := range hosts {
				list, err := x.h.NeighList(0, netlink.FAMILY_V4)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range list {
					if n.IP.Equal(x.want) && n.State&(netlink.NUD_INCOMPLETE|netlink.NUD_FAILED) != 0 {
						bad = append(bad, fmt.Sprintf("%s at %s: entry of %s in state %#x", now.Format("15:04:05.0"), x.name, n.IP, n.State))
					}
				}
			}
		}
	}
}
