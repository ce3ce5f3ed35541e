package doorbell

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDoorbell rings for what was there before it was asked and for what comes
// after, once each time it is asked, and ends with its deadline.
func TestDoorbell(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	b, err := New(p[0])
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	buf := make([]byte, 10)
	write := func() {
		if _, err := unix.Write(p[1], []byte{1}); err != nil {
			t.Error(err)
		}
	}
	for range 100 {
		write()
		if err := b.Wait(); err != nil {
			t.Fatal("there was something already:", err)
		}
		write() // not armed: rings nobody
		if n, err := unix.Read(p[0], buf); n != 2 || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
	}
	for range 100 {
		rung := make(chan error, 1)
		go func() { rung <- b.Wait() }()
		write()
		if err := <-rung; err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(p[0], buf); n != 1 || err != nil {
			t.Fatalf("rang, but read gave %d, %v", n, err)
		}
	}
	b.Interrupt()
	if err := b.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	b.Resume()
	write()
	if err := b.Wait(); err != nil {
		t.Errorf("after the deadline was lifted: %v", err)
	}
}

func TestAClosedDoorbellWakesItsReader(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	b, err := New(p[0])
	if err != nil {
		t.Fatal(err)
	}
	rung := make(chan error, 1)
	go func() { rung <- b.Wait() }()
	b.Close()
	if err := <-rung; err == nil {
		t.Error("a closed doorbell rang as if there were something to read")
	}
}
