// Package interop keeps what tests with real peers have shown, and writes it to
// docs/interop.md: one table a peer, one line a cell.
//
// A test calls Record for each cell that it ran. Several test programs (packages)
// add to one file under the build folder; the last one to end writes the document.
// It differs from the one before only where a result differs, and in the line with
// the date, which changes only with them.
package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Result is what a cell came to.
type Result struct {
	Peer    string `json:"peer"`    // "strongSwan"
	Version string `json:"version"` // "5.9.8", as the peer itself says
	Role    string `json:"role"`    // of vhub: "responder", "initiator", "either"
	Cell    string `json:"cell"`    // "main mode, raw ESP, aes128gcm16"
	Result  string `json:"result"`  // "passed", or figures that stay the same from run to run
}

func (r Result) key() string { return r.Peer + "\x00" + r.Role + "\x00" + r.Cell }

// T is what Record needs of a test.
type T interface {
	Helper()
	Failed() bool
	Cleanup(func())
	Logf(format string, args ...any)
}

// Record notes a cell when the test ends without failure; a failed test leaves
// the cell as it was shown last. The result should not change without a reason:
// no times, no rates.
func Record(t T, peer, version, role, cell, result string) {
	t.Helper()
	r := Result{peer, version, role, cell, result}
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if err := add(root(), time.Now(), r); err != nil {
			t.Logf("interop: %v", err)
		}
	})
}

// root is the folder of the module that the test runs in; "" outside of one.
func root() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

const (
	store    = "bin/interop.json" // collected, not in git
	document = "docs/interop.md"
)

var mu sync.Mutex

// add merges one result into the store and writes the document.
func add(dir string, now time.Time, r Result) error {
	if dir == "" {
		return errors.New("no module here, the result is not kept")
	}
	mu.Lock()
	defer mu.Unlock()
	if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(store)), 0o755); err != nil {
		return readOnlyIsFine(err)
	}
	// Test programs of several packages run at once.
	lock, err := os.OpenFile(filepath.Join(dir, store+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return readOnlyIsFine(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	all, err := load(dir)
	if err != nil {
		return err
	}
	all[r.key()] = r
	return readOnlyIsFine(errors.Join(save(dir, all), write(dir, now, all)))
}

// readOnlyIsFine: a tree that cannot be written, as in CI, keeps no results.
func readOnlyIsFine(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return nil
	}
	return err
}

// load reads what was collected. Without a store it begins with what the document
// says, so that running one test does not forget the others.
func load(dir string) (map[string]Result, error) {
	all := map[string]Result{}
	raw, err := os.ReadFile(filepath.Join(dir, store))
	if errors.Is(err, fs.ErrNotExist) {
		doc, err := os.ReadFile(filepath.Join(dir, document))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, r := range parse(string(doc)) {
			all[r.key()] = r
		}
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Result
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", store, err)
	}
	for _, r := range list {
		all[r.key()] = r
	}
	return all, nil
}

func save(dir string, all map[string]Result) error {
	raw, err := json.MarshalIndent(sorted(all), "", " ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, store), raw)
}

// write writes the document, unless it says the same already but for the date.
func write(dir string, now time.Time, all map[string]Result) error {
	name := filepath.Join(dir, document)
	have, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	body := render(all)
	if dated, ok := bytes.CutPrefix(have, []byte(head)); ok {
		if _, rest, ok := bytes.Cut(dated, []byte("\n\n")); ok && string(rest) == body {
			return nil
		}
	}
	return replace(name, []byte(head+now.UTC().Format(time.DateOnly)+"\n\n"+body))
}

// replace writes a file whole or not at all.
func replace(name string, raw []byte) error {
	if err := os.WriteFile(name+".tmp", raw, 0o644); err != nil {
		return err
	}
	return os.Rename(name+".tmp", name)
}

const (
	head = "# What was tried with real peers\n\n<!-- Made by the tests in lab (internal/interop): do not edit. -->\n\n" +
		"Each line was run as it stands: with the peer's own program of this version, in namespaces and user-mode-linux guests. \"Role\" is vhub's.\n\nDate: "
	columns = "| role | case | result |\n|---|---|---|\n"
)

// render writes the tables, one for each peer and version.
func render(all map[string]Result) string {
	var b strings.Builder
	title := ""
	for _, r := range sorted(all) {
		if t := r.Peer + " " + r.Version; t != title {
			if title != "" {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "## %s\n\n%s", t, columns)
			title = t
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", escape(r.Role), escape(r.Cell), escape(r.Result))
	}
	return b.String()
}

func escape(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// versionAt is where the version begins in a title: it may be of several
// programs, "5.9.8, 1.3.18, 2.4.9", or a word.
var versionAt = regexp.MustCompile(` [0-9]`)

// parse is the opposite of render.
func parse(doc string) []Result {
	var list []Result
	peer, version := "", ""
	for line := range strings.Lines(doc) {
		line = strings.TrimRight(line, "\n")
		if title, ok := strings.CutPrefix(line, "## "); ok {
			i := strings.LastIndexByte(title, ' ')
			if m := versionAt.FindStringIndex(title); m != nil {
				i = m[0]
			}
			peer, version = title[:max(i, 0)], title[i+1:]
			continue
		}
		fields := strings.Split(strings.ReplaceAll(line, "\\|", "\x00"), " | ")
		if peer == "" || len(fields) != 3 || !strings.HasPrefix(line, "| ") || line == strings.SplitN(columns, "\n", 2)[0] {
			continue
		}
		for i := range fields {
			fields[i] = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(fields[i], "| "), " |"), "\x00", "|")
		}
		list = append(list, Result{peer, version, fields[0], fields[1], fields[2]})
	}
	return list
}

func sorted(all map[string]Result) []Result {
	return slices.SortedFunc(maps.Values(all), func(a, b Result) int {
		return strings.Compare(a.Peer+"\x00"+a.Version+"\x00"+a.Role+"\x00"+a.Cell, b.Peer+"\x00"+b.Version+"\x00"+b.Role+"\x00"+b.Cell)
	})
}
