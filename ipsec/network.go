package ipsec

import (
	"net/netip"

	"vhub/internal/packet"
)

// Kind is which of the engine's sockets one is.
type Kind uint8

// The kinds.
const (
	IKE  Kind = iota // UDP 500
	NATT             // UDP 4500: IKE behind four zero bytes, ESP, keepalives
	Raw              // IP protocol 50
)

// String returns "ike", "natt" or "raw".
func (k Kind) String() string { return [...]string{"ike", "natt", "raw"}[min(k, Raw)] }

// Network is where the world begins: this machine's sockets and routes, or a
// test's.
type Network interface {
	// Listen opens a socket. An address that is unspecified (0.0.0.0 or ::) stands for
	// all of that family. The port is 0 for Raw. With readers above 1 it opens so many
	// sockets on one UDP port, among which the kernel divides the peers; a port that
	// someone else has is an error all the same.
	Listen(kind Kind, local netip.AddrPort, readers int, noOffload bool) ([]Socket, error)
	// Source is the local address, and the MTU in bytes, that the route to remote
	// gives. From, when valid, is the local address to use, ifindex, when not 0, the
	// interface to leave by.
	Source(remote, from netip.Addr, ifindex int) (local netip.Addr, mtu int, err error)
	// Uplink finds the address and index of an uplink: an interface name, or a
	// local address. It prefers an address of the family of remote.
	Uplink(name string, remote netip.Addr) (local netip.Addr, ifindex int, err error)
	// Resolve looks a host name up. It may take long.
	Resolve(host string) ([]netip.Addr, error)
	// Warnings names other users of IPsec on the machine that may take our packets.
	Warnings() []string
}

// Datagram is one read of a socket. With receive coalescing it is several
// datagrams of one sender: each of Segment bytes, the last perhaps shorter.
type Datagram struct {
	Data    []byte // lent until the next Read; for Raw without the IP header
	Segment int    // 0: Data is one datagram
	Remote  netip.AddrPort
	Local   netip.Addr // the address it was sent to
}

// Socket is one socket. Read is for one goroutine, Send for any number.
type Socket interface {
	// Read waits for datagrams and fills in up to len(in).
	Read(in []Datagram) (int, error)
	// Send sends packets in order and returns how many were sent. It never waits:
	// what does not go is dropped by the caller. The source is from when valid, and
	// leaves by ifindex when that is not 0.
	Send(to netip.AddrPort, from netip.Addr, ifindex int, packets []packet.Packet) (int, error)
	// Offload tells which offloads work at the moment.
	Offload() (segment, coalesce bool)
	Close() error
}
