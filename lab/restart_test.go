package lab_test

import (
	"context"
	"os"
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

// TestStoppedLeavesNothing stops the daemon with SIGTERM and looks for
// interfaces and addresses that it made and left.
func TestStoppedLeavesNothing(t *testing.T) {
	need(t)
	l := netlab.New(t)
	host := l.NS("host")
	host.Bridge("br9")
	before := host.Must("ip", "-o", "link", "show")
	v := host.VHub("v", "")
	v.Must("port", "add", "tap", "a", "--bridge", "br9")
	v.Must("port", "add", "tap", "b", "--bridge", "brnew", "--create-bridge", "--addresses", "10.9.9.1/24")
	l.WaitFor("both TAPs", 5*time.Second, func() (bool, string) {
		out := host.Must("ip", "-o", "-d", "link", "show", "type", "bridge")
		out += host.Must("ip", "-o", "-d", "link", "show")
		return strings.Count(out, "tun type tap") >= 2 && strings.Contains(out, "brnew"), out
	})
	start := time.Now()
	if err := v.Stop(5 * time.Second); err != nil {
		t.Fatalf("stop: %v: %s", err, v.Output())
	}
	t.Logf("stopped within %v", time.Since(start).Round(time.Millisecond))
	count := func(s string) int { return strings.Count(s, "\n") }
	if after := host.Must("ip", "-o", "link", "show"); count(after) != count(before) {
		t.Errorf("interfaces before:\n%safter:\n%s", before, after)
	}
	if _, err := os.Stat(v.Socket); err == nil {
		t.Errorf("the socket %s is still there", v.Socket)
	}
}
