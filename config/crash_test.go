package config

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	memFile1 = "/etc/vhub/vhub.hcl"
	memState = "/var/lib/vhub"
)

var t0 = time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)

func noSecrets(*Config) error { return nil }

func openMem(m *memFS, now time.Time) (*Store, error) {
	return openStore(m, now, memFile1, memFile1, memState, noSecrets)
}

// script is what a daemon does with its store; each step is acknowledged when
// it returns nil. allowed tells which contents may be in the file when the
// step does not come to its end.
type script struct {
	name  string
	setup func(m *memFS)
	steps []func(s *Store) error
	// want is the file's content before the first step and after each; a change
	// that waits for confirmation is gone after a restart, so its content is
	// allowed while the process lives but not found by the next.
	want    []string
	restart []string // what the next start may find when that differs from want
}

const (
	fileA = "hub \"a\" {}\n"
	fileB = "hub \"a\" {\n  arp = \"relay\"\n}\n"
	fileC = "hub \"a\" {\n  arp = \"proxy\"\n}\n"
)

func setARP(mode string) func(s *Store) error {
	return func(s *Store) error {
		p, err := s.Propose(SetHub("a", Values{"arp": mode}, nil))
		if err != nil {
			return err
		}
		_, err = s.Commit(t0, p, Meta{"test", "arp " + mode})
		return err
	}
}

func tryARP(mode string) func(s *Store) error {
	return func(s *Store) error {
		p, err := s.Propose(SetHub("a", Values{"arp": mode}, nil))
		if err != nil {
			return err
		}
		_, err = s.CommitUnlessConfirmed(t0, p, Meta{"test", "try " + mode}, time.Minute)
		return err
	}
}

func confirm(s *Store) error {
	_, err := s.Confirm(t0.Add(time.Second))
	return err
}

func expire(s *Store) error {
	_, err := s.Advance(s.Deadline())
	return err
}

func scripts() []script {
	return []script{
		{"first file", func(*memFS) {},
			[]func(*Store) error{func(s *Store) error {
				p, err := s.ProposeSource([]byte(fileA))
				if err != nil {
					return err
				}
				_, err = s.Commit(t0, p, Meta{"test", "apply"})
				return err
			}}, []string{"(no file)", fileA}, nil},
		{"two changes", func(m *memFS) { m.put(memFile1, fileA) },
			[]func(*Store) error{setARP("relay"), setARP("proxy")}, []string{fileA, fileB, fileC}, nil},
		{"tried and confirmed", func(m *memFS) { m.put(memFile1, fileB) },
			[]func(*Store) error{tryARP("proxy"), confirm}, []string{fileB, fileC, fileC}, []string{fileB, fileB, fileC}},
		{"tried and expired", func(m *memFS) { m.put(memFile1, fileB) },
			[]func(*Store) error{tryARP("proxy"), expire}, []string{fileB, fileC, fileB}, []string{fileB, fileB, fileB}},
	}
}

// run does the script on m and returns how many steps were acknowledged, -1
// when not even the store opened.
func (sc *script) run(m *memFS) (acknowledged int, err error) {
	s, err := openMem(m, t0)
	if err != nil {
		return -1, err
	}
	for i, step := range sc.steps {
		if err := step(s); err != nil {
			return i, err
		}
	}
	return len(sc.steps), nil
}

// Killed or cut off at every step and at every byte written, in four ways: the
// next start finds the file whole, and it is the last acknowledged one or the
// one that was being acknowledged; the history is whole, and changes go on.
func TestCrashAtEveryStep(t *testing.T) {
	points := 0
	for _, sc := range scripts() {
		t.Run(sc.name, func(t *testing.T) {
			whole := newMemFS()
			sc.setup(whole)
			if n, err := sc.run(whole); err != nil || n != len(sc.steps) {
				t.Fatalf("without a crash: %d, %v", n, err)
			}
			if got := whole.text(memFile1); got != sc.want[len(sc.want)-1] {
				t.Fatalf("without a crash the file is\n%s", got)
			}
			for stop := range whole.steps + 1 {
				for bytes := range whole.writes[stop] + 1 {
					for crash := crashKill; crash <= crashRandom; crash++ {
						if bytes > 0 && (crash == crashPower || crash == crashNames || crash == crashRandom && bytes%8 != 0) {
							continue // they lose the bytes, however many
						}
						points++
						sc.crash(t, stop, bytes, crash)
					}
				}
			}
		})
	}
	t.Logf("%d kill points", points)
	if points < 1000 {
		t.Errorf("only %d kill points", points)
	}
}

func (sc *script) crash(t *testing.T, stop, bytes, crash int) {
	t.Helper()
	m := newMemFS()
	sc.setup(m)
	m.stop, m.bytes = stop, bytes
	done, err := sc.run(m)
	if err == nil && done != len(sc.steps) {
		t.Fatalf("step %d: not stopped", stop)
	}
	where := fmt.Sprintf("step %d byte %d crash %d after %d acknowledged", stop, bytes, crash, done)
	m = m.after(crash, rand.New(rand.NewPCG(uint64(stop), uint64(bytes))))

	// A second crash while the next start cleans up does no harm either.
	m.stop = stop % 7
	if _, err := openMem(m, t0); err != nil && !m.dead {
		t.Fatalf("%s: the start in between: %v\n%s", where, err, m.tree())
	}
	m = m.after(crash, rand.New(rand.NewPCG(uint64(bytes), uint64(stop))))

	s, err := openMem(m, t0)
	if err != nil {
		t.Fatalf("%s: the next start: %v\n%s", where, err, m.tree())
	}
	found := sc.want
	if sc.restart != nil {
		found = sc.restart
	}
	done = max(done, 0)
	got := m.text(memFile1)
	if got != found[done] && (done == len(sc.steps) || got != found[done+1]) {
		t.Fatalf("%s: the file is\n%s", where, m.tree())
	}
	checkHistory(t, where, s, m)
	never := ""
	if done < len(sc.steps) && sc.restart == nil && got == found[done] {
		never = found[done+1]
	}

	// And life goes on.
	p, err := s.ProposeSource([]byte("hub \"z\" {}\n"))
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if _, err := s.Commit(t0, p, Meta{"test", "after"}); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	s, err = openMem(m.after(crashPower, nil), t0)
	if err != nil || s.Current().Hub("z") == nil {
		t.Fatalf("%s: what was acknowledged after the crash is lost: %v\n%s", where, err, m.tree())
	}
	l, _ := s.History()
	for _, r := range l {
		if b, _ := s.Revision(r.Number); never != "" && string(b) == never {
			t.Fatalf("%s: revision %d was never in force\n%s", where, r.Number, m.tree())
		}
	}
}

// checkHistory: numbers ascend, contents are whole, the last is the file's.
func checkHistory(t *testing.T, where string, s *Store, m *memFS) {
	t.Helper()
	l, err := s.History()
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if s.IsDefault() {
		return
	}
	if len(l) == 0 {
		t.Fatalf("%s: no history", where)
	}
	for i, r := range l {
		b, err := s.Revision(r.Number)
		if err != nil || len(b) != r.Bytes || i > 0 && l[i-1].Number >= r.Number {
			t.Fatalf("%s: revision %d: %v\n%s", where, r.Number, err, m.tree())
		}
		if i == len(l)-1 && string(b) != m.text(memFile1) {
			t.Fatalf("%s: the last revision is not the file\n%s", where, m.tree())
		}
	}
}

// A disk that is full or broken at any one step: the change is refused and the
// file is as it was, or it is acknowledged and the file is the new one.
func TestDiskFailsAtEveryStep(t *testing.T) {
	for _, sc := range scripts() {
		t.Run(sc.name, func(t *testing.T) {
			whole := newMemFS()
			sc.setup(whole)
			sc.run(whole)
			for stop := range whole.steps {
				m := newMemFS()
				sc.setup(m)
				m.stop, m.fail = stop, fmt.Errorf("no space left on device")
				s, err := openMem(m, t0)
				if err != nil {
					continue // the daemon did not start, and says why
				}
				for i, step := range sc.steps {
					before, was := m.text(memFile1), s.Current()
					err := step(s)
					if err != nil && (m.text(memFile1) != before || s.Current() != was) {
						t.Fatalf("fault at %d: step %d failed (%v) and changed the file from\n%s\nto\n%s", stop, i, err, before, m.text(memFile1))
					}
					if err != nil { // the disk is well again
						if err := step(s); err != nil {
							t.Fatalf("fault at %d: step %d again: %v\n%s", stop, i, err, m.tree())
						}
					}
					if m.text(memFile1) != sc.want[i+1] || string(s.Source()) != sc.want[i+1] {
						t.Fatalf("fault at %d: step %d was acknowledged, and the file is\n%s", stop, i, m.text(memFile1))
					}
				}
				s, err = openMem(m.after(crashKill, nil), t0)
				if err != nil {
					t.Fatalf("fault at %d: the next start: %v\n%s", stop, err, m.tree())
				}
				checkHistory(t, fmt.Sprintf("fault at %d", stop), s, m)
			}
		})
	}
}
