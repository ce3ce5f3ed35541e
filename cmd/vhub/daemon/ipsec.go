package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"vhub/config"
	"vhub/ipsec"
)

// ipsecHost has the one IPsec engine of the daemon. The engine is made when the
// first port needs it and closed when the last such port goes, so that a vhub
// without IPsec leaves UDP 500 and 4500 to others.
//
//	port ── take ──> engineRun (made, or one more user) ── give ──> (last user: closed)
type ipsecHost struct {
	log *slog.Logger
	// make opens the engine's sockets; tests have their own.
	make func(ipsec.Config) (*ipsec.Engine, error)

	mu  sync.Mutex
	cfg config.Engine
	run *engineRun // nil while nobody needs it
}

// engineRun is one engine from its begin to its end.
type engineRun struct {
	*ipsec.Engine
	host   *ipsecHost
	users  int
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned
	err    error         // why it ended by itself; only after ended
}

func newIPsecHost(log *slog.Logger) *ipsecHost {
	return &ipsecHost{log: slog.New(portHandler{log.Handler()}), make: ipsec.New}
}

// configure sets what the next engine is made of. The one that runs stays as it is.
func (h *ipsecHost) configure(cfg config.Engine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cfg = cfg
}

// keepalive is the interval of NAT keepalives.
func (h *ipsecHost) keepalive() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cfg.KeepAlive
}

// take returns the engine for one more port; give it back with give. The error
// says which address or UDP port cannot be had, and who has it.
func (h *ipsecHost) take() (*engineRun, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.run; r != nil && !r.over() {
		r.users++
		return r, nil
	}
	e, err := h.make(engineConfig(h.cfg, h.log))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &engineRun{Engine: e, host: h, users: 1, cancel: cancel, ended: make(chan struct{})}
	h.run = r
	go func() {
		r.err = e.Run(ctx)
		close(r.ended)
	}()
	return r, nil
}

// engineStop is how long an engine has to say goodbye to its peers.
const engineStop = time.Second

// give is the opposite of take. The last user's waits until the sockets are closed.
func (r *engineRun) give() {
	h := r.host
	h.mu.Lock()
	defer h.mu.Unlock() // a take meanwhile must find the sockets closed
	if r.users--; r.users > 0 {
		return
	}
	if h.run == r {
		h.run = nil
	}
	r.cancel()
	select {
	case <-r.ended:
	case <-time.After(engineStop):
		h.log.Warn("ipsec: the engine does not end")
	}
}

// over tells whether the engine has ended by itself.
func (r *engineRun) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

var errEngineEnded = errors.New("the IPsec engine ended")

// wait waits until ctx ends, then returns nil; an engine that ends by itself is
// an error.
func (r *engineRun) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.ended:
		if r.err != nil {
			return r.err
		}
		return errEngineEnded
	}
}

// now returns the engine at work; nil when there is none.
func (h *ipsecHost) now() *ipsec.Engine {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.run == nil || h.run.over() {
		return nil
	}
	return h.run.Engine
}

// engineConfig is what the block "ipsec" means for the engine.
func engineConfig(c config.Engine, log *slog.Logger) ipsec.Config {
	return ipsec.Config{
		Listen: c.Listen, Port: uint16(c.Port), NATTPort: uint16(c.NATPort), NoRawESP: !c.RawESP, Log: log,
	}
}

// portHandler turns the engine's name of a port, "hub/port", into the two
// attributes by which events are found.
type portHandler struct{ slog.Handler }

func (h portHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if hub, port, ok := cutPeerName(a.Value.String()); a.Key == "port" && ok {
			out.AddAttrs(slog.String("hub", hub), slog.String("port", port))
		} else {
			out.AddAttrs(a)
		}
		return true
	})
	return h.Handler.Handle(ctx, out)
}

func (h portHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return portHandler{h.Handler.WithAttrs(attrs)}
}
func (h portHandler) WithGroup(name string) slog.Handler {
	return portHandler{h.Handler.WithGroup(name)}
}

// peerName is a port's name in the engine, which knows no hubs.
func peerName(hub, port string) string { return hub + "/" + port }

// cutPeerName is the opposite of peerName. What the engine adds behind, such as
// "/aggressive", goes.
func cutPeerName(name string) (hub, port string, ok bool) {
	hub, port, ok = strings.Cut(name, "/")
	port, _, _ = strings.Cut(port, "/")
	return hub, port, ok
}

// usesEngine tells whether a port needs the engine.
func usesEngine(p *config.Port) bool {
	return p.Kind == config.KindEtherIP && !p.EtherIP.Plain || p.Kind == config.KindL2TP && !p.L2TP.Insecure
}

// kernelNotes is what a port with IPsec says of other IPsec on the machine.
func kernelNotes(e *ipsec.Engine) []string {
	var notes []string
	for _, w := range e.Status().Warnings {
		notes = append(notes, fmt.Sprintf("ipsec: %s", w))
	}
	return notes
}
