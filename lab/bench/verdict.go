package main

import (
	"fmt"
	"strings"
)

// target is one of the design's targets: a figure of one case against the same
// figure of others, in the same run.
type target struct {
	what string
	ok   func(r *report) (verdict string, known bool)
}

// mid is the median of a case's figure, and whether there is one.
func (r *report) mid(name, figure string) (float64, bool) {
	x := r.named(name)
	if x == nil || len(x.values(figure)) == 0 {
		return 0, false
	}
	return median(x.values(figure)), true
}

// best is the case with the largest (or smallest) median of the figure; nil
// where none has it.
func (r *report) best(figure string, smallest bool, names ...string) (best *result) {
	var most float64
	for _, n := range names {
		if v, ok := r.mid(n, figure); ok && (best == nil || (v < most) == smallest) {
			best, most = r.named(n), v
		}
	}
	return best
}

// times is a target "at least (or at most) limit times the figure of the best of
// the others". The ratio is the median of those of the rounds.
func times(what, name, figure string, atLeast bool, limit float64, others ...string) target {
	return target{what, func(r *report) (string, bool) {
		other := r.best(figure, !moreIsBetter(figure), others...)
		v := ratios(r.named(name), other, figure)
		if len(v) == 0 {
			return "", false
		}
		got := median(v)
		text := spread(v, "%.2f") + " times"
		if len(others) > 1 {
			text += " " + other.title
		}
		return verdict(got >= limit == atLeast || got == limit, text), true
	}}
}

func moreIsBetter(figure string) bool {
	return figure == tcpGbit || figure == floodFrames || figure == iperfFrames
}

// below is the target "below every rival's" for CPU time a GB.
func below(path, name string, others ...string) target {
	return times("CPU seconds a GB, "+path+": below every rival's that carries the same frames in user space", name, daemonCPU, false, 1, others...)
}

func verdict(ok bool, got string) string {
	if ok {
		return "reached: " + got
	}
	return "**missed**: " + got
}

var (
	userSwitches = []string{"softether", "softether-nice", "vde", "ovs"}
	encrypted    = []string{"softether-tls", "softether-etherip", "openvpn", "tinc", "n2n", "wireguard"}
	softEthers   = []string{"softether", "softether-nice"}
)

var targets = []target{
	times("TAP to TAP, TCP: at least 3 times SoftEther", "vhub", tcpGbit, true, 3, softEthers...),
	times("TAP to TAP, TCP: at least 0.75 of the kernel bridge", "vhub", tcpGbit, true, 0.75, "bridge"),
	times("60-byte frames by iperf3: at least 0.9 of the kernel bridge", "vhub", iperfFrames, true, 0.9, "bridge"),
	times("60-byte frames flat out: more than every user-space switch", "vhub", floodFrames, true, 1, userSwitches...),
	{"60-byte frames, 300,000 a second offered: under 1 % lost", lossTarget},
	times("CPU for a million frames: at most half of SoftEther's", "vhub", frameCPU, false, 0.5, softEthers...),
	{"idle ping, p50: at most 60 µs over the kernel bridge", func(r *report) (string, bool) {
		v := r.added("vhub")
		text := spread(v, "%.0f") + " µs"
		if least := r.added("relay"); len(least) > 0 {
			text += "; the bare relay, which is no switch: " + spread(least, "%.0f") + " µs"
		}
		return verdict(median(v) <= 60, text), len(v) > 0
	}},
	{"idle ping, p50: at most half of what SoftEther adds to the kernel bridge", pingTarget},
	times("nic to TAP, TCP, the NIC's offloads left on: at least 3 times SoftEther (which needs them off)", "vhub-nic", tcpGbit, true, 3, "softether-nic"),
	times("EtherIP/IPsec, AES-GCM, TCP: at least 0.30 of the kernel bridge", "vhub-gcm", tcpGbit, true, 0.3, "bridge"),
	times("EtherIP/IPsec, AES-GCM, TCP: at least 2 times SoftEther's fastest encrypted path", "vhub-gcm", tcpGbit, true, 2, "softether-tls", "softether-etherip", "softether-l2tp"),
	times("EtherIP/IPsec, AES-CBC + SHA1, TCP: at least 0.12 of the kernel bridge", "vhub-cbc", tcpGbit, true, 0.12, "bridge"),
	times("EtherIP/IPsec, AES-CBC + SHA1, as a responder for the same fast initiator: at least 3 times SoftEther", "vhub-cbc-tunnel", tcpGbit, true, 3, "softether-etherip"),
	times("L2TP/IPsec, synthetic client, TCP, AES-128-CBC + SHA1: at least 2 times SoftEther with the same client", "vhub-l2tp", tcpGbit, true, 2, "softether-l2tp"),
	stationsTarget("TAP to TAP (the whole path)", wholeOf),
	stationsTarget("the switch alone", aloneOf),
	{"10,000 idle L2TP sessions: at most 3 % of one core", func(r *report) (string, bool) {
		if r.idle == nil || len(r.idle.cpu) == 0 {
			return "", false
		}
		return verdict(median(r.idle.cpu) <= 3, spread(r.idle.cpu, "%.2f")+" %"), true
	}},
	{"10,000 idle L2TP sessions: at most 24 KiB resident each", func(r *report) (string, bool) {
		if r.idle == nil || r.idle.perSession == 0 {
			return "", false
		}
		return verdict(r.idle.perSession <= 24, fmt.Sprintf("%.1f KiB", r.idle.perSession)), true
	}},
	below("TAP to TAP", "vhub", userSwitches...),
	below("nic to TAP", "vhub-nic", "softether-nic"),
	below("EtherIP/IPsec, AES-GCM", "vhub-gcm", encrypted...),
	below("EtherIP/IPsec, AES-CBC + SHA1", "vhub-cbc", encrypted...),
	below("EtherIP/IPsec, AES-CBC + SHA1, both ends, the same initiator", "vhub-cbc-tunnel", "softether-etherip"),
	below("L2TP/IPsec, synthetic client, the server", "vhub-l2tp", "softether-l2tp"),
}

func lossTarget(r *report) (string, bool) {
	x := r.named("vhub")
	if x == nil || len(x.values(steadyLost)) == 0 {
		return "", false
	}
	v := x.values(steadyLost)
	text := fmt.Sprintf("%s %% of %s k/s", spread(v, "%.2f"), spread(x.values(steadyOffered), "%.0f"))
	var others []string
	for _, n := range userSwitches {
		if m, ok := r.mid(n, steadyLost); ok {
			others = append(others, fmt.Sprintf("%s %.1f", r.named(n).title, m))
		}
	}
	if len(others) > 0 {
		text += "; of the others " + strings.Join(others, ", ")
	}
	return verdict(median(v) < 1, text), true
}

// added is what a case adds to the kernel bridge's idle ping, in µs, round by round.
func (r *report) added(name string) (out []float64) {
	a, bridge := r.named(name), r.named("bridge")
	if a == nil || bridge == nil {
		return nil
	}
	for i := range min(len(a.rounds), len(bridge.rounds)) {
		x, ok := a.rounds[i][idleP50]
		y, too := bridge.rounds[i][idleP50]
		if ok && too {
			out = append(out, 1000*(x-y))
		}
	}
	return out
}

func pingTarget(r *report) (string, bool) {
	other := r.best(idleP50, true, softEthers...)
	own := r.added("vhub")
	if other == nil || len(own) == 0 {
		return "", false
	}
	its := r.added(other.name)
	return verdict(median(own) <= median(its)/2, fmt.Sprintf("%s µs, %s %s µs", spread(own, "%.0f"), other.title, spread(its, "%.0f"))), true
}

func stationsTarget(path string, of func(*point) []float64) target {
	most, least := stationPoints[len(stationPoints)-1], stationPoints[0]
	return target{"forwarding cost with 1,000,000 stations against 100: at most 1.3 times, " + path, func(r *report) (string, bool) {
		for _, c := range r.curves {
			if v := c.ratios(most, least, of); c.name == "stations" && len(v) > 0 {
				return verdict(median(v) <= 1.3, spread(v, "%.2f")+" times"), true
			}
		}
		return "", false
	}}
}

// verdicts compares the run with the targets, and calls line for each. Those
// that the run has no figures for are named too, where it was to have them all.
func (r *report) verdicts(line func(what, verdict string)) {
	for _, t := range targets {
		v, known := t.ok(r)
		if !known && r.o.cases == "" && r.o.peers {
			v, known = "**not measured**: see what failed", true
		}
		if known {
			line(t.what, v)
		}
	}
}
