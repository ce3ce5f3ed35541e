package ipsec

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

func TestSPITableAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := newSPITable(), map[uint32]*inbound{}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			spi := uint32(rapid.IntRange(256, 600).Draw(t, "spi")) << rapid.IntRange(0, 1).Draw(t, "clash")
			if in := model[spi]; in != nil {
				table.remove(in)
				delete(model, spi)
			} else {
				model[spi] = &inbound{spi: spi}
				table.add(model[spi])
			}
			if table.live != len(model) {
				t.Fatalf("%d live, want %d", table.live, len(model))
			}
		}
		for spi := range uint32(1300) {
			if got := table.find(spi); got != model[spi] {
				t.Fatalf("SPI %d: found %v, want %v", spi, got, model[spi])
			}
		}
		if n := len(*table.slots.Load()); n > 8*(len(model)+minSlots) && n > 2048 {
			t.Fatalf("%d slots for %d SAs", n, len(model))
		}
	})
}

// Readers find what stays in the table, whatever is added and removed around it.
func TestSPITableReadWhileWritten(t *testing.T) {
	table := newSPITable()
	stay := &inbound{spi: 0x1234}
	table.add(stay)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				if table.find(0x1234) != stay {
					t.Error("the SA was not found")
					return
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 1))
	var others []*inbound
	for range 20000 {
		if len(others) > 100 {
			table.remove(others[0])
			others = others[1:]
		}
		in := &inbound{spi: r.Uint32() | 1<<31}
		others = append(others, in)
		table.add(in)
	}
	stop.Store(true)
	wg.Wait()
}

func BenchmarkSPITable(b *testing.B) {
	table := newSPITable()
	r := rand.New(rand.NewPCG(1, 1))
	spis := make([]uint32, 4096)
	for i := range spis {
		spis[i] = r.Uint32()
		table.add(&inbound{spi: spis[i]})
	}
	b.ReportAllocs()
	for i := range b.N {
		if table.find(spis[i&4095]) == nil {
			b.Fatal("not found")
		}
	}
}

// fragments cuts a payload at multiples of 8 bytes.
func fragments(payload []byte, id uint32, cuts ...int) []esp.Inner {
	src, dst := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var list []esp.Inner
	from := 0
	for _, to := range append(cuts, len(payload)) {
		list = append(list, esp.Inner{Src: src, Dst: dst, Proto: 97, ID: id, Offset: from, More: to < len(payload), Payload: payload[from:to]})
		from = to
	}
	return list
}

func TestReassembly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r reassembler
		now := time.Unix(1000, 0)
		payload := make([]byte, rapid.IntRange(9, 3000).Draw(t, "size"))
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		var cuts []int
		for at := 8 * rapid.IntRange(1, 100).Draw(t, "cut"); at < len(payload); at += 8 * rapid.IntRange(1, 100).Draw(t, "cut") {
			cuts = append(cuts, at)
		}
		pieces := fragments(payload, 5, cuts...)
		pieces = rapid.Permutation(pieces).Draw(t, "order")
		whole := 0
		for i := range pieces {
			if rapid.Bool().Draw(t, "twice") && i < len(pieces)-1 {
				if r.add(now, &pieces[i]) != nil {
					t.Fatal("whole too early")
				}
			}
			if got := r.add(now, &pieces[i]); got != nil {
				whole++
				if i != len(pieces)-1 || !bytes.Equal(got, payload) {
					t.Fatalf("after piece %d of %d: %d bytes", i+1, len(pieces), len(got))
				}
			}
		}
		if whole != 1 || len(r.packets) != 0 || r.dropped != 0 {
			t.Fatalf("%d wholes, %d left, %d dropped", whole, len(r.packets), r.dropped)
		}
	})
}

func TestReassemblyLimits(t *testing.T) {
	now := time.Unix(1000, 0)
	payload := bytes.Repeat([]byte("abcdefgh"), 20)
	t.Run("overlap discards", func(t *testing.T) {
		var r reassembler
		p := fragments(payload, 1, 80)
		q := fragments(payload, 1, 72)
		r.add(now, &p[0])
		if got := r.add(now, &q[1]); got != nil || r.dropped != 1 {
			t.Errorf("taken: %x, dropped %d", got, r.dropped)
		}
	})
	t.Run("too many packets begun", func(t *testing.T) {
		var r reassembler
		for i := range uint32(100) {
			r.add(now, &fragments(payload, i, 80)[0])
		}
		if len(r.packets) != maxFragPackets || r.dropped != 100-maxFragPackets {
			t.Errorf("%d begun, %d dropped", len(r.packets), r.dropped)
		}
	})
	t.Run("old pieces are not joined with new", func(t *testing.T) {
		var r reassembler
		p := fragments(payload, 1, 80)
		r.add(now, &p[0])
		if got := r.add(now.Add(fragLifetime+1), &p[1]); got != nil {
			t.Error("joined")
		}
	})
	t.Run("middle not a multiple of 8", func(t *testing.T) {
		var r reassembler
		p := fragments(payload, 1, 81)
		if r.add(now, &p[0]); r.dropped != 1 {
			t.Error("taken")
		}
	})
	t.Run("beyond 64 KiB", func(t *testing.T) {
		var r reassembler
		p := fragments(payload, 1, 80)[0]
		p.Offset = 65528
		if r.add(now, &p); r.dropped != 1 {
			t.Error("taken")
		}
	})
}

// FuzzReassembly: any pieces; memory stays within the limits.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 1, 8, 1, 8, 1, 8, 0})
	f.Add([]byte{9, 1, 255, 1, 3, 0, 0, 0, 0, 1, 8, 1})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var r reassembler
		now := time.Unix(1000, 0)
		data := make([]byte, 256)
		for len(steps) >= 4 {
			in := esp.Inner{Proto: 97, ID: uint32(steps[0] & 31), Offset: int(steps[1]) * 264, More: steps[3]&1 != 0, Payload: data[:steps[2]]}
			now = now.Add(time.Duration(steps[3]) * time.Millisecond)
			if got := r.add(now, &in); len(got) > maxFragBytes {
				t.Fatalf("%d bytes", len(got))
			}
			steps = steps[4:]
		}
		if len(r.packets) > maxFragPackets {
			t.Fatalf("%d packets", len(r.packets))
		}
		for _, p := range r.packets {
			if len(p.pieces) > maxFragPieces || len(p.data) > maxFragBytes {
				t.Fatalf("%d pieces, %d bytes", len(p.pieces), len(p.data))
			}
		}
	})
}

func TestUDPSum(t *testing.T) {
	// A DNS query over IPv6 from RFC 3315-style documentation addresses, summed by hand
	// with the pseudo header: any datagram with the right field sums to 0xffff.
	src, dst := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	for n := range 40 {
		d := append([]byte{6, 165, 6, 165, 0, byte(8 + n), 0, 0}, bytes.Repeat([]byte{0xa5}, n)...)
		sum := udpSum(src, dst, d)
		d[6], d[7] = byte(sum>>8), byte(sum)
		s, e := src.As16(), dst.As16()
		total := sumWords(sumWords(sumWords(uint32(len(d))+17, s[:]), e[:]), d)
		for total > 0xffff {
			total = total>>16 + total&0xffff
		}
		if total != 0xffff || sum == 0 {
			t.Errorf("%d bytes: field %#x, sum %#x", n, sum, total)
		}
	}
}

// TestDeletesOutliveAFullQueue: of what finds the queue of IKE messages full, only what
// is encrypted, informational and small is kept.
func TestDeletesOutliveAFullQueue(t *testing.T) {
	e := &Engine{packets: make(chan ike.Packet, 1), late: make(chan ike.Packet, 8)}
	r := &reader{engine: e, kind: NATT, local: netip.MustParseAddrPort("0.0.0.0:4500")}
	message := func(exchange ike.Exchange, flags ike.Flags, size int) []byte {
		b := make([]byte, 4+size) // non-ESP marker, header, body
		b[4], b[4+18], b[4+19] = 1, byte(exchange), byte(flags)
		return b
	}
	d := &Datagram{Local: netip.MustParseAddr("192.0.2.1")}
	r.ike(d, message(ike.ExchangeMain, 0, 100)) // now it is full
	for _, c := range []struct {
		name string
		data []byte
		kept bool
	}{
		{"delete", message(ike.ExchangeInformational, ike.FlagEncrypted, 92), true},
		{"delete without marker", message(ike.ExchangeInformational, ike.FlagEncrypted, 92)[4:], true},
		{"clear notify", message(ike.ExchangeInformational, 0, 92), false},
		{"main mode", message(ike.ExchangeMain, 0, 92), false},
		{"quick mode", message(ike.ExchangeQuick, ike.FlagEncrypted, 92), false},
		{"large", message(ike.ExchangeInformational, ike.FlagEncrypted, lateMax), false},
		{"runt", message(ike.ExchangeInformational, ike.FlagEncrypted, 20), false},
	} {
		lost := e.count.ikeLost.Load()
		r.ike(d, c.data)
		if kept := len(e.late) == 1; kept != c.kept || (e.count.ikeLost.Load() == lost+1) == c.kept {
			t.Errorf("%s: kept %v, %d lost", c.name, kept, e.count.ikeLost.Load()-lost)
		}
		for len(e.late) > 0 {
			<-e.late
		}
	}
}
