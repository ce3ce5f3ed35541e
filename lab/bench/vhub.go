package main

import (
	"fmt"
	"path/filepath"
	"time"

	"vhub/internal/netlab"
)

// vhub starts a vhub in a namespace, with these ports.
func (s *stage) vhub(ns *netlab.NS, name, ports string) *netlab.VHub {
	v := ns.VHub(name, "hub \"default\" {\n"+ports+"\n}\n")
	s.count(v.Proc)
	return v
}

func tapPort(name, more string) string {
	return fmt.Sprintf("port \"tap\" %q {\n  interface = %q\n  %s\n}\n", name, name, more)
}

// vhubTAPs is one vhub whose two TAPs are the hosts' interfaces.
func vhubTAPs(more string, nice int) func(*stage) {
	return func(s *stage) {
		s.hosts()
		sw := s.ns("s")
		s.vhub(sw, "vhub", tapPort("ta", more)+tapPort("tb", more))
		s.nice = nice
		s.move(sw, "ta", s.a)
		s.move(sw, "tb", s.b)
		s.ends("ta", "tb")
	}
}

// vhubNIC is one vhub with a port on a NIC that has host A behind it.
func vhubNIC(s *stage) {
	s.hosts()
	sw := s.ns("s")
	s.lab.Wire(s.a, "p0", sw, "n0")
	s.vhub(sw, "vhub", "port \"nic\" \"n\" {\n  interface = \"n0\"\n}\n"+tapPort("tb", ""))
	s.move(sw, "tb", s.b)
	s.ends("p0", "tb")
}

// etherIPKey is the pre-shared key of the IPsec rows. SoftEther warns of keys
// above nine characters.
const etherIPKey = "benchkey1"

// etherIP starts a vhub in a namespace with a tap port and an etherip port to
// the peer: plain, or in IPsec in the given role.
func (s *stage) etherIP(ns *netlab.NS, tap, peer, role, settings string) {
	auth := ""
	if settings != plainEtherIP {
		key := s.file("key.psk", etherIPKey+"\n")
		auth = fmt.Sprintf("key_file = %q\n  nat_t = \"always\"\n  role = %q\n", filepath.Clean(key), role)
	}
	s.vhub(ns, "vhub-"+tap, tapPort(tap, "")+
		fmt.Sprintf("port \"etherip\" \"far\" {\n  peer = %q\n  %s\n  %s\n}\n", peer, settings, auth))
}

// The settings of the etherip rows. cbcTunnel is for the two rows that have the
// same initiator and different responders: the best that SoftEther has, in tunnel
// mode because it does not cut ESP's trailer off in transport mode
// (docs/peers.md, defect A).
const (
	plainEtherIP = "plain = true"
	cbcTunnel    = "esp = [\"aes128-sha1\"]\n  tunnel = true"
)

// vhubEtherIP is two vhubs, one behind each host, joined by EtherIP: plain, or in
// IPsec.
func vhubEtherIP(settings string) func(*stage) {
	return func(s *stage) {
		s.wan()
		s.etherIP(s.endA, "ta", wanB, "initiator", settings)
		s.etherIP(s.endB, "tb", wanA, "responder", settings)
		s.tunnelEnds("ta", "tb")
		s.a.Reaches(addrB, 10*time.Second)
	}
}
