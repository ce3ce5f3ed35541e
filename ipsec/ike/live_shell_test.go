package ike

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/internal/packet"
	"vhub/ipsec/esp"
)

// shell drives an Endpoint with real sockets in a namespace, and has a small ESP data path.
type shell struct {
	t     *testing.T
	mu    sync.Mutex
	e     *Endpoint
	out   Out
	local netip.Addr
	udp   [2]*net.UDPConn // 500, 4500
	raw   *net.IPConn
	wake  chan struct{}
	seen  []Event
	begun time.Time
	when  []time.Time
	heard map[uint32]time.Time
	in    map[uint32]*esp.Inbound
	kids  map[uint32]*Child
	send  *Child
	then  func() // switches to the child that waits for the peer to have it
	seal  *esp.Outbound
	pong  map[uint16]bool
	done  chan struct{}
	rec   []string // "in HEX", "out HEX": the IKE messages, without markers
}

func startShell(t *testing.T, ns *netlab.NS, addr string, cfg Config) *shell {
	s := &shell{t: t, begun: time.Now(), heard: map[uint32]time.Time{}, local: netip.MustParseAddr(addr), wake: make(chan struct{}, 1), in: map[uint32]*esp.Inbound{},
		kids: map[uint32]*Child{}, pong: map[uint16]bool{}, done: make(chan struct{})}
	cfg.Rand = rand.Reader
	cfg.LastInbound = func(spi uint32) time.Time { return s.heard[spi] }
	var err error
	if s.e, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ns.Inside(func() error {
		for i, port := range []uint16{500, 4500} {
			if s.udp[i], err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.local, port))); err != nil {
				t.Error(err)
			}
		}
		if s.raw, err = net.ListenIP("ip4:50", &net.IPAddr{IP: s.local.AsSlice()}); err != nil {
			t.Error(err)
		}
		return nil
	})
	if t.Failed() {
		t.FailNow()
	}
	go s.readUDP(0)
	go s.readUDP(1)
	go s.readRaw()
	go s.timer()
	t.Cleanup(func() {
		close(s.done)
		s.udp[0].Close()
		s.udp[1].Close()
		s.raw.Close()
	})
	return s
}

func (s *shell) readUDP(i int) {
	buf := make([]byte, 65536)
	for {
		n, from, err := s.udp[i].ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		b := buf[:n]
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if i == 1 && n > 4 && binary.BigEndian.Uint32(b) != 0 {
			s.esp(b)
			continue
		}
		s.do(func(now time.Time) {
			s.record("in", i == 1, b)
			_ = s.e.Receive(now, Packet{Local: netip.AddrPortFrom(s.local, [2]uint16{500, 4500}[i]), Remote: from, NATT: i == 1, Data: b}, &s.out)
		})
	}
}

func (s *shell) readRaw() {
	buf := make([]byte, 65536)
	for {
		n, _, err := s.raw.ReadFrom(buf)
		if err != nil {
			return
		}
		s.esp(buf[:n])
	}
}

// esp takes an ESP packet: an ICMP echo answer is noted.
func (s *shell) esp(b []byte) {
	s.mu.Lock()
	spi := binary.BigEndian.Uint32(b)
	in := s.in[spi]
	s.mu.Unlock()
	if in == nil {
		return
	}
	payload, next, err := in.Open(append([]byte(nil), b...))
	if err != nil {
		s.t.Errorf("ESP from the kernel: %v", err)
		return
	}
	if next == 4 && len(payload) > 20 {
		next, payload = payload[9], payload[20:]
	}
	s.do(func(now time.Time) {
		s.heard[spi] = now
		s.e.InboundUsed(now, spi, &s.out)
		if next == 1 && len(payload) >= 8 && payload[0] == 0 {
			s.pong[binary.BigEndian.Uint16(payload[6:])] = true
		}
	})
}

// ping sends an ICMP echo request in ESP.
func (s *shell) ping(seq uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seal == nil {
		return
	}
	icmp := []byte{8, 0, 0, 0, 0, 9, byte(seq >> 8), byte(seq), 'v', 'h', 'u', 'b'}
	sum := uint32(0)
	for i := 0; i < len(icmp); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(icmp[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(icmp[2:], ^uint16(sum))
	buf := make([]byte, 256)
	copy(buf[100:], icmp)
	p := packet.Packet{Buf: buf, Off: 100, End: 100 + len(icmp)}
	if err := s.seal.Seal(&p, 1); err != nil {
		s.t.Errorf("seal: %v", err)
		return
	}
	sealed := p.Buf[p.Off:p.End]
	var err error
	if s.send.UDP {
		_, err = s.udp[1].WriteToUDPAddrPort(sealed, s.send.Remote)
	} else {
		_, err = s.raw.WriteTo(sealed, &net.IPAddr{IP: s.send.Remote.Addr().AsSlice()})
	}
	if err != nil {
		s.t.Logf("send ESP: %v", err)
	}
}

// do runs f on the machine and carries out what it says.
func (s *shell) do(f func(now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(time.Now())
	for _, ev := range s.out.Events {
		s.seen = append(s.seen, ev)
		s.when = append(s.when, epoch.Add(time.Since(s.begun)))
		switch ev := ev.(type) {
		case ChildInstalled:
			in, err := esp.NewInbound(esp.Config{SPI: ev.Child.In.SPI, Suite: ev.Child.Suite, Keys: ev.Child.In.Keys, Mode: ev.Child.Mode, ESN: ev.Child.ESN})
			if err != nil {
				s.t.Error(err)
			}
			s.in[ev.Child.In.SPI], s.kids[ev.Child.In.SPI] = in, ev.Child
		case ChildUsable:
			out, err := esp.NewOutbound(esp.Config{SPI: ev.Child.Out.SPI, Suite: ev.Child.Suite, Keys: ev.Child.Out.Keys, Mode: ev.Child.Mode,
				ESN: ev.Child.ESN, Rand: rand.Reader, InnerSrc: netip.MustParseAddr("10.8.0.1"), InnerDst: netip.MustParseAddr("10.8.0.2")})
			if err != nil {
				s.t.Error(err)
			}
			if s.send != nil && s.send == ev.Replaces && ev.Child.Initiator { // see doc.go
				s.then = func() { s.send, s.seal, s.then = ev.Child, out, nil }
				time.AfterFunc(300*time.Millisecond, func() {
					s.do(func(time.Time) {
						if s.then != nil {
							s.then()
						}
					})
				})
				continue
			}
			s.send, s.seal = ev.Child, out
		case ChildDown:
			delete(s.in, ev.Child.In.SPI)
			delete(s.kids, ev.Child.In.SPI)
			if s.send == ev.Child {
				s.send, s.seal = nil, nil
				if s.then != nil {
					s.then()
				}
			}
		}
	}
	for _, p := range s.out.Packets {
		conn := s.udp[0]
		if p.NATT {
			conn = s.udp[1]
		}
		s.record("out", p.NATT, p.Data)
		if _, err := conn.WriteToUDPAddrPort(p.Data, p.Remote); err != nil {
			s.t.Logf("send IKE to %s: %v", p.Remote, err)
		}
	}
	s.out.Reset()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *shell) record(dir string, natt bool, b []byte) {
	if natt {
		b = b[min(len(b), markerLen):]
	}
	s.rec = append(s.rec, fmt.Sprintf("%s %x", dir, b))
}

func (s *shell) timer() {
	for {
		s.mu.Lock()
		next := s.e.Deadline()
		s.mu.Unlock()
		wait := time.Hour
		if !next.IsZero() {
			wait = time.Until(next)
		}
		t := time.NewTimer(max(0, wait))
		select {
		case <-s.done:
			t.Stop()
			return
		case <-s.wake:
		case <-t.C:
			s.do(func(now time.Time) { s.e.Advance(now, &s.out) })
		}
		t.Stop()
	}
}

func (s *shell) get(f func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

func (s *shell) story() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := side{name: "vhub", events: s.seen, when: s.when}
	return x.log() + fmt.Sprintf("%+v\n", s.e.Counters())
}
