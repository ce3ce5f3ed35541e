package eth

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

func TestSplitAgainstSlowModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 600 {
		s, seg := randomSpec(r)
		f := s.large(seg)
		if fault := f.Check(); fault != OK {
			t.Fatalf("%+v: check: %v", s, fault)
		}
		got, want := splitAll(t, &f, 0), s.pieces(seg)
		if len(got) != len(want) || Pieces(&f) != len(want) {
			t.Fatalf("%+v seg %d: %d pieces (Pieces: %d), want %d", s, seg, len(got), Pieces(&f), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("%+v seg %d: piece %d of %d\n got %x\nwant %x", s, seg, i, len(want), got[i], want[i])
			}
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint16(0))
	f.Add(uint64(7), uint64(3), uint16(1400))
	f.Fuzz(func(t *testing.T, a, b uint64, limit uint16) {
		s, seg := randomSpec(rand.New(rand.NewPCG(a, b)))
		f := s.large(seg)
		l := Parse(f.Data)
		if room := int(limit) - l.Data; limit > 0 && !s.udp && room >= minResplit && room < seg {
			seg = room
		}
		got, want := splitAll(t, &f, int(limit)), s.pieces(seg)
		if len(got) != len(want) {
			t.Fatalf("%d pieces, want %d", len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("piece %d differs", i)
			}
		}
	})
}

// gopacket's own idea of the lengths and checksums of the pieces.
func TestSplitPiecesByGopacket(t *testing.T) {
	for _, s := range []spec{
		{payload: 4000, flags: 0x18},
		{payload: 4000, flags: 0x99, tags: 1, tcpOpts: 3},
		{payload: 4000, flags: 0x10, v6: true, tags: 2},
		{payload: 4000, udp: true},
		{payload: 4000, udp: true, v6: true},
	} {
		f := s.large(1000)
		for i, b := range splitAll(t, &f, 0) {
			p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
			if e := p.ErrorLayer(); e != nil {
				t.Fatalf("%+v piece %d: %v", s, i, e.Error())
			}
			var parts []gopacket.SerializableLayer
			for _, l := range p.Layers() {
				switch l := l.(type) {
				case *layers.TCP:
					l.SetNetworkLayerForChecksum(p.NetworkLayer())
				case *layers.UDP:
					l.SetNetworkLayerForChecksum(p.NetworkLayer())
				}
				parts = append(parts, l.(gopacket.SerializableLayer))
			}
			buf := gopacket.NewSerializeBuffer()
			if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(buf.Bytes(), b) {
				t.Fatalf("%+v piece %d\n    ours %x\ngopacket %x", s, i, b, buf.Bytes())
			}
		}
	}
}

func TestSplitOfPlainFrames(t *testing.T) {
	s := spec{payload: 100, flags: 0x18, tags: 1}
	want := s.build()
	partial := s.large(100)
	partial.GSO = GSONone
	padded := spec{payload: 1, udp: true}.large(1)
	padded.GSO = GSONone
	padded.Data = append(padded.Data, 1, 2, 3, 4, 5)
	for _, tc := range []struct {
		name string
		f    Frame
		want []byte
	}{
		{"a frame without offload is copied", Frame{Data: want}, want},
		{"a limit does not cut it", Frame{Data: want}, want},
		{"a partial checksum is completed", partial, want},
		{"padding is kept, and not in the checksum", padded, append(spec{payload: 1, udp: true}.build(), 1, 2, 3, 4, 5)},
	} {
		got := splitAll(t, &tc.f, 60)
		if len(got) != 1 || !bytes.Equal(got[0], tc.want) {
			t.Errorf("%s: got %x", tc.name, got)
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	good := spec{payload: 3000}.large(1000)
	for _, tc := range []struct {
		name string
		edit func(f *Frame)
		want Fault
	}{
		{"no segment size", func(f *Frame) { f.SegSize = 0 }, FaultSegSize},
		{"TCP over IPv6 with IPv4 headers", func(f *Frame) { f.GSO = GSOTCP6 }, FaultGSOHeader},
		{"UDP with a TCP header", func(f *Frame) { f.GSO = GSOUDP }, FaultGSOHeader},
		{"cut off in the TCP header", func(f *Frame) { f.Data = f.Data[:50] }, FaultGSOHeader},
		{"plain, checksum behind the end", func(f *Frame) { f.GSO, f.CsumStart = GSONone, 0xffff }, FaultCsum},
	} {
		f := good
		f.Data = bytes.Clone(good.Data)
		tc.edit(&f)
		n, fault := Split(&f, 0, func(n int) []byte { return make([]byte, n) })
		if n != 0 || fault != tc.want {
			t.Errorf("%s: %d pieces, %v, want %v", tc.name, n, fault, tc.want)
		}
	}
}

func TestSplitStopsWhenNextGivesNil(t *testing.T) {
	f := spec{payload: 5000}.large(1000)
	calls := 0
	n, fault := Split(&f, 0, func(n int) []byte {
		if calls++; calls > 2 {
			return nil
		}
		return make([]byte, n)
	})
	if n != 2 || fault != OK || calls != 3 {
		t.Fatalf("%d pieces, %v, %d calls", n, fault, calls)
	}
}

func TestFragmentReassembles(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		s, _ := randomSpec(r)
		s.v6, s.ext, s.df, s.udp = false, 0, false, true
		s.payload = r.IntN(5000)
		b := s.build()
		limit := 80 + r.IntN(1500)
		var whole []byte
		next := 0
		var pieces [][]byte
		n := Fragment(b, limit, func(n int) []byte {
			p := make([]byte, n)
			pieces = append(pieces, p)
			return p
		})
		if n != len(pieces) || n == 0 {
			t.Fatalf("%d pieces, %d written", n, len(pieces))
		}
		for i, p := range pieces {
			l := Parse(p)
			ip := l.IPv4(p)
			if ip == nil || len(p) > limit || !ip.HeaderValid() || ip.FragOffset() != next || ip.MF() != (i < n-1) || ip.ID() != s.id {
				t.Fatalf("piece %d of %d is wrong: %x (limit %d)", i, n, p, limit)
			}
			data := ip[ip.HeaderLen():]
			whole = append(whole, data...)
			next += len(data)
		}
		l := Parse(b)
		if !bytes.Equal(whole, b[l.L4:]) {
			t.Fatalf("payload differs after fragmentation with limit %d", limit)
		}
	}
}

func TestFragmentOfAFragment(t *testing.T) {
	b := spec{udp: true, payload: 1400}.build()
	var pieces [][]byte
	keep := func(n int) []byte {
		p := make([]byte, n)
		pieces = append(pieces, p)
		return p
	}
	Fragment(b, 800, keep)
	first := pieces[0]
	pieces = nil
	if n := Fragment(first, 300, keep); n < 2 {
		t.Fatalf("%d pieces", n)
	}
	for _, p := range pieces {
		if l := Parse(p); !l.IPv4(p).MF() {
			t.Fatal("the last piece of a middle fragment has lost MF")
		}
	}
}

func TestFragmentRefuses(t *testing.T) {
	nothing := func(n int) []byte { t.Error("next was called"); return nil }
	if Fragment(spec{df: true, payload: 1000}.build(), 500, nothing) != 0 {
		t.Error("DF was ignored")
	}
	if Fragment(spec{v6: true, payload: 1000}.build(), 500, nothing) != 0 {
		t.Error("IPv6 was fragmented")
	}
	if Fragment(spec{payload: 1000}.build(), 41, nothing) != 0 {
		t.Error("a limit below the header was taken")
	}
}

func TestFragmentKeepsOnlyCopiedOptions(t *testing.T) {
	// record route (7, not copied), loose source route (131, copied)
	got := copiedOptions([]byte{7, 7, 4, 0, 0, 0, 0, 1, 131, 7, 4, 9, 9, 9, 9, 0})
	if want := []byte{131, 7, 4, 9, 9, 9, 9, 0}; got.n != 8 || !bytes.Equal(got.bytes[:8], want) {
		t.Fatalf("got %x", got.bytes[:got.n])
	}
}
