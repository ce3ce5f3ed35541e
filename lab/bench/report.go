package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// report is the tables of a run.
type report struct {
	all  []*result
	o    options
	base *result // vhub, which ratios are taken to; nil when it was not measured
}

func newReport(all []*result, o options) *report {
	r := &report{all: all, o: o}
	for _, x := range all {
		if x.name == "vhub" && len(x.values[tcpGbit]) > 0 {
			r.base = x
		}
	}
	return r
}

// column is one column of the table.
type column struct {
	head string
	cell func(*report, *result) string
}

func figure(head, name, format string) column {
	return column{head, func(_ *report, x *result) string { return spread(x.values[name], format) }}
}

func pair(head, a, b, format string) column {
	return column{head, func(_ *report, x *result) string {
		if len(x.values[a]) == 0 {
			return "-"
		}
		return fmt.Sprintf(format+" / "+format, median(x.values[a]), median(x.values[b]))
	}}
}

var columns = []column{
	{"case", func(_ *report, x *result) string { return x.title }},
	figure("TCP Gbit/s", tcpGbit, "%.2f"),
	{"x vhub", func(r *report, x *result) string {
		if r.base == nil || len(x.values[tcpGbit]) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", median(x.values[tcpGbit])/median(r.base.values[tcpGbit]))
	}},
	figure("daemon CPU s/GB", daemonCPU, "%.2f"),
	figure("machine CPU s/GB", machineCPU, "%.2f"),
	figure("flat out k frames/s", floodFrames, "%.0f"),
	{"% lost of 300 k/s", func(_ *report, x *result) string {
		if len(x.values[steadyLost]) == 0 {
			return "-"
		}
		return fmt.Sprintf("%s of %.0f", spread(x.values[steadyLost], "%.1f"), median(x.values[steadyOffered]))
	}},
	figure("CPU s/M frames", frameCPU, "%.2f"),
	figure("iperf3 k frames/s", iperfFrames, "%.0f"),
	pair("idle ping p50 / p99 ms", idleP50, idleP99, "%.3f"),
	pair("loaded ping p50 / p99 ms", loadP50, loadP99, "%.2f"),
	{"RSS MB", func(_ *report, x *result) string {
		if median(x.values[memory]) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f", median(x.values[memory]))
	}},
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
		if x.err != "" {
			out = append(out, fmt.Sprintf("%s: %s (%d of %d runs)", x.title, x.err, len(x.values[tcpGbit]), r.o.runs))
		}
	}
	return out
}

// text is the report for a terminal.
func (r *report) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range r.table() {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	fmt.Fprintf(&b, "medians (and ranges) of %d interleaved runs of %.0f s\n", r.o.runs, r.o.secs)
	for _, s := range r.faults() {
		fmt.Fprintln(&b, "no figures:", s)
	}
	r.verdicts(func(what, verdict string) {
		fmt.Fprintf(&b, "target %s: %s\n", what, strings.ReplaceAll(verdict, "**", ""))
	})
	return b.String()
}

// markdown is docs/benchmarks.md.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench-peers`; what stands here is one run of it. All cases were up at once and were measured in turn,\n"+
		"%d rounds, %.0f s for each TCP and UDP measurement. Both hosts, all daemons and iperf3 share the same processors.\n"+
		"Cells are medians, with the range in brackets. Differences under 25 %% are no difference on such a machine.\n\n", r.o.runs, r.o.secs)
	for _, f := range facts() {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	fmt.Fprint(&b, "\n![The same figures as bars](benchmarks.png)\n\n")
	for i, row := range r.table() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
	b.WriteString("\n")
	for _, s := range r.faults() {
		fmt.Fprintf(&b, "- No figures, or fewer: %s\n", s)
	}
	b.WriteString("\n## Targets, in this run\n\n| target | |\n|---|---|\n")
	r.verdicts(func(what, verdict string) { fmt.Fprintf(&b, "| %s | %s |\n", what, verdict) })
	b.WriteString(legend)
	b.WriteString("\n## Settings\n\nMTU 1500 on every interface of the hosts, except where the row says otherwise; the wire between tunnel end points has MTU 1500 too.\n\n")
	for _, x := range r.all {
		fmt.Fprintf(&b, "- **%s**: %s.\n", x.title, x.settings)
	}
	b.WriteString(notes)
	return b.String()
}

const legend = `
## What the columns say

- **TCP**: one connection of iperf3; what arrived. **x vhub**: to the row "vhub, TAP to TAP".
- **daemon CPU**: user and system time of the row's programs. **machine CPU**: of the whole machine, iperf3 and the kernel's own work too, so it is
  the one to compare kernel paths by.
- **flat out**: 60-byte frames (64 with FCS) from one AF_PACKET sender that never waits, counted at the far host's interface. **lost of 300 k/s**: the
  same sender at that rate; "of" is the rate that it reached. **CPU s/M frames**: of the row's programs, per million frames of that measurement.
- **iperf3 frames**: the same size by iperf3 -u -b 0. iperf3 takes most of the processors, so this is no switch's limit.
- **idle ping**: 200 at 5 ms, nothing else running. **loaded ping**: every 10 ms beside the TCP connection.
- **1500 DF**: whether a full 1,500-byte packet with "don't fragment" passes.
`
