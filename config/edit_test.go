package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"
)

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		name, src string
		edit      Edit
		want      string // the file after it, or the error after "!"
	}{
		{"a port into the default file, as in the design",
			defaultSource, AddPort("default", "etherip", "office", Values{"peer": "203.0.113.7", "plain": "true"}),
			strings.Replace(defaultSource, "  }\n}\n", "  }\n\n  port \"etherip\" \"office\" {\n    peer  = \"203.0.113.7\"\n    plain = true\n  }\n}\n", 1)},
		{"the only hub needs no name",
			"hub \"a\" {\n}\n", AddPort("", "tap", "lan", Values{"bridge": "br0"}),
			"hub \"a\" {\n  port \"tap\" \"lan\" {\n    bridge = \"br0\"\n  }\n}\n"},
		{"a port without values",
			"hub \"a\" {\n}\n", AddPort("", "tap", "lan", nil),
			"hub \"a\" {\n  port \"tap\" \"lan\" {}\n}\n"},
		{"into a hub of one line",
			"hub \"a\" {} # mine\n", AddPort("a", "tap", "lan", Values{"bridge": "br0"}),
			"hub \"a\" {\n  port \"tap\" \"lan\" {\n    bridge = \"br0\"\n  }\n} # mine\n"},
		{"into a hub of one line with a key, no newline at the end",
			"hub \"a\" { arp = \"relay\" }", AddPort("a", "tap", "lan", nil),
			"hub \"a\" {\n  arp = \"relay\"\n\n  port \"tap\" \"lan\" {}\n}"},
		{"a key into a port of one line",
			"hub \"a\" {\n  port \"tap\" \"lan\" { bridge = \"br0\" } # x\n}\n", SetPort("a", "lan", Values{"mtu": "1400"}, nil),
			"hub \"a\" {\n  port \"tap\" \"lan\" {\n    bridge = \"br0\"\n    mtu    = 1400\n  } # x\n}\n"},
		{"a value where it stands, its comment kept",
			"hub \"a\" {\n  mac_age = \"60s\" # short\n  /* and */ arp = \"relay\" // so\n}\n", SetHub("a", Values{"mac_age": "90s", "arp": "proxy"}, nil),
			"hub \"a\" {\n  mac_age = \"90s\" # short\n  /* and */ arp = \"proxy\" // so\n}\n"},
		{"a key goes after the last key, before the ports",
			"hub \"a\" {\n  arp = \"relay\" /* a\n  b */ # c\n  port \"tap\" \"lan\" {}\n}\n", SetHub("a", Values{"mac_age": "90s"}, nil),
			"hub \"a\" {\n  arp     = \"relay\" /* a\n  b */ # c\n  mac_age = \"90s\"\n  port \"tap\" \"lan\" {}\n}\n"},
		{"a heredoc is a value too",
			"hub \"a\" {\n  port \"tap\" \"lan\" {\n    bridge = <<X\n${\"br0\"~}\nX\n    mtu=1400\n  }\n}\n", SetPort("a", "lan", Values{"bridge": "br1", "queues": "2"}, []string{"mtu"}),
			"hub \"a\" {\n  port \"tap\" \"lan\" {\n    bridge = \"br1\"\n    queues = 2\n  }\n}\n"},
		{"unset takes the line, and leaves the other comments",
			"hub \"a\" {\n  # the table\n  mac_age = \"60s\" # short\n\n  arp = \"relay\"\n}\n", SetHub("a", nil, []string{"mac_age"}),
			"hub \"a\" {\n  # the table\n\n  arp = \"relay\"\n}\n"},
		{"unset in a block of one line",
			"hub \"a\" { arp = \"relay\" }\n", SetHub("a", nil, []string{"arp"}),
			"hub \"a\" {}\n"},
		{"unset of what is not set is nothing",
			"hub \"a\" {}\n", SetHub("a", nil, []string{"arp"}),
			"hub \"a\" {}\n"},
		{"a file that was not formatted stays as it is",
			"hub \"a\" {\n\tarp=\"relay\"\n\tport \"tap\" \"lan\" {\n\t\tmtu=1400\n\t}\n}\n", SetPort("", "lan", Values{"queues": "2"}, nil),
			"hub \"a\" {\n\tarp=\"relay\"\n\tport \"tap\" \"lan\" {\n\t\tmtu=1400\n\t\tqueues = 2\n\t}\n}\n"},
		{"lines end as they did",
			"hub \"a\" {\r\n}\r\n", AddPort("", "tap", "lan", Values{"mtu": "1400"}),
			"hub \"a\" {\r\n  port \"tap\" \"lan\" {\r\n    mtu = 1400\r\n  }\r\n}\r\n"},
		{"a port goes with its comment and its empty line",
			"hub \"a\" {\n  # first\n  port \"tap\" \"x\" {}\n\n  # second\n  # of two lines\n  port \"tap\" \"y\" {\n  } # end\n\n  # third\n  port \"tap\" \"z\" {}\n}\n", RemovePort("a", "y"),
			"hub \"a\" {\n  # first\n  port \"tap\" \"x\" {}\n\n  # third\n  port \"tap\" \"z\" {}\n}\n"},
		{"the last port goes",
			"hub \"a\" {\n  arp = \"relay\"\n\n  port \"tap\" \"x\" {}\n}\n", RemovePort("a", "x"),
			"hub \"a\" {\n  arp = \"relay\"\n}\n"},
		{"a comment behind something else is not the port's",
			"hub \"a\" {\n  arp = \"relay\" # mode\n  port \"tap\" \"x\" {}\n}\n", RemovePort("a", "x"),
			"hub \"a\" {\n  arp = \"relay\" # mode\n}\n"},
		{"a hub more",
			"hub \"a\" {}\n", AddHub("b", Values{"arp": "relay"}),
			"hub \"a\" {}\n\nhub \"b\" {\n  arp = \"relay\"\n}\n"},
		{"a hub into nothing", "", AddHub("b", nil), "hub \"b\" {}\n"},
		{"a hub less", "# head\n\nhub \"a\" {\n}\n\nhub \"b\" {}\n", RemoveHub("a"), "# head\n\nhub \"b\" {}\n"},
		{"a settings block that is not there", "hub \"a\" {}\n", SetBlock("log", Values{"level": "debug"}, nil), "hub \"a\" {}\n\nlog {\n  level = \"debug\"\n}\n"},
		{"a settings block that is there", "log {\n}\n", SetBlock("log", Values{"level": "debug", "format": "json"}, nil), "log {\n  level  = \"debug\"\n  format = \"json\"\n}\n"},
		{"a list and a text with what HCL would expand",
			"hub \"a\" {\n  port \"tap\" \"x\" {\n  }\n}\n", SetPort("", "x", Values{"addresses": "192.168.1.1/24, 2001:db8::1/64", "description": "${a} %{b} \"c\" \\"}, nil),
			"hub \"a\" {\n  port \"tap\" \"x\" {\n    addresses   = [\"192.168.1.1/24\", \"2001:db8::1/64\"]\n    description = \"$${a} %%{b} \\\"c\\\" \\\\\"\n  }\n}\n"},

		{"a port name that is taken", defaultSource, AddPort("", "nic", "lan", Values{"interface": "eth1"}), `!hub "default" has a port "lan" already (kind tap)`},
		{"no such hub", defaultSource, AddPort("defalt", "tap", "x", nil), `!there is no hub "defalt"; did you mean "default"?`},
		{"several hubs", "hub \"a\" {}\nhub \"b\" {}\n", AddPort("", "tap", "x", nil), "!there are several hubs, say which: a, b"},
		{"no hub", "", AddPort("", "tap", "x", nil), "!there is no hub; add one first: vhub hub add default"},
		{"no such port", defaultSource, SetPort("", "lam", nil, nil), `!hub "default" has no port "lam"; did you mean "lan"?`},
		{"no such kind", defaultSource, AddPort("", "tab", "x", nil), `!unknown kind of port "tab": there are tap, nic, etherip, l2tp; did you mean "tap"?`},
		{"no such key", defaultSource, SetPort("", "lan", Values{"bridg": "br0"}, nil), `!unknown key "bridg" in port "lan" (kind tap); did you mean "bridge"?`},
		{"no such key to unset", defaultSource, SetPort("", "lan", nil, []string{"bridg"}), `!unknown key "bridg" in port "lan" (kind tap); did you mean "bridge"?`},
		{"a bad value", defaultSource, SetPort("", "lan", Values{"mtu": "x"}, nil), `!mtu: "x" is not a whole number`},
		{"a needed key unset", "hub \"a\" {\n  port \"nic\" \"x\" {\n    interface = \"eth1\"\n  }\n}\n", SetPort("", "x", nil, []string{"interface"}), `!port "x" (kind nic) needs interface, like interface = "eth1"`},
		{"set and unset", defaultSource, SetPort("", "lan", Values{"mtu": "1400"}, []string{"mtu"}), "!mtu: both set and unset"},
		{"a peer that does not parse", defaultSource, AddPort("", "etherip", "x", Values{"peer": "1.2.3.444", "plain": "true"}), `!peer: "1.2.3.444" is neither an IP address nor a host name`},
		{"a duplicate peer", exampleFile, AddPort("", "etherip", "x", Values{"peer": "203.0.113.7", "plain": "true"}), `!port "x" of hub "default" has the plain peer 203.0.113.7, and port "office" of hub "default" has it already`},
		{"a name that is none", defaultSource, AddPort("", "tap", "a b", nil), `!port "a b" is not a name: want 1 to 32 letters, digits, - _ . beginning with a letter or digit`},
		{"a file that is broken", "hub {", AddHub("x", nil), "!vhub.hcl:1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, conf, err := Apply("vhub.hcl", []byte(c.src), c.edit)
			if want, ok := strings.CutPrefix(c.want, "!"); ok {
				if err == nil || !strings.HasPrefix(err.Error(), want) || got != nil || conf != nil {
					t.Errorf("got error %v\nwant        %s\n%s", err, want, got)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, c.want)
			}
		})
	}
}

// model is a configuration as values only: what an edit must leave, and no more.
type model map[string]Values // "log", "hub a", "hub a port x kind" -> what is not at its default

func modelOf(c *Config) model {
	m := model{}
	for _, b := range Blocks() {
		m[b] = c.BlockValues(b, false)
	}
	for i := range c.Radius {
		m["radius "+c.Radius[i].Name] = RadiusValues(&c.Radius[i], false)
	}
	for i := range c.Hubs {
		h := &c.Hubs[i]
		m["hub "+h.Name] = HubValues(h, false)
		for j := range h.Ports {
			p := &h.Ports[j]
			m[fmt.Sprintf("hub %s port %s %s", h.Name, p.Name, p.Kind)] = PortValues(p, false)
		}
	}
	return m
}

func (m model) equal(o model) bool {
	return maps.EqualFunc(m, o, func(a, b Values) bool { return maps.Equal(a, b) })
}

func (m model) copy() model {
	c := model{}
	for k, v := range m {
		c[k] = maps.Clone(v)
	}
	return c
}

// samples has good values of the attributes, for which random texts are no use.
var samples = map[string][]string{
	"bridge": {"br0", "br1", ""}, "interface": {"tapA", "tapB", "tapC"}, "mac": {"02:00:00:00:00:01", ""},
	"addresses": {"192.168.1.1/24", "10.0.0.1/8,2001:db8::1/64", ""}, "static_macs": {"02:00:00:00:00:02@7", ""},
	"description": {"a \"note\" ${x} %{y} \\ #", "ümlaut // /* */", ""}, "group": {"g1", ""}, "segment": {"s1", ""},
	"peer": {"203.0.113.1", "203.0.113.2", "2001:db8::7"}, "peer_id": {"keyid:a", "fqdn:b.example", ""},
	"local": {"198.51.100.1", "2001:db8::8", ""}, "local_id": {"user:x@y", ""}, "key_file": {"a.psk", "b.psk"}, "ike": {"aes256-sha256-modp2048", ""},
	"esp": {"aes128gcm16,aes256-sha1", ""}, "uplinks": {"wan0,wan1", ""}, "listen": {"203.0.113.9", ""},
	"esp_bytes": {"0", "4GiB", "1500000"},
	"pool":      {"172.16.0.1-172.16.0.9", "172.16.0.0/28,172.16.0.99", ""}, "subnet": {"172.16.0.0/24", ""}, "router": {"172.16.0.254", ""},
	"dns": {"192.0.2.53,192.0.2.54", ""}, "routes": {"10.0.0.0/8 via 172.16.0.254,172.16.0.0/24", ""}, "order": {"static", "static,pool", ""},
	"methods": {"mschapv2,pap", "chap-md5", ""}, "radius": {"corp", "lab", ""}, "tunnel_secret_file": {"t", ""},
	"servers": {"192.0.2.1", "192.0.2.2:99,radius.example"}, "secret_file": {"s"}, "nas_identifier": {"me", ""},
}

func drawValue(t *rapid.T, a *Attribute) string {
	if s := samples[a.Name]; s != nil {
		return rapid.SampledFrom(s).Draw(t, a.Name)
	}
	switch {
	case a.enum != nil:
		return rapid.SampledFrom(a.enum).Draw(t, a.Name)
	case a.Type == "bool":
		return fmt.Sprint(rapid.Bool().Draw(t, a.Name))
	case a.Type == "number":
		return fmt.Sprint(rapid.Int64Range(a.min, a.max).Draw(t, a.Name))
	case a.Type == "duration":
		return a.number(rapid.Int64Range(a.min/1e6+1, a.max/1e6).Draw(t, a.Name) * 1e6)
	}
	t.Fatalf("no sample of %s", a.Name)
	return ""
}

func drawValues(t *rapid.T, attrs []*Attribute) Values {
	v := Values{}
	for _, a := range attrs {
		if rapid.IntRange(0, 5).Draw(t, "set "+a.Name) == 0 || a.Need {
			v[a.Name] = drawValue(t, a)
		}
	}
	return v
}

func drawUnset(t *rapid.T, attrs []*Attribute, set Values) []string {
	var l []string
	for _, a := range attrs {
		if _, ok := set[a.Name]; !ok && rapid.IntRange(0, 7).Draw(t, "unset "+a.Name) == 0 {
			l = append(l, a.Name)
		}
	}
	return l
}

// change does to a model what the edit must do to the file: canonical values,
// and those at the default are not there.
func (m model) change(key string, attrs []*Attribute, blank func() any, set Values, unset []string) {
	target := blank()
	for name, text := range m[key] {
		a := find(attrs, name)
		a.setText(a.bind(target), text)
	}
	for _, name := range unset {
		a := find(attrs, name)
		plain := blank()
		if err := a.setText(a.bind(target), a.text(a.bind(plain))); err != nil {
			panic(err)
		}
	}
	for name, text := range set {
		a := find(attrs, name)
		a.setText(a.bind(target), text)
	}
	m[key] = values(attrs, target, blank(), false)
}

const commented = `# one: the head

// two
log { level = "info" } # three

/* four
   lines */
hub "a" { # five
  # six
  arp = "assist" // seven

  # eight

  port "tap" "keep" { # nine
    # ten
    interface = "tapKeep" # eleven
    # twelve
  }
  # thirteen

} // fourteen
# fifteen`

func comments(t *rapid.T, src []byte) (l []string) {
	tokens, _ := hclsyntax.LexConfig(src, "f", hcl.InitialPos)
	for _, tok := range tokens {
		if tok.Type == hclsyntax.TokenComment {
			l = append(l, string(bytes.TrimSpace(tok.Bytes)))
		}
	}
	return l
}

// Any sequence of edits leaves what the same edits make of a plain table of
// values, keeps every comment, and a refused edit leaves all as it was.
func TestEditProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := []byte(commented)
		if rapid.Bool().Draw(t, "crlf") {
			src = bytes.ReplaceAll(src, []byte("\n"), []byte("\r\n"))
		}
		c, err := Parse("f", src)
		if err != nil {
			t.Fatal(err)
		}
		m := modelOf(c)
		before := comments(t, src)
		refused := 0
		for range rapid.IntRange(1, 12).Draw(t, "edits") {
			want := m.copy()
			edit := drawEdit(t, want)
			out, edited, err := Apply("f", src, edit)
			if err != nil {
				refused++
				if again, err := Parse("f", src); err != nil || !modelOf(again).equal(m) {
					t.Fatal("a refused edit changed the file")
				}
				continue
			}
			// IPsec attributes are gone from a plain port.
			if got := modelOf(edited); !got.equal(want) {
				t.Fatalf("the edit left\n%v\nwant\n%v\nfile:\n%s", got, want, out)
			}
			if len(Diff(c, edited)) == 0 != m.equal(want) {
				t.Fatalf("Diff says %v of\n%v\n%v", Diff(c, edited), m, want)
			}
			after := comments(t, out)
			if len(after) < len(before) || !slices.Equal(after, before) {
				t.Fatalf("comments were %q, are %q:\n%s", before, after, out)
			}
			src, c, m = out, edited, want
		}
	})
}

func drawRadiusEdit(t *rapid.T, m model) Edit {
	name := rapid.SampledFrom([]string{"corp", "lab"}).Draw(t, "radius")
	key := "radius " + name
	blank := func() any { return newRadius(name) }
	if _, ok := m[key]; !ok {
		set := drawValues(t, radiusTable)
		m.change(key, radiusTable, blank, set, nil)
		return AddRadius(name, set)
	}
	if rapid.Bool().Draw(t, "remove") {
		delete(m, key)
		return RemoveRadius(name)
	}
	set := drawValues(t, radiusTable)
	unset := drawUnset(t, radiusTable, set)
	m.change(key, radiusTable, blank, set, unset)
	return SetRadius(name, set, unset)
}

func drawEdit(t *rapid.T, m model) Edit {
	hub := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "hub")
	name := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "port")
	key := func(kind string) string { return fmt.Sprintf("hub %s port %s %s", hub, name, kind) }
	kindOf := func() string {
		for _, k := range Kinds() {
			if _, ok := m[key(k)]; ok {
				return k
			}
		}
		return ""
	}
	switch rapid.IntRange(0, 8).Draw(t, "what") {
	case 0, 1, 2:
		kind := rapid.SampledFrom(Kinds()).Draw(t, "kind")
		attrs := PortAttributes(kind)
		set := drawValues(t, attrs)
		if kind == KindEtherIP {
			if rapid.Bool().Draw(t, "is plain") {
				set = Values{"peer": drawValue(t, find(attrs, "peer")), "plain": "true"}
			} else {
				set["key_file"], set["plain"], set["legacy"] = "a.psk", "false", "true"
			}
		}
		if kind == KindL2TP {
			set["key_file"], set["legacy"], set["aggressive"], set["insecure_l2tp"] = hub+name+".psk", "true", "true", "false"
		}
		m.change(key(kind), attrs, func() any { return newPort(kind, name) }, set, nil)
		if set["plain"] == "true" {
			for _, a := range ipsecAttributes(func(*Port) *IPsec { return nil }) {
				delete(m[key(kind)], a.Name)
			}
		}
		return AddPort(hub, kind, name, set)
	case 3, 4:
		kind := kindOf()
		if kind == "" || m[key(kind)]["plain"] == "true" {
			return SetPort(hub, "not there", nil, nil)
		}
		attrs := slices.DeleteFunc(slices.Clone(PortAttributes(kind)), func(a *Attribute) bool {
			return a.Name == "plain" || a.Name == "interface" || a.Name == "insecure_l2tp"
		})
		set := drawValues(t, attrs)
		unset := drawUnset(t, attrs, set)
		m.change(key(kind), PortAttributes(kind), func() any { return newPort(kind, name) }, set, unset)
		return SetPort(hub, name, set, unset)
	case 5:
		if kind := kindOf(); kind != "" {
			delete(m, key(kind))
		}
		return RemovePort(hub, name)
	case 7:
		return drawRadiusEdit(t, m)
	case 6:
		set := drawValues(t, hubTable)
		if _, ok := m["hub "+hub]; !ok {
			m.change("hub "+hub, hubTable, func() any { return newHub(hub) }, set, nil)
			return AddHub(hub, set)
		}
		unset := drawUnset(t, hubTable, set)
		unset = slices.DeleteFunc(unset, func(n string) bool { return n == "arp" }) // its comment goes with it
		m.change("hub "+hub, hubTable, func() any { return newHub(hub) }, set, unset)
		return SetHub(hub, set, unset)
	}
	i := rapid.IntRange(0, len(blocks)-1).Draw(t, "block")
	set := drawValues(t, blocks[i].attrs)
	unset := drawUnset(t, blocks[i].attrs, set)
	m.change(blocks[i].name, blocks[i].attrs, func() any { return blocks[i].of(newConfig()) }, set, unset)
	return SetBlock(blocks[i].name, set, unset)
}
