package hub

import (
	"testing"
	"time"

	"vhub/arp"
	"vhub/eth"
)

// FuzzInput hands arbitrary bytes in as frames of a hub with everything on. It
// must not panic, must count each frame once, and must not change its bytes.
func FuzzInput(f *testing.F) {
	for _, x := range []eth.Frame{
		arpRequest(1, 2), garp(3), hello(1, 112), ptp(1, 2), ping(mac(1), mac(2), 3), tcp6(mac(1), mac(2), 1, 2, 16, 30),
		udp6(mac(1), mac(2), []byte("x")), tagged(mac(1), mac(2), 5, "tag"), large(tcp(mac(1), mac(2), 1, 5, 5, 16, 4000), eth.GSOTCP4, 1448),
		large(udp(mac(1), mac(2), 1, seqBytes(3000)), eth.GSOUDP, 1000), {Data: []byte{1, 2, 3}},
	} {
		f.Add(x.Data, uint8(x.GSO), x.SegSize, x.HdrLen, x.CsumStart, x.CsumOffset, x.NeedsCsum)
	}
	f.Fuzz(func(t *testing.T, data []byte, gso uint8, seg, hdr, at, off uint16, partial bool) {
		h := New(Config{SeenFrames: 256, Neighbours: &arp.Config{Mode: arp.Proxy}})
		var in [3]*Reader
		for i, name := range []string{"a", "b", "c"} {
			link, err := h.Attach(start, discard{}, LinkConfig{Name: name, Suppress: i > 0, MaxFrame: eth.MaxLargeLen})
			must(t, err)
			in[i] = link.NewReader()
		}
		frame := eth.Frame{Data: data, Offload: eth.Offload{GSO: eth.GSO(gso % 5), SegSize: seg, HdrLen: hdr, CsumStart: at, CsumOffset: off, NeedsCsum: partial}}
		before := string(data)
		for i, r := range []int{0, 1, 1, 2, 0} {
			in[r].Input(start.Add(time.Duration(i)*time.Millisecond), []eth.Frame{frame, frame})
		}
		h.Advance(start.Add(time.Second))
		if string(data) != before {
			t.Error("the hub changed the bytes of a frame")
		}
		s := h.Status()
		if s.Counters.InFrames != 10 {
			t.Errorf("%d frames are counted, want 10", s.Counters.InFrames)
		}
		var flooded = s.Counters.InFlooded
		for _, n := range s.Counters.Drops {
			flooded += n
		}
		if s.Stations > 1 || flooded > 10+s.Counters.Drops[TooLong] {
			t.Errorf("after ten times one frame: %+v", s.Counters)
		}
	})
}

// FuzzCommon: the short way to the headers finds what eth.Parse finds.
func FuzzCommon(f *testing.F) {
	for _, x := range []eth.Frame{udp(mac(1), mac(2), 1, []byte("x")), tcp(mac(1), mac(2), 1, 2, 3, 16, 10), padded(udp(mac(1), mac(2), 1, nil), 60)} {
		f.Add(x.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var g glance
		g.read(&eth.Frame{Data: data}, nil)
		if !g.ok {
			return
		}
		if got, ok := common(data, &g); ok {
			if want := eth.Parse(data); got != want {
				t.Errorf("found %+v, want %+v", got, want)
			}
		}
	})
}
