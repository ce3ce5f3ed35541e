// Bench measures vhub beside what users would pick instead, in network
// namespaces of one machine (root; a few minutes).
//
//	bench                 vhub and the kernel bridge, TAP to TAP: under 90 s
//	bench -peers          every case of "bench -list"; installs what is missing, writes docs/benchmarks.md and .png
//	bench -cases "A B"    these cases
//
// All cases of a run are up at once and are measured in turn, round by round,
// so that what the machine does besides falls on all of them. Figures of
// different runs are not to be compared.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	peers, list bool
	cases       string
	runs        int
	secs        float64
	docs        string
}

func main() {
	var o options
	flag.BoolVar(&o.peers, "peers", false, "measure all cases, install what they need, write the report")
	flag.BoolVar(&o.list, "list", false, "list the cases")
	flag.StringVar(&o.cases, "cases", "", "cases to measure, separated by spaces (default: bridge vhub, or all with -peers)")
	flag.IntVar(&o.runs, "runs", 5, "interleaved runs")
	flag.Float64Var(&o.secs, "secs", 2, "seconds of each TCP and UDP measurement")
	flag.StringVar(&o.docs, "docs", "docs", "with -peers and all cases: folder for benchmarks.md and benchmarks.png; \"\" writes neither")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.list {
		for _, c := range cases {
			fmt.Printf("%-18s %s\n", c.name, c.title)
		}
		for _, p := range parts {
			fmt.Printf("%-18s %s\n", p.name, p.title)
		}
		return nil
	}
	if o.runs < 1 || o.secs < 1 {
		return errors.New("-runs and -secs must be 1 or more")
	}
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes network namespaces")
	}
	if o.peers {
		if err := install(); err != nil {
			return err
		}
	}
	if _, err := exec.LookPath("iperf3"); err != nil {
		return errors.New("no iperf3: run make test-deps")
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	rep := newReport(o)
	rep.all = measureAll(ctx, chosen, o)
	if o.wants(curvesName) && ctx.Err() == nil {
		rep.curves = measureCurves(ctx, o)
	}
	if o.wants(idleName) && ctx.Err() == nil {
		rep.idle = measureIdle(ctx, o)
	}
	rep.end()
	fmt.Print(rep.text())
	if ctx.Err() != nil {
		return errors.New("interrupted: the figures above are of a part of the run, and docs is as it was")
	}
	if !o.peers || o.docs == "" || o.cases != "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(o.docs, "benchmarks.md"), []byte(rep.markdown()), 0o644); err != nil {
		return err
	}
	if err := writePlot(filepath.Join(o.docs, "benchmarks.png"), rep.all); err != nil {
		return err
	}
	return writeCurves(filepath.Join(o.docs, "benchmarks-curves.png"), rep.allCurves())
}

// The parts of a run that are no rows of the table, as -cases names them.
const (
	curvesName = "curves"
	idleName   = "idle-sessions"
)

var parts = []struct{ name, title string }{
	{curvesName, "what forwarding costs with more stations and more ports"},
	{idleName, "10,000 idle L2TP sessions, and forwarding beside them"},
}

// wants tells whether a part is to be measured.
func (o options) wants(part string) bool {
	names := strings.Fields(o.cases)
	return slices.Contains(names, part) || o.peers && len(names) == 0
}

// choose returns the cases that the options name.
func choose(o options) ([]*benchCase, error) {
	names := strings.Fields(o.cases)
	if len(names) == 0 && !o.peers {
		names = []string{"bridge", "vhub"}
	}
	if len(names) == 0 {
		return cases, nil
	}
	var out []*benchCase
	for _, n := range names {
		if slices.ContainsFunc(parts, func(p struct{ name, title string }) bool { return p.name == n }) {
			continue
		}
		i := slices.IndexFunc(cases, func(c *benchCase) bool { return c.name == n })
		if i < 0 {
			return nil, fmt.Errorf("no case %q: bench -list shows them", n)
		}
		out = append(out, cases[i])
	}
	return out, nil
}

// measureAll measures the cases, group by group. A case that fails says so in
// its row and does not stop the others.
func measureAll(ctx context.Context, chosen []*benchCase, o options) (all []*result) {
	for group := range groups {
		var results []*result
		for _, c := range chosen {
			if c.group == group {
				results = append(results, newResult(c))
			}
		}
		measureGroup(ctx, results, o)
		all = append(all, results...)
	}
	return all
}

// measureGroup brings the cases up, measures them in turn, and takes them down.
func measureGroup(ctx context.Context, all []*result, o options) {
	defer func() {
		for _, r := range all {
			r.stage.close()
		}
	}()
	for _, r := range all {
		if ctx.Err() != nil {
			return
		}
		state := "up"
		if r.fault("set-up", r.stage.guard(r.setUp)) {
			r.down, state = true, r.faults[0]
			r.stage.close()
		}
		progress("%-18s %s", r.name, state)
	}
	for i := range o.runs {
		for _, r := range all {
			if ctx.Err() != nil {
				return
			}
			if r.most > 0 && i >= r.most {
				continue
			}
			progress("run %d of %d: %-18s %s", i+1, o.runs, r.name, r.run(i, o))
		}
	}
}

// progress writes a line for who waits.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}
