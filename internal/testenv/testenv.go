// Package testenv says what a test needs of the machine. Where it is missing
// the test is SKIPPED with the reason; under CI=true it fails instead, so that
// a test that never runs cannot look green.
package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// Missing skips the test with "SKIPPED: reason", or fails it when CI=true.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI=true, and %s", reason)
	}
	t.Skipf("SKIPPED: %s", reason)
}

// NeedRoot needs uid 0: namespaces, TAP devices and raw sockets.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "not root (needed for network namespaces)")
	}
}

// NeedTool needs programs on PATH (or an absolute path each); it adds
// /usr/sbin and /sbin to PATH, where Debian keeps network tools.
func NeedTool(t testing.TB, names ...string) {
	t.Helper()
	const sbin = ":/usr/local/sbin:/usr/sbin:/sbin"
	if p := os.Getenv("PATH"); len(p) < len(sbin) || p[len(p)-len(sbin):] != sbin {
		os.Setenv("PATH", p+sbin)
	}
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			Missing(t, "no program "+n+" (apt-get install it; make test does where it is root)")
		}
	}
}

// NeedFile needs a device or file, such as /dev/net/tun.
func NeedFile(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		Missing(t, "no "+path)
	}
}
