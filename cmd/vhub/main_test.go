package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand visits all commands that users see.
func everyCommand(c *cobra.Command, visit func(*cobra.Command)) {
	if c.Name() == "help" || c.Hidden {
		return
	}
	visit(c)
	for _, sub := range c.Commands() {
		everyCommand(sub, visit)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	root := (&app{out: io.Discard, err: io.Discard}).rootCommand()
	everyCommand(root, func(c *cobra.Command) {
		path := c.CommandPath()
		switch {
		case c.Short == "" || strings.HasSuffix(c.Short, ".") || c.Short[:1] != strings.ToLower(c.Short[:1]):
			t.Errorf("%s: the short help %q is not one line that begins small and has no full stop", path, c.Short)
		case len(c.Long) < 20:
			t.Errorf("%s: no long help", path)
		case c.Example == "" && c.Parent().Name() != "set":
			t.Errorf("%s: no example", path)
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  vhub ") || strings.ContainsAny(line, "\t") {
				t.Errorf("%s: the example %q does not begin with two spaces and vhub", path, line)
			}
		}
	})
}

// The examples of the help texts are commands that exist, with flags that exist.
func TestExamplesParse(t *testing.T) {
	root := (&app{out: io.Discard, err: io.Discard}).rootCommand()
	everyCommand(root, func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			line, _, _ = strings.Cut(line, " #")
			line, _, _ = strings.Cut(line, " > ")
			for part := range strings.SplitSeq(line, " && ") {
				words := strings.Fields(part)
				if len(words) == 0 || words[0] != "vhub" {
					t.Errorf("%s: example %q", c.CommandPath(), part)
					continue
				}
				fresh := (&app{out: io.Discard, err: io.Discard}).rootCommand()
				found, rest, err := fresh.Find(words[1:])
				if err == nil {
					err = found.ParseFlags(rest)
				}
				if err == nil {
					err = found.ValidateArgs(found.Flags().Args())
				}
				if err != nil || found.HasSubCommands() {
					t.Errorf("%s: example %q: %v", c.CommandPath(), part, err)
				}
			}
		}
	})
}

// The manual pages in docs/man are what the program writes now.
func TestManualPagesAreCurrent(t *testing.T) {
	dir := t.TempDir()
	if status := run(t.Context(), []string{"docs", dir}, strings.NewReader(""), io.Discard, io.Discard); status != 0 {
		t.Fatalf("vhub docs: exit status %d", status)
	}
	want := pages(t, dir)
	have := pages(t, "../../docs/man")
	for name, page := range want {
		if have[name] != page {
			t.Errorf("docs/man/%s is not what the program says; run: make docs", name)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			t.Errorf("docs/man/%s is of a command that is gone; remove it", name)
		}
	}
}

func pages(t *testing.T, dir string) map[string]string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}
