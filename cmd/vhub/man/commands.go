package man

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Commands returns the pages of a tree of commands by file name: "vhub.8",
// "vhub-port-add.8", ...
func Commands(root *cobra.Command) map[string]string {
	pages := map[string]string{}
	walk(root, func(c *cobra.Command) { pages[pageName(c)+".8"] = command(c) })
	return pages
}

// walk visits the commands that users see.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	if c.Hidden || c.Name() == "help" {
		return
	}
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func command(c *cobra.Command) string {
	p := newPage(pageName(c), 8, c.Short)
	p.section("SYNOPSIS")
	if c.HasAvailableSubCommands() {
		p.literal(c.CommandPath() + " COMMAND [flags]")
	} else {
		p.literal(c.UseLine())
	}
	p.section("DESCRIPTION")
	p.text(c.Long)
	if c.HasAvailableSubCommands() {
		p.section("COMMANDS")
		for _, sub := range c.Commands() {
			if !sub.Hidden && sub.Name() != "help" {
				p.item(sub.CommandPath(), sub.Short+".")
			}
		}
	}
	flags(p, "OPTIONS", c.NonInheritedFlags())
	if c.HasParent() {
		flags(p, "GLOBAL OPTIONS", c.InheritedFlags())
	}
	if c.Example != "" {
		p.section("EXAMPLES")
		p.literal(c.Example)
	}
	if !c.HasParent() {
		files(p)
	}
	seeAlso(p, c)
	return p.String()
}

func flags(p *page, title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	p.section(title)
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if value != "" && f.NoOptDefVal == "" {
			term += " " + value
		}
		if set := f.DefValue; set != "" && !slices.Contains([]string{"false", "0", "0s", "[]", "text"}, set) && f.Name != "socket" {
			usage += " (default " + set + ")"
		}
		p.item(term, strings.ToUpper(usage[:1])+usage[1:]+".")
	})
}

// files is what only vhub(8) has.
func files(p *page) {
	p.section("EXIT STATUS")
	p.text("0 where all went well, 1 where it did not, 2 where the command was typed wrong. An error is one line on the standard error: what was wrong, where, and what to do.")
	p.section("ENVIRONMENT")
	p.item("VHUB_SOCKET", "The daemon's socket, unless --socket is given.")
	p.section("FILES")
	p.item("/etc/vhub/vhub.hcl", "The configuration; see vhub.hcl(5).")
	p.item("/var/lib/vhub", "Revisions of the configuration, and other state.")
	p.item("/run/vhub/vhub.sock", "The socket of the daemon.")
	p.section("SIGNALS")
	p.item("SIGHUP", "The daemon reads its configuration file again; ports that did not change are not touched. A file with an error is logged and not used.")
	p.item("SIGTERM, SIGINT", "The daemon closes all ports, removes the interfaces that it made, and ends.")
}

func seeAlso(p *page, c *cobra.Command) {
	var names []string
	if c.HasParent() {
		names = append(names, pageName(c.Parent())+"(8)")
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden && sub.Name() != "help" {
			names = append(names, pageName(sub)+"(8)")
		}
	}
	p.section("SEE ALSO")
	fmt.Fprintf(p, "%s\n", escape(strings.Join(append(names, "vhub.hcl(5)"), ", ")))
}
