package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// etherIP joins a TAP to raw IP protocol 97 (RFC 3378). It is deliberately
// plain: one frame a system call, the kernel fragments and puts together, and
// routes each packet, so a router may go over to another line under it.
// With -swapped it writes the header as OpenBSD-style peers do (03 00).
func etherIP(args []string) error {
	fs := flag.NewFlagSet("etherip", flag.ContinueOnError)
	name := fs.String("tap", "eip0", "TAP to make")
	peer := fs.String("peer", "", "address of the other end")
	swapped := fs.Bool("swapped", false, "write the version in the low nibble")
	if err := fs.Parse(args); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(*peer)
	if err != nil {
		return fmt.Errorf("-peer: %w", err)
	}
	tap, err := water.New(water.Config{DeviceType: water.TAP, PlatformSpecificParams: water.PlatformSpecificParams{Name: *name}})
	if err != nil {
		return err
	}
	fd, err := rawSocket(addr)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- fromWire(fd, addr, tap) }()
	go func() { failed <- toWire(fd, addr, *swapped, tap) }()
	return <-failed
}

const protocol = 97

func rawSocket(peer netip.Addr) (int, error) {
	family := unix.AF_INET6
	if peer.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW, protocol)
	if err != nil {
		return 0, fmt.Errorf("raw socket: %w", err)
	}
	if peer.Is4() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	} else {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT)
	}
	return fd, err
}

// passing tells errors that a wire brings and that a switch rides over.
func passing(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) ||
		errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EPERM)
}

func fromWire(fd int, peer netip.Addr, tap *water.Interface) error {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			if passing(err) {
				continue
			}
			return fmt.Errorf("from the wire: %w", err)
		}
		if !comesFrom(from, peer) {
			continue
		}
		p := buf[:n]
		if peer.Is4() { // a raw IPv4 socket hands over the IP header too
			if n < 20 || n < int(p[0]&15)*4 {
				continue
			}
			p = p[int(p[0]&15)*4:]
		}
		if len(p) < 16 || (p[0] != 0x30 && p[0] != 0x03) {
			continue
		}
		if _, err := tap.Write(p[2:]); err != nil && !passing(err) && !errors.Is(err, unix.EIO) {
			return fmt.Errorf("to the TAP: %w", err)
		}
	}
}

func comesFrom(from unix.Sockaddr, peer netip.Addr) bool {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr) == peer
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr) == peer
	}
	return false
}

func toWire(fd int, peer netip.Addr, swapped bool, tap *water.Interface) error {
	to := unix.Sockaddr(&unix.SockaddrInet6{Addr: peer.As16()})
	if peer.Is4() {
		to = &unix.SockaddrInet4{Addr: peer.As4()}
	}
	buf := make([]byte, 1<<16)
	buf[0] = 0x30
	if swapped {
		buf[0] = 0x03
	}
	for {
		n, err := tap.Read(buf[2:])
		if err != nil {
			return fmt.Errorf("from the TAP: %w", err)
		}
		if err := unix.Sendto(fd, buf[:2+n], 0, to); err != nil && !passing(err) {
			return fmt.Errorf("to the wire: %w", err)
		}
	}
}
