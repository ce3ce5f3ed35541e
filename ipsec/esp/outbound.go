package esp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"

	"vhub/internal/packet"
)

// Protocol numbers that stand in the next-header field.
const (
	ProtoIPv4    = 4
	ProtoUDP     = 17
	ProtoIPv6    = 41
	ProtoESP     = 50
	ProtoNone    = 59 // dummy packet (RFC 4303 2.6); vhub's path probes hide in it
	ProtoEtherIP = 97
)

// Outbound is an SA that seals. It is safe for concurrent use: a batch reserves
// its sequence numbers with one atomic add and takes cipher state from a pool.
type Outbound struct {
	pace
	spi    uint32
	mode   Mode
	inner  innerHeader
	maxSeq uint64

	seq     atomic.Uint64 // last number handed out; may pass maxSeq, never wraps
	packets atomic.Uint64
	bytes   atomic.Uint64
}

// OutboundStats are the counters of an Outbound.
type OutboundStats struct {
	Packets  uint64 // sealed
	Bytes    uint64 // payload sealed, before ESP: what a lifetime in kilobytes counts
	Sequence uint64 // last sequence number used
	// RekeyWanted is set when 7/8 of the sequence numbers are used, or with 3DES
	// when a GiB was sealed: equal blocks become likely (RFC 8221 5, Sweet32).
	RekeyWanted bool
}

// NewOutbound makes an SA that seals.
func NewOutbound(c Config) (*Outbound, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	o := &Outbound{pace: pace{secrets: secrets{suite: c.Suite, keys: c.Keys, esn: c.ESN}}, spi: c.SPI, mode: c.Mode, maxSeq: math.MaxUint32}
	if c.ESN {
		o.maxSeq = math.MaxUint64 - 1<<32 // far from wrapping whatever is in flight
	}
	if c.Mode == Tunnel {
		var err error
		if o.inner, err = newInnerHeader(c.InnerSrc, c.InnerDst); err != nil {
			return nil, err
		}
	}
	if c.Suite.Cipher == AESGCM16 {
		return o, nil
	}
	if c.Rand == nil {
		return nil, errors.New("esp: CBC needs Config.Rand for its IVs")
	}
	if _, err := io.ReadFull(c.Rand, o.ivs[:]); err != nil {
		return nil, fmt.Errorf("esp: reading randomness for IVs: %w", err)
	}
	return o, nil
}

// SPI returns the SPI that the peer told us to use.
func (o *Outbound) SPI() uint32 { return o.spi }

// Suite returns the algorithms.
func (o *Outbound) Suite() Suite { return o.suite }

// Mode returns transport or tunnel.
func (o *Outbound) Mode() Mode { return o.mode }

// InnerIPv6 tells whether tunnel mode writes an IPv6 inner header.
func (o *Outbound) InnerIPv6() bool { return o.inner.v6 }

// Bytes is how many bytes of payload were sealed.
func (o *Outbound) Bytes() uint64 { return o.bytes.Load() }

// Stats reads the counters.
func (o *Outbound) Stats() OutboundStats {
	st := OutboundStats{
		Packets:  o.packets.Load(),
		Bytes:    o.bytes.Load(),
		Sequence: min(o.seq.Load(), o.maxSeq),
	}
	st.RekeyWanted = st.Sequence > o.maxSeq/8*7 || o.suite.Cipher == TripleDES && st.Bytes > 1<<30
	return st
}

// Seal seals one packet in place, as SealBatch.
func (o *Outbound) Seal(p *packet.Packet, proto uint8) error {
	w, pool := o.worker(1)
	w.one[0] = *p
	_, err := o.sealWith(w, w.one[:], proto)
	*p, w.one[0] = w.one[0], packet.Packet{}
	pool.Put(w)
	return err
}

// SealBatch turns each payload, of IP protocol proto, into an ESP packet in
// place: in tunnel mode it writes the inner header, then padding, trailer, ESP
// header and IV, encrypts, and appends the ICV. Packets get consecutive sequence
// numbers in their order.
//
// It returns how many packets were sealed. With an error (ErrSequence, ErrRoom)
// those from that index on must not be sent and their bytes are undefined.
func (o *Outbound) SealBatch(packets []packet.Packet, proto uint8) (int, error) {
	w, pool := o.worker(len(packets))
	n, err := o.sealWith(w, packets, proto)
	pool.Put(w)
	return n, err
}

// sealWorker is what one goroutine seals with: a sealer, and a batch of one that
// would be an allocation otherwise.
type sealWorker struct {
	sealer
	one [1]packet.Packet
}

func (o *Outbound) sealWith(w *sealWorker, packets []packet.Packet, proto uint8) (int, error) {
	packets, first, err := o.layOut(packets, proto)
	if len(packets) > 0 {
		w.seal(packets, first)
	}
	return len(packets), err
}

// layOut reserves sequence numbers and writes everything around the payloads; it
// returns those that are to be encrypted now, and the number of the first.
func (o *Outbound) layOut(packets []packet.Packet, proto uint8) ([]packet.Packet, uint64, error) {
	first, n, err := o.reserve(len(packets))
	packets = packets[:n]
	bytes := 0
	for i := range packets {
		size := packets[i].End - packets[i].Off
		if !o.frame(&packets[i], proto, first+uint64(i)) {
			packets, err = packets[:i], ErrRoom // the numbers reserved for the rest are a gap, which is allowed
			break
		}
		bytes += size
	}
	o.packets.Add(uint64(len(packets)))
	o.bytes.Add(uint64(bytes))
	return packets, first, err
}

// reserve takes up to n sequence numbers and returns the first.
func (o *Outbound) reserve(n int) (first uint64, got int, err error) {
	if n == 0 {
		return 0, 0, nil
	}
	if o.seq.Load() >= o.maxSeq {
		return 0, 0, ErrSequence // without this, failed calls would count on for ever
	}
	last := o.seq.Add(uint64(n))
	first = last - uint64(n) + 1
	if first > o.maxSeq {
		return 0, 0, ErrSequence
	}
	if last > o.maxSeq {
		return first, int(o.maxSeq - first + 1), ErrSequence
	}
	return first, n, nil
}

// frame writes everything around the payload that is not encrypted or computed
// from it: inner header, padding, trailer, SPI, sequence number; and it leaves
// room for IV and ICV. False: the buffer is too small.
func (o *Outbound) frame(p *packet.Packet, proto uint8, seq uint64) bool {
	inner := 0
	if o.mode == Tunnel {
		inner = ipLen(o.inner.v6)
	}
	pad := o.suite.padLen(inner + p.End - p.Off)
	if p.Off < inner+o.suite.IVLen()+headerLen ||
		len(p.Buf)-p.End < pad+trailerLen+o.suite.ICVLen() {
		return false
	}
	if o.mode == Tunnel {
		o.inner.write(p, proto, uint16(seq))
		proto = o.inner.proto()
	}
	trailer := p.Append(pad + trailerLen)
	for i := range pad {
		trailer[i] = byte(i + 1)
	}
	trailer[pad], trailer[pad+1] = byte(pad), proto
	p.Append(o.suite.ICVLen())
	head := p.Prepend(headerLen + o.suite.IVLen())
	binary.BigEndian.PutUint32(head, o.spi)
	binary.BigEndian.PutUint32(head[4:], uint32(seq))
	return true
}
