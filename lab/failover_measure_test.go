package lab_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
)

// ikeWatch is a tcpdump of IKE; it tells when a negotiation was on the wire.
type ikeWatch struct{ proc *netlab.Proc }

func watchIKE(ns *netlab.NS, ifname string) ikeWatch {
	w := ikeWatch{ns.Start("ike", "tcpdump", "-l", "-n", "-tt", "--immediate-mode", "-i", ifname,
		"udp port 500 or (udp port 4500 and udp[4:2] > 12 and udp[8:4] = 0)")}
	ns.Lab().WaitFor("tcpdump", 5*time.Second, func() (bool, string) {
		out := w.proc.Output()
		return strings.Contains(out, "listening on"), out
	})
	return w
}

var ikeLine = regexp.MustCompile(`(?m)^(\d+\.\d+) IP (\d+\.\d+\.\d+\.\d+)\.\d+ > .*?phase (1|2/others) I (ident|agg|oakley-quick)`)

// negotiation is when the first and the last message of main and quick mode came
// from an address, after a time.
func (w ikeWatch) negotiation(after time.Time, from string) (begin, end time.Time) {
	for _, m := range ikeLine.FindAllStringSubmatch(w.proc.Output(), -1) {
		at := unixTime(m[1])
		if m[2] != from || at.Before(after) {
			continue
		}
		if begin.IsZero() {
			begin = at
		}
		end = at
	}
	return begin, end
}

func unixTime(text string) time.Time {
	f, _ := strconv.ParseFloat(text, 64)
	return time.UnixMicro(int64(f * 1e6))
}

// stamped is a ping of 100 a second that notes when each answer came.
type stamped struct {
	proc    *netlab.Proc
	read    int      // bytes of the output
	answers []answer // so far
	cuts    []recovered
}

// pingStamped starts one and waits for its first answer.
func pingStamped(from *netlab.NS, to string) *stamped {
	runs++
	s := &stamped{proc: from.Start(fmt.Sprintf("ping%d", runs), "stdbuf", "-oL", "ping", "-n", "-D", "-i", "0.01", "-s", "16", to)}
	from.Lab().WaitFor("answer of "+to, 5*time.Second, func() (bool, string) {
		s.more()
		return len(s.answers) > 0, s.proc.Output()
	})
	return s
}

var stampedLine = regexp.MustCompile(`^\[(\d+\.\d+)\] \d+ bytes from .* icmp_seq=(\d+) .*time=([\d.]+)`)

// answer is one answered ping: its number, without the wrapping at 65536, and when.
type answer struct {
	seq int
	at  time.Time
	rtt time.Duration
}

func (a answer) asked() time.Time { return a.at.Add(-a.rtt) }

// more reads the answers that came since, and keeps all in the order of asking.
func (s *stamped) more() {
	raw, _ := os.ReadFile(s.proc.Log)
	whole := strings.LastIndexByte(string(raw), '\n') + 1
	for line := range strings.Lines(string(raw[s.read:whole])) {
		m := stampedLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		seq, _ := strconv.Atoi(m[2])
		for len(s.answers) > 0 && seq < s.answers[len(s.answers)-1].seq-1<<15 {
			seq += 1 << 16
		}
		ms, _ := strconv.ParseFloat(m[3], 64)
		s.answers = append(s.answers, answer{seq, unixTime(m[1]), time.Duration(ms * float64(time.Millisecond))})
	}
	s.read = whole
	slices.SortFunc(s.answers, func(a, b answer) int { return a.seq - b.seq })
}

// recovered is what a cut did: the answered pings before and after it.
type recovered struct{ last, first answer }

// lasted is how long no ping that was asked got an answer.
func (r recovered) lasted() time.Duration {
	if r.first.seq == r.last.seq+1 {
		return 0
	}
	return r.first.asked().Sub(r.last.asked())
}

// recovery waits for the answer to a ping that was asked after a cut.
func (s *stamped) recovery(t *testing.T, cut time.Time) recovered {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.more()
		i := slices.IndexFunc(s.answers, func(a answer) bool { return a.asked().After(cut) })
		if i <= 0 {
			continue
		}
		r := recovered{s.answers[i-1], s.answers[i]}
		s.cuts = append(s.cuts, r)
		return r
	}
	t.Fatalf("no ping asked after the cut is answered: %d answers", len(s.answers))
	return recovered{}
}

// end stops the ping and says how many were lost where nothing was cut.
func (s *stamped) end() (lost int) {
	s.proc.Signal(2)
	<-s.proc.Done()
	s.more()
	for i, a := range s.answers[1:] {
		before := s.answers[i].seq
		if n := a.seq - before - 1; n > 0 && !slices.ContainsFunc(s.cuts, func(r recovered) bool { return r.last.seq <= before && a.seq <= r.first.seq }) {
			lost += n
		}
	}
	return lost
}

// sessionResult is what lab/tool prints of a session.
type sessionResult struct {
	Rounds     int     `json:"rounds"`
	MaxStallMS float64 `json:"max_stall_ms"`
	Error      string  `json:"error"`
}

// endSession ends a session that must have lived until now.
func endSession(t *testing.T, p *netlab.Proc) sessionResult {
	t.Helper()
	p.Signal(2)
	select {
	case <-p.Done():
	case <-time.After(35 * time.Second):
		t.Fatalf("the session does not end: %s", p.Output())
	}
	var res sessionResult
	if err := json.Unmarshal([]byte(p.Output()), &res); err != nil || res.Error != "" || res.Rounds == 0 {
		t.Errorf("the TCP session: %v %s", err, p.Output())
	}
	return res
}

// quantile of a distribution, the next value below.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[int(q*float64(len(all)-1)+0.5)]
}

// spread is a distribution in one line.
func spread(all []time.Duration) string {
	at := func(q float64) time.Duration { return quantile(all, q).Round(100 * time.Microsecond) }
	return fmt.Sprintf("min %v, median %v, p99 %v, max %v (of %d)", at(0), at(0.5), at(0.99), at(1), len(all))
}
