package hub

import (
	"fmt"
	"time"
)

// What the data path tells the operator. Each call ends at the rate limit of
// its kind before it makes a text.

func (h *Hub) ownSource(now time.Time, in *member, src uint64) {
	if left, ok := h.allowEvent(now, OwnSourceSeen); ok {
		h.report(Event{Time: now, Kind: OwnSourceSeen, Link: in.cfg.Name, MAC: addrOf(src), Suppressed: left,
			Text: fmt.Sprintf("a frame from the hub's own address %v came in by %s: another hub has the same address, or a loop", addrOf(src), in.cfg.Name)})
	}
}

// pinned tells that a static station was seen elsewhere.
func (h *Hub) pinned(now time.Time, v *view, in *member, k stationKey, p place) {
	if left, ok := h.allowEvent(now, StaticViolation); ok {
		at := nameOf(v, p.link())
		h.report(Event{Time: now, Kind: StaticViolation, Link: in.cfg.Name, Other: at, VLAN: k.vlan(), MAC: k.mac(), Suppressed: left,
			Text: fmt.Sprintf("station %v is pinned to %s but was seen behind %s; its frames there are dropped", k.mac(), at, in.cfg.Name)})
	}
}

func (h *Hub) flapping(now time.Time, v *view, in *member, k stationKey, p place) {
	if left, ok := h.allowEvent(now, StationFlapping); ok {
		from := nameOf(v, p.link())
		h.report(Event{Time: now, Kind: StationFlapping, Link: in.cfg.Name, Other: from, VLAN: k.vlan(), MAC: k.mac(), Suppressed: left,
			Text: fmt.Sprintf("station %v changes between %s and %s too often: a loop, or two stations with one address; it now moves once a second at most", k.mac(), from, in.cfg.Name)})
	}
}

// full tells that no station can be learned, and keeps readers from trying
// again for a while.
func (h *Hub) full(now time.Time, micros int64, in *member, res learned) {
	const pause = 100_000 // microseconds
	at, of, limit := &in.link.fullUntil, in.cfg.Name, in.cfg.MaxStations
	if res == learnedFullHub {
		at, of, limit = &h.fullUntil, "the hub", h.settings.Load().MaxStations
	}
	at.Store(micros + pause)
	if left, ok := h.allowEvent(now, StationLimit); ok {
		h.report(Event{Time: now, Kind: StationLimit, Link: in.cfg.Name, Suppressed: left,
			Text: fmt.Sprintf("%s holds %d stations, no more may be learned; raise the limit, or look for a station that invents addresses", of, limit)})
	}
}

func (h *Hub) stormed(now time.Time, micros int64, in *member, why Reason) {
	if first(&in.link.said.storm, micros) {
		h.emit(now, Event{Kind: StormSeen, Link: in.cfg.Name, Text: fmt.Sprintf("%s floods too much: %s, the rest is dropped", in.cfg.Name, why.Text())})
	}
}

func nameOf(v *view, id uint16) string {
	if m := v.member(id); m != nil {
		return m.cfg.Name
	}
	return "a removed port"
}
