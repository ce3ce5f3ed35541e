package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
	"vhub/config"
)

func (a *app) hubCommand() *cobra.Command {
	c := &cobra.Command{Use: "hub", Short: "the virtual switches: add, list, show, set, remove",
		Long: `A hub is one Ethernet segment. Most have one; several live side by side in one
daemon, and no frame crosses from one to another.`,
		Example: "  vhub hub add guests --arp proxy\n  vhub --hub guests port add tap guests --bridge br-guests"}
	c.AddCommand(a.hubAdd(), a.hubList(), a.hubShow(), a.hubSet(), a.hubRemove())
	return c
}

func (a *app) hubAdd() *cobra.Command {
	c := &cobra.Command{Use: "add NAME [flags]", Short: "add a hub", Args: cobra.ExactArgs(1), Long: "Adds a hub without ports.",
		Example: "  vhub hub add guests --arp proxy", ValidArgsFunction: cobra.NoFileCompletions}
	s := addSettings(c, config.HubAttributes()...)
	c.RunE = func(c *cobra.Command, args []string) error {
		options, err := s.options()
		if err != nil {
			return err
		}
		return change(a, c, api.AddHub, api.AddHubRequest{Name: args[0], Options: options})
	}
	return c
}

func (a *app) hubList() *cobra.Command {
	return a.watchFlag(&cobra.Command{Use: "list", Short: "the hubs", Args: cobra.NoArgs, Long: "One line a hub: its ports, table sizes and traffic.",
		Example: "  vhub hub list", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return read(a, c, api.ListHubs, api.None{}, func(w io.Writer, l api.HubList) error { return writeHubs(w, l.Hubs) })
		}})
}

func writeHubs(w io.Writer, hubs []api.Hub) error {
	if len(hubs) == 0 {
		_, err := fmt.Fprintln(w, "no hubs yet; add one: vhub hub add default")
		return err
	}
	var rows [][]string
	for _, h := range hubs {
		up := 0
		for _, p := range h.Ports {
			if p.State == api.StateUp {
				up++
			}
		}
		rows = append(rows, []string{h.Name, fmt.Sprint(len(h.Ports)), fmt.Sprint(up), h.ARP, fmt.Sprint(h.MACs), fmt.Sprint(h.Neighbours),
			text.Count(h.Moves), text.Bytes(h.Counters.InBytes), text.Count(h.Counters.Dropped)})
	}
	return text.Table(w, []string{"NAME", "PORTS", "UP", "ARP", "MACS", "NEIGHBOURS", "MOVES", "TRAFFIC", "DROPPED"}, rows)
}

// hubArg is the hub that an optional argument or --hub names.
func (a *app) hubArg(args []string) (string, error) {
	if len(args) == 0 {
		return a.hub, nil
	}
	if a.hub != "" && a.hub != args[0] {
		return "", usageError{fmt.Errorf("hub: both %q and --hub %s are given", args[0], a.hub)}
	}
	return args[0], nil
}

func (a *app) hubShow() *cobra.Command {
	return a.watchFlag(&cobra.Command{Use: "show [NAME]", Short: "all there is to know of a hub", Args: cobra.MaximumNArgs(1),
		Long: "Settings, table sizes, traffic, drops by reason, and the ports.", Example: "  vhub hub show default", ValidArgsFunction: a.completeHubs,
		RunE: func(c *cobra.Command, args []string) error {
			name, err := a.hubArg(args)
			if err != nil {
				return err
			}
			return read(a, c, api.GetHub, api.HubRequest{Hub: name}, writeHub)
		}})
}

func writeHub(w io.Writer, h api.Hub) error {
	fmt.Fprintf(w, "hub %s\n", h.Name)
	if err := text.Pairs(w, "  ", []text.Pair{
		{Name: "ARP help", Value: h.ARP},
		{Name: "stations", Value: fmt.Sprintf("%d of at most %d", h.MACs, h.MACLimit)},
		{Name: "neighbours", Value: fmt.Sprint(h.Neighbours)},
		{Name: "moves", Value: text.Count(h.Moves)},
		{Name: "settings", Value: optionsText(h.Options)},
	}); err != nil {
		return err
	}
	if err := writeTraffic(w, h.Counters); err != nil {
		return err
	}
	if err := writeDrops(w, "dropped", h.Drops); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return writePorts(w, h.Ports, false)
}

func (a *app) hubSet() *cobra.Command {
	c := &cobra.Command{Use: "set [NAME] [flags]", Short: "change settings of a hub", Args: cobra.MaximumNArgs(1),
		Long: `Changes settings of a hub, while it is at work; what is not named stays. Ports and
tables stay too: stations over a lower limit are kept until they are silent.`, Example: "  vhub hub set default --arp proxy --mac-age 10m",
		ValidArgsFunction: a.completeHubs}
	s := addSettings(c, config.HubAttributes()...).allowUnset()
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := a.hubArg(args)
		if err != nil {
			return err
		}
		options, err := s.options()
		if err != nil {
			return err
		}
		if len(options) == 0 {
			return usageError{fmt.Errorf("hub set: nothing to change is given; see 'vhub hub set --help'")}
		}
		return change(a, c, api.SetHub, api.SetHubRequest{Hub: name, Options: options})
	}
	return c
}

func (a *app) hubRemove() *cobra.Command {
	return &cobra.Command{Use: "remove NAME", Aliases: []string{"rm"}, Short: "remove a hub with its ports", Args: cobra.ExactArgs(1),
		Long: "The hub, its ports and the devices that vhub made for them are removed.", Example: "  vhub hub remove guests",
		ValidArgsFunction: a.completeHubs,
		RunE: func(c *cobra.Command, args []string) error {
			return change(a, c, api.RemoveHub, api.HubRequest{Hub: args[0]})
		}}
}

// hubsNow asks the daemon for its hubs, for shell completion: quickly or not
// at all.
func (a *app) hubsNow(c *cobra.Command) []api.Hub {
	ctx, cancel := contextFor(c, time.Second)
	defer cancel()
	client := a.client()
	defer client.Close()
	l, err := api.Call(ctx, client, api.ListHubs, api.None{})
	if err != nil {
		return nil
	}
	return l.Hubs
}

func (a *app) completeHubs(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, h := range a.hubsNow(c) {
		names = append(names, h.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
