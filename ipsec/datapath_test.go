package ipsec

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"vhub/internal/packet"
	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// captured is a Network whose sockets keep what is sent.
type captured struct {
	fakeHost
	sent [][]byte
	keep bool
}

type capturedSocket struct {
	fakeSocket
	net *captured
}

func (c *captured) Listen(kind Kind, local netip.AddrPort, _ int, _ bool) ([]Socket, error) {
	if local.Addr().Is6() {
		return nil, ErrNoFamily
	}
	return []Socket{&capturedSocket{net: c}}, nil
}

func (s *capturedSocket) Send(_ netip.AddrPort, _ netip.Addr, _ int, packets []packet.Packet) (int, error) {
	if s.net.keep {
		for i := range packets {
			s.net.sent = append(s.net.sent, bytes.Clone(packets[i].Payload()))
		}
	}
	return len(packets), nil
}

func (s *capturedSocket) Close() error { return nil }

// bench is an engine with one tunnel whose SA is its own peer: what it seals, it opens.
type bench struct {
	net    *captured
	engine *Engine
	tunnel *Tunnel
	reader *reader
	got    int
	bytes  int
	last   []byte
	child  *ike.Child
}

func newBench(t testing.TB, suite esp.Suite, mode esp.Mode, change func(*PeerConfig)) *bench {
	t.Helper()
	b := &bench{net: &captured{fakeHost: *newWorld(1).host("192.0.2.1"), keep: true}}
	e, err := New(Config{Network: b.net})
	if err != nil {
		t.Fatal(err)
	}
	cfg := PeerConfig{Name: "loop", Key: []byte("k"), NewReceiver: func() Receiver {
		return func(_ time.Time, payloads [][]byte) {
			b.got += len(payloads)
			for _, p := range payloads {
				b.bytes += len(p)
				b.last = p
			}
		}
	}}
	if change != nil {
		change(&cfg)
	}
	b.engine = e
	if b.tunnel, err = e.AddPeer(cfg); err != nil {
		t.Fatal(err)
	}
	keys, err := suite.SplitKeymat(bytes.Repeat([]byte{7}, suite.KeymatLen()))
	if err != nil {
		t.Fatal(err)
	}
	ends := netip.MustParseAddrPort("192.0.2.1:4500")
	b.child = &ike.Child{Session: 1, In: ike.SA{SPI: 0x1001, Keys: keys}, Out: ike.SA{SPI: 0x1001, Keys: keys},
		Suite: suite, Mode: mode, UDP: true, Local: ends, Remote: ends, Born: time.Now()}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handle(now, ike.Established{Session: 1, Peer: e.peers["loop"].ike, Local: ends, Remote: ends})
	e.handle(now, ike.ChildInstalled{Child: b.child})
	e.handle(now, ike.ChildUsable{Child: b.child})
	for _, r := range e.readers {
		if r.kind == NATT {
			b.reader = r
		}
	}
	return b
}

// receive is what the reader does with one read.
func (b *bench) receive(data []byte, segment int) {
	b.reader.now = time.Now()
	d := Datagram{Data: data, Segment: segment, Remote: b.child.Remote, Local: b.child.Local.Addr()}
	b.reader.datagram(&d)
	b.reader.flush()
}

var gcm128 = esp.Suite{Cipher: esp.AESGCM16, KeyBits: 128}

func TestCoalescedRead(t *testing.T) {
	b := newBench(t, gcm128, esp.Transport, nil)
	send(b.tunnel, "first", "equal", "thirt", "x")
	whole := bytes.Join(b.net.sent, nil)
	b.receive(whole, len(b.net.sent[0]))
	if b.got != 4 || string(b.last) != "x" {
		t.Errorf("%d payloads, the last %q", b.got, b.last)
	}
	b.receive(whole, len(b.net.sent[0]))
	if st := b.tunnel.Status(); b.got != 4 && st.Drops.Replay != 4 {
		t.Errorf("replayed: %d payloads, %+v", b.got, st.Drops)
	}
}

func TestInnerFragments(t *testing.T) {
	b := newBench(t, gcm128, esp.Tunnel, nil)
	payload := bytes.Repeat([]byte("EtherIP!"), 250)
	out := b.tunnel.active.Load().out.Load()
	// Two fragments, as a router with "pre-fragment" makes them.
	send := func(offset int, more bool, piece []byte) {
		h := make([]byte, 20, 20+len(piece))
		h[0], h[8], h[9] = 0x45, 64, 97
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(piece)))
		binary.BigEndian.PutUint16(h[4:], 4711)
		field := uint16(offset / 8)
		if more {
			field |= 0x2000
		}
		binary.BigEndian.PutUint16(h[6:], field)
		copy(h[12:], []byte{192, 0, 2, 1, 192, 0, 2, 1})
		sum := sumWords(0, h)
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(h[10:], ^uint16(sum))
		// The outbound would put a header of its own before it: seal as the peer's transport.
		raw, err := esp.NewOutbound(esp.Config{SPI: 0x1001, Suite: gcm128, Keys: b.child.In.Keys})
		if err != nil {
			t.Fatal(err)
		}
		p := packetOf(append(h, piece...))
		for range offset/8 + 1 { // skip sequence numbers already used
			q := packetOf(nil)
			_ = raw.Seal(&q, 0)
		}
		if err := raw.Seal(&p, esp.ProtoIPv4); err != nil {
			t.Fatal(err)
		}
		b.receive(p.Payload(), 0)
	}
	send(0, true, payload[:1200])
	if b.got != 0 {
		t.Fatal("a piece was delivered")
	}
	send(1200, false, payload[1200:])
	if b.got != 1 || !bytes.Equal(b.last, payload) {
		t.Errorf("%d payloads, %d bytes; drops %+v", b.got, len(b.last), b.tunnel.Status().Drops)
	}
	_ = out
}

func TestOtherProtocolInside(t *testing.T) {
	b := newBench(t, gcm128, esp.Transport, nil)
	out := b.tunnel.active.Load().out.Load()
	p := packetOf([]byte("an ICMP packet that has no business here"))
	if err := out.sa.Seal(&p, 1); err != nil {
		t.Fatal(err)
	}
	b.receive(p.Payload(), 0)
	q := packetOf([]byte("a dummy packet"))
	if err := out.sa.Seal(&q, esp.ProtoNone); err != nil {
		t.Fatal(err)
	}
	b.receive(q.Payload(), 0)
	if st := b.tunnel.Status(); b.got != 0 || st.Drops.Protocol != 1 {
		t.Errorf("%d payloads, %+v", b.got, st.Drops)
	}
}

func TestUnknownSPIIsSilent(t *testing.T) {
	b := newBench(t, gcm128, esp.Transport, nil)
	b.net.sent = nil
	pkt := bytes.Repeat([]byte{0xee}, 100)
	for range 1000 {
		b.receive(pkt, 0)
	}
	if n := b.engine.Status().Unknown; n != 1000 {
		t.Errorf("%d counted, want 1000", n)
	}
	if len(b.net.sent) != 0 {
		t.Errorf("%d packets were sent in answer", len(b.net.sent))
	}
	if n := len(b.engine.notes); n > 3 {
		t.Errorf("%d notes for the log", n)
	}
}

// Frames through both halves of the data path cost no allocation.
func TestDataPathAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED: under the race detector a sync.Pool forgets on purpose")
	}
	for _, c := range []struct {
		suite esp.Suite
		mode  esp.Mode
		proto uint8
	}{
		{gcm128, esp.Transport, 0},
		{gcm128, esp.Tunnel, 0},
		{esp.Suite{Cipher: esp.AESCBC, KeyBits: 128, Auth: esp.HMACSHA1}, esp.Transport, esp.ProtoUDP},
	} {
		b := newBench(t, c.suite, c.mode, func(p *PeerConfig) { p.Protocol = c.proto })
		var list []packet.Packet
		for range 32 {
			list = append(list, packetOf(make([]byte, 1400)))
		}
		b.net.keep = false
		whole := make([]byte, 0, 64<<10)
		run := func() {
			for i := range list {
				list[i].Off, list[i].End = packet.Headroom, packet.Headroom+1400
			}
			if b.tunnel.Send(list) != len(list) {
				t.Fatal("not taken")
			}
			whole = whole[:0]
			for i := range list {
				whole = append(whole, list[i].Payload()...)
			}
			b.receive(whole, len(list[0].Payload()))
		}
		if n := testing.AllocsPerRun(200, run); n >= 1 {
			t.Errorf("%s %s: %v allocations for 32 frames out and in", c.suite, c.mode, n)
		}
		if b.got != 201*32 {
			t.Errorf("%d frames came, want %d: %+v", b.got, 201*32, b.tunnel.Status().Drops)
		}
	}
}

// A large batch sealed by several goroutines arrives in order, as one by one.
// Packets of one size fill messages as far as a datagram goes, whatever the batch.
func TestMessagesAreFilled(t *testing.T) {
	const size = 1472
	packets := make([]packet.Packet, sendPackets+40)
	for i := range packets {
		packets[i] = packetOf(make([]byte, size))
	}
	packets[100] = packetOf(make([]byte, 500))
	for _, c := range []struct {
		segment bool
		want    []int
	}{
		{true, []int{44, 44, 13, 44, 44, 44, 23}}, // the short packet ends the third
		{false, slices.Repeat([]int{1}, sendMessages)},
	} {
		r := new(socket).ring()
		r.fill(packets, netip.Addr{}, 0, c.segment)
		if got := r.packets[:r.count]; !slices.Equal(got, c.want) {
			t.Errorf("segmentation %v: messages of %v packets, want %v", c.segment, got, c.want)
		}
	}
}

func TestSpreadKeepsOrder(t *testing.T) {
	for _, suite := range []esp.Suite{gcm128, {Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACSHA1}} {
		b := newBench(t, suite, esp.Transport, nil)
		b.engine.sealers = newSealers(3)
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			go b.engine.sealers.run(ctx)
		}
		const n = 200
		for round := range 20 {
			b.net.sent = nil
			var list []packet.Packet
			for i := range n {
				list = append(list, packetOf([]byte(fmt.Sprintf("%d/%d", round, i))))
			}
			if b.tunnel.Send(list) != n {
				t.Fatal("not taken")
			}
			for i, wire := range b.net.sent {
				if got, want := binary.BigEndian.Uint32(wire[4:]), uint32(round*n+i+1); got != want {
					t.Fatalf("packet %d has number %d, want %d", i, got, want)
				}
				b.receive(wire, 0)
				if got, want := string(b.last), fmt.Sprintf("%d/%d", round, i); got != want {
					t.Fatalf("payload %q, want %q", got, want)
				}
			}
		}
		if b.got != 20*n {
			t.Errorf("%d payloads, want %d", b.got, 20*n)
		}
		cancel()
	}
}

// FuzzReader: any datagram on UDP 4500, coalesced or not. Nothing that was not
// sealed is delivered.
func FuzzReader(f *testing.F) {
	b := newBench(f, gcm128, esp.Transport, nil)
	send(b.tunnel, "seed")
	f.Add(b.net.sent[0], 0)
	f.Add(b.net.sent[0], 8)
	f.Add([]byte{0xff}, 0)
	f.Add([]byte{0, 0, 0, 0, 1, 2, 3}, 0)
	f.Add(bytes.Repeat([]byte{0, 0, 0x10, 1}, 20), 16)
	good := string(b.net.sent[0])
	f.Fuzz(func(t *testing.T, data []byte, segment int) {
		before := b.got
		seed := bytes.Contains(data, []byte(good))
		b.receive(data, segment)
		if b.got != before && !seed {
			t.Fatalf("delivered %q", b.last)
		}
		for len(b.engine.packets) > 0 {
			<-b.engine.packets
		}
		for len(b.engine.notes) > 0 {
			<-b.engine.notes
		}
	})
}

func BenchmarkUnknownSPI(b *testing.B) {
	n := newBench(b, gcm128, esp.Transport, nil)
	pkt := bytes.Repeat([]byte{0xee}, 100)
	d := Datagram{Data: pkt, Remote: n.child.Remote, Local: n.child.Local.Addr()}
	n.reader.now = time.Now()
	b.ReportAllocs()
	for range b.N {
		n.reader.datagram(&d)
	}
}

// BenchmarkTunnel sends batches over real UDP sockets of one namespace pair.
func BenchmarkTunnel(b *testing.B) {
	for _, suite := range []esp.Suite{gcm128, {Cipher: esp.AESCBC, KeyBits: 128, Auth: esp.HMACSHA1}} {
		for _, offload := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/offload=%v", suite, offload), func(b *testing.B) {
				p := newLabPair(b, false, false, func(c *PeerConfig) {
					c.ForceNATT, c.ESP = true, []esp.Suite{suite}
				}, func(c *Config) { c.NoOffload = !offload })
				p.b.counting.Store(true)
				size := p.at.PathMTU()
				var list []packet.Packet
				for range 44 {
					list = append(list, packetOf(make([]byte, size)))
				}
				b.SetBytes(int64(size))
				b.ResetTimer()
				for n := 0; n < b.N; n += len(list) {
					for i := range list {
						list[i].Off, list[i].End = packet.Headroom, packet.Headroom+size
					}
					if got := p.at.Send(list); got != len(list) {
						time.Sleep(time.Millisecond)
					}
				}
				b.StopTimer()
				time.Sleep(50 * time.Millisecond)
				b.ReportMetric(float64(p.b.counted.Load())/float64(p.at.Status().Out.Packets), "delivered")
			})
		}
	}
}
