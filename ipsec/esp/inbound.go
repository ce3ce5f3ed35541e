package esp

import (
	"encoding/binary"
	"sync/atomic"
)

// Inbound is an SA that opens. It is safe for concurrent use.
type Inbound struct {
	pace
	spi    uint32
	mode   Mode
	lax    bool
	minLen int
	window window

	packets, bytes                       atomic.Uint64
	short, replay, auth, padding, dummys atomic.Uint64
}

// InboundStats are the counters of an Inbound.
type InboundStats struct {
	Packets uint64 // opened, dummy packets included
	Bytes   uint64 // payload opened: what a lifetime in kilobytes counts
	Top     uint64 // highest sequence number seen
	Short   uint64 // dropped: too short, or not whole blocks
	Replay  uint64 // dropped: seen before, or behind the window
	Auth    uint64 // dropped: integrity check failed
	Padding uint64 // dropped: trailer malformed behind a good ICV: the peer is at fault
	Dummy   uint64 // next header 59, among Packets
}

// NewInbound makes an SA that opens.
func NewInbound(c Config) (*Inbound, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	size := c.Window
	if size == 0 {
		size = DefaultWindow
	}
	in := &Inbound{
		pace: pace{secrets: secrets{suite: c.Suite, keys: c.Keys, esn: c.ESN}},
		spi:  c.SPI, mode: c.Mode, lax: c.LaxPadding, minLen: c.Suite.PacketLen(0),
	}
	in.window.init(min(max(size, MinWindow), maxWindow))
	return in, nil
}

// SPI returns the SPI that we chose and the peer sends to.
func (in *Inbound) SPI() uint32 { return in.spi }

// Suite returns the algorithms.
func (in *Inbound) Suite() Suite { return in.suite }

// Mode returns transport or tunnel.
func (in *Inbound) Mode() Mode { return in.mode }

// Packets is how many packets were opened. The first of them tells a responder
// that the peer has the new SA in use.
func (in *Inbound) Packets() uint64 { return in.packets.Load() }

// Bytes is how many bytes of payload were opened.
func (in *Inbound) Bytes() uint64 { return in.bytes.Load() }

// Stats reads the counters.
func (in *Inbound) Stats() InboundStats {
	return InboundStats{
		Packets: in.packets.Load(), Bytes: in.bytes.Load(), Top: in.window.top.Load(),
		Short: in.short.Load(), Replay: in.replay.Load(), Auth: in.auth.Load(),
		Padding: in.padding.Load(), Dummy: in.dummys.Load(),
	}
}

// Item is one packet of a batch to open.
type Item struct {
	Data []byte // in: the ESP packet from its SPI on; out: the payload, a part of the same bytes
	Next uint8  // out: IP protocol of the payload; ProtoIPv4 or ProtoIPv6 in tunnel mode
	// Newest is set when no later packet of the SA came before it: only such a packet
	// may move the peer's address, or a replayed delay would.
	Newest bool
	Err    error // out: nil, or why the packet is dropped (ErrShort, ErrReplay, ErrAuth, ErrPadding)

	seq uint64
}

// Open opens one packet in place; pkt begins with the SPI. The payload is a part
// of pkt. What an ESP packet carries behind its payload to hide the length (TFC
// padding, RFC 4303 2.7) is still there: only the payload's own length field can
// tell; ParseInner cuts it in tunnel mode.
func (in *Inbound) Open(pkt []byte) (payload []byte, next uint8, err error) {
	w, pool := in.worker(1)
	w.one[0] = Item{Data: pkt}
	in.openWith(w, w.one[:])
	got := w.one[0]
	w.one[0] = Item{}
	pool.Put(w)
	return got.Data, got.Next, got.Err
}

// openWorker is what one goroutine opens with.
type openWorker struct {
	opener
	one [1]Item
}

// OpenBatch opens packets of this SA in place and fills in each Item. Bytes of a
// dropped packet are undefined. The order of work is that of RFC 4303 3.4:
// replay hint, ICV, window, trailer.
func (in *Inbound) OpenBatch(items []Item) {
	w, pool := in.worker(len(items))
	in.openWith(w, items)
	pool.Put(w)
}

func (in *Inbound) openWith(w *openWorker, items []Item) {
	for i := range items {
		items[i].Err = in.decrypt(w, &items[i])
	}

	in.window.mu.Lock()
	for i := range items {
		it := &items[i]
		it.Newest = it.seq > in.window.top.Load()
		if it.Err == nil && !in.window.accept(it.seq) {
			it.Err = ErrReplay
		}
	}
	in.window.mu.Unlock()

	packets, bytes := 0, 0
	for i := range items {
		it := &items[i]
		if it.Err == nil {
			it.Err = in.strip(it)
		}
		if it.Err != nil {
			in.count(it.Err)
			continue
		}
		packets++
		bytes += len(it.Data)
		if it.Next == ProtoNone {
			in.dummys.Add(1)
		}
	}
	if packets > 0 {
		in.packets.Add(uint64(packets))
		in.bytes.Add(uint64(bytes))
	}
}

// decrypt checks length, sequence number and ICV, and leaves payload, padding and
// trailer in it.Data.
func (in *Inbound) decrypt(o opener, it *Item) error {
	pkt := it.Data
	block := in.suite.BlockLen()
	if len(pkt) < in.minLen || (len(pkt)-headerLen-in.suite.IVLen()-in.suite.ICVLen())%block != 0 {
		return ErrShort
	}
	low := binary.BigEndian.Uint32(pkt[4:])
	it.seq = uint64(low)
	if in.esn {
		var ok bool
		if it.seq, ok = in.window.recoverESN(low); !ok {
			return ErrReplay
		}
	}
	// The first packet of an SA is number 1 (RFC 4303 3.3.3), so 0 is never new.
	if it.seq == 0 || !in.window.fresh(it.seq) {
		return ErrReplay
	}
	body, ok := o.open(pkt, it.seq)
	if !ok {
		return ErrAuth
	}
	it.Data = body
	return nil
}

// strip checks the trailer and cuts it and the padding off (RFC 4303 2.4: the
// bytes are 1, 2, 3, ... and SHOULD be inspected).
func (in *Inbound) strip(it *Item) error {
	body := it.Data
	end := len(body) - trailerLen
	it.Next = body[end+1]
	pad := int(body[end])
	if pad > end {
		return ErrPadding
	}
	if !in.lax {
		for i, b := range body[end-pad : end] {
			if b != byte(i+1) {
				return ErrPadding
			}
		}
	}
	it.Data = body[: end-pad : end-pad]
	return nil
}

func (in *Inbound) count(err error) {
	switch err {
	case ErrShort:
		in.short.Add(1)
	case ErrReplay:
		in.replay.Add(1)
	case ErrAuth:
		in.auth.Add(1)
	case ErrPadding:
		in.padding.Add(1)
	}
}
