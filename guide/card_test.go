package guide

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./guide -update writes it", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; it is now:\n%s", path, got)
	}
}

func plainValues() Values {
	return Values{Name: "vhub road", Server: "203.0.113.5", User: "alice", KeyFile: "/etc/vhub/road.psk"}
}

// awkward has what each format treats in a way of its own.
func awkward() Values {
	return Values{Name: `B&B <"Büro"> $x 'y' ’z`, Server: "vpn.example.net", User: `home\o'neil;rm -rf`, KeyFile: "/etc/vhub/road.psk",
		Key: ` p"a's’s<&>\s;$(x)` + "`é ", Routes: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/24"), netip.MustParsePrefix("2001:db8:7::/64")},
		BehindNAT: true, Legacy: true}
}

func TestCards(t *testing.T) {
	for _, s := range Systems() {
		for name, v := range map[string]Values{"plain": plainValues(), "awkward": awkward()} {
			if err := v.Check(); err != nil {
				t.Fatal(err)
			}
			got := Card(s, v)
			golden(t, "card-"+string(s)+"-"+name+".txt", []byte(got))
			if v.Key != "" && strings.Contains(got, v.Key) {
				t.Errorf("%s: the card shows the key", s)
			}
			for _, want := range []string{v.Server, v.User, v.KeyFile} {
				if !strings.Contains(got, want) {
					t.Errorf("%s: the card does not say %q", s, want)
				}
			}
		}
	}
}

func TestFiles(t *testing.T) {
	for _, s := range Systems() {
		for name, v := range map[string]Values{"plain": plainValues(), "awkward": awkward()} {
			content, ext, err := File(s, v)
			if s == Android {
				if err == nil {
					t.Error("android: there is a file")
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			golden(t, "file-"+string(s)+"-"+name+ext, content)
			again, _, _ := File(s, v)
			if !bytes.Equal(content, again) {
				t.Errorf("%s: two runs differ", s)
			}
		}
	}
}

// A file without the key must hold nothing that depends on the key.
func TestNoTraceOfTheKey(t *testing.T) {
	for _, s := range Systems() {
		v, other := awkward(), awkward()
		v.Key, other.Key = "", "another key"
		a, _, _ := File(s, v)
		b, _, _ := File(s, other)
		if s != Android && (bytes.Equal(a, b) || bytes.Contains(a, []byte(other.Key))) {
			t.Errorf("%s: with and without the key", s)
		}
	}
	v, other := awkward(), awkward()
	other.Key = "another key"
	if uuid(v, "x") != uuid(other, "x") {
		t.Error("the identifier depends on the key")
	}
	other.User = "bob"
	if uuid(v, "x") == uuid(other, "x") {
		t.Error("two users have one identifier")
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Values)
		want string
	}{
		{"no server", func(v *Values) { v.Server = "" }, "server: nothing is given"},
		{"no user", func(v *Values) { v.User = "" }, "user: nothing is given"},
		{"a line end in the user", func(v *Values) { v.User = "a\nb" }, "cannot be typed"},
		{"a NUL in the key", func(v *Values) { v.Key = "a\x00b" }, "cannot be typed"},
		{"bytes that are no text", func(v *Values) { v.Key = "\xff\xfe" }, "cannot be typed"},
		{"a paragraph separator", func(v *Values) { v.Name = "a\u2029b" }, "cannot be typed"},
		{"a long key", func(v *Values) { v.Key = strings.Repeat("x", 300) }, "300 bytes"},
		{"half an address", func(v *Values) { v.Server = "203.0.113" }, "neither an address nor a DNS name"},
		{"an address with a port", func(v *Values) { v.Server = "203.0.113.5:500" }, "neither"},
		{"a command as server", func(v *Values) { v.Server = "x;reboot" }, "neither"},
		{"a host as route", func(v *Values) { v.Routes = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")} }, "is not a network"},
		{"good", func(*Values) {}, ""},
		{"IPv6 server", func(v *Values) { v.Server = "2001:db8::1" }, ""},
	} {
		v := plainValues()
		tt.edit(&v)
		err := v.Check()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		case v.Key != "" && err != nil && strings.Contains(err.Error(), v.Key):
			t.Errorf("%s: the error shows the key", tt.name)
		}
	}
}

// FuzzEscaping reads every file back with a reader of its format: what stands
// in it is what was put in, whatever it was.
func FuzzEscaping(f *testing.F) {
	for _, v := range []Values{plainValues(), awkward()} {
		f.Add(v.Name, v.User, v.Key)
	}
	f.Add("'", "’'’", "‘‚‛'")
	f.Add(`\`, ` \s `, `   `)
	f.Add("]]>", "<!--", "&amp;")
	f.Fuzz(func(t *testing.T, name, user, key string) {
		v := plainValues()
		v.Name, v.User, v.Key = name, user, key
		if v.Check() != nil || key == "" {
			t.Skip()
		}
		for _, s := range Systems() {
			if c := Card(s, v); !strings.Contains(c, user) {
				t.Fatalf("%s: the card lacks the user %q", s, user)
			}
		}
		ps, _, _ := File(Windows, v)
		for variable, want := range map[string]string{"name": name, "user": user, "key": key} {
			if got := readPS(t, string(ps), variable); got != want {
				t.Fatalf("PowerShell: $%s is %q, want %q", variable, got, want)
			}
		}
		mc, _, _ := File(MacOS, v)
		got := readPlist(t, mc)
		secret, err := base64.StdEncoding.DecodeString(got["SharedSecret"])
		if err != nil || string(secret) != key || got["AuthName"] != user || got["UserDefinedName"] != name {
			t.Fatalf("mobileconfig: %q, key %q, %v", got, secret, err)
		}
		nm, _, _ := File(Linux, v)
		kf := readKeyFile(t, string(nm))
		if kf["connection/id"] != name || kf["vpn/user"] != user || kf["vpn-secrets/ipsec-psk"] != key {
			t.Fatalf("nmconnection: %q", kf)
		}
		o, _, _ := File(ChromeOS, v)
		var doc struct {
			NetworkConfigurations []struct {
				Name string
				VPN  struct {
					IPsec struct{ PSK string }
					L2TP  struct{ Username string }
				}
			}
		}
		if err := json.Unmarshal(o, &doc); err != nil {
			t.Fatal(err)
		}
		n := doc.NetworkConfigurations[0]
		if n.Name != name || n.VPN.IPsec.PSK != key || n.VPN.L2TP.Username != user {
			t.Fatalf("onc: %+v", n)
		}
	})
}

// readPS reads "$variable = '...'" as PowerShell's tokenizer does: each of the
// five single quotes opens and closes, and two after each other are the second.
func readPS(t *testing.T, script, variable string) string {
	quote := func(r rune) bool { return r == '\'' || r >= '\u2018' && r <= '\u201b' }
	for line := range strings.SplitSeq(script, "\r\n") {
		rest, ok := strings.CutPrefix(line, "$"+variable+" = ")
		if !ok {
			continue
		}
		runes := []rune(rest)
		if len(runes) < 2 || !quote(runes[0]) {
			t.Fatalf("no string: %q", line)
		}
		var out []rune
		for i := 1; i < len(runes); i++ {
			if !quote(runes[i]) {
				out = append(out, runes[i])
				continue
			}
			if i+1 < len(runes) && quote(runes[i+1]) {
				i++
				out = append(out, runes[i])
				continue
			}
			if i != len(runes)-1 {
				t.Fatalf("text after the string: %q", line)
			}
			return string(out)
		}
		t.Fatalf("the string does not end: %q", line)
	}
	t.Fatalf("no $%s", variable)
	return ""
}

// readPlist returns the last text of each key, whatever the dictionary.
func readPlist(t *testing.T, doc []byte) map[string]string {
	d := xml.NewDecoder(bytes.NewReader(doc))
	out := map[string]string{}
	var key, text string
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("plist: %v", err)
		}
		switch x := tok.(type) {
		case xml.StartElement:
			text = ""
		case xml.CharData:
			text += string(x)
		case xml.EndElement:
			switch x.Name.Local {
			case "key":
				key = text
			case "string", "data", "integer":
				out[key] = text
			}
		}
	}
}

// readKeyFile reads as GLib does: white space around is cut off, then escapes.
func readKeyFile(t *testing.T, doc string) map[string]string {
	out, group := map[string]string{}, ""
	for line := range strings.SplitSeq(doc, "\n") {
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "[") {
			group = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("no key: %q", line)
		}
		var b strings.Builder
		value = strings.TrimSpace(value)
		for i := 0; i < len(value); i++ {
			if value[i] != '\\' {
				b.WriteByte(value[i])
				continue
			}
			i++
			c := map[byte]byte{'s': ' ', 'n': '\n', 't': '\t', 'r': '\r', '\\': '\\'}
			if i == len(value) || c[value[i]] == 0 {
				t.Fatalf("bad escape: %q", line)
			}
			b.WriteByte(c[value[i]])
		}
		out[group+"/"+key] = b.String()
	}
	return out
}
