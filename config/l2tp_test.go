package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const fileRoad = `radius "corp" {
  servers     = ["192.0.2.10", "radius.example:1645", "[2001:db8::1]:1812"]
  secret_file = "radius.secret"
  timeout     = "500ms"
}

hub "a" {
  port "l2tp" "road" {
    key_file = "road.psk"
    pool     = ["172.16.0.200-172.16.0.230", "172.16.0.250", "172.16.1.0/30"]
    router   = "172.16.0.1"
    dns      = ["172.16.0.1", "192.0.2.53"]
    routes   = ["172.16.0.0/16", "10.0.0.0/8 via 172.16.0.1"]
    order    = ["static", "pool", "radius"]
    methods  = ["eap-mschapv2", "pap", "chap-md5"]
    radius   = "corp"

    aggressive = true
    peer_id    = "keyid:phones"
    legacy     = true
    ike        = ["aes256-sha1-modp1024"]
  }
  port "l2tp" "home" { key_file = "home.psk" }
  port "l2tp" "bare" { insecure_l2tp = true }
}
`

func TestL2TPPort(t *testing.T) {
	c := mustParse(t, fileRoad)
	p := c.Hub("a").Port("road")
	l := p.L2TP
	addr := netip.MustParseAddr
	want := &L2TP{
		Pool: []AddrRange{{addr("172.16.0.200"), addr("172.16.0.230")}, {addr("172.16.0.250"), addr("172.16.0.250")},
			{addr("172.16.1.1"), addr("172.16.1.2")}},
		Router: addr("172.16.0.1"), DNS: []netip.Addr{addr("172.16.0.1"), addr("192.0.2.53")},
		Routes: []Route{{To: netip.MustParsePrefix("172.16.0.0/16")}, {netip.MustParsePrefix("10.0.0.0/8"), addr("172.16.0.1")}},
		DHCP:   "auto", Order: []string{"static", "pool", "radius"}, IPv6: true, MRU: 1400,
		Methods: []string{"eap-mschapv2", "pap", "chap-md5"}, Radius: "corp", Servers: &c.Radius[0],
		MaxSessions: 10000, Hello: 45 * time.Second, Aggressive: true,
		IPsec: &IPsec{Role: "responder", Mode: "auto", PeerID: Identity{IDKeyID, "phones"}, KeyFile: "road.psk", Legacy: true,
			IKE: []string{"aes256-sha1-modp1024"}, PFS: "none", NATT: "auto", IKELifetime: 8 * time.Hour, ESPLifetime: time.Hour,
			DPDInterval: time.Minute, DPDTimeout: 2 * time.Minute, Replay: 4096, ESN: true},
	}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("got %+v\n%+v\nwant %+v\n%+v", l, l.IPsec, want, want.IPsec)
	}
	if l.UseDHCP() || l.Prefix() != netip.MustParsePrefix("172.16.0.0/23") || !slices.Equal(l.Sources(), []string{"static", "pool", "radius"}) {
		t.Errorf("DHCP %v, subnet %v, sources %v", l.UseDHCP(), l.Prefix(), l.Sources())
	}
	home := c.Hub("a").Port("home").L2TP
	if !home.UseDHCP() || home.Prefix().IsValid() || !slices.Equal(home.Sources(), []string{"static", "dhcp"}) || !slices.Equal(home.AuthMethods(), []string{"mschapv2", "eap-mschapv2"}) {
		t.Errorf("DHCP %v, subnet %v, sources %v, methods %v", home.UseDHCP(), home.Prefix(), home.Sources(), home.AuthMethods())
	}
	if bare := c.Hub("a").Port("bare").L2TP; bare.IPsec != nil || !bare.Insecure {
		t.Errorf("bare: %+v", bare)
	}
	q := c.RadiusNamed("corp")
	if q.Timeout != 500*time.Millisecond || q.Retries != 2 || q.DeadTime != time.Minute || !q.Accounting || q.Interim != 0 {
		t.Errorf("radius: %+v", q)
	}
}

// What a port says as text makes the same port again.
func TestL2TPValuesRoundTrip(t *testing.T) {
	c := mustParse(t, fileRoad)
	_, again, err := Apply("vhub.hcl", []byte(fileRoad),
		AddHub("b", nil), RemovePort("a", "road"), RemovePort("a", "bare"), RemovePort("a", "home"),
		AddPort("b", KindL2TP, "road", PortValues(c.Hub("a").Port("road"), true)),
		AddPort("b", KindL2TP, "home", PortValues(c.Hub("a").Port("home"), false)),
		AddPort("b", KindL2TP, "bare", PortValues(c.Hub("a").Port("bare"), false)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"road", "home", "bare"} {
		if a, b := c.Hub("a").Port(name).L2TP, again.Hub("b").Port(name).L2TP; !reflect.DeepEqual(a, b) {
			t.Errorf("%s: got %+v, want %+v", name, b, a)
		}
	}
}

func TestRadiusServer(t *testing.T) {
	for _, c := range []struct {
		in, host string
		port     int
	}{
		{"192.0.2.10", "192.0.2.10", 1812}, {"192.0.2.10:1645", "192.0.2.10", 1645}, {"radius.example", "radius.example", 1812},
		{"radius.example:1", "radius.example", 1}, {"2001:db8::1", "2001:db8::1", 1812}, {"[2001:db8::1]:99", "2001:db8::1", 99},
		{"[2001:db8::1]", "", 0}, {"", "", 0}, {":1812", "", 0}, {"a:", "", 0}, {"192.0.2.300", "", 0}, {"[a]:5", "", 0}, {"192.0.2.10:65536", "", 0},
	} {
		host, port, err := RadiusServer(c.in)
		if host != c.host || port != c.port || (err == nil) != (c.host != "") {
			t.Errorf("%q: %q %d %v", c.in, host, port, err)
		}
	}
}

func TestL2TPPrefix(t *testing.T) {
	for pool, want := range map[string]string{
		"172.16.0.200-172.16.0.230": "172.16.0.0/24",
		"172.16.0.200":              "172.16.0.0/24",
		"10.1.2.3-10.1.3.4":         "10.1.2.0/23",
		"9.255.255.255-10.0.0.1":    "8.0.0.0/6",
	} {
		r, err := parseRange(pool)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&L2TP{Pool: []AddrRange{r}}).Prefix().String(); got != want {
			t.Errorf("%s: %s, want %s", pool, got, want)
		}
	}
}

func TestRadiusEdits(t *testing.T) {
	for _, c := range []struct {
		name string
		edit []Edit
		want string // a piece of the file after it, or of the error after "!"
	}{
		{"a second block", []Edit{AddRadius("lab", Values{"servers": "192.0.2.9,192.0.2.8", "secret_file": "s"})},
			"\nradius \"lab\" {\n  servers     = [\"192.0.2.9\", \"192.0.2.8\"]\n  secret_file = \"s\"\n}\n"},
		{"the same name again", []Edit{AddRadius("corp", nil)}, "!there is a radius \"corp\" already"},
		{"what it needs is missing", []Edit{AddRadius("lab", Values{"servers": "192.0.2.9"})}, "!needs secret_file"},
		{"a key set, another unset", []Edit{SetRadius("corp", Values{"retries": "0"}, []string{"timeout"})}, "secret_file = \"radius.secret\"\n  retries     = 0\n}"},
		{"one that is not there", []Edit{SetRadius("crop", nil, nil)}, "!there is no radius \"crop\"; did you mean \"corp\"?"},
		{"removed while a port names it", []Edit{RemoveRadius("corp")}, "!port \"road\": there is no radius \"corp\""},
		{"removed with its port", []Edit{RemovePort("a", "road"), RemoveRadius("corp")}, "hub \"a\" {\n"},
		{"a pool of one text", []Edit{SetPort("a", "home", Values{"pool": "172.16.9.0/29"}, nil)}, "pool     = \"172.16.9.1-172.16.9.6\"\n"},
		{"a pool of two", []Edit{SetPort("a", "home", Values{"pool": "172.16.9.1, 172.16.9.3-172.16.9.4"}, nil)}, "pool     = [\"172.16.9.1\", \"172.16.9.3-172.16.9.4\"]\n"},
	} {
		out, _, err := Apply("vhub.hcl", []byte(fileRoad), c.edit...)
		if fault, bad := strings.CutPrefix(c.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
}

// A port whose servers change is a port that changes, though it says the same.
func TestRadiusDiff(t *testing.T) {
	old := mustParse(t, fileRoad)
	new := mustParse(t, "# lines move\n"+strings.Replace(fileRoad, "500ms", "700ms", 1)+"radius \"lab\" {\n  servers = [\"192.0.2.1\"]\n  secret_file = \"s\"\n}\n")
	if got, want := show(Diff(old, new)), "changed radius /corp timeout\nadded radius /lab \nchanged port a/road radius"; got != strings.ReplaceAll(want, " \n", "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	moved := mustParse(t, "# lines move\n"+fileRoad)
	if d := Diff(old, moved); len(d) != 0 || !reflect.DeepEqual(old.Hub("a").Port("road").L2TP, moved.Hub("a").Port("road").L2TP) {
		t.Errorf("lines moved, and %s", show(d))
	}
	if got := show(Diff(new, old)); !strings.HasPrefix(got, "removed radius /lab\n") {
		t.Errorf("got %s", got)
	}
}

func TestL2TPSecrets(t *testing.T) {
	dir := t.TempDir()
	src := strings.Replace(fileRoad, "radius   = \"corp\"", "radius   = \"corp\"\n    tunnel_secret_file = \"lac\"", 1)
	c, err := Parse(filepath.Join(dir, "vhub.hcl"), []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"road.psk", "home.psk", "lac", "radius.secret"}
	for _, missing := range all {
		for _, name := range all {
			mode := os.FileMode(0o600)
			if name == missing {
				mode = 0o644
			}
			f := filepath.Join(dir, name)
			if err := os.WriteFile(f, []byte("secret\n"), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(f, mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := CheckSecrets(c); err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s readable by others: %v", missing, err)
		}
	}
}
