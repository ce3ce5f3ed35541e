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

// AddPort adds a port at the end of a hub. An empty hub name means the only
// hub there is.
func AddPort(hub, kind, name string, set Values) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
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
	}
}

// SetPort sets and unsets attributes of a port; an unset attribute is at its
// default again.
func SetPort(hub, name string, set Values, unset []string) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
		b, err := d.port(hub, name)
		if err != nil {
			return nil, err
		}
		kind := b.Labels[0]
		return d.setBlock(func(d *document) *hclsyntax.Block { b, _ := d.port(hub, name); return b },
			PortAttributes(kind), newPort(kind, name), fmt.Sprintf("port %q (kind %s)", name, kind), set, unset)
	}
}

// RemovePort cuts a port out, and the comment lines that stand directly above it.
func RemovePort(hub, name string) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
		b, err := d.port(hub, name)
		if err != nil {
			return nil, err
		}
		return d.cutBlock(b)
	}
}

// AddHub adds a hub at the end of the file.
func AddHub(name string, set Values) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("hub %v", err)
		}
		if slices.Contains(d.hubNames(), name) {
			return nil, fmt.Errorf("there is a hub %q already", name)
		}
		lines, err := newLines(hubTable, newHub(name), fmt.Sprintf("hub %q", name), set)
		if err != nil {
			return nil, err
		}
		return d.addBlock(nil, fmt.Sprintf("hub %q", name), lines)
	}
}

// SetHub sets and unsets attributes of a hub.
func SetHub(name string, set Values, unset []string) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
		h, err := d.hub(name)
		if err != nil {
			return nil, err
		}
		return d.setBlock(func(d *document) *hclsyntax.Block { b, _ := d.hub(name); return b },
			hubTable, newHub(h.Labels[0]), fmt.Sprintf("hub %q", h.Labels[0]), set, unset)
	}
}

// RemoveHub cuts a hub out with all its ports.
func RemoveHub(name string) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
		h, err := d.hub(name)
		if err != nil {
			return nil, err
		}
		return d.cutBlock(h)
	}
}

// SetBlock sets and unsets attributes of a settings block at the top of the
// file ("log", "ipsec"), and adds the block where it is not there.
func SetBlock(name string, set Values, unset []string) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
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
	}
}

// AddRadius adds a radius block at the end of the file.
func AddRadius(name string, set Values) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("radius %v", err)
		}
		if slices.Contains(d.labels("radius"), name) {
			return nil, fmt.Errorf("there is a radius %q already", name)
		}
		lines, err := newLines(radiusTable, newRadius(name), fmt.Sprintf("radius %q", name), set)
		if err != nil {
			return nil, err
		}
		return d.addBlock(nil, fmt.Sprintf("radius %q", name), lines)
	}
}

// SetRadius sets and unsets attributes of a radius block.
func SetRadius(name string, set Values, unset []string) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
		if _, err := d.radius(name); err != nil {
			return nil, err
		}
		return d.setBlock(func(d *document) *hclsyntax.Block { b, _ := d.radius(name); return b },
			radiusTable, newRadius(name), fmt.Sprintf("radius %q", name), set, unset)
	}
}

// RemoveRadius cuts a radius block out. One that a port names stays: the
// configuration without it does not parse.
func RemoveRadius(name string) Edit {
	return func(file string, src []byte) ([]byte, error) {
		d, err := open(file, src)
		if err != nil {
			return nil, err
		}
		b, err := d.radius(name)
		if err != nil {
			return nil, err
		}
		return d.cutBlock(b)
	}
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
