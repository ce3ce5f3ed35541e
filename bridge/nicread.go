package bridge

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/doorbell"
)

// A NIC reader's batch: one recvmmsg, a slot for each message.
const (
	nicBatch   = 32
	nicSlot    = (maxRead + 4095) &^ 4095 // bytes; only the pages that frames touch are ever used
	auxDataOff = unix.SizeofCmsghdr       // where the data of a control message begin
	auxDataLen = 20                       // struct tpacket_auxdata
	auxLen     = auxDataOff + auxDataLen + 4
)

// Bits of tpacket_auxdata.tp_status (linux/if_packet.h).
const (
	auxCsumValid     = 1 << 7
	auxVLANValid     = 1 << 4
	auxVLANTPIDValid = 1 << 6
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// hostAddrs are the addresses by which this host is known on the wire: the
// interface's, and its bridge's.
type hostAddrs struct{ nic, bridge eth.Addr }

func (h *hostAddrs) has(a eth.Addr) bool { return a == h.nic || a == h.bridge }

// nicReader reads a NIC's socket. One goroutine uses it.
type nicReader struct {
	nic    *NIC
	conn   syscall.RawConn
	bell   *doorbell.Bell
	vnet   bool
	slab   []byte
	msgs   [nicBatch]mmsghdr
	iovs   [nicBatch]unix.Iovec
	names  [nicBatch]unix.RawSockaddrLinklayer
	auxs   [nicBatch][auxLen]byte // each a multiple of 8 bytes, so aligned
	frames [nicBatch]eth.Frame
	n      int
	bytes  int
	err    error
	fill   func(fd uintptr) bool
}

func newNICReader(n *NIC, s *nicSocket) *nicReader {
	r := &nicReader{nic: n, conn: s.conn, bell: s.bell, vnet: s.vnet, slab: make([]byte, nicBatch*nicSlot)}
	for i := range r.msgs {
		// The header, or as much room, comes in front: a restored tag moves the
		// addresses into it.
		off := i*nicSlot + vnetLen
		if r.vnet {
			off = i * nicSlot
		}
		b := r.slab[off : (i+1)*nicSlot]
		r.iovs[i] = unix.Iovec{Base: &b[0], Len: uint64(len(b))}
		h := &r.msgs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov, h.Iovlen = &r.iovs[i], 1
		h.Control = &r.auxs[i][0]
	}
	r.fill = r.fillBatch
	return r
}

// readBatch waits for frames and returns them; they are good until the next call.
func (r *nicReader) readBatch() ([]eth.Frame, error) {
	r.n, r.bytes, r.err = 0, 0, nil
	if err := r.bell.Read(r.conn, r.fill); err != nil {
		return nil, err
	}
	r.nic.count.rxFrames.Add(uint64(r.n))
	r.nic.count.rxBytes.Add(uint64(r.bytes))
	return r.frames[:r.n], r.err
}

func (r *nicReader) fillBatch(fd uintptr) bool {
	for i := range r.msgs {
		h := &r.msgs[i].hdr
		h.Namelen = unix.SizeofSockaddrLinklayer
		h.SetControllen(auxLen)
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), nicBatch, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			host := r.nic.host.Load()
			for i := range int(n) {
				r.take(i, host)
			}
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		case unix.EINVAL: // a large frame of a kind that the virtio-net header has no name for; it is gone
			r.nic.count.drop(dropVnetHeader, 1)
		default:
			r.err = errno
			return true
		}
	}
}

// take adds one message to the batch: outgoing copies, what the kernel cut and
// this host's own frames are left out, and a tag that the kernel took out is put
// back.
func (r *nicReader) take(i int, host *hostAddrs) {
	m := &r.msgs[i]
	if r.names[i].Pkttype == unix.PACKET_OUTGOING {
		return // the kernel's own copy, where it cannot leave them out
	}
	slot := r.slab[i*nicSlot : (i+1)*nicSlot]
	n := int(m.len)
	if r.vnet {
		n -= vnetLen
	}
	if n < eth.HeaderLen {
		r.nic.count.drop(dropRunt, 1)
		return
	}
	if m.hdr.Flags&unix.MSG_TRUNC != 0 || n > nicSlot-vnetLen {
		r.nic.count.drop(dropTooLong, 1)
		return
	}
	f := &r.frames[r.n]
	f.Data, f.Offload = slot[vnetLen:vnetLen+n], eth.Offload{}
	if host.has(eth.Source(f.Data)) || host.has(eth.Destination(f.Data)) {
		r.nic.count.drop(dropForHost, 1)
		return
	}
	ok := true
	if r.vnet {
		f.Offload, ok = decodeVnet(slot, n)
	}
	if ok {
		ok = r.restoreTag(f, slot, i)
	}
	if !ok {
		r.nic.count.drop(dropVnetHeader, 1)
		return
	}
	r.n++
	r.bytes += len(f.Data)
}

// restoreTag puts the 802.1Q tag back that the kernel or the interface took out
// of a frame: the addresses move four bytes to the front.
func (r *nicReader) restoreTag(f *eth.Frame, slot []byte, i int) bool {
	aux := &r.auxs[i]
	c := (*unix.Cmsghdr)(unsafe.Pointer(aux))
	if r.msgs[i].hdr.Controllen < auxDataOff+auxDataLen || c.Level != unix.SOL_PACKET || c.Type != unix.PACKET_AUXDATA {
		return true
	}
	d := aux[auxDataOff:]
	status := binary.NativeEndian.Uint32(d)
	if status&auxCsumValid != 0 && !f.NeedsCsum {
		f.CsumValid = true
	}
	if status&auxVLANValid == 0 {
		return true
	}
	tpid := uint16(eth.TypeVLAN)
	if status&auxVLANTPIDValid != 0 {
		tpid = binary.NativeEndian.Uint16(d[18:])
	}
	end := vnetLen + len(f.Data)
	copy(slot[vnetLen-eth.TagLen:], slot[vnetLen:vnetLen+12])
	binary.BigEndian.PutUint16(slot[vnetLen-eth.TagLen+12:], tpid)
	binary.BigEndian.PutUint16(slot[vnetLen-eth.TagLen+14:], binary.NativeEndian.Uint16(d[16:]))
	f.Data = slot[vnetLen-eth.TagLen : end]
	return shift(&f.Offload, eth.TagLen)
}
