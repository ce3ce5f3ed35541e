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
	"vhub/internal/interop"
	"vhub/internal/netlab"
	"vhub/lab/sites"
)

// The picture of these tests: two sites on a wire, or a home behind a router
// that translates addresses.
//
//	vm 172.16.0.10                                      tv 172.16.0.30
//	   |                                                   |
//	[br0 in cloud]  198.51.100.1 -- internet -- 198.51.100.3  [router or vhub at home]
//	                                    |
//	                        198.51.100.4 [nat] 192.168.1.1 -- 192.168.1.30 home
const (
	natWAN  = "198.51.100.4"
	natLAN  = "192.168.1.1"
	homeLAN = "192.168.1.30"
	psk     = "a pre-shared key of the lab"
)

// wan is the part that all have: the internet, the cloud with its vhub, and the VM.
type wan struct {
	lab                 *netlab.Lab
	net, cloud, vm, nat *netlab.NS
	hub                 *netlab.VHub
}

func newWAN(t *testing.T) *wan {
	t.Helper()
	l := netlab.New(t)
	w := &wan{lab: l, net: l.NS("wan"), cloud: l.NS("cloud"), vm: l.NS("vm"), nat: l.NS("nat")}
	l.Wire(w.cloud, "wan0", w.net, "cloud")
	l.Wire(w.nat, "wan0", w.net, "nat")
	w.cloud.Addr("wan0", sites.CloudWAN+"/24")
	w.nat.Addr("wan0", natWAN+"/24")
	w.net.Bridge("internet", "cloud", "nat")
	w.nat.Bridge("lan")
	w.nat.Addr("lan", natLAN+"/24")
	w.nat.Masquerade("wan0")
	l.Wire(w.vm, "eth0", w.cloud, "host0")
	w.cloud.Bridge("br0", "host0")
	w.vm.Addr("eth0", sites.VM+"/24")
	w.hub = vhubWithKey(t, w.cloud, "cloud")
	w.hub.Must("port", "add", "tap", "lan", "--bridge", "br0")
	return w
}

// twoVHubs is the picture with a vhub at home: on the internet by wan0, and behind
// the router by wan1.
type twoVHubs struct {
	*wan
	home, tv *netlab.NS
	other    *netlab.VHub
}

func newTwoVHubs(t *testing.T) *twoVHubs {
	t.Helper()
	w := newWAN(t)
	p := &twoVHubs{wan: w, home: w.lab.NS("home"), tv: w.lab.NS("tv")}
	w.lab.Wire(p.home, "wan0", w.net, "home")
	w.net.Must("ip", "link", "set", "dev", "home", "master", "internet")
	p.home.Addr("wan0", sites.HomeWAN+"/24")
	w.lab.Wire(p.home, "wan1", w.nat, "home")
	w.nat.Must("ip", "link", "set", "dev", "home", "master", "lan")
	p.home.Addr("wan1", homeLAN+"/24")
	w.lab.Wire(p.tv, "eth0", p.home, "host0")
	p.home.Bridge("br0", "host0")
	p.tv.Addr("eth0", sites.TV+"/24")
	p.other = vhubWithKey(t, p.home, "home")
	p.other.Must("port", "add", "tap", "lan", "--bridge", "br0")
	return p
}

// vhubWithKey starts a vhub with a key file beside its configuration.
func vhubWithKey(t *testing.T, ns *netlab.NS, name string) *netlab.VHub {
	t.Helper()
	v := ns.VHub(name, "hub \"default\" {\n}\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(v.Config), "lab.psk"), []byte(psk+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

// device is what "port show" tells of a port in IPsec.
type device struct {
	api.Port
	Device struct {
		api.Tunnel
		InnerMTU int `json:"inner_mtu"`
		MSS4     int `json:"mss4"`
	} `json:"device"`
}

func show(v *netlab.VHub, port string) device {
	var d device
	v.JSON(&d, "port", "show", port)
	return d
}

// comesUp waits until the port is up and returns what it tells then.
func comesUp(t *testing.T, l *netlab.Lab, v *netlab.VHub, port string) device {
	t.Helper()
	var d device
	l.WaitFor("port "+port+" up", 20*time.Second, func() (bool, string) {
		d = show(v, port)
		return d.State == api.StateUp && len(d.Device.Paths) > 0 && inUse(d) != nil, fmt.Sprintf("%s: %s: %s", d.State, d.Device.Problem, v.Output())
	})
	return d
}

// inUse is the SA that the port sends with; nil for none.
func inUse(d device) *api.ESPSA {
	for _, p := range d.Device.Paths {
		for i := range p.SAs {
			if p.Active && p.SAs[i].InUse {
				return &p.SAs[i]
			}
		}
	}
	return nil
}

// long is a ping that runs while something happens.
type long struct {
	t    *testing.T
	proc *netlab.Proc
}

var runs int

// pingWhile starts a ping of 20 a second.
func pingWhile(t *testing.T, from *netlab.NS, to string) *long {
	t.Helper()
	runs++
	return &long{t, from.Start(fmt.Sprintf("ping%d", runs), "ping", "-n", "-i", "0.05", "-W", "1", to)}
}

// end stops it and says how many were sent long enough ago, and how many of these
// have no answer.
func (l *long) end() (sent, lost, double int) {
	l.t.Helper()
	l.proc.Signal(syscall.SIGINT) // ping prints its sums
	<-l.proc.Done()
	return settled(l.t, l.proc.Output(), 20)
}

var seqs = regexp.MustCompile(`bytes from .* icmp_seq=(\d+)`)

// settled counts the pings of a run but for the newest, whose answers may be on
// their way: ping itself does not wait for those of a guest that has no processor
// just then.
func settled(t *testing.T, out string, newest int) (sent, lost, double int) {
	t.Helper()
	p, ok := netlab.ParsePing(out)
	if !ok {
		t.Fatalf("ping: %s", out)
	}
	answered := map[int]bool{}
	for _, m := range seqs.FindAllStringSubmatch(out, -1) {
		n, _ := strconv.Atoi(m[1])
		answered[n] = true
	}
	sent = max(p.Sent-newest, 0)
	for n := 1; n <= sent; n++ {
		if !answered[n] {
			lost++
		}
	}
	return sent, lost, p.Duplicates
}

// renewals are the SAs of both phases that the port home was seen with.
type renewals struct{ cookies, spis map[string]bool }

func newRenewals() *renewals { return &renewals{map[string]bool{}, map[string]bool{}} }

// look looks; the pause after it leaves the processors to the pings.
func (r *renewals) look(v *netlab.VHub) {
	defer time.Sleep(100 * time.Millisecond)
	var list api.SAList
	v.JSON(&list, "sa", "list", "--port", "home")
	for _, p := range list.IKE {
		if p.State == "established" {
			r.cookies[p.InitiatorCookie] = true
		}
	}
	for _, s := range list.ESP {
		r.spis[s.SPIIn] = true
	}
}

func (r *renewals) String() string {
	return fmt.Sprintf("%d phase 1 and %d phase 2", len(r.cookies), len(r.spis))
}

// renewedUnderPing pings until the peer at home has renewed both phases so often, and
// wants no ping lost.
func (w *wan) renewedUnderPing(t *testing.T, phase1, phase2 int, peerLog func() string) {
	t.Helper()
	ping, seen := pingWhile(t, w.vm, sites.TV), newRenewals()
	w.lab.WaitFor("renewal of both phases", 90*time.Second, func() (bool, string) {
		seen.look(w.hub)
		return len(seen.cookies) >= phase1 && len(seen.spis) >= phase2, seen.String() + ": " + peerLog()
	})
	sent, lost, double := ping.end()
	t.Logf("%d sent, %d lost, %d double, over %s", sent, lost, double, seen)
	if lost != 0 || double != 0 {
		t.Errorf("%d sent, %d lost, %d double: %s", sent, lost, double, w.hub.Output())
	}
}

// passes pings 20 times a second for two seconds.
func passes(t *testing.T, from *netlab.NS, to, size string, more ...string) {
	t.Helper()
	p := from.Ping(append([]string{"-n", "-i", "0.05", "-w", "2", "-s", size, to}, more...)...)
	if sent, lost, double := settled(t, p.Output, 20); lost != 0 || double != 0 || sent < 10 {
		t.Errorf("ping of %s bytes: %d sent, %d lost, %d double: %s", size, sent, lost, double, p.Output)
	}
}

// crosses pings with 1500 bytes that must not be fragmented.
func crosses(t *testing.T, from *netlab.NS, to string) {
	t.Helper()
	from.Reaches(to, 10*time.Second)
	passes(t, from, to, "1472", "-M", "do")
}

// TestIPsecVHubToVHub is two vhubs: every mode and encapsulation, and rekeying of
// both phases under traffic.
func TestIPsecVHubToVHub(t *testing.T) {
	need(t, "iperf3")
	p := newTwoVHubs(t)
	w, home, tv, v := p.wan, p.home, p.tv, p.other
	tv.Start("iperf3", "iperf3", "-s")

	for _, c := range []struct {
		name, mode string
		dial       []string
		nat        bool
		encap      string
	}{
		{"main mode, raw ESP", "main", nil, false, "esp"},
		{"aggressive mode, raw ESP", "aggressive", nil, false, "esp"},
		{"main mode, NAT that rewrites ports", "main", nil, true, "udp"},
		{"aggressive mode, NAT that rewrites ports", "aggressive", nil, true, "udp"},
		{"main mode, raw ESP, tunnel mode, CBC, PFS", "main", []string{"--tunnel", "--esp", "aes256-sha256", "--pfs", "modp2048"}, false, "esp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.hub.Must("port", "add", "etherip", "home", "--peer-id", "keyid:home", "--key-file", "lab.psk", "--mode", c.mode, "--nat-t", "auto")
			route := []string{"ip", "route", "replace", sites.CloudWAN + "/32", "dev", "wan0"}
			if c.nat {
				route = []string{"ip", "route", "replace", sites.CloudWAN + "/32", "via", natLAN}
			}
			home.Must(route...)
			v.Must(append([]string{"port", "add", "etherip", "cloud", "--peer", sites.CloudWAN, "--local-id", "keyid:home", "--key-file", "lab.psk", "--mode", c.mode, "--nat-t", "auto"}, c.dial...)...)
			defer func() {
				v.Must("port", "remove", "cloud")
				w.hub.Must("port", "remove", "home")
			}()
			d := comesUp(t, w.lab, w.hub, "home")
			there := comesUp(t, w.lab, v, "cloud")
			sa := inUse(d)
			t.Logf("%s %s %s, inner MTU %d, MSS %d, NAT %s", sa.Suite, sa.Mode, sa.Encap, d.Device.InnerMTU, d.Device.MSS4, d.Device.Paths[0].NAT)
			if sa.Encap != c.encap || d.Device.PeerID != "keyid:home" {
				t.Errorf("peer %s by %s, want keyid:home by %s", d.Device.PeerID, sa.Encap, c.encap)
			}
			if here := inUse(there); here.SPIIn != sa.SPIOut || here.SPIOut != sa.SPIIn {
				t.Errorf("the SAs differ: %+v and %+v", here, sa)
			}
			crosses(t, w.vm, sites.TV)
			crosses(t, tv, sites.VM)
			if r := iperf(t, w.vm, sites.TV, 1); r.Mbps < 10 {
				t.Errorf("TCP: %.1f Mbit/s", r.Mbps)
			} else {
				t.Logf("TCP: %.0f Mbit/s, %d retransmits", r.Mbps, r.Retransmits)
			}
			interop.Record(t, "vhub", "itself", "both", c.name, "passed: 1500-byte DF pings both ways, TCP")
		})
	}
	t.Run("rekey of both phases", func(t *testing.T) { rekeyVHub(t, w, home, v, tv) })
}

// rekeyVHub has both phases renewed several times under a ping: phase 2 by volume
// and by time, phase 1 by time.
func rekeyVHub(t *testing.T, w *wan, home *netlab.NS, v *netlab.VHub, tv *netlab.NS) {
	home.Must("ip", "route", "replace", sites.CloudWAN+"/32", "dev", "wan0")
	w.hub.Must("port", "add", "etherip", "home", "--peer-id", "keyid:home", "--key-file", "lab.psk")
	v.Must("port", "add", "etherip", "cloud", "--peer", sites.CloudWAN, "--local-id", "keyid:home", "--key-file", "lab.psk",
		"--ike-lifetime", "1m", "--esp-lifetime", "1m", "--esp-bytes", "8388608")
	comesUp(t, w.lab, w.hub, "home")
	tv.Reaches(sites.VM, 10*time.Second)
	there, back := pingWhile(t, w.vm, sites.TV), pingWhile(t, tv, sites.VM)
	seen := newRenewals()
	w.lab.WaitFor("renewal of both phases", 90*time.Second, func() (bool, string) {
		seen.look(w.hub)
		if len(seen.spis) < 5 { // so that the volume runs out
			w.vm.Must("ping", "-q", "-c", "400", "-i", "0.0005", "-s", "8000", sites.TV)
		}
		return len(seen.cookies) >= 2 && len(seen.spis) >= 5, seen.String()
	})
	for name, p := range map[string]*long{"there": there, "back": back} {
		sent, lost, double := p.end()
		t.Logf("%s: %d sent, %d lost, %d double, over %s", name, sent, lost, double, seen)
		if lost != 0 || double != 0 || sent < 50 {
			t.Errorf("%s: %d sent, %d lost, %d double", name, sent, lost, double)
		}
	}
	interop.Record(t, "vhub", "itself", "both", "rekey of phase 1 and 2 under a ping at 20/s", "0 lost")
	if out := w.hub.Must("port", "show", "home"); !strings.Contains(out, "phase 2") {
		t.Errorf("port show tells no SA: %s", out)
	}
}
