package config

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// folder is a configuration file and a state folder on the real disk.
func folder(t *testing.T, src string) (file, state string) {
	dir := t.TempDir()
	file, state = filepath.Join(dir, "vhub.hcl"), filepath.Join(dir, "state")
	if src != "" {
		write(t, file, src)
	}
	return file, state
}

func write(t *testing.T, file, src string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustOpen(t *testing.T, file, state string) *Store {
	t.Helper()
	s, err := OpenStore(t0, file, state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want one with %q", err, text)
	}
}

// history as one line: number, what.
func history(t *testing.T, s *Store) string {
	t.Helper()
	var l []string
	for _, r := range must[[]Revision](t)(s.History()) {
		l = append(l, fmt.Sprintf("%d %s", r.Number, r.What))
	}
	return strings.Join(l, ", ")
}

func TestStoreWithoutFile(t *testing.T) {
	file, state := folder(t, "")
	s := mustOpen(t, file, state)
	if !s.IsDefault() || s.Current().Hub("default").Port("lan").TAP.Interface != "vhub0" || history(t, s) != "" {
		t.Fatalf("default: %+v, history %q", s.Current(), history(t, s))
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the default is a file before anybody changed it")
	}
	p := must[*Proposal](t)(s.Propose(SetPort("", "lan", Values{"bridge": "br0"}, nil)))
	if p.HandEdited || len(p.Changes) != 1 || p.Changes[0].Attributes[0] != "bridge" {
		t.Errorf("proposal: %+v", p)
	}
	r := must[Revision](t)(s.Commit(t0, p, Meta{"alice", "port set lan"}))
	if r.Number != 2 || s.IsDefault() || history(t, s) != "1 the built-in configuration, 2 port set lan" {
		t.Errorf("revision %+v, history %s", r, history(t, s))
	}
	if got := read(t, file); !strings.HasPrefix(got, "# vhub's configuration") || !strings.Contains(got, "bridge    = \"br0\"") {
		t.Errorf("the file:\n%s", got)
	}
	// The default is in the history: one can go back to it.
	p = must[*Proposal](t)(s.ProposeRollback(1))
	must[Revision](t)(s.Commit(t0, p, Meta{"alice", "rollback 1"}))
	if read(t, file) != defaultSource {
		t.Errorf("the file:\n%s", read(t, file))
	}
	_, err := s.ProposeRollback(9)
	wantError(t, err, "there is no revision 9: there are 1 to 3")
}

func TestStoreHandEdits(t *testing.T) {
	file, state := folder(t, fileA)
	s := mustOpen(t, file, state)
	if got := history(t, s); got != "1 found at the first start" {
		t.Fatalf("history %s", got)
	}

	write(t, file, "# by hand\n"+fileB)
	p := must[*Proposal](t)(s.Propose(SetHub("a", Values{"mac_limit": "100"}, nil)))
	if !p.HandEdited || len(p.Changes) != 1 || strings.Join(p.Changes[0].Attributes, " ") != "arp mac_limit" {
		t.Errorf("the proposal does not tell of the hand's edit: %+v", p)
	}
	must[Revision](t)(s.Commit(t0, p, Meta{"alice", "hub set"}))
	if got := read(t, file); !strings.HasPrefix(got, "# by hand\n") || !strings.Contains(got, "mac_limit = 100") {
		t.Errorf("the file:\n%s", got)
	}
	if got := history(t, s); got != "1 found at the first start, 2 edited outside vhub, 3 hub set" {
		t.Errorf("history %s", got)
	}

	whole := read(t, file)
	write(t, file, "hub {")
	_, err := s.Propose(SetHub("a", nil, nil))
	wantError(t, err, "the file was edited by hand since it was read: "+file+":1: ")
	_, err = s.ProposeReload()
	wantError(t, err, file+":1: ")
	if read(t, file) != "hub {" || s.Current().Hub("a").MACLimit != 100 {
		t.Error("a broken file was touched, or taken")
	}
	// A whole new file replaces it, and keeps it in the history.
	must[Revision](t)(s.Commit(t0, must[*Proposal](t)(s.ProposeSource([]byte(whole))), Meta{"alice", "apply"}))
	if read(t, file) != whole || !strings.HasSuffix(history(t, s), "4 edited outside vhub, 5 apply") {
		t.Errorf("history %s, file\n%s", history(t, s), read(t, file))
	}

	// A reload takes the hand's work, and makes one revision of it.
	write(t, file, fileC)
	p = must[*Proposal](t)(s.ProposeReload())
	must[Revision](t)(s.Commit(t0, p, Meta{"vhub", "reload"}))
	if s.Current().Hub("a").ARP != "proxy" || !strings.HasSuffix(history(t, s), "5 apply, 6 edited outside vhub") {
		t.Errorf("history %s", history(t, s))
	}

	// The file changes between proposal and commit.
	p = must[*Proposal](t)(s.Propose(SetHub("a", Values{"arp": "relay"}, nil)))
	write(t, file, fileA)
	_, err = s.Commit(t0, p, Meta{})
	wantError(t, err, "changed by somebody else meanwhile")
	if read(t, file) != fileA {
		t.Error("the hand's work was overwritten")
	}
	// Two proposals on the same base: the second is refused.
	p1 := must[*Proposal](t)(s.Propose(SetHub("a", Values{"arp": "relay"}, nil)))
	p2 := must[*Proposal](t)(s.Propose(SetHub("a", Values{"arp": "proxy"}, nil)))
	must[Revision](t)(s.Commit(t0, p1, Meta{}))
	_, err = s.Commit(t0, p2, Meta{})
	wantError(t, err, "changed by somebody else meanwhile")

	// The file is removed by hand: the next change brings it back.
	os.Remove(file)
	p = must[*Proposal](t)(s.Propose(SetHub("a", Values{"arp": "proxy"}, nil)))
	must[Revision](t)(s.Commit(t0, p, Meta{"alice", "hub set"}))
	if read(t, file) != fileC {
		t.Errorf("the file:\n%s", read(t, file))
	}
}

func TestStoreKeepsFiftyRevisions(t *testing.T) {
	file, state := folder(t, fileA)
	s := mustOpen(t, file, state)
	for i := range 70 {
		p := must[*Proposal](t)(s.Propose(SetHub("a", Values{"mac_limit": fmt.Sprint(100 + i)}, nil)))
		must[Revision](t)(s.Commit(t0, p, Meta{"t", fmt.Sprint("change ", i)}))
	}
	l := must[[]Revision](t)(s.History())
	if len(l) != keepRevisions || l[0].Number != 22 || l[len(l)-1].Number != 71 {
		t.Errorf("%d revisions, %d to %d", len(l), l[0].Number, l[len(l)-1].Number)
	}
	names := must[[]string](t)(disk{}.ReadDir(filepath.Join(state, "revisions")))
	if len(names) != 2*keepRevisions {
		t.Errorf("%d files of revisions: %v", len(names), names)
	}
	st, _ := os.Stat(filepath.Join(state, "revisions", names[0]))
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	// A change that changes nothing is no revision.
	p := must[*Proposal](t)(s.Propose(SetHub("a", Values{"mac_limit": "169"}, nil)))
	if r := must[Revision](t)(s.Commit(t0, p, Meta{})); r.Number != 71 || len(p.Changes) != 0 {
		t.Errorf("revision %d, changes %v", r.Number, p.Changes)
	}
}

func TestConfirm(t *testing.T) {
	file, state := folder(t, fileA)
	s := mustOpen(t, file, state)
	try := func(mode string) {
		t.Helper()
		p := must[*Proposal](t)(s.Propose(SetHub("a", Values{"arp": mode}, nil)))
		must[Revision](t)(s.CommitUnlessConfirmed(t0, p, Meta{"alice", "try"}, time.Minute))
	}
	_, err := s.Confirm(t0)
	wantError(t, err, "no change waits")
	_, err = s.GoBack(t0)
	wantError(t, err, "no change waits")

	try("relay")
	if s.Deadline() != t0.Add(time.Minute) || read(t, file) != fileB {
		t.Fatalf("deadline %v, file\n%s", s.Deadline(), read(t, file))
	}
	p := must[*Proposal](t)(s.Propose(SetHub("a", Values{"arp": "proxy"}, nil)))
	_, err = s.Commit(t0, p, Meta{})
	wantError(t, err, "revision 2 waits for its confirmation until 07:01:00")
	if back := must[*Proposal](t)(s.Advance(t0.Add(59 * time.Second))); back != nil {
		t.Error("it went back too early")
	}
	must[Revision](t)(s.Confirm(t0.Add(59 * time.Second)))
	if back := must[*Proposal](t)(s.Advance(t0.Add(time.Hour))); back != nil || read(t, file) != fileB || !s.Deadline().IsZero() {
		t.Error("it went back though it was confirmed")
	}

	try("proxy")
	_, err = s.Confirm(t0.Add(time.Minute))
	wantError(t, err, "too late")
	back := must[*Proposal](t)(s.Advance(t0.Add(time.Minute)))
	if back == nil || read(t, file) != fileB || s.Current() != back.New || len(back.Changes) != 1 || !s.Deadline().IsZero() {
		t.Errorf("it did not go back: %+v\n%s", back, read(t, file))
	}

	// Back before its time, over what a hand did meanwhile; that is kept.
	try("proxy")
	write(t, file, "# by hand\n"+fileC)
	back = must[*Proposal](t)(s.GoBack(t0))
	if !back.HandEdited || read(t, file) != fileB || !strings.Contains(history(t, s), "edited outside vhub") {
		t.Errorf("%+v, history %s", back, history(t, s))
	}

	// A change on top of a hand's edit goes back to what ran before both.
	write(t, file, "# by hand\n"+fileC)
	try("assist")
	must[*Proposal](t)(s.GoBack(t0))
	if read(t, file) != fileB {
		t.Errorf("it went back to\n%s", read(t, file))
	}

	// A restart takes it back at once.
	try("proxy")
	s.Close()
	s = mustOpen(t, file, state)
	if r := s.Restored(); r == nil || !strings.Contains(r.What, "was not confirmed") || read(t, file) != fileB || s.Current().Hub("a").ARP != "relay" {
		t.Errorf("after a restart: %+v\n%s", r, read(t, file))
	}
	s.Close()
	if s = mustOpen(t, file, state); s.Restored() != nil {
		t.Error("it went back twice")
	}
	// The file was edited by hand while the daemon was down: that stays.
	try("proxy")
	s.Close()
	write(t, file, fileA)
	if s = mustOpen(t, file, state); read(t, file) != fileA || s.Restored() != nil {
		t.Errorf("the hand's work was taken back:\n%s", read(t, file))
	}
	_, err = s.CommitUnlessConfirmed(t0, p, Meta{}, time.Hour*25)
	wantError(t, err, "want 1s..24h")
}

func TestStoreKeepsLinkModeAndOwner(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.hcl"), filepath.Join(dir, "vhub.hcl")
	write(t, real, fileA)
	if err := os.Chmod(real, 0o664); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.hcl", link); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, link, filepath.Join(dir, "state"))
	p := must[*Proposal](t)(s.Propose(SetHub("a", Values{"arp": "relay"}, nil)))
	must[Revision](t)(s.Commit(t0, p, Meta{}))
	st, err := os.Lstat(link)
	if err != nil || st.Mode()&os.ModeSymlink == 0 || read(t, real) != fileB {
		t.Errorf("the link is gone: %v, %v", st.Mode(), err)
	}
	if st, _ := os.Stat(real); st.Mode().Perm() != 0o664 {
		t.Errorf("mode %v", st.Mode())
	}
}

func TestStoreRefuses(t *testing.T) {
	file, state := folder(t, "hub {")
	_, err := OpenStore(t0, file, state)
	wantError(t, err, file+":1: unclosed configuration block")
	if read(t, file) != "hub {" {
		t.Error("the file was touched")
	}
	write(t, file, fileA)
	s := mustOpen(t, file, state)
	_, err = OpenStore(t0, file, state)
	wantError(t, err, "in use by another vhub")

	// A secret that others can read stops the change.
	key := filepath.Join(filepath.Dir(file), "ix.psk")
	add := AddPort("a", "etherip", "ix", Values{"peer_id": "keyid:ix", "key_file": "ix.psk"})
	_, err = s.Propose(add)
	wantError(t, err, "no such file")
	write(t, key, "geheim\n")
	_, err = s.Propose(add)
	wantError(t, err, "chmod 600 "+key)
	os.Chmod(key, 0o600)
	must[*Proposal](t)(s.Propose(add))
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "s")
	for _, c := range []struct {
		data string
		mode os.FileMode
		want string // the secret, or the error after "!"
	}{
		{"geheim\n", 0o600, "geheim"},
		{"geheim", 0o400, "geheim"},
		{" two words \r\n", 0o600, " two words "},
		{"", 0o600, "!the file is empty"},
		{"\n", 0o600, "!the file is empty"},
		{"a\nb\n", 0o600, "!more than one line"},
		{strings.Repeat("x", maxSecret+2), 0o600, "!more than 4096 bytes"},
		{"geheim", 0o640, "!others can read this secret (mode 0640); run: chmod 600"},
		{"geheim", 0o604, "!chmod 600"},
		{"geheim", 0o620, "!chmod 600"},
	} {
		os.Remove(name)
		if err := os.WriteFile(name, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chmod(name, c.mode)
		s, err := ReadSecret(name)
		if want, bad := strings.CutPrefix(c.want, "!"); bad {
			wantError(t, err, want)
			if strings.Contains(fmt.Sprint(err), "geheim") {
				t.Errorf("the error tells the secret: %v", err)
			}
		} else if err != nil || !bytes.Equal(s, []byte(c.want)) {
			t.Errorf("%q mode %v: %v", c.data, c.mode, err)
		}
	}
	if _, err := ReadSecret(dir); err == nil {
		t.Error("a folder is a secret")
	}
	s := Secret("geheim")
	if got := fmt.Sprintf("%v %s %q %x %d %+v %#v", s, s, s, s, s, s, s); strings.Contains(got, "geheim") || strings.Contains(got, "6768") || strings.Contains(got, "103") {
		t.Errorf("a secret prints as %s", got)
	}
	if os.Geteuid() == 0 {
		os.Remove(name)
		os.WriteFile(name, []byte("geheim"), 0o600)
		os.Chown(name, 12345, 12345)
		_, err := ReadSecret(name)
		wantError(t, err, "belongs to user 12345")
	}
}

// TestMain is also the process that TestKilledProcess kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CF_KILL_ME"); dir != "" {
		commitForEver(dir)
	}
	os.Exit(m.Run())
}

// commitForEver makes changes and says on its standard output what is
// acknowledged, until it is killed.
func commitForEver(dir string) {
	s, err := OpenStore(time.Now(), filepath.Join(dir, "vhub.hcl"), filepath.Join(dir, "state"))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	n := s.Current().Hub("default").MACLimit
	for {
		n++
		p, err := s.Propose(SetHub("default", Values{"mac_limit": fmt.Sprint(n)}, nil))
		if err == nil {
			_, err = s.Commit(time.Now(), p, Meta{"t", fmt.Sprint(n)})
		}
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("acknowledged", n)
	}
}

// A real process on a real disk, killed at random moments: what it had
// acknowledged is there.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	file, state := filepath.Join(dir, "vhub.hcl"), filepath.Join(dir, "state")
	rnd := rand.New(rand.NewPCG(1, 2))
	last := 0
	for run := range 30 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "CF_KILL_ME="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Some acknowledged changes, then the kill somewhere within the next.
		lines, want := bufio.NewScanner(out), 1+rnd.IntN(5)
		took, began := time.Millisecond, time.Now()
		scan := func() {
			if text, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
				fmt.Sscan(text, &last)
			} else {
				t.Errorf("run %d: %s", run, lines.Text())
			}
		}
		for range want {
			if !lines.Scan() {
				t.Fatalf("run %d: the process ended by itself", run)
			}
			scan()
			took, began = time.Since(began), time.Now()
		}
		timer := time.AfterFunc(time.Duration(rnd.Int64N(int64(took)+1)), func() { cmd.Process.Kill() })
		for lines.Scan() {
			scan()
		}
		cmd.Wait()
		timer.Stop()
		s, err := OpenStore(time.Now(), file, state)
		if err != nil {
			t.Fatalf("run %d: %v", run, err)
		}
		got := s.Current().Hub("default").MACLimit
		if got != last && got != last+1 {
			t.Fatalf("run %d: %d was acknowledged, and %d is there", run, last, got)
		}
		if l, err := s.History(); err != nil || len(l) == 0 || l[len(l)-1].Sum != sum(s.Source()) {
			t.Fatalf("run %d: history %v %v", run, l, err)
		}
		last = got
		s.Close()
	}
	if last < 65536+30 {
		t.Errorf("only %d changes were made", last)
	}
}
