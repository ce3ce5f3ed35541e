package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Reference returns a configuration file that has every key with its default,
// its range and what it means. Keys without a default stand as comments, with
// an example. The file parses.
func Reference() []byte {
	var b strings.Builder
	b.WriteString("# Every key of vhub's configuration, with its default. Made from the schema by\n" +
		"# \"go test ./config -run Reference -update\"; see vhub.hcl(5).\n")
	for _, blk := range blocks {
		fmt.Fprintf(&b, "\n# %s\n%s {\n", blk.doc, blk.name)
		referenceKeys(&b, blk.attrs, blk.of(newConfig()), nil)
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "\n# %s\nradius %q {\n", radiusDoc, "corp")
	referenceKeys(&b, radiusTable, newRadius("corp"), nil)
	b.WriteString("}\n")
	b.WriteString("\n# a virtual hub: one Ethernet segment\nhub \"default\" {\n")
	referenceKeys(&b, hubTable, newHub("default"), nil)
	for _, k := range portKinds {
		fmt.Fprintf(&b, "\n# %s\nport %q %q {\n", k.doc, k.kind, "my-"+k.kind)
		referenceKeys(&b, k.attrs, newPort(k.kind, "my-"+k.kind), referenceValues[k.kind])
		b.WriteString("}\n")
	}
	b.WriteString("}\n")
	return hclwrite.Format([]byte(b.String()))
}

// referenceValues is what a kind of port needs that has no default.
var referenceValues = map[string]Values{
	KindEtherIP: {"peer_id": "keyid:ix2015", "key_file": "ix.psk"},
	KindL2TP:    {"key_file": "road.psk", "pool": "172.16.0.200-172.16.0.230"},
}

func referenceKeys(b *strings.Builder, attrs []*Attribute, blank any, set Values) {
	for i, a := range attrs {
		if i > 0 {
			b.WriteString("\n")
		}
		note := a.Doc
		if a.Range != "" {
			note += " (" + a.Range + ")"
		}
		fmt.Fprintf(b, "# %s\n", note)
		ptr := a.bind(blank)
		mark := ""
		if text, ok := set[a.Name]; ok || a.Default == "" {
			if !ok {
				text = a.Example
			}
			if !ok && !a.Need {
				mark = "#"
			}
			if err := a.setText(ptr, text); err != nil {
				panic(fmt.Sprintf("config: the example of %s: %v", a.Name, err))
			}
		}
		fmt.Fprintf(b, "%s%s = %s\n", mark, a.Name, literalSource(a.literal(ptr)))
	}
}
