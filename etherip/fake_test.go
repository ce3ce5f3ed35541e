package etherip

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"sync"
	"time"

	"vhub/eth"
	"vhub/internal/packet"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// fakeSender keeps what it is given, and spoils the buffers afterwards as a
// Sender that seals in place does.
type fakeSender struct {
	mtu  int
	room int // packets that it still takes; < 0: all
	mu   sync.Mutex
	got  [][]byte
	bad  string // a packet that does not keep the contract
}

func (s *fakeSender) PathMTU() int { return s.mtu }

func (s *fakeSender) Send(pkts []packet.Packet) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for i := range pkts {
		if s.room == 0 {
			break
		}
		s.room--
		p := &pkts[i]
		if p.Off < packet.Headroom-HeaderLen || len(p.Buf)-p.End < packet.Tailroom {
			s.bad = "no room around the payload"
		}
		s.got = append(s.got, bytes.Clone(p.Payload()))
		n++
	}
	for i := range pkts {
		for k := range pkts[i].Buf {
			pkts[i].Buf[k] = 0xee
		}
	}
	return n
}

// frames returns the frames of the packets that were sent, and checks their headers.
func (s *fakeSender) frames(want byte) (out [][]byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok = s.bad == ""
	for _, b := range s.got {
		if len(b) < 2 || b[0] != want || b[1] != 0 {
			ok = false
			continue
		}
		out = append(out, b[2:])
	}
	s.got = nil
	return out, ok
}

// fakeInput keeps copies of the frames it is given.
type fakeInput struct {
	mu   sync.Mutex
	got  [][]byte
	more chan struct{}
}

func newInput() *fakeInput { return &fakeInput{more: make(chan struct{}, 1)} }

func (in *fakeInput) Input(_ time.Time, frames []eth.Frame) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range frames {
		in.got = append(in.got, bytes.Clone(frames[i].Data))
	}
	select {
	case in.more <- struct{}{}:
	default:
	}
}

// wait returns the frames once there are n, or what there is at the deadline.
func (in *fakeInput) wait(n int) [][]byte {
	deadline := time.After(20 * time.Second)
	for {
		in.mu.Lock()
		got := in.got
		in.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-in.more:
		case <-deadline:
			return got
		}
	}
}

// forget drops what came so far.
func (in *fakeInput) forget() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.got = nil
}

// plain makes a frame of n bytes that no protocol claims.
func plain(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*31 + n)
	}
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5})
	return b
}

type ipSpec struct {
	v6, udp, df bool
	tags        int
	flags       byte
	options     []byte
	payload     int
}

// ip makes a TCP or UDP frame with right checksums.
func (s ipSpec) frame() []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for range s.tags {
		b = append(b, 0x81, 0, 0, 7)
	}
	proto, hdr := byte(6), 20+len(s.options)
	if s.udp {
		proto, hdr = 17, 8
	}
	n := hdr + s.payload
	if s.v6 {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, byte(n>>8), byte(n), proto, 64)
		b = append(b, []byte{0xfd, 15: 1}...)
		b = append(b, []byte{0xfd, 15: 2}...)
	} else {
		df := byte(0)
		if s.df {
			df = 0x40
		}
		b = append(b, 8, 0, 0x45, 0, byte((n+20)>>8), byte(n+20), 0x12, 0x34, df, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
		ip := b[len(b)-20:]
		binary.BigEndian.PutUint16(ip[10:], ^eth.Sum(ip, 0))
	}
	at := len(b)
	b = append(b, make([]byte, n)...)
	t := b[at:]
	for i := hdr; i < n; i++ {
		t[i] = byte(i * 13)
	}
	binary.BigEndian.PutUint16(t, 1000)
	binary.BigEndian.PutUint16(t[2:], 2000)
	sumAt := 16
	if s.udp {
		sumAt = 6
		binary.BigEndian.PutUint16(t[4:], uint16(n))
	} else {
		t[12], t[13] = byte(hdr/4)<<4, s.flags
		copy(t[20:], s.options)
	}
	addrs := b[at-8 : at]
	if s.v6 {
		addrs = b[at-32 : at]
	}
	binary.BigEndian.PutUint16(t[sumAt:], ^eth.Sum(t, eth.PseudoSum(addrs[:len(addrs)/2], addrs[len(addrs)/2:], proto, n)))
	return b
}

// large makes a large frame of the spec with a segment size.
func (s ipSpec) large(seg int) eth.Frame {
	b := s.frame()
	l := eth.Parse(b)
	f := eth.Frame{Data: b, Offload: eth.Offload{GSO: eth.GSOTCP4, SegSize: uint16(seg), HdrLen: uint16(l.Data)}}
	if s.v6 {
		f.GSO = eth.GSOTCP6
	}
	if s.udp {
		f.GSO = eth.GSOUDP
	}
	return f
}
