package ipsec

import "sync/atomic"

// spiTable finds inbound SAs by SPI. Readers take no lock: the slots are atomic
// pointers in open addressing. The loop alone writes. IKE draws our SPIs at random,
// so their low bits are the hash.
type spiTable struct {
	slots atomic.Pointer[[]atomic.Pointer[inbound]]
	live  int // loop only
	used  int // live and removed slots; loop only
}

const minSlots = 64

// gone stands in a slot whose SA was removed, so that those behind it are found.
var gone = new(inbound)

func newSPITable() *spiTable {
	t := new(spiTable)
	slots := make([]atomic.Pointer[inbound], minSlots)
	t.slots.Store(&slots)
	return t
}

// find returns the SA, or nil.
func (t *spiTable) find(spi uint32) *inbound {
	slots := *t.slots.Load()
	mask := uint32(len(slots) - 1)
	for i := spi & mask; ; i = (i + 1) & mask {
		in := slots[i].Load()
		if in == nil {
			return nil
		}
		if in != gone && in.spi == spi {
			return in
		}
	}
}

// add puts an SA in. Half of the slots stay free, so every search ends soon.
func (t *spiTable) add(in *inbound) {
	if 2*(t.used+1) > len(*t.slots.Load()) {
		t.rebuild()
	}
	slots := *t.slots.Load()
	if place(slots, in) {
		t.used++
	}
	t.live++
}

// place stores an SA in the first slot that is free and tells whether that slot
// had never been used.
func place(slots []atomic.Pointer[inbound], in *inbound) bool {
	mask := uint32(len(slots) - 1)
	for i := in.spi & mask; ; i = (i + 1) & mask {
		switch old := slots[i].Load(); old {
		case nil:
			slots[i].Store(in)
			return true
		case gone:
			slots[i].Store(in)
			return false
		}
	}
}

// remove takes an SA out. A reader that has found it may still be using it.
func (t *spiTable) remove(in *inbound) {
	slots := *t.slots.Load()
	mask := uint32(len(slots) - 1)
	for i := in.spi & mask; ; i = (i + 1) & mask {
		switch slots[i].Load() {
		case nil:
			return
		case in:
			slots[i].Store(gone)
			t.live--
			return
		}
	}
}

// rebuild makes a table with room for twice what is live, without removed slots.
func (t *spiTable) rebuild() {
	size := minSlots
	for size < 4*(t.live+1) {
		size *= 2
	}
	next := make([]atomic.Pointer[inbound], size)
	old := *t.slots.Load()
	for i := range old {
		if in := old[i].Load(); in != nil && in != gone {
			place(next, in)
		}
	}
	t.used = t.live
	t.slots.Store(&next)
}
