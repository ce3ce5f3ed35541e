// Package daemon is vhub at work: it builds hubs and ports from the
// configuration, keeps them running, changes them while they run, and answers
// the API.
//
//	config file ── config.Store ── config.Diff ──> reconcile ──> hubRun ── port ── device
//	                    ^                                          |        (tap, nic, etherip)
//	   API (api.Server) ┴── change: check, try, write, answer      └─ hub.Hub, Advance loop
//
// A change is tried on the running hubs first and written when it works, then
// answered. A device that cannot be had undoes what was done so far, so that a
// rejected change leaves file and hubs as they were; a crash in between leaves
// the old file, and the devices go with the process. What was answered is on
// the disk.
package daemon

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vhub/api"
	"vhub/config"
	"vhub/users"
)

// Options are what a daemon is started with.
type Options struct {
	ConfigFile string // the configuration; it need not exist yet
	StateDir   string // revisions and other state
	Socket     string // where the API is served
	// SocketGroup is the group that may use the socket; "" leaves it to root.
	SocketGroup string
	Version     api.Version
	Log         *Logger
	// LogLevel and LogFormat, where they are not empty, count more than what the
	// configuration says.
	LogLevel, LogFormat string
	// Reload asks to read the configuration file again (SIGHUP).
	Reload <-chan os.Signal
	// Ready is called once everything runs. FirstRun says that there was no
	// configuration file, so the built-in one is in use.
	Ready func(s api.Status, firstRun bool)
}

// stopWithin is how long ports have to close when the daemon ends.
const stopWithin = 1500 * time.Millisecond

// Daemon is one vhub. Make one with New, then Run it.
type Daemon struct {
	opts    Options
	log     *slog.Logger
	started time.Time
	open    opener
	ipsec   *ipsecHost // the one IPsec engine, while a port needs it

	listener *api.Listener
	store    *config.Store
	users    *users.DB // who may log in at l2tp ports
	firstRun bool

	changing sync.Mutex // held through a change, so that changes come one after another

	ctx context.Context // of all ports; ends with Run

	mu   sync.RWMutex // for hubs, held shortly
	hubs []*hubRun    // in the order of the configuration's file
}

// New takes the socket and reads the configuration. Nothing runs yet, and an
// error leaves nothing behind.
func New(opts Options) (*Daemon, error) {
	d := &Daemon{opts: opts, log: opts.Log.Logger, started: time.Now(), ipsec: newIPsecHost(opts.Log.Logger)}
	d.open = deviceOpener(d.ipsec, d.readKey, d.roadHost())
	if err := os.MkdirAll(opts.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w; choose another with --state", err)
	}
	group, err := groupID(opts.SocketGroup)
	if err != nil {
		return nil, err
	}
	if d.listener, err = api.Listen(opts.Socket, group); err != nil {
		return nil, err
	}
	if err := d.openUsers(); err != nil {
		d.listener.Close()
		return nil, err
	}
	if err := d.openStore(); err != nil {
		d.listener.Close()
		return nil, err
	}
	return d, nil
}

// readKey reads a key file that the configuration names.
func (d *Daemon) readKey(name string) (config.Secret, error) {
	return config.ReadSecret((&config.Config{File: d.opts.ConfigFile}).Path(name))
}

// groupID is the number of a group of the system.
func groupID(name string) (int, error) {
	if name == "" {
		return api.NoGroup, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("socket group: there is no group %q; make it with groupadd, or name another", name)
	}
	return strconv.Atoi(g.Gid)
}

func (d *Daemon) openStore() error {
	store, err := config.OpenStore(time.Now(), d.opts.ConfigFile, d.opts.StateDir)
	if err != nil {
		return err
	}
	if err := needRights(store.Current()); err != nil {
		store.Close()
		return err
	}
	d.store, d.firstRun = store, store.IsDefault()
	d.useLog(store.Current())
	if r := store.Restored(); r != nil {
		d.log.Warn("the configuration went back: a change was not confirmed when vhub ended", "revision", r.Number, "what", r.What)
	}
	return nil
}

// useLog takes the log settings of the configuration, unless flags decide.
func (d *Daemon) useLog(cfg *config.Config) {
	d.opts.Log.Set(cmp.Or(d.opts.LogLevel, cfg.Log.Level), cmp.Or(d.opts.LogFormat, cfg.Log.Format))
}

// Run works until ctx ends, then closes all ports. It returns nil after an
// orderly end.
func (d *Daemon) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	portsCtx, stopPorts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPorts()
	d.ctx = portsCtx
	d.log.Info("vhub starts", "version", d.opts.Version.Version, "config", d.opts.ConfigFile, "socket", d.opts.Socket)
	d.changing.Lock()
	_ = d.reconcile(nil, d.store.Current(), lenient)
	d.changing.Unlock()

	server := api.NewServer(d.log)
	d.register(server)
	g.Go(func() error { return server.Serve(ctx, d.listener) })
	g.Go(func() error { return d.reloadLoop(ctx) })
	g.Go(func() error { return d.confirmLoop(ctx) })
	g.Go(func() error { return d.watchdogLoop(ctx) })
	g.Go(func() error { return d.expiryLoop(ctx) })
	g.Go(func() error { return d.trimLoop(ctx) })
	d.ready()

	err := g.Wait()
	d.stopping()
	if !d.stopAll() {
		d.log.Error("some ports did not close in time", "waited", stopWithin)
	}
	d.listener.Close()
	d.store.Close()
	d.log.Info("vhub ends")
	return err
}

func (d *Daemon) ready() {
	d.notify("READY=1\nSTATUS=running")
	status := d.status(time.Now())
	d.log.Info("vhub runs", "hubs", len(status.Hubs), "after", time.Since(d.started).Round(time.Millisecond))
	if d.opts.Ready != nil {
		d.opts.Ready(status, d.firstRun)
	}
}

// stopAll closes all hubs and reports whether that was done in time.
func (d *Daemon) stopAll() bool {
	d.changing.Lock() // a change under way ends first
	defer d.changing.Unlock()
	d.mu.Lock()
	hubs := d.hubs
	d.hubs = nil
	d.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for _, h := range hubs {
			wg.Go(h.stop)
		}
		wg.Wait()
	}()
	select {
	case <-done:
		return true
	case <-time.After(stopWithin):
		return false
	}
}

// reloadLoop reads the file again at each signal.
func (d *Daemon) reloadLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.opts.Reload:
			d.notify(reloadingState())
			change, err := d.reload(context.WithoutCancel(ctx), "signal", "reload (SIGHUP)", 0)
			if err != nil {
				d.log.Error("the configuration is not reloaded; the one before stays in use", "file", d.opts.ConfigFile, "error", oneLine(err))
			} else {
				d.log.Info("the configuration was reloaded", "file", d.opts.ConfigFile, "changes", len(change.Changed))
			}
			d.notify("READY=1")
		}
	}
}
