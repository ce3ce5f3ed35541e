package ipsec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"vhub/internal/doorbell"
)

// systemNetwork is this machine.
type systemNetwork struct{}

// Listen opens sockets with large buffers, the local address of each packet, and
// the offloads that the kernel has.
func (systemNetwork) Listen(kind Kind, local netip.AddrPort, readers int, noOffload bool) ([]Socket, error) {
	if readers <= 1 {
		s, err := listen(kind, local, false, noOffload)
		if err != nil {
			return nil, err
		}
		return []Socket{s}, nil
	}
	// Sockets that share a port would share it with another program that does so too:
	// look first whether it can be had alone.
	alone, err := listen(kind, local, false, true)
	if err != nil {
		return nil, err
	}
	_ = alone.Close()
	var list []Socket
	for range readers {
		s, err := listen(kind, local, true, noOffload)
		if err != nil {
			for _, s := range list {
				_ = s.Close()
			}
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// listen opens one socket.
func listen(kind Kind, local netip.AddrPort, share, noOffload bool) (*socket, error) {
	family := unix.AF_INET
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	sockType, proto := unix.SOCK_DGRAM, unix.IPPROTO_UDP
	if kind == Raw {
		sockType, proto = unix.SOCK_RAW, unix.IPPROTO_ESP
	}
	fd, err := unix.Socket(family, sockType|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, fmt.Errorf("ipsec: %s: %w", local.Addr(), ErrNoFamily)
	}
	if err != nil {
		return nil, fmt.Errorf("ipsec: socket for %s on %s: %w", kind, local, err)
	}
	if share {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	s := &socket{kind: kind, v6: family == unix.AF_INET6}
	if err == nil {
		err = s.prepare(fd, local, noOffload)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := s.watch(fd, fmt.Sprintf("ipsec-%s-%s", kind, local)); err != nil {
		return nil, fmt.Errorf("ipsec: socket for %s on %s: %w", kind, local, err)
	}
	s.readFunc = s.readReady
	return s, nil
}

// watch takes the descriptor over.
func (s *socket) watch(fd int, name string) (err error) {
	if s.file, err = doorbell.File(fd, name); err != nil {
		unix.Close(fd)
		return err
	}
	if s.bell, err = doorbell.New(fd); err == nil {
		s.raw, err = s.file.SyscallConn()
	}
	if err != nil {
		s.file.Close()
	}
	return err
}

// socketBuffer is asked for in each direction, bytes: enough for what arrives
// while a reader is busy with a full batch at several Gbit/s.
const socketBuffer = 8 << 20

func (s *socket) prepare(fd int, local netip.AddrPort, noOffload bool) error {
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	var err error
	if s.v6 {
		if s.kind != Raw { // a raw socket is of one family anyway, and refuses the option
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		}
		err = errors.Join(err,
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT))
	} else {
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT))
	}
	if err != nil {
		return fmt.Errorf("ipsec: options of the %s socket on %s: %w", s.kind, local, err)
	}
	bypassPolicy(fd, s.v6)
	if s.kind == Raw && local.Addr().IsUnspecified() {
		return nil // a raw socket takes all addresses unbound
	}
	if err := unix.Bind(fd, sockaddr(local)); err != nil {
		return bindError(s.kind, local, err)
	}
	if s.kind != NATT || noOffload {
		return nil
	}
	s.coalesce = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
	// Setting 0 says whether the kernel knows the option; whether the way out can do
	// it is seen when the first packets go.
	s.segment.Store(unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 0) == nil)
	return nil
}

func setBuffer(fd, force, plain int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, socketBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, socketBuffer)
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		if ifi, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(ifi.Index)
		}
	}
	return sa
}

// bindError says who has the port.
func bindError(kind Kind, local netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if who := portOwner(local); who != "" {
			return fmt.Errorf("ipsec: UDP %d is in use by %s; stop it, or give vhub an address of its own to listen on", local.Port(), who)
		}
		return fmt.Errorf("ipsec: UDP %d is in use by another program; stop it, or give vhub an address of its own to listen on", local.Port())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("ipsec: %s is not an address of this machine", local.Addr())
	}
	return fmt.Errorf("ipsec: binding %s on %s: %w", kind, local, err)
}

// Source asks the kernel's routes by connecting a UDP socket that sends nothing.
func (systemNetwork) Source(remote, from netip.Addr, ifindex int) (netip.Addr, int, error) {
	family := unix.AF_INET
	if remote.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("no route to %s: %w", remote, err)
	}
	defer unix.Close(fd)
	if ifindex != 0 {
		if ifi, err := net.InterfaceByIndex(ifindex); err == nil {
			_ = unix.BindToDevice(fd, ifi.Name)
		}
	}
	if from.IsValid() {
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))); err != nil {
			return netip.Addr{}, 0, fmt.Errorf("%s is not an address of this machine: %w", from, err)
		}
	}
	if err := unix.Connect(fd, sockaddr(netip.AddrPortFrom(remote, 9))); err != nil {
		return netip.Addr{}, 0, fmt.Errorf("no route to %s: %w", remote, err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if remote.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	mtu, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr), mtu, nil
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr), mtu, nil
	}
	return netip.Addr{}, 0, errors.New("the kernel gave no local address")
}

// Uplink finds an interface's first address of the remote's family, or checks
// that an address is ours.
func (systemNetwork) Uplink(name string, remote netip.Addr) (netip.Addr, int, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		if a.Is4() != remote.Is4() {
			return netip.Addr{}, 0, fmt.Errorf("uplink %s and peer %s are of different families", a, remote)
		}
		return a, 0, nil
	}
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("uplink %q is no interface of this machine", name)
	}
	if ifi.Flags&net.FlagUp == 0 {
		return netip.Addr{}, 0, fmt.Errorf("uplink %s is down", name)
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, 0, err
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() == remote.Is4() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr(), ifi.Index, nil
		}
	}
	return netip.Addr{}, 0, fmt.Errorf("uplink %s has no address for %s", name, remote)
}

// resolveLimit bounds a look-up.
const resolveLimit = 10 * time.Second

// Resolve asks the machine's resolver.
func (systemNetwork) Resolve(host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveLimit)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}
