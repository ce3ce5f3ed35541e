package dhcp

import (
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"vhub/eth"
	"vhub/internal/netlab"
	"vhub/internal/testenv"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// segment is a raw socket on a wire with a real DHCP server at the other end.
type segment struct {
	t   *testing.T
	fd  int
	srv *netlab.Proc
}

func newSegment(t *testing.T) *segment {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "dnsmasq")
	lab := netlab.New(t)
	server, client := lab.NS("cfserver"), lab.NS("cfclient")
	lab.Wire(server, "cf0", client, "cf1")
	server.Addr("cf0", "192.168.1.1/24")
	s := &segment{t: t, fd: socketIn(t, client.Path(), "cf1")}
	s.srv = server.Start("dnsmasq", "dnsmasq", "--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null", "--port=0",
		"--interface=cf0", "--bind-interfaces", "--dhcp-authoritative", "--no-ping", "--dhcp-range=192.168.1.100,192.168.1.110,10m",
		"--dhcp-leasefile="+filepath.Join(lab.Dir(), "leases"), "--pid-file="+filepath.Join(lab.Dir(), "pid"), "--user=root",
		"--dhcp-option=option:classless-static-route,10.0.0.0/8,192.168.1.2", "--dhcp-option=option:dns-server,192.168.1.53", "--dhcp-option=option:domain-name,home.example")
	lab.WaitFor("DHCP server", 20*time.Second, func() (bool, string) {
		out := s.srv.Output()
		return strings.Contains(out, "DHCP, sockets bound"), out
	})
	return s
}

// socketIn opens a packet socket in a network namespace.
func socketIn(t *testing.T, path, ifname string) int {
	t.Helper()
	type result struct {
		fd  int
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		ns, err := netns.GetFromPath(path)
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err != nil {
			done <- result{-1, err}
			return
		}
		proto := uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
		if err == nil {
			var ifr *unix.Ifreq
			if ifr, err = unix.NewIfreq(ifname); err == nil {
				if err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err == nil {
					err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: int(ifr.Uint32())})
				}
			}
		}
		done <- result{fd, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { unix.Close(r.fd) })
	tv := unix.NsecToTimeval(int64(20 * time.Millisecond))
	if err := unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	return r.fd
}

// run sends what out has, and takes answers at the machine's time now until ok.
func (s *segment) run(c *Client, now time.Time, out *Out, taken func(netip.Addr) bool, ok func(e Event) bool) *Lease {
	s.t.Helper()
	buf := make([]byte, 2048)
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); {
		for _, f := range out.Frames {
			if _, err := unix.Write(s.fd, f); err != nil {
				s.t.Fatal(err)
			}
		}
		out.Frames = nil
		for len(out.Events) > 0 {
			e := out.Events[0]
			out.Events = out.Events[1:]
			if ok(e) {
				return c.Lease()
			}
			if e.Kind == Check {
				c.Checked(now, taken(e.Addr), out)
			}
		}
		if ok(Event{}) {
			return c.Lease()
		}
		n, err := unix.Read(s.fd, buf)
		if err != nil {
			continue
		}
		if IsReply(buf[:n], clientMAC) {
			c.Receive(now, buf[:n], out)
		}
		s.answerARP(c, buf[:n])
	}
	s.t.Fatalf("no answer within 5 s (state %v); the server says:\n%s", c, s.srv.Output())
	return nil
}

// answerARP does what the session's virtual host does: the server's kernel asks
// for the address before it sends to it.
func (s *segment) answerARP(c *Client, b []byte) {
	l := c.Lease()
	if typ, off := eth.EtherType(b); l == nil || typ != eth.TypeARP || len(b) < off+28 || binary.BigEndian.Uint16(b[off+6:]) != eth.ARPRequest {
		return
	} else if netip.AddrFrom4([4]byte(b[off+24:])) == l.Addr() {
		unix.Write(s.fd, eth.AppendARPReply(nil, 0, eth.Source(b), clientMAC, l.Addr(), netip.AddrFrom4([4]byte(b[off+14:]))))
	}
}

func free(netip.Addr) bool { return false }

func kind(k EventKind) func(Event) bool { return func(e Event) bool { return e.Kind == k } }

// The client with dnsmasq: an address, a renewal, the same address after a
// reconnect, a conflict, the release.
func TestDnsmasq(t *testing.T) {
	s := newSegment(t)
	said := func(text string) {
		t.Helper()
		for limit := time.Now().Add(3 * time.Second); !strings.Contains(s.srv.Output(), text); {
			if time.Now().After(limit) {
				t.Fatalf("the server never said %q:\n%s", text, s.srv.Output())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	var out Out
	now := t0
	c := NewClient(ClientConfig{MAC: clientMAC, HostName: "alices-laptop"}, random(3))
	c.Start(now, &out)
	l := s.run(c, now, &out, free, kind(Assigned))
	if l.Prefix.Bits() != 24 || l.Server != serverIP || len(l.DNS) != 1 || l.Domain != "home.example" || len(l.Routes) != 1 || l.Expires != t0.Add(10*time.Minute) {
		t.Errorf("lease %+v", l)
	}
	said("alices-laptop")

	now = c.Deadline() // T1; the server's own clock has not moved, and does not mind
	c.Advance(now, &out)
	renewed := s.run(c, now, &out, free, func(Event) bool { return c.String() == "bound" && c.Lease() != l })
	if renewed.Addr() != l.Addr() || !renewed.Expires.After(l.Expires) {
		t.Errorf("renewed %+v", renewed)
	}

	last := c.Stop()
	c = NewClient(ClientConfig{MAC: clientMAC, Last: last}, random(4))
	c.Start(now, &out)
	if again := s.run(c, now, &out, free, kind(Assigned)); again.Addr() != l.Addr() {
		t.Errorf("after the reconnect %v, before %v", again, l)
	}

	c.Release(now, &out)
	s.run(c, now, &out, free, func(Event) bool { return len(out.Frames) == 0 })
	said("DHCPRELEASE(cf0) " + l.Addr().String())

	c = NewClient(ClientConfig{MAC: clientMAC}, random(5))
	c.Start(now, &out)
	var conflict netip.Addr
	s.run(c, now, &out, func(a netip.Addr) bool { conflict = a; return true }, func(Event) bool { return c.String() == "declined" && len(out.Frames) == 0 })
	said("DHCPDECLINE(cf0) " + conflict.String())
	now = c.Deadline()
	c.Advance(now, &out)
	if other := s.run(c, now, &out, free, kind(Assigned)); other.Addr() == conflict {
		t.Errorf("the declined address %v again", conflict)
	}
}
