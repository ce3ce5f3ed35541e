package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vhub/api"
	"vhub/internal/netlab"
	"vhub/lab/sites"
)

// TestIPsecOptions has settings of a port in IPsec do what they say between two vhubs.
func TestIPsecOptions(t *testing.T) {
	need(t)
	p := newTwoVHubs(t)
	p.hub.Must("port", "add", "etherip", "home", "--peer-id", "keyid:home", "--key-file", "lab.psk")
	p.other.Must("port", "add", "etherip", "cloud", "--peer", sites.CloudWAN, "--local-id", "keyid:home", "--key-file", "lab.psk")
	comesUp(t, p.lab, p.hub, "home")
	crosses(t, p.vm, sites.TV)

	t.Run("df: too large packets are answered, and none is sent in fragments", func(t *testing.T) {
		p.hub.Must("port", "set", "home", "--df")
		defer p.hub.Must("port", "set", "home", "--unset", "df")
		d := comesUp(t, p.lab, p.hub, "home")
		p.vm.Reaches(sites.TV, 20*time.Second)
		before := fragments(t, p.cloud)
		out, _ := p.vm.Run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s", "1472", sites.TV)
		if want := fmt.Sprintf("mtu = %d", d.Device.InnerMTU); !strings.Contains(out, want) && !strings.Contains(out, fmt.Sprintf("mtu=%d", d.Device.InnerMTU)) {
			t.Errorf("no answer with %q: %s", want, out)
		}
		passes(t, p.vm, sites.TV, strconv.Itoa(d.Device.InnerMTU-28), "-M", "do")
		if n := fragments(t, p.cloud) - before; n != 0 {
			t.Errorf("%d fragments were made", n)
		}
		p.vm.Sh("ip route flush cache")
	})
	t.Run("pre-fragment: the inner packet is cut, the outer never", func(t *testing.T) {
		p.hub.Must("port", "set", "home", "--pre-fragment")
		defer p.hub.Must("port", "set", "home", "--unset", "pre_fragment")
		comesUp(t, p.lab, p.hub, "home")
		p.vm.Reaches(sites.TV, 20*time.Second)
		before := fragments(t, p.cloud)
		passes(t, p.vm, sites.TV, "1472", "-M", "dont")
		if n := fragments(t, p.cloud) - before; n != 0 {
			t.Errorf("%d outer fragments were made", n)
		}
	})
	t.Run("neither: outer fragments, and every frame crosses", func(t *testing.T) {
		comesUp(t, p.lab, p.hub, "home")
		before := fragments(t, p.cloud)
		crosses(t, p.vm, sites.TV)
		if fragments(t, p.cloud) == before {
			t.Error("no outer fragment was made: what did the two tests before show?")
		}
	})
	t.Run("keys are shown when asked for, and only then", func(t *testing.T) {
		comesUp(t, p.lab, p.hub, "home")
		var with, without api.SAList
		p.hub.JSON(&with, "sa", "list", "--with-keys")
		p.hub.JSON(&without, "sa", "list")
		if without.Keys != nil || with.Keys == nil || len(with.Keys.ESP) < 2 || len(with.Keys.IKEv1) == 0 {
			t.Fatalf("keys without asking %v, and when asked %+v", without.Keys, with.Keys)
		}
		shown := p.hub.Must("sa", "list") + p.hub.Must("port", "show", "home") + p.hub.Must("-o", "json", "port", "show", "home") + p.hub.Must("status") + p.hub.Output()
		if !strings.Contains(p.hub.Output(), "keys") {
			t.Error("the log does not tell that keys were shown")
		}
		hexes := regexp.MustCompile(`0x[0-9a-f]{32,}|\b[0-9a-f]{40,}\b`)
		for _, line := range append(with.Keys.ESP, with.Keys.IKEv1...) {
			found := hexes.FindAllString(line, -1)
			if len(found) == 0 {
				t.Errorf("no key in %q", line)
			}
			for _, k := range found {
				if strings.Contains(shown, strings.TrimPrefix(k, "0x")) {
					t.Errorf("a key of %q is shown unasked", line)
				}
			}
		}
	})
	t.Run("another key in the file, and SIGHUP", func(t *testing.T) {
		key := func(v *netlab.VHub, text string) {
			if err := os.WriteFile(filepath.Join(filepath.Dir(v.Config), "lab.psk"), []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			v.Signal(syscall.SIGHUP)
		}
		before := show(p.hub, "home")
		key(p.hub, psk)
		key(p.other, psk)
		p.lab.WaitFor("reload", 10*time.Second, func() (bool, string) {
			out := p.hub.Output()
			return strings.Contains(out, "the configuration was reloaded"), out
		})
		if e := show(p.hub, "home"); e.State != api.StateUp || inUse(e) == nil || inUse(e).SPIIn != inUse(before).SPIIn {
			t.Errorf("the same key cost the session: %s", e.State)
		}
		key(p.hub, "another key, which only the cloud has")
		p.lab.WaitFor("port home down", 20*time.Second, func() (bool, string) {
			d := show(p.hub, "home")
			return d.State == api.StateDown, d.State
		})
		key(p.other, "another key, which only the cloud has")
		comesUp(t, p.lab, p.hub, "home")
		comesUp(t, p.lab, p.other, "cloud")
		crosses(t, p.vm, sites.TV)
	})
}

// fragments is how many IPv4 fragments a namespace has made.
func fragments(t *testing.T, ns *netlab.NS) int {
	t.Helper()
	var names, values []string
	for line := range strings.Lines(ns.Must("cat", "/proc/net/snmp")) {
		if f := strings.Fields(line); f[0] == "Ip:" {
			names, values = values, f
		}
	}
	for i, name := range names {
		if name == "FragCreates" {
			n, err := strconv.Atoi(values[i])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no FragCreates in /proc/net/snmp")
	return 0
}
