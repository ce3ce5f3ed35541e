package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/sys/unix"
)

// A frame of n bytes, whose contents are known from n alone:
//
//	destination 6 | source 02:cc:00:00:d:n (n < 20, else 0) | 88b5 | n 2 | CRC-32 4 | pattern
//
// 88b5 is for local experiments (IEEE 802 section 9.2.2). What is too short for
// size and checksum is known by its source. d is the destination's last byte, so
// that the two directions have sources of their own.
const frameHeader, frameMin = 14, 20

func frameSource(dst []byte, n int) [6]byte {
	s := [6]byte{0x02, 0xcc, 4: dst[5]}
	if n < frameMin {
		s[5] = byte(n)
	}
	return s
}

// sizedFrame is the frame of n bytes to dst.
func sizedFrame(dst []byte, n int) []byte {
	src := frameSource(dst, n)
	f := append(append(append(make([]byte, 0, n), dst...), src[:]...), 0x88, 0xb5)
	for i := len(f); i < n; i++ {
		f = append(f, byte(i*7+n))
	}
	if n >= frameMin {
		binary.BigEndian.PutUint16(f[14:], uint16(n))
		binary.BigEndian.PutUint32(f[16:], 0)
		binary.BigEndian.PutUint32(f[16:], crc32.ChecksumIEEE(f[frameHeader:]))
	}
	return f
}

// sizeOf is the size that the frame had when it was sent; 0 where it is not one of ours.
func sizeOf(f []byte) int {
	if len(f) < frameHeader || !bytes.Equal(f[6:11], []byte{0x02, 0xcc, 0, 0, f[5]}) || f[12] != 0x88 || f[13] != 0xb5 {
		return 0
	}
	if f[11] != 0 {
		return int(f[11])
	}
	if len(f) < frameMin {
		return 0
	}
	return int(binary.BigEndian.Uint16(f[14:]))
}

// sizes are the flags that sender and receiver share.
type sizes struct{ from, to int }

func sizeFlags(fs *flag.FlagSet) *sizes {
	s := &sizes{}
	fs.IntVar(&s.from, "min", 14, "smallest frame, bytes without FCS")
	fs.IntVar(&s.to, "max", 1514, "largest frame")
	return s
}

func (s *sizes) check() error {
	if s.from < frameHeader || s.to < s.from || s.to > 9014 {
		return errors.New("-min, -max: want 14 <= min <= max <= 9014")
	}
	return nil
}

// framesSend sends a frame of every size, some rounds.
func framesSend(args []string) error {
	fs := flag.NewFlagSet("frames-send", flag.ContinueOnError)
	dev := fs.String("dev", "eth0", "device to send by")
	to := fs.String("to", "ff:ff:ff:ff:ff:ff", "MAC address to send to")
	rounds := fs.Int("rounds", 1, "how often")
	pause := fs.Duration("pause", 300*time.Microsecond, "between two frames")
	s := sizeFlags(fs)
	if err := errors.Join(fs.Parse(args), s.check()); err != nil {
		return err
	}
	dst, fd, err := station(*to, *dev)
	if err != nil {
		return err
	}
	for range *rounds {
		for n := s.from; n <= s.to; n++ {
			if _, err := unix.Write(fd, sizedFrame(dst, n)); err != nil && !passing(err) {
				return fmt.Errorf("%d bytes: %w", n, err)
			}
			time.Sleep(*pause)
		}
	}
	return nil
}

// FramesResult is what frames-receive prints at its end, as JSON.
type FramesResult struct {
	Exact   int         `json:"exact"`   // sizes that came as they were sent
	Longer  map[int]int `json:"longer"`  // size: bytes that were appended; the frame itself is right
	Corrupt []int       `json:"corrupt"` // sizes whose bytes are others
	Lost    []int       `json:"lost"`    // sizes that did not come
	Twice   []int       `json:"twice"`   // sizes that came more than once
}

// framesReceive waits until every size has come, or the time is over, and says
// what came how.
func framesReceive(args []string) error {
	fs := flag.NewFlagSet("frames-receive", flag.ContinueOnError)
	dev := fs.String("dev", "eth0", "device to receive by")
	to := fs.String("to", "ff:ff:ff:ff:ff:ff", "MAC address the frames are sent to")
	length := fs.Duration("for", 20*time.Second, "how long at most")
	file := fs.String("capture", "", "write what comes to this pcapng `FILE`")
	s := sizeFlags(fs)
	if err := errors.Join(fs.Parse(args), s.check()); err != nil {
		return err
	}
	dst, fd, err := station(*to, *dev)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}); err != nil {
		return err
	}
	capture, end, err := openCapture(*file)
	if err != nil {
		return err
	}
	// The switches on the way must know where the station is: what goes to an
	// unknown one is flooded, and floods are limited.
	if err := announce(fd, dst); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ready")
	res := receiveSizes(fd, dst, *s, time.Now().Add(*length), capture)
	if err := end(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

// announce sends a frame of the station, to all.
func announce(fd int, station []byte) error {
	f := append(bytes.Repeat([]byte{0xff}, 6), station...)
	_, err := unix.Write(fd, append(append(f, 0x88, 0xb5), make([]byte, 46)...))
	return err
}

// receiveSizes counts what comes until all sizes are there or time is over.
// While nothing has come, it announces the station every half second.
func receiveSizes(fd int, dst []byte, s sizes, end time.Time, capture func([]byte)) FramesResult {
	res := FramesResult{Longer: map[int]int{}}
	seen := map[int]bool{}
	buf := make([]byte, 1<<16)
	announced := time.Now()
	quiet := time.Time{} // the last sizes were seen; a little more time shows what comes twice
	for now := time.Now(); now.Before(end) && (quiet.IsZero() || now.Before(quiet)); now = time.Now() {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			if len(seen) == 0 && now.Sub(announced) > 500*time.Millisecond {
				_, announced = announce(fd, dst), now
			}
			continue
		}
		size := sizeOf(buf[:n])
		if size < s.from || size > s.to {
			continue
		}
		capture(buf[:n])
		if seen[size] {
			res.Twice = append(res.Twice, size)
			continue
		}
		seen[size] = true
		switch want := sizedFrame(dst, size); {
		case n < size || !bytes.Equal(buf[:size], want):
			res.Corrupt = append(res.Corrupt, size)
		case n > size:
			res.Longer[size] = n - size
		default:
			res.Exact++
		}
		if len(seen) == s.to-s.from+1 {
			quiet = time.Now().Add(200 * time.Millisecond)
		}
	}
	for n := s.from; n <= s.to; n++ {
		if !seen[n] {
			res.Lost = append(res.Lost, n)
		}
	}
	return res
}

// openCapture returns a function that keeps frames and one that ends the file.
// All times are the same, so that equal frames make equal files.
func openCapture(name string) (add func([]byte), end func() error, err error) {
	if name == "" {
		return func([]byte) {}, func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, nil, err
	}
	w, err := pcapgo.NewNgWriterInterface(f, pcapgo.NgInterface{Name: "frames", LinkType: layers.LinkTypeEthernet},
		pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "vhub lab/tool"}})
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	var failed error
	add = func(frame []byte) {
		failed = errors.Join(failed, w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(0, 0), CaptureLength: len(frame), Length: len(frame)}, frame))
	}
	return add, func() error { return errors.Join(failed, w.Flush(), f.Close()) }, nil
}

// station reads the address that frames go to, and opens the device they go by.
func station(to, dev string) (dst net.HardwareAddr, fd int, err error) {
	if dst, err = net.ParseMAC(to); err != nil || len(dst) != 6 {
		return nil, 0, fmt.Errorf("-to %q: no MAC address", to)
	}
	link, err := net.InterfaceByName(dev)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", dev, err)
	}
	fd, err = packetSocket(link.Index)
	return dst, fd, err
}
