package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vhub/config"
)

// settings are flags that stand for attributes of the configuration.
type settings struct {
	flags *pflag.FlagSet
	by    map[string]*config.Attribute // flag name -> attribute
	unset []string
}

// addSettings gives the command a flag for each attribute. The first of two of
// the same name wins: kinds share what they have in common.
func addSettings(c *cobra.Command, attributes ...*config.Attribute) *settings {
	s := &settings{flags: c.Flags(), by: map[string]*config.Attribute{}}
	for _, a := range attributes {
		name := a.Flag()
		if s.by[name] != nil {
			continue
		}
		s.by[name] = a
		f := s.flags.VarPF(&setting{attribute: a}, name, "", help(a))
		if a.Bool {
			f.NoOptDefVal = "true"
		}
		if words := strings.Split(a.Range, "|"); len(words) > 1 {
			_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	return s
}

// allowUnset gives the command --unset for the attributes.
func (s *settings) allowUnset() *settings {
	s.flags.StringSliceVar(&s.unset, "unset", nil, "take `SETTING` back to its default; may be given several times")
	return s
}

// options returns what was given, by the names in the file; a nil value is a
// setting that goes back to its default.
func (s *settings) options() (map[string]any, error) {
	options := map[string]any{}
	s.flags.Visit(func(f *pflag.Flag) {
		if a := s.by[f.Name]; a != nil {
			options[a.Name] = f.Value.String()
		}
	})
	for _, name := range s.unset {
		a := s.by[strings.ReplaceAll(name, "_", "-")]
		if a == nil {
			return nil, usageError{fmt.Errorf("unset: there is no setting %q", name)}
		}
		if given := options[a.Name]; given != nil {
			return nil, usageError{fmt.Errorf("%s: it is set and unset in one command", a.Name)}
		}
		options[a.Name] = nil
	}
	return options, nil
}

// help is the line of a flag: what it is, its range and its default.
func help(a *config.Attribute) string {
	text := a.Doc
	var notes []string
	if a.Range != "" {
		notes = append(notes, a.Range)
	}
	if a.Default != "" && a.Default != `""` && a.Default != "[]" {
		notes = append(notes, "default "+strings.Trim(a.Default, `"`))
	}
	if a.Need {
		notes = append(notes, "needed")
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

// setting is the value of one flag, kept as it was typed: the daemon checks
// it, as it checks the file.
type setting struct {
	attribute *config.Attribute
	text      string
	given     bool
}

func (s *setting) String() string { return s.text }

func (s *setting) Type() string {
	if s.attribute == nil {
		return ""
	}
	if s.attribute.List {
		return s.attribute.Type + ",..."
	}
	return s.attribute.Type
}

// Set keeps the text; a list may be given in several flags.
func (s *setting) Set(text string) error {
	switch {
	case s.given && s.attribute.List:
		s.text += "," + text
	case s.given:
		return fmt.Errorf("it is given twice")
	default:
		s.text = text
	}
	s.given = true
	return nil
}
