package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vhub/eth"
	"vhub/internal/netlab"
)

// pinsOf returns the static, sticky entries of a bridge's port as "mac" or
// "mac vlan N".
func pinsOf(ns *netlab.NS, dev string) (out []string) {
	list, _ := ns.Run("bridge", "fdb", "show", "brport", dev)
	for _, line := range strings.Split(list, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || !slices.Contains(f, "static") || !slices.Contains(f, "sticky") {
			continue
		}
		e := f[0]
		if i := slices.Index(f, "vlan"); i > 0 {
			e += " vlan " + f[i+1]
		}
		out = append(out, e)
	}
	slices.Sort(out)
	return out
}

func wantPins(t *testing.T, lab *netlab.Lab, ns *netlab.NS, dev string, want ...string) {
	t.Helper()
	lab.WaitFor(fmt.Sprintf("pins %v", want), 20*time.Second, func() (bool, string) {
		got := pinsOf(ns, dev)
		return slices.Equal(got, want), fmt.Sprint(got)
	})
}

func TestPinsInTheKernel(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	a := openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), Bridge: "br0", CreateBridge: true, PinStations: true, Offload: true})

	t.Log("learned, in several VLANs of a bridge that knows none")
	a.StationLearned(0, mac(1))
	a.StationLearned(0, mac(2))
	a.StationLearned(7, mac(2))
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01", "02:00:00:00:00:02")

	t.Log("someone flushes the table")
	ns.Must("bridge", "fdb", "del", "02:00:00:00:00:01", "dev", "vh-a", "master")
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01", "02:00:00:00:00:02")
	ns.Run("bridge", "fdb", "flush", "dev", "br0")
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01", "02:00:00:00:00:02")

	t.Log("gone")
	a.StationGone(0, mac(1))
	a.StationGone(0, mac(2))
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:02")
	a.StationGone(7, mac(2))
	wantPins(t, lab, ns, "vh-a")

	t.Log("the host's own address is not pinned, whoever claims it")
	own := strings.TrimSpace(ns.Must("cat", "/sys/class/net/br0/address"))
	var hw [6]byte
	fmt.Sscanf(strings.ReplaceAll(own, ":", " "), "%x %x %x %x %x %x", &hw[0], &hw[1], &hw[2], &hw[3], &hw[4], &hw[5])
	a.StationLearned(0, hw)
	a.StationLearned(0, mac(3))
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:03")

	t.Log("many at once")
	for i := range 1000 {
		m := mac(byte(i))
		m[4] = 0x10 + byte(i>>8)
		a.StationLearned(0, m)
	}
	lab.WaitFor("1001 pins", 10*time.Second, func() (bool, string) { n := len(pinsOf(ns, "vh-a")); return n == 1001, fmt.Sprint(n) })

	a.Close()
	if out, _ := ns.Run("bridge", "fdb", "show"); strings.Contains(out, "sticky") {
		t.Errorf("pins are left:\n%s", out)
	}
}

func TestPinsWithVLANFiltering(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	if out, err := ns.Run("ip", "link", "add", "br0", "type", "bridge", "vlan_filtering", "1"); err != nil {
		t.Skipf("SKIPPED here, run in a guest by lab.TestWhatThisKernelMayLack: this kernel's bridge cannot filter VLANs: %s", strings.TrimSpace(out))
	}
	ns.Must("ip", "link", "set", "dev", "br0", "up") // of a bridge that is down the kernel tells no changes
	a := openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), Bridge: "br0", PinStations: true, Offload: true})
	ns.Must("bridge", "vlan", "add", "dev", "vh-a", "vid", "30")
	a.StationLearned(0, mac(1))
	a.StationLearned(30, mac(1))
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01 vlan 1", "02:00:00:00:00:01 vlan 30")

	t.Log("filtering is turned off, and on again")
	ns.Must("ip", "link", "set", "br0", "type", "bridge", "vlan_filtering", "0")
	// The kernel (br_fdb_add) puts an entry without a VLAN into those of the port too.
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01", "02:00:00:00:00:01 vlan 1", "02:00:00:00:00:01 vlan 30")
	ns.Must("ip", "link", "set", "br0", "type", "bridge", "vlan_filtering", "1")
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01 vlan 1", "02:00:00:00:00:01 vlan 30")
}

func TestStationsThatTheHubDoesNotTellOf(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	a := openTAP(t, TAPConfig{Name: "a", Netns: ns.Path(), Bridge: "br0", CreateBridge: true, PinStations: true, Offload: true})
	told := ns.Start("monitor", "bridge", "monitor", "fdb")
	lab.WaitFor("the monitor", 10*time.Second, func() (bool, string) {
		ns.Must("bridge", "fdb", "replace", "02:00:00:00:99:99", "dev", "vh-a", "master", "static")
		ns.Must("bridge", "fdb", "del", "02:00:00:00:99:99", "dev", "vh-a", "master")
		return strings.Contains(told.Output(), "99:99"), told.Output()
	})
	f := frameFrom(mac(1), 'x')
	a.WriteFrames([]eth.Frame{f, frameFrom(mac(2), 'x')})
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01", "02:00:00:00:00:02")
	wrote := func(n uint64) {
		t.Helper()
		lab.WaitFor("the held frames to go", 20*time.Second, func() (bool, string) {
			c := a.Status().Counters
			return c.TxFrames == n && len(c.Drops) == 0, fmt.Sprint(c)
		})
	}
	wrote(2)
	t.Log("one is told of, the other's trial ends")
	a.StationLearned(0, mac(1))
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01")
	t.Log("and its next frame is pinned again first")
	a.WriteFrames([]eth.Frame{frameFrom(mac(2), 'x')})
	wantPins(t, lab, ns, "vh-a", "02:00:00:00:00:01", "02:00:00:00:00:02")
	wrote(3)
	t.Log("so the bridge itself has learned neither")
	lab.WaitFor("news of three pins", 20*time.Second, func() (bool, string) {
		out := told.Output()
		return strings.Count(out, "00:00:01 dev vh-a") >= 1 && strings.Count(out, "00:00:02 dev vh-a") >= 3, out
	})
	for _, line := range strings.Split(told.Output(), "\n") {
		if strings.HasPrefix(line, "02:00:00:00:00:0") && !strings.Contains(line, "static") {
			t.Errorf("before its pin a frame passed: %s", line)
		}
	}
}
