package config

import (
	"slices"
	"testing"
	"unicode/utf8"
)

// FuzzValues sets every key that there is to any text. What is taken has a text of
// its own, which gives the same value.
func FuzzValues(f *testing.F) {
	for _, kind := range Kinds() {
		for _, a := range PortAttributes(kind) {
			f.Add(a.Example)
			f.Add(a.Default)
		}
	}
	for _, s := range []string{"::ffff:1.2.3.4", "fe80::1%eth0", "10.0.0.0/8", "1.2.3.4-1.2.3.9", "0.0.0.0/0 via 1.2.3.4", "keyid:\x00", "9223372036854775807TiB",
		"9999999h", "02:00:00:00:00:01@4095", "aes256-sha512-ecp521", "a,,b", "user:@", "address:::1", "192.0.2.1:1812"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		try := func(a *Attribute, target, other any) {
			if a.setText(a.bind(target), text) != nil {
				return
			}
			shown := a.text(a.bind(target))
			if err := a.setText(a.bind(other), shown); err != nil {
				t.Fatalf("%s takes %q, and not its own text of it, %q: %v", a.Name, text, shown, err)
			}
			if again := a.text(a.bind(other)); again != shown {
				t.Fatalf("%s: %q is %q, which is %q", a.Name, text, shown, again)
			}
		}
		for _, kind := range Kinds() {
			for _, a := range PortAttributes(kind) {
				try(a, newPort(kind, "p"), newPort(kind, "p"))
			}
		}
		for _, a := range hubTable {
			try(a, newHub("h"), newHub("h"))
		}
	})
}

// FuzzEdits edits any file. A file that was right stays so, and says what was set;
// one that was wrong is refused.
func FuzzEdits(f *testing.F) {
	f.Add([]byte(exampleFile), "default", "lan", "br0")
	f.Add([]byte(commented), "a", "p", "")
	f.Add([]byte("hub \"a\" { port \"tap\" \"p\" {} }"), "a", "p", "x\"y")
	f.Add([]byte("hub \"a\" {\r\n  port \"tap\" \"p\" { mtu = 1400 } # why\r\n}"), "a", "p", "br-0")
	f.Add([]byte("\xef\xbb\xbfhub a {\n port tap p { /* { */ }\n}"), "a", "p", "br0")
	f.Fuzz(func(t *testing.T, src []byte, hub, port, bridge string) {
		old, wrong := Parse("f", src)
		for _, edit := range []Edit{
			AddPort(hub, KindTAP, port, Values{"bridge": bridge}),
			SetPort(hub, port, Values{"bridge": bridge}, []string{"mtu"}),
			RemovePort(hub, port), SetHub(hub, Values{"arp": "proxy"}, nil), RemoveHub(hub), SetBlock("log", Values{"level": "debug"}, nil),
		} {
			before := slices.Clone(src)
			out, c, err := Apply("f", src, edit)
			if string(before) != string(src) {
				t.Fatal("the source was written to")
			}
			if err != nil {
				continue
			}
			if wrong != nil {
				t.Fatalf("a file that is wrong (%v) was edited", wrong)
			}
			again, err := Parse("f", out)
			if err != nil || len(Diff(c, again)) != 0 {
				t.Fatalf("of\n%s\ncame\n%s\nwhich reads otherwise: %v", src, out, err)
			}
			if utf8.Valid(src) && !utf8.Valid(out) {
				t.Fatal("not UTF-8 any more")
			}
			_ = Diff(old, c)
		}
	})
}
