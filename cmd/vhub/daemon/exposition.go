package daemon

import (
	"fmt"
	"strconv"
	"strings"
)

// metricsType is the content type of exposition's text.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// family is one metric: its name, what it is, and its samples.
type family struct {
	name, kind, help string // kind is counter or gauge
	samples          []string
}

// exposition is metrics in the text format of Prometheus, version 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats). The samples of a family
// stand together, whatever the order they are added in.
type exposition struct {
	families []*family
	by       map[string]*family
}

// newExposition makes one of these families, without samples.
func newExposition(families []family) *exposition {
	e := &exposition{by: map[string]*family{}}
	for _, f := range families {
		e.families = append(e.families, &f)
		e.by[f.name] = &f
	}
	return e
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// labels are pairs of name and value.
type labels []string

// with is the labels and more of them.
func (l labels) with(more ...string) labels { return append(l[:len(l):len(l)], more...) }

// add adds a sample to a family, which must be there.
func (e *exposition) add(name string, value float64, l labels) {
	var b strings.Builder
	b.WriteString(name)
	for i := 0; i+1 < len(l); i += 2 {
		fmt.Fprintf(&b, `%c%s="%s"`, "{,"[min(i, 1)], l[i], labelEscapes.Replace(l[i+1]))
	}
	if len(l) > 0 {
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	b.WriteString(strconv.FormatFloat(value, 'f', -1, 64))
	f := e.by[name]
	f.samples = append(f.samples, b.String())
}

// truth adds a sample of 0 or 1.
func (e *exposition) truth(name string, value bool, l labels) {
	n := 0.0
	if value {
		n = 1
	}
	e.add(name, n, l)
}

// String is the text: families in their order, those without samples left out.
func (e *exposition) String() string {
	var b strings.Builder
	for _, f := range e.families {
		if len(f.samples) == 0 {
			continue
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		for _, s := range f.samples {
			b.WriteString(s)
			b.WriteByte('\n')
		}
	}
	return b.String()
}
