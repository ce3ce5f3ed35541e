package config

import (
	"fmt"
	"strings"
)

// Manual returns the manual page vhub.hcl(5) as roff (man macros).
func Manual() []byte {
	m := &manual{}
	m.b.WriteString(".\\\" Made from the schema of package config; do not edit.\n.TH VHUB.HCL 5 \"\" \"vhub\" \"vhub manual\"\n")
	m.section("NAME")
	m.b.WriteString("vhub.hcl \\- configuration of vhub\n")
	m.section("DESCRIPTION")
	m.text("The file is in HCL syntax: blocks in braces, one key = value a line, texts in quotes, comments after # or // or between /* and */.",
		"It holds hubs, and in each hub its ports, by kind and name. The commands vhub port, vhub hub and vhub config edit the file and keep comments and order; every key is also a flag of vhub port add and vhub port set, with - for _.",
		"Unknown keys are errors. Durations are texts like \"500ms\", \"60s\", \"10m\", \"8h\"; sizes are texts like \"64KiB\", \"4GiB\" or a number of bytes; an empty text means that nothing is given.",
		"Secrets stand in files of their own, one line each, that nobody but root or vhub's user may read. A relative file name starts at the folder of this file.")
	m.section("EXAMPLE")
	m.example(exampleFile)
	m.section("HUB")
	m.text("hub \"NAME\" { ... } is one Ethernet segment. Names have up to 32 letters, digits, and - _ . after the first.")
	m.keys(hubTable)
	common := commonAttributes("")
	m.section("PORTS")
	m.text("port \"KIND\" \"NAME\" { ... } stands in a hub; its name is the only one of the hub. Every kind of port has these keys; suppress is true by default for tap and nic.")
	m.keys(finish(common, &Port{}))
	for _, k := range portKinds {
		m.section("PORT " + strings.ToUpper(k.kind))
		m.text("A port of kind " + k.kind + " " + k.doc + ".")
		m.keys(k.attrs[:len(k.attrs)-len(common)])
	}
	for _, b := range blocks {
		m.section("BLOCK " + strings.ToUpper(b.name))
		m.text(b.name + " { ... } stands at the top of the file: " + b.doc + ".")
		m.keys(b.attrs)
	}
	m.section("BLOCK RADIUS")
	m.text("radius \"NAME\" { ... } stands at the top of the file: " + radiusDoc + ".")
	m.b.WriteString(".PP\n")
	m.text(RadiusNotes()...)
	m.keys(radiusTable)
	m.section("FILES")
	m.text("The last 50 revisions of the file are kept in the folder revisions of the state folder; see vhub config history and vhub config rollback.")
	m.section("SEE ALSO")
	m.b.WriteString(".BR vhub (8)\n")
	return []byte(m.b.String())
}

const exampleFile = `hub "default" {
  arp = "assist"

  port "tap" "lan" { bridge = "br0" }

  port "etherip" "office" {
    peer  = "203.0.113.7"
    plain = true
  }
  port "etherip" "ix" {
    peer_id  = "keyid:ix2015"
    key_file = "ix.psk"
  }
  port "l2tp" "road" {
    key_file = "road.psk"
    pool     = "172.16.0.200-172.16.0.230"
  }
}
`

type manual struct{ b strings.Builder }

// roff escapes what the formatter would take for its own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

func (m *manual) section(name string) { fmt.Fprintf(&m.b, ".SH %s\n", name) }

func (m *manual) text(paragraphs ...string) {
	for i, p := range paragraphs {
		if i > 0 {
			m.b.WriteString(".PP\n")
		}
		m.b.WriteString(roff(p) + "\n")
	}
}

func (m *manual) example(src string) {
	m.b.WriteString(".PP\n.nf\n.RS\n")
	for line := range strings.Lines(src) {
		m.b.WriteString(roff(strings.TrimSuffix(line, "\n")) + "\n")
	}
	m.b.WriteString(".RE\n.fi\n")
}

func (m *manual) keys(attrs []*Attribute) {
	for _, a := range attrs {
		typ := a.Type
		if a.List {
			typ = "list of " + typ
		}
		fmt.Fprintf(&m.b, ".TP\n.B %s\n", roff(a.Name))
		facts := []string{typ}
		if a.Range != "" {
			facts = append(facts, strings.ReplaceAll(a.Range, "|", ", "))
		}
		switch {
		case a.Need:
			facts = append(facts, "must be given")
		case a.Default != "":
			facts = append(facts, "default "+a.Default)
		}
		doc := strings.ToUpper(a.Doc[:1]) + a.Doc[1:]
		m.b.WriteString(roff(fmt.Sprintf("%s. (%s)", doc, strings.Join(facts, "; "))) + "\n")
	}
}
