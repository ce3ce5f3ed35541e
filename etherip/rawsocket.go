package etherip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/doorbell"
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
	v4      bool
	file    *os.File
	conn    syscall.RawConn
	bell    *doorbell.Bell
	count   *counters
	refused func() // called when the kernel refused a packet: the path may have changed

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

func openRaw(peer, local netip.Addr, df bool, count *counters) (*rawSocket, error) {
	s := &rawSocket{v4: peer.Is4(), count: count, refused: func() {}}
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
		return nil, fmt.Errorf("raw socket for EtherIP: %w (needs root or CAP_NET_RAW)", err)
	} else if err != nil {
		return nil, fmt.Errorf("raw socket for EtherIP: %w", err)
	}
	if err := s.setUp(fd, peer, local, df); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := s.watch(fd); err != nil {
		return nil, fmt.Errorf("raw socket for EtherIP: %w", err)
	}
	s.senders.New = func() any { return newSendCall(s) }
	s.makeBuffers()
	return s, nil
}

// watch takes the descriptor over.
func (s *rawSocket) watch(fd int) (err error) {
	if s.file, err = doorbell.File(fd, "etherip"); err != nil {
		unix.Close(fd)
		return err
	}
	if s.bell, err = doorbell.New(fd); err == nil {
		s.conn, err = s.file.SyscallConn()
	}
	if err != nil {
		s.file.Close()
	}
	return err
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
	// Linux notes an ICMPv6 "packet too big" for a raw socket that is not
	// connected only where the socket asks for errors; IPv4 notes it anyway.
	if !s.v4 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1); err != nil {
			return fmt.Errorf("errors of the path: %w", err)
		}
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

func (s *rawSocket) close() error {
	s.bell.Close() // wakes receive
	return s.file.Close()
}

// interrupt makes receive return, until resume.
func (s *rawSocket) interrupt() { s.bell.Interrupt() }

func (s *rawSocket) resume() { s.bell.Resume() }

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
