// Package roadclient is a crowd of L2TP/IPsec clients in one process, and one
// client with a TAP. They are synthetic in that no operating system is around
// them, and real on the wire: vhub's IKE in main mode with a pre-shared key, ESP
// in UDP, the project's own L2TP client half, PPP with MS-CHAPv2, an address.
//
//	one socket on UDP 500, one on 4500 (each client sends from its own address)
//	   -> the loop: ike.Endpoint, esp by SPI, l2tp.Client, one timer heap
//
// A crowd behaves as stock systems do when they are left alone: each client
// keeps its translator's mapping open (20 s), answers hellos, echoes and dead
// peer detection, and asks nothing itself.
package roadclient

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// Config is what a crowd is made of.
type Config struct {
	Server netip.Addr // IPv4
	Key    []byte
	// User, Password and Host may contain one %d (or %05d), for the number of the client.
	User, Password, Host string
	Clients              int
	// Sources are the addresses of the clients: client i has the i-th of the prefix
	// (0 the first). The machine must take packets to all of them: ip route add
	// local PREFIX dev lo. One client may have the prefix of one address.
	Sources netip.Prefix
	// Window is how many clients at most log in at once; 0: all. Over spreads the
	// beginnings evenly over a time instead.
	Window int
	Over   time.Duration
	// Limit is how long one client may try; it dials anew after each failure. 0: 60 s.
	Limit time.Duration

	Suites    []ike.Suite // phase 1; nil: what vhub offers as initiator
	ESP       []esp.Suite // phase 2; nil: likewise
	IPv6      bool        // open IPv6 in PPP too
	DPD       time.Duration
	Keepalive time.Duration // NAT keepalives; 0: 20 s

	// Listen opens UDP sockets; nil: in this process's own network namespace.
	Listen func(port int) (*net.UDPConn, error)
	// OnIP is given the IP packets that come for a client, on the loop; they are its own.
	OnIP func(client int, ip []byte)
}

// Report is what became of a crowd.
type Report struct {
	Clients   int            `json:"clients"`
	Up        int            `json:"up"`
	Addresses int            `json:"addresses"`         // different ones among those that are up
	Seconds   float64        `json:"seconds"`           // from the first beginning to the last that came up
	PerSecond float64        `json:"logins_per_second"` // of those that came up
	FastestMS float64        `json:"fastest_ms"`        // of one client, from its first packet to its address
	MedianMS  float64        `json:"median_ms"`
	SlowestMS float64        `json:"slowest_ms"`
	Redials   int            `json:"redials"`         // beginnings after a failure
	Ended     map[string]int `json:"ended,omitempty"` // reasons of failures and ends, with their number
	IKE       string         `json:"ike"`             // suites of the last that came up
	ESP       string         `json:"esp"`
	CPU       float64        `json:"cpu_seconds"` // of this process, so far
}

// Crowd is the clients at work.
type Crowd struct {
	cfg Config
	ike *ike.Endpoint
	out ike.Out

	ikeConn, nattConn *net.UDPConn
	packets           chan datagram
	calls             chan func(now time.Time)
	done              chan struct{}

	clients   []*client
	bySession map[ike.SessionID]*client
	bySPI     map[uint32]*child
	byAddress map[netip.Addr]*client
	due       clientHeap
	fresh     []*client // those whose SA became usable in this round

	begun, arrived  int // clients
	logging         int // of those begun, not up and not given up
	start, last     time.Time
	redials         int
	ended           map[string]int
	ikeName, espOne string
	changed         chan struct{} // told when a client came up or went
}

type datagram struct {
	natt   bool
	remote netip.AddrPort
	local  netip.Addr
	data   []byte
}

// New opens the sockets.
func New(cfg Config) (*Crowd, error) {
	if !cfg.Server.Is4() || !cfg.Sources.IsValid() || !cfg.Sources.Addr().Is4() {
		return nil, errors.New("roadclient: a server and the clients' own addresses (IPv4) are needed")
	}
	if room := 1 << (32 - cfg.Sources.Bits()); cfg.Clients < 1 || cfg.Clients > room {
		return nil, fmt.Errorf("roadclient: %d clients do not fit into %s", cfg.Clients, cfg.Sources)
	}
	if cfg.Limit == 0 {
		cfg.Limit = time.Minute
	}
	if cfg.DPD == 0 {
		cfg.DPD = -1
	}
	if cfg.Listen == nil {
		cfg.Listen = func(port int) (*net.UDPConn, error) { return net.ListenUDP("udp4", &net.UDPAddr{Port: port}) }
	}
	c := &Crowd{cfg: cfg, packets: make(chan datagram, 4096), calls: make(chan func(time.Time)), done: make(chan struct{}),
		bySession: map[ike.SessionID]*client{}, bySPI: map[uint32]*child{}, byAddress: map[netip.Addr]*client{},
		ended: map[string]int{}, changed: make(chan struct{}, 1)}
	peer := &ike.Peer{Name: "server", Key: cfg.Key, Suites: cfg.Suites, ESP: cfg.ESP, ForceNATT: true, DPD: cfg.DPD, Keepalive: cfg.Keepalive,
		Children: []ike.ChildConfig{{Name: "l2tp", Mode: esp.Transport, Local: l2tpSelector, Remote: l2tpSelector}},
		Accept:   func(*ike.ChildRequest) error { return nil }}
	var err error
	if c.ike, err = ike.New(ike.Config{Rand: rand.Reader, Peers: []*ike.Peer{peer}, MaxSessions: 2 * cfg.Clients}); err != nil {
		return nil, err
	}
	if c.ikeConn, err = listen(cfg.Listen, 500); err != nil {
		return nil, err
	}
	if c.nattConn, err = listen(cfg.Listen, 4500); err != nil {
		c.ikeConn.Close()
		return nil, err
	}
	addr := cfg.Sources.Masked().Addr()
	if cfg.Sources.IsSingleIP() {
		addr = cfg.Sources.Addr()
	}
	for i := range cfg.Clients {
		c.clients = append(c.clients, newClient(c, i, addr, peer))
		c.byAddress[addr] = c.clients[i]
		addr = addr.Next()
	}
	return c, nil
}

// l2tpSelector is UDP port 1701 at the phase 1 address, as stock clients ask for.
var l2tpSelector = ike.Selector{Protocol: esp.ProtoUDP, Port: l2tpPort}

const l2tpPort = 1701

// Run dials, and serves the clients until ctx ends; then it hangs up.
func (c *Crowd) Run(ctx context.Context) error {
	var readers sync.WaitGroup
	failed := make(chan error, 2)
	for natt, conn := range map[bool]*net.UDPConn{false: c.ikeConn, true: c.nattConn} {
		readers.Go(func() { failed <- c.read(natt, conn) })
	}
	defer readers.Wait()
	defer close(c.done)
	defer c.nattConn.Close()
	defer c.ikeConn.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			c.goodbye(time.Now())
			return nil
		case err := <-failed:
			return err
		case d := <-c.packets:
			now := time.Now()
			c.receive(now, d)
			for range min(len(c.packets), 64) {
				c.receive(now, <-c.packets)
			}
		case f := <-c.calls:
			f(time.Now())
		case <-timer.C:
		}
		now := time.Now()
		c.advance(now)
		c.carryOut(now)
		timer.Reset(time.Until(c.deadline()))
	}
}

// Wait waits until every client is up or has given up, and tells what became of
// them; or until ctx ends.
func (c *Crowd) Wait(ctx context.Context) Report {
	for {
		r, settled := c.report()
		if settled {
			return r
		}
		select {
		case <-ctx.Done():
			return r
		case <-c.done:
			return r
		case <-c.changed:
		}
	}
}

// Report tells what became of the clients until now.
func (c *Crowd) Report() Report { r, _ := c.report(); return r }

// Send sends an IP packet from a client; false: it is not up.
func (c *Crowd) Send(client int, ip []byte) (ok bool) {
	c.call(func(now time.Time) { ok = c.clients[client].sendIP(ip) })
	return ok
}

// Address is the address a client was given; invalid while it is not up.
func (c *Crowd) Address(client int) (a netip.Addr) {
	c.call(func(time.Time) {
		if x := c.clients[client]; x.up() {
			a = x.l2tp.Local
		}
	})
	return a
}

// call runs f on the loop.
func (c *Crowd) call(f func(now time.Time)) {
	ran := make(chan struct{})
	select {
	case c.calls <- func(now time.Time) { f(now); close(ran) }:
		<-ran
	case <-c.done:
	}
}

// deadline is when advance has something to do.
func (c *Crowd) deadline() time.Time {
	next := time.Now().Add(time.Hour)
	sooner := func(d time.Time) {
		if !d.IsZero() && d.Before(next) {
			next = d
		}
	}
	sooner(c.ike.Deadline())
	if len(c.due) > 0 {
		sooner(c.due[0].deadline)
	}
	if c.begun < len(c.clients) && c.cfg.Over > 0 {
		sooner(c.begins(c.begun))
	}
	return next
}

// begins is when a client begins, where they are spread over a time.
func (c *Crowd) begins(i int) time.Time {
	return c.start.Add(c.cfg.Over * time.Duration(i) / time.Duration(len(c.clients)))
}

// advance does what is due.
func (c *Crowd) advance(now time.Time) {
	if c.start.IsZero() {
		c.start = now
	}
	for c.begun < len(c.clients) {
		if c.cfg.Over > 0 && c.begins(c.begun).After(now) || c.cfg.Over == 0 && c.cfg.Window > 0 && c.logging >= c.cfg.Window {
			break
		}
		x := c.clients[c.begun]
		c.begun++
		c.logging++
		x.began = now
		x.dial(now)
	}
	if d := c.ike.Deadline(); !d.IsZero() && !now.Before(d) {
		c.ike.Advance(now, &c.out)
		c.carryOut(now)
	}
	for len(c.due) > 0 && !c.due[0].deadline.After(now) {
		c.due[0].advance(now)
	}
}

// receive takes a datagram.
func (c *Crowd) receive(now time.Time, d datagram) {
	if d.natt && len(d.data) >= minESP && [4]byte(d.data) != [4]byte{} {
		c.receiveESP(now, d.data)
		return
	}
	port := uint16(500)
	if d.natt {
		port = 4500
	}
	// What is dropped shows in who does not come up.
	_ = c.ike.Receive(now, ike.Packet{Local: netip.AddrPortFrom(d.local, port), Remote: d.remote, NATT: d.natt, Data: d.data}, &c.out)
	c.carryOut(now)
}

// carryOut does what IKE says: events, then packets, then what follows from them.
func (c *Crowd) carryOut(now time.Time) {
	for len(c.out.Events)+len(c.out.Packets) > 0 {
		events, packets := c.out.Events, c.out.Packets
		c.out = ike.Out{}
		for _, ev := range events {
			c.event(now, ev)
		}
		for _, p := range packets {
			c.sendIKE(p)
		}
	}
	for len(c.fresh) > 0 {
		list := c.fresh
		c.fresh = nil
		for _, x := range list {
			x.call(now)
		}
	}
}

func (c *Crowd) event(now time.Time, ev ike.Event) {
	switch ev := ev.(type) {
	case ike.Established:
		c.ikeName = ev.Suite.String()
	case ike.ChildInstalled:
		c.install(ev.Child)
	case ike.ChildUsable:
		if k := c.bySPI[ev.Child.In.SPI]; k != nil {
			k.of.use(k)
		}
	case ike.ChildDown:
		if k := c.bySPI[ev.Child.In.SPI]; k != nil {
			delete(c.bySPI, ev.Child.In.SPI)
		}
	case ike.Closed:
		if x := c.bySession[ev.Session]; x != nil {
			delete(c.bySession, ev.Session)
			if x.session == ev.Session {
				x.session = 0
				x.failed(now, "IKE: "+ev.Reason.Error())
			}
		}
	}
}

// tell wakes who waits.
func (c *Crowd) tell() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *Crowd) report() (r Report, settled bool) {
	c.call(func(time.Time) {
		r = c.sum()
		settled = c.begun == len(c.clients) && c.logging == 0
	})
	return r, settled
}

// goodbye hangs up.
func (c *Crowd) goodbye(now time.Time) {
	for _, x := range c.clients {
		if x.session == 0 {
			continue
		}
		if x.up() {
			x.hangUp(now)
		}
		c.ike.Close(now, x.session, &c.out)
		x.session = 0
	}
	for _, p := range c.out.Packets {
		c.sendIKE(p)
	}
}

// numbered puts the number of a client into a text with %d, %05d or the like.
func numbered(text string, n int) string {
	if !strings.Contains(text, "%") {
		return text
	}
	return fmt.Sprintf(text, n)
}

// Suites for Config. CheapIKE is for a crowd that shares its processors with the
// server: cheap, and offered by stock clients all the same (Windows: ECP 256).
var (
	CheapIKE = []ike.Suite{{Cipher: ike.AES, KeyBits: 128, Hash: ike.SHA1, Group: ike.ECP256}}
	// SoftEtherIKE and SoftEtherESP are what SoftEther takes, and vhub too.
	SoftEtherIKE = []ike.Suite{{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP2048}}
	SoftEtherESP = []esp.Suite{{Cipher: esp.AESCBC, KeyBits: 128, Auth: esp.HMACSHA1}}
)
