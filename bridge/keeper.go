package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vhub/eth"
)

// How often the keeper acts.
const (
	checkGap    = 50 * time.Millisecond // between two looks at the links, at least
	restoreGap  = time.Second           // between two restorations, at least: someone may be undoing them
	resyncEvery = 30 * time.Second      // whole comparison of the pins with the bridge's table
	eventBuffer = 256                   // netlink events waiting for the keeper
)

// keeper is the goroutine that keeps a TAP where it belongs: in its bridge, with
// its addresses, and with the hub's stations pinned.
type keeper struct {
	t      *TAP
	links  chan netlink.LinkUpdate
	neighs chan netlink.NeighUpdate
	quit   chan struct{} // ends the subscriptions

	bridge     int            // ifindex of the bridge that the TAP is in, 0 none
	joined     string         // the bridge that the TAP was last put into
	pins       *pinner        // nil while the TAP is in no bridge or pins are off
	added      []netip.Prefix // addresses that the port gave
	addedTo    int            // ... and the interface it gave them to
	lastFix    time.Time
	checkAt    time.Time // zero: no look is due
	resyncAt   time.Time
	expireAt   time.Time // of stations on trial; zero: there are none
	complained string    // the last complaint logged, so that it is logged once
}

func newKeeper(t *TAP) (*keeper, error) {
	k := &keeper{t: t}
	if err := k.subscribe(); err != nil {
		return nil, rights(fmt.Errorf("netlink events: %w", err))
	}
	return k, nil
}

// subscribe asks the kernel for the events of links and of bridges' tables.
func (k *keeper) subscribe() error {
	k.links = make(chan netlink.LinkUpdate, eventBuffer)
	k.neighs = make(chan netlink.NeighUpdate, eventBuffer)
	k.quit = make(chan struct{})
	ns := k.t.space.ns
	err := netlink.LinkSubscribeWithOptions(k.links, k.quit, netlink.LinkSubscribeOptions{Namespace: &ns})
	if err == nil {
		err = netlink.NeighSubscribeWithOptions(k.neighs, k.quit, netlink.NeighSubscribeOptions{Namespace: &ns})
	}
	if err != nil {
		close(k.quit)
	}
	return err
}

// close ends the subscriptions and eats what they still had to say, as their
// goroutines may be waiting to say it.
func (k *keeper) close() {
	close(k.quit)
	if k.links == nil {
		return
	}
	go func(links chan netlink.LinkUpdate, neighs chan netlink.NeighUpdate) {
		for range links {
		}
		for range neighs {
		}
	}(k.links, k.neighs)
}

// open does what must succeed before the port counts as open.
func (k *keeper) open() error {
	return k.settle(k.t.cfg)
}

// run is the keeper's goroutine.
func (k *keeper) run(ctx context.Context) {
	defer close(k.t.done)
	defer k.end()
	k.resyncAt = time.Now().Add(resyncEvery)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-k.t.calls:
			f(k)
		case u, ok := <-k.links:
			if !ok {
				k.resubscribe()
			} else if k.concerns(&u) {
				k.lookSoon()
			}
		case u, ok := <-k.neighs:
			if !ok {
				k.resubscribe()
			} else if k.lostPin(&u) {
				k.resyncSoon()
			}
		case <-k.t.stations.kick:
			k.pinNews()
		case <-timer.C:
			k.due(time.Now())
		}
		timer.Reset(time.Until(k.nextDue()))
	}
}

func (k *keeper) nextDue() time.Time {
	next := k.resyncAt
	for _, at := range []time.Time{k.checkAt, k.expireAt} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

func (k *keeper) due(now time.Time) {
	if !k.checkAt.IsZero() && !now.Before(k.checkAt) {
		k.checkAt = time.Time{}
		k.look(now)
	}
	if !k.expireAt.IsZero() && !now.Before(k.expireAt) {
		k.expireAt = time.Time{}
		if k.t.stations.expire(now) > 0 {
			k.expireAt = now.Add(trialTime)
		}
	}
	if !now.Before(k.resyncAt) {
		k.resyncAt = now.Add(resyncEvery)
		if k.links == nil {
			k.resubscribe()
		}
		k.resync()
	}
}

// resubscribe makes up for a lost subscription (the kernel drops it when events
// come faster than they are read).
func (k *keeper) resubscribe() {
	k.close()
	if err := k.subscribe(); err != nil {
		k.links, k.neighs, k.quit = nil, nil, make(chan struct{})
		k.complain("netlink events are lost: " + err.Error())
	}
	k.lookSoon()
}

// concerns tells whether a link's event may be about the TAP or its bridge.
func (k *keeper) concerns(u *netlink.LinkUpdate) bool {
	a := u.Link.Attrs()
	return a.Index == k.t.index || k.bridge != 0 && (a.Index == k.bridge || a.MasterIndex == k.bridge) ||
		k.t.cfg.Bridge != "" && a.Name == k.t.cfg.Bridge
}

// lostPin tells whether an event takes away a pin, or moves one.
func (k *keeper) lostPin(u *netlink.NeighUpdate) bool {
	if k.pins == nil || u.Family != unix.AF_BRIDGE || len(u.HardwareAddr) != 6 {
		return false
	}
	if k.pins.refs[pin{uint16(u.Vlan), eth.Addr(u.HardwareAddr)}] == 0 {
		return false
	}
	if u.Type == unix.RTM_DELNEIGH {
		return u.LinkIndex == k.t.index
	}
	return u.MasterIndex == k.bridge && (u.LinkIndex != k.t.index || u.Flags&netlink.NTF_STICKY == 0)
}

func (k *keeper) lookSoon() {
	at := time.Now().Add(checkGap)
	if wait := k.lastFix.Add(restoreGap); wait.After(at) {
		at = wait
	}
	if k.checkAt.IsZero() || at.Before(k.checkAt) {
		k.checkAt = at
	}
}

func (k *keeper) resyncSoon() {
	if at := time.Now().Add(checkGap); at.Before(k.resyncAt) {
		k.resyncAt = at
	}
}

// look compares the links with what they should be and mends them.
func (k *keeper) look(now time.Time) {
	if err := k.settle(k.t.cfg); err != nil {
		k.complain(err.Error())
		k.checkAt = now.Add(restoreGap)
		return
	}
	k.complained = ""
	k.warn()
}

func (k *keeper) complain(what string) {
	if what != k.complained {
		k.t.log.Warn("tap is not as configured", "err", what)
		k.complained = what
		k.warn()
	}
}

// warn says what the operator should know now.
func (k *keeper) warn() {
	t := k.t
	var w []string
	if k.complained != "" {
		w = append(w, k.complained)
	}
	if t.cfg.Offload && !t.dev.vnet {
		w = append(w, "this kernel's TAP has no virtio-net header: frames go one by one, and bulk traffic costs many times more")
	}
	if l, err := t.space.nl.LinkByIndex(t.index); err == nil && l.Attrs().Flags&net.FlagUp == 0 {
		w = append(w, fmt.Sprintf("%[1]s is down: ip link set %[1]s up", t.cfg.Ifname))
	}
	t.mu.Lock()
	t.state.warnings = w
	t.mu.Unlock()
}

// settle makes the links what cfg says: bridge, MTU, addresses, pins.
func (k *keeper) settle(cfg TAPConfig) error {
	t := k.t
	l, err := t.space.nl.LinkByIndex(t.index)
	if err != nil {
		k.lost()
		return fmt.Errorf("%s is not in this network namespace any more: %w", cfg.Ifname, err)
	}
	var br netlink.Link
	if cfg.Bridge != "" {
		if br, err = t.space.findBridge(cfg.Bridge, cfg.CreateBridge); err != nil {
			k.lost()
			return err
		}
	}
	if err := k.settleMTU(l, br, cfg); err != nil {
		return err
	}
	if err := k.settleMaster(l, br, cfg); err != nil {
		return err
	}
	if err := k.settleAddresses(l, br, cfg); err != nil {
		return err
	}
	k.settlePins(br, cfg)
	t.mu.Lock()
	t.state.inBridge = br != nil
	t.state.ours = br != nil && isOurs(br)
	t.mu.Unlock()
	return nil
}

// lost notes that the TAP is in no bridge.
func (k *keeper) lost() {
	k.bridge = 0
	k.pins = nil
	k.t.pinning.Store(false)
	k.t.hold.releaseAll(k.t.writeHeld)
	k.t.mu.Lock()
	k.t.state.inBridge, k.t.state.pins = false, 0
	k.t.mu.Unlock()
}

func (k *keeper) settleMTU(l, br netlink.Link, cfg TAPConfig) error {
	now := l.Attrs().MTU
	want := cfg.MTU
	switch {
	case want != 0 || k.t.mtu.Load() != 0 && br == nil: // as configured, or as someone set it since
	case br != nil && l.Attrs().MasterIndex != br.Attrs().Index:
		if n, err := k.t.space.members(br.Attrs().Index); err == nil && n > 0 || !isOurs(br) {
			want = br.Attrs().MTU
		} else {
			want = defaultMTU
		}
	case br == nil:
		want = defaultMTU
	}
	if want != 0 && want != now {
		if err := k.t.space.nl.LinkSetMTU(l, want); err != nil {
			return rights(fmt.Errorf("mtu %d of %s: %w", want, cfg.Ifname, err))
		}
		now = want
	}
	k.t.mtu.Store(int64(now))
	return nil
}

// settleMaster puts the TAP into its bridge, or out of one that is no longer
// configured.
func (k *keeper) settleMaster(l, br netlink.Link, cfg TAPConfig) error {
	has, want := l.Attrs().MasterIndex, 0
	if br != nil {
		want = br.Attrs().Index
	}
	if has == want || br == nil && k.bridge == 0 { // a TAP without bridge may be put into one by others
		k.bridge = want
		return nil
	}
	if err := k.t.space.nl.LinkSetMasterByIndex(l, want); err != nil {
		if br == nil {
			return rights(fmt.Errorf("taking %s out of its bridge: %w", cfg.Ifname, err))
		}
		return rights(fmt.Errorf("putting %s into bridge %s: %w", cfg.Ifname, cfg.Bridge, err))
	}
	again := br != nil && k.joined == cfg.Bridge
	k.bridge, k.joined = want, cfg.Bridge
	k.pins = nil // the entries went with the old membership
	if again {
		k.lastFix = time.Now()
		k.t.log.Info("tap put back into its bridge", "bridge", cfg.Bridge)
		k.t.mu.Lock()
		k.t.state.rejoins++
		k.t.mu.Unlock()
	}
	return nil
}

// settleAddresses gives the configured addresses and takes back what the port
// gave before and is no longer wanted.
func (k *keeper) settleAddresses(l, br netlink.Link, cfg TAPConfig) error {
	to := l
	if br != nil {
		to = br
	}
	if k.addedTo != to.Attrs().Index {
		k.takeAddressesBack()
	}
	old := slices.DeleteFunc(slices.Clone(k.added), func(p netip.Prefix) bool { return slices.Contains(cfg.Addresses, p) })
	if err := k.t.space.delAddresses(to, old); err != nil {
		return err
	}
	k.added = slices.DeleteFunc(k.added, func(p netip.Prefix) bool { return slices.Contains(old, p) })
	added, err := k.t.space.addAddresses(to, cfg.Addresses)
	for _, p := range added {
		if !slices.Contains(k.added, p) {
			k.added = append(k.added, p)
		}
	}
	k.addedTo = to.Attrs().Index
	return err
}

func (k *keeper) takeAddressesBack() {
	if len(k.added) == 0 {
		return
	}
	if l, err := k.t.space.nl.LinkByIndex(k.addedTo); err == nil {
		k.t.space.delAddresses(l, k.added)
	}
	k.added = nil
}

// settlePins makes the pinner fit the bridge.
func (k *keeper) settlePins(br netlink.Link, cfg TAPConfig) {
	if br == nil || !cfg.PinStations {
		if k.pins != nil && br != nil {
			k.pins.resync(nil)
		}
		k.pins = nil
		k.t.pinning.Store(false)
		k.t.hold.releaseAll(k.t.writeHeld)
		k.notePins()
		return
	}
	view, err := k.t.space.view(br, k.t.index)
	if err != nil {
		k.complain(err.Error())
	}
	if k.pins == nil || k.pins.view != view {
		old := k.pins
		k.pins = newPinner(&kernelFDB{nl: k.t.space.nl, port: k.t.index, bridgeIndex: br.Attrs().Index}, view)
		if old != nil {
			k.pins.errs = old.errs
		}
		k.t.pinning.Store(true)
	}
	k.resync()
}

// pinNews brings what the hub told into the bridge and lets the stations' held
// frames go.
func (k *keeper) pinNews() {
	if k.expireAt.IsZero() {
		k.expireAt = time.Now().Add(trialTime)
	}
	for st, here := range k.t.stations.take() {
		if k.pins != nil {
			k.pins.set(st, here)
		}
		k.t.hold.release(st, k.t.writeHeld)
	}
	k.notePins()
}

// resync compares all pins with the bridge's table.
func (k *keeper) resync() {
	if k.pins == nil {
		return
	}
	if err := k.pins.resync(k.t.stations.list()); err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		k.complain("reading the bridge's table: " + err.Error())
	} else if err != nil {
		k.resyncSoon()
	}
	k.t.hold.releaseAll(k.t.writeHeld)
	k.notePins()
}

func (k *keeper) notePins() {
	pins, errs := 0, uint64(0)
	if k.pins != nil {
		pins, errs = len(k.pins.refs), k.pins.errs
		if err := k.pins.lastErr; err != nil {
			k.pins.lastErr = nil
			k.complain("pinning stations: " + err.Error())
		}
	}
	k.t.mu.Lock()
	k.t.state.pins = pins
	if errs > 0 {
		k.t.state.pinErrors = errs
	}
	k.t.mu.Unlock()
}

// reconfigure is Reconfigure's part that runs here.
func (k *keeper) reconfigure(cfg TAPConfig) error {
	old := k.t.cfg
	if cfg.MTU == 0 && old.MTU != 0 { // what the bridge's MTU was without the TAP is not known any more
		return fmt.Errorf("tap %s: mtu 0: %w", cfg.Name, ErrNeedsRecreate)
	}
	if err := k.settle(cfg); err != nil {
		if e := k.settle(old); e != nil { // back to what was
			k.complain(e.Error())
		}
		return fmt.Errorf("tap %s: %w", cfg.Name, err)
	}
	k.t.mu.Lock()
	k.t.cfg = cfg
	k.t.mu.Unlock()
	k.complained = "" // of what was configured before
	k.warn()
	if old.Bridge != "" && old.Bridge != cfg.Bridge {
		if _, err := k.t.space.removeBridge(old.Bridge); err != nil {
			k.complain(err.Error())
		}
	}
	return nil
}

// end takes back what outlives the device.
func (k *keeper) end() {
	k.t.pinning.Store(false)
	k.takeAddressesBack()
	k.close()
	k.t.hold.releaseAll(k.t.writeHeld)
}
