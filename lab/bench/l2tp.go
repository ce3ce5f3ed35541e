package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"vhub/lab/guest"
	"vhub/lab/roadclient"
	"vhub/lab/sites"
	"vhub/lab/softether"
)

// What the clients of the L2TP rows have in common. SoftEther warns of keys
// above nine characters.
const (
	roadKey, roadUser, roadPassword = "benchkey1", "bench", "bench-pass"
	roadIKE, roadESP                = "aes256-sha1-modp2048", "aes128-sha1"
	segment                         = "10.79.0.0/24"
)

// road is the client of a stage in a guest: host A.
type road struct {
	guest  *guest.Guest
	client *guest.RoadWarrior
	again  func() // waits until the server takes the client again
}

// l2tpServer has a server at endB, the hub of which is on host B's interface,
// with a DHCP server at host B that gives the clients their addresses. It returns
// what waits until the server has forgotten a client.
func (s *stage) l2tpServer(softEther bool) (again func()) {
	tap := "tb"
	again = func() {}
	if softEther {
		tap = softether.TAP
		server := softether.Start(s, s.endB, softether.Config{PSK: roadKey, User: roadUser, Password: roadPassword})
		s.count(server.Proc)
		again = func() { server.WaitForgotten(40 * time.Second) }
	} else {
		v := s.vhub(s.endB, "vhub", tapPort(tap, "")+fmt.Sprintf("port \"l2tp\" \"road\" {\n  key_file = %q\n  dhcp = \"on\"\n}\n", s.file("road.psk", roadKey+"\n")))
		v.Must("user", "add", roadUser, "--password-file", s.file("password", roadPassword+"\n"))
	}
	s.move(s.endB, tap, s.b)
	s.devB = tap
	s.b.Addr(tap, addrB+"/24")
	s.b.Start("dnsmasq", "dnsmasq", "-d", "-C", "/dev/null", "-u", "root", "--port=0", "--leasefile-ro", "--interface="+tap, "--bind-interfaces",
		"--dhcp-range=10.79.0.100,10.79.0.150,1h", "--dhcp-authoritative", "--no-ping")
	return again
}

// l2tpSynthetic has the fast client of lab/roadclient dial the server. Its CPU
// time does not count.
func l2tpSynthetic(softEther bool) func(*stage) {
	return func(s *stage) {
		s.wan()
		s.layer3 = true
		s.l2tpServer(softEther)
		s.a, s.devA = s.endA, "road" // its TAP has but one neighbour, the server
		client := s.a.Start("road-tap", sites.Tool(s), "road-tap", "-server", wanB, "-key", roadKey, "-user", roadUser, "-password", roadPassword,
			"-tap", s.devA, "-routes", segment, "-ike", roadIKE, "-esp", roadESP)
		var r roadclient.TAPReport
		s.lab.WaitFor("address of the L2TP client", 30*time.Second, func() (bool, string) {
			return json.Unmarshal([]byte(client.Output()), &r) == nil, client.Output()
		})
		s.connected = r.Seconds
		s.a.Reaches(addrB, 10*time.Second)
	}
}

// l2tpGuest boots a user-mode-linux guest with a stock client for the server.
// Each run dials anew.
func l2tpGuest(softEther bool) func(*stage) {
	return func(s *stage) {
		s.hosts()
		s.layer3 = true
		s.endB = s.ns("eb")
		internet := s.ns("net")
		s.lab.Wire(s.endB, "wan0", internet, "server")
		s.endB.Addr("wan0", wanB+"/24")
		internet.Sh("ip tuntap add dev g1 mode tap")
		internet.Bridge("internet", "server", "g1")
		s.road = &road{again: s.l2tpServer(softEther)}
		s.road.guest = guest.Boot(s, guest.StrongSwan, "g1", guest.NIC{NS: internet, TAP: "g1", CIDR: wanA + "/24"})
		s.road.client = guest.NewRoadWarrior(s, s.road.guest, guest.RoadWarriorConfig{Server: wanB, PSK: roadKey, User: roadUser, Password: roadPassword,
			IKE: roadIKE + "!", ESP: roadESP + "!", ForceUDP: true, MSCHAPv2Only: true, Routes: []string{segment}})
	}
}

// measureRoad dials, measures, and hangs up.
func measureRoad(r *result, o options) {
	s := r.stage
	defer func() {
		_ = s.road.client.HangUp() // it may not be up
		s.road.again()
	}()
	times, err := s.road.client.Dial(40 * time.Second)
	s.must(err)
	r.add(connectTime, times.Total.Seconds())
	s.b.Reaches(s.road.client.Address, 10*time.Second)
	r.measure(o)
}

// guestIPerf3 runs an iperf3 client in the guest.
func (s *stage) guestIPerf3(limit time.Duration, args []string) ([]byte, error) {
	out, err := s.road.guest.Run(limit, strings.Join(args, " "))
	return []byte(out), err
}
