package etherip

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/hub"
	"vhub/internal/netlab"
	"vhub/internal/testenv"
)

// open opens a plain port in the namespace and runs it to the end of the test.
func open(t *testing.T, ns *netlab.NS, cfg PlainConfig) (*Plain, *fakeInput) {
	t.Helper()
	var p *Plain
	var err error
	ns.Inside(func() error {
		p, err = OpenPlain(cfg, quiet)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	in := newInput()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, in, in) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run ended with %v", err)
		}
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p, in
}

// wire joins two namespaces by a cable of MTU 1500: a has .1 and ::1, b has .2 and ::2.
func wire(t *testing.T) (a, b *netlab.NS) {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "sysctl")
	lab := netlab.New(t)
	a, b = lab.NS("eea"), lab.NS("eeb")
	lab.Wire(a, "eew0", b, "eew1")
	a.Addr("eew0", "192.0.2.1/24", "2001:db8::1/64")
	b.Addr("eew1", "192.0.2.2/24", "2001:db8::2/64")
	return a, b
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// waitFor polls until cond holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("no %s within 10 s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestPlainEverySizeByteByByte(t *testing.T) {
	a, b := wire(t)
	for _, tc := range []struct{ name, a, b string }{
		{"IPv4", "192.0.2.1", "192.0.2.2"},
		{"IPv6", "2001:db8::1", "2001:db8::2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pa, inA := open(t, a, PlainConfig{Peer: addr(tc.b)})
			pb, inB := open(t, b, PlainConfig{Peer: addr(tc.a), Local: addr(tc.b)})
			for _, way := range []struct {
				from *Plain
				in   *fakeInput
			}{{pa, inB}, {pb, inA}} {
				for first := 14; first <= 9014; first += 40 {
					var frames []eth.Frame
					for n := first; n < first+40 && n <= 9014; n++ {
						frames = append(frames, eth.Frame{Data: plain(n)})
					}
					way.in.forget()
					if n := way.from.WriteFrames(frames); n != len(frames) {
						t.Fatalf("took %d of %d", n, len(frames))
					}
					got := way.in.wait(len(frames))
					if len(got) != len(frames) {
						t.Fatalf("%d of %d frames from %d bytes on came; %+v", len(got), len(frames), first, way.from.Status())
					}
					for i := range got {
						if !bytes.Equal(got[i], frames[i].Data) {
							t.Fatalf("frame of %d bytes changed", len(frames[i].Data))
						}
					}
				}
			}
			st := pb.Status()
			if st.InPackets != 9001 || st.OutPackets != 9001 || len(st.Drops) != 0 || st.PathMTU != 1500 || st.Local != addr(tc.b) || st.OutLarger == 0 || st.HeaderSeen != Standard {
				t.Errorf("status %+v", st)
			}
		})
	}
}

// rawPeer is a peer that shares no code with the package: the net package's raw socket.
func rawPeer(t *testing.T, ns *netlab.NS, network, local, remote string) *net.IPConn {
	t.Helper()
	var c *net.IPConn
	var err error
	ns.Inside(func() error {
		c, err = net.DialIP(network+":97", &net.IPAddr{IP: net.ParseIP(local)}, &net.IPAddr{IP: net.ParseIP(remote)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPlainPeerWithItsOwnHeader(t *testing.T) {
	a, b := wire(t)
	for _, tc := range []struct {
		network, a, b string
		header        byte
	}{
		{"ip4", "192.0.2.1", "192.0.2.2", 0x03},
		{"ip4", "192.0.2.1", "192.0.2.2", 0x30},
		{"ip6", "2001:db8::1", "2001:db8::2", 0x03},
		{"ip6", "2001:db8::1", "2001:db8::2", 0x30},
	} {
		t.Run(fmt.Sprintf("%s %02x", tc.network, tc.header), func(t *testing.T) {
			p, in := open(t, a, PlainConfig{Peer: addr(tc.b)})
			peer := rawPeer(t, b, tc.network, tc.b, tc.a)
			for _, n := range []int{14, 60, 1514, 4000} {
				in.forget()
				frame := plain(n)
				if _, err := peer.Write(append([]byte{tc.header, 0}, frame...)); err != nil {
					t.Fatal(err)
				}
				if got := in.wait(1); len(got) != 1 || !bytes.Equal(got[0], frame) {
					t.Fatalf("frame of %d bytes did not come as it was sent", n)
				}
				p.WriteFrames([]eth.Frame{{Data: frame}})
				buf := make([]byte, 65536)
				k, _, err := peer.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				if want := append([]byte{tc.header, 0}, frame...); !bytes.Equal(buf[:k], want) {
					t.Fatalf("the peer got %x..., want %x...", buf[:min(k, 20)], want[:16])
				}
			}
		})
	}
}

func TestPlainTakesFromItsPeerOnly(t *testing.T) {
	a, b := wire(t)
	b.Addr("eew1", "192.0.2.3/24", "2001:db8::3/64")
	a.Addr("eew0", "192.0.2.9/24", "2001:db8::9/64")
	for _, tc := range []struct{ network, local, peer, other, otherLocal string }{
		{"ip4", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9"},
		{"ip6", "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::9"},
	} {
		t.Run(tc.network, func(t *testing.T) {
			p, in := open(t, a, PlainConfig{Peer: addr(tc.peer), Local: addr(tc.local)})
			packet := append([]byte{0x30, 0}, plain(60)...)
			send := func(from, to string) {
				if _, err := rawPeer(t, b, tc.network, from, to).Write(packet); err != nil {
					t.Fatal(err)
				}
			}
			send(tc.other, tc.local)     // not the peer
			send(tc.peer, tc.otherLocal) // not to the address of the port
			send(tc.peer, tc.local)
			if got := in.wait(1); len(got) != 1 {
				t.Fatalf("%d frames", len(got))
			}
			// The wire keeps order, so what was to be refused has been.
			if st := p.Status(); st.InPackets != 1 || len(st.Drops) != 0 {
				t.Fatalf("%+v", st)
			}
		})
	}
}

func TestPlainSeesThePathChange(t *testing.T) {
	a, _ := wire(t)
	p4, _ := open(t, a, PlainConfig{Peer: addr("192.0.2.2")})
	p6, _ := open(t, a, PlainConfig{Peer: addr("2001:db8::2")})
	fixed, _ := open(t, a, PlainConfig{Peer: addr("192.0.2.2"), PathMTU: 1454})
	if s := p4.Status(); s.PathMTU != 1500 || s.MSS4 != 1424 || s.Local != addr("192.0.2.1") {
		t.Errorf("IPv4: %+v", s)
	}
	if s := p6.Status(); s.PathMTU != 1500 || s.MSS4 != 1404 || s.MSS6 != 1384 || s.Local != addr("2001:db8::1") {
		t.Errorf("IPv6: %+v", s)
	}
	a.Must("ip", "link", "set", "eew0", "mtu", "1400")
	for _, p := range []*Plain{p4, p6, fixed} {
		p.lookSoon()
	}
	waitFor(t, "new path MTU", func() bool {
		return p4.Status().PathMTU == 1400 && p4.Status().MSS4 == 1324 && p6.Status().PathMTU == 1400 && p6.Status().MSS4 == 1304
	})
	if s := fixed.Status(); s.PathMTU != 1454 || s.InnerMTU != 1454-20-2-14 {
		t.Errorf("configured: %+v", s)
	}
}

func TestPlainOutlivesItsRoute(t *testing.T) {
	a, b := wire(t)
	a.Must("ip", "link", "set", "eew0", "down")
	p, in := open(t, a, PlainConfig{Peer: addr("192.0.2.2")}) // no route yet
	q, inB := open(t, b, PlainConfig{Peer: addr("192.0.2.1")})
	f := []eth.Frame{{Data: plain(100)}}
	crosses := func() bool {
		inB.forget()
		in.forget()
		p.WriteFrames(f)
		q.WriteFrames(f)
		end := time.Now().Add(200 * time.Millisecond)
		for time.Now().Before(end) {
			inB.mu.Lock()
			n := len(inB.got)
			inB.mu.Unlock()
			in.mu.Lock()
			m := len(in.got)
			in.mu.Unlock()
			if n > 0 && m > 0 {
				return true
			}
			time.Sleep(time.Millisecond)
		}
		return false
	}
	if n := p.WriteFrames(f); n != 1 || p.Status().Drops[Unreachable] != 1 || p.Status().Error == "" {
		t.Fatalf("without a route: took %d, %+v", n, p.Status())
	}
	for range 2 {
		a.Must("ip", "link", "set", "eew0", "up")
		waitFor(t, "traffic once the link is up", crosses)
		a.Must("ip", "link", "set", "eew0", "down")
		before := p.Status().Drops[Unreachable]
		p.WriteFrames(f)
		if p.Status().Drops[Unreachable] != before+1 {
			t.Fatal("a drop without a route was not counted")
		}
	}
	a.Must("ip", "link", "set", "eew0", "up")
	p.lookSoon()
	waitFor(t, "the error to go", func() bool { return p.Status().Error == "" })
	a.Must("ip", "addr", "del", "192.0.2.1/24", "dev", "eew0") // the local address changes
	a.Addr("eew0", "192.0.2.7/24")
	p.lookSoon()
	waitFor(t, "new local address", func() bool { return p.Status().Local == addr("192.0.2.7") })
}

// narrow joins two namespaces over a router; the half behind it has an MTU of 1400.
func narrow(t *testing.T) (a, b *netlab.NS) {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "sysctl")
	lab := netlab.New(t)
	a, b = lab.NS("eea"), lab.NS("eeb")
	r := lab.NS("eer")
	lab.Wire(a, "eew0", r, "eew1")
	lab.Wire(r, "eew2", b, "eew3")
	a.Addr("eew0", "192.0.2.1/24", "2001:db8:1::1/64")
	r.Addr("eew1", "192.0.2.254/24", "2001:db8:1::ff/64")
	r.Addr("eew2", "198.51.100.254/24", "2001:db8:2::ff/64")
	b.Addr("eew3", "198.51.100.1/24", "2001:db8:2::1/64")
	r.Must("ip", "link", "set", "eew2", "mtu", "1400")
	r.Must("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	a.Must("ip", "route", "add", "default", "via", "192.0.2.254")
	a.Must("ip", "-6", "route", "add", "default", "via", "2001:db8:1::ff")
	b.Must("ip", "route", "add", "default", "via", "198.51.100.254")
	b.Must("ip", "-6", "route", "add", "default", "via", "2001:db8:2::ff")
	return a, b
}

func TestPlainWithDFTellsTheSender(t *testing.T) {
	a, b := narrow(t)
	for _, tc := range []struct {
		name, a, b string
		mtu        int // of the inner IP packet
	}{
		{"IPv4", "192.0.2.1", "198.51.100.1", 1400 - 20 - 2 - 14},
		{"IPv6", "2001:db8:1::1", "2001:db8:2::1", 1400 - 40 - 2 - 14},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, in := open(t, a, PlainConfig{Config: Config{DF: true}, Peer: addr(tc.b)})
			_, inB := open(t, b, PlainConfig{Peer: addr(tc.a)})
			frame := ipSpec{udp: true, df: true, payload: 1414}.frame() // fits 1,500, not 1,400
			answered := func() []byte {
				in.mu.Lock()
				defer in.mu.Unlock()
				if len(in.got) > 0 {
					return in.got[0]
				}
				return nil
			}
			waitFor(t, "an answer", func() bool {
				p.WriteFrames([]eth.Frame{{Data: frame}})
				p.lookSoon()
				return answered() != nil
			})
			got := answered()
			l := eth.Parse(got)
			if mtu := int(binary.BigEndian.Uint16(got[l.L4+6:])); mtu != tc.mtu {
				t.Fatalf("answered with MTU %d, want %d", mtu, tc.mtu)
			}
			small := ipSpec{udp: true, df: true, payload: tc.mtu - 28}.frame()
			p.WriteFrames([]eth.Frame{{Data: small}})
			if came := inB.wait(1); len(came) != 1 || !bytes.Equal(came[0], small) {
				t.Fatalf("what fits did not cross")
			}
		})
	}
}

func TestPlainWithoutDFCrossesANarrowPath(t *testing.T) {
	a, b := narrow(t)
	for _, tc := range []struct{ name, a, b string }{
		{"IPv4", "192.0.2.1", "198.51.100.1"},
		{"IPv6", "2001:db8:1::1", "2001:db8:2::1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, _ := open(t, a, PlainConfig{Peer: addr(tc.b)})
			_, in := open(t, b, PlainConfig{Peer: addr(tc.a)})
			frame := plain(9014)
			waitFor(t, "frame of 9014 bytes", func() bool { // the first ones find out the path (IPv6)
				p.WriteFrames([]eth.Frame{{Data: frame}})
				in.mu.Lock()
				defer in.mu.Unlock()
				return len(in.got) > 0
			})
			if got := in.wait(1); !bytes.Equal(got[0], frame) {
				t.Fatal("the frame changed")
			}
			if st := p.Status(); st.Drops[Oversize]+st.Drops[SendError]+st.Drops[Unreachable] > 0 {
				t.Fatalf("%+v", st)
			}
			if tc.name == "IPv6" {
				waitFor(t, "path MTU", func() bool { return p.Status().PathMTU == 1400 })
			}
		})
	}
}

func TestPlainInAHub(t *testing.T) {
	a, b := wire(t)
	var p *Plain
	var err error
	a.Inside(func() error {
		p, err = OpenPlain(PlainConfig{Peer: addr("192.0.2.2")}, quiet)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Config{Name: "test"})
	link, err := h.Attach(time.Now(), p, hub.LinkConfig{Name: "site", Kind: "etherip"})
	if err != nil {
		t.Fatal(err)
	}
	other := &collector{more: make(chan []byte, 10)}
	back, err := h.Attach(time.Now(), other, hub.LinkConfig{Name: "other", Kind: "tap"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, link) }()

	far, in := open(t, b, PlainConfig{Peer: addr("192.0.2.1")})
	hello := plain(60)
	far.WriteFrames([]eth.Frame{{Data: hello}})
	select {
	case got := <-other.more:
		if !bytes.Equal(got, hello) {
			t.Fatal("the frame changed")
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("nothing came through the hub: %+v", p.Status())
	}
	reply := plain(1514)
	copy(reply, hello[6:12])
	copy(reply[6:], hello[:6])
	r := back.NewReader()
	r.Input(time.Now(), []eth.Frame{{Data: reply}})
	if got := in.wait(1); len(got) != 1 || !bytes.Equal(got[0], reply) {
		t.Fatal("the answer did not come back")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatalf("Run: %v", err)
	}
	// A port may be run again, and ends when it is closed.
	go func() { done <- p.Run(t.Context(), link) }()
	far.WriteFrames([]eth.Frame{{Data: plain(61)}})
	select {
	case <-other.more:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came after the port was run again")
	}
	p.Close()
	if err := <-done; err != nil {
		t.Fatalf("Run after Close: %v", err)
	}
	if n := p.WriteFrames([]eth.Frame{{Data: hello}}); n != 1 || p.Status().Drops[NoPath] != 1 {
		t.Fatalf("a closed port took %d: %+v", n, p.Status())
	}
	link.Detach(time.Now())
}

// collector is a port that keeps what it is sent.
type collector struct{ more chan []byte }

func (c *collector) WriteFrames(frames []eth.Frame) int {
	for i := range frames {
		c.more <- bytes.Clone(frames[i].Data)
	}
	return len(frames)
}

func TestPlainDoesNotAllocateAFrame(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are counted without the race detector only")
	}
	a, _ := wire(t)
	p, _ := open(t, a, PlainConfig{Peer: addr("192.0.2.2")})
	frames := []eth.Frame{{Data: plain(60)}, {Data: plain(1514)}}
	if n := testing.AllocsPerRun(200, func() { p.WriteFrames(frames) }); n >= 1 {
		t.Errorf("%v allocations for two frames", n)
	}
}

func TestOpenPlainRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  PlainConfig
		want string
	}{
		{"no peer", PlainConfig{}, "no peer address"},
		{"a group", PlainConfig{Peer: addr("224.0.0.1")}, "not one host's address"},
		{"everybody", PlainConfig{Peer: addr("255.255.255.255")}, "not one host's address"},
		{"two families", PlainConfig{Peer: addr("192.0.2.1"), Local: addr("::1")}, "not of one family"},
		{"a path MTU below any", PlainConfig{Peer: addr("192.0.2.1"), PathMTU: 100}, "path MTU 100 is not from 104"},
	} {
		_, err := OpenPlain(tc.cfg, quiet)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	testenv.NeedRoot(t)
	_, err := OpenPlain(PlainConfig{Config: Config{Name: "x"}, Peer: addr("192.0.2.1"), Local: addr("203.0.113.99")}, quiet)
	if err == nil || !strings.Contains(err.Error(), `etherip "x": local address 203.0.113.99`) {
		t.Errorf("a local address that is not ours: %v", err)
	}
}

func TestOpenPlainWithoutRights(t *testing.T) {
	testenv.NeedRoot(t)
	var err error
	done := make(chan struct{})
	go func() { // a thread that gives up root and ends with its goroutine
		defer close(done)
		runtime.LockOSThread()
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); e != 0 {
			err = e
			return
		}
		_, err = OpenPlain(PlainConfig{Peer: addr("192.0.2.1")}, quiet)
	}()
	<-done
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "needs root or CAP_NET_RAW") {
		t.Fatalf("%v", err)
	}
}
