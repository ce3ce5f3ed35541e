package hub

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"vhub/arp"
)

// notices are what is to be told to watchers, to the neighbour help and to
// Config.Event. The queue is filled while locks are held, in the order of
// what happened, and emptied by deliver when none is.
type notices struct {
	mu     sync.Mutex
	queue  []notice
	limits [numEventKinds]eventLimit

	pending    atomic.Bool
	delivering atomic.Bool
	round      atomic.Uint64 // of deliveries, odd while one is under way
}

// notice is one of: a station that a watcher learns or loses, a move, an event.
type notice struct {
	watcher *Link
	gone    bool
	change  change
	event   *Event
}

func (n *notices) push(x notice) {
	n.mu.Lock()
	n.queue = append(n.queue, x)
	n.mu.Unlock()
	n.pending.Store(true)
}

func (n *notices) take() []notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.queue
	n.queue = nil
	return q
}

// deliver tells what is in the queue, unless somebody else is at it, who then
// tells this too. It holds no lock while it calls out.
func (h *Hub) deliver() {
	n := &h.notices
	for n.pending.Load() && n.delivering.CompareAndSwap(false, true) {
		n.round.Add(1)
		n.pending.Store(false)
		for _, x := range n.take() {
			h.tell(x)
		}
		n.round.Add(1)
		n.delivering.Store(false)
	}
}

func (h *Hub) tell(x notice) {
	switch {
	case x.event != nil:
		h.cfg.Event(*x.event)
	case x.watcher == nil:
		c := x.change
		h.originate(c.now, func(out *arp.Out) {
			h.segment.StationMoved(c.now, c.key.vlan(), c.key.mac(), arp.Link(c.from), arp.Link(c.to), out)
		})
	case x.watcher.gone.Load():
	case x.gone:
		x.watcher.watcher.StationGone(x.change.key.vlan(), x.change.key.mac())
	default:
		x.watcher.watcher.StationLearned(x.change.key.vlan(), x.change.key.mac())
	}
}

// waitDelivery waits until a delivery that is under way is over.
func (h *Hub) waitDelivery() {
	if r := h.notices.round.Load(); r&1 != 0 {
		waitFor(func() bool { return h.notices.round.Load() != r })
	}
}

// waitFor waits for other goroutines, which run already and do not wait.
func waitFor(done func() bool) {
	for i := 0; !done(); i++ {
		if i < 1000 {
			runtime.Gosched()
		} else {
			time.Sleep(50 * time.Microsecond)
		}
	}
}

// changed notes a change of the table. Called with stations.mu held.
func (h *Hub) changed(c change) {
	v := h.view.Load()
	for _, w := range v.watchers {
		was := c.from != 0 && v.visible(w, c.from)
		is := c.to != 0 && v.visible(w, c.to)
		if was != is {
			h.notices.push(notice{watcher: w.link, gone: was, change: c})
		}
	}
	if c.from == 0 || c.to == 0 || c.quiet {
		return
	}
	if h.segment != nil {
		h.notices.push(notice{change: c})
	}
	if left, ok := h.allowEvent(c.now, StationMoved); ok {
		from, to := h.LinkName(arp.Link(c.from)), h.LinkName(arp.Link(c.to))
		h.report(Event{Time: c.now, Kind: StationMoved, Link: to, Other: from, VLAN: c.key.vlan(), MAC: c.key.mac(), Suppressed: left,
			Text: fmt.Sprintf("station %v moved from %s to %s", c.key.mac(), from, to)})
	}
}

// visible tells whether a watcher should know of stations behind a link: not of
// its own, nor of those on its own wire.
func (v *view) visible(w *member, link uint16) bool {
	if link == w.id {
		return false
	}
	m := v.member(link)
	return m == nil || m.segment == 0 || m.segment != w.segment
}

// show makes a new view the current one, and tells watchers of the stations
// that they now see or no longer see.
func (h *Hub) show(v *view) {
	t := h.stations
	t.mu.Lock()
	defer t.mu.Unlock()
	old := h.view.Load()
	h.view.Store(v)
	for _, w := range v.watchers {
		before := old.member(w.id)
		fresh := before == nil || before.link != w.link
		for i := range v.byID {
			m := v.byID[i].Load()
			if m == nil || int(m.id) >= len(t.links) || t.links[m.id].count == 0 {
				continue
			}
			was, is := !fresh && old.visible(before, m.id), v.visible(w, m.id)
			if was != is {
				h.tellAll(w.link, m.id, was)
			}
		}
	}
}

// tellAll notes the stations of a link for a watcher. Called with stations.mu
// held.
func (h *Hub) tellAll(w *Link, link uint16, gone bool) {
	t := h.stations
	s := t.cur.Load()
	for at := t.links[link].head; at >= 0; at = t.next[at] {
		h.notices.push(notice{watcher: w, gone: gone, change: change{key: stationKey(s.array[at].key.Load())}})
	}
}

// eventLimit lets through a burst of events of one kind, then one a second.
type eventLimit struct {
	at     time.Time
	tokens int
	left   uint64
}

const eventBurst = 10

// frameEvents are the kinds that frames can cause.
var frameEvents = [numEventKinds]bool{
	StationMoved: true, StationFlapping: true, StationLimit: true, StaticViolation: true, EchoSeen: true, CopySeen: true,
	StormSeen: true, OwnSourceSeen: true, NeighbourEvent: true,
}

// allowEvent tells whether an event of the kind may be reported now, and how
// many were left out before it.
func (h *Hub) allowEvent(now time.Time, kind EventKind) (left uint64, ok bool) {
	if h.cfg.Event == nil {
		return 0, false
	}
	if !frameEvents[kind] {
		return 0, true
	}
	h.notices.mu.Lock()
	defer h.notices.mu.Unlock()
	l := &h.notices.limits[kind]
	switch since := now.Sub(l.at); {
	case l.at.IsZero() || since >= eventBurst*time.Second:
		l.at, l.tokens = now, eventBurst
	case since >= time.Second:
		l.at = l.at.Add(since.Truncate(time.Second))
		l.tokens = min(l.tokens+int(since/time.Second), eventBurst)
	}
	if l.tokens == 0 {
		l.left++
		return 0, false
	}
	l.tokens--
	left, l.left = l.left, 0
	return left, true
}

func (h *Hub) report(e Event) {
	e.Hub = h.cfg.Name
	h.notices.push(notice{event: &e})
}

// emit reports an event if its kind may be reported now.
func (h *Hub) emit(now time.Time, e Event) {
	if left, ok := h.allowEvent(now, e.Kind); ok {
		e.Time, e.Suppressed = now, left
		h.report(e)
	}
}

// neighbourEvent passes on what the neighbour help reports.
func (h *Hub) neighbourEvent(e arp.Event) {
	link, other := h.LinkName(e.Link), h.LinkName(e.OtherLink)
	h.emit(e.Time, Event{Kind: NeighbourEvent, Link: link, Other: other, VLAN: e.VLAN, MAC: e.MAC, Neighbour: &e, Text: neighbourText(&e, link, other)})
}

func neighbourText(e *arp.Event, link, other string) string {
	switch e.Kind {
	case arp.Conflict:
		return fmt.Sprintf("two stations claim %v: %v behind %s and %v behind %s; give one of them another address", e.IP, e.MAC, link, e.OtherMAC, other)
	case arp.Replaced:
		return fmt.Sprintf("%v now belongs to %v behind %s; %v no longer answers", e.IP, e.MAC, link, e.OtherMAC)
	case arp.Moved:
		return fmt.Sprintf("%v (%v) is now behind %s, it was behind %s", e.IP, e.MAC, link, other)
	case arp.Silent:
		return fmt.Sprintf("%v (%v) behind %s no longer answers", e.IP, e.MAC, link)
	}
	return fmt.Sprintf("neighbour %v: %v (%v behind %s)", e.Kind, e.IP, e.MAC, link)
}

// episode is how long something must be quiet before it is told again.
const episode = 10 * time.Minute

// said is when things that are told once an episode were last seen, in
// microseconds.
type said struct{ echo, copy, storm atomic.Int64 }

// first tells the first time of an episode.
func first(last *atomic.Int64, now int64) bool {
	was := last.Load()
	if was != 0 && now-was < time.Second.Microseconds() {
		return false
	}
	return last.CompareAndSwap(was, now) && (was == 0 || now-was > episode.Microseconds())
}
