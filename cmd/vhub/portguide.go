package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/guide"
)

// portConfig writes what to type at the peer of a port.
func (a *app) portConfig() *cobra.Command {
	var req api.GuideRequest
	c := &cobra.Command{Use: "config NAME --for ROUTER", Short: "the configuration of a port's peer, to type there", Args: cobra.ExactArgs(1),
		Long: `Writes the configuration of the router, server or vhub at the other end of an
etherip port, with the values of this one: identities, addresses, proposals,
lifetimes, MTU and MSS. It says where the key goes, and never shows it.

The address by which the peer reaches this host is taken from the port, the block
"ipsec" or the route; behind a NAT, say it with --address.

` + guide.RouterList(),
		Example: "  vhub port config ix --for nec-ix\n  vhub port config branch --for strongswan --address vpn.example.net", ValidArgsFunction: a.completePorts,
		RunE: func(c *cobra.Command, args []string) error {
			if req.For == "" {
				return usageError{fmt.Errorf("port config: --for is not given; there are %s", guide.RouterNames())}
			}
			req.Hub, req.Port = a.hub, args[0]
			return read(a, c, api.PeerGuide, req, writeGuide)
		}}
	names := guide.Routers()
	c.Flags().Var(&choice{value: &req.For, of: names}, "for", "what the peer is: `ROUTER` is one of those above")
	c.Flags().StringVar(&req.Address, "address", "", "the `ADDRESS` or name by which the peer reaches this host")
	_ = c.RegisterFlagCompletionFunc("for", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func writeGuide(w io.Writer, g api.Guide) error {
	if _, err := io.WriteString(w, g.Text); err != nil {
		return err
	}
	for _, note := range g.Notes {
		fmt.Fprintf(w, "# %s\n", note)
	}
	return nil
}
