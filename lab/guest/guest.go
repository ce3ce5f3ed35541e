// Package guest runs user-mode-linux guests: a kernel with ESP, PPP and L2TP,
// as an ordinary process, for peers that need what this machine's kernel may
// lack. It needs Debian's user-mode-linux and debootstrap, and root.
//
// The root folder is made once (debootstrap) and shared read-only by all
// guests; each guest has a folder of its own on the host, mounted at /lab,
// through which it takes commands (see init.sh).
package guest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"vhub/internal/netlab"
)

//go:embed init.sh
var initScript []byte

// Flavor names what is installed in a root folder.
type Flavor string

// The flavors. libreswan and strongSwan's starter exclude each other.
const (
	StrongSwan Flavor = "strongswan"
	LibreSwan  Flavor = "libreswan"
)

// common is what every guest has; pinned by the release (bookworm).
const common = "iproute2,iputils-ping,xl2tpd,ppp,tcpdump,iperf3,kmod,procps,iptables,nftables"

var extra = map[Flavor]string{
	StrongSwan: "strongswan-starter,strongswan-charon,libcharon-extra-plugins,libstrongswan-standard-plugins,libstrongswan-extra-plugins",
	LibreSwan:  "libreswan,bind9-host", // which provides "host"; debootstrap does not look for it
}

// files of /etc that each guest has of its own, in /lab/etc.
var perGuest = []string{"ipsec.conf", "ipsec.secrets", "strongswan.conf", "xl2tpd/xl2tpd.conf", "ppp/chap-secrets", "ppp/options.l2tpd.client"}

// stamp changes when a root folder must be made anew.
const stamp = "2"

// Root makes the root folder of a flavor, once a machine, and returns its path.
// VHUB_LAB names the folder that holds roots (default /var/lib/vhub-lab). Test
// programs that run at once wait for each other.
func Root(tb netlab.TB, f Flavor) string {
	tb.Helper()
	base := os.Getenv("VHUB_LAB")
	if base == "" {
		base = "/var/lib/vhub-lab"
	}
	root := filepath.Join(base, string(f))
	if err := os.MkdirAll(base, 0o755); err != nil {
		tb.Fatalf("guest: %v", err)
	}
	lock, err := os.OpenFile(root+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		tb.Fatalf("guest: %v", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		tb.Fatalf("guest: %s.lock: %v", root, err)
	}
	if b, _ := os.ReadFile(filepath.Join(root, ".vhub-lab")); string(b) != stamp {
		start := time.Now()
		if err := makeRoot(root, f); err != nil {
			tb.Fatalf("guest: %v", err)
		}
		tb.Logf("guest: made %s in %v", root, time.Since(start).Round(time.Second))
	}
	if err := installInit(root); err != nil {
		tb.Fatalf("guest: %v", err)
	}
	return root
}

// initName is the first process's path in a root folder. Its name goes with its
// text, so that a guest never meets another version's, nor half of one.
var initName = fmt.Sprintf("/vhub-init-%x", sha256.Sum256(initScript))[:20]

func installInit(root string) error {
	at := filepath.Join(root, initName)
	if _, err := os.Stat(at); err == nil {
		return nil
	}
	if err := os.WriteFile(at+".new", initScript, 0o755); err != nil {
		return err
	}
	return os.Rename(at+".new", at)
}

func makeRoot(root string, f Flavor) error {
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	c := exec.Command("debootstrap", "--variant=minbase", "--include="+common+","+extra[f], "bookworm", root)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("debootstrap %s: %w: %s", root, err, tail(out))
	}
	for _, d := range []string{"lab", "lib/modules"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for _, name := range perGuest {
		at := filepath.Join(root, "etc", name)
		_ = os.MkdirAll(filepath.Dir(at), 0o755)
		_ = os.Remove(at)
		if err := os.Symlink("/lab/etc/"+filepath.Base(name), at); err != nil {
			return err
		}
	}
	// The agent of init.sh shares /run and /var/log only with this guest.
	debs, _ := filepath.Glob(filepath.Join(root, "var/cache/apt/archives/*.deb"))
	for _, d := range debs {
		_ = os.Remove(d)
	}
	return os.WriteFile(filepath.Join(root, ".vhub-lab"), []byte(stamp), 0o644)
}

func tail(b []byte) []byte {
	if len(b) > 600 {
		b = b[len(b)-600:]
	}
	return bytes.TrimSpace(b)
}

// NIC is one interface of a guest: a TAP of this name is made in the
// namespace, and the guest's interface has the address and default gateway.
type NIC struct {
	NS      *netlab.NS
	TAP     string // name in the namespace; put it in a bridge as you like
	CIDR    string
	Gateway string // may be empty
}

// Guest is a running guest.
type Guest struct {
	Name string
	Dir  string // on the host; /lab in the guest
	tb   netlab.TB
	proc *netlab.Proc
	jobs atomic.Int64
}

var macs atomic.Uint32

// Boot starts a guest and waits until it takes commands. All interfaces must
// stand in the same namespace.
func Boot(tb netlab.TB, f Flavor, name string, nics ...NIC) *Guest {
	tb.Helper()
	root := Root(tb, f)
	ns := nics[0].NS
	g := &Guest{Name: name, Dir: filepath.Join(ns.Lab().Dir(), "guest-"+name), tb: tb}
	uml := filepath.Join(g.Dir, "uml")
	for _, d := range []string{filepath.Join(g.Dir, "etc"), uml} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			tb.Fatalf("guest: %v", err)
		}
	}
	for _, n := range perGuest {
		g.Write("etc/"+filepath.Base(n), "")
	}
	// In a process namespace of its own, whose first process ends with the test:
	// the kernel's many processes go with it, whatever ends the test.
	args := []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", `"$@"; exit $?`, "guest", "linux.uml", "umid=" + name, "uml_dir=" + uml + "/", "mem=256M", "root=/dev/root", "rootfstype=hostfs",
		"rootflags=" + root, "ro", "init=" + initName, "quiet", "loglevel=4", "panic=1", "con=null", "con0=null,fd:1", "con1=null",
		"labname=" + name, "labshare=" + g.Dir}
	for i, n := range nics {
		n.NS.Sh("ip link show " + n.TAP + " >/dev/null 2>&1 || ip tuntap add dev " + n.TAP + " mode tap; ip link set dev " + n.TAP + " up")
		m := macs.Add(1)
		args = append(args, fmt.Sprintf("vec%d:transport=tap,ifname=%s,mac=02:1a:b0:00:%02x:%02x,depth=128,gro=1", i, n.TAP, m>>8, m&0xff),
			fmt.Sprintf("labaddr%d=%s", i, n.CIDR))
		if n.Gateway != "" {
			args = append(args, "labgw="+n.Gateway)
		}
	}
	c := ns.Cmd(context.Background(), args...)
	c.Env = append(os.Environ(), "HOME="+g.Dir, "TMPDIR=/dev/shm")
	// A process group of its own: UML signals its group when it ends. And its
	// standard input must be a pipe that stays open, or its console goes deaf.
	c.SysProcAttr.Setsid = true
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatalf("guest: %v", err)
	}
	c.Stdin = r
	g.proc = ns.StartCmd("guest-"+name, c)
	r.Close()
	tb.Cleanup(func() { w.Close() })
	start := time.Now()
	ns.Lab().WaitFor("boot of guest "+name, 60*time.Second, func() (bool, string) {
		b, _ := os.ReadFile(filepath.Join(g.Dir, "ready"))
		return len(b) > 0, g.proc.Output()
	})
	tb.Logf("guest %s booted in %.1f s", name, time.Since(start).Seconds())
	tb.Cleanup(g.Halt)
	return g
}

// Write writes a file of the guest's folder (/lab in the guest).
func (g *Guest) Write(name, text string) {
	g.tb.Helper()
	if err := os.WriteFile(filepath.Join(g.Dir, name), []byte(text), 0o644); err != nil {
		g.tb.Fatalf("guest: %v", err)
	}
}

// Read reads a file of the guest's folder; empty when there is none.
func (g *Guest) Read(name string) string {
	b, _ := os.ReadFile(filepath.Join(g.Dir, name))
	return string(b)
}

// Run runs a shell script in the guest and returns what it printed.
func (g *Guest) Run(limit time.Duration, script string) (string, error) {
	n := g.jobs.Add(1)
	file := func(kind string) string { return filepath.Join(g.Dir, fmt.Sprintf("%s.%d", kind, n)) }
	for _, f := range []struct{ kind, text string }{{"in", script + "\n"}, {"go", ""}} {
		if err := os.WriteFile(file(f.kind), []byte(f.text), 0o644); err != nil {
			return "", err
		}
	}
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		out, _ := os.ReadFile(file("out"))
		if rc, err := os.ReadFile(file("rc")); err == nil {
			out, _ = os.ReadFile(file("out"))
			if s := strings.TrimSpace(string(rc)); s != "0" {
				return string(out), fmt.Errorf("guest %s: exit status %s: %s\n%s", g.Name, s, firstLine(script), tail(out))
			}
			return string(out), nil
		}
		select {
		case <-g.proc.Done():
			return string(out), fmt.Errorf("guest %s is dead: %s", g.Name, tail([]byte(g.proc.Output())))
		default:
		}
		if time.Now().After(end) {
			return string(out), fmt.Errorf("guest %s: not done after %v: %s\n%s", g.Name, limit, firstLine(script), tail(out))
		}
	}
}

func firstLine(s string) string { return strings.SplitN(strings.TrimSpace(s), "\n", 2)[0] }

// Must is Run with a limit of a minute; a failure ends the test.
func (g *Guest) Must(script string) string {
	g.tb.Helper()
	out, err := g.Run(time.Minute, script)
	if err != nil {
		g.tb.Fatalf("%v", err)
	}
	return out
}

// Kill ends the guest at once, as a power cut does.
func (g *Guest) Kill() { g.proc.Kill() }

// Halt ends the guest.
func (g *Guest) Halt() {
	select {
	case <-g.proc.Done():
		return
	default:
	}
	_ = os.WriteFile(filepath.Join(g.Dir, "go.halt"), nil, 0o644)
	select {
	case <-g.proc.Done():
	case <-time.After(2 * time.Second):
		g.Kill()
	}
}
