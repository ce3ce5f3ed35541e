package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vhub/api"
	"vhub/config"
	"vhub/eth"
)

// sends is one step of TestSettingsAtWork: frames by one port, who gets how many of
// them, and why the others are dropped.
type sends struct {
	wait  time.Duration // before
	by    string        // hub/port
	dst   eth.Addr
	src   eth.Addr
	count int    // frames that differ; 0 is one
	want  string // "a/q:1 b/r:1", or "-"
	drop  string // the reason of a drop at the port, or ""
}

// TestSettingsAtWork has the keys of the file do on frames what they say, each at a
// start and as a change of running hubs that had none of them.
func TestSettingsAtWork(t *testing.T) {
	A, B, C, D := eth.Addr{2, 0, 0, 0, 0, 1}, eth.Addr{2, 0, 0, 0, 0, 2}, eth.Addr{2, 0, 0, 0, 0, 3}, eth.Addr{2, 0, 0, 0, 0, 4}
	all, mdns, bpdu, lldp := eth.Broadcast, eth.Addr{1, 0, 0x5e, 0, 0, 0xfb}, eth.Addr{1, 0x80, 0xc2, 0, 0, 0}, eth.Addr{1, 0x80, 0xc2, 0, 0, 0x0e}
	for _, c := range []struct {
		name         string
		hub, p, q, r string // settings of hub a and of its ports
		steps        []sends
	}{
		{name: "two hubs are two segments, also with the same stations", steps: []sends{
			{by: "a/p", dst: all, src: A, want: "a/q:1 a/r:1"},
			{by: "b/s", dst: all, src: A, want: "b/t:1"},
			{by: "b/s", dst: all, src: B, want: "b/t:1"},
			{by: "a/q", dst: A, src: B, want: "a/p:1"},
			{by: "b/t", dst: A, src: C, want: "b/s:1"},
			{by: "b/t", dst: B, src: C, want: "b/s:1"},
			{by: "a/p", dst: B, src: A, want: "a/q:1"},
		}},
		{name: "static_macs", q: `static_macs = ["02:00:00:00:00:02"]`, steps: []sends{
			{by: "a/p", dst: B, src: A, want: "a/q:1"},
			{by: "a/p", dst: all, src: B, want: "-", drop: "static-move"},
			{wait: time.Hour, by: "a/r", dst: B, src: C, want: "a/q:1"},
		}},
		{name: "isolate", p: "isolate = true", q: "isolate = true", steps: []sends{
			{by: "a/p", dst: all, src: A, want: "a/r:1"},
			{by: "a/q", dst: A, src: B, want: "-", drop: "isolated"},
			{by: "a/r", dst: A, src: C, want: "a/p:1"},
		}},
		{name: "group", p: `group = "branches"`, q: `group = "branches"`, steps: []sends{
			{by: "a/p", dst: all, src: A, want: "a/r:1"},
			{by: "a/q", dst: A, src: B, want: "-", drop: "split-horizon"},
		}},
		{name: "broadcast_limit", p: "broadcast_limit = 5", steps: []sends{
			{by: "a/p", dst: all, src: A, count: 20, want: "a/q:5 a/r:5", drop: "storm-broadcast"},
			{by: "a/p", dst: mdns, src: A, count: 20, want: "a/q:20 a/r:20"},
			{by: "a/p", dst: D, src: A, count: 20, want: "a/q:20 a/r:20"},
			{by: "a/q", dst: all, src: B, count: 20, want: "a/p:20 a/r:20"},
			{wait: time.Second, by: "a/p", dst: all, src: A, count: 4, want: "a/q:4 a/r:4"},
		}},
		{name: "multicast_limit", p: "multicast_limit = 5", steps: []sends{
			{by: "a/p", dst: mdns, src: A, count: 20, want: "a/q:5 a/r:5", drop: "storm-multicast"},
			{by: "a/p", dst: all, src: A, count: 20, want: "a/q:20 a/r:20"},
			{by: "a/p", dst: D, src: A, count: 20, want: "a/q:20 a/r:20"},
		}},
		{name: "unknown_limit", p: "unknown_limit = 5", steps: []sends{
			{by: "a/p", dst: D, src: A, count: 20, want: "a/q:5 a/r:5", drop: "storm-unknown"},
			{by: "a/p", dst: all, src: A, count: 20, want: "a/q:20 a/r:20"},
			{by: "a/q", dst: all, src: B, want: "a/p:1 a/r:1"},
			{by: "a/p", dst: B, src: A, count: 20, want: "a/q:20"},
		}},
		{name: "reserved group addresses stay here", steps: []sends{
			{by: "a/p", dst: bpdu, src: A, want: "-", drop: "reserved"},
			{by: "a/p", dst: lldp, src: A, want: "-", drop: "reserved"},
		}},
		{name: "forward_reserved", hub: "forward_reserved = true", steps: []sends{
			{by: "a/p", dst: bpdu, src: A, want: "a/q:1 a/r:1"},
			{by: "a/p", dst: lldp, src: A, want: "a/q:1 a/r:1"},
			{by: "a/p", dst: eth.Addr{1, 0x80, 0xc2, 0, 0, 1}, src: A, want: "-", drop: "reserved"},
			{by: "b/s", dst: bpdu, src: A, want: "-", drop: "reserved"},
		}},
		{name: "max_macs", p: "max_macs = 1", steps: []sends{
			{by: "a/p", dst: all, src: A, want: "a/q:1 a/r:1"},
			{by: "a/p", dst: all, src: B, want: "-", drop: "not-learned"},
		}},
		{name: "mac_age", hub: `mac_age = "10s"`, steps: []sends{
			{by: "a/p", dst: all, src: A, want: "a/q:1 a/r:1"},
			{wait: 9 * time.Second, by: "a/q", dst: A, src: B, want: "a/p:1"},
			{wait: 15 * time.Second, by: "a/q", dst: A, src: B, want: "a/p:1 a/r:1"},
		}},
		{name: "a port's frames without a limit", steps: []sends{
			{by: "a/p", dst: all, src: A, count: 1000, want: "a/q:1000 a/r:1000"},
			{by: "a/p", dst: mdns, src: B, count: 1000, want: "a/q:1000 a/r:1000"},
			{by: "a/p", dst: D, src: C, count: 1000, want: "a/q:1000 a/r:1000"},
		}},
	} {
		file := func(settings bool) *config.Config {
			var b strings.Builder
			say := func(s string) string {
				if settings {
					return s
				}
				return ""
			}
			fmt.Fprintf(&b, "hub \"a\" {\narp = \"relay\"\n%s\n", say(c.hub))
			for i, s := range []string{c.p, c.q, c.r} {
				fmt.Fprintf(&b, "port \"tap\" \"%c\" {\ninterface = \"if%d\"\n%s\n}\n", 'p'+i, i, say(s))
			}
			b.WriteString("}\nhub \"b\" {\narp = \"relay\"\nport \"tap\" \"s\" { interface = \"if3\" }\nport \"tap\" \"t\" { interface = \"if4\" }\n}\n")
			return parsed(t, b.String())
		}
		t.Run(c.name, func(t *testing.T) {
			for _, live := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					b := newBench()
					d := daemonOn(t.Context(), b)
					defer d.stopped()
					first := file(!live)
					if err := d.reconcile(nil, first, strict); err != nil {
						t.Fatal(err)
					}
					if live {
						if err := d.reconcile(first, file(true), strict); err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait()
					for i, s := range c.steps {
						if err := d.send(b, s); err != nil {
							t.Fatalf("changed while running: %v; step %d: %v", live, i+1, err)
						}
					}
				})
			}
		})
	}
}

// send does one step.
func (d *Daemon) send(b *bench, s sends) error {
	time.Sleep(s.wait)
	synctest.Wait()
	hubName, portName, _ := strings.Cut(s.by, "/")
	p := d.hub(hubName).port(portName)
	before := p.status()
	var frames []eth.Frame
	for i := range max(s.count, 1) {
		f := append(append(append([]byte{}, s.dst[:]...), s.src[:]...), 0x88, 0xb5)
		frames = append(frames, eth.Frame{Data: fmt.Appendf(f, "%d %d", time.Now().UnixNano(), i)})
	}
	p.link.NewReader().Input(time.Now(), frames)
	var got []string
	for _, h := range d.all() {
		for _, q := range h.all() {
			if n := len(b.device(q.cfg.TAP.Interface).take()); n > 0 {
				got = append(got, fmt.Sprintf("%s/%s:%d", h.name, q.name, n))
			}
		}
	}
	if len(got) == 0 {
		got = []string{"-"}
	}
	slices.Sort(got)
	drop := ""
	for _, r := range p.status().Drops {
		was := slices.IndexFunc(before.Drops, func(x api.Drop) bool { return x.Reason == r.Reason })
		if was < 0 || before.Drops[was].Frames < r.Frames {
			drop = r.Reason
		}
	}
	if strings.Join(got, " ") != s.want || drop != s.drop {
		return fmt.Errorf("sent to %s and dropped as %q; want %s and %q", strings.Join(got, " "), drop, s.want, s.drop)
	}
	return nil
}
