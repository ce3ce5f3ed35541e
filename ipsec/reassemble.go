package ipsec

import (
	"net/netip"
	"time"

	"vhub/ipsec/esp"
)

// Limits of reassembly for one session. Fragments inside tunnel mode come from an
// authenticated peer (a router that fragments before it encrypts); the limits keep
// a broken one from taking memory.
const (
	maxFragPackets = 16
	maxFragPieces  = 64
	maxFragBytes   = 65535
	fragLifetime   = 2 * time.Second
)

// fragKey names a packet in pieces (RFC 791 3.2, RFC 8200 4.5).
type fragKey struct {
	src, dst netip.Addr
	proto    uint8
	id       uint32
}

type fragPiece struct{ from, to int }

type fragPacket struct {
	key    fragKey
	born   time.Time
	data   []byte
	total  int // length of the whole, -1 until the last piece came
	pieces []fragPiece
}

// reassembler joins inner fragments. It is not for concurrent use.
type reassembler struct {
	packets []*fragPacket
	dropped uint64
}

// add takes a fragment and returns the whole payload when it was the last one
// missing. The payload is the caller's. Overlapping pieces discard the packet
// (RFC 5722 4); an exact copy of a piece is ignored.
func (r *reassembler) add(now time.Time, in *esp.Inner) []byte {
	p := r.packet(now, fragKey{in.Src, in.Dst, in.Proto, in.ID})
	from, to := in.Offset, in.Offset+len(in.Payload)
	for _, have := range p.pieces {
		if have.from == from && have.to == to {
			return nil
		}
		if from < have.to && have.from < to {
			r.drop(p)
			return nil
		}
	}
	bad := to > maxFragBytes || from == to || len(p.pieces) == maxFragPieces ||
		in.More && len(in.Payload)%8 != 0 ||
		p.total >= 0 && (to > p.total || !in.More) ||
		!in.More && to < len(p.data)
	if bad {
		r.drop(p)
		return nil
	}
	if !in.More {
		p.total = to
	}
	if to > len(p.data) {
		p.data = append(p.data, make([]byte, to-len(p.data))...)
	}
	copy(p.data[from:], in.Payload)
	p.pieces = append(p.pieces, fragPiece{from, to})
	if p.total < 0 || p.have() < p.total {
		return nil
	}
	r.forget(p)
	return p.data
}

func (p *fragPacket) have() int {
	n := 0
	for _, piece := range p.pieces {
		n += piece.to - piece.from
	}
	return n
}

// packet finds or begins a packet; old ones go, and the oldest when there are too many.
func (r *reassembler) packet(now time.Time, key fragKey) *fragPacket {
	for len(r.packets) > 0 && now.Sub(r.packets[0].born) > fragLifetime {
		r.drop(r.packets[0])
	}
	for _, p := range r.packets {
		if p.key == key {
			return p
		}
	}
	if len(r.packets) == maxFragPackets {
		r.drop(r.packets[0])
	}
	p := &fragPacket{key: key, born: now, total: -1}
	r.packets = append(r.packets, p)
	return p
}

func (r *reassembler) drop(p *fragPacket) {
	r.dropped++
	r.forget(p)
}

func (r *reassembler) forget(p *fragPacket) {
	for i := range r.packets {
		if r.packets[i] == p {
			r.packets = append(r.packets[:i], r.packets[i+1:]...)
			return
		}
	}
}
