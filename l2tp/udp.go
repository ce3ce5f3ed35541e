package l2tp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"vhub/internal/packet"
)

// UDP carries L2TP without IPsec, for labs and for networks that are encrypted
// below. A peer is an address with a port, since there is nothing better:
// anybody on the way can read, forge and take over.
//
//	socket (UDP 1701, every address) -> by remote address and port -> Peer of the Server
type UDP struct {
	s    *Server
	log  *slog.Logger
	conn *net.UDPConn

	mu    sync.Mutex
	peers map[netip.AddrPort]*udpPeer
	fresh int // peers made in this sweep

	Counters UDPCounters
}

// UDPCounters count packets that made no peer.
type UDPCounters struct {
	NoPeer    atomic.Uint64 // neither of a peer nor the beginning of one
	TooMany   atomic.Uint64 // beginnings beyond the limits
	SendError atomic.Uint64 // the system could not send it
}

// Limits of peers without IPsec: a beginning costs its sender nothing.
const (
	maxUDPPeers  = 20_000
	udpSweep     = 5 * time.Second
	freshPerTurn = 2500            // beginnings in one sweep
	udpQuiet     = 2 * time.Minute // longer than hellos and their repetitions take
)

// maxUDPPacket is the longest message: a PPP packet of 1500 bytes with its headers.
const maxUDPPacket = 2048

// udpPeer is one peer as a Carrier.
type udpPeer struct {
	u      *UDP
	remote netip.AddrPort
	from   []byte // control message that has answers leave from the address the peer knows
	peer   *Peer
	recv   func(time.Time, [][]byte)
	heard  time.Time
}

// ListenUDP opens the port on every address; Run serves it. The error names the
// port.
func ListenUDP(s *Server, port uint16, log *slog.Logger) (*UDP, error) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: int(port)})
	if err != nil {
		return nil, fmt.Errorf("l2tp: UDP port %d: %w", port, errors.Unwrap(err))
	}
	// Answers must come from the address that was asked, and large packets may be
	// fragmented: there is no encryption whose overhead the path would not know.
	err = ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	if err == nil {
		err = noDF(conn)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("l2tp: UDP port %d: %w", port, err)
	}
	_ = conn.SetReadBuffer(4 << 20) // what the system allows of it
	return &UDP{s: s, log: log, conn: conn, peers: map[netip.AddrPort]*udpPeer{}}, nil
}

func noDF(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT))
	})
	return errors.Join(err, set)
}

// Run serves until ctx ends or the socket fails. It closes the socket.
func (u *UDP) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { u.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	defer u.conn.Close()
	next := time.Now().Add(udpSweep)
	b, oob := make([]byte, maxUDPPacket), make([]byte, 128)
	for {
		now := time.Now()
		if now.After(next) {
			u.sweep(now)
			next = now.Add(udpSweep)
		}
		if ctx.Err() != nil {
			return nil
		}
		u.conn.SetReadDeadline(next)
		n, on, _, remote, err := u.conn.ReadMsgUDPAddrPort(b, oob)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.ECONNREFUSED) || isTimeout(err):
			continue
		case err != nil:
			return fmt.Errorf("l2tp: %w", err)
		}
		now = time.Now()
		if p := u.peer(now, remote, b[:n], oob[:on]); p != nil {
			p.recv(now, [][]byte{b[:n]})
		}
	}
}

// Close closes the socket of what never ran.
func (u *UDP) Close() { u.conn.Close() }

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// peer finds the peer of a packet, or begins one with what may begin a tunnel.
func (u *UDP) peer(now time.Time, remote netip.AddrPort, b, oob []byte) *udpPeer {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.peers[remote]; p != nil {
		p.heard = now
		return p
	}
	h, body, err := ParseHeader(b)
	if err != nil || !h.Control || h.Tunnel != 0 || len(body) == 0 {
		u.Counters.NoPeer.Add(1)
		return nil
	}
	if len(u.peers) >= maxUDPPeers || u.fresh >= freshPerTurn {
		u.Counters.TooMany.Add(1)
		return nil
	}
	u.fresh++
	p := &udpPeer{u: u, remote: remote, from: answerFrom(oob), heard: now}
	p.peer = u.s.Accept(p)
	p.recv = p.peer.NewReceiver()
	u.peers[remote] = p
	return p
}

// answerFrom is the control message for what is sent to a peer.
func answerFrom(oob []byte) []byte {
	var cm ipv6.ControlMessage
	if cm.Parse(oob) != nil || cm.Dst == nil {
		return nil
	}
	out := ipv6.ControlMessage{Src: cm.Dst}
	if cm.Dst.IsLinkLocalUnicast() {
		out.IfIndex = cm.IfIndex
	}
	return out.Marshal()
}

// sweep forgets peers that are silent.
func (u *UDP) sweep(now time.Time) {
	u.mu.Lock()
	var quiet []*udpPeer
	for remote, p := range u.peers {
		if now.Sub(p.heard) > udpQuiet {
			quiet = append(quiet, p)
			delete(u.peers, remote)
		}
	}
	u.fresh = 0
	u.mu.Unlock()
	for _, p := range quiet {
		u.s.Closed(p.peer, "peer silent")
	}
}

// Send sends payloads.
func (p *udpPeer) Send(packets []packet.Packet) int {
	for i := range packets {
		if _, _, err := p.u.conn.WriteMsgUDPAddrPort(packets[i].Payload(), p.from, p.remote); err != nil {
			p.u.Counters.SendError.Add(1)
			if errors.Is(err, net.ErrClosed) {
				return i
			}
		}
	}
	return len(packets)
}

// PathMTU is what an Ethernet path carries whole.
func (p *udpPeer) PathMTU() int {
	if p.remote.Addr().Unmap().Is4() {
		return 1500 - 20 - 8
	}
	return 1500 - 40 - 8
}

// Remote is the peer's address.
func (p *udpPeer) Remote() netip.AddrPort {
	return netip.AddrPortFrom(p.remote.Addr().Unmap(), p.remote.Port())
}

// Close forgets the peer.
func (p *udpPeer) Close() {
	p.u.mu.Lock()
	delete(p.u.peers, p.remote)
	p.u.mu.Unlock()
	p.u.s.Closed(p.peer, "closed")
}
