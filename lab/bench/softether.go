package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vhub/internal/netlab"
	"vhub/lab/softether"
)

// Debian's SoftEther 5 keeps its state in fixed folders. Each of ours sees
// folders of its own there, and no resolver: it asks names when it starts.
const (
	softEtherServer = "/usr/libexec/softether/vpnserver/vpnserver"
	softEtherOwn    = "/usr/libexec/softether/vpnclient/vpnclient"
)

// softEther starts vpnserver or vpnclient ("execsvc": a watchdog that stays in
// the foreground) in a process namespace of its own, so that its children go
// with it, and waits until it answers. It sets nice -20 itself where it may.
func (s *stage) softEther(ns *netlab.NS, program string, nice bool, vpncmd ...string) {
	name := filepath.Base(program)
	var sh strings.Builder
	for _, d := range []string{"lib", "log", "run"} {
		own := filepath.Join(s.lab.Dir(), name, d)
		at := map[string]string{"lib": "/var/lib/softether", "log": "/var/log/softether", "run": "/run/softether"}[d]
		s.must(os.MkdirAll(own, 0o755))
		s.must(os.MkdirAll(at, 0o755))
		fmt.Fprintf(&sh, "mount --bind '%s' '%s'\n", own, at)
	}
	fmt.Fprintf(&sh, "mount --bind '%s' /etc/resolv.conf\n", s.file("resolv.conf", "# none\n"))
	drop := "setpriv --bounding-set -sys_nice "
	if nice {
		drop = ""
	}
	fmt.Fprintf(&sh, "exec %s%s execsvc\n", drop, program)
	s.daemon(ns, name, "unshare", "--pid", "--fork", "--kill-child", "sh", "-ec", sh.String())
	s.lab.WaitFor("answer of "+name, 20*time.Second, func() (bool, string) {
		out, err := ns.Run(append(vpncmd, "/CMD", "About")...)
		return err == nil, out
	})
}

var (
	serverCmd = []string{"vpncmd", "localhost:5555", "/SERVER"}
	clientCmd = []string{"vpncmd", "localhost", "/CLIENT"}
)

// commands gives SoftEther commands, one a line.
func (s *stage) commands(ns *netlab.NS, vpncmd []string, lines ...string) {
	in := s.file("commands.txt", strings.Join(lines, "\n")+"\n")
	ns.Must(append(vpncmd, "/IN:"+in)...)
}

// softEtherHub starts a vpnserver with a hub and local bridges: "tap:NAME" to a
// TAP of its own (tap_NAME), "nic:NAME" to an interface.
func (s *stage) softEtherHub(ns *netlab.NS, nice bool, bridges ...string) {
	s.softEther(ns, softEtherServer, nice, serverCmd...)
	lines := []string{"KeepDisable", "HubDelete DEFAULT", "HubCreate BENCH /PASSWORD:bench"}
	for _, b := range bridges {
		kind, dev, _ := strings.Cut(b, ":")
		lines = append(lines, fmt.Sprintf("BridgeCreate BENCH /DEVICE:%s /TAP:%s", dev, map[string]string{"tap": "yes", "nic": "no"}[kind]))
	}
	s.commands(ns, serverCmd, lines...)
}

// softEtherTAPs is one vpnserver whose two TAPs are the hosts' interfaces.
func softEtherTAPs(nice bool) func(*stage) {
	return func(s *stage) {
		s.hosts()
		sw := s.ns("s")
		s.softEtherHub(sw, nice, "tap:ba", "tap:bb")
		s.move(sw, "tap_ba", s.a)
		s.move(sw, "tap_bb", s.b)
		s.ends("tap_ba", "tap_bb")
	}
}

// softEtherNIC is one vpnserver bridged to an interface that has host A behind
// it. With the interface's offloads on it passes no TCP.
func softEtherNIC(s *stage) {
	s.hosts()
	sw := s.ns("s")
	s.lab.Wire(s.a, "p0", sw, "n0")
	for ns, dev := range map[*netlab.NS]string{s.a: "p0", sw: "n0"} {
		ns.Must("ethtool", "-K", dev, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off")
	}
	s.softEtherHub(sw, true, "nic:n0", "tap:bb")
	s.move(sw, "tap_bb", s.b)
	s.ends("p0", "tap_bb")
}

// softEtherClient is a vpnserver at host B and a vpnclient at host A.
func softEtherClient(s *stage) {
	s.wan()
	s.softEtherHub(s.endB, true, "tap:bb")
	s.commands(s.endB, append(serverCmd, "/ADMINHUB:BENCH"), "UserCreate bench /GROUP:none /REALNAME:none /NOTE:none", "UserPasswordSet bench /PASSWORD:bench")
	s.softEther(s.endA, softEtherOwn, true, clientCmd...)
	s.commands(s.endA, clientCmd, "NicCreate se")
	s.commands(s.endA, clientCmd,
		"AccountCreate bench /SERVER:"+wanB+":5555 /HUB:BENCH /USERNAME:bench /NICNAME:se",
		"AccountPasswordSet bench /PASSWORD:bench /TYPE:standard",
		"AccountDetailSet bench /MAXTCP:1 /INTERVAL:1 /TTL:0 /HALF:no /BRIDGE:no /MONITOR:no /NOTRACK:yes /NOQOS:yes /DISABLEUDP:yes",
		"AccountEncryptEnable bench", "AccountConnect bench")
	s.lab.WaitFor("connection of vpnclient", 20*time.Second, func() (bool, string) {
		out, err := s.endA.Run(append(clientCmd, "/CMD", "AccountStatusGet", "bench")...)
		return err == nil && strings.Contains(out, "Connection Completed"), out
	})
	s.tunnelEnds("vpn_se", "tap_bb")
}

// softEtherEtherIP is a vhub at host A, which dials a vpnserver at host B. It is
// the initiator of the row vhub-cbc-tunnel, but for the identity that SoftEther
// tells of itself.
func softEtherEtherIP(s *stage) {
	s.wan()
	server := softether.Start(s, s.endB, softether.Config{PSK: etherIPKey, User: "bench", Password: "bench"})
	s.count(server.Proc)
	s.etherIP(s.endA, "ta", wanB, "initiator", cbcTunnel+"\n  peer_id = \"address:0.0.0.0\"\n  local_id = \"keyid:bench\"")
	s.tunnelEnds("ta", softether.TAP)
	s.a.Reaches(addrB, 10*time.Second)
}
