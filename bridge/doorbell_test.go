package bridge

import (
	"errors"
	"os"
	"testing"
	"time"

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
	b, err := newDoorbell(p[0])
	if err != nil {
		t.Fatal(err)
	}
	defer b.file.Close()
	buf := make([]byte, 10)
	write := func() {
		if _, err := unix.Write(p[1], []byte{1}); err != nil {
			t.Error(err)
		}
	}
	for range 100 {
		write()
		if err := b.wait(); err != nil {
			t.Fatal("there was something already:", err)
		}
		write() // not armed: rings nobody
		if n, err := unix.Read(p[0], buf); n != 2 || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
	}
	for range 100 {
		rung := make(chan error, 1)
		go func() { rung <- b.wait() }()
		write()
		if err := <-rung; err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(p[0], buf); n != 1 || err != nil {
			t.Fatalf("rang, but read gave %d, %v", n, err)
		}
	}
	b.file.SetReadDeadline(time.Unix(1, 0))
	if err := b.wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	b.file.SetReadDeadline(time.Time{})
	write()
	if err := b.wait(); err != nil {
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
	b, err := newDoorbell(p[0])
	if err != nil {
		t.Fatal(err)
	}
	rung := make(chan error, 1)
	go func() { rung <- b.wait() }()
	b.file.Close()
	if err := <-rung; err == nil {
		t.Error("a closed doorbell rang as if there were something to read")
	}
}
