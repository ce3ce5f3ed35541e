package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
)

func (a *app) userCommand() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "who may log in: add, list, show, set, passwd, disable, enable, remove",
		Long: `Users log in at l2tp ports with a name and a password, as "user", "user@hub" or
"hub\user". Of a password only what MS-CHAPv2 needs is kept, in a file of the state
folder that only the daemon's user reads. It is never shown.`,
		Example: "  vhub user add alice\n  vhub user add bob --generate --expires 30d\n  vhub user disable alice"}
	c.AddCommand(a.userAdd(), a.userList(), a.userShow(), a.userSet(), a.userPasswd(), a.userSwitch("disable", true), a.userSwitch("enable", false), a.userRemove())
	return c
}

// userFlags are the settings of a user.
type userFlags struct {
	address, mac, expires, note string
	sessions                    int
}

func (f *userFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.address, "address", "", "fixed IPv4 `ADDRESS`; without it one by DHCP or from the port's pool")
	c.Flags().StringVar(&f.mac, "mac", "", "fixed `MAC` address of the user's station; without it one made of user and device")
	c.Flags().StringVar(&f.expires, "expires", "", "no login after this `TIME`: a date (2027-01-31, its end), 2027-01-31T18:00, or 30d, 12h from now")
	c.Flags().IntVar(&f.sessions, "max-sessions", 0, "at most `N` sessions at once; 0 for no limit")
	c.Flags().StringVar(&f.note, "note", "", "a `TEXT` of your own")
}

func (a *app) userAdd() *cobra.Command {
	var f userFlags
	var p passwordFlags
	c := &cobra.Command{Use: "add NAME [flags]", Short: "add a user", Args: cobra.ExactArgs(1),
		Long: `Adds a user. The password is asked for twice without showing it, or comes from a
file or from stdin (its first line), or is made with --generate, which shows it this
once. With --hub the user may log in to that hub only.`,
		Example:           "  vhub user add alice\n  vhub user add bob --password-file bob.txt --address 172.16.0.50 --max-sessions 2\n  vhub user add carol --generate --expires 2027-01-31 --note intern",
		ValidArgsFunction: cobra.NoFileCompletions}
	p.add(c)
	f.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		req := api.AddUserRequest{Name: args[0], Hub: a.hub, Address: f.address, MAC: f.mac, MaxSessions: f.sessions, Note: f.note}
		if f.expires != "" {
			t, err := parseExpiry(time.Now(), f.expires)
			if err != nil {
				return usageError{fmt.Errorf("user add: %w", err)}
			}
			req.Expires = &t
		}
		password, err := a.password(c.Context(), &p, "user add", args[0])
		if err != nil {
			return err
		}
		req.Password = password
		return userChange(a, c, api.AddUser, req, p.shown(password))
	}
	return c
}

func (a *app) userList() *cobra.Command {
	return a.watchFlag(&cobra.Command{Use: "list", Short: "the users", Args: cobra.NoArgs,
		Long:    "One line a user: state, limits and sessions. With --hub, those who may log in to that hub.",
		Example: "  vhub user list\n  vhub user list -o json", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return read(a, c, api.ListUsers, api.ListUsersRequest{Hub: a.hub}, writeUsers)
		}})
}

func writeUsers(w io.Writer, l api.UserList) error {
	if len(l.Users) == 0 {
		_, err := fmt.Fprintln(w, "no users yet; add one: vhub user add alice")
		return err
	}
	var rows [][]string
	for _, u := range l.Users {
		sessions := fmt.Sprint(len(u.Sessions))
		if u.MaxSessions > 0 {
			sessions += " of " + fmt.Sprint(u.MaxSessions)
		}
		rows = append(rows, []string{u.Name, dash(u.Hub), u.State, sessions, dash(u.Address), dash(u.MAC), expiryText(u.Expires), u.Note})
	}
	return text.Table(w, []string{"NAME", "HUB", "STATE", "SESSIONS", "ADDRESS", "MAC", "EXPIRES", "NOTE"}, rows)
}

func expiryText(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return text.When(*t)
}

func (a *app) userShow() *cobra.Command {
	return a.watchFlag(&cobra.Command{Use: "show NAME", Short: "all there is to know of a user", Args: cobra.ExactArgs(1),
		Long: "Settings, times and the names of the user's sessions.", Example: "  vhub user show alice", ValidArgsFunction: a.completeUsers,
		RunE: func(c *cobra.Command, args []string) error {
			return read(a, c, api.GetUser, api.UserRequest{User: args[0]}, writeUser)
		}})
}

func writeUser(w io.Writer, u api.User) error {
	limit := "no limit"
	if u.MaxSessions > 0 {
		limit = "at most " + fmt.Sprint(u.MaxSessions)
	}
	expires := "never"
	if u.Expires != nil {
		expires = text.When(*u.Expires)
	}
	hub := u.Hub
	if hub == "" {
		hub = "every hub"
	}
	fmt.Fprintf(w, "user %s\n", u.Name)
	return text.Pairs(w, "  ", []text.Pair{
		{Name: "state", Value: u.State}, {Name: "may log in to", Value: hub}, {Name: "sessions", Value: dash(strings.Join(u.Sessions, ", ")) + " (" + limit + ")"},
		{Name: "address", Value: u.Address}, {Name: "MAC", Value: u.MAC}, {Name: "expires", Value: expires}, {Name: "note", Value: u.Note},
		{Name: "added", Value: text.When(u.Created)}, {Name: "changed", Value: text.When(u.Changed)},
	})
}

func (a *app) userSet() *cobra.Command {
	var f userFlags
	var unset []string
	c := &cobra.Command{Use: "set NAME [flags]", Short: "change settings of a user", Args: cobra.ExactArgs(1),
		Long: `Changes settings of a user; what is not named stays. With --hub the user may log in
to that hub only, with --unset hub to every one. Sessions that the user may no longer
have end; an address counts from the next login.`,
		Example: "  vhub user set alice --address 172.16.0.50 --max-sessions 1\n  vhub user set alice --unset expires,hub", ValidArgsFunction: a.completeUsers}
	f.add(c)
	c.Flags().StringSliceVar(&unset, "unset", nil, "take `SETTING` back: hub, address, mac, expires, max-sessions, note")
	c.RunE = func(c *cobra.Command, args []string) error {
		req := api.SetUserRequest{User: args[0]}
		n, err := f.request(&req, c, unset)
		if err != nil {
			return usageError{fmt.Errorf("user set: %w", err)}
		}
		if a.hub != "" {
			if req.Hub != nil {
				return usageError{fmt.Errorf("user set: hub is set and unset in one command")}
			}
			req.Hub, n = &a.hub, n+1
		}
		if n == 0 {
			return usageError{fmt.Errorf("user set: nothing to change is given; see 'vhub user set --help'")}
		}
		return userChange(a, c, api.SetUser, req, "")
	}
	return c
}

// request puts the flags that were given, and what is to be taken back, into
// req; n is how many settings that are.
func (f *userFlags) request(req *api.SetUserRequest, c *cobra.Command, unset []string) (n int, err error) {
	none, zero := "", 0
	clear := map[string]func(){
		"hub": func() { req.Hub = &none }, "address": func() { req.Address = &none }, "mac": func() { req.MAC = &none },
		"expires": func() { req.Expires = &none }, "max-sessions": func() { req.MaxSessions = &zero }, "note": func() { req.Note = &none },
	}
	for _, name := range unset {
		name = strings.ReplaceAll(name, "_", "-")
		do := clear[name]
		switch {
		case do == nil:
			return n, fmt.Errorf("a user has no setting %q to unset; there are hub, address, mac, expires, max-sessions, note", name)
		case name != "hub" && c.Flags().Changed(name):
			return n, fmt.Errorf("%s is set and unset in one command", name)
		}
		do()
		n++
	}
	for name, put := range map[string]func(){
		"address": func() { req.Address = &f.address }, "mac": func() { req.MAC = &f.mac },
		"max-sessions": func() { req.MaxSessions = &f.sessions }, "note": func() { req.Note = &f.note },
	} {
		if c.Flags().Changed(name) {
			put()
			n++
		}
	}
	if c.Flags().Changed("expires") {
		t, err := parseExpiry(time.Now(), f.expires)
		if err != nil {
			return n, err
		}
		s := t.UTC().Format(time.RFC3339)
		req.Expires = &s
		n++
	}
	return n, nil
}

// parseExpiry reads a time: a date (its end), a date with a time, or how long
// from now.
func parseExpiry(now time.Time, s string) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			return now.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(d), nil
	}
	return time.Time{}, fmt.Errorf("expires: %q is no date (2027-01-31), time (2027-01-31T18:00) or time from now (30d, 12h)", s)
}

func (a *app) userPasswd() *cobra.Command {
	var p passwordFlags
	c := &cobra.Command{Use: "passwd NAME [flags]", Short: "give a user a new password", Args: cobra.ExactArgs(1),
		Long: `The new password counts from the next login; sessions stay up. Where the old one is
in wrong hands, end them too: vhub session kick.`,
		Example: "  vhub user passwd alice\n  vhub user passwd alice --generate\n  vhub user passwd alice --password-file -", ValidArgsFunction: a.completeUsers}
	p.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		password, err := a.password(c.Context(), &p, "user passwd", args[0])
		if err != nil {
			return err
		}
		return userChange(a, c, api.SetPassword, api.SetPasswordRequest{User: args[0], Password: password}, p.shown(password))
	}
	return c
}

func (a *app) userSwitch(verb string, disabled bool) *cobra.Command {
	short, long := "let a disabled user log in again", "The user may log in again, with the password and settings as they were."
	if disabled {
		short, long = "keep a user from logging in, and end the sessions", "The user stays, with password and settings, but cannot log in. Sessions end at once."
	}
	return &cobra.Command{Use: verb + " NAME", Short: short, Args: cobra.ExactArgs(1), Long: long, Example: "  vhub user " + verb + " alice",
		ValidArgsFunction: a.completeUsers,
		RunE: func(c *cobra.Command, args []string) error {
			return userChange(a, c, api.SetUser, api.SetUserRequest{User: args[0], Disabled: &disabled}, "")
		}}
}

func (a *app) userRemove() *cobra.Command {
	return &cobra.Command{Use: "remove NAME", Aliases: []string{"rm"}, Short: "remove a user, and end the sessions", Args: cobra.ExactArgs(1),
		Long: "The user is forgotten. Sessions end at once.", Example: "  vhub user remove alice", ValidArgsFunction: a.completeUsers,
		RunE: func(c *cobra.Command, args []string) error {
			return userChange(a, c, api.RemoveUser, api.UserRequest{User: args[0]}, "")
		}}
}

// userChanged is what a change of a user writes as JSON: the API's answer, and
// the password where the command made it.
type userChanged struct {
	api.UserChange
	Password string `json:"password,omitempty"`
}

// userChange calls an operation that changes a user and prints what became
// different. password is shown where it is not empty.
func userChange[Req any](a *app, c *cobra.Command, op api.Op[Req, api.UserChange], req Req, password string) error {
	client := a.client()
	defer client.Close()
	resp, err := api.Call(c.Context(), client, op, req)
	if err != nil {
		return err
	}
	return a.print(userChanged{resp, password}, func(w io.Writer) error {
		if len(resp.Changed) == 0 {
			fmt.Fprintln(w, "nothing to change")
		}
		for _, line := range resp.Changed {
			fmt.Fprintln(w, line)
		}
		for _, name := range resp.Ended {
			fmt.Fprintf(w, "session %s ended\n", name)
		}
		if password != "" {
			fmt.Fprintf(w, "password: %s\n", password)
		}
		return nil
	})
}

// completeUsers asks the daemon for the names of the users.
func (a *app) completeUsers(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := contextFor(c, time.Second)
	defer cancel()
	client := a.client()
	defer client.Close()
	l, _ := api.Call(ctx, client, api.ListUsers, api.ListUsersRequest{})
	var names []string
	for _, u := range l.Users {
		names = append(names, u.Name+"\t"+u.State)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
