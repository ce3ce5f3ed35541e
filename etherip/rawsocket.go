package etherip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/packet"
)

const (
	recvBatch  = 64
	sendBatch  = 64
	recvSize   = 60 + HeaderLen + eth.MaxPlainLen + 2 // longest IPv4 header; a longer packet is seen to be too long
	sockBuffer = 7 << 20                              // what other tunnels in user space take; the kernel doubles it
)

// rawSocket is a raw IP socket for protocol 97 that takes packets from one peer
// only: a filter in the kernel (classic BPF) sees to it. It is not connected,
// so that it outlives routes and local addresses.
type rawSocket struct {
	v4     bool
	file   *os.File
	conn   syscall.RawConn
	count  *counters
	tooBig func() // called when the kernel said that a packet is larger than the path

	to      []byte // sockaddr of the peer
	senders sync.Pool

	// One goroutine receives.
	hdrs     []mmsghdr
	bufs     []byte
	payloads [][]byte
	recvFn   func(fd uintptr) bool
	got      int
	gotErr   error
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [unsafe.Sizeof(uintptr(0)) - 4]byte
}

func openRaw(peer, local netip.Addr, df bool, count *counters) (*rawSocket, error) {
	s := &rawSocket{v4: peer.Is4(), count: count, tooBig: func() {}}
	var err error
	if s.to, err = sockaddr(peer); err != nil {
		return nil, err
	}
	family := unix.AF_INET6
	if s.v4 {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, Protocol)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("raw socket for EtherIP: needs root or CAP_NET_RAW")
	} else if err != nil {
		return nil, fmt.Errorf("raw socket for EtherIP: %w", err)
	}
	if err := s.setUp(fd, peer, local, df); err != nil {
		unix.Close(fd)
		return nil, err
	}
	s.file = os.NewFile(uintptr(fd), "etherip")
	if s.conn, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, err
	}
	s.senders.New = func() any { return newSendCall(s) }
	s.makeBuffers()
	return s, nil
}

func (s *rawSocket) setUp(fd int, peer, local netip.Addr, df bool) error {
	if err := onlyFrom(fd, peer); err != nil {
		return fmt.Errorf("filter on the peer's address: %w", err)
	}
	// What came between socket and filter may be from anyone.
	for b := make([]byte, 1); ; {
		if _, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT|unix.MSG_TRUNC); err != nil && err != unix.EINTR {
			break
		}
	}
	if local.IsValid() {
		if err := bindTo(fd, local); err != nil {
			return fmt.Errorf("local address %s: %w (is it an address of this machine?)", local, err)
		}
	}
	// DONT: the kernel fragments what is larger than the path, and routers may
	// (DF is 0). DO: DF is 1 and the kernel refuses what is larger.
	level, opt, mode := unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT
	if s.v4 {
		level, opt, mode = unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT
	}
	if df {
		mode = unix.IP_PMTUDISC_DO // IPv6 has the same value
	}
	if err := unix.SetsockoptInt(fd, level, opt, mode); err != nil {
		return fmt.Errorf("path MTU discovery mode: %w", err)
	}
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	return nil
}

// setBuffer asks for a large buffer; a smaller one works, too.
func setBuffer(fd, force, polite int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, sockBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, polite, sockBuffer)
	}
}

// onlyFrom attaches a filter that passes packets with the peer's source
// address. Offsets count from the IP header (SKF_NET_OFF).
func onlyFrom(fd int, peer netip.Addr) error {
	const netOff = 0xfff00000 // SKF_NET_OFF
	at, addr := uint32(12), peer.AsSlice()
	if peer.Is6() {
		at = 8
	}
	var prog []unix.SockFilter
	words := len(addr) / 4
	for i := range words {
		left := uint8(2 * (words - i - 1)) // instructions to the accepting return
		prog = append(prog,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: netOff + at + uint32(4*i)},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: left + 1, K: binary.BigEndian.Uint32(addr[4*i:])})
	}
	prog = append(prog,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0})
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
}

func bindTo(fd int, a netip.Addr) error {
	if a.Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: a.As4()})
	}
	zone, err := zoneID(a)
	if err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: a.As16(), ZoneId: zone})
}

// sockaddr builds the raw struct sockaddr_in or sockaddr_in6, port 0.
func sockaddr(a netip.Addr) ([]byte, error) {
	if a.Is4() {
		b := make([]byte, unix.SizeofSockaddrInet4)
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		copy(b[4:], a.AsSlice())
		return b, nil
	}
	zone, err := zoneID(a)
	if err != nil {
		return nil, err
	}
	b := make([]byte, unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	copy(b[8:], a.AsSlice())
	binary.NativeEndian.PutUint32(b[24:], zone)
	return b, nil
}

// zoneID is the interface of a link-local address like fe80::1%eth0.
func zoneID(a netip.Addr) (uint32, error) {
	if a.Zone() == "" {
		return 0, nil
	}
	if ifi, err := net.InterfaceByName(a.Zone()); err == nil {
		return uint32(ifi.Index), nil
	}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(n), nil
	}
	return 0, fmt.Errorf("address %s: no interface %s", a, a.Zone())
}

func (s *rawSocket) close() error { return s.file.Close() }

// interrupt makes receive return.
func (s *rawSocket) interrupt() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }

// overflows returns how many packets were lost because the receive buffer was full.
func (s *rawSocket) overflows() (n uint64) {
	const soMemInfo, skMemInfoDrops = 55, 8
	_ = s.conn.Control(func(fd uintptr) {
		var info [9]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, soMemInfo,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if e == 0 && size == uint32(unsafe.Sizeof(info)) {
			n = uint64(info[skMemInfoDrops])
		}
	})
	return n
}

func (s *rawSocket) makeBuffers() {
	s.hdrs = make([]mmsghdr, recvBatch)
	s.bufs = make([]byte, recvBatch*recvSize)
	s.payloads = make([][]byte, 0, recvBatch)
	iov := make([]unix.Iovec, recvBatch)
	for i := range s.hdrs {
		iov[i].Base = &s.bufs[i*recvSize]
		iov[i].SetLen(recvSize)
		s.hdrs[i].hdr.Iov = &iov[i]
		s.hdrs[i].hdr.SetIovlen(1)
	}
	s.recvFn = s.recvmmsg
}

func (s *rawSocket) recvmmsg(fd uintptr) bool {
	for {
		n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[0])), recvBatch, unix.MSG_DONTWAIT, 0, 0)
		switch e {
		case 0:
			s.got, s.gotErr = int(n), nil
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			s.got, s.gotErr = 0, e
			return true
		}
	}
}

// receive waits for packets and returns their payloads (EtherIP header and
// frame), good until the next call. Errors that pass, such as a network that is
// down, are counted and not returned.
func (s *rawSocket) receive() ([][]byte, error) {
	if err := s.conn.Read(s.recvFn); err != nil {
		return nil, err
	}
	s.payloads = s.payloads[:0]
	if s.gotErr != nil {
		s.count.drop(ReceiveError, 1)
		if s.gotErr == unix.EBADF || s.gotErr == unix.ENOTSOCK {
			return nil, s.gotErr
		}
		return nil, nil // reading it has cleared it
	}
	for i := range s.got {
		h := &s.hdrs[i]
		b := s.bufs[i*recvSize : i*recvSize+int(h.len)]
		if h.hdr.Flags&unix.MSG_TRUNC != 0 {
			s.count.drop(Truncated, 1)
			continue
		}
		if s.v4 { // the kernel has checked the header, and reassembled
			b = b[int(b[0]&15)*4:]
		}
		s.payloads = append(s.payloads, b)
	}
	return s.payloads, nil
}

// sendCall is what one call of send works with.
type sendCall struct {
	s    *rawSocket
	hdrs []mmsghdr
	iov  []unix.Iovec
	fn   func(fd uintptr)
	n    int // messages to send
	done int // messages sent
	err  error
}

func newSendCall(s *rawSocket) *sendCall {
	c := &sendCall{s: s, hdrs: make([]mmsghdr, sendBatch), iov: make([]unix.Iovec, sendBatch)}
	for i := range c.hdrs {
		h := &c.hdrs[i].hdr
		h.Name, h.Namelen = &s.to[0], uint32(len(s.to))
		h.Iov = &c.iov[i]
		h.SetIovlen(1)
	}
	c.fn = c.sendmmsg
	return c
}

func (c *sendCall) sendmmsg(fd uintptr) {
	for {
		n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&c.hdrs[c.done])), uintptr(c.n-c.done), unix.MSG_DONTWAIT, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			c.err = e
			return
		}
		c.done += int(n)
		if c.done == c.n {
			return
		}
	}
}

// send sends packets and returns how many were taken. Packets that the kernel
// refuses for another reason than a full buffer are taken, lost and counted.
func (s *rawSocket) send(packets []packet.Packet) int {
	c := s.senders.Get().(*sendCall)
	taken := 0
	for taken < len(packets) {
		k, more := c.batch(packets[taken:])
		taken += k
		if !more {
			break
		}
	}
	s.senders.Put(c)
	return taken
}

// batch sends up to sendBatch packets. It returns how many were taken, and
// whether to go on.
func (c *sendCall) batch(packets []packet.Packet) (taken int, more bool) {
	c.n, c.done = min(len(packets), sendBatch), 0
	for i := range c.n {
		b := packets[i].Payload()
		c.iov[i].Base = &b[0]
		c.iov[i].SetLen(len(b))
	}
	for c.done < c.n {
		c.err = nil
		if err := c.s.conn.Control(c.fn); err != nil { // closed
			c.err = unix.EBADF
		}
		if c.err == nil {
			break
		}
		switch why := reasonOf(c.err); why {
		case SendQueue:
			c.s.count.drop(why, len(packets)-c.done)
			return c.done, false
		case Oversize: // this one only
			c.s.count.drop(why, 1)
			c.done++
			c.s.tooBig()
		default: // the next ones would fare no better
			c.s.count.drop(why, len(packets)-c.done)
			c.s.tooBig()
			return len(packets), false
		}
	}
	clear(c.iov[:c.n]) // the packets are the caller's again
	return c.n, true
}

// routeTo asks the system for the MTU of the path to peer and the address it
// would send from. A connected UDP socket knows; nothing is sent.
func routeTo(peer, local netip.Addr) (mtu int, from netip.Addr, err error) {
	family, level, opt := unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU
	if peer.Is4() {
		family, level, opt = unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, from, err
	}
	defer unix.Close(fd)
	if local.IsValid() {
		if err := bindTo(fd, local); err != nil {
			return 0, from, fmt.Errorf("local address %s: %w", local, err)
		}
	}
	const discard = 9 // any port will do
	if peer.Is4() {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: peer.As4(), Port: discard})
	} else {
		var zone uint32
		if zone, err = zoneID(peer); err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet6{Addr: peer.As16(), ZoneId: zone, Port: discard})
		}
	}
	if err != nil {
		return 0, from, err
	}
	if mtu, err = unix.GetsockoptInt(fd, level, opt); err != nil {
		return 0, from, err
	}
	switch sa, _ := unix.Getsockname(fd); sa := sa.(type) {
	case *unix.SockaddrInet4:
		from = netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		from = netip.AddrFrom16(sa.Addr)
	}
	return mtu, from, nil
}
