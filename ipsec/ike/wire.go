package ike

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	headerLen  = 28
	genericLen = 4
	markerLen  = 4 // the four zero bytes before IKE on the NAT-T port (RFC 3948 2.2)
)

// cookies are the name of a phase 1 SA: initiator's, then responder's.
type cookies struct{ i, r [8]byte }

// header is the ISAKMP header (RFC 2408 3.1).
type header struct {
	cookies
	next     PayloadType
	version  byte
	exchange Exchange
	flags    Flags
	id       uint32
	length   uint32
}

// version1 is major version 1, minor version 0.
const version1 = 0x10

var (
	errShortHeader = errors.New("shorter than an ISAKMP header")
	errLength      = errors.New("length field does not fit the datagram")
	errVersion     = errors.New("not IKE version 1")
)

// parseHeader reads the header of a message without marker and checks its length.
// Bytes behind the length are cut off: some stacks pad.
func parseHeader(msg []byte) (header, []byte, error) {
	if len(msg) < headerLen {
		return header{}, nil, errShortHeader
	}
	var h header
	copy(h.i[:], msg[0:8])
	copy(h.r[:], msg[8:16])
	h.next, h.version, h.exchange, h.flags = PayloadType(msg[16]), msg[17], Exchange(msg[18]), Flags(msg[19])
	h.id = binary.BigEndian.Uint32(msg[20:])
	h.length = binary.BigEndian.Uint32(msg[24:])
	if h.version>>4 != 1 {
		return h, nil, errVersion
	}
	if h.length < headerLen || uint64(h.length) > uint64(len(msg)) || h.length > maxMessage {
		return h, nil, errLength
	}
	return h, msg[headerLen:h.length], nil
}

// payload is one payload of a message: a view on it.
type payload struct {
	kind PayloadType
	body []byte // without the generic header
	end  int    // offset of its end in the bytes that were parsed
}

// parsePayloads walks a chain of payloads (RFC 2408 3.2). What follows the last
// one is padding, if padded, else an error.
func parsePayloads(first PayloadType, b []byte, padded bool) ([]payload, error) {
	var list []payload
	at := 0
	for next := first; next != PayloadNone; {
		if len(list) == maxPayloads {
			return nil, fmt.Errorf("more than %d payloads", maxPayloads)
		}
		rest := b[at:]
		if len(rest) < genericLen {
			return nil, fmt.Errorf("%s payload is cut off", next)
		}
		n := int(binary.BigEndian.Uint16(rest[2:]))
		if n < genericLen || n > len(rest) {
			return nil, fmt.Errorf("%s payload says %d bytes where %d are left", next, n, len(rest))
		}
		if rest[1] != 0 {
			return nil, fmt.Errorf("%s payload has a reserved byte of %#x", next, rest[1])
		}
		at += n
		list = append(list, payload{next, rest[genericLen:n:n], at})
		next = PayloadType(rest[0])
	}
	if !padded && at != len(b) {
		return nil, fmt.Errorf("%d bytes behind the last payload", len(b)-at)
	}
	return list, nil
}

// find returns the body of the first payload of a kind, or nil.
func find(list []payload, kind PayloadType) []byte {
	for _, p := range list {
		if p.kind == kind {
			return p.body
		}
	}
	return nil
}

// all returns the bodies of a kind, in order.
func all(list []payload, kind PayloadType) [][]byte {
	var bodies [][]byte
	for _, p := range list {
		if p.kind == kind {
			bodies = append(bodies, p.body)
		}
	}
	return bodies
}

// builder makes one message. The first four bytes of buf are room for the marker.
type builder struct {
	buf  []byte
	next int // where the type of the next payload goes
	at   int // the payload being written
}

func newMessage(c cookies, x Exchange, flags Flags, id uint32) *builder {
	b := &builder{buf: make([]byte, markerLen, 512)}
	b.buf = append(b.buf, c.i[:]...)
	b.buf = append(b.buf, c.r[:]...)
	b.next = len(b.buf)
	b.buf = append(b.buf, 0, version1, byte(x), byte(flags))
	b.buf = binary.BigEndian.AppendUint32(b.buf, id)
	b.buf = binary.BigEndian.AppendUint32(b.buf, 0)
	return b
}

// add appends a payload.
func (b *builder) add(kind PayloadType, parts ...[]byte) {
	b.buf[b.next] = byte(kind)
	b.next, b.at = len(b.buf), len(b.buf)
	b.buf = append(b.buf, 0, 0, 0, 0)
	for _, p := range parts {
		b.buf = append(b.buf, p...)
	}
	binary.BigEndian.PutUint16(b.buf[b.at+2:], uint16(len(b.buf)-b.at))
}

// size is the length of the message so far, without marker.
func (b *builder) size() int { return len(b.buf) - markerLen }

// body are the payloads so far.
func (b *builder) body() []byte { return b.buf[markerLen+headerLen:] }

// finish writes the length and returns marker and message.
func (b *builder) finish() []byte {
	binary.BigEndian.PutUint32(b.buf[markerLen+24:], uint32(b.size()))
	return b.buf
}

// notification is a Notification payload (RFC 2408 3.14).
type notification struct {
	protocol byte
	kind     NotifyType
	spi      []byte
	data     []byte
}

func parseNotify(body []byte) (notification, error) {
	if len(body) < 8 {
		return notification{}, fmt.Errorf("an N payload of %d bytes", len(body))
	}
	size := int(body[5])
	if size > 16 || 8+size > len(body) {
		return notification{}, fmt.Errorf("an N payload with an SPI of %d bytes", size)
	}
	if doi := binary.BigEndian.Uint32(body); doi > doiIPsec {
		return notification{}, fmt.Errorf("an N payload of DOI %d", doi)
	}
	return notification{body[4], NotifyType(binary.BigEndian.Uint16(body[6:])), body[8 : 8+size], body[8+size:]}, nil
}

func (n notification) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, doiIPsec)
	b = append(b, n.protocol, byte(len(n.spi)))
	b = binary.BigEndian.AppendUint16(b, uint16(n.kind))
	b = append(b, n.spi...)
	return append(b, n.data...)
}

// deletion is a Delete payload (RFC 2408 3.15).
type deletion struct {
	protocol byte
	spis     [][]byte
}

func parseDelete(body []byte) (deletion, error) {
	if len(body) < 8 {
		return deletion{}, fmt.Errorf("a D payload of %d bytes", len(body))
	}
	if doi := binary.BigEndian.Uint32(body); doi > doiIPsec {
		return deletion{}, fmt.Errorf("a D payload of DOI %d", doi)
	}
	d := deletion{protocol: body[4]}
	size, count := int(body[5]), int(binary.BigEndian.Uint16(body[6:]))
	want := 4
	if d.protocol == protoISAKMP {
		want = 16
	}
	if size != want || len(body)-8 != size*count {
		return deletion{}, fmt.Errorf("a D payload with %d SPIs of %d bytes in %d bytes", count, size, len(body)-8)
	}
	for rest := body[8:]; len(rest) > 0; rest = rest[size:] {
		d.spis = append(d.spis, rest[:size])
	}
	return d, nil
}

func (d deletion) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, doiIPsec)
	b = append(b, d.protocol, byte(len(d.spis[0])))
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.spis)))
	for _, s := range d.spis {
		b = append(b, s...)
	}
	return b
}
