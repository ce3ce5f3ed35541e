package emulation

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"vhub/arp"
	"vhub/dhcp"
	"vhub/eth"
	"vhub/hub"
	"vhub/ipsec"
	"vhub/l2tp"
)

const (
	sharedKey = "a key long enough for anyone to use it"
	userName  = "alice"
	password  = "correct horse"
)

// office is vhub's side as the daemon puts it together: the engine, the L2TP server with a pool,
// a hub, and one station of its segment.
type office struct {
	t      *testing.T
	engine *ipsec.Engine
	server *l2tp.Server
	hub    *hub.Hub
	pool   *dhcp.Pool
	lines  lines
	stop   context.CancelFunc
	ended  sync.WaitGroup

	in     *hub.Reader
	mu     sync.Mutex
	frames [][]byte // that have reached the station
}

var (
	stationMAC = eth.Addr{0x02, 0, 0, 0, 0, 0x30}
	stationIP  = netip.MustParseAddr("172.16.0.30")
)

// lines are what vhub logs.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// logger leaves out times, which are not the same twice.
func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// accounts is who may log in: one user.
type accounts struct{}

func (accounts) Login(_ context.Context, l l2tp.Login) l2tp.Grant {
	if l.User != userName {
		return l2tp.Grant{Reason: "no such user"}
	}
	return l2tp.Grant{User: l.User, Result: l.CheckPassword(password)}
}

func (accounts) Account(l2tp.Accounting) {}

func newOffice(t *testing.T, w *wan, legacy bool) *office {
	o := &office{t: t}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o.hub = hub.New(hub.Config{Name: "default", Neighbours: &arp.Config{Mode: arp.Relay}})
	link, err := o.hub.Attach(time.Now(), o, hub.LinkConfig{Name: "lan", Kind: "tap"})
	must(err)
	o.in = link.NewReader()
	r, err := dhcp.ParseRange("172.16.0.200-172.16.0.230")
	must(err)
	o.pool, err = dhcp.NewPool(dhcp.PoolConfig{Ranges: []dhcp.Range{r}})
	must(err)
	o.server, err = l2tp.NewServer(l2tp.ServerConfig{Port: "road", Hub: o.hub, HubName: "default", Auth: accounts{}, Pool: o.pool, IPv6: true, Rand: rand.Reader,
		Facts:  dhcp.Lease{Prefix: netip.MustParsePrefix("172.16.0.0/24"), DNS: []netip.Addr{netip.MustParseAddr("172.16.0.53")}},
		Routes: []dhcp.Route{{To: netip.MustParsePrefix("172.16.0.0/16")}}, Log: logger(&o.lines, slog.LevelDebug)})
	must(err)
	o.engine, err = ipsec.New(ipsec.Config{Network: w, Log: logger(&o.lines, slog.LevelInfo)})
	must(err)
	must(o.engine.AddRoadWarriors(ipsec.RoadConfig{Name: "default/road", Key: []byte(sharedKey), Algorithms: ipsec.Algorithms{Legacy: legacy, DPD: time.Minute, DPDRetries: 30}, Accept: o.accept}))
	ctx, stop := context.WithCancel(t.Context())
	o.stop = stop
	o.ended.Go(func() { _ = o.server.Run(ctx) })
	o.ended.Go(func() { _ = o.engine.Run(ctx) })
	return o
}

func (o *office) accept(t *ipsec.Tunnel) (ipsec.Handler, bool) {
	p := o.server.Accept(t)
	return ipsec.Handler{
		NewReceiver: func() ipsec.Receiver { return p.NewReceiver() },
		Closed:      func(reason string) { o.server.Closed(p, "the IPsec session ended: "+reason) },
	}, true
}

func (o *office) close() {
	o.stop()
	o.ended.Wait()
}

// WriteFrames is the port of the station.
func (o *office) WriteFrames(frames []eth.Frame) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range frames {
		o.frames = append(o.frames, bytes.Clone(f.Data))
	}
	return len(frames)
}

// work lets the station answer what it is asked: ARP and pings. It says what it did.
func (o *office) work() (did []string) {
	o.mu.Lock()
	frames := o.frames
	o.frames = nil
	o.mu.Unlock()
	for _, f := range frames {
		l := eth.Parse(f)
		switch a := l.ARP(f); {
		case a != nil && a.Op() == eth.ARPRequest && a.TargetIP() == stationIP:
			o.in.Input(time.Now(), []eth.Frame{{Data: eth.AppendARPReply(nil, 0, a.SenderMAC(), stationMAC, stationIP, a.SenderIP())}})
		case l.EtherType == eth.TypeIPv4 && l.Proto == eth.ProtoICMP && f[l.L4] == 8 && eth.Destination(f) == stationMAC:
			ip := f[l.Net:]
			did = append(did, "station got "+ipText(ip))
			reply := pong(ip)
			o.in.Input(time.Now(), []eth.Frame{{Data: append(eth.AppendHeader(nil, 0, eth.Source(f), stationMAC, eth.TypeIPv4), reply...)}})
		}
	}
	return did
}

// released says what is left of a client that has gone: nothing, it should be.
func (o *office) released() (left []string) {
	if list := o.server.Sessions(); len(list) > 0 {
		left = append(left, "an L2TP session "+list[0].Name+" "+list[0].State)
	}
	for _, t := range o.engine.Tunnels() {
		left = append(left, "an IPsec session of "+t.Name)
	}
	for _, s := range o.hub.Stations(time.Now()) {
		if !strings.HasPrefix(s.Link, "lan") {
			left = append(left, "the station "+s.MAC.String()+" at "+s.Link)
		}
	}
	if _, held := o.pool.Use(); held > 0 {
		left = append(left, "an address of the pool")
	}
	return left
}
