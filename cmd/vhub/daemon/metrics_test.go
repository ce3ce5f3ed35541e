package daemon

import (
	"bufio"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"vhub/api"
	"vhub/bridge"
	"vhub/ipsec"
)

// expositionLine is a line of the format that Prometheus reads.
var expositionLine = regexp.MustCompile(`^(# (HELP [a-z_]+ .+|TYPE [a-z_]+ (counter|gauge))|[a-z_]+(\{[a-z_]+="([^"\\\n]|\\["\\n])*"(,[a-z_]+="([^"\\\n]|\\["\\n])*")*\})? -?[0-9.]+)$`)

func TestMetrics(t *testing.T) {
	tap, err := json.Marshal(bridge.TAPStatus{Offloads: bridge.Offloads{VnetHdr: true, TSO4: true}, Counters: bridge.Counters{Drops: map[string]uint64{"queue-full": 7}}})
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := json.Marshal(api.Tunnel{TunnelDrops: map[string]uint64{"replay": 3}})
	if err != nil {
		t.Fatal(err)
	}
	road, err := json.Marshal(api.Road{Drops: map[string]uint64{"next-hop-silent": 16}})
	if err != nil {
		t.Fatal(err)
	}
	e := newExposition(metricFamilies)
	daemonMetrics(e, api.Status{Started: time.Unix(1_700_000_000, 0), Hubs: []api.Hub{{Name: "default", MACs: 5, Ports: []api.Port{
		{Hub: "default", Name: `a"b\c`, Kind: "tap", State: api.StateUp, Ups: 2, Device: tap, Drops: []api.Drop{{Reason: "echo", Frames: 9}},
			Counters: api.Counters{InFrames: 1 << 53, OutBytes: 12}},
		{Hub: "default", Name: "far", Kind: "etherip", State: api.StateDown, Device: tunnel},
		{Hub: "default", Name: "road", Kind: "l2tp", State: api.StateUp, Device: road},
		{Hub: "default", Name: "gone", Kind: "tap", State: api.StateWaiting},
	}}}})
	ipsecMetrics(e, ipsec.Status{Sessions: 4, IKEDrops: map[string]uint64{"cookie": 2}, Sockets: []ipsec.SocketStatus{
		{Kind: "natt", Local: "0.0.0.0:4500", Segment: true, Coalesce: true},
		{Kind: "natt", Local: "0.0.0.0:4500", Segment: false, Coalesce: true}, // one reader of two met an error
		{Kind: "raw", Local: "0.0.0.0"},
	}})
	got := e.String()
	for _, want := range []string{
		`vhub_start_time_seconds 1700000000`,
		`vhub_hub_stations{hub="default"} 5`,
		`vhub_port_up{hub="default",port="a\"b\\c",kind="tap"} 1`,
		`vhub_port_up{hub="default",port="far",kind="etherip"} 0`,
		`vhub_port_up{hub="default",port="gone",kind="tap"} 0`,
		`vhub_port_frames_total{hub="default",port="a\"b\\c",kind="tap",direction="in"} 9007199254740992`,
		`vhub_port_bytes_total{hub="default",port="a\"b\\c",kind="tap",direction="out"} 12`,
		`vhub_port_dropped_frames_total{hub="default",port="a\"b\\c",kind="tap",reason="echo"} 9`,
		`vhub_port_device_drops_total{hub="default",port="a\"b\\c",kind="tap",reason="queue-full"} 7`,
		`vhub_port_device_drops_total{hub="default",port="road",kind="l2tp",reason="next-hop-silent"} 16`,
		`vhub_port_tunnel_drops_total{hub="default",port="far",kind="etherip",reason="replay"} 3`,
		`vhub_port_offload{hub="default",port="a\"b\\c",kind="tap",offload="tso4"} 1`,
		`vhub_port_offload{hub="default",port="a\"b\\c",kind="tap",offload="uso6"} 0`,
		`vhub_ipsec_socket_offload{kind="natt",local="0.0.0.0:4500",offload="udp_gso"} 0`,
		`vhub_ipsec_socket_offload{kind="natt",local="0.0.0.0:4500",offload="udp_gro"} 1`,
		`vhub_ipsec_socket_offload{kind="raw",local="0.0.0.0",offload="udp_gro"} 0`,
		`vhub_ipsec_drops_total{reason="ike-cookie"} 2`,
	} {
		if !strings.Contains("\n"+got, "\n"+want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if n := strings.Count(got, `kind="natt"`); n != 2 {
		t.Errorf("two readers of one address are %d samples, want 2", n)
	}
	checkExposition(t, got)
	if t.Failed() {
		t.Log(got)
	}
}

// The daemon's answer is the same text, and fit to be read.
func TestMetricsOfADaemon(t *testing.T) {
	r := startDaemon(t, "hub \"a\" {\n  port \"tap\" \"x\" {}\n}\n")
	got, err := api.Read(t.Context(), r.client, api.GetMetrics, api.None{})
	if err != nil {
		t.Fatal(err)
	}
	if want := `vhub_port_up{hub="a",port="x",kind="tap"} 1`; !strings.Contains(got, want+"\n") {
		t.Errorf("no line %s in\n%s", want, got)
	}
	checkExposition(t, got)
}

// checkExposition fails on lines that are not of the format, on a sample twice
// and on a family whose samples stand in two places.
func checkExposition(t *testing.T, text string) {
	t.Helper()
	seen, over, current := map[string]bool{}, map[string]bool{}, ""
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line := s.Text()
		if !expositionLine.MatchString(line) {
			t.Errorf("not a line that Prometheus reads: %q", line)
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		sample := line[:strings.LastIndex(line, " ")]
		name, _, _ := strings.Cut(sample, "{")
		if seen[sample] {
			t.Errorf("twice: %s", sample)
		}
		if name != current && over[name] {
			t.Errorf("the samples of %s do not stand together", name)
		}
		over[current], seen[sample], current = true, true, name
	}
}
