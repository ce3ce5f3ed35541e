package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"vhub/api"
	"vhub/config"
	"vhub/hub"
)

// port is one configured port at work. It opens its device, joins it to the
// hub and keeps it running: what fails is tried again, while all other ports
// go on.
//
//	off ── start ──> up ── device fails ──> waiting ── retry ──> up
//	 ^                |                        |
//	 └───── stop ─────┴────────────────────────┘
type port struct {
	name, kind string
	hub        *hubRun
	open       opener
	log        *slog.Logger

	changing sync.Mutex // held while live device and link are changed; taken before mu

	mu      sync.Mutex
	cfg     *config.Port
	dev     device    // nil while there is none
	link    *hub.Link // nil exactly when dev is
	err     error     // why dev is nil
	retryAt time.Time
	upSince time.Time
	ups     int
	past    hub.Counters // of the links before this one

	cancel context.CancelFunc // ends supervise; nil while the port is off
	done   chan struct{}      // closed when supervise has ended
}

// Back-off between two tries to bring a port up.
const (
	retryFirst = 500 * time.Millisecond
	retryMost  = 10 * time.Second
	retryCalm  = 30 * time.Second // a port that was up so long begins with retryFirst again
)

func newPort(h *hubRun, cfg *config.Port, open opener) *port {
	return &port{name: cfg.Name, kind: cfg.Kind, hub: h, open: open, cfg: cfg, log: h.log.With("port", cfg.Name)}
}

// start brings the port up and keeps it so until ctx ends or stop. When mode
// is strict and the device cannot be had, the port stays off and the error says
// why.
func (p *port) start(ctx context.Context, mode mode) error {
	p.mu.Lock()
	enabled := p.cfg.Enabled
	p.mu.Unlock()
	if !enabled {
		return nil
	}
	err := p.bringUp(time.Now())
	if err != nil && mode == strict {
		return err
	}
	if err != nil {
		p.log.Warn("the port does not come up; it is tried again", "error", oneLine(err))
	}
	ctx, cancel := context.WithCancel(ctx)
	p.mu.Lock()
	p.cancel, p.done = cancel, make(chan struct{})
	p.mu.Unlock()
	go p.supervise(ctx)
	return nil
}

// stop takes the port down and waits for that.
func (p *port) stop() {
	p.mu.Lock()
	cancel, done := p.cancel, p.done
	p.cancel = nil
	p.mu.Unlock()
	if cancel == nil {
		return
	}
	cancel()
	<-done
}

// bringUp opens the device and joins it to the hub.
func (p *port) bringUp(now time.Time) error {
	p.mu.Lock()
	cfg := p.cfg
	p.mu.Unlock()
	// Opening may take its time; the port can be looked at meanwhile.
	dev, err := p.open(p.hub.name, cfg, p.hub.log)
	var link *hub.Link
	if err == nil {
		if link, err = p.attach(now, cfg, dev); err != nil {
			dev.Close()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err = err; err != nil {
		return err
	}
	p.dev, p.link, p.upSince, p.retryAt = dev, link, now, time.Time{}
	p.ups++
	return nil
}

func (p *port) attach(now time.Time, cfg *config.Port, dev device) (*hub.Link, error) {
	link, err := p.hub.hub.Attach(now, dev, linkConfig(cfg, dev))
	if err != nil {
		return nil, err
	}
	for _, s := range cfg.StaticMACs {
		if err := link.AddStatic(now, uint16(s.VLAN), s.MAC); err != nil {
			link.Detach(now)
			return nil, err
		}
	}
	return link, nil
}

// takeDown leaves the hub and closes the device, because of err.
func (p *port) takeDown(now time.Time, because error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = because
	if p.dev == nil {
		return
	}
	dev, link := p.dev, p.link
	p.dev, p.link, p.upSince = nil, nil, time.Time{}
	link.Detach(now)
	if r, ok := dev.(*road); ok {
		p.past = addCounters(p.past, r.counters())
	}
	if err := dev.Close(); err != nil {
		p.log.Warn("the device did not close well", "error", oneLine(err))
	}
	p.past = addCounters(p.past, link.Status().Counters)
}

// supervise runs the device and brings it back until ctx ends.
func (p *port) supervise(ctx context.Context) {
	defer close(p.done)
	defer func() { p.takeDown(time.Now(), nil) }()
	wait := retryFirst
	for {
		p.mu.Lock()
		dev, link, up := p.dev, p.link, p.upSince
		p.mu.Unlock()
		if dev != nil {
			err := dev.Run(ctx, link)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				err = errors.New("the device ended")
			}
			if time.Since(up) > retryCalm {
				wait = retryFirst
			}
			p.takeDown(time.Now(), err)
			p.log.Warn("the port went down; it is brought back", "error", oneLine(err), "in", wait)
		}
		p.mu.Lock()
		p.retryAt = time.Now().Add(wait)
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, retryMost)
		before := p.lastError()
		switch err := p.bringUp(time.Now()); {
		case err == nil:
			p.log.Info("the port is up again")
		case before == nil || err.Error() != before.Error():
			p.log.Warn("the port does not come up; it is tried again", "error", oneLine(err))
		}
	}
}

// config is the configuration that the port works by now.
func (p *port) config() *config.Port {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg
}

// road is the port's l2tp server; nil where there is none now.
func (p *port) road() *road {
	if p.kind != config.KindL2TP {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, _ := p.dev.(*road)
	return r
}

// waiting tells a port that is enabled and has no device now.
func (p *port) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cancel != nil && p.dev == nil
}

func (p *port) lastError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// update puts another configuration of the same port to work on the live
// device. It says errRemake when the device must be made anew for it; after any
// error the port is as it was.
func (p *port) update(cfg *config.Port) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.mu.Lock()
	old, dev, link := p.cfg, p.dev, p.link
	p.mu.Unlock()
	if dev == nil || old.Enabled != cfg.Enabled {
		return errRemake
	}
	if err := dev.reconfigure(cfg); err != nil {
		return err
	}
	if err := p.updateLink(link, dev, old, cfg); err != nil {
		_ = dev.reconfigure(old)
		_ = p.updateLink(link, dev, cfg, old)
		return err
	}
	p.use(cfg)
	return nil
}

// follow tells the hub when the device is on another wire, or takes other
// frames, than it was told.
func (p *port) follow() {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dev == nil {
		return
	}
	want := linkConfig(p.cfg, p.dev)
	if have := p.link.Status().Config; want.Segment == have.Segment && (want.MaxFrame == have.MaxFrame || want.MaxFrame == 0) {
		return
	}
	if err := p.link.Update(want); err != nil {
		p.log.Warn("the hub does not take what changed about the device", "error", oneLine(err))
		return
	}
	p.log.Info("the device changed", "segment", want.Segment, "longest_frame", want.MaxFrame)
}

// updateLink changes what the hub knows of the port.
func (p *port) updateLink(link *hub.Link, dev device, old, cfg *config.Port) error {
	if err := link.Update(linkConfig(cfg, dev)); err != nil {
		return err
	}
	now := time.Now()
	keep := map[config.StaticMAC]bool{}
	for _, s := range cfg.StaticMACs {
		keep[s] = true
	}
	for _, s := range old.StaticMACs {
		if !keep[s] {
			link.RemoveStatic(now, uint16(s.VLAN), s.MAC)
		}
	}
	for _, s := range cfg.StaticMACs {
		if err := link.AddStatic(now, uint16(s.VLAN), s.MAC); err != nil {
			return err
		}
	}
	return nil
}

// use has the next start take another configuration.
func (p *port) use(cfg *config.Port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg, p.err, p.retryAt = cfg, nil, time.Time{}
}

// linkConfig is what the configuration means for the hub.
func linkConfig(cfg *config.Port, dev device) hub.LinkConfig {
	segment := cfg.Segment
	if segment == "" {
		segment = dev.segment()
	}
	return hub.LinkConfig{
		Name: cfg.Name, Kind: cfg.Kind, Suppress: cfg.Suppress, Isolate: cfg.Isolate, Group: cfg.Group, Segment: segment,
		MaxStations: cfg.MaxMACs, DropUnlearned: true, MaxFrame: dev.maxFrame(),
		Storm: hub.StormConfig{Broadcast: cfg.BroadcastLimit, Multicast: cfg.MulticastLimit, Unknown: cfg.UnknownLimit},
	}
}

// addCounters adds the counts of two links of one port.
func addCounters(a, b hub.Counters) hub.Counters {
	a.InFrames += b.InFrames
	a.InSegments += b.InSegments
	a.InBytes += b.InBytes
	a.InFlooded += b.InFlooded
	a.OutFrames += b.OutFrames
	a.OutSegments += b.OutSegments
	a.OutBytes += b.OutBytes
	a.Learned += b.Learned
	a.Moves += b.Moves
	a.HeldMoves += b.HeldMoves
	a.Unlearned += b.Unlearned
	a.Dropped += b.Dropped
	drops := hub.Drops{}
	for _, d := range []hub.Drops{a.Drops, b.Drops} {
		for reason, n := range d {
			drops[reason] += n
		}
	}
	a.Drops = drops
	return a
}

// describe names a port in errors.
func describe(p *config.Port) string { return fmt.Sprintf("port %s", p.Name) }

// status is the port for the API. The device is asked without the lock: it may
// take its time, and one that has only begun waits for Run, which needs the lock.
func (p *port) status() api.Port {
	p.mu.Lock()
	cfg, dev, link, counters, upSince := p.cfg, p.dev, p.link, p.past, p.upSince
	on, err, retryAt := p.cancel != nil, p.err, p.retryAt
	s := api.Port{Hub: p.hub.name, Name: p.name, Kind: p.kind, Ups: p.ups, State: api.StateOff}
	p.mu.Unlock()
	s.Options = config.PortValues(cfg, false)
	switch {
	case dev != nil:
		link := link.Status()
		counters = addCounters(counters, link.Counters)
		s.MACs, s.Segment = link.Stations, link.Segment
		s.State, s.UpSince = api.StateUp, timePtr(upSince)
		if !link.Up {
			s.State, s.UpSince = api.StateDown, nil
		} else if link.Since.After(upSince) {
			s.UpSince = timePtr(link.Since)
		}
		if r, ok := dev.(*road); ok {
			counters = addCounters(counters, r.fill(&s, upSince))
		}
		s.Where, s.Device, s.Notes = dev.where(), dev.detail(), dev.notes()
		if t, ok := dev.(troubled); ok {
			s.Error = t.trouble()
		}
	case on:
		s.State = api.StateWaiting
		if err != nil {
			s.Error = oneLine(err)
		}
		if !retryAt.IsZero() {
			s.RetryAt = timePtr(retryAt)
		}
	}
	s.Counters, s.Drops = countersOf(counters)
	return s
}
