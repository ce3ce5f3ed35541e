package bridge

import "sync/atomic"

// reason says why a port dropped a frame.
type reason uint8

// The reasons, in the order of reasonNames.
const (
	dropRunt       reason = iota // shorter than an Ethernet header, or than its virtio-net header
	dropTooLong                  // in: longer than any frame may be; the kernel cut it
	dropVnetHeader               // in: the virtio-net header makes no sense
	dropOverMTU                  // out: longer than the device's MTU
	dropBadOffload               // out: the frame is not what its Offload says
	dropFull                     // out: the device takes no more now (joined frames and those of a ring; others are left to the hub to count)
	dropDown                     // out: the device is down or gone
	dropRefused                  // out: the kernel refused the frame
	dropForHost                  // NIC: to or from this host's own address, which the kernel hears itself
	dropKernel                   // NIC, in: lost in the socket's buffer before vhub read them
	reasons
)

var reasonNames = [reasons]string{
	"runt", "too-long", "bad-vnet-header", "over-mtu", "bad-offload", "device-full",
	"device-down", "device-refused", "own-host", "socket-full",
}

func (r reason) String() string { return reasonNames[r] }

// counters are one port's sums. Readers and writers add once a batch.
type counters struct {
	rxFrames, rxBytes         atomic.Uint64
	_                         [112]byte // readers and writers on cache lines of their own
	txFrames, txBytes, joined atomic.Uint64
	_                         [104]byte
	drops                     [reasons]atomic.Uint64
}

func (c *counters) drop(r reason, n uint64) { c.drops[r].Add(n) }

func (c *counters) snapshot() Counters {
	s := Counters{
		RxFrames: c.rxFrames.Load(), RxBytes: c.rxBytes.Load(),
		TxFrames: c.txFrames.Load(), TxBytes: c.txBytes.Load(), Joined: c.joined.Load(),
		Drops: map[string]uint64{},
	}
	for r := range c.drops {
		if n := c.drops[r].Load(); n > 0 {
			s.Drops[reasonNames[r]] = n
		}
	}
	return s
}
