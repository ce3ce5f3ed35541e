package lab_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/lab/sites"
)

// TestASlowPortDelaysNoOther floods broadcasts from one TAP to another and to an
// EtherIP peer behind a line of 1 Mbit/s. The slow line loses nearly all; the
// TAP gets every frame, and pings between the TAPs take no longer for it.
func TestASlowPortDelaysNoOther(t *testing.T) {
	need(t, "tc")
	l := netlab.New(t)
	site, a, b, far := l.NS("site"), l.NS("a"), l.NS("b"), l.NS("far")
	l.Wire(site, "wan0", far, "wan0")
	site.Addr("wan0", "198.51.100.1/24")
	far.Addr("wan0", "198.51.100.2/24")
	site.Reaches("198.51.100.2", 20*time.Second)
	site.Must("tc", "qdisc", "add", "dev", "wan0", "root", "tbf", "rate", "1mbit", "burst", "10kb", "latency", "100ms")
	v := site.VHub("v", `hub "default" {
  arp = "relay"
  port "tap" "ta" { interface = "ta" }
  port "tap" "tb" { interface = "tb" }
  port "etherip" "far" {
    peer  = "198.51.100.2"
    plain = true
  }
}
`)
	for dev, host := range map[string]*netlab.NS{"ta": a, "tb": b} {
		site.Must("ip", "link", "set", "dev", dev, "netns", host.Real())
	}
	a.Addr("ta", "10.79.0.1/24")
	b.Addr("tb", "10.79.0.2/24")
	a.Reaches("10.79.0.2", 20*time.Second)

	tool := sites.Tool(t)
	flood := func(to string) (accepted, delivered float64, pings []float64) {
		t.Helper()
		before := count(t, b, "tb", "rx_packets")
		done := make(chan string, 1)
		go func() {
			out, err := a.Run(tool, "flood", "-dev", "ta", "-to", to, "-for", "2s", "-rate", "4000", "-size", "1400")
			if err != nil {
				t.Error(err)
			}
			done <- out
		}()
		pings = pingTimes(t, a.Ping("-n", "-c", "150", "-i", "0.01", "-W", "1", "10.79.0.2").Output)
		var res struct{ Accepted float64 }
		if err := json.Unmarshal([]byte(<-done), &res); err != nil {
			t.Fatal(err)
		}
		l.WaitFor("every frame", 20*time.Second, func() (bool, string) {
			delivered = count(t, b, "tb", "rx_packets") - before
			return delivered >= res.Accepted, strconv.FormatFloat(delivered, 'f', 0, 64)
		})
		return res.Accepted, delivered, pings
	}
	mac := strings.TrimSpace(b.Must("cat", "/sys/class/net/tb/address"))
	_, _, alone := flood(mac) // the slow port gets nothing
	sent := count(t, site, "wan0", "tx_bytes")
	accepted, _, beside := flood("ff:ff:ff:ff:ff:ff")
	sent = count(t, site, "wan0", "tx_bytes") - sent
	t.Logf("median ping %.3f ms, beside the slow port %.3f ms; %.0f frames, of which the line took %.1f %%", middle(alone), middle(beside), accepted, 100*sent/1400/accepted)
	if sent > 0.5*1400*accepted {
		t.Errorf("the line was not slow: it took %.0f bytes of %.0f", sent, 1400*accepted)
	}
	if len(beside) != 150 {
		t.Errorf("%d of 150 pings came back", len(beside))
	}
	if middle(beside) > 4*middle(alone)+1 {
		t.Errorf("a slow port delays the others: median ping %.3f ms, without it %.3f ms", middle(beside), middle(alone))
	}
	if out := v.Must("port", "show", "far"); t.Failed() {
		t.Log(out)
	}
}

func count(t *testing.T, ns *netlab.NS, dev, name string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(strings.TrimSpace(ns.Must("cat", "/sys/class/net/"+dev+"/statistics/"+name)), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pingTimes reads the round-trip times that ping printed, in ms.
func pingTimes(t *testing.T, out string) (times []float64) {
	t.Helper()
	for _, f := range strings.Fields(out) {
		if s, ok := strings.CutPrefix(f, "time="); ok {
			ms, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatal(err)
			}
			times = append(times, ms)
		}
	}
	return times
}

func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(v))[len(v)/2]
}
