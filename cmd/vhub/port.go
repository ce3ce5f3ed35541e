package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
	"vhub/config"
)

// kindShort says what each kind of port leads to.
var kindShort = map[string]string{
	config.KindTAP:     "a port to this host: a TAP device, alone or in a Linux bridge",
	config.KindNIC:     "a port to a network interface, by AF_PACKET",
	config.KindEtherIP: "a port to another site, by EtherIP in IPsec or plain",
	config.KindL2TP:    "a port for road warriors, by L2TP in IPsec",
}

// kindExample has a command that works, for each kind.
var kindExample = map[string]string{
	config.KindTAP: `  vhub port add tap lan --bridge br0
  vhub port add tap host --addresses 192.0.2.1/24,2001:db8::1/64`,
	config.KindNIC: `  vhub port add nic wire --interface eth1`,
	config.KindEtherIP: `  vhub port add etherip office --peer 203.0.113.7 --plain
  vhub port add etherip ix --peer-id keyid:ix2015 --key-file ix.psk
  vhub port add etherip osaka --peer vpn.example.net --peer-id fqdn:osaka --key-file osaka.psk --uplinks wan0,wan1`,
	config.KindL2TP: `  vhub port add l2tp road --key-file road.psk
  vhub port add l2tp road --key-file road.psk --pool 172.16.0.200-172.16.0.230 --dns 172.16.0.1 --routes 172.16.0.0/16`,
}

func (a *app) portCommand() *cobra.Command {
	c := &cobra.Command{Use: "port", Short: "the plugs of a hub: add, list, show, set, remove, config",
		Long: `A port is a plug of a hub. It is configuration: it stays, with its name and its
counters, whatever happens to the device or the peer behind it. Kinds of port:

` + kindList(),
		Example: "  vhub port add tap lan --bridge br0\n  vhub port show lan\n  vhub port remove lan"}
	c.AddCommand(a.portAdd(), a.portList(), a.portShow(), a.portSet(), a.portRemove(), a.portConfig())
	return c
}

func kindList() string {
	var b strings.Builder
	for _, kind := range config.Kinds() {
		fmt.Fprintf(&b, "  %-9s %s\n", kind, text.Wrap(config.KindDoc(kind), 12, text.Width))
	}
	return b.String()
}

// portAdd has a command for each kind, so that each shows its own flags only.
func (a *app) portAdd() *cobra.Command {
	c := &cobra.Command{Use: "add KIND NAME [flags]", Short: "add a port to a hub",
		Long: `The port is checked, written to the configuration file and put to work before the
command returns. When it cannot work (there is no such interface, the name is
taken, ...), file and hub stay as they were.

Each kind has flags of its own: see 'vhub port add KIND --help'.`,
		Example: kindExample[config.KindTAP] + "\n" + kindExample[config.KindEtherIP],
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("port add: no KIND and no NAME is given; want: vhub port add KIND NAME, KIND is %s", strings.Join(config.Kinds(), ", "))}
			}
			return usageError{fmt.Errorf("port add: unknown kind of port %q; there are %s", args[0], strings.Join(config.Kinds(), ", "))}
		}}
	c.FParseErrWhitelist.UnknownFlags = true // what is wrong is the kind, not its flags
	for _, kind := range config.Kinds() {
		c.AddCommand(a.portAddKind(kind))
	}
	return c
}

func (a *app) portAddKind(kind string) *cobra.Command {
	c := &cobra.Command{Use: kind + " NAME [flags]", Short: kindShort[kind], Args: cobra.ExactArgs(1),
		Long: "Adds a port of kind " + kind + ": " + config.KindDoc(kind) + `.
Flags have the names of the settings in the configuration file; see vhub.hcl(5).`,
		Example: kindExample[kind], ValidArgsFunction: cobra.NoFileCompletions}
	s := addSettings(c, config.PortAttributes(kind)...)
	c.RunE = func(c *cobra.Command, args []string) error {
		options, err := s.options()
		if err != nil {
			return err
		}
		return change(a, c, api.AddPort, api.AddPortRequest{Hub: a.hub, Kind: kind, Name: args[0], Options: options})
	}
	return c
}

func (a *app) portList() *cobra.Command {
	return a.watchFlag(&cobra.Command{Use: "list", Short: "the ports, their state and traffic", Args: cobra.NoArgs,
		Long: "One line a port, of all hubs or of the one that --hub names.", Example: "  vhub port list\n  vhub port list --watch\n  vhub port list -o json",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.hub != "" {
				return read(a, c, api.ListPorts, api.HubRequest{Hub: a.hub}, func(w io.Writer, l api.PortList) error {
					return writePorts(w, l.Ports, false)
				})
			}
			return a.listAllPorts(c)
		}})
}

// listAllPorts lists the ports of all hubs.
func (a *app) listAllPorts(c *cobra.Command) error {
	client := a.client()
	defer client.Close()
	return a.repeat(c.Context(), func() error {
		hubs, err := api.Call(c.Context(), client, api.ListHubs, api.None{})
		if err != nil {
			return err
		}
		all := api.PortList{Ports: []api.Port{}}
		for _, h := range hubs.Hubs {
			all.Ports = append(all.Ports, h.Ports...)
		}
		return a.print(all, func(w io.Writer) error { return writePorts(w, all.Ports, len(hubs.Hubs) > 1) })
	})
}

func writePorts(w io.Writer, ports []api.Port, withHub bool) error {
	if len(ports) == 0 {
		_, err := fmt.Fprintln(w, "no ports yet; add one: vhub port add tap lan --bridge br0")
		return err
	}
	header := []string{"NAME", "KIND", "STATE", "SINCE", "WHERE", "MACS", "IN", "OUT", "DROPPED"}
	if withHub {
		header = append([]string{"HUB"}, header...)
	}
	var rows [][]string
	for _, p := range ports {
		since := "-"
		if p.UpSince != nil {
			since = text.Age(time.Since(*p.UpSince))
		}
		row := []string{p.Name, p.Kind, p.State, since, dash(p.Where), fmt.Sprint(p.MACs),
			text.Bytes(p.Counters.InBytes), text.Bytes(p.Counters.OutBytes), text.Count(p.Counters.Dropped)}
		if withHub {
			row = append([]string{p.Hub}, row...)
		}
		rows = append(rows, row)
	}
	if err := text.Table(w, header, rows); err != nil {
		return err
	}
	for _, p := range ports {
		if p.Error != "" {
			fmt.Fprintf(w, "%s: %s%s\n", p.Name, p.Error, retryText(p))
		}
	}
	return nil
}

func retryText(p api.Port) string {
	if p.RetryAt == nil {
		return ""
	}
	return " (trying again in " + text.Age(time.Until(*p.RetryAt)) + ")"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) portShow() *cobra.Command {
	return a.watchFlag(&cobra.Command{Use: "show NAME", Short: "all there is to know of a port", Args: cobra.ExactArgs(1),
		Long:    "State, device or peer, sizes, offloads, counters, and the frames that were dropped with the reasons in words.",
		Example: "  vhub port show lan\n  vhub -o json port show lan", ValidArgsFunction: a.completePorts,
		RunE: func(c *cobra.Command, args []string) error {
			return read(a, c, api.GetPort, api.PortRequest{Hub: a.hub, Port: args[0]}, writePort)
		}})
}

func (a *app) portSet() *cobra.Command {
	c := &cobra.Command{Use: "set NAME [flags]", Short: "change settings of a port", Args: cobra.ExactArgs(1),
		Long: `Changes settings of a port that exists; what is not named stays. The kind of a port
cannot be changed. A setting that the device must be made anew for interrupts this
port for a moment, and no other.`,
		Example: "  vhub port set lan --isolate --broadcast-limit 500\n  vhub port set lan --unset broadcast_limit", ValidArgsFunction: a.completePorts}
	var all []*config.Attribute
	for _, kind := range config.Kinds() {
		all = append(all, config.PortAttributes(kind)...)
	}
	s := addSettings(c, all...).allowUnset()
	c.RunE = func(c *cobra.Command, args []string) error {
		options, err := s.options()
		if err != nil {
			return err
		}
		if len(options) == 0 {
			return usageError{fmt.Errorf("port set: nothing to change is given; see 'vhub port set --help'")}
		}
		return change(a, c, api.SetPort, api.SetPortRequest{Hub: a.hub, Port: args[0], Options: options})
	}
	return c
}

func (a *app) portRemove() *cobra.Command {
	return &cobra.Command{Use: "remove NAME", Aliases: []string{"rm"}, Short: "remove a port and what was made for it", Args: cobra.ExactArgs(1),
		Long:    "The port leaves the hub and the configuration; the device that vhub made for it is removed.",
		Example: "  vhub port remove lan", ValidArgsFunction: a.completePorts,
		RunE: func(c *cobra.Command, args []string) error {
			return change(a, c, api.RemovePort, api.PortRequest{Hub: a.hub, Port: args[0]})
		}}
}

// completePorts asks the daemon for the names of the ports.
func (a *app) completePorts(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, h := range a.hubsNow(c) {
		for _, p := range h.Ports {
			if (a.hub == "" || a.hub == h.Name) && !slices.Contains(names, p.Name) {
				names = append(names, p.Name+"\t"+p.Kind+" "+p.Where)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
