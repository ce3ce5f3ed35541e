package ike

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"vhub/ipsec/esp"
)

// message1 is message 1 of main mode, with as many vendor ids as asked for.
func message1(suites []Suite, vendors int, cookie uint64) []byte {
	var c cookies
	binary.BigEndian.PutUint64(c.i[:], cookie|1)
	b := newMessage(c, ExchangeMain, 0, 0)
	b.add(PayloadSA, offerSA1(suites, time.Hour))
	for _, v := range [][]byte{vidRFC3947, vidDraft02n, vidDPD, vidDraft03, vidDraft02}[:vendors] {
		b.add(PayloadVendor, v)
	}
	return b.finish()[markerLen:]
}

func aggressive1Message(id ID, vendors int, g Group, h Hash) []byte {
	dh, _ := newExchange(g, seeded(5))
	b := newMessage(cookies{i: [8]byte{1, 2, 3}}, ExchangeAggressive, 0, 0)
	b.add(PayloadSA, offerSA1([]Suite{{AES, 256, h, g}}, time.Hour))
	b.add(PayloadKE, dh.public)
	b.add(PayloadNonce, bytes.Repeat([]byte{7}, 16))
	b.add(PayloadID, appendID(nil, id))
	for _, v := range [][]byte{vidRFC3947, vidDPD, vidDraft02n}[:vendors] {
		b.add(PayloadVendor, v)
	}
	return b.finish()[markerLen:]
}

// windowsSuites is what Windows offers.
var windowsSuites = []Suite{{AES, 256, SHA1, ECP384}, {AES, 128, SHA1, ECP256}, {AES, 256, SHA1, MODP2048}, {TripleDES, 0, SHA1, MODP2048}, {TripleDES, 0, SHA1, MODP1024}}

// TestNoAmplification: whatever a stranger sends, and however often, he gets no more bytes than he
// sent, and nothing at all later.
func TestNoAmplification(t *testing.T) {
	named := answerer(aggressive)
	notify := newMessage(cookies{i: [8]byte{9}}, ExchangeInformational, 0, 0)
	notify.add(PayloadNotify, notification{protocol: protoISAKMP, kind: NotifyNoProposalChosen}.append(nil))
	quick := newMessage(cookies{i: [8]byte{9}, r: [8]byte{8}}, ExchangeQuick, FlagEncrypted, 77)
	quick.buf = append(quick.buf, make([]byte, 64)...)
	main3 := newMessage(cookies{i: [8]byte{9}, r: [8]byte{8}}, ExchangeMain, 0, 0)
	main3.add(PayloadKE, make([]byte, 256))
	inputs := map[string][]byte{
		"message 1, Windows' offer":      message1(windowsSuites, 3, 1),
		"message 1, one suite, no VID":   message1(quickSuites, 0, 2),
		"message 1, one VID":             message1(quickSuites, 1, 3),
		"message 1, draft-02 only":       message1(quickSuites, 2, 4),
		"message 1, nothing acceptable":  message1([]Suite{{TripleDES, 0, MD5, MODP1024}}, 0, 5),
		"aggressive, known identity":     aggressive1Message(named.RemoteID, 2, MODP2048, SHA256),
		"aggressive, no VID, SHA-512":    aggressive1Message(named.RemoteID, 0, ECP256, SHA512),
		"aggressive, many VIDs":          aggressive1Message(named.RemoteID, 3, MODP2048, SHA1),
		"aggressive, unknown identity":   aggressive1Message(ID{IDFQDN, "who"}, 3, MODP2048, SHA1),
		"aggressive, nothing acceptable": aggressive1Message(named.RemoteID, 3, MODP1024, MD5),
		"random cookies, main mode":      main3.finish()[markerLen:],
		"random cookies, quick mode":     quick.finish()[markerLen:],
		"unprotected notify":             notify.finish()[markerLen:],
		"header only":                    newMessage(cookies{i: [8]byte{1}}, ExchangeMain, 0, 0).finish()[markerLen:],
		"header only, base exchange":     newMessage(cookies{i: [8]byte{1}}, 1, 0, 0).finish()[markerLen:],
		"IKEv2":                          {1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 33, 0x20, 34, 8, 0, 0, 0, 0, 0, 0, 0, 28},
		"one byte":                       {0},
		"nothing":                        {},
	}
	for name, in := range inputs {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, 1)
			y := w.add("y", "198.51.100.1", Config{Peers: []*Peer{named, {Name: "road", Key: psk}}})
			received, sent := 0, 0
			for i := range 20 {
				received += len(in)
				p := Packet{Local: netip.MustParseAddrPort("198.51.100.1:500"), Remote: netip.MustParseAddrPort("203.0.113.66:500"), Data: bytes.Clone(in)}
				_ = y.e.Receive(w.now, p, &y.out)
				w.flush(y)
				sent = y.out1
				if sent > received {
					t.Fatalf("%d bytes sent for %d received, after %d packets", sent, received, i+1)
				}
				w.run(3*time.Second, nil)
			}
			before := y.out1
			w.run(5*time.Minute, nil)
			if y.out1 != before {
				t.Errorf("%d bytes sent without being asked", y.out1-before)
			}
			if len(y.e.sessions)+len(y.e.half.entries)+len(y.e.timers) != 0 {
				t.Errorf("something is left: %d sessions, %d half-open", len(y.e.sessions), len(y.e.half.entries))
			}
			t.Logf("%d bytes in, %d out: %.2f", received, sent, float64(sent)/float64(max(1, received)))
		})
	}
}

// A flood of messages 1 from spoofed addresses: no computing, bounded memory, few events; and
// an honest peer gets through in the midst of it.
func TestHalfOpenFlood(t *testing.T) {
	a, d := answerer(cheap()), dialler(cheap())
	w, x, y := pair(t, 1, d, a)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	flood := func(count int) {
		for range count {
			n++
			remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}), 500)
			_ = y.e.Receive(w.now, Packet{Local: netip.AddrPortFrom(y.ip, 500), Remote: remote, Data: message1(windowsSuites[:2], 4, uint64(n)<<8)}, &y.out)
			_ = y.e.Receive(w.now, Packet{Local: netip.AddrPortFrom(y.ip, 500), Remote: remote, Data: message1(quickSuites, 4, uint64(n)<<8|4)}, &y.out)
			if len(y.out.Events) > 100 {
				t.Fatalf("%d events", len(y.out.Events))
			}
			y.out.Packets = y.out.Packets[:0]
		}
	}
	flood(30000)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if dh := y.e.Counters().DH; dh != 0 {
		t.Errorf("%d Diffie-Hellman computations for strangers", dh)
	}
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d messages 1: %d half-open, heap grew by %d KiB", 2*n, y.e.Counters().HalfOpen, grown>>10)
	if grown > 32<<20 || y.e.Counters().HalfOpen > halfOpenEntries {
		t.Errorf("heap grew by %d bytes, %d half-open", grown, y.e.Counters().HalfOpen)
	}
	x.dial(w, d, "198.51.100.1:500")
	for !bothUp(x, y) {
		if w.now.Sub(epoch) > 2*time.Second {
			t.Fatalf("an honest peer does not get through:\n%s%s", x.log(), y.log())
		}
		flood(100) // 10000 packets a second
		w.run(10*time.Millisecond, nil)
	}
	t.Logf("honest peer up after %s", w.now.Sub(epoch))
}

// Message 3 costs a computation: a source has a budget.
func TestDiffieHellmanBudget(t *testing.T) {
	w := newWire(t, 1)
	y := w.add("y", "198.51.100.1", Config{Peers: []*Peer{answerer(cheap())}, DHPerSource: 10, DHBurst: 30})
	for i := range 500 {
		from := Packet{Local: netip.AddrPortFrom(y.ip, 500), Remote: netip.AddrPortFrom(mustAddr("203.0.113.5"), uint16(1000+i))}
		from.Data = message1(quickSuites, 2, uint64(i+1)<<8)
		_ = y.e.Receive(w.now, from, &y.out)
		if len(y.out.Packets) == 0 {
			t.Fatal("message 1 is not answered")
		}
		h, _, _ := parseHeader(y.out.Packets[len(y.out.Packets)-1].Data)
		b := newMessage(h.cookies, ExchangeMain, 0, 0)
		dh, _ := newExchange(ECP256, seeded(uint64(i)))
		b.add(PayloadKE, dh.public)
		b.add(PayloadNonce, make([]byte, 16))
		from.Data = b.finish()[markerLen:]
		_ = y.e.Receive(w.now, from, &y.out)
		y.out.Reset()
	}
	if n := y.e.Counters().DH; n != 30 {
		t.Errorf("%d computations", n)
	}
}

// Nothing a stranger puts into an encrypted packet harms: here each of a whole life is
// changed at random, or cut, and comes before the true one.
func TestForgedPacketsHarmNothing(t *testing.T) {
	for seed := range uint64(20) {
		d, a := dialler(cheap(shortLives)), answerer(cheap(shortLives))
		w, x, y := pair(t, seed, d, a)
		rnd := rand.New(rand.NewPCG(seed, 2))
		w.tap = func(from *side, p Packet) {
			to := y
			if from == y {
				to = x
			}
			plain := p.Data
			if p.NATT && len(plain) > markerLen {
				plain = plain[markerLen:]
			}
			if h, _, err := parseHeader(plain); err != nil || h.flags&FlagEncrypted == 0 {
				return
			}
			for range 3 {
				bad := bytes.Clone(p.Data)
				if rnd.IntN(4) == 0 {
					bad = bad[:rnd.IntN(len(bad)+1)]
				} else {
					// The header's flags and the padding in the last block are not protected
					// (RFC 2409 5): who sits on the line can break a negotiation. All else is.
					first := len(bad) - len(plain) + headerLen
					for range 1 + rnd.IntN(3) {
						bad[first+rnd.IntN(len(bad)-16-first)] ^= byte(1 + rnd.IntN(255))
					}
				}
				var out Out
				if bytes.Equal(bad, p.Data) {
					continue
				}
				_ = to.e.Receive(w.now, Packet{Local: p.Remote, Remote: p.Local, NATT: p.NATT, Data: bad}, &out)
				for _, ev := range out.Events {
					switch ev := ev.(type) {
					case Failed:
					default:
						t.Errorf("seed %d: a forged packet makes %T", seed, ev)
					}
				}
			}
		}
		w.up(x, y, d)
		if lost := w.traffic(x, y, 6*time.Minute); lost != 0 {
			t.Errorf("seed %d: %d frames lost:\n%s%s", seed, lost, x.log(), y.log())
		}
	}
}

// The same message again, for ever: replays do nothing.
func TestReplays(t *testing.T) {
	d, a := dialler(cheap(shortLives)), answerer(cheap(shortLives))
	w, x, y := pair(t, 1, d, a)
	var all []Packet
	w.tap = func(from *side, p Packet) {
		if from == x {
			p.Local, p.Remote = p.Remote, p.Local
			p.Data = bytes.Clone(p.Data)
			all = append(all, p)
		}
	}
	w.up(x, y, d)
	w.traffic(x, y, 10*time.Minute)
	var out Out
	sessions, children := len(y.e.sessions), len(y.in)
	for range 3 {
		for _, p := range all {
			_ = y.e.Receive(w.now, p, &out)
			for _, ev := range out.Events {
				t.Errorf("a replay makes %T %+v", ev, ev)
			}
			out.Reset()
		}
	}
	if len(y.e.sessions) != sessions || len(y.in) != children {
		t.Errorf("%d sessions and %d children, before %d and %d", len(y.e.sessions), len(y.in), sessions, children)
	}
}

// A crowd: bytes and time for each of many sessions, logged for comparison.
func TestManySessions(t *testing.T) {
	count := 1000
	if testing.Short() {
		count = 100
	}
	road := &Peer{Name: "road", Key: psk, Suites: quickSuites, Accept: AcceptL2TP, PeerRekeys: true}
	e, err := New(Config{Rand: seeded(1), Peers: []*Peer{road}})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begun := time.Now()
	usable := 0
	for i := range count {
		var in, out Out
		remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 500)
		c, _ := New(Config{Rand: seeded(uint64(i + 10))})
		d := &Peer{Name: "s", Key: psk, Suites: quickSuites, Children: []ChildConfig{{Name: "c", Mode: esp.Transport, Local: Selector{Protocol: 17, Port: 1701}, Remote: Selector{Protocol: 17, Port: 1701}}}}
		if _, err := c.Dial(epoch, d, remote, netip.MustParseAddrPort("198.51.100.1:500"), &in); err != nil {
			t.Fatal(err)
		}
		for len(in.Packets)+len(out.Packets) > 0 {
			list := in.Packets
			in.Packets = nil
			for _, p := range list {
				p.Local, p.Remote = p.Remote, p.Local
				_ = e.Receive(epoch, p, &out)
			}
			list = out.Packets
			out.Packets = nil
			for _, p := range list {
				p.Local, p.Remote = p.Remote, p.Local
				_ = c.Receive(epoch, p, &in)
			}
		}
		for _, ev := range out.Events {
			if _, ok := ev.(ChildUsable); ok {
				usable++
			}
		}
	}
	took := time.Since(begun)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if usable != count {
		t.Errorf("%d of %d up", usable, count)
	}
	t.Logf("%d sessions: %s each (both sides computed here), %d bytes each", count, took/time.Duration(count), (int64(after.HeapAlloc)-int64(before.HeapAlloc))/int64(count))
	runtime.KeepAlive(e)
}
