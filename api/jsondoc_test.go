package api

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/json.md anew")

// docs/json.md is made from the types and comments of this package and of the
// status types of the port kinds, so that it says what the program says.
// After a change: go test ./api -run TestJSONDoc -update
func TestJSONDoc(t *testing.T) {
	got := jsonDoc(t)
	const name = "../docs/json.md"
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, got) {
		t.Errorf("%s is not what the types say; run: make docs (or go test ./api -run TestJSONDoc -update)", name)
	}
}

// Names of JSON are snake_case, and every field has one.
func TestJSONNames(t *testing.T) {
	for _, s := range structsOf(t, ".") {
		for _, f := range s.fields {
			if strings.HasPrefix(f.name, "(") {
				continue
			}
			if f.name != strings.ToLower(f.name) || strings.ContainsAny(f.name, "- .") {
				t.Errorf("%s.%s is no name in snake_case", s.name, f.name)
			}
		}
	}
}

func jsonDoc(t *testing.T) []byte {
	var b bytes.Buffer
	b.WriteString(`# vhub in JSON

<!-- Made by: go test ./api -run TestJSONDoc -update -->

The daemon speaks HTTP with JSON on its UNIX socket; the commands with ` + "`-o json`" + ` write the same objects.
Names are stable: fields are added, never renamed. Times are RFC 3339 in UTC, names with ` + "`_seconds`" + ` are seconds, sizes are bytes.

    curl --unix-socket /run/vhub/vhub.sock http://vhub/v1/hubs/-/ports

In a path, ` + "`-`" + ` stands for the hub where there is only one. An answer that is not a success is an Error.
An option (a setting of a hub or port) has the name it has in the file; a request takes strings, numbers, booleans and lists for it, and ` + "`null`" + ` to go back to the default.

## Operations

Without an answer in the table: ` + "`/v1/metrics`" + ` answers with text in the format that Prometheus reads (` + "`vhub metrics`" + `).

| method and path | request | answer |
|---|---|---|
`)
	for _, op := range operations(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", op.path, link(op.req), link(op.resp))
	}
	b.WriteString("\n## Objects\n")
	writeStructs(&b, structsOf(t, "."), "", nil)
	b.WriteString("\n## What `device` holds\n\nThe field `device` of a port is an object by the port's kind: bridge.TAPStatus for tap, bridge.NICStatus for nic, etherip.PlainStatus for etherip without IPsec, a Tunnel and the fields of etherip.Status for etherip in IPsec, a Road for l2tp.\n")
	writeStructs(&b, structsOf(t, "../bridge"), "bridge.", []string{"TAPStatus", "NICStatus", "Offloads", "Counters"})
	writeStructs(&b, structsOf(t, "../etherip"), "etherip.", []string{"PlainStatus", "Status"})
	return b.Bytes()
}

type jsonStruct struct {
	name, doc string
	fields    []jsonField
}

type jsonField struct{ name, typ, doc string }

// structsOf reads the structs of a package whose fields have JSON names, by name.
func structsOf(t *testing.T, dir string) []jsonStruct {
	fset := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	pkg, err := doc.NewFromFiles(fset, files, "vhub/x")
	if err != nil {
		t.Fatal(err)
	}
	var all []jsonStruct
	for _, typ := range pkg.Types {
		for _, spec := range typ.Decl.Specs {
			if st, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType); ok {
				if s := structOf(typ.Name, typ.Doc, st); len(s.fields) > 0 {
					all = append(all, s)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b jsonStruct) int { return strings.Compare(a.name, b.name) })
	return all
}

func structOf(name, about string, st *ast.StructType) jsonStruct {
	s := jsonStruct{name: name, doc: oneParagraph(about)}
	for _, f := range st.Fields.List {
		comment := oneParagraph(f.Doc.Text() + " " + f.Comment.Text())
		if f.Tag == nil {
			if id, ok := f.Type.(*ast.Ident); ok && len(f.Names) == 0 { // embedded: its fields are this one's
				s.fields = append(s.fields, jsonField{"(all of " + id.Name + ")", "", comment})
			}
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		field, options, _ := strings.Cut(tag.Get("json"), ",")
		switch {
		case tag.Get("path") != "":
			field = "{" + tag.Get("path") + "}"
		case tag.Get("query") != "":
			field = "?" + tag.Get("query")
		case field == "-" || field == "":
			continue
		}
		typ := typeText(f.Type)
		if strings.Contains(options, "omitempty") {
			typ += ", may be missing"
		}
		s.fields = append(s.fields, jsonField{field, typ, comment})
	}
	return s
}

// typeText is a type as JSON knows it.
func typeText(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return typeText(x.X)
	case *ast.ArrayType:
		return "list of " + typeText(x.Elt)
	case *ast.MapType:
		return "object of " + typeText(x.Value)
	case *ast.SelectorExpr:
		if x.Sel.Name == "Time" {
			return "time"
		}
		if x.Sel.Name == "RawMessage" {
			return "object"
		}
		return "string"
	case *ast.Ident:
		switch {
		case strings.HasPrefix(x.Name, "int") || strings.HasPrefix(x.Name, "uint"):
			return "number"
		case strings.HasPrefix(x.Name, "float"):
			return "number"
		case x.Name == "bool":
			return "true or false"
		case x.Name == "any":
			return "string, number, true, false, list or null"
		case x.Name == "string" || x.Name == "Form" || x.Name == "Code":
			return "string"
		}
		return x.Name
	}
	return fmt.Sprintf("%T", e)
}

func oneParagraph(s string) string { return strings.Join(strings.Fields(s), " ") }

func writeStructs(b *bytes.Buffer, all []jsonStruct, prefix string, only []string) {
	for _, s := range all {
		if only != nil && !slices.Contains(only, s.name) {
			continue
		}
		fmt.Fprintf(b, "\n### %s\n\n%s\n\n| name | type | meaning |\n|---|---|---|\n", prefix+s.name, s.doc)
		for _, f := range s.fields {
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.name, f.typ, strings.ReplaceAll(f.doc, "|", "\\|"))
		}
	}
}

type operation struct{ path, req, resp string }

// operations reads the table in operations.go, in its order.
func operations(t *testing.T) []operation {
	f, err := parser.ParseFile(token.NewFileSet(), "operations.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []operation
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		word := func(e ast.Expr) string { return strings.Trim(e.(*ast.BasicLit).Value, `"`) }
		if typ, ok := lit.Type.(*ast.IndexExpr); ok { // TextOp
			all = append(all, operation{word(lit.Elts[0]) + " " + word(lit.Elts[1]), typ.Index.(*ast.Ident).Name, "None"})
			return true
		}
		typ, ok := lit.Type.(*ast.IndexListExpr)
		if !ok {
			return true
		}
		op := operation{word(lit.Elts[0]) + " " + word(lit.Elts[1]), typ.Indices[0].(*ast.Ident).Name, typ.Indices[1].(*ast.Ident).Name}
		if typ.X.(*ast.Ident).Name == "StreamOp" {
			op.resp = "lines of " + op.resp
		}
		all = append(all, op)
		return true
	})
	return all
}

func link(name string) string {
	if name == "None" {
		return ""
	}
	word := name[strings.LastIndex(name, " ")+1:]
	return strings.TrimSuffix(name, word) + "[" + word + "](#" + strings.ToLower(word) + ")"
}
