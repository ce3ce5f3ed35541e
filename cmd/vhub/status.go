package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
	"vhub/config"
)

func (a *app) statusCommand() *cobra.Command {
	return a.watchFlag(&cobra.Command{Use: "status", Short: "the daemon, its hubs and ports at one look", Args: cobra.NoArgs,
		Long:    "What runs, since when, with which configuration, and the state of every port.",
		Example: "  vhub status\n  vhub status --watch\n  vhub -o json status", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return read(a, c, api.GetStatus, api.None{}, writeStatus)
		}})
}

func (a *app) metricsCommand() *cobra.Command {
	return &cobra.Command{Use: "metrics", Short: "all counters, for Prometheus", Args: cobra.NoArgs,
		Long: `Writes what 'vhub status' knows as numbers in the text format that Prometheus
reads: traffic of every port, drops by reason, and each offload of every port as 0
or 1. A collector that reads files (node_exporter) takes it from a timer; others ask
the daemon's socket: curl --unix-socket /run/vhub/vhub.sock http://vhub/v1/metrics`,
		Example: "  vhub metrics\n  vhub metrics > /var/lib/prometheus/node-exporter/vhub.prom", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.output == "json" {
				return usageError{errors.New("metrics: there is only the form that Prometheus reads; see 'vhub -o json status'")}
			}
			client := a.client()
			defer client.Close()
			text, err := api.Read(c.Context(), client, api.GetMetrics, api.None{})
			if err != nil {
				return err
			}
			_, err = io.WriteString(a.out, text)
			return err
		}}
}

func writeStatus(w io.Writer, s api.Status) error {
	fmt.Fprintf(w, "vhub %s, pid %d, up %s\n", s.Version.Version, s.PID, text.Seconds(s.UptimeSeconds))
	confirm := ""
	if s.Confirm != nil {
		confirm = confirmText(s.Confirm)
	}
	revision := fmt.Sprint(s.Revision)
	if s.Revision == 0 {
		revision = "none yet; the built-in configuration is in use"
	}
	if err := text.Pairs(w, "  ", []text.Pair{
		{Name: "configuration", Value: s.ConfigFile},
		{Name: "revision", Value: revision},
		{Name: "unconfirmed", Value: confirm},
		{Name: "state", Value: s.StateDir},
		{Name: "socket", Value: s.Socket},
		{Name: "memory", Value: text.Bytes(s.MemoryBytes)},
		{Name: "sessions", Value: sessionsText(s)},
	}); err != nil {
		return err
	}
	for _, h := range s.Hubs {
		fmt.Fprintf(w, "\nhub %s: %s, %s, arp %s\n", h.Name, text.Plural(h.MACs, "station"), text.Plural(h.Neighbours, "neighbour"), h.ARP)
		if err := writePorts(w, h.Ports, false); err != nil {
			return err
		}
	}
	return nil
}

// sessionsText is how many users are logged in; "" where there is no port for them.
func sessionsText(s api.Status) string {
	for _, h := range s.Hubs {
		for _, p := range h.Ports {
			if p.Kind == config.KindL2TP {
				return fmt.Sprint(s.Sessions)
			}
		}
	}
	return ""
}

func confirmText(c *api.Confirm) string {
	return fmt.Sprintf("goes back to revision %d in %s unless confirmed: vhub config confirm", c.BackTo, text.Age(time.Until(c.Deadline)))
}

func (a *app) eventsCommand() *cobra.Command {
	var noFollow bool
	var since time.Duration
	var req api.EventsRequest
	c := &cobra.Command{Use: "events", Short: "what happens, as it happens", Args: cobra.NoArgs,
		Long: `Shows the last events and goes on with new ones until Ctrl-C: ports that come and
go, stations that move, echoes and storms, addresses claimed twice, changes of the
configuration and who made them. With -o json, one JSON object a line.`,
		Example: "  vhub events\n  vhub events --since 10m --no-follow\n  vhub events --port lan -o json", ValidArgsFunction: cobra.NoFileCompletions}
	c.Flags().IntVarP(&req.Last, "last", "n", 10, "begin with the last `N` events")
	c.Flags().DurationVar(&since, "since", 0, "begin with the events of this `TIME` (10m, 2h) instead")
	c.Flags().StringVar(&req.Port, "port", "", "only events of this `PORT`")
	c.Flags().BoolVar(&noFollow, "no-follow", false, "end after what is remembered")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if req.Last < 0 || since < 0 {
			return usageError{fmt.Errorf("events: --last and --since cannot be below 0")}
		}
		req.Hub, req.Follow, req.SinceSeconds = a.hub, !noFollow, since.Seconds()
		client := a.client()
		defer client.Close()
		return api.Follow(c.Context(), client, api.WatchEvents, req, a.writeEvent)
	}
	return c
}

// writeEvent writes one event as a line, of JSON or of text.
func (a *app) writeEvent(e api.Event) error {
	if a.output == "json" {
		return writeJSONLine(a.out, e)
	}
	_, err := fmt.Fprintln(a.out, eventLine(e))
	return err
}

// eventLine is an event as a line of text.
func eventLine(e api.Event) string {
	place := strings.Trim(e.Hub+"/"+e.Port, "/")
	if place != "" {
		place += ": "
	}
	var detail strings.Builder
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		v := e.Detail[k]
		if strings.ContainsAny(v, " \"=\t\n") {
			v = fmt.Sprintf("%q", v)
		}
		fmt.Fprintf(&detail, " %s=%s", k, v)
	}
	return fmt.Sprintf("%s %-5s %s%s%s", text.When(e.Time), e.Level, place, e.Message, detail.String())
}
