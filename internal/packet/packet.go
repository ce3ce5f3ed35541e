// Package packet has the send buffer that an encapsulating port shares with
// what carries it: a payload with room before and behind, so that each layer
// writes its header in place and a frame is copied once.
package packet

// Room that every Packet keeps around its payload, in bytes. Headroom fits an
// outer IPv6 header, UDP, the ESP header with a 16-byte IV, and an L2TP and PPP
// header; Tailroom fits ESP padding, trailer and the longest ICV in use.
const (
	Headroom = 128
	Tailroom = 64
)

// Packet is a payload Buf[Off:End]. Off >= Headroom and len(Buf)-End >= Tailroom
// when an encapsulating port hands it on.
type Packet struct {
	Buf      []byte
	Off, End int
}

// Payload returns the bytes of the payload; they may be written to.
func (p *Packet) Payload() []byte { return p.Buf[p.Off:p.End] }

// Prepend opens n bytes before the payload and returns them.
// It panics when the room is used up, which is an error of the program.
func (p *Packet) Prepend(n int) []byte {
	p.Off -= n
	return p.Buf[p.Off : p.Off+n]
}

// Append opens n bytes behind the payload and returns them.
func (p *Packet) Append(n int) []byte {
	p.End += n
	return p.Buf[p.End-n : p.End]
}

// Arena is a block of send buffers that is used again and again: Reset, then
// Next for each packet. It is not for concurrent use; keep one a worker, or in
// a sync.Pool.
type Arena struct {
	slab []byte
	used int
	pkts []Packet
}

// NewArena returns an arena with room for about bytes bytes of payload.
func NewArena(bytes int) *Arena {
	return &Arena{slab: make([]byte, bytes)}
}

// Reset gives all packets back.
func (a *Arena) Reset() { a.used, a.pkts = 0, a.pkts[:0] }

// Next opens a packet with a payload of n bytes (contents undefined), or
// reports false when the arena is full: send what is there, Reset, go on.
// The returned pointer is good until the next call of Next or Reset.
func (a *Arena) Next(n int) (*Packet, bool) {
	total := Headroom + n + Tailroom
	if len(a.slab)-a.used < total {
		return nil, false
	}
	buf := a.slab[a.used : a.used+total : a.used+total]
	a.used += total
	a.pkts = append(a.pkts, Packet{Buf: buf, Off: Headroom, End: Headroom + n})
	return &a.pkts[len(a.pkts)-1], true
}

// Packets returns what Next has opened since Reset, in order.
func (a *Arena) Packets() []Packet { return a.pkts }
