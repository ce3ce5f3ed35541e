package etherip

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vhub/internal/packet"
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [unsafe.Sizeof(uintptr(0)) - 4]byte
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
		n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[0])), recvBatch, unix.MSG_DONTWAIT, 0, 0)
		switch e {
		case 0:
			s.got, s.gotErr = int(n), nil
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			s.got, s.gotErr = 0, e
			s.readErrors(int(fd))
			return true
		}
	}
}

// readErrors empties the queue of errors that ICMPv6 brought. The kernel has
// noted what they say of the path; the queue takes room from packets.
func (s *rawSocket) readErrors(fd int) {
	var b [1]byte
	for range 64 {
		if _, _, _, _, err := unix.Recvmsg(fd, b[:], nil, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}

// passingError is how long receive rests after an error that is not the end, so
// that one that stays does not keep a core busy.
const passingError = 10 * time.Millisecond

// receive waits for packets and returns their payloads (EtherIP header and
// frame), good until the next call. Errors that pass, such as a network that is
// down, are counted and not returned.
func (s *rawSocket) receive() ([][]byte, error) {
	if err := s.bell.Read(s.conn, s.recvFn); err != nil {
		return nil, err
	}
	s.payloads = s.payloads[:0]
	if s.gotErr != nil {
		switch s.gotErr {
		case unix.EBADF, unix.ENOTSOCK:
			return nil, s.gotErr
		case unix.EMSGSIZE, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ECONNREFUSED, unix.EPROTO, unix.EACCES, unix.ENOPROTOOPT:
			s.refused() // ICMPv6 tells of a packet that was sent: nothing that came is lost
		default:
			s.count.drop(ReceiveError, 1)
			time.Sleep(passingError)
		}
		return nil, nil
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
		n, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&c.hdrs[c.done])), uintptr(c.n-c.done), unix.MSG_DONTWAIT, 0, 0)
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
	again := -1 // the packet that was tried a second time
	for c.done < c.n {
		c.err = nil
		if err := c.s.conn.Control(c.fn); err != nil { // closed
			c.err = unix.EBADF
		}
		if c.err == nil {
			break
		}
		why := reasonOf(c.err)
		if why != SendQueue && again != c.done {
			again = c.done // the error may be an earlier packet's, that ICMPv6 told of
			continue
		}
		switch why {
		case SendQueue:
			c.s.count.drop(why, len(packets)-c.done)
			return c.done, false
		case Oversize: // this one only
			c.s.count.drop(why, 1)
			c.done++
			c.s.refused()
		default: // the next ones would fare no better
			c.s.count.drop(why, len(packets)-c.done)
			c.s.refused()
			return len(packets), false
		}
	}
	clear(c.iov[:c.n]) // the packets are the caller's again
	return c.n, true
}
