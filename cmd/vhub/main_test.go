package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"vhub/config"
	"vhub/etherip"
	"vhub/l2tp"
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
				if err := parses(part); err != nil {
					t.Errorf("%s: example %q: %v", c.CommandPath(), part, err)
				}
			}
		}
	})
}

// Every reason of EtherIP and of L2TP is told in words.
func TestDropsHaveWords(t *testing.T) {
	n := 0
	for r := etherip.Reason(1); r.String() != "none"; r++ {
		n++
		if dropWords[r.String()] == "" {
			t.Errorf("the reason %q has no words", r)
		}
	}
	if n < 10 {
		t.Errorf("only %d reasons were found", n)
	}
	if n = len(l2tp.DropReasons()); n < 15 {
		t.Errorf("only %d reasons of L2TP were found", n)
	}
	for _, reason := range l2tp.DropReasons() {
		if dropWords[reason] == "" {
			t.Errorf("the reason %q has no words", reason)
		}
	}
	drops := deviceDrops(json.RawMessage(`{"peer":"x","counters":{"drops":{"over-mtu":3}},"drops":{"no-path":2,"bad-version":1}}`))
	var lines strings.Builder
	if err := writeDrops(&lines, "dropped", drops); err != nil {
		t.Fatal(err)
	}
	want := "dropped\n  bad-version  1  the EtherIP version is not 3\n  no-path      2  nothing carries the port's packets now\n  over-mtu     3  longer than the device's MTU\n"
	if lines.String() != want {
		t.Errorf("got\n%s\nwant\n%s", lines.String(), want)
	}
}

// What the README shows works: its commands exist, and its file is right.
func TestREADME(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	var file strings.Builder
	inFile := false
	for line := range strings.Lines(string(b)) {
		if line == "    hub \"default\" {\n" {
			inFile = true
		}
		if inFile {
			file.WriteString(line)
			inFile = line != "    }\n"
			continue
		}
		_, command, ok := strings.Cut(line, "$ ")
		if command = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(command), "sudo "), "bin/"); !ok || !strings.HasPrefix(command, "vhub ") {
			continue
		}
		commands++
		if err := parses(command); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if commands < 8 {
		t.Errorf("only %d commands were found in the README", commands)
	}
	if _, err := config.Parse("README.md", []byte(file.String())); err != nil || file.Len() == 0 {
		t.Errorf("the configuration in the README: %v\n%s", err, file.String())
	}
}

// parses finds the command of a line and checks its flags and arguments.
func parses(line string) error {
	root := (&app{out: io.Discard, err: io.Discard}).rootCommand()
	c, rest, err := root.Find(strings.Fields(line)[1:])
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil {
		err = c.ValidateArgs(c.Flags().Args())
	}
	if err == nil && c.HasSubCommands() {
		err = errors.New("no such command")
	}
	return err
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
