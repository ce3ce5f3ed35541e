package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vhub/api"
	"vhub/config"
)

// change is how every change of the configuration is made: proposed (which
// checks it), tried on the running hubs, written, and answered. An error means
// that file and hubs are as they were. within, above 0, has the change go back
// unless confirmed.
func (d *Daemon) change(who, what string, within time.Duration, propose func() (*config.Proposal, error)) (api.Change, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	p, err := propose()
	if err != nil {
		return api.Change{}, refused(err)
	}
	if at := d.store.Deadline(); !at.IsZero() {
		return api.Change{}, api.Errorf(api.CodeConflict, "a change waits to be confirmed until %s", at.Local().Format(time.TimeOnly)).
			WithHint("keep it with 'vhub config confirm', or undo it with 'vhub config rollback', first")
	}
	if err := d.reconcile(p.Old, p.New, strict); err != nil {
		return api.Change{}, failed(err)
	}
	before := d.current()
	r, err := d.commit(p, config.Meta{Who: who, What: what}, within)
	if err != nil {
		_ = d.reconcile(p.New, p.Old, lenient)
		return api.Change{}, failed(err)
	}
	answer := api.Change{Revision: r.Number, Changed: changedLines(p), Warnings: d.warnings(p), Confirm: d.confirmation(r.Number)}
	if r.Number != before {
		if len(answer.Changed) == 0 {
			answer.Changed = append(answer.Changed, "comments or order of the file")
		}
		d.log.Info("the configuration changed", "revision", r.Number, "who", who, "what", what, "changed", strings.Join(answer.Changed, "; "))
	}
	return answer, nil
}

// commit writes a proposal. The folder of the file is made where it is missing,
// as on a machine whose first configuration this is.
func (d *Daemon) commit(p *config.Proposal, meta config.Meta, within time.Duration) (config.Revision, error) {
	if err := os.MkdirAll(filepath.Dir(d.opts.ConfigFile), 0o755); err != nil {
		return config.Revision{}, err
	}
	if within > 0 {
		return d.store.CommitUnlessConfirmed(time.Now(), p, meta, within)
	}
	return d.store.Commit(time.Now(), p, meta)
}

// edit is change by edits of the file.
func (d *Daemon) edit(ctx context.Context, what string, edits ...config.Edit) (api.Change, error) {
	return d.change(api.WhoFrom(ctx).String(), what, 0, func() (*config.Proposal, error) {
		p, err := d.store.Propose(edits...)
		if all, ok := errors.AsType[config.Errors](err); ok {
			err = all[0] // one command, one line; the next shows when this is right
		}
		return p, err
	})
}

// reload takes the file as it is on disk, and the secret files that it names.
func (d *Daemon) reload(_ context.Context, who, what string, within time.Duration) (api.Change, error) {
	answer, err := d.change(who, what, within, d.store.ProposeReload)
	if err != nil {
		return answer, err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	for _, port := range d.rereadSecrets() {
		answer.Changed = append(answer.Changed, "port "+port+": a secret file says something new")
	}
	return answer, nil
}

// changedLines says what a proposal changes, a line each.
func changedLines(p *config.Proposal) []string {
	lines := []string{}
	for _, c := range p.Changes {
		name := c.What + " " + c.Name
		if c.What == config.ChangePort && len(p.New.Hubs) > 1 {
			name = "hub " + c.Hub + ": " + name
		}
		line := name + " " + c.Op
		if c.Op == "changed" {
			line += ": " + strings.Join(c.Attributes, ", ")
		}
		lines = append(lines, line)
	}
	return lines
}

// warnings are what the user should know after a change: notes and troubles of
// the ports that it added or changed, and that the file was edited by hand.
func (d *Daemon) warnings(p *config.Proposal) []string {
	var lines []string
	for _, c := range p.Changes {
		if c.What != config.ChangePort || c.Op == "removed" {
			continue
		}
		if h := d.hub(c.Hub); h != nil && h.port(c.Name) != nil {
			s := h.port(c.Name).status()
			if s.Error != "" && s.State == api.StateUp {
				s.Notes = append(s.Notes, s.Error)
			}
			for _, note := range s.Notes {
				lines = append(lines, "port "+c.Name+": "+note)
			}
		}
	}
	if p.HandEdited && !d.store.IsDefault() {
		lines = append(lines, "the file was edited by hand since it was read; that is in use now too")
	}
	return lines
}

// confirmation is the confirmation that is waited for, or nil.
func (d *Daemon) confirmation(revision int) *api.Confirm {
	at := d.store.Deadline()
	if at.IsZero() {
		return nil
	}
	return &api.Confirm{Revision: revision, BackTo: d.revisionBefore(revision), Deadline: at}
}

// revisionBefore returns the number of the revision before one; 0 for none.
func (d *Daemon) revisionBefore(number int) int {
	history, err := d.store.History()
	if err != nil {
		return 0
	}
	before := 0
	for _, r := range history {
		if r.Number < number {
			before = r.Number
		}
	}
	return before
}

// current is the number of the revision in use; 0 while the built-in one is.
func (d *Daemon) current() int {
	history, err := d.store.History()
	if err != nil || len(history) == 0 {
		return 0
	}
	return history[len(history)-1].Number
}

// confirmLoop takes a change back that nobody confirmed.
func (d *Daemon) confirmLoop(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if at := d.store.Deadline(); !at.IsZero() && !now.Before(at) {
				d.goBack(now, false, "vhub")
			}
		}
	}
}

// goBack takes back the change that waits for its confirmation; with cancel,
// before its time, because who asked for it.
func (d *Daemon) goBack(now time.Time, cancel bool, who string) (*config.Proposal, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	take := d.store.Advance
	if cancel {
		take = d.store.GoBack
	}
	p, err := take(now)
	if err != nil {
		d.log.Error("a change that was not confirmed cannot be taken back; it is tried again", "error", oneLine(err))
		return nil, failed(err)
	}
	if p != nil {
		_ = d.reconcile(p.Old, p.New, lenient)
		d.log.Warn("the configuration went back: the change was not confirmed", "revision", d.current(), "who", who, "changed", strings.Join(changedLines(p), "; "))
	}
	return p, nil
}

// registerChanges gives the server the operations that change something.
func (d *Daemon) registerChanges(s *api.Server) {
	api.On(s, api.AddHub, func(ctx context.Context, r api.AddHubRequest) (api.Change, error) {
		set, _, err := optionValues(r.Options)
		if err != nil {
			return api.Change{}, err
		}
		return d.edit(ctx, command("hub add "+r.Name, set, nil), config.AddHub(r.Name, set))
	})
	api.On(s, api.SetHub, func(ctx context.Context, r api.SetHubRequest) (api.Change, error) {
		set, unset, err := optionValues(r.Options)
		if err != nil {
			return api.Change{}, err
		}
		h, err := d.hubNamed(r.Hub)
		if err != nil {
			return api.Change{}, err
		}
		return d.edit(ctx, command("hub set "+h.name, set, unset), config.SetHub(h.name, set, unset))
	})
	api.On(s, api.RemoveHub, func(ctx context.Context, r api.HubRequest) (api.Change, error) {
		h, err := d.hubNamed(r.Hub)
		if err != nil {
			return api.Change{}, err
		}
		return d.edit(ctx, "hub remove "+h.name, config.RemoveHub(h.name))
	})
	api.On(s, api.AddPort, func(ctx context.Context, r api.AddPortRequest) (api.Change, error) {
		set, _, err := optionValues(r.Options)
		if err != nil {
			return api.Change{}, err
		}
		h, err := d.hubNamed(r.Hub)
		if err != nil {
			return api.Change{}, err
		}
		return d.edit(ctx, command(d.inHub(h)+"port add "+r.Kind+" "+r.Name, set, nil), config.AddPort(h.name, r.Kind, r.Name, set))
	})
	api.On(s, api.SetPort, func(ctx context.Context, r api.SetPortRequest) (api.Change, error) {
		set, unset, err := optionValues(r.Options)
		if err != nil {
			return api.Change{}, err
		}
		p, err := d.portNamed(r.Hub, r.Port)
		if err != nil {
			return api.Change{}, err
		}
		return d.edit(ctx, command(d.inHub(p.hub)+"port set "+p.name, set, unset), config.SetPort(p.hub.name, p.name, set, unset))
	})
	api.On(s, api.RemovePort, func(ctx context.Context, r api.PortRequest) (api.Change, error) {
		p, err := d.portNamed(r.Hub, r.Port)
		if err != nil {
			return api.Change{}, err
		}
		return d.edit(ctx, d.inHub(p.hub)+"port remove "+p.name, config.RemovePort(p.hub.name, p.name))
	})
	api.On(s, api.SetSettings, func(ctx context.Context, r api.SetSettingsRequest) (api.Change, error) {
		set, unset, err := optionValues(r.Options)
		if err != nil {
			return api.Change{}, err
		}
		if !slices.Contains(config.Blocks(), r.Block) {
			return api.Change{}, api.Errorf(api.CodeNotFound, "no block of settings %q", r.Block).WithHint("there are %s", strings.Join(config.Blocks(), ", "))
		}
		return d.edit(ctx, command("config set "+r.Block, set, unset), config.SetBlock(r.Block, set, unset))
	})
	d.registerConfig(s)
}

// inHub is the flag that names the hub where there are several.
func (d *Daemon) inHub(h *hubRun) string {
	if len(d.all()) < 2 {
		return ""
	}
	return "--hub " + h.name + " "
}

// command is a command line for the history: "port set lan --mtu 1400 --unset mac".
func command(start string, set config.Values, unset []string) string {
	var b strings.Builder
	b.WriteString(start)
	for _, name := range sortedKeys(set) {
		value := set[name]
		switch {
		case value == "true":
			value = ""
		case value == "false":
			value = "=false"
		case value == "" || strings.ContainsAny(value, " \t\"'"):
			value = fmt.Sprintf(" %q", value)
		default:
			value = " " + value
		}
		fmt.Fprintf(&b, " --%s%s", strings.ReplaceAll(name, "_", "-"), value)
	}
	for _, name := range unset {
		fmt.Fprintf(&b, " --unset %s", name)
	}
	return b.String()
}
