package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vhub/api"
	"vhub/internal/interop"
	"vhub/internal/netlab"
	"vhub/lab/guest"
	"vhub/lab/sites"
)

// roadClient is one client program in one guest, and what has been tried with it.
type roadClient struct {
	*roadWAN
	g              *guest.Guest
	peer, versions string // in docs/interop.md
	cfg            guest.RoadWarriorConfig
	nmIKE, nmESP   string // what NetworkManager-l2tp has it propose
	dnsmasq        *netlab.Proc
}

func TestL2TPStrongSwan(t *testing.T) {
	c := &roadClient{roadWAN: newRoadWAN(t, "--routes", "172.16.0.0/16,10.9.0.0/16 via 172.16.0.1"), peer: "strongSwan + xl2tpd + pppd", versions: "5.9.8, 1.3.18, 2.4.9",
		cfg: roadConfig(), nmIKE: guest.NetworkManagerIKE, nmESP: guest.NetworkManagerESP}
	c.day(t, guest.StrongSwan)
}

func TestL2TPLibreswan(t *testing.T) {
	c := &roadClient{roadWAN: newRoadWAN(t, "--routes", "172.16.0.0/16,10.9.0.0/16 via 172.16.0.1"), peer: "libreswan + xl2tpd + pppd", versions: "4.10, 1.3.18, 2.4.9",
		cfg: roadConfig(), nmIKE: guest.NetworkManagerIKELibreswan, nmESP: guest.NetworkManagerESPLibreswan}
	c.cfg.Libreswan = true
	c.day(t, guest.LibreSwan)
}

// day is a client's day: behind a router that only routes, with an address by
// DHCP; then behind the same router when it rewrites ports and drops ESP, with one
// of the pool and no DHCP server. One guest does it all, since booting one takes
// longer than most cells.
func (c *roadClient) day(t *testing.T, flavor guest.Flavor) {
	c.dnsmasq = c.dhcp()
	c.cloud.Must("ip", "route", "add", "192.168.1.0/24", "via", natWAN)
	c.nat.Must("nft", "delete", "table", "ip", "nat")
	c.g = guest.Boot(t, flavor, "home", guest.NIC{NS: c.nat, TAP: "g1", CIDR: homeLAN + "/24", Gateway: natLAN})
	c.nat.Must("ip", "link", "set", "dev", "g1", "master", "lan")
	if m := libreswanVersion.FindStringSubmatch(c.g.Must("ipsec --version")); m != nil {
		c.versions = m[1] + strings.TrimPrefix(c.versions, "4.10")
	}
	tool, err := os.ReadFile(sites.Tool(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(c.g.Dir, "tool"), tool, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}

	w := guest.NewRoadWarrior(t, c.g, c.cfg)
	var first api.Session
	c.cell(t, "straight, DHCP", "passed: 1,400 and 1,500 bytes, TCP both ways, host name told, gratuitous ARP", func(t *testing.T) { first = c.straight(t, w) })
	c.cell(t, "IPv6", "passed: address made from the segment's router advertisement, pings both ways", func(t *testing.T) { c.ipv6(t, w) })
	c.cell(t, "DHCPINFORM", "passed: classless routes", func(t *testing.T) { c.inform(t, w) })
	c.cell(t, "broadcast and mDNS", "passed: both ways", func(t *testing.T) { c.broadcasts(t, w) })
	c.cell(t, "DHCP, an address that another station has", "passed: declined, the next one is used", func(t *testing.T) { c.conflict(t, w, first) })
	c.cell(t, "the proposals of NetworkManager-l2tp", "passed", c.networkManager)
	c.cell(t, `EAP-MSCHAPv2, hub\user`, "passed: the user's own address and MAC", c.eap)
	c.cell(t, "wrong password, wrong key", "passed", func(t *testing.T) {
		c.refused(t, func(cfg *guest.RoadWarriorConfig) { cfg.Password = "guess" }, "no address", `reason="wrong password"`)
		c.refused(t, func(cfg *guest.RoadWarriorConfig) { cfg.PSK = "another key" }, "no IPsec", "wrong key")
	})

	c.dnsmasq.Kill()
	c.hub.Must("port", "set", "road", "--pool", roadPool, "--dhcp", "off")
	c.nat.Masquerade("wan0")
	short := c.cfg
	short.IKELifetime, short.ESPLifetime, short.RekeyMargin = 34*time.Second, 30*time.Second, 22*time.Second
	w = guest.NewRoadWarrior(t, c.g, short)
	var s api.Session
	c.cell(t, "behind NAT, pool", "passed: no DHCP server, 1,400 and 1,500 bytes, TCP both ways", func(t *testing.T) { s = c.natted(t, w) })
	c.cell(t, "rekeying of both phases under 20 pings a second: 0 lost", "passed", func(t *testing.T) { c.rekeys(t, w, s) })
	c.cell(t, "kill -9 of either side", "passed", func(t *testing.T) { c.killed(t, w, s) })
}

// cell runs one case, which goes into docs/interop.md when it holds.
func (c *roadClient) cell(t *testing.T, name, result string, f func(t *testing.T)) {
	t.Helper()
	start := time.Now()
	ok := t.Run(name, func(t *testing.T) {
		f(t)
		interop.Record(t, c.peer, c.versions, "server", "L2TP/IPsec, "+name, result)
	})
	t.Logf("%s: %.1f s", name, time.Since(start).Seconds())
	if !ok {
		t.Logf("vhub: %s", c.hub.Output())
	}
}

func (c *roadClient) straight(t *testing.T, w *guest.RoadWarrior) api.Session {
	heard := c.listen(c.vm, "arp", "eth0", "arp")
	times, s := c.up(t, w)
	quick(t, "straight, address by DHCP", times)
	if s.AddressFrom != "dhcp" || !strings.HasPrefix(w.Address, "172.16.0.1") || s.DHCPServer != sites.VM || !strings.HasPrefix(s.Client, homeLAN+":") {
		t.Errorf("the address %s is from %q of %q, the client %s", w.Address, s.AddressFrom, s.DHCPServer, s.Client)
	}
	// dnsmasq writes the name that it was told behind the address it gives.
	if ack := regexp.MustCompile(`DHCPACK\(eth0\) ` + regexp.QuoteMeta(w.Address) + ` \S+ home`); !ack.MatchString(c.dnsmasq.Output()) {
		t.Errorf("the DHCP server was not told the client's name: %s", c.dnsmasq.Output())
	}
	heard.until(t, "the probe before use and the announcement", "who-has "+w.Address+" tell 0.0.0.0", "who-has "+w.Address+" tell "+w.Address)
	c.carries(t, w)
	return s
}

// carries pings both ways with packets of 1,400 and 1,500 bytes and runs iperf3
// both ways, a second each.
func (c *roadClient) carries(t *testing.T, w *guest.RoadWarrior) {
	t.Helper()
	for _, size := range []string{"1372", "1472"} { // with IP and ICMP 1,400 and 1,500 bytes
		if p := c.vm.Ping("-c", "10", "-i", "0.05", "-M", "dont", "-s", size, w.Address); p.Received != 10 || p.Duplicates > 0 {
			t.Errorf("ping to the client, -s %s: %s", size, p.Output)
		}
		c.pingsOut(t, "-M dont -s "+size+" "+sites.VM)
	}
	for _, way := range []struct{ name, option string }{{"from", ""}, {"to", "-R"}} {
		server := c.vm.Start("iperf3", "iperf3", "-s", "-1", "-p", "5201")
		c.lab.WaitFor("iperf3 listening", 5*time.Second, func() (bool, string) {
			out := c.vm.Must("ss", "-Hltn", "sport = :5201")
			return out != "", out
		})
		line := c.g.Must("iperf3 -c " + sites.VM + " -p 5201 -t 1 -f m " + way.option + " | grep -E 'receiver|error'")
		if f := strings.Fields(line); len(f) < 8 || !strings.HasPrefix(f[7], "Mbits") || f[6] == "0.00" {
			t.Errorf("iperf3 %s the client: %s", way.name, line)
		} else {
			t.Logf("iperf3 %s the client: %s Mbit/s", way.name, f[6])
		}
		<-server.Done()
	}
}

// pingsOut pings from the guest, whose ping may give up the last ones before it
// had the processor to look.
func (c *roadClient) pingsOut(t *testing.T, args string) {
	t.Helper()
	out, _ := c.g.Run(30*time.Second, "ping -n -c 12 -i 0.05 "+args)
	if sent, lost, double := settled(t, out, 2); sent != 10 || lost > 0 || double > 0 {
		t.Errorf("ping from the client, %s: %d sent, %d lost, %d double: %s", args, sent, lost, double, out)
	}
}

// ipv6 waits for the address that the client's kernel makes from the segment's
// router advertisement.
func (c *roadClient) ipv6(t *testing.T, w *guest.RoadWarrior) {
	var addr string
	global := regexp.MustCompile(`inet6 (` + roadNet6 + `[0-9a-f:]+)/64 scope global`)
	c.lab.WaitFor("address by router advertisement", 20*time.Second, func() (bool, string) {
		out, _ := c.g.Run(10*time.Second, "ip -6 addr show dev "+w.Interface)
		if m := global.FindStringSubmatch(out); m != nil {
			addr = m[1]
		}
		return addr != "" && !strings.Contains(out, "tentative"), out
	})
	c.pingsOut(t, roadVM6)
	if p := c.vm.Ping("-n", "-c", "10", "-i", "0.05", addr); p.Received != 10 || p.Duplicates > 0 {
		t.Errorf("ping to %s: %s", addr, p.Output)
	}
	// 1,500 bytes: the answer to the first is too big, which the VM is told (RFC 8201).
	_, _ = c.g.Run(10*time.Second, "ping -n -c 1 -W 1 -s 1452 "+roadVM6)
	c.pingsOut(t, "-s 1452 "+roadVM6)
	// A station that has forgotten the client finds it by neighbour discovery.
	c.vm.Must("ip", "neigh", "flush", "dev", "eth0")
	if p := c.vm.Ping("-n", "-c", "3", "-i", "0.2", addr); p.Received != 3 {
		t.Errorf("ping to %s after its neighbour entry is gone: %s", addr, p.Output)
	}
	var found bool
	for _, s := range c.sessions() {
		for _, a := range s.Addresses6 {
			found = found || a == addr
		}
	}
	if !found {
		t.Errorf("the session does not tell %s: %+v", addr, c.sessions())
	}
}

// inform asks for routes as Windows does.
func (c *roadClient) inform(t *testing.T, w *guest.RoadWarrior) {
	out := c.g.Must("/lab/tool inform -dev " + w.Interface + " -from " + w.Address)
	// RFC 3442: 172.16.0.0/16 by the server, 192.0.0.8, and 10.9.0.0/16 by 172.16.0.1.
	for _, want := range []string{"121 10ac10c0000008100a09ac100001\n", "249 10ac10c0000008100a09ac100001\n", "54 c0000008\n", "53 05\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the answer: %s", want, out)
		}
	}
}

// broadcasts has each side hear the other's broadcast and mDNS question.
func (c *roadClient) broadcasts(t *testing.T, w *guest.RoadWarrior) {
	const filter = "udp and (port 5353 or port 7777)"
	c.g.Must("tcpdump -n -l -i " + w.Interface + " '" + filter + "' >/lab/heard.log 2>&1 </dev/null &")
	onSegment := c.listen(c.vm, "mdns", "eth0", filter)
	c.lab.WaitFor("tcpdump in the guest", 10*time.Second, func() (bool, string) {
		out := c.g.Read("heard.log")
		return strings.Contains(out, "listening on"), out
	})
	c.vm.Must("python3", "-c", `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("`+sites.VM+`"))
s.bind(("`+sites.VM+`", 0))
for to in (("224.0.0.251", 5353), ("172.16.0.255", 7777), ("255.255.255.255", 7777)):
    s.sendto(b"who is here", to)`)
	c.lab.WaitFor("broadcast and mDNS at the client", 10*time.Second, func() (bool, string) {
		out := c.g.Read("heard.log")
		return strings.Contains(out, "> 224.0.0.251.5353") && strings.Contains(out, "> 172.16.0.255.7777") && strings.Contains(out, "> 255.255.255.255.7777"), out
	})
	c.g.Must(`kill $(pidof tcpdump); ip route replace 224.0.0.0/4 dev ` + w.Interface + `
echo who is there >/dev/udp/224.0.0.251/5353; echo who is there >/dev/udp/172.16.0.255/7777`)
	from := "IP " + w.Address + "."
	onSegment.until(t, "broadcast and mDNS of the client", "> 224.0.0.251.5353", from, "> 172.16.0.255.7777")
}

// conflict hangs up, gives the address to another station and dials again.
func (c *roadClient) conflict(t *testing.T, w *guest.RoadWarrior, before api.Session) {
	if err := w.HangUp(); err != nil {
		t.Error(err)
	}
	c.gone(t)
	c.lab.WaitFor("DHCPRELEASE", 5*time.Second, func() (bool, string) {
		out := c.dnsmasq.Output()
		return strings.Contains(out, "DHCPRELEASE(eth0) "+before.Address), out
	})
	_, again := c.up(t, w)
	if again.MAC != before.MAC || again.Address != before.Address {
		t.Errorf("the same user and machine: %s %s, before %s %s", again.MAC, again.Address, before.MAC, before.Address)
	}
	if err := w.HangUp(); err != nil {
		t.Error(err)
	}
	c.gone(t)
	squatter := c.lab.NS("squatter")
	c.lab.Wire(squatter, "eth0", c.cloud, "squatter")
	c.cloud.Must("ip", "link", "set", "dev", "squatter", "master", "br0")
	squatter.Addr("eth0", before.Address+"/24")
	_, other := c.up(t, w)
	if other.Address == before.Address || other.AddressFrom != "dhcp" || !strings.Contains(c.dnsmasq.Output(), "DHCPDECLINE(eth0) "+before.Address) {
		t.Errorf("the client has %s, which another station has: %s", other.Address, c.dnsmasq.Output())
	}
	squatter.Must("ip", "link", "set", "dev", "eth0", "down")
	c.vm.Reaches(w.Address, 5*time.Second)
	if err := w.HangUp(); err != nil {
		t.Error(err)
	}
	c.gone(t)
}

func (c *roadClient) networkManager(t *testing.T) {
	cfg := c.cfg
	cfg.IKE, cfg.ESP = c.nmIKE, c.nmESP
	w := guest.NewRoadWarrior(t, c.g, cfg)
	times, _ := c.up(t, w)
	quick(t, "as NetworkManager-l2tp", times)
	c.pingsOut(t, sites.VM)
	w.Stop()
	c.gone(t)
}

// eap has a user with an address and a MAC log in by EAP-MSCHAPv2.
func (c *roadClient) eap(t *testing.T) {
	const address, mac = "172.16.0.77", "02:00:00:00:00:77"
	c.addUser("bob", roadPass, "--address", address, "--mac", mac)
	c.hub.Must("port", "set", "road", "--methods", "eap-mschapv2")
	cfg := c.cfg
	cfg.User, cfg.MSCHAPv2Only = `default\bob`, false
	w := guest.NewRoadWarrior(t, c.g, cfg)
	_, s := c.up(t, w)
	if s.Method != "eap-mschapv2" || s.User != "bob" || s.Address != address || s.MAC != mac || s.AddressFrom != "static" {
		t.Errorf("session %+v", s)
	}
	c.pingsOut(t, sites.VM)
	w.Stop()
	c.gone(t)
	c.hub.Must("port", "set", "road", "--methods", "mschapv2,eap-mschapv2")
}

func (c *roadClient) refused(t *testing.T, edit func(*guest.RoadWarriorConfig), want, log string) {
	cfg := c.cfg
	edit(&cfg)
	w := guest.NewRoadWarrior(t, c.g, cfg)
	if _, err := w.Dial(12 * time.Second); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want %q: %v", want, err)
	}
	if out := c.hub.Output(); !strings.Contains(out, log) {
		t.Errorf("the log does not tell %q: %s", log, out)
	}
	w.Stop()
}

func (c *roadClient) natted(t *testing.T, w *guest.RoadWarrior) api.Session {
	times, s := c.up(t, w)
	quick(t, "behind NAT, address of the pool", times)
	host, port, _ := strings.Cut(s.Client, ":")
	if s.AddressFrom != "pool" || !strings.HasPrefix(w.Address, "172.16.0.2") || host != natWAN || port == "500" || port == "4500" {
		t.Errorf("address %s from %q, client %s (want a port that was rewritten)", w.Address, s.AddressFrom, s.Client)
	}
	c.carries(t, w)
	return s
}

func (c *roadClient) rekeys(t *testing.T, w *guest.RoadWarrior, s api.Session) {
	ike0, esp0 := w.Established()
	ping := pingWhile(t, c.vm, w.Address)
	c.lab.WaitFor("both phases rekeyed twice", 60*time.Second, func() (bool, string) {
		ike, esp := w.Established()
		return ike-ike0 >= 2 && esp-esp0 >= 2, fmt.Sprintf("%d IKE, %d ESP", ike-ike0, esp-esp0)
	})
	ike, esp := w.Established()
	sent, lost, double := ping.end()
	t.Logf("rekeyed IKE %d and ESP %d times: %d pings, %d lost, %d double", ike-ike0, esp-esp0, sent, lost, double)
	if lost > 0 || double > 0 {
		t.Errorf("rekeying lost %d and doubled %d of %d pings", lost, double, sent)
	}
	if l := c.sessions(); len(l) != 1 || l[0].Name != s.Name {
		t.Errorf("after the rekeying: %+v", l)
	}
}

// killed cuts the client's power, then the server's: the client comes back as
// itself.
func (c *roadClient) killed(t *testing.T, w *guest.RoadWarrior, s api.Session) {
	if err := w.Crash(); err != nil {
		t.Fatal(err)
	}
	back := func(after string) {
		w = guest.NewRoadWarrior(t, c.g, c.cfg)
		times, b := c.up(t, w)
		quick(t, after, times)
		if b.Address != s.Address || b.MAC != s.MAC {
			t.Errorf("%s: the client came back as %s %s, it was %s %s", after, b.Address, b.MAC, s.Address, s.MAC)
		}
		c.lab.WaitFor("the old session gone", 10*time.Second, func() (bool, string) {
			l := c.sessions()
			return len(l) == 1 && l[0].Name == b.Name, fmt.Sprintf("%+v", l)
		})
		c.vm.Reaches(w.Address, 5*time.Second)
	}
	back("back after kill -9 of the client")
	c.hub.Kill()
	c.hub.Start()
	w.Stop()
	back("back after kill -9 of the server")
}

// heard is what tcpdump prints in a namespace.
type heard struct {
	l *netlab.Lab
	p *netlab.Proc
}

// listen starts tcpdump and waits until it listens.
func (r *roadWAN) listen(ns *netlab.NS, name, dev, filter string) *heard {
	h := &heard{r.lab, ns.Start("tcpdump-"+name, "tcpdump", "-n", "-l", "-i", dev, filter)}
	r.lab.WaitFor("tcpdump", 10*time.Second, func() (bool, string) {
		out := h.p.Output()
		return strings.Contains(out, "listening on"), out
	})
	return h
}

// until waits for all words, in any order, and ends tcpdump.
func (h *heard) until(t *testing.T, what string, words ...string) {
	t.Helper()
	h.l.WaitFor(what, 10*time.Second, func() (bool, string) {
		out := h.p.Output()
		for _, w := range words {
			if !strings.Contains(out, w) {
				return false, "no " + w + " in " + out
			}
		}
		return true, ""
	})
	h.p.Kill()
}
