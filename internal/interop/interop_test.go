package interop

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func day(n int) time.Time { return time.Date(2026, 1, n, 12, 0, 0, 0, time.UTC) }

func folder(t *testing.T) string {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, document))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var results = []Result{
	{"strongSwan", "5.9.8", "responder", "main mode | NAT", "passed"},
	{"vhub", "this", "either", "rekey", "0 lost"},
	{"strongSwan", "5.9.8", "responder", "aggressive mode", "passed"},
	{"strongSwan + xl2tpd + pppd", "5.9.8, 1.3.18, 2.4.9", "server", "login", "passed"},
}

func TestTheSameResultsMakeTheSameDocument(t *testing.T) {
	dir := folder(t)
	for _, r := range results {
		if err := add(dir, day(1), r); err != nil {
			t.Fatal(err)
		}
	}
	first := read(t, dir)
	for _, want := range []string{"Date: 2026-01-01\n", "## strongSwan 5.9.8\n", "| responder | main mode \\| NAT | passed |\n", "## vhub this\n"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	for _, r := range slices.Backward(results) {
		if err := add(dir, day(2), r); err != nil {
			t.Fatal(err)
		}
	}
	if again := read(t, dir); again != first {
		t.Errorf("the document changed without a change of results:\n%s", again)
	}
	changed := results[1]
	changed.Result = "1 lost"
	if err := add(dir, day(3), changed); err != nil {
		t.Fatal(err)
	}
	if third := read(t, dir); !strings.Contains(third, "Date: 2026-01-03\n") || !strings.Contains(third, "| 1 lost |") || strings.Contains(third, "| 0 lost |") {
		t.Errorf("a new result is not there:\n%s", third)
	}
}

func TestAFreshTreeKeepsWhatTheDocumentSays(t *testing.T) {
	dir := folder(t)
	for _, r := range results {
		if err := add(dir, day(1), r); err != nil {
			t.Fatal(err)
		}
	}
	before := read(t, dir)
	if err := os.RemoveAll(filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	if err := add(dir, day(2), results[0]); err != nil {
		t.Fatal(err)
	}
	if after := read(t, dir); after != before {
		t.Errorf("a run of one test changed the rest:\n%s", after)
	}
}

// world is a test that ends when told.
type world struct {
	testing.TB
	failed bool
	end    []func()
}

func (w *world) Helper()             {}
func (w *world) Failed() bool        { return w.failed }
func (w *world) Cleanup(f func())    { w.end = append(w.end, f) }
func (w *world) Logf(string, ...any) {}

func TestAFailedTestRecordsNothing(t *testing.T) {
	dir := folder(t)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, failed := range []bool{true, false} {
		w := &world{failed: failed}
		Record(w, "peer", "1", "responder", "case", "passed")
		for _, f := range w.end {
			f()
		}
		if _, err := os.Stat(filepath.Join(dir, document)); (err == nil) == failed {
			t.Errorf("failed %v: the document: %v", failed, err)
		}
	}
}

func TestATreeThatCannotBeWrittenIsNoError(t *testing.T) {
	for _, err := range []error{nil, syscall.EROFS, &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}} {
		if got := readOnlyIsFine(err); got != nil {
			t.Errorf("%v: %v", err, got)
		}
	}
	if readOnlyIsFine(syscall.ENOSPC) == nil {
		t.Error("a full disk is no error")
	}
}
