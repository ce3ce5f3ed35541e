package bridge

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/netlab"
)

// nicLab is: host "far" [far0] --- wire --- [w0] "hub" nic port --- cable --- TAP "near".
func nicLab(t *testing.T, nicOffload, tapOffload bool, mtu int) (lab *netlab.Lab, far, hub, near *netlab.NS, nic *NIC, tap *TAP) {
	lab = newLab(t)
	far, hub, near = lab.NS("far"), lab.NS("hub"), lab.NS("near")
	lab.Wire(far, "far0", hub, "w0")
	far.Must("ip", "link", "set", "far0", "mtu", fmt.Sprint(mtu))
	hub.Must("ip", "link", "set", "w0", "mtu", fmt.Sprint(mtu))
	far.Addr("far0", "10.80.0.1/24", "fd80::1/64")
	nic = openNIC(t, NICConfig{Name: "n", Ifname: "w0", Netns: hub.Path(), Promisc: true, Offload: nicOffload})
	tap = openTAP(t, TAPConfig{Name: "t", Netns: near.Path(), MTU: mtu, Queues: 1, Offload: tapOffload, Addresses: prefixes("10.80.0.2/24", "fd80::2/64")})
	return
}

func TestNICAndTAP(t *testing.T) {
	for _, c := range []struct {
		name     string
		nic, tap bool // offload
		mtu      int
	}{
		{"offload on both", true, true, 1500},
		{"a TAP without offload", true, false, 1500},
		{"jumbo frames", true, true, 9000},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, far, hub, near, nic, tap := nicLab(t, c.nic, c.tap, c.mtu)
			flags := hub.Must("cat", "/sys/class/net/w0/flags")
			join(t, nic, tap)
			near.Reaches("10.80.0.1", 20*time.Second)
			near.Reaches("fd80::1", 20*time.Second)
			wantPing(t, near, "-c", "10", "10.80.0.1")
			wantPing(t, far, "-c", "10", "fd80::2")
			wantPing(t, far, "-c", "3", "-M", "do", "-s", fmt.Sprint(c.mtu-28), "10.80.0.2")
			transfer(t, near, far, "10.80.0.1", 8<<20)
			transfer(t, far, near, "fd80::2", 8<<20)
			s := nic.Status()
			if !s.Present || !s.Up || s.MTU != c.mtu || !s.Offloads.VnetHdr || len(s.Counters.Drops) > 0 {
				t.Errorf("status %+v", s)
			}
			if after := hub.Must("cat", "/sys/class/net/w0/flags"); after != flags {
				t.Errorf("the interface's flags went from %s to %s", flags, after)
			}
			if out := hub.Must("ip", "-d", "link", "show", "w0"); !strings.Contains(out, "promiscuity 1") {
				t.Errorf("not promiscuous by membership:\n%s", out)
			}
		})
	}
}

func TestNICGivesTheInterfaceBackAsItWas(t *testing.T) {
	lab := newLab(t)
	far, hub := lab.NS("far"), lab.NS("hub")
	lab.Wire(far, "far0", hub, "w0")
	show := func() string {
		out := hub.Must("ip", "-d", "link", "show", "w0")
		if i := strings.Index(out, "link/ether"); i > 0 {
			return out[:i] + out[strings.Index(out, "promiscuity"):]
		}
		return out
	}
	before := show()
	n := openNIC(t, NICConfig{Name: "n", Ifname: "w0", Netns: hub.Path(), Promisc: true, Offload: true})
	n.Close()
	if after := show(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// record keeps copies of the frames that come in.
type record struct {
	mu     sync.Mutex
	frames []eth.Frame
}

func (r *record) Input(_ time.Time, frames []eth.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range frames {
		f.Data = bytes.Clone(f.Data)
		r.frames = append(r.frames, f)
	}
}

func (r *record) has(b []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.frames {
		if bytes.Equal(f.Data, b) {
			return true
		}
	}
	return false
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(len(r.frames), " frames")
}

// rawSend sends frames out of an interface of a namespace.
func rawSend(t *testing.T, ns *netlab.NS, ifname string, frames ...[]byte) {
	t.Helper()
	s, err := openSpace(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	l, err := s.nl.LinkByName(ifname)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, f := range frames {
			if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index}); err != nil {
				return fmt.Errorf("%d bytes: %w", len(f), err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// taggedFrame makes a frame of an experimental EtherType with tags.
func taggedFrame(payload int, tags ...byte) []byte {
	b := append([]byte{}, eth.Broadcast[:]...)
	b = append(append(b, 2, 0, 0, 0, 0, 7), tags...)
	b = append(b, 0x88, 0xb5)
	for i := range payload {
		b = append(b, byte(i*7))
	}
	return b
}

func TestTagsThroughNIC(t *testing.T) {
	lab, far, hub, _, nic, tap := nicLab(t, true, true, 1500)
	_, _ = hub, tap
	var in record
	runPort(t, nic, &in)
	frames := [][]byte{
		taggedFrame(100),
		taggedFrame(100, 0x81, 0, 0, 5),
		taggedFrame(1500, 0x81, 0, 0xef, 0xff),            // priority and VLAN id
		taggedFrame(100, 0x81, 0, 0, 0),                   // priority tag, VLAN 0
		taggedFrame(100, 0x88, 0xa8, 0, 5, 0x81, 0, 0, 6), // 802.1ad
		taggedFrame(100, 0x81, 0, 0, 5, 0x81, 0, 0, 6),    // the same with old types
		taggedFrame(46), taggedFrame(47, 0x81, 0, 0, 9), taggedFrame(1500),
	}
	rawSend(t, far, "far0", frames...)
	for _, f := range frames {
		lab.WaitFor(fmt.Sprintf("the frame % x...", f[:min(len(f), 24)]), 20*time.Second, func() (bool, string) { return in.has(f), in.String() })
	}

	t.Log("and out again, byte by byte")
	var back record
	other := openNIC(t, NICConfig{Name: "o", Ifname: "far0", Netns: far.Path(), Promisc: true, Offload: true})
	runPort(t, other, &back)
	var out []eth.Frame
	for _, f := range frames {
		f[11] = 8
		out = append(out, eth.Frame{Data: f})
	}
	if n := nic.WriteFrames(out); n != len(out) {
		t.Fatalf("took %d of %d", n, len(out))
	}
	for _, f := range frames {
		lab.WaitFor(fmt.Sprintf("the frame % x...", f[:min(len(f), 24)]), 20*time.Second, func() (bool, string) { return back.has(f), back.String() })
	}
}

func TestNICDoesNotHearTheHostItself(t *testing.T) {
	lab, far, hub, near, nic, tap := nicLab(t, true, true, 1500)
	hub.Addr("w0", "10.80.0.9/24")
	lab.WaitFor("the warning about the address", 20*time.Second, func() (bool, string) {
		w := strings.Join(nic.Warnings(), "\n")
		return strings.Contains(w, "10.80.0.9/24 will not answer"), w
	})
	if w := nic.Warnings(); !strings.Contains(w[0], "better way") {
		t.Errorf("warnings %q", w)
	}
	join(t, nic, tap)
	near.Reaches("10.80.0.1", 20*time.Second)

	t.Log("the host talks with the far side: nothing of it comes in by the port")
	wantPing(t, hub, "-c", "5", "10.80.0.1")
	before := tap.Status().Counters.TxFrames
	wantPing(t, hub, "-c", "20", "10.80.0.1")
	if n := tap.Status().Counters.TxFrames - before; n > 5 { // some ARP or ND of others
		t.Errorf("%d frames of the host's own talk crossed the hub", n)
	}

	t.Log("a station asks for the host: never an answer, also on a wire that reflects")
	for _, reflecting := range []bool{false, true} {
		if reflecting {
			far.Reflect("far0")
		}
		if p := near.Ping("-c", "5", "-i", "0.05", "-W", "1", "10.80.0.9"); p.Received != 0 || p.Duplicates != 0 {
			t.Errorf("reflecting %v: %s", reflecting, p)
		}
	}
}

func TestNICComesBack(t *testing.T) {
	lab, far, hub, near, nic, tap := nicLab(t, true, true, 1500)
	var mu sync.Mutex
	var ups []bool
	done := make(chan error, 1)
	go func() {
		done <- nic.run(t.Context(), cable{to: tap}, func(up bool) {
			mu.Lock()
			defer mu.Unlock()
			if len(ups) == 0 || ups[len(ups)-1] != up {
				ups = append(ups, up)
			}
		})
	}()
	runPort(t, tap, cable{to: nic})
	near.Reaches("10.80.0.1", 20*time.Second)
	is := func(want ...bool) {
		t.Helper()
		lab.WaitFor(fmt.Sprint("link states ", want), 20*time.Second, func() (bool, string) {
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprint(ups) == fmt.Sprint(want), fmt.Sprint(ups)
		})
	}
	is(true)

	t.Log("down and up")
	hub.Must("ip", "link", "set", "w0", "down")
	is(true, false)
	nic.WriteFrames([]eth.Frame{frameFrom(mac(1), 'x')})
	if n := nic.Status().Counters.Drops["device-down"]; n == 0 {
		t.Error("a frame to a device that is down has no reason")
	}
	hub.Must("ip", "link", "set", "w0", "up")
	is(true, false, true)
	near.Reaches("10.80.0.1", 20*time.Second)

	t.Log("gone and back")
	hub.Must("ip", "link", "del", "w0")
	is(true, false, true, false)
	if s := nic.Status(); s.Present || s.Up {
		t.Errorf("status %+v", s)
	}
	nic.WriteFrames([]eth.Frame{frameFrom(mac(1), 'x')})
	lab.Wire(far, "far0", hub, "w0")
	far.Addr("far0", "10.80.0.1/24")
	is(true, false, true, false, true)
	near.Must("ip", "neigh", "flush", "all") // far0 has another address now
	near.Reaches("10.80.0.1", 20*time.Second)
	if s := nic.Status(); !s.Present || s.Reopens != 1 {
		t.Errorf("status %+v", s)
	}
	nic.Close()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestOpenNICErrorsAndSegments(t *testing.T) {
	lab := newLab(t)
	ns := lab.NS("host")
	if _, err := OpenNIC(NICConfig{Name: "n", Ifname: "none0", Netns: ns.Path()}, testLog(t)); err == nil || !strings.Contains(err.Error(), "no interface none0") {
		t.Errorf("err %v", err)
	}
	ns.Must("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
	n := openNIC(t, NICConfig{Name: "n", Ifname: "v0", Netns: ns.Path()})
	if s := n.Segment(); s != "" {
		t.Errorf("segment %q of an interface of its own", s)
	}
	ns.Bridge("br7", "v0")
	ns.Must("ip", "addr", "add", "192.0.2.1/24", "dev", "br7")
	ns.Must("ip", "link", "set", "v0", "mtu", "1499") // an event after the address
	lab.WaitFor("the bridge in the warnings", 20*time.Second, func() (bool, string) {
		w := strings.Join(n.Warnings(), "\n")
		return strings.Contains(w, "v0 is in bridge br7") && strings.Contains(w, "192.0.2.1/24"), w
	})
	if s := n.Segment(); s != "bridge:br7" {
		t.Errorf("segment %q", s)
	}
	if s := SegmentOf("no-such-if"); s != "" {
		t.Errorf("segment %q of nothing", s)
	}
	if i, err := Interface("lo"); err != nil || i.Ifname != "lo" || i.Bridge != "" {
		t.Errorf("lo: %+v %v", i, err)
	}
}
