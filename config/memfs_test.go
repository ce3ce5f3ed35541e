package config

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
)

// memFS is a file system in memory that fails or loses power at a chosen step.
// What a program sees (the page cache) and what would be there after a power
// cut (the platter) are kept apart: data is safe after Sync, names after
// SyncDir.
type memFS struct {
	seen  map[string]*memFile // by path
	safe  map[string]*memFile // names on the platter
	steps int                 // steps done
	// stop is the step that is not done any more; bytes is how many bytes of it
	// are, where it writes. -1 never stops.
	stop, bytes int
	dead        bool  // after stop nothing is done: the process is gone
	fail        error // not nil: the step fails with it and the process lives on
	order       []nameChange
	writes      map[int]int // step -> bytes it wrote, to enumerate kill points
}

type memFile struct {
	seen, safe []byte
	synced     bool
}

// nameChange is a change of a folder that is not on the platter yet.
type nameChange struct {
	path string
	file *memFile // nil: removed
}

var errDead = errors.New("killed here")

func newMemFS() *memFS {
	return &memFS{seen: map[string]*memFile{}, safe: map[string]*memFile{}, stop: -1, writes: map[int]int{}}
}

// step counts a step and says whether it is to be done.
func (m *memFS) step() error {
	if m.dead {
		return errDead
	}
	m.steps++
	if m.steps-1 != m.stop {
		return nil
	}
	if m.fail != nil {
		return m.fail
	}
	m.dead = true
	return errDead
}

func (m *memFS) ReadFile(name string) ([]byte, error) {
	if m.dead {
		return nil, errDead
	}
	f := m.seen[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(f.seen), nil
}

func (m *memFS) ReadDir(dir string) ([]string, error) {
	var l []string
	for name := range m.seen {
		if filepath.Dir(name) == dir {
			l = append(l, filepath.Base(name))
		}
	}
	slices.Sort(l)
	return l, nil
}

func (m *memFS) MkdirAll(string) error { return nil }

func (m *memFS) set(path string, f *memFile) {
	if f == nil {
		delete(m.seen, path)
	} else {
		m.seen[path] = f
	}
	m.order = append(m.order, nameChange{path, f})
}

func (m *memFS) Create(name string, _ fs.FileMode, _ string) (file, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	f := &memFile{}
	m.set(name, f)
	return &memHandle{m, f}, nil
}

func (m *memFS) Rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	f := m.seen[from]
	if f == nil {
		return fs.ErrNotExist
	}
	m.set(to, f)
	m.set(from, nil)
	return nil
}

func (m *memFS) Remove(name string) error {
	if err := m.step(); err != nil {
		return err
	}
	if m.seen[name] == nil {
		return fs.ErrNotExist
	}
	m.set(name, nil)
	return nil
}

func (m *memFS) SyncDir(dir string) error {
	if err := m.step(); err != nil {
		return err
	}
	m.order = slices.DeleteFunc(m.order, func(c nameChange) bool {
		if filepath.Dir(c.path) != dir {
			return false
		}
		m.safe[c.path] = c.file
		return true
	})
	return nil
}

type memHandle struct {
	m *memFS
	f *memFile
}

func (h *memHandle) Write(b []byte) (int, error) {
	h.m.writes[h.m.steps] = len(b)
	if err := h.m.step(); err != nil {
		n := 0
		if h.m.steps-1 == h.m.stop {
			n = min(h.m.bytes, len(b))
			h.f.seen = append(h.f.seen, b[:n]...)
		}
		return n, err
	}
	h.f.seen = append(h.f.seen, b...)
	return len(b), nil
}

func (h *memHandle) Sync() error {
	if err := h.m.step(); err != nil {
		return err
	}
	h.f.safe, h.f.synced = slices.Clone(h.f.seen), true
	return nil
}

func (h *memHandle) Close() error {
	if h.m.dead {
		return errDead
	}
	return nil
}

// How a crash is.
const (
	crashKill   = iota // the process dies: everything it did is there
	crashPower         // the power goes: what was not synced is lost
	crashNames         // the power goes: all names are there, data that was not synced is not
	crashRandom        // the power goes: any of it
)

// after returns the file system that the next start finds.
func (m *memFS) after(crash int, rnd *rand.Rand) *memFS {
	n := newMemFS()
	names := maps.Clone(m.safe)
	switch crash {
	case crashKill, crashNames:
		names = m.seen
	case crashRandom:
		for _, c := range m.order { // each may have got there before the others
			if rnd.IntN(2) == 0 {
				names[c.path] = c.file
			}
		}
	}
	for path, f := range names {
		if f == nil {
			continue
		}
		data := f.safe
		switch {
		case crash == crashKill:
			data = f.seen
		case crash == crashRandom && !f.synced && len(f.seen) > 0:
			data = slices.Clone(f.seen[:rnd.IntN(len(f.seen)+1)])
			if rnd.IntN(3) == 0 { // blocks that were never written read as zeros
				for i := range data {
					data[i] = 0
				}
			}
		}
		g := &memFile{seen: slices.Clone(data), safe: slices.Clone(data), synced: true}
		n.seen[path], n.safe[path] = g, g
	}
	return n
}

// put makes a file that is on the platter.
func (m *memFS) put(path, data string) {
	f := &memFile{seen: []byte(data), safe: []byte(data), synced: true}
	m.seen[path], m.safe[path] = f, f
}

func (m *memFS) text(path string) string {
	if f := m.seen[path]; f != nil {
		return string(f.seen)
	}
	return "(no file)"
}

func (m *memFS) tree() string {
	var l []string
	for name, f := range m.seen {
		l = append(l, name+": "+string(f.seen))
	}
	slices.Sort(l)
	return strings.Join(l, "\n")
}
