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
	"strings"
	"syscall"
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
			fmt.Printf("%-16s %s\n", c.name, c.title)
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
	all := measureAll(ctx, chosen, o)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	rep := newReport(all, o)
	fmt.Print(rep.text())
	if !o.peers || o.docs == "" || o.cases != "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(o.docs, "benchmarks.md"), []byte(rep.markdown()), 0o644); err != nil {
		return err
	}
	return writePlot(filepath.Join(o.docs, "benchmarks.png"), all)
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
		found := false
		for _, c := range cases {
			if c.name == n {
				out, found = append(out, c), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no case %q: bench -list shows them", n)
		}
	}
	return out, nil
}

// measureAll brings the cases up and measures them in turn. A case that fails
// says so in its row and does not stop the others.
func measureAll(ctx context.Context, chosen []*benchCase, o options) []*result {
	var all []*result
	defer func() {
		for _, r := range all {
			r.stage.close()
		}
	}()
	for _, c := range chosen {
		if ctx.Err() != nil {
			return all
		}
		r := newResult(c)
		all = append(all, r)
		r.fail("set-up", r.stage.guard(func() { r.setUp() }))
		if r.err != "" {
			r.stage.close()
		}
		fmt.Fprintf(os.Stderr, "%-16s %s\n", c.name, orOK(r.err))
	}
	for i := range o.runs {
		for _, r := range all {
			if ctx.Err() != nil {
				return all
			}
			if r.err != "" {
				continue
			}
			r.fail(fmt.Sprintf("run %d", i+1), r.stage.guard(func() { r.measure(o) }))
			fmt.Fprintf(os.Stderr, "run %d of %d: %-16s %s\n", i+1, o.runs, r.name, r.last())
		}
	}
	return all
}

func orOK(s string) string {
	if s == "" {
		return "up"
	}
	return s
}
