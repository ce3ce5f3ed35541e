package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"vhub/api"
	"vhub/internal/interop"
	"vhub/lab/guest"
	"vhub/lab/sites"
)

// libreswan 4 refuses IKEv1 unless told otherwise, and its default proposals are not
// those of the routers that it stands for here.
const libreswanConf = `config setup
  ikev1-policy=accept
  uniqueids=no
  nssdir=/run/nss
  logfile=/lab/pluto.log
  dumpdir=/run
conn eip
  ikev2=no
  authby=secret
  type=transport
  left=%s
  leftid=@nec-ix
  right=%s
  leftprotoport=97/0
  rightprotoport=97/0
  ike=aes256-sha2_256;modp2048
  phase2alg=%s
  pfs=%s
  %s
  auto=add
`

var libreswanVersion = regexp.MustCompile(`Libreswan (?:U)?([0-9.]+)`)

// TestIPsecLibreswan has libreswan as the home's router, in main mode.
func TestIPsecLibreswan(t *testing.T) {
	need(t, "linux.uml", "debootstrap")
	w := newWAN(t)
	g := guest.Boot(t, guest.LibreSwan, "home", guest.NIC{NS: w.nat, TAP: "g1", CIDR: homeLAN + "/24", Gateway: natLAN})
	w.nat.Must("ip", "link", "set", "dev", "g1", "master", "lan")
	w.cloud.Must("ip", "route", "add", "192.168.1.0/24", "via", natWAN)
	tool, err := os.ReadFile(sites.Tool(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.Dir, "tool"), tool, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := func(esp, pfs, more string) {
		g.Write("etc/ipsec.conf", fmt.Sprintf(libreswanConf, homeLAN, sites.CloudWAN, esp, pfs, more))
	}
	conf("aes256-sha1", "no", "")
	g.Write("etc/ipsec.secrets", ": PSK \""+psk+"\"\n")
	out := g.Must(`mkdir -p /run/nss /run/pluto && ipsec initnss --nssdir /run/nss >/lab/nss.log 2>&1
ipsec pluto --config /etc/ipsec.conf --nssdir /run/nss --logfile /lab/pluto.log >/lab/starter.log 2>&1
for i in $(seq 100); do ipsec whack --status >/dev/null 2>&1 && break; sleep 0.1; done
/lab/tool etherip -tap eip0 -peer ` + sites.CloudWAN + ` >/lab/etherip.log 2>&1 </dev/null &
for i in $(seq 50); do ip link show eip0 >/dev/null 2>&1 && break; sleep 0.05; done
ip link set eip0 up mtu 1500 && ip addr add ` + sites.TV + `/24 dev eip0 && ipsec --version`)
	m := libreswanVersion.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no libreswan: %s %s", out, g.Read("starter.log"))
	}
	up := func(t *testing.T, esp, pfs, more string) device {
		t.Helper()
		conf(esp, pfs, more)
		out, err := g.Run(40*time.Second, "ipsec auto --replace eip && timeout 20 ipsec auto --up eip")
		if err != nil {
			t.Fatalf("%v\n%s\n%s\nvhub: %s", err, out, g.Read("pluto.log"), w.hub.Output())
		}
		return comesUp(t, w.lab, w.hub, "home")
	}
	down := func(t *testing.T) {
		t.Helper()
		g.Must("timeout 20 ipsec auto --down eip >/dev/null; true")
		w.lab.WaitFor("port home down", 10*time.Second, func() (bool, string) {
			d := show(w.hub, "home")
			return d.State == api.StateDown, d.State
		})
	}
	w.hub.Must("port", "add", "etherip", "home", "--peer-id", "fqdn:nec-ix", "--key-file", "lab.psk", "--nat-t", "auto")
	for _, c := range []struct {
		name, esp, pfs string
		nat            bool
		encap          string
	}{
		{"main mode, raw ESP, CBC", "aes256-sha1", "no", false, "esp"},
		{"main mode, raw ESP, CBC with SHA-2, PFS", "aes128-sha2_256", "yes", false, "esp"},
		{"main mode, raw ESP, GCM", "aes_gcm256", "no", false, "esp"},
		{"main mode, NAT that rewrites ports", "aes256-sha1", "no", true, "udp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.nat.Sh("sysctl -qw net.ipv4.ip_forward=1; nft delete table ip nat 2>/dev/null || true")
			if c.nat {
				w.nat.Masquerade("wan0")
			}
			d := up(t, c.esp, c.pfs, "")
			sa := inUse(d)
			t.Logf("%s %s %s, vendor %s", sa.Suite, sa.Mode, sa.Encap, d.Device.Paths[0].Vendor)
			if sa.Encap != c.encap {
				t.Errorf("ESP by %s, want %s", sa.Encap, c.encap)
			}
			crosses(t, w.vm, sites.TV)
			down(t)
			interop.Record(t, "libreswan", m[1], "responder", c.name, "passed: pings, 1500-byte DF pings")
		})
	}
	t.Run("rekey", func(t *testing.T) {
		up(t, "aes256-sha1", "no", "ikelifetime=60s\n  salifetime=60s\n  rekeymargin=50s\n  rekeyfuzz=0%")
		w.vm.Reaches(sites.TV, 20*time.Second)
		w.renewedUnderPing(t, 2, 3, func() string { return g.Read("pluto.log") })
		interop.Record(t, "libreswan", m[1], "responder", "rekey of phase 1 and 2 by the peer under a ping at 20/s", "0 lost")
	})
}
