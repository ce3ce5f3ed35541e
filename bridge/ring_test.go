package bridge

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/netlab"
	"vhub/internal/testenv"
	"vhub/internal/uring"
)

// numbered is a frame with a number behind its header, and of a length that
// goes with the number: short ones and full ones by turns.
func numbered(n int) eth.Frame {
	b := make([]byte, 60+n*97%1450)
	copy(b, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5})
	binary.BigEndian.PutUint32(b[14:], uint32(n))
	return eth.Frame{Data: b}
}

// wantNumbered checks a frame against numbered(n).
func wantNumbered(t *testing.T, n int, b []byte) {
	t.Helper()
	if want := numbered(n).Data; string(b) != string(want) {
		t.Fatalf("frame %d: %d bytes, number %d; want %d bytes", n, len(b), binary.BigEndian.Uint32(b[14:]), len(want))
	}
}

// packetSocket opens a packet socket on an interface of a namespace.
func packetSocket(t *testing.T, ns *netlab.NS, ifname string) (fd int) {
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
	const proto = 0xb588 // 0x88b5 as the network has it
	err = s.do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, proto)
		return err
	})
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index, Protocol: proto})
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	}
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// useUpRings takes all rings that there are and lets no more be made, nor
// anything else that needs a descriptor, until the function that it returns is
// called.
func useUpRings(t *testing.T) (again func()) {
	t.Helper()
	var old unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old)
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: old.Max})
	}
	if err != nil {
		t.Fatal(err)
	}
	var rings []*uring.Ring
	for {
		r := uring.Get()
		if r == nil {
			break
		}
		rings = append(rings, r)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
		for _, r := range rings {
			uring.Put(r)
		}
	}
}

// TestBatchesKeepOrder sends numbered frames through a TAP both ways: with the
// ring, as on kernels that have none, and when no more rings can be had.
func TestBatchesKeepOrder(t *testing.T) {
	for _, c := range []struct {
		name      string
		ring, out bool
	}{
		{"ring", true, false},
		{"no ring", false, false},
		{"no more rings", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := newLab(t).NS("a")
			p := openTAP(t, TAPConfig{Name: "p", Netns: ns.Path(), Queues: 1, Offload: true})
			if c.ring && !p.dev.ring {
				testenv.Missing(t, "this kernel lends no io_uring")
			}
			p.dev.ring = c.ring
			host := packetSocket(t, ns, "vh-p")
			r := newTAPReader(p.dev, 0, &p.count)
			if c.out {
				defer useUpRings(t)()
			}

			t.Log("in")
			const rounds, most = 20, 150
			sent, got := 0, 0
			for round := range rounds {
				for range 1 + round*most/rounds {
					if _, err := unix.Write(host, numbered(sent).Data); err != nil {
						t.Fatal(err)
					}
					sent++
				}
				for got < sent {
					p.dev.bells[0].Resume()
					late := time.AfterFunc(10*time.Second, p.dev.bells[0].Interrupt)
					frames, err := r.readBatch()
					if late.Stop(); err != nil {
						t.Fatalf("%d of %d frames came: %v", got, sent, err)
					}
					for i := range frames {
						if typ, _ := eth.EtherType(frames[i].Data); typ == 0x88b5 { // the host speaks of itself too
							wantNumbered(t, got, frames[i].Data)
							got++
						}
					}
				}
			}

			t.Log("out, with a large frame that must be cut in the middle")
			p.dev.offloads.USO4 = false
			buf := make([]byte, 2000)
			for n := 1; n <= 100; n += 9 {
				var frames []eth.Frame
				for i := range n {
					frames = append(frames, numbered(i))
				}
				cut := len(frames) / 2
				large := eth.Frame{Data: largeUDP(3, 500), Offload: eth.Offload{GSO: eth.GSOUDP, SegSize: 500, HdrLen: 42, NeedsCsum: true, CsumStart: 34, CsumOffset: 6}}
				before := p.Status().Counters.TxFrames
				frames = append(frames[:cut:cut], append([]eth.Frame{large}, frames[cut:]...)...)
				if took := p.WriteFrames(frames); took != len(frames) {
					t.Fatalf("took %d of %d", took, len(frames))
				}
				if c := p.Status().Counters; c.TxFrames-before != uint64(n+3) || len(c.Drops) != 0 {
					t.Fatalf("%d frames and 3 pieces: counters %+v", n, c)
				}
				for i := range n {
					k, err := unix.Read(host, buf)
					if err != nil {
						t.Fatalf("frame %d of %d: %v", i, n, err)
					}
					wantNumbered(t, i, buf[:k])
				}
			}
		})
	}
}

// largeUDP is a UDP datagram of n payloads of size bytes, to be cut.
func largeUDP(n, size int) []byte {
	b := make([]byte, 42+n*size)
	copy(b, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0})
	copy(b[14:], []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
	binary.BigEndian.PutUint16(b[24:], ^eth.Sum(b[14:34], 0))
	copy(b[34:], []byte{0x10, 0, 0x20, 0})
	binary.BigEndian.PutUint16(b[38:], uint16(len(b)-34))
	binary.BigEndian.PutUint16(b[40:], eth.PseudoSum(b[26:30], b[30:34], 17, len(b)-34))
	return b
}
