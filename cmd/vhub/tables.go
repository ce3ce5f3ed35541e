package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
)

// tableFlags are what picks entries of a table.
func (a *app) tableFlags(c *cobra.Command, req *api.TableRequest, withIP bool) {
	c.Flags().StringVar(&req.Port, "port", "", "only what is behind this `PORT`")
	c.Flags().StringVar(&req.MAC, "mac", "", "only this `MAC` address")
	if withIP {
		c.Flags().StringVar(&req.IP, "ip", "", "only this `IP` address")
	}
	_ = c.RegisterFlagCompletionFunc("port", func(c *cobra.Command, _ []string, s string) ([]string, cobra.ShellCompDirective) {
		return a.completePorts(c, nil, s)
	})
}

func (a *app) macCommand() *cobra.Command {
	c := &cobra.Command{Use: "mac", Short: "which station is behind which port: list, flush",
		Long: "The forwarding table of a hub: every station it has heard, by VLAN and MAC address.", Example: "  vhub mac list --port lan"}
	var list, flush api.TableRequest
	listCmd := a.watchFlag(&cobra.Command{Use: "list", Short: "the stations of a hub", Args: cobra.NoArgs, Long: "One line a station, by VLAN and MAC address.",
		Example: "  vhub mac list\n  vhub mac list --port lan --watch", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			list.Hub = a.hub
			return read(a, c, api.ListMACs, list, writeMACs)
		}})
	a.tableFlags(listCmd, &list, false)
	flushCmd := &cobra.Command{Use: "flush", Short: "forget stations", Args: cobra.NoArgs,
		Long:    "Forgets learned stations; they are learned again from their next frame. Pinned ones stay.",
		Example: "  vhub mac flush --port lan", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			flush.Hub = a.hub
			return a.flush(c, api.FlushMACs, flush, "station")
		}}
	a.tableFlags(flushCmd, &flush, false)
	c.AddCommand(listCmd, flushCmd)
	return c
}

func (a *app) arpCommand() *cobra.Command {
	c := &cobra.Command{Use: "arp", Short: "which station has which address: list, flush",
		Long: `The neighbour table of a hub (IPv4 ARP and IPv6 neighbour discovery): which MAC
address has which IP address, behind which port, and how the hub knows.`, Example: "  vhub arp list\n  vhub arp flush --ip 192.0.2.7"}
	var list, flush api.TableRequest
	listCmd := a.watchFlag(&cobra.Command{Use: "list", Short: "the neighbours of a hub", Args: cobra.NoArgs, Long: "One line an IP address.",
		Example: "  vhub arp list\n  vhub arp list --ip 192.0.2.7", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			list.Hub = a.hub
			return read(a, c, api.ListNeighbours, list, writeNeighbours)
		}})
	a.tableFlags(listCmd, &list, true)
	flushCmd := &cobra.Command{Use: "flush", Short: "forget neighbours", Args: cobra.NoArgs,
		Long:    "Forgets entries of the neighbour table; they are learned again from the next ARP or ND packet.",
		Example: "  vhub arp flush --port lan", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			flush.Hub = a.hub
			return a.flush(c, api.FlushNeighbours, flush, "neighbour")
		}}
	a.tableFlags(flushCmd, &flush, true)
	c.AddCommand(listCmd, flushCmd)
	return c
}

func (a *app) flush(c *cobra.Command, op api.Op[api.TableRequest, api.Flushed], req api.TableRequest, what string) error {
	client := a.client()
	defer client.Close()
	resp, err := api.Call(c.Context(), client, op, req)
	if err != nil {
		return err
	}
	return a.print(resp, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "forgot %s\n", text.Plural(resp.Flushed, what))
		return err
	})
}

func writeMACs(w io.Writer, l api.MACList) error {
	var rows [][]string
	for _, m := range l.MACs {
		age := text.Seconds(m.AgeSeconds)
		if m.Static {
			age = "pinned"
		}
		rows = append(rows, []string{vlanText(m.VLAN), m.MAC, m.Port, age})
	}
	return text.Table(w, []string{"VLAN", "MAC", "PORT", "AGE"}, rows)
}

func writeNeighbours(w io.Writer, l api.NeighbourList) error {
	var rows [][]string
	for _, n := range l.Neighbours {
		rows = append(rows, []string{vlanText(n.VLAN), n.IP, n.MAC, dash(n.Port), n.State, n.Source, text.Seconds(n.AgeSeconds), conflictText(n.Conflict)})
	}
	return text.Table(w, []string{"VLAN", "IP", "MAC", "PORT", "STATE", "FROM", "AGE", "CONFLICT"}, rows)
}

func conflictText(c *api.NeighbourConflict) string {
	if c == nil {
		return ""
	}
	return strings.TrimSpace("also claimed by " + c.MAC + " " + c.Port)
}

func vlanText(v int) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprint(v)
}
