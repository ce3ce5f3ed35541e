package config

import (
	"errors"
	"fmt"
	"time"
)

// Proposal is a change that was checked and not made yet.
type Proposal struct {
	Old, New *Config
	Source   []byte   // of New
	Changes  []Change // Diff(Old, New)
	// HandEdited tells that the file was edited by hand since it was read:
	// the proposal is made on top of that, and the caller should say so.
	HandEdited bool

	base   string // sum of the file it was made on; "" for no file
	onDisk []byte // the file it was made on, nil for none
}

// errMoved is for a proposal that is committed too late.
var errMoved = errors.New("the configuration was changed by somebody else meanwhile; nothing was done, try again")

// Propose makes a change by edits, on the file as it is on disk now. A file that
// somebody has broken by hand meanwhile is an error.
func (s *Store) Propose(edits ...Edit) (*Proposal, error) {
	p, err := s.propose(func(src []byte) ([]byte, error) {
		src, _, err := Apply(s.shown, src, edits...)
		return src, err
	})
	if list, ok := err.(Errors); ok { // secret files: the lines that name them are not in the file yet
		for _, e := range list {
			e.Pos = Pos{}
		}
	}
	return p, err
}

// ProposeSource makes a change to a whole new file ("config apply"). What was
// edited by hand since the last read is replaced too, and kept as a revision.
func (s *Store) ProposeSource(src []byte) (*Proposal, error) {
	return s.propose(func([]byte) ([]byte, error) { return src, nil })
}

// ProposeReload takes the file as it is on disk (SIGHUP).
func (s *Store) ProposeReload() (*Proposal, error) {
	return s.propose(func(src []byte) ([]byte, error) { return src, nil })
}

// ProposeRollback makes a change to the file as it was at a revision.
func (s *Store) ProposeRollback(number int) (*Proposal, error) {
	return s.propose(func([]byte) ([]byte, error) { return s.revision(number) })
}

func (s *Store) propose(change func([]byte) ([]byte, error)) (*Proposal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	onDisk, err := s.read()
	if err != nil {
		return nil, err
	}
	p := &Proposal{Old: s.current, onDisk: onDisk}
	base := s.src // of a file that was removed we know the content
	if onDisk != nil {
		base, p.base = onDisk, sum(onDisk)
		p.HandEdited = !s.exists || p.base != s.sum
	}
	if p.Source, err = change(base); err != nil {
		if p.HandEdited {
			return nil, fmt.Errorf("the file was edited by hand since it was read: %w", err)
		}
		return nil, err
	}
	if p.New, err = s.parse(p.Source); err != nil {
		return nil, err
	}
	p.Changes = Diff(p.Old, p.New)
	return p, nil
}

// Commit writes a proposal to disk. When it returns an error the file is as it
// was; else the proposal is in force and survives a power cut. It refuses while
// another change waits for its confirmation, and when the file is no longer the
// one the proposal was made on. A proposal that changes no byte makes no
// revision; the newest one is returned.
func (s *Store) Commit(now time.Time, p *Proposal, m Meta) (Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commit(now, p, m, 0)
}

// commit writes a proposal, to be confirmed within a time when that is not 0.
func (s *Store) commit(now time.Time, p *Proposal, m Meta, within time.Duration) (Revision, error) {
	if s.wait != nil {
		return Revision{}, fmt.Errorf("revision %d waits for its confirmation until %s: confirm it, or roll back, first",
			s.wait.Revision, s.wait.Deadline.Format(time.TimeOnly))
	}
	if err := s.unmoved(p); err != nil {
		return Revision{}, err
	}
	// What is to be replaced must be in the history: to go back to, and so that
	// no hand's work is lost.
	before := p.onDisk
	if before == nil {
		before = s.src
	}
	if sum(before) != s.last.Sum {
		from := Meta{"unknown", "edited outside vhub"}
		if p.onDisk == nil {
			from = Meta{"vhub", "the built-in configuration"}
		}
		if err := s.record(now, before, from); err != nil {
			return Revision{}, fmt.Errorf("nothing was changed: %w", err)
		}
	}
	if s.running == 0 {
		s.running = s.last.Number
	}
	r, wait, err := s.put(now, p, m, within)
	if err != nil {
		return Revision{}, fmt.Errorf("nothing was changed: %w", err)
	}
	s.current, s.src, s.sum, s.exists = p.New, p.Source, r.Sum, true
	s.last, s.running, s.wait = r, r.Number, wait
	s.prune()
	return r, nil
}

func (s *Store) unmoved(p *Proposal) error {
	onDisk, err := s.read()
	if err != nil {
		return err
	}
	if (onDisk == nil) != (p.onDisk == nil) || onDisk != nil && sum(onDisk) != p.base || p.Old != s.current {
		return errMoved
	}
	return nil
}

// put brings the new content in its place. On an error everything is as before,
// as far as the disk still lets us say so; after a crash settle and restore do
// the rest.
func (s *Store) put(now time.Time, p *Proposal, m Meta, within time.Duration) (Revision, *confirmation, error) {
	r := Revision{s.last.Number + 1, now.UTC(), m, len(p.Source), sum(p.Source)}
	if p.onDisk != nil && p.base == r.Sum && within == 0 {
		return s.last, nil, nil // the file is so already, and so is the history
	}
	if err := s.log.prepare(r, p.Source); err != nil {
		s.log.drop(r.Number)
		return r, nil, err
	}
	var wait *confirmation
	if within > 0 {
		wait = &confirmation{Revision: r.Number, BackTo: s.running, Deadline: now.UTC().Add(within), Sum: r.Sum}
		if err := wait.write(s); err != nil {
			s.log.drop(r.Number)
			s.forget()
			return r, nil, err
		}
	}
	if err := writeWhole(s.fs, s.file, p.Source, 0o640); err != nil {
		s.undo(p)
		s.log.drop(r.Number)
		s.forget()
		return r, nil, err
	}
	// In force now, whatever happens to the mark: prune or the next start sets it.
	s.log.enforce(r.Number)
	return r, wait, nil
}

// undo puts the old content back where the last step, the fsync of the folder,
// failed after the rename.
func (s *Store) undo(p *Proposal) {
	now, err := s.read()
	if err != nil || now != nil && sum(now) != sum(p.Source) {
		return
	}
	if p.onDisk == nil {
		s.fs.Remove(s.file)
		return
	}
	writeWhole(s.fs, s.file, p.onDisk, 0o640)
}
