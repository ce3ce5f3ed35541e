package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// files is the little of a file system that the store needs. The tests put one
// there that fails or loses power at every step.
type files interface {
	ReadFile(name string) ([]byte, error)
	ReadDir(dir string) ([]string, error) // names, sorted
	MkdirAll(dir string) error
	// Create makes a file or empties it, with the owner and mode of like where
	// that exists, else with mode perm.
	Create(name string, perm fs.FileMode, like string) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	SyncDir(dir string) error
}

// file is a file being written.
type file interface {
	Write(b []byte) (int, error)
	Sync() error
	Close() error
}

// writeWhole makes name hold data so that a crash at any moment, of the process
// or of the machine, leaves either the old content or the new, whole: a
// temporary file in the same folder, fsync, rename, fsync of the folder.
func writeWhole(fsys files, name string, data []byte, perm fs.FileMode) error {
	tmp := tempName(name)
	f, err := fsys.Create(tmp, perm, name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = fsys.Rename(tmp, name)
	}
	if err != nil {
		fsys.Remove(tmp) // best effort: a left-over is overwritten next time
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// tempName is the temporary file of name: always the same, so that a crash
// leaves at most one behind.
func tempName(name string) string {
	return filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
}

// disk is the real file system.
type disk struct{}

func (disk) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

func (disk) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (disk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (disk) Create(name string, perm fs.FileMode, like string) (file, error) {
	st, err := os.Stat(like)
	if err == nil {
		perm = st.Mode().Perm()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// A new file and no link that somebody left under the name.
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if st != nil {
		if s, ok := st.Sys().(*syscall.Stat_t); ok {
			f.Chown(int(s.Uid), int(s.Gid)) // only root can; another keeps its own files anyway
		}
	}
	if err := f.Chmod(perm); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (disk) Rename(from, to string) error { return os.Rename(from, to) }
func (disk) Remove(name string) error     { return os.Remove(name) }

func (disk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
