package hub

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"vhub/arp"
	"vhub/eth"
)

// Link is a port joined to a hub. It lives as long as the port is configured,
// whatever peer or session comes and goes under it. All methods may be called
// at any time from any goroutine that is not in WriteFrames or a callback of
// the hub.
type Link struct {
	hub     *Hub
	id      uint16 // 1 to 65535
	port    Port
	watcher StationWatcher // nil if the port is none

	// Under hub.mu.
	cfg      LinkConfig
	order    uint64 // of attachment
	seat     int    // in its audience
	up       bool
	since    time.Time
	detached bool
	readers  []*Reader
	closed   *counts // of readers that were closed; nil: none was
	capture  CaptureFunc

	gone atomic.Bool // no more calls to the watcher

	storms    storms
	fullUntil atomic.Int64 // microseconds: until then no station can be learned here
	said      said
	back      reflections
	proofAt   atomic.Int64 // microseconds: when evidence of a shared wire was last taken
	_         [64]byte
	out       outCounts // written by the readers of other links
}

// CaptureFunc sees frames on their way in or out of a link. They are lent until
// it returns. It is called by many goroutines at once and must not wait.
type CaptureFunc func(now time.Time, out bool, frames []eth.Frame)

// Attach joins a port to the hub under a name that no other link of the hub
// has. The link is up.
func (h *Hub) Attach(now time.Time, port Port, cfg LinkConfig) (*Link, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if port == nil {
		return nil, fmt.Errorf("link %q: no port", cfg.Name)
	}
	l := &Link{hub: h, port: port, cfg: cfg, up: true, since: now}
	if l.watcher, _ = port.(StationWatcher); l.watcher != nil && cfg.Listener != nil {
		return nil, fmt.Errorf("link %q: a port with a Listener cannot be a StationWatcher", cfg.Name)
	}
	if err := h.addLink(now, l); err != nil {
		return nil, err
	}
	h.emit(now, Event{Kind: LinkAttached, Link: cfg.Name, Text: "port joined"})
	h.deliver()
	return l, nil
}

func (h *Hub) addLink(now time.Time, l *Link) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.start(now)
	if h.names[l.cfg.Name] != nil {
		return fmt.Errorf("hub %q has a link %q already", h.cfg.Name, l.cfg.Name)
	}
	id, ok := h.freeID()
	if !ok {
		return fmt.Errorf("hub %q has %d links, no more are possible", h.cfg.Name, maxLinks)
	}
	l.id = id
	h.byID[id], h.names[l.cfg.Name] = l, l
	h.count++
	l.order = h.count
	if l.cfg.Listener == nil {
		h.links = append(h.links, l)
	}
	h.stations.setLink(id, l.cfg.MaxStations)
	h.publishLink(l)
	return nil
}

// Update changes everything about the link but its name. Traffic goes on.
func (l *Link) Update(cfg LinkConfig) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	h := l.hub
	h.mu.Lock()
	if l.detached || cfg.Name != l.cfg.Name || cfg.Listener != l.cfg.Listener {
		h.mu.Unlock()
		return fmt.Errorf("link %q: cannot be changed to %q, or is detached", l.cfg.Name, cfg.Name)
	}
	l.cfg = cfg
	l.fullUntil.Store(0)
	h.stations.setLink(l.id, cfg.MaxStations)
	h.publishLink(l)
	h.mu.Unlock()
	h.deliver()
	return nil
}

// Detach takes the port out of the hub and forgets its stations. After it
// returns no call of the port's methods begins, and none is under way. It
// waits for the readers that are in a batch now; so it must not be called from
// WriteFrames or from a callback of the hub. A second call does nothing.
func (l *Link) Detach(now time.Time) {
	h := l.hub
	h.mu.Lock()
	if l.detached {
		h.mu.Unlock()
		return
	}
	l.detached = true
	h.removeLink(now, l)
	h.publishLink(l)
	h.mu.Unlock()

	h.waitReaders() // nobody has the old view any more
	h.stations.flushLink(l.id, true)
	_, of := h.stations.counts(l.id)
	h.mu.Lock()
	if h.segment != nil {
		h.segment.LinkDown(now, arp.Link(l.id))
	}
	h.past.learned.Add(of.learned)
	h.past.moves.Add(of.moves)
	h.stations.forgetLink(l.id)
	h.keep(l)
	h.byID[l.id] = nil
	h.freeIDs = append(h.freeIDs, l.id)
	h.mu.Unlock()

	h.emit(now, Event{Kind: LinkDetached, Link: l.cfg.Name, Text: "port removed"})
	h.deliver()
	l.gone.Store(true)
	h.waitDelivery()
}

// SetUp tells whether the far end of the port is there. A link that is down
// keeps its stations, but nothing is sent to it; frames that come in by it are
// taken.
func (l *Link) SetUp(now time.Time, up bool) {
	h := l.hub
	h.mu.Lock()
	if l.up == up || l.detached {
		h.mu.Unlock()
		return
	}
	l.up, l.since = up, now
	h.publishLink(l)
	h.mu.Unlock()
	if up {
		h.emit(now, Event{Kind: LinkUp, Link: l.cfg.Name, Text: "port is up"})
	} else {
		h.emit(now, Event{Kind: LinkIsDown, Link: l.cfg.Name, Text: "port is down, its stations are kept"})
	}
	h.deliver()
}

// Announce tells the other links which stations are behind this one, by
// gratuitous ARP and unsolicited neighbour advertisements, so that hosts and
// switches behind them learn again. For a port whose peer came back. It does
// nothing in a hub without neighbour help.
func (l *Link) Announce(now time.Time) {
	h := l.hub
	if h.segment == nil {
		return
	}
	h.originate(now, func(out *arp.Out) { h.segment.Announce(now, arp.Link(l.id), out) })
	h.deliver()
}

// Flush forgets the stations learned behind the link (not the static ones) and
// says how many.
func (l *Link) Flush(now time.Time) int {
	n := 0
	l.hub.whileAttached(l, func() { n = l.hub.stations.flushLink(l.id, false) })
	l.fullUntil.Store(0)
	l.hub.deliver()
	return n
}

var errDetached = errors.New("link is detached")

// AddStatic pins a station to the link: it neither ages nor moves. VLAN 0 is
// untagged.
func (l *Link) AddStatic(now time.Time, vlan uint16, mac eth.Addr) error {
	if mac.IsGroup() || mac.IsZero() || vlan > 4095 {
		return fmt.Errorf("%v in VLAN %d is no station", mac, vlan)
	}
	res, err := learnedOK, errDetached
	l.hub.whileAttached(l, func() {
		res, err = l.hub.stations.pin(makeKey(vlan, mac.Uint64()), l.id, l.hub.second(now)), nil
	})
	l.hub.deliver()
	switch {
	case err != nil:
		return fmt.Errorf("pin %v to link %q: %w", mac, l.cfg.Name, err)
	case res == learnedStatic:
		return fmt.Errorf("pin %v to link %q: it is pinned to another link", mac, l.cfg.Name)
	case res != learnedOK:
		return fmt.Errorf("pin %v to link %q: station limit reached", mac, l.cfg.Name)
	}
	return nil
}

// RemoveStatic is the opposite of AddStatic, and says whether it was there.
func (l *Link) RemoveStatic(now time.Time, vlan uint16, mac eth.Addr) bool {
	ok := false
	l.hub.whileAttached(l, func() { ok = l.hub.stations.unpin(makeKey(vlan, mac.Uint64()), l.id) })
	l.hub.deliver()
	return ok
}

// Capture sets who sees the link's frames; nil for nobody.
func (l *Link) Capture(fn CaptureFunc) {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if !l.detached {
		l.capture = fn
		h.publishLink(l)
	}
}

// Number is the link's number for the neighbour help, 1 to 65535. Numbers of
// detached links are used again.
func (l *Link) Number() arp.Link { return arp.Link(l.id) }

// Name is the link's name, which never changes.
func (l *Link) Name() string { return l.cfg.Name }
