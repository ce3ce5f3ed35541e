package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Edit changes the bytes of a configuration file; it is given the file's name
// for messages, and returns new bytes or an error that says what is wrong.
type Edit func(file string, src []byte) ([]byte, error)

// Apply does edits in order on a file that parses, and parses the outcome. An
// error means that nothing is to be changed; it names no lines of the outcome,
// which nobody has seen.
//
// Edits replace, insert and cut only the bytes they are about: comments and
// order stay, and a file that was formatted stays formatted.
func Apply(file string, src []byte, edits ...Edit) ([]byte, *Config, error) {
	for _, edit := range edits {
		var err error
		if src, err = edit(file, src); err != nil {
			return nil, nil, err
		}
	}
	c, err := Parse(file, src)
	var errs Errors
	if errors.As(err, &errs) {
		for _, e := range errs {
			e.Pos, e.Also = Pos{}, nil
		}
		return nil, nil, errs
	}
	return src, c, err
}

// editing is an edit of an open document.
func editing(f func(d *document) ([]byte, error)) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
		return f(d)
	}
}

// AddPort adds a port at the end of a hub. An empty hub name means the only
// hub there is.
func AddPort(hub, kind, name string, set Values) Edit {
	return editing(func(d *document) ([]byte, error) {
		h, err := d.hub(hub)
		if err != nil {
			return nil, err
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("port %v", err)
		}
		for _, b := range h.Body.Blocks {
			if b.Type == "port" && b.Labels[1] == name {
				return nil, fmt.Errorf("hub %q has a port %q already (kind %s)", h.Labels[0], name, b.Labels[0])
			}
		}
		attrs := PortAttributes(kind)
		if attrs == nil {
			return nil, errors.New(unknownKind(kind))
		}
		lines, err := newLines(attrs, newPort(kind, name), fmt.Sprintf("port %q (kind %s)", name, kind), set)
		if err != nil {
			return nil, err
		}
		return d.addBlock(h, fmt.Sprintf("port %q %q", kind, name), lines)
	})
}

// SetPort sets and unsets attributes of a port; an unset attribute is at its
// default again.
func SetPort(hub, name string, set Values, unset []string) Edit {
	return editing(func(d *document) ([]byte, error) {
		b, err := d.port(hub, name)
		if err != nil {
			return nil, err
		}
		kind := b.Labels[0]
		return d.setBlock(func(d *document) *hclsyntax.Block { b, _ := d.port(hub, name); return b },
			PortAttributes(kind), newPort(kind, name), fmt.Sprintf("port %q (kind %s)", name, kind), set, unset)
	})
}

// RemovePort cuts a port out, and the comment lines that stand directly above it.
func RemovePort(hub, name string) Edit {
	return editing(func(d *document) ([]byte, error) {
		b, err := d.port(hub, name)
		if err != nil {
			return nil, err
		}
		return d.cutBlock(b)
	})
}

// namedBlock is a kind of block that stands at the top of the file and has a name.
type namedBlock struct {
	kind  string
	attrs func() []*Attribute
	blank func(name string) any
	find  func(d *document, name string) (*hclsyntax.Block, error)
}

var (
	hubBlock = namedBlock{"hub", func() []*Attribute { return hubTable }, func(name string) any { return newHub(name) }, (*document).hub}
	radBlock = namedBlock{"radius", func() []*Attribute { return radiusTable }, func(name string) any { return newRadius(name) }, (*document).radius}
)

// add adds a block at the end of the file.
func (n namedBlock) add(name string, set Values) Edit {
	return editing(func(d *document) ([]byte, error) {
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("%s %v", n.kind, err)
		}
		if slices.Contains(d.labels(n.kind), name) {
			return nil, fmt.Errorf("there is a %s %q already", n.kind, name)
		}
		head := fmt.Sprintf("%s %q", n.kind, name)
		lines, err := newLines(n.attrs(), n.blank(name), head, set)
		if err != nil {
			return nil, err
		}
		return d.addBlock(nil, head, lines)
	})
}

// set sets and unsets attributes of a block.
func (n namedBlock) set(name string, set Values, unset []string) Edit {
	return editing(func(d *document) ([]byte, error) {
		b, err := n.find(d, name)
		if err != nil {
			return nil, err
		}
		return d.setBlock(func(d *document) *hclsyntax.Block { b, _ := n.find(d, name); return b },
			n.attrs(), n.blank(b.Labels[0]), fmt.Sprintf("%s %q", n.kind, b.Labels[0]), set, unset)
	})
}

// remove cuts a block out with all that is in it.
func (n namedBlock) remove(name string) Edit {
	return editing(func(d *document) ([]byte, error) {
		b, err := n.find(d, name)
		if err != nil {
			return nil, err
		}
		return d.cutBlock(b)
	})
}

// AddHub adds a hub at the end of the file.
func AddHub(name string, set Values) Edit { return hubBlock.add(name, set) }

// SetHub sets and unsets attributes of a hub.
func SetHub(name string, set Values, unset []string) Edit { return hubBlock.set(name, set, unset) }

// RemoveHub cuts a hub out with all its ports.
func RemoveHub(name string) Edit { return hubBlock.remove(name) }

// AddRadius adds a radius block at the end of the file.
func AddRadius(name string, set Values) Edit { return radBlock.add(name, set) }

// SetRadius sets and unsets attributes of a radius block.
func SetRadius(name string, set Values, unset []string) Edit { return radBlock.set(name, set, unset) }

// RemoveRadius cuts a radius block out. One that a port names stays: the
// configuration without it does not parse.
func RemoveRadius(name string) Edit { return radBlock.remove(name) }

// SetBlock sets and unsets attributes of a settings block at the top of the
// file ("log", "ipsec"), and adds the block where it is not there.
func SetBlock(name string, set Values, unset []string) Edit {
	return editing(func(d *document) ([]byte, error) {
		i := slices.Index(Blocks(), name)
		if i < 0 {
			return nil, fmt.Errorf("unknown block %q: there are %s%s", name, strings.Join(Blocks(), ", "), didYouMean(name, Blocks()))
		}
		where, blank := fmt.Sprintf("block %q", name), blocks[i].of(newConfig())
		if d.block(name) == nil {
			if err := checkUnset(blocks[i].attrs, where, unset); err != nil {
				return nil, err
			}
			lines, err := newLines(blocks[i].attrs, blank, where, set)
			if err != nil {
				return nil, err
			}
			return d.addBlock(nil, name, lines)
		}
		return d.setBlock(func(d *document) *hclsyntax.Block { return d.block(name) }, blocks[i].attrs, blank, where, set, unset)
	})
}

// assignment is one line of a block: name = literal.
type assignment struct{ name, literal string }

// newLines checks values and writes them as lines in the schema's order; blank
// is a target of the right type with its defaults.
func newLines(attrs []*Attribute, blank any, where string, set Values) ([]assignment, error) {
	var unknown []string
	for name := range set {
		if find(attrs, name) == nil {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, fmt.Errorf("unknown key %q in %s%s", unknown[0], where, didYouMean(unknown[0], names(attrs)))
	}
	var lines []assignment
	for _, a := range attrs {
		text, ok := set[a.Name]
		if !ok {
			continue
		}
		ptr := a.bind(blank)
		if err := a.setText(ptr, text); err != nil {
			return nil, fmt.Errorf("%s: %v", a.Name, err)
		}
		lines = append(lines, assignment{a.Name, literalSource(a.literal(ptr))})
	}
	return lines, nil
}

func checkUnset(attrs []*Attribute, where string, unset []string) error {
	for _, name := range unset {
		if find(attrs, name) == nil {
			return fmt.Errorf("unknown key %q in %s%s", name, where, didYouMean(name, names(attrs)))
		}
	}
	return nil
}
