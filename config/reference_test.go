package config

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"vhub/internal/testenv"
)

// The reference file is the schema's: every key is in it, at its default or as
// a comment with an example, and it parses to the defaults.
func TestReference(t *testing.T) {
	src := Reference()
	golden(t, "reference.hcl", string(src))
	c := mustParse(t, string(src))
	keysOf := func(where string, attrs []*Attribute, text string, v, given Values) {
		for _, a := range attrs {
			set := "\n" + a.Name + " "
			if a.Default == "" && !a.Need && given[a.Name] == "" {
				set = "\n#" + a.Name + " "
			}
			flat := "\n" + strings.Join(trimmed(text), "\n")
			if !strings.Contains(flat, set) {
				t.Errorf("%s: no line of key %s", where, a.Name)
			}
			if a.Default != "" && v[a.Name] != a.Default {
				t.Errorf("%s: %s is %q, the default is %q", where, a.Name, v[a.Name], a.Default)
			}
		}
	}
	for _, b := range Blocks() {
		keysOf(b, BlockAttributes(b), string(src), c.BlockValues(b, true), nil)
	}
	keysOf("hub", HubAttributes(), string(src), HubValues(&c.Hubs[0], true), nil)
	_, text, _ := strings.Cut(string(src), "\nradius \"corp\"")
	text, _, _ = strings.Cut(text, "\n}\n")
	keysOf("radius", RadiusAttributes(), text, RadiusValues(c.RadiusNamed("corp"), true), nil)
	for _, a := range RadiusAttributes() {
		if a.Default == "" {
			if _, _, err := Apply("reference.hcl", src, SetRadius("corp", Values{a.Name: a.Example}, nil)); err != nil {
				t.Errorf("radius: the example of %s: %v", a.Name, err)
			}
		}
	}
	for i, k := range Kinds() {
		_, text, _ := strings.Cut(string(src), "port \""+k+"\"")
		text, _, _ = strings.Cut(text, "\n  }\n")
		keysOf("port "+k, PortAttributes(k), text, PortValues(&c.Hubs[0].Ports[i], true), referenceValues[k])
		// What stands as a comment is good when it is taken out of it.
		for _, a := range PortAttributes(k) {
			if a.Default == "" {
				if _, _, err := Apply("reference.hcl", src, SetPort("", "my-"+k, exampleOf(k, a), nil)); err != nil {
					t.Errorf("port %s: the example of %s: %v", k, a.Name, err)
				}
			}
		}
	}
}

// exampleOf is an example with what it needs beside it.
func exampleOf(kind string, a *Attribute) Values {
	v := Values{a.Name: a.Example}
	if kind == KindL2TP && a.Name == "peer_id" {
		v["aggressive"] = "true"
	}
	return v
}

func trimmed(text string) []string {
	l := strings.Split(text, "\n")
	for i := range l {
		l[i] = strings.TrimSpace(l[i])
	}
	return l
}

func TestManual(t *testing.T) {
	page := string(Manual())
	mustParse(t, exampleFile)
	for _, attrs := range [][]*Attribute{HubAttributes(), PortAttributes(KindTAP), PortAttributes(KindNIC), PortAttributes(KindEtherIP), PortAttributes(KindL2TP), RadiusAttributes(), BlockAttributes("log"), BlockAttributes("ipsec")} {
		for _, a := range attrs {
			if !strings.Contains(page, ".B "+a.Name+"\n") {
				t.Errorf("the page has no %s", a.Name)
			}
		}
	}
	testenv.NeedTool(t, "groff")
	f := t.TempDir() + "/vhub.hcl.5"
	if err := os.WriteFile(f, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("groff", "-man", "-ww", "-z", f).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}
