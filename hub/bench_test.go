package hub

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"vhub/eth"
)

// crowd is a hub with stations behind two links, and batches of frames from
// those behind the first to those behind the second. As in a real port, the
// buffers are few and in the cache; the addresses are as many as there are.
type crowd struct {
	hub   *Hub
	in    *Reader
	ring  [8][]eth.Frame
	pairs [][12]byte // destination and source, one after another
	next  int
	now   time.Time
}

const batchLen = 64

// newCrowd makes a crowd that sends UDP frames of size bytes between random
// pairs of stations.
func newCrowd(tb testing.TB, stations, size int, suppress bool) *crowd {
	c := &crowd{hub: New(Config{MaxStations: 1<<20 + 1<<18}), now: start}
	var in [2]*Reader
	for i := range in {
		link, err := c.hub.Attach(c.now, discard{}, LinkConfig{Name: fmt.Sprint(i), Suppress: suppress, MaxFrame: eth.MaxLargeLen})
		if err != nil {
			tb.Fatal(err)
		}
		in[i] = link.NewReader()
	}
	c.in = in[0]
	var batch []eth.Frame
	for i := range stations {
		batch = append(batch, plain(eth.Broadcast, mac(i), ""))
		if len(batch) == batchLen || i == stations-1 || i == stations/2-1 {
			in[i*2/stations].Input(c.now, batch)
			batch = batch[:0]
		}
	}
	if got := c.hub.Status().Stations; got != stations {
		tb.Fatalf("%d stations were learned, want %d", got, stations)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range c.ring {
		for range batchLen {
			c.ring[i] = append(c.ring[i], udp(mac(0), mac(1), 0, randomBytes(r, size-42)))
		}
	}
	for range 1 << 17 {
		dst, src := mac(stations/2+r.IntN(stations/2)), mac(r.IntN(stations/2))
		c.pairs = append(c.pairs, [12]byte(append(dst[:], src[:]...)))
	}
	return c
}

// fill readies a batch: other stations, another IPv4 ID, another payload.
func (c *crowd) fill() []eth.Frame {
	frames := c.ring[c.next/batchLen%len(c.ring)]
	for i := range frames {
		b := frames[i].Data
		copy(b, c.pairs[(c.next+i)%len(c.pairs)][:])
		binary.BigEndian.PutUint16(b[18:], uint16(c.next+i))
		binary.BigEndian.PutUint64(b[42:], uint64(c.next+i))
	}
	c.next += len(frames)
	return frames
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// udp is an IPv4 UDP frame.
func udp(dst, src eth.Addr, id uint16, payload []byte) eth.Frame {
	b := append(append(append([]byte{}, dst[:]...), src[:]...), 8, 0)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(28+len(payload)))
	b = binary.BigEndian.AppendUint16(b, id)
	b = append(b, 0x40, 0, 64, 17, 0, 0)
	b = append(append(b, 10, 0, src[4], src[5]), 10, 1, dst[4], dst[5])
	b = append(b, 0x10, 0x20, 0x30, 0x40)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, 0, 0)
	return eth.Frame{Data: append(b, payload...)}
}

func (c *crowd) run(b *testing.B) {
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += batchLen {
		c.now = c.now.Add(10 * time.Microsecond)
		c.in.Input(c.now, c.fill())
	}
	b.StopTimer()
	s := c.hub.Status().Counters
	if lost := s.Dropped; lost > s.InFrames/100 {
		b.Fatalf("%d of %d frames were dropped: %v", lost, s.InFrames, s.Drops)
	}
}

// BenchmarkUnicast counts ns a frame, in batches of 64.
func BenchmarkUnicast(b *testing.B) {
	for _, stations := range []int{100, 10_000, 1_000_000} {
		for _, size := range []int{60, 1514} {
			for _, suppress := range []bool{false, true} {
				b.Run(fmt.Sprintf("stations=%d/size=%d/suppress=%v", stations, size, suppress), func(b *testing.B) {
					newCrowd(b, stations, size, suppress).run(b)
				})
			}
		}
	}
}

// BenchmarkLarge counts ns a large frame of 44 segments.
func BenchmarkLarge(b *testing.B) {
	for _, suppress := range []bool{false, true} {
		b.Run(fmt.Sprintf("suppress=%v", suppress), func(b *testing.B) {
			in, frames := newBulk(b, suppress)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				in.Input(start.Add(time.Duration(i)*time.Millisecond), frames(i))
			}
		})
	}
}

// newBulk is a TCP flow of large frames, each further than the one before.
func newBulk(tb testing.TB, suppress bool) (*Reader, func(i int) []eth.Frame) {
	h := New(Config{})
	var in [2]*Reader
	for i := range in {
		link, err := h.Attach(start, discard{}, LinkConfig{Name: fmt.Sprint(i), Suppress: suppress})
		must(tb, err)
		in[i] = link.NewReader()
		in[i].Input(start, []eth.Frame{plain(eth.Broadcast, mac(i), "")})
	}
	f := large(tcp(mac(1), mac(0), 1, 0, 1, eth.FlagACK, 44*1448), eth.GSOTCP4, 1448)
	one := []eth.Frame{f}
	return in[0], func(i int) []eth.Frame {
		binary.BigEndian.PutUint32(f.Data[38:], uint32(i*44*1448))
		binary.BigEndian.PutUint16(f.Data[18:], uint16(i*44+1))
		return one
	}
}

// BenchmarkFlood counts ns a broadcast that goes to ten ports.
func BenchmarkFlood(b *testing.B) {
	for _, suppress := range []bool{false, true} {
		b.Run(fmt.Sprintf("ports=10/suppress=%v", suppress), func(b *testing.B) {
			in, frames := newFlood(b, suppress)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batchLen {
				in.Input(start.Add(time.Duration(i)*time.Microsecond), frames(i))
			}
		})
	}
}

func newFlood(tb testing.TB, suppress bool) (*Reader, func(i int) []eth.Frame) {
	h := New(Config{})
	var in *Reader
	for i := range 11 {
		link, err := h.Attach(start, discard{}, LinkConfig{Name: fmt.Sprint(i), Suppress: suppress})
		must(tb, err)
		in = link.NewReader()
	}
	var frames []eth.Frame
	for range batchLen {
		frames = append(frames, udp(eth.Broadcast, mac(1), 0, make([]byte, 18)))
	}
	return in, func(n int) []eth.Frame {
		for i := range frames {
			binary.BigEndian.PutUint64(frames[i].Data[42:], uint64(n+i))
		}
		return frames
	}
}

// No path of a frame allocates.
func TestNoAllocations(t *testing.T) {
	if slowdown > 1 {
		t.Skip("SKIPPED: the race detector allocates")
	}
	check := func(name string, in *Reader, frames func(i int) []eth.Frame) {
		i := 0
		step := func() {
			i++
			in.Input(start.Add(time.Duration(i)*100*time.Microsecond), frames(i*batchLen))
		}
		for range 100 {
			step()
		}
		if n := testing.AllocsPerRun(500, step); n != 0 {
			t.Errorf("%s: %v allocations a batch", name, n)
		}
	}
	for _, suppress := range []bool{false, true} {
		c := newCrowd(t, 1000, 60, suppress)
		check(fmt.Sprintf("unicast, suppress %v", suppress), c.in, func(int) []eth.Frame { return c.fill() })
		in, frames := newBulk(t, suppress)
		check(fmt.Sprintf("large, suppress %v", suppress), in, frames)
		in, frames = newFlood(t, suppress)
		check(fmt.Sprintf("flood, suppress %v", suppress), in, frames)
	}
	l := newLab(t, Config{}, LinkConfig{Name: "a", Suppress: true}, LinkConfig{Name: "b", Suppress: true})
	l.ports["b"].room = -1
	echo := []eth.Frame{garp(1)}
	l.in["b"].Input(start, echo)
	check("echo", l.in["a"], func(int) []eth.Frame { return echo })
}
