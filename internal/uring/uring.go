// Package uring has the kernel do many reads and writes in one system call.
//
// It is for descriptors of which one call moves one packet, such as a TAP's. A
// ring here is a list of calls and no more: all of them are done when Do returns,
// in order, and none of them waits; there is no thread of the kernel's behind it.
package uring

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Size is how many calls a ring takes.
const Size = 32

// Ring gathers calls. One goroutine uses it at a time.
type Ring struct {
	fd             int
	sqTail         *uint32 // the kernel reads it
	cqHead, cqTail *uint32 // the kernel reads the first and writes the second
	calls          []call
	answers        []answer
	n              int // calls since the last Do
	results        [Size]int32
}

// call is struct io_uring_sqe of linux/io_uring.h.
type call struct {
	op    uint8
	flags uint8
	_     uint16
	fd    int32
	off   uint64
	addr  uint64
	n     uint32
	rw    uint32
	user  uint64
	_     [24]byte
}

// answer is struct io_uring_cqe.
type answer struct {
	user  uint64
	res   int32
	flags uint32
}

// params is struct io_uring_params, with struct io_sqring_offsets and
// io_cqring_offsets in it.
type params struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq                                                   struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// Of linux/io_uring.h.
const (
	opWritev       = 2
	opRead         = 22
	opWrite        = 23
	offSQEs        = 0x10000000
	featSingleMmap = 1
	enterGetEvents = 1
	rwfNowait      = 8 // RWF_NOWAIT of preadv2(2)
)

var pool = sync.Pool{New: func() any {
	r, err := open()
	if err != nil {
		return (*Ring)(nil)
	}
	return r
}}

// Get lends a ring, or nil where the kernel gives none (any more).
func Get() *Ring { return pool.Get().(*Ring) }

// Put gives a ring back. All its calls must have been done.
func Put(r *Ring) {
	if r != nil {
		pool.Put(r)
	}
}

// Works tells whether a ring can be used with a descriptor that has nothing to
// read now: kernels without io_uring, or with it switched off
// (kernel.io_uring_disabled), give none, and older ones cannot promise for each
// kind of descriptor not to wait.
func Works(fd int) bool {
	r := Get()
	if r == nil {
		return false
	}
	defer Put(r)
	b := new([1]byte)
	r.Read(uintptr(fd), unsafe.Pointer(b), 1)
	works := unix.Errno(-r.Do()[0]) == unix.EAGAIN
	runtime.KeepAlive(b)
	return works
}

func open() (*Ring, error) {
	var p params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, Size, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring: %w", errno)
	}
	r := &Ring{fd: int(fd)}
	if p.features&featSingleMmap == 0 || p.sqEntries != Size {
		unix.Close(r.fd)
		return nil, errors.New("io_uring: this kernel's is too old")
	}
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	size := max(p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(answer{})), p.sq.array+4*Size)
	ring, err := unix.Mmap(r.fd, 0, int(size), prot, flags)
	if err != nil {
		unix.Close(r.fd)
		return nil, fmt.Errorf("io_uring: %w", err)
	}
	calls, err := unix.Mmap(r.fd, offSQEs, Size*int(unsafe.Sizeof(call{})), prot, flags)
	if err != nil {
		unix.Munmap(ring)
		unix.Close(r.fd)
		return nil, fmt.Errorf("io_uring: %w", err)
	}
	at := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&ring[off])) }
	r.sqTail, r.cqHead, r.cqTail = at(p.sq.tail), at(p.cq.head), at(p.cq.tail)
	r.calls = unsafe.Slice((*call)(unsafe.Pointer(&calls[0])), Size)
	r.answers = unsafe.Slice((*answer)(unsafe.Pointer(&ring[p.cq.cqes])), p.cqEntries)
	order := unsafe.Slice(at(p.sq.array), Size)
	for i := range order {
		order[i] = uint32(i)
	}
	runtime.AddCleanup(r, func(fd int) {
		unix.Munmap(calls)
		unix.Munmap(ring)
		unix.Close(fd)
	}, r.fd)
	return r, nil
}

// Len is how many calls wait for Do; there must never be more than Size.
func (r *Ring) Len() int { return r.n }

// Read adds a read of up to n bytes to p. What p points to is the caller's and
// must stay where it is, and be in use after Do (runtime.KeepAlive).
func (r *Ring) Read(fd uintptr, p unsafe.Pointer, n int) { r.add(opRead, fd, p, n) }

// Write adds a write of the n bytes at p, as Read does.
func (r *Ring) Write(fd uintptr, p unsafe.Pointer, n int) { r.add(opWrite, fd, p, n) }

// Writev adds a write of the n pieces that iov lists, as Read does.
func (r *Ring) Writev(fd uintptr, iov *unix.Iovec, n int) {
	r.add(opWritev, fd, unsafe.Pointer(iov), n)
}

func (r *Ring) add(op uint8, fd uintptr, p unsafe.Pointer, n int) {
	tail := *r.sqTail
	r.calls[tail%Size] = call{op: op, fd: int32(fd), off: ^uint64(0), addr: uint64(uintptr(p)), n: uint32(n), rw: rwfNowait, user: uint64(r.n)}
	atomic.StoreUint32(r.sqTail, tail+1)
	r.n++
}

// Do does the calls, in their order, and returns what each gave: bytes, or the
// negative of an error number. The slice is good until the next Do.
func (r *Ring) Do() []int32 {
	n, left := r.n, r.n
	r.n = 0
	for left > 0 {
		took, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(left), 0, 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || took == 0 {
			break
		}
		left -= int(took)
	}
	for i := n - left; i < n; i++ { // the kernel has no memory for them
		r.results[i] = -int32(unix.ENOMEM)
	}
	if left > 0 {
		atomic.StoreUint32(r.sqTail, *r.sqTail-uint32(left))
	}
	for done := r.collect(); done < n-left; done += r.collect() { // not seen to happen: none may wait
		unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 0, 1, enterGetEvents, 0, 0)
	}
	return r.results[:n]
}

// collect takes the answers that are there and says how many.
func (r *Ring) collect() int {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	for i := head; i != tail; i++ {
		a := &r.answers[i%uint32(len(r.answers))]
		r.results[a.user] = a.res
	}
	atomic.StoreUint32(r.cqHead, tail)
	return int(tail - head)
}
