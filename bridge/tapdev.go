package bridge

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"vhub/internal/doorbell"
	"vhub/internal/uring"
)

// tapDevice is an open TAP device: a file for each queue. The device lives as
// long as the files are open.
type tapDevice struct {
	files    []*os.File
	conns    []syscall.RawConn
	bells    []*doorbell.Bell
	vnet     bool
	ring     bool // many frames a system call
	driver   string
	offloads Offloads
}

// Bits of TUNSETOFFLOAD (linux/if_tun.h).
const (
	tunCsum   = 0x01
	tunTSO4   = 0x02
	tunTSO6   = 0x04
	tunTSOECN = 0x08
	tunUSO4   = 0x20
	tunUSO6   = 0x40
)

// offloadSteps are tried in order until the kernel takes one: USO came with
// Linux 6.2.
var offloadSteps = []uint{
	tunCsum | tunTSO4 | tunTSO6 | tunTSOECN | tunUSO4 | tunUSO6,
	tunCsum | tunTSO4 | tunTSO6 | tunTSOECN,
	tunCsum | tunTSO4 | tunTSO6,
	tunCsum,
	0,
}

const tunPath = "/dev/net/tun"

// openTAPDevice makes the device in the network namespace of the calling
// thread. The device must not exist.
func openTAPDevice(ifname string, queues int, offload bool) (*tapDevice, error) {
	if offload {
		d, err := openVnetTAP(ifname, queues)
		if !errors.Is(err, errNoVnetHdr) {
			return d, err
		}
	}
	return openPlainTAP(ifname, queues)
}

var errNoVnetHdr = errors.New("this kernel's TAP has no virtio-net header")

// openVnetTAP opens the device with the virtio-net header. It does so by ioctl:
// netlink's Tuntap gives every queue the same flags, so that a second queue
// cannot follow a first one that insisted on making the device (IFF_TUN_EXCL).
func openVnetTAP(ifname string, queues int) (*tapDevice, error) {
	d := &tapDevice{vnet: true, driver: "tun"}
	for i := range queues {
		fd, err := openQueue(ifname, queues > 1, i == 0)
		if err != nil {
			d.close()
			return nil, err
		}
		if err := d.add(fd); err != nil {
			d.close()
			return nil, err
		}
	}
	err := d.control(0, func(fd int) error {
		for _, bits := range offloadSteps {
			err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, int(bits))
			if err == nil {
				d.offloads = Offloads{
					VnetHdr: true, Csum: bits&tunCsum != 0, TSO4: bits&tunTSO4 != 0, TSO6: bits&tunTSO6 != 0,
					ECN: bits&tunTSOECN != 0, USO4: bits&tunUSO4 != 0, USO6: bits&tunUSO6 != 0,
				}
				return nil
			}
			if !errors.Is(err, unix.EINVAL) {
				return err
			}
		}
		return unix.EINVAL
	})
	if err != nil {
		d.close()
		return nil, fmt.Errorf("offloads of %s: %w", ifname, err)
	}
	err = d.control(0, func(fd int) error {
		d.ring = uring.Works(fd)
		return nil
	})
	if err != nil {
		d.close()
		return nil, err
	}
	d.offloads.Batch = d.ring
	return d, nil
}

// openQueue opens one queue; first says that it must make the device.
func openQueue(ifname string, multi, first bool) (int, error) {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, tunOpenError(err)
	}
	if err := setupQueue(fd, ifname, multi, first); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func setupQueue(fd int, ifname string, multi, first bool) error {
	features, err := unix.IoctlGetUint32(fd, unix.TUNGETFEATURES)
	if err != nil || features&unix.IFF_VNET_HDR == 0 {
		return errNoVnetHdr
	}
	req, err := unix.NewIfreq(ifname)
	if err != nil {
		return err
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if multi {
		flags |= unix.IFF_MULTI_QUEUE
	}
	if first {
		flags |= unix.IFF_TUN_EXCL
	}
	req.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return tunSetError(ifname, err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetLen); err != nil {
		return fmt.Errorf("virtio-net header of %s: %w", ifname, err)
	}
	return nil
}

// openPlainTAP opens the device without header: every frame is whole and plain.
func openPlainTAP(ifname string, queues int) (*tapDevice, error) {
	d := &tapDevice{driver: "water"}
	for range queues {
		w, err := water.New(water.Config{
			DeviceType:             water.TAP,
			PlatformSpecificParams: water.PlatformSpecificParams{Name: ifname, MultiQueue: queues > 1},
		})
		if errors.Is(err, unix.ENOENT) {
			err = tunOpenError(unix.ENOENT)
		} else if err != nil {
			err = tunSetError(ifname, err)
		}
		if err == nil {
			err = d.addWater(w)
		}
		if err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

// addWater takes a queue over from water, whose file the runtime's poller
// watches.
func (d *tapDevice) addWater(w *water.Interface) error {
	defer w.Close()
	f, ok := w.ReadWriteCloser.(*os.File)
	if !ok {
		return fmt.Errorf("%s: water gave a %T instead of a file", w.Name(), w.ReadWriteCloser)
	}
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	if e := c.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("taking over %s: %w", w.Name(), err)
	}
	return d.add(fd)
}

func tunOpenError(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("no %s: load the kernel's tun module (modprobe tun), or give the device to the container", tunPath)
	}
	return rights(fmt.Errorf("opening %s: %w", tunPath, err))
}

func tunSetError(ifname string, err error) error {
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("making %s: %w", ifname, errExists)
	}
	return rights(fmt.Errorf("making %s: %w", ifname, err))
}

// errExists means that there is an interface of that name.
var errExists = errors.New("an interface of that name exists and is not this port's: choose another name, or remove it")

// add takes over a queue's descriptor.
func (d *tapDevice) add(fd int) error {
	f, err := doorbell.File(fd, tunPath)
	if err != nil {
		unix.Close(fd)
		return err
	}
	c, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return err
	}
	b, err := doorbell.New(fd)
	if err != nil {
		f.Close()
		return err
	}
	d.files = append(d.files, f)
	d.conns = append(d.conns, c)
	d.bells = append(d.bells, b)
	return nil
}

func (d *tapDevice) control(queue int, f func(fd int) error) error {
	var err error
	if e := d.conns[queue].Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}

// close gives up the queues; with the last the kernel removes the device.
func (d *tapDevice) close() {
	for i, f := range d.files {
		d.bells[i].Close()
		f.Close()
	}
}
