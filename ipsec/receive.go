package ipsec

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// The way of a packet in, on the goroutine of the socket's reader:
//
//  1. Read: one system call, many datagrams, some of them coalesced (run).
//  2. Sort: keepalive, IKE (copied and handed to the loop), ESP (datagram, espPacket).
//  3. Find the SA by SPI; packets of one SA and one sender in a row form a batch.
//  4. Open the batch in place: replay hint, ICV, window, trailer (flush, esp.OpenBatch).
//  5. Follow the peer if it is somewhere else now (follow).
//  6. Strip what stands before the payload: inner IP header, UDP (payload).
//  7. Hand the batch to the tunnel's Receiver: the port, the hub (deliver).
//
// The functions below stand in that order.

const (
	readDatagrams = 16  // datagrams a read
	maxBatch      = 128 // packets opened together
	minESP        = 8 + 8 + 4 + 12
	maxIKE        = 16 << 10 // bytes of an IKE message that the loop is bothered with
)

var nonESPMarker = [4]byte{} // RFC 3948 2.2

// reader owns one socket's receiving side.
type reader struct {
	engine *Engine
	id     int // index into Tunnel.readers
	kind   Kind
	local  netip.AddrPort
	sock   Socket

	now      time.Time
	in       []Datagram
	batch    []esp.Item
	sa       *inbound       // of the batch
	from     netip.AddrPort // of the batch
	to       netip.Addr
	payloads [][]byte
}

func newReader(e *Engine, id int, kind Kind, local netip.AddrPort, sock Socket) *reader {
	return &reader{
		engine: e, id: id, kind: kind, local: local, sock: sock,
		in:       make([]Datagram, readDatagrams),
		batch:    make([]esp.Item, 0, maxBatch),
		payloads: make([][]byte, 0, maxBatch),
	}
}

// run reads until the socket is closed.
func (r *reader) run() error {
	for {
		n, err := r.sock.Read(r.in)
		if err != nil {
			return err
		}
		r.now = time.Now()
		for i := range r.in[:n] {
			r.datagram(&r.in[i])
		}
		r.flush() // the read's buffers are lent until the next Read
	}
}

// datagram cuts what was coalesced.
func (r *reader) datagram(d *Datagram) {
	data := d.Data
	for d.Segment > 0 && len(data) > d.Segment {
		r.sort(d, data[:d.Segment:d.Segment])
		data = data[d.Segment:]
	}
	r.sort(d, data)
}

func (r *reader) sort(d *Datagram, data []byte) {
	switch {
	case r.kind == IKE:
		r.ike(d, data)
	case r.kind == NATT && len(data) == 1 && data[0] == 0xff:
		r.engine.count.keepalives.Add(1)
	case r.kind == NATT && len(data) >= 4 && [4]byte(data) == nonESPMarker:
		r.ike(d, data)
	case len(data) < minESP:
		r.engine.count.runt.Add(1)
	default:
		r.esp(d, data)
	}
}

// ike hands a copy to the loop. When the loop is behind, the message is lost,
// but for deletes: IKE repeats the others itself, and readers wait for nobody.
func (r *reader) ike(d *Datagram, data []byte) {
	if len(data) > maxIKE {
		r.engine.count.runt.Add(1)
		return
	}
	p := ike.Packet{
		Local:  netip.AddrPortFrom(d.Local, r.local.Port()),
		Remote: d.Remote, NATT: r.kind == NATT, Data: bytes.Clone(data),
	}
	select {
	case r.engine.packets <- p:
		return
	default:
	}
	if informs(data) && len(data) <= lateMax {
		select {
		case r.engine.late <- p:
			return
		default:
		}
	}
	r.engine.count.ikeLost.Add(1)
}

// informs tells an encrypted informational message, which a delete is, by its header
// (RFC 2408 3.1). On UDP 4500 the non-ESP marker stands before it.
func informs(data []byte) bool {
	if len(data) >= 4 && [4]byte(data) == nonESPMarker {
		data = data[4:]
	}
	return len(data) > 28 && data[18] == byte(ike.ExchangeInformational) && ike.Flags(data[19])&ike.FlagEncrypted != 0
}

// esp puts a packet into the batch, after flushing another SA's or sender's.
func (r *reader) esp(d *Datagram, data []byte) {
	spi := binary.BigEndian.Uint32(data)
	if len(r.batch) > 0 && (r.sa.spi != spi || r.from != d.Remote || len(r.batch) == maxBatch) {
		r.flush()
	}
	if len(r.batch) == 0 {
		sa := r.engine.table.find(spi)
		if sa == nil || sa.child.UDP != (r.kind == NATT) {
			r.engine.unknownSPI(r.now, spi, d.Remote)
			return
		}
		r.sa, r.from, r.to = sa, d.Remote, d.Local
	}
	r.batch = append(r.batch, esp.Item{Data: data})
}

// flush opens the batch and delivers what is good.
func (r *reader) flush() {
	if len(r.batch) == 0 {
		return
	}
	sa := r.sa
	sa.sa.OpenBatch(r.batch)
	good, newest := false, false
	for i := range r.batch {
		if r.batch[i].Err == nil {
			good = true
			newest = newest || r.batch[i].Newest
		}
	}
	if good {
		sa.last.Store(r.now.UnixNano())
		r.engine.used(sa)
		if newest {
			r.follow(sa)
		}
		for i := range r.batch {
			if it := &r.batch[i]; it.Err == nil {
				r.payload(sa, it)
			}
		}
		r.deliver(sa.session.tunnel)
	}
	clear(r.batch)
	r.batch, r.sa = r.batch[:0], nil
}

// follow moves the session's endpoint to where an authenticated packet came from,
// so that a peer whose translator or line changed goes on without a negotiation
// (RFC 3947 3.2; with raw ESP only the address can change). The packet is the newest
// of its SA: an old one, sent again from elsewhere, does not get here.
func (r *reader) follow(sa *inbound) {
	s := sa.session
	old := s.remote.Load()
	from := r.from
	if !sa.child.UDP {
		from = netip.AddrPortFrom(from.Addr(), old.Port())
	}
	if *old == from {
		return
	}
	moved := from // from must not escape: that would be an allocation a batch
	if s.remote.CompareAndSwap(old, &moved) {
		r.engine.note(note{kind: noteMoved, session: s.id, remote: moved, old: *old})
	}
}

// payload strips what stands before the payload and appends it to r.payloads.
func (r *reader) payload(sa *inbound, it *esp.Item) {
	t := sa.session.tunnel
	data, next := it.Data, it.Next
	if sa.child.Mode == esp.Tunnel && next != esp.ProtoNone {
		var ok bool
		if data, next, ok = r.inner(sa, data, next); !ok {
			return
		}
	}
	if next == esp.ProtoNone {
		r.engine.probeReceived(r.now, sa, data)
		return
	}
	if next != t.proto {
		t.drops.protocol.Add(1)
		return
	}
	if t.proto == esp.ProtoUDP {
		var ok bool
		if data, ok = stripUDP(sa, t, data); !ok {
			t.drops.protocol.Add(1)
			return
		}
	}
	r.payloads = append(r.payloads, data)
}

// inner takes off the IP header of tunnel mode, checks its addresses and joins
// fragments.
func (r *reader) inner(sa *inbound, data []byte, next uint8) ([]byte, uint8, bool) {
	s := sa.session
	in, err := esp.ParseInner(next, data)
	if err != nil || !allows(sa.child.RemoteSelector, in.Src) || !allows(sa.child.LocalSelector, in.Dst) {
		s.tunnel.drops.inner.Add(1)
		return nil, 0, false
	}
	if !in.Fragment() {
		return in.Payload, in.Proto, true
	}
	s.fragMu.Lock()
	before := s.frags.dropped
	whole := s.frags.add(r.now, &in)
	s.tunnel.drops.fragment.Add(s.frags.dropped - before)
	s.fragMu.Unlock()
	return whole, in.Proto, whole != nil
}

// stripUDP takes the UDP header off and remembers the peer's port, which is not
// 1701 with Apple's clients. What TFC padding stands behind the datagram goes too.
func stripUDP(sa *inbound, t *Tunnel, data []byte) ([]byte, bool) {
	if len(data) < 8 || binary.BigEndian.Uint16(data[2:]) != t.port {
		return nil, false
	}
	size := int(binary.BigEndian.Uint16(data[4:]))
	if size < 8 || size > len(data) {
		return nil, false
	}
	if port := uint32(binary.BigEndian.Uint16(data)); sa.session.udpPort.Load() != port {
		sa.session.udpPort.Store(port)
	}
	return data[8:size:size], true
}

// deliver calls the tunnel's Receiver of this reader.
func (r *reader) deliver(t *Tunnel) {
	if len(r.payloads) == 0 {
		return
	}
	receive := t.readers[r.id]
	if receive == nil {
		receive = t.receiver()
		t.readers[r.id] = receive
	}
	receive(r.now, r.payloads)
	clear(r.payloads)
	r.payloads = r.payloads[:0]
}
