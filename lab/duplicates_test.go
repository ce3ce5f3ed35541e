package lab_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
)

// reflecting is a hub that meets a wire whose switch hands back what it is
// sent, as some clouds' virtual switches do:
//
//	pc --[brpc]-- tap "pc" -- hub -- port(s) to pw ---- sw [wire] hw -- host
//	mover: first behind brpc, then on the wire, with the same addresses
type reflecting struct {
	lab                         *netlab.Lab
	site, pc, host, wire, mover *netlab.NS
	hub                         *netlab.VHub
	pcMAC                       string
	tap                         bool // a TAP and pw stand in brw
}

const (
	pcAddr, hostAddr, moverAddr = "10.79.0.1", "10.79.0.2", "10.79.0.3"
	moverMAC                    = "02:00:00:00:79:03"
)

// newReflecting builds the set-up; nic and tap say how the hub meets the wire.
func newReflecting(t *testing.T, nic, tap, suppress bool) *reflecting {
	t.Helper()
	l := netlab.New(t)
	r := &reflecting{lab: l, site: l.NS("site"), pc: l.NS("pc"), host: l.NS("host"), wire: l.NS("wire"), mover: l.NS("mover"), tap: tap}
	l.Wire(r.pc, "eth0", r.site, "pc0")
	l.Wire(r.mover, "eth0", r.site, "mover0")
	r.site.Bridge("brpc", "pc0", "mover0")
	l.Wire(r.site, "pw", r.wire, "sw")
	l.Wire(r.host, "eth0", r.wire, "hw")
	l.Wire(r.mover, "eth1", r.wire, "mw")
	r.wire.Bridge("switch", "sw", "hw", "mw")
	r.pc.Addr("eth0", pcAddr+"/24")
	r.host.Addr("eth0", hostAddr+"/24")
	for _, eth := range []string{"eth0", "eth1"} {
		r.mover.Must("sysctl", "-qw", "net.ipv4.conf."+eth+".arp_notify=1")
		r.mover.Sh("ip link set dev " + eth + " down; ip link set dev " + eth + " address " + moverMAC)
	}
	r.pcMAC = strings.TrimSpace(r.pc.Must("cat", "/sys/class/net/eth0/address"))
	if tap {
		r.site.Bridge("brw", "pw")
	}
	var ports strings.Builder
	fmt.Fprintf(&ports, "  port \"tap\" \"pc\" {\n    interface = \"tpc\"\n    bridge = \"brpc\"\n  }\n")
	if nic {
		fmt.Fprintf(&ports, "  port \"nic\" \"wire\" {\n    interface = \"pw\"\n    suppress = %v\n  }\n", suppress)
	}
	if tap {
		fmt.Fprintf(&ports, "  port \"tap\" \"cloud\" {\n    interface = \"tw\"\n    bridge = \"brw\"\n    suppress = %v\n    pin_stations = %v\n  }\n", suppress, suppress)
	}
	r.hub = r.site.VHub("site", "hub \"default\" {\n"+ports.String()+"}\n")
	return r
}

// moves is how often the hub saw a station change its port.
func (r *reflecting) moves() int {
	var hub struct {
		Moves int `json:"moves"`
	}
	r.hub.JSON(&hub, "hub", "show")
	return hub.Moves
}

// bridgeMoves watches the bridge's own table and returns how often the PC,
// which is behind the hub, was learned on the cloud's NIC.
func (r *reflecting) bridgeMoves(monitor *netlab.Proc) (n int) {
	if monitor == nil {
		return 0
	}
	for line := range strings.Lines(monitor.Output()) {
		if strings.Contains(line, r.pcMAC) && strings.Contains(line, "dev pw") && !strings.Contains(line, "Deleted") {
			n++
		}
	}
	return n
}

var wireSetups = []struct {
	name     string
	nic, tap bool
}{
	{"a nic port", true, false},
	{"a TAP and the NIC in one bridge", false, true},
	{"both at once", true, true},
}

// TestReflectingWireIsTrouble shows what suppression is for: without it, each
// set-up loses pings, doubles them, or moves stations about.
func TestReflectingWireIsTrouble(t *testing.T) {
	need(t)
	for _, s := range wireSetups {
		t.Run(s.name, func(t *testing.T) {
			r := newReflecting(t, s.nic, s.tap, false)
			if !(s.nic && s.tap) { // both at once is a loop even without reflection
				r.pc.Reaches(hostAddr, 5*time.Second)
			}
			r.wire.Reflect("sw")
			p := r.pc.Ping("-c", "30", "-i", "0.05", "-W", "0.5", hostAddr)
			moves := r.moves()
			t.Logf("suppression off: %v, %d moves in the hub", p, moves)
			if p.Received == 30 && p.Duplicates == 0 && moves == 0 {
				t.Errorf("the wire does no harm here, so the tests with suppression on prove nothing: %v", p)
			}
		})
	}
}

// TestReflectingWire is the pitfall itself, with suppression on, in three
// set-ups: nothing double, nothing lost, nothing moves, at full speed, and a
// station that really moves is found at its new place at once.
func TestReflectingWire(t *testing.T) {
	need(t, "iperf3", "bridge")
	for _, s := range wireSetups {
		t.Run(s.name, func(t *testing.T) {
			r := newReflecting(t, s.nic, s.tap, true)
			r.pc.Reaches(hostAddr, 5*time.Second)
			r.host.Start("iperf3", "iperf3", "-s")
			r.pc.Start("iperf3", "iperf3", "-s")
			var monitor *netlab.Proc
			if s.tap {
				monitor = r.site.Start("monitor", "bridge", "monitor", "fdb")
			}
			before := r.moves()
			r.wire.Reflect("sw")
			r.pings(t)
			r.throughput(t)
			if n := r.moves() - before; n != 0 {
				t.Errorf("%d moves in the hub, want 0: %s", n, r.hub.Must("mac", "list"))
			}
			if n := r.bridgeMoves(monitor); n != 0 {
				t.Errorf("the bridge learned the PC on the NIC %d times, want 0", n)
			}
			r.stationMoves(t)
		})
	}
}

// pings sends pings both ways, small and full, with caches flushed between.
func (r *reflecting) pings(t *testing.T) {
	t.Helper()
	for _, size := range []string{"56", "1472"} {
		for _, d := range []struct {
			from *netlab.NS
			to   string
		}{{r.pc, hostAddr}, {r.host, pcAddr}} {
			d.from.Must("ip", "neigh", "flush", "all")
			p := d.from.Ping("-c", "100", "-i", "0.02", "-W", "1", "-M", "do", "-s", size, d.to)
			t.Logf("%s bytes from %s: %v", size, d.from.Name, p)
			if p.Received != p.Sent || p.Duplicates != 0 {
				t.Errorf("%s bytes from %s: %v", size, d.from.Name, p)
			}
		}
	}
}

// throughput compares TCP with and without reflection in interleaved runs, on
// a wire of 400 Mbit/s: a wire without a limit only measures the two cores.
func (r *reflecting) throughput(t *testing.T) {
	t.Helper()
	for _, d := range []struct {
		ns  *netlab.NS
		dev string
	}{{r.pc, "eth0"}, {r.host, "eth0"}} {
		d.ns.Must("tc", "qdisc", "replace", "dev", d.dev, "root", "tbf", "rate", "400mbit", "burst", "256k", "latency", "20ms")
		defer d.ns.Must("tc", "qdisc", "del", "dev", d.dev, "root")
	}
	for _, dir := range []string{"", "-R"} {
		var plain, reflected []float64
		for range 3 {
			r.wire.StopReflect("sw")
			plain = append(plain, iperf(t, r.pc, hostAddr, 1, dir).Mbps)
			r.wire.Reflect("sw")
			reflected = append(reflected, iperf(t, r.pc, hostAddr, 1, dir).Mbps)
		}
		a, b := median(plain), median(reflected)
		t.Logf("TCP %s: %.0f Mbit/s plain %v, %.0f reflected %v: %.3f", dir, a, plain, b, reflected, b/a)
		if b < 0.95*a {
			t.Errorf("TCP %s: %.0f Mbit/s on the reflecting wire, %.0f without: less than 95 %%", dir, b, a)
		}
	}
}

// stationMoves takes a station from behind the hub to the wire and back while
// TCP runs between the others. It stays below the moves that make the hub hold a
// station where it is, with some to spare: on a busy machine what the wire hands
// back late may move it once more.
func (r *reflecting) stationMoves(t *testing.T) {
	t.Helper()
	tcp := r.pc.Start("background", "iperf3", "-J", "-c", hostAddr, "-t", "9", "-b", "100M")
	places := []string{"eth0", "eth1"} // behind the hub, on the wire
	r.moveTo("eth0")
	r.pc.Reaches(moverAddr, 3*time.Second)
	for i := range 6 {
		place := places[(i+1)%2]
		r.moveTo(place)
		fromPC := r.pc.Reaches(moverAddr, 3*time.Second)
		fromHost := r.host.Reaches(moverAddr, 3*time.Second)
		t.Logf("moved to %s: the PC reaches it after %v, then the host after %v", place, fromPC.Round(time.Millisecond), fromHost.Round(time.Millisecond))
		if fromPC > time.Second || fromHost > time.Second {
			t.Errorf("moved to %s: reached after %v and %v, want under 1 s: %s", place, fromPC, fromHost, r.hub.Output())
		}
		p := r.pc.Ping("-c", "20", "-i", "0.02", "-W", "1", moverAddr)
		if p.Received != 20 || p.Duplicates != 0 {
			t.Errorf("after the move to %s: %v", place, p)
		}
	}
	<-tcp.Done()
	if err := tcp.Err(); err != nil {
		t.Errorf("TCP beside the moves: %v: %s", err, tcp.Output())
	}
}

// moveTo unplugs the mover and plugs it in elsewhere, with the same addresses.
func (r *reflecting) moveTo(place string) {
	for _, eth := range []string{"eth0", "eth1"} {
		r.mover.Sh("ip link set dev " + eth + " down; ip addr flush dev " + eth)
	}
	r.mover.Addr(place, moverAddr+"/24")
}

func median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return x[len(x)/2]
}
