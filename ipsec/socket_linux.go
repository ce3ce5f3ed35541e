package ipsec

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"vhub/internal/doorbell"
	"vhub/internal/packet"
)

// socket is a UDP or raw socket driven by recvmmsg and sendmmsg. Reading waits by a
// doorbell: the runtime's poller would be told of each packet that comes while the
// reader is at work, and of each that has left. Sending never waits and takes no
// lock, so that any number of goroutines may send at once.
//
// The two calls do not wait, so the runtime is not told of them: it takes one that
// lasts 20 us, as sending 64 KB does, for one that waits, and wakes a thread to
// stand in for it.
type socket struct {
	kind     Kind
	v6       bool
	file     *os.File
	raw      syscall.RawConn
	bell     *doorbell.Bell
	coalesce bool        // UDP_GRO is on
	segment  atomic.Bool // UDP_SEGMENT works

	// The reading goroutine's.
	rx       *receiveRing
	readFunc func(fd uintptr) bool
	readN    int
	readErr  error

	tx sync.Pool // of *sendRing
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

const (
	controlLen    = 128
	maxDatagram   = 65535
	maxSegments   = 64 // UDP_MAX_SEGMENTS of kernels before 6.9
	maxSegmentLen = 65000
)

// receiveRing is what one recvmmsg fills.
type receiveRing struct {
	hdrs    [readDatagrams]mmsghdr
	iovs    [readDatagrams]unix.Iovec
	names   [readDatagrams]unix.RawSockaddrInet6
	control [readDatagrams][controlLen]byte
	bufs    [readDatagrams][maxDatagram + 1]byte
}

func newReceiveRing() *receiveRing {
	r := new(receiveRing)
	for i := range r.hdrs {
		r.iovs[i].Base = &r.bufs[i][0]
		r.iovs[i].SetLen(len(r.bufs[i]))
		h := &r.hdrs[i].hdr
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Control = &r.control[i][0]
	}
	return r
}

// Read is described at Socket.
func (s *socket) Read(in []Datagram) (int, error) {
	if s.rx == nil {
		s.rx = newReceiveRing()
	}
	for {
		if err := s.bell.Read(s.raw, s.readFunc); err != nil {
			return 0, err
		}
		if s.readErr != nil {
			if passing(s.readErr) {
				continue
			}
			return 0, s.readErr
		}
		n := 0
		for i := range min(s.readN, len(in)) {
			if s.datagram(i, &in[n]) {
				n++
			}
		}
		if n > 0 {
			return n, nil
		}
	}
}

// passing tells errors of reading that concern one packet or one moment; the
// socket is as good as before.
func passing(err error) bool {
	for _, e := range []error{unix.EINTR, unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN,
		unix.EMSGSIZE, unix.ENOBUFS, unix.ENOMEM, unix.EPROTO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// readReady is one recvmmsg; false waits for the socket to be readable.
func (s *socket) readReady(fd uintptr) bool {
	for i := range s.rx.hdrs {
		h := &s.rx.hdrs[i].hdr
		h.Namelen = uint32(unsafe.Sizeof(s.rx.names[i]))
		h.SetControllen(controlLen)
		h.Flags = 0
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.rx.hdrs[0])),
		uintptr(len(s.rx.hdrs)), unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN {
		return false
	}
	s.readN, s.readErr = int(n), nil
	if errno != 0 {
		s.readN, s.readErr = 0, errno
	}
	return true
}

// datagram fills in what message i of the last read says.
func (s *socket) datagram(i int, d *Datagram) bool {
	h := &s.rx.hdrs[i]
	data := s.rx.bufs[i][:h.n:h.n]
	if h.hdr.Flags&unix.MSG_TRUNC != 0 {
		return false
	}
	*d = Datagram{Remote: addrPort(&s.rx.names[i])}
	s.ancillary(s.rx.control[i][:h.hdr.Controllen], d)
	if s.kind == Raw {
		d.Remote = netip.AddrPortFrom(d.Remote.Addr(), 0)
		if !s.v6 { // IPv4 raw sockets give the IP header as well (raw(7))
			if len(data) < 20 || int(data[0]&15)*4 > len(data) {
				return false
			}
			data = data[int(data[0]&15)*4:]
		}
	}
	d.Data = data
	return true
}

// ancillary reads the local address and the size of coalesced segments.
func (s *socket) ancillary(control []byte, d *Datagram) {
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		size := int(h.Len)
		if size < unix.SizeofCmsghdr || size > len(control) {
			return
		}
		body := control[unix.CmsgLen(0):size]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(body) >= unix.SizeofInet4Pktinfo:
			d.Local = netip.AddrFrom4([4]byte(body[8:12])) // ipi_addr: the header's destination
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(body) >= unix.SizeofInet6Pktinfo:
			d.Local = netip.AddrFrom16([16]byte(body[:16]))
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(body) >= 4:
			d.Segment = int(binary.NativeEndian.Uint32(body))
		}
		control = control[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(control)):]
	}
}

func addrPort(name *unix.RawSockaddrInet6) netip.AddrPort {
	raw := (*[unix.SizeofSockaddrInet6]byte)(unsafe.Pointer(name))
	port := binary.BigEndian.Uint16(raw[2:])
	if name.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])), port)
}

// Offload is described at Socket.
func (s *socket) Offload() (segment, coalesce bool) { return s.segment.Load(), s.coalesce }

// Close ends a waiting Read.
func (s *socket) Close() error {
	_ = s.bell.Close() // wakes the reader
	return s.file.Close()
}

// What one sendmmsg carries at most.
const (
	sendMessages = 64
	sendPackets  = 4 * maxSegments
)

// sendRing is what one sendmmsg needs.
type sendRing struct {
	sock    *socket
	hdrs    [sendMessages]mmsghdr
	iovs    [sendPackets]unix.Iovec
	control [sendMessages][controlLen]byte
	name    [unix.SizeofSockaddrInet6]byte
	nameLen uint32
	count   int // messages in hdrs
	used    int // packets in iovs
	packets [sendMessages]int

	sent int
	err  syscall.Errno
	call func(fd uintptr)
}

func (s *socket) ring() *sendRing {
	if r, ok := s.tx.Get().(*sendRing); ok {
		return r
	}
	r := &sendRing{sock: s}
	r.call = r.sendmmsg
	return r
}

// Send is described at Socket. It fills messages of up to maxSegments packets of
// equal size (the last may be shorter) where segmentation works, else of one.
func (s *socket) Send(to netip.AddrPort, from netip.Addr, ifindex int, packets []packet.Packet) (int, error) {
	r := s.ring()
	defer s.tx.Put(r)
	r.address(to, s.v6)
	sent := 0
	segment := s.segment.Load()
	for sent < len(packets) {
		r.fill(packets[sent:], from, ifindex, segment)
		n, err := r.send()
		sent += n
		switch {
		case err == nil:
		case segment && (err == unix.EIO || err == unix.EINVAL || err == unix.EMSGSIZE || err == unix.EOPNOTSUPP):
			// EIO: the interface cannot complete checksums, and never will. The others:
			// segments larger than the path's MTU, which have to be fragments.
			if err == unix.EIO || err == unix.EOPNOTSUPP {
				s.segment.Store(false)
			}
			segment = false
		default:
			return sent, err
		}
	}
	return sent, nil
}

func (r *sendRing) address(to netip.AddrPort, v6 bool) {
	clear(r.name[:])
	binary.BigEndian.PutUint16(r.name[2:], to.Port())
	if v6 {
		binary.NativeEndian.PutUint16(r.name[:], unix.AF_INET6)
		a := to.Addr().As16()
		copy(r.name[8:], a[:])
		r.nameLen = unix.SizeofSockaddrInet6
		return
	}
	binary.NativeEndian.PutUint16(r.name[:], unix.AF_INET)
	a := to.Addr().As4()
	copy(r.name[4:], a[:])
	r.nameLen = unix.SizeofSockaddrInet4
}

// fill lays out as many packets as one sendmmsg takes.
func (r *sendRing) fill(packets []packet.Packet, from netip.Addr, ifindex int, segment bool) {
	r.count, r.used = 0, 0
	packets = packets[:min(len(packets), sendPackets)]
	for r.used < len(packets) && r.count < sendMessages {
		group := 1
		size := len(packets[r.used].Payload())
		if segment {
			group = sameSize(packets[r.used:], size)
		}
		h := &r.hdrs[r.count].hdr
		h.Name, h.Namelen = &r.name[0], r.nameLen
		h.Iov = &r.iovs[r.used]
		h.SetIovlen(group)
		for i := range group {
			p := packets[r.used+i].Payload()
			r.iovs[r.used+i].Base = unsafe.SliceData(p)
			r.iovs[r.used+i].SetLen(len(p))
		}
		control := r.control[r.count][:0]
		if from.IsValid() {
			control = appendPktinfo(control, from, ifindex)
		}
		if group > 1 {
			control = appendSegment(control, size)
		}
		h.Control = nil
		if len(control) > 0 {
			h.Control = &r.control[r.count][0]
		}
		h.SetControllen(len(control))
		r.packets[r.count] = group
		r.count++
		r.used += group
	}
}

// sameSize is how many packets may go as one: all of the first one's size, and a
// shorter one at the end (udp(7), UDP_SEGMENT).
func sameSize(packets []packet.Packet, size int) int {
	n, bytes := 1, size
	for n < len(packets) && n < maxSegments {
		next := len(packets[n].Payload())
		if next > size || next == 0 || bytes+next > maxSegmentLen {
			break
		}
		n++
		bytes += next
		if next < size {
			break
		}
	}
	return n
}

func appendPktinfo(b []byte, from netip.Addr, ifindex int) []byte {
	if from.Is4() {
		b = appendCmsg(b, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		body := b[len(b)-unix.CmsgSpace(unix.SizeofInet4Pktinfo)+unix.CmsgLen(0):]
		binary.NativeEndian.PutUint32(body, uint32(ifindex))
		a := from.As4()
		copy(body[4:], a[:]) // ipi_spec_dst: the source to use
		return b
	}
	b = appendCmsg(b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	body := b[len(b)-unix.CmsgSpace(unix.SizeofInet6Pktinfo)+unix.CmsgLen(0):]
	a := from.As16()
	copy(body, a[:])
	binary.NativeEndian.PutUint32(body[16:], uint32(ifindex))
	return b
}

func appendSegment(b []byte, size int) []byte {
	b = appendCmsg(b, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
	body := b[len(b)-unix.CmsgSpace(2)+unix.CmsgLen(0):]
	binary.NativeEndian.PutUint16(body, uint16(size))
	return b
}

// appendCmsg appends a control message header and a zeroed body.
func appendCmsg(b []byte, level, kind, size int) []byte {
	at := len(b)
	b = b[:at+unix.CmsgSpace(size)]
	clear(b[at:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[at]))
	h.Level, h.Type = int32(level), int32(kind)
	h.SetLen(unix.CmsgLen(size))
	return b
}

// send hands the messages to the kernel and returns how many packets went.
func (r *sendRing) send() (int, error) {
	r.sent, r.err = 0, 0
	if err := r.sock.raw.Control(r.call); err != nil {
		return 0, err
	}
	n := 0
	for i := range r.sent {
		n += r.packets[i]
	}
	for i := range r.count {
		r.hdrs[i].hdr.Iov = nil // the ring outlives the packets
	}
	clear(r.iovs[:r.used])
	if r.err != 0 {
		return n, r.err
	}
	return n, nil
}

func (r *sendRing) sendmmsg(fd uintptr) {
	for r.sent < r.count {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&r.hdrs[r.sent])),
			uintptr(r.count-r.sent), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			r.err = errno
			return
		}
		r.sent += int(n)
	}
}
