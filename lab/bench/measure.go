package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"vhub/internal/netlab"
	"vhub/lab/sites"
)

// The figures of a run, by name.
const (
	tcpGbit       = "tcp"         // Gbit/s that arrived, one TCP connection
	tcpAgain      = "retransmits" // segments
	daemonCPU     = "daemon-cpu"  // CPU seconds of the case's programs per GB
	machineCPU    = "machine-cpu" // CPU seconds of the whole machine per GB, iperf3 and kernel included
	loadP50       = "load-p50"    // ms, ping beside the TCP connection
	loadP99       = "load-p99"    // ms
	idleP50       = "idle-p50"    // ms
	idleP99       = "idle-p99"    // ms
	iperfFrames   = "iperf-k/s"   // thousand 60-byte frames a second that arrived, iperf3 sends
	iperfOffered  = "iperf-offered"
	floodFrames   = "flood-k/s" // the same, an AF_PACKET sender that never waits
	floodOffered  = "flood-offered"
	steadyLost    = "steady-lost" // percent lost of 300,000 frames a second
	steadyOffered = "steady-k/s"  // what the sender reached of them
	frameCPU      = "cpu-per-m"   // CPU seconds of the case's programs per million of them
	memory        = "memory"      // MB, the case's programs
	connectTime   = "connect"     // seconds from the first IKE packet to an address
)

const steadyRate = 300_000 // frames a second

// result is a case with what was measured of it.
type result struct {
	*benchCase
	stage   *stage
	rounds  []map[string]float64 // the figures of each run; what failed is missing
	faults  []string             // what went wrong, and when
	down    bool                 // not set up, or given up
	df      string               // whether full 1,500-byte packets pass
	tool    string
	floodTo string       // MAC of host B
	server  *netlab.Proc // iperf3 at host B
}

func newResult(c *benchCase) *result {
	return &result{benchCase: c, stage: &stage{}}
}

// add notes a figure of the run that is on.
func (r *result) add(name string, v float64) { r.rounds[len(r.rounds)-1][name] = v }

// values are the figures of one name, of all runs that have it.
func (r *result) values(name string) (out []float64) {
	for _, round := range r.rounds {
		if v, ok := round[name]; ok {
			out = append(out, v)
		}
	}
	return out
}

// fault notes an error, and tells whether there was one.
func (r *result) fault(where string, err error) bool {
	if err != nil {
		s := strings.Join(strings.Fields(err.Error()), " ")
		r.faults = append(r.faults, where+": "+s[:min(len(s), 400)])
	}
	return err != nil
}

// run does one run and returns a line about it. Where it fails, the figures that
// it has got stay; a case that fails twice is given up.
func (r *result) run(i int, o options) string {
	r.rounds = append(r.rounds, map[string]float64{})
	if r.down {
		return "given up"
	}
	measure := r.measure
	if r.benchCase.measure != nil {
		measure = func(o options) { r.benchCase.measure(r, o) }
	}
	if r.fault(fmt.Sprintf("run %d", i+1), r.stage.guard(func() { measure(o) })) {
		line := r.faults[len(r.faults)-1]
		// A server that waits for the rest of a broken test takes no other.
		r.down = len(r.faults) > 1 || r.fault("after it", r.stage.guard(r.serve))
		return line
	}
	v := r.rounds[i]
	if i == 0 && r.stage.connected > 0 {
		r.add(connectTime, r.stage.connected)
	}
	return fmt.Sprintf("%6.2f Gbit/s (%.0f again) %5.2f s/GB  %4.0f k/s (iperf3 %.0f)  ping %.3f ms, %.2f under load", v[tcpGbit], v[tcpAgain], v[daemonCPU], v[floodFrames], v[iperfFrames], v[idleP50], v[loadP50])
}

// setUp builds the case's network, starts its programs and looks whether full
// packets pass.
func (r *result) setUp() {
	s := r.stage
	s.lab = netlab.New(s)
	r.build(s)
	r.serve()
	if s.nice != 0 {
		s.must(renice(s.pids(), s.nice))
	}
	r.tool = sites.Tool(s)
	r.df = "no" // a guest's link has an MTU of 1400
	r.floodTo = strings.TrimSpace(s.b.Must("cat", "/sys/class/net/"+s.devB+"/address"))
	if s.road == nil {
		if p := s.a.Ping("-n", "-M", "do", "-s", "1472", "-c", "3", "-i", "0.1", "-W", "1", addrB); p.Received > 0 {
			r.df = "yes"
		}
	}
	s.must(s.alive())
}

// serve has iperf3 answer at host B.
func (r *result) serve() {
	if r.server != nil {
		r.server.Kill()
	}
	r.server = r.stage.b.Start("iperf3", "iperf3", "-s")
}

// measure does one run.
func (r *result) measure(o options) {
	s := r.stage
	s.must(s.alive())
	times := r.ping("-c", "200", "-i", "0.005")
	r.add(idleP50, percentile(times, 50))
	r.add(idleP99, percentile(times, 99))
	r.tcp(o.secs)
	r.add(memory, memoryOf(s.pids()))
	r.iperfUDP(max(o.secs/2, 1))
	if !s.layer3 {
		r.flood(max(o.secs*0.35, 0.5), 0)
		r.flood(max(o.secs*0.35, 0.5), steadyRate)
	}
	s.must(s.alive())
}

// iperf is what we read of iperf3's JSON.
type iperf struct {
	Error string `json:"error"`
	End   struct {
		Sent struct {
			Retransmits float64 `json:"retransmits"`
			Packets     float64 `json:"packets"`
			Seconds     float64 `json:"seconds"`
		} `json:"sum_sent"`
		Received struct {
			Bytes   float64 `json:"bytes"`
			Seconds float64 `json:"seconds"`
		} `json:"sum_received"`
	} `json:"end"`
}

// iperf3 runs a client at host A.
func (r *result) iperf3(secs float64, args ...string) *iperf {
	s := r.stage
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration((secs+15)*float64(time.Second)))
	defer cancel()
	all := append([]string{"iperf3", "-J", "-c", addrB, "-t", fmt.Sprintf("%.0f", secs), "--connect-timeout", "3000"}, args...)
	var out []byte
	var err error
	if s.road != nil {
		out, err = s.guestIPerf3(time.Duration((secs+15)*float64(time.Second)), all)
	} else {
		out, err = s.a.Cmd(ctx, all...).Output()
	}
	if ctx.Err() != nil {
		s.Fatalf("iperf3 did not end in %.0f s", secs+15)
	}
	var res iperf
	if e := json.Unmarshal(out, &res); e != nil {
		s.must(errors.Join(err, e))
	}
	if res.Error != "" {
		s.Fatalf("iperf3: %s", res.Error)
	}
	s.must(err)
	return &res
}

// tcp sends by one TCP connection, with a ping beside it.
func (r *result) tcp(secs float64) {
	s := r.stage
	pings := make(chan []float64, 1)
	go func() {
		var times []float64
		_ = s.guard(func() { times = r.ping("-i", "0.01", "-w", fmt.Sprintf("%.0f", secs)) }) // none: all were lost
		pings <- times
	}()
	pids := s.pids()
	daemons, machine := cpuOf(pids), cpuOfMachine()
	res := r.iperf3(secs)
	daemons, machine = cpuOf(pids)-daemons, cpuOfMachine()-machine
	if times := <-pings; len(times) > 0 {
		r.add(loadP50, percentile(times, 50))
		r.add(loadP99, percentile(times, 99))
	}
	got := res.End.Received
	if got.Bytes == 0 {
		s.Fatalf("TCP: nothing arrived")
	}
	r.add(tcpGbit, got.Bytes*8/got.Seconds/1e9)
	r.add(tcpAgain, res.End.Sent.Retransmits)
	if len(pids) > 0 {
		r.add(daemonCPU, daemons/got.Bytes*1e9)
	}
	r.add(machineCPU, machine/got.Bytes*1e9)
}

// iperfUDP sends 60-byte frames as fast as iperf3 can, and counts the datagrams
// that reach host B's UDP: what iperf3's socket there then loses is not the
// path's. Frames cannot be counted: those of one flow may arrive joined.
func (r *result) iperfUDP(secs float64) {
	s := r.stage
	before := s.datagrams()
	res := r.iperf3(secs, "-u", "-l", "18", "-b", "0", "-w", "2M")
	got := s.datagrams() - before
	r.add(iperfFrames, got/res.End.Sent.Seconds/1000)
	r.add(iperfOffered, res.End.Sent.Packets/res.End.Sent.Seconds/1000)
}

// flood sends 60-byte frames past host A's queueing, at a rate or (0) as fast as
// it goes.
func (r *result) flood(secs float64, rate int) {
	s := r.stage
	s.a.Reaches(addrB, 20*time.Second) // both stations are learned, and what was queued before is gone
	pids := s.pids()
	before, cpu := s.counter(s.b, s.devB, "rx_packets"), cpuOf(pids)
	out := s.a.Must(r.tool, "flood", "-dev", s.devA, "-to", r.floodTo, "-for", fmt.Sprintf("%.0fms", secs*1000), "-rate", strconv.Itoa(rate))
	got := s.settled(s.b, s.devB, "rx_packets") - before
	cpu = cpuOf(pids) - cpu
	var res struct{ Attempts, Seconds float64 }
	s.must(json.Unmarshal([]byte(out), &res))
	if rate == 0 {
		r.add(floodFrames, got/res.Seconds/1000)
		r.add(floodOffered, res.Attempts/res.Seconds/1000)
		return
	}
	r.add(steadyOffered, res.Attempts/res.Seconds/1000)
	r.add(steadyLost, max(0, 100*(1-got/res.Attempts)))
	if len(pids) > 0 && got > 0 {
		r.add(frameCPU, cpu/got*1e6)
	}
}

var pingTime = regexp.MustCompile(`time=([\d.]+)`)

// ping returns the round-trip times from host A to host B, in ms.
func (r *result) ping(args ...string) (times []float64) {
	s := r.stage
	from, to := s.a, addrB
	if s.road != nil { // a guest's clock is coarse
		from, to = s.b, s.road.client.Address
	}
	p := from.Ping(append([]string{"-n", "-W", "1"}, append(args, to)...)...)
	for _, m := range pingTime.FindAllStringSubmatch(p.Output, -1) {
		t, err := strconv.ParseFloat(m[1], 64)
		s.must(err)
		times = append(times, t)
	}
	if len(times) == 0 {
		s.must(errNoAnswer)
	}
	return times
}

// percentile of values that need not be sorted; 0 when there are none.
func percentile(v []float64, p int) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[min(len(v)*p/100, len(v)-1)]
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
