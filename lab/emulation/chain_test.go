package emulation

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vhub/ppp"
)

var update = flag.Bool("update", false, "write the traces anew")

// TestSystems lets each system's client log in through a translator, use what vhub tells it, ping a
// station of the segment, be idle for a minute, and hang up; what vhub says at each step is that of the
// trace in testdata, and nothing is left of the client.
func TestSystems(t *testing.T) {
	eachSystem(t, func(t *testing.T, p *profile) { golden(t, p, run(t, p)) })
}

// eachSystem runs a test with each profile, in fake time.
func eachSystem(t *testing.T, f func(t *testing.T, p *profile)) {
	for _, p := range []*profile{&windows10, &windows11, &macOS, &iOS, &android, &chromeOS, &networkManager} {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, p) })
		})
	}
}

func run(t *testing.T, p *profile) *trace {
	w := newWAN(p.lan)
	o := newOffice(t, w, p.legacy)
	defer o.close()
	tr := &trace{}
	c := newClient(t, p, w, tr, sharedKey, password)
	login(t, c, o)
	data(t, c, o)
	before := len(tr.lines)
	idleUntil := time.Now().Add(time.Minute)
	c.until(o, "a minute without traffic", 2*time.Minute, func() bool { return !time.Now().Before(idleUntil) })
	if list := o.server.Sessions(); len(list) != 1 || list[0].State != "up" {
		t.Errorf("after a minute: %+v", list)
	}
	if said := strings.Join(tr.lines[before:], "\n"); !strings.Contains(said, "<- L2TP HELLO") || !strings.Contains(said, "-> L2TP ZLB") {
		t.Errorf("the idle client is not asked whether it lives:\n%s", said)
	}
	goodbye(t, c, o)
	tr.decipher(t, p.sizes)
	return tr
}

// login goes on until IPv4 is up, and IPv6 where the system opens it.
func login(t *testing.T, c *client, o *office) {
	c.until(o, "logged in", 10*time.Second, func() bool {
		for _, n := range c.p.ncps {
			if (n.proto == ppp.ProtoIPCP || n.proto == ppp.ProtoIPv6CP) && c.link.open[n.proto] != isOpen {
				return false
			}
		}
		list := o.server.Sessions()
		return c.link.proved && len(list) == 1 && list[0].State == "up"
	})
	for _, n := range c.p.ncps {
		known := n.proto == ppp.ProtoIPCP || n.proto == ppp.ProtoIPv6CP
		if rejected := slices.Contains(c.link.rejected, n.proto); rejected == known {
			t.Errorf("%s: rejected is %v", protoNames[n.proto], rejected)
		}
	}
	if c.p.echo && !c.link.echoed {
		t.Error("the Echo-Request was not answered")
	}
	s := o.server.Sessions()[0]
	if got := [4]byte(c.link.address()); s.Address.As4() != got || !o.pool.Contains(s.Address) {
		t.Errorf("the client has %v, vhub says %v", got, s.Address)
	}
}

// data asks by DHCPINFORM where the system does, and pings the station.
func data(t *testing.T, c *client, o *office) {
	src := [4]byte(c.link.address())
	if c.p.inform != nil {
		c.link.sendIP(dhcpInform(src, c.p.informHW, c.p.inform))
		c.until(o, "an answer to DHCPINFORM", time.Second, func() bool { return len(c.link.ip) > 0 })
		c.link.ip = nil
	}
	c.link.sendIP(ping(src, stationIP.As4()))
	c.until(o, "an echo reply of the station", time.Second, func() bool { return len(c.link.ip) > 0 })
	if got := c.link.ip[0]; string(got) != string(pong(ping(src, stationIP.As4()))) {
		t.Errorf("the reply came as %x", got)
	}
}

// goodbye hangs up as the system does.
func goodbye(t *testing.T, c *client, o *office) {
	if c.p.terminate != nil {
		c.link.send(ppp.ProtoLCP, termReq, c.link.nextID(ppp.ProtoLCP), c.p.terminate)
		c.until(o, "LCP terminated", 3*time.Second, func() bool { return c.link.over })
	}
	leave(c, o)
}

// leave ends L2TP and IPsec; nothing is left of the client then.
func leave(c *client, o *office) {
	c.hangUp()
	c.until(o, "L2TP's last acknowledgement", 3*time.Second, func() bool { return c.acked == c.ns })
	c.closeIKE()
	c.until(o, "nothing is left", 5*time.Second, func() bool { return len(o.released()) == 0 })
}

// golden compares with the trace in testdata.
func golden(t *testing.T, p *profile, tr *trace) {
	got := "# " + strings.ReplaceAll(strings.TrimSpace(p.says), "\n", "\n# ") + "\n" + tr.text()
	file := filepath.Join("testdata", p.name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("the trace is not that of %s from line %d on (go test ./lab/emulation -update writes it anew):\n%s", file, i+1, strings.Join(a[min(i, len(a)):], "\n"))
		}
	}
}
