package esp

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vhub/internal/packet"
)

// Every suite, mode and size crosses, alone and in batches, and in any order.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.SampledFrom(Suites()).Draw(rt, "suite")
		c := configOf(s, rapid.SampledFrom([]Mode{Transport, Tunnel}).Draw(rt, "mode"), rapid.Bool().Draw(rt, "esn"))
		if rapid.Bool().Draw(rt, "inner IPv6") {
			c.InnerSrc, c.InnerDst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
		}
		out, in := pairOf(t, c)
		if c.ESN && rapid.Bool().Draw(rt, "at 2^32") {
			out.seq.Store(math.MaxUint32 - 2)
			in.window.top.Store(math.MaxUint32 - 2)
		}
		sizes := rapid.SliceOfN(rapid.IntRange(0, 1600), 1, 8).Draw(rt, "sizes")
		var packets []packet.Packet
		for i, n := range sizes {
			packets = append(packets, packetOf(randomBytes(uint64(i), n)))
		}
		if n, err := out.SealBatch(packets, ProtoEtherIP); n != len(sizes) || err != nil {
			rt.Fatalf("sealed %d of %d: %v", n, len(sizes), err)
		}
		for _, i := range rapid.Permutation(seqOf(len(sizes))).Draw(rt, "order") {
			wire := packets[i].Payload()
			again := bytes.Clone(wire)
			payload, next, err := in.Open(wire)
			if err != nil {
				rt.Fatalf("packet %d: %v", i, err)
			}
			if c.Mode == Tunnel {
				inner, err := ParseInner(next, payload)
				if err != nil || inner.Src != c.InnerSrc || inner.Dst != c.InnerDst || inner.Fragment() {
					rt.Fatalf("packet %d: inner header %+v, %v", i, inner, err)
				}
				payload, next = inner.Payload, inner.Proto
			}
			if next != ProtoEtherIP || !bytes.Equal(payload, randomBytes(uint64(i), sizes[i])) {
				rt.Fatalf("packet %d: next header %d, other payload", i, next)
			}
			if _, _, err := in.Open(again); err != ErrReplay {
				rt.Fatalf("packet %d once more: %v", i, err)
			}
		}
		if st := in.Stats(); st.Packets != uint64(len(sizes)) || st.Replay != uint64(len(sizes)) {
			rt.Fatalf("counters %+v", st)
		}
	})
}

func seqOf(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// A bit changed anywhere is noticed and does not move the window.
func TestChangedBit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.SampledFrom(Suites()).Draw(rt, "suite")
		out, in := pairOf(t, configOf(s, Transport, rapid.Bool().Draw(rt, "esn")))
		p := packetOf(randomBytes(1, rapid.IntRange(0, 100).Draw(rt, "size")))
		if err := out.Seal(&p, ProtoUDP); err != nil {
			rt.Fatal(err)
		}
		wire := p.Payload()
		bad := bytes.Clone(wire)
		// Not in the SPI, which chooses the SA before Open.
		bad[rapid.IntRange(4, len(bad)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if _, _, err := in.Open(bad); err != ErrAuth && err != ErrReplay {
			rt.Fatalf("changed packet: %v", err)
		}
		if top := in.Stats().Top; top != 0 {
			rt.Fatalf("the window moved to %d", top)
		}
		if _, _, err := in.Open(wire); err != nil {
			rt.Fatalf("the true packet afterwards: %v", err)
		}
	})
}

// forge seals bytes of the test's choosing as payload, padding and trailer.
func forge(t *testing.T, c Config, seq uint64, body []byte) []byte {
	t.Helper()
	pkt := binary.BigEndian.AppendUint32(nil, c.SPI)
	pkt = binary.BigEndian.AppendUint32(pkt, uint32(seq))
	pkt = append(pkt, make([]byte, c.Suite.IVLen())...)
	pkt = append(pkt, body...)
	pkt = append(pkt, make([]byte, c.Suite.ICVLen())...)
	k := secrets{suite: c.Suite, keys: c.Keys, esn: c.ESN}
	k.newSealer().seal([]packet.Packet{{Buf: pkt, End: len(pkt)}}, seq)
	return pkt
}

func TestTrailer(t *testing.T) {
	c := configOf(Suite{AESGCM16, 128, NoAuth}, Transport, false)
	for i, v := range []struct {
		name    string
		body    string
		lax     bool
		err     error
		payload string
	}{
		{"no payload, no padding needed but two bytes given", "01020203", false, nil, ""},
		{"padding longer than the packet", "01020311", false, ErrPadding, ""},
		{"pad length 255 in four bytes", "0102ff11", false, ErrPadding, ""},
		{"padding of zeros", "aabb000000000411", false, ErrPadding, ""},
		{"padding of zeros, tolerated", "aabb000000000411", true, nil, "aabb"},
		{"padding counted from 1", "aabb010203040411", false, nil, "aabb"},
		{"all is padding", "0102030405060611", false, nil, ""},
		{"more padding than needed", "aa01020304050511", false, nil, "aa"},
	} {
		c.LaxPadding = v.lax
		_, in := pairOf(t, c)
		payload, _, err := in.Open(forge(t, c, uint64(i+1), unhex(v.body)))
		if err != v.err || err == nil && !bytes.Equal(payload, unhex(v.payload)) {
			t.Errorf("%s: %x, %v; want %s, %v", v.name, payload, err, v.payload, v.err)
		}
		if want := uint64(0); v.err == ErrPadding {
			want = 1
			if got := in.Stats().Padding; got != want {
				t.Errorf("%s: counted %d", v.name, got)
			}
		}
	}
}

func TestDummyAndTFC(t *testing.T) {
	out, in := pairOf(t, configOf(Suite{AESCBC, 128, HMACSHA1}, Transport, false))
	p := packetOf([]byte("probe"))
	if err := out.Seal(&p, ProtoNone); err != nil {
		t.Fatal(err)
	}
	if payload, next, err := in.Open(p.Payload()); err != nil || next != ProtoNone || string(payload) != "probe" {
		t.Errorf("dummy packet: %q, %d, %v", payload, next, err)
	}
	if in.Stats().Dummy != 1 {
		t.Error("the dummy packet was not counted")
	}
	inner := unhex("45000018000000004061f6d1 c0000201 c6336407 cafebabe")
	binary.BigEndian.PutUint16(inner[10:], 0)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(inner[i:]))
	}
	binary.BigEndian.PutUint16(inner[10:], ^uint16(sum>>16+sum))
	got, err := ParseInner(ProtoIPv4, append(inner, make([]byte, 40)...))
	if err != nil || !bytes.Equal(got.Payload, unhex("cafebabe")) {
		t.Errorf("TFC padding behind the inner packet: %+v, %v", got, err)
	}
}

func TestShortAndRagged(t *testing.T) {
	for _, s := range Suites() {
		out, in := pairOf(t, configOf(s, Transport, false))
		p := packetOf(make([]byte, 64))
		if err := out.Seal(&p, ProtoUDP); err != nil {
			t.Fatal(err)
		}
		wire := p.Payload()
		for n := range len(wire) {
			if _, _, err := in.Open(bytes.Clone(wire[:n])); err != ErrShort && err != ErrAuth {
				t.Fatalf("%s: the first %d bytes: %v", s, n, err)
			}
		}
		if _, _, err := in.Open(append(bytes.Clone(wire), 0)); err != ErrShort {
			t.Errorf("%s: a byte too many: %v", s, err)
		}
	}
}

// RFC 4303 3.3.3: the sequence number never cycles, whatever is tried.
func TestSequenceEnds(t *testing.T) {
	out, in := pairOf(t, configOf(Suite{AESGCM16, 128, NoAuth}, Transport, false))
	out.seq.Store(math.MaxUint32 - 2)
	if !out.Stats().RekeyWanted {
		t.Error("no rekey wanted two packets before the end")
	}
	packets := []packet.Packet{packetOf(nil), packetOf(nil), packetOf(nil)}
	n, err := out.SealBatch(packets, ProtoUDP)
	if n != 2 || err != ErrSequence {
		t.Fatalf("sealed %d of 3: %v, want 2 and %v", n, err, ErrSequence)
	}
	for i := range n {
		if _, _, err := in.Open(packets[i].Payload()); err != nil {
			t.Errorf("packet %d: %v", i, err)
		}
	}
	for range 100 {
		p := packetOf(nil)
		if err := out.Seal(&p, ProtoUDP); err != ErrSequence {
			t.Fatalf("sealed after the end: %v", err)
		}
	}
	if got := out.Stats().Sequence; got != math.MaxUint32 {
		t.Errorf("last number %d", got)
	}
}

func TestRoom(t *testing.T) {
	out, _ := pairOf(t, configOf(Suite{AESCBC, 256, HMACSHA512}, Tunnel, false))
	tight := packet.Packet{Buf: make([]byte, 200), Off: 43, End: 100}
	if err := out.Seal(&tight, ProtoUDP); err != ErrRoom {
		t.Errorf("43 bytes of headroom for 44: %v", err)
	}
	behind := packet.Packet{Buf: make([]byte, 130), Off: 60, End: 100}
	if err := out.Seal(&behind, ProtoUDP); err != ErrRoom {
		t.Errorf("too little tailroom: %v", err)
	}
	// The longest of all fits the room that every Packet has.
	for _, s := range Suites() {
		c := configOf(s, Tunnel, true)
		c.InnerSrc, c.InnerDst = netip.MustParseAddr("::1"), netip.MustParseAddr("::2")
		out, _ := pairOf(t, c)
		for n := range 32 {
			p := packetOf(make([]byte, n))
			if err := out.Seal(&p, ProtoUDP); err != nil {
				t.Errorf("%s, %d bytes: %v", s, n, err)
			}
		}
	}
}

// No IV comes twice, and none is the last block of the packet before (what
// SoftEther does, and what makes CBC guessable).
func TestIVs(t *testing.T) {
	for _, s := range []Suite{{AESCBC, 128, HMACSHA1}, {TripleDES, 0, HMACSHA1}, {AESGCM16, 128, NoAuth}} {
		out, _ := pairOf(t, configOf(s, Transport, false))
		seen, last := map[string]bool{}, []byte(nil)
		for range 1000 {
			p := packetOf(make([]byte, 62))
			if err := out.Seal(&p, ProtoUDP); err != nil {
				t.Fatal(err)
			}
			wire := p.Payload()
			iv := wire[8 : 8+s.IVLen()]
			if seen[string(iv)] {
				t.Fatalf("%s: IV %x came twice", s, iv)
			}
			seen[string(iv)] = true
			if bytes.Equal(iv, last) {
				t.Fatalf("%s: IV is the last ciphertext block of the packet before", s)
			}
			last = bytes.Clone(wire[len(wire)-s.ICVLen()-s.IVLen() : len(wire)-s.ICVLen()])
		}
	}
}

// Several goroutines seal and several open on one SA: every packet arrives once.
func TestConcurrent(t *testing.T) {
	for _, s := range []Suite{{AESGCM16, 128, NoAuth}, {AESCBC, 128, HMACSHA256}} {
		out, in := pairOf(t, configOf(s, Transport, false))
		const senders, batches, size = 4, 20, 8
		wires := make(chan []byte, senders*batches*size)
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for range batches {
					var b []packet.Packet
					for range size {
						b = append(b, packetOf(make([]byte, 100)))
					}
					if _, err := out.SealBatch(b, ProtoUDP); err != nil {
						t.Error(err)
					}
					for i := range b {
						wires <- b[i].Payload()
					}
				}
			})
		}
		wg.Wait()
		close(wires)
		for range senders {
			wg.Go(func() {
				for w := range wires {
					if _, _, err := in.Open(w); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if st := in.Stats(); st.Packets != senders*batches*size || st.Top != senders*batches*size {
			t.Errorf("%s: %+v", s, st)
		}
	}
}

func TestBatchWithACopyInIt(t *testing.T) {
	out, in := pairOf(t, configOf(Suite{AESGCM16, 256, NoAuth}, Transport, false))
	p := packetOf([]byte("once"))
	if err := out.Seal(&p, ProtoUDP); err != nil {
		t.Fatal(err)
	}
	items := []Item{{Data: bytes.Clone(p.Payload())}, {Data: bytes.Clone(p.Payload())}}
	in.OpenBatch(items)
	if items[0].Err != nil || items[1].Err != ErrReplay {
		t.Errorf("errors %v, %v; want none, then %v", items[0].Err, items[1].Err, ErrReplay)
	}
}

func TestConfigErrors(t *testing.T) {
	good := configOf(Suite{AESCBC, 128, HMACSHA1}, Transport, false)
	for name, change := range map[string]func(*Config){
		"SPI 0":                 func(c *Config) { c.SPI = 0 },
		"DES":                   func(c *Config) { c.Suite.Cipher = 2 },
		"NULL":                  func(c *Config) { c.Suite.Cipher = 11 },
		"CBC without integrity": func(c *Config) { c.Suite.Auth = NoAuth; c.Keys.Auth = nil },
		"GCM with HMAC":         func(c *Config) { c.Suite.Cipher = AESGCM16 },
		"short key":             func(c *Config) { c.Keys.Enc = c.Keys.Enc[:8] },
		"long integrity key":    func(c *Config) { c.Keys.Auth = make([]byte, 32) },
		"160-bit AES":           func(c *Config) { c.Suite.KeyBits = 160 },
		"CBC without Rand":      func(c *Config) { c.Rand = nil },
		"families mixed":        func(c *Config) { c.Mode = Tunnel; c.InnerDst = netip.MustParseAddr("::1") },
		"no inner addresses":    func(c *Config) { c.Mode = Tunnel; c.InnerSrc = netip.Addr{} },
	} {
		c := good
		change(&c)
		if _, err := NewOutbound(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := NewOutbound(good); err != nil {
		t.Error(err)
	}
}

func TestSuiteNames(t *testing.T) {
	for _, s := range Suites() {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		back, err := ParseSuite(s.String())
		if err != nil || back != s {
			t.Errorf("%v is read back as %v, %v", s, back, err)
		}
		if _, err := s.SplitKeymat(make([]byte, s.KeymatLen()-1)); err == nil {
			t.Errorf("%s: too little keying material was taken", s)
		}
	}
	if _, err := ParseSuite("null-sha1"); err == nil {
		t.Error("NULL encryption is offered")
	}
	if Suites()[0].Legacy() {
		t.Error("the first choice is a legacy suite")
	}
}
