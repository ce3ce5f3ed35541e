package etherip

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// routeProbe asks the system for the path to the peer: a UDP socket that is
// connected to it anew for each look. Nothing is sent.
type routeProbe struct {
	peer, local netip.Addr
	file        *os.File
	conn        syscall.RawConn
}

func newRouteProbe(peer, local netip.Addr) (*routeProbe, error) {
	family := unix.AF_INET6
	if peer.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket to look up the path: %w", err)
	}
	if local.IsValid() {
		if err := bindTo(fd, local); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("local address %s: %w (is it an address of this machine?)", local, err)
		}
	}
	p := &routeProbe{peer: peer, local: local, file: os.NewFile(uintptr(fd), "etherip-path")}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// look returns the MTU of the path as the system knows it (route, or what path
// MTU discovery found) and the address that it sends from.
func (p *routeProbe) look() (mtu int, from netip.Addr, err error) {
	if e := p.conn.Control(func(fd uintptr) { mtu, from, err = p.lookAt(int(fd)) }); e != nil {
		return 0, from, e
	}
	return mtu, from, err
}

func (p *routeProbe) lookAt(fd int) (mtu int, from netip.Addr, err error) {
	// Connecting to no address takes back the route and the chosen local address.
	var none [unix.SizeofSockaddrInet4]byte
	if _, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none)); e != 0 {
		return 0, from, e
	}
	const discard = 9 // any port will do
	level, opt := unix.IPPROTO_IPV6, unix.IPV6_MTU
	if p.peer.Is4() {
		level, opt = unix.IPPROTO_IP, unix.IP_MTU
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: p.peer.As4(), Port: discard})
	} else {
		var zone uint32
		if zone, err = zoneID(p.peer); err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet6{Addr: p.peer.As16(), ZoneId: zone, Port: discard})
		}
	}
	if err != nil {
		return 0, from, err
	}
	if mtu, err = unix.GetsockoptInt(fd, level, opt); err != nil {
		return 0, from, err
	}
	switch sa, _ := unix.Getsockname(fd); sa := sa.(type) {
	case *unix.SockaddrInet4:
		from = netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		from = netip.AddrFrom16(sa.Addr)
	}
	return mtu, from, nil
}

func (p *routeProbe) close() error { return p.file.Close() }

func bindTo(fd int, a netip.Addr) error {
	if a.Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: a.As4()})
	}
	zone, err := zoneID(a)
	if err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: a.As16(), ZoneId: zone})
}

// sockaddr builds the raw struct sockaddr_in or sockaddr_in6, port 0.
func sockaddr(a netip.Addr) ([]byte, error) {
	if a.Is4() {
		b := make([]byte, unix.SizeofSockaddrInet4)
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		copy(b[4:], a.AsSlice())
		return b, nil
	}
	zone, err := zoneID(a)
	if err != nil {
		return nil, err
	}
	b := make([]byte, unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	copy(b[8:], a.AsSlice())
	binary.NativeEndian.PutUint32(b[24:], zone)
	return b, nil
}

// zoneID is the interface of a link-local address like fe80::1%eth0.
func zoneID(a netip.Addr) (uint32, error) {
	if a.Zone() == "" {
		return 0, nil
	}
	if ifi, err := net.InterfaceByName(a.Zone()); err == nil {
		return uint32(ifi.Index), nil
	}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(n), nil
	}
	return 0, fmt.Errorf("address %s: no interface %s", a, a.Zone())
}
