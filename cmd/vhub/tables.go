package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
)

// table is one table of a hub and the two commands about it.
type table[L any] struct {
	entry string // what one entry is
	ip    bool   // entries have an IP address
	list  api.Op[api.TableRequest, L]
	flush api.Op[api.TableRequest, api.Flushed]
	write func(io.Writer, L) error
}

// tableCommands has the commands list and flush, whose texts are given, do what they say.
func tableCommands[L any](a *app, list, flush *cobra.Command, t table[L]) []*cobra.Command {
	commands := []*cobra.Command{a.watchFlag(list), flush}
	for i, c := range commands {
		var req api.TableRequest
		c.Args, c.ValidArgsFunction = cobra.NoArgs, cobra.NoFileCompletions
		c.Flags().StringVar(&req.Port, "port", "", "only what is behind this `PORT`")
		c.Flags().StringVar(&req.MAC, "mac", "", "only this `MAC` address")
		if t.ip {
			c.Flags().StringVar(&req.IP, "ip", "", "only this `IP` address")
		}
		_ = c.RegisterFlagCompletionFunc("port", func(c *cobra.Command, _ []string, s string) ([]string, cobra.ShellCompDirective) {
			return a.completePorts(c, nil, s)
		})
		c.RunE = func(c *cobra.Command, _ []string) error {
			req.Hub = a.hub
			if i == 0 {
				return read(a, c, t.list, req, t.write)
			}
			return a.flush(c, t.flush, req, t.entry)
		}
	}
	return commands
}

func (a *app) macCommand() *cobra.Command {
	c := &cobra.Command{Use: "mac", Short: "which station is behind which port: list, flush",
		Long: "The forwarding table of a hub: every station it has heard, by VLAN and MAC address.", Example: "  vhub mac list --port lan"}
	c.AddCommand(tableCommands(a,
		&cobra.Command{Use: "list", Short: "the stations of a hub", Long: "One line a station, by VLAN and MAC address.",
			Example: "  vhub mac list\n  vhub mac list --port lan --watch"},
		&cobra.Command{Use: "flush", Short: "forget stations", Long: "Forgets learned stations; they are learned again from their next frame. Pinned ones stay.",
			Example: "  vhub mac flush --port lan"},
		table[api.MACList]{"station", false, api.ListMACs, api.FlushMACs, writeMACs})...)
	return c
}

func (a *app) arpCommand() *cobra.Command {
	c := &cobra.Command{Use: "arp", Short: "which station has which address: list, flush",
		Long: `The neighbour table of a hub (IPv4 ARP and IPv6 neighbour discovery): which MAC
address has which IP address, behind which port, and how the hub knows.`, Example: "  vhub arp list\n  vhub arp flush --ip 192.0.2.7"}
	c.AddCommand(tableCommands(a,
		&cobra.Command{Use: "list", Short: "the neighbours of a hub", Long: "One line an IP address.",
			Example: "  vhub arp list\n  vhub arp list --ip 192.0.2.7"},
		&cobra.Command{Use: "flush", Short: "forget neighbours", Long: "Forgets entries of the neighbour table; they are learned again from the next ARP or ND packet.",
			Example: "  vhub arp flush --port lan"},
		table[api.NeighbourList]{"neighbour", true, api.ListNeighbours, api.FlushNeighbours, writeNeighbours})...)
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
