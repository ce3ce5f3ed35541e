package ipsec

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"vhub/ipsec/ike"
)

// Engine is IPsec of one daemon. Make it with New, give it peers at any time, and
// run it; its methods may be called by any goroutine.
type Engine struct {
	cfg      Config
	net      Network
	readers  []*reader
	table    *spiTable
	packets  chan ike.Packet // from readers to the loop
	late     chan ike.Packet // small informational messages that found packets full
	notes    chan note
	wake     chan struct{} // the deadline may have changed
	events   eventQueue
	sealers  *sealers
	count    engineCounters
	warnings []string

	unknownLogged atomic.Int64 // Unix nanoseconds of the last note about an unknown SPI

	// mu guards what the loop owns. The loop holds it while it works; so do the calls
	// that change or show the configuration. The data path never takes it.
	mu       sync.Mutex
	ike      *ike.Endpoint
	out      ike.Out
	peers    map[string]*peerState
	roads    map[string]*roadState
	owners   map[*ike.Peer]owner
	sessions map[ike.SessionID]*session
	uplinks  map[netip.Addr]int // interface index by local address of an uplink
	probing  int                // tunnels with probed paths
	nextTick time.Time
	watched  roster     // sessions that are looked at in each tick
	calm     roster     // the others
	due      []*session // scratch of lifetimes
	closed   bool
}

// owner is what an ike.Peer belongs to: a peer or a class of road warriors.
type owner struct {
	peer *peerState
	road *roadState
}

// The queues between readers and loop, in messages. IKE messages that find the
// queue full are lost and come again; notes are made again by the next packet.
//
// Negotiations that wait long are repeated and best lost soon. Deletes are said
// once: thousands of clients that hang up at once are to be gone at once.
const (
	packetQueue = 512
	lateQueue   = 16384
	lateMax     = 512 // bytes of such a message
	noteQueue   = 1024
)

// New opens the sockets. Nothing is received before Run. An error names the
// address and, when a port is taken, the process that has it.
func New(cfg Config) (*Engine, error) {
	cfg.fill()
	if cfg.Network == nil {
		cfg.Network = systemNetwork{}
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	e := &Engine{
		cfg: cfg, net: cfg.Network, table: newSPITable(),
		packets: make(chan ike.Packet, packetQueue), late: make(chan ike.Packet, lateQueue), notes: make(chan note, noteQueue),
		wake: make(chan struct{}, 1), sealers: newSealers(cfg.Sealers),
		peers: map[string]*peerState{}, roads: map[string]*roadState{}, owners: map[*ike.Peer]owner{},
		sessions: map[ike.SessionID]*session{}, uplinks: map[netip.Addr]int{},
	}
	e.events.init()
	var err error
	e.ike, err = ike.New(ike.Config{
		Rand: cfg.Rand, Port: cfg.PeerPort, NATTPort: cfg.PeerNATTPort, LocalNATTPort: cfg.NATTPort,
		Retransmit: cfg.Retransmit, LastInbound: e.lastInbound,
		MaxSessions: cfg.MaxSessions, DHPerSource: cfg.DHPerSource, DHBurst: cfg.DHBurst,
	})
	if err != nil {
		return nil, err
	}
	if err := e.listen(); err != nil {
		e.closeSockets()
		return nil, err
	}
	e.warnings = append(e.warnings, e.net.Warnings()...)
	for _, w := range e.warnings {
		cfg.Log.Warn("ipsec: " + w)
	}
	return e, nil
}

// listen opens UDP 500, UDP 4500 and raw 50 on every address asked for. IPv6 and
// the raw socket may be missing when nobody asked for them by name.
func (e *Engine) listen() error {
	addrs, asked := e.cfg.Listen, true
	if len(addrs) == 0 {
		addrs, asked = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, false
	}
	for _, a := range addrs {
		for _, l := range []struct {
			kind Kind
			port uint16
		}{{IKE, e.cfg.Port}, {NATT, e.cfg.NATTPort}, {Raw, 0}} {
			if l.kind == Raw && e.cfg.NoRawESP {
				continue
			}
			local := netip.AddrPortFrom(a, l.port)
			readers := 1
			if l.kind == NATT {
				readers = e.cfg.Readers
			}
			socks, err := e.net.Listen(l.kind, local, readers, e.cfg.NoOffload)
			switch {
			case a.Is6() && !asked && errors.Is(err, ErrNoFamily):
			case err == nil:
				for _, sock := range socks {
					e.readers = append(e.readers, newReader(e, len(e.readers), l.kind, local, sock))
				}
			case l.kind == Raw:
				e.warnings = append(e.warnings, fmt.Sprintf("no raw ESP on %s, peers without NAT must use UDP: %v", a, err))
			default:
				return err
			}
		}
	}
	return nil
}

// lacksRaw tells whether some address has no raw ESP: then every peer is made to
// use UDP, by pretending a NAT.
func (e *Engine) lacksRaw() bool {
	udp, raw := 0, 0
	for _, r := range e.readers {
		switch r.kind {
		case IKE:
			udp++
		case Raw:
			raw++
		}
	}
	return raw < udp
}

// ErrNoFamily is what Network.Listen says where the machine has no IPv6.
var ErrNoFamily = errors.New("address family not available")

func (e *Engine) closeSockets() {
	for _, r := range e.readers {
		_ = r.sock.Close()
	}
}

// socketFor is the socket of a kind that sends from a local address.
func (e *Engine) socketFor(kind Kind, local netip.Addr) (Socket, error) {
	for _, r := range e.readers {
		a := r.local.Addr()
		if r.kind == kind && (a == local || a.IsUnspecified() && a.Is4() == local.Is4()) {
			return r.sock, nil
		}
	}
	return nil, fmt.Errorf("ipsec: no %s socket on %s", kind, local)
}

// Run serves until ctx ends, then tells the peers goodbye and closes the sockets.
// It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	ended := make(chan struct{})
	for _, r := range e.readers {
		g.Go(func() error {
			err := r.run()
			select {
			case <-ended:
				return nil // we closed the socket
			default:
				return fmt.Errorf("ipsec: reading %s on %s: %w", r.kind, r.local, err)
			}
		})
	}
	for range e.sealers.count {
		g.Go(func() error { e.sealers.run(ctx); return nil })
	}
	g.Go(func() error { e.events.run(); return nil })
	g.Go(func() error {
		e.loop(ctx)
		close(ended)
		e.closeSockets()
		e.events.close()
		return nil
	})
	return g.Wait()
}

// Close closes the sockets of an Engine that was never run.
func (e *Engine) Close() { e.closeSockets() }

// AddPeer makes the tunnel of a peer. Dialling begins when the Engine runs.
func (e *Engine) AddPeer(cfg PeerConfig) (*Tunnel, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.taken(cfg.Name) {
		return nil, fmt.Errorf("ipsec: a port named %q exists already", cfg.Name)
	}
	p := newPeerState(e, cfg)
	e.peers[cfg.Name] = p
	if err := e.setPeers(); err != nil {
		delete(e.peers, cfg.Name)
		_ = e.setPeers()
		return nil, err
	}
	e.countProbing()
	return p.tunnel, nil
}

// UpdatePeer changes the configuration of a peer. The Tunnel stays the same; its
// sessions stay up unless key or identity changed. NewReceiver and OnEvent are
// those of AddPeer.
func (e *Engine) UpdatePeer(cfg PeerConfig) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.peers[cfg.Name]
	if p == nil {
		return fmt.Errorf("ipsec: there is no peer %q", cfg.Name)
	}
	cfg.NewReceiver, cfg.OnEvent = p.cfg.NewReceiver, p.cfg.OnEvent
	if err := cfg.check(); err != nil {
		return err
	}
	old := *p
	p.configure(cfg)
	if err := e.setPeers(); err != nil {
		*p = old
		_ = e.setPeers()
		return err
	}
	e.countProbing()
	return nil
}

// RemovePeer ends a peer's sessions and forgets it. Its Tunnel sends nothing more.
func (e *Engine) RemovePeer(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.peers[name] == nil {
		return
	}
	delete(e.peers, name)
	_ = e.setPeers() // fewer peers than were taken before
	e.countProbing()
}

// AddRoadWarriors accepts any peer with a key. Each of their sessions is given to
// cfg.Accept.
func (e *Engine) AddRoadWarriors(cfg RoadConfig) error {
	if err := cfg.check(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.taken(cfg.Name) {
		return fmt.Errorf("ipsec: a port named %q exists already", cfg.Name)
	}
	e.roads[cfg.Name] = newRoadState(e, cfg)
	if err := e.setPeers(); err != nil {
		delete(e.roads, cfg.Name)
		_ = e.setPeers()
		return err
	}
	return nil
}

// RemoveRoadWarriors ends all sessions of a class and forgets it.
func (e *Engine) RemoveRoadWarriors(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.roads[name] == nil {
		return
	}
	delete(e.roads, name)
	_ = e.setPeers()
}

func (e *Engine) taken(name string) bool { return e.peers[name] != nil || e.roads[name] != nil }

// setPeers tells IKE who is configured. The caller holds mu.
func (e *Engine) setPeers() error {
	owners := map[*ike.Peer]owner{}
	var list []*ike.Peer
	for _, p := range e.peers {
		owners[p.ike] = owner{peer: p}
		list = append(list, p.ike)
	}
	for _, r := range e.roads {
		for _, p := range r.ike {
			owners[p] = owner{road: r}
			list = append(list, p)
		}
	}
	now := time.Now()
	if err := e.ike.SetPeers(now, list, &e.out); err != nil {
		e.out.Reset()
		return err
	}
	e.carryOut(now) // with the old owners: sessions that end belong to them
	e.owners = owners
	e.rouse()
	return nil
}

// rouse makes the loop look at its deadline again.
func (e *Engine) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
