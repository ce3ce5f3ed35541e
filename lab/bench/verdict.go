package main

import (
	"fmt"
)

// target is one of the design's targets: a figure of one case against the same
// figure of others, in the same run.
type target struct {
	what string
	ok   func(r *report) (verdict string, known bool)
}

// mid is the median of a case's figure, and whether there is one.
func (r *report) mid(name, figure string) (float64, bool) {
	for _, x := range r.all {
		if x.name == name && len(x.values[figure]) > 0 {
			return median(x.values[figure]), true
		}
	}
	return 0, false
}

// best is the largest (or smallest) median of the cases' figure.
func (r *report) best(figure string, less bool, names ...string) (best float64, known bool) {
	for _, n := range names {
		if v, ok := r.mid(n, figure); ok && (!known || (v < best) == less) {
			best, known = v, true
		}
	}
	return best, known
}

// times is a target "at least (or at most) limit times the others' figure".
func times(what, name, figure string, atLeast bool, limit float64, smallest bool, others ...string) target {
	return target{what, func(r *report) (string, bool) {
		own, ok := r.mid(name, figure)
		other, okOther := r.best(figure, smallest, others...)
		if !ok || !okOther || other == 0 {
			return "", false
		}
		got := own / other
		return verdict(got >= limit == atLeast || got == limit, fmt.Sprintf("%.2f times", got)), true
	}}
}

func verdict(ok bool, got string) string {
	if ok {
		return "reached: " + got
	}
	return "**missed**: " + got
}

var (
	userSwitches = []string{"softether", "softether-nice", "vde", "ovs"}
	encrypted    = []string{"softether-tls", "openvpn", "tinc", "n2n", "wireguard"}
	softEthers   = []string{"softether", "softether-nice"}
)

var targets = []target{
	times("TAP to TAP, TCP: at least 3 times SoftEther", "vhub", tcpGbit, true, 3, false, softEthers...),
	times("TAP to TAP, TCP: at least 0.75 of the kernel bridge", "vhub", tcpGbit, true, 0.75, false, "bridge"),
	times("60-byte frames by iperf3: at least 0.9 of the kernel bridge", "vhub", iperfFrames, true, 0.9, false, "bridge"),
	times("60-byte frames flat out: more than every user-space switch", "vhub", floodFrames, true, 1, false, userSwitches...),
	{"300,000 frames a second: under 1 % lost", func(r *report) (string, bool) {
		v, ok := r.mid("vhub", steadyLost)
		of, _ := r.mid("vhub", steadyOffered)
		return verdict(v < 1, fmt.Sprintf("%.2f %% of %.0f k/s", v, of)), ok
	}},
	times("CPU for a million frames: at most half of SoftEther's", "vhub", frameCPU, false, 0.5, true, softEthers...),
	{"idle ping, p50: at most 60 µs over the kernel bridge, and half of what SoftEther adds", func(r *report) (string, bool) {
		own, a := r.mid("vhub", idleP50)
		bridge, b := r.mid("bridge", idleP50)
		se, c := r.best(idleP50, true, softEthers...)
		if !a || !b || !c {
			return "", false
		}
		return verdict(own-bridge <= 0.06 && own-bridge <= (se-bridge)/2, fmt.Sprintf("%.0f µs added, SoftEther %.0f µs", 1000*(own-bridge), 1000*(se-bridge))), true
	}},
	times("nic to TAP, TCP: at least 3 times SoftEther", "vhub-nic", tcpGbit, true, 3, false, "softether-nic"),
	times("EtherIP/IPsec, AES-GCM: at least 0.30 of the kernel bridge", "vhub-gcm", tcpGbit, true, 0.3, false, "bridge"),
	times("EtherIP/IPsec, AES-GCM: at least 2 times SoftEther's fastest encrypted path", "vhub-gcm", tcpGbit, true, 2, false, "softether-tls"),
	times("EtherIP/IPsec, AES-CBC + SHA1: at least 0.12 of the kernel bridge", "vhub-cbc", tcpGbit, true, 0.12, false, "bridge"),
	times("EtherIP/IPsec, AES-CBC + SHA1, as a responder for the same fast initiator: at least 3 times SoftEther", "vhub-cbc-tunnel", tcpGbit, true, 3, false, "softether-etherip"),
	times("CPU a GB, TAP to TAP: below every user-space switch", "vhub", daemonCPU, false, 1, true, userSwitches...),
	times("CPU a GB, AES-GCM: below every encrypting rival", "vhub-gcm", daemonCPU, false, 1, true, encrypted...),
	times("CPU a GB, AES-CBC: below every encrypting rival", "vhub-cbc", daemonCPU, false, 1, true, encrypted...),
}

// verdicts compares the run with the targets that it has the figures for, and
// calls line for each.
func (r *report) verdicts(line func(what, verdict string)) {
	for _, t := range targets {
		if v, known := t.ok(r); known {
			line(t.what, v)
		}
	}
}
