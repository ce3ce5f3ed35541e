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

// vhubEtherIP is two vhubs, one at each host, joined by EtherIP: plain, or in
// IPsec.
func vhubEtherIP(settings string) func(*stage) {
	return func(s *stage) {
		s.wan()
		key := s.file("key.psk", "a key for one run of a benchmark\n")
		for _, end := range []struct {
			ns               *netlab.NS
			name, peer, role string
		}{{s.a, "ta", wanB, "initiator"}, {s.b, "tb", wanA, "responder"}} {
			auth := ""
			if settings != "plain = true" {
				auth = fmt.Sprintf("key_file = %q\n  nat_t = \"always\"\n  role = %q\n", filepath.Clean(key), end.role)
			}
			s.vhub(end.ns, "vhub-"+end.name, tapPort(end.name, "")+
				fmt.Sprintf("port \"etherip\" \"far\" {\n  peer = %q\n  %s\n  %s\n}\n", end.peer, settings, auth))
		}
		s.ends("ta", "tb")
		s.a.Reaches(addrB, 10*time.Second)
	}
}
