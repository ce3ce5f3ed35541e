package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vhub/api"
	"vhub/config"
)

// registerConfig gives the server the operations on the configuration as a whole.
func (d *Daemon) registerConfig(s *api.Server) {
	api.On(s, api.GetConfig, d.getConfig)
	api.On(s, api.CheckConfig, d.checkConfig)
	api.On(s, api.ApplyConfig, func(ctx context.Context, r api.ApplyRequest) (api.Change, error) {
		within := seconds(r.ConfirmSeconds)
		who := api.WhoFrom(ctx).String()
		if r.Text == "" && r.File == "" {
			return d.reload(ctx, who, "config apply", within)
		}
		if strings.TrimSpace(r.Text) == "" { // a broken pipe must not take every hub down
			return api.Change{}, api.Errorf(api.CodeBadRequest, "%s: there is nothing in it", r.File).WithHint("to have no hubs at all, apply a file with a comment")
		}
		if err := parses(r.File, r.Text); err != nil {
			return api.Change{}, err
		}
		return d.change(who, "config apply "+r.File, within, func() (*config.Proposal, error) {
			return d.store.ProposeSource([]byte(r.Text))
		})
	})
	api.On(s, api.ConfirmConfig, func(ctx context.Context, _ api.None) (api.Change, error) {
		d.changing.Lock()
		defer d.changing.Unlock()
		r, err := d.store.Confirm(time.Now())
		if err != nil {
			return api.Change{}, conflict(err)
		}
		d.log.Info("the configuration was confirmed", "revision", r.Number, "who", api.WhoFrom(ctx).String())
		return api.Change{Revision: r.Number, Changed: []string{}}, nil
	})
	api.On(s, api.RollbackConfig, d.rollback)
	api.On(s, api.ListRevisions, d.listRevisions)
	api.On(s, api.GetSettings, func(context.Context, api.None) (api.SettingsList, error) {
		l := api.SettingsList{Settings: map[string]map[string]string{}}
		for _, block := range config.Blocks() {
			l.Settings[block] = d.store.Current().BlockValues(block, true)
		}
		return l, nil
	})
}

// parses checks a text under the name that the user knows it by.
func parses(file, text string) error {
	if _, err := config.Parse(file, []byte(text)); err != nil {
		return refused(err)
	}
	return nil
}

func (d *Daemon) getConfig(_ context.Context, r api.ConfigRequest) (api.Config, error) {
	if r.Revision == 0 {
		return api.Config{Revision: d.current(), File: d.opts.ConfigFile, Text: string(d.store.Source())}, nil
	}
	text, err := d.store.Revision(r.Revision)
	if err != nil {
		return api.Config{}, notFound(err)
	}
	return api.Config{Revision: r.Revision, File: d.opts.ConfigFile, Text: string(text)}, nil
}

func (d *Daemon) checkConfig(_ context.Context, r api.CheckRequest) (api.Checked, error) {
	var p *config.Proposal
	var err error
	if r.Text == "" && r.File == "" {
		p, err = d.store.ProposeReload()
	} else if err = parses(r.File, r.Text); err == nil {
		p, err = d.store.ProposeSource([]byte(r.Text))
	}
	if err != nil {
		return api.Checked{}, refused(err)
	}
	return api.Checked{Changed: changedLines(p)}, nil
}

// rollback goes back to a revision. While a change waits for its confirmation,
// going back without a number means to undo that one.
func (d *Daemon) rollback(ctx context.Context, r api.RollbackRequest) (api.Change, error) {
	if r.Revision == 0 && !d.store.Deadline().IsZero() {
		p, err := d.goBack(time.Now(), true, api.WhoFrom(ctx).String())
		if err != nil || p == nil {
			return api.Change{}, err
		}
		return api.Change{Revision: d.current(), Changed: changedLines(p)}, nil
	}
	number := r.Revision
	if number == 0 {
		if number = d.revisionBefore(d.current()); number == 0 {
			return api.Change{}, api.Errorf(api.CodeNotFound, "there is no revision before the one in use").WithHint("see 'vhub config history'")
		}
	}
	return d.change(api.WhoFrom(ctx).String(), fmt.Sprintf("config rollback %d", number), seconds(r.ConfirmSeconds), func() (*config.Proposal, error) {
		return d.store.ProposeRollback(number)
	})
}

func (d *Daemon) listRevisions(context.Context, api.None) (api.RevisionList, error) {
	history, err := d.store.History()
	if err != nil {
		return api.RevisionList{}, err
	}
	l := api.RevisionList{Revisions: []api.Revision{}}
	for i := len(history) - 1; i >= 0; i-- {
		r := history[i]
		l.Revisions = append(l.Revisions, api.Revision{Revision: r.Number, Time: r.Time, Who: r.Who, What: r.What,
			Current: i == len(history)-1 && !d.store.IsDefault()})
	}
	return l, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
