package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/man"
)

// version is the release; the Makefile sets it.
var version = "devel"

func thisVersion() api.Version {
	v := api.Version{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "the version of this program", Args: cobra.NoArgs,
		Long: "The version of this program. The daemon's is in 'vhub status'.", Example: "  vhub version", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			v := thisVersion()
			return a.print(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "vhub %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
				return err
			})
		}}
}

func (a *app) completionCommand(root *cobra.Command) *cobra.Command {
	shells := map[string]func() error{
		"bash": func() error { return root.GenBashCompletionV2(a.out, true) },
		"zsh":  func() error { return root.GenZshCompletion(a.out) },
		"fish": func() error { return root.GenFishCompletion(a.out, true) },
	}
	names := []string{"bash", "zsh", "fish"}
	return &cobra.Command{Use: "completion SHELL", Short: "the completion script for a shell (bash, zsh, fish)", Args: cobra.ExactArgs(1),
		Long:    "Writes the script that completes commands, flags, and the names of hubs and ports (by asking the daemon).",
		Example: "  vhub completion bash > /etc/bash_completion.d/vhub", ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			f := shells[args[0]]
			if f == nil {
				return usageError{fmt.Errorf("completion: unknown shell %q; there are bash, zsh and fish", args[0])}
			}
			return f()
		}}
}

// docsCommand writes the manual pages; make docs calls it.
func (a *app) docsCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "docs DIR", Short: "write the manual pages to a folder", Args: cobra.ExactArgs(1), Hidden: true,
		Long: "Writes vhub(8), a page for each command and vhub.hcl(5).", Example: "  vhub docs docs/man",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			pages := man.Commands(root)
			pages["vhub.hcl.5"] = man.Config()
			for name, page := range pages {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(page), 0o644); err != nil {
					return err
				}
			}
			return nil
		}}
}
