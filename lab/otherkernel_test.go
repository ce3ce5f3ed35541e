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

// TestWhatThisKernelMayLack runs tests of other packages in a guest, whose kernel
// has what they need: a bridge that filters VLANs, and IPsec policies.
func TestWhatThisKernelMayLack(t *testing.T) {
	need(t, "linux.uml", "debootstrap")
	l := netlab.New(t)
	g := guest.Boot(t, guest.StrongSwan, "kernel", guest.NIC{NS: l.NS("wan"), TAP: "g1", CIDR: "198.51.100.10/24"})
	for _, c := range []struct{ pkg, test, modules string }{
		{"bridge", "TestPinsWithVLANFiltering", "bridge veth tun 8021q"},
		{"ipsec", "TestKernelPolicyIsNamed", "xfrm_user"},
	} {
		t.Run(c.test, func(t *testing.T) {
			build := exec.Command("go", "test", "-c", "-o", filepath.Join(g.Dir, c.pkg+".test"), "vhub/"+c.pkg)
			build.Env = append(build.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			out, err := g.Run(2*time.Minute, "modprobe -a "+c.modules+"; mkdir -p /run/netns; cd /tmp; CI=true /lab/"+c.pkg+".test -test.v -test.run '^"+c.test+"$'")
			if err != nil || !strings.Contains(out, "--- PASS: "+c.test) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
