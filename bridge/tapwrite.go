package bridge

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"vhub/eth"
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

	hdr   [vnetLen]byte
	iov   [2]unix.Iovec
	short [vnetLen + shortLen]byte // header and frame
	piece []byte                   // one piece of a cut frame
	whole int                      // its length, 0 when it is written

	loop func(fd uintptr) // writeLoop, made once: a method value allocates
	next func(n int) []byte
}

func (t *TAP) newWriter() any {
	w := &tapWriter{t: t}
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
	if err := w.t.dev.conns[queue].Control(w.loop); err != nil {
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
			return
		}
		w.n = i + 1
	}
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

// write gives one frame to the kernel.
func (w *tapWriter) write(data []byte, o *eth.Offload) {
	switch {
	case !w.t.dev.vnet:
		w.call(unix.SYS_WRITE, unsafe.Pointer(&data[0]), len(data), len(data))
	case len(data) <= shortLen:
		encodeVnet((*[vnetLen]byte)(w.short[:]), o)
		copy(w.short[vnetLen:], data)
		w.call(unix.SYS_WRITE, unsafe.Pointer(&w.short[0]), vnetLen+len(data), len(data))
	default:
		encodeVnet(&w.hdr, o)
		w.iov[0].Base, w.iov[0].Len = &w.hdr[0], vnetLen
		w.iov[1].Base, w.iov[1].Len = &data[0], uint64(len(data))
		w.call(unix.SYS_WRITEV, unsafe.Pointer(&w.iov[0]), len(w.iov), len(data))
	}
}

// call writes a frame of length bytes by the system call.
func (w *tapWriter) call(number uintptr, p unsafe.Pointer, n, length int) {
	for {
		_, _, errno := unix.RawSyscall(number, w.fd, uintptr(p), uintptr(n))
		switch errno {
		case 0:
			w.frames++
			w.bytes += uint64(length)
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			w.full = true
		case unix.EIO, unix.EBADFD, unix.EBADF, unix.ENETDOWN:
			w.t.count.drop(dropDown, 1)
		default:
			w.t.count.drop(dropRefused, 1)
		}
		return
	}
}
