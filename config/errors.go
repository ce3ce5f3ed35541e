package config

import (
	"fmt"
	"strings"
)

// Error is one thing wrong with a configuration.
type Error struct {
	Pos     Pos
	Message string // what is wrong and what to do, one line, lower case
	Also    []Pos  // other places that are part of it (the first of two duplicates)
}

// Error returns "file:line: message", and the other places after it.
func (e *Error) Error() string {
	text := e.Message
	if e.Pos != (Pos{}) {
		text = e.Pos.String() + ": " + text
	}
	for _, p := range e.Also {
		text += fmt.Sprintf(" (see %s)", p)
	}
	return text
}

// Errors is everything wrong with a configuration, in the order of the file;
// never empty when returned as an error.
type Errors []*Error

// Error returns one line for each.
func (l Errors) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// String returns "file:line", or "line N" where the file has no name.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.File == "":
		return fmt.Sprintf("line %d", p.Line)
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}
