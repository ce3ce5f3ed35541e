package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Store is the configuration file with its revisions. Its calls may be made by
// several goroutines at once.
//
// A change goes in two steps: a proposal is made and checked, which touches
// nothing; the daemon looks whether it can be applied; then it is committed,
// and when Commit returns without an error it survives a power cut.
type Store struct {
	mu        sync.Mutex
	fs        files
	file      string // the real file: links are followed, so that a rename keeps them
	shown     string // its name as the user gave it
	log       log
	state     string
	lock      *os.File
	current   *Config
	src       []byte
	sum       string // of src
	exists    bool   // src is on disk; false for the default that was never written
	wait      *confirmation
	last      Revision // the newest
	running   int      // the revision of src; 0 when it is none
	restored  *Revision
	checkKeys func(*Config) error
}

// OpenStore opens the configuration file, which need not exist (then the
// configuration is Default's, and becomes a file with the first change), and
// the state folder, which is made. now is for what it has to record.
//
// It cleans up after a crash: a change that was not acknowledged is there
// entirely or not at all, and one that waited for its confirmation is taken
// back (see Restored). A file that was edited by hand meanwhile becomes a
// revision of its own. A file that does not parse, or names a secret that
// cannot be used, is an error; nothing is changed then.
func OpenStore(now time.Time, file, state string) (*Store, error) {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		real = file // not there yet, or reading it says why
	}
	if err := (disk{}).MkdirAll(filepath.Join(state, "revisions")); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	lock, err := lockState(state)
	if err != nil {
		return nil, err
	}
	s, err := openStore(disk{}, now, real, file, state, CheckSecrets)
	if err != nil {
		lock.Close()
		return nil, err
	}
	s.lock = lock
	return s, nil
}

// lockState keeps a second daemon out of the state folder.
func lockState(state string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(state, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("state folder %s is in use by another vhub; give this one a folder of its own (--state)", state)
	}
	return f, nil
}

// openStore is OpenStore on any file system.
func openStore(fsys files, now time.Time, file, shown, state string, checkKeys func(*Config) error) (*Store, error) {
	s := &Store{fs: fsys, file: file, shown: shown, state: state, checkKeys: checkKeys,
		log: log{fsys, filepath.Join(state, "revisions")}}
	if err := fsys.MkdirAll(s.log.dir); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	src, err := s.read()
	if err != nil {
		return nil, err
	}
	if err := s.settle(src); err != nil {
		return nil, err
	}
	if back, err := s.restore(now, src); err != nil {
		return nil, err
	} else if back != nil {
		src = back
	}
	if src == nil {
		s.src, s.current = Default(shown)
		s.sum = sum(s.src)
		return s, nil
	}
	c, err := s.parse(src)
	if err != nil {
		return nil, err
	}
	s.src, s.sum, s.current, s.exists = src, sum(src), c, true
	if s.last.Sum != s.sum {
		what := "edited outside vhub"
		if s.last.Number == 0 {
			what = "found at the first start"
		}
		if err := s.record(now, src, Meta{"unknown", what}); err != nil {
			return nil, err
		}
	}
	s.running = s.last.Number
	return s, nil
}

// read returns the file's bytes, nil where there is none.
func (s *Store) read() ([]byte, error) {
	src, err := s.fs.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && src == nil {
		src = []byte{}
	}
	return src, err
}

func (s *Store) parse(src []byte) (*Config, error) {
	c, err := Parse(s.shown, src)
	if err != nil {
		return nil, err
	}
	return c, s.checkKeys(c)
}

// settle ends what a crash left half done: a prepared revision is in force when
// the file is its, else it never was.
func (s *Store) settle(src []byte) error {
	_, prepared, err := s.log.list()
	if err != nil {
		return err
	}
	for _, r := range prepared {
		if src != nil && sum(src) == r.Sum {
			err = s.log.enforce(r.Number)
		} else {
			err = s.log.drop(r.Number)
		}
		if err != nil {
			return err
		}
	}
	inForce, _, err := s.log.list()
	if len(inForce) > 0 {
		s.last = inForce[len(inForce)-1]
	}
	return err
}

// record makes a revision of what is in the file already.
func (s *Store) record(now time.Time, src []byte, m Meta) error {
	r := Revision{s.last.Number + 1, now.UTC(), m, len(src), sum(src)}
	if err := s.log.prepare(r, src); err != nil {
		return err
	}
	if err := s.log.enforce(r.Number); err != nil {
		return err
	}
	s.last = r
	s.prune()
	return nil
}

// prune drops revisions over the number kept, never one that a confirmation
// may go back to. What cannot be removed now is removed next time.
func (s *Store) prune() {
	inForce, prepared, err := s.log.list()
	if err != nil {
		return
	}
	for _, r := range prepared {
		if r.Number <= s.last.Number {
			s.log.enforce(r.Number) // its mark failed when it was made
		}
	}
	for len(inForce) > keepRevisions {
		if n := inForce[0].Number; n != s.running && (s.wait == nil || n != s.wait.BackTo) {
			s.log.drop(inForce[0].Number)
		}
		inForce = inForce[1:]
	}
}

// Close gives the state folder free.
func (s *Store) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// Current is the configuration in force.
func (s *Store) Current() *Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Source returns a copy of the bytes of the configuration in force.
func (s *Store) Source() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]byte{}, s.src...)
}

// IsDefault tells that there is no file yet, and Default's configuration is in
// force.
func (s *Store) IsDefault() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.exists
}

// History returns the revisions kept, oldest first; the last is in force, unless
// IsDefault.
func (s *Store) History() ([]Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inForce, _, err := s.log.list()
	return inForce, err
}

// Revision returns the file as it was at a revision.
func (s *Store) Revision(number int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision(number)
}

func (s *Store) revision(number int) ([]byte, error) {
	inForce, _, err := s.log.list()
	if err != nil {
		return nil, err
	}
	for _, r := range inForce {
		if r.Number == number {
			return s.log.content(r)
		}
	}
	if len(inForce) == 0 {
		return nil, fmt.Errorf("there is no revision %d: there are none yet", number)
	}
	return nil, fmt.Errorf("there is no revision %d: there are %d to %d", number, inForce[0].Number, inForce[len(inForce)-1].Number)
}
