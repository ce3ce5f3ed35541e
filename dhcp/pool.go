package dhcp

import (
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Range is IPv4 addresses from First to Last, both included.
type Range struct{ First, Last netip.Addr }

// maxRange is the most addresses a range may have.
const maxRange = 1 << 20

// ParseRange reads "172.16.0.200-172.16.0.230", "172.16.0.0/24" (without the
// network's own and the broadcast address) or one address.
func ParseRange(s string) (Range, error) {
	first, last, dash := strings.Cut(s, "-")
	if !dash {
		if p, err := netip.ParsePrefix(s); err == nil && p.Addr().Is4() && p.Bits() <= 30 {
			p = p.Masked()
			return checkRange(s, Range{p.Addr().Next(), lastAddr(p).Prev()})
		}
		last = first
	}
	a, err1 := netip.ParseAddr(strings.TrimSpace(first))
	b, err2 := netip.ParseAddr(strings.TrimSpace(last))
	if err1 != nil || err2 != nil || !a.Is4() || !b.Is4() {
		return Range{}, fmt.Errorf("%q is not a range of IPv4 addresses, like 172.16.0.200-172.16.0.230", s)
	}
	return checkRange(s, Range{a, b})
}

func checkRange(s string, r Range) (Range, error) {
	switch {
	case r.Last.Less(r.First):
		return Range{}, fmt.Errorf("%q ends before it begins", s)
	case r.Len() > maxRange:
		return Range{}, fmt.Errorf("%q has %d addresses; at most %d are allowed", s, r.Len(), maxRange)
	case r.First.IsUnspecified() || r.First.IsLoopback() || r.Last.As4()[0] >= 224:
		return Range{}, fmt.Errorf("%q has addresses that no host may have", s)
	}
	return r, nil
}

func number(a netip.Addr) uint32 { b := a.As4(); return binary.BigEndian.Uint32(b[:]) }

// Len is how many addresses there are.
func (r Range) Len() int { return int(number(r.Last)) - int(number(r.First)) + 1 }

// Contains tells an address of the range.
func (r Range) Contains(a netip.Addr) bool {
	return a.Is4() && !a.Less(r.First) && !r.Last.Less(a)
}

// String returns "first-last".
func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

// PoolConfig is what a Pool is made with.
type PoolConfig struct {
	Ranges []Range
	// Reserved addresses are never given: routers, and the fixed addresses of
	// users.
	Reserved []netip.Addr
	// Quarantine is how long an address rests that another station was found
	// to have, default 10 minutes.
	Quarantine time.Duration
	// News is told, as far as it has room, whenever Changes grows; nil for nobody.
	News chan<- struct{}
}

// Pool gives addresses to sessions. A key (user and device) gets the address it
// had last, as long as nobody else needed it; then the address is taken that
// was never used, or was unused for longest. Several goroutines may use it.
type Pool struct {
	mu         sync.Mutex
	ranges     []Range
	quarantine time.Duration
	reserved   map[netip.Addr]bool
	used       map[netip.Addr]*place // in use, remembered or in quarantine
	last       map[string]*place     // by key
	free       *list.List            // remembered places, unused for longest first
	fresh      int                   // index of the first address that was never used
	total      int
	count      uint64 // of changes
	news       chan<- struct{}
}

// place is an address that was used at least once.
type place struct {
	addr    netip.Addr
	key     string
	holder  *Grant        // nil: free
	free    *list.Element // in Pool.free, nil while held or in quarantine
	blocked time.Time     // until then another station has it
}

// Grant is an address that a session holds.
type Grant struct {
	Addr  netip.Addr
	place *place
}

// ErrExhausted means that every address of a pool is in use.
var ErrExhausted = errors.New("no address is free in the pool")

// NewPool makes a pool. Ranges must not overlap.
func NewPool(cfg PoolConfig) (*Pool, error) {
	p := &Pool{quarantine: cfg.Quarantine, news: cfg.News, reserved: map[netip.Addr]bool{}, used: map[netip.Addr]*place{}, last: map[string]*place{}, free: list.New()}
	if p.quarantine == 0 {
		p.quarantine = 10 * time.Minute
	}
	for i, r := range cfg.Ranges {
		for _, o := range cfg.Ranges[:i] {
			if !r.Last.Less(o.First) && !o.Last.Less(r.First) {
				return nil, fmt.Errorf("the ranges %s and %s overlap", o, r)
			}
		}
		p.ranges = append(p.ranges, r)
		p.total += r.Len()
	}
	for _, a := range cfg.Reserved {
		p.reserved[a.Unmap()] = true
	}
	return p, nil
}

// Contains tells an address of the pool's ranges.
func (p *Pool) Contains(a netip.Addr) bool {
	for _, r := range p.ranges {
		if r.Contains(a) {
			return true
		}
	}
	return false
}

// Assign gives key an address: want, where it is valid and free; else the one
// it had last; else any. A key that holds an address already gets the same (a
// client that comes back before its old session is noticed to be gone); the
// older grant is void then. The error is ErrExhausted.
func (p *Pool) Assign(now time.Time, key string, want netip.Addr) (*Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pl := p.last[key]; pl != nil && pl.holder != nil && !now.Before(pl.blocked) {
		return p.grant(pl, key), nil
	}
	if pl := p.usable(now, want); pl != nil {
		return p.grant(pl, key), nil
	}
	if pl := p.last[key]; pl != nil && p.usable(now, pl.addr) != nil {
		return p.grant(pl, key), nil
	}
	if a, ok := p.nextFresh(); ok {
		return p.grant(p.place(a), key), nil
	}
	if e := p.free.Front(); e != nil {
		return p.grant(e.Value.(*place), key), nil
	}
	for _, pl := range p.used { // rare: what left quarantine since
		if pl.holder == nil && pl.free == nil && !now.Before(pl.blocked) && !p.reserved[pl.addr] {
			return p.grant(pl, key), nil
		}
	}
	return nil, ErrExhausted
}

// usable returns the place of an address that may be given now, nil for one
// that may not.
func (p *Pool) usable(now time.Time, a netip.Addr) *place {
	if !a.IsValid() || !p.Contains(a) || p.reserved[a] {
		return nil
	}
	pl := p.place(a)
	if pl.holder != nil || now.Before(pl.blocked) {
		return nil
	}
	return pl
}

func (p *Pool) place(a netip.Addr) *place {
	pl := p.used[a]
	if pl == nil {
		pl = &place{addr: a}
		p.used[a] = pl
	}
	return pl
}

// nextFresh returns an address that was never used.
func (p *Pool) nextFresh() (netip.Addr, bool) {
	for ; p.fresh < p.total; p.fresh++ {
		i := p.fresh
		for _, r := range p.ranges {
			if i >= r.Len() {
				i -= r.Len()
				continue
			}
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], number(r.First)+uint32(i))
			if a := netip.AddrFrom4(b); p.used[a] == nil && !p.reserved[a] {
				return a, true
			}
			break
		}
	}
	return netip.Addr{}, false
}

func (p *Pool) grant(pl *place, key string) *Grant {
	if pl.free != nil {
		p.free.Remove(pl.free)
		pl.free = nil
	}
	if pl.key != key && p.last[pl.key] == pl {
		delete(p.last, pl.key)
	}
	if old := p.last[key]; old != nil && old != pl && old.holder == nil {
		old.key = "" // remembered for nobody
	}
	if p.last[key] != pl {
		p.changed()
	}
	pl.key, pl.blocked = key, time.Time{}
	p.last[key] = pl
	pl.holder = &Grant{Addr: pl.addr, place: pl}
	return pl.holder
}

// Release gives an address back. A grant that is void, because its key came
// back since, changes nothing.
func (p *Pool) Release(g *Grant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g == nil || g.place.holder != g {
		return
	}
	g.place.holder = nil
	if !p.reserved[g.Addr] {
		g.place.free = p.free.PushBack(g.place)
	}
}

// Conflict gives an address back that another station was found to have; it is
// not given to anybody for the time of its quarantine.
func (p *Pool) Conflict(now time.Time, g *Grant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := g.place
	if pl.holder != g {
		return
	}
	pl.holder, pl.blocked = nil, now.Add(p.quarantine)
	if p.last[pl.key] == pl {
		delete(p.last, pl.key)
		p.changed()
	}
	pl.key = ""
}

// SetReserved replaces the addresses that are never given. A session that holds
// one keeps it until it ends.
func (p *Pool) SetReserved(addrs []netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.reserved
	p.reserved = make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		a = a.Unmap()
		p.reserved[a] = true
		if pl := p.used[a]; pl != nil && pl.free != nil {
			p.free.Remove(pl.free)
			pl.free = nil
		}
	}
	for a := range before {
		if !p.Contains(a) {
			continue
		}
		if pl := p.place(a); !p.reserved[a] && pl.holder == nil && pl.free == nil && pl.blocked.IsZero() {
			pl.free = p.free.PushBack(pl)
		}
	}
}

// changed notes that Remembered would say something else. It never waits.
func (p *Pool) changed() {
	p.count++
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// Changes is a number that grows whenever Remembered would say something else.
func (p *Pool) Changes() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Remembered is which address each key had last or has, to be written to disk;
// Remember takes it back.
func (p *Pool) Remembered() map[string]netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := make(map[string]netip.Addr, len(p.last))
	for key, pl := range p.last {
		m[key] = pl.addr
	}
	return m
}

// Remember keeps an address for a key that a pool before this one gave it, as
// long as nobody else needs it. What is not the pool's to give is forgotten.
func (p *Pool) Remember(key string, a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.Contains(a) || p.reserved[a] || p.used[a] != nil || p.last[key] != nil {
		return
	}
	pl := p.place(a)
	pl.key, p.last[key] = key, pl
	p.changed()
	pl.free = p.free.PushBack(pl)
}

// Use is how many addresses a pool has, reserved ones included, and how many
// are held by sessions.
func (p *Pool) Use() (total, held int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pl := range p.used {
		if pl.holder != nil {
			held++
		}
	}
	return p.total, held
}
