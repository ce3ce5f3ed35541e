// Package man makes manual pages: vhub(8) and one page a command from the tree
// of commands, and vhub.hcl(5) from the schema of the configuration. The pages
// say what the program says, since both come from the same tables.
package man

import (
	"fmt"
	"strings"
)

// page is a manual page in man(7) macros.
type page struct{ strings.Builder }

// newPage begins a page: "vhub-port-add", section 8.
func newPage(title string, section int, about string) *page {
	p := &page{}
	fmt.Fprintf(p, ".TH %s %d \"\" vhub \"vhub\"\n", strings.ToUpper(escape(title)), section)
	p.section("NAME")
	fmt.Fprintf(p, "%s \\- %s\n", escape(title), escape(about))
	return p
}

func (p *page) section(name string) { fmt.Fprintf(p, ".SH %s\n", escape(name)) }

// text writes paragraphs; indented lines stand as they are.
func (p *page) text(s string) {
	literal := false
	for line := range strings.Lines(strings.TrimSpace(s) + "\n") {
		line = strings.TrimRight(line, "\n")
		indented := strings.HasPrefix(line, "  ")
		if indented != literal && line != "" {
			p.WriteString(map[bool]string{true: ".PP\n.nf\n.RS\n", false: ".RE\n.fi\n.PP\n"}[indented])
			literal = indented
		}
		switch {
		case line == "" && !literal:
			p.WriteString(".PP\n")
		default:
			p.WriteString(escapeLine(strings.TrimPrefix(line, "  ")) + "\n")
		}
	}
	if literal {
		p.WriteString(".RE\n.fi\n")
	}
}

// literal writes lines as they are, without the indentation all of them have.
func (p *page) literal(s string) {
	p.WriteString(".nf\n.RS\n")
	indent := commonIndent(s)
	for line := range strings.Lines(s) {
		p.WriteString(escapeLine(strings.TrimPrefix(strings.TrimRight(line, "\n"), indent)) + "\n")
	}
	p.WriteString(".RE\n.fi\n")
}

// commonIndent is the spaces that all lines begin with.
func commonIndent(s string) string {
	least := -1
	for line := range strings.Lines(s) {
		if n := len(line) - len(strings.TrimLeft(line, " ")); strings.TrimSpace(line) != "" && (least < 0 || n < least) {
			least = n
		}
	}
	return strings.Repeat(" ", max(least, 0))
}

// item writes a term and what it means; a line may break behind each of several
// choices.
func (p *page) item(term, meaning string) {
	fmt.Fprintf(p, ".TP\n\\fB%s\\fR\n%s\n", escape(term), strings.ReplaceAll(escapeLine(meaning), "|", `|\:`))
}

// escape makes text safe for roff: a backslash and the hyphens that must stay
// hyphens, as those of flags must.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\`").Replace(s)
}

// escapeLine is escape for a line of its own, which must not begin as a macro does.
func escapeLine(s string) string {
	if e := escape(s); strings.HasPrefix(e, ".") {
		return `\&` + e
	} else {
		return e
	}
}
