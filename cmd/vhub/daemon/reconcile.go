package daemon

import (
	"errors"
	"reflect"
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
//
// Names of devices may go from one port to another, so what lets go of a device
// comes before what takes one:
//
//  1. ports and hubs that went
//  2. hubs that are new or changed
//  3. ports that changed: on their live devices, or closed
//  4. the closed ones opened again, and the new ones
func (d *Daemon) reconcile(old, new *config.Config, mode mode) error {
	w := &work{d: d, old: old, new: new, mode: mode}
	if err := w.do(config.Diff(old, new)); err != nil {
		w.done.run()
		d.order(old)
		return err
	}
	d.order(new)
	d.useLog(new)
	return nil
}

// work is one reconcile under way.
type work struct {
	d        *Daemon
	old, new *config.Config
	mode     mode
	done     undo
}

func (w *work) do(changes []config.Change) error {
	for _, c := range changes {
		switch {
		case c.What == config.ChangePort && c.Op == "removed":
			w.removePort(c)
		case c.What == config.ChangeHub:
			w.hub(c)
		}
	}
	restart := w.engine(changes)
	closed, err := w.updatePorts(changes)
	if err != nil {
		return err
	}
	closed = append(closed, restart...)
	for _, c := range closed {
		if err := w.openPort(c.port, c.mode); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if c.What != config.ChangePort || c.Op != "added" {
			continue
		}
		if err := w.addPort(c); err != nil {
			return err
		}
	}
	return nil
}

// engine has the IPsec engine made anew when its settings changed: its ports are
// closed first. It returns those that nothing else will open again.
func (w *work) engine(changes []config.Change) []closedPort {
	var old config.Engine
	if w.old != nil {
		old = w.old.IPsec
	}
	w.d.ipsec.configure(w.new.IPsec)
	undo := func() { w.d.ipsec.configure(old) }
	isChange := func(what, op, hub, name string) bool {
		return slices.ContainsFunc(changes, func(c config.Change) bool {
			return c.What == what && c.Op == op && c.Hub == hub && c.Name == name
		})
	}
	if w.old == nil || !isChange(config.ChangeBlock, "changed", "", "ipsec") {
		w.done.add(undo)
		return nil
	}
	var closed []closedPort
	for _, h := range w.d.all() {
		for _, p := range h.all() {
			if cfg := p.config(); !usesEngine(cfg) || !cfg.Enabled {
				continue
			}
			p.stop()
			w.done.add(func() { _ = p.start(w.d.ctx, lenient) })
			if !isChange(config.ChangePort, "changed", h.name, p.name) {
				closed = append(closed, closedPort{p, w.mode})
			}
		}
	}
	w.done.add(undo)
	return closed
}

// closedPort is a port that was closed and is to be opened again.
type closedPort struct {
	port *port
	mode mode
}

// updatePorts changes the ports that changed, and returns those that are closed
// for it.
func (w *work) updatePorts(changes []config.Change) ([]closedPort, error) {
	var closed []closedPort
	for _, c := range changes {
		if c.What != config.ChangePort || c.Op != "changed" {
			continue
		}
		p, old, new := w.d.hub(c.Hub).port(c.Name), w.old.Hub(c.Hub).Port(c.Name), w.new.Hub(c.Hub).Port(c.Name)
		mode := w.mode
		if p.waiting() && sameDevice(old, new) {
			mode = lenient // its device is missing anyway
		}
		switch err := w.updatePort(p, old, new); {
		case errors.Is(err, errRemake):
			closed = append(closed, closedPort{p, mode})
		case err != nil:
			return nil, err
		}
	}
	return closed, nil
}

// sameDevice tells whether two configurations of a port want the same of its
// device.
func sameDevice(a, b *config.Port) bool {
	return a.Enabled == b.Enabled && reflect.DeepEqual(a.TAP, b.TAP) && reflect.DeepEqual(a.NIC, b.NIC) && reflect.DeepEqual(a.EtherIP, b.EtherIP) && reflect.DeepEqual(a.L2TP, b.L2TP)
}

func (w *work) hub(c config.Change) {
	d := w.d
	switch c.Op {
	case "added":
		h := startHub(w.new.Hub(c.Name), d.log)
		d.addHub(h)
		w.done.add(func() { d.removeHub(h); h.stop() })
	case "removed": // its ports are removed already
		h := d.hub(c.Name)
		d.removeHub(h)
		h.stop()
		w.done.add(func() { d.addHub(startHub(w.old.Hub(c.Name), d.log)) })
	case "changed":
		d.hub(c.Name).reconfigure(w.new.Hub(c.Name))
		w.done.add(func() { d.hub(c.Name).reconfigure(w.old.Hub(c.Name)) })
	}
}

func (w *work) removePort(c config.Change) {
	p := w.d.hub(c.Hub).port(c.Name)
	p.hub.remove(p)
	p.stop()
	w.done.add(func() { w.d.restore(p) })
}

// updatePort changes the live device, or closes it and says errRemake.
func (w *work) updatePort(p *port, old, new *config.Port) error {
	err := p.update(new)
	switch {
	case err == nil:
		w.done.add(func() {
			if p.update(old) != nil {
				p.stop()
				p.use(old)
				_ = p.start(w.d.ctx, lenient)
			}
		})
	case errors.Is(err, errRemake) || w.mode == lenient:
		p.stop()
		p.use(new)
		w.done.add(func() {
			p.use(old)
			_ = p.start(w.d.ctx, lenient)
		})
		return errRemake
	}
	return err
}

func (w *work) addPort(c config.Change) error {
	h := w.d.hub(c.Hub)
	p := newPort(h, w.new.Hub(c.Hub).Port(c.Name), w.d.open)
	if err := w.openPort(p, w.mode); err != nil {
		return err
	}
	h.add(p)
	w.done.add(func() { h.remove(p) })
	return nil
}

func (w *work) openPort(p *port, mode mode) error {
	if err := p.start(w.d.ctx, mode); err != nil {
		return err
	}
	w.done.add(p.stop)
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
