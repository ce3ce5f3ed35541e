package dhcp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"vhub/eth"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var (
	t0        = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	clientMAC = eth.Addr{0x02, 0, 0, 0, 0, 0x11}
	serverMAC = eth.Addr{0x02, 0, 0, 0, 0, 0x67}
	serverIP  = netip.MustParseAddr("192.168.1.1")
	addrA     = netip.MustParseAddr("192.168.1.100")
	addrB     = netip.MustParseAddr("192.168.1.101")
)

// random is a seeded reader.
func random(seed uint64) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}) }

// server is a DHCP server as RFC 2131 section 4.3 has it, small: the tests bend
// its answers.
type server struct {
	next    []netip.Addr          // what it offers, in order
	has     map[string]netip.Addr // by client identifier
	life    time.Duration
	bend    func(in, answer *dhcpv4.DHCPv4) // may change an answer
	deaf    bool
	heard   []string // "DISCOVER", "REQUEST 192.168.1.100 renew", ...
	refused map[netip.Addr]bool
}

func newServer() *server {
	return &server{next: []netip.Addr{addrA, addrB, netip.MustParseAddr("192.168.1.102")}, has: map[string]netip.Addr{}, life: time.Hour, refused: map[netip.Addr]bool{}}
}

// receive takes a client's frame and returns the answer's, nil for none.
func (s *server) receive(t testing.TB, frame []byte) []byte {
	t.Helper()
	l := eth.Parse(frame)
	if l.IP != 4 || !l.ChecksumValid(frame) || !isUDPTo(frame, &l, portServer) {
		t.Fatalf("the client sent a damaged frame: %x", frame)
	}
	if eth.Sum(frame[l.Net:l.Net+20], 0) != 0xffff {
		t.Fatalf("the IPv4 checksum is wrong: %x", frame[l.Net:l.Net+20])
	}
	m, err := dhcpv4.FromBytes(frame[l.Data:l.End])
	if err != nil {
		t.Fatalf("the client sent %x: %v", frame, err)
	}
	if eth.Source(frame) != clientMAC || !bytes.Equal(m.ClientHWAddr, clientMAC[:]) || len(m.Options.Get(dhcpv4.OptionClientIdentifier)) == 0 {
		t.Fatalf("the client forgot who it is: %v", m)
	}
	to, src, dst := eth.Destination(frame), netip.AddrFrom4([4]byte(frame[l.Net+12:])), netip.AddrFrom4([4]byte(frame[l.Net+16:]))
	id := string(m.Options.Get(dhcpv4.OptionClientIdentifier))
	asked, _ := netip.AddrFromSlice(m.RequestedIPAddress().To4())
	ci, _ := netip.AddrFromSlice(m.ClientIPAddr.To4())
	forUs, _ := netip.AddrFromSlice(m.ServerIdentifier().To4())
	typ := m.MessageType()
	if unicast := to == serverMAC && dst == serverIP && src == ci && !ci.IsUnspecified(); !unicast && (to != eth.Broadcast || dst != broadcast4) {
		t.Fatalf("%v goes from %v to %v %v, ciaddr %v", typ, src, to, dst, ci)
	}
	how := ""
	answer, give := dhcpv4.MessageTypeAck, netip.Addr{}
	switch typ {
	case dhcpv4.MessageTypeDiscover:
		answer, give = dhcpv4.MessageTypeOffer, s.choose(id, asked)
		if asked.IsValid() {
			how = " " + asked.String()
		}
	case dhcpv4.MessageTypeRequest:
		switch {
		case forUs.IsValid(): // table 4: selecting
			how, give = " "+asked.String(), asked
			if forUs != serverIP || !ci.IsUnspecified() || src != any4 {
				t.Fatalf("a REQUEST for an offer: %v", m)
			}
		case asked.IsValid():
			how, give = " "+asked.String()+" reboot", asked
			if !ci.IsUnspecified() || src != any4 {
				t.Fatalf("a REQUEST after a reboot: %v", m)
			}
		case to == eth.Broadcast:
			how, give = " "+ci.String()+" rebind", ci
		default:
			how, give = " "+ci.String()+" renew", ci
		}
		if s.refused[give] || s.has[id].IsValid() && s.has[id] != give {
			answer = dhcpv4.MessageTypeNak
		} else {
			s.has[id] = give
		}
	case dhcpv4.MessageTypeDecline:
		how = " " + asked.String()
		s.refused[asked] = true
		delete(s.has, id)
	case dhcpv4.MessageTypeRelease:
		how = " " + ci.String()
		delete(s.has, id)
	}
	s.heard = append(s.heard, fmt.Sprint(typ, how))
	if s.deaf || typ == dhcpv4.MessageTypeDecline || typ == dhcpv4.MessageTypeRelease {
		return nil
	}
	return s.answer(m, answer, give)
}

func (s *server) choose(id string, asked netip.Addr) netip.Addr {
	if a := s.has[id]; a.IsValid() {
		return a
	}
	if asked.IsValid() && !s.refused[asked] && asked.Is4() {
		return asked
	}
	for _, a := range s.next {
		if !s.refused[a] {
			return a
		}
	}
	return netip.Addr{}
}

func (s *server) answer(m *dhcpv4.DHCPv4, typ dhcpv4.MessageType, give netip.Addr) []byte {
	a := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, HWType: m.HWType, TransactionID: m.TransactionID, ClientHWAddr: m.ClientHWAddr, Flags: m.Flags,
		Options: dhcpv4.OptionsFromList(dhcpv4.OptMessageType(typ), dhcpv4.OptServerIdentifier(ip(serverIP)))}
	if typ != dhcpv4.MessageTypeNak {
		a.YourIPAddr = ip(give)
		a.UpdateOption(dhcpv4.OptIPAddressLeaseTime(s.life))
		a.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
		a.UpdateOption(dhcpv4.OptRouter(net.IP(ip(serverIP))))
		a.UpdateOption(dhcpv4.OptDNS(net.IP{9, 9, 9, 9}))
		a.UpdateOption(dhcpv4.OptDomainName("home.example"))
	}
	if s.bend != nil {
		s.bend(m, a)
	}
	to, dst := clientMAC, give
	if m.IsBroadcast() || typ == dhcpv4.MessageTypeNak {
		to, dst = eth.Broadcast, broadcast4
	}
	b := eth.AppendHeader(nil, 0, to, serverMAC, eth.TypeIPv4)
	return appendIPv4UDP(b, serverIP, dst, portServer, portClient, a.ToBytes())
}

// machine is what Client and Assigner have in common.
type machine interface {
	Receive(now time.Time, frame []byte, out *Out)
	Checked(now time.Time, conflict bool, out *Out)
	Advance(now time.Time, out *Out)
	Deadline() time.Time
}

// world runs a machine with a server, and a clock that jumps to deadlines.
type world struct {
	t      testing.TB
	m      machine
	srv    *server
	now    time.Time
	taken  map[netip.Addr]bool // addresses that other stations have
	lose   func() bool         // loses a frame
	events []Event
	sent   int
}

func (w *world) do(what func(now time.Time, out *Out)) {
	var out Out
	what(w.now, &out)
	w.handle(&out)
}

func (w *world) handle(out *Out) {
	for _, f := range out.Frames {
		w.sent++
		if w.lose != nil && w.lose() {
			continue
		}
		answer := w.srv.receive(w.t, f)
		if answer == nil || w.lose != nil && w.lose() {
			continue
		}
		if !IsReply(answer, clientMAC) {
			w.t.Fatalf("IsReply does not know %x", answer)
		}
		w.do(func(now time.Time, out *Out) { w.m.Receive(now, answer, out) })
	}
	for _, e := range out.Events {
		w.events = append(w.events, e)
		if e.Kind == Check {
			w.do(func(now time.Time, out *Out) { w.m.Checked(now, w.taken[e.Addr], out) })
		}
	}
}

// until lets time pass to a moment, or to the first event of a kind.
func (w *world) until(end time.Time, kinds ...EventKind) *Event {
	w.t.Helper()
	at := 0
	for {
		for ; at < len(w.events); at++ {
			for _, k := range kinds {
				if w.events[at].Kind == k {
					return &w.events[at]
				}
			}
		}
		d := w.m.Deadline()
		if d.IsZero() || d.After(end) {
			w.now = end
			return nil
		}
		if d.Before(w.now) {
			w.t.Fatalf("the deadline %v is past %v", d, w.now)
		}
		w.now = d
		before := w.sent + len(w.events)
		w.do(w.m.Advance)
		if w.sent+len(w.events) == before && !w.m.Deadline().After(w.now) && !w.m.Deadline().IsZero() {
			w.t.Fatalf("%v: nothing was done and the deadline is still %v", w.now, w.m.Deadline())
		}
	}
}

// heard takes what the server heard since the last time.
func (w *world) heard(want ...string) {
	w.t.Helper()
	if got, want := fmt.Sprint(w.srv.heard), fmt.Sprint(want); got != want {
		w.t.Fatalf("the server heard %s, want %s", got, want)
	}
	w.srv.heard = nil
}

// said takes the events since the last time.
func (w *world) said(want ...EventKind) {
	w.t.Helper()
	var got []EventKind
	for _, e := range w.events {
		got = append(got, e.Kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Fatalf("events %v, want %v\n%+v", got, want, w.events)
	}
	w.events = nil
}
