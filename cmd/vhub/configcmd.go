package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
	"vhub/config"
)

func contextFor(c *cobra.Command, d time.Duration) (context.Context, context.CancelFunc) {
	ctx := c.Context()
	if ctx == nil { // shell completion
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, d)
}

func writeJSONLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "the configuration: check, show, apply, confirm, history, rollback, set",
		Long: `The configuration is one file (see vhub.hcl(5)). Commands edit it and keep its
comments; an editor and 'vhub config apply' do the same. The last 50 revisions are kept.`,
		Example: "  vhub config check new.hcl\n  vhub config apply new.hcl --confirm 60s\n  vhub config confirm\n  vhub config rollback"}
	c.AddCommand(a.configCheck(), a.configShow(), a.configApply(), a.configConfirm(), a.configHistory(), a.configRollback(), a.configSet())
	return c
}

func (a *app) configCheck() *cobra.Command {
	return &cobra.Command{Use: "check [FILE]", Short: "say whether a file is right, and what it would change", Args: cobra.MaximumNArgs(1),
		Long: `Checks FILE ("-" is the standard input), or the daemon's own file as it stands on
disk. Nothing is changed. A daemon is not needed to check a FILE; where one runs,
the command also says what would become different.`,
		Example: "  vhub config check /etc/vhub/vhub.hcl",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.checkWithDaemon(c, api.CheckRequest{})
			}
			name, src, err := a.readFile(args[0])
			if err != nil {
				return err
			}
			cfg, err := config.Parse(name, src)
			if err != nil {
				return err
			}
			if err := config.CheckSecrets(cfg); err != nil {
				return err
			}
			err = a.checkWithDaemon(c, api.CheckRequest{Text: string(src), File: name})
			if errors.Is(err, errNoDaemon) {
				return a.print(api.Checked{Changed: []string{}}, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "%s: right\n", name)
					return err
				})
			}
			return err
		}}
}

// errNoDaemon is what checkWithDaemon gives where there is nobody to ask.
var errNoDaemon = errors.New("no daemon")

func (a *app) checkWithDaemon(c *cobra.Command, req api.CheckRequest) error {
	if _, err := os.Stat(a.socket); err != nil && req.Text != "" {
		return errNoDaemon
	}
	client := a.client()
	defer client.Close()
	checked, err := api.Call(c.Context(), client, api.CheckConfig, req)
	if err != nil {
		return err
	}
	return a.print(checked, func(w io.Writer) error {
		if len(checked.Changed) == 0 {
			fmt.Fprintln(w, "right; applying it would change nothing")
		} else {
			fmt.Fprintln(w, "right; applying it would change:")
		}
		return writeLines(w, checked.Changed, checked.Warnings)
	})
}

// writeLines writes what changed and the warnings, one a line.
func writeLines(w io.Writer, changed, warnings []string) error {
	for _, line := range changed {
		fmt.Fprintln(w, "  "+line)
	}
	for _, line := range warnings {
		fmt.Fprintln(w, "warning: "+line)
	}
	return nil
}

// writeChange writes the answer to a command that changed something.
func writeChange(w io.Writer, c api.Change) error {
	switch len(c.Changed) {
	case 0:
		fmt.Fprintln(w, "nothing to change")
	default:
		for _, line := range c.Changed {
			fmt.Fprintln(w, line)
		}
	}
	for _, line := range c.Warnings {
		fmt.Fprintln(w, "warning: "+line)
	}
	if c.Confirm != nil {
		fmt.Fprintln(w, confirmText(c.Confirm))
	}
	return nil
}

// readFile reads a configuration file, or the standard input, and gives its
// full name for errors.
func (a *app) readFile(name string) (string, []byte, error) {
	if name == "-" {
		src, err := io.ReadAll(io.LimitReader(a.in, api.MaxBody))
		return "stdin", src, err
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, errors.Unwrap(err))
	}
	if full, err := filepath.Abs(name); err == nil {
		name = full
	}
	return name, src, nil
}

func (a *app) configShow() *cobra.Command {
	return &cobra.Command{Use: "show [REVISION]", Short: "the configuration in use, or an older one", Args: cobra.MaximumNArgs(1),
		Long: "Writes the text of the configuration, with its comments.", Example: "  vhub config show\n  vhub config show 12 > old.hcl",
		ValidArgsFunction: a.completeRevisions,
		RunE: func(c *cobra.Command, args []string) error {
			n, err := revisionArg(args)
			if err != nil {
				return err
			}
			return read(a, c, api.GetConfig, api.ConfigRequest{Revision: n}, func(w io.Writer, cfg api.Config) error {
				_, err := io.WriteString(w, cfg.Text)
				return err
			})
		}}
}

func revisionArg(args []string) (int, error) {
	if len(args) == 0 {
		return 0, nil
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return 0, usageError{fmt.Errorf("revision: %q is not a number from 'vhub config history'", args[0])}
	}
	return n, nil
}

func (a *app) configApply() *cobra.Command {
	var confirm time.Duration
	c := &cobra.Command{Use: "apply [FILE]", Short: "use a configuration from now on", Args: cobra.MaximumNArgs(1),
		Long: `Checks FILE ("-" is the standard input), writes it in place of the daemon's
configuration and puts it to work; ports that it does not change are not touched.
Without FILE, the daemon reads its own file again (as SIGHUP does).

With --confirm, the configuration goes back by itself after that time unless
'vhub config confirm' comes before: nobody locks himself out.`,
		Example: "  vhub config apply new.hcl --confirm 60s && vhub config confirm"}
	c.Flags().DurationVar(&confirm, "confirm", 0, "go back after this `TIME` (60s, 5m) unless confirmed")
	c.RunE = func(c *cobra.Command, args []string) error {
		if confirm < 0 {
			return usageError{fmt.Errorf("config apply: --confirm %v is below 0", confirm)}
		}
		req := api.ApplyRequest{ConfirmSeconds: confirm.Seconds()}
		if len(args) > 0 {
			name, src, err := a.readFile(args[0])
			if err != nil {
				return err
			}
			req.File, req.Text = name, string(src)
		}
		return change(a, c, api.ApplyConfig, req)
	}
	return c
}

func (a *app) configConfirm() *cobra.Command {
	return &cobra.Command{Use: "confirm", Short: "keep what 'config apply --confirm' put to work", Args: cobra.NoArgs,
		Long: "Ends the waiting of 'vhub config apply --confirm': the configuration stays.", Example: "  vhub config confirm",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			client := a.client()
			defer client.Close()
			resp, err := api.Call(c.Context(), client, api.ConfirmConfig, api.None{})
			if err != nil {
				return err
			}
			return a.print(resp, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "revision %d stays\n", resp.Revision)
				return err
			})
		}}
}

func (a *app) configHistory() *cobra.Command {
	return &cobra.Command{Use: "history", Short: "the revisions that are kept, newest first", Args: cobra.NoArgs,
		Long: "When each configuration came into use, by whom and by which command. The one in use\nhas a *.", Example: "  vhub config history",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return read(a, c, api.ListRevisions, api.None{}, func(w io.Writer, l api.RevisionList) error {
				var rows [][]string
				for _, r := range l.Revisions {
					mark := ""
					if r.Current {
						mark = "*"
					}
					rows = append(rows, []string{mark, fmt.Sprint(r.Revision), text.When(r.Time), r.Who, r.What})
				}
				return text.Table(w, []string{"", "REVISION", "TIME", "WHO", "WHAT"}, rows)
			})
		}}
}

func (a *app) configRollback() *cobra.Command {
	var confirm time.Duration
	c := &cobra.Command{Use: "rollback [REVISION]", Short: "go back to an older configuration", Args: cobra.MaximumNArgs(1),
		Long: `Uses an older revision again, the one before the one in use unless another is
named. It becomes a new revision.`,
		Example: "  vhub config rollback\n  vhub config rollback 12", ValidArgsFunction: a.completeRevisions}
	c.Flags().DurationVar(&confirm, "confirm", 0, "go forward again after this `TIME` unless confirmed")
	c.RunE = func(c *cobra.Command, args []string) error {
		n, err := revisionArg(args)
		if err != nil {
			return err
		}
		return change(a, c, api.RollbackConfig, api.RollbackRequest{Revision: n, ConfirmSeconds: confirm.Seconds()})
	}
	return c
}

// configSet has a command for each block of settings of the daemon.
func (a *app) configSet() *cobra.Command {
	c := &cobra.Command{Use: "set BLOCK [flags]", Short: "change settings of the whole daemon",
		Long: "Each block of settings has flags of its own.", Example: "  vhub config set log --level debug"}
	for _, block := range config.Blocks() {
		b := &cobra.Command{Use: block + " [flags]", Short: "change settings of the block " + block, Args: cobra.NoArgs,
			Long: "Changes settings of the block " + block + "; what is not named stays.", ValidArgsFunction: cobra.NoFileCompletions}
		s := addSettings(b, config.BlockAttributes(block)...).allowUnset()
		b.RunE = func(c *cobra.Command, _ []string) error {
			options, err := s.options()
			if err != nil {
				return err
			}
			if len(options) == 0 {
				return usageError{fmt.Errorf("config set %s: nothing to change is given; see 'vhub config set %s --help'", block, block)}
			}
			return change(a, c, api.SetSettings, api.SetSettingsRequest{Block: block, Options: options})
		}
		c.AddCommand(b)
	}
	return c
}

func (a *app) completeRevisions(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := contextFor(c, time.Second)
	defer cancel()
	client := a.client()
	defer client.Close()
	l, _ := api.Call(ctx, client, api.ListRevisions, api.None{})
	var names []string
	for _, r := range l.Revisions {
		names = append(names, fmt.Sprintf("%d\t%s", r.Revision, r.What))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
