package lab_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/lab/sites"
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

// negotiation is when the first and the last message of phase 1, in that mode, and
// of quick mode came from an address, after a time.
func (w ikeWatch) negotiation(after time.Time, from, mode string) (begin, end time.Time) {
	phase1 := map[string]string{"main": "ident", "aggressive": "agg"}[mode]
	for _, m := range ikeLine.FindAllStringSubmatch(w.proc.Output(), -1) {
		at := unixTime(m[1])
		if m[2] != from || at.Before(after) {
			continue
		}
		switch {
		case begin.IsZero() && m[4] != phase1:
			continue
		case begin.IsZero():
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

// segmentWatch is a tcpdump at a host of the segment: the pings that it is asked,
// and what is announced to it.
type segmentWatch struct {
	proc *netlab.Proc
	read int // bytes of the output
	all  []sighting
}

// sighting is a ping of a number, or an announcement of an address (seq 0).
type sighting struct {
	at   time.Time
	seq  int
	addr string
}

func watchSegment(ns *netlab.NS, ifname string) *segmentWatch {
	w := &segmentWatch{proc: ns.Start("segment", "tcpdump", "-l", "-n", "-tt", "--immediate-mode", "-Q", "in", "-i", ifname,
		"arp or icmp[icmptype] = icmp-echo or (icmp6 and ip6[40] = 136)")}
	ns.Lab().WaitFor("tcpdump", 5*time.Second, func() (bool, string) {
		out := w.proc.Output()
		return strings.Contains(out, "listening on"), out
	})
	return w
}

var segmentLine = regexp.MustCompile(`^(\d+\.\d+) (?:IP \S+ > \S+: ICMP echo request, id \d+, seq (\d+),|` +
	`ARP, Request who-has (\S+) tell (\S+),|ARP, Reply (\S+) is-at |IP6 \S+ > ff02::1: ICMP6, neighbor advertisement, tgt is ([0-9a-f:]+),)`)

// more reads what came since. An ARP request counts where it asks for its own
// sender's address (RFC 5227 section 3).
func (w *segmentWatch) more() {
	raw, _ := os.ReadFile(w.proc.Log)
	whole := strings.LastIndexByte(string(raw), '\n') + 1
	for text := range strings.Lines(string(raw[w.read:whole])) {
		m := segmentLine.FindStringSubmatch(text)
		if m == nil || m[3] != m[4] {
			continue
		}
		s := sighting{at: unixTime(m[1]), addr: m[3] + m[5] + m[6]}
		s.seq, _ = strconv.Atoi(m[2])
		w.all = append(w.all, s)
	}
	w.read = whole
}

// announced waits for the nth announcement of an address after a time.
func (w *segmentWatch) announced(t *testing.T, after time.Time, addr string, nth int) time.Time {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		w.more()
		seen := 0
		for _, s := range w.all {
			if s.addr == addr && s.at.After(after) {
				if seen++; seen == nth {
					return s.at
				}
			}
		}
	}
	t.Fatalf("%s is not announced %d times after %v: %s", addr, nth, after, w.proc.Output())
	return time.Time{}
}

// answered is when the first ping that the host was asked after a time had its
// answer back at the other end, as a ping there tells that has ended. The clock is
// the host's: a guest has its own. A ping was asked before it was seen here, so its
// answer was back at the latest its round trip after that.
func (w *segmentWatch) answered(t *testing.T, after time.Time, asker *stamped) time.Time {
	t.Helper()
	w.more()
	asker.more()
	trips := map[int]time.Duration{}
	for _, a := range asker.answers {
		trips[a.seq] = a.rtt
	}
	for _, s := range w.all {
		if rtt, ok := trips[s.seq]; ok && s.at.After(after) {
			return s.at.Add(rtt)
		}
	}
	t.Fatalf("no ping from the other end after %v has an answer: %d answers", after, len(asker.answers))
	return time.Time{}
}

// stamped is a ping of 100 a second that notes when each answer came.
type stamped struct {
	proc    *netlab.Proc // nil in a guest
	log     string
	read    int      // bytes of the output
	answers []answer // so far
	cuts    []recovered
}

// pingStamped starts one and waits for its first answer.
func pingStamped(from *netlab.NS, to string) *stamped {
	runs++
	s := &stamped{proc: from.Start(fmt.Sprintf("ping%d", runs), "stdbuf", "-oL", "ping", "-n", "-D", "-i", "0.01", "-s", "16", to)}
	s.log = s.proc.Log
	s.begins(from.Lab(), to)
	return s
}

// begins waits for the first answer.
func (s *stamped) begins(l *netlab.Lab, to string) {
	l.WaitFor("answer of "+to, 5*time.Second, func() (bool, string) {
		s.more()
		return len(s.answers) > 0, s.log
	})
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
	raw, _ := os.ReadFile(s.log)
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

// tcpSession is a session that must live through it all.
type tcpSession struct {
	proc   *netlab.Proc // nil in a guest
	told   string       // file with a line for each echo, or for each question at the server
	rounds int          // that were looked at
}

// startSession starts one and waits for its first echoes.
func startSession(t *testing.T, from *netlab.NS, to string) *tcpSession {
	t.Helper()
	s := &tcpSession{told: filepath.Join(from.Lab().Dir(), from.Name+".echoes")}
	s.proc = from.Start("session", sites.Tool(t), "session", "-connect", to+":7777", "-for", "10m", "-echoes", s.told)
	s.goesOn(t, 30*time.Second)
	return s
}

// goesOn waits for two rounds from now on: the second at least began after now. It
// returns the longest wait for one since the call before, which must not be over
// the limit.
func (s *tcpSession) goesOn(t *testing.T, limit time.Duration) (longest time.Duration) {
	t.Helper()
	have := len(s.lines())
	for end := time.Now().Add(limit + 5*time.Second); ; time.Sleep(10 * time.Millisecond) {
		all := s.lines()
		if len(all) >= have+2 {
			for _, text := range all[s.rounds:] {
				ms, _ := strconv.ParseFloat(text, 64)
				longest = max(longest, time.Duration(ms*float64(time.Millisecond)))
			}
			s.rounds = len(all)
			if longest > limit {
				t.Errorf("a TCP session stood still for %v, want at most %v", longest, limit)
			}
			return longest
		}
		if time.Now().After(end) {
			t.Fatalf("a TCP session does not go on within %v: %d rounds, then %d", limit, have, len(all))
		}
	}
}

// lines is the whole lines of its file.
func (s *tcpSession) lines() []string {
	raw, _ := os.ReadFile(s.told)
	return strings.Fields(string(raw[:strings.LastIndexByte(string(raw), '\n')+1]))
}

// end ends a session that must have lived until now.
func (s *tcpSession) end(t *testing.T) sessionResult {
	t.Helper()
	s.proc.Signal(2)
	select {
	case <-s.proc.Done():
	case <-time.After(35 * time.Second):
		t.Fatalf("the session does not end: %s", s.proc.Output())
	}
	return s.judge(t, s.proc.Output())
}

func (s *tcpSession) judge(t *testing.T, out string) (res sessionResult) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &res); err != nil || res.Error != "" || res.Rounds == 0 {
		t.Errorf("the TCP session: %v %s", err, out)
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
