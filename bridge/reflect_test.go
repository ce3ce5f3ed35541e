package bridge

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/netlab"
	"vhub/internal/testenv"
)

// guard stands for the hub between a TAP in a bridge and the client's TAP: it
// drops what the hub itself sent out and that comes back, and tells the bridged
// TAP of the stations at the client's side before it writes to it.
type guard struct {
	mu      sync.Mutex
	clients map[eth.Addr]bool
	bridged *TAP
	client  *TAP
	tell    bool
	echoes  int
}

// fromClient is the input of the client's TAP.
type fromClient struct{ *guard }

func (g fromClient) Input(_ time.Time, frames []eth.Frame) {
	for i := range frames {
		src := eth.Source(frames[i].Data)
		g.mu.Lock()
		known := g.clients[src]
		g.clients[src] = true
		g.mu.Unlock()
		if !known && g.tell {
			g.bridged.StationLearned(0, src)
		}
	}
	g.bridged.WriteFrames(frames)
}

// fromBridge is the input of the bridged TAP.
type fromBridge struct{ *guard }

func (g fromBridge) Input(_ time.Time, frames []eth.Frame) {
	var pass []eth.Frame
	g.mu.Lock()
	for _, f := range frames {
		if g.clients[eth.Source(f.Data)] {
			g.echoes++
			continue
		}
		pass = append(pass, f)
	}
	g.mu.Unlock()
	g.client.WriteFrames(pass)
}

// reflecting builds the pitfall of pitfall.sh's brtap-reflect: client --- TAP,
// hub, TAP + NIC in a bridge --- a wire that hands back what it is sent --- host.
func reflecting(t *testing.T, pins bool) (lab *netlab.Lab, client, gw, host *netlab.NS, g *guard) {
	lab = newLab(t)
	testenv.NeedTool(t, "nft")
	client, gw, host = lab.NS("client"), lab.NS("gw"), lab.NS("host")
	wire := lab.NS("wire")
	lab.Wire(gw, "nic0", wire, "sw")
	lab.Wire(host, "lan0", wire, "hw")
	wire.Bridge("br0", "sw", "hw")
	host.Addr("lan0", "10.79.0.2/24")
	gw.Bridge("br0", "nic0")

	g = &guard{clients: map[eth.Addr]bool{}, tell: pins}
	g.bridged = openTAP(t, TAPConfig{Name: "lan", Netns: gw.Path(), Bridge: "br0", PinStations: pins, Offload: true})
	g.client = openTAP(t, TAPConfig{Name: "pc", Netns: client.Path(), Offload: true, Addresses: prefixes("10.79.0.1/24")})
	wire.Reflect("sw")
	runPort(t, g.bridged, fromBridge{g})
	runPort(t, g.client, fromClient{g})
	return
}

// fdbMoves counts, from now on, how often the bridge puts an address on its NIC.
func fdbMoves(t *testing.T, gw *netlab.NS, a eth.Addr) (count func() int) {
	t.Helper()
	s, err := openSpace(gw.Path())
	if err != nil {
		t.Fatal(err)
	}
	nic, err := s.nl.LinkByName("nic0")
	if err != nil {
		t.Fatal(err)
	}
	events, done := make(chan netlink.NeighUpdate, 4096), make(chan struct{})
	if err := netlink.NeighSubscribeAt(s.ns, events, done); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(done)
		s.close()
	})
	marker := eth.Addr{2, 0xff}
	n := 0
	return func() int { // reads up to an event of its own making, so that nothing is still on its way
		k := kernelFDB{nl: s.nl, port: nic.Attrs().Index}
		if err := k.add(pin{mac: marker}); err != nil {
			t.Fatal(err)
		}
		defer k.del(pin{mac: marker})
		for u := range events {
			if u.Type != unix.RTM_NEWNEIGH || u.Family != unix.AF_BRIDGE || u.LinkIndex != nic.Attrs().Index {
				continue
			}
			switch macOf(u.HardwareAddr) {
			case marker:
				return n
			case a:
				n++
			}
		}
		t.Fatal("the events ended")
		return 0
	}
}

func macIn(t *testing.T, ns *netlab.NS, dev string) eth.Addr {
	t.Helper()
	hw, err := net.ParseMAC(strings.TrimSpace(ns.Must("cat", "/sys/class/net/"+dev+"/address")))
	if err != nil {
		t.Fatal(err)
	}
	return eth.Addr(hw)
}

func TestReflectingWireWithoutPinsIsTrouble(t *testing.T) {
	_, client, gw, _, _ := reflecting(t, false)
	moves := fdbMoves(t, gw, macIn(t, client, "vh-pc"))
	p := client.Ping("-c", "20", "-i", "0.05", "-W", "1", "10.79.0.2")
	t.Logf("without pins: %s, %d FDB moves", p, moves())
	if p.Received == p.Sent && moves() == 0 {
		t.Error("the wire does no harm: the test with pins would prove nothing")
	}
}

func TestReflectingWireMovesNoPinnedStation(t *testing.T) {
	_, client, gw, host, g := reflecting(t, true)
	moves := fdbMoves(t, gw, macIn(t, client, "vh-pc"))
	reflectedTraffic(t, client, host)
	if n := moves(); n != 0 {
		t.Errorf("the bridge moved the client's address to its NIC %d times", n)
	}
	s := g.bridged.Status()
	g.mu.Lock()
	echoes := g.echoes
	g.mu.Unlock()
	t.Logf("pins %d, frames held for a pin %d, echoes %d", s.Pins, s.Held, echoes)
	if s.Pins < 1 {
		t.Errorf("status %s", fmt.Sprintf("%+v", s))
	}
	if echoes == 0 {
		t.Error("nothing came back: the wire does not reflect")
	}
}
