package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/config"
	"vhub/guide"
)

// clientCard is what "client card" writes as JSON.
type clientCard struct {
	System string `json:"system"`
	Server string `json:"server"`
	User   string `json:"user"`
	Text   string `json:"text"`
	File   string `json:"file,omitempty"` // what -w wrote
}

// cardFlags are the flags of "client card".
type cardFlags struct {
	system, server, port, name, file string
	all, withKey                     bool
}

func (a *app) clientCommand() *cobra.Command {
	c := &cobra.Command{Use: "client", Short: "set up the clients that systems have built in: card",
		Long:    "Instructions and files for road warriors: the L2TP/IPsec clients that Windows, macOS, iOS, Android, Linux and ChromeOS have.",
		Example: "  vhub client card alice --for windows"}
	c.AddCommand(a.clientCardCommand())
	return c
}

func (a *app) clientCardCommand() *cobra.Command {
	var f cardFlags
	c := &cobra.Command{Use: "card USER --for SYSTEM [--server ADDRESS] [--port PORT] [-w FILE]", Args: cobra.ExactArgs(1),
		Short: "steps or a file that set up the client of a system",
		Long: `Writes the steps that set up the client of a system, with the real values: the
server's address, the user, and where the pre-shared key stands. The key itself is
never shown.

With -w, writes a file that the system imports instead: a PowerShell script for
Windows, a profile for macOS and iOS, a keyfile of NetworkManager for Linux, an ONC
file for ChromeOS. With --with-key the pre-shared key is in it. Only its owner can
read the file. "-w -" writes to the terminal.

Without --server, the address is this host's own; behind a NAT it must be given.
Where the port has routes, only those networks go through the tunnel, unless --all.`,
		Example: `  vhub client card alice --for windows --server vpn.example.net
  vhub client card alice --for ios -w alice.mobileconfig --with-key
  vhub client card alice --for linux --port road -w alice.nmconnection --with-key`,
		ValidArgsFunction: cobra.NoFileCompletions}
	var systems []string
	for _, s := range guide.Systems() {
		systems = append(systems, string(s))
	}
	flags := c.Flags()
	flags.Var(&choice{value: &f.system, of: systems}, "for", "the client's `SYSTEM`: "+strings.Join(systems, ", "))
	flags.StringVar(&f.server, "server", "", "the `ADDRESS` or name that clients dial")
	flags.StringVar(&f.port, "port", "", "the l2tp `PORT`; needed only where there are several")
	flags.StringVar(&f.name, "name", "", "what the connection is called on the client (default: vhub and the port's name)")
	flags.BoolVar(&f.all, "all", false, "all traffic goes through the tunnel, whatever routes the port has")
	flags.StringVarP(&f.file, "write", "w", "", "write a `FILE` that the system imports")
	flags.BoolVar(&f.withKey, "with-key", false, "put the pre-shared key into the file")
	_ = c.RegisterFlagCompletionFunc("for", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return systems, cobra.ShellCompDirectiveNoFileComp
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case f.system == "":
			return usageError{fmt.Errorf("client card: --for is not given; there are %s", strings.Join(systems, ", "))}
		case f.withKey && f.file == "":
			return usageError{errors.New("client card: --with-key is for a file; name one with -w")}
		}
		return a.clientCard(c.Context(), args[0], f)
	}
	return c
}

// clientCard gathers what the card says and writes it.
func (a *app) clientCard(ctx context.Context, user string, f cardFlags) error {
	v, err := a.cardValues(ctx, user, f)
	if err != nil {
		return err
	}
	if err := v.Check(); err != nil {
		return fmt.Errorf("client card: %w", err)
	}
	system := guide.System(f.system)
	card := clientCard{System: f.system, Server: v.Server, User: user}
	if f.file == "" {
		card.Text = guide.Card(system, v)
	} else if card.Text, card.File, err = writeCardFile(a.out, system, v, f.file); err != nil || f.file == "-" {
		return err
	}
	return a.print(card, func(w io.Writer) error {
		_, err := io.WriteString(w, card.Text)
		return err
	})
}

// cardValues asks the daemon for the port and this host for its address.
func (a *app) cardValues(ctx context.Context, user string, f cardFlags) (guide.Values, error) {
	client := a.client()
	defer client.Close()
	v := guide.Values{User: user, Server: f.server}
	port, err := a.roadPort(ctx, client, f.port)
	if err != nil {
		return v, err
	}
	status, err := api.Call(ctx, client, api.GetStatus, api.None{})
	if err != nil {
		return v, err
	}
	if _, err := api.Call(ctx, client, api.GetUser, api.UserRequest{User: user}); err != nil && port.Options["radius"] == "" {
		fmt.Fprintf(a.err, "vhub: warning: user %s: %v\n", user, err)
	}
	v.Name = f.name
	if v.Name == "" {
		v.Name = "vhub " + port.Name
	}
	v.Legacy = port.Options["legacy"] == "true"
	if !f.all {
		v.Routes = routesOf(port.Options["routes"])
	}
	if name := port.Options["key_file"]; name != "" {
		v.KeyFile = (&config.Config{File: status.ConfigFile}).Path(name)
	}
	if f.withKey {
		if v.KeyFile == "" {
			return v, fmt.Errorf("client card: port %s has no pre-shared key (insecure_l2tp): there is nothing for --with-key", port.Name)
		}
		secret, err := config.ReadSecret(v.KeyFile)
		if err != nil {
			return v, err
		}
		v.Key = string(secret)
	}
	own := localAddrs()
	if v.Server == "" {
		if v.Server, err = ownServer(own); err != nil {
			return v, err
		}
	}
	v.BehindNAT = behindNAT(v.Server, own, lookup(ctx))
	return v, nil
}

// roadPort is the l2tp port of that name, or the only one there is.
func (a *app) roadPort(ctx context.Context, client *api.Client, name string) (api.Port, error) {
	if name != "" {
		port, err := api.Call(ctx, client, api.GetPort, api.PortRequest{Hub: a.hub, Port: name})
		if err == nil && port.Kind != config.KindL2TP {
			err = fmt.Errorf("port %s is of kind %s; clients dial one of kind %s", name, port.Kind, config.KindL2TP)
		}
		return port, err
	}
	list, err := api.Call(ctx, client, api.ListPorts, api.HubRequest{Hub: a.hub})
	if err != nil {
		return api.Port{}, err
	}
	var names []string
	var road api.Port
	for _, p := range list.Ports {
		if p.Kind == config.KindL2TP {
			names, road = append(names, p.Name), p
		}
	}
	switch len(names) {
	case 0:
		return road, errors.New("client card: no port takes clients; add one: vhub port add l2tp road --key-file FILE")
	case 1:
		return road, nil
	}
	return road, fmt.Errorf("client card: several ports take clients; say which with --port: %s", strings.Join(names, ", "))
}

// routesOf reads the port's setting "routes": networks, some with their router.
func routesOf(setting string) []netip.Prefix {
	var routes []netip.Prefix
	for item := range strings.SplitSeq(setting, ",") {
		to, _, _ := strings.Cut(strings.TrimSpace(item), " ")
		if p, err := netip.ParsePrefix(to); err == nil {
			routes = append(routes, p.Masked())
		}
	}
	return routes
}

// localAddrs is every address of this host.
func localAddrs() []netip.Addr {
	var own []netip.Addr
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	return own
}

// ownServer is the one address of this host that the internet can reach: IPv4
// first, which every client's network has.
func ownServer(own []netip.Addr) (string, error) {
	var public []netip.Addr
	for _, addr := range own {
		if addr.IsGlobalUnicast() && !addr.IsPrivate() && !sharedSpace.Contains(addr) {
			public = append(public, addr)
		}
	}
	v4 := slices.DeleteFunc(slices.Clone(public), netip.Addr.Is6)
	switch {
	case len(v4) == 1:
		return v4[0].String(), nil
	case len(v4) == 0 && len(public) == 1:
		return public[0].String(), nil
	case len(public) == 0:
		return "", errors.New("client card: this host has no address of its own on the internet; say with --server what clients dial")
	}
	return "", errors.New("client card: this host has several addresses on the internet; say with --server which one clients dial")
}

// sharedSpace is what carriers use behind their NAT (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// lookup resolves names for two seconds at most.
func lookup(ctx context.Context) func(name string) []netip.Addr {
	return func(name string) []netip.Addr {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		addrs, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		return addrs
	}
}

// behindNAT tells whether the server's address is none of this host's own. A
// name that cannot be resolved here tells nothing.
func behindNAT(server string, own []netip.Addr, lookup func(string) []netip.Addr) bool {
	addrs := []netip.Addr{}
	if addr, err := netip.ParseAddr(server); err == nil {
		addrs = append(addrs, addr)
	} else {
		addrs = lookup(server)
	}
	for _, addr := range addrs {
		if slices.Contains(own, addr.Unmap()) {
			return false
		}
	}
	return len(addrs) > 0
}

// writeCardFile writes what the system imports, and returns what to do with it.
func writeCardFile(out io.Writer, system guide.System, v guide.Values, path string) (did, written string, err error) {
	content, ext, err := guide.File(system, v)
	if err != nil {
		return "", "", fmt.Errorf("client card: %w", err)
	}
	if path == "-" {
		_, err := out.Write(content)
		return "", "", err
	}
	if err := writePrivate(path, content); err != nil {
		return "", "", fmt.Errorf("client card: %w", err)
	}
	did = fmt.Sprintf("wrote %s for %s", path, system.Title())
	if v.Key != "" {
		did += ": it holds the pre-shared key; hand it over by a safe way and remove it here"
	} else {
		did += ", without the pre-shared key (it is in " + v.KeyFile + ")"
	}
	if filepath.Ext(path) != ext {
		did += fmt.Sprintf("\nthe name of a file for %s should end in %s", system.Title(), ext)
	}
	return did + "\n", path, nil
}

// writePrivate replaces a file with one that only its owner can read, at once.
func writePrivate(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".vhub-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
