package daemon

import (
	"slices"

	"vhub/config"
)

// mode says what a device that cannot be had means.
type mode bool

const (
	// strict: the change is refused, and everything is as it was.
	strict mode = true
	// lenient: the port waits and tries again; the rest is done.
	lenient mode = false
)

// undo is what was done so far, backwards.
type undo []func()

func (u *undo) add(f func()) { *u = append(*u, f) }

func (u *undo) run() {
	for _, f := range slices.Backward(*u) {
		f()
	}
}

// reconcile makes the running hubs what new says, touching only what differs
// from old (nil: nothing runs). In strict mode an error means that everything
// is as it was; in lenient mode there is none. The caller holds d.changing.
func (d *Daemon) reconcile(old, new *config.Config, mode mode) error {
	var done undo
	for _, c := range config.Diff(old, new) {
		if err := d.reconcileOne(c, old, new, mode, &done); err != nil {
			done.run()
			d.order(old)
			return err
		}
	}
	d.order(new)
	d.useLog(new)
	return nil
}

func (d *Daemon) reconcileOne(c config.Change, old, new *config.Config, mode mode, done *undo) error {
	switch c.What {
	case config.ChangeHub:
		return d.reconcileHub(c, old, new, mode, done)
	case config.ChangePort:
		return d.reconcilePort(c, old, new, mode, done)
	}
	return nil // blocks are looked at when all is done
}

func (d *Daemon) reconcileHub(c config.Change, old, new *config.Config, mode mode, done *undo) error {
	switch c.Op {
	case "added":
		h := startHub(new.Hub(c.Name), d.log)
		d.addHub(h)
		done.add(func() { d.removeHub(h); h.stop() })
	case "removed": // its ports are removed already
		h := d.hub(c.Name)
		d.removeHub(h)
		h.stop()
		done.add(func() { d.addHub(startHub(old.Hub(c.Name), d.log)) })
	case "changed":
		h := d.hub(c.Name)
		h.reconfigure(d.ctx, new.Hub(c.Name), c.Attributes)
		done.add(func() { d.hub(c.Name).reconfigure(d.ctx, old.Hub(c.Name), c.Attributes) })
	}
	return nil
}

func (d *Daemon) reconcilePort(c config.Change, old, new *config.Config, mode mode, done *undo) error {
	h := d.hub(c.Hub)
	switch c.Op {
	case "added":
		p := newPort(h, new.Hub(c.Hub).Port(c.Name), d.open)
		if err := p.start(d.ctx, mode); err != nil {
			return err
		}
		h.add(p)
		done.add(func() { h.remove(p); p.stop() })
	case "removed":
		p := h.port(c.Name)
		h.remove(p)
		p.stop()
		done.add(func() { d.restore(p) })
	case "changed":
		p := h.port(c.Name)
		if err := p.update(d.ctx, new.Hub(c.Hub).Port(c.Name), mode); err != nil {
			return err
		}
		done.add(func() { _ = p.update(d.ctx, old.Hub(c.Hub).Port(c.Name), lenient) })
	}
	return nil
}

// restore puts a port back that was removed; its hub may be another by now.
func (d *Daemon) restore(old *port) {
	h := d.hub(old.hub.name)
	p := newPort(h, old.cfg, d.open)
	p.past, p.ups = old.past, old.ups
	h.add(p)
	_ = p.start(d.ctx, lenient)
}

// hub finds a hub by name; nil when there is none.
func (d *Daemon) hub(name string) *hubRun {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, h := range d.hubs {
		if h.name == name {
			return h
		}
	}
	return nil
}

// all returns the hubs now.
func (d *Daemon) all() []*hubRun {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.hubs)
}

func (d *Daemon) addHub(h *hubRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hubs = append(d.hubs, h)
}

func (d *Daemon) removeHub(h *hubRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hubs = slices.DeleteFunc(d.hubs, func(x *hubRun) bool { return x == h })
}

// order brings hubs and ports into the order of the configuration.
func (d *Daemon) order(cfg *config.Config) {
	if cfg == nil {
		return
	}
	d.mu.Lock()
	slices.SortStableFunc(d.hubs, func(a, b *hubRun) int {
		return slices.IndexFunc(cfg.Hubs, func(h config.Hub) bool { return h.Name == a.name }) -
			slices.IndexFunc(cfg.Hubs, func(h config.Hub) bool { return h.Name == b.name })
	})
	d.mu.Unlock()
	for _, h := range d.all() {
		if c := cfg.Hub(h.name); c != nil {
			h.order(c)
		}
	}
}
