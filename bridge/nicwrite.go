package bridge

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"vhub/eth"
)

// nicSendBatch is how many frames go with one sendmmsg.
const nicSendBatch = 64

// WriteFrames sends frames out of the interface; where the socket has the
// virtio-net header, large frames go whole and the kernel or the interface cuts
// them. It is hub.Port's: it never waits, and several goroutines may call it.
func (n *NIC) WriteFrames(frames []eth.Frame) int {
	s := n.sock.Load()
	if s == nil {
		n.count.drop(dropDown, uint64(len(frames)))
		return len(frames)
	}
	w := n.writers.Get().(*nicWriter)
	took := w.writeAll(s, frames)
	n.writers.Put(w)
	return took
}

// nicWriter is the scratch of one call of WriteFrames.
type nicWriter struct {
	nic    *NIC
	conn   syscall.RawConn
	vnet   bool
	joiner eth.Joiner

	fd            uintptr
	in            []eth.Frame
	n             int // how many of in were dealt with
	full          bool
	frames, bytes uint64
	mtu           int
	host          *hostAddrs

	msgs   [nicSendBatch]mmsghdr
	iovs   [nicSendBatch][2]unix.Iovec
	hdrs   [nicSendBatch][vnetLen]byte
	from   [nicSendBatch]int // index in `in` of the frame that a message is, or is a piece of
	queued int
	at     int // the frame being queued

	pieces []byte // room for the pieces of cut frames
	used   int
	whole  []byte // the piece that Split is filling

	loop func(fd uintptr)
	next func(n int) []byte
}

func (n *NIC) newWriter() any {
	w := &nicWriter{nic: n}
	for i := range w.msgs {
		h := &w.msgs[i].hdr
		w.iovs[i][0] = unix.Iovec{Base: &w.hdrs[i][0], Len: vnetLen}
		h.Iov, h.Iovlen = &w.iovs[i][0], 2
	}
	w.loop, w.next = w.writeLoop, w.nextPiece
	return w
}

// writeAll sends the frames and says how many of them, from the first, need no
// further care.
func (w *nicWriter) writeAll(s *nicSocket, frames []eth.Frame) int {
	c := &w.nic.count
	w.conn, w.vnet, w.in = s.conn, s.vnet, frames
	if s.vnet && len(frames) > 1 {
		w.in = w.joiner.Join(frames)
	}
	w.n, w.full, w.frames, w.bytes, w.queued, w.used = 0, false, 0, 0, 0, 0
	w.mtu, w.host = int(w.nic.mtu.Load()), w.nic.host.Load()
	if err := w.conn.Control(w.loop); err != nil {
		c.drop(dropDown, uint64(len(frames)))
		return len(frames)
	}
	c.txFrames.Add(w.frames)
	c.txBytes.Add(w.bytes)
	joined := len(frames) - len(w.in)
	if joined > 0 {
		c.joined.Add(uint64(joined))
	}
	if !w.full {
		return len(frames)
	}
	if joined > 0 { // the rest is no prefix of what the hub gave
		c.drop(dropFull, uint64(len(w.in)-w.n))
		return len(frames)
	}
	return w.n
}

func (w *nicWriter) writeLoop(fd uintptr) {
	w.fd = fd
	for i := range w.in {
		f := &w.in[i]
		w.at = i
		switch {
		case len(f.Data) < eth.HeaderLen:
			w.nic.count.drop(dropRunt, 1)
		case w.host.has(eth.Destination(f.Data)):
			w.nic.count.drop(dropForHost, 1)
		case overMTU(f, w.mtu):
			w.nic.count.drop(dropOverMTU, 1)
		case w.vnet || f.GSO == eth.GSONone && !f.NeedsCsum:
			w.queue(f.Data, &f.Offload)
		default:
			w.cut(f)
		}
		if w.full {
			return
		}
	}
	w.flush()
}

// queue adds a frame to the messages to send.
func (w *nicWriter) queue(data []byte, o *eth.Offload) {
	if w.queued == nicSendBatch {
		w.flush()
		if w.full {
			return
		}
	}
	i := w.queued
	h := &w.msgs[i].hdr
	iov := &w.iovs[i]
	iov[1] = unix.Iovec{Base: &data[0], Len: uint64(len(data))}
	h.Iov, h.Iovlen = &iov[1], 1
	if w.vnet {
		encodeVnet(&w.hdrs[i], o)
		h.Iov, h.Iovlen = &iov[0], 2
	}
	w.from[i] = w.at
	w.queued++
}

// flush sends what is queued.
func (w *nicWriter) flush() {
	for sent := 0; sent < w.queued; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, w.fd, uintptr(unsafe.Pointer(&w.msgs[sent])), uintptr(w.queued-sent), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			for i := sent; i < sent+int(n); i++ {
				w.frames++
				w.bytes += w.iovs[i][1].Len
			}
			sent += int(n)
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			w.full, w.n = true, w.from[sent]
			w.queued = 0
			return
		case unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
			w.nic.count.drop(dropDown, uint64(w.queued-sent))
			sent = w.queued
		case unix.EMSGSIZE:
			w.nic.count.drop(dropOverMTU, 1)
			sent++
		default:
			w.nic.count.drop(dropRefused, 1)
			sent++
		}
	}
	w.queued, w.used = 0, 0
}

// cut queues a frame as plain pieces.
func (w *nicWriter) cut(f *eth.Frame) {
	if w.pieces == nil {
		w.pieces = make([]byte, 2*eth.MaxLargeLen)
	}
	w.whole = nil
	if _, fault := eth.Split(f, 0, w.next); fault != eth.OK {
		w.nic.count.drop(dropBadOffload, 1)
		w.whole = nil
	}
	w.queuePiece()
}

// nextPiece queues the piece that Split has finished and lends room for the next.
func (w *nicWriter) nextPiece(n int) []byte {
	w.queuePiece()
	if w.used+n > len(w.pieces) {
		w.flush()
	}
	if w.full || n > len(w.pieces) {
		return nil
	}
	w.whole = w.pieces[w.used : w.used+n]
	w.used += n
	return w.whole
}

func (w *nicWriter) queuePiece() {
	if w.whole != nil {
		p := w.whole
		w.whole = nil
		if w.queued == nicSendBatch { // flush gives the room of sent pieces back, but not this one's
			used := w.used
			w.flush()
			w.used = used
		}
		if !w.full {
			w.queue(p, &plain)
		}
	}
}
