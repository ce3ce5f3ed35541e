package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"vhub/config"
	"vhub/eth"
	"vhub/hub"
)

// bench is a world of fake devices: which are open, and which cannot be had.
type bench struct {
	mu     sync.Mutex
	broken map[string]bool // interfaces that cannot be opened
	live   map[string]*fakeDevice
	opens  int
}

func newBench() *bench {
	return &bench{broken: map[string]bool{}, live: map[string]*fakeDevice{}}
}

// fakeDevice is a device of kind tap; what the hub sends to it is kept.
type fakeDevice struct {
	bench  *bench
	ifname string
	fail   chan error

	mu   sync.Mutex
	mtu  int
	wire string
	sent [][]byte
}

var _ device = (*fakeDevice)(nil)

// open is the bench's opener. As in the kernel, a name can be had once.
func (b *bench) open(_ string, cfg *config.Port, _ *slog.Logger) (device, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opens++
	name := cfg.TAP.Interface
	switch {
	case b.broken[name]:
		return nil, fmt.Errorf("no interface %s", name)
	case b.live[name] != nil:
		return nil, fmt.Errorf("%s is there already", name)
	}
	d := &fakeDevice{bench: b, ifname: name, fail: make(chan error, 1), mtu: cfg.TAP.MTU}
	b.live[name] = d
	return d, nil
}

// interfaces are the devices that are open, with their MTU.
func (b *bench) interfaces() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]int{}
	for name, d := range b.live {
		d.mu.Lock()
		all[name] = d.mtu
		d.mu.Unlock()
	}
	return all
}

// tries is how often a device was to be opened.
func (b *bench) tries() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opens
}

func (b *bench) device(ifname string) *fakeDevice {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live[ifname]
}

func (b *bench) breakDown(ifname string, broken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken[ifname] = broken
}

func (d *fakeDevice) WriteFrames(frames []eth.Frame) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range frames {
		d.sent = append(d.sent, bytes.Clone(f.Data))
	}
	return len(frames)
}

// take returns what the hub sent since the last take.
func (d *fakeDevice) take() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	sent := d.sent
	d.sent = nil
	return sent
}

func (d *fakeDevice) Run(ctx context.Context, _ *hub.Link) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-d.fail:
		return err
	}
}

func (d *fakeDevice) Close() error {
	d.bench.mu.Lock()
	defer d.bench.mu.Unlock()
	if d.bench.live[d.ifname] != d {
		return errors.New("closed twice")
	}
	delete(d.bench.live, d.ifname)
	return nil
}

// reconfigure changes the MTU on the live device; 1111 is one that the device
// refuses.
func (d *fakeDevice) reconfigure(cfg *config.Port) error {
	if cfg.TAP.Interface != d.ifname {
		return errRemake
	}
	if cfg.TAP.MTU == 1111 {
		return errors.New("mtu 1111 is refused")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mtu = cfg.TAP.MTU
	return nil
}

func (d *fakeDevice) segment() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wire
}

func (d *fakeDevice) maxFrame() int           { return 0 }
func (d *fakeDevice) where() string           { return d.ifname }
func (d *fakeDevice) detail() json.RawMessage { return json.RawMessage(`{}`) }
func (d *fakeDevice) notes() []string         { return nil }

// daemonOn is a daemon without file and socket, on fake devices.
func daemonOn(ctx context.Context, b *bench) *Daemon {
	log := NewLogger(io.Discard, "error", "text")
	return &Daemon{opts: Options{Log: log}, log: log.Logger, open: b.open, ipsec: newIPsecHost(log.Logger), ctx: ctx}
}

// stopped ends a daemon's hubs.
func (d *Daemon) stopped() {
	for _, h := range d.all() {
		h.stop()
	}
}
