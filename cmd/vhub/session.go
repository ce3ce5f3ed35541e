package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
)

func (a *app) sessionCommand() *cobra.Command {
	c := &cobra.Command{Use: "session", Short: "who is logged in: list, show, kick",
		Long: `A session is one client of an l2tp port: a host of the segment for as long as it is
there. Its name is the port's with a number.`, Example: "  vhub session list --watch\n  vhub session show road/7\n  vhub session kick road/7"}
	c.AddCommand(a.sessionList(), a.sessionShow(), a.sessionKick())
	return c
}

func (a *app) sessionList() *cobra.Command {
	var req api.ListSessionsRequest
	c := a.watchFlag(&cobra.Command{Use: "list", Short: "the sessions, with live counters", Args: cobra.NoArgs,
		Long:    "One line a session, of all l2tp ports or of those that are named. IN is what came from the client.",
		Example: "  vhub session list --watch\n  vhub session list --user alice -o json", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			req.Hub = a.hub
			return read(a, c, api.ListSessions, req, writeSessions)
		}})
	c.Flags().StringVar(&req.Port, "port", "", "only sessions of this `PORT`")
	c.Flags().StringVar(&req.User, "user", "", "only sessions of this `USER`")
	_ = c.RegisterFlagCompletionFunc("port", func(c *cobra.Command, _ []string, s string) ([]string, cobra.ShellCompDirective) {
		return a.completePorts(c, nil, s)
	})
	_ = c.RegisterFlagCompletionFunc("user", func(c *cobra.Command, _ []string, s string) ([]string, cobra.ShellCompDirective) {
		return a.completeUsers(c, nil, s)
	})
	return c
}

func writeSessions(w io.Writer, l api.SessionList) error {
	if len(l.Sessions) == 0 {
		_, err := fmt.Fprintln(w, "no sessions")
		return err
	}
	hubs := map[string]bool{}
	for _, s := range l.Sessions {
		hubs[s.Hub] = true
	}
	header := []string{"NAME", "USER", "STATE", "SINCE", "ADDRESS", "CLIENT", "HOST", "IN", "OUT"}
	if len(hubs) > 1 {
		header = append([]string{"HUB"}, header...)
	}
	var rows [][]string
	for _, s := range l.Sessions {
		since := time.Since(s.Began)
		if s.UpSince != nil {
			since = time.Since(*s.UpSince)
		}
		row := []string{s.Name, dash(s.User), s.State, text.Age(since), dash(s.Address), dash(s.Client), dash(s.Host),
			text.Bytes(s.InBytes), text.Bytes(s.OutBytes)}
		if len(hubs) > 1 {
			row = append([]string{s.Hub}, row...)
		}
		rows = append(rows, row)
	}
	return text.Table(w, header, rows)
}

func (a *app) sessionShow() *cobra.Command {
	return a.watchFlag(&cobra.Command{Use: "show NAME", Short: "all there is to know of a session", Args: cobra.ExactArgs(1),
		Long: "Who and where the client is, its address and where that came from, sizes and counters.", Example: "  vhub session show road/7 --watch",
		ValidArgsFunction: a.completeSessions,
		RunE: func(c *cobra.Command, args []string) error {
			return read(a, c, api.GetSession, api.SessionRequest{Session: args[0], Hub: a.hub}, writeSession)
		}})
}

func writeSession(w io.Writer, s api.Session) error {
	state := s.State
	if s.UpSince != nil {
		state += " since " + text.When(*s.UpSince) + " (" + text.Seconds(s.UpSeconds) + ")"
	}
	from := s.AddressFrom
	if s.DHCPServer != "" {
		from += " of " + s.DHCPServer
	}
	if s.LeaseExpires != nil {
		from += ", until " + text.When(*s.LeaseExpires)
	}
	mtu := ""
	if s.MTU > 0 {
		mtu = fmt.Sprintf("%d, TCP segments of at most %d", s.MTU, s.MSS4)
	}
	fmt.Fprintf(w, "session %s, port %s, hub %s\n", s.Name, s.Port, s.Hub)
	return text.Pairs(w, "  ", []text.Pair{
		{Name: "user", Value: dash(s.User)}, {Name: "state", Value: state}, {Name: "ending", Value: s.Ending},
		{Name: "began", Value: text.When(s.Began)}, {Name: "client", Value: s.Client},
		{Name: "host", Value: strings.TrimSpace(s.Host + vendorText(s.Vendor))}, {Name: "login by", Value: s.Method},
		{Name: "address", Value: s.Address}, {Name: "from", Value: from}, {Name: "IPv6", Value: strings.Join(s.Addresses6, ", ")},
		{Name: "MAC", Value: s.MAC}, {Name: "router", Value: s.Router}, {Name: "DNS", Value: strings.Join(s.DNS, ", ")}, {Name: "MTU", Value: mtu},
		{Name: "L2TP", Value: fmt.Sprintf("tunnel %d, session %d", s.TunnelID, s.SessionID)},
		{Name: "from the client", Value: packetsText(s.InPackets, s.InBytes)}, {Name: "to the client", Value: packetsText(s.OutPackets, s.OutBytes)},
	})
}

func vendorText(vendor string) string {
	if vendor == "" {
		return ""
	}
	return " (" + vendor + ")"
}

func packetsText(packets, bytes uint64) string {
	return text.Count(packets) + " packets, " + text.Bytes(bytes)
}

func (a *app) sessionKick() *cobra.Command {
	var reason string
	c := &cobra.Command{Use: "kick NAME [flags]", Short: "end a session", Args: cobra.ExactArgs(1),
		Long: `The client is told and goes; it may log in again. To keep a user out, disable him:
vhub user disable.`, Example: "  vhub session kick road/7 --reason 'maintenance'", ValidArgsFunction: a.completeSessions}
	c.Flags().StringVar(&reason, "reason", "", "the `TEXT` for the log, and for the user where the client shows it")
	c.RunE = func(c *cobra.Command, args []string) error {
		client := a.client()
		defer client.Close()
		resp, err := api.Call(c.Context(), client, api.KickSession, api.KickRequest{Session: args[0], Hub: a.hub, Reason: reason})
		if err != nil {
			return err
		}
		return a.print(resp, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "session %s of %s ended\n", resp.Session.Name, cmp.Or(resp.Session.User, "nobody yet"))
			return err
		})
	}
	return c
}

// completeSessions asks the daemon for the names of the sessions.
func (a *app) completeSessions(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := contextFor(c, time.Second)
	defer cancel()
	client := a.client()
	defer client.Close()
	l, _ := api.Call(ctx, client, api.ListSessions, api.ListSessionsRequest{Hub: a.hub})
	var names []string
	for _, s := range l.Sessions {
		names = append(names, s.Name+"\t"+cmp.Or(s.User, s.State))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
