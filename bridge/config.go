package bridge

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"

	"vhub/eth"
)

// TAPConfig is what a TAP port is made from.
type TAPConfig struct {
	Hub  string // name of the hub; with Name it makes the default device name and MAC address
	Name string // name of the port

	Ifname    string         // device name, at most 15 bytes; "" takes "vh-" and Name
	Netns     string         // network namespace to make the device in: a name under /run/netns or a path; "" is vhub's own
	Bridge    string         // Linux bridge to put the device into; "" for none
	MTU       int            // bytes of payload, 68..65521; 0 takes the bridge's, or 1500
	MAC       eth.Addr       // zero: made from machine-id, hub and port, the same at every start
	Addresses []netip.Prefix // given to the bridge where there is one (an address on a bridge's port does not work), else to the device
	Queues    int            // queues, each with a reader of its own; 0 takes one a CPU, at most 8, and one in all where there are only two CPUs

	CreateBridge bool // make the bridge where it is missing; such a bridge is removed with its last TAP
	PinStations  bool // keep the hub's stations pinned in the bridge's forwarding table
	Offload      bool // virtio-net header, checksum and segmentation offload
}

// NICConfig is what a NIC port is made from.
//
// What the port sends goes to the wire and not to this host's own stack, so this
// host's addresses on the interface never answer stations of the hub; frames
// from and to them are dropped with a reason of their own, so that a wire that
// reflects does not make them answer now and then. An address that must answer
// belongs on a Linux bridge that holds the interface and a TAP port.
type NICConfig struct {
	Hub  string
	Name string

	Ifname  string // the interface
	Netns   string // as in TAPConfig
	Promisc bool   // hear all stations, by membership (PACKET_MR_PROMISC); the interface's flag is left alone
	Offload bool   // take and give large frames (PACKET_VNET_HDR); the interface's own settings stay as they are either way
}

// Limits of a TAP port.
const (
	maxIfname   = 15 // bytes, IFNAMSIZ - 1
	minMTU      = 68 // RFC 791 section 3.2
	maxMTU      = 65521
	maxQueues   = 8
	defaultMTU  = 1500
	aliasPrefix = "made by vhub" // interface alias of what vhub made
)

// Errors that callers tell apart.
var (
	// ErrRights means that the process may not make or open the device.
	ErrRights = errors.New("needs root or CAP_NET_ADMIN")
	// ErrNeedsRecreate is what Reconfigure says to a change that it cannot make
	// on the live device: close the port and open it anew.
	ErrNeedsRecreate = errors.New("needs the port to be made anew")
	// ErrDeviceGone is what Run says when somebody removed the TAP device.
	ErrDeviceGone = errors.New("the device was removed by someone else")
)

// withDefaults checks the configuration and fills in what was left out, all but
// MTU 0, which the bridge decides.
func (c TAPConfig) withDefaults() (TAPConfig, error) {
	if c.Ifname == "" {
		c.Ifname = "vh-" + c.Name
	}
	if err := checkIfname(c.Ifname); err != nil {
		return c, err
	}
	if c.Bridge != "" {
		if err := checkIfname(c.Bridge); err != nil {
			return c, fmt.Errorf("bridge: %w", err)
		}
		if c.Bridge == c.Ifname {
			return c, fmt.Errorf("%s cannot be both the device and its bridge", c.Bridge)
		}
	}
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		return c, fmt.Errorf("mtu %d is outside of %d..%d", c.MTU, minMTU, maxMTU)
	}
	if c.MAC.IsGroup() {
		return c, fmt.Errorf("%s is a multicast address and cannot be the device's", c.MAC)
	}
	if c.Queues < 0 || c.Queues > maxQueues {
		return c, fmt.Errorf("%d queues: choose 1..%d, or 0 for one a CPU", c.Queues, maxQueues)
	}
	if c.Queues == 0 {
		c.Queues = defaultQueues(runtime.GOMAXPROCS(0))
	}
	for _, p := range c.Addresses {
		if !p.IsValid() {
			return c, errors.New("an address of the device is not a valid prefix")
		}
	}
	return c, nil
}

// checkIfname refuses what the kernel would (dev_valid_name).
func checkIfname(s string) error {
	switch {
	case s == "":
		return errors.New("no interface name given")
	case len(s) > maxIfname:
		return fmt.Errorf("interface name %q is longer than %d bytes", s, maxIfname)
	case s == "." || s == ".." || strings.ContainsAny(s, "/:% \t\n\r\v\f\x00"):
		return fmt.Errorf("%q is not an interface name", s)
	}
	return nil
}

// defaultQueues is how many queues are best on so many CPUs. With two, the other
// one is busy with the sender or the receiver anyhow, and the kernel's choice of
// a queue costs each frame a hash on its way in and out.
func defaultQueues(cpus int) int {
	if cpus <= 2 {
		return 1
	}
	return min(cpus, maxQueues)
}
