package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// keepRevisions is how many revisions are kept.
const keepRevisions = 50

// Meta says who changed the configuration, and by what.
type Meta struct {
	Who  string `json:"who"`  // "alice (uid 1000)", "vhub"
	What string `json:"what"` // "port add tap lan", "edited by hand"
}

// Revision is one version of the file that was in force.
type Revision struct {
	Number int       `json:"number"` // from 1, never used twice
	Time   time.Time `json:"time"`
	Meta
	Bytes int    `json:"bytes"`
	Sum   string `json:"sha256"`
}

// log is the folder of revisions:
//
//	000123.hcl        the file's content
//	000123.json       its Revision: this one was in force
//	000123.prepared   its Revision, before the content is in its place
//
// A revision is prepared (content, then .prepared), the configuration file is
// put in its place, and the revision is marked as in force by a rename. After a
// crash in between, the configuration file says which it is.
type log struct {
	fs  files
	dir string
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func (l *log) name(n int, ext string) string {
	return filepath.Join(l.dir, fmt.Sprintf("%06d.%s", n, ext))
}

// list returns the revisions in force, oldest first, and the prepared ones.
// What does not read as a revision is left alone.
func (l *log) list() (inForce, prepared []Revision, err error) {
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		var n int
		base, ext, _ := strings.Cut(e, ".")
		if ext != "json" && ext != "prepared" {
			continue
		}
		if _, err := fmt.Sscanf(base, "%d", &n); err != nil || filepath.Base(l.name(n, ext)) != e {
			continue
		}
		b, err := l.fs.ReadFile(l.name(n, ext))
		if err != nil {
			return nil, nil, err
		}
		var r Revision
		if json.Unmarshal(b, &r) != nil || r.Number != n {
			continue
		}
		if ext == "json" {
			inForce = append(inForce, r)
		} else {
			prepared = append(prepared, r)
		}
	}
	return inForce, prepared, nil
}

// content returns the file as it was at a revision.
func (l *log) content(r Revision) ([]byte, error) {
	b, err := l.fs.ReadFile(l.name(r.Number, "hcl"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && sum(b) != r.Sum {
		return nil, fmt.Errorf("revision %d is damaged on disk (%s)", r.Number, l.name(r.Number, "hcl"))
	}
	return b, err
}

// prepare writes a revision that is not in force yet.
func (l *log) prepare(r Revision, src []byte) error {
	if err := writeWhole(l.fs, l.name(r.Number, "hcl"), src, 0o600); err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeWhole(l.fs, l.name(r.Number, "prepared"), append(b, '\n'), 0o600)
}

// enforce marks a prepared revision as in force.
func (l *log) enforce(n int) error {
	if err := l.fs.Rename(l.name(n, "prepared"), l.name(n, "json")); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// drop forgets a revision.
func (l *log) drop(n int) error {
	var first error
	for _, ext := range []string{"prepared", "json", "hcl"} {
		if err := l.fs.Remove(l.name(n, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) && first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	return l.fs.SyncDir(l.dir)
}
