package ipsec

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"vhub/internal/packet"
	"vhub/ipsec/esp"
)

// Tunnel carries payloads to and from one peer identity, or one road warrior. It
// lives as long as it is configured (a road warrior's as long as its session);
// sessions and SAs come and go under it. It is a Sender for the ports.
type Tunnel struct {
	engine   *Engine
	name     string
	proto    uint8                   // IP protocol inside ESP
	port     uint16                  // our UDP port inside ESP when proto is UDP
	alg      *Algorithms             // of the configuration
	active   atomic.Pointer[session] // what Send uses; nil: down
	readers  []Receiver              // one of each reading goroutine, made when first needed
	receiver func() Receiver
	onEvent  func(Event)
	multi    bool          // several sessions at once, chosen by probes
	epoch    atomic.Uint64 // of the newest switch of paths

	// The loop's.
	peer       *peerState // nil for a road warrior
	road       *roadState
	session    *session // a road warrior's only one
	closedBy   func(reason string)
	up         bool
	downAt     time.Time // while without a session: when it counts as down
	downReason string
	lastRemote netip.AddrPort

	drops dropCounters
	done  doneCounters // of SAs that are gone
}

// Name is the configured name; of a road warrior the port's.
func (t *Tunnel) Name() string { return t.name }

// Send seals payloads in place and sends them, in order. It returns how many were
// taken, a prefix; the rest found no SA, or no room in the socket, and is counted.
// It never waits and may be called by several goroutines at once. The packets'
// bytes are overwritten; the buffers are the caller's again when it returns.
//
// The way of a packet out: 1 the active session's SA; 2 the UDP header of a road
// warrior; 3 sealed in place; 4 handed to the socket, equal sizes together.
func (t *Tunnel) Send(packets []packet.Packet) int {
	s := t.active.Load()
	if s == nil {
		t.drops.noSA.Add(uint64(len(packets)))
		return 0
	}
	out := s.out.Load()
	if out == nil {
		t.drops.noSA.Add(uint64(len(packets)))
		return 0
	}
	if t.proto == esp.ProtoUDP {
		for i := range packets {
			t.udpHeader(&packets[i], out)
		}
	}
	if out.strict {
		out.order.Lock()
		defer out.order.Unlock()
	}
	n, err := t.engine.seal(out, packets, t.proto)
	if err != nil {
		t.drops.seal.Add(uint64(len(packets) - n))
		t.engine.note(note{kind: noteRekey, spi: out.child.In.SPI})
	}
	return t.transmit(out, packets[:n])
}

// transmit sends sealed packets.
func (t *Tunnel) transmit(out *outbound, packets []packet.Packet) int {
	n, err := out.sock.Send(out.remote(), out.session.local.Addr(), out.session.ifindex, packets)
	if err != nil {
		t.drops.send.Add(uint64(len(packets) - n))
		failed := err // err itself must not escape: that would be an allocation a call
		t.drops.lastError.Store(&failed)
	}
	return n
}

// udpHeader puts the header of L2TP's UDP before the payload. The checksum is 0
// over IPv4, where ESP's ICV is stronger and a translator may have changed the
// addresses (RFC 3948 3.1.2); IPv6 needs one (RFC 8200 8.1).
func (t *Tunnel) udpHeader(p *packet.Packet, out *outbound) {
	size := p.End - p.Off + 8
	h := p.Prepend(8)
	binary.BigEndian.PutUint16(h, t.port)
	binary.BigEndian.PutUint16(h[2:], uint16(out.session.udpPort.Load()))
	binary.BigEndian.PutUint16(h[4:], uint16(size))
	binary.BigEndian.PutUint16(h[6:], 0)
	src, dst := out.session.local.Addr(), out.session.remote.Load().Addr()
	if out.child.Mode == esp.Tunnel {
		src, dst = innerAddr(out.child.LocalSelector, src), innerAddr(out.child.RemoteSelector, dst)
	}
	if src.Is6() {
		binary.BigEndian.PutUint16(h[6:], udpSum(src, dst, p.Payload()))
	}
}

// udpSum is the UDP checksum over IPv6 of a datagram whose field is 0.
func udpSum(src, dst netip.Addr, datagram []byte) uint16 {
	s, d := src.As16(), dst.As16()
	sum := sumWords(0, s[:])
	sum = sumWords(sum, d[:])
	sum += uint32(len(datagram)) + esp.ProtoUDP
	sum = sumWords(sum, datagram)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum == 0xffff {
		return 0xffff // 0 means no checksum
	}
	return ^uint16(sum)
}

func sumWords(sum uint32, b []byte) uint32 {
	for len(b) >= 2 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// fallbackMTU is assumed while no path is known: the smallest that IPv6 allows.
const fallbackMTU = 1280

// PathMTU is the largest payload in bytes that crosses without outer fragments,
// now. While the tunnel is down it is what the costliest common suite would leave
// of 1280 bytes.
func (t *Tunnel) PathMTU() int {
	under := 0
	if t.proto == esp.ProtoUDP {
		under = 8
	}
	if s := t.active.Load(); s != nil {
		if out := s.out.Load(); out != nil {
			return out.maxPayload() - under
		}
	}
	worst := esp.Suite{Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACSHA256}
	return worst.MaxPayload(fallbackMTU, esp.Outer{UDP: true}, esp.Transport, false) - under
}
