package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"vhub/api"
	"vhub/internal/netlab"
	"vhub/lab/sites"
)

// curve is what forwarding costs against one number.
type curve struct {
	name   string // of the number
	points []*point
}

// point is one value of the number, with what each round measured.
type point struct {
	n     int
	whole []float64 // µs of the program's CPU a frame, TAP to TAP, 60 bytes at steadyRate; a failed round has 0
	alone []float64 // ns a frame of the switch alone; nil where it was not asked for
	fault string    // why there is nothing, or less
}

// The points of the curves. A point of the whole path is the real program with
// two TAPs in use.
var (
	stationPoints = []int{100, 1_000, 10_000, 100_000, 1_000_000}
	portPoints    = []int{2, 10, 100, 1_000}
	alonePorts    = []int{2, 10, 100, 1_000, 10_000}
	aloneTime     = 150 * time.Millisecond // of one measurement
)

// pathPoint is the stage of a point: a vhub with two TAPs, which are the
// interfaces of hosts A and B.
type pathPoint struct {
	*point
	stage    *stage
	hub      *netlab.VHub
	tool     string
	to       string // MAC of host B
	stations int    // on each side; 0: the frames are host A's to host B
	down     bool
}

func (p *pathPoint) fault(where string, err error) bool {
	if err == nil {
		return false
	}
	s := strings.Join(strings.Fields(err.Error()), " ")
	p.point.fault, p.down = where+": "+s[:min(len(s), 300)], true
	return true
}

// setUp starts the program, and has more do the rest.
func (p *pathPoint) setUp(more func()) {
	s := p.stage
	s.lab = netlab.New(s)
	s.hosts()
	sw := s.ns("s")
	sw.Must("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1") // idle TAPs are silent
	p.hub = sw.VHub("vhub", curveConfig(""))
	s.count(p.hub.Proc)
	s.move(sw, "ta", s.a)
	s.move(sw, "tb", s.b)
	s.ends("ta", "tb")
	p.tool = sites.Tool(s)
	p.to = strings.TrimSpace(s.b.Must("cat", "/sys/class/net/tb/address"))
	more()
	s.a.Reaches(addrB, 20*time.Second)
}

// curveConfig is the configuration of all points: two TAPs, and more.
func curveConfig(more string) string {
	return "hub \"default\" {\n  mac_limit = 1048576\n  mac_age = \"1h\"\n" + tapPort("ta", "max_macs = 1048576") + tapPort("tb", "max_macs = 1048576") + more + "}\n"
}

// teach makes half of the stations known behind each of the two TAPs.
func (p *pathPoint) teach() {
	s := p.stage
	p.stations = p.n / 2
	toA := strings.TrimSpace(s.a.Must("cat", "/sys/class/net/ta/address"))
	known := 0
	for range 6 { // while the table grows, new stations are not learned
		for side, from := range []*netlab.NS{s.a, s.b} {
			to := []string{p.to, toA}[side]
			from.Must(p.tool, "flood", "-dev", []string{"ta", "tb"}[side], "-to", to, "-for", "30s", "-rate", "250000",
				"-stations", strconv.Itoa(p.stations), "-side", strconv.Itoa(side), "-once")
		}
		var st api.Status
		p.hub.JSON(&st, "status")
		if known = st.Hubs[0].MACs; known >= p.n {
			return
		}
	}
	s.Fatalf("%d of %d stations are known", known, p.n)
}

// addPorts adds idle TAPs until there are as many ports as the point wants.
func (p *pathPoint) addPorts() {
	s := p.stage
	var more strings.Builder
	for i := 2; i < p.n; i++ {
		more.WriteString(tapPort(fmt.Sprintf("idle%d", i), ""))
	}
	file := s.file("more.hcl", curveConfig(more.String()))
	p.hub.Must("config", "apply", file)
	s.lab.WaitFor(fmt.Sprint(p.n, " ports"), 2*time.Minute, func() (bool, string) {
		var l api.PortList
		p.hub.JSON(&l, "port", "list")
		up := 0
		for _, x := range l.Ports {
			if x.State == api.StateUp {
				up++
			}
		}
		return up == p.n, fmt.Sprintf("%d are up", up)
	})
}

// measure has host A send for this many seconds.
func (p *pathPoint) measure(secs float64) {
	s := p.stage
	s.must(s.alive())
	pids := s.pids()
	before, cpu := s.counter(s.b, "tb", "rx_packets"), cpuOf(pids)
	args := []string{p.tool, "flood", "-dev", "ta", "-to", p.to, "-for", fmt.Sprintf("%.0fms", secs*1000), "-rate", strconv.Itoa(steadyRate)}
	if p.stations > 0 {
		args = append(args, "-stations", strconv.Itoa(p.stations))
	}
	out := s.a.Must(args...)
	got := s.settled(s.b, "tb", "rx_packets") - before
	cpu = cpuOf(pids) - cpu
	var res struct{ Attempts float64 }
	s.must(json.Unmarshal([]byte(out), &res))
	if got < res.Attempts/10 {
		s.Fatalf("%.0f of %.0f frames arrived", got, res.Attempts)
	}
	p.whole[len(p.whole)-1] = cpu / got * 1e6
}

// measureCurves draws the curves of stations and ports. All points are up at
// once and are measured in turn.
func measureCurves(ctx context.Context, o options) []*curve {
	stations, ports := &curve{name: "stations"}, &curve{name: "ports"}
	var paths []*pathPoint
	add := func(c *curve, n int, more func(*pathPoint)) {
		p := &pathPoint{point: &point{n: n}, stage: &stage{}}
		c.points, paths = append(c.points, p.point), append(paths, p)
		if ctx.Err() == nil && p.fault("set-up", p.stage.guard(func() { p.setUp(func() { more(p) }) })) {
			p.stage.close()
		}
		progress("curve of %s: %d %s", c.name, n, orOK(p.point.fault))
	}
	defer func() {
		for _, p := range paths {
			p.stage.close()
		}
	}()
	for _, n := range stationPoints {
		add(stations, n, (*pathPoint).teach)
	}
	for _, n := range portPoints {
		add(ports, n, (*pathPoint).addPorts)
	}
	measurePaths(ctx, o, paths)
	aloneCurves(ctx, o, stations, ports)
	return []*curve{stations, ports}
}

// measurePaths measures the points in turn, in as many rounds as the table.
func measurePaths(ctx context.Context, o options, paths []*pathPoint) {
	for i := range o.runs {
		var line []string
		for _, p := range paths {
			if ctx.Err() != nil {
				return
			}
			p.whole = append(p.whole, 0)
			if !p.down && p.fault(fmt.Sprintf("run %d", i+1), p.stage.guard(func() { p.measure(max(o.secs/2, 1)) })) {
				progress("%d: %s", p.n, p.point.fault)
			}
			line = append(line, fmt.Sprintf("%d: %.2f", p.n, p.whole[i]))
		}
		progress("run %d of %d, µs a frame: %s", i+1, o.runs, strings.Join(line, "  "))
	}
}

// aloneCurves measures the switch alone for the points of the curves, and for
// what the whole path has no point of.
func aloneCurves(ctx context.Context, o options, stations, ports *curve) {
	type job struct {
		*point
		sw *alone
	}
	var jobs []job
	add := func(c *curve, n, withStations, withLinks int) {
		i := slices.IndexFunc(c.points, func(p *point) bool { return p.n == n })
		if i < 0 {
			i = len(c.points)
			c.points = append(c.points, &point{n: n})
		}
		sw, err := newAlone(withStations, withLinks)
		if err != nil {
			c.points[i].fault = err.Error()
			return
		}
		jobs = append(jobs, job{c.points[i], sw})
	}
	for _, n := range stationPoints {
		add(stations, n, n, 2)
	}
	for _, n := range alonePorts {
		add(ports, n, 100, n)
	}
	for range o.runs {
		for _, j := range jobs {
			if ctx.Err() != nil {
				return
			}
			j.alone = append(j.alone, j.sw.cost(aloneTime))
		}
	}
	progress("the switch alone is measured")
}

// ratios are the costs of point n of a curve divided by those of point base,
// round by round, of the rounds that have both.
func (c *curve) ratios(n, base int, of func(*point) []float64) (out []float64) {
	var a, b []float64
	for _, p := range c.points {
		if p.n == n {
			a = of(p)
		}
		if p.n == base {
			b = of(p)
		}
	}
	for i := range min(len(a), len(b)) {
		if a[i] > 0 && b[i] > 0 {
			out = append(out, a[i]/b[i])
		}
	}
	return out
}

func wholeOf(p *point) []float64 { return p.whole }
func aloneOf(p *point) []float64 { return p.alone }

// measured are the rounds that have a figure.
func measured(v []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(v), func(x float64) bool { return x == 0 })
}

// table is the curve as rows.
func (c *curve) table() [][]string {
	rows := [][]string{{c.name, "TAP to TAP, µs of CPU a frame", "to the first", "the switch alone, ns a frame", "to the first"}}
	if len(c.points) == 0 {
		return rows
	}
	first := c.points[0].n
	ratio := func(p *point, of func(*point) []float64) string {
		if r := c.ratios(p.n, first, of); len(r) > 0 {
			return fmt.Sprintf("%.2f", median(r))
		}
		return "-"
	}
	for _, p := range c.points {
		rows = append(rows, []string{grouped(p.n), spread(measured(p.whole), "%.2f"), ratio(p, wholeOf), spread(measured(p.alone), "%.0f"), ratio(p, aloneOf)})
	}
	return rows
}

func orOK(s string) string {
	if s == "" {
		return "up"
	}
	return s
}
