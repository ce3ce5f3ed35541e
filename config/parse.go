package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// MaxFile is the largest configuration in bytes.
const MaxFile = 1 << 20

// Parse reads and checks a configuration; file is its name, for messages and
// for Config.Path. The error is Errors: everything that is wrong, each with
// file and line. Secret files are not looked at (see CheckSecrets).
func Parse(file string, src []byte) (*Config, error) {
	body, errs := parseBody(file, src)
	if errs != nil {
		return nil, errs
	}
	r := &reader{file: file}
	c := r.config(body)
	c.File = file
	r.check(c)
	if len(r.errs) > 0 {
		slices.SortStableFunc(r.errs, func(a, b *Error) int { return a.Pos.Line - b.Pos.Line })
		return nil, r.errs
	}
	return c, nil
}

// parseBody reads the syntax alone.
func parseBody(file string, src []byte) (*hclsyntax.Body, Errors) {
	if err := tooWild(file, src); err != nil {
		return nil, Errors{err}
	}
	f, diags := hclsyntax.ParseConfig(src, file, hcl.InitialPos)
	if diags.HasErrors() {
		r := &reader{file: file}
		for _, d := range diags {
			r.diagnostic(d)
		}
		return nil, r.errs
	}
	return f.Body.(*hclsyntax.Body), nil
}

// tooWild refuses what would only exhaust the parser: it recurses, and the
// configuration needs neither deep nesting nor operators.
func tooWild(file string, src []byte) *Error {
	if len(src) > MaxFile {
		return &Error{Pos: Pos{File: file}, Message: fmt.Sprintf("the file has %d bytes; at most %d are allowed", len(src), MaxFile)}
	}
	tokens, _ := hclsyntax.LexConfig(src, file, hcl.InitialPos)
	depth, run, choices := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			depth = max(0, depth-1)
		}
		switch t.Type {
		case hclsyntax.TokenBang, hclsyntax.TokenMinus:
			run++
		default:
			run = 0
		}
		if t.Type == hclsyntax.TokenQuestion || t.Type == hclsyntax.TokenColon {
			choices++
		}
		if depth > 32 || run > 8 || choices > 64 {
			return &Error{Pos: Pos{file, t.Range.Start.Line}, Message: "brackets or operators are nested too deeply"}
		}
	}
	return nil
}

// reader turns a syntax tree into a Config and gathers what is wrong.
type reader struct {
	file   string
	engine Pos // of the block "ipsec"
	errs   Errors
}

func (r *reader) at(rng hcl.Range) Pos { return Pos{r.file, rng.Start.Line} }

func (r *reader) errorf(pos Pos, format string, args ...any) {
	r.errs = append(r.errs, &Error{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// diagnostic takes over an error of the HCL parser as one line.
func (r *reader) diagnostic(d *hcl.Diagnostic) {
	if d.Severity != hcl.DiagError {
		return
	}
	pos := Pos{File: r.file}
	if d.Subject != nil {
		pos.Line = d.Subject.Start.Line
	}
	detail, _, _ := strings.Cut(strings.Join(strings.Fields(d.Detail), " "), ". ")
	text := strings.TrimSuffix(d.Summary+": "+detail, ".")
	r.errorf(pos, "%s", strings.ToLower(text[:1])+text[1:])
}

func (r *reader) config(body *hclsyntax.Body) *Config {
	c := newConfig()
	allowed := append([]string{"hub", "radius"}, Blocks()...)
	for _, a := range inOrder(body.Attributes) {
		hint := didYouMean(a.Name, allowed)
		if slices.Contains(allowed, a.Name) {
			hint = fmt.Sprintf("; write %s { ... }", a.Name)
		}
		r.errorf(r.at(a.SrcRange), "unknown key %q at the top of the file, where there are only blocks%s", a.Name, hint)
	}
	seen := map[string]Pos{}
	for _, b := range body.Blocks {
		pos := r.at(b.TypeRange)
		if b.Type == "hub" {
			r.hub(c, b)
			continue
		}
		if b.Type == "radius" {
			r.radius(c, b)
			continue
		}
		attrs := BlockAttributes(b.Type)
		if attrs == nil {
			r.errorf(pos, "unknown block %q%s", b.Type, didYouMean(b.Type, allowed))
			continue
		}
		where := fmt.Sprintf("block %q", b.Type)
		if len(b.Labels) > 0 {
			r.errorf(pos, "%s takes no name", where)
		}
		if first, ok := seen[b.Type]; ok {
			r.errs = append(r.errs, &Error{Pos: pos, Message: where + " is there twice", Also: []Pos{first}})
			continue
		}
		seen[b.Type] = pos
		if b.Type == "ipsec" {
			r.engine = pos
		}
		r.noBlocks(b.Body, where)
		i := slices.Index(Blocks(), b.Type)
		r.attributes(b.Body, attrs, blocks[i].of(c), where)
	}
	return c
}

func (r *reader) hub(c *Config, b *hclsyntax.Block) {
	pos := r.at(b.TypeRange)
	if len(b.Labels) != 1 {
		r.errorf(pos, "a hub has one name: hub \"default\" {")
		return
	}
	h := newHub(b.Labels[0])
	h.Pos = pos
	if err := checkName(h.Name); err != nil {
		r.errorf(pos, "hub %v", err)
	}
	where := fmt.Sprintf("hub %q", h.Name)
	r.attributes(b.Body, hubTable, h, where)
	for _, pb := range b.Body.Blocks {
		if pb.Type != "port" {
			r.errorf(r.at(pb.TypeRange), "unknown block %q in %s%s", pb.Type, where, didYouMean(pb.Type, []string{"port"}))
			continue
		}
		if p := r.port(pb); p != nil {
			h.Ports = append(h.Ports, *p)
		}
	}
	c.Hubs = append(c.Hubs, *h)
}

func (r *reader) port(b *hclsyntax.Block) *Port {
	pos := r.at(b.TypeRange)
	if len(b.Labels) != 2 {
		r.errorf(pos, "a port has a kind and a name: port \"tap\" \"lan\" {")
		return nil
	}
	kind, name := b.Labels[0], b.Labels[1]
	attrs := PortAttributes(kind)
	if attrs == nil {
		r.errorf(pos, "%s", unknownKind(kind))
		return nil
	}
	if err := checkName(name); err != nil {
		r.errorf(pos, "port %v", err)
		return nil
	}
	p := newPort(kind, name)
	p.Pos = pos
	where := fmt.Sprintf("port %q (kind %s)", name, kind)
	r.noBlocks(b.Body, where)
	before := len(r.errs)
	given := r.attributes(b.Body, attrs, p, where)
	if len(r.errs) == before { // else what follows may follow from that
		r.checkPort(p, given)
	}
	return p
}

func unknownKind(kind string) string {
	return fmt.Sprintf("unknown kind of port %q: there are %s%s", kind, strings.Join(Kinds(), ", "), didYouMean(kind, Kinds()))
}

func (r *reader) noBlocks(body *hclsyntax.Body, where string) {
	for _, b := range body.Blocks {
		r.errorf(r.at(b.TypeRange), "unknown block %q in %s, which has keys only", b.Type, where)
	}
}

// attributes reads the keys of a block into target and returns where each that
// was given stands.
func (r *reader) attributes(body *hclsyntax.Body, attrs []*Attribute, target any, where string) map[string]Pos {
	given := map[string]Pos{}
	for _, h := range inOrder(body.Attributes) {
		pos := r.at(h.SrcRange)
		a := find(attrs, h.Name)
		if a == nil {
			r.errorf(pos, "unknown key %q in %s%s", h.Name, where, didYouMean(h.Name, names(attrs)))
			continue
		}
		given[a.Name] = pos
		if vars := h.Expr.Variables(); len(vars) > 0 {
			r.errorf(pos, "%s: %q is no value; a text stands in quotes", a.Name, vars[0].RootName())
			continue
		}
		v, diags := h.Expr.Value(nil)
		if diags.HasErrors() {
			r.diagnostic(diags[0])
			continue
		}
		if err := a.setLiteral(a.bind(target), v); err != nil {
			r.errorf(pos, "%s: %v", a.Name, err)
		}
	}
	for _, a := range attrs {
		if _, ok := given[a.Name]; a.Need && !ok {
			like := strconv.Quote(a.Example)
			if a.List {
				like = "[\"" + strings.ReplaceAll(a.Example, ",", "\", \"") + "\"]"
			}
			r.errorf(r.at(body.SrcRange), "%s needs %s, like %s = %s", where, a.Name, a.Name, like)
		}
	}
	return given
}

// inOrder returns attributes as they stand in the file.
func inOrder(m hclsyntax.Attributes) []*hclsyntax.Attribute {
	l := make([]*hclsyntax.Attribute, 0, len(m))
	for _, a := range m {
		l = append(l, a)
	}
	slices.SortFunc(l, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	return l
}
