package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vhub/api"
	"vhub/cmd/vhub/text"
)

// app is what all commands share: the streams and the global flags.
type app struct {
	in       io.Reader
	out, err io.Writer

	socket string
	hub    string
	output string
	watch  bool
}

// usageError is an error of how a command was typed: exit status 2.
type usageError struct{ error }

// run performs one command line and returns the exit status: 0, 1 for what
// went wrong, 2 for what was typed wrong.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(errOut, "vhub: %s\n", strings.TrimRight(line, "\n"))
	}
	if _, usage := errors.AsType[usageError](err); usage {
		return 2
	}
	return 1
}

// rootCommand is the tree of commands. Every command is listed here.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "vhub",
		Short: "virtual Ethernet hub: one segment across hosts, sites and road warriors",
		Long: `vhub joins this host, other sites and road warriors into one Ethernet segment.
"vhub serve" is the daemon; all other commands talk to it over its socket.

A hub is a virtual switch, and a port is one of its plugs: a TAP device in a
Linux bridge (tap), a network interface (nic), another site (etherip), or a door
for road warriors (l2tp).`,
		Example: `  vhub serve                                             # in one terminal
  vhub port add tap lan --bridge br0                     # this host's LAN joins
  vhub port add etherip office --peer 203.0.113.7 --plain
  vhub port list`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		what := err.Error()
		for _, c := range []struct{ library, words string }{
			{"time: ", "want a time like 60s, 10m or 2h"},
			{"strconv.ParseBool: ", "want true or false"},
			{"strconv.ParseInt: ", "want a whole number, and not such a large one"},
			{"strconv.ParseUint: ", "want a whole number, and not such a large one"},
		} {
			if before, _, found := strings.Cut(what, c.library); found {
				what = before + c.words
			}
		}
		return usageError{fmt.Errorf("%s: %s; see '%s --help'", commandName(c), lowerFirst(what), c.CommandPath())}
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.socket, "socket", defaultSocket(), "the `PATH` of the daemon's socket; VHUB_SOCKET names it too")
	flags.StringVar(&a.hub, "hub", "", "the `HUB` that is meant, where there are several")
	flags.VarP(&choice{value: &a.output, of: []string{"text", "json"}}, "output", "o", "how the answer is written: `text|json`")
	a.output = "text"
	root.AddGroup(&cobra.Group{ID: "run", Title: "The daemon:"}, &cobra.Group{ID: "build", Title: "Hubs and ports:"},
		&cobra.Group{ID: "users", Title: "Users and their clients:"},
		&cobra.Group{ID: "look", Title: "Looking:"}, &cobra.Group{ID: "other", Title: "Other:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", a.serveCommand(), a.configCommand())
	add("build", a.portCommand(), a.hubCommand())
	add("users", a.userCommand(), a.sessionCommand(), a.clientCommand())
	add("look", a.statusCommand(), a.metricsCommand(), a.eventsCommand(), a.macCommand(), a.arpCommand(), a.explainCommand(), a.saCommand())
	add("other", a.completionCommand(root), a.versionCommand())
	root.AddCommand(a.docsCommand(root))
	root.SetHelpCommandGroupID("other")
	root.InitDefaultHelpCmd()
	tidy(root)
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Short, help.Args = "help about any command", cobra.ArbitraryArgs
	}
	usage := strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", 1)
	root.SetUsageTemplate(strings.ReplaceAll(usage, "Flags.FlagUsages ", fmt.Sprintf("Flags.FlagUsagesWrapped %d ", text.Width)))
	return root
}

// tidy makes every command treat wrong arguments the same way.
func tidy(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
	c.Flags().SortFlags = false
	c.Long = text.Reflow(c.Long, text.Width)
	switch check := c.Args; {
	case c.HasSubCommands() && !c.Runnable():
		c.Args = cobra.ArbitraryArgs
		c.RunE = group
	case check != nil:
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				if _, done := errors.AsType[usageError](err); done {
					return err
				}
				return usageError{fmt.Errorf("%s: %s; want: %s", commandName(c), argsProblem(c, args), c.UseLine())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		tidy(sub)
	}
}

// group is what a command does that only holds others: it shows them, or says
// that there is none of that name.
func group(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	hint := fmt.Sprintf("see '%s --help'", c.CommandPath())
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean '%s %s'?", c.CommandPath(), near[0])
	}
	return usageError{fmt.Errorf("unknown command %q for '%s'; %s", args[0], c.CommandPath(), hint)}
}

// argsProblem says in words what is wrong with the number of arguments.
func argsProblem(c *cobra.Command, args []string) string {
	want := strings.Fields(c.Use)[1:]
	for i, w := range want {
		if strings.HasPrefix(w, "[") {
			want = want[:i]
			break
		}
	}
	if len(args) < len(want) {
		return "no " + strings.Join(want[len(args):], " and no ") + " is given"
	}
	return fmt.Sprintf("too many arguments (%s)", strings.Join(args, " "))
}

// commandName is the command's path without the program's name.
func commandName(c *cobra.Command) string {
	if name := strings.TrimPrefix(c.CommandPath(), "vhub "); name != "vhub" {
		return name
	}
	return "command line"
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

func defaultSocket() string {
	if s := os.Getenv("VHUB_SOCKET"); s != "" {
		return s
	}
	return api.DefaultSocket
}

// client returns a client of the daemon.
func (a *app) client() *api.Client { return api.NewClient(a.socket) }

// print writes v as JSON, or as text by f.
func (a *app) print(v any, f func(w io.Writer) error) error {
	if a.output == "json" {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	return f(a.out)
}

// watchFlag gives a reading command --watch.
func (a *app) watchFlag(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVarP(&a.watch, "watch", "w", false, "show it again every second until Ctrl-C")
	return c
}

// repeat calls show once, or every second until ctx ends with --watch.
func (a *app) repeat(ctx context.Context, show func() error) error {
	for {
		if a.watch && a.output == "text" {
			fmt.Fprint(a.out, "\x1b[H\x1b[2J") // home, clear
		}
		if err := show(); err != nil || !a.watch {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// read calls a reading operation and prints its answer, again with --watch.
func read[Req, Resp any](a *app, c *cobra.Command, op api.Op[Req, Resp], req Req, write func(w io.Writer, resp Resp) error) error {
	client := a.client()
	defer client.Close()
	return a.repeat(c.Context(), func() error {
		resp, err := api.Call(c.Context(), client, op, req)
		if err != nil {
			return err
		}
		return a.print(resp, func(w io.Writer) error { return write(w, resp) })
	})
}

// change calls an operation that changes the configuration and prints what
// became different.
func change[Req any](a *app, c *cobra.Command, op api.Op[Req, api.Change], req Req) error {
	client := a.client()
	defer client.Close()
	resp, err := api.Call(c.Context(), client, op, req)
	if err != nil {
		return err
	}
	return a.print(resp, func(w io.Writer) error { return writeChange(w, resp) })
}

// choice is a flag that takes one of a few words.
type choice struct {
	value *string
	of    []string
}

var _ pflag.Value = (*choice)(nil)

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }
func (c *choice) Set(s string) error {
	for _, x := range c.of {
		if s == x {
			*c.value = s
			return nil
		}
	}
	return fmt.Errorf("want %s", strings.Join(c.of, " or "))
}
