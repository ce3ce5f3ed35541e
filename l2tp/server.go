package l2tp

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vhub/dhcp"
	"vhub/eth"
	"vhub/hub"
	"vhub/internal/packet"
	"vhub/ppp"
)

// Carrier is what carries one peer's messages: an IPsec tunnel, or bare UDP
// where that is allowed.
type Carrier interface {
	// Send sends payloads of UDP port 1701 and says how many it took. Their
	// bytes may be overwritten; the buffers are the caller's again when it returns.
	Send(packets []packet.Packet) int
	// PathMTU is the largest payload in bytes that crosses whole.
	PathMTU() int
	// Remote is where the peer is now; for logs, never for telling peers apart.
	Remote() netip.AddrPort
	// Close ends what is below: the peer's SAs.
	Close()
}

// Login is who wants in, with what proof.
type Login struct {
	ppp.Credentials
	Port    string         // of the hub
	Session string         // the session's name
	Remote  netip.AddrPort // of the client
	Host    string         // what the client's L2TP calls its machine
	Calling string         // calling number, mostly empty
}

// Grant is what a login was answered with.
type Grant struct {
	User        string // as the database has it: the key of accounting and limits
	Result      ppp.Result
	Reason      string        // of a refusal, for the log
	Address     netip.Addr    // the user's fixed address, from the database; invalid for none
	Framed      netip.Addr    // Framed-IP-Address of RADIUS
	MAC         eth.Addr      // of the user's station; zero: made here
	MaxSessions int           // of the user, 0 no limit
	MaxTime     time.Duration // Session-Timeout, 0 none
	IdleTime    time.Duration // Idle-Timeout, 0 none
	Class       [][]byte      // to be said again in accounting (RFC 2865 section 5.25)
	Interim     time.Duration // Acct-Interim-Interval, 0 none
}

// Accounting is what a session used, told at its start, on the way and at its end.
type Accounting struct {
	Phase   Phase
	Session SessionStatus
	Class   [][]byte
}

// Phase is when accounting is told.
type Phase uint8

// The phases.
const (
	Start Phase = iota
	Interim
	Stop
)

// Authenticator knows who may log in.
type Authenticator interface {
	// Login checks credentials. It may block, up to the context's end.
	Login(ctx context.Context, l Login) Grant
	// Account tells what a session used. It must not block.
	Account(a Accounting)
}

// ServerConfig is what a Server is made with.
type ServerConfig struct {
	Port    string // the port's name: "road"
	Hub     *hub.Hub
	HubName string
	Link    hub.LinkConfig // what the links of sessions have in common
	Auth    Authenticator
	Methods []ppp.Method
	MRU     int // bytes, what clients may send; default 1400
	Control Config

	DHCP   bool // ask the segment's own server
	Pool   *dhcp.Pool
	Memory *dhcp.Memory
	Order  []dhcp.Source
	// Facts are the prefix, routers and name servers for addresses that do not
	// come by DHCP; Routes are pushed to clients that ask by DHCPINFORM.
	Facts  dhcp.Lease
	Routes []dhcp.Route
	IPv6   bool
	// MaxSessions of the port; default 10,000.
	MaxSessions int
	// Numbers names sessions: the next one is its value plus 1. A port that is made
	// anew goes on with it, so that names stay unique. nil: begin at 1.
	Numbers *atomic.Int64
	Rand    io.Reader
	Log     *slog.Logger
}

const defaultSessions = 10_000

// localAddr is our end of every link: the dummy address of RFC 7600 section
// 4.9, which no station has. (SoftEther uses it too.)
var localAddr = netip.AddrFrom4([4]byte{192, 0, 0, 8})

// Counters of a Server, by reason, of what came from carriers or the hub and
// went no further.
type ServerCounters struct {
	BadHeader  atomic.Uint64 // no L2TPv2 message
	NoSession  atomic.Uint64 // data for a session that is not here
	BadPPP     atomic.Uint64 // no PPP packet
	NotOpen    atomic.Uint64 // an IP packet before IPCP or IPV6CP is up
	BadSource  atomic.Uint64 // a sender's address that is not the client's
	BadIP      atomic.Uint64 // no IP packet, or lengths that do not fit
	NotOurs    atomic.Uint64 // flooded frames that are not for the client
	TooBig     atomic.Uint64 // larger than the client takes and not to be fragmented; answered by ICMP
	Refused    atomic.Uint64 // the carrier took no more
	Overloaded atomic.Uint64 // control packets while the control loop was behind
}

// Server is the LNS of one port. All of its machines belong to the goroutine of
// Run; readers and the hub only meet their published state.
type Server struct {
	cfg     ServerConfig
	facts   *dhcp.Lease // cfg.Facts as it is now; sessions keep theirs
	log     *slog.Logger
	jobs    chan job
	done    chan struct{} // closed by End
	end     sync.Once
	pool    sync.Pool // of *writer
	slabs   sync.Pool // of *[slabLen]byte, for receivers
	joiners sync.Pool // of *eth.Joiner
	ears    *ears

	// Run's.
	due      peerHeap
	peers    map[*Peer]bool
	sessions map[string]*session
	byUser   map[string][]*session // those logged in
	lock     lockout
	tally    tally
	last     atomic.Pointer[ServerStatus] // set when Run ends
	macs     map[eth.Addr]*session
	Counters ServerCounters
}

type job struct {
	p  *Peer // whose timers to look at afterwards; nil for none
	fn func(now time.Time)
}

// NewServer makes a server; Run makes it live.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Hub == nil || cfg.Auth == nil || cfg.Rand == nil {
		return nil, errors.New("l2tp: a server needs a hub, an authenticator and randomness")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = defaultSessions
	}
	if cfg.Numbers == nil {
		cfg.Numbers = new(atomic.Int64)
	}
	cfg.Control.Rand = cfg.Rand
	s := &Server{cfg: cfg, facts: &cfg.Facts, log: cfg.Log.With("port", cfg.Port), jobs: make(chan job, 4096), done: make(chan struct{}),
		peers: map[*Peer]bool{}, sessions: map[string]*session{}, byUser: map[string][]*session{}, macs: map[eth.Addr]*session{}, lock: newLockout(), ears: newEars()}
	s.slabs.New = func() any { return new([slabLen]byte) }
	s.pool.New = func() any { return newWriter() }
	s.joiners.New = func() any { return new(eth.Joiner) }
	return s, nil
}

// Run is the control loop. It ends with ctx: every session is hung up, every
// address given back.
func (s *Server) Run(ctx context.Context) error {
	defer s.End()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		if len(s.due) > 0 {
			wait = time.Until(s.due[0].deadline)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			s.shutDown(time.Now())
			st := s.status()
			s.last.Store(&st)
			return nil
		case j := <-s.jobs:
			now := time.Now()
			j.fn(now)
			s.settle(now, j.p)
		case <-timer.C:
		}
		now := time.Now()
		for n := 0; n < 256 && len(s.due) > 0 && !s.due[0].deadline.After(now); n++ {
			p := s.due[0]
			p.advance(now)
			s.settle(now, p)
		}
	}
}

// End has everybody who waits for the server wait no more. Run does it at its
// end; a server that never runs needs it.
func (s *Server) End() { s.end.Do(func() { close(s.done) }) }

// post hands work to the loop; it waits where the loop is behind, and reports
// false once the server has ended.
func (s *Server) post(p *Peer, fn func(now time.Time)) bool {
	select {
	case s.jobs <- job{p, fn}:
		return true
	case <-s.done:
		return false
	}
}

// offer is post for the data path: it never waits.
func (s *Server) offer(p *Peer, fn func(now time.Time)) {
	select {
	case s.jobs <- job{p, fn}:
	default:
		s.Counters.Overloaded.Add(1)
	}
}

// settle carries out what a peer's machines brought about and sets its timer.
func (s *Server) settle(now time.Time, p *Peer) {
	if p == nil {
		return
	}
	p.carryOut(now)
	for _, d := range p.sessions() {
		d.x.listen()
	}
	switch d := p.nextDeadline(); {
	case p.closed || d.IsZero():
		if p.at >= 0 {
			heap.Remove(&s.due, p.at)
		}
	case p.at < 0:
		p.deadline = d
		heap.Push(&s.due, p)
	default:
		p.deadline = d
		heap.Fix(&s.due, p.at)
	}
}

// Accept takes a new peer. It may be called from any goroutine and does not wait
// for the loop.
func (s *Server) Accept(c Carrier) *Peer {
	p := &Peer{s: s, c: c, ep: NewLNS(s.cfg.Control), at: -1}
	p.data.Store(&noSessions)
	go s.post(p, func(time.Time) {
		if !p.closed { // its end may have come first
			s.peers[p] = true
		}
	})
	return p
}

// Closed tells that a peer's carrier is gone.
func (s *Server) Closed(p *Peer, reason string) {
	s.post(p, func(now time.Time) { p.gone(now, reason) })
}

// shutDown tells all peers first, so that they know even when leaving the hub
// takes longer than the daemon has.
func (s *Server) shutDown(now time.Time) {
	const why = "the server shuts down"
	for p := range s.peers {
		p.ep.Close(now, why, &p.out)
		p.send(p.out.Packets)
		p.out.Packets = nil
	}
	for p := range s.peers {
		for _, d := range p.sessions() {
			d.x.finish(now, why)
		}
		p.carryOut(now)
	}
}

// Sessions lists the sessions, in the order they came.
func (s *Server) Sessions() []SessionStatus {
	var list []SessionStatus
	s.wait(func(now time.Time) {
		for _, x := range s.sessions {
			list = append(list, x.status(now))
		}
	})
	sortSessions(list)
	return list
}

// Update changes what sessions to come are given: methods, addresses, routes,
// limits, and what the hub knows of all links. Sessions that are there keep what
// they have. Port, hub, authenticator, Control and Log stay what they were.
func (s *Server) Update(cfg ServerConfig) {
	s.wait(func(now time.Time) {
		c := &s.cfg
		c.Methods, c.MRU, c.DHCP, c.Pool, c.Order, c.Facts = cfg.Methods, cfg.MRU, cfg.DHCP, cfg.Pool, cfg.Order, cfg.Facts
		c.Routes, c.IPv6, c.MaxSessions, c.Link = cfg.Routes, cfg.IPv6, cfg.MaxSessions, cfg.Link
		s.facts = &cfg.Facts
		if c.MaxSessions == 0 {
			c.MaxSessions = defaultSessions
		}
		for _, x := range s.sessions {
			if x.hubLink == nil {
				continue
			}
			if err := x.hubLink.Update(x.linkConfig()); err != nil {
				s.log.Warn("a session's link keeps its settings", "session", x.name, "error", err)
			}
		}
	})
}

// Session finds one session by its name.
func (s *Server) Session(name string) (st SessionStatus, ok bool) {
	s.wait(func(now time.Time) {
		if x := s.sessions[name]; x != nil {
			st, ok = x.status(now), true
		}
	})
	return st, ok
}

// Kick ends a session; the user is told why as far as the client shows it.
func (s *Server) Kick(name, reason string) error {
	err := fmt.Errorf("no session %q; vhub session list tells which there are", name)
	s.wait(func(now time.Time) {
		if x := s.sessions[name]; x != nil {
			x.close(now, reason)
			s.settle(now, x.p)
			err = nil
		}
	})
	return err
}

// KickUser ends the sessions of a user, also one whose login is being checked
// now, and returns their names.
func (s *Server) KickUser(user, reason string) []string {
	var names []string
	s.wait(func(now time.Time) {
		for _, x := range s.sessions {
			if x.checking {
				x.barred = append(x.barred, user)
			}
			if x.grant.User == user {
				names = append(names, x.name)
				x.close(now, reason)
				s.settle(now, x.p)
			}
		}
	})
	slices.Sort(names)
	return names
}

// wait runs fn on the loop and waits for it.
func (s *Server) wait(fn func(now time.Time)) {
	ready := make(chan struct{})
	if s.post(nil, func(now time.Time) { fn(now); close(ready) }) {
		select {
		case <-ready:
		case <-s.done:
		}
	}
}

// peerHeap orders peers by their deadlines.
type peerHeap []*Peer

func (h peerHeap) Len() int           { return len(h) }
func (h peerHeap) Less(i, j int) bool { return h[i].deadline.Before(h[j].deadline) }
func (h peerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *peerHeap) Push(x any)        { p := x.(*Peer); p.at = len(*h); *h = append(*h, p) }
func (h *peerHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	p.at = -1
	return p
}
