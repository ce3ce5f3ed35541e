package radius

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

// network is datagrams between clients and servers in memory, so that tests
// run in a synctest bubble.
type network struct {
	mu      sync.Mutex
	servers map[string]*listener
	clients int
}

func (n *network) dial(_ context.Context, _ netip.Addr, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clients++
	return &client{net: n, to: address, me: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(n.clients)), in: make(chan []byte, 64), gone: make(chan struct{})}, nil
}

func (n *network) listen(address string) *listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{net: n, address: address, in: make(chan packet, 64), gone: make(chan struct{})}
	n.servers[address] = l
	return l
}

type packet struct {
	b    []byte
	from *client
}

// client is a connected socket.
type client struct {
	net.Conn
	net  *network
	to   string
	me   netip.AddrPort
	in   chan []byte // nil: nobody listens there
	gone chan struct{}
	once sync.Once
}

func (c *client) Write(b []byte) (int, error) {
	select {
	case <-c.gone:
		return 0, net.ErrClosed
	default:
	}
	c.net.mu.Lock()
	l := c.net.servers[c.to]
	c.net.mu.Unlock()
	if l == nil {
		c.in <- nil
		return len(b), nil
	}
	l.in <- packet{append([]byte(nil), b...), c}
	return len(b), nil
}

func (c *client) Read(b []byte) (int, error) {
	select {
	case p := <-c.in:
		if p == nil {
			return 0, &net.OpError{Op: "read", Err: syscall.ECONNREFUSED}
		}
		return copy(b, p), nil
	case <-c.gone:
		return 0, net.ErrClosed
	}
}

func (c *client) Close() error { c.once.Do(func() { close(c.gone) }); return nil }

func (c *client) Network() string { return "udp" }
func (c *client) String() string  { return c.me.String() }

// listener is a server's socket, as layeh's PacketServer wants it.
type listener struct {
	net.PacketConn
	net     *network
	address string
	in      chan packet
	gone    chan struct{}
	once    sync.Once
}

func (l *listener) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-l.in:
		return copy(b, p.b), p.from, nil
	case <-l.gone:
		return 0, nil, &net.OpError{Op: "read", Err: net.ErrClosed}
	}
}

func (l *listener) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case to.(*client).in <- append([]byte{}, b...):
	default:
	}
	return len(b), nil
}

func (l *listener) LocalAddr() net.Addr { return &net.UDPAddr{} }

func (l *listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.servers, l.address)
		l.net.mu.Unlock()
		close(l.gone)
	})
	return nil
}

const testSecret = "the shared secret"

// reply is an answer, with a good Message-Authenticator unless told otherwise.
type reply struct {
	code   layeh.Code
	fill   func(p *layeh.Packet)
	noMA   bool
	badMA  bool
	secret string // of the forger, "" the right one
}

// wire is the reply as bytes.
func (a reply) wire(request *layeh.Packet) []byte {
	secret := []byte(testSecret)
	if a.secret != "" {
		secret = []byte(a.secret)
	}
	p := request.Response(a.code)
	p.Secret = secret
	if !a.noMA {
		p.Add(rfc2869.MessageAuthenticator_Type, make(layeh.Attribute, 16))
	}
	if a.fill != nil {
		a.fill(p)
	}
	b, err := p.MarshalBinary() // the request's authenticator is in it
	if err != nil {
		panic(err)
	}
	if !a.noMA {
		h := hmac.New(md5.New, secret)
		h.Write(b)
		h.Sum(b[22:22])
		if a.badMA {
			b[22] ^= 1
		}
	}
	h := md5.New()
	h.Write(b)
	h.Write(secret)
	h.Sum(b[4:4])
	return b
}

// server runs a fake server. answer says what is sent for a request, in order.
func (n *network) server(t *testing.T, address string, answer func(*layeh.Request) [][]byte) *layeh.PacketServer {
	l := n.listen(address)
	s := &layeh.PacketServer{SecretSource: layeh.StaticSecretSource([]byte(testSecret))}
	s.Handler = layeh.HandlerFunc(func(_ layeh.ResponseWriter, r *layeh.Request) {
		for _, b := range answer(r) {
			l.WriteTo(b, r.RemoteAddr)
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); err != nil && !errors.Is(err, layeh.ErrServerShutdown) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { s.Shutdown(context.Background()); <-done })
	return s
}

func accept(fill func(*layeh.Packet)) func(*layeh.Request) [][]byte {
	return func(r *layeh.Request) [][]byte {
		return [][]byte{reply{code: layeh.CodeAccessAccept, fill: fill}.wire(r.Packet)}
	}
}

func newNetwork() *network { return &network{servers: map[string]*listener{}} }

func (n *network) client(t *testing.T, change func(*Config), hosts ...string) *Client {
	t.Helper()
	cfg := Config{Secret: []byte(testSecret), Timeout: time.Second, Retries: 1, DeadTime: time.Minute, NASIdentifier: "nas", Dial: n.dial}
	for _, h := range hosts {
		cfg.Servers = append(cfg.Servers, Server{Host: h})
	}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func papRequest() Request {
	return Request{User: "alice", Method: PAP, Password: []byte("secret"), Session: Session{ID: "x-1", Port: "road/1",
		Calling: netip.MustParseAddr("203.0.113.9"), Called: "default/road", Host: "alices-pc"}}
}

// requestIsSealed checks a request as a server that demands the
// Message-Authenticator does: the first attribute, and right.
func requestIsSealed(r *layeh.Request) bool {
	b, err := r.Packet.MarshalBinary()
	if err != nil || len(b) < 38 || b[20] != byte(rfc2869.MessageAuthenticator_Type) || b[21] != 18 || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return false
	}
	was := append([]byte(nil), b[22:38]...)
	clear(b[22:38])
	h := hmac.New(md5.New, []byte(testSecret))
	h.Write(b)
	return hmac.Equal(h.Sum(nil), was) && rfc2865.UserName_GetString(r.Packet) == "alice"
}
