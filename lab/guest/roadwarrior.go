package guest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"vhub/internal/netlab"
)

// What NetworkManager-l2tp 1.20 proposes when its user sets nothing: a merge of
// what Windows 10 and Apple's systems propose, eleven for phase 1 (its README).
// Debian's libreswan has no MODP 1024, and is not asked for it.
const (
	NetworkManagerIKE = "aes256-sha2_256-modp2048,aes256-sha2_256-modp1536,aes256-sha2_256-modp1024,aes256-sha1-modp2048,aes256-sha1-modp1536,aes256-sha1-modp1024," +
		"aes256-sha1-ecp384,aes128-sha1-modp1024,aes128-sha1-ecp256,3des-sha1-modp2048,3des-sha1-modp1024!"
	NetworkManagerESP          = "aes256-sha1,aes128-sha1,3des-sha1!"
	NetworkManagerIKELibreswan = "aes256-sha2_256-modp2048,aes256-sha2_256-modp1536,aes256-sha1-modp2048,aes256-sha1-modp1536,aes256-sha1-ecp_384,aes128-sha1-ecp_256,3des-sha1-modp2048"
	NetworkManagerESPLibreswan = "aes256-sha1,aes128-sha1,3des-sha1"
)

// RoadWarriorConfig is a client and what it dials. The zero value of a field
// stands for what is said beside it.
type RoadWarriorConfig struct {
	Server         string // address
	PSK            string
	User, Password string

	Libreswan    bool   // the IKE daemon, and the guest's flavor; else strongSwan
	IKE, ESP     string // the daemon's proposals; "" is AES-256, SHA-1, MODP 2048
	MTU          int    // of PPP, both ways; 0 is 1400, as Windows and NetworkManager-l2tp have it
	ForceUDP     bool   // ESP in UDP, NAT or not
	IKELifetime  time.Duration
	ESPLifetime  time.Duration // 0: eight hours and one hour
	RekeyMargin  time.Duration // rekeying begins so long before the end; 0 is nine minutes
	DPD          bool
	EphemeralUDP bool     // L2TP's source port is not 1701
	Routes       []string // networks that are routed into the tunnel
	MSCHAPv2Only bool     // else what pppd accepts but PAP
}

// Times says how long the parts of coming up took, by the host's clock.
type Times struct {
	IPsec time.Duration // from the first IKE packet to both SAs of ESP
	L2TP  time.Duration // from there to the address
	Total time.Duration // from the first IKE packet to the address, in one go
	Steps []Step
	// Short is for how much of Total something on this machine had to wait for a
	// processor (Linux: PSI); zero where the kernel does not tell.
	Short time.Duration
}

// Overloaded tells that nearly all the time the processors were short: then the
// time says nothing of the server.
func (t Times) Overloaded() bool { return t.Short.Seconds() > 0.8*t.Total.Seconds() }

// Step is how far the client had come, and when, from the first IKE packet on.
type Step struct {
	Name string
	At   time.Duration
}

func (t Times) String() string {
	text := fmt.Sprintf("IPsec %.3f s, L2TP and PPP %.3f s, together %.3f s", t.IPsec.Seconds(), t.L2TP.Seconds(), t.Total.Seconds())
	for i, s := range t.Steps {
		text += map[bool]string{true: " (", false: ", "}[i == 0] + fmt.Sprintf("%s %.3f", s.Name, s.At.Seconds())
	}
	text += map[bool]string{true: "", false: ")"}[len(t.Steps) == 0]
	return text + fmt.Sprintf(", processors short for %.0f %%", 100*t.Short.Seconds()/t.Total.Seconds())
}

// stalled is for how long so far some process of this machine has had to wait for
// a processor.
func stalled() time.Duration {
	b, _ := os.ReadFile("/proc/pressure/cpu")
	_, total, ok := strings.Cut(strings.SplitN(string(b), "\n", 2)[0], "total=")
	us, err := strconv.ParseInt(total, 10, 64)
	if !ok || err != nil {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// RoadWarrior is a client in a guest: strongSwan or libreswan, xl2tpd and pppd.
type RoadWarrior struct {
	g   *Guest
	cfg RoadWarriorConfig
	ike ikeDaemon
	// Interface and Address are those of the PPP link, once it is up.
	Interface, Address string
}

// NewRoadWarrior configures the client and starts its daemons; nothing is
// dialled. The guest must be of the flavor that cfg.Libreswan says. A client that
// was there before is ended.
func NewRoadWarrior(tb netlab.TB, g *Guest, cfg RoadWarriorConfig) *RoadWarrior {
	tb.Helper()
	w := &RoadWarrior{g: g, cfg: cfg, ike: cfg.ike()}
	w.Stop()
	for name, text := range w.files() {
		g.Write("etc/"+name, text)
	}
	_, err := g.Run(time.Minute, "rm -f /lab/pppd.log /lab/xl2tpd.log /lab/"+w.ike.log+"\n"+w.ike.start+`
xl2tpd -D -c /lab/etc/xl2tpd.conf -C /run/xl2tpd/l2tp-control -p /run/xl2tpd.pid >/lab/xl2tpd.log 2>&1 </dev/null &
for i in $(seq 200); do [ -p /run/xl2tpd/l2tp-control ] && [ -s /run/xl2tpd.pid ] && exit 0; sleep 0.05; done
cat /lab/ipsec.log /lab/xl2tpd.log; exit 1`)
	if err != nil {
		tb.Fatalf("guest: road warrior: %v", err)
	}
	return w
}

// files are the daemons' configurations.
func (w *RoadWarrior) files() map[string]string {
	c := w.cfg
	mtu := c.MTU
	if mtu == 0 {
		mtu = 1400
	}
	f := w.ike.files(c)
	maps.Copy(f, map[string]string{
		"xl2tpd.conf": "[global]\nport = " + map[bool]string{true: "0", false: "1701"}[c.EphemeralUDP] + "\ndebug tunnel = yes\ndebug state = yes\n[lac lab]\nlns = " + c.Server +
			"\nppp debug = yes\npppoptfile = /lab/etc/options.l2tpd.client\nlength bit = yes\nautodial = no\n",
		"options.l2tpd.client": strings.Join([]string{"ipcp-accept-local", "ipcp-accept-remote", "noipdefault", "nodefaultroute", "refuse-pap", "noauth", "noccp",
			fmt.Sprint("mtu ", mtu), fmt.Sprint("mru ", mtu), "lcp-echo-interval 20", "lcp-echo-failure 3", "name " + pppQuote(c.User), "password " + pppQuote(c.Password),
			"debug", "logfile /lab/pppd.log", ""}, "\n"),
		"chap-secrets": "",
	})
	if c.MSCHAPv2Only {
		f["options.l2tpd.client"] += "refuse-eap\nrefuse-chap\nrefuse-mschap\n"
	}
	return f
}

// pppQuote is a word of pppd's options file.
func pppQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// The words by which the daemons tell how far they are.
var (
	pppUp      = "local  IP address "
	pppFailed  = []string{"authentication failed", "Connection terminated", "LCP terminated", "Could not determine", "peer refused to authenticate"}
	l2tpFailed = []string{"Maximum retries exceeded", "Connection closed to", "call_close: Call", "death_handler"}
)

// StartIPsec makes the SAs of IKE and ESP. The time is from the first packet on.
func (w *RoadWarrior) StartIPsec(limit time.Duration) (time.Duration, error) {
	t, err := w.dial(limit, false)
	return t.IPsec, err
}

// DialL2TP calls the server and waits for an address. IPsec must be up. The time
// is from the call on.
func (w *RoadWarrior) DialL2TP(limit time.Duration) (time.Duration, error) {
	l := w.logs()
	start := time.Now()
	if _, err := w.g.Run(limit, `echo "c lab" >/run/xl2tpd/l2tp-control`); err != nil {
		return 0, err
	}
	at, err := w.address(l, time.Now().Add(limit))
	return at.Sub(start), err
}

// Dial does both, one right after the other, as a user's click does.
func (w *RoadWarrior) Dial(limit time.Duration) (Times, error) { return w.dial(limit, true) }

// dial starts IPsec, and L2TP from within the same job of the guest.
func (w *RoadWarrior) dial(limit time.Duration, call bool) (Times, error) {
	l := w.logs()
	script := fmt.Sprintf("timeout %d %s >/lab/up.log 2>&1", int(limit.Seconds())+1, w.ike.up)
	if call {
		script += "\necho \"c lab\" >/run/xl2tpd/l2tp-control"
	}
	done := make(chan error, 1)
	go func() {
		_, err := w.g.Run(limit+2*time.Second, script)
		done <- err
	}()
	end := time.Now().Add(limit)
	began, err := l.wait(end, func() bool { return contains(l.ike(), w.ike.begins[0]...) || contains(l.ike(), w.ike.begins[1]...) })
	if err != nil {
		<-done
		return Times{}, w.failure("IKE did not start", err)
	}
	before := stalled()
	up, err := l.wait(end, func() bool { return contains(l.ike(), w.ike.ipsecUp...) }, done)
	if err != nil {
		return Times{}, w.failure("no IPsec", err)
	}
	t := Times{IPsec: up.Sub(began)}
	if !call {
		if err := <-done; err != nil {
			return t, err
		}
		return t, nil
	}
	at, err := w.address(l, end)
	t.L2TP, t.Total, t.Short = at.Sub(up), at.Sub(began), stalled()-before
	<-done
	for i, s := range l.steps {
		if !l.seen[i].IsZero() {
			t.Steps = append(t.Steps, Step{s.name, l.seen[i].Sub(began)})
		}
	}
	return t, err
}

// address waits until pppd has an address, and sets the routes.
func (w *RoadWarrior) address(l *logs, end time.Time) (time.Time, error) {
	failed := errors.New("")
	at, err := l.wait(end, func() bool {
		if contains(l.pppd(), pppUp) {
			return true
		}
		for _, f := range pppFailed {
			if contains(l.pppd(), f) {
				failed = fmt.Errorf("pppd says: %s", lineWith(l.pppd(), f))
				return true
			}
		}
		for _, f := range l2tpFailed {
			if contains(l.xl2tpd(), f) {
				failed = fmt.Errorf("xl2tpd says: %s", lineWith(l.xl2tpd(), f))
				return true
			}
		}
		return false
	})
	if err != nil || failed.Error() != "" {
		return at, w.failure("no address", errors.Join(err, failed))
	}
	_, w.Address, _ = strings.Cut(lineWith(l.pppd(), pppUp), pppUp)
	_, w.Interface, _ = strings.Cut(lineWith(l.pppd(), "Using interface "), "Using interface ")
	w.Address, w.Interface = strings.TrimSpace(w.Address), strings.TrimSpace(w.Interface)
	for _, r := range w.cfg.Routes {
		if _, err := w.g.Run(10*time.Second, "ip route replace "+r+" dev "+w.Interface); err != nil {
			return at, err
		}
	}
	return at, nil
}

// failure is an error with what the daemons said last.
func (w *RoadWarrior) failure(what string, err error) error {
	return fmt.Errorf("guest %s: %s: %w\nup: %s\nIKE: %s\nxl2tpd: %s\npppd: %s", w.g.Name, what, err,
		tail([]byte(w.g.Read("up.log"))), tail([]byte(w.g.Read(w.ike.log))), tail([]byte(w.g.Read("xl2tpd.log"))), tail([]byte(w.g.Read("pppd.log"))))
}

// Established is how many SAs of IKE and how many pairs of ESP were made since
// the daemons began: what is above one is rekeying and dialling again.
func (w *RoadWarrior) Established() (ike, esp int) {
	for line := range strings.Lines(w.g.Read(w.ike.log)) {
		switch {
		case contains(line, w.ike.ipsecUp...):
			esp++
		case contains(line, w.ike.ikeUp...):
			ike++
		}
	}
	return ike, esp
}

// noPPP waits until no PPP link is left, without a fork for each look.
const noPPP = `for i in $(seq 100); do compgen -G '/sys/class/net/ppp*' >/dev/null || break; read -rt 0.1 <>/run/wait; done
`

// HangUp ends the call and IPsec in good order and waits until the link is gone.
// The client can dial again. xl2tpd closes the tunnel and then ends pppd, which
// would ask the server through it for six seconds: it is killed.
func (w *RoadWarrior) HangUp() error {
	_, err := w.g.Run(30*time.Second, `closed() { grep -c 'closed to' /lab/xl2tpd.log; }
n=$(closed); echo "d lab" >/run/xl2tpd/l2tp-control
for i in $(seq 100); do [ "$(closed)" -gt "$n" ] && break; read -rt 0.05 <>/run/wait; done
kill -9 $(pidof pppd)
`+noPPP+w.ike.down+` >/dev/null 2>&1
! compgen -G '/sys/class/net/ppp*'`)
	return err
}

// Crash kills all of the client at once: nobody says good-bye, and the SAs of
// the kernel are gone as after a power cut.
func (w *RoadWarrior) Crash() error {
	_, err := w.g.Run(30*time.Second, w.kill())
	return err
}

// Stop says good-bye to the server and ends the client's daemons. They are killed:
// strongSwan's own way takes up to twenty seconds.
func (w *RoadWarrior) Stop() {
	_, _ = w.g.Run(30*time.Second, `[ -s /run/xl2tpd.pid ] && { echo "d lab" >/run/xl2tpd/l2tp-control; timeout 5 `+w.ike.down+"; } >/dev/null 2>&1\n"+w.kill())
}

// kill is the script that ends the daemons by the ids they wrote down.
func (w *RoadWarrior) kill() string {
	return w.ike.kill + `
[ -s /run/xl2tpd.pid ] && kill -9 $(cat /run/xl2tpd.pid) 2>/dev/null
for p in $(pidof pppd); do kill -9 $p; done
` + noPPP + `ip xfrm state flush; ip xfrm policy flush
rm -f /run/xl2tpd/l2tp-control /run/xl2tpd.pid`
}

// logs reads what the daemons have written since it was made. The guest writes
// into a folder of the host, so that looking costs the guest nothing.
type logs struct {
	dir, ikeLog         string
	ikeAt, xlAt, pppdAt int64
	steps               []step
	seen                []time.Time // when each step was first seen
}

// step is known by words of a log.
type step struct {
	name  string
	log   func(*logs) string
	words []string
}

func (w *RoadWarrior) logs() *logs {
	l := &logs{dir: w.g.Dir, ikeLog: w.ike.log, steps: []step{{"phase 1", (*logs).ike, w.ike.ikeUp}, {"phase 2", (*logs).ike, w.ike.ipsecUp},
		{"call", (*logs).xl2tpd, []string{"Call established with"}}, {"pppd", (*logs).pppd, []string{"sent [LCP ConfReq"}},
		{"LCP", (*logs).pppd, []string{"rcvd [CHAP Challenge"}}, {"login", (*logs).pppd, []string{"CHAP authentication succeeded"}},
		{"IPCP", (*logs).pppd, []string{"rcvd [IPCP ConfReq"}}}}
	l.seen = make([]time.Time, len(l.steps))
	size := func(name string) int64 {
		st, err := os.Stat(filepath.Join(l.dir, name))
		if err != nil {
			return 0
		}
		return st.Size()
	}
	l.ikeAt, l.xlAt, l.pppdAt = size(l.ikeLog), size("xl2tpd.log"), size("pppd.log")
	return l
}

func (l *logs) since(name string, at int64) string {
	b, _ := os.ReadFile(filepath.Join(l.dir, name))
	return string(b[min(at, int64(len(b))):])
}

func (l *logs) ike() string    { return l.since(l.ikeLog, l.ikeAt) }
func (l *logs) xl2tpd() string { return l.since("xl2tpd.log", l.xlAt) }
func (l *logs) pppd() string   { return l.since("pppd.log", l.pppdAt) }

// note looks for the steps that were not seen yet.
func (l *logs) note(now time.Time) {
	for i, s := range l.steps {
		if l.seen[i].IsZero() && contains(s.log(l), s.words...) {
			l.seen[i] = now
		}
	}
}

// wait looks every 2 ms whether cond holds. A job that is done before that is
// given half a second more, since its log may come after it.
func (l *logs) wait(end time.Time, cond func() bool, job ...chan error) (time.Time, error) {
	var over time.Time
	for {
		now := time.Now()
		l.note(now)
		if cond() {
			return now, nil
		}
		if now.After(end) {
			return now, errors.New("not within the time")
		}
		if len(job) > 0 && len(job[0]) > 0 {
			if over.IsZero() {
				over = now.Add(500 * time.Millisecond)
			} else if now.After(over) {
				return now, errors.New("the command ended without it")
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// contains tells whether one line has all the words, in order.
func contains(text string, words ...string) bool {
lines:
	for line := range strings.Lines(text) {
		for _, w := range words {
			_, rest, ok := strings.Cut(line, w)
			if !ok {
				continue lines
			}
			line = rest
		}
		return true
	}
	return false
}

// lineWith is the last line with the word.
func lineWith(text, word string) (last string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			last = strings.TrimSpace(line)
		}
	}
	return last
}
