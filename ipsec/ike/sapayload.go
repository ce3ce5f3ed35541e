package ike

import (
	"encoding/binary"
	"fmt"
	"time"
)

// An SA payload (RFC 2408 3.4 to 3.6):
//
//	DOI, situation
//	  proposal: number, protocol, SPI
//	    transform: number, id
//	      attribute: type, value
//	      ...

// attribute is one data attribute (RFC 2408 3.3).
type attribute struct {
	kind  uint16
	value uint64
	wide  bool // longer than 8 bytes: value is not valid
}

type transform struct {
	number, id byte
	attributes []attribute
	raw        []byte // the body, to be given back unchanged in the answer
}

type proposal struct {
	number, protocol byte
	spi              []byte
	transforms       []transform
}

// parseSA reads the body of an SA payload.
func parseSA(body []byte) ([]proposal, error) {
	if len(body) < 8 {
		return nil, fmt.Errorf("an SA payload of %d bytes", len(body))
	}
	// 0 is the generic ISAKMP DOI: without a situation, for phase 1 only; nobody sends it.
	if doi := binary.BigEndian.Uint32(body); doi != doiIPsec {
		return nil, fmt.Errorf("an SA payload of DOI %d", doi)
	}
	if sit := binary.BigEndian.Uint32(body[4:]); sit != situationIDOnly {
		return nil, fmt.Errorf("an SA payload with situation %#x", sit)
	}
	subs, err := parseSubs(body[8:], PayloadProposal, maxProposals)
	if err != nil {
		return nil, err
	}
	var list []proposal
	total := 0
	for _, sub := range subs {
		p, err := parseProposal(sub)
		if err != nil {
			return nil, err
		}
		if total += len(p.transforms); total > maxTransforms {
			return nil, fmt.Errorf("more than %d transforms", maxTransforms)
		}
		list = append(list, p)
	}
	return list, nil
}

// parseSubs splits a list of proposals or transforms. Each tells the kind of the next: the
// same, or none.
func parseSubs(b []byte, kind PayloadType, limit int) ([][]byte, error) {
	var list [][]byte
	for more := true; more; {
		if len(b) < genericLen {
			return nil, fmt.Errorf("%s payload is cut off", kind)
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < genericLen+4 || n > len(b) {
			return nil, fmt.Errorf("%s payload says %d bytes where %d are left", kind, n, len(b))
		}
		switch next := PayloadType(b[0]); next {
		case kind:
		case PayloadNone:
			more = false
		default:
			return nil, fmt.Errorf("%s follows a %s payload", next, kind)
		}
		if len(list) == limit {
			return nil, fmt.Errorf("more than %d %s payloads", limit, kind)
		}
		list = append(list, b[genericLen:n])
		b = b[n:]
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%d bytes behind the last %s payload", len(b), kind)
	}
	return list, nil
}

func parseProposal(b []byte) (proposal, error) {
	p := proposal{number: b[0], protocol: b[1]}
	size, count := int(b[2]), int(b[3])
	if size > 16 || 4+size > len(b) {
		return p, fmt.Errorf("a P payload with an SPI of %d bytes", size)
	}
	p.spi = b[4 : 4+size]
	subs, err := parseSubs(b[4+size:], PayloadTransform, maxTransforms)
	if err != nil {
		return p, err
	}
	if count != len(subs) {
		return p, fmt.Errorf("a P payload says %d transforms and has %d", count, len(subs))
	}
	for _, s := range subs {
		t := transform{number: s[0], id: s[1], raw: s}
		if t.attributes, err = parseAttributes(s[4:]); err != nil {
			return p, err
		}
		p.transforms = append(p.transforms, t)
	}
	return p, nil
}

// parseAttributes reads data attributes: short ones with the value in place, long ones with a length.
func parseAttributes(b []byte) ([]attribute, error) {
	var list []attribute
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, fmt.Errorf("attribute is cut off")
		}
		if len(list) == maxAttributes {
			return nil, fmt.Errorf("more than %d attributes", maxAttributes)
		}
		kind, v := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		b = b[4:]
		if kind&0x8000 != 0 {
			list = append(list, attribute{kind: kind &^ 0x8000, value: uint64(v)})
			continue
		}
		if int(v) > len(b) {
			return nil, fmt.Errorf("attribute %d says %d bytes where %d are left", kind, v, len(b))
		}
		a := attribute{kind: kind, wide: v > 8}
		if !a.wide {
			for _, c := range b[:v] {
				a.value = a.value<<8 | uint64(c)
			}
		}
		list = append(list, a)
		b = b[v:]
	}
	return list, nil
}

func appendAttribute(b []byte, kind uint16, value uint64) []byte {
	if value <= 0xffff {
		b = binary.BigEndian.AppendUint16(b, kind|0x8000)
		return binary.BigEndian.AppendUint16(b, uint16(value))
	}
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, 4)
	return binary.BigEndian.AppendUint32(b, uint32(min(value, 0xffffffff)))
}

// appendSA appends the body of an SA payload. Transforms are given by their raw bytes.
func appendSA(b []byte, list []proposal) []byte {
	b = binary.BigEndian.AppendUint32(b, doiIPsec)
	b = binary.BigEndian.AppendUint32(b, situationIDOnly)
	for i, p := range list {
		at := len(b)
		next := PayloadProposal
		if i == len(list)-1 {
			next = PayloadNone
		}
		b = append(b, byte(next), 0, 0, 0, p.number, p.protocol, byte(len(p.spi)), byte(len(p.transforms)))
		b = append(b, p.spi...)
		for j, t := range p.transforms {
			next := PayloadTransform
			if j == len(p.transforms)-1 {
				next = PayloadNone
			}
			b = append(b, byte(next), 0)
			b = binary.BigEndian.AppendUint16(b, uint16(genericLen+len(t.raw)))
			b = append(b, t.raw...)
		}
		binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
	}
	return b
}

// lifetime collects the pairs of attributes "life type, life duration" (RFC 2409
// appendix A, RFC 2407 4.5): seconds and kilobytes.
type lifetime struct {
	unit    uint64
	seconds uint64
	kbytes  uint64
}

const (
	unitSeconds   = 1
	unitKilobytes = 2
)

func (l *lifetime) duration(a attribute) error {
	if a.wide || a.value == 0 {
		return fmt.Errorf("life duration of 0 or more than 8 bytes")
	}
	switch l.unit {
	case unitSeconds:
		l.seconds = a.value
	case unitKilobytes:
		l.kbytes = a.value
	default:
		return fmt.Errorf("life duration without its unit")
	}
	return nil
}

// atMost returns the smaller of what was negotiated and what we want; 0 means nothing was said.
func (l *lifetime) atMost(ours time.Duration) time.Duration {
	if l.seconds == 0 || l.seconds > uint64(ours/time.Second) {
		return ours
	}
	return time.Duration(l.seconds) * time.Second
}
