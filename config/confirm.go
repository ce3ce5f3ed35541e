package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// Bounds of the time to confirm a change.
const (
	MinConfirm = time.Second
	MaxConfirm = 24 * time.Hour
)

// confirmation is a change that is taken back unless somebody confirms it by
// the deadline. It is on disk before the change is.
//
//	none -- CommitUnlessConfirmed --> waiting -- Confirm ----------> none
//	                                     |----- Advance, deadline -> gone back -> none
//	                                     '----- restart -----------> gone back -> none
type confirmation struct {
	Revision int       `json:"revision"` // waits
	BackTo   int       `json:"back_to"`
	Deadline time.Time `json:"deadline"`
	Sum      string    `json:"sha256"` // of what waits
}

func (s *Store) confirmFile() string { return filepath.Join(s.state, "confirm.json") }

func (w *confirmation) write(s *Store) error {
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return writeWhole(s.fs, s.confirmFile(), append(b, '\n'), 0o600)
}

// forget removes the confirmation from disk.
func (s *Store) forget() error {
	err := s.fs.Remove(s.confirmFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.fs.SyncDir(s.state)
}

// CommitUnlessConfirmed is Commit of a change that Advance takes back at now +
// within unless Confirm comes first. A restart takes it back at once: who did
// not confirm may have been cut off by it.
func (s *Store) CommitUnlessConfirmed(now time.Time, p *Proposal, m Meta, within time.Duration) (Revision, error) {
	if within < MinConfirm || within > MaxConfirm {
		return Revision{}, fmt.Errorf("the time to confirm is %s: want %s..%s", durationText(within), durationText(MinConfirm), durationText(MaxConfirm))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commit(now, p, m, within)
}

// Confirm keeps the change that waits for it. After an error it still waits.
func (s *Store) Confirm(now time.Time) (Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wait == nil {
		return Revision{}, errors.New("no change waits for a confirmation")
	}
	if !now.Before(s.wait.Deadline) {
		return Revision{}, fmt.Errorf("too late: revision %d was to be confirmed by %s", s.wait.Revision, s.wait.Deadline.Format(time.TimeOnly))
	}
	if err := s.forget(); err != nil {
		return Revision{}, err
	}
	s.wait = nil
	return s.last, nil
}

// Deadline returns when a change that waits for its confirmation is taken back;
// the zero time when none waits.
func (s *Store) Deadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wait == nil {
		return time.Time{}
	}
	return s.wait.Deadline
}

// Advance takes a change back whose time has come. It returns what was done,
// committed already, for the daemon to apply; nil when nothing was to do. After
// an error the change waits a second more, for the next call.
func (s *Store) Advance(now time.Time) (*Proposal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wait == nil || now.Before(s.wait.Deadline) {
		return nil, nil
	}
	return s.goBack(now)
}

// GoBack takes a change that waits for its confirmation back before its time,
// like Advance.
func (s *Store) GoBack(now time.Time) (*Proposal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wait == nil {
		return nil, errors.New("no change waits for a confirmation")
	}
	return s.goBack(now)
}

func (s *Store) goBack(now time.Time) (*Proposal, error) {
	p, err := s.commitBack(now)
	if err != nil {
		s.wait.Deadline = now.Add(time.Second)
		return nil, fmt.Errorf("cannot go back to revision %d: %w", s.wait.BackTo, err)
	}
	return p, nil
}

// commitBack commits the revision from before the change that waits.
func (s *Store) commitBack(now time.Time) (*Proposal, error) {
	wait := s.wait
	src, err := s.revision(wait.BackTo)
	if err != nil {
		return nil, err
	}
	c, err := Parse(s.shown, src)
	if err != nil {
		return nil, err
	}
	onDisk, err := s.read()
	if err != nil {
		return nil, err
	}
	p := &Proposal{Old: s.current, New: c, Source: src, Changes: Diff(s.current, c), onDisk: onDisk}
	if onDisk != nil {
		p.base = sum(onDisk)
		p.HandEdited = p.base != s.sum
	}
	s.wait = nil
	if _, err := s.commit(now, p, wentBack(wait), 0); err != nil {
		s.wait = wait
		return nil, err
	}
	// Only now: had we crashed before, the next start would go back again.
	if err := s.forget(); err != nil {
		return p, nil // and the next start finds that it went back already
	}
	return p, nil
}

func wentBack(w *confirmation) Meta {
	return Meta{"vhub", fmt.Sprintf("went back to revision %d: revision %d was not confirmed", w.BackTo, w.Revision)}
}

// restore ends a confirmation that a crash or restart cut short: the change
// that waited is taken back. It returns the content that is in the file then,
// nil when it changed nothing.
func (s *Store) restore(now time.Time, src []byte) ([]byte, error) {
	b, err := s.fs.ReadFile(s.confirmFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var w confirmation
	if json.Unmarshal(b, &w) != nil || src == nil || sum(src) != w.Sum {
		return nil, s.forget() // the change was not made, is undone already, or somebody edited it since
	}
	back, err := s.revision(w.BackTo)
	if err != nil {
		return nil, fmt.Errorf("revision %d was not confirmed, and cannot be taken back: %w; remove %s to keep it", w.Revision, err, s.confirmFile())
	}
	if sum(back) != w.Sum {
		r := Revision{s.last.Number + 1, now.UTC(), wentBack(&w), len(back), sum(back)}
		if err := s.log.prepare(r, back); err != nil {
			return nil, err
		}
		if err := writeWhole(s.fs, s.file, back, 0o640); err != nil {
			return nil, err
		}
		if err := s.log.enforce(r.Number); err != nil {
			return nil, err
		}
		s.last, s.restored = r, &r
	}
	return back, s.forget()
}

// Restored returns the revision that OpenStore made when it took back a change
// nobody had confirmed; nil when it did not.
func (s *Store) Restored() *Revision { return s.restored }
