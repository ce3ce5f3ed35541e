package hub

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vhub/arp"
	"vhub/eth"
)

// Hub is one virtual switch. Its methods may be called by many goroutines at
// once. It starts none of its own: whoever owns it calls Advance.
type Hub struct {
	cfg      Config                 // what New was given
	settings atomic.Pointer[Config] // what Configure may change of it, as it is now
	mac      uint64
	stations *stations
	dup      *suppressor
	segment  *arp.Segment // nil: no neighbour help
	view     atomic.Pointer[view]
	scratch  sync.Pool // *scratch

	mu      sync.Mutex // everything below; never held while calling out
	base    time.Time  // an hour before the first Attach or Advance
	links   []*Link    // those without a Listener, in the order of attachment
	byID    []*Link    // all, by number
	names   map[string]*Link
	count   uint64            // of attachments
	groups  map[string]uint16 // numbers of split-horizon groups
	hearers map[Listener]*audience
	freeIDs []uint16 // numbers that were used before, oldest first
	readers []*Reader
	selves  []*Reader // readers of the hub's own
	idle    []*Reader // ... that nobody uses
	past    counts    // of detached links
	pastOut outCounts
	found   map[wirePair]*wireProof
	doubts  map[wirePair]*wireProof
	sweepAt time.Time
	agedAt  time.Time
	rounds  int // of sweeps

	fullUntil atomic.Int64 // microseconds: until then no station can be learned
	promised  atomic.Int64 // microseconds: when Advance was asked for
	notices   notices
}

// New makes a hub without links.
func New(cfg Config) *Hub {
	cfg = cfg.withDefaults()
	seed := maphash.MakeSeed()
	if cfg.MAC.IsZero() || cfg.MAC.IsGroup() {
		r := maphash.Bytes(seed, []byte("mac"))
		cfg.MAC = eth.Addr{0x02, 0x76, 0x68, byte(r), byte(r >> 8), byte(r >> 16)}
	}
	h := &Hub{
		cfg:   cfg,
		mac:   cfg.MAC.Uint64(),
		dup:   newSuppressor(cfg),
		byID:  make([]*Link, 1), // 0 is the hub itself
		names: make(map[string]*Link), groups: make(map[string]uint16), hearers: make(map[Listener]*audience),
		found:  make(map[wirePair]*wireProof),
		doubts: make(map[wirePair]*wireProof),
	}
	h.stations = newStations(cfg.MaxStations, uint32(cfg.Age/time.Second), maphash.Bytes(seed, []byte("table")), h.changed)
	h.settings.Store(&cfg)
	h.view.Store(&view{byID: make([]atomic.Pointer[member], 1)})
	h.scratch.New = func() any { return new(scratch) }
	if cfg.Neighbours != nil {
		c := *cfg.Neighbours
		c.HubMAC, c.Allowed, c.Vouched, c.Event = cfg.MAC, h.allowed, h.vouched, h.neighbourEvent
		h.segment = arp.New(c)
	}
	return h
}

// Configure changes a hub at work: MaxStations, Age, EchoWindow, CopyWindow,
// ForwardReserved, and of Neighbours what Segment.Configure takes. What else is in
// cfg stays as New was told. Tables, links and frames under way are not touched.
func (h *Hub) Configure(cfg Config) {
	cfg = cfg.withDefaults()
	h.settings.Store(&cfg)
	h.stations.configure(cfg.MaxStations, uint32(cfg.Age/time.Second))
	h.dup.configure(cfg)
	if h.segment != nil && cfg.Neighbours != nil {
		h.segment.Configure(*cfg.Neighbours)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.agedAt = time.Time{} // the next Advance takes the new age
	h.fullUntil.Store(0)
}

// MAC is the hub's own address.
func (h *Hub) MAC() eth.Addr { return h.cfg.MAC }

// Neighbours is the neighbour help, to list, flush and configure; nil when
// Config.Neighbours was nil. Its Receive and Advance belong to the hub.
func (h *Hub) Neighbours() *arp.Segment { return h.segment }

// LinkName names a link number of the neighbour help: "" when it is gone, "hub"
// for 0.
func (h *Hub) LinkName(n arp.Link) string {
	if n == 0 {
		return "hub"
	}
	if n <= maxLinks {
		if m := h.view.Load().member(uint16(n)); m != nil {
			return m.cfg.Name
		}
	}
	return ""
}

// start sets the hub's clock going. Called with h.mu held.
func (h *Hub) start(now time.Time) {
	if h.base.IsZero() {
		h.base = now.Add(-time.Hour)
	}
}

// micros is the hub's clock: microseconds, never below 0. A link of the hub
// must exist, or h.mu be held.
func (h *Hub) micros(now time.Time) int64 { return max(0, now.Sub(h.base).Microseconds()) }

// second is the second of the table's entries.
func (h *Hub) second(now time.Time) uint32 { return uint32(h.micros(now) / 1_000_000) }

// freeID returns a number for a new link. Of those that were used before, it
// takes the one that is free for longest, and leaves the last few alone. Called
// with h.mu held.
func (h *Hub) freeID() (uint16, bool) {
	n := len(h.byID)
	if n <= maxLinks && len(h.freeIDs) < 16 {
		h.byID = append(h.byID, nil)
		return uint16(n), true
	}
	if len(h.freeIDs) == 0 {
		return 0, false
	}
	id := h.freeIDs[0]
	h.freeIDs = h.freeIDs[1:]
	return id, true
}

// removeLink takes a link out of the lists; its number is not free yet. Called
// with h.mu held.
func (h *Hub) removeLink(now time.Time, l *Link) {
	delete(h.names, l.cfg.Name)
	if l.cfg.Listener != nil {
		return // on no wire, in no list
	}
	h.links = slices.DeleteFunc(h.links, func(x *Link) bool { return x == l })
	h.forgetWires(now, l)
}

// whileAttached calls f under h.mu, if the link is attached.
func (h *Hub) whileAttached(l *Link, f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !l.detached {
		f()
	}
}

// Stations returns the forwarding table in the order of VLAN and MAC.
func (h *Hub) Stations(now time.Time) []Station {
	h.mu.Lock()
	h.start(now)
	h.mu.Unlock()
	sec, v := h.second(now), h.view.Load()
	var all []Station
	for _, e := range h.stations.list(sec) {
		all = append(all, h.station(v, e, sec))
	}
	return all
}

func (h *Hub) station(v *view, e entry, sec uint32) Station {
	s := Station{VLAN: e.key.vlan(), MAC: e.key.mac(), Static: e.place.static(), Age: time.Duration(e.place.silent(sec)) * time.Second}
	if m := v.member(e.place.link()); m != nil {
		s.Link = m.cfg.Name
	}
	return s
}

// FlushStations forgets the learned (not the static) stations for which match
// is true, and says how many; nil matches all. match must not call the hub.
func (h *Hub) FlushStations(now time.Time, match func(Station) bool) int {
	h.mu.Lock()
	h.start(now)
	h.mu.Unlock()
	sec, v := h.second(now), h.view.Load()
	n := h.stations.flush(func(k stationKey, p place) bool {
		return match == nil || match(h.station(v, entry{k, p}, sec))
	})
	h.fullUntil.Store(0)
	h.deliver()
	return n
}

// addrOf is the address in the low 48 bits.
func addrOf(mac uint64) (a eth.Addr) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], mac)
	copy(a[:], b[2:])
	return a
}
