package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"vhub/lab/roadclient"
	"vhub/lab/sites"
)

// idle is what sessions cost that are up and say nothing.
type idle struct {
	curve      *curve
	cpu        []float64 // % of one processor, with the most sessions, each over idleTime
	perSession float64   // KiB of resident memory
	login      roadclient.Report
	fault      string
}

// The points of the curve of sessions, how long the server has to come to rest
// after the logins (it gives memory back), and how long idleness is looked at
// then: as long as hellos and dead peer detection take to come round, twice.
var sessionPoints = []int{0, 1_000, 10_000}

const (
	idleSettle  = time.Minute
	idleTime    = 30 * time.Second
	idleWindows = 2
	crowdNet    = "100.64.0.0/17" // of the clients, on the wire
)

// addSessions has as many clients log in as the point wants.
func (p *pathPoint) addSessions(out *roadclient.Report) {
	s := p.stage
	sw, clients := s.ns("s"), s.ns("clients")
	s.lab.Wire(sw, "wan0", clients, "wan0")
	sw.Addr("wan0", wanB+"/24")
	clients.Addr("wan0", wanA+"/24")
	sw.Must("ip", "route", "add", crowdNet, "via", wanA)
	clients.Must("ip", "route", "add", "local", crowdNet, "dev", "lo")
	p.hub.Must("port", "add", "l2tp", "road", "--key-file", s.file("road.psk", roadKey+"\n"), "--pool", "10.64.0.10-10.64.63.250", "--subnet", "10.64.0.0/10")
	p.hub.Must("user", "add", roadUser, "--password-file", s.file("password", roadPassword+"\n"))
	if p.n == 0 {
		return
	}
	crowd := clients.Start("crowd", sites.Tool(s), "road-crowd", "-server", wanB, "-key", roadKey, "-user", roadUser, "-password", roadPassword,
		"-n", strconv.Itoa(p.n), "-from", crowdNet, "-window", "64", "-limit", "2m", "-ike", "aes128-sha1-ecp256", "-esp", roadESP)
	s.lab.WaitFor(fmt.Sprint(p.n, " sessions"), 5*time.Minute, func() (bool, string) {
		select {
		case <-crowd.Done():
			s.Fatalf("the clients ended: %s", crowd.Output())
		default:
		}
		first, _, whole := strings.Cut(crowd.Output(), "\n")
		return whole && json.Unmarshal([]byte(first), out) == nil, first
	})
	if out.Up != p.n {
		s.Fatalf("%d of %d sessions are up: %v", out.Up, p.n, out.Ended)
	}
}

// measureIdle draws the curve of idle sessions, and says what they cost.
func measureIdle(ctx context.Context, o options) *idle {
	d := &idle{curve: &curve{name: "idle L2TP sessions"}}
	var paths []*pathPoint
	defer func() {
		for _, p := range paths {
			p.stage.close()
		}
	}()
	for _, n := range sessionPoints {
		if ctx.Err() != nil {
			return d
		}
		p := &pathPoint{point: &point{n: n}, stage: &stage{}}
		d.curve.points, paths = append(d.curve.points, p.point), append(paths, p)
		if p.fault("set-up", p.stage.guard(func() { p.setUp(func() { p.addSessions(&d.login) }) })) {
			p.stage.close()
		}
		progress("curve of idle sessions: %d %s", n, orOK(p.point.fault))
	}
	most, none := paths[len(paths)-1], paths[0]
	if !most.down && !sleep(ctx, idleSettle) {
		return d
	}
	for range idleWindows {
		if most.down {
			break
		}
		pids := most.stage.pids()
		before := cpuOf(pids)
		if !sleep(ctx, idleTime) {
			return d
		}
		d.cpu = append(d.cpu, (cpuOf(pids)-before)/idleTime.Seconds()*100)
	}
	if !most.down && !none.down {
		d.perSession = (memoryOf(most.stage.pids()) - memoryOf(none.stage.pids())) * 1000 / float64(most.n)
		if err := most.stillUp(); err != nil {
			d.fault = err.Error()
		}
	}
	progress("%d idle sessions: %s %% of a processor, %.1f KiB each", most.n, spread(d.cpu, "%.2f"), d.perSession)
	measurePaths(ctx, o, paths)
	return d
}

// stillUp tells whether sessions were lost while nobody looked.
func (p *pathPoint) stillUp() error {
	var st struct {
		Sessions int `json:"sessions"`
	}
	if err := p.stage.guard(func() { p.hub.JSON(&st, "status") }); err != nil {
		return err
	}
	if st.Sessions != p.n {
		return fmt.Errorf("%d of %d sessions were up at the end", st.Sessions, p.n)
	}
	return nil
}

// sleep waits, and tells whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (d *idle) table() [][]string {
	memory := "-"
	if d.perSession > 0 {
		memory = fmt.Sprintf("%.1f", d.perSession)
	}
	return [][]string{
		{"idle sessions", "% of one processor, each over " + idleTime.String(), "KiB resident each", "they logged in at, a second", "login of one, ms: fastest / median / slowest"},
		{grouped(d.login.Up), spread(d.cpu, "%.2f"), memory, fmt.Sprintf("%.0f", d.login.PerSecond),
			fmt.Sprintf("%.0f / %.0f / %.0f", d.login.FastestMS, d.login.MedianMS, d.login.SlowestMS)},
	}
}
