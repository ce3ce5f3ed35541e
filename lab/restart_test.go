package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/lab/sites"
)

// TestKilledUnderTraffic kills the daemon with SIGKILL while pings run, starts
// it again, and wants the segment whole within a second of the start, with the
// TAP back in its bridge and the configuration as last acknowledged.
func TestKilledUnderTraffic(t *testing.T) {
	need(t)
	s := sites.Three(t)
	s.CloudHub.Must("port", "set", "home", "--description", "the last change")
	want, err := os.ReadFile(s.CloudHub.Config)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		ping := s.VM.Start("ping", "ping", "-i", "0.01", sites.TV)
		s.CloudHub.Kill()
		start := time.Now()
		s.CloudHub.StartNoWait()
		took := answered(t, s.VM, sites.TV, start)
		t.Logf("round %d: killed and started; %s reaches %s again after %v", i+1, s.VM.Name, sites.TV, took.Round(time.Millisecond))
		if took > time.Second {
			t.Errorf("round %d: whole again after %v, want under 1 s: %s", i+1, took, s.CloudHub.Output())
		}
		_ = ping.Stop(time.Second)
		if out := s.Cloud.Must("ip", "-d", "link", "show", "master", "br0"); !strings.Contains(out, "tun type tap") {
			t.Errorf("round %d: the TAP is not back in its bridge: %s", i+1, out)
		}
		got, err := os.ReadFile(s.CloudHub.Config)
		if err != nil || string(got) != string(want) {
			t.Errorf("round %d: the configuration is not as last acknowledged: %v\n%s", i+1, err, got)
		}
	}
	if p := s.VM.Ping("-c", "50", "-i", "0.01", sites.TV); p.Received != 50 || p.Duplicates != 0 {
		t.Errorf("at the end: %v", p)
	}
}

// answered pings, each ping waiting 50 ms, until one is answered, and returns
// how long that was after start.
func answered(t *testing.T, from *netlab.NS, to string, start time.Time) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if err := from.Cmd(ctx, "ping", "-n", "-c", "1", "-W", "0.05", to).Run(); err == nil {
			return time.Since(start)
		}
	}
	t.Fatalf("%s does not reach %s again within 20 s", from.Name, to)
	return 0
}

// TestStoppedLeavesNothing stops the daemon with SIGTERM while it has ports of every
// kind that touches the machine, and wants the machine as it was: interfaces and
// their settings, addresses, routes, the bridge's table, sockets, files.
func TestStoppedLeavesNothing(t *testing.T) {
	need(t, "ss", "bridge")
	l := netlab.New(t)
	host, wire := l.NS("host"), l.NS("wire")
	l.Wire(host, "eth9", wire, "far")
	l.Wire(host, "eth8", wire, "lan")
	// Silent, so that the bridge does not learn it in the middle.
	wire.Must("sysctl", "-qw", "net.ipv6.conf.lan.disable_ipv6=1")
	wire.Must("ip", "link", "set", "dev", "lan", "arp", "off")
	host.Addr("eth9", "10.8.0.1/24")
	host.Bridge("br9", "eth8") // the bridge has its address from it
	host.Addr("br9", "10.9.0.1/24")
	far := wire.Must("cat", "/sys/class/net/far/address")
	state := func() string {
		// What counts time or packets is left out.
		return host.Sh(`export PATH=$PATH:/sbin:/usr/sbin
for i in $(ls /sys/class/net); do echo $i $(cat /sys/class/net/$i/flags /sys/class/net/$i/mtu /sys/class/net/$i/address); done
ip -d -o link show | grep -o '^[0-9]*: [^:@]*\|promiscuity [0-9]*\|master [^ ]*'
ip -o addr show | sed 's/valid_lft.*//'; ip route show table all; ip -6 route show table all | sed 's/expires [0-9]*sec//'; ip maddr show
bridge fdb show | sort; ss -Hlnp -u -w -0 -t`)
	}
	settled := func() string { // IPv6 takes its time with an interface
		var last string
		l.WaitFor("a machine that stays as it is", 20*time.Second, func() (bool, string) {
			now := state()
			same := now == last && !strings.Contains(now, "tentative")
			last = now
			return same, now
		})
		return last
	}
	before := settled()
	v := host.VHub("v", "")
	if err := os.WriteFile(filepath.Join(filepath.Dir(v.Config), "x.psk"), []byte("a key for nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v.Must("port", "add", "tap", "a", "--bridge", "br9")
	v.Must("port", "add", "tap", "b", "--bridge", "brnew", "--create-bridge", "--addresses", "10.9.9.1/24,2001:db8:9::1/64")
	v.Must("port", "add", "nic", "n", "--interface", "eth9")
	v.Must("port", "add", "etherip", "e", "--peer", "10.8.0.2", "--plain")
	v.Must("port", "add", "etherip", "i", "--peer", "10.8.0.3", "--key-file", "x.psk")
	v.Must("port", "add", "l2tp", "r", "--insecure-l2tp", "--pool", "10.9.0.100-10.9.0.110")
	wire.Addr("far", "10.9.0.7/24")
	wire.Reaches("10.9.0.1", 10*time.Second) // by the nic port, and out of the TAP, where it is pinned
	l.WaitFor("the pin of a station", 10*time.Second, func() (bool, string) {
		out := host.Must("bridge", "fdb", "show", "br", "br9")
		return strings.Contains(out, strings.TrimSpace(far)), out
	})
	start := time.Now()
	if err := v.Stop(5 * time.Second); err != nil {
		t.Fatalf("stop: %v: %s", err, v.Output())
	}
	t.Logf("stopped within %v", time.Since(start).Round(time.Millisecond))
	// The wire is as it was too: what the bridge learned of the station by itself is not ours.
	wire.Must("ip", "addr", "del", "10.9.0.7/24", "dev", "far")
	if after := settled(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	for _, name := range []string{v.Socket, v.Socket + ".lock"} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}
