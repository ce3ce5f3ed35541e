package hub

import (
	"encoding/binary"

	"vhub/eth"
)

// glance is what the data path knows of a frame from its bytes alone. Glances
// of a whole batch are taken first, so that what they will look up in memory
// can be loaded for several frames at once.
type glance struct {
	ok        bool // the Ethernet header and tag are whole
	tagged    bool
	etherType uint16
	vlan      uint16
	dst, src  uint64 // in the low 48 bits
	id        identity
}

func (g *glance) from() stationKey { return makeKey(g.vlan, g.src) }
func (g *glance) to() stationKey   { return makeKey(g.vlan, g.dst) }
func (g *glance) group() bool      { return g.dst>>40&1 != 0 }

// read takes a glance of one frame.
func (g *glance) read(f *eth.Frame, keys *keyer) {
	b := f.Data
	g.ok = false
	if len(b) < eth.HeaderLen {
		return
	}
	g.dst = binary.BigEndian.Uint64(b) >> 16
	low := binary.BigEndian.Uint64(b[6:])
	g.src, g.etherType, g.vlan, g.tagged = low>>16, uint16(low), 0, false
	if g.etherType == eth.TypeVLAN || g.etherType == eth.TypeQinQ {
		if len(b) < eth.HeaderLen+eth.TagLen {
			return
		}
		g.tagged = true
		g.vlan = binary.BigEndian.Uint16(b[14:]) & 0xfff
		g.etherType = binary.BigEndian.Uint16(b[16:])
	}
	g.ok = true
	if keys != nil {
		keys.identify(f, g)
	}
}

// glances reads a batch and loads what it will look up.
func (h *Hub) glances(frames []eth.Frame, suppress bool, all []glance) []glance {
	if cap(all) < len(frames) {
		all = make([]glance, len(frames))
	}
	all = all[:len(frames)]
	var keys *keyer
	if suppress {
		keys = &h.dup.keys
	}
	for i := range frames {
		all[i].read(&frames[i], keys)
	}
	if len(frames) == 1 {
		return all
	}
	table, sum := h.stations.cur.Load(), uint64(0)
	for i := range all {
		if g := &all[i]; g.ok {
			sum += table.touch(g.from())
			if !g.group() {
				sum += table.touch(g.to())
			}
			if suppress {
				sum += h.dup.touch(&g.id)
			}
		}
	}
	touched(sum)
	return all
}

// touched keeps the compiler from leaving out the loads of glances.
//
//go:noinline
func touched(uint64) {}
