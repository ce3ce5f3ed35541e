package ipsec

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// peerState is one configured peer. The loop owns it.
type peerState struct {
	cfg         PeerConfig
	ike         *ike.Peer
	tunnel      *Tunnel
	sessions    []*session
	dials       []*dialState // one of each uplink, or one
	lastFailure string
}

// dialState is one way to a peer that is kept up.
type dialState struct {
	uplink   string // "" is the route's choice
	local    netip.Addr
	ifindex  int
	session  ike.SessionID // 0: none
	busy     bool          // being resolved
	attempts int           // since it last was up
	next     time.Time
	problem  string
}

// The pause after a failed dial: short at first, for a router that restarts, then
// longer, with some of it random so that many peers do not come at once.
const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

func newPeerState(e *Engine, cfg PeerConfig) *peerState {
	p := &peerState{}
	p.tunnel = &Tunnel{
		engine: e, name: cfg.Name, readers: make([]Receiver, len(e.readers)),
		receiver: cfg.NewReceiver, onEvent: cfg.OnEvent, peer: p,
	}
	p.configure(cfg)
	p.tunnel.proto, p.tunnel.port = p.cfg.Protocol, l2tpPort
	return p
}

// configure takes on a configuration; what an established session has stays.
func (p *peerState) configure(cfg PeerConfig) {
	if cfg.Protocol == 0 {
		cfg.Protocol = esp.ProtoEtherIP
	}
	if cfg.HoldDown == 0 {
		cfg.HoldDown = defaultHoldDown
	}
	k := cfg.Algorithms.peer()
	k.Name, k.Key, k.RemoteID, k.LocalID = cfg.Name, cfg.Key, cfg.PeerID, cfg.LocalID
	k.Remote, k.Aggressive = cfg.Remote, cfg.Aggressive
	k.Multipath = cfg.Multipath || len(cfg.Uplinks) > 1
	k.NoInitialContact = len(cfg.Uplinks) > 1
	k.ForceNATT = k.ForceNATT || p.tunnel.engine.lacksRaw()
	k.Accept = p.accept
	old := p.dials
	p.cfg, p.ike, p.dials = cfg, k, nil
	p.tunnel.alg, p.tunnel.multi = &p.cfg.Algorithms, k.Multipath
	if cfg.Role == Responder {
		return
	}
	sel := ike.Selector{Protocol: cfg.Protocol}
	k.Children = []ike.ChildConfig{{Name: cfg.Name, Mode: cfg.Mode, Local: sel, Remote: sel}}
	uplinks := cfg.Uplinks
	if len(uplinks) == 0 {
		uplinks = []string{""}
	}
	for _, u := range uplinks {
		d := &dialState{uplink: u}
		if i := slices.IndexFunc(old, func(d *dialState) bool { return d.uplink == u }); i >= 0 {
			d = old[i] // what is up by this uplink stays up
		}
		p.dials = append(p.dials, d)
	}
}

// accept decides about a child that the peer asks for.
func (p *peerState) accept(c *ike.ChildRequest) error {
	if p.cfg.Role == Initiator && p.dialOf(c.Session) == nil && !c.Answer {
		return errors.New("this port is an initiator and takes no calls; set its role to either")
	}
	return acceptProtocol(p.cfg.Protocol)(c)
}

func (p *peerState) dialOf(id ike.SessionID) *dialState {
	for _, d := range p.dials {
		if d.session == id && id != 0 {
			return d
		}
	}
	return nil
}

func (p *peerState) dialFrom(uplink string) *dialState {
	for _, d := range p.dials {
		if d.uplink == uplink {
			return d
		}
	}
	return nil
}

// rank is the place of an uplink in the configuration, 0 the preferred.
func (p *peerState) rank(uplink string) int {
	return max(slices.Index(p.cfg.Uplinks, uplink), 0)
}

func (p *peerState) forget(s *session) {
	p.sessions = slices.DeleteFunc(p.sessions, func(x *session) bool { return x == s })
}

// dialEnded plans the next dial of a session that is over.
func (p *peerState) dialEnded(now time.Time, id ike.SessionID) {
	if d := p.dialOf(id); d != nil {
		d.session = 0
		d.plan(now)
	}
}

func (d *dialState) plan(now time.Time) {
	pause := min(firstPause<<min(d.attempts, 10), maxPause)
	d.next = now.Add(pause/2 + rand.N(pause/2))
}

// hurryDials dials peers at an address now: they send on SAs we do not know.
func (e *Engine) hurryDials(a netip.Addr) {
	for _, p := range e.peers {
		for _, d := range p.dials {
			if d.session == 0 && slices.Contains(p.cfg.Addresses, a.String()) {
				d.next, d.attempts = time.Time{}, 0
			}
		}
	}
}

// dial begins what is due. Names and routes are looked up beside the loop.
func (e *Engine) dial(now time.Time) {
	if e.closed {
		return
	}
	for _, p := range e.peers {
		for _, d := range p.dials {
			if !p.wants(d) || now.Before(d.next) {
				continue
			}
			d.busy = true
			host := p.cfg.Addresses[d.attempts%len(p.cfg.Addresses)]
			d.attempts++
			go func() {
				way, err := e.findWay(host, d.uplink)
				e.work(func(now time.Time) { e.call(now, p, d, way, err) })
				e.rouse()
			}()
		}
	}
}

// wants tells whether a way is to be dialled: nothing is up or under way by it, and
// a peer that may call has not done so.
func (p *peerState) wants(d *dialState) bool {
	return d.session == 0 && !d.busy && !(p.cfg.Role == Either && p.tunnel.up)
}

// nextDial is when the next dial is due.
func (e *Engine) nextDial() (next time.Time, some bool) {
	if e.closed {
		return next, false
	}
	for _, p := range e.peers {
		for _, d := range p.dials {
			if p.wants(d) && (!some || d.next.Before(next)) {
				next, some = d.next, true
			}
		}
	}
	return next, some
}

// way is how to reach a peer.
type way struct {
	local, remote netip.Addr
	ifindex       int
}

func (e *Engine) findWay(host, uplink string) (way, error) {
	remotes := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil {
		remotes = append(remotes, a.Unmap())
	} else if remotes, err = e.net.Resolve(host); err != nil {
		return way{}, err
	}
	err := errors.New("the name has no address")
	for _, remote := range remotes {
		w := way{remote: remote}
		if uplink != "" {
			if w.local, w.ifindex, err = e.net.Uplink(uplink, remote); err != nil {
				continue
			}
		}
		if w.local, _, err = e.net.Source(remote, w.local, w.ifindex); err == nil {
			return w, nil
		}
	}
	return way{}, err
}

// call begins the session.
func (e *Engine) call(now time.Time, p *peerState, d *dialState, w way, err error) {
	d.busy = false
	if e.closed || e.peers[p.cfg.Name] != p || !slices.Contains(p.dials, d) {
		return // the configuration changed meanwhile
	}
	if err == nil {
		d.local, d.ifindex = w.local, w.ifindex
		if w.ifindex != 0 {
			e.uplinks[w.local] = w.ifindex
		}
		d.session, err = e.ike.Dial(now, p.ike, netip.AddrPortFrom(w.local, e.cfg.Port), netip.AddrPortFrom(w.remote, e.cfg.PeerPort), &e.out)
	}
	if err == nil {
		d.problem = ""
		return
	}
	d.session = 0
	d.plan(now)
	if text := err.Error(); text != d.problem {
		d.problem = text
		e.cfg.Log.Warn("ipsec: cannot dial", "port", p.cfg.Name, "uplink", d.uplink, "error", err)
	}
}
