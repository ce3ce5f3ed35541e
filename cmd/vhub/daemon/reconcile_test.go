package daemon

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vhub/arp"
	"vhub/config"
)

// parsed reads a configuration, which must be right.
func parsed(t interface{ Fatal(...any) }, text string) *config.Config {
	c, err := config.Parse("test.hcl", []byte(text))
	if err != nil {
		t.Fatal(err, "\n", text)
	}
	return c
}

// state is all that a user can see of the hubs, but times and counters.
func (d *Daemon) state() string {
	var b strings.Builder
	for _, h := range d.all() {
		cfg, _ := json.Marshal(h.config())
		fmt.Fprintf(&b, "hub %s %s mode %v\n", h.name, cfg, h.hub.Neighbours().Mode())
		for _, p := range h.all() {
			s := p.status()
			p.mu.Lock()
			cfg, _ := json.Marshal(p.cfg)
			isolate := p.link != nil && p.link.Status().Config.Isolate
			p.mu.Unlock()
			fmt.Fprintf(&b, "  port %s %s %s isolate %v %s\n", p.name, s.State, s.Where, isolate, cfg)
		}
	}
	return b.String()
}

// A refused change leaves everything as it was, whatever it consists of and
// wherever it fails; one that is taken makes exactly what a fresh start makes.
func TestRefusedChangesLeaveNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench()
		d := daemonOn(t.Context(), b)
		defer d.stopped()
		now := parsed(t, randomConfig(t, "start"))
		if err := d.reconcile(nil, now, strict); err != nil {
			t.Fatal(err)
		}
		for step := range 3 {
			text := randomConfig(t, fmt.Sprint("step ", step))
			next := parsed(t, text)
			possible := !strings.Contains(text, "mtu = 1111")
			for i := range 6 {
				name := fmt.Sprint("if", i)
				// What is open stays openable: taking a device away is not what is tested here.
				breaks := b.device(name) == nil && rapid.IntRange(0, 9).Draw(t, "breaks "+name) == 0
				b.breakDown(name, breaks)
				possible = possible && !breaks
			}
			before, devices := d.state(), b.interfaces()
			if err := d.reconcile(now, next, strict); err != nil {
				if possible {
					t.Fatalf("refused without need: %v", err)
				}
				if after := d.state(); after != before {
					t.Fatalf("refused (%v), but before\n%safter\n%s", err, before, after)
				}
				if !maps.Equal(devices, b.interfaces()) {
					t.Fatalf("refused (%v), but interfaces were %v and are %v", err, devices, b.interfaces())
				}
				continue
			}
			now = next
			for i := range 6 {
				b.breakDown(fmt.Sprint("if", i), false)
			}
			fresh := newBench()
			other := daemonOn(t.Context(), fresh)
			if err := other.reconcile(nil, now, strict); err != nil {
				t.Fatal(err)
			}
			if got, want := d.state(), other.state(); got != want {
				t.Fatalf("after a change\n%sbut a fresh start makes\n%s", got, want)
			}
			if !maps.Equal(b.interfaces(), fresh.interfaces()) {
				t.Fatalf("interfaces %v, a fresh start makes %v", b.interfaces(), fresh.interfaces())
			}
			other.stopped()
		}
	})
}

// randomConfig draws a configuration of up to three hubs and six ports on six
// interfaces.
func randomConfig(t *rapid.T, label string) string {
	var b strings.Builder
	free := rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(t, label+" interfaces")
	for _, hub := range []string{"a", "b", "c"} {
		if hub != "a" && rapid.Bool().Draw(t, label+" without "+hub) {
			continue
		}
		fmt.Fprintf(&b, "hub %q {\n  arp = %q\n", hub, rapid.SampledFrom([]string{"relay", "assist", "proxy"}).Draw(t, label+" arp"))
		fmt.Fprintf(&b, "  mac_limit = %d\n", rapid.SampledFrom([]int{100, 100, 100, 200}).Draw(t, label+" limit"))
		for _, port := range []string{"p", "q", "r"} {
			if len(free) == 0 || rapid.IntRange(0, 2).Draw(t, label+" without "+port) == 0 {
				continue
			}
			fmt.Fprintf(&b, "  port \"tap\" %q {\n    interface = \"if%d\"\n    mtu = %d\n    isolate = %v\n    enabled = %v\n  }\n", port, free[0],
				rapid.SampledFrom([]int{0, 1400, 1500, 1111}).Draw(t, label+" mtu"), rapid.Bool().Draw(t, label+" isolate"),
				rapid.IntRange(0, 4).Draw(t, label+" enabled") > 0)
			free = free[1:]
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func TestUnchangedPortsAreNotTouched(t *testing.T) {
	b := newBench()
	d := daemonOn(t.Context(), b)
	defer d.stopped()
	one := parsed(t, `hub "a" {
		port "tap" "p" { interface = "if1" }
		port "tap" "q" { interface = "if2" }
	}`)
	two := parsed(t, `hub "a" {
		arp              = "proxy"
		arp_limit        = 100
		arp_age          = "1m"
		arp_keep         = "5s"
		mac_limit        = 50
		mac_age          = "10s"
		echo_window      = "1s"
		copy_window      = "2ms"
		forward_reserved = true
		port "tap" "r" { interface = "if3" }
		port "tap" "p" { interface = "if1" }
		port "tap" "q" {
			interface = "if2"
			isolate   = true
		}
	}`)
	if err := d.reconcile(nil, one, strict); err != nil {
		t.Fatal(err)
	}
	p, q := b.device("if1"), b.device("if2")
	hubBefore := d.hub("a").hub
	if err := d.reconcile(one, two, strict); err != nil {
		t.Fatal(err)
	}
	if b.device("if1") != p || b.device("if2") != q || d.hub("a").hub != hubBefore {
		t.Error("devices or the hub were made anew")
	}
	if s := d.hub("a").hub.Status(); s.MaxStations != 50 || d.hub("a").hub.Neighbours().Mode() != arp.Proxy {
		t.Errorf("the settings are not at work: %+v", s)
	}
	if got := d.hub("a").all()[0].name; got != "r" {
		t.Errorf("the first port is %s; want the order of the file", got)
	}
}
