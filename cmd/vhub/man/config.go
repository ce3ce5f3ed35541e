package man

import (
	"fmt"
	"strings"

	"vhub/config"
)

// Config returns vhub.hcl(5).
func Config() string {
	p := newPage("vhub.hcl", 5, "configuration of vhub")
	p.section("DESCRIPTION")
	p.text(`The configuration is one file in HCL. It holds hubs, the ports of each hub, and blocks of settings of the whole daemon. A key that vhub does not know is an error. The commands edit the same file and keep its comments; a setting max_macs of the file is the flag --max-macs of 'vhub port add' and 'vhub port set'.

Durations are written as "500ms", "60s", "5m" or "2h". Lists are written in brackets in the file, and with commas between on the command line. Secrets stand in files of their own, which only their owner may read; their names are relative to the folder of the configuration.`)
	p.section("EXAMPLE")
	p.literal(`hub "default" {
  arp = "assist"

  # this host's LAN
  port "tap" "lan" { bridge = "br0" }

  port "etherip" "office" {
    peer  = "203.0.113.7"
    plain = true
  }
}`)
	for _, block := range config.Blocks() {
		p.section("THE BLOCK " + strings.ToUpper(block))
		attributes(p, config.BlockAttributes(block))
	}
	p.section("THE BLOCKS RADIUS")
	p.text(`radius "NAME" { ... }` + "\n\n" + strings.Join(config.RadiusNotes(), "\n\n"))
	attributes(p, config.RadiusAttributes())
	p.section("HUBS")
	p.text(`hub "NAME" { ... }`)
	attributes(p, config.HubAttributes())
	for _, kind := range config.Kinds() {
		p.section("PORTS OF KIND " + strings.ToUpper(kind))
		p.text(fmt.Sprintf("port %q \"NAME\" { ... } %s.", kind, config.KindDoc(kind)))
		attributes(p, config.PortAttributes(kind))
	}
	p.section("SEE ALSO")
	p.text("vhub(8), vhub-config(8), vhub-port-add(8)")
	return p.String()
}

// attributes writes one item a setting: type, range and default in the line.
func attributes(p *page, list []*config.Attribute) {
	for _, a := range list {
		what := a.Type
		if a.List {
			what = "list of " + what
		}
		notes := []string{what}
		if a.Range != "" {
			notes = append(notes, a.Range)
		}
		switch {
		case a.Need:
			notes = append(notes, "must be given")
		case a.Default != "":
			notes = append(notes, "default "+a.Default)
		}
		p.item(a.Name, a.Doc+" ("+strings.Join(notes, ", ")+").")
	}
}
