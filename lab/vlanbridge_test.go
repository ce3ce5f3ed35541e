package lab_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/lab/guest"
)

// TestBridgeThatFiltersVLANs runs package bridge's own test of pins on a bridge
// with VLAN filtering in a guest, whose kernel has it; this machine's may not.
func TestBridgeThatFiltersVLANs(t *testing.T) {
	need(t, "linux.uml", "debootstrap")
	l := netlab.New(t)
	g := guest.Boot(t, guest.StrongSwan, "vlan", guest.NIC{NS: l.NS("wan"), TAP: "g1", CIDR: "198.51.100.10/24"})
	c := exec.Command("go", "test", "-c", "-o", filepath.Join(g.Dir, "bridge.test"), "vhub/bridge")
	c.Env = append(c.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := g.Run(2*time.Minute, "modprobe -a bridge veth tun 8021q; mkdir -p /run/netns; cd /tmp; CI=true /lab/bridge.test -test.v -test.run '^TestPinsWithVLANFiltering$'")
	if err != nil || !strings.Contains(out, "--- PASS: TestPinsWithVLANFiltering") {
		t.Errorf("%v: %s", err, out)
	}
}
