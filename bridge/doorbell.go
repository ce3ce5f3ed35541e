package bridge

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// doorbell tells a reader that its descriptor has something to read, once each
// time it is asked. Between the reader and the runtime's poller stands an epoll
// of its own, in which the descriptor is armed only while the reader waits.
// Watched by the runtime's poller itself, a busy descriptor would wake a thread
// for each frame that comes in while the reader is at work, and for nothing.
type doorbell struct {
	file  *os.File // the epoll
	conn  syscall.RawConn
	fd    int // what is watched
	armed bool
	err   error
	event [1]unix.EpollEvent
	look  func(epfd uintptr) bool
}

func newDoorbell(fd int) (*doorbell, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	b := &doorbell{fd: fd}
	off := unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(fd)}
	if err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &off); err == nil {
		err = unix.SetNonblock(epfd, true) // so that the runtime's poller watches it
	}
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	b.file = os.NewFile(uintptr(epfd), "epoll")
	b.look = b.lookOnce
	if b.conn, err = b.file.SyscallConn(); err != nil {
		b.file.Close()
		return nil, err
	}
	return b, nil
}

// wait returns when there is something to read, or an error to be had by
// reading, and fails when the file's deadline has passed or it was closed. One
// goroutine uses it.
func (b *doorbell) wait() error {
	b.err = nil
	if err := b.conn.Read(b.look); err != nil {
		return err
	}
	return b.err
}

// lookOnce arms the descriptor, or takes it that it was rung; the kernel
// disarms it then (EPOLLONESHOT). It says false when there is nothing yet.
func (b *doorbell) lookOnce(epfd uintptr) bool {
	if !b.armed {
		b.event[0] = unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(b.fd)}
		if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, epfd, unix.EPOLL_CTL_MOD, uintptr(b.fd), uintptr(unsafe.Pointer(&b.event[0])), 0, 0); errno != 0 {
			b.err = fmt.Errorf("epoll: %w", errno)
			return true
		}
		b.armed = true
		return false // if it is readable already, the poller knows
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, epfd, uintptr(unsafe.Pointer(&b.event[0])), 1, 0, 0, 0)
	switch {
	case errno == unix.EINTR:
		return false
	case errno != 0:
		b.err = fmt.Errorf("epoll: %w", errno)
		return true
	}
	b.armed = n == 0
	return n > 0
}
