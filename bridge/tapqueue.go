package bridge

import (
	"encoding/binary"
	"math/bits"

	"vhub/eth"
)

// queueOf chooses the queue of a TAP with n queues that a frame is written to:
// always the same for all frames of a flow, in both directions. The kernel
// hands the answers of a flow to the reader of the queue that the flow was last
// written to (tun_flow_update in its drivers/net/tun.c); were that now one queue
// and now another, two readers would carry pieces of one flow past each other.
//
// A flow is a pair of IP addresses, of TCP and UDP also the ports; else a pair
// of stations.
func queueOf(b []byte, n int) int {
	if len(b) < eth.HeaderLen {
		return 0
	}
	l := eth.Parse(b)
	var h uint64
	switch {
	case l.IP == 4:
		h = uint64(binary.BigEndian.Uint32(b[l.Net+12:]) ^ binary.BigEndian.Uint32(b[l.Net+16:]))
	case l.IP == 6:
		a := b[l.Net+8 : l.Net+40]
		h = binary.BigEndian.Uint64(a) ^ binary.BigEndian.Uint64(a[16:])
		h ^= bits.RotateLeft64(binary.BigEndian.Uint64(a[8:])^binary.BigEndian.Uint64(a[24:]), 29)
	default:
		h = eth.Source(b).Uint64() ^ eth.Destination(b).Uint64()
	}
	if l.L4 != 0 && l.Frag == eth.FragNone && (l.Proto == eth.ProtoTCP || l.Proto == eth.ProtoUDP) && l.L4+4 <= len(b) {
		h ^= uint64(binary.BigEndian.Uint16(b[l.L4:])^binary.BigEndian.Uint16(b[l.L4+2:])) << 40
	}
	hi, _ := bits.Mul64(h*0x9e3779b97f4a7c15, uint64(n))
	return int(hi)
}

// oneQueue returns the queue of all frames, or false where they belong to
// several.
func (t *TAP) oneQueue(frames []eth.Frame) (int, bool) {
	n := len(t.dev.conns)
	if n == 1 || len(frames) == 0 {
		return 0, true
	}
	q := queueOf(frames[0].Data, n)
	for i := range frames[1:] {
		if queueOf(frames[1+i].Data, n) != q {
			return 0, false
		}
	}
	return q, true
}

// writeAny writes the frames, each to its queue. Order is kept inside each flow.
// It says how many frames, from the first, need no further care.
func (w *tapWriter) writeAny(frames []eth.Frame) int {
	q, same := w.t.oneQueue(frames)
	if same {
		return w.writeAll(q, frames)
	}
	n := len(w.t.dev.conns)
	for q = range n {
		w.mine = w.mine[:0]
		for i := range frames {
			if queueOf(frames[i].Data, n) == q {
				w.mine = append(w.mine, frames[i])
			}
		}
		if len(w.mine) > 0 {
			w.writeOrDrop(q, w.mine) // no prefix to tell
		}
	}
	clear(w.mine) // the bytes are not ours
	return len(frames)
}
