package ike

import (
	"fmt"
	"maps"
	"net/netip"
	"time"
)

// Drop is why a packet was not taken.
type Drop string

// The reasons.
const (
	DropMalformed  Drop = "malformed"   // lengths, counts or fields that cannot be
	DropVersion    Drop = "version"     // not IKEv1
	DropUnknownSA  Drop = "unknown-sa"  // cookies that we do not know
	DropNoProposal Drop = "no-proposal" // nothing in common
	DropUnexpected Drop = "unexpected"  // not what this exchange waits for
	DropDuplicate  Drop = "duplicate"   // seen before; answered again where that is due
	DropDecrypt    Drop = "decrypt"     // another key, or changed on the way
	DropHash       Drop = "hash"        // HASH payload missing or wrong
	DropIdentity   Drop = "identity"    // no peer with this identity
	DropBudget     Drop = "budget"      // more than this source may ask for
	DropLimit      Drop = "limit"       // a table is full
	DropRefused    Drop = "refused"     // by policy
)

// Dropped is the error of Receive.
type Dropped struct {
	Drop   Drop
	Detail string
}

// Error is one line.
func (d *Dropped) Error() string { return "ike: packet dropped: " + string(d.Drop) + ": " + d.Detail }

func (e *Endpoint) drop(d Drop, format string, args ...any) error {
	e.count.Dropped[d]++
	return &Dropped{d, fmt.Sprintf(format, args...)}
}

// Counters count what happened since New.
type Counters struct {
	Received, Sent uint64
	HalfOpen       int    // now: messages 1 remembered
	Sessions       int    // now
	DH             uint64 // Diffie-Hellman computations begun
	Retransmits    uint64
	KeysTried      uint64 // on messages 5
	Dropped        map[Drop]uint64
}

// Counters tells the counts.
func (e *Endpoint) Counters() Counters {
	c := e.count
	c.HalfOpen, c.Sessions = len(e.half.entries), len(e.sessions)
	c.Dropped = maps.Clone(c.Dropped)
	return c
}

// bucket is a token bucket.
type bucket struct {
	rate, burst float64 // tokens a second, and at most
	used        float64
	last        time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.used = max(0, b.used-b.rate*max(0, now.Sub(b.last).Seconds()))
	b.last = now
	if b.used+1 > b.burst {
		return false
	}
	b.used++
	return true
}

// budget is a bucket for each source: an IPv4 address, or a /64.
type budget struct {
	rate, burst float64
	sources     map[netip.Prefix]*bucket
}

// maxSources bounds the sources that are told apart; beyond, all start anew.
const maxSources = 8192

func source(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

func (b *budget) take(now time.Time, a netip.Addr) bool {
	if b.sources == nil || len(b.sources) >= maxSources {
		b.sources = map[netip.Prefix]*bucket{}
	}
	key := source(a)
	s := b.sources[key]
	if s == nil {
		s = &bucket{rate: b.rate, burst: b.burst}
		b.sources[key] = s
	}
	return s.take(now)
}

// failed tells the shell about a negotiation of a stranger that came to nothing, if the budget allows.
func (e *Endpoint) failed(f Failed) {
	if f.Session == 0 && !(e.failBudget.take(e.now, f.Remote.Addr()) && e.failAll.take(e.now)) {
		return
	}
	e.out.event(f)
}
