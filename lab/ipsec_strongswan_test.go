package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vhub/api"
	"vhub/internal/interop"
	"vhub/lab/guest"
	"vhub/lab/sites"
)

// homeRouter is strongSwan with the kernel's ESP and an EtherIP program, in a guest behind the
// router of the picture: what a branch router is. Its own address on the segment
// is the TV's.
type homeRouter struct {
	*wan
	t       *testing.T
	guest   *guest.Guest
	version string
}

const strongSwanConf = `charon {
  load = random nonce aes sha1 sha2 md5 des hmac gcm kdf gmp openssl pem pubkey x509 kernel-netlink socket-default stroke updown
  retransmit_timeout = 1
  retransmit_tries = 4
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  filelog {
    lab {
      path = /lab/charon.log
      default = 1
      ike = 2
      flush_line = yes
    }
  }
}
`

var strongSwanVersion = regexp.MustCompile(`strongSwan U?([0-9.]+)`)

func newHomeRouter(t *testing.T) *homeRouter {
	t.Helper()
	need(t, "linux.uml", "debootstrap")
	h := &homeRouter{wan: newWAN(t), t: t}
	h.guest = guest.Boot(t, guest.StrongSwan, "home", guest.NIC{NS: h.nat, TAP: "g1", CIDR: homeLAN + "/24", Gateway: natLAN})
	h.nat.Must("ip", "link", "set", "dev", "g1", "master", "lan")
	h.cloud.Must("ip", "route", "add", "192.168.1.0/24", "via", natWAN)
	tool, err := os.ReadFile(sites.Tool(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.guest.Dir, "tool"), tool, 0o755); err != nil {
		t.Fatal(err)
	}
	h.guest.Write("etc/strongswan.conf", strongSwanConf)
	h.guest.Write("etc/ipsec.secrets", ": PSK \""+psk+"\"\n")
	h.write(conn{})
	out := h.guest.Must(`ipsec start >/lab/starter.log 2>&1
for i in $(seq 100); do [ -S /run/charon.ctl ] && ipsec status >/dev/null 2>&1 && break; sleep 0.1; done
/lab/tool etherip -tap eip0 -peer ` + sites.CloudWAN + ` >/lab/etherip.log 2>&1 </dev/null &
for i in $(seq 50); do ip link show eip0 >/dev/null 2>&1 && break; sleep 0.05; done
ip link set eip0 up mtu 1500 && ip addr add ` + sites.TV + `/24 dev eip0 && ipsec --version`)
	if m := strongSwanVersion.FindStringSubmatch(out); m != nil {
		h.version = m[1]
	} else {
		t.Fatalf("no strongSwan: %s %s", out, h.guest.Read("starter.log"))
	}
	return h
}

// translate turns the NAT of the home's router on or off. Without it the router
// only forwards, so ESP passes as it is.
func (h *homeRouter) translate(on bool) {
	h.nat.Sh("nft delete table ip nat 2>/dev/null || true")
	if on {
		h.nat.Masquerade("wan0")
	}
	h.nat.Sh("command -v conntrack >/dev/null && conntrack -F 2>/dev/null || true")
}

// conn is a connection of strongSwan's; what is empty has a good default.
type conn struct{ id, aggressive, ike, esp, mode, more string }

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (h *homeRouter) write(c conn) {
	h.guest.Write("etc/ipsec.conf", fmt.Sprintf(`config setup
  uniqueids=no
conn eip
  keyexchange=ikev1
  aggressive=%s
  authby=secret
  type=%s
  left=%%any
  leftid=%s
  leftprotoport=97
  right=%s
  rightprotoport=97
  ike=%s!
  esp=%s!
%s  auto=add
`, or(c.aggressive, "no"), or(c.mode, "transport"), or(c.id, "@nec-ix"), sites.CloudWAN, or(c.ike, "aes256-sha256-modp2048"), or(c.esp, "aes256-sha1"), c.more))
}

// up dials, and returns what vhub tells of the port then.
func (h *homeRouter) up(t *testing.T, c conn) device {
	t.Helper()
	h.write(c)
	out, err := h.guest.Run(30*time.Second, "ipsec update >/dev/null 2>&1; timeout 20 ipsec up eip; ipsec status eip | grep -q INSTALLED")
	if err != nil {
		t.Fatalf("%v\n%s\nvhub: %s", err, out, h.hub.Output())
	}
	return comesUp(t, h.lab, h.hub, "home")
}

// down ends the connection and waits until vhub knows.
func (h *homeRouter) down(t *testing.T) {
	t.Helper()
	h.guest.Must("timeout 20 ipsec down eip >/dev/null; true")
	h.lab.WaitFor("port home down", 10*time.Second, func() (bool, string) {
		d := show(h.hub, "home")
		return d.State == api.StateDown, d.State
	})
}

func (h *homeRouter) port(set ...string) {
	h.hub.Must(append([]string{"port", "add", "etherip", "home", "--key-file", "lab.psk", "--nat-t", "auto"}, set...)...)
}

func (h *homeRouter) record(t *testing.T, role, cell, result string) {
	t.Helper()
	interop.Record(t, "strongSwan", h.version, role, cell, result)
}

// TestIPsecStrongSwan has strongSwan as the home's router in all the ways that
// routers have.
func TestIPsecStrongSwan(t *testing.T) {
	h := newHomeRouter(t)
	for _, c := range []struct {
		name, port string
		conn       conn
		nat        bool
		encap      string
	}{
		{"main mode, ID FQDN, raw ESP", "fqdn:nec-ix", conn{}, false, "esp"},
		{"main mode, ID FQDN, NAT that rewrites ports", "fqdn:nec-ix", conn{}, true, "udp"},
		{"aggressive mode, ID key-id, raw ESP", "keyid:ix2015", conn{id: "keyid:ix2015", aggressive: "yes"}, false, "esp"},
		{"aggressive mode, ID key-id, NAT that rewrites ports", "keyid:ix2015", conn{id: "keyid:ix2015", aggressive: "yes"}, true, "udp"},
		{"main mode, ID address, raw ESP", "address:" + homeLAN, conn{id: homeLAN}, false, "esp"},
		{"main mode, ESP tunnel mode, raw ESP", "fqdn:nec-ix", conn{mode: "tunnel"}, false, "esp"},
		{"main mode, PFS, raw ESP", "fqdn:nec-ix", conn{esp: "aes128gcm16-modp2048"}, false, "esp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.translate(c.nat)
			h.port("--peer-id", c.port)
			defer h.hub.Must("port", "remove", "home")
			start := time.Now()
			d := h.up(t, c.conn)
			sa := inUse(d)
			t.Logf("up after %v: %s %s %s %s, inner MTU %d, MSS %d", time.Since(start).Round(time.Millisecond), sa.Suite, sa.Mode, sa.Encap, sa.PFS, d.Device.InnerMTU, d.Device.MSS4)
			if sa.Encap != c.encap || d.Device.PeerID != strings.TrimPrefix(c.port, "address:") {
				t.Errorf("peer %s by %s, want %s by %s", d.Device.PeerID, sa.Encap, c.port, c.encap)
			}
			crosses(t, h.vm, sites.TV)
			h.down(t)
			h.record(t, "responder", c.name, "passed: 1500-byte DF pings")
		})
	}
	t.Run("every cipher", h.ciphers)
	t.Run("rekey", h.rekey)
	t.Run("vhub dials", h.dialled)
	t.Run("guest killed", h.killed)
}

// ciphers has each suite that vhub takes in use once.
func (h *homeRouter) ciphers(t *testing.T) {
	h.translate(false)
	h.port("--peer-id", "fqdn:nec-ix", "--legacy")
	defer h.hub.Must("port", "remove", "home")
	for _, c := range []struct{ ike, esp string }{
		{"aes128-sha1-modp1536", "aes128-sha1"},
		{"aes192-sha1-modp2048", "aes192-sha1"},
		{"aes256-sha1-modp2048", "aes256-sha1"},
		{"aes128-sha256-modp3072", "aes128-sha256"},
		{"aes256-sha256-modp4096", "aes256-sha256"},
		{"aes256-sha384-ecp256", "aes256-sha384"},
		{"aes256-sha256-ecp384", "aes128gcm16"},
		{"aes256-sha512-ecp521", "aes256-sha512"},
		{"aes192-sha256-modp1536", "aes256gcm16"},
		{"3des-sha1-modp1024", "3des-sha1"},
		{"aes128-md5-modp1024", "aes128-md5"},
	} {
		t.Run(c.ike+" "+c.esp, func(t *testing.T) {
			d := h.up(t, conn{ike: c.ike, esp: c.esp})
			if sa := inUse(d); sa.Suite != c.esp || d.Device.Paths[0].IKESuite != c.ike {
				t.Errorf("agreed on %s and %s", d.Device.Paths[0].IKESuite, sa.Suite)
			}
			h.vm.Reaches(sites.TV, 20*time.Second)
			passes(t, h.vm, sites.TV, "1472")
			h.down(t)
			h.record(t, "responder", "phase 1 "+c.ike+", phase 2 "+c.esp, "passed: pings of 1500 bytes")
		})
	}
}

// rekey has the peer renew both phases under a ping.
func (h *homeRouter) rekey(t *testing.T) {
	for _, nat := range []bool{false, true} {
		name := "raw ESP"
		if nat {
			name = "NAT that rewrites ports"
		}
		t.Run(name, func(t *testing.T) {
			h.translate(nat)
			h.port("--peer-id", "fqdn:nec-ix")
			defer h.hub.Must("port", "remove", "home")
			h.up(t, conn{more: "  ikelifetime=14s\n  lifetime=9s\n  margintime=4s\n  rekeyfuzz=0%\n"})
			h.vm.Reaches(sites.TV, 20*time.Second)
			h.renewedUnderPing(t, 3, 4, func() string { return h.guest.Read("charon.log") })
			h.down(t)
			h.record(t, "responder", "rekey of phase 1 and 2 by the peer under a ping at 20/s, "+name, "0 lost")
		})
	}
}

// dialled has vhub begin.
func (h *homeRouter) dialled(t *testing.T) {
	h.translate(false)
	h.write(conn{id: "@nec-ix"})
	h.guest.Must("ipsec update >/dev/null 2>&1")
	h.port("--peer", homeLAN, "--peer-id", "fqdn:nec-ix", "--role", "initiator")
	defer h.hub.Must("port", "remove", "home")
	d := comesUp(t, h.lab, h.hub, "home")
	if !d.Device.Paths[0].Dialled {
		t.Error("the peer dialled")
	}
	crosses(t, h.vm, sites.TV)
	h.record(t, "initiator", "main mode, ID FQDN, raw ESP", "passed: 1500-byte DF pings")
}

// killed cuts the peer's power: vhub has to notice and to say so.
func (h *homeRouter) killed(t *testing.T) {
	h.translate(true)
	h.port("--peer-id", "fqdn:nec-ix", "--dpd-interval", "1s", "--dpd-timeout", "5s")
	h.up(t, conn{})
	h.vm.Reaches(sites.TV, 20*time.Second)
	start := time.Now()
	h.guest.Kill()
	h.lab.WaitFor("port home down", 20*time.Second, func() (bool, string) {
		d := show(h.hub, "home")
		return d.State == api.StateDown && strings.Contains(d.Device.Problem, "went down"), d.State + ": " + d.Device.Problem
	})
	took := time.Since(start)
	d := show(h.hub, "home")
	t.Logf("down after %v: %s", took.Round(100*time.Millisecond), d.Device.Problem)
	if took > 9*time.Second {
		t.Errorf("noticed after %v, with dpd_timeout = 5s", took)
	}
	if out := h.hub.Must("events", "--last", "50", "--no-follow", "--port", "home"); !strings.Contains(out, "tunnel down") {
		t.Errorf("no event tells it: %s", out)
	}
	h.record(t, "responder", "DPD: the peer's power is cut", "the port goes down and says why")
}
