package bridge

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/netlab"
	"vhub/internal/testenv"
)

func prefixes(s ...string) (out []netip.Prefix) {
	for _, x := range s {
		out = append(out, netip.MustParsePrefix(x))
	}
	return out
}

func TestTwoTAPs(t *testing.T) {
	for _, c := range []struct {
		name   string
		a, b   bool // offload
		queues int
		mtu    int
	}{
		{"offload on both", true, true, 1, 1500},
		{"offload on both, two queues", true, true, 2, 1500},
		{"offload on one: large frames are cut and plain ones joined", true, false, 1, 1500},
		{"offload off: every frame plain", false, false, 1, 1500},
		{"jumbo frames with offload", true, true, 1, 9000},
		{"jumbo frames without", false, false, 2, 9000},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab := newLab(t)
			na, nb := lab.NS("a"), lab.NS("b")
			a := openTAP(t, TAPConfig{Name: "a", Netns: na.Path(), MTU: c.mtu, Queues: c.queues, Offload: c.a, Addresses: prefixes("10.80.0.1/24", "fd80::1/64")})
			b := openTAP(t, TAPConfig{Name: "b", Netns: nb.Path(), MTU: c.mtu, Queues: c.queues, Offload: c.b, Addresses: prefixes("10.80.0.2/24", "fd80::2/64")})
			join(t, a, b)
			na.Reaches("10.80.0.2", 20*time.Second)
			na.Reaches("fd80::2", 20*time.Second)
			wantPing(t, na, "-c", "10", "10.80.0.2")
			wantPing(t, nb, "-c", "10", "fd80::1")
			wantPing(t, na, "-c", "3", "-M", "do", "-s", fmt.Sprint(c.mtu-28), "10.80.0.2")
			transfer(t, na, nb, "10.80.0.2", 8<<20)
			transfer(t, nb, na, "fd80::1", 8<<20)
			for _, p := range []*TAP{a, b} {
				s := p.Status()
				if s.MTU != c.mtu || s.Queues != c.queues || s.MAC.IsZero() {
					t.Errorf("status %+v", s)
				}
				if s.Offloads.VnetHdr != (s.Driver == "tun") {
					t.Errorf("driver %s with offloads %+v", s.Driver, s.Offloads)
				}
				if len(s.Counters.Drops) > 0 {
					t.Errorf("%s dropped %v", s.Ifname, s.Counters.Drops)
				}
			}
			if s := a.Status(); c.a && (!s.Offloads.Csum || !s.Offloads.TSO4 || !s.Offloads.TSO6) {
				t.Errorf("offloads %+v", s.Offloads)
			}
		})
	}
}

func TestLargeFramesStayWhole(t *testing.T) {
	lab := newLab(t)
	na, nb := lab.NS("a"), lab.NS("b")
	a := openTAP(t, TAPConfig{Name: "a", Netns: na.Path(), Queues: 1, Offload: true, Addresses: prefixes("10.80.0.1/24")})
	b := openTAP(t, TAPConfig{Name: "b", Netns: nb.Path(), Queues: 1, Offload: true, Addresses: prefixes("10.80.0.2/24")})
	var largest atomic.Int64
	runPort(t, a, cable{to: b, seen: func(frames []eth.Frame) {
		for i := range frames {
			if fault := frames[i].Check(); fault != eth.OK {
				t.Errorf("the kernel gave a frame that is not whole: %s", fault)
			}
			if n := int64(len(frames[i].Data)); n > largest.Load() {
				largest.Store(n)
			}
		}
	}})
	runPort(t, b, cable{to: a})
	na.Reaches("10.80.0.2", 20*time.Second)
	transfer(t, na, nb, "10.80.0.2", 16<<20)
	if largest.Load() < 32<<10 {
		t.Errorf("the largest frame had %d bytes", largest.Load())
	}
}

func TestBridgeIsMadeAndRemoved(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	a := openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), Bridge: "br0", CreateBridge: true, Offload: true, Addresses: prefixes("10.80.0.1/24")})
	b := openTAP(t, TAPConfig{Name: "b", Netns: ns.Path(), Bridge: "br0", Offload: true})
	if s := a.Status(); !s.InBridge || !s.BridgeIsOurs {
		t.Fatalf("status %+v", s)
	}
	out := ns.Must("ip", "-d", "link", "show", "br0")
	for _, want := range []string{"forward_delay 0", "stp_state 0", "alias made by vhub", "UP"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if out := ns.Must("ip", "addr", "show", "br0"); !strings.Contains(out, "10.80.0.1/24") {
		t.Errorf("the address is not on the bridge:\n%s", out)
	}
	if out := ns.Must("ip", "-6", "addr", "show", "dev", "vh-a"); strings.Contains(out, "fe80") {
		t.Errorf("the bridge's port has an address of its own:\n%s", out)
	}

	a.Close()
	if out, err := ns.Run("ip", "link", "show", "vh-a"); err == nil {
		t.Errorf("vh-a is left after Close:\n%s", out)
	}
	if out := ns.Must("ip", "addr", "show", "br0"); strings.Contains(out, "10.80.0.1") {
		t.Errorf("the address is left:\n%s", out)
	}
	b.Close()
	if out, err := ns.Run("ip", "link", "show", "br0"); err == nil {
		t.Errorf("br0 is left after the last Close:\n%s", out)
	}
}

func TestBridgeOfOthersIsLeft(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	ns.Must("ip", "link", "add", "br0", "mtu", "1400", "type", "bridge")
	a := openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), Bridge: "br0", CreateBridge: true, Offload: true})
	if s := a.Status(); s.BridgeIsOurs || s.MTU != 1400 {
		t.Errorf("status %+v, want the bridge's MTU, and the bridge to be another's", s)
	}
	a.Close()
	ns.Must("ip", "link", "show", "br0")

	t.Run("one that vhub made stays while others are in it", func(t *testing.T) {
		a := openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), Bridge: "br1", CreateBridge: true, Offload: true})
		ns.Must("ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
		ns.Must("ip", "link", "set", "d0", "master", "br1")
		a.Close()
		ns.Must("ip", "link", "show", "br1")
		ns.Must("ip", "link", "del", "d0")
		b := openTAP(t, TAPConfig{Name: "b", Netns: ns.Path(), Bridge: "br1", Offload: true}) // as after a kill -9: adopted
		b.Close()
		if out, err := ns.Run("ip", "link", "show", "br1"); err == nil {
			t.Errorf("the adopted bridge is left:\n%s", out)
		}
	})
	t.Run("a bridge keeps its address when a TAP joins", func(t *testing.T) {
		ns.Must("ip", "link", "add", "e0", "type", "veth", "peer", "name", "e1")
		ns.Must("ip", "link", "set", "e0", "master", "br0")
		before := ns.Must("cat", "/sys/class/net/br0/address")
		for i := range 8 {
			openTAP(t, TAPConfig{Name: fmt.Sprint("m", i), Netns: ns.Path(), Bridge: "br0", Offload: true})
		}
		if after := ns.Must("cat", "/sys/class/net/br0/address"); after != before {
			t.Errorf("the bridge's address went from %s to %s", before, after)
		}
	})
}

// inBridge waits until the TAP is in the bridge.
func inBridge(t *testing.T, lab *netlab.Lab, ns *netlab.NS, dev, br string) time.Duration {
	t.Helper()
	return lab.WaitFor(dev+" in "+br, 20*time.Second, func() (bool, string) {
		out, _ := ns.Run("ip", "link", "show", dev)
		return strings.Contains(out, "master "+br+" "), out
	})
}

func TestTAPGoesBackIntoItsBridge(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	ns.Must("ip", "link", "add", "br0", "type", "bridge")
	ns.Must("ip", "link", "set", "br0", "up")
	a := openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), Bridge: "br0", Offload: true, PinStations: true, Addresses: prefixes("10.80.0.1/24")})
	a.StationLearned(0, mac(1))
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01")

	ns.Must("ip", "link", "set", "vh-a", "nomaster")
	t.Log("taken out: back after", inBridge(t, lab, ns, "vh-a", "br0"))
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01")

	ns.Must("ip", "link", "del", "br0")
	lab.WaitFor("the port to notice", 20*time.Second, func() (bool, string) { s := a.Status(); return !s.InBridge && s.Pins == 0, fmt.Sprint(s) })
	lab.WaitFor("the warning", 20*time.Second, func() (bool, string) {
		w := strings.Join(a.Warnings(), "\n")
		return strings.Contains(w, "no bridge br0"), w
	})
	ns.Must("ip", "link", "add", "br0", "type", "bridge")
	t.Log("bridge made anew: back after", inBridge(t, lab, ns, "vh-a", "br0"))
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01")
	lab.WaitFor("the address on the new bridge", 20*time.Second, func() (bool, string) {
		out := ns.Must("ip", "addr", "show", "br0")
		return strings.Contains(out, "10.80.0.1/24"), out
	})
	lab.WaitFor("two rejoins and no warning", 20*time.Second, func() (bool, string) {
		s := a.Status()
		return s.Rejoins == 2 && s.InBridge && len(s.Warnings) == 0, fmt.Sprintf("%+v", s)
	})
	ns.Must("ip", "link", "set", "vh-a", "down")
	lab.WaitFor("a warning that it is down", 20*time.Second, func() (bool, string) {
		w := strings.Join(a.Warnings(), "\n")
		return strings.Contains(w, "vh-a is down"), w
	})
}

func TestMadeBridgeIsMadeAgain(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), Bridge: "br0", CreateBridge: true, Offload: true})
	ns.Must("ip", "link", "del", "br0")
	t.Log("back after", inBridge(t, lab, ns, "vh-a", "br0"))
}

func TestReconfigure(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	cfg := TAPConfig{Hub: "test", Name: "a", Netns: ns.Path(), MTU: 1500, Queues: 1, Offload: true, PinStations: true, Addresses: prefixes("10.80.0.1/24")}
	a := openTAP(t, cfg)
	a.StationLearned(0, mac(1))

	t.Log("into a new bridge, with another MTU and address")
	cfg.Bridge, cfg.CreateBridge, cfg.MTU, cfg.Addresses = "br0", true, 1400, prefixes("10.80.0.9/24")
	if err := a.Reconfigure(cfg); err != nil {
		t.Fatal(err)
	}
	if s := a.Status(); !s.InBridge || s.MTU != 1400 || s.Bridge != "br0" || s.Rejoins != 0 {
		t.Errorf("status %+v", s)
	}
	if got := a.Segment(); got != "bridge:br0" {
		t.Errorf("segment %q", got)
	}
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01")
	if out := ns.Must("ip", "addr"); strings.Contains(out, "10.80.0.1/") || !strings.Contains(out, "10.80.0.9/24") {
		t.Errorf("addresses:\n%s", out)
	}

	t.Log("pins off")
	cfg.PinStations = false
	if err := a.Reconfigure(cfg); err != nil {
		t.Fatal(err)
	}
	wantPins(t, lab, ns, "vh-a")

	t.Log("what cannot be: refused, and nothing changed")
	bad := cfg
	bad.Bridge, bad.CreateBridge = "nobridge", false
	if err := a.Reconfigure(bad); err == nil || !strings.Contains(err.Error(), "no bridge nobridge") {
		t.Errorf("err %v", err)
	}
	if s := a.Status(); !s.InBridge || s.Bridge != "br0" {
		t.Errorf("status %+v", s)
	}
	other := cfg
	other.Queues = 2
	if err := a.Reconfigure(other); !errors.Is(err, ErrNeedsRecreate) {
		t.Errorf("err %v", err)
	}

	t.Log("out of the bridge, which goes")
	cfg.Bridge = ""
	if err := a.Reconfigure(cfg); err != nil {
		t.Fatal(err)
	}
	if out, err := ns.Run("ip", "link", "show", "br0"); err == nil {
		t.Errorf("br0 is left:\n%s", out)
	}
	if out := ns.Must("ip", "addr", "show", "vh-a"); !strings.Contains(out, "10.80.0.9/24") {
		t.Errorf("the address is not back on the device:\n%s", out)
	}
	a.Close()
	if err := a.Reconfigure(cfg); err == nil {
		t.Error("Reconfigure of a closed port says nothing")
	}
}

func TestOpenTAPErrors(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	ns.Must("ip", "link", "add", "taken", "type", "veth", "peer", "name", "taken2")
	ns.Must("ip", "tuntap", "add", "mode", "tap", "name", "tap9")
	for _, c := range []struct {
		name string
		cfg  TAPConfig
		want string
	}{
		{"the name is a foreign interface's", TAPConfig{Ifname: "taken"}, "exists and is not this port's"},
		{"the name is a foreign TAP's", TAPConfig{Ifname: "tap9"}, "exists and is not this port's"},
		{"the same without offload", TAPConfig{Ifname: "tap9", Offload: false}, "exists and is not this port's"},
		{"no such bridge", TAPConfig{Ifname: "x0", Bridge: "nobr"}, "no bridge nobr"},
		{"not a bridge", TAPConfig{Ifname: "x0", Bridge: "taken"}, "taken is not a Linux bridge but an interface of type veth"},
		{"name too long", TAPConfig{Name: "a-much-too-long-name"}, "longer than 15 bytes"},
		{"impossible MTU", TAPConfig{Ifname: "x0", MTU: 17}, "mtu 17 is outside"},
		{"multicast address", TAPConfig{Ifname: "x0", MAC: eth.Addr{1}}, "multicast"},
	} {
		c.cfg.Netns = ns.Path()
		_, err := OpenTAP(c.cfg, testLog(t))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: err %v, want %q in it", c.name, err, c.want)
		}
	}
	for _, dev := range []string{"x0", "vh-"} {
		if out, err := ns.Run("ip", "link", "show", dev); err == nil {
			t.Errorf("a failed open left %s:\n%s", dev, out)
		}
	}
	ns.Must("ip", "link", "show", "tap9")
}

func TestWithoutRights(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedFile(t, "/dev/net/tun")
	errs := make(chan error, 3)
	go func() {
		runtime.LockOSThread() // the thread ends with its goroutine, and with it the lost capabilities
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Error(err)
		}
		_, err := OpenTAP(TAPConfig{Name: "bg0", Offload: true}, testLog(t))
		errs <- err
		_, err = OpenTAP(TAPConfig{Name: "bg0"}, testLog(t))
		errs <- err
		_, err = OpenNIC(NICConfig{Name: "n", Ifname: "lo"}, testLog(t))
		errs <- err
	}()
	for _, what := range []string{"tap", "tap without offload"} {
		if err := <-errs; !errors.Is(err, ErrRights) || !strings.Contains(err.Error(), "needs root or CAP_NET_ADMIN") {
			t.Errorf("%s: err %v", what, err)
		}
	}
	if err := <-errs; err == nil || !strings.Contains(err.Error(), "lo is not an Ethernet interface") {
		t.Errorf("nic on lo: err %v", err)
	}
}

func TestRunEndsWhenTheDeviceIsRemoved(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	a := openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), Queues: 2, Offload: true})
	done := make(chan error, 1)
	go func() { done <- a.run(t.Context(), func() input { return cable{to: a} }) }()
	ns.Must("ip", "link", "del", "vh-a")
	select {
	case err := <-done:
		if !errors.Is(err, ErrDeviceGone) {
			t.Errorf("err %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Run did not end")
	}
	f := frameFrom(mac(1), 'x')
	a.WriteFrames([]eth.Frame{f})
	if n := a.Status().Counters.Drops["device-down"]; n != 1 {
		t.Errorf("%d frames dropped as device-down, want 1", n)
	}
}

func TestTAPMovesToAnotherNamespace(t *testing.T) {
	lab := newLab(t)
	na, nb := lab.NS("a"), lab.NS("b")
	a := openTAP(t, TAPConfig{Name: "a", Netns: na.Path(), Offload: true, Addresses: prefixes("10.80.0.1/24")})
	b := openTAP(t, TAPConfig{Name: "b", Netns: na.Path(), Offload: true})
	na.Must("ip", "link", "set", "vh-b", "netns", nb.Real())
	nb.Addr("vh-b", "10.80.0.2/24")
	join(t, a, b)
	na.Reaches("10.80.0.2", 20*time.Second)
}

func TestOverMTU(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	a := openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), MTU: 1000, Offload: true})
	plainFrame := func(payload int, tags ...byte) eth.Frame {
		b := append(append([]byte{}, eth.Broadcast[:]...), 2, 0, 0, 0, 0, 1)
		b = append(append(b, tags...), 0x88, 0xb5)
		return eth.Frame{Data: append(b, make([]byte, payload)...)}
	}
	in := []eth.Frame{
		plainFrame(1000), plainFrame(1001),
		plainFrame(1000, 0x81, 0, 0, 5), plainFrame(1001, 0x81, 0, 0, 5),
		plainFrame(1000, 0x88, 0xa8, 0, 5, 0x81, 0, 0, 5), plainFrame(1001, 0x88, 0xa8, 0, 5, 0x81, 0, 0, 5),
		{Data: make([]byte, 13)},
	}
	if n := a.WriteFrames(in); n != len(in) {
		t.Errorf("took %d of %d", n, len(in))
	}
	s := a.Status().Counters
	if s.TxFrames != 3 || s.Drops["over-mtu"] != 3 || s.Drops["runt"] != 1 {
		t.Errorf("counters %+v", s)
	}
}
