package bridge

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"vhub/internal/doorbell"
)

// nicSocket is an AF_PACKET socket on one interface.
type nicSocket struct {
	file *os.File
	conn syscall.RawConn
	bell *doorbell.Bell
	vnet bool // PACKET_VNET_HDR
}

// Sizes of the socket's buffers, bytes: about 50 ms of a 1 Gbit/s line.
const (
	nicRecvBuffer = 8 << 20
	nicSendBuffer = 4 << 20
)

// openNICSocket opens a socket in the network namespace of the calling thread.
//
// It is bound last, so that nothing of another interface comes in. The queueing
// discipline is not bypassed (PACKET_QDISC_BYPASS): the bypass would save a third
// of a small frame's cost, but drops every large frame that the interface cannot
// cut by itself, and the operator's traffic shaping with it.
func openNICSocket(index int, promisc, vnet bool) (*nicSocket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, rights(fmt.Errorf("AF_PACKET socket: %w", err))
	}
	s := &nicSocket{vnet: vnet}
	if err := s.setUp(fd, index, promisc); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if s.file, err = doorbell.File(fd, "packet"); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if s.bell, err = doorbell.New(fd); err == nil {
		s.conn, err = s.file.SyscallConn()
	}
	if err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

// close ends the socket and wakes its reader.
func (s *nicSocket) close() {
	s.bell.Close()
	s.file.Close()
}

func (s *nicSocket) setUp(fd, index int, promisc bool) error {
	if s.vnet {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
			s.vnet = false // every frame plain: GRO'd ones are lost, and counted
		}
	}
	// Without this option (before Linux 4.20) the reader drops outgoing copies
	// by their packet type.
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fmt.Errorf("PACKET_AUXDATA: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, nicRecvBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, nicRecvBuffer)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, nicSendBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, nicSendBuffer)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return fmt.Errorf("binding to the interface: %w", err)
	}
	if promisc {
		m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return fmt.Errorf("promiscuous membership: %w", err)
		}
	}
	return nil
}

// lost returns how many frames the kernel dropped since the last call because
// the socket's buffer was full.
func (s *nicSocket) lost() uint64 {
	var n uint64
	s.conn.Control(func(fd uintptr) {
		if st, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = uint64(st.Drops)
		}
	})
	return n
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }
