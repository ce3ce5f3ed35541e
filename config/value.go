package config

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"vhub/eth"

	"github.com/zclconf/go-cty/cty"
)

// Values are attributes by name in text form, as the commands give them: "true"
// and "false", "60s", "64MiB", addresses as usual, lists comma-separated.
type Values map[string]string

// setText sets the field behind ptr from its text form.
func (a *Attribute) setText(ptr any, text string) error {
	if !a.List {
		return a.setOne(ptr, text)
	}
	var items []string
	if text != "" {
		items = strings.Split(text, ",")
	}
	return a.setList(ptr, items)
}

// setList sets a list field from the texts of its items.
func (a *Attribute) setList(ptr any, items []string) error {
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
		if slices.Contains(items[:i], items[i]) {
			return fmt.Errorf("%q is there twice", items[i])
		}
	}
	switch p := ptr.(type) {
	case *[]string:
		return each(p, items, func(s string) (string, error) {
			if strings.Contains(s, ",") {
				return "", fmt.Errorf("%q has a comma; write one item of the list for each", s)
			}
			return s, a.check(s)
		})
	case *[]netip.Addr:
		return each(p, items, parseAddr)
	case *[]netip.Prefix:
		return each(p, items, parseHostPrefix)
	case *[]StaticMAC:
		return each(p, items, parseStation)
	case *[]AddrRange:
		return each(p, items, parseRange)
	case *[]Route:
		return each(p, items, parseRoute)
	}
	panic("config: not a list: " + a.Name)
}

func each[T any](to *[]T, items []string, parse func(string) (T, error)) error {
	var l []T
	for _, s := range items {
		v, err := parse(s)
		if err != nil {
			return err
		}
		l = append(l, v)
	}
	*to = l
	return nil
}

// setOne sets a field that is no list from its text.
func (a *Attribute) setOne(ptr any, s string) (err error) {
	switch p := ptr.(type) {
	case *string:
		if a.enum != nil && !slices.Contains(a.enum, s) {
			return fmt.Errorf("%q is none of %s%s", s, strings.Join(a.enum, ", "), didYouMean(s, a.enum))
		}
		if a.check != nil {
			if err := a.check(s); err != nil {
				return err
			}
		}
		*p = s
	case *bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is not true or false", s)
		}
		*p = s == "true"
	case *int:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		if err := a.inRange(n); err != nil {
			return err
		}
		*p = int(n)
	case *int64:
		n, err := parseSize(s)
		if err != nil {
			return err
		}
		if err := a.inRange(n); err != nil {
			return err
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration, or too long for one (want a number and ms, s, m or h, like \"60s\")", s)
		}
		if err := a.inRange(int64(d)); err != nil {
			return err
		}
		*p = d
	case *netip.Addr:
		*p, err = optional(s, parseAddr)
	case *netip.Prefix:
		*p, err = optional(s, parseSubnet)
	case *eth.Addr:
		*p, err = optional(s, parseStationMAC)
	case *Identity:
		*p, err = ParseIdentity(s)
	default:
		panic("config: no text form: " + a.Name)
	}
	return err
}

// optional reads "" as the zero value: nothing given.
func optional[T any](s string, parse func(string) (T, error)) (v T, err error) {
	if s == "" {
		return v, nil
	}
	return parse(s)
}

func (a *Attribute) inRange(n int64) error {
	if a.min == 0 && a.max == 0 || n == 0 && a.zero || n >= a.min && n <= a.max {
		return nil
	}
	return fmt.Errorf("%s is out of range: want %s", a.number(n), a.Range)
}

func (a *Attribute) number(n int64) string {
	switch a.Type {
	case "duration":
		return durationText(time.Duration(n))
	case "size":
		return sizeText(n)
	}
	return strconv.FormatInt(n, 10)
}

// text returns the text form of the field behind ptr.
func (a *Attribute) text(ptr any) string {
	if a.List {
		return strings.Join(listText(ptr), ",")
	}
	switch p := ptr.(type) {
	case *string:
		return *p
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *int64:
		return sizeText(*p)
	case *time.Duration:
		return durationText(*p)
	case *netip.Addr:
		if !p.IsValid() {
			return ""
		}
		return p.String()
	case *netip.Prefix:
		if !p.IsValid() {
			return ""
		}
		return p.String()
	case *eth.Addr:
		if p.IsZero() {
			return ""
		}
		return p.String()
	case *Identity:
		return p.String()
	}
	panic("config: no text form: " + a.Name)
}

func listText(ptr any) []string {
	l := []string{}
	switch p := ptr.(type) {
	case *[]string:
		l = append(l, *p...)
	case *[]netip.Addr:
		for _, v := range *p {
			l = append(l, v.String())
		}
	case *[]netip.Prefix:
		for _, v := range *p {
			l = append(l, v.String())
		}
	case *[]StaticMAC:
		for _, v := range *p {
			l = append(l, v.String())
		}
	case *[]AddrRange:
		for _, v := range *p {
			l = append(l, v.String())
		}
	case *[]Route:
		for _, v := range *p {
			l = append(l, v.String())
		}
	}
	return l
}

// literal returns the value of the field behind ptr as the file writes it.
func (a *Attribute) literal(ptr any) cty.Value {
	if a.List {
		var l []cty.Value
		for _, s := range listText(ptr) {
			l = append(l, cty.StringVal(s))
		}
		if a.single && len(l) == 1 {
			return l[0]
		}
		return cty.TupleVal(l)
	}
	switch p := ptr.(type) {
	case *bool:
		return cty.BoolVal(*p)
	case *int:
		return cty.NumberIntVal(int64(*p))
	}
	return cty.StringVal(a.text(ptr))
}

// setLiteral sets the field behind ptr from a value of the file.
func (a *Attribute) setLiteral(ptr any, v cty.Value) error {
	want := map[string]string{"bool": "true or false", "number": "a number"}[a.Type]
	if want == "" {
		want = "a text in quotes"
	}
	if a.List {
		return a.setLiteralList(ptr, v)
	}
	s, kind := literalText(v)
	switch {
	case kind == "":
		return fmt.Errorf("want %s", want)
	case kind != a.Type && (kind != "string" || a.Type == "bool" || a.Type == "number") && (kind != "number" || a.Type != "size"):
		if kind == "string" {
			s, kind = strconv.Quote(s), "text"
		} else if kind == "bool" {
			kind = "truth value"
		}
		return fmt.Errorf("%s is a %s; want %s", s, kind, want)
	}
	return a.setOne(ptr, s)
}

func (a *Attribute) setLiteralList(ptr any, v cty.Value) error {
	if text, kind := literalText(v); a.single && kind == "string" {
		return a.setList(ptr, []string{text})
	}
	if v.IsNull() || !v.IsKnown() || !(v.Type().IsTupleType() || v.Type().IsListType()) {
		return fmt.Errorf("want a list of texts in quotes, like [\"a\", \"b\"]")
	}
	items := []string{}
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		s, kind := literalText(e)
		if kind != "string" {
			return fmt.Errorf("want a list of texts in quotes, like [\"a\", \"b\"]")
		}
		items = append(items, s)
	}
	return a.setList(ptr, items)
}

// literalText returns a scalar value's text and its kind: "string", "number",
// "bool", or "" for anything else.
func literalText(v cty.Value) (text, kind string) {
	if v.IsNull() || !v.IsKnown() || v.IsMarked() {
		return "", ""
	}
	switch v.Type() {
	case cty.String:
		return v.AsString(), "string"
	case cty.Number:
		n := v.AsBigFloat()
		if i, exact := n.Int64(); exact == big.Exact {
			return strconv.FormatInt(i, 10), "number"
		}
		return n.Text('g', 20), "number" // never all the digits of 1e999999999
	case cty.Bool:
		return strconv.FormatBool(v.True()), "bool"
	}
	return "", ""
}
