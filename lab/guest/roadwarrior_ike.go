package guest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// ikeDaemon is what differs between the IKE daemons of a client. All scripts run
// in the guest; the connection is named l2tp.
type ikeDaemon struct {
	files func(RoadWarriorConfig) map[string]string // by name in /lab/etc
	log   string                                    // in the guest's folder; a line is there once it is written
	start string                                    // returns when the daemon takes commands
	up    string                                    // one command; returns when the SAs are there or not to be had
	down  string
	kill  string // at once

	// Lines of the log, each by words in their order.
	begins         [][]string // the first packet is about to leave
	ikeUp, ipsecUp []string
}

// ike is the daemon that the configuration asks for.
func (c RoadWarriorConfig) ike() ikeDaemon {
	if c.Libreswan {
		return libreswan
	}
	return strongSwan
}

// or is s, or other where s is empty.
func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// seconds is d, or other where d is zero, as both daemons write it.
func seconds(d, other time.Duration) string {
	if d == 0 {
		d = other
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

// secrets is ipsec.secrets, which both daemons read alike.
func (c RoadWarriorConfig) secrets() string {
	return ": PSK 0s" + base64.StdEncoding.EncodeToString([]byte(c.PSK)) + "\n"
}

// localProtoPort is what the client's side of the SA is for.
func (c RoadWarriorConfig) localProtoPort() string {
	if c.EphemeralUDP {
		return "17"
	}
	return "17/1701"
}

// yesNo is a truth as both daemons write it.
var yesNo = map[bool]string{true: "yes", false: "no"}

var strongSwan = ikeDaemon{
	files: strongSwanFiles,
	log:   "charon.log",
	start: `ipsec start >/lab/ipsec.log 2>&1
for i in $(seq 200); do [ -S /run/charon.ctl ] && ipsec status >/dev/null 2>&1 && break; sleep 0.05; done`,
	up:   "ipsec up l2tp",
	down: "ipsec down l2tp",
	// starter goes first, since it would start charon again.
	kill: `for f in /run/starter.charon.pid /run/charon.pid; do [ -s $f ] && kill -9 $(cat $f) 2>/dev/null; rm -f $f; done
rm -f /run/charon.ctl /run/charon.vici`,
	begins:  [][]string{{"initiating Main Mode IKE_SA"}, {"initiating Aggressive Mode IKE_SA"}},
	ikeUp:   []string{"IKE_SA l2tp[", "] established between"},
	ipsecUp: []string{"CHILD_SA l2tp{", " established with SPIs"},
}

func strongSwanFiles(c RoadWarriorConfig) map[string]string {
	dpd := "none"
	if c.DPD {
		dpd = "restart"
	}
	return map[string]string{
		// An explicit list: Debian's kernel-libipsec would take ESP away from the kernel.
		"strongswan.conf": `charon {
  load = random nonce aes sha1 sha2 md5 des hmac kdf gmp openssl pem pubkey x509 kernel-netlink socket-default stroke updown
  retransmit_timeout = 2
  retransmit_tries = 3
  filelog {
    lab {
      path = /lab/charon.log
      default = 1
      ike = 2
      flush_line = yes
    }
  }
}
`,
		"ipsec.conf": strings.Join([]string{"config setup", "  uniqueids=no", "conn l2tp", "  keyexchange=ikev1", "  authby=secret", "  type=transport",
			"  left=%any", "  leftprotoport=" + c.localProtoPort(), "  right=" + c.Server, "  rightid=%any", "  rightprotoport=17/1701",
			"  ike=" + or(c.IKE, "aes256-sha1-modp2048!"), "  esp=" + or(c.ESP, "aes256-sha1!"),
			"  ikelifetime=" + seconds(c.IKELifetime, 8*time.Hour), "  lifetime=" + seconds(c.ESPLifetime, time.Hour),
			"  margintime=" + seconds(c.RekeyMargin, 9*time.Minute), "  rekeyfuzz=0%", "  keyingtries=1",
			"  forceencaps=" + yesNo[c.ForceUDP], "  dpdaction=" + dpd, "  dpddelay=5s", "  dpdtimeout=20s", "  auto=add", ""}, "\n"),
		"ipsec.secrets": c.secrets(),
	}
}

// libreswan keeps keys in an NSS database even when it has only a pre-shared
// one, so an empty one is made. The guest needs a default route, since left is
// where that leaves. Nothing says that right's identity may be another than its
// address: the daemon checks it. Its updown scripts have nothing to do in
// transport mode, and their many forks take seconds in a guest.
var libreswan = ikeDaemon{
	files: libreswanFiles,
	log:   "pluto.log",
	start: `mkdir -p /run/nss /run/pluto
[ -e /run/nss/cert9.db ] || ipsec initnss --nssdir /run/nss >/lab/ipsec.log 2>&1
ipsec pluto --config /etc/ipsec.conf --nssdir /run/nss --logfile /lab/pluto.log >>/lab/ipsec.log 2>&1
for i in $(seq 200); do ipsec whack --status >/dev/null 2>&1 && break; sleep 0.05; done
ipsec auto --add l2tp >>/lab/ipsec.log 2>&1`,
	up:   "ipsec auto --up l2tp",
	down: "ipsec auto --down l2tp",
	kill: `[ -s /run/pluto/pluto.pid ] && kill -9 $(cat /run/pluto/pluto.pid) 2>/dev/null
rm -f /run/pluto/pluto.pid /run/pluto/pluto.ctl`,
	begins:  [][]string{{`"l2tp" #`, "initiating IKEv1 Main Mode connection"}, {`"l2tp" #`, "initiating IKEv1 Aggressive Mode connection"}},
	ikeUp:   []string{`"l2tp" #`, "IKE SA established"},
	ipsecUp: []string{`"l2tp" #`, "IPsec SA established transport mode"},
}

func libreswanFiles(c RoadWarriorConfig) map[string]string {
	lines := []string{"config setup", "  ikev1-policy=accept", "  uniqueids=no", "  nssdir=/run/nss", "  logfile=/lab/pluto.log", "  dumpdir=/run",
		"conn l2tp", "  ikev2=no", "  authby=secret", "  type=transport", "  pfs=no",
		"  left=%defaultroute", "  leftupdown=%disabled", "  leftprotoport=" + c.localProtoPort(), "  right=" + c.Server, "  rightprotoport=17/1701",
		"  ike=" + or(c.IKE, "aes256-sha1;modp2048"), "  phase2alg=" + or(c.ESP, "aes256-sha1"),
		"  ikelifetime=" + seconds(c.IKELifetime, 8*time.Hour), "  salifetime=" + seconds(c.ESPLifetime, time.Hour),
		"  rekeymargin=" + seconds(c.RekeyMargin, 9*time.Minute), "  rekeyfuzz=0%", "  keyingtries=1", "  encapsulation=" + map[bool]string{true: "yes", false: "auto"}[c.ForceUDP]}
	if c.DPD {
		lines = append(lines, "  dpdaction=restart", "  dpddelay=5s", "  dpdtimeout=20s")
	}
	return map[string]string{
		"ipsec.conf":    strings.Join(append(lines, "  auto=ignore", ""), "\n"),
		"ipsec.secrets": c.secrets(),
	}
}
