package lab_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vhub/api"
	"vhub/internal/netlab"
	"vhub/lab/roadclient"
	"vhub/lab/sites"
	"vhub/ppp"
)

// The picture of the tests with many clients:
//
//	vhub, port road, pool 10.128.0.1 on == veth == one process with all clients
//	   198.51.100.1                                10.64.0.0/16, each its own address
//
// Each client is real on the wire: IKE main mode, ESP in UDP, L2TP, PPP with
// MS-CHAPv2, an address that was asked for on the segment (lab/roadclient). Both
// processes share the processors, so the crowd offers IKE's cheapest group, ECP 256 (which Windows
// offers too); what MODP 2048 costs is measured with the thousand that come back.
type crowdLab struct {
	t              *testing.T
	lab            *netlab.Lab
	server, client *netlab.NS
	hub            *netlab.VHub
	dials          int
}

const (
	crowdKey  = "a key that all of the crowd have"
	crowdPass = "secret"
)

func newCrowdLab(t *testing.T, users int) *crowdLab {
	t.Helper()
	need(t)
	c := &crowdLab{t: t, lab: netlab.New(t)}
	c.server, c.client = c.lab.NS("server"), c.lab.NS("client")
	c.lab.Wire(c.server, "wan0", c.client, "wan0")
	c.server.Addr("wan0", "198.51.100.1/24")
	c.client.Addr("wan0", "198.51.100.2/24")
	c.client.Must("ip", "route", "add", "local", "10.64.0.0/16", "dev", "lo")
	c.server.Must("ip", "route", "add", "10.64.0.0/16", "via", "198.51.100.2")

	// The users are there before the daemon: ten thousand times "vhub user add" is another test.
	state := filepath.Join(c.lab.Dir(), "v", "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	hash := ppp.NTHash(crowdPass)
	var b bytes.Buffer
	b.WriteString(`{"version":1,"users":[`)
	for i := range users {
		if i > 0 {
			b.WriteByte(',')
		}
		// Of equal length, so that their order is that of their numbers: the file is sorted by name.
		fmt.Fprintf(&b, `{"name":"u%05d","nt_hash":%q,"created":"2026-01-01T00:00:00Z","changed":"2026-01-01T00:00:00Z"}`, i, hex.EncodeToString(hash[:]))
	}
	b.WriteString("]}")
	key := filepath.Join(c.lab.Dir(), "crowd.psk")
	for path, data := range map[string][]byte{filepath.Join(state, "users.json"): b.Bytes(), key: []byte(crowdKey + "\n")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.hub = c.server.VHub("v", fmt.Sprintf(`hub "default" {
  port "tap" "lan" { interface = "lan0" }
  port "l2tp" "road" {
    key_file = %q
    pool     = "10.128.0.1-10.128.127.254"
  }
}
`, key))
	return c
}

// dial has a crowd log in and returns what became of it. It stays until the
// process is stopped.
func (c *crowdLab) dial(n int, limit time.Duration, more ...string) (roadclient.Report, *netlab.Proc) {
	c.t.Helper()
	args := []string{sites.Tool(c.t), "road-crowd", "-server", "198.51.100.1", "-key", crowdKey, "-user", "u%d", "-password", crowdPass,
		"-from", "10.64.0.0/16", "-n", strconv.Itoa(n)}
	c.dials++
	p := c.client.Start(fmt.Sprint("crowd", c.dials), append(args, more...)...)
	var r roadclient.Report
	c.lab.WaitFor("the crowd's report", limit, func() (bool, string) {
		return lastReport(p, &r) == 1, p.Output() + tail(c.hub.Output())
	})
	return r, p
}

// lastReport reads the last report of a crowd, and says how many there are.
func lastReport(p *netlab.Proc, r *roadclient.Report) (n int) {
	for s := bufio.NewScanner(strings.NewReader(p.Output())); s.Scan(); {
		if json.Unmarshal(s.Bytes(), r) == nil {
			n++
		}
	}
	return n
}

func tail(log string) string { return log[max(0, len(log)-2000):] }

// usage is a process's memory in bytes, and its processor time.
func usage(t *testing.T, pid int) (resident float64, cpu time.Duration) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(after, &resident); err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return resident * 1024, time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// The targets of issue 5 for idle sessions, and the gates: what is beyond a target is said,
// what is beyond a gate is an error: the processor's time is that of a machine that other tests use too.
// (On 30 November 2026: 17.8 KiB and 1.7 %.)
const (
	residentGate         = 24 << 10   // bytes of a session: the target
	idleTarget, idleGate = 0.03, 0.25 // of one core
)

// TestTenThousandSessions has 10,000 clients of one port up at once, and asserts what
// they cost while they do nothing: their keepalives (20 s, the clients') and the questions after silence run
// as they do by default: L2TP hellos (45 s), dead peer detection (1 min) and PPP echoes (90 s), the
// later of which an answer to the first makes needless.
func TestTenThousandSessions(t *testing.T) {
	const n = 10_000
	c := newCrowdLab(t, n)
	before, used := usage(t, c.hub.PID())
	r, crowd := c.dial(n, 4*time.Minute, "-window", "300", "-limit", "2m", "-ike", "aes128-sha1-ecp256", "-esp", "aes128-sha1", "-user", "u%05d")
	_, loggedIn := usage(t, c.hub.PID())
	t.Logf("%d of %d up after %.1f s: %.0f logins/s, %v of processor each at the server, %.2f ms at the client; one takes %.0f ms (median, of 300 at once; slowest %.0f); %d dialled anew",
		r.Up, n, r.Seconds, r.PerSecond, ((loggedIn - used) / n).Round(10*time.Microsecond), 1000*r.CPU/n, r.MedianMS, r.SlowestMS, r.Redials)
	if r.Up != n || r.Addresses != n {
		t.Fatalf("%d clients are up with %d addresses: %v", r.Up, r.Addresses, r.Ended)
	}
	var list api.SessionList
	c.hub.JSON(&list, "session", "list")
	if len(list.Sessions) != n {
		t.Errorf("session list has %d of %d", len(list.Sessions), n)
	}

	// At rest: the addresses are announced for the third time after 4 s, and what the logins left of
	// memory is given back within half a minute.
	settled := time.NewTimer(45 * time.Second)
	<-settled.C
	const window = 20 * time.Second
	_, from := usage(t, c.hub.PID())
	begin := time.Now()
	time.Sleep(window) // a window of time is what is measured
	resident, to := usage(t, c.hub.PID())
	idle := (to - from).Seconds() / time.Since(begin).Seconds()
	each := (resident - before) / n
	t.Logf("%d idle sessions: %.2f %% of one core, %.1f KiB resident each (%.0f MiB in all, %.0f before)", n, 100*idle, each/1024, resident/(1<<20), before/(1<<20))
	if idle > idleTarget {
		t.Logf("MISSED: %.2f %% of one core at rest, the target is %.0f", 100*idle, 100*idleTarget)
	}
	if each > residentGate || idle > idleGate {
		t.Errorf("%.1f KiB resident each and %.2f %% of one core at rest, want at most %d and %.0f", each/1024, 100*idle, residentGate>>10, 100*idleGate)
	}
	if err := crowd.Stop(30 * time.Second); err != nil {
		t.Errorf("the crowd's end: %v", err)
	}
	if lastReport(crowd, &r); r.Up != n || len(r.Ended) > 0 {
		t.Errorf("after the rest %d clients were up: %v", r.Up, r.Ended)
	}
}

// TestAThousandComeBack kills the server of 1,000 clients as soon as they are up and starts it
// again; all of them dial within one second. All are back, with the addresses they had. Once with
// the cheap group, once with MODP 2048, which stock clients still choose; the
// client's half of Diffie-Hellman is computed on the same processors.
func TestAThousandComeBack(t *testing.T) {
	const n = 1000
	c := newCrowdLab(t, n)
	addresses := func() map[string]string {
		var list api.SessionList
		c.hub.JSON(&list, "session", "list")
		m := map[string]string{}
		for _, s := range list.Sessions {
			if s.State == api.SessionUp {
				m[s.User] = s.Address
			}
		}
		return m
	}
	r, crowd := c.dial(n, time.Minute, "-window", "200", "-ike", "aes128-sha1-ecp256", "-esp", "aes128-sha1", "-user", "u%05d")
	if r.Up != n {
		t.Fatalf("%d of %d are up before: %v", r.Up, n, r.Ended)
	}
	was := addresses()
	for _, suite := range []string{"aes128-sha1-ecp256", "aes256-sha1-modp2048"} {
		c.hub.Kill()
		crowd.Kill() // they forget as well, and come anew
		c.hub.Start()
		_, used := usage(t, c.hub.PID())
		r, crowd = c.dial(n, time.Minute, "-over", "1s", "-ike", suite, "-esp", "aes128-sha1", "-user", "u%05d")
		_, now := usage(t, c.hub.PID())
		t.Logf("%s: %d of %d that dial within a second are back; the last is up %.2f s after the first began; one takes %.0f ms (median; slowest %.0f); %d dialled anew; %v of processor at the server, %.1f s at the clients",
			r.IKE, r.Up, n, r.Seconds, r.MedianMS, r.SlowestMS, r.Redials, (now - used).Round(10*time.Millisecond), r.CPU)
		if r.Up != n || r.Addresses != n || r.Redials > 0 {
			t.Errorf("%s: %d up, %d addresses, %d dialled anew: %v", suite, r.Up, r.Addresses, r.Redials, r.Ended)
		}
		others := 0
		for user, a := range addresses() {
			if was[user] != a {
				others++
			}
		}
		if others > 0 {
			t.Errorf("%s: %d have another address than before", suite, others)
		}
	}
}
