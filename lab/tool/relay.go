package main

import (
	"errors"
	"flag"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// relay hands each frame of one TAP to the other and does nothing else: one
// thread, an epoll, a read and a write a frame, large frames whole. What a switch
// in user space needs more than this is its own; this much is the machine's.
func relay(args []string) error {
	fs := flag.NewFlagSet("relay", flag.ContinueOnError)
	names := [2]*string{fs.String("a", "ra", "TAP to make"), fs.String("b", "rb", "TAP to make")}
	if err := fs.Parse(args); err != nil {
		return err
	}
	runtime.LockOSThread()
	epfd, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	var fds [2]int
	for i, name := range names {
		if fds[i], err = relayTAP(*name); err != nil {
			return fmt.Errorf("%s: %w", *name, err)
		}
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fds[i], &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			return err
		}
	}
	frame, ready := make([]byte, 1<<17), make([]unix.EpollEvent, 2)
	for {
		n, err := unix.EpollWait(epfd, ready, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for _, e := range ready[:max(n, 0)] {
			if err := relayAll(fds[e.Fd], fds[1-e.Fd], frame); err != nil {
				return err
			}
		}
	}
}

// relayTAP makes a TAP that does not block, with the virtio header and all that
// the kernel then leaves to its reader.
func relayTAP(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return 0, err
	}
	return fd, unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
}

// relayAll hands on what is there now. A frame that the other TAP does not take
// is lost.
func relayAll(from, to int, frame []byte) error {
	for {
		n, err := unix.Read(from, frame)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		}
		if _, err := unix.Write(to, frame[:n]); err != nil && !passing(err) && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
}
