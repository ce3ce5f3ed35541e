package dhcp

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"vhub/eth"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"pgregory.net/rapid"
)

func newWorld(t testing.TB, cfg ClientConfig) (*world, *Client) {
	cfg.MAC = clientMAC
	c := NewClient(cfg, random(1))
	return &world{t: t, m: c, srv: newServer(), now: t0, taken: map[netip.Addr]bool{}}, c
}

func TestLeaseFromDiscoverToRelease(t *testing.T) {
	w, c := newWorld(t, ClientConfig{HostName: "alice's Laptop.local"})
	hosts := ""
	w.srv.bend = func(in, _ *dhcpv4.DHCPv4) { hosts = in.HostName() }
	w.do(c.Start)
	w.heard("DISCOVER", "REQUEST 192.168.1.100")
	w.said(Check, Assigned)
	l := c.Lease()
	want := &Lease{Source: SourceDHCP, Prefix: netip.MustParsePrefix("192.168.1.100/24"), Routers: []netip.Addr{serverIP}, DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9")},
		Domain: "home.example", Server: serverIP, Since: t0, Renew: t0.Add(30 * time.Minute), Rebind: t0.Add(time.Hour / 8 * 7), Expires: t0.Add(time.Hour), serverMAC: serverMAC}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("the lease is\n%+v\nwant\n%+v", l, want)
	}
	if hosts != "alices-Laptop" {
		t.Errorf("the host name is %q", hosts)
	}

	w.until(t0.Add(29 * time.Minute))
	w.heard()
	w.until(t0.Add(31 * time.Minute))
	w.heard("REQUEST 192.168.1.100 renew")
	w.said() // only the times are new
	if got := c.Lease().Expires; got != t0.Add(90*time.Minute) || c.Lease().Since != t0 {
		t.Errorf("renewed until %v", got)
	}

	w.srv.bend = func(_, a *dhcpv4.DHCPv4) { a.UpdateOption(dhcpv4.OptDNS(net.IP{1, 1, 1, 1})) }
	w.until(t0.Add(61 * time.Minute))
	w.heard("REQUEST 192.168.1.100 renew")
	w.said(Changed)
	if c.Lease().DNS[0].String() != "1.1.1.1" {
		t.Errorf("DNS %v", c.Lease().DNS)
	}

	w.do(c.Release)
	w.heard("RELEASE 192.168.1.100")
	if c.Lease() != nil || !c.Deadline().IsZero() || c.String() != "rest" {
		t.Errorf("after the release: %v, %v", c, c.Deadline())
	}
}

func TestRenewalWithoutServer(t *testing.T) {
	w, c := newWorld(t, ClientConfig{})
	w.do(c.Start)
	w.said(Check, Assigned)
	w.srv.heard, w.srv.deaf = nil, true
	w.until(t0.Add(time.Hour/8*7 - time.Second))
	if got := strings.Join(w.srv.heard, ","); strings.Contains(got, "rebind") || strings.Count(got, "renew") < 3 || strings.Count(got, "renew") > 30 {
		t.Errorf("before T2: %s", got)
	}
	w.srv.heard = nil
	if e := w.until(t0.Add(2*time.Hour), Lost); e == nil || w.now != t0.Add(time.Hour) || !strings.Contains(e.Reason, "ran out") {
		t.Errorf("lost at %v: %+v", w.now, e)
	}
	if got := strings.Join(w.srv.heard, ","); strings.Contains(got, "renew") || strings.Count(got, "rebind") < 2 || strings.Count(got, "rebind") > 8 {
		t.Errorf("after T2: %s", got)
	}
	if c.Lease() != nil || !c.Deadline().IsZero() {
		t.Error("it goes on without a lease")
	}
}

func TestRebindAnsweredByAnother(t *testing.T) {
	w, c := newWorld(t, ClientConfig{})
	w.do(c.Start)
	w.srv.deaf = true
	w.until(t0.Add(time.Hour / 8 * 7).Add(-time.Second))
	w.srv.deaf, w.srv.heard, w.events = false, nil, nil
	w.until(t0.Add(time.Hour / 8 * 7).Add(time.Second))
	w.heard("REQUEST 192.168.1.100 rebind")
	w.said()
	if c.String() != "bound" {
		t.Errorf("state %v", c)
	}
}

func TestShortLeaseIsKept(t *testing.T) {
	w, c := newWorld(t, ClientConfig{})
	w.srv.life = 10 * time.Second
	w.do(c.Start)
	w.said(Check, Assigned)
	w.until(t0.Add(time.Minute))
	w.said()
	if c.Lease() == nil || len(w.srv.heard) > 16 {
		t.Errorf("lease %v, heard %v", c.Lease(), w.srv.heard)
	}
}

func TestLastLease(t *testing.T) {
	last := &Lease{Source: SourceDHCP, Prefix: netip.PrefixFrom(addrB, 24), Server: serverIP, Expires: t0.Add(time.Hour)}
	t.Run("asked for first", func(t *testing.T) {
		w, c := newWorld(t, ClientConfig{Last: last})
		w.do(c.Start)
		w.heard("REQUEST 192.168.1.101 reboot")
		w.said(Check, Assigned)
	})
	t.Run("refused", func(t *testing.T) {
		w, c := newWorld(t, ClientConfig{Last: last})
		w.srv.refused[addrB] = true
		w.do(c.Start)
		w.heard("REQUEST 192.168.1.101 reboot", "DISCOVER", "REQUEST 192.168.1.100")
		w.said(Check, Assigned)
	})
	t.Run("unknown to the server, which says nothing", func(t *testing.T) {
		w, c := newWorld(t, ClientConfig{Last: last})
		w.srv.deaf = true
		w.do(c.Start)
		w.until(t0.Add(1500 * time.Millisecond))
		w.srv.deaf = false
		w.until(t0.Add(8*time.Second), Assigned)
		w.heard("REQUEST 192.168.1.101 reboot", "REQUEST 192.168.1.101 reboot", "DISCOVER 192.168.1.101", "REQUEST 192.168.1.101")
	})
	t.Run("over", func(t *testing.T) {
		old := *last
		old.Expires = t0
		w, c := newWorld(t, ClientConfig{Last: &old})
		w.do(c.Start)
		w.heard("DISCOVER 192.168.1.101", "REQUEST 192.168.1.101")
	})
}

func TestWish(t *testing.T) {
	w, c := newWorld(t, ClientConfig{Want: addrB})
	w.do(c.Start)
	w.heard("DISCOVER 192.168.1.101", "REQUEST 192.168.1.101")
	if c.Lease().Addr() != addrB {
		t.Errorf("got %v", c.Lease())
	}
}

func TestConflict(t *testing.T) {
	w, c := newWorld(t, ClientConfig{})
	w.taken[addrA] = true
	w.do(c.Start)
	w.heard("DISCOVER", "REQUEST 192.168.1.100", "DECLINE 192.168.1.100")
	w.said(Check, Note)
	w.until(t0.Add(8*time.Second), Assigned)
	w.heard("DISCOVER", "REQUEST 192.168.1.101")
	if c.Lease().Addr() != addrB {
		t.Errorf("got %v", c.Lease())
	}
	// All that is offered is taken.
	w, c = newWorld(t, ClientConfig{})
	for _, a := range w.srv.next {
		w.taken[a] = true
	}
	w.do(c.Start)
	if e := w.until(t0.Add(time.Minute), Failed); e == nil || e.Reason != "the DHCP server gave 3 addresses that other stations have" {
		t.Errorf("%+v", w.events)
	}
	// A late answer of the caller changes nothing.
	w.do(func(now time.Time, out *Out) { c.Checked(now, false, out) })
	if c.Lease() != nil {
		t.Error("a lease out of nothing")
	}
}

func TestNoServer(t *testing.T) {
	w, c := newWorld(t, ClientConfig{})
	w.srv.deaf = true
	w.do(c.Start)
	e := w.until(t0.Add(time.Minute), Failed)
	if e == nil || e.Reason != "no DHCP server answered within 8s" || w.now != t0.Add(8*time.Second) {
		t.Fatalf("%v: %+v", w.now, e)
	}
	w.heard("DISCOVER", "DISCOVER", "DISCOVER", "DISCOVER")
	// And again, when there is one.
	w.srv.deaf, w.events = false, nil
	w.do(c.Start)
	w.said(Check, Assigned)
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	for name, bend := range map[string]func(in, a *dhcpv4.DHCPv4){
		"another transaction":    func(_, a *dhcpv4.DHCPv4) { a.TransactionID[0]++ },
		"another station":        func(_, a *dhcpv4.DHCPv4) { a.ClientHWAddr = net.HardwareAddr{2, 0, 0, 0, 0, 9} },
		"another identifier":     func(_, a *dhcpv4.DHCPv4) { a.UpdateOption(dhcpv4.OptClientIdentifier([]byte("x"))) },
		"a request":              func(_, a *dhcpv4.DHCPv4) { a.OpCode = dhcpv4.OpcodeBootRequest },
		"no type":                func(_, a *dhcpv4.DHCPv4) { a.Options.Del(dhcpv4.OptionDHCPMessageType) },
		"no server":              func(_, a *dhcpv4.DHCPv4) { a.Options.Del(dhcpv4.OptionServerIdentifier) },
		"no lease time":          func(_, a *dhcpv4.DHCPv4) { a.Options.Del(dhcpv4.OptionIPAddressLeaseTime) },
		"no address":             func(_, a *dhcpv4.DHCPv4) { a.YourIPAddr = nil },
		"a multicast address":    func(_, a *dhcpv4.DHCPv4) { a.YourIPAddr = net.IP{224, 0, 0, 1} },
		"loopback":               func(_, a *dhcpv4.DHCPv4) { a.YourIPAddr = net.IP{127, 0, 0, 1} },
		"the subnet's address":   func(_, a *dhcpv4.DHCPv4) { a.YourIPAddr = net.IP{192, 168, 1, 0} },
		"the subnet's broadcast": func(_, a *dhcpv4.DHCPv4) { a.YourIPAddr = net.IP{192, 168, 1, 255} },
		"a mask with holes":      func(_, a *dhcpv4.DHCPv4) { a.UpdateOption(dhcpv4.OptSubnetMask(net.IPMask{255, 0, 255, 0})) },
		"another address than asked for": func(in, a *dhcpv4.DHCPv4) {
			if a.MessageType() == dhcpv4.MessageTypeAck {
				a.YourIPAddr = net.IP{192, 168, 1, 77}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, c := newWorld(t, ClientConfig{})
			w.srv.bend = bend
			w.do(c.Start)
			if e := w.until(t0.Add(time.Minute), Assigned, Failed); e == nil || e.Kind != Failed {
				t.Errorf("%+v", w.events)
			}
			notes := 0
			for _, e := range w.events {
				if e.Kind == Note {
					notes++
				}
			}
			if notes > maxNotes {
				t.Errorf("%d notes", notes)
			}
		})
	}
}

func TestAddressTakenBack(t *testing.T) {
	for name, what := range map[string]func(s *server){
		"refused": func(s *server) { s.refused[addrA] = true },
		"another": func(s *server) {
			s.bend = func(_, a *dhcpv4.DHCPv4) { a.YourIPAddr = net.IP{192, 168, 1, 77} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, c := newWorld(t, ClientConfig{})
			w.do(c.Start)
			what(w.srv)
			w.events = nil
			if e := w.until(t0.Add(2*time.Hour), Lost); e == nil || c.Lease() != nil || len(w.events) != 1 || w.now != t0.Add(30*time.Minute) {
				t.Errorf("%v: %+v", w.now, w.events)
			}
		})
	}
}

func TestFacts(t *testing.T) {
	w, c := newWorld(t, ClientConfig{})
	w.srv.bend = func(_, a *dhcpv4.DHCPv4) {
		a.UpdateOption(dhcpv4.OptClasslessStaticRoute(
			&dhcpv4.Route{Dest: &net.IPNet{IP: net.IP{10, 0, 0, 0}, Mask: net.CIDRMask(8, 32)}, Router: net.IP{192, 168, 1, 2}},
			&dhcpv4.Route{Dest: &net.IPNet{IP: net.IP{0, 0, 0, 0}, Mask: net.CIDRMask(0, 32)}, Router: net.IP{192, 168, 1, 1}}))
		a.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{0x05, 0x78}))
		a.UpdateOption(dhcpv4.OptNTPServers(net.IP{192, 168, 1, 3}, net.IP{0, 0, 0, 0}))
		a.UpdateOption(dhcpv4.OptDomainName("home\nexample\x00"))
		a.UpdateOption(dhcpv4.OptIPAddressLeaseTime(1<<32*time.Second - time.Second))
	}
	w.do(c.Start)
	l := c.Lease()
	if l == nil || len(l.Routes) != 2 || l.Routes[0].String() != "10.0.0.0/8 via 192.168.1.2" || l.MTU != 1400 || len(l.NTP) != 1 || l.Domain != "home?example?" {
		t.Fatalf("%+v", l)
	}
	if !l.Expires.IsZero() || !c.Deadline().IsZero() {
		t.Errorf("a lease for ever ends at %v, deadline %v", l.Expires, c.Deadline())
	}
	w.srv.heard = nil
	w.do(c.Release)
	w.heard("RELEASE 192.168.1.100")
}

// On a wire that loses frames there is always an end: an address or a failure
// by the deadline, and once there is an address it stays while the server lives.
func TestLossyWire(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		loss := rapid.IntRange(0, 90).Draw(rt, "loss")
		rnd := rand.New(rand.NewPCG(seed, 1))
		w, c := newWorld(t, ClientConfig{})
		w.t = t
		w.lose = func() bool { return rnd.IntN(100) < loss }
		w.taken[addrA] = rapid.Bool().Draw(rt, "conflict")
		if rapid.Bool().Draw(rt, "has a last lease") {
			c.cfg.Last = &Lease{Prefix: netip.PrefixFrom(addrB, 24), Server: serverIP}
		}
		w.do(c.Start)
		e := w.until(t0.Add(9*time.Second), Assigned, Failed)
		if e == nil {
			rt.Fatalf("neither up nor given up after %v: %v", w.now.Sub(t0), c)
		}
		if e.Kind == Failed {
			if loss == 0 {
				rt.Fatalf("failed without loss: %s", e.Reason)
			}
			return
		}
		if w.taken[e.Lease.Addr()] {
			rt.Fatal("it took an address that another has")
		}
		w.events = nil
		lost := w.until(t0.Add(24*time.Hour), Lost)
		if loss < 20 && lost != nil {
			rt.Fatalf("lost at %v: %s", w.now, lost.Reason)
		}
		if lost == nil && (c.Lease() == nil || !w.now.Before(c.Lease().Expires)) {
			rt.Fatal("it uses an address that is over")
		}
	})
}

func TestIsReply(t *testing.T) {
	reply := appendIPv4UDP(eth.AppendHeader(nil, 5, clientMAC, serverMAC, eth.TypeIPv4), serverIP, addrA, 67, 68, make([]byte, 300))
	if !IsReply(reply, clientMAC) || IsReply(reply, serverMAC) || IsReply(reply[:40], clientMAC) || IsReply(nil, clientMAC) {
		t.Error("a reply in a VLAN")
	}
	other := appendIPv4UDP(eth.AppendHeader(nil, 0, clientMAC, serverMAC, eth.TypeIPv4), serverIP, addrA, 67, 69, make([]byte, 300))
	if IsReply(other, clientMAC) {
		t.Error("another port")
	}
	if n := testing.AllocsPerRun(100, func() { IsReply(reply, clientMAC) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzClient(f *testing.F) {
	w, c := newWorld(f, ClientConfig{})
	w.srv.bend = func(_, a *dhcpv4.DHCPv4) {
		f.Add(uint8(selecting), append(appendIPv4UDP(eth.AppendHeader(nil, 0, clientMAC, serverMAC, eth.TypeIPv4), serverIP, addrA, 67, 68, a.ToBytes()), 0))
		f.Add(uint8(renewing), appendIPv4UDP(eth.AppendHeader(nil, 7, clientMAC, serverMAC, eth.TypeIPv4), serverIP, addrA, 67, 68, a.ToBytes()))
	}
	w.do(c.Start)
	xid := c.xid
	f.Fuzz(func(t *testing.T, st uint8, frame []byte) {
		c := NewClient(ClientConfig{MAC: clientMAC}, random(1))
		var out Out
		c.Start(t0, &out)
		c.state, c.xid = state(st)%(rebinding+1), xid
		good := &Lease{Prefix: netip.PrefixFrom(addrA, 24), Server: serverIP, Since: t0, Renew: t0.Add(1), Rebind: t0.Add(2), Expires: t0.Add(3), serverMAC: serverMAC}
		c.cfg.Last, c.offer, c.lease = good, good, nil
		if c.state >= bound {
			c.lease = good
		}
		now := t0
		for range 20 {
			c.Receive(now, frame, &out)
			for _, e := range out.Events {
				if e.Kind == Check {
					c.Checked(now, len(frame)%2 == 0, &out)
				}
				if strings.ContainsAny(e.Reason, "\n\x00") {
					t.Fatalf("event %q", e.Reason)
				}
			}
			if l := c.Lease(); l != nil && (!l.Addr().Is4() || l.Addr().IsUnspecified() || !l.Server.IsValid()) {
				t.Fatalf("lease %+v", l)
			}
			out.Reset()
			if d := c.Deadline(); d.After(now) {
				now = d
			}
			c.Advance(now, &out)
		}
		if len(out.Frames) > 8 {
			t.Fatal("a frame makes many")
		}
	})
}
