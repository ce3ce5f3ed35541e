package guide

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var updateRouters = flag.Bool("update-routers", false, "write testdata/router_*.golden anew")

// branch is a port whose peer comes to us from anywhere, named by a key-id.
func branch() Router {
	return Router{
		Port: "ix", KeyFile: "/etc/vhub/ix.psk", Server: "203.0.113.10", ServerID: Identity{"address", "203.0.113.10"},
		PeerID: Identity{"keyid", "branch1"}, Mode: "auto", PFS: "none", IKELifetime: 8 * time.Hour, ESPLifetime: time.Hour,
		DPDInterval: 10 * time.Second, DPDTimeout: 30 * time.Second,
		InnerMTU: func(suite string) int {
			return map[string]int{"aes256-sha1": 1406, "aes256-sha256": 1390, "aes128gcm16": 1422}[suite]
		},
	}
}

// fixed is a port whose peer has an address, with most settings made.
func fixed() Router {
	r := branch()
	r.Port, r.PeerAddr, r.PeerID = "osaka", "198.51.100.7", Identity{}
	r.ServerID = Identity{"fqdn", "hub.example"}
	r.Mode, r.PFS, r.Tunnel, r.Legacy = "main", "modp2048", true, true
	r.IKE = []string{"aes256-sha512-ecp521", "aes256-sha256-modp2048", "3des-sha1-modp1024"}
	r.ESP = []string{"aes256-sha256", "aes256-sha1"}
	r.DPDInterval = 0
	return r
}

func TestRouterGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		r    Router
	}{{"branch", branch()}, {"fixed", fixed()}} {
		for _, kind := range Routers() {
			got, err := RouterConfig(kind, c.r)
			if err != nil {
				t.Errorf("%s, %s: %v", c.name, kind, err)
				continue
			}
			name := filepath.Join("testdata", "router_"+kind+"_"+c.name+".golden")
			if *updateRouters {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s, %s: got\n%s\nwant\n%s", c.name, kind, got, want)
			}
		}
	}
}

func TestRouterSaysWhatItCannotDo(t *testing.T) {
	for _, c := range []struct {
		name, kind, want string
		change           func(*Router)
	}{
		{"an unknown kind", "zyxel", "there are nec-ix, cisco, yamaha, strongswan, vhub", func(*Router) {}},
		{"no cipher in common", "nec-ix", "vhub port set ix --esp aes256-sha1", func(r *Router) { r.ESP = []string{"aes128gcm16"} }},
		{"no group in common", "yamaha", "vhub port set ix --ike aes256-sha256-modp2048", func(r *Router) { r.IKE = []string{"aes256-sha256-ecp384"} }},
		{"a name in main mode", "nec-ix", "vhub port set ix --mode auto", func(r *Router) { r.Mode = "main" }},
	} {
		r := branch()
		c.change(&r)
		if text, err := RouterConfig(c.kind, r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q; text:\n%s", c.name, err, c.want, text)
		}
	}
}

func TestRouterHasWhatThePortSays(t *testing.T) {
	r := branch()
	r.Server, r.ServerID = "", Identity{}
	r.IKELifetime, r.ESPLifetime = 4321*time.Second, 1234*time.Second
	for _, kind := range Routers() {
		text, err := RouterConfig(kind, r)
		if err != nil {
			t.Fatal(err)
		}
		life := "1234"
		if kind == "vhub" {
			life = "20m34s"
		}
		for _, want := range []string{"SERVER-ADDRESS is the address of vhub", "branch1", life, "KEY is the pre-shared key: the line in /etc/vhub/ix.psk"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", kind, want, text)
			}
		}
	}
}
