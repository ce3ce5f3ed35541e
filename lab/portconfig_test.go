package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"vhub/internal/interop"
	"vhub/internal/netlab"
	"vhub/lab/sites"
)

// guided is the text of "port config" for one kind of peer, and what its head says.
type guided struct {
	text     string
	ike, esp string
	mtu, mss int
}

var guideHead = regexp.MustCompile(`phase 1 (\S+), (?:main|aggressive) mode; phase 2 (\S+); inner MTU (\d+), MSS (\d+)`)

// guideFor has vhub write the configuration of a port's peer.
func guideFor(t *testing.T, v *netlab.VHub, port, kind string) guided {
	t.Helper()
	g := guided{text: v.Must("port", "config", port, "--for", kind)}
	m := guideHead.FindStringSubmatch(g.text)
	if m == nil {
		t.Fatalf("%s: no head with suites, MTU and MSS: %s", kind, g.text)
	}
	g.ike, g.esp = m[1], m[2]
	g.mtu, _ = strconv.Atoi(m[3])
	g.mss, _ = strconv.Atoi(m[4])
	if strings.Contains(g.text, psk) {
		t.Errorf("%s: the text has the key in it", kind)
	}
	return g
}

// between returns the lines after the one that begins with from, up to the one that
// begins with to.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut("\n"+text, "\n"+from)
	if ok {
		_, rest, _ = strings.Cut(rest, "\n")
		rest, _, ok = strings.Cut(rest, "\n"+to)
	}
	if !ok {
		t.Fatalf("no lines between %q and %q in\n%s", from, to, text)
	}
	return rest + "\n"
}

// agrees compares what the text promised with what came up by it.
func (g guided) agrees(t *testing.T, d device) {
	t.Helper()
	if sa := inUse(d); sa.Suite != g.esp || d.Device.Paths[0].IKESuite != g.ike || sa.Encap != "udp" {
		t.Errorf("agreed on %s and %s by %s; the text has %s and %s by udp", d.Device.Paths[0].IKESuite, sa.Suite, sa.Encap, g.ike, g.esp)
	}
	if d.Device.InnerMTU != g.mtu || d.Device.MSS4 != g.mss {
		t.Errorf("the text has inner MTU %d and MSS %d, and the port has %d and %d", g.mtu, g.mss, d.Device.InnerMTU, d.Device.MSS4)
	}
}

// TestPortConfigIsTakenByStrongSwan gives strongSwan what "port config" writes for
// it, with nothing changed but the key, and has traffic cross by it.
func TestPortConfigIsTakenByStrongSwan(t *testing.T) {
	h := newHomeRouter(t)
	h.hub.Must("config", "set", "ipsec", "--listen", sites.CloudWAN)
	for _, c := range []struct {
		name string
		port []string
	}{
		{"defaults, ID key-id", []string{"--peer-id", "keyid:ix2015"}},
		{"aggressive mode, ID FQDN, PFS", []string{"--peer-id", "fqdn:branch.example", "--mode", "aggressive", "--pfs", "modp2048", "--local-id", "fqdn:hub.example"}},
		{"main mode, tunnel, CBC, ID user", []string{"--peer-id", "user:branch@example.net", "--mode", "main", "--tunnel", "--ike", "aes128-sha256-ecp256", "--esp", "aes128-sha256"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.hub.Must(append([]string{"port", "add", "etherip", "home", "--key-file", "lab.psk"}, c.port...)...)
			defer h.hub.Must("port", "remove", "home")
			g := guideFor(t, h.hub, "home", "strongswan")
			h.guest.Write("etc/ipsec.conf", between(t, g.text, "# either /etc/ipsec.conf", "# and /etc/ipsec.secrets"))
			h.guest.Write("etc/ipsec.secrets", strings.ReplaceAll(between(t, g.text, "# and /etc/ipsec.secrets", "#"), "KEY", psk))
			out, err := h.guest.Run(30*time.Second, "ipsec rereadsecrets; ipsec update; true")
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			d := comesUp(t, h.lab, h.hub, "home")
			g.agrees(t, d)
			crosses(t, h.vm, sites.TV)
			h.guest.Write("etc/ipsec.conf", "")
			h.guest.Must("ipsec update; timeout 20 ipsec down home; true")
			h.record(t, "responder", "configured by the text of port config: "+c.name, "passed: 1500-byte DF pings")
		})
	}
}

// TestPortConfigIsTakenByVHub does the same with another vhub, once by the block of
// the file and once by the command; and the texts for the other kinds have the
// values of this port.
func TestPortConfigIsTakenByVHub(t *testing.T) {
	need(t)
	p := newTwoVHubs(t)
	p.hub.Must("config", "set", "ipsec", "--listen", sites.CloudWAN) // without a default route it is not known else
	for _, c := range []struct {
		name string
		port []string
	}{
		{"defaults", []string{"--peer-id", "keyid:home"}},
		{"all that a port can say", []string{"--peer-id", "fqdn:home.example", "--local-id", "user:hub@example.net", "--mode", "aggressive", "--tunnel", "--pfs", "ecp256",
			"--legacy", "--ike", "aes256-sha512-ecp521,aes128-sha1-modp1536", "--esp", "aes256-sha512,aes128-sha1", "--ike-lifetime", "2h", "--esp-lifetime", "30m"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.hub.Must(append([]string{"port", "add", "etherip", "home", "--key-file", "lab.psk"}, c.port...)...)
			defer p.hub.Must("port", "remove", "home")
			g := guideFor(t, p.hub, "home", "vhub")
			key := filepath.Join(filepath.Dir(p.other.Config), "home.psk")
			if err := os.WriteFile(key, []byte(psk+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(p.other.Config)
			if err != nil {
				t.Fatal(err)
			}
			up := func(how string) {
				t.Helper()
				d := comesUp(t, p.lab, p.hub, "home")
				g.agrees(t, d)
				g.agrees(t, comesUp(t, p.lab, p.other, "home"))
				crosses(t, p.vm, sites.TV)
				t.Logf("by the %s: %s %s, inner MTU %d", how, g.ike, g.esp, d.Device.InnerMTU)
			}
			block := "port \"etherip\" " + between(t, strings.ReplaceAll(g.text, "\nport \"etherip\" ", "\nport \"etherip\" \n"), "port \"etherip\" ", "}") + "}\n"
			file := filepath.Join(filepath.Dir(p.other.Config), "new.hcl")
			whole := strings.Replace(string(before), "hub \"default\" {", "hub \"default\" {\n"+block, 1)
			if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			p.other.Must("config", "apply", file)
			up("block")
			p.other.Must("port", "remove", "home")
			p.lab.WaitFor("port home down", 20*time.Second, func() (bool, string) {
				d := show(p.hub, "home")
				return inUse(d) == nil, d.State
			})
			_, command, ok := strings.Cut(g.text, "#   vhub ")
			command, _, _ = strings.Cut(command, "\n")
			if !ok {
				t.Fatalf("no command in\n%s", g.text)
			}
			p.other.Must(strings.Fields(command)...)
			up("command")
			p.other.Must("port", "remove", "home")
			interop.Record(t, "vhub", "itself", "both", "configured by the text of port config: "+c.name, "passed: by the block and by the command, 1500-byte DF pings")
		})
	}
	t.Run("values of the other kinds", func(t *testing.T) {
		p.hub.Must("port", "add", "etherip", "branch", "--peer-id", "keyid:osaka-7", "--key-file", "lab.psk", "--ike-lifetime", "3h", "--esp-lifetime", "17m")
		defer p.hub.Must("port", "remove", "branch")
		for kind, want := range map[string][]string{
			"nec-ix": {"peer " + sites.CloudWAN + " key KEY", "keyid osaka-7", "lifetime 10800", "lifetime time 1020", "adjust-mss %mss"},
			"cisco":  {"pre-shared-key address " + sites.CloudWAN, "self-identity keyid osaka-7", "lifetime 10800", "lifetime seconds 1020", "inner MTU %mtu, or TCP MSS %mss"},
			"yamaha": {"remote address 1 " + sites.CloudWAN, "local name 1 osaka-7 key-id", "ike-sa 1 10800", "ipsec-sa 1 1020", "inner MTU %mtu, or TCP MSS %mss"},
		} {
			g := guideFor(t, p.hub, "branch", kind)
			for _, line := range want {
				line = strings.NewReplacer("%mss", fmt.Sprint(g.mss), "%mtu", fmt.Sprint(g.mtu)).Replace(line)
				if !strings.Contains(g.text, line) {
					t.Errorf("%s: no %q in\n%s", kind, line, g.text)
				}
			}
			// A vhub that speaks as this kind of router would gets exactly these.
			p.other.Must("port", "add", "etherip", "cloud", "--peer", sites.CloudWAN, "--local-id", "keyid:osaka-7", "--key-file", "lab.psk", "--ike", g.ike, "--esp", g.esp)
			g.agrees(t, comesUp(t, p.lab, p.hub, "branch"))
			p.other.Must("port", "remove", "cloud")
			p.lab.WaitFor("port branch down", 20*time.Second, func() (bool, string) { return inUse(show(p.hub, "branch")) == nil, "" })
		}
	})
}
