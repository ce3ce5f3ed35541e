package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"unsafe"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// vlan is a VLAN interface for kernels that have none (CONFIG_VLAN_8021Q): a
// TAP whose frames leave by a device with an 802.1Q tag, and back.
func vlan(args []string) error {
	fs := flag.NewFlagSet("vlan", flag.ContinueOnError)
	dev := fs.String("dev", "eth0", "device that carries the tagged frames")
	name := fs.String("tap", "vlan7", "TAP to make")
	id := fs.Uint("id", 7, "VLAN id")
	if err := fs.Parse(args); err != nil {
		return err
	}
	tap, err := water.New(water.Config{DeviceType: water.TAP, PlatformSpecificParams: water.PlatformSpecificParams{Name: *name}})
	if err != nil {
		return err
	}
	link, err := net.InterfaceByName(*dev)
	if err != nil {
		return fmt.Errorf("%s: %w", *dev, err)
	}
	fd, err := packetSocket(link.Index)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- untag(fd, uint16(*id), tap) }()
	go func() { failed <- tag(fd, uint16(*id), tap) }()
	return <-failed
}

func packetSocket(index int) (int, error) {
	const all = 0x0300 // ETH_P_ALL in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, all)
	if err != nil {
		return 0, err
	}
	for _, o := range []int{unix.PACKET_AUXDATA, unix.PACKET_IGNORE_OUTGOING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, o, 1); err != nil {
			return 0, err
		}
	}
	promisc := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promisc); err != nil {
		return 0, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
}

// untag reads from the device. The kernel takes the tag out of a frame that
// comes in and reports it beside the frame.
func untag(fd int, id uint16, tap *water.Interface) error {
	frame, control := make([]byte, 1<<16), make([]byte, 128)
	for {
		n, cn, _, _, err := unix.Recvmsg(fd, frame, control, 0)
		if err != nil {
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
				continue
			}
			return fmt.Errorf("from the device: %w", err)
		}
		msgs, err := unix.ParseSocketControlMessage(control[:cn])
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < int(unsafe.Sizeof(unix.TpacketAuxdata{})) {
				continue
			}
			aux := (*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0]))
			if aux.Status&unix.TP_STATUS_VLAN_VALID != 0 && aux.Vlan_tci&0xfff == id {
				if _, err := tap.Write(frame[:n]); err != nil && !passing(err) && !errors.Is(err, unix.EIO) {
					return fmt.Errorf("to the TAP: %w", err)
				}
			}
		}
	}
}

func tag(fd int, id uint16, tap *water.Interface) error {
	buf := make([]byte, 1<<16)
	for {
		n, err := tap.Read(buf[4:])
		if err != nil {
			return fmt.Errorf("from the TAP: %w", err)
		}
		if n < 14 {
			continue
		}
		copy(buf, buf[4:16]) // the addresses move forward, the tag goes between
		binary.BigEndian.PutUint16(buf[12:], 0x8100)
		binary.BigEndian.PutUint16(buf[14:], id)
		if _, err := unix.Write(fd, buf[:n+4]); err != nil && !passing(err) {
			return fmt.Errorf("to the device: %w", err)
		}
	}
}
