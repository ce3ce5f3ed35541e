package daemon

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"vhub/api"
	"vhub/config"
	"vhub/dhcp"
	"vhub/eth"
	"vhub/hub"
	"vhub/ipsec"
	"vhub/l2tp"
	"vhub/ppp"
)

// road is a port of kind l2tp: a server whose sessions are links of the hub,
// and what carries the clients to it. The port itself moves no frames.
//
//	client == IPsec session (ipsec.Tunnel) or bare UDP ── l2tp.Peer ── session "road/7" ── hub
type road struct {
	host   *roadHost
	hub    string
	log    *slog.Logger
	server *l2tp.Server
	leases *leases
	auth   *portAuth

	run *engineRun // nil without IPsec
	udp *l2tp.UDP  // nil with IPsec

	mu  sync.Mutex // held shortly
	cfg *config.Port
	sum secretSum // of the secret files, as they were read at the begin
}

// roadHost is what the l2tp ports of the daemon have in common.
type roadHost struct {
	ipsec *ipsecHost
	keys  keyReader
	hub   func(name string) *hub.Hub // the switch at work now; nil for none
	auth  func(hubName string, cfg *config.Port, log *slog.Logger) (*portAuth, error)
	fixed func() []netip.Addr // addresses of users, which no pool gives to others
	state string              // folder for leases

	mu    sync.Mutex
	ports map[string]*roadMemory // by hub/port; outlives the device
}

// roadMemory is what a port knows from one device to the next.
type roadMemory struct {
	numbers atomic.Int64 // of sessions
}

// roadHost is what this daemon's l2tp ports are given.
func (d *Daemon) roadHost() *roadHost {
	return &roadHost{ipsec: d.ipsec, keys: d.readKey, auth: d.newAuthenticator, fixed: d.fixedAddresses, state: d.opts.StateDir,
		hub: func(name string) *hub.Hub {
			if h := d.hub(name); h != nil {
				return h.hub
			}
			return nil
		}}
}

// newAuthenticator makes what checks the logins of one l2tp port.
func (d *Daemon) newAuthenticator(hubName string, cfg *config.Port, log *slog.Logger) (*portAuth, error) {
	var secret config.Secret
	if q := cfg.L2TP.Servers; q != nil {
		var err error
		if secret, err = d.readKey(q.SecretFile); err != nil {
			return nil, api.Errorf(api.CodeFailed, "radius %s: %v", q.Name, err)
		}
	}
	a, err := newPortAuth(d.users, func(name string) bool { return d.hub(name) != nil }, hubName, cfg.L2TP, secret, log)
	if err != nil {
		return nil, api.Errorf(api.CodeFailed, "%s: %v", describe(cfg), err)
	}
	return a, nil
}

func (h *roadHost) memory(name string) *roadMemory {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ports == nil {
		h.ports = map[string]*roadMemory{}
	}
	if h.ports[name] == nil {
		h.ports[name] = &roadMemory{}
	}
	return h.ports[name]
}

// openRoad joins the engine, or opens UDP port 1701.
func openRoad(hubName string, cfg *config.Port, host *roadHost, log *slog.Logger) (_ device, err error) {
	r := &road{host: host, hub: hubName, log: log.With("port", cfg.Name), cfg: cfg}
	r.leases = openLeases(host.state, hubName, cfg.Name, r.log)
	if r.sum, err = sumSecrets(cfg, host.keys); err != nil {
		return nil, api.Errorf(api.CodeFailed, "%v", err)
	}
	if r.auth, err = host.auth(hubName, cfg, r.log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.auth.Close()
		}
	}()
	sc, err := r.serverConfig(cfg)
	if err != nil {
		return nil, err
	}
	if r.server, err = l2tp.NewServer(sc); err != nil {
		return nil, err
	}
	if cfg.L2TP.Insecure {
		r.udp, err = l2tp.ListenUDP(r.server, l2tp.Port, r.log)
		if err != nil {
			return nil, api.Errorf(api.CodeFailed, "%s: %v", describe(cfg), err).WithHint("another program has it: ss -ulnp sport = :%d", l2tp.Port)
		}
		return r, nil
	}
	rc, err := r.roadConfig(cfg)
	if err != nil {
		return nil, err
	}
	if r.run, err = host.ipsec.take(); err != nil {
		return nil, api.Errorf(api.CodeFailed, "%s: %v", describe(cfg), err)
	}
	if err = r.run.AddRoadWarriors(rc); err != nil {
		r.run.give()
		return nil, api.Errorf(api.CodeFailed, "%s: %v", describe(cfg), err)
	}
	return r, nil
}

// serverConfig is what the configuration means for the L2TP server.
func (r *road) serverConfig(cfg *config.Port) (l2tp.ServerConfig, error) {
	c := cfg.L2TP
	out := l2tp.ServerConfig{
		Port: cfg.Name, Hub: r.host.hub(r.hub), HubName: r.hub, Auth: r.auth, Link: linkConfig(cfg, r), MRU: c.MRU,
		Control: l2tp.Config{HelloEvery: c.Hello}, DHCP: c.UseDHCP(), Memory: r.leases.memory, IPv6: c.IPv6, MaxSessions: c.MaxSessions,
		Numbers: &r.host.memory(peerName(r.hub, cfg.Name)).numbers, Rand: rand.Reader, Log: r.log, Facts: dhcp.Lease{Prefix: c.Prefix(), DNS: c.DNS},
	}
	if c.Router.IsValid() {
		out.Facts.Routers = []netip.Addr{c.Router}
	}
	for _, name := range c.AuthMethods() {
		m, err := ppp.ParseMethod(name)
		if err != nil {
			return out, fmt.Errorf("%s: %w", describe(cfg), err)
		}
		out.Methods = append(out.Methods, m)
	}
	for _, name := range c.Sources() {
		out.Order = append(out.Order, dhcp.Source(name))
	}
	for _, x := range c.Routes {
		out.Routes = append(out.Routes, dhcp.Route{To: x.To, Via: x.Via})
	}
	if name := c.TunnelSecretFile; name != "" {
		secret, err := r.host.keys(name)
		if err != nil {
			return out, api.Errorf(api.CodeFailed, "%s: %v", describe(cfg), err)
		}
		out.Control.Secret = secret
	}
	if len(c.Pool) == 0 {
		return out, nil
	}
	pc := dhcp.PoolConfig{Reserved: r.reserved(c), News: r.leases.news}
	for _, x := range c.Pool {
		pc.Ranges = append(pc.Ranges, dhcp.Range{First: x.First, Last: x.Last})
	}
	pool, err := dhcp.NewPool(pc)
	if err != nil {
		return out, fmt.Errorf("%s: %w", describe(cfg), err)
	}
	r.leases.usePool(pool)
	out.Pool = pool
	return out, nil
}

// reserved are the addresses that the pool gives to nobody.
func (r *road) reserved(c *config.L2TP) []netip.Addr {
	list := append(r.host.fixed(), c.DNS...)
	if c.Router.IsValid() {
		list = append(list, c.Router)
	}
	return list
}

// roadConfig is what the configuration means for the engine.
func (r *road) roadConfig(cfg *config.Port) (ipsec.RoadConfig, error) {
	s := cfg.L2TP.IPsec
	c := ipsec.RoadConfig{Name: peerName(r.hub, cfg.Name), Aggressive: cfg.L2TP.Aggressive, Accept: r.accept}
	key, err := r.host.keys(s.KeyFile)
	if err != nil {
		return c, api.Errorf(api.CodeFailed, "%s: %v", describe(cfg), err)
	}
	c.Key = key
	if c.PeerID, err = identity(s.PeerID); err != nil {
		return c, fmt.Errorf("%s: peer_id: %w", describe(cfg), err)
	}
	if c.LocalID, err = identity(s.LocalID); err != nil {
		return c, fmt.Errorf("%s: local_id: %w", describe(cfg), err)
	}
	if c.Algorithms, err = algorithms(s, r.host.ipsec.keepalive()); err != nil {
		return c, fmt.Errorf("%s: %w", describe(cfg), err)
	}
	return c, nil
}

// accept gives a client's IPsec session to the server.
func (r *road) accept(t *ipsec.Tunnel) (ipsec.Handler, bool) {
	p := r.server.Accept(t)
	return ipsec.Handler{
		NewReceiver: func() ipsec.Receiver { return p.NewReceiver() },
		Closed:      func(reason string) { r.server.Closed(p, "the IPsec session ended: "+reason) },
	}, true
}

// WriteFrames takes what the hub floods to the port itself: its sessions have
// links of their own.
func (r *road) WriteFrames(frames []eth.Frame) int { return len(frames) }

// Run serves clients until ctx ends.
func (r *road) Run(ctx context.Context, link *hub.Link) error {
	link.SetUp(time.Now(), false) // nothing is behind it: no floods
	g, ctx := errgroup.WithContext(ctx)
	last, stop := context.WithCancel(context.WithoutCancel(ctx)) // the socket carries the server's last words
	g.Go(func() error { defer stop(); return r.server.Run(ctx) })
	g.Go(func() error { return r.leases.run(ctx) })
	if r.udp != nil {
		g.Go(func() error { return r.udp.Run(last) })
	} else {
		g.Go(func() error { return r.run.wait(ctx) })
	}
	return g.Wait()
}

// Close ends the clients' IPsec sessions and gives the engine back.
func (r *road) Close() error {
	if r.udp != nil {
		r.udp.Close()
	} else {
		r.run.RemoveRoadWarriors(peerName(r.hub, r.config().Name))
		r.run.give()
	}
	r.server.End()
	return r.auth.Close()
}

func (r *road) config() *config.Port {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg
}

// reconfigure changes what sessions to come are given. Keys, identities, RADIUS
// and what the tunnels were told at their begin need the port anew.
func (r *road) reconfigure(cfg *config.Port) error {
	old := r.config()
	a, b := *old.L2TP, *cfg.L2TP
	same := b
	same.Pool, same.Subnet, same.Router, same.DNS, same.Routes, same.DHCP, same.Order = a.Pool, a.Subnet, a.Router, a.DNS, a.Routes, a.DHCP, a.Order
	same.IPv6, same.MRU, same.Methods, same.MaxSessions = a.IPv6, a.MRU, a.Methods, a.MaxSessions
	if !reflect.DeepEqual(same, a) {
		return errRemake
	}
	sc, err := r.serverConfig(cfg)
	if err != nil {
		return err
	}
	r.server.Update(sc)
	r.mu.Lock()
	r.cfg = cfg
	r.mu.Unlock()
	return nil
}

// rereadSecrets: another key or secret ends all sessions, so the port is made anew.
func (r *road) rereadSecrets() (bool, error) {
	sum, err := sumSecrets(r.config(), r.host.keys)
	if err != nil || sum == r.sum {
		return false, err
	}
	return true, errRemake
}

func (r *road) segment() string { return "" }

func (r *road) maxFrame() int { return 0 }

func (r *road) where() string {
	c := r.config().L2TP
	switch {
	case c.Insecure:
		return fmt.Sprintf("UDP %d, no IPsec", l2tp.Port)
	case !c.IPsec.PeerID.IsZero():
		return "clients with " + c.IPsec.PeerID.String()
	}
	return "clients with the key"
}

// status is what "port show" tells of an l2tp port.
func (r *road) status() api.Road {
	s := r.server.Status()
	out := api.Road{Sessions: s.Sessions, Connecting: s.Connecting, Clients: s.Peers, Logins: s.Logins, LoginFailures: s.Failures,
		LoginLocked: s.Locked, RefusedFull: s.Full, Ended: s.Ended, Drops: s.Drops}
	if r.run != nil {
		out.Sockets = socketsOf(r.run.Status())
	}
	c := r.config().L2TP
	if len(c.Pool) > 0 {
		out.PoolSize, out.PoolUsed = r.leases.poolUse()
	}
	return out
}

func (r *road) detail() json.RawMessage { return detailOf(r.status()) }

// fill puts into a port's status what the link does not know, and returns the
// counters of the sessions.
func (r *road) fill(s *api.Port, since time.Time) hub.Counters {
	st := r.server.Status()
	s.State, s.UpSince, s.Sessions, s.MACs = api.StateUp, timePtr(since), st.Sessions, st.Sessions
	return trafficOf(st)
}

// counters are the sums of all sessions that were.
func (r *road) counters() hub.Counters { return trafficOf(r.server.Status()) }

func trafficOf(st l2tp.ServerStatus) hub.Counters {
	return hub.Counters{InFrames: st.InPackets, InBytes: st.InBytes, OutFrames: st.OutPackets, OutBytes: st.OutBytes}
}

func (r *road) notes() []string {
	c := r.config().L2TP
	if c.Insecure {
		return []string{"L2TP without IPsec: anybody on the way can read, forge and take over what clients send; only for a lab, or where the network below is encrypted"}
	}
	notes := kernelNotes(r.run.Engine)
	if c.Aggressive {
		notes = append(notes, "aggressive mode lets anybody who asks guess the key offline: it must be long and random")
	}
	return notes
}
