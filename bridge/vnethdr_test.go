package bridge

import (
	"testing"

	"pgregory.net/rapid"

	"vhub/eth"
)

func TestVnetHeaderKinds(t *testing.T) {
	const n = 1514
	for _, c := range []struct {
		name string
		hdr  [vnetLen]byte // little-endian host
		want eth.Offload
		ok   bool
	}{
		{"plain frame", [vnetLen]byte{}, eth.Offload{}, true},
		{"checksum to complete", [vnetLen]byte{1, 0, 0, 0, 0, 0, 34, 0, 16, 0}, eth.Offload{NeedsCsum: true, CsumStart: 34, CsumOffset: 16}, true},
		{"checksum known good", [vnetLen]byte{2}, eth.Offload{CsumValid: true}, true},
		{"large TCP over IPv4 with ECN", [vnetLen]byte{1, 0x81, 66, 0, 0xa8, 5, 34, 0, 16, 0},
			eth.Offload{GSO: eth.GSOTCP4, ECN: true, HdrLen: 66, SegSize: 1448, NeedsCsum: true, CsumStart: 34, CsumOffset: 16}, true},
		{"large UDP", [vnetLen]byte{1, 5, 42, 0, 0, 4, 34, 0, 6, 0},
			eth.Offload{GSO: eth.GSOUDP, HdrLen: 42, SegSize: 1024, NeedsCsum: true, CsumStart: 34, CsumOffset: 6}, true},
		{"header length is a hint and is cut to the frame", [vnetLen]byte{0, 4, 0xff, 0xff, 1, 0}, eth.Offload{GSO: eth.GSOTCP6, HdrLen: n, SegSize: 1}, true},
		{"old UDP fragmentation offload, which vhub never asks for", [vnetLen]byte{0, 3, 42, 0, 0, 4}, eth.Offload{}, false},
		{"unknown kind", [vnetLen]byte{0, 9}, eth.Offload{}, false},
		{"ECN without TCP", [vnetLen]byte{0, 0x80}, eth.Offload{}, false},
		{"ECN with UDP", [vnetLen]byte{0, 0x85, 42, 0, 0, 4}, eth.Offload{}, false},
		{"large frame without segment size", [vnetLen]byte{0, 1, 66}, eth.Offload{}, false},
		{"checksum place just inside", [vnetLen]byte{1, 0, 0, 0, 0, 0, 0xd8, 5, 16, 0}, eth.Offload{NeedsCsum: true, CsumStart: 1496, CsumOffset: 16}, true},
		{"checksum place one byte outside", [vnetLen]byte{1, 0, 0, 0, 0, 0, 0xd9, 5, 16, 0}, eth.Offload{}, false},
	} {
		got, ok := decodeVnet(c.hdr[:], n)
		if got != c.want || ok != c.ok {
			t.Errorf("%s: got %+v %v, want %+v %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestVnetHeaderThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(eth.HeaderLen, eth.MaxLargeLen).Draw(t, "length")
		o := eth.Offload{GSO: eth.GSO(rapid.IntRange(0, int(eth.GSOUDP)).Draw(t, "gso"))}
		if o.GSO != eth.GSONone {
			o.ECN = o.GSO != eth.GSOUDP && rapid.Bool().Draw(t, "ecn")
			o.HdrLen = uint16(rapid.IntRange(0, min(n, 0xffff)).Draw(t, "header"))
			o.SegSize = rapid.Uint16Min(1).Draw(t, "segment")
		}
		switch rapid.IntRange(0, 2).Draw(t, "checksum") {
		case 1:
			o.NeedsCsum = true
			o.CsumStart = uint16(rapid.IntRange(0, min(n-2, 0xffff)).Draw(t, "start"))
			o.CsumOffset = uint16(rapid.IntRange(0, min(n-2-int(o.CsumStart), 0xffff)).Draw(t, "offset"))
		case 2:
			o.CsumValid = true
		}
		var h [vnetLen]byte
		encodeVnet(&h, &o)
		got, ok := decodeVnet(h[:], n)
		if !ok || got != o {
			t.Fatalf("%+v became %+v %v", o, got, ok)
		}
	})
}

func TestShift(t *testing.T) {
	o := eth.Offload{GSO: eth.GSOTCP4, HdrLen: 66, SegSize: 1448, NeedsCsum: true, CsumStart: 34, CsumOffset: 16}
	if !shift(&o, 4) || o.HdrLen != 70 || o.CsumStart != 38 || o.CsumOffset != 16 || o.SegSize != 1448 {
		t.Errorf("a tag in front gave %+v", o)
	}
	if o := (eth.Offload{NeedsCsum: true, CsumStart: 0xfffe}); shift(&o, 4) {
		t.Error("an offset that does not fit 16 bits was let through")
	}
	if o := (eth.Offload{}); !shift(&o, 4) || o != (eth.Offload{}) {
		t.Errorf("a plain frame's offload became %+v", o)
	}
}

func FuzzVnetHeader(f *testing.F) {
	f.Add([]byte{1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0}, uint16(1514))
	f.Add([]byte{1, 0x85, 66, 0, 0xa8, 5, 34, 0, 6, 0}, uint16(60))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, uint16(65535))
	f.Fuzz(func(t *testing.T, h []byte, n uint16) {
		if len(h) < vnetLen || n < eth.HeaderLen {
			return
		}
		o, ok := decodeVnet(h, int(n))
		if !ok {
			if o != (eth.Offload{}) && o.GSO == eth.GSONone {
				t.Fatalf("a refused header left %+v", o)
			}
			return
		}
		if o.GSO != eth.GSONone && (o.SegSize == 0 || int(o.HdrLen) > int(n)) {
			t.Fatalf("%x of %d bytes: %+v", h, n, o)
		}
		if o.NeedsCsum && int(o.CsumStart)+int(o.CsumOffset)+2 > int(n) {
			t.Fatalf("%x of %d bytes: checksum outside: %+v", h, n, o)
		}
		var back [vnetLen]byte
		encodeVnet(&back, &o)
		again, ok := decodeVnet(back[:], int(n))
		if !ok || again != o {
			t.Fatalf("%+v became %+v %v", o, again, ok)
		}
	})
}
