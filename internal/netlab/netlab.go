// Package netlab builds small networks of namespaces on this machine: hosts,
// wires, bridges, routers that translate addresses, wires that reflect. Tests,
// the demo and the benchmarks use it. It needs root, iproute2 and nftables.
//
// Everything it makes stands in network namespaces whose names carry the
// process id (vhub-PID-NAME), so several runs do not meet, nothing of a lab
// stands in the machine's own namespace, and what a killed run left behind is
// swept by the next one. Processes are ended by the ids it started them with.
package netlab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// TB is what a Lab needs of a *testing.T; the demo brings its own.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Failed() bool
}

// Lab is one network. Its parts go when the test ends.
type Lab struct {
	tb  TB
	dir string // logs, sockets, state
	seq int
	mu  sync.Mutex
	all map[string]*NS
}

// labs numbers the labs of this process, so that parallel tests do not meet.
var labs atomic.Int64

// New makes an empty lab. It sweeps what dead runs left.
func New(tb TB) *Lab {
	tb.Helper()
	for _, d := range []string{"/usr/sbin", "/sbin"} {
		if p := os.Getenv("PATH"); !strings.Contains(":"+p+":", ":"+d+":") {
			os.Setenv("PATH", p+":"+d)
		}
	}
	sweep()
	dir, err := os.MkdirTemp("", "vhub-lab-")
	if err != nil {
		tb.Fatalf("netlab: %v", err)
	}
	l := &Lab{tb: tb, dir: dir, all: map[string]*NS{}, seq: int(labs.Add(1))}
	tb.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, n := range l.all {
			n.delete()
		}
		if tb.Failed() {
			tb.Logf("netlab: logs kept in %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	return l
}

// Dir is a folder of the lab for sockets, files and logs. It is kept when the
// test fails.
func (l *Lab) Dir() string { return l.dir }

// sweep removes namespaces of processes that are gone.
func sweep() {
	names, err := os.ReadDir("/run/netns")
	if err != nil {
		return
	}
	for _, e := range names {
		parts := strings.SplitN(e.Name(), "-", 3)
		if len(parts) != 3 || parts[0] != "vhub" {
			continue
		}
		pid, err := strconv.Atoi(parts[1])
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		_ = exec.Command("ip", "netns", "del", e.Name()).Run()
	}
}

// NS is one network namespace: a host, a router or a switch.
type NS struct {
	Name  string // as the lab calls it
	real  string // as the kernel's tools call it
	lab   *Lab
	procs []*Proc
}

// NS returns the namespace of that name and makes it when it is new, with
// loopback up and IPv6 duplicate address detection off (so that addresses are
// usable at once).
func (l *Lab) NS(name string) *NS {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.all[name]; n != nil {
		return n
	}
	n := &NS{Name: name, real: fmt.Sprintf("vhub-%d-%d%s", os.Getpid(), l.seq, name), lab: l}
	if out, err := exec.Command("ip", "netns", "add", n.real).CombinedOutput(); err != nil {
		l.tb.Fatalf("netlab: ip netns add %s: %v: %s", n.real, err, out)
	}
	l.all[name] = n
	n.Must("ip", "link", "set", "lo", "up")
	n.Must("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
	return n
}

// Path is the file of the namespace, for setns.
func (n *NS) Path() string { return filepath.Join("/run/netns", n.real) }

// Real is the name that "ip netns" knows.
func (n *NS) Real() string { return n.real }

func (n *NS) delete() {
	for _, p := range n.procs {
		p.Kill()
	}
	_ = exec.Command("ip", "netns", "del", n.real).Run()
}

// Cmd prepares a command that runs inside the namespace. Its process id is the
// program's own.
func (n *NS) Cmd(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.real}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// Run runs a command to its end and returns what it printed on both outputs.
func (n *NS) Run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := n.Cmd(ctx, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %s: %w: %s", n.Name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// Must is Run; a failure ends the test.
func (n *NS) Must(args ...string) string {
	n.lab.tb.Helper()
	out, err := n.Run(args...)
	if err != nil {
		n.lab.tb.Fatalf("netlab: %v", err)
	}
	return out
}

// Sh runs a shell command line; a failure ends the test.
func (n *NS) Sh(line string) string {
	n.lab.tb.Helper()
	return n.Must("sh", "-ec", line)
}

// Nft loads an nftables script.
func (n *NS) Nft(script string) {
	n.lab.tb.Helper()
	c := n.Cmd(context.Background(), "nft", "-f", "-")
	c.Stdin = strings.NewReader(script)
	if out, err := c.CombinedOutput(); err != nil {
		n.lab.tb.Fatalf("netlab: nft in %s: %v: %s", n.Name, err, out)
	}
}

// Addr adds addresses (with prefix length) to an interface and brings it up.
func (n *NS) Addr(ifname string, cidrs ...string) {
	n.lab.tb.Helper()
	for _, a := range cidrs {
		n.Must("ip", "addr", "replace", a, "dev", ifname)
	}
	n.Must("ip", "link", "set", "dev", ifname, "up")
}

// Bridge makes a Linux bridge without STP delay and multicast snooping and
// puts the interfaces into it. It has an address of its own: else it would take
// another with a port that joins later, and lose, as for another host, what
// neighbours send to the one before until they ask again.
func (n *NS) Bridge(name string, members ...string) {
	n.lab.tb.Helper()
	sum := sha256.Sum256([]byte(n.real + "\x00" + name))
	mac := net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4]}
	n.Must("ip", "link", "add", name, "address", mac.String(), "type", "bridge", "forward_delay", "0", "stp_state", "0", "mcast_snooping", "0")
	n.Must("ip", "link", "set", "dev", name, "up")
	for _, m := range members {
		n.Must("ip", "link", "set", "dev", m, "master", name)
		n.Must("ip", "link", "set", "dev", m, "up")
	}
}

// Wire joins two namespaces with a cable (a veth pair), both ends up.
func (l *Lab) Wire(a *NS, ifa string, b *NS, ifb string) {
	l.tb.Helper()
	a.Must("ip", "link", "add", ifa, "type", "veth", "peer", "name", ifb, "netns", b.real)
	a.Must("ip", "link", "set", "dev", ifa, "up")
	b.Must("ip", "link", "set", "dev", ifb, "up")
}

// Reflect makes the namespace hand every frame that comes in by ifname back
// out of it, besides letting it pass: what some clouds' virtual switches do.
func (n *NS) Reflect(ifname string) {
	n.lab.tb.Helper()
	n.Nft(fmt.Sprintf(`table netdev reflect_%[1]s {
	chain c {
		type filter hook ingress device "%[1]s" priority 0;
		dup to "%[1]s"
	}
}
`, ifname))
}

// StopReflect takes Reflect back.
func (n *NS) StopReflect(ifname string) {
	n.lab.tb.Helper()
	n.Must("nft", "delete", "table", "netdev", "reflect_"+ifname)
}

// Masquerade makes the namespace a NAT router out of ifname that gives every
// flow a random outside port and, like many boxes, does not pass ESP.
func (n *NS) Masquerade(ifname string) {
	n.lab.tb.Helper()
	n.Must("sysctl", "-qw", "net.ipv4.ip_forward=1")
	n.Nft(fmt.Sprintf(`table ip nat {
	chain post {
		type nat hook postrouting priority srcnat;
		oifname "%s" masquerade random
	}
	chain forward {
		type filter hook forward priority filter;
		ip protocol esp drop
	}
}
`, ifname))
}

// Proc is a program running in a namespace.
type Proc struct {
	Name string
	Log  string // path of its output
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts a program whose output goes to a log of the lab. It is ended
// with the lab.
func (n *NS) Start(name string, args ...string) *Proc {
	n.lab.tb.Helper()
	return n.StartCmd(name, n.Cmd(context.Background(), args...))
}

// Inside runs f on a thread that is in the namespace: sockets made there stay
// there. The thread goes back and lives on: were it to end, the programs that it
// started would be killed with it.
func (n *NS) Inside(f func() error) {
	n.lab.tb.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		n.lab.tb.Fatalf("netlab: inside %s: %v", n.Name, err)
	}
	defer home.Close()
	there, err := os.Open(n.Path())
	if err != nil {
		n.lab.tb.Fatalf("netlab: inside %s: %v", n.Name, err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		n.lab.tb.Fatalf("netlab: inside %s: %v", n.Name, err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // nothing else may run on this thread
	}
	if err != nil {
		n.lab.tb.Fatalf("netlab: inside %s: %v", n.Name, err)
	}
}

// StartCmd starts a command made by Cmd.
func (n *NS) StartCmd(name string, c *exec.Cmd) *Proc {
	n.lab.tb.Helper()
	p := &Proc{Name: name, Log: filepath.Join(n.lab.dir, n.Name+"."+name+".log"), cmd: c, done: make(chan struct{})}
	f, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		n.lab.tb.Fatalf("netlab: %v", err)
	}
	defer f.Close()
	if c.Stdout == nil {
		c.Stdout = f
	}
	if c.Stderr == nil {
		c.Stderr = f
	}
	if err := c.Start(); err != nil {
		n.lab.tb.Fatalf("netlab: start %s: %v", name, err)
	}
	go func() { p.err = c.Wait(); close(p.done) }()
	n.lab.mu.Lock()
	n.procs = append(n.procs, p)
	n.lab.mu.Unlock()
	return p
}

// PID is the process id of the program.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended; Err is its result then.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Err is how the program ended; only after Done.
func (p *Proc) Err() error { return p.err }

// Signal sends a signal to the program.
func (p *Proc) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the program with SIGKILL and waits for it.
func (p *Proc) Kill() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop ends the program with SIGTERM and waits up to the limit.
func (p *Proc) Stop(limit time.Duration) error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-time.After(limit):
		p.Kill()
		return errors.New(p.Name + " did not end within " + limit.String() + " of SIGTERM")
	}
}

// Output is what the program has printed so far.
func (p *Proc) Output() string {
	b, _ := os.ReadFile(p.Log)
	return string(b)
}

// WaitFor polls cond until it holds; at the deadline the test fails with what
// cond said last.
func (l *Lab) WaitFor(what string, limit time.Duration, cond func() (ok bool, last string)) time.Duration {
	l.tb.Helper()
	start := time.Now()
	for {
		ok, last := cond()
		if ok {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			l.tb.Fatalf("netlab: no %s within %s: %s", what, limit, last)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Lab is the lab that the namespace belongs to.
func (n *NS) Lab() *Lab { return n.lab }
