package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is the tables of a run.
type report struct {
	o             options
	all           []*result
	curves        []*curve
	idle          *idle // nil when it was not measured
	began         time.Time
	took          time.Duration
	before, after string // load averages
}

func newReport(o options) *report {
	return &report{o: o, began: time.Now(), before: loadAverage()}
}

// end notes when the run has ended.
func (r *report) end() { r.took, r.after = time.Since(r.began), loadAverage() }

// named is the row of a case; nil where there is none.
func (r *report) named(name string) *result {
	for _, x := range r.all {
		if x.name == name {
			return x
		}
	}
	return nil
}

// ratios are a figure of one case divided by that of another, round by round, of
// the rounds that have both.
func ratios(a, b *result, figure string) (out []float64) {
	if a == nil || b == nil {
		return nil
	}
	for i := range min(len(a.rounds), len(b.rounds)) {
		x, ok := a.rounds[i][figure]
		y, too := b.rounds[i][figure]
		if ok && too && y != 0 {
			out = append(out, x/y)
		}
	}
	return out
}

// allCurves are the curves of all parts.
func (r *report) allCurves() []*curve {
	if r.idle == nil {
		return r.curves
	}
	return append(slices.Clone(r.curves), r.idle.curve)
}

// column is one column of the table.
type column struct {
	head string
	cell func(*report, *result) string
}

func figure(head, name, format string) column {
	return column{head, func(_ *report, x *result) string { return spread(x.values(name), format) }}
}

func pair(head, a, b, format string) column {
	return column{head, func(_ *report, x *result) string {
		if len(x.values(a)) == 0 {
			return "-"
		}
		return fmt.Sprintf(format+" / "+format, median(x.values(a)), median(x.values(b)))
	}}
}

var columns = []column{
	{"case", func(_ *report, x *result) string { return x.title }},
	figure("TCP Gbit/s", tcpGbit, "%.2f"),
	{"x vhub", func(r *report, x *result) string {
		if v := ratios(x, r.named("vhub"), tcpGbit); len(v) > 0 {
			return fmt.Sprintf("%.2f", median(v))
		}
		return "-"
	}},
	figure("daemon CPU s/GB", daemonCPU, "%.2f"),
	figure("machine CPU s/GB", machineCPU, "%.2f"),
	figure("flat out k frames/s", floodFrames, "%.0f"),
	{"% lost of 300 k/s", func(_ *report, x *result) string {
		if len(x.values(steadyLost)) == 0 {
			return "-"
		}
		return fmt.Sprintf("%s of %.0f", spread(x.values(steadyLost), "%.1f"), median(x.values(steadyOffered)))
	}},
	figure("CPU s/M frames", frameCPU, "%.2f"),
	figure("iperf3 k frames/s", iperfFrames, "%.0f"),
	pair("idle ping p50 / p99 ms", idleP50, idleP99, "%.3f"),
	pair("loaded ping p50 / p99 ms", loadP50, loadP99, "%.2f"),
	{"RSS MB", func(_ *report, x *result) string {
		if median(x.values(memory)) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f", median(x.values(memory)))
	}},
	figure("IKE to address s", connectTime, "%.2f"),
	{"1500 DF", func(_ *report, x *result) string { return x.df }},
}

// spread is a median with the range around it.
func spread(v []float64, format string) string {
	if len(v) == 0 {
		return "-"
	}
	if len(v) == 1 {
		return fmt.Sprintf(format, v[0])
	}
	return fmt.Sprintf(format+" ("+format+"-"+format+")", median(v), percentile(v, 0), percentile(v, 100))
}

// table returns the heads and the rows.
func (r *report) table() [][]string {
	var head []string
	for _, c := range columns {
		head = append(head, c.head)
	}
	out := [][]string{head}
	for _, x := range r.all {
		var row []string
		for _, c := range columns {
			row = append(row, c.cell(r, x))
		}
		out = append(out, row)
	}
	return out
}

// faults says which cases have no figures, or fewer than they should.
func (r *report) faults() (out []string) {
	for _, x := range r.all {
		if len(x.faults) > 0 {
			out = append(out, fmt.Sprintf("%s: %s (it has figures of %d of %d runs)", x.title, strings.Join(x.faults, "; "), len(x.values(tcpGbit)), r.o.runs))
		}
	}
	for _, c := range r.allCurves() {
		for _, p := range c.points {
			if p.fault != "" {
				out = append(out, fmt.Sprintf("%d %s: %s", p.n, c.name, p.fault))
			}
		}
	}
	if r.idle != nil && r.idle.fault != "" {
		out = append(out, "idle sessions: "+r.idle.fault)
	}
	return out
}

// text is the report for a terminal.
func (r *report) text() string {
	var b strings.Builder
	table := func(rows [][]string) {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, row := range rows {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		w.Flush()
		fmt.Fprintln(&b)
	}
	if len(r.all) > 0 {
		table(r.table())
	}
	for _, c := range r.allCurves() {
		table(c.table())
	}
	if r.idle != nil {
		table(r.idle.table())
	}
	fmt.Fprintf(&b, "medians (and ranges) of %d interleaved runs of %.0f s; load average before %s, after %s; %s\n", r.o.runs, r.o.secs, r.before, r.after, r.took.Round(time.Second))
	for _, s := range r.faults() {
		fmt.Fprintln(&b, "failed:", s)
	}
	r.verdicts(func(what, verdict string) {
		fmt.Fprintf(&b, "target %s: %s\n", what, strings.ReplaceAll(verdict, "**", ""))
	})
	return b.String()
}

// markdown is docs/benchmarks.md.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench-peers`; what stands here is one run of it. All cases were up at once and were measured in turn\n"+
		"(those with a guest, which needs a processor to itself, after the others), %d rounds, %.0f s for each TCP measurement. Both hosts, all daemons and iperf3 share the same processors.\n"+
		"Cells are medians, with the range in brackets. Ratios are medians of the ratios of each round. Differences under 25 %% are no\ndifference on such a machine.\n\n", r.o.runs, r.o.secs)
	for _, f := range r.facts() {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	fmt.Fprint(&b, "\n![The figures of the table as bars](benchmarks.png)\n\n")
	markdownTable(&b, r.table())
	b.WriteString("\n")
	for _, s := range r.faults() {
		fmt.Fprintf(&b, "- Failed: %s\n", s)
	}
	b.WriteString("\n## Targets, in this run\n\nEach ratio is the median of the ratios of each round (and their range); where there are several rivals, to the best of them.\n\n| target | |\n|---|---|\n")
	r.verdicts(func(what, verdict string) { fmt.Fprintf(&b, "| %s | %s |\n", what, verdict) })
	r.writeCosts(&b)
	b.WriteString(legend)
	b.WriteString("\n## Settings\n\nMTU 1500 on every interface of the hosts, except where the row says otherwise; the wire between tunnel end points has MTU 1500 too.\n\n")
	for _, x := range r.all {
		fmt.Fprintf(&b, "- **%s**: %s.\n", x.title, x.settings)
	}
	b.WriteString(notes)
	return b.String()
}

// facts say what was measured on, and when.
func (r *report) facts() []string {
	return append(machineFacts(r.began), fmt.Sprintf("Load average before the run: %s; after it (the bench's own load included): %s; the run took %s", r.before, r.after, r.took.Round(time.Second)))
}

// writeCosts writes the curves and the idle sessions.
func (r *report) writeCosts(b *strings.Builder) {
	curves := r.allCurves()
	if len(curves) == 0 {
		return
	}
	b.WriteString("\n## What forwarding costs with more stations, ports and sessions\n\n" + costsText + "\n![The same figures as curves](benchmarks-curves.png)\n\n")
	for _, c := range curves {
		markdownTable(b, c.table())
		b.WriteString("\n")
	}
	if r.idle != nil {
		b.WriteString("\n## Idle L2TP sessions\n\n" + idleText + "\n")
		markdownTable(b, r.idle.table())
	}
}

func markdownTable(b *strings.Builder, rows [][]string) {
	for i, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
}

const costsText = `Two costs, and they are not the same thing. **TAP to TAP** is the whole path through the real program: its CPU time for each 60-byte frame at 300,000
frames a second, system calls included. **The switch alone** is this program's hub without devices or system calls: learning, duplicate
suppression, look-up and gathering, in batches of 64 frames, on one processor. Frames go between random stations, half of them behind each of two
ports, so that every frame meets other entries of the table: the worst case. Idle ports are TAPs (of the switch alone: links) on which nothing moves.
`

const idleText = `One vhub with an l2tp port and a pool, and the crowd of lab/roadclient in another namespace: each client with IKE, ESP, L2TP and PPP of its own, all up, none sending.
CPU is the daemon's over a time that begins a minute after the last login and in which it does only what idle sessions need (keepalives, hellos, echoes). Memory is its resident size less
that without sessions.
`

const legend = `
## What the columns say

- **TCP**: one connection of iperf3; what arrived. **x vhub**: to the row "vhub, TAP to TAP".
- **daemon CPU**: user and system time of the row's programs. **machine CPU**: of the whole machine, iperf3 and the kernel's own work too, so it is
  the one to compare kernel paths by.
- **flat out**: 60-byte frames (64 with FCS) from one AF_PACKET sender that never waits, counted at the far host's interface. **lost of 300 k/s**: the
  same sender at that rate; "of" is the rate that it reached. **CPU s/M frames**: of the row's programs, per million frames of that measurement.
- **iperf3 frames**: the same size by iperf3 -u -b 0. iperf3 takes most of the processors, so this is no switch's limit.
- **CPU and RSS** are of both ends of a tunnel, but of the server alone in the L2TP rows.
- **IKE to address**: from the client's first packet of IKE until it has its address.
- **idle ping**: 200 at 5 ms, nothing else running. **loaded ping**: every 10 ms beside the TCP connection.
- **1500 DF**: whether a full 1,500-byte packet with "don't fragment" passes.
`
