package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// windowsAsks is what Windows asks for on a VPN link, in its order (as servers'
// logs have it): NetBIOS, vendor options, name servers, domain, routes.
var windowsAsks = []byte{6, 44, 43, 77, 12, 15, 121, 249}

// inform sends a DHCPINFORM through a link as Windows does when it is up, and
// prints the options of the answer, one a line: number and value.
func inform(args []string) error {
	fs := flag.NewFlagSet("inform", flag.ContinueOnError)
	dev := fs.String("dev", "ppp0", "the link")
	from := fs.String("from", "", "our address on it")
	if err := fs.Parse(args); err != nil {
		return err
	}
	addr := net.ParseIP(*from).To4()
	if addr == nil {
		return errors.New("inform: -from ADDR")
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		ctl := c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, *dev),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
		})
		return errors.Join(ctl, err)
	}}
	c, err := lc.ListenPacket(context.Background(), "udp4", net.JoinHostPort(*from, "68"))
	if err != nil {
		return err
	}
	defer c.Close()
	m := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootRequest, HWType: 8, ClientIPAddr: addr, ClientHWAddr: net.HardwareAddr{0, 0x53, 0x45, 0, 0, 0},
		Options: dhcpv4.OptionsFromList(dhcpv4.OptMessageType(dhcpv4.MessageTypeInform), dhcpv4.OptClassIdentifier("MSFT 5.0"),
			dhcpv4.OptGeneric(dhcpv4.OptionParameterRequestList, windowsAsks))}
	rand.Read(m.TransactionID[:])
	buf := make([]byte, 2048)
	for try := 0; try < 5; try++ {
		if _, err := c.WriteTo(m.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 67}); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		n, _, err := c.ReadFrom(buf)
		if isTimeout(err) {
			continue
		}
		if err != nil {
			return err
		}
		r, err := dhcpv4.FromBytes(buf[:n])
		if err != nil || r.TransactionID != m.TransactionID {
			continue
		}
		for code, v := range r.Options {
			fmt.Printf("%d %x\n", code, v)
		}
		return nil
	}
	return errors.New("inform: no answer")
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
