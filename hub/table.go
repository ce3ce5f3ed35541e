package hub

import (
	"math/bits"
	"sync/atomic"

	"vhub/eth"
)

// stationKey is (VLAN, MAC): bit 63 is set, the VLAN id is in bits 48 to 59,
// the MAC in the low 48 bits. 0 is no key.
type stationKey uint64

const stationKeyValid = 1 << 63

func makeKey(vlan uint16, mac uint64) stationKey {
	return stationKey(stationKeyValid | uint64(vlan&0xfff)<<48 | mac)
}

func (k stationKey) vlan() uint16 { return uint16(k>>48) & 0xfff }

func (k stationKey) mac() eth.Addr {
	return eth.Addr{byte(k >> 40), byte(k >> 32), byte(k >> 24), byte(k >> 16), byte(k >> 8), byte(k)}
}

// place is where a station is: the number of its link in bits 48 to 63, the
// static flag in bit 47, in bit 46 that only frames which the hub had seen
// elsewhere before came from there (see reflections), the second until which
// its moves are held back (14 bits, 0 for none) from bit 32, and in the low 32
// bits the second in which it last sent. 0 is nowhere: no such station.
type place uint64

const (
	placeStatic   = 1 << 47
	placeDoubtful = 1 << 46
	placeHoldMask = placeHoldMax << 32
	placeHoldMax  = 1<<14 - 1
	placeSecMask  = 1<<32 - 1
)

func makePlace(link uint16, static bool, sec uint32) place {
	p := place(link)<<48 | place(sec)
	if static {
		p |= placeStatic
	}
	return p
}

func (p place) link() uint16 { return uint16(p >> 48) }
func (p place) static() bool { return p&placeStatic != 0 }
func (p place) sec() uint32  { return uint32(p) }
func (p place) hold() uint16 { return uint16(p>>32) & placeHoldMax }

// doubtful tells a place that may be none: a late wire handed back what the
// station sent from another.
func (p place) doubtful() bool { return p&placeDoubtful != 0 }
func (p place) silent(sec uint32) uint32 {
	if s := p.sec(); sec > s {
		return sec - s
	}
	return 0 // another reader's clock is a little ahead
}

// doubt returns the place as one that is doubtful, or not.
func (p place) doubt(doubtful bool) place {
	if doubtful {
		return p | placeDoubtful
	}
	return p &^ placeDoubtful
}

// live tells a station that may still be used at the second sec.
func (p place) live(sec, age uint32) bool {
	return p != 0 && (p.static() || p.silent(sec) <= age)
}

// seen returns the place with a new second; a hold that is over goes.
func (p place) seen(sec uint32) place {
	if p.hold() != 0 && !p.held(sec) {
		p &^= placeHoldMask
	}
	return p&^placeSecMask | place(sec)
}

// held tells whether moves are held back at the second sec.
func (p place) held(sec uint32) bool {
	h := p.hold()
	return h != 0 && (h-uint16(sec))&placeHoldMax <= holdSeconds
}

// holdUntil returns the place with its moves held back until the second sec.
func (p place) holdUntil(sec uint32) place {
	h := place(sec) & placeHoldMax
	if h == 0 {
		h = 1
	}
	return p&^placeHoldMask | h<<32
}

// slot is one entry. Its key is written once and stays for the life of its
// array; a station that goes leaves its key with place 0. So a reader that has
// found the key can trust the place, without a lock.
type slot struct {
	key   atomic.Uint64
	place atomic.Uint64
}

// slots is an open-addressing array with linear probing. Readers take no lock;
// writers hold the mutex of the stations that the array belongs to.
type slots struct {
	mask  uint64
	seed  uint64
	array []slot
}

func newSlots(n int, seed uint64) *slots {
	size := 1 << bits.Len(uint(n-1))
	return &slots{mask: uint64(size - 1), seed: seed, array: make([]slot, size)}
}

// home is where the probe for a key begins.
func (s *slots) home(k stationKey) uint64 {
	hi, lo := bits.Mul64(uint64(k)^s.seed, 0x9e3779b97f4a7c15^s.seed<<1)
	return (hi ^ lo) & s.mask
}

// find returns the slot that holds the key, or nil.
func (s *slots) find(k stationKey) *slot {
	i := s.home(k)
	for {
		sl := &s.array[i&uint64(len(s.array)-1)]
		switch sl.key.Load() {
		case uint64(k):
			return sl
		case 0:
			return nil
		}
		i++
	}
}

// get returns the place of a station, 0 when it is not known.
func (s *slots) get(k stationKey) place {
	if sl := s.find(k); sl != nil {
		return place(sl.place.Load())
	}
	return 0
}

// touch loads the first slot of a key's probe, so that it is in the cache when
// it is looked up a little later.
func (s *slots) touch(k stationKey) uint64 {
	return s.array[s.home(k)&uint64(len(s.array)-1)].key.Load()
}

// index returns the position of the key's slot, and claims an empty one if
// there is none. The array must have an empty slot. Writers only.
func (s *slots) index(k stationKey) (at int, fresh bool) {
	for i := s.home(k); ; i++ {
		at = int(i & s.mask)
		switch s.array[at].key.Load() {
		case uint64(k):
			return at, false
		case 0:
			s.array[at].key.Store(uint64(k))
			return at, true
		}
	}
}
