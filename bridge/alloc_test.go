package bridge

import (
	"testing"

	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/netlab"
)

// tcpSegments makes n consecutive full TCP segments of one flow.
func tcpSegments(n int) []eth.Frame {
	out := make([]eth.Frame, n)
	for i := range out {
		b := make([]byte, 14+40+1000)
		copy(b, []byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0})
		ip, tcp := b[14:34], b[34:]
		copy(ip, []byte{0x45, 0, 0x04, 0x10, 0, byte(i), 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
		sum := ^eth.Sum(ip, 0)
		ip[10], ip[11] = byte(sum>>8), byte(sum)
		seq := i * 1000
		copy(tcp, []byte{0x10, 0, 0x20, 0, byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq), 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff})
		sum = ^eth.Sum(tcp, eth.PseudoSum(ip[12:16], ip[16:20], 6, len(tcp)))
		tcp[16], tcp[17] = byte(sum>>8), byte(sum)
		out[i].Data = b
	}
	return out
}

func TestTCPSegmentsAreValid(t *testing.T) {
	for _, f := range tcpSegments(3) {
		if l := eth.Parse(f.Data); !l.ChecksumValid(f.Data) || f.Check() != eth.OK {
			t.Fatal("the test's own segments are broken")
		}
	}
}

// allocs is testing.AllocsPerRun for tests with devices: what watches them, in
// goroutines of its own, allocates when the kernel tells of a change. What a frame
// costs is the same in every try.
func allocs(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for tries := 0; least > 0 && tries < 4; tries++ {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}

func TestNoAllocationOnTheDataPath(t *testing.T) {
	if raceDetector {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	lab := newLab(t)
	na, nb := lab.NS("a"), lab.NS("b")
	lab.Wire(na, "w0", nb, "w1")
	large := func(segments []eth.Frame) []eth.Frame {
		var j eth.Joiner
		var out []eth.Frame
		for _, f := range j.Join(segments) {
			f.Data = append([]byte{}, f.Data...)
			out = append(out, f)
		}
		return out
	}
	wire := openNIC(t, NICConfig{Name: "n", Ifname: "w0", Netns: na.Path(), Offload: true})
	far := openNIC(t, NICConfig{Name: "f", Ifname: "w1", Netns: nb.Path(), Promisc: true, Offload: true})
	on := openTAP(t, TAPConfig{Name: "on", Netns: na.Path(), Queues: 1, Offload: true})
	off := openTAP(t, TAPConfig{Name: "off", Netns: na.Path(), Queues: 1})
	var single []eth.Frame
	for i := range 40 {
		single = append(single, numbered(i))
	}
	for _, c := range []struct {
		name   string
		p      port
		frames []eth.Frame
	}{
		{"TAP with offload, plain segments, which are joined", on, tcpSegments(40)},
		{"TAP with offload, frames that stay single", on, single},
		{"TAP with offload, a large frame", on, large(tcpSegments(40))},
		{"TAP without, plain segments", off, tcpSegments(40)},
		{"TAP without, a large frame, which is cut", off, large(tcpSegments(40))},
		{"NIC, plain segments, which are joined", wire, tcpSegments(40)},
		{"NIC, a large frame", wire, large(tcpSegments(40))},
	} {
		if n := allocs(200, func() {
			if n := c.p.WriteFrames(c.frames); n != len(c.frames) {
				t.Errorf("%s: took %d of %d", c.name, n, len(c.frames))
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a call of WriteFrames", c.name, n)
		}
	}
	if s := on.Status().Counters; s.Joined == 0 {
		t.Errorf("nothing was joined: %+v", s)
	}
	if s := off.Status().Counters; s.TxFrames < 2*40*200 {
		t.Errorf("large frames were not cut: %+v", s)
	}

	t.Log("reading")
	far.sock.Load().bell.Resume()
	nr := newNICReader(far, far.sock.Load())
	four := tcpSegments(4)
	if n := allocs(100, func() {
		wire.WriteFrames(four)
		if frames, err := nr.readBatch(); err != nil || len(frames) == 0 {
			t.Errorf("%d frames, err %v", len(frames), err)
		}
	}); n != 0 {
		t.Errorf("NIC: %v allocations a batch", n)
	}
	tr := newTAPReader(on.dev, 0, &on.count)
	send := rawSender(t, na, "vh-on", frameFrom(mac(1), 'x').Data)
	for _, many := range []int{1, 100} {
		if n := allocs(100, func() {
			for range many {
				send()
			}
			for got := 0; got < many; {
				frames, err := tr.readBatch()
				if err != nil || len(frames) == 0 {
					t.Fatalf("%d frames, err %v", len(frames), err)
				}
				got += len(frames)
			}
		}); n != 0 {
			t.Errorf("TAP: %v allocations for %d frames", n, many)
		}
	}
}

// rawSender returns a function that sends one frame out of an interface of a
// namespace, without allocation.
func rawSender(t *testing.T, ns *netlab.NS, ifname string, frame []byte) func() {
	t.Helper()
	s, err := openSpace(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	l, err := s.nl.LinkByName(ifname)
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	if err := s.do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := unix.Write(fd, frame); err != nil {
			t.Error(err)
		}
	}
}
