package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"vhub/eth"
	"vhub/internal/doorbell"
	"vhub/internal/uring"
)

// Sizes of a reader's batch: the slab holds 64 plain frames, or 8 of 64 KB.
const (
	batchFrames = 64
	slotAlign   = 64                        // bytes; frames start on a cache line
	maxRead     = vnetLen + eth.MaxLargeLen // bytes of one read
	slabLen     = 8 * (maxRead + slotAlign) // bytes
)

// Sizes of a batch by ring: each of its reads has room for a large frame, and
// as many are asked for as may be there.
const (
	ringSlot   = (maxRead + slotAlign - 1) &^ (slotAlign - 1) // bytes; untouched ones cost no memory
	ringFirst  = 4                                            // frames asked for when it is not known how many there are
	ringLarge  = 8                                            // frames asked for where they are large
	ringEnough = 8 * maxRead                                  // bytes; no more reads after so many
)

// txQueueLen is how many frames the kernel keeps for a TAP's reader. Measured
// with one TCP stream of plain 1,500-byte frames on a busy machine of two cores
// (BenchmarkTCP): 500 lost some 80 frames a MB, 1000 (the kernel's own choice)
// some 4, 4096 none.
const txQueueLen = 4096

// input takes a batch of frames that came in; hub.Reader is one.
type input interface {
	Input(now time.Time, frames []eth.Frame)
}

// tapReader reads one queue. One goroutine uses it.
type tapReader struct {
	bell   *doorbell.Bell
	conn   syscall.RawConn
	count  *counters
	vnet   bool
	slab   []byte
	frames [batchFrames]eth.Frame
	n      int   // frames read in this batch
	bytes  int   // their bytes
	err    error // what ended the batch
	dry    bool  // the queue was empty at the end of the last one
	fresh  bool  // the reader has waited just now
	busy   bool  // the last batch was full
	fill   func(fd uintptr)
}

func newTAPReader(d *tapDevice, queue int, c *counters) *tapReader {
	r := &tapReader{conn: d.conns[queue], bell: d.bells[queue], count: c, vnet: d.vnet}
	if d.ring {
		r.slab, r.fill = make([]byte, uring.Size*ringSlot), r.drainByRing
	} else {
		r.slab, r.fill = make([]byte, slabLen), r.drain
	}
	return r
}

// readBatch waits for frames, once, and returns those that are there. They are
// good until the next call.
func (r *tapReader) readBatch() ([]eth.Frame, error) {
	r.n, r.bytes, r.err = 0, 0, nil
	for r.n == 0 && r.err == nil {
		if r.dry {
			if err := r.bell.Wait(); err != nil {
				return nil, err
			}
			r.dry, r.fresh = false, true
		}
		if err := r.conn.Control(r.fill); err != nil {
			return nil, err
		}
	}
	if r.n > 0 {
		r.count.rxFrames.Add(uint64(r.n))
		r.count.rxBytes.Add(uint64(r.bytes))
		return r.frames[:r.n], nil // an error comes again with the next read
	}
	return nil, r.err
}

// drain reads until the queue or the slab is exhausted.
func (r *tapReader) drain(fd uintptr) {
	for off := 0; r.n < batchFrames && len(r.slab)-off >= maxRead; {
		b := r.slab[off : off+maxRead]
		n, ok := r.read(fd, b)
		if !ok {
			return
		}
		if r.take(b[:n]) {
			off += (n + slotAlign - 1) &^ (slotAlign - 1)
		}
	}
}

// read reads one frame, or says why there is none.
func (r *tapReader) read(fd uintptr, b []byte) (int, bool) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			r.dry = true
		default:
			r.err = errno
		}
		return 0, false
	}
}

// drainByRing is drain with many reads a system call. The frame that ended a
// wait goes on at once; only then is it seen whether there are more.
func (r *tapReader) drainByRing(fd uintptr) {
	if r.fresh {
		r.fresh, r.busy = false, false
		if n, ok := r.read(fd, r.slab[:maxRead]); ok {
			r.take(r.slab[:n])
		}
		return
	}
	ring := uring.Get()
	if ring == nil { // no more descriptors, or no memory
		r.drain(fd)
		return
	}
	slot, want := 0, uring.Size
	if !r.busy {
		if n, ok := r.read(fd, r.slab[:maxRead]); ok {
			r.take(r.slab[:n])
		}
		slot, want = 1, ringFirst
	}
	for slot < uring.Size && r.bytes < ringEnough && !r.dry && r.err == nil {
		if r.bytes > r.n*4096 {
			want = min(want, ringLarge)
		}
		slot += r.readMany(ring, fd, slot, min(want, uring.Size-slot))
		want *= 4
	}
	uring.Put(ring)
	r.busy = !r.dry
}

// readMany reads up to n frames into the slots from the given one on.
func (r *tapReader) readMany(ring *uring.Ring, fd uintptr, slot, n int) int {
	for i := range n {
		ring.Read(fd, unsafe.Pointer(&r.slab[(slot+i)*ringSlot]), maxRead)
	}
	for i, got := range ring.Do() {
		switch errno := unix.Errno(-got); {
		case got >= 0:
			at := (slot + i) * ringSlot
			r.take(r.slab[at : at+int(got)])
		case errno == unix.EAGAIN, errno == unix.EINTR, errno == unix.ENOMEM:
			r.dry = true
		default:
			r.err = errno
		}
	}
	return n
}

// take adds what one read gave to the batch.
func (r *tapReader) take(b []byte) bool {
	f := &r.frames[r.n]
	f.Offload = eth.Offload{}
	f.Data = b
	if r.vnet {
		if len(b) < vnetLen+eth.HeaderLen {
			r.count.drop(dropRunt, 1)
			return false
		}
		f.Data = b[vnetLen:]
		var ok bool
		if f.Offload, ok = decodeVnet(b, len(f.Data)); !ok {
			r.count.drop(dropVnetHeader, 1)
			return false
		}
	} else if len(b) < eth.HeaderLen {
		r.count.drop(dropRunt, 1)
		return false
	}
	r.n++
	r.bytes += len(f.Data)
	return true
}

// run reads all queues until ctx ends.
func (t *TAP) run(ctx context.Context, newInput func() input) error {
	for _, b := range t.dev.bells {
		b.Resume()
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		for _, b := range t.dev.bells {
			b.Interrupt() // wakes the readers
		}
	})
	defer stop()
	for i := range t.dev.conns {
		r, in := newTAPReader(t.dev, i, &t.count), newInput()
		g.Go(func() error { return t.readQueue(ctx, r, in) })
	}
	return g.Wait()
}

func (t *TAP) readQueue(ctx context.Context, r *tapReader, in input) error {
	for {
		frames, err := r.readBatch()
		switch {
		case err == nil:
			in.Input(time.Now(), frames)
		case ctx.Err() != nil || errors.Is(err, os.ErrClosed) || t.closed.Load():
			return nil
		default:
			return fmt.Errorf("%s: %w (%v)", t.cfg.Ifname, ErrDeviceGone, err)
		}
	}
}
