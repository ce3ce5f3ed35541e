package ike

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhub/internal/packet"
	"vhub/internal/testenv"
	"vhub/ipsec/esp"

	"vhub/internal/netlab"
)

// TestLiveDialSoftEther dials SoftEther VPN Server (Debian's package), which is a responder only, and
// sends one EtherIP frame: SoftEther shows the session, so it opened our ESP. It always pretends a
// NAT by a random NAT-D, and has no PRF better than its HMAC-SHA1 for ESP.
func TestLiveDialSoftEther(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "vpncmd", "unshare")
	const server = "/usr/libexec/softether/vpnserver/vpnserver"
	testenv.NeedFile(t, server)
	lab := netlab.New(t)
	vhub, se := lab.NS("ikv"), lab.NS("ike")
	lab.Wire(vhub, "wan", se, "wan")
	vhub.Addr("wan", "10.9.0.1/24")
	se.Addr("wan", "10.9.0.2/24")
	dir := lab.Dir()
	var binds []string
	for _, d := range []string{"lib", "log", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		at := map[string]string{"lib": "/var/lib/softether", "log": "/var/log/softether", "run": "/run/softether"}[d]
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		binds = append(binds, "mount --bind "+filepath.Join(dir, d)+" "+at)
	}
	proc := se.Start("softether", "unshare", "-m", "--propagation", "private", "sh", "-c", strings.Join(binds, " && ")+" && exec "+server+" execsvc")
	t.Cleanup(func() { // the watchdog's child is the server
		kids, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", proc.PID(), proc.PID()))
		for _, k := range strings.Fields(string(kids)) {
			_, _ = se.Run("kill", "-TERM", k)
		}
	})
	vpncmd := func(args ...string) (string, error) {
		return se.Run(append([]string{"vpncmd", "localhost:5555", "/SERVER"}, args...)...)
	}
	lab.WaitFor("SoftEther", 30*time.Second, func() (bool, string) {
		out, err := vpncmd("/CMD", "About")
		return err == nil, out
	})
	commands := fmt.Sprintf("KeepDisable\nHubDelete DEFAULT\nHubCreate LAB /PASSWORD:hubpass\nIPsecEnable /L2TP:yes /L2TPRAW:no /ETHERIP:yes /PSK:softpsk9 /DEFAULTHUB:LAB\n" +
		"EtherIpClientAdd * /HUB:LAB /USERNAME:u /PASSWORD:p\n")
	file := filepath.Join(dir, "setup.txt")
	if err := os.WriteFile(file, []byte(commands), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := vpncmd("/IN:" + file); err != nil {
		t.Fatalf("setup: %v\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte("UserCreate u /GROUP:none /REALNAME:none /NOTE:none\nUserPasswordSet u /PASSWORD:p\nSetEnumAllow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := vpncmd("/ADMINHUB:LAB", "/IN:"+file); err != nil {
		t.Fatalf("hub setup: %v\n%s", err, out)
	}
	lab.WaitFor("UDP 500", 20*time.Second, func() (bool, string) {
		out, _ := se.Run("ss", "-Hlnu")
		return strings.Contains(out, ":500 ") && strings.Contains(out, ":4500 "), out
	})

	peer := &Peer{Name: "se", Key: []byte("softpsk9"), LocalID: ID{IDKeyID, "branch1"}, Accept: acceptAll, Children: []ChildConfig{EtherIPChild("c", esp.Transport)}}
	s := startShell(t, vhub, "10.9.0.1", Config{Peers: []*Peer{peer}})
	s.do(func(now time.Time) {
		if _, err := s.e.Dial(now, peer, netip.MustParseAddrPort("10.9.0.1:500"), netip.MustParseAddrPort("10.9.0.2:500"), &s.out); err != nil {
			t.Error(err)
		}
	})
	lab.WaitFor("a child", 15*time.Second, func() (bool, string) { return s.get(func() bool { return s.send != nil }), s.story() })
	lab.WaitFor("the EtherIP session in SoftEther's list", 20*time.Second, func() (bool, string) {
		s.etherip(append([]byte{0x30, 0}, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x09\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00\x09\x0a\x00\x00\x09\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x01"...))
		out, _ := vpncmd("/ADMINHUB:LAB", "/CMD", "SessionList")
		return strings.Contains(strings.ToUpper(out), "ETHERIP"), out + s.story()
	})
	t.Log("\n" + s.story())
}

// etherip sends an EtherIP packet in ESP.
func (s *shell) etherip(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	buf := make([]byte, 400)
	copy(buf[100:], b)
	p := packet.Packet{Buf: buf, Off: 100, End: 100 + len(b)}
	if err := s.seal.Seal(&p, 97); err != nil {
		s.t.Errorf("seal: %v", err)
		return
	}
	if _, err := s.udp[1].WriteToUDPAddrPort(p.Buf[p.Off:p.End], s.send.Remote); err != nil {
		s.t.Error(err)
	}
}
