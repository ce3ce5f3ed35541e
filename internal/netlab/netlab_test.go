package netlab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vhub/internal/testenv"
)

func TestTwoHostsOnAWire(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "ping")
	l := New(t)
	a, b := l.NS("a"), l.NS("b")
	l.Wire(a, "eth0", b, "eth0")
	a.Addr("eth0", "10.0.0.1/24")
	b.Addr("eth0", "10.0.0.2/24")
	a.Reaches("10.0.0.2", 20*time.Second)
	if p := a.Ping("-c", "3", "-i", "0.01", "10.0.0.2"); p.Received != 3 || p.Duplicates != 0 {
		t.Errorf("ping: %v", p)
	}
}

// A host that is a bridge keeps its address when a port with a lower one joins:
// what its neighbours send to the address they know arrives.
func TestBridgeKeepsItsAddress(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "ping")
	l := New(t)
	a, r := l.NS("a"), l.NS("router")
	l.Wire(a, "eth0", r, "a")
	r.Bridge("br0", "a")
	join := func(name, mac string) {
		l.Wire(l.NS(name), "eth0", r, name)
		r.Must("ip", "link", "set", "dev", name, "address", mac)
		r.Must("ip", "link", "set", "dev", name, "master", "br0")
	}
	join("b", "02:00:00:00:00:02")
	a.Addr("eth0", "10.0.0.1/24")
	r.Addr("br0", "10.0.0.2/24")
	a.Reaches("10.0.0.2", 20*time.Second)
	before := r.Sh("cat /sys/class/net/br0/address")
	join("c", "02:00:00:00:00:01")
	if p := a.Ping("-c", "1", "-W", "1", "10.0.0.2"); p.Received != 1 {
		t.Errorf("after a port has joined: %v", p)
	}
	if after := r.Sh("cat /sys/class/net/br0/address"); after != before {
		t.Errorf("the bridge's address was %s and is %s", before, after)
	}
}

func TestReflectingWireDoublesPings(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "ping", "nft")
	l := New(t)
	a, s, b := l.NS("a"), l.NS("switch"), l.NS("b")
	l.Wire(a, "eth0", s, "a")
	l.Wire(b, "eth0", s, "b")
	s.Bridge("br0", "a", "b")
	a.Addr("eth0", "10.0.0.1/24")
	b.Addr("eth0", "10.0.0.2/24")
	a.Reaches("10.0.0.2", 20*time.Second)
	before := a.Sh("cat /sys/class/net/eth0/statistics/rx_packets")
	s.Reflect("a")
	a.Ping("-c", "3", "-i", "0.01", "10.0.0.2")
	if after := a.Sh("cat /sys/class/net/eth0/statistics/rx_packets"); after == before {
		t.Errorf("nothing came back: %s packets before and after", after)
	}
}

func TestParsePing(t *testing.T) {
	for _, tt := range []struct {
		name, out        string
		sent, recv, dups int
	}{
		{"clean", "8 packets transmitted, 8 received, 0% packet loss, time 7ms\nrtt min/avg/max/mdev = 0.1/0.2/0.3/0.0 ms", 8, 8, 0},
		{"duplicates", "8 packets transmitted, 8 received, +7 duplicates, 0% packet loss, time 7ms", 8, 8, 7},
		{"all lost", "8 packets transmitted, 0 received, 100% packet loss, time 7ms", 8, 0, 0},
		{"errors", "8 packets transmitted, 0 received, +8 errors, 100% packet loss, time 7ms", 8, 0, 0},
	} {
		p, ok := ParsePing(tt.out)
		if !ok || p.Sent != tt.sent || p.Received != tt.recv || p.Duplicates != tt.dups {
			t.Errorf("%s: %+v", tt.name, p)
		}
	}
}

func TestPingThatEndedEarly(t *testing.T) {
	seq := func(n ...int) string {
		var b strings.Builder
		for _, i := range n {
			fmt.Fprintf(&b, "64 bytes from 10.0.0.2: icmp_seq=%d ttl=64 time=0.1 ms\n", i)
		}
		return b.String()
	}
	for _, tt := range []struct {
		name string
		p    Ping
		want bool
	}{
		{"all came", Ping{Sent: 3, Received: 3, Output: seq(1, 2, 3)}, false},
		{"the last is late", Ping{Sent: 3, Received: 2, Output: seq(1, 2)}, true},
		{"one in the middle is lost", Ping{Sent: 3, Received: 2, Output: seq(1, 3)}, false},
		{"none came", Ping{Sent: 3}, false},
		{"one came twice", Ping{Sent: 3, Received: 2, Duplicates: 1, Output: seq(1, 2, 2)}, false},
	} {
		if got := tt.p.endedEarly(); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
