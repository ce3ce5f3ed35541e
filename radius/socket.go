package radius

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	layeh "layeh.com/radius"
)

// identifiers is how many requests one socket can have under way.
const identifiers = 256

// socket is one port of one server and the requests under way to it. Its
// connection is opened at the first request, and anew after silence: the
// server's name may have another address by then.
type socket struct {
	address string
	cfg     *Config
	log     *slog.Logger
	free    chan byte // identifiers, the one that rested longest first

	mu      sync.Mutex
	conn    net.Conn
	pending [identifiers]*waiting
	closed  bool
	dead    time.Time // until then the server is asked last
	silent  bool      // the last request was not answered; for the log
	noise   time.Time // when a reply that does not count was logged last
	count   SocketStatus
}

// waiting is a request under way.
type waiting struct {
	wire    []byte
	reply   chan *layeh.Packet // room for one
	refused chan struct{}      // room for one: nobody listens there
}

// SocketStatus is one port of one server.
type SocketStatus struct {
	Server    string    `json:"server"` // host and port
	DeadUntil time.Time `json:"dead_until,omitzero"`
	Requests  uint64    `json:"requests"` // without repetitions
	Repeated  uint64    `json:"repeated"`
	Answered  uint64    `json:"answered"`
	Silent    uint64    `json:"silent"`     // requests given up
	BadReply  uint64    `json:"bad_reply"`  // dropped: malformed, forged, without Message-Authenticator
	Unknown   uint64    `json:"unknown"`    // dropped: nobody waits for the identifier
	SendError string    `json:"send_error"` // the last
}

var (
	errSilent  = errors.New("no answer")
	errRefused = errors.New("nothing listens there")
)

func newSocket(address string, cfg *Config) *socket {
	s := &socket{address: address, cfg: cfg, log: cfg.Log.With("server", address), free: make(chan byte, identifiers)}
	for i := range identifiers {
		s.free <- byte(i)
	}
	return s
}

// exchange sends a request until it is answered, and gives up after the
// configured number of tries. seal fills in a packet that has its identifier
// and authenticator, and encodes it. giveUpEarly does not wait for a server
// whose host says that nothing listens.
func (s *socket) exchange(ctx context.Context, code layeh.Code, giveUpEarly bool, seal func(*layeh.Packet) ([]byte, error)) (*layeh.Packet, error) {
	var id byte
	select {
	case id = <-s.free:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %d requests are under way", errSilent, identifiers)
	}
	defer func() { s.free <- id }()
	p := &layeh.Packet{Code: code, Identifier: id, Secret: s.cfg.Secret}
	rand.Read(p.Authenticator[:])
	wire, err := seal(p)
	if err != nil {
		return nil, err
	}
	w := &waiting{wire: wire, reply: make(chan *layeh.Packet, 1), refused: make(chan struct{}, 1)}
	s.wait(id, w)
	defer s.wait(id, nil)
	for try := range s.cfg.Retries + 1 {
		p, err := s.try(ctx, w, try, giveUpEarly)
		if err != errSilent || ctx.Err() != nil {
			return p, err
		}
	}
	return nil, errSilent
}

// try sends once and waits once.
func (s *socket) try(ctx context.Context, w *waiting, try int, giveUpEarly bool) (*layeh.Packet, error) {
	if err := s.send(ctx, w.wire, try > 0); err != nil && (giveUpEarly || errors.Is(err, net.ErrClosed)) {
		return nil, err
	}
	refused := w.refused
	if !giveUpEarly {
		refused = nil
	}
	timer := time.NewTimer(s.cfg.Timeout)
	defer timer.Stop()
	select {
	case p := <-w.reply:
		return p, nil
	case <-refused:
		return nil, errRefused
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, errSilent
}

func (s *socket) wait(id byte, w *waiting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[id] = w
}

// send opens the connection where there is none.
func (s *socket) send(ctx context.Context, wire []byte, again bool) error {
	s.mu.Lock()
	c, closed := s.conn, s.closed
	if again {
		s.count.Repeated++
	} else {
		s.count.Requests++
	}
	s.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	var err error
	if c == nil {
		c, err = s.open(ctx)
	}
	if err == nil {
		_, err = c.Write(wire)
		if errors.Is(err, syscall.ECONNREFUSED) { // of an earlier packet
			_, err = c.Write(wire)
		}
	}
	if errors.Is(err, net.ErrClosed) && !s.isClosed() { // another request found the server silent
		if c, err = s.open(ctx); err == nil {
			_, err = c.Write(wire)
		}
	}
	if err != nil {
		s.mu.Lock()
		s.count.SendError = err.Error()
		s.mu.Unlock()
	}
	return err
}

func (s *socket) open(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	local := s.cfg.Local
	if a, err := netip.ParseAddr(s.address); err == nil && local.IsValid() && a.Is4() != local.Is4() {
		local = netip.Addr{}
	}
	c, err := s.cfg.Dial(ctx, local, s.address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		c.Close()
		return nil, net.ErrClosed
	case s.conn != nil: // another was faster
		c.Close()
		return s.conn, nil
	}
	s.conn = c
	go s.read(c)
	return c, nil
}

// read takes replies until the connection is closed.
func (s *socket) read(c net.Conn) {
	buf := make([]byte, layeh.MaxPacketLength)
	for {
		n, err := c.Read(buf)
		switch {
		case err == nil:
			s.receive(buf[:n])
		case errors.Is(err, syscall.ECONNREFUSED):
			s.refuse()
		default:
			s.drop(c)
			return
		}
	}
}

// receive gives a reply to who waits for it, or drops it.
func (s *socket) receive(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b) < headerLen {
		s.bad(errMalformed)
		return
	}
	w := s.pending[b[1]]
	if w == nil {
		s.count.Unknown++
		return
	}
	p, err := openReply(b, w.wire, s.cfg.Secret)
	if err != nil {
		s.bad(err)
		return
	}
	select {
	case w.reply <- p:
	default: // a second answer, to a repetition
	}
}

// bad counts a reply that does not count, and tells once a minute.
func (s *socket) bad(err error) {
	s.count.BadReply++
	if now := time.Now(); now.Sub(s.noise) > time.Minute {
		s.noise = now
		s.log.Warn("radius: dropped a reply", "reason", err)
	}
}

// refuse tells all who wait that nothing listens.
func (s *socket) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.pending {
		if w != nil {
			select {
			case w.refused <- struct{}{}:
			default:
			}
		}
	}
}

// drop forgets a connection.
func (s *socket) drop(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Close()
	if s.conn == c {
		s.conn = nil
	}
}

func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func (s *socket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// answered and gaveUp keep the server's health.
func (s *socket) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Answered++
	s.dead = time.Time{}
	if s.silent {
		s.silent = false
		s.log.Info("radius: the server answers again")
	}
}

func (s *socket) gaveUp(now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Silent++
	s.dead = now.Add(s.cfg.DeadTime)
	if !s.silent {
		s.silent = true
		s.log.Warn("radius: the server does not answer", "reason", err, "asked_last_for", s.cfg.DeadTime)
	}
	for _, w := range s.pending {
		if w != nil {
			return // others still wait at the connection
		}
	}
	if s.conn != nil {
		s.conn.Close() // the name is looked up anew
		s.conn = nil
	}
}

// deadUntil is zero for a server in good standing.
func (s *socket) deadUntil(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.dead) {
		return s.dead
	}
	return time.Time{}
}

func (s *socket) status(now time.Time) SocketStatus {
	dead := s.deadUntil(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.count
	st.Server, st.DeadUntil = s.address, dead
	return st
}
