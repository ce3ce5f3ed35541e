package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"vhub/api"
	"vhub/config"
	"vhub/etherip"
	"vhub/hub"
	"vhub/ipsec"
)

// tunnel is an etherip.Port over a tunnel of the IPsec engine, as a device.
//
//	hub -> etherip.Port -> pathSender -> ipsec.Tunnel -> UDP 4500 or IP 50
//	hub <- Reader <- etherip.Receiver <- engine's reading goroutine
type tunnel struct {
	*etherip.Port
	hub    string
	ipsec  *ipsecHost
	keys   keyReader
	run    *engineRun
	tunnel *ipsec.Tunnel
	sender *pathSender
	link   atomic.Pointer[hub.Link] // nil until Run

	mu     sync.Mutex // held shortly: the state below, and link.SetUp
	port   *config.Port
	cfg    *config.EtherIP // port.EtherIP
	sum    secretSum
	up     bool
	downed string // why it was last down
}

// keyReader reads a key file named by the configuration.
type keyReader func(name string) (config.Secret, error)

// openTunnel joins the engine. Nothing is dialled before the link is there: what
// comes earlier finds the port down.
func openTunnel(hubName string, cfg *config.Port, host *ipsecHost, keys keyReader, log *slog.Logger) (device, error) {
	t := &tunnel{hub: hubName, ipsec: host, keys: keys, port: cfg, cfg: cfg.EtherIP}
	var err error
	if t.sum, err = sumSecrets(cfg, keys); err != nil {
		return nil, api.Errorf(api.CodeFailed, "%v", err)
	}
	pc, err := t.peerConfig(cfg)
	if err != nil {
		return nil, err
	}
	ec, err := etherIPConfig(cfg)
	if err != nil {
		return nil, err
	}
	t.Port = etherip.NewPort(ec, log)
	if t.run, err = host.take(); err != nil {
		return nil, api.Errorf(api.CodeFailed, "%s: %v", describe(cfg), err)
	}
	if t.tunnel, err = t.run.AddPeer(pc); err != nil {
		t.run.give()
		return nil, err
	}
	t.sender = &pathSender{Tunnel: t.tunnel}
	t.sender.pin(cfg.EtherIP.PathMTU)
	t.SetSender(t.sender)
	return t, nil
}

func etherIPConfig(cfg *config.Port) (etherip.Config, error) {
	c := cfg.EtherIP
	out := etherip.Config{Name: cfg.Name, DF: c.DF, PreFragment: c.PreFragment, NoClamp: !c.MSSClamp}
	return out, out.Header.UnmarshalText([]byte(c.Header))
}

// peerConfig is what the engine is told of the port now.
func (t *tunnel) peerConfig(cfg *config.Port) (ipsec.PeerConfig, error) {
	key, err := t.keys(cfg.EtherIP.IPsec.KeyFile)
	if err != nil {
		return ipsec.PeerConfig{}, api.Errorf(api.CodeFailed, "%s: %v", describe(cfg), err)
	}
	pc, err := peerConfig(t.hub, cfg, key, t.ipsec.keepalive())
	pc.NewReceiver, pc.OnEvent = t.newReceiver, t.event
	return pc, err
}

// newReceiver makes the receiver of one reading goroutine. Packets that come
// before the port is in its hub are lost, as on a wire that is not plugged in.
func (t *tunnel) newReceiver() ipsec.Receiver {
	var r *etherip.Receiver
	return func(now time.Time, payloads [][]byte) {
		if r == nil {
			link := t.link.Load()
			if link == nil {
				return
			}
			r = t.Port.NewReceiver(link.NewReader())
		}
		r.Receive(now, payloads)
	}
}

// Run has the link follow the tunnel until ctx ends.
func (t *tunnel) Run(ctx context.Context, link *hub.Link) error {
	now := time.Now()
	t.mu.Lock()
	t.link.Store(link)
	link.SetUp(now, t.up)
	t.mu.Unlock()
	answers, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { t.Answer(answers, link.NewReader()) })
	wg.Go(func() { t.sender.follow(answers) })
	err := t.run.wait(ctx)
	stop()
	wg.Wait()
	return err
}

// event takes what the engine tells of the tunnel. The engine has logged it.
func (t *tunnel) event(e ipsec.Event) {
	now := time.Now()
	t.sender.measure()
	up := e.Kind != ipsec.Down
	t.mu.Lock()
	if t.up = up; !up {
		t.downed = e.Reason
	}
	link := t.link.Load()
	if link != nil {
		link.SetUp(now, up)
	}
	t.mu.Unlock()
	if link != nil && up {
		link.Announce(now)
	}
}

// Close ends the peer's sessions and gives the engine back.
func (t *tunnel) Close() error {
	t.SetSender(nil)
	t.run.RemovePeer(t.tunnel.Name())
	t.run.give()
	return nil
}

// reconfigure changes what concerns the peer under way; the sessions stay up
// where neither key nor identity changed. What EtherIP does with frames needs
// the port anew.
func (t *tunnel) reconfigure(cfg *config.Port) error {
	t.mu.Lock()
	old := *t.cfg
	t.mu.Unlock()
	next := *cfg.EtherIP
	if next.IPsec == nil {
		return errRemake
	}
	same := next
	same.Peer, same.Local, same.PathMTU, same.IPsec = old.Peer, old.Local, old.PathMTU, old.IPsec
	if !reflect.DeepEqual(same, old) {
		return errRemake
	}
	if !reflect.DeepEqual(next, old) {
		return t.use(cfg)
	}
	t.mu.Lock()
	t.port, t.cfg = cfg, cfg.EtherIP
	t.mu.Unlock()
	return nil
}

// use tells the engine what the peer is now.
func (t *tunnel) use(cfg *config.Port) error {
	sum, err := sumSecrets(cfg, t.keys)
	if err != nil {
		return api.Errorf(api.CodeFailed, "%v", err)
	}
	pc, err := t.peerConfig(cfg)
	if err != nil {
		return err
	}
	if err := t.run.UpdatePeer(pc); err != nil {
		return err
	}
	t.sender.pin(cfg.EtherIP.PathMTU)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.port, t.cfg, t.sum = cfg, cfg.EtherIP, sum
	return nil
}

// rereadSecrets ends the sessions with the peer if its key is another now.
func (t *tunnel) rereadSecrets() (bool, error) {
	t.mu.Lock()
	cfg, before := t.port, t.sum
	t.mu.Unlock()
	sum, err := sumSecrets(cfg, t.keys)
	if err != nil || sum == before {
		return false, err
	}
	return true, t.use(cfg)
}

func (t *tunnel) segment() string { return "" }

func (t *tunnel) maxFrame() int { return 0 }

// where is the peer's address while it is there, else what is known of it.
func (t *tunnel) where() string {
	t.mu.Lock()
	cfg := t.cfg
	t.mu.Unlock()
	switch remote := t.tunnel.Remote(); {
	case remote.IsValid():
		return addrText(remote)
	case cfg.Peer != "":
		return cfg.Peer
	}
	return cfg.IPsec.PeerID.String()
}

func (t *tunnel) detail() json.RawMessage {
	return detailOf(struct {
		api.Tunnel
		etherip.Status
	}{t.status(), t.Port.Status()})
}

func (t *tunnel) status() api.Tunnel {
	out := tunnelOf(t.tunnel.Status())
	out.Sockets = socketsOf(t.run.Status())
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.up && t.downed != "" {
		out.Problem = fmt.Sprintf("went down: %s; now: %s", t.downed, out.Problem)
	}
	return out
}

func (t *tunnel) trouble() string { return t.status().Problem }

func (t *tunnel) notes() []string { return kernelNotes(t.run.Engine) }
