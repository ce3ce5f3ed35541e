package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ran is a result with these rounds; nil is one that failed.
func ran(name string, rounds ...map[string]float64) *result {
	for _, c := range cases {
		if c.name == name {
			r := newResult(c)
			r.rounds = rounds
			return r
		}
	}
	panic("no case " + name)
}

func tcp(v float64) map[string]float64 { return map[string]float64{tcpGbit: v, idleP50: 0.01 * v} }

// A ratio is that of figures of the same round, so what the machine did in
// between falls on both; rounds that one of them lacks do not count.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	vhub := ran("vhub", tcp(10), map[string]float64{}, tcp(2), tcp(9))
	other := ran("softether", tcp(5), tcp(1), tcp(1), nil)
	got := ratios(vhub, other, tcpGbit)
	if len(got) != 2 || got[0] != 2 || got[1] != 2 {
		t.Errorf("got %v, want [2 2]", got)
	}
	if got := ratios(vhub, nil, tcpGbit); got != nil {
		t.Errorf("to a case that was not measured: %v", got)
	}
}

func TestVerdicts(t *testing.T) {
	t.Setenv("VHUB_BIN", "/nonexistent") // or the report builds the program to ask for its version
	r := &report{o: options{runs: 3, secs: 2, peers: true}, all: []*result{
		ran("bridge", tcp(10), tcp(12), tcp(11)),
		ran("vhub", tcp(8), tcp(8), tcp(9)),
		ran("softether", tcp(1), tcp(2), tcp(2)),
		ran("softether-nice", tcp(3), tcp(3), tcp(3)), // the better one
	}, curves: []*curve{{name: "stations", points: []*point{
		{n: 100, whole: []float64{3, 3, 0}, alone: []float64{100, 100, 100}},
		{n: 1_000_000, whole: []float64{3.3, 3.9, 3}, alone: []float64{250, 300, 200}}}}},
		idle: &idle{cpu: []float64{2.5, 2.7}, perSession: 25, curve: &curve{name: "sessions"}}}
	r.all[1].fault("run 4", errors.New("iperf3 did\n not end"))
	got := map[string]string{}
	r.verdicts(func(what, verdict string) { got[what] = verdict })
	for what, want := range map[string]string{
		"TAP to TAP, TCP: at least 3 times SoftEther":                                                            "**missed**: 2.67 (2.67-3.00) times SoftEther, TAP to TAP, nice -20",
		"TAP to TAP, TCP: at least 0.75 of the kernel bridge":                                                    "reached: 0.80 (0.67-0.82) times",
		"idle ping, p50: at most 60 µs over the kernel bridge":                                                   "reached: -20 (-40--20) µs",
		"forwarding cost with 1,000,000 stations against 100: at most 1.3 times, TAP to TAP (the whole path)":    "reached: 1.20 (1.10-1.30) times",
		"forwarding cost with 1,000,000 stations against 100: at most 1.3 times, the switch alone":               "**missed**: 2.50 (2.00-3.00) times",
		"10,000 idle L2TP sessions: at most 3 % of one core":                                                     "reached: 2.60 (2.50-2.70) %",
		"10,000 idle L2TP sessions: at most 24 KiB resident each":                                                "**missed**: 25.0 KiB",
		"nic to TAP, TCP, the NIC's offloads left on: at least 3 times SoftEther (which needs them off)":         "**not measured**: see what failed",
		"CPU seconds a GB, nic to TAP: below every rival's that carries the same frames in user space":           "**not measured**: see what failed",
		"60-byte frames, 300,000 a second offered: under 1 % lost":                                               "**not measured**: see what failed",
		"L2TP/IPsec, synthetic client, TCP, AES-128-CBC + SHA1: at least 2 times SoftEther with the same client": "**not measured**: see what failed",
	} {
		if got[what] != want {
			t.Errorf("%s:\n got %q\nwant %q", what, got[what], want)
		}
	}
	if len(got) != len(targets) {
		t.Errorf("%d verdicts of %d targets", len(got), len(targets))
	}
	if text := r.markdown(); !strings.Contains(text, "- Failed: vhub, TAP to TAP: run 4: iperf3 did not end (it has figures of 3 of 3 runs)\n") {
		t.Errorf("the report does not say what failed:\n%s", text)
	}
}

// The pictures come out whole, with cases that have no figures, too.
func TestPictures(t *testing.T) {
	dir := t.TempDir()
	if d := os.Getenv("BENCH_PICTURES"); d != "" {
		dir = d
	}
	var all []*result
	for i, c := range cases {
		r := newResult(c)
		for round := range 3 {
			f := 1 + 0.1*float64(round)
			r.rounds = append(r.rounds, map[string]float64{tcpGbit: 12 / float64(i+1) * f, daemonCPU: float64(i+1) * 3 * f, floodFrames: 400 / float64(i+1) * f, idleP50: 0.03 * float64(i+1) * f})
		}
		all = append(all, r)
	}
	all[3].rounds = nil
	if err := writePlot(filepath.Join(dir, "bars.png"), all); err != nil {
		t.Error(err)
	}
	stations, ports := &curve{name: "stations"}, &curve{name: "ports"}
	for i, n := range stationPoints {
		stations.points = append(stations.points, &point{n: n, whole: []float64{3 + float64(i)/9, 3.1, 3.4}, alone: []float64{100 * math.Pow(1.3, float64(i)), 150, 120}})
	}
	for _, n := range alonePorts {
		ports.points = append(ports.points, &point{n: n, whole: []float64{3, 3.1, 0}, alone: []float64{100, 150, 120}})
	}
	ports.points[4].whole = nil
	sessions := &curve{name: "idle L2TP sessions", points: []*point{{n: 0, whole: []float64{3}}, {n: 1000, whole: []float64{3.2}}, {n: 10_000, whole: []float64{3.4}}}}
	if err := writeCurves(filepath.Join(dir, "curves.png"), []*curve{stations, ports, sessions}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"bars.png", "curves.png"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() < 1000 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
}
