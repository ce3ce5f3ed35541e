package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
	"vhub/guide"
)

// explained is what "explain" writes as JSON.
type explained struct {
	// Explanation is what the error means; missing where only lines were asked for.
	Explanation *guide.Explanation `json:"explanation,omitempty"`
	// Client is the address that was asked for, and Lines the daemon's last lines about it.
	Client string      `json:"client,omitempty"`
	Lines  []api.Event `json:"lines,omitempty"`
}

func (a *app) explainCommand() *cobra.Command {
	var client string
	var last int
	c := &cobra.Command{Use: "explain [CODE|TEXT...]", Short: "what an error of a client or router means, and what to do", Args: cobra.ArbitraryArgs,
		Long: `Explains an error number of Windows, a message of macOS or iOS, or a line that
strongSwan, libreswan, racoon, pppd or a router logs: what happened, the likely
causes in order, how to tell them apart on vhub, and what cures each.

With --client, the daemon's own last lines about that address come with it. It is
the address that the client has on the internet: behind a NAT, the NAT's.
Without anything, it lists what it can explain.`,
		Example: `  vhub explain 809
  vhub explain 809 --client 203.0.113.77
  vhub explain "The L2TP-VPN server did not respond"
  vhub explain --client 203.0.113.77`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var codes []string
			for _, e := range guide.Known() {
				if len(args) == 0 && !strings.Contains(e.Code, " ") {
					codes = append(codes, e.Code)
				}
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		}}
	c.Flags().StringVar(&client, "client", "", "also the daemon's last lines about this `IP` address")
	c.Flags().IntVarP(&last, "last", "n", 15, "at most `N` lines")
	c.RunE = func(c *cobra.Command, args []string) error {
		if client == "" && len(args) == 0 {
			return a.print(guide.Known(), writeKnown)
		}
		if client != "" {
			if _, err := netip.ParseAddr(client); err != nil {
				return usageError{fmt.Errorf("explain: --client %q is not an IP address (without a port)", client)}
			}
		}
		if last <= 0 {
			return usageError{fmt.Errorf("explain: --last %d: want at least 1", last)}
		}
		return a.explain(c, strings.Join(args, " "), client, last)
	}
	return c
}

// explain says what is known of the text and of the client; what is missing is
// an error after that.
func (a *app) explain(c *cobra.Command, what, client string, last int) error {
	var answer explained
	var problems []error
	if what != "" {
		e, ok := guide.Explain(what)
		if ok {
			answer.Explanation = &e
		} else {
			problems = append(problems, fmt.Errorf("explain: there is no explanation of %q; 'vhub explain' lists what there is", what))
		}
	}
	if client != "" {
		conn := a.client()
		defer conn.Close()
		resp, err := api.Call(c.Context(), conn, api.GetClientLog, api.ClientLogRequest{Address: client, Last: last})
		if err != nil {
			problems = append(problems, err)
		} else {
			answer.Client, answer.Lines = resp.Address, resp.Lines
		}
	}
	if answer.Explanation != nil || answer.Client != "" {
		if err := a.print(answer, answer.write); err != nil {
			return err
		}
	}
	return errors.Join(problems...)
}

func (x explained) write(w io.Writer) error {
	if e := x.Explanation; e != nil {
		fmt.Fprintf(w, "%s (%s)\n  %s\n", e.Code, e.Source, e.Meaning)
		for i, c := range e.Causes {
			fmt.Fprintf(w, "\n%d. %s\n   check: %s\n   do:    %s\n", i+1, c.What, c.Check, c.Do)
		}
		if x.Client != "" {
			fmt.Fprintln(w)
		}
	}
	if x.Client == "" {
		return nil
	}
	if len(x.Lines) == 0 {
		_, err := fmt.Fprintf(w, "The daemon has logged nothing about %s: no packet of it that matters has arrived, or it comes from another address.\n", x.Client)
		return err
	}
	fmt.Fprintf(w, "The daemon's last lines about %s:\n", x.Client)
	for _, e := range x.Lines {
		if _, err := fmt.Fprintf(w, "  %s\n", eventLine(e)); err != nil {
			return err
		}
	}
	return nil
}

// writeKnown lists the errors of each system under its name.
func writeKnown(w io.Writer) error {
	source := ""
	for _, e := range guide.Known() {
		if e.Source != source {
			if source != "" {
				fmt.Fprintln(w)
			}
			source = e.Source
			fmt.Fprintf(w, "%s:\n", source)
		}
		fmt.Fprintf(w, "  %s\n", e.Code)
		if _, err := fmt.Fprintf(w, "      %s\n", text.Wrap(firstSentence(e.Meaning), 6, text.Width)); err != nil {
			return err
		}
	}
	return nil
}

func firstSentence(s string) string {
	first, _, _ := strings.Cut(s, ". ")
	return strings.TrimSuffix(first, ".")
}
