package arp

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"vhub/eth"
)

// Segment is the neighbour table of one hub, with its questions, its keeper
// and its announcements. All methods may be called by several goroutines.
type Segment struct {
	mu  sync.Mutex
	cfg Config

	table    map[key]*neighbour
	stations map[station][]*neighbour
	links    map[Link][]*neighbour
	timers   timers

	questions   map[key][]*pending // by the address asked for
	asking      map[Link]int       // open questions by link of the asker
	open        int                // open questions in all
	pairs       int
	requests    map[station]dhcpRequest
	repeats     budget // repeated questions
	newcomers   budget // introductions begun
	hubLocal    netip.Addr
	fullAt      time.Time
	stats       Stats
	events      []Event
	introducing int // introductions under way
}

// New makes an empty segment.
func New(cfg Config) *Segment {
	cfg = cfg.withDefaults()
	return &Segment{
		cfg:       cfg,
		table:     make(map[key]*neighbour),
		stations:  make(map[station][]*neighbour),
		links:     make(map[Link][]*neighbour),
		questions: make(map[key][]*pending),
		asking:    make(map[Link]int),
		requests:  make(map[station]dhcpRequest),
		repeats:   budget{perSecond: 200, burst: 200},
		newcomers: budget{perSecond: 10, burst: 64},
		hubLocal:  linkLocal(cfg.HubMAC),
	}
}

func (c Config) withDefaults() Config {
	duration := func(d *time.Duration, def, least time.Duration) {
		if *d <= 0 {
			*d = def
		}
		*d = max(*d, least)
	}
	number := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	if c.HubMAC.IsZero() {
		c.HubMAC = eth.Addr{0x02, 0x00, 0x76, 0x68, 0x75, 0x62}
	}
	duration(&c.Keep, 5*time.Second, 500*time.Millisecond)
	duration(&c.Idle, 30*time.Second, c.Keep)
	duration(&c.Retry, 300*time.Millisecond, 20*time.Millisecond)
	duration(&c.Age, 10*time.Minute, c.Idle)
	duration(&c.PairAge, 10*time.Minute, c.Keep)
	duration(&c.ConflictQuiet, 10*time.Minute, time.Second)
	number(&c.MaxNeighbours, 16384)
	number(&c.MaxPerLink, 1024)
	number(&c.MaxPairs, 8192)
	number(&c.MaxUses, 64)
	if c.MaxIntroduced == 0 {
		c.MaxIntroduced = 64
	}
	return c
}

// linkLocal is the link-local address of a MAC address (RFC 4291 appendix A).
func linkLocal(mac eth.Addr) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
}

// Configure changes Mode, MaxNeighbours, Age, Keep and Idle; the rest of c is not
// looked at. The table stays: its entries take the new times when they are next heard
// or looked after, and those over a lower limit stay until they are silent.
func (s *Segment) Configure(c Config) {
	c = c.withDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Mode, s.cfg.MaxNeighbours, s.cfg.Age, s.cfg.Keep, s.cfg.Idle = c.Mode, c.MaxNeighbours, c.Age, c.Keep, c.Idle
}

// Mode returns the mode.
func (s *Segment) Mode() Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.Mode
}

// Receive looks at one frame that came in by link, which is lent. The hub
// calls it after it learned the frame's source and passed its filters; the
// verdict says whether to forward the frame. Out is appended to.
//
//  1. what the frame claims is learned, or starts a conflict
//  2. what is for the hub itself ends here
//  3. an answer closes the questions it answers
//  4. a question is passed, redirected or answered by the mode
func (s *Segment) Receive(now time.Time, link Link, frame []byte, out *Out) Verdict {
	m, bad := parse(frame)
	s.mu.Lock()
	defer s.unlock()
	if bad {
		s.stats.Invalid++
	}
	switch {
	case m.kind == none || m.src == s.cfg.HubMAC || m.claimMAC == s.cfg.HubMAC:
		return Forward
	case m.kind == lease:
		s.learnLease(now, link, &m)
		return Forward
	}
	verdict := s.claim(now, link, &m, out)
	if s.forHub(link, &m, out) {
		s.stats.DropToHub++
		return Handled
	}
	switch m.kind {
	case answer:
		s.answered(now, &m, frame, out)
	case question:
		return s.question(now, link, &m, frame, out)
	}
	return verdict
}

// forHub tells what is meant for the hub itself, and answers it: its probes of
// IPv6 stations make these ask for its link-local address.
func (s *Segment) forHub(link Link, m *message, out *Out) bool {
	if m.kind == question && m.ask == s.hubLocal {
		if m.claimIP.IsValid() && s.cfg.Mode != Relay {
			out.add(link, eth.AppendNA(out.room(), m.vlan, m.claimMAC, s.cfg.HubMAC, m.claimIP, s.hubLocal, eth.NAFlagSolicited|eth.NAFlagOverride))
		}
		return true
	}
	return m.dst == s.cfg.HubMAC
}

// Advance does what is due at now.
func (s *Segment) Advance(now time.Time, out *Out) {
	s.mu.Lock()
	defer s.unlock()
	s.timers.run(now, out)
}

// Deadline is when Advance must be called next at the latest; zero: nothing
// is due. It may become earlier with every other call.
func (s *Segment) Deadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.timers) == 0 {
		return time.Time{}
	}
	return s.timers[0].at
}

// LinkDown forgets all that is behind a link that was detached, static entries
// too.
func (s *Segment) LinkDown(now time.Time, link Link) {
	s.mu.Lock()
	defer s.unlock()
	for _, n := range all(s.links[link]) {
		s.remove(n)
	}
	for _, n := range s.table {
		if n.rival != nil && n.rival.link == link {
			s.closeRival(n)
		}
	}
	for _, list := range s.questions {
		for _, q := range slices.Clone(list) {
			if q.link == link {
				s.closeQuestion(q)
			}
		}
	}
	for k, r := range s.requests {
		if r.link == link {
			delete(s.requests, k)
		}
	}
}

// SetStatic enters an address that needs no confirmation and cannot be taken
// over, for example that of a session whose address vhub assigned. It replaces
// what was known of the address. Static entries count in no limit.
func (s *Segment) SetStatic(now time.Time, vlan uint16, ip netip.Addr, mac eth.Addr, link Link) error {
	if !isAssignable(ip) {
		return fmt.Errorf("static neighbour %s: no address that a station can have", ip)
	}
	if !isStation(mac) {
		return fmt.Errorf("static neighbour %s: %s is no station's address", ip, mac)
	}
	s.mu.Lock()
	defer s.unlock()
	k := key{vlan, ip}
	if old := s.table[k]; old != nil {
		s.remove(old)
	}
	s.add(now, k, mac, link, FromStatic)
	return nil
}

// RemoveStatic removes what SetStatic entered and tells whether it was there.
func (s *Segment) RemoveStatic(vlan uint16, ip netip.Addr) bool {
	s.mu.Lock()
	defer s.unlock()
	n := s.table[key{vlan, ip}]
	if n == nil || !n.fixed() {
		return false
	}
	s.remove(n)
	return true
}

// List returns the table ordered by VLAN and address, without what is out of
// date at now.
func (s *Segment) List(now time.Time) []Neighbour {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Neighbour, 0, len(s.table))
	for _, n := range s.table {
		if n.expires.IsZero() || now.Before(n.expires) {
			list = append(list, n.export())
		}
	}
	slices.SortFunc(list, func(a, b Neighbour) int {
		return compareKeys(key{a.VLAN, a.IP}, key{b.VLAN, b.IP})
	})
	return list
}

// Flush forgets the learned (not the static) neighbours for which match is
// true; nil matches all. It returns how many went. match is called with the
// mutex held.
func (s *Segment) Flush(match func(Neighbour) bool) int {
	s.mu.Lock()
	defer s.unlock()
	count := 0
	for _, n := range s.table {
		if !n.fixed() && (match == nil || match(n.export())) {
			s.remove(n)
			count++
		}
	}
	return count
}

// Stats returns the counters.
func (s *Segment) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Neighbours, st.Pairs, st.Questions = len(s.table), s.pairs, s.open
	return st
}

// helping tells whether the segment sends anything of its own.
func (s *Segment) helping() bool { return s.cfg.Mode != Relay }

// allowed tells whether the stations behind two links may talk. Nothing is
// done between stations of one link: they see each other's frames.
func (s *Segment) allowed(a, b Link) bool {
	return a != b && (s.cfg.Allowed == nil || s.cfg.Allowed(a, b) && s.cfg.Allowed(b, a))
}

// apart tells whether two neighbours are stations that may talk, behind
// different links.
func (s *Segment) apart(a, b *neighbour) bool { return a.mac != b.mac && s.allowed(a.link, b.link) }

func (s *Segment) event(e Event) {
	if s.cfg.Event != nil {
		s.events = append(s.events, e)
	}
}

// unlock ends a call: the events are told without the mutex.
func (s *Segment) unlock() {
	events := s.events
	s.events = nil
	s.mu.Unlock()
	for _, e := range events {
		s.cfg.Event(e)
	}
}
