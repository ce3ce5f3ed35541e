package uring

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"vhub/internal/testenv"
)

// pair is two connected sockets on which each write is a packet.
func pair(t *testing.T) (fds [2]int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds
}

func ring(t *testing.T) *Ring {
	r := Get()
	if r == nil {
		testenv.Missing(t, "this kernel lends no io_uring")
	}
	return r
}

// TestCallsAreDoneInOrder fills the ring over and over: with writes of both
// kinds, then with more reads than there are packets.
func TestCallsAreDoneInOrder(t *testing.T) {
	p, r := pair(t), ring(t)
	defer Put(r)
	for round := range 100 {
		packets := round%Size + 1
		out := make([][]byte, packets)
		iov := make([][2]unix.Iovec, packets)
		for i := range out {
			out[i] = fmt.Appendf(nil, "packet %d of round %d", i, round)
			if i%2 == 0 {
				r.Write(uintptr(p[0]), unsafe.Pointer(&out[i][0]), len(out[i]))
				continue
			}
			iov[i] = [2]unix.Iovec{{Base: &out[i][0], Len: 7}, {Base: &out[i][7], Len: uint64(len(out[i]) - 7)}}
			r.Writev(uintptr(p[0]), &iov[i][0], 2)
		}
		if r.Len() != packets {
			t.Fatalf("%d calls wait, want %d", r.Len(), packets)
		}
		for i, n := range r.Do() {
			if int(n) != len(out[i]) {
				t.Fatalf("write %d gave %d, want %d", i, n, len(out[i]))
			}
		}
		in := make([][100]byte, Size)
		for i := range in {
			r.Read(uintptr(p[1]), unsafe.Pointer(&in[i]), len(in[i]))
		}
		got := r.Do()
		if len(got) != Size {
			t.Fatalf("%d results of %d calls", len(got), Size)
		}
		for i, n := range got {
			switch {
			case i >= packets && unix.Errno(-n) != unix.EAGAIN:
				t.Fatalf("read %d of %d packets gave %d", i, packets, n)
			case i < packets && (n < 0 || string(in[i][:n]) != string(out[i])):
				t.Fatalf("read %d gave %d: %q, want %q", i, n, in[i], out[i])
			}
		}
	}
	if n := len(r.Do()); n != 0 {
		t.Errorf("%d results of no calls", n)
	}
}

// TestACallThatFailsStopsNoOther has a bad descriptor among good ones.
func TestACallThatFailsStopsNoOther(t *testing.T) {
	p, r := pair(t), ring(t)
	defer Put(r)
	b := []byte("x")
	for _, fd := range []int{p[0], -1, p[0]} {
		r.Write(uintptr(fd), unsafe.Pointer(&b[0]), 1)
	}
	got := fmt.Sprint(r.Do())
	if want := fmt.Sprint([]int32{1, -int32(unix.EBADF), 1}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	runtime.KeepAlive(b)
}

func TestNothingIsAllocated(t *testing.T) {
	p, r := pair(t), ring(t)
	defer Put(r)
	b := make([]byte, 10)
	if n := testing.AllocsPerRun(100, func() {
		r.Write(uintptr(p[0]), unsafe.Pointer(&b[0]), 1)
		r.Read(uintptr(p[1]), unsafe.Pointer(&b[0]), len(b))
		if got := r.Do(); got[0] != 1 || got[1] != 1 {
			t.Errorf("got %v", got)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestManyAtOnce has goroutines borrow rings and give them back.
func TestManyAtOnce(t *testing.T) {
	Put(ring(t))
	var wg sync.WaitGroup
	for range 8 {
		p := pair(t)
		wg.Go(func() {
			for i := range 500 {
				r := Get()
				out, in := []byte{byte(i)}, make([]byte, 1)
				r.Write(uintptr(p[0]), unsafe.Pointer(&out[0]), 1)
				r.Read(uintptr(p[1]), unsafe.Pointer(&in[0]), 1)
				if got := r.Do(); got[0] != 1 || got[1] != 1 || in[0] != byte(i) {
					t.Errorf("round %d: %v, %v", i, got, in)
				}
				Put(r)
			}
		})
	}
	wg.Wait()
}

// TestWorks asks of a socket that would have to wait, and of descriptors that
// answer something else.
func TestWorks(t *testing.T) {
	Put(ring(t))
	if p := pair(t); !Works(p[0]) {
		t.Error("a socket")
	}
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, bad := range []int{fd, -1} {
		if Works(bad) {
			t.Errorf("descriptor %d", bad)
		}
	}
}
