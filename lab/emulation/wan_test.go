package emulation

import (
	"bytes"
	"net"
	"net/netip"
	"sync"

	"vhub/internal/packet"
	"vhub/ipsec"
)

// wan is the way between one client and the server: a translator that gives each of the client's
// ports another one, and passes UDP only. It is the engine's Network.
type wan struct {
	client, public, server netip.Addr

	mu      sync.Mutex
	outside map[uint16]uint16 // the client's port -> the translator's
	sockets map[uint16]*socket
	inbox   []parcel // for the client
}

// parcel is a datagram as the client meets it: which of its ports it is for.
type parcel struct {
	port uint16
	data []byte
}

func newWAN(client string) *wan {
	return &wan{client: netip.MustParseAddr(client), public: netip.MustParseAddr("203.0.113.9"), server: netip.MustParseAddr("198.51.100.1"),
		outside: map[uint16]uint16{}, sockets: map[uint16]*socket{}}
}

// send takes a datagram of the client to the server's port of the same number.
func (w *wan) send(port uint16, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.outside[port] == 0 {
		w.outside[port] = 40001 + uint16(len(w.outside))
	}
	if s := w.sockets[port]; s != nil {
		s.queue <- ipsec.Datagram{Data: bytes.Clone(data), Remote: netip.AddrPortFrom(w.public, w.outside[port]), Local: w.server}
	}
}

// arrived takes what has come for the client.
func (w *wan) arrived() []parcel {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.inbox
	w.inbox = nil
	return list
}

// socket is one of the server's.
type socket struct {
	w      *wan
	queue  chan ipsec.Datagram
	closed chan struct{}
	once   sync.Once
}

func (w *wan) Listen(kind ipsec.Kind, local netip.AddrPort, _ int, _ bool) ([]ipsec.Socket, error) {
	if local.Addr().Is6() {
		return nil, ipsec.ErrNoFamily
	}
	s := &socket{w: w, queue: make(chan ipsec.Datagram, 256), closed: make(chan struct{})}
	if kind != ipsec.Raw { // of which nothing comes through the translator
		w.sockets[local.Port()] = s
	}
	return []ipsec.Socket{s}, nil
}

func (w *wan) Source(netip.Addr, netip.Addr, int) (netip.Addr, int, error) {
	return w.server, 1500, nil
}

func (w *wan) Uplink(string, netip.Addr) (netip.Addr, int, error) { return w.server, 0, nil }
func (w *wan) Resolve(string) ([]netip.Addr, error)               { return nil, nil }
func (w *wan) Warnings() []string                                 { return nil }

func (s *socket) Read(in []ipsec.Datagram) (int, error) {
	select {
	case in[0] = <-s.queue:
		return 1, nil
	case <-s.closed:
		return 0, net.ErrClosed
	}
}

// Send translates back; what has no mapping is lost.
func (s *socket) Send(to netip.AddrPort, _ netip.Addr, _ int, packets []packet.Packet) (int, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for inside, outside := range s.w.outside {
		if to == netip.AddrPortFrom(s.w.public, outside) {
			for i := range packets {
				s.w.inbox = append(s.w.inbox, parcel{inside, bytes.Clone(packets[i].Payload())})
			}
		}
	}
	return len(packets), nil
}

func (s *socket) Offload() (bool, bool) { return false, false }

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
