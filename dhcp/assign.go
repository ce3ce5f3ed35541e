package dhcp

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// AssignerConfig is what an Assigner is made with: the sources there are for
// one session.
type AssignerConfig struct {
	// Key is the user and device: the same at every connect.
	Key string
	// Order of the sources that are tried; without it the user's fixed address,
	// RADIUS, DHCP, the pool.
	Order []Source
	// Static is the user's fixed address, RADIUS the Framed-IP-Address; invalid
	// for none. Framed-IP-Address 255.255.255.254 and .255 (RFC 2865 section 5.8)
	// leave the choice to us, and are none.
	Static, RADIUS netip.Addr
	// DHCP asks the segment's server; nil does not. Its Want and Last are set
	// from Want and Memory.
	DHCP *ClientConfig
	// Memory keeps DHCP leases from one connect to the next; nil keeps none.
	Memory *Memory
	// Pool is the port's own; nil for none.
	Pool *Pool
	// Facts is what belongs to the addresses that do not come by DHCP: Prefix is
	// the subnet, Routers, DNS and so on as they are.
	Facts *Lease // nil: nothing is known. Not changed while anybody has it
	// Want is the address the client asks for (IPCP), invalid for none. It is a
	// wish: DHCP and pool give it where they can.
	Want netip.Addr
}

// maxConflicts is how many addresses of the pool are tried that others turn out
// to have.
const maxConflicts = 4

// Assigner finds an address for one session: it goes through the sources in
// their order, has every address checked before it is used, and keeps it while
// the session lasts.
//
//	Start -> [Check -> Checked]... -> Assigned -> Changed... -> Release
//	                               -> Failed         '-> Lost
//
// A source that has nothing is passed over with a Note. A fixed address that
// another station has is a failure: who has one relies on it.
type Assigner struct {
	cfg    AssignerConfig
	client *Client
	order  []Source // sources not tried yet; the first is the one being tried
	why    []string // what the sources before said
	offer  *Lease   // being checked, not by DHCP
	lease  *Lease   // assigned
	grant  *Grant
	tries  int // addresses of the pool
}

// NewAssigner makes an assigner at rest. DHCP's transaction ids and jitter are
// read from rand.
func NewAssigner(cfg AssignerConfig, rand io.Reader) *Assigner {
	a := &Assigner{cfg: cfg}
	if cfg.Order == nil {
		a.cfg.Order = []Source{SourceStatic, SourceRADIUS, SourceDHCP, SourcePool}
	}
	if r := cfg.RADIUS; r.IsValid() && number(r.Unmap()) >= 0xfffffffe {
		a.cfg.RADIUS = netip.Addr{}
	}
	if cfg.DHCP != nil {
		c := *cfg.DHCP
		c.Want = cfg.Want
		a.client = NewClient(c, rand)
	}
	return a
}

// Lease is what the session has, nil while it has none.
func (a *Assigner) Lease() *Lease { return a.lease }

// Start begins to look for an address.
func (a *Assigner) Start(now time.Time, out *Out) {
	if a.grant != nil {
		a.cfg.Pool.Release(a.grant)
	}
	a.order, a.why, a.tries = a.cfg.Order, nil, 0
	a.offer, a.lease, a.grant = nil, nil, nil
	a.try(now, out)
}

// try tries the first source of the order; one that has nothing leads to the
// next.
func (a *Assigner) try(now time.Time, out *Out) {
	for ; len(a.order) > 0; a.order = a.order[1:] {
		switch a.order[0] {
		case SourceStatic:
			if a.propose(now, SourceStatic, a.cfg.Static, out) {
				return
			}
		case SourceRADIUS:
			if a.propose(now, SourceRADIUS, a.cfg.RADIUS, out) {
				return
			}
		case SourceDHCP:
			if a.client == nil {
				continue
			}
			if a.cfg.Memory != nil {
				a.client.cfg.Last = a.cfg.Memory.Recall(now, a.cfg.Key)
			}
			at := len(out.Events)
			a.client.Start(now, out)
			a.translate(now, at, out)
			return
		case SourcePool:
			if a.fromPool(now, out) {
				return
			}
		}
	}
	if len(a.why) == 0 {
		a.why = []string{"the port has neither a DHCP server to ask nor a pool, and the user no address"}
	}
	out.event(Event{Kind: Failed, Reason: strings.Join(a.why, "; ")})
}

func (a *Assigner) propose(now time.Time, from Source, addr netip.Addr, out *Out) bool {
	if !addr.IsValid() || !addr.Unmap().Is4() {
		return false
	}
	addr = addr.Unmap()
	var l Lease
	if a.cfg.Facts != nil {
		l = *a.cfg.Facts
	}
	l.Source, l.Since = from, now
	bits := 32
	if l.Prefix.IsValid() && l.Prefix.Contains(addr) {
		bits = l.Prefix.Bits()
	}
	l.Prefix = netip.PrefixFrom(addr, bits)
	a.offer = &l
	out.event(Event{Kind: Check, Addr: addr})
	return true
}

func (a *Assigner) fromPool(now time.Time, out *Out) bool {
	if a.cfg.Pool == nil {
		return false
	}
	g, err := a.cfg.Pool.Assign(now, a.cfg.Key, a.cfg.Want)
	if err != nil {
		a.why = append(a.why, err.Error())
		return false
	}
	a.grant = g
	return a.propose(now, SourcePool, g.Addr, out)
}

// Checked answers the event Check: conflict tells that another station has the
// address.
func (a *Assigner) Checked(now time.Time, conflict bool, out *Out) {
	switch {
	case a.offer == nil:
		if a.client != nil {
			at := len(out.Events)
			a.client.Checked(now, conflict, out)
			a.translate(now, at, out)
		}
	case !conflict:
		a.lease, a.offer = a.offer, nil
		out.event(Event{Kind: Assigned, Lease: a.lease})
	case a.offer.Source == SourcePool:
		a.conflictInPool(now, out)
	default:
		reason := fmt.Sprintf("another station has %s, the fixed address of the user (%s)", a.offer.Addr(), a.offer.Source)
		a.offer = nil
		out.event(Event{Kind: Failed, Reason: reason})
	}
}

func (a *Assigner) conflictInPool(now time.Time, out *Out) {
	out.note("another station has %s, an address of the pool", a.offer.Addr())
	a.cfg.Pool.Conflict(now, a.grant)
	a.offer, a.grant = nil, nil
	if a.tries++; a.tries >= maxConflicts {
		a.why = append(a.why, fmt.Sprintf("other stations have %d addresses of the pool", a.tries))
		a.order = a.order[1:]
	}
	a.try(now, out)
}

// translate takes over what the DHCP client said since out.Events[at:]: its
// failure leads to the next source.
func (a *Assigner) translate(now time.Time, at int, out *Out) {
	said := append([]Event(nil), out.Events[at:]...)
	out.Events = out.Events[:at]
	for _, e := range said {
		switch e.Kind {
		case Assigned, Changed:
			a.lease = e.Lease
			if a.cfg.Memory != nil { // at once: who is killed later comes back to it
				a.cfg.Memory.Keep(a.cfg.Key, e.Lease)
			}
			out.event(e)
		case Lost:
			a.lease = nil
			if a.cfg.Memory != nil {
				a.cfg.Memory.Forget(a.cfg.Key)
			}
			out.event(e)
		case Failed:
			out.note("%s", e.Reason)
			a.why = append(a.why, e.Reason)
			a.order = a.order[1:]
			a.try(now, out)
		default:
			out.event(e)
		}
	}
}

// Receive takes a frame that IsReply says is for the session's MAC address.
func (a *Assigner) Receive(now time.Time, frame []byte, out *Out) {
	if a.client == nil {
		return
	}
	at := len(out.Events)
	before := a.client.lease
	a.client.Receive(now, frame, out)
	a.renewed(before)
	a.translate(now, at, out)
}

// renewed keeps a lease whose times alone are new, of which there is no event.
func (a *Assigner) renewed(before *Lease) {
	if l := a.client.lease; l != nil && before != nil && l != before {
		a.lease = l
		if a.cfg.Memory != nil {
			a.cfg.Memory.Keep(a.cfg.Key, l)
		}
	}
}

// Advance does what is due at now.
func (a *Assigner) Advance(now time.Time, out *Out) {
	if a.client == nil {
		return
	}
	at := len(out.Events)
	a.client.Advance(now, out)
	a.translate(now, at, out)
}

// Deadline is when Advance has something to do; the zero time for never.
func (a *Assigner) Deadline() time.Time {
	if a.client == nil {
		return time.Time{}
	}
	return a.client.Deadline()
}

// Release ends the use of the address. With keep, for a session that broke off,
// the DHCP server is not told: the lease waits in Memory for the next connect.
// An address of the pool is free for others, but its key's first.
func (a *Assigner) Release(now time.Time, keep bool, out *Out) {
	if a.client != nil {
		if keep && a.cfg.Memory != nil {
			a.client.Stop()
		} else {
			if a.cfg.Memory != nil && a.client.Lease() != nil {
				a.cfg.Memory.Forget(a.cfg.Key)
			}
			a.client.Release(now, out)
		}
	}
	if a.grant != nil {
		a.cfg.Pool.Release(a.grant)
	}
	a.offer, a.lease, a.grant, a.order = nil, nil, nil, nil
}
