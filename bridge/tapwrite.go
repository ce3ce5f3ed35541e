package bridge

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/uring"
)

// WriteFrames hands frames to the kernel, which treats them as received on the
// TAP. Where the device has the virtio-net header, large frames go whole and
// consecutive segments are joined first; else large frames are cut and
// checksums completed. It is hub.Port's: it never waits, and several goroutines
// may call it.
func (t *TAP) WriteFrames(frames []eth.Frame) int {
	w := t.writers.Get().(*tapWriter)
	n := len(frames)
	if t.pinning.Load() {
		t.meetStations(frames, &w.met)
	}
	if t.hold.waiting.Load() > 0 {
		w.kept = t.hold.filter(frames, w.kept[:0])
		if took := w.writeAny(w.kept); took < len(w.kept) { // no prefix to tell: some frames wait
			t.count.drop(dropFull, uint64(len(w.kept)-took))
		}
	} else {
		n = w.writeAny(frames)
	}
	t.writers.Put(w)
	return n
}

// tapWriter is the scratch of one call of WriteFrames.
type tapWriter struct {
	t      *TAP
	joiner eth.Joiner
	kept   []eth.Frame // what holder.filter lets pass
	mine   []eth.Frame // those of one queue
	met    sourceCache

	fd            uintptr
	in            []eth.Frame // to write
	n             int         // how many of in were dealt with
	full          bool        // the device takes no more
	frames, bytes uint64
	mtu           int

	ring  *uring.Ring           // nil: each frame is a system call
	calls *[uring.Size]tapWrite // of the ring; without, the first is used
	piece []byte                // one piece of a cut frame
	whole int                   // its length, 0 when it is written

	loop func(fd uintptr) // writeLoop, made once: a method value allocates
	next func(n int) []byte
}

// tapWrite is what the kernel is shown of one frame.
type tapWrite struct {
	hdr    [vnetLen]byte
	iov    [2]unix.Iovec
	short  [vnetLen + shortLen]byte // header and frame
	length int                      // of the frame
}

func (t *TAP) newWriter() any {
	w := &tapWriter{t: t, calls: new([uring.Size]tapWrite)}
	w.joiner.UDP = t.dev.offloads.USO4 && t.dev.offloads.USO6
	w.loop, w.next = w.writeLoop, w.nextPiece
	return w
}

// writeHeld sends frames that had waited for a pin.
func (t *TAP) writeHeld(frames []eth.Frame) {
	w := t.writers.Get().(*tapWriter)
	if took := w.writeAny(frames); took < len(frames) {
		t.count.drop(dropFull, uint64(len(frames)-took))
	}
	t.writers.Put(w)
}

// writeOrDrop is writeAll for frames that the hub no longer counts.
func (w *tapWriter) writeOrDrop(queue int, frames []eth.Frame) {
	if n := w.writeAll(queue, frames); n < len(frames) {
		w.t.count.drop(dropFull, uint64(len(frames)-n))
	}
}

// writeAll writes the frames to one queue and says how many of them, from the
// first, need no further care.
func (w *tapWriter) writeAll(queue int, frames []eth.Frame) int {
	c := &w.t.count
	w.in = frames
	if w.t.dev.vnet && len(frames) > 1 {
		w.in = w.joiner.Join(frames)
	}
	w.n, w.full, w.frames, w.bytes = 0, false, 0, 0
	w.mtu = int(w.t.mtu.Load())
	if w.t.dev.ring && len(w.in) > 1 {
		w.ring = uring.Get()
	}
	err := w.t.dev.conns[queue].Control(w.loop)
	uring.Put(w.ring)
	w.ring = nil
	if err != nil {
		c.drop(dropDown, uint64(len(frames)))
		return len(frames)
	}
	c.txFrames.Add(w.frames)
	c.txBytes.Add(w.bytes)
	joined := len(frames) - len(w.in)
	if joined > 0 {
		c.joined.Add(uint64(joined))
	}
	if w.n == len(w.in) {
		return len(frames)
	}
	if joined > 0 { // the rest is no prefix of what the hub gave
		c.drop(dropFull, uint64(len(w.in)-w.n))
		return len(frames)
	}
	return w.n
}

func (w *tapWriter) writeLoop(fd uintptr) {
	w.fd = fd
	for i := range w.in {
		f := &w.in[i]
		switch {
		case len(f.Data) < eth.HeaderLen:
			w.t.count.drop(dropRunt, 1)
		case overMTU(f, w.mtu):
			w.t.count.drop(dropOverMTU, 1)
		case w.t.dev.takes(f):
			w.write(f.Data, &f.Offload)
		default:
			w.cut(f)
		}
		if w.full {
			break
		}
		w.n = i + 1
	}
	w.submit()
}

// takes tells whether the kernel takes the frame as it is.
func (d *tapDevice) takes(f *eth.Frame) bool {
	switch f.GSO {
	case eth.GSONone:
		return d.vnet || !f.NeedsCsum
	case eth.GSOUDP:
		return d.offloads.USO4 && d.offloads.USO6
	}
	return d.vnet
}

// overMTU tells whether a frame, or a segment of a large frame, carries more
// than mtu bytes of payload. Tags do not count.
func overMTU(f *eth.Frame, mtu int) bool {
	n := len(f.Data)
	if n <= mtu+eth.HeaderLen {
		return false
	}
	if f.GSO != eth.GSONone {
		l := eth.Parse(f.Data) // HdrLen is a hint only
		if l.Data == 0 {
			return false // not what it says; the kernel or Split will tell
		}
		return l.Data+int(f.SegSize)-l.Net > mtu
	}
	_, off := eth.EtherType(f.Data)
	return n-off > mtu
}

// cut writes a frame as plain pieces.
func (w *tapWriter) cut(f *eth.Frame) {
	w.submit() // what is before it
	ring := w.ring
	w.ring = nil // the pieces have one buffer
	defer func() { w.ring = ring }()
	if w.piece == nil {
		w.piece = make([]byte, eth.MaxLargeLen)
	}
	w.whole = 0
	if _, fault := eth.Split(f, 0, w.next); fault != eth.OK {
		w.t.count.drop(dropBadOffload, 1)
		w.whole = 0
	}
	w.writePiece()
}

// nextPiece writes the piece that Split has finished and lends the buffer for
// the next.
func (w *tapWriter) nextPiece(n int) []byte {
	w.writePiece()
	if w.full || n > len(w.piece) {
		return nil
	}
	w.whole = n
	return w.piece[:n]
}

func (w *tapWriter) writePiece() {
	if w.whole > 0 {
		w.write(w.piece[:w.whole], &plain)
		w.whole = 0
	}
}

// plain is the offload of a frame that is whole.
var plain eth.Offload

// shortLen is up to how many bytes it costs less to copy a frame behind its
// header than to have the kernel gather the two.
const shortLen = 256

// write gives one frame to the kernel, or to the ring.
func (w *tapWriter) write(data []byte, o *eth.Offload) {
	c := &w.calls[0]
	if w.ring != nil {
		if w.ring.Len() == uring.Size {
			w.submit()
		}
		c = &w.calls[w.ring.Len()]
	}
	c.length = len(data)
	switch {
	case !w.t.dev.vnet:
		w.call(unix.SYS_WRITE, unsafe.Pointer(&data[0]), len(data))
	case len(data) <= shortLen:
		encodeVnet((*[vnetLen]byte)(c.short[:]), o)
		copy(c.short[vnetLen:], data)
		if w.ring != nil {
			w.ring.Write(w.fd, unsafe.Pointer(&c.short[0]), vnetLen+len(data))
			return
		}
		w.call(unix.SYS_WRITE, unsafe.Pointer(&c.short[0]), vnetLen+len(data))
	default:
		encodeVnet(&c.hdr, o)
		c.iov[0].Base, c.iov[0].Len = &c.hdr[0], vnetLen
		c.iov[1].Base, c.iov[1].Len = &data[0], uint64(len(data))
		if w.ring != nil {
			w.ring.Writev(w.fd, &c.iov[0], len(c.iov))
			return
		}
		w.call(unix.SYS_WRITEV, unsafe.Pointer(&c.iov[0]), len(c.iov))
	}
}

// submit has the ring write what it was given.
func (w *tapWriter) submit() {
	if w.ring == nil {
		return
	}
	for i, got := range w.ring.Do() {
		errno := unix.Errno(0)
		if got < 0 {
			errno = unix.Errno(-got)
		}
		if full := w.account(errno, w.calls[i].length); full {
			w.t.count.drop(dropFull, 1) // no prefix to tell: those behind it were tried too
		}
	}
	runtime.KeepAlive(w.in)
}

// call writes one frame by the system call.
func (w *tapWriter) call(number uintptr, p unsafe.Pointer, n int) {
	for {
		_, _, errno := unix.RawSyscall(number, w.fd, uintptr(p), uintptr(n))
		if errno != unix.EINTR {
			w.full = w.account(errno, w.calls[0].length)
			return
		}
	}
}

// account counts what became of a frame of length bytes. It says whether the
// device took none because it is full.
func (w *tapWriter) account(errno unix.Errno, length int) (full bool) {
	switch errno {
	case 0:
		w.frames++
		w.bytes += uint64(length)
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EINTR:
		return true
	case unix.EIO, unix.EBADFD, unix.EBADF, unix.ENETDOWN:
		w.t.count.drop(dropDown, 1)
	default:
		w.t.count.drop(dropRefused, 1)
	}
	return false
}
