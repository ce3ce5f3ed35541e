package roadclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"

	"vhub/bridge"
	"vhub/eth"
	"vhub/hub"
	"vhub/internal/packet"
	"vhub/ipsec"
	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
	"vhub/l2tp"
	"vhub/ppp"
)

// TAPConfig is one client whose traffic is that of a TAP.
type TAPConfig struct {
	Server               netip.Addr
	Key                  []byte
	User, Password, Host string
	Ifname               string         // of the TAP, which is made when the address is known
	Routes               []netip.Prefix // by the TAP
	Suites               []ike.Suite    // phase 1; nil: what vhub offers as initiator
	ESP                  []esp.Suite    // phase 2; likewise
	Limit                time.Duration  // to come up; 0: 30 s
	Log                  *slog.Logger
}

// TAPReport is what a client with a TAP came to.
type TAPReport struct {
	Address netip.Addr `json:"address"`
	Peer    netip.Addr `json:"peer"` // the server's end of PPP
	MTU     int        `json:"mtu"`  // of the TAP, bytes
	Seconds float64    `json:"seconds"`
	IKE     string     `json:"ike"`
	ESP     string     `json:"esp"`
}

// tapClient is a client with the data path of a vhub: the engine's sockets with
// their offloads, the TAP with its virtio header.
//
//	kernel -- TAP -- hub -- port (below) -- PPP, L2TP -- ipsec.Tunnel -- UDP 4500
type tapClient struct {
	cfg    TAPConfig
	tunnel *ipsec.Tunnel
	hub    *hub.Hub
	link   *hub.Link // of the port
	work   chan func(now time.Time)
	up     atomic.Pointer[dataPath]
	pool   sync.Pool // of *packet.Arena

	client *l2tp.Client // the loop's
}

// dataPath is what a session that is up has; it never changes.
type dataPath struct {
	tunnel, session uint16
	params          ppp.Params
	room            int // bytes of an IP packet
	tap             eth.Addr
}

// gateway is the station that the server is for the kernel behind the TAP.
var gateway = eth.Addr{0x02, 0x76, 0x68, 0, 0, 1}

// RunTAP dials, makes the TAP, tells ready, and serves until ctx ends, which is
// no error, or the session does.
func RunTAP(ctx context.Context, cfg TAPConfig, ready func(TAPReport)) error {
	if cfg.Limit == 0 {
		cfg.Limit = 30 * time.Second
	}
	t := &tapClient{cfg: cfg, work: make(chan func(time.Time), 1024), hub: hub.New(hub.Config{Name: "client"})}
	t.pool.New = func() any { return packet.NewArena(192 << 10) }
	engine, err := ipsec.New(ipsec.Config{Log: cfg.Log})
	if err != nil {
		return err
	}
	begun := time.Now()
	if t.link, err = t.hub.Attach(begun, t, hub.LinkConfig{Name: "server", Kind: "l2tp"}); err != nil {
		engine.Close()
		return err
	}
	if err = t.link.AddStatic(begun, 0, gateway); err != nil {
		engine.Close()
		return err
	}
	t.tunnel, err = engine.AddPeer(ipsec.PeerConfig{Name: "server", Key: cfg.Key, Role: ipsec.Initiator, Addresses: []string{cfg.Server.String()},
		Protocol: esp.ProtoUDP, Mode: esp.Transport, Algorithms: ipsec.Algorithms{Suites: cfg.Suites, ESP: cfg.ESP, ForceNATT: true, LaxPadding: true},
		NewReceiver: t.newReceiver, OnEvent: func(ev ipsec.Event) { t.post(func(now time.Time) { t.event(now, ev) }) }})
	if err != nil {
		engine.Close()
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	last, stop := context.WithCancel(context.WithoutCancel(ctx)) // the engine carries the last words
	g.Go(func() error { return engine.Run(last) })
	g.Go(func() error { defer stop(); return t.loop(ctx, g, begun, ready) })
	return g.Wait()
}

var errNotUp = errors.New("roadclient: not up within the limit")

// loop owns the L2TP and PPP machines.
func (t *tapClient) loop(ctx context.Context, g *errgroup.Group, begun time.Time, ready func(TAPReport)) error {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if t.client != nil {
				var out l2tp.ClientOut
				t.client.Close(time.Now(), &out)
				t.sendAll(out.Packets)
			}
			return nil
		case f := <-t.work:
			f(time.Now())
		case <-timer.C:
			if t.client != nil {
				t.step(func(out *l2tp.ClientOut) { t.client.Advance(time.Now(), out) })
			}
		}
		now := time.Now()
		switch c := t.client; {
		case c != nil && c.Ended != "":
			return fmt.Errorf("roadclient: %s", c.Ended)
		case c != nil && c.Up && t.up.Load() == nil:
			r, err := t.comeUp(ctx, g)
			if err != nil {
				return err
			}
			r.Seconds = now.Sub(begun).Seconds()
			ready(r)
		case t.up.Load() == nil && now.Sub(begun) > t.cfg.Limit:
			return errNotUp
		}
		wait := time.Second
		if t.client != nil {
			if d := t.client.Deadline(); !d.IsZero() {
				wait = min(wait, time.Until(d))
			}
		}
		timer.Reset(wait)
	}
}

// event places the call once IPsec is up.
func (t *tapClient) event(now time.Time, ev ipsec.Event) {
	if ev.Kind != ipsec.Up || t.client != nil {
		return
	}
	t.client = l2tp.NewClient(l2tp.Config{HostName: t.cfg.Host, HelloEvery: 10 * time.Minute, Rand: rand.Reader},
		ppp.Client{User: t.cfg.User, Password: t.cfg.Password, Methods: []ppp.Method{ppp.MSCHAPv2}, DNS: true, IPv4: true,
			Config: ppp.Config{EchoEvery: -1, Rand: rand.Reader}})
	t.step(func(out *l2tp.ClientOut) { _ = t.client.Dial(now, 1, out) }) // what fails shows in Ended
}

// step runs the machines and sends what they say.
func (t *tapClient) step(f func(out *l2tp.ClientOut)) {
	var out l2tp.ClientOut
	f(&out)
	t.sendAll(out.Packets)
}

func (t *tapClient) sendAll(list [][]byte) {
	for _, b := range list {
		buf := make([]byte, packet.Headroom+len(b)+packet.Tailroom)
		copy(buf[packet.Headroom:], b)
		t.tunnel.Send([]packet.Packet{{Buf: buf, Off: packet.Headroom, End: packet.Headroom + len(b)}})
	}
}

// post hands work to the loop; what finds it behind is lost, as on a wire.
func (t *tapClient) post(f func(now time.Time)) {
	select {
	case t.work <- f:
	default:
	}
}

// comeUp makes the TAP with the address, the routes, and the neighbour that
// stands for the server.
func (t *tapClient) comeUp(ctx context.Context, g *errgroup.Group) (TAPReport, error) {
	c := t.client
	d := &dataPath{}
	d.tunnel, d.session, d.params = c.DataPath()
	d.room = min(d.params.MTU, t.tunnel.PathMTU()-l2tp.DataHeaderLen-4)
	tap, err := bridge.OpenTAP(bridge.TAPConfig{Hub: "client", Name: "road", Ifname: t.cfg.Ifname, MTU: d.room, Offload: true,
		Addresses: []netip.Prefix{netip.PrefixFrom(c.Local, 32)}}, t.log())
	if err != nil {
		return TAPReport{}, err
	}
	link, err := t.hub.Attach(time.Now(), tap, hub.LinkConfig{Name: "tap", Kind: "tap", MaxFrame: eth.HeaderLen + d.room})
	if err == nil {
		d.tap, err = t.routes(c)
	}
	if err != nil {
		tap.Close()
		return TAPReport{}, err
	}
	t.up.Store(d)
	g.Go(func() error {
		defer tap.Close()
		return tap.Run(ctx, link)
	})
	r := TAPReport{Address: c.Local, Peer: c.Peer, MTU: d.room}
	if st := t.tunnel.Status(); len(st.Paths) > 0 {
		r.IKE = st.Paths[0].Suite
		if len(st.Paths[0].SAs) > 0 {
			r.ESP = st.Paths[0].SAs[0].Suite
		}
	}
	return r, nil
}

// routes has the kernel send by the TAP, without ARP, of which PPP has none.
func (t *tapClient) routes(c *l2tp.Client) (mac eth.Addr, err error) {
	l, err := netlink.LinkByName(t.cfg.Ifname)
	if err != nil {
		return mac, err
	}
	copy(mac[:], l.Attrs().HardwareAddr)
	err = netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: c.Peer.AsSlice(), HardwareAddr: gateway[:]})
	for _, p := range t.cfg.Routes {
		if err == nil {
			err = netlink.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: c.Peer.AsSlice(), Flags: int(netlink.FLAG_ONLINK),
				Src: c.Local.AsSlice(), Dst: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}})
		}
	}
	return mac, err
}

func (t *tapClient) log() *slog.Logger {
	if t.cfg.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return t.cfg.Log
}

// WriteFrames is hub.Port's: what the kernel sends goes to the server.
func (t *tapClient) WriteFrames(frames []eth.Frame) int {
	d := t.up.Load()
	if d == nil {
		return len(frames)
	}
	arena := t.pool.Get().(*packet.Arena)
	flush := func() {
		list := arena.Packets()
		for i := range list {
			d.header(&list[i])
		}
		if len(list) > 0 {
			t.tunnel.Send(list)
		}
		arena.Reset()
	}
	next := func(n int) []byte {
		p, ok := arena.Next(n)
		if !ok {
			flush()
			if p, ok = arena.Next(n); !ok {
				return nil
			}
		}
		return p.Payload()
	}
	for i := range frames {
		if l := eth.Parse(frames[i].Data); l.EtherType == eth.TypeIPv4 {
			eth.Split(&frames[i], d.room+eth.HeaderLen, next)
		}
	}
	flush()
	t.pool.Put(arena)
	return len(frames)
}

// header turns a whole frame into an L2TP data message.
func (d *dataPath) header(p *packet.Packet) {
	if n := eth.CanonicalLen(p.Payload()); n < p.End-p.Off {
		p.End = p.Off + n // padding
	}
	p.Off += eth.HeaderLen
	var room [4]byte
	hdr := d.params.AppendHeader(room[:0], ppp.ProtoIPv4)
	copy(p.Prepend(len(hdr)), hdr)
	n := p.End - p.Off
	l2tp.PutDataHeader(p.Prepend(l2tp.DataHeaderLen), d.tunnel, d.session, n)
}

// newReceiver makes what takes the server's payloads, one a reading goroutine.
func (t *tapClient) newReceiver() ipsec.Receiver {
	in := t.link.NewReader()
	var slab []byte
	var frames []eth.Frame
	return func(now time.Time, payloads [][]byte) {
		d := t.up.Load()
		slab, frames = slab[:0], frames[:0]
		for _, b := range payloads {
			h, body, err := l2tp.ParseHeader(b)
			if err != nil {
				continue
			}
			proto, ip, ok := ppp.Split(body)
			if h.Control || !ok || proto != ppp.ProtoIPv4 || d == nil {
				pkt := bytes.Clone(b)
				t.post(func(now time.Time) {
					if t.client != nil {
						t.step(func(out *l2tp.ClientOut) { t.client.Receive(now, pkt, out) })
					}
				})
				continue
			}
			at := len(slab)
			slab = eth.AppendHeader(slab, 0, d.tap, gateway, eth.TypeIPv4)
			slab = append(slab, ip...)
			frames = append(frames, eth.Frame{Data: slab[at:len(slab):len(slab)]})
		}
		in.Input(now, frames)
	}
}
