package ike

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/internal/testenv"
	"vhub/ipsec/esp"
)

// The tests here run against a real strongSwan (Debian's charon) in namespaces: vhub's side
// is 10.9.0.1, strongSwan's 10.9.0.2, or behind a router that translates. Its ESP is its own
// (kernel-libipsec: tunnel mode in UDP), so that kernels without ESP can run them; inside the
// tunnel vhub is 10.8.0.1 and strongSwan 10.8.0.2. Transport mode and raw ESP against a
// kernel are tested in the lab's guest.

// charon is a running strongSwan.
type charon struct {
	t    *testing.T
	ns   *netlab.NS
	dir  string
	proc *netlab.Proc
}

func startCharon(t *testing.T, ns *netlab.NS, dir string) *charon {
	c := &charon{t: t, ns: ns, dir: dir}
	conf := fmt.Sprintf(`
charon {
  load = random nonce aes sha1 sha2 md5 hmac kdf gmp openssl gcrypt gcm pem pkcs1 kernel-libipsec kernel-netlink socket-default vici
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  retransmit_timeout = 1.0
  plugins { vici { socket = unix://%[1]s/vici } }
  filelog { log { path = %[1]s/charon.log
      time_format = %%T
      flush_line = yes
      default = 1
      ike = 4
      chd = 4
      enc = 1
  } }
}
`, dir)
	c.write("strongswan.conf", conf)
	// charon has one pid file for the whole machine: give it a /run of its own.
	c.proc = ns.Start("charon", "unshare", "-m", "sh", "-c",
		"mount -t tmpfs tmpfs /run && STRONGSWAN_CONF="+dir+"/strongswan.conf exec /usr/lib/ipsec/charon")
	// A connection to its socket before this makes charon deaf on it.
	ns.Lab().WaitFor("charon to run", 15*time.Second, func() (bool, string) {
		return strings.Contains(c.log(), "worker threads"), c.proc.Output()
	})
	return c
}

func (c *charon) write(name, text string) {
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// load loads a swanctl.conf.
func (c *charon) load(conf string) {
	c.write("swanctl.conf", conf)
	c.ns.Lab().WaitFor("swanctl to load", 10*time.Second, func() (bool, string) { // vici refuses now and then while charon starts
		select {
		case <-c.proc.Done():
			c.t.Fatalf("charon ended: %v\n%s", c.proc.Err(), c.proc.Output())
		default:
		}
		out, err := c.swanctl("--load-all", "--clear", "--file", c.dir+"/swanctl.conf")
		return err == nil, out
	})
}

func (c *charon) swanctl(args ...string) (string, error) {
	return c.ns.Run(append([]string{"swanctl", args[0], "--uri", "unix://" + c.dir + "/vici"}, args[1:]...)...)
}

func (c *charon) log() string {
	b, _ := os.ReadFile(filepath.Join(c.dir, "charon.log"))
	return string(b)
}

// live is the network of one test.
type live struct {
	lab    *netlab.Lab
	swan   *charon
	vhub   *netlab.NS
	swanIP string // as vhub sees it
}

// newLive makes the namespaces and starts charon, which is behind a NAT if nat.
func newLive(t *testing.T, nat bool) *live {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "swanctl", "unshare")
	testenv.NeedFile(t, "/usr/lib/ipsec/charon")
	lab := netlab.New(t)
	l := &live{lab: lab, vhub: lab.NS("ikv"), swanIP: "10.9.0.2"}
	swan := lab.NS("iks")
	if nat {
		router := lab.NS("ikr")
		lab.Wire(l.vhub, "wan", router, "out")
		lab.Wire(router, "in", swan, "wan")
		l.vhub.Addr("wan", "10.9.0.1/24")
		router.Addr("out", "10.9.0.2/24")
		router.Addr("in", "192.168.9.1/24")
		swan.Addr("wan", "192.168.9.2/24")
		swan.Sh("ip route add default via 192.168.9.1")
		router.Masquerade("out")
	} else {
		lab.Wire(l.vhub, "wan", swan, "wan")
		l.vhub.Addr("wan", "10.9.0.1/24")
		swan.Addr("wan", "10.9.0.2/24")
	}
	swan.Addr("lo", "10.8.0.2/32")
	l.swan = startCharon(t, swan, lab.Dir())
	t.Cleanup(func() {
		if t.Failed() {
			log := l.swan.log()
			t.Logf("strongSwan's log (end):\n%s", log[max(0, len(log)-6000):])
		}
	})
	return l
}

// swanConf is a swanctl.conf for one connection.
func swanConf(local, proposals, espProposals, more, childMore string) string {
	return fmt.Sprintf(`
connections { v {
  version = 1
  local_addrs = %s
  remote_addrs = 10.9.0.1
  proposals = %s
  dpd_delay = 5s
  %s
  local { auth = psk
    id = keyid:branch1 }
  remote { auth = psk
    id = %%any }
  children { c {
    mode = tunnel
    local_ts = 10.8.0.2/32
    remote_ts = 10.8.0.1/32
    esp_proposals = %s
    %s
  } }
} }
secrets { ike-1 { secret = "%s" } }
`, local, proposals, more, espProposals, childMore, psk)
}

func acceptAll(*ChildRequest) error { return nil }

// pings sends count echo requests and wants all of them answered.
func (l *live) pings(t *testing.T, s *shell, from, count int) {
	t.Helper()
	for i := from; i < from+count; i++ {
		l.lab.WaitFor(fmt.Sprintf("echo answer %d through ESP", i), 5*time.Second, func() (bool, string) {
			s.ping(uint16(i))
			return s.get(func() bool { return s.pong[uint16(i)] }), s.story()
		})
	}
}

func TestLiveStrongSwanDials(t *testing.T) {
	for _, c := range []struct {
		name                  string
		nat                   bool
		ike, esp, more, child string
		want                  string
		peer                  func(*Peer)
		record                string
	}{
		{"main mode, ecp384, GCM", false, "aes256-sha384-ecp384", "aes128gcm16", "encap = yes", "", "aes256-sha384-ecp384", nil, "strongswan-ecp384-gcm.txt"},
		{"main mode behind a NAT", true, "aes128-sha1-modp2048", "aes256-sha1", "", "", "aes128-sha1-modp2048", nil, "strongswan-sha1-modp2048-nat.txt"},
		{"aggressive mode behind a NAT", true, "aes256-sha256-modp2048", "aes256-sha256-modp2048", "aggressive = yes", "", "aes256-sha256-modp2048",
			func(p *Peer) { p.Aggressive = true }, ""},
		{"aggressive mode, SHA-512", false, "aes256-sha512-modp3072", "aes256gcm16", "encap = yes\n aggressive = yes", "", "aes256-sha512-modp3072",
			func(p *Peer) { p.Aggressive, p.AggressivePrompt = true, true }, ""},
		{"legacy 3DES MD5 MODP 1024", false, "3des-md5-modp1024", "3des-md5", "encap = yes", "", "3des-md5-modp1024", func(p *Peer) { p.Legacy = true }, "strongswan-3des-md5.txt"},
		{"forced UDP encapsulation", false, "aes256-sha256-ecp256", "aes256-sha512", "encap = yes", "", "aes256-sha256-ecp256", nil, ""},
		{"server's preference decides", false, "3des-md5-modp1024,aes128-sha1-modp1536,aes256-sha256-modp4096,aes256-sha256-ecp521", "aes128-sha1,aes128gcm16", "encap = yes", "", "aes256-sha256-ecp521", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLive(t, c.nat)
			peer := answerer(c.peer)
			peer.Accept = acceptAll
			other := &Peer{Name: "road", Key: []byte("another key for road warriors"), Accept: acceptAll}
			s := startShell(t, l.vhub, "10.9.0.1", Config{Peers: []*Peer{other, peer}})
			local := "10.9.0.2"
			if c.nat {
				local = "192.168.9.2"
			}
			l.swan.load(swanConf(local, c.ike, c.esp, c.more, c.child))
			out, err := l.swan.swanctl("--initiate", "--child", "c", "--timeout", "15")
			if err != nil {
				t.Fatalf("initiate: %v\n%s\n%s", err, out, s.story())
			}
			var up []Established
			s.get(func() bool { up = eventsOf[Established](&side{events: s.seen}); return true })
			if len(up) != 1 || up[0].Suite.String() != c.want || up[0].Peer != peer {
				t.Errorf("established %+v", up)
			}
			l.pings(t, s, 1, 5)
			t.Log("\n" + s.story())
			if os.Getenv("IKE_RECORD") != "" && c.record != "" {
				writeRecording(t, "testdata/"+c.record, s, l.swan.log())
			}
			// strongSwan's delete is heard.
			if out, err := l.swan.swanctl("--terminate", "--ike", "v"); err != nil {
				t.Errorf("terminate: %v\n%s", err, out)
			}
			l.lab.WaitFor("the session to close", 5*time.Second, func() (bool, string) {
				return s.get(func() bool { return len(eventsOf[Closed](&side{events: s.seen})) == 1 }), s.story()
			})
		})
	}
}

// Rekeys of phase 2 and new phases 1, begun by either side, under a ping at 20/s: none is lost.
func TestLiveRekeyUnderTraffic(t *testing.T) {
	for _, c := range []struct {
		name        string
		more, child string
		peer        func(*Peer)
		rekeys      int
		phase1      int
	}{
		{"strongSwan rekeys both phases", "encap = yes\n reauth_time = 5s\n over_time = 20s", "rekey_time = 3s\n rand_time = 0s\n life_time = 30s", nil, 2, 2},
		{"vhub rekeys both phases", "encap = yes\n", "", func(p *Peer) { p.ChildLifetime, p.Lifetime = 6*time.Second, 8*time.Second }, 1, 2},
		{"both rekey", "encap = yes\n", "rekey_time = 3s\n life_time = 30s", func(p *Peer) { p.ChildLifetime = 4 * time.Second }, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLive(t, false)
			peer := answerer(c.peer)
			peer.Accept = acceptAll
			s := startShell(t, l.vhub, "10.9.0.1", Config{Peers: []*Peer{peer}})
			l.swan.load(swanConf("10.9.0.2", "aes256-sha256-ecp256", "aes128gcm16", c.more, c.child))
			if out, err := l.swan.swanctl("--initiate", "--child", "c", "--timeout", "15"); err != nil {
				t.Fatalf("initiate: %v\n%s\n%s", err, out, s.story())
			}
			l.pings(t, s, 1, 1)
			const count = 20 * 9
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for i := range count {
				<-tick.C
				s.ping(uint16(1000 + i))
			}
			l.lab.WaitFor("the last answer", 2*time.Second, func() (bool, string) {
				return s.get(func() bool { return s.pong[1000+count-1] }), s.story()
			})
			lost := 0
			for i := range count {
				if !s.get(func() bool { return s.pong[uint16(1000+i)] }) {
					lost++
				}
			}
			var rekeys, phase1 int
			s.get(func() bool {
				rekeys, phase1 = len(eventsOf[ChildInstalled](&side{events: s.seen}))-1, len(eventsOf[Established](&side{events: s.seen}))
				return true
			})
			t.Logf("%d rekeys, %d phases 1, %d of %d pings lost", rekeys, phase1, lost, count)
			if lost != 0 || rekeys < c.rekeys || phase1 < c.phase1 {
				t.Errorf("%d rekeys, %d phases 1, %d of %d pings lost\n%s", rekeys, phase1, lost, count, s.story())
			}
		})
	}
}

// writeRecording writes what TestRecordedStrongSwan reads: the messages, and the
// secrets from charon's log.
func writeRecording(t *testing.T, name string, s *shell, log string) {
	lines := []string{"# A run of strongSwan " + "5.9.8 (initiator) with vhub (responder), written by live_test.go with IKE_RECORD=1.", fmt.Sprintf("psk %x", psk)}
	s.mu.Lock()
	lines = append(lines, s.rec...)
	s.mu.Unlock()
	want := map[string]bool{"shared Diffie Hellman secret": true, "SKEYID": true, "SKEYID_d": true, "SKEYID_a": true, "SKEYID_e": true,
		"encryption key Ka": true, "initial IV": true, "HASH_I": true, "HASH_R": true, "KEYMAT": true,
		"encryption initiator key": true, "encryption responder key": true, "integrity initiator key": true, "integrity responder key": true,
		"initiator SA seed": true, "responder SA seed": true}
	head := regexp.MustCompile(`\] (.*) => \d+ bytes @`)
	row := regexp.MustCompile(`\]\s+\d+: ((?:[0-9A-F]{2} )+)`)
	name2, hexes := "", ""
	flush := func() {
		if want[name2] {
			lines = append(lines, strings.ReplaceAll(name2, " ", "_")+" "+strings.ToLower(hexes))
		}
		name2, hexes = "", ""
	}
	for line := range strings.Lines(log) {
		if m := head.FindStringSubmatch(line); m != nil {
			flush()
			name2 = m[1]
		} else if m := row.FindStringSubmatch(line); m != nil {
			hexes += strings.ReplaceAll(m[1], " ", "")
		} else {
			flush()
		}
	}
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLiveDialStrongSwan(t *testing.T) {
	for _, c := range []struct {
		name           string
		ike, esp, more string
		peer           func(*Peer)
	}{
		{"main mode", "aes256-sha256-modp2048", "aes128gcm16", "", nil},
		{"aggressive mode", "aes128-sha1-modp2048", "aes256-sha1", "aggressive = yes", func(p *Peer) { p.Aggressive = true }},
		{"main mode with PFS", "aes256-sha256-ecp256", "aes256-sha256-modp2048", "", func(p *Peer) { p.PFS = MODP2048 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLive(t, false)
			peer := &Peer{Name: "swan", Key: psk, LocalID: ID{IDFQDN, "vhub.example"}, RemoteID: ID{IDKeyID, "branch1"}, Accept: acceptAll,
				ForceNATT: true,
				Children:  []ChildConfig{{Name: "c", Mode: esp.Tunnel, Local: AddrSelector(netip.MustParseAddr("10.8.0.1"), 0, 0), Remote: AddrSelector(netip.MustParseAddr("10.8.0.2"), 0, 0)}}}
			if c.peer != nil {
				c.peer(peer)
			}
			s := startShell(t, l.vhub, "10.9.0.1", Config{})
			l.swan.load(swanConf("10.9.0.2", c.ike, c.esp, c.more, ""))
			s.do(func(now time.Time) {
				if _, err := s.e.Dial(now, peer, netip.MustParseAddrPort("10.9.0.1:500"), netip.MustParseAddrPort("10.9.0.2:500"), &s.out); err != nil {
					t.Error(err)
				}
			})
			l.lab.WaitFor("a child", 10*time.Second, func() (bool, string) { return s.get(func() bool { return s.send != nil }), s.story() })
			l.pings(t, s, 1, 5)
			t.Log("\n" + s.story())
		})
	}
}
