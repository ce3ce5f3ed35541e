package bridge

import (
	"context"
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

// NIC is a port of kind "nic". It is a hub.Port.
type NIC struct {
	cfg   NICConfig
	log   *slog.Logger
	space *space

	sock    atomic.Pointer[nicSocket] // nil while the interface is gone
	host    atomic.Pointer[hostAddrs]
	mtu     atomic.Int64
	count   counters
	writers sync.Pool // *nicWriter

	changed chan struct{} // one slot: the interface went up or down, or came back
	stop    context.CancelFunc
	done    chan struct{} // closed when the watcher has ended

	mu    sync.Mutex // guards what follows
	index int
	state nicState
}

type nicState struct {
	up       bool
	bridge   string
	reopens  uint64
	warnings []string
}

var _ hub.Port = (*NIC)(nil)

// OpenNIC opens the interface. Its flags, MTU and offload settings stay as they
// are. Frames flow when Run is called. Read Warnings: a tap port in a Linux
// bridge is the better way. Errors say what to do; errors.Is tells ErrRights.
func OpenNIC(cfg NICConfig, log *slog.Logger) (*NIC, error) {
	fail := func(err error) (*NIC, error) { return nil, fmt.Errorf("nic %s: %w", cfg.Name, err) }
	if err := checkIfname(cfg.Ifname); err != nil {
		return fail(err)
	}
	n := &NIC{
		cfg: cfg, log: log.With("hub", cfg.Hub, "port", cfg.Name, "ifname", cfg.Ifname),
		changed: make(chan struct{}, 1), done: make(chan struct{}),
	}
	n.writers.New = n.newWriter
	n.host.Store(&hostAddrs{})
	var err error
	if n.space, err = openSpace(cfg.Netns); err != nil {
		return fail(err)
	}
	w := &nicWatcher{n: n}
	if err := w.open(); err != nil {
		w.close()
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go w.run(ctx)
	return n, nil
}

// Close gives the interface up, as it was found. Run returns.
func (n *NIC) Close() error {
	n.stop()
	<-n.done
	return nil
}

// Run reads the interface until ctx ends or the port is closed, and gives the
// frames to the link. It tells the link when the interface goes down or up, and
// goes on when an interface that went away comes back.
func (n *NIC) Run(ctx context.Context, link *hub.Link) error {
	r := link.NewReader()
	defer r.Close()
	return n.run(ctx, r, func(up bool) { link.SetUp(time.Now(), up) })
}

func (n *NIC) run(ctx context.Context, in input, setUp func(bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var readers sync.WaitGroup
	defer readers.Wait()
	var reading *nicSocket
	for {
		setUp(n.isUp())
		if s := n.sock.Load(); s != nil && s != reading {
			reading = s
			readers.Wait() // the old socket is closed: its reader is at its end
			readers.Go(func() { n.readSocket(ctx, s, in) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.done:
			cancel()
			return nil
		case <-n.changed:
		}
	}
}

// readSocket reads until the socket is closed or ctx ends.
func (n *NIC) readSocket(ctx context.Context, s *nicSocket, in input) {
	s.bell.Resume()
	stop := context.AfterFunc(ctx, s.bell.Interrupt)
	defer stop()
	r := newNICReader(n, s)
	for ctx.Err() == nil && n.sock.Load() == s {
		frames, err := r.readBatch()
		if len(frames) > 0 {
			in.Input(time.Now(), frames)
		}
		if err != nil && ctx.Err() == nil && n.sock.Load() == s {
			n.log.Debug("reading the interface", "err", err) // ENETDOWN, once for each time it goes down
		}
	}
}

func (n *NIC) isUp() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state.up && n.sock.Load() != nil
}

// Segment names the wire that the port shares with other ports of the hub, for
// hub.LinkConfig.Segment: "bridge:br0" where the interface is in that bridge,
// else "".
func (n *NIC) Segment() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state.bridge == "" {
		return ""
	}
	return segmentOfBridge(n.state.bridge)
}

// Warnings says what the operator should know, one sentence each.
func (n *NIC) Warnings() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.state.warnings)
}

// Status says how the port is now.
func (n *NIC) Status() NICStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := NICStatus{
		Ifname: n.cfg.Ifname, Netns: n.cfg.Netns, MAC: n.host.Load().nic, MTU: int(n.mtu.Load()),
		Up: n.state.up, Promisc: n.cfg.Promisc, Bridge: n.state.bridge, Reopens: n.state.reopens,
		Warnings: slices.Clone(n.state.warnings),
	}
	if sock := n.sock.Load(); sock != nil {
		s.Present = true
		v := sock.vnet
		s.Offloads = Offloads{VnetHdr: v, Csum: v, TSO4: v, TSO6: v, ECN: v, USO4: v, USO6: v, Batch: true}
		if lost := sock.lost(); lost > 0 {
			n.count.drop(dropKernel, lost)
		}
	}
	s.Counters = n.count.snapshot()
	return s
}

// nicWatcher is the goroutine that follows the interface by netlink events.
type nicWatcher struct {
	n     *NIC
	links chan netlink.LinkUpdate
	quit  chan struct{}
	last  string // the last complaint logged
}

func (w *nicWatcher) open() error {
	if err := w.subscribe(); err != nil {
		return rights(fmt.Errorf("netlink events: %w", err))
	}
	if err := w.look(); err != nil {
		return err
	}
	return nil
}

func (w *nicWatcher) subscribe() error {
	w.links, w.quit = make(chan netlink.LinkUpdate, eventBuffer), make(chan struct{})
	ns := w.n.space.ns
	return netlink.LinkSubscribeWithOptions(w.links, w.quit, netlink.LinkSubscribeOptions{Namespace: &ns})
}

func (w *nicWatcher) close() {
	if w.quit != nil {
		close(w.quit)
		go func(links chan netlink.LinkUpdate) {
			for range links {
			}
		}(w.links)
	}
	w.n.drop()
	w.n.space.close()
}

func (w *nicWatcher) run(ctx context.Context) {
	defer close(w.n.done)
	defer w.close()
	tick := time.NewTicker(5 * time.Second) // in case an event was lost
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case u, ok := <-w.links:
			if !ok {
				if w.subscribe() != nil {
					w.links = nil // the tick goes on
				}
			} else if !w.n.concerns(&u) {
				continue
			}
		case <-tick.C:
		}
		err := w.look()
		if err != nil && err.Error() != w.last {
			w.n.log.Warn("interface is not there", "err", err)
			w.last = err.Error()
		} else if err == nil {
			w.last = ""
		}
	}
}

// concerns tells whether a link's event may be about the interface or its bridge.
func (n *NIC) concerns(u *netlink.LinkUpdate) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := u.Link.Attrs()
	return a.Index == n.index || a.Name == n.cfg.Ifname || n.state.bridge != "" && a.Name == n.state.bridge
}

// look follows the interface: opens one that came back, gives up one that went.
func (w *nicWatcher) look() error {
	n := w.n
	l, err := n.space.nl.LinkByName(n.cfg.Ifname)
	if err != nil {
		if !notFound(err) {
			return rights(fmt.Errorf("interface %s: %w", n.cfg.Ifname, err))
		}
		n.drop()
		return fmt.Errorf("no interface %s: \"ip link\" lists those there are", n.cfg.Ifname)
	}
	a := l.Attrs()
	if a.EncapType != "ether" {
		return fmt.Errorf("%s is not an Ethernet interface (%s)", a.Name, a.EncapType)
	}
	info, err := n.space.info(l)
	if err != nil {
		return err
	}
	host := &hostAddrs{nic: macOf(a.HardwareAddr)}
	host.bridge = host.nic
	if info.Bridge != "" {
		if m, err := n.space.nl.LinkByName(info.Bridge); err == nil {
			host.bridge = macOf(m.Attrs().HardwareAddr)
			if own, err := n.space.info(m); err == nil {
				info.Addresses = append(info.Addresses, own.Addresses...)
			}
		}
	}
	n.host.Store(host)
	n.mtu.Store(int64(a.MTU))
	if err := n.reopen(a.Index); err != nil {
		return err
	}
	n.mu.Lock()
	n.state.up = a.Flags&net.FlagUp != 0 && a.RawFlags&ifLowerUp != 0
	n.state.bridge = info.Bridge
	n.state.warnings = nicWarnings(info)
	n.mu.Unlock()
	n.tell()
	return nil
}

// ifLowerUp is IFF_LOWER_UP: the interface has a carrier.
const ifLowerUp = 1 << 16

// reopen opens the interface unless it is open already.
func (n *NIC) reopen(index int) error {
	n.mu.Lock()
	was := n.index
	n.mu.Unlock()
	if n.sock.Load() != nil && was == index {
		return nil
	}
	n.drop()
	var s *nicSocket
	err := n.space.do(func() (err error) {
		s, err = openNICSocket(index, n.cfg.Promisc, n.cfg.Offload)
		return err
	})
	if err != nil {
		return fmt.Errorf("interface %s: %w", n.cfg.Ifname, err)
	}
	n.sock.Store(s)
	n.mu.Lock()
	n.index = index
	if was != 0 {
		n.state.reopens++
	}
	n.mu.Unlock()
	if was != 0 {
		n.log.Info("interface is back")
	}
	return nil
}

// drop closes the socket.
func (n *NIC) drop() {
	if s := n.sock.Swap(nil); s != nil {
		if lost := s.lost(); lost > 0 {
			n.count.drop(dropKernel, lost)
		}
		s.close()
		n.mu.Lock()
		n.state.up = false
		n.mu.Unlock()
		n.tell()
	}
}

// tell wakes Run.
func (n *NIC) tell() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

func macOf(hw net.HardwareAddr) (a eth.Addr) {
	if len(hw) == len(a) {
		copy(a[:], hw)
	}
	return a
}

// Reconfigure says whether the port is what cfg says already; a nic port has
// nothing that can be changed on the live device.
func (n *NIC) Reconfigure(cfg NICConfig) error {
	if cfg == n.cfg {
		return nil
	}
	return fmt.Errorf("nic %s: %w", cfg.Name, ErrNeedsRecreate)
}
