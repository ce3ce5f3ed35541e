package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// document is a file being edited: its bytes, and where things stand in them.
// Each step of an edit makes new bytes and opens them anew.
type document struct {
	file   string
	src    []byte
	body   *hclsyntax.Body
	tokens hclsyntax.Tokens
}

func open(file string, src []byte) (*document, error) {
	if _, err := Parse(file, src); err != nil {
		return nil, err
	}
	return reopen(file, src)
}

// reopen is open without the checks: between two steps of one edit the file
// may lack what the second step brings.
func reopen(file string, src []byte) (*document, error) {
	body, errs := parseBody(file, src)
	if errs != nil {
		return nil, errs
	}
	tokens, _ := hclsyntax.LexConfig(src, file, hcl.InitialPos)
	return &document{file, src, body, tokens}, nil
}

func literalSource(v cty.Value) string {
	return string(hclwrite.TokensForValue(v).Bytes())
}

func (d *document) hubNames() []string { return d.labels("hub") }

// labels returns the names of the blocks of a type at the top of the file.
func (d *document) labels(typ string) []string {
	var l []string
	for _, b := range d.body.Blocks {
		if b.Type == typ {
			l = append(l, b.Labels[0])
		}
	}
	return l
}

func (d *document) radius(name string) (*hclsyntax.Block, error) {
	for _, b := range d.body.Blocks {
		if b.Type == "radius" && b.Labels[0] == name {
			return b, nil
		}
	}
	return nil, fmt.Errorf("there is no radius %q%s", name, didYouMean(name, d.labels("radius")))
}

func (d *document) hub(name string) (*hclsyntax.Block, error) {
	all := d.hubNames()
	if name == "" {
		switch len(all) {
		case 0:
			return nil, errors.New("there is no hub; add one first: vhub hub add default")
		case 1:
			name = all[0]
		default:
			return nil, fmt.Errorf("there are several hubs, say which: %s", strings.Join(all, ", "))
		}
	}
	for _, b := range d.body.Blocks {
		if b.Type == "hub" && b.Labels[0] == name {
			return b, nil
		}
	}
	return nil, fmt.Errorf("there is no hub %q%s", name, didYouMean(name, all))
}

func (d *document) port(hub, name string) (*hclsyntax.Block, error) {
	h, err := d.hub(hub)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, b := range h.Body.Blocks {
		if b.Labels[1] == name {
			return b, nil
		}
		all = append(all, b.Labels[1])
	}
	return nil, fmt.Errorf("hub %q has no port %q%s", h.Labels[0], name, didYouMean(name, all))
}

func (d *document) block(name string) *hclsyntax.Block {
	for _, b := range d.body.Blocks {
		if b.Type == name {
			return b
		}
	}
	return nil
}

// splice returns the bytes with [from, to) replaced; a file that was formatted
// is formatted again.
func (d *document) splice(from, to int, text string) []byte {
	out := slices.Concat(d.src[:from], []byte(text), d.src[to:])
	if bytes.Equal(hclwrite.Format(d.src), d.src) {
		return hclwrite.Format(out)
	}
	return out
}

// lineStart returns where the line of offset at begins, and the blanks there.
func (d *document) lineStart(at int) (start int, indent string) {
	start = bytes.LastIndexByte(d.src[:at], '\n') + 1
	end := start
	for end < at && (d.src[end] == ' ' || d.src[end] == '\t') {
		end++
	}
	return start, string(d.src[start:end])
}

// afterLine returns the offset after the newline that ends what stands at
// offset at, comments included, or the end of the file.
func (d *document) afterLine(at int) int {
	for _, t := range d.tokens {
		ends := t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment && bytes.HasSuffix(t.Bytes, []byte("\n"))
		if t.Range.Start.Byte >= at && ends {
			return t.Range.End.Byte
		}
	}
	return len(d.src)
}

// newline is the file's own: "\r\n" where its first line ends so.
func (d *document) newline() string {
	if i := bytes.IndexByte(d.src, '\n'); i > 0 && d.src[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// addBlock puts a new block at the end of parent, or of the file.
func (d *document) addBlock(parent *hclsyntax.Block, head string, lines []assignment) ([]byte, error) {
	if parent == nil {
		text := d.blockText("", head, lines)
		if len(d.src) > 0 {
			text = d.newline() + text
			if d.src[len(d.src)-1] != '\n' {
				text = d.newline() + text
			}
		}
		return d.splice(len(d.src), len(d.src), text), nil
	}
	if parent.OpenBraceRange.Start.Line == parent.CloseBraceRange.Start.Line {
		path := parent.Labels[0]
		d, err := reopen(d.file, d.unfold(parent))
		if err != nil {
			return nil, err
		}
		h, err := d.hub(path)
		if err != nil {
			return nil, err
		}
		return d.addBlock(h, head, lines)
	}
	at := parent.CloseBraceRange.Start.Byte
	start, indent := d.lineStart(at)
	text := d.blockText(indent+"  ", head, lines)
	if len(parent.Body.Attributes)+len(parent.Body.Blocks) > 0 {
		text = d.newline() + text
	}
	if start+len(indent) != at { // something stands before the brace
		return d.splice(at, at, d.newline()+text+indent), nil
	}
	return d.splice(start, start, text), nil
}

// blockText writes a block with aligned keys, every line after indent.
func (d *document) blockText(indent, head string, lines []assignment) string {
	var b strings.Builder
	b.WriteString(head + " {")
	if len(lines) > 0 {
		b.WriteString("\n")
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s = %s\n", l.name, l.literal)
	}
	b.WriteString("}\n")
	var out strings.Builder
	for line := range strings.Lines(string(hclwrite.Format([]byte(b.String())))) {
		out.WriteString(indent + strings.TrimSuffix(line, "\n") + d.newline())
	}
	return out.String()
}

// unfold writes a block of one line, head { a = 1 }, over several.
func (d *document) unfold(b *hclsyntax.Block) []byte {
	nl := d.newline()
	_, indent := d.lineStart(b.TypeRange.Start.Byte)
	from, to := b.OpenBraceRange.End.Byte, b.CloseBraceRange.Start.Byte
	text := nl + indent
	if inner := strings.TrimSpace(string(d.src[from:to])); inner != "" {
		text = nl + indent + "  " + inner + nl + indent
	}
	return d.splice(from, to, text)
}

// setBlock sets and unsets attributes of the block that get finds.
func (d *document) setBlock(get func(*document) *hclsyntax.Block, attrs []*Attribute, blank any, where string, set Values, unset []string) ([]byte, error) {
	lines, err := newLines(attrs, blank, where, set)
	if err != nil {
		return nil, err
	}
	if err := checkUnset(attrs, where, unset); err != nil {
		return nil, err
	}
	for _, name := range unset {
		if _, both := set[name]; both {
			return nil, fmt.Errorf("%s: both set and unset", name)
		}
		if d, err = reopen(d.file, d.cutAttribute(get(d), name)); err != nil {
			return nil, err
		}
	}
	for _, l := range lines {
		b := get(d)
		if b.Body.Attributes[l.name] == nil && b.OpenBraceRange.Start.Line == b.CloseBraceRange.Start.Line {
			if d, err = reopen(d.file, d.unfold(b)); err != nil {
				return nil, err
			}
		}
		if d, err = reopen(d.file, d.putAttribute(get(d), l)); err != nil {
			return nil, err
		}
	}
	return d.src, nil
}

// putAttribute replaces a value, or adds a line after the last key.
func (d *document) putAttribute(b *hclsyntax.Block, l assignment) []byte {
	if a := b.Body.Attributes[l.name]; a != nil {
		rng := a.Expr.Range()
		from, to := rng.Start.Byte, rng.End.Byte
		if d.src[to-1] == '\n' { // a heredoc ends with its line
			return d.splice(from, to, l.literal+d.newline())
		}
		return d.splice(from, to, l.literal)
	}
	_, indent := d.lineStart(b.TypeRange.Start.Byte)
	indent += "  "
	at := d.afterLine(b.OpenBraceRange.End.Byte)
	if all := inOrder(b.Body.Attributes); len(all) > 0 {
		last := all[len(all)-1]
		_, indent = d.lineStart(last.SrcRange.Start.Byte)
		at = d.afterLine(last.SrcRange.End.Byte)
		if d.src[last.SrcRange.End.Byte-1] == '\n' {
			at = last.SrcRange.End.Byte
		}
	}
	return d.splice(at, at, fmt.Sprintf("%s%s = %s%s", indent, l.name, l.literal, d.newline()))
}

// cutAttribute takes a key out with its line, or alone where the block stands
// in one line.
func (d *document) cutAttribute(b *hclsyntax.Block, name string) []byte {
	a := b.Body.Attributes[name]
	if a == nil {
		return d.src
	}
	from, to := a.SrcRange.Start.Byte, a.SrcRange.End.Byte
	start, indent := d.lineStart(from)
	if start+len(indent) == from && b.CloseBraceRange.Start.Line != a.SrcRange.End.Line {
		from = start
		if d.src[to-1] != '\n' {
			to = d.afterLine(to)
		}
	}
	return d.splice(from, to, "")
}

// cutBlock takes a block out, with the comment lines directly above it and one
// of the empty lines around it.
func (d *document) cutBlock(b *hclsyntax.Block) ([]byte, error) {
	start, indent := d.lineStart(b.TypeRange.Start.Byte)
	from, to := b.TypeRange.Start.Byte, d.afterLine(b.CloseBraceRange.End.Byte)
	if start+len(indent) == from {
		from = d.commentsAbove(start)
	}
	if emptyBefore := d.emptyLineBefore(from); emptyBefore < from {
		next := bytes.TrimLeft(d.src[to:], " \t")
		if len(next) == 0 || next[0] == '}' || next[0] == '\n' || next[0] == '\r' {
			from = emptyBefore
		}
	}
	return d.splice(from, to, ""), nil
}

// commentsAbove returns where the run of comment lines begins that ends at the
// start of a line.
func (d *document) commentsAbove(start int) int {
	for i := len(d.tokens) - 1; i >= 0; i-- {
		t := d.tokens[i]
		if t.Type != hclsyntax.TokenComment || t.Range.End.Byte != start {
			continue
		}
		line, indent := d.lineStart(t.Range.Start.Byte)
		if line+len(indent) != t.Range.Start.Byte {
			break // it follows something on its line
		}
		start = line
	}
	return start
}

// emptyLineBefore returns the start of the empty line that ends at offset at,
// or at when there is none.
func (d *document) emptyLineBefore(at int) int {
	if at == 0 {
		return at
	}
	start, indent := d.lineStart(at - 1)
	if strings.TrimRight(string(d.src[start:at]), "\r\n") == indent {
		return start
	}
	return at
}
