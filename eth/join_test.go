package eth

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// plainFrames makes lent frames of the pieces.
func plainFrames(pieces [][]byte) []Frame {
	var out []Frame
	for _, b := range pieces {
		out = append(out, Frame{Data: b})
	}
	return out
}

// segs makes n segments of 100 bytes in a row, edited one by one.
func segs(n int, edit func(i int, s *spec)) []Frame {
	var out []Frame
	for i := range n {
		s := spec{flags: 0x10, seq: 1000 + uint32(i)*100, payload: 100, payloadOff: i * 100, id: 77 + uint16(i), srcPort: 40000, tcpOpts: 3}
		if edit != nil {
			edit(i, &s)
		}
		out = append(out, Frame{Data: s.build()})
	}
	return out
}

func only(k int, edit func(s *spec)) func(int, *spec) {
	return func(i int, s *spec) {
		if i == k {
			edit(s)
		}
	}
}

// shape writes a result as the number of segments of each frame.
func shape(out []Frame) string {
	s := ""
	for i := range out {
		s += fmt.Sprint(Pieces(&out[i]), " ")
	}
	return s
}

func TestJoin(t *testing.T) {
	udp := func(i int, s *spec) { s.udp, s.flags = true, 0 }
	for _, tc := range []struct {
		name string
		in   []Frame
		udp  bool
		want string
	}{
		{"segments in a row become one", segs(5, nil), false, "5 "},
		{"one frame stays as it is", segs(1, nil), false, "1 "},
		{"IPv6 segments", segs(5, func(i int, s *spec) { s.v6 = true }), false, "5 "},
		{"with two tags", segs(5, func(i int, s *spec) { s.tags = 2 }), false, "5 "},
		{"a shorter one is the last", segs(5, only(2, func(s *spec) { s.payload = 50 })), false, "3 2 "},
		{"a longer one begins a new frame", segs(4, only(2, func(s *spec) { s.payload = 101 })), false, "2 1 1 "},
		{"PSH is taken and ends the frame", segs(5, only(1, func(s *spec) { s.flags |= 8 })), false, "2 3 "},
		{"FIN is taken and ends the frame", segs(5, only(4, func(s *spec) { s.flags |= 1 })), false, "5 "},
		{"a SYN is never joined", segs(3, only(1, func(s *spec) { s.flags |= 2 })), false, "1 1 1 "},
		{"a RST is never joined", segs(4, only(3, func(s *spec) { s.flags |= 4 })), false, "3 1 "},
		{"URG is never joined", segs(4, only(3, func(s *spec) { s.flags |= 0x20 })), false, "3 1 "},
		{"CWR is never joined", segs(4, only(0, func(s *spec) { s.flags |= 0x80 })), false, "1 3 "},
		{"ECE changes", segs(4, func(i int, s *spec) {
			if i >= 2 {
				s.flags |= 0x40
			}
		}), false, "2 2 "},
		{"a gap", segs(4, func(i int, s *spec) {
			if i >= 2 {
				s.seq += 100
			}
		}), false, "2 2 "},
		{"a retransmission in the row keeps its place", segs(5, only(2, func(s *spec) { s.seq = 1000 })), false, "2 1 2 "},
		{"congestion mark on one", segs(4, only(2, func(s *spec) { s.tos = 3 })), false, "2 1 1 "},
		{"other options", segs(4, func(i int, s *spec) {
			if i >= 2 {
				s.tcpOpts = 4
			}
		}), false, "2 2 "},
		{"IDs that jump", segs(4, only(2, func(s *spec) { s.id = 500 })), false, "2 1 1 "},
		{"constant IDs with DF", segs(4, func(i int, s *spec) { s.id, s.df = 0, true }), false, "4 "},
		{"constant IDs without DF", segs(3, func(i int, s *spec) { s.id = 0 }), false, "1 1 1 "},
		{"IDs constant, then counting", segs(4, func(i int, s *spec) {
			s.df = true
			s.id = uint16(max(0, i-1))
		}), false, "2 2 "},
		{"IP options are not joined", segs(3, func(i int, s *spec) { s.ipOpts = 1 }), false, "1 1 1 "},
		{"extension headers are not joined", segs(3, func(i int, s *spec) { s.v6, s.ext = true, 1 }), false, "1 1 1 "},
		{"pure acknowledgements are not joined", segs(3, func(i int, s *spec) { s.payload, s.seq = 0, 1 }), false, "1 1 1 "},
		{"another VLAN on one of a flow", segs(4, only(2, func(s *spec) { s.tags = 1 })), false, "2 1 1 "},
		{"two flows interleaved", segs(6, func(i int, s *spec) {
			s.srcPort += uint16(i % 2)
			s.seq, s.id = uint32(i/2)*100, uint16(i/2)
		}), false, "3 3 "},
		{"UDP is not joined unless asked for", segs(4, udp), false, "1 1 1 1 "},
		{"UDP where asked for", segs(4, udp), true, "4 "},
		{"UDP: a shorter datagram is the last", segs(4, func(i int, s *spec) {
			udp(i, s)
			if i == 1 {
				s.payload = 10
			}
		}), true, "2 2 "},
		{"UDP: 64 datagrams at most", segs(70, udp), true, "64 6 "},
		{"64 KB of IP at most", segs(60, func(i int, s *spec) {
			s.payload = 1448
			s.seq, s.payloadOff = uint32(i)*1448, i*1448
		}), false, "45 15 "},
	} {
		j := &Joiner{UDP: tc.udp}
		for round := range 2 { // the second on used buffers
			out := j.Join(tc.in)
			if got := shape(out); got != tc.want {
				t.Errorf("%s (round %d): got %q, want %q", tc.name, round, got, tc.want)
			}
			for i := range out {
				if fault := out[i].Check(); fault != OK {
					t.Errorf("%s: frame %d: %v", tc.name, i, fault)
				}
			}
		}
	}
}

func TestJoinLeavesWrongChecksumsAlone(t *testing.T) {
	for _, at := range []struct {
		name   string
		offset int
		want   string
	}{
		{"in the payload", 80, "1 1 2 "},
		{"in the IP header checksum", HeaderLen + 10, "1 1 2 "},
	} {
		in := segs(4, nil)
		in[1].Data[at.offset] ^= 1
		bad := bytes.Clone(in[1].Data)
		out := new(Joiner).Join(in)
		if got := shape(out); got != at.want || !bytes.Equal(out[1].Data, bad) {
			t.Errorf("%s: got %q, want %q with the bad frame as it was", at.name, got, at.want)
		}
	}
	in := segs(4, nil)
	in[0].Data[80] ^= 1
	if got := shape(new(Joiner).Join(in)); got != "1 3 " {
		t.Errorf("first frame bad: got %q", got)
	}
	for i := range in {
		in[i].CsumValid = true
	}
	if got := shape(new(Joiner).Join(in)); got != "4 " {
		t.Errorf("CsumValid: got %q, want no look at checksums", got)
	}
}

func TestJoinDoesNotLetAFragmentBeOvertaken(t *testing.T) {
	in := segs(4, nil)
	var frags []Frame
	s := spec{flags: 0x10, seq: 5000, payload: 600, srcPort: 40000}
	Fragment(s.build(), 400, func(n int) []byte {
		b := make([]byte, n)
		frags = append(frags, Frame{Data: b})
		return b
	})
	batch := append(append([]Frame{in[0], in[1]}, frags...), in[2], in[3])
	if got := shape(new(Joiner).Join(batch)); got != "2 1 1 2 " {
		t.Fatalf("got %q", got)
	}
}

func TestJoinOfSplitIsTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	j := &Joiner{UDP: true}
	joined := 0
	for range 1000 {
		s, seg := randomSpec(r)
		s.ipOpts, s.ext = 0, 0
		s.flags &^= 0xe0 // no URG, ECE, CWR
		if s.udp {
			s.payload = min(s.payload, 64*seg)
		}
		f := s.large(seg)
		n := Pieces(&f)
		if n < 2 {
			continue
		}
		out := j.Join(plainFrames(splitAll(t, &f, 0)))
		if len(out) != 1 {
			t.Fatalf("%+v seg %d: %d frames of %d pieces", s, seg, len(out), n)
		}
		if !bytes.Equal(out[0].Data, f.Data) || out[0].Offload != f.Offload {
			t.Fatalf("%+v seg %d:\n got %+v %x\nwant %+v %x", s, seg, out[0].Offload, out[0].Data[:80], f.Offload, f.Data[:80])
		}
		joined++
	}
	if joined < 500 {
		t.Fatalf("only %d cases", joined)
	}
}

// Whatever comes in a batch: the frames that Join gives, split again, are for
// each flow the frames of the batch in the same order.
func TestJoinKeepsFlowsInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	j := &Joiner{UDP: true}
	saved := 0
	for range 400 {
		var in []Frame
		var state [5]spec
		for i := range state {
			state[i], _ = randomSpec(r)
			state[i].srcPort, state[i].flags = uint16(i), 0x10
			state[i].ipOpts, state[i].ext, state[i].payload = 0, 0, 100
		}
		for range 60 {
			s := &state[r.IntN(len(state))]
			f := *s
			switch r.IntN(12) {
			case 0:
				f.flags |= byte(r.Uint32())
			case 1:
				f.payload = r.IntN(120)
			case 2:
				f.seq -= 100
			case 3:
				f.tags = r.IntN(3)
			}
			in = append(in, Frame{Data: f.build()})
			s.seq += uint32(f.payload)
			s.id++
			s.payloadOff += f.payload
		}
		want := map[uint16][][]byte{}
		for i := range in {
			want[flowPort(in[i].Data)] = append(want[flowPort(in[i].Data)], in[i].Data)
		}
		out := j.Join(in)
		saved += len(in) - len(out)
		got := map[uint16][][]byte{}
		for i := range out {
			for _, b := range splitAll(t, &out[i], 0) {
				got[flowPort(b)] = append(got[flowPort(b)], b)
			}
		}
		for port := range want {
			if len(got[port]) != len(want[port]) {
				t.Fatalf("flow %d: %d frames, want %d", port, len(got[port]), len(want[port]))
			}
			for i := range want[port] {
				if !bytes.Equal(got[port][i], want[port][i]) {
					t.Fatalf("flow %d frame %d differs:\n got %x\nwant %x", port, i, got[port][i], want[port][i])
				}
			}
		}
	}
	if saved < 1000 {
		t.Fatalf("only %d frames were joined", saved)
	}
}

func flowPort(b []byte) uint16 {
	l := Parse(b)
	if l.Proto == ProtoUDP {
		return l.UDP(b).SrcPort()
	}
	return l.TCP(b).SrcPort()
}

func FuzzJoin(f *testing.F) {
	in := segs(3, nil)
	f.Add(in[0].Data, in[1].Data, in[2].Data)
	f.Add([]byte{}, make([]byte, 14), make([]byte, 60))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		j := &Joiner{UDP: true}
		frames := []Frame{{Data: a}, {Data: b}, {Data: c, Offload: Offload{CsumValid: true}}, {Data: a, Offload: Offload{CsumValid: true}}}
		n := 0
		for _, f := range j.Join(frames) {
			k := 1
			if f.GSO != GSONone {
				k = Pieces(&f)
			}
			n += k
		}
		if n != len(frames) {
			t.Fatalf("%d frames came out of %d", n, len(frames))
		}
	})
}
