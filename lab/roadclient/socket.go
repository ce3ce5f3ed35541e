package roadclient

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"vhub/ipsec/ike"
)

// listen opens a UDP socket that tells which address a packet was sent to, with
// room for the answers to a thousand clients at once.
func listen(open func(port int) (*net.UDPConn, error), port int) (*net.UDPConn, error) {
	conn, err := open(port)
	if err != nil {
		return nil, fmt.Errorf("roadclient: UDP port %d: %w", port, err)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { // without the right the system's limit does
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		})
		err = ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst, true)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("roadclient: UDP port %d: %w", port, err)
	}
	return conn, nil
}

// sourceOf is the control message that has a packet leave from an address.
func sourceOf(a netip.Addr) []byte {
	return (&ipv4.ControlMessage{Src: a.AsSlice()}).Marshal()
}

// read hands what comes to the loop until the socket is closed.
func (c *Crowd) read(natt bool, conn *net.UDPConn) error {
	b, oob := make([]byte, 65536), make([]byte, 128)
	for {
		n, on, _, remote, err := conn.ReadMsgUDPAddrPort(b, oob)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH):
			continue
		case err != nil:
			return fmt.Errorf("roadclient: %w", err)
		}
		var cm ipv4.ControlMessage
		if cm.Parse(oob[:on]) != nil || cm.Dst == nil {
			continue
		}
		local, _ := netip.AddrFromSlice(cm.Dst.To4())
		remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
		select {
		case c.packets <- datagram{natt: natt, remote: remote, local: local, data: bytes.Clone(b[:n])}:
		case <-c.done:
			return nil
		}
	}
}

func (c *Crowd) sendIKE(p ike.Packet) {
	if x := c.byAddress[p.Local.Addr()]; x != nil {
		c.send(p.NATT, p.Data, x.oob, p.Remote)
	}
}

// send sends one datagram. What the system does not take is lost, as on any wire.
func (c *Crowd) send(natt bool, b, oob []byte, to netip.AddrPort) {
	conn := c.ikeConn
	if natt {
		conn = c.nattConn
	}
	_, _, _ = conn.WriteMsgUDPAddrPort(b, oob, to)
}
