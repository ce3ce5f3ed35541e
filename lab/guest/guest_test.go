package guest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/internal/testenv"
	"vhub/lab/guest"
)

func TestGuestHasWhatTheHostLacks(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "linux.uml", "debootstrap")
	l := netlab.New(t)
	wan := l.NS("wan")
	g := guest.Boot(t, guest.StrongSwan, "g1", guest.NIC{NS: wan, TAP: "g1", CIDR: "198.51.100.10/24"})
	if os.Getenv(orphan) != "" { // TestGuestEndsWithAKilledTest waits for this file
		g.Write("up", "")
		select {}
	}
	wan.Addr("g1", "198.51.100.1/24")
	wan.Reaches("198.51.100.10", 20*time.Second)
	out := g.Must("ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 mode transport aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128 && ip xfrm state; ipsec --version; xl2tpd --version 2>&1; [ -c /dev/ppp ] && echo ppp")
	for _, want := range []string{"spi 0x00000001", "strongSwan", "ppp"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
}

// orphan tells TestGuestHasWhatTheHostLacks, in a process of its own, to boot the
// guest and wait to be killed.
const orphan = "VHUB_TEST_ORPHAN"

// A test that is killed leaves no guest running: its many processes would take
// the processor from whatever runs next.
func TestGuestEndsWithAKilledTest(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "linux.uml", "debootstrap", "unshare")
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run", "^TestGuestHasWhatTheHostLacks$")
	c.Env = append(os.Environ(), orphan+"=1", "TMPDIR="+dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	l := netlab.New(t)
	l.WaitFor("guest of the other test", 3*time.Minute, func() (bool, string) {
		m, _ := filepath.Glob(dir + "/vhub-lab-*/guest-g1/up")
		return len(m) == 1, ""
	})
	if n := len(processesWith(dir)); n < 3 {
		t.Fatalf("%d processes of the guest, want its first one, the kernel and more", n)
	}
	if err := c.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	l.WaitFor("end of the guest", 20*time.Second, func() (bool, string) {
		left := processesWith(dir)
		return len(left) == 0, strings.Join(left, "\n")
	})
}

// processesWith lists the command lines of this machine's processes that have a
// word in them.
func processesWith(word string) (list []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if line := strings.ReplaceAll(string(b), "\x00", " "); strings.Contains(line, word) {
			list = append(list, filepath.Base(filepath.Dir(f))+" "+line)
		}
	}
	return list
}
