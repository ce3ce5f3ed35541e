package netlab

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Ping is the result of one run of ping.
type Ping struct {
	Sent, Received, Duplicates int
	MinMS, AvgMS, MaxMS        float64
	Output                     string
}

// String is one line for logs.
func (p Ping) String() string {
	return fmt.Sprintf("%d sent, %d received, %d DUP, %.3f/%.3f/%.3f ms", p.Sent, p.Received, p.Duplicates, p.MinMS, p.AvgMS, p.MaxMS)
}

var (
	pingCounts = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received(?:, \+(\d+) duplicates)?`)
	pingTimes  = regexp.MustCompile(`= ([\d.]+)/([\d.]+)/([\d.]+)/`)
)

// Ping runs ping with these arguments (for example "-c", "5", "10.0.0.2") and
// reads its result. Only a run that prints no statistics is an error of the lab.
//
// iputils' ping ends as soon as one interval (or twice the longest time seen)
// has gone by after its last question, and counts what is later as lost: on a
// machine whose processors are all busy that is an answer, not a loss. So a run
// that misses nothing but its very last answers is made again, up to twice.
func (n *NS) Ping(args ...string) Ping {
	n.lab.tb.Helper()
	for try := 0; ; try++ {
		out, _ := n.Run(append([]string{"ping"}, args...)...)
		p, ok := ParsePing(out)
		if !ok {
			n.lab.tb.Fatalf("netlab: ping %s in %s printed no statistics: %s", strings.Join(args, " "), n.Name, out)
		}
		if try == 2 || !p.endedEarly() {
			return p
		}
	}
}

var pingSeq = regexp.MustCompile(`icmp_seq=(\d+) ttl`)

// endedEarly tells that all answers up to some question came, once each, and
// none after it.
func (p Ping) endedEarly() bool {
	if p.Received == 0 || p.Received >= p.Sent || p.Duplicates > 0 {
		return false
	}
	for i, m := range pingSeq.FindAllStringSubmatch(p.Output, -1) {
		if m[1] != strconv.Itoa(i+1) {
			return false
		}
	}
	return true
}

// ParsePing reads the statistics that iputils' ping prints at its end.
func ParsePing(out string) (Ping, bool) {
	m := pingCounts.FindStringSubmatch(out)
	if m == nil {
		return Ping{Output: out}, false
	}
	p := Ping{Output: out}
	p.Sent, _ = strconv.Atoi(m[1])
	p.Received, _ = strconv.Atoi(m[2])
	p.Duplicates, _ = strconv.Atoi(m[3])
	if m := pingTimes.FindStringSubmatch(out); m != nil {
		p.MinMS, _ = strconv.ParseFloat(m[1], 64)
		p.AvgMS, _ = strconv.ParseFloat(m[2], 64)
		p.MaxMS, _ = strconv.ParseFloat(m[3], 64)
	}
	return p, true
}

// Reaches pings until one answer comes back and says how long that took; at
// the limit the test fails.
func (n *NS) Reaches(addr string, limit time.Duration) time.Duration {
	n.lab.tb.Helper()
	start := time.Now()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		out, err := n.Cmd(ctx, "ping", "-n", "-c", "1", "-W", "0.2", addr).CombinedOutput()
		cancel()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			n.lab.tb.Fatalf("netlab: %s does not reach %s within %s: %s", n.Name, addr, limit, out)
		}
	}
}
