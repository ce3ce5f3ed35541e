// Package doorbell waits for a busy descriptor at little cost.
//
// Go's poller watches every descriptor all the time, edge-triggered. One that
// stays busy, a TAP or a packet socket, tells it of each packet that comes in
// while its reader is at work on the one before, and each time a thread wakes up
// to learn that nobody waits. A Bell stands between the two: an epoll of its own,
// which the runtime watches, and in which the descriptor is armed only while its
// reader waits (EPOLLONESHOT).
package doorbell

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bell waits for one descriptor. One goroutine uses Wait and Read; the other
// methods may be called by any.
type Bell struct {
	file  *os.File // the epoll
	conn  syscall.RawConn
	fd    int // what is watched
	armed bool
	err   error
	event [1]unix.EpollEvent
	look  func(epfd uintptr) bool

	read  func(fd uintptr) bool // of the Read that runs
	ready bool
	once  func(fd uintptr)
}

// File makes a file of a descriptor that the runtime's poller does not watch,
// and which does not block. Closing it does not wake those who read; closing its
// Bell does.
func File(fd int, name string) (*os.File, error) {
	if err := unix.SetNonblock(fd, false); err != nil { // a file that may block is left alone
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	return f, unix.SetNonblock(fd, true)
}

// New makes a bell for a descriptor, which stays the caller's and must be closed
// after the bell.
func New(fd int) (*Bell, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	b := &Bell{fd: fd}
	off := unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(fd)}
	if err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &off); err == nil {
		err = unix.SetNonblock(epfd, true) // so that the runtime's poller watches it
	}
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	b.file = os.NewFile(uintptr(epfd), "epoll")
	b.look, b.once = b.lookOnce, b.readOnce
	if b.conn, err = b.file.SyscallConn(); err != nil {
		b.file.Close()
		return nil, err
	}
	return b, nil
}

// Wait returns when there is something to read, or an error to be had by
// reading. It fails after Interrupt and Close.
func (b *Bell) Wait() error {
	b.err = nil
	if err := b.conn.Read(b.look); err != nil {
		return err
	}
	return b.err
}

// lookOnce arms the descriptor, or takes it that it was rung; the kernel
// disarms it then. It says false when there is nothing yet.
func (b *Bell) lookOnce(epfd uintptr) bool {
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

// Read calls f with the descriptor of conn until f says true, and waits each
// time that it says false. It is conn.Read, for a descriptor with a bell.
func (b *Bell) Read(conn syscall.RawConn, f func(fd uintptr) bool) error {
	b.read = f
	for {
		if err := conn.Control(b.once); err != nil || b.ready {
			return err
		}
		if err := b.Wait(); err != nil {
			return err
		}
	}
}

func (b *Bell) readOnce(fd uintptr) { b.ready = b.read(fd) }

// Interrupt wakes the reader. Wait fails with os.ErrDeadlineExceeded until
// Resume is called.
func (b *Bell) Interrupt() { _ = b.file.SetReadDeadline(time.Unix(1, 0)) }

// Resume is the opposite of Interrupt.
func (b *Bell) Resume() { _ = b.file.SetReadDeadline(time.Time{}) }

// Close wakes the reader and ends the bell.
func (b *Bell) Close() error { return b.file.Close() }
