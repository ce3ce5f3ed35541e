package l2tp

import (
	"encoding/binary"
	"errors"
)

// Port is the UDP port of L2TP, on both sides (RFC 2661 section 8.1).
const Port = 1701

// Bits of the first 16 of a header (RFC 2661 section 3.1).
const (
	bitControl  = 0x8000
	bitLength   = 0x4000
	bitSequence = 0x0800
	bitOffset   = 0x0200
	maskVersion = 0x000f
	version2    = 2
)

// ErrHeader is a packet that is no L2TPv2 message.
var ErrHeader = errors.New("not an L2TPv2 message")

// Header is the header of a message, read.
type Header struct {
	Control         bool
	Sequenced       bool // Ns and Nr are there
	Tunnel, Session uint16
	Ns, Nr          uint16
}

// ParseHeader reads the header of a message and returns what is behind it, a
// view on pkt. The Length field, where it is there, must not exceed the packet;
// bytes behind it (ESP padding of a peer that forgot to strip it) are ignored.
func ParseHeader(pkt []byte) (h Header, payload []byte, err error) {
	if len(pkt) < 6 {
		return h, nil, ErrHeader
	}
	flags := binary.BigEndian.Uint16(pkt)
	if flags&maskVersion != version2 {
		return h, nil, ErrHeader
	}
	h.Control, h.Sequenced = flags&bitControl != 0, flags&bitSequence != 0
	// Section 3.1: control messages have L and S set, and O clear.
	if h.Control && (flags&bitLength == 0 || !h.Sequenced || flags&bitOffset != 0) {
		return h, nil, ErrHeader
	}
	at := 2
	next := func() (v uint16, ok bool) {
		if len(pkt)-at < 2 {
			return 0, false
		}
		v = binary.BigEndian.Uint16(pkt[at:])
		at += 2
		return v, true
	}
	if flags&bitLength != 0 {
		n, _ := next()
		if int(n) > len(pkt) || n < 6 {
			return h, nil, ErrHeader
		}
		pkt = pkt[:n]
	}
	var ok bool
	if h.Tunnel, ok = next(); !ok {
		return h, nil, ErrHeader
	}
	if h.Session, ok = next(); !ok {
		return h, nil, ErrHeader
	}
	if h.Sequenced {
		h.Ns, _ = next()
		if h.Nr, ok = next(); !ok {
			return h, nil, ErrHeader
		}
	}
	if flags&bitOffset != 0 {
		n, ok := next()
		if !ok || int(n) > len(pkt)-at {
			return h, nil, ErrHeader
		}
		at += int(n)
	}
	return h, pkt[at:], nil
}

// DataHeaderLen is the length of the header that PutDataHeader writes.
const DataHeaderLen = 8

// PutDataHeader writes the header of a data message with a payload of n bytes:
// with a length, without sequence numbers. It is what SoftEther sends too
// (0x4002), so every client has met it.
func PutDataHeader(b []byte, tunnel, session uint16, n int) {
	_ = b[DataHeaderLen-1]
	binary.BigEndian.PutUint16(b, bitLength|version2)
	binary.BigEndian.PutUint16(b[2:], uint16(DataHeaderLen+n))
	binary.BigEndian.PutUint16(b[4:], tunnel)
	binary.BigEndian.PutUint16(b[6:], session)
}

// SequencedHeaderLen is the length of the header that PutSequencedHeader writes.
const SequencedHeaderLen = 12

// PutSequencedHeader is PutDataHeader for sessions whose peer demanded
// sequence numbers (Sequencing Required, section 4.4.6).
func PutSequencedHeader(b []byte, tunnel, session, ns, nr uint16, n int) {
	_ = b[SequencedHeaderLen-1]
	binary.BigEndian.PutUint16(b, bitLength|bitSequence|version2)
	binary.BigEndian.PutUint16(b[2:], uint16(SequencedHeaderLen+n))
	binary.BigEndian.PutUint16(b[4:], tunnel)
	binary.BigEndian.PutUint16(b[6:], session)
	binary.BigEndian.PutUint16(b[8:], ns)
	binary.BigEndian.PutUint16(b[10:], nr)
}

// appendControl appends a control message: header and AVPs. A message without
// AVPs is a zero-length body, ZLB: an acknowledgement.
func appendControl(b []byte, tunnel, session, ns, nr uint16, avps []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, bitControl|bitLength|bitSequence|version2)
	b = binary.BigEndian.AppendUint16(b, uint16(12+len(avps)))
	b = binary.BigEndian.AppendUint16(b, tunnel)
	b = binary.BigEndian.AppendUint16(b, session)
	b = binary.BigEndian.AppendUint16(b, ns)
	b = binary.BigEndian.AppendUint16(b, nr)
	return append(b, avps...)
}

// seq is a sequence number, compared around its wrap (section 5.8: a value is
// old when it lies in the 32,767 before, itself included).
type seq uint16

func (a seq) before(b seq) bool { return int16(a-b) < 0 }
