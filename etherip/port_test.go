package etherip

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"vhub/eth"
	"vhub/internal/packet"
)

func newTestPort(cfg Config, mtu int) (*Port, *fakeSender) {
	s := &fakeSender{mtu: mtu, room: -1}
	p := NewPort(cfg, quiet)
	p.SetSender(s)
	return p, s
}

func mssOf(t *testing.T, b []byte) int {
	t.Helper()
	l := eth.Parse(b)
	v := l.TCP(b)
	if v == nil || !l.ChecksumValid(b) {
		t.Fatalf("no TCP, or a wrong checksum: %x", b)
	}
	o := v.Options()
	return int(binary.BigEndian.Uint16(o[2:]))
}

func TestFramesGoOutByteByByte(t *testing.T) {
	p, s := newTestPort(Config{NoClamp: true}, 1480)
	var want [][]byte
	var frames []eth.Frame
	for n := 14; n <= 9014; n += 9 {
		want = append(want, plain(n))
		frames = append(frames, eth.Frame{Data: want[len(want)-1]})
	}
	if n := p.WriteFrames(frames); n != len(frames) {
		t.Fatalf("took %d of %d", n, len(frames))
	}
	got, ok := s.frames(0x30)
	if !ok || len(got) != len(want) {
		t.Fatalf("%d packets, want %d; contract kept: %v %s", len(got), len(want), ok, s.bad)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("frame of %d bytes changed", len(want[i]))
		}
	}
	st := p.Status()
	bytesOut := 0
	larger := 0
	for _, b := range want {
		bytesOut += len(b)
		if len(b) > 1478 {
			larger++
		}
	}
	if st.OutPackets != uint64(len(want)) || st.OutBytes != uint64(bytesOut) || st.OutLarger != uint64(larger) || len(st.Drops) != 0 {
		t.Fatalf("status %+v, want %d packets, %d bytes, %d larger", st, len(want), bytesOut, larger)
	}
}

func TestPeerIsAnsweredInTheFormItSends(t *testing.T) {
	f := []eth.Frame{{Data: plain(60)}}
	for _, tc := range []struct {
		name string
		pin  Form
		in   []byte // first bytes of packets received, in order
		want byte
		seen Form
	}{
		{"nothing came yet", Auto, nil, 0x30, Auto},
		{"standard peer", Auto, []byte{0x30}, 0x30, Standard},
		{"swapped peer", Auto, []byte{0x03}, 0x03, Swapped},
		{"the last one counts", Auto, []byte{0x03, 0x30}, 0x30, Standard},
		{"pinned standard", Standard, []byte{0x03}, 0x30, Swapped},
		{"pinned swapped", Swapped, nil, 0x03, Auto},
		{"a bad header teaches nothing", Auto, []byte{0x03, 0x40}, 0x03, Swapped},
	} {
		p, s := newTestPort(Config{Header: tc.pin}, 1480)
		r := p.NewReceiver(newInput())
		for _, first := range tc.in {
			r.Receive(time.Time{}, [][]byte{append([]byte{first, 0}, plain(60)...)})
		}
		p.WriteFrames(f)
		if got, ok := s.frames(tc.want); !ok || len(got) != 1 {
			t.Errorf("%s: header is not %#x", tc.name, tc.want)
		}
		if st := p.Status(); st.HeaderSeen != tc.seen {
			t.Errorf("%s: seen %v, want %v", tc.name, st.HeaderSeen, tc.seen)
		}
	}
}

func TestReceiveChecksEachPacket(t *testing.T) {
	p, _ := newTestPort(Config{}, 1480)
	in := newInput()
	r := p.NewReceiver(in)
	with := func(h0, h1 byte, frame []byte) []byte { return append([]byte{h0, h1}, frame...) }
	group := plain(60)
	group[6] |= 1
	zero := plain(60)
	clear(zero[6:12])
	batch := [][]byte{
		{}, {0x30}, with(0x30, 0, nil), with(0x30, 0, plain(14)[:13]),
		with(0x40, 0, plain(60)), with(0x00, 0x30, plain(60)), with(0x30, 1, plain(60)), with(0x31, 0, plain(60)),
		with(0x30, 0, plain(eth.MaxPlainLen+1)), with(0x30, 0, group), with(0x30, 0, zero),
		with(0x30, 0, plain(14)), with(0x03, 0, plain(eth.MaxPlainLen)),
	}
	r.Receive(time.Time{}, batch)
	if got := in.wait(2); len(got) != 2 || len(got[0]) != 14 || !bytes.Equal(got[1], plain(eth.MaxPlainLen)) {
		t.Fatalf("%d frames came through", len(got))
	}
	st := p.Status()
	for why, n := range map[Reason]uint64{ShortPacket: 4, BadVersion: 2, BadReserved: 2, LongFrame: 1, BadSource: 2} {
		if st.Drops[why] != n {
			t.Errorf("%v: %d drops, want %d", why, st.Drops[why], n)
		}
	}
	if st.InPackets != 2 || st.InBytes != 14+eth.MaxPlainLen {
		t.Errorf("status %+v", st)
	}
}

func TestLimitsFollowFromThePath(t *testing.T) {
	for _, tc := range []struct {
		name                   string
		mtu, inner, mss4, mss6 int
	}{
		// Plain EtherIP on a wire of 1,500: the outer IPv4 or IPv6 header is off already.
		{"IPv4", 1480, 1464, 1424, 1404},
		{"IPv6", 1460, 1444, 1404, 1384},
		{"not known", 0, 0, 0, 0},
		{"not a real path's", 70, 0, 0, 0},
	} {
		p, _ := newTestPort(Config{}, tc.mtu)
		if st := p.Status(); st.InnerMTU != tc.inner || st.MSS4 != tc.mss4 || st.MSS6 != tc.mss6 {
			t.Errorf("%s: inner %d mss %d/%d, want %d %d/%d", tc.name, st.InnerMTU, st.MSS4, st.MSS6, tc.inner, tc.mss4, tc.mss6)
		}
	}
}

func TestMSSIsClampedBothWays(t *testing.T) {
	mss := []byte{2, 4, 0x05, 0xb4} // 1460
	for _, tc := range []struct {
		name    string
		s       ipSpec
		noClamp bool
		want    int
	}{
		{"IPv4", ipSpec{flags: 2, options: mss}, false, 1424},
		{"IPv6", ipSpec{flags: 2, options: mss, v6: true}, false, 1404},
		{"SYN ACK with a tag", ipSpec{flags: 0x12, options: mss, tags: 1}, false, 1420},
		{"off", ipSpec{flags: 2, options: mss}, true, 1460},
	} {
		p, s := newTestPort(Config{NoClamp: tc.noClamp}, 1480)
		lent := tc.s.frame()
		before := bytes.Clone(lent)
		p.WriteFrames([]eth.Frame{{Data: lent}})
		out, _ := s.frames(0x30)
		if got := mssOf(t, out[0]); got != tc.want {
			t.Errorf("%s, out: %d, want %d", tc.name, got, tc.want)
		}
		if !bytes.Equal(lent, before) {
			t.Errorf("%s: the lent frame was written to", tc.name)
		}
		in := newInput()
		p.NewReceiver(in).Receive(time.Time{}, [][]byte{append([]byte{0x30, 0}, lent...)})
		if got := mssOf(t, in.wait(1)[0]); got != tc.want {
			t.Errorf("%s, in: %d, want %d", tc.name, got, tc.want)
		}
		want := uint64(2)
		if tc.noClamp {
			want = 0
		}
		if st := p.Status(); st.Clamped != want {
			t.Errorf("%s: %d counted, want %d", tc.name, st.Clamped, want)
		}
	}
}

func TestLargeFramesFitThePath(t *testing.T) {
	for _, tc := range []struct {
		name string
		f    eth.Frame
		want int // packets
		max  int // longest frame
	}{
		{"TCP whose segments fit", ipSpec{payload: 10000, flags: 0x18}.large(1000), 10, 1054},
		{"TCP whose segments do not fit is cut smaller", ipSpec{payload: 14000, flags: 0x18}.large(1460), 10, 1478},
		{"TCP over IPv6", ipSpec{payload: 14000, v6: true, flags: 0x18}.large(1440), 10, 1478},
		{"UDP keeps its datagrams", ipSpec{payload: 15000, udp: true}.large(1500), 10, 1542},
	} {
		p, s := newTestPort(Config{}, 1480)
		p.WriteFrames([]eth.Frame{tc.f, {Data: plain(60)}})
		got, ok := s.frames(0x30)
		if !ok || len(got) != tc.want+1 || !bytes.Equal(got[tc.want], plain(60)) {
			t.Errorf("%s: %d packets", tc.name, len(got))
			continue
		}
		longest, payload := 0, 0
		for _, b := range got[:tc.want] {
			l := eth.Parse(b)
			longest, payload = max(longest, len(b)), payload+l.End-l.Data
			if !l.ChecksumValid(b) {
				t.Errorf("%s: wrong checksum", tc.name)
			}
		}
		was := eth.Parse(tc.f.Data)
		if longest != tc.max || payload != was.End-was.Data {
			t.Errorf("%s: longest %d, payload %d", tc.name, longest, payload)
		}
	}
}

// frameInput keeps the frames it is given with what their Offload says.
type frameInput []eth.Frame

func (in *frameInput) Input(_ time.Time, frames []eth.Frame) {
	for _, f := range frames {
		f.Data = bytes.Clone(f.Data)
		*in = append(*in, f)
	}
}

// Segments of one read reach the hub as one frame, in their flow's order and
// between what came before and after; sent on, they are the same packets again.
func TestReceivedSegmentsAreJoined(t *testing.T) {
	p, s := newTestPort(Config{}, 1480)
	sent := []eth.Frame{{Data: plain(60)}, ipSpec{payload: 5500, flags: 0x18}.large(1000), ipSpec{v6: true, payload: 3000, flags: 0x10}.large(1400), {Data: plain(61)}}
	p.WriteFrames(sent)
	s.mu.Lock()
	packets := s.got
	s.got = nil
	s.mu.Unlock()
	if len(packets) != 1+6+3+1 {
		t.Fatalf("%d packets", len(packets))
	}
	var in frameInput
	lent := make([][]byte, len(packets))
	for i := range packets {
		lent[i] = bytes.Clone(packets[i])
	}
	p.NewReceiver(&in).Receive(time.Time{}, lent)
	if len(in) != len(sent) {
		t.Fatalf("%d frames reached the hub, want %d", len(in), len(sent))
	}
	for i := range in {
		if in[i].GSO != sent[i].GSO || in[i].SegSize != sent[i].SegSize || len(in[i].Data) != len(sent[i].Data) || in[i].Check() != eth.OK {
			t.Errorf("frame %d: %+v with %d bytes, want %+v with %d", i, in[i].Offload, len(in[i].Data), sent[i].Offload, len(sent[i].Data))
		}
	}
	p.WriteFrames(in)
	again, ok := s.frames(0x30)
	if !ok || len(again) != len(packets) {
		t.Fatalf("%d packets, want %d", len(again), len(packets))
	}
	for i := range again {
		if !bytes.Equal(again[i], packets[i][2:]) {
			t.Errorf("packet %d is not the same", i)
		}
	}
	if st := p.Status(); st.InPackets != uint64(len(packets)) {
		t.Errorf("%d packets counted, want %d", st.InPackets, len(packets))
	}
}

func TestASenderThatIsFull(t *testing.T) {
	small := eth.Frame{Data: plain(100)}
	large := ipSpec{payload: 10000, flags: 0x18}.large(1000) // 10 packets
	huge := ipSpec{payload: 64000, flags: 0x18}.large(1000)  // 64 packets
	for _, tc := range []struct {
		name   string
		room   int
		frames []eth.Frame
		want   int
	}{
		{"takes nothing", 0, []eth.Frame{small, small}, 0},
		{"takes some", 2, []eth.Frame{small, small, small}, 2},
		{"in the middle of a large frame", 5, []eth.Frame{small, large, small}, 1},
		{"exactly all", 12, []eth.Frame{small, large, small}, 3},
		{"full while the arena is emptied", 150, []eth.Frame{huge, huge, huge, huge}, 2},
		{"no frames", 0, nil, 0},
	} {
		p, s := newTestPort(Config{}, 1480)
		s.room = tc.room
		if got := p.WriteFrames(tc.frames); got != tc.want {
			t.Errorf("%s: took %d, want %d", tc.name, got, tc.want)
		}
		s.room = -1
		s.got = nil
		if got := p.WriteFrames([]eth.Frame{small}); got != 1 || len(s.got) != 1 {
			t.Errorf("%s: afterwards it took %d and sent %d", tc.name, got, len(s.got))
		}
	}
}

func TestWithoutASender(t *testing.T) {
	p := NewPort(Config{}, quiet)
	if n := p.WriteFrames([]eth.Frame{{Data: plain(60)}}); n != 1 {
		t.Fatalf("took %d", n)
	}
	if st := p.Status(); st.Drops[NoPath] != 1 || st.InnerMTU != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestABadLargeFrameIsDroppedAlone(t *testing.T) {
	p, s := newTestPort(Config{}, 1480)
	bad := ipSpec{payload: 5000}.large(1000)
	bad.GSO = eth.GSOTCP6
	if n := p.WriteFrames([]eth.Frame{bad, {Data: plain(60)}}); n != 2 {
		t.Fatalf("took %d", n)
	}
	if got, _ := s.frames(0x30); len(got) != 1 || p.Status().Drops[BadFrame] != 1 {
		t.Fatalf("%d packets, %+v", len(got), p.Status())
	}
}

func TestLargerThanThePath(t *testing.T) {
	def, df, pre := Config{}, Config{DF: true}, Config{PreFragment: true}
	big4, big4df, big6 := ipSpec{udp: true, payload: 1472}, ipSpec{udp: true, payload: 1472, df: true}, ipSpec{udp: true, payload: 1452, v6: true}
	for _, tc := range []struct {
		name    string
		cfg     Config
		f       eth.Frame
		packets int // that go to the peer
		fit     bool
		answers int
		drops   uint64
	}{
		{"default: IPv4 goes whole", def, eth.Frame{Data: big4.frame()}, 1, false, 0, 0},
		{"default: DF inside does not matter", def, eth.Frame{Data: big4df.frame()}, 1, false, 0, 0},
		{"pre-fragment: IPv4 is cut", pre, eth.Frame{Data: big4.frame()}, 2, true, 0, 0},
		{"pre-fragment: DF inside goes whole", pre, eth.Frame{Data: big4df.frame()}, 1, false, 0, 0},
		{"pre-fragment: IPv6 goes whole", pre, eth.Frame{Data: big6.frame()}, 1, false, 0, 0},
		{"pre-fragment: no IP goes whole", pre, eth.Frame{Data: plain(1514)}, 1, false, 0, 0},
		{"pre-fragment: large UDP, each datagram is cut", pre, ipSpec{udp: true, payload: 4 * 1472}.large(1472), 8, true, 0, 0},
		{"df: IPv4 without DF is cut", df, eth.Frame{Data: big4.frame()}, 2, true, 0, 0},
		{"df: IPv4 with DF is answered", df, eth.Frame{Data: big4df.frame()}, 0, true, 1, 1},
		{"df: IPv6 is answered", df, eth.Frame{Data: big6.frame()}, 0, true, 1, 1},
		{"df: no IP is dropped", df, eth.Frame{Data: plain(1514)}, 0, true, 0, 1},
		{"df: large UDP over IPv6, each datagram is answered", df, ipSpec{udp: true, v6: true, payload: 3 * 1452}.large(1452), 0, true, 3, 3},
		{"df: large TCP is cut to fit", df, ipSpec{df: true, payload: 2 * 1460}.large(1460), 3, true, 0, 0},
		{"df: what fits goes", df, eth.Frame{Data: plain(1478)}, 1, true, 0, 0},
	} {
		p, s := newTestPort(tc.cfg, 1480)
		in := newInput()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Answer(ctx, in); close(done) }()
		if n := p.WriteFrames([]eth.Frame{tc.f}); n != 1 {
			t.Errorf("%s: not taken", tc.name)
		}
		got, _ := s.frames(0x30)
		if len(got) != tc.packets {
			t.Errorf("%s: %d packets, want %d", tc.name, len(got), tc.packets)
		}
		for _, b := range got {
			if fits := len(b) <= 1478; fits != tc.fit {
				t.Errorf("%s: %d bytes", tc.name, len(b))
			}
		}
		answers := in.wait(tc.answers)
		cancel()
		<-done
		if len(answers) != tc.answers || p.Status().Drops[TooBig] != tc.drops {
			t.Errorf("%s: %d answers, %d drops", tc.name, len(answers), p.Status().Drops[TooBig])
		}
		for _, a := range answers {
			l := eth.Parse(a)
			if mtu := binary.BigEndian.Uint16(a[l.L4+6:]); mtu != 1464 || eth.Destination(a) != eth.Source(tc.f.Data) || !l.ChecksumValid(a) {
				t.Errorf("%s: answer %x", tc.name, a)
			}
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	p, _ := newTestPort(Config{DF: true}, 1480)
	f := []eth.Frame{{Data: ipSpec{udp: true, payload: 1472, df: true}.frame()}}
	for range answersWaiting + 10 { // nobody takes them: WriteFrames must not wait
		p.WriteFrames(f)
	}
	if st := p.Status(); st.Drops[AnswerLost] != 10 {
		t.Fatalf("%d lost, want 10", st.Drops[AnswerLost])
	}
}

func TestWriteFramesFromManyGoroutines(t *testing.T) {
	p, s := newTestPort(Config{}, 1480)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			frames := []eth.Frame{{Data: plain(60)}, ipSpec{payload: 5000}.large(1000)}
			for range 50 {
				p.WriteFrames(frames)
			}
		})
	}
	wg.Wait()
	if got, ok := s.frames(0x30); !ok || len(got) != 4*50*6 {
		t.Fatalf("%d packets", len(got))
	}
}

// takeAll is a Sender that costs nothing.
type takeAll struct{}

func (takeAll) PathMTU() int                  { return 1480 }
func (takeAll) Send(pkts []packet.Packet) int { return len(pkts) }

type nullInput struct{}

func (nullInput) Input(time.Time, []eth.Frame) {}

// raceEnabled: under the race detector a sync.Pool throws things away at random.
var raceEnabled bool

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are counted without the race detector only")
	}
	p := NewPort(Config{}, quiet)
	p.SetSender(takeAll{})
	syn := ipSpec{flags: 2, options: []byte{2, 4, 5, 0xb4}}.frame()
	frames := []eth.Frame{{Data: plain(1514)}, ipSpec{payload: 64000}.large(1448), {Data: syn}}
	r := p.NewReceiver(nullInput{})
	var batch [][]byte
	for _, n := range []int{60, 1514, 9014} {
		batch = append(batch, append([]byte{0x30, 0}, plain(n)...))
	}
	batch = append(batch, append([]byte{0x30, 0}, syn...))
	var flow [][]byte
	if _, fault := eth.Split(&frames[1], 0, func(n int) []byte {
		b := make([]byte, HeaderLen+n)
		PutHeader(b, Standard)
		flow = append(flow, b)
		return b[HeaderLen:]
	}); fault != eth.OK || len(flow) != 45 {
		t.Fatal(fault, len(flow))
	}
	pre := NewPort(Config{PreFragment: true}, quiet)
	pre.SetSender(takeAll{})
	cut := []eth.Frame{{Data: ipSpec{udp: true, payload: 4000}.frame()}}
	df := NewPort(Config{DF: true}, quiet)
	df.SetSender(takeAll{})
	answered := []eth.Frame{{Data: ipSpec{df: true, payload: 4000}.frame()}}
	now := time.Now()
	for _, tc := range []struct {
		name string
		run  func()
	}{
		{"WriteFrames", func() { p.WriteFrames(frames) }},
		{"WriteFrames, cut inside", func() { pre.WriteFrames(cut) }},
		{"WriteFrames, answered", func() { df.WriteFrames(answered) }},
		{"Receive", func() { r.Receive(now, batch) }},
		{"Receive, joined", func() { r.Receive(now, flow) }},
	} {
		if n := testing.AllocsPerRun(100, tc.run); n != 0 {
			t.Errorf("%s: %v allocations", tc.name, n)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{0x30, 0, 1, 2, 3})
	f.Add(append([]byte{3, 0}, plain(60)...))
	f.Add(append([]byte{0x30, 0}, ipSpec{flags: 2, options: []byte{2, 4, 5, 0xb4}, tags: 1}.frame()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, s := newTestPort(Config{DF: len(b)%2 == 0, PreFragment: len(b)%2 == 1}, 600)
		in := newInput()
		before := bytes.Clone(b)
		p.NewReceiver(in).Receive(time.Time{}, [][]byte{b})
		st := p.Status()
		dropped := uint64(0)
		for _, n := range st.Drops {
			dropped += n
		}
		if st.InPackets+dropped != 1 {
			t.Fatalf("%d taken, %d dropped of one packet", st.InPackets, dropped)
		}
		if len(in.got) == 1 {
			if st.Clamped == 0 && !bytes.Equal(in.got[0], before[2:]) {
				t.Fatal("the frame changed")
			}
			p.WriteFrames([]eth.Frame{{Data: in.got[0]}})
			if out, ok := s.frames(b[0]); !ok || len(out) == 1 && len(out[0]) == len(in.got[0]) && !bytes.Equal(out[0], in.got[0]) {
				t.Fatal("the frame changed on its way back")
			}
		}
	})
}

// 32 full frames a batch.
func BenchmarkWriteFrames(b *testing.B) {
	p := NewPort(Config{}, quiet)
	p.SetSender(takeAll{})
	var frames []eth.Frame
	for range 32 {
		frames = append(frames, eth.Frame{Data: ipSpec{payload: 1410, flags: 0x10}.frame()})
	}
	for b.Loop() {
		p.WriteFrames(frames)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/frame")
}

// One large frame of 44 segments.
func BenchmarkWriteLargeFrame(b *testing.B) {
	p := NewPort(Config{}, quiet)
	p.SetSender(takeAll{})
	frames := []eth.Frame{ipSpec{payload: 44 * 1410, flags: 0x10}.large(1410)}
	for b.Loop() {
		p.WriteFrames(frames)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/44, "ns/segment")
}

// 32 full packets a batch.
func BenchmarkReceive(b *testing.B) {
	p := NewPort(Config{}, quiet)
	p.SetSender(takeAll{})
	r := p.NewReceiver(nullInput{})
	var batch [][]byte
	for range 32 {
		batch = append(batch, append([]byte{0x30, 0}, ipSpec{payload: 1410, flags: 0x10}.frame()...))
	}
	now := time.Now()
	for b.Loop() {
		r.Receive(now, batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/frame")
}
