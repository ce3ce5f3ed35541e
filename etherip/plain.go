package etherip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/hub"
	"vhub/internal/packet"
)

// PlainConfig says whom a plain port talks to.
type PlainConfig struct {
	Config
	// Peer is the one address that packets go to and are taken from.
	Peer netip.Addr
	// Local is the address to send from and to receive at; invalid means that
	// the system chooses it, anew when routes change.
	Local netip.Addr
	// PathMTU is the largest IP packet that crosses to the peer, in bytes; 0 takes what
	// the system knows of the route and has found out about the path.
	PathMTU int
}

// Plain is an EtherIP port on raw sockets: IP protocol 97 in IPv4 or IPv6, not
// encrypted, not authenticated. Whoever can send packets from the peer's
// address can put frames into the segment (as with any tunnel without keys:
// CVE-2020-10136 and its kin), so it is only for networks that rule that out.
type Plain struct {
	*Port
	cfg  PlainConfig
	sock *rawSocket
	way  *routeProbe
	done atomic.Bool // Close was called
	path atomic.Pointer[path]
	ask  chan struct{} // the path may have changed: look now
}

// path is what the system says of the way to the peer.
type path struct {
	mtu   int        // IP packet, bytes
	local netip.Addr // the address it sends from
	err   error      // no route: mtu and local are the last that were known
}

// How often the way to the peer is looked up: routes and path MTU.
const pathInterval = 5 * time.Second

// OpenPlain opens the socket. It needs root or CAP_NET_RAW. It does not need a
// route to the peer yet. Packets are not read before Run; Close ends the port.
func OpenPlain(cfg PlainConfig, log *slog.Logger) (*Plain, error) {
	cfg.Peer, cfg.Local = cfg.Peer.Unmap(), cfg.Local.Unmap()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Plain{Port: NewPort(cfg.Config, log), cfg: cfg, ask: make(chan struct{}, 1)}
	var err error
	if p.sock, err = openRaw(cfg.Peer, cfg.Local, cfg.DF, &p.Port.count); err != nil {
		return nil, fmt.Errorf("etherip %q: %w", cfg.Name, err)
	}
	if p.way, err = newRouteProbe(cfg.Peer, cfg.Local); err != nil {
		p.sock.close()
		return nil, fmt.Errorf("etherip %q: %w", cfg.Name, err)
	}
	p.sock.refused = p.lookSoon
	p.path.Store(&path{mtu: cfg.mtuOr(1500), local: cfg.Local})
	p.SetSender(p)
	p.lookUp()
	return p, nil
}

func (c *PlainConfig) check() error {
	switch {
	case !c.Peer.IsValid():
		return fmt.Errorf("etherip %q: no peer address", c.Name)
	case c.Peer.IsUnspecified() || c.Peer.IsMulticast() || c.Peer == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("etherip %q: peer %s is not one host's address", c.Name, c.Peer)
	case c.Local.IsValid() && c.Local.Is4() != c.Peer.Is4():
		return fmt.Errorf("etherip %q: local %s and peer %s are not of one family", c.Name, c.Local, c.Peer)
	case c.PathMTU != 0 && (c.PathMTU < c.headerLen()+HeaderLen+eth.HeaderLen+minInner || c.PathMTU > 65535):
		return fmt.Errorf("etherip %q: path MTU %d is not from %d to 65535", c.Name, c.PathMTU, c.headerLen()+HeaderLen+eth.HeaderLen+minInner)
	}
	return nil
}

func (c *PlainConfig) headerLen() int {
	if c.Peer.Is4() {
		return 20
	}
	return 40
}

// mtuOr returns the configured path MTU, or mtu where there is none.
func (c *PlainConfig) mtuOr(mtu int) int {
	if c.PathMTU > 0 {
		return c.PathMTU
	}
	return mtu
}

// Send is Sender's, for Port.
func (p *Plain) Send(packets []packet.Packet) int { return p.sock.send(packets) }

// PathMTU is Sender's: without the outer IP header, and not more than a
// datagram may have.
func (p *Plain) PathMTU() int { return p.path.Load().mtu - p.cfg.headerLen() }

// Run reads packets and hands their frames to the hub until ctx ends or the
// port is closed. It returns nil then, and an error when the socket can no
// longer be read.
func (p *Plain) Run(ctx context.Context, link *hub.Link) error {
	in, answers := link.NewReader(), link.NewReader()
	defer in.Close()
	defer answers.Close()
	return p.run(ctx, in, answers)
}

func (p *Plain) run(ctx context.Context, in, answers Input) error {
	p.sock.resume()
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, p.sock.interrupt)
	defer stop()
	g.Go(func() error { return p.read(ctx, p.NewReceiver(in)) })
	g.Go(func() error { p.Answer(ctx, answers); return nil })
	g.Go(func() error { p.watchPath(ctx); return nil })
	if err := g.Wait(); err != errClosed {
		return err
	}
	return nil
}

var errClosed = errors.New("etherip: port is closed") // ends the goroutines of run

func (p *Plain) read(ctx context.Context, r *Receiver) error {
	for {
		payloads, err := p.sock.receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case p.done.Load():
			return errClosed
		case err != nil:
			return fmt.Errorf("etherip %q: receive: %w", p.cfg.Name, err)
		}
		if len(payloads) > 0 {
			r.Receive(time.Now(), payloads)
		}
	}
}

// watchPath keeps path true, and writes a line when it comes, goes or changes.
func (p *Plain) watchPath(ctx context.Context) {
	t := time.NewTicker(pathInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-p.ask:
		}
		p.lookUp()
		select { // not more often than this, whoever asks
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// lookSoon asks watchPath to look now. It does not wait.
func (p *Plain) lookSoon() {
	select {
	case p.ask <- struct{}{}:
	default:
	}
}

func (p *Plain) lookUp() {
	was := *p.path.Load()
	mtu, local, err := p.way.look()
	if err != nil {
		if was.err == nil || was.err.Error() != err.Error() {
			p.log.Warn("no way to the peer", "port", p.cfg.Name, "peer", p.cfg.Peer, "error", err)
		}
		was.err = err
		p.path.Store(&was)
		return
	}
	is := path{mtu: p.cfg.mtuOr(mtu), local: local}
	if is.mtu != was.mtu || is.local != was.local || was.err != nil {
		p.path.Store(&is)
		l := p.limits()
		p.log.Info("path to the peer", "port", p.cfg.Name, "peer", p.cfg.Peer, "local", is.local, "path_mtu", is.mtu, "mss4", l.mss4, "mss6", l.mss6)
	}
}

// Close ends the port; Run returns.
func (p *Plain) Close() error {
	p.done.Store(true)
	p.SetSender(nil)
	p.way.close()
	return p.sock.close()
}

// PlainStatus is a plain port for "port show".
type PlainStatus struct {
	Peer    netip.Addr `json:"peer"`
	Local   netip.Addr `json:"local"`           // the address in use; invalid ("") when there was no route yet
	PathMTU int        `json:"path_mtu"`        // largest outer IP packet, bytes
	Error   string     `json:"error,omitempty"` // why there is no way to the peer now
	Status
}

// Status tells how the port is doing. It may be called at any time.
func (p *Plain) Status() PlainStatus {
	way := p.path.Load()
	s := PlainStatus{Peer: p.cfg.Peer, Local: way.local, PathMTU: way.mtu, Status: p.Port.Status()}
	if way.err != nil {
		s.Error = way.err.Error()
	}
	if n := p.sock.overflows(); n > 0 {
		s.Drops[SocketFull] = n
	}
	return s
}

// reasonOf sorts the errors of sending.
func reasonOf(err error) Reason {
	switch err {
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		return SendQueue
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EADDRNOTAVAIL, unix.EHOSTDOWN, unix.ENODEV, unix.ECONNREFUSED, unix.EINVAL:
		return Unreachable
	case unix.EPERM, unix.EACCES:
		return Refused
	case unix.EMSGSIZE:
		return Oversize
	}
	return SendError
}
