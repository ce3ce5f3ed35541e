package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"vhub/eth"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", name, got, want)
	}
}

func mustParse(t testing.TB, src string) *Config {
	t.Helper()
	c, err := Parse("vhub.hcl", []byte(src))
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, src)
	}
	return c
}

func TestParseDesign(t *testing.T) {
	c := mustParse(t, exampleFile)
	h := c.Hub("default")
	if len(c.Hubs) != 1 || h == nil || len(h.Ports) != 4 {
		t.Fatalf("got %d hubs, %+v", len(c.Hubs), h)
	}
	if h.ARP != "assist" || h.MACLimit != 65536 || h.MACAge != 5*time.Minute || h.EchoWindow != 500*time.Millisecond {
		t.Errorf("hub: %+v", h)
	}
	lan, office, ix := h.Port("lan"), h.Port("office"), h.Port("ix")
	if lan.TAP == nil || lan.TAP.Bridge != "br0" || lan.TAP.Interface != "vh-lan" || !lan.TAP.Offload || !lan.Suppress || !lan.Enabled {
		t.Errorf("lan: %+v %+v", lan, lan.TAP)
	}
	if office.EtherIP == nil || office.EtherIP.Peer != "203.0.113.7" || !office.EtherIP.Plain || office.EtherIP.IPsec != nil || office.Suppress || !office.EtherIP.MSSClamp {
		t.Errorf("office: %+v %+v", office, office.EtherIP)
	}
	s := ix.EtherIP.IPsec
	if s == nil || s.PeerID != (Identity{IDKeyID, "ix2015"}) || s.KeyFile != "ix.psk" || s.Role != "either" || s.ESPLifetime != time.Hour || s.Replay != 4096 {
		t.Errorf("ix: %+v", s)
	}
	if road := h.Port("road"); road.L2TP == nil || road.L2TP.Pool[0].String() != "172.16.0.200-172.16.0.230" || road.L2TP.UseDHCP() || road.L2TP.IPsec.KeyFile != "road.psk" {
		t.Errorf("road: %+v", road.L2TP)
	}
	if office.Pos != (Pos{"vhub.hcl", 6}) {
		t.Errorf("office stands at %v", office.Pos)
	}
	if got := (&Config{File: "/etc/vhub/vhub.hcl"}).Path("ix.psk"); got != "/etc/vhub/ix.psk" {
		t.Errorf("Path: %s", got)
	}
}

func TestParseEveryValue(t *testing.T) {
	c := mustParse(t, `
log {
  level  = "debug"
  format = "json"
}
ipsec {
  listen        = ["203.0.113.1", "2001:db8::1"]
  nat_keepalive = "0s"
}
hub "a.b-c_9" {
  arp = "proxy"
  arp_keep = "0s"
  port "tap" "t" {
    interface   = "vhub7"
    mac         = "02:00:5e:10:00:01"
    addresses   = ["192.168.10.1/24", "2001:db8:10::1/64"]
    queues      = 4
    static_macs = ["02:00:5E:10:00:09", "02:00:5e:10:00:09@100"]
    enabled     = false
  }
  port "nic" "n" { interface = "eth1" }
  port "etherip" "e" {
    peer      = "branch.example"
    peer_id   = "ix@branch.example"
    key_file  = "/etc/vhub/e.psk"
    uplinks   = ["wan0", "198.51.100.9"]
    esp_bytes = "4GiB"
    ike       = ["aes256-sha256-modp2048", "3des-md5-modp1024"]
    legacy    = true
  }
}`)
	h := c.Hub("a.b-c_9")
	tap, e := h.Port("t"), h.Port("e").EtherIP
	if c.Log != (Log{"debug", "json"}) || len(c.IPsec.Listen) != 2 || c.IPsec.KeepAlive != 0 || h.ARPKeep != 0 {
		t.Errorf("%+v %+v", c.Log, c.IPsec)
	}
	mac, _ := eth.ParseAddr("02:00:5e:10:00:09")
	if !reflect.DeepEqual(tap.StaticMACs, []StaticMAC{{mac, 0}, {mac, 100}}) || tap.Enabled || tap.TAP.Queues != 4 || len(tap.TAP.Addresses) != 2 {
		t.Errorf("tap: %+v %+v", tap, tap.TAP)
	}
	if e.IPsec.ESPBytes != 4<<30 || e.IPsec.PeerID != (Identity{IDUserFQDN, "ix@branch.example"}) || len(e.IPsec.Uplinks) != 2 {
		t.Errorf("etherip: %+v", e.IPsec)
	}
}

// The bad files of testdata/bad, one a case between "=== name" lines, and the
// lines the user gets for each.
func TestBadFiles(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "bad.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cases := strings.Split("\n"+string(b), "\n=== ")[1:]
	if len(cases) < 40 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		name, src, _ := strings.Cut(c, "\n")
		_, err := Parse("vhub.hcl", []byte(src))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		fmt.Fprintf(&out, "=== %s\n%v\n", name, err)
		for _, line := range strings.Split(err.Error(), "\n") {
			if !strings.HasPrefix(line, "vhub.hcl:") || len(line) > 400 {
				t.Errorf("%s: the line %q does not begin with file and line, or is too long", name, line)
			}
		}
	}
	golden(t, filepath.Join("testdata", "bad.golden"), out.String())
}

func TestWildFiles(t *testing.T) {
	for name, src := range map[string]string{
		"parentheses": "a = " + strings.Repeat("(", 100000),
		"lists":       "a = " + strings.Repeat("[", 100000),
		"blocks":      strings.Repeat("a {", 100000),
		"not":         "a = " + strings.Repeat("!", 100000) + "true",
		"minus":       "a = " + strings.Repeat("-", 100000) + "1",
		"choices":     "a = " + strings.Repeat("1 ? 2 : ", 100000) + "1",
		"templates":   "a = " + strings.Repeat("\"${", 100000),
		"heredocs":    "a = " + strings.Repeat("<<A\n${", 10000),
		"length":      strings.Repeat("# x\n", MaxFile/4+1),
		"number":      "hub \"a\" {\n mac_limit = 1e999999999\n}",
		"small":       "hub \"a\" {\n mac_limit = 1e-999999999\n}",
		"NUL":         "hub \"a\x00\" {}",
		"no UTF-8":    "hub \"\xff\xfe\" {}",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse("f", []byte(src))
			if err == nil {
				t.Error("no error")
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(exampleFile))
	f.Add([]byte(defaultSource))
	f.Add([]byte("hub \"a\" { port \"nic\" \"b\" { interface = <<X\neth0\nX\n } }"))
	f.Add([]byte("log { level = \"${1}\" }\nipsec { listen = [1, null, \"::1\"] }"))
	f.Add([]byte("hub a { mac_limit = 1e99 }\r\n/* x */ hub b {}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse("f.hcl", src)
		if (c == nil) == (err == nil) {
			t.Fatal("neither a configuration nor an error, or both")
		}
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatal("an error without a text")
			}
			return
		}
		// What parses can be edited, and the edit does what it says and no more.
		out, edited, err := Apply("f.hcl", src, AddHub("zz-new", nil))
		if c.Hub("zz-new") == nil && err != nil {
			t.Fatalf("cannot edit: %v\n%s", err, src)
		}
		if err == nil {
			if d := Diff(c, edited); len(d) != 1 || d[0].Name != "zz-new" {
				t.Fatalf("adding a hub changed %v\n%s", d, out)
			}
		}
		for _, h := range c.Hubs {
			out, edited, err := Apply("f.hcl", src, SetHub(h.Name, Values{"mac_limit": "777"}, []string{"arp"}))
			if err != nil {
				t.Fatalf("cannot set: %v\n%s", err, src)
			}
			if got := edited.Hub(h.Name); got.MACLimit != 777 || got.ARP != "assist" {
				t.Fatalf("set gave %+v\n%s", got, out)
			}
			if _, _, err := Apply("f.hcl", src, RemoveHub(h.Name)); err != nil {
				t.Fatalf("cannot remove: %v\n%s", err, src)
			}
			for _, p := range h.Ports {
				out, edited, err := Apply("f.hcl", src, SetPort(h.Name, p.Name, Values{"description": "x"}, []string{"isolate"}))
				if err != nil {
					t.Fatalf("cannot set a port: %v\n%s", err, src)
				}
				if got := edited.Hub(h.Name).Port(p.Name); got.Description != "x" || got.Isolate {
					t.Fatalf("set gave %+v\n%s", got, out)
				}
			}
		}
	})
}
