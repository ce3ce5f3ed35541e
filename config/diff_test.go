package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func show(l []Change) string {
	var out []string
	for _, c := range l {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s/%s %s", c.Op, c.What, c.Hub, c.Name, strings.Join(c.Attributes, ","))))
	}
	return strings.Join(out, "\n")
}

func TestDiff(t *testing.T) {
	old := `log { level = "info" }
hub "a" {
  port "tap" "same" { bridge = "br0" }
  port "tap" "gone" {}
  port "nic" "kind" { interface = "eth1" }
  port "etherip" "set" {
    peer  = "203.0.113.7"
    plain = true
  }
}
hub "gone" {
  port "tap" "with" {}
}
`
	new := `# a comment is no difference, nor is the order, nor a default spelled out
hub "new" {
  port "tap" "with" {}
}
hub "a" {
  mac_age = "1m"
  port "etherip" "set" {
    peer     = "203.0.113.7"
    key_file = "k"
  }
  port "tap" "kind" {}
  port "tap" "more" { static_macs = ["02:00:00:00:00:01"] }
  port "tap" "same" {
    bridge   = "br0"
    suppress = true
  }
}
log { level = "debug" }
`
	want := `removed port a/gone
removed port a/kind
removed port gone/with
removed hub /gone
changed block /log level
added hub /new
added port new/with
changed hub /a mac_age
changed port a/set plain,key_file`
	got := show(Diff(mustParse(t, old), mustParse(t, new)))
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "added port a/kind\nadded port a/more") || strings.Contains(got, "same") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if d := Diff(mustParse(t, old), mustParse(t, old)); len(d) != 0 {
		t.Errorf("nothing changed, and %s", show(d))
	}
	if got := show(Diff(nil, mustParse(t, fileA))); got != "added hub /a" {
		t.Errorf("from nothing: %s", got)
	}
	if got := show(Diff(mustParse(t, fileA), nil)); got != "removed hub /a" {
		t.Errorf("to nothing: %s", got)
	}
}

func TestJSON(t *testing.T) {
	b, err := json.Marshal(mustParse(t, exampleFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"hubs":[{"name":"default"`, `"kind":"etherip","name":"ix"`, `"peer_id":"keyid:ix2015"`, `"key_file":"ix.psk"`, `"bridge":"br0"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
}

func TestSchemaIsWhole(t *testing.T) {
	check := func(where string, attrs []*Attribute) {
		seen := map[string]bool{}
		for _, a := range attrs {
			if seen[a.Name] {
				t.Errorf("%s: %s is there twice", where, a.Name)
			}
			seen[a.Name] = true
			if a.Doc == "" || strings.HasSuffix(a.Doc, ".") || a.Type == "" {
				t.Errorf("%s: %s: doc %q, type %q", where, a.Name, a.Doc, a.Type)
			}
			if a.Default == "" && a.Example == "" {
				t.Errorf("%s: %s has neither a default nor an example", where, a.Name)
			}
			if a.List && a.Default != "" {
				t.Errorf("%s: %s: a list has no default", where, a.Name)
			}
			if a.Flag() != strings.ReplaceAll(a.Name, "_", "-") {
				t.Errorf("%s: flag %s", a.Name, a.Flag())
			}
		}
	}
	check("hub", HubAttributes())
	check("radius", RadiusAttributes())
	// Defaults are written as values are shown, else Diff and PortValues see
	// differences that are none.
	for _, k := range Kinds() {
		p := newPort(k, "x")
		for _, a := range PortAttributes(k) {
			if got := a.text(a.bind(p)); got != a.Default && a.Name != "interface" {
				t.Errorf("port %s: the default %q of %s shows as %q", k, a.Default, a.Name, got)
			}
		}
	}
	for _, k := range Kinds() {
		check("port "+k, PortAttributes(k))
		if KindDoc(k) == "" {
			t.Errorf("no doc of kind %s", k)
		}
	}
	for _, b := range Blocks() {
		check("block "+b, BlockAttributes(b))
	}
}
