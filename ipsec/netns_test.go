package ipsec

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhub/internal/netlab"
	"vhub/internal/packet"
	"vhub/internal/testenv"
	"vhub/ipsec/esp"
)

// nsNetwork is the real network of a namespace, seen from this process: each call
// moves its thread there and back; sockets stay where they were made.
type nsNetwork struct {
	t  testing.TB
	ns *netlab.NS
}

// do runs f in the namespace. The thread must not end in there: the kernel would
// kill the lab's programs that were started from it (Pdeathsig).
func (n nsNetwork) do(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		n.t.Error(err)
		return
	}
	defer home.Close()
	there, err := os.Open(n.ns.Path())
	if err != nil {
		return // the lab is being taken down
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		n.t.Error(err)
		return
	}
	f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		panic(err) // nothing else may run on this thread
	}
}

func (n nsNetwork) Listen(kind Kind, local netip.AddrPort, readers int, noOffload bool) (s []Socket, err error) {
	n.do(func() { s, err = systemNetwork{}.Listen(kind, local, readers, noOffload) })
	return s, err
}

func (n nsNetwork) Source(remote, from netip.Addr, ifindex int) (a netip.Addr, mtu int, err error) {
	n.do(func() { a, mtu, err = systemNetwork{}.Source(remote, from, ifindex) })
	return a, mtu, err
}

func (n nsNetwork) Uplink(name string, remote netip.Addr) (a netip.Addr, i int, err error) {
	n.do(func() { a, i, err = systemNetwork{}.Uplink(name, remote) })
	return a, i, err
}

func (n nsNetwork) Resolve(host string) ([]netip.Addr, error) { return systemNetwork{}.Resolve(host) }

func (n nsNetwork) Warnings() (w []string) {
	n.do(func() { w = systemNetwork{}.Warnings() })
	return w
}

func needLab(t testing.TB) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "nft")
}

// labPair are two machines on a wire, or with a NAT router between, and an engine
// on each.
type labPair struct {
	lab    *netlab.Lab
	branch *netlab.NS
	hub    *netlab.NS
	a, b   *node
	at, bt *Tunnel
}

func newLabPair(t testing.TB, nat, v6 bool, change func(*PeerConfig), engines ...func(*Config)) *labPair {
	needLab(t)
	p := &labPair{lab: netlab.New(t)}
	p.branch, p.hub = p.lab.NS("branch"), p.lab.NS("hub")
	addr := "203.0.113.10"
	switch {
	case nat:
		router := p.lab.NS("router")
		p.lab.Wire(p.branch, "ip0", router, "ip1")
		p.lab.Wire(router, "ip2", p.hub, "ip3")
		p.branch.Addr("ip0", "192.168.1.2/24")
		router.Addr("ip1", "192.168.1.1/24")
		router.Addr("ip2", "203.0.113.1/24")
		p.hub.Addr("ip3", "203.0.113.10/24")
		p.branch.Must("ip", "route", "add", "default", "via", "192.168.1.1")
		router.Masquerade("ip2")
	case v6:
		p.lab.Wire(p.branch, "ip0", p.hub, "ip3")
		p.branch.Addr("ip0", "2001:db8::2/64")
		p.hub.Addr("ip3", "2001:db8::10/64")
		addr = "2001:db8::10"
	default:
		p.lab.Wire(p.branch, "ip0", p.hub, "ip3")
		p.branch.Addr("ip0", "203.0.113.2/24")
		p.hub.Addr("ip3", "203.0.113.10/24")
	}
	p.b = startNode(t, "hub", nsNetwork{t, p.hub}, engines...)
	p.a = startNode(t, "branch", nsNetwork{t, p.branch}, engines...)
	home := PeerConfig{Name: "home", PeerID: id("keyid:branch1")}
	hub := PeerConfig{Name: "hub", Role: Initiator, Addresses: []string{addr}, LocalID: id("keyid:branch1")}
	if change != nil {
		change(&home)
		change(&hub)
	}
	p.bt, p.at = p.b.add(home), p.a.add(hub)
	waitFor(t, "both up", 20*time.Second, func() bool { return up(p.at)() && up(p.bt)() })
	return p
}

func TestRealSockets(t *testing.T) {
	for _, c := range []struct {
		name    string
		nat, v6 bool
		change  func(*PeerConfig)
		offload bool
	}{
		{"raw ESP", false, false, nil, true},
		{"raw ESP over IPv6", false, true, nil, true},
		{"raw ESP, tunnel mode", false, false, func(p *PeerConfig) { p.Mode = esp.Tunnel }, true},
		{"UDP by choice", false, false, func(p *PeerConfig) { p.ForceNATT = true }, true},
		{"UDP over IPv6", false, true, func(p *PeerConfig) { p.ForceNATT = true }, true},
		{"through a NAT that rewrites ports", true, false, nil, true},
		{"the same without offloads", true, false, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newLabPair(t, c.nat, c.v6, c.change, func(cfg *Config) { cfg.NoOffload = !c.offload })
			pass(t, p.a, p.b, p.at, p.bt, 100)
			// Batches of equal sizes with a short one last, single ones, and one that is
			// larger than the path: it goes in fragments.
			have := p.b.count("home")
			var batch []packet.Packet
			var want []string
			for i := range 60 {
				size := 1300
				if i == 59 {
					size = 77
				}
				if i == 30 {
					size = 1900
				}
				text := fmt.Sprintf("%03d%s", i, strings.Repeat("x", size))
				want = append(want, text)
				batch = append(batch, packetOf([]byte(text)))
			}
			if n := p.at.Send(batch); n != len(batch) {
				t.Fatalf("%d of %d taken: %+v", n, len(batch), p.at.Status().Drops)
			}
			waitFor(t, "the batch", 20*time.Second, func() bool { return p.b.count("home") == have+len(want) })
			seen := map[string]bool{}
			for _, got := range p.b.payloads("home")[have:] {
				seen[got] = true
			}
			for _, w := range want {
				if !seen[w] {
					t.Errorf("payload %s... of %d bytes did not come whole", w[:3], len(w))
				}
			}
			// Many of one size, each larger than the path: segmentation cannot take them,
			// and they go as fragments.
			have = p.b.count("home")
			var big []packet.Packet
			for range 20 {
				big = append(big, packetOf(make([]byte, 1600)))
			}
			if n := p.at.Send(big); n != len(big) {
				t.Fatalf("%d of %d large ones taken: %+v", n, len(big), p.at.Status().Drops)
			}
			waitFor(t, "the large ones", 20*time.Second, func() bool { return p.b.count("home") == have+len(big) })
			if segment, _ := p.at.active.Load().out.Load().sock.Offload(); p.at.active.Load().out.Load().child.UDP && segment != c.offload {
				t.Errorf("segmentation is %v after large packets, want %v", segment, c.offload)
			}
			st := p.at.Status()
			t.Logf("path %s to %s, NAT %s, payload MTU %d, offloads %+v", st.Paths[0].Local, st.Paths[0].Remote, st.Paths[0].NAT, st.MTU, p.a.engine.Status().Sockets)
			if st.MTU != p.at.active.Load().out.Load().child.Suite.MaxPayload(1500, p.at.active.Load().out.Load().outer(), st2mode(c.change), false) {
				t.Errorf("payload MTU %d", st.MTU)
			}
		})
	}
}

// st2mode is the mode that a change of the configuration sets.
func st2mode(change func(*PeerConfig)) esp.Mode {
	var p PeerConfig
	if change != nil {
		change(&p)
	}
	return p.Mode
}

// The path's MTU follows the route.
func TestRouteMTU(t *testing.T) {
	p := newLabPair(t, false, false, nil)
	p.branch.Must("ip", "route", "add", "203.0.113.10/32", "dev", "ip0", "mtu", "1454")
	p.a.engine.mu.Lock()
	for _, s := range p.a.engine.sessions {
		p.a.engine.refreshMTU(time.Now(), s)
	}
	p.a.engine.mu.Unlock()
	// Raw ESP with AES-GCM over IPv4: 1454-20-8-8-16 = 1402, in fours 1400, less 2.
	if got := p.at.PathMTU(); got != 1398 {
		t.Errorf("payload MTU %d, want 1398", got)
	}
}

// A port that is taken: the error names who has it.
// Several readers share the port; each peer has one of them, and all payloads come.
func TestSeveralReaders(t *testing.T) {
	needLab(t)
	lab := netlab.New(t)
	hubNS := lab.NS("hub")
	hub := startNode(t, "hub", nsNetwork{t, hubNS}, func(c *Config) { c.Readers = 4 })
	var nodes []*node
	var ends, tunnels []*Tunnel
	// The bridge's address is fixed: it would be that of its "lowest" port, change with
	// the ports that come, and cost packets until ARP has noticed.
	hubNS.Must("ip", "link", "add", "ipbr", "address", "02:00:00:00:00:01", "type", "bridge")
	hubNS.Addr("ipbr", "203.0.113.10/24")
	for i := range 6 {
		ends = append(ends, hub.add(PeerConfig{Name: fmt.Sprintf("b%d", i), PeerID: id(fmt.Sprintf("keyid:branch%d", i))}))
	}
	for i := range 6 {
		ns := lab.NS(fmt.Sprintf("b%d", i))
		port := fmt.Sprintf("ipp%d", i)
		lab.Wire(ns, "ip0", hubNS, port)
		hubNS.Must("ip", "link", "set", port, "master", "ipbr")
		ns.Addr("ip0", fmt.Sprintf("203.0.113.%d/24", 20+i))
		who := id(fmt.Sprintf("keyid:branch%d", i))
		n := startNode(t, fmt.Sprintf("b%d", i), nsNetwork{t, ns})
		cfg := PeerConfig{Name: "hub", Role: Initiator, Addresses: []string{"203.0.113.10"}, LocalID: who}
		cfg.ForceNATT = true
		tunnels = append(tunnels, n.add(cfg))
		nodes = append(nodes, n)
	}
	for i := range nodes {
		waitFor(t, "up", 20*time.Second, func() bool { return up(ends[i])() && up(tunnels[i])() })
		pass(t, nodes[i], hub, tunnels[i], ends[i], 20)
	}
	used := map[int]bool{}
	for i := range ends {
		mine := 0
		for r, receive := range ends[i].readers {
			if receive != nil {
				used[r] = true
				mine++
			}
		}
		if mine != 1 {
			t.Errorf("peer %d was read by %d readers", i, mine)
		}
	}
	t.Logf("%d of 4 readers used by 6 peers", len(used))
	if _, err := New(Config{Network: nsNetwork{t, hubNS}, Readers: 4}); err == nil {
		t.Error("a second engine shares the port")
	}
}

func TestBusyPortNamesItsOwner(t *testing.T) {
	needLab(t)
	testenv.NeedTool(t, "python3")
	lab := netlab.New(t)
	ns := lab.NS("busy")
	script := "import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('',500))\nprint('bound',flush=True)\ntime.sleep(60)"
	proc := ns.Start("squatter", "python3", "-c", script)
	lab.WaitFor("the squatter", 10*time.Second, func() (bool, string) { return strings.Contains(proc.Output(), "bound"), proc.Output() })
	_, err := New(Config{Network: nsNetwork{t, ns}})
	if err == nil {
		t.Fatal("port 500 was had twice")
	}
	t.Log(err)
	if !strings.Contains(err.Error(), "UDP 500 is in use by python3") || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", proc.PID())) {
		t.Errorf("error %q", err)
	}
}
