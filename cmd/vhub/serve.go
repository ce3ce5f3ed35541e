package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/daemon"
)

// Where the daemon keeps its things unless told otherwise.
const (
	defaultConfig = "/etc/vhub/vhub.hcl"
	defaultState  = "/var/lib/vhub"
)

func (a *app) serveCommand() *cobra.Command {
	var file, state, group, level, format string
	c := &cobra.Command{Use: "serve", Short: "run the daemon", Args: cobra.NoArgs,
		Long: `Runs hubs and ports in the foreground until SIGTERM or Ctrl-C; then all ports are
closed, and no interface that vhub made stays behind. It needs root or
CAP_NET_ADMIN (and CAP_NET_RAW for plain EtherIP and nic ports).

Where FILE does not exist, a hub with this host on it (TAP device vhub0) is
started; the first change by a command makes the file. SIGHUP reads the file
and the key files that it names again without touching ports that did not change.

Several daemons live on one machine when each has its own --socket, --config and
--state, and its own names of interfaces.`,
		Example: `  vhub serve
  vhub serve --config ./lab.hcl --state ./lab-state --socket ./lab.sock --log-format json`,
		ValidArgsFunction: cobra.NoFileCompletions}
	c.Flags().StringVar(&file, "config", defaultConfig, "the configuration `FILE`")
	c.Flags().StringVar(&state, "state", defaultState, "the `DIR` for revisions and other state")
	c.Flags().StringVar(&group, "socket-group", "", "the `GROUP` that may use the socket beside root")
	c.Flags().Var(&choice{&level, []string{"debug", "info", "warn", "error"}}, "log-level", "the least severe log line that is written, whatever the file says")
	c.Flags().Var(&choice{&format, []string{"text", "json"}}, "log-format", "how log lines look, whatever the file says")
	c.RunE = func(c *cobra.Command, _ []string) error {
		reload := make(chan os.Signal, 1)
		signal.Notify(reload, syscall.SIGHUP)
		defer signal.Stop(reload)
		opts := daemon.Options{ConfigFile: absolute(file), StateDir: absolute(state), Socket: absolute(a.socket), SocketGroup: group, Version: thisVersion(),
			Log: daemon.NewLogger(a.err, level, format), LogLevel: level, LogFormat: format, Reload: reload}
		opts.Ready = func(s api.Status, firstRun bool) {
			if firstRun {
				_ = welcome(a.out, s, a.socket != api.DefaultSocket && os.Getenv("VHUB_SOCKET") != a.socket)
			}
		}
		d, err := daemon.New(opts)
		if err != nil {
			return err
		}
		return d.Run(c.Context())
	}
	return c
}

// absolute is the full name of a file, so that messages and other programs
// mean the same one.
func absolute(name string) string {
	if full, err := filepath.Abs(name); err == nil {
		return full
	}
	return name
}

// welcome tells who starts vhub without a configuration what it made, and what
// to type next.
func welcome(w io.Writer, s api.Status, withSocket bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "vhub runs. There was no configuration %s, so it made:\n\n", s.ConfigFile)
	port, device, up := "lan", "vhub0", false
	for _, h := range s.Hubs {
		fmt.Fprintf(&b, "  hub %s\n", h.Name)
		for _, p := range h.Ports {
			fmt.Fprintf(&b, "    port %s (%s, %s)", p.Name, p.Kind, p.State)
			if p.Where != "" {
				fmt.Fprintf(&b, ": %s, this host's plug", p.Where)
				port, device, up = p.Name, p.Where, true
			}
			if p.Error != "" {
				fmt.Fprintf(&b, ": %s", p.Error)
			}
			b.WriteString("\n")
		}
	}
	vhub := "vhub"
	if withSocket {
		vhub += " --socket " + s.Socket
	}
	next := []string{"another site joins", vhub + " port add etherip office --peer 203.0.113.7 --plain", "how it is", vhub + " status"}
	if up {
		next = append([]string{"this host joins with an address,", "ip addr add 192.0.2.1/24 dev " + device,
			"or with a Linux bridge that it has", vhub + " port set " + port + " --bridge br0"}, next...)
	} else {
		next = append([]string{"where the name of the device is taken, another one", vhub + " port set " + port + " --interface vhub1"}, next...)
	}
	b.WriteString("\nNext, in another terminal:\n\n")
	for i := 0; i < len(next); i += 2 {
		fmt.Fprintf(&b, "  # %s\n  %s\n", next[i], next[i+1])
	}
	fmt.Fprintf(&b, "\nThe first change writes %s. Ctrl-C ends vhub and removes what it made.\n", s.ConfigFile)
	_, err := io.WriteString(w, b.String())
	return err
}
