// Package text is how vhub writes for people: aligned tables, sizes, ages.
// Programs are given JSON instead.
package text

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Width is the width in characters that text is made for: that of a terminal
// nobody made wider.
const Width = 80

// Table writes rows under a header, columns aligned with two spaces between;
// columns whose cells are all numbers or sizes stand right. A column without
// anything in it is left out. Without rows it writes nothing.
func Table(w io.Writer, header []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	header, rows = withoutEmpty(header, rows)
	width := make([]int, len(header))
	right := make([]bool, len(header))
	for c := range header {
		width[c], right[c] = utf8.RuneCountInString(header[c]), true
		for _, row := range rows {
			width[c] = max(width[c], utf8.RuneCountInString(row[c]))
			right[c] = right[c] && isNumber(row[c])
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{header}, rows...) {
		var line strings.Builder
		for c, cell := range row {
			pad := strings.Repeat(" ", width[c]-utf8.RuneCountInString(cell))
			if right[c] {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(cell + pad + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// withoutEmpty leaves the columns out in which no row has anything.
func withoutEmpty(header []string, rows [][]string) ([]string, [][]string) {
	var keep []int
	for c := range header {
		if slices.ContainsFunc(rows, func(row []string) bool { return row[c] != "" }) {
			keep = append(keep, c)
		}
	}
	pick := func(row []string) []string {
		var kept []string
		for _, c := range keep {
			kept = append(kept, row[c])
		}
		return kept
	}
	var kept [][]string
	for _, row := range rows {
		kept = append(kept, pick(row))
	}
	return pick(header), kept
}

// isNumber tells a cell that should stand right: "", "-", or a digit first.
func isNumber(s string) bool {
	if s == "" || s == "-" {
		return true
	}
	number, unit, _ := strings.Cut(s, " ")
	number = strings.ReplaceAll(number, ",", "")
	_, err := strconv.ParseFloat(number, 64)
	return err == nil && len(unit) <= 2
}

// Pair is one line of a list of facts.
type Pair struct{ Name, Value string }

// Pairs writes facts one a line, indented, values aligned; those without a
// value are left out, and long ones go on in the next line.
func Pairs(w io.Writer, indent string, pairs []Pair) error {
	width := 0
	for _, p := range pairs {
		if p.Value != "" {
			width = max(width, utf8.RuneCountInString(p.Name))
		}
	}
	var b strings.Builder
	for _, p := range pairs {
		if p.Value == "" {
			continue
		}
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(p.Name))
		column := utf8.RuneCountInString(indent) + width + 2
		fmt.Fprintf(&b, "%s%s%s  %s\n", indent, p.Name, pad, wrap(p.Value, column, Width, true))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Wrap breaks a text that begins in a column at spaces, so that no line is
// wider than width where that can be; its further lines begin in the same column.
func Wrap(s string, column, width int) string { return wrap(s, column, width, false) }

// Reflow fills the lines of each paragraph anew; a paragraph with an indented
// line is left as it is.
func Reflow(s string, width int) string {
	paragraphs := strings.Split(s, "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, " ") && !strings.Contains(p, "\n ") {
			paragraphs[i] = Wrap(strings.Join(strings.Fields(p), " "), 0, width)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// wrap is Wrap; a list is broken after a comma where that can be.
func wrap(s string, column, width int, list bool) string {
	var lines []string
	for room := max(width-column, 20); ; {
		at := breakAt(s, room, list)
		if at < 0 {
			return strings.Join(append(lines, s), "\n"+strings.Repeat(" ", column))
		}
		lines = append(lines, strings.TrimRight(s[:at], " "))
		s = strings.TrimLeft(s[at:], " ")
	}
}

// breakAt finds the last space before the room is full, in a list one after a comma if
// that leaves no line half empty, or the first one after it; -1: the text fits, or
// cannot be broken.
func breakAt(s string, room int, list bool) int {
	if utf8.RuneCountInString(s) <= room {
		return -1
	}
	last, comma, n := -1, -1, 0
	for i, r := range s {
		if r == ' ' && i > 0 {
			last = i
			if list && s[i-1] == ',' && n >= room/2 {
				comma = i
			}
		}
		if n++; n > room && last >= 0 {
			break
		}
	}
	if comma >= 0 {
		return comma
	}
	return last
}

// Bytes writes a size in decimal units with three digits: 999 B, 1.21 GB.
func Bytes(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10) + " B"
	}
	x, unit := float64(n), -1
	for x >= 999.5 && unit < len("kMGTPE")-1 {
		x /= 1000
		unit++
	}
	digits := 2
	switch {
	case x >= 99.95:
		digits = 0
	case x >= 9.995:
		digits = 1
	}
	return strconv.FormatFloat(x, 'f', digits, 64) + " " + "kMGTPE"[unit:unit+1] + "B"
}

// Count writes a number with a comma between thousands: 1,234,567.
func Count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Age writes a length of time in at most two units: 320ms, 12s, 4m07s, 3h20m, 12d04h.
func Age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Seconds is Age of a number of seconds.
func Seconds(s float64) string { return Age(time.Duration(s * float64(time.Second))) }

// When writes a time in the local zone, to the second.
func When(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// Plural writes "1 port", "2 ports".
func Plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}
