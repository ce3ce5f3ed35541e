package ipsec

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"vhub/internal/packet"
)

// world is a network in memory: hosts, address translators, and wires that take
// time and may lose. It uses timers only, so it lives in a synctest bubble.
type world struct {
	mu    sync.Mutex
	hosts map[netip.Addr]*fakeHost
	nats  map[netip.Addr]*fakeNAT // by public address
	rand  *rand.Rand
	delay time.Duration
	// lose decides about each packet; nil loses none. Called with mu held.
	lose   func(from, to netip.AddrPort, data []byte) bool
	sent   int
	flight []flying // in order of sending; the delay is the same for all
}

type flying struct {
	kind     Kind
	src, dst netip.AddrPort
	data     []byte
}

func newWorld(seed uint64) *world {
	return &world{hosts: map[netip.Addr]*fakeHost{}, nats: map[netip.Addr]*fakeNAT{},
		rand: rand.New(rand.NewPCG(seed, 7)), delay: 5 * time.Millisecond}
}

// fakeHost is one machine's Network.
type fakeHost struct {
	w       *world
	addrs   []netip.Addr
	uplinks map[string]netip.Addr
	nat     *fakeNAT // in front of it, or nil
	mtu     int
	socks   map[Kind]*fakeSocket
}

// host makes a machine; the first address is the one its routes use.
func (w *world) host(addrs ...string) *fakeHost {
	h := &fakeHost{w: w, mtu: 1500, socks: map[Kind]*fakeSocket{}, uplinks: map[string]netip.Addr{}}
	for _, a := range addrs {
		h.add(a)
	}
	return h
}

func (h *fakeHost) add(addr string) {
	a := netip.MustParseAddr(addr)
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.addrs = append(h.addrs, a)
	if h.nat == nil {
		h.w.hosts[a] = h
	}
}

// renumber gives the host another only address, as a line that was redialled.
func (h *fakeHost) renumber(addr string) {
	h.w.mu.Lock()
	for _, a := range h.addrs {
		delete(h.w.hosts, a)
	}
	h.addrs = nil
	h.w.mu.Unlock()
	h.add(addr)
}

// fakeNAT gives each inside (address, port) a port of its own and passes no ESP.
type fakeNAT struct {
	w      *world
	public netip.Addr
	out    map[string]uint16 // inside host and endpoint -> port
	in     map[uint16]inside
}

type inside struct {
	host *fakeHost
	at   netip.AddrPort
}

func (w *world) newNAT(public string) *fakeNAT {
	n := &fakeNAT{w: w, public: netip.MustParseAddr(public), out: map[string]uint16{}, in: map[uint16]inside{}}
	w.nats[n.public] = n
	return n
}

// behind makes a machine behind the translator. Several may have one address.
func (n *fakeNAT) behind(addr string) *fakeHost {
	h := n.w.host()
	h.nat = n
	h.add(addr)
	return h
}

// rebind forgets all mappings: the next packets come from other ports.
func (n *fakeNAT) rebind() {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.out, n.in = map[string]uint16{}, map[uint16]inside{}
}

// outside is the translated source. mu is held.
func (n *fakeNAT) outside(h *fakeHost, src netip.AddrPort) netip.AddrPort {
	key := fmt.Sprintf("%p %s", h, src)
	port, ok := n.out[key]
	for !ok {
		port = uint16(20000 + n.w.rand.IntN(40000))
		if _, taken := n.in[port]; !taken {
			n.out[key], n.in[port], ok = port, inside{h, src}, true
		}
	}
	return netip.AddrPortFrom(n.public, port)
}

type fakeSocket struct {
	host   *fakeHost
	kind   Kind
	port   uint16
	queue  chan Datagram
	closed chan struct{}
	once   sync.Once
}

func (h *fakeHost) Listen(kind Kind, local netip.AddrPort, _ int, _ bool) ([]Socket, error) {
	if local.Addr().Is6() {
		return nil, ErrNoFamily
	}
	s := &fakeSocket{host: h, kind: kind, port: local.Port(), queue: make(chan Datagram, 1024), closed: make(chan struct{})}
	h.w.mu.Lock()
	h.socks[kind] = s
	h.w.mu.Unlock()
	return []Socket{s}, nil
}

func (h *fakeHost) Source(remote, from netip.Addr, _ int) (netip.Addr, int, error) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if from.IsValid() {
		for _, a := range h.addrs {
			if a == from {
				return a, h.mtu, nil
			}
		}
		return netip.Addr{}, 0, fmt.Errorf("%s is not an address of this machine", from)
	}
	if len(h.addrs) == 0 {
		return netip.Addr{}, 0, errors.New("no route")
	}
	return h.addrs[0], h.mtu, nil
}

func (h *fakeHost) Uplink(name string, _ netip.Addr) (netip.Addr, int, error) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if a, ok := h.uplinks[name]; ok {
		return a, 0, nil
	}
	return netip.Addr{}, 0, fmt.Errorf("uplink %q is no interface", name)
}

func (h *fakeHost) Resolve(host string) ([]netip.Addr, error) {
	a, err := netip.ParseAddr(host)
	return []netip.Addr{a}, err
}

func (h *fakeHost) Warnings() []string { return nil }

func (s *fakeSocket) Read(in []Datagram) (int, error) {
	select {
	case d := <-s.queue:
		in[0] = d
		return 1, nil
	case <-s.closed:
		return 0, net.ErrClosed
	}
}

func (s *fakeSocket) Send(to netip.AddrPort, from netip.Addr, _ int, packets []packet.Packet) (int, error) {
	for i := range packets {
		s.host.w.carry(s, netip.AddrPortFrom(from, s.port), to, bytes.Clone(packets[i].Payload()))
	}
	return len(packets), nil
}

func (s *fakeSocket) Offload() (bool, bool) { return false, false }

func (s *fakeSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// carry takes a packet to where it is addressed, translated on the way.
func (w *world) carry(s *fakeSocket, src, dst netip.AddrPort, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	if w.lose != nil && w.lose(src, dst, data) {
		return
	}
	if !s.host.has(src.Addr()) {
		return // an address that the host has no more
	}
	if s.host.nat != nil {
		if s.kind == Raw {
			return
		}
		src = s.host.nat.outside(s.host, src)
	}
	w.flight = append(w.flight, flying{s.kind, src, dst, data})
	time.AfterFunc(w.delay, w.arrive)
}

func (h *fakeHost) has(a netip.Addr) bool {
	for _, have := range h.addrs {
		if have == a {
			return true
		}
	}
	return false
}

// arrive delivers the packet that has been on its way the longest.
func (w *world) arrive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.flight[0]
	w.flight = w.flight[1:]
	h := w.hosts[f.dst.Addr()]
	if n := w.nats[f.dst.Addr()]; n != nil {
		to, ok := n.in[f.dst.Port()]
		if !ok {
			return
		}
		h, f.dst = to.host, to.at
	}
	if h == nil {
		return
	}
	for _, s := range h.socks {
		if f.kind == Raw && s.kind == Raw || f.kind != Raw && s.kind != Raw && s.port == f.dst.Port() {
			select {
			case s.queue <- Datagram{Data: f.data, Remote: f.src, Local: f.dst.Addr()}:
			default: // its buffer is full
			}
		}
	}
}
