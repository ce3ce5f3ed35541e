package daemon

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vhub/arp"
	"vhub/config"
	"vhub/hub"
)

// hubRun is one hub at work: the switch, its clock and its ports.
type hubRun struct {
	name string
	log  *slog.Logger
	hub  *hub.Hub

	mu        sync.RWMutex
	cfg       *config.Hub
	ports     []*port // in the order in which they came
	conflicts map[conflictKey]arp.Event

	wake   chan struct{} // Advance is wanted earlier
	events chan hub.Event
	lost   atomic.Uint64 // events that found the channel full
	beat   atomic.Int64  // when Advance last ran (UnixNano), for the watchdog
	quit   chan struct{}
	wg     sync.WaitGroup
}

type conflictKey struct {
	vlan uint16
	ip   string
}

// advanceAtLeast is how long the clock of a hub waits at most.
const advanceAtLeast = time.Second

// eventQueue is how many events of a hub may wait for the log.
const eventQueue = 1024

// startHub makes a hub without ports, and its clock.
func startHub(cfg *config.Hub, log *slog.Logger) *hubRun {
	h := &hubRun{name: cfg.Name, log: log.With("hub", cfg.Name), cfg: cfg, conflicts: map[conflictKey]arp.Event{},
		wake: make(chan struct{}, 1), events: make(chan hub.Event, eventQueue), quit: make(chan struct{})}
	h.hub = hub.New(hubConfig(cfg, h.event, h.rouse))
	h.beat.Store(time.Now().UnixNano())
	h.wg.Go(h.clock)
	h.wg.Go(h.tell)
	h.wg.Go(h.follow)
	return h
}

// hubConfig is what the configuration means for the switch.
func hubConfig(cfg *config.Hub, event func(hub.Event), wake func()) hub.Config {
	keep := cfg.ARPKeep
	if keep == 0 {
		keep = 10 * 365 * 24 * time.Hour // never
	}
	mode, _ := arp.ParseMode(cfg.ARP) // checked by config
	return hub.Config{
		Name: cfg.Name, MaxStations: cfg.MACLimit, Age: cfg.MACAge, EchoWindow: cfg.EchoWindow, CopyWindow: cfg.CopyWindow,
		ForwardReserved: cfg.ForwardReserved, Event: event, Wake: wake,
		Neighbours: &arp.Config{Mode: mode, MaxNeighbours: cfg.ARPLimit, Age: cfg.ARPAge, Keep: keep, Idle: 2 * keep},
	}
}

// clock calls Advance when it is due.
func (h *hubRun) clock() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-h.quit:
			return
		case <-timer.C:
		case <-h.wake:
		}
		now := time.Now()
		next := h.hub.Advance(now)
		h.beat.Store(now.UnixNano())
		timer.Reset(min(max(next.Sub(now), time.Millisecond), advanceAtLeast))
	}
}

// rouse has the clock look at once.
func (h *hubRun) rouse() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// followEvery is how often the hub is told what changed about devices by
// itself: an interface that was put into a bridge, another MTU.
const followEvery = time.Second

// follow keeps what the hub knows of its ports' devices true.
func (h *hubRun) follow() {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.quit:
			return
		case <-tick.C:
			for _, p := range h.all() {
				p.follow()
			}
		}
	}
}

// event takes an event from a goroutine that moves frames: it never waits.
func (h *hubRun) event(e hub.Event) {
	select {
	case h.events <- e:
	default:
		h.lost.Add(1)
	}
}

// tell logs the hub's events, one line each.
func (h *hubRun) tell() {
	for {
		select {
		case <-h.quit:
			return
		case e := <-h.events:
			h.logEvent(e)
			if n := h.lost.Swap(0); n > 0 {
				h.log.Warn("events came faster than they could be logged", "left_out", n)
			}
		}
	}
}

func (h *hubRun) logEvent(e hub.Event) {
	level := slog.LevelInfo
	if e.Kind.Warning() || e.Neighbour != nil && e.Neighbour.Kind == arp.Conflict {
		level = slog.LevelWarn
	}
	attrs := []any{"event", e.Kind.String()}
	if e.Link != "" {
		attrs = append(attrs, "port", e.Link)
	}
	if e.Other != "" {
		attrs = append(attrs, "other_port", e.Other)
	}
	if !e.MAC.IsZero() {
		attrs = append(attrs, "mac", e.MAC.String())
	}
	if e.VLAN != 0 {
		attrs = append(attrs, "vlan", e.VLAN)
	}
	if n := e.Neighbour; n != nil {
		attrs = append(attrs, "ip", n.IP.String())
		h.noteConflict(n)
	}
	if e.Suppressed > 0 {
		attrs = append(attrs, "left_out", e.Suppressed)
	}
	h.log.Log(context.Background(), level, e.Text, attrs...)
}

// noteConflict remembers who else claims an address, for "arp list".
func (h *hubRun) noteConflict(e *arp.Event) {
	key := conflictKey{e.VLAN, e.IP.String()}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e.Kind {
	case arp.Conflict:
		if len(h.conflicts) < 1024 {
			h.conflicts[key] = *e
		}
	case arp.Replaced:
		delete(h.conflicts, key)
	}
}

// conflictShown is how long a conflict is shown after it was last seen.
const conflictShown = 15 * time.Minute

// conflict returns the conflict about an address, if there was one lately.
func (h *hubRun) conflict(now time.Time, vlan uint16, ip string) (arp.Event, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.conflicts[conflictKey{vlan, ip}]
	if ok && now.Sub(e.Time) > conflictShown {
		delete(h.conflicts, conflictKey{vlan, ip})
		return arp.Event{}, false
	}
	return e, ok
}

// config returns the hub's configuration now.
func (h *hubRun) config() *config.Hub {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.cfg
}

// reconfigure puts other settings of the hub to work. Ports and tables stay.
func (h *hubRun) reconfigure(cfg *config.Hub) {
	h.hub.Configure(hubConfig(cfg, h.event, h.rouse))
	h.rouse() // what is due may be due earlier
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cfg = cfg
}

// all returns the ports now.
func (h *hubRun) all() []*port {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.ports)
}

// port finds a port by name; nil when there is none.
func (h *hubRun) port(name string) *port {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, p := range h.ports {
		if p.name == name {
			return p
		}
	}
	return nil
}

func (h *hubRun) add(p *port) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports = append(h.ports, p)
}

func (h *hubRun) remove(p *port) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports = slices.DeleteFunc(h.ports, func(x *port) bool { return x == p })
}

// stop closes all ports at once, then the clock.
func (h *hubRun) stop() {
	var wg sync.WaitGroup
	for _, p := range h.all() {
		wg.Go(p.stop)
	}
	wg.Wait()
	close(h.quit)
	h.wg.Wait()
}

// order keeps the configuration that is at work now, and brings the ports into
// its order.
func (h *hubRun) order(cfg *config.Hub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cfg = cfg
	place := func(p *port) int {
		return slices.IndexFunc(cfg.Ports, func(c config.Port) bool { return c.Name == p.name })
	}
	slices.SortStableFunc(h.ports, func(a, b *port) int { return place(a) - place(b) })
}
