package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// floodBatch is how many frames one system call sends.
const floodBatch = 32

// FloodResult is what flood prints at its end, as JSON.
type FloodResult struct {
	Attempts int     // frames tried
	Accepted int     // frames that the device took
	Refused  int     // frames for which its queue was full
	Seconds  float64 // how long it took
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// flood sends small frames out of a device past its queueing discipline, at a
// rate or as fast as the device takes them. Each has a number of its own, and a
// type for local experiments (IEEE 802 section 9.2.2) that the far host drops
// after it has counted it.
func flood(args []string) error {
	fs := flag.NewFlagSet("flood", flag.ContinueOnError)
	dev := fs.String("dev", "eth0", "device to send by")
	to := fs.String("to", "", "MAC address to send to")
	length := fs.Duration("for", time.Second, "how long")
	rate := fs.Float64("rate", 0, "frames a second; 0: as fast as it goes")
	size := fs.Int("size", 60, "bytes of a frame, without FCS")
	stations := fs.Int("stations", 0, "frames go between random ones of so many stations on each side, of which none exists; 0: from the device's address to -to")
	side := fs.Int("side", 0, "which side's stations send: 0 or 1")
	once := fs.Bool("once", false, "each station of the side sends one frame to -to, and that is all")
	if err := fs.Parse(args); err != nil {
		return err
	}
	dst, err := net.ParseMAC(*to)
	if err != nil || len(dst) != 6 {
		return fmt.Errorf("-to %q: no MAC address", *to)
	}
	if *side < 0 || *side > 1 || *once && *stations == 0 {
		return errors.New("-side is 0 or 1, and -once needs -stations")
	}
	if *size < 22 || *size > 1514 {
		return errors.New("-size: want 22 to 1514")
	}
	link, err := net.InterfaceByName(*dev)
	if err != nil {
		return fmt.Errorf("%s: %w", *dev, err)
	}
	fd, err := floodSocket(link.Index)
	if err != nil {
		return err
	}
	f := newFlooder(fd, dst, link.HardwareAddr, *size)
	f.stations, f.side, f.once = *stations, *side, *once
	if err := f.run(*length, *rate); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f.res)
}

func floodSocket(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return 0, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index})
}

type flooder struct {
	fd     int
	frames [floodBatch][]byte
	iov    [floodBatch]unix.Iovec
	msgs   [floodBatch]mmsghdr
	seq    uint64
	res    FloodResult

	stations, side int
	once           bool
	random         uint64
}

// stationAddr writes the address of a station that exists only in what is sent.
func stationAddr(b []byte, side, n int) {
	b[0], b[1] = 0x02, 0x0a+byte(side)
	binary.BigEndian.PutUint32(b[2:], uint32(n))
}

// address gives the next frame its addresses.
func (f *flooder) address(b []byte) {
	switch {
	case f.stations == 0:
	case f.once:
		stationAddr(b[6:], f.side, int(f.seq)-1)
	default:
		f.random = f.random*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
		at := func(half uint32) int { return int(uint64(half) * uint64(f.stations) >> 32) }
		stationAddr(b, 1-f.side, at(uint32(f.random>>32)))
		f.random = f.random*6364136223846793005 + 1442695040888963407
		stationAddr(b[6:], f.side, at(uint32(f.random>>32)))
	}
}

func newFlooder(fd int, dst, src net.HardwareAddr, size int) *flooder {
	f := &flooder{fd: fd}
	for i := range f.frames {
		b := make([]byte, size)
		copy(b, dst)
		copy(b[6:], src)
		b[12], b[13] = 0x88, 0xb5
		f.frames[i] = b
		f.iov[i] = unix.Iovec{Base: &b[0], Len: uint64(size)}
		f.msgs[i].hdr.Iov, f.msgs[i].hdr.Iovlen = &f.iov[i], 1
	}
	return f
}

func (f *flooder) run(length time.Duration, rate float64) error {
	start := time.Now()
	for {
		past := time.Since(start)
		if past >= length || f.once && f.res.Accepted >= f.stations {
			f.res.Seconds = past.Seconds()
			return nil
		}
		n := floodBatch
		if rate > 0 {
			due := past.Seconds()*rate - float64(f.res.Attempts)
			if due < 1 {
				time.Sleep(20 * time.Microsecond)
				continue
			}
			n = min(n, int(due))
		}
		if f.once {
			f.seq = uint64(f.res.Accepted) // those that were refused again
			n = min(n, f.stations-f.res.Accepted)
		}
		if err := f.send(n); err != nil {
			return err
		}
	}
}

// send sends one batch of n frames.
func (f *flooder) send(n int) error {
	for i := range n {
		f.seq++
		binary.BigEndian.PutUint64(f.frames[i][14:], f.seq)
		f.address(f.frames[i])
	}
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.msgs[0])), uintptr(n), 0, 0, 0)
	switch errno {
	case 0:
		f.res.Attempts += int(sent)
		f.res.Accepted += int(sent)
	case unix.ENOBUFS, unix.EAGAIN:
		f.res.Attempts++
		f.res.Refused++
	case unix.EINTR:
	default:
		return fmt.Errorf("send: %w", errno)
	}
	return nil
}
