package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"

	"vhub/eth"
	"vhub/hub"
)

// TAP is a port of kind "tap". It is a hub.Port and a hub.StationWatcher.
type TAP struct {
	log   *slog.Logger
	space *space
	dev   *tapDevice
	index int // ifindex
	mac   eth.Addr

	count   counters
	mtu     atomic.Int64
	closed  atomic.Bool
	writers sync.Pool // *tapWriter

	stations stations
	hold     holder
	pinning  atomic.Bool // the device is in its bridge and stations are pinned

	calls chan func(*keeper) // run by the keeper
	stop  context.CancelFunc
	done  chan struct{} // closed when the keeper has ended

	mu    sync.Mutex // guards what follows: the keeper writes, Status reads
	cfg   TAPConfig
	state tapState
}

// tapState is what the keeper last saw and did.
type tapState struct {
	inBridge, ours bool
	rejoins        uint64
	pins           int
	pinErrors      uint64
	warnings       []string
}

var (
	_ hub.Port           = (*TAP)(nil)
	_ hub.StationWatcher = (*TAP)(nil)
)

// OpenTAP makes the device, joins it to its bridge and brings it up. Frames
// flow when Run is called. Errors say what to do; errors.Is tells ErrRights.
// What OpenTAP made before an error is removed again.
func OpenTAP(cfg TAPConfig, log *slog.Logger) (*TAP, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("tap %s: %w", cfg.Name, err)
	}
	t := &TAP{cfg: cfg, log: log.With("hub", cfg.Hub, "port", cfg.Name, "ifname", cfg.Ifname), calls: make(chan func(*keeper)), done: make(chan struct{})}
	t.writers.New = t.newWriter
	t.stations.init()
	if t.space, err = openSpace(cfg.Netns); err != nil {
		return nil, fmt.Errorf("tap %s: %w", cfg.Name, err)
	}
	k, err := t.open()
	if err != nil {
		t.remove()
		return nil, fmt.Errorf("tap %s: %w", cfg.Name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.stop = cancel
	go k.run(ctx)
	return t, nil
}

// open makes and sets up the device, and its keeper.
func (t *TAP) open() (*keeper, error) {
	if err := t.makeDevice(); err != nil {
		return nil, err
	}
	l, err := t.space.nl.LinkByName(t.cfg.Ifname)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", t.cfg.Ifname, err)
	}
	t.index = l.Attrs().Index
	if err := t.setUpDevice(l); err != nil {
		return nil, err
	}
	k, err := newKeeper(t)
	if err != nil {
		return nil, err
	}
	if err := k.open(); err != nil {
		k.close()
		return nil, err
	}
	if err := t.space.nl.LinkSetUp(l); err != nil {
		k.close()
		return nil, rights(fmt.Errorf("bringing %s up: %w", t.cfg.Ifname, err))
	}
	k.warn()
	return k, nil
}

// makeDevice makes the TAP. A vhub that was killed a moment ago may still be
// going, and its device with it: such a name is waited for.
func (t *TAP) makeDevice() error {
	deadline := time.Now().Add(time.Second)
	for {
		l, err := t.space.nl.LinkByName(t.cfg.Ifname)
		if err == nil {
			if isOurs(l) && l.Type() == "tuntap" && time.Now().Before(deadline) {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			return fmt.Errorf("%s: %w", t.cfg.Ifname, errExists)
		}
		if !notFound(err) {
			return rights(fmt.Errorf("looking for %s: %w", t.cfg.Ifname, err))
		}
		err = t.space.do(func() (err error) {
			t.dev, err = openTAPDevice(t.cfg.Ifname, t.cfg.Queues, t.cfg.Offload)
			return err
		})
		if !errors.Is(err, errExists) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// setUpDevice gives the device its mark, MAC address and queue length.
func (t *TAP) setUpDevice(l netlink.Link) error {
	t.mac = t.cfg.MAC
	if t.mac.IsZero() {
		t.mac = stableMAC(0xfe, "tap", t.cfg.Netns, t.cfg.Hub, t.cfg.Name)
	}
	nl := t.space.nl
	err := nl.LinkSetAlias(l, fmt.Sprintf("%s for port %s of hub %s", aliasPrefix, t.cfg.Name, t.cfg.Hub))
	if err == nil {
		err = nl.LinkSetHardwareAddr(l, net.HardwareAddr(t.mac[:]))
	}
	if err == nil {
		err = nl.LinkSetTxQLen(l, txQueueLen)
	}
	if err == nil && t.cfg.Bridge != "" {
		const addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE: a bridge's port has no address of its own
		nl.LinkSetIP6AddrGenMode(l, addrGenModeNone)
	}
	if err != nil {
		return rights(fmt.Errorf("setting up %s: %w", t.cfg.Ifname, err))
	}
	return nil
}

// Run reads the device until ctx ends and gives the frames to the link; one
// goroutine a queue. It returns nil then, or ErrDeviceGone.
func (t *TAP) Run(ctx context.Context, link *hub.Link) error {
	var readers []*hub.Reader
	defer func() {
		for _, r := range readers {
			r.Close()
		}
	}()
	return t.run(ctx, func() input {
		r := link.NewReader()
		readers = append(readers, r)
		return r
	})
}

// Close removes what the port made: the device, its pins, its addresses, and
// the bridge if vhub made it and nothing else is in it. Run returns.
func (t *TAP) Close() error {
	if t.closed.Swap(true) {
		return nil
	}
	t.stop()
	<-t.done
	return t.remove()
}

// remove takes away device and bridge.
func (t *TAP) remove() error {
	t.closed.Store(true)
	if l, err := t.space.nl.LinkByIndex(t.index); t.index != 0 && err == nil && isOurs(l) {
		t.space.nl.LinkDel(l) // at once; else the device would stay until the last reader is gone
	}
	if t.dev != nil {
		t.dev.close()
	}
	var err error
	if t.cfg.Bridge != "" {
		_, err = t.space.removeBridge(t.cfg.Bridge)
	}
	t.space.close()
	return err
}

// Reconfigure makes the port what cfg says, where that can be done on the live
// device: MTU, addresses, bridge and pins. Else it is ErrNeedsRecreate and
// nothing was changed.
func (t *TAP) Reconfigure(cfg TAPConfig) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return fmt.Errorf("tap %s: %w", cfg.Name, err)
	}
	old := t.config()
	if cfg.Hub != old.Hub || cfg.Name != old.Name || cfg.Ifname != old.Ifname || cfg.Netns != old.Netns ||
		cfg.MAC != old.MAC || cfg.Queues != old.Queues || cfg.Offload != old.Offload {
		return fmt.Errorf("tap %s: %w", cfg.Name, ErrNeedsRecreate)
	}
	return t.onKeeper(func(k *keeper) error { return k.reconfigure(cfg) })
}

var errClosed = errors.New("the port is closed")

// onKeeper calls f on the keeper's goroutine and waits for it.
func (t *TAP) onKeeper(f func(*keeper) error) error {
	result := make(chan error, 1)
	select {
	case t.calls <- func(k *keeper) { result <- f(k) }:
		return <-result
	case <-t.done:
		return errClosed
	}
}

func (t *TAP) config() TAPConfig {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cfg
}

// Segment names the wire that the port shares with other ports of the hub, for
// hub.LinkConfig.Segment: "bridge:br0" in a bridge, else "".
func (t *TAP) Segment() string {
	if c := t.config(); c.Bridge != "" {
		return segmentOfBridge(c.Bridge)
	}
	return ""
}

// Warnings says what the operator should know, one sentence each.
func (t *TAP) Warnings() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.state.warnings)
}

// Status says how the port is now.
func (t *TAP) Status() TAPStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := TAPStatus{
		Ifname: t.cfg.Ifname, Netns: t.cfg.Netns, MAC: t.mac, MTU: int(t.mtu.Load()),
		Bridge: t.cfg.Bridge, InBridge: t.state.inBridge, BridgeIsOurs: t.state.ours, Rejoins: t.state.rejoins,
		Queues: len(t.dev.conns), Driver: t.dev.driver, Offloads: t.dev.offloads,
		Pins: t.state.pins, PinErrors: t.state.pinErrors, Held: t.hold.held.Load(),
		Counters: t.count.snapshot(), Warnings: slices.Clone(t.state.warnings),
	}
	for _, p := range t.cfg.Addresses {
		s.Addresses = append(s.Addresses, p.String())
	}
	return s
}
