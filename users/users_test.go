package users

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhub/eth"
	"vhub/ppp"
)

var day = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *DB {
	t.Helper()
	db, err := Open(filepath.Join(t.TempDir(), "users.json"))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestLogins(t *testing.T) {
	db := open(t)
	for _, u := range []User{{Name: "alice"}, {Name: "Bob", Hub: "office"}, {Name: "carol", Disabled: true}, {Name: "dave", Expires: day}} {
		if err := db.Add(day, u, "pässword"); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, hub string
		want      error
	}{
		{"alice", "default", nil},
		{"ALICE", "default", nil},
		{"bob", "office", nil},
		{"bob", "default", ErrHub},
		{"carol", "default", ErrDisabled},
		{"dave", "default", ErrExpired},
		{"eve", "default", ErrUnknown},
	} {
		u, err := db.Login(day, tt.name, tt.hub)
		if !errors.Is(err, tt.want) || (err == nil) != (u.NTHash == NTHash(ppp.NTHash("pässword"))) {
			t.Errorf("%s at %s: %v", tt.name, tt.hub, err)
		}
		if err != nil && u.NTHash != (NTHash{}) {
			t.Errorf("%s: a hash to log in with although %v", tt.name, err)
		}
	}
}

func TestFileIsPrivateAndSurvives(t *testing.T) {
	db := open(t)
	u := User{Name: "alice", Address: netip.MustParseAddr("172.16.0.201"), MAC: eth.Addr{2, 0, 0, 0, 0, 9}, MaxSessions: 2}
	if err := db.Add(day, u, "secret"); err != nil {
		t.Fatal(err)
	}
	if err := db.SetPassword(day.Add(time.Hour), "alice", "other"); err != nil {
		t.Fatal(err)
	}
	st, _ := os.Stat(db.path)
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	again, err := Open(db.path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Get("alice")
	if err != nil || got.Address != u.Address || got.MAC != u.MAC || got.MaxSessions != 2 || !got.Changed.Equal(day.Add(time.Hour)) {
		t.Errorf("%+v %v", got, err)
	}
	if u, err := again.Login(day, "alice", ""); err != nil || u.NTHash != NTHash(ppp.NTHash("other")) {
		t.Error("the password was not changed", err)
	}
	if b, _ := os.ReadFile(db.path); strings.Contains(string(b), "secret") || strings.Contains(string(b), "other") {
		t.Errorf("a password in the file: %s", b)
	}
	if err := os.Chmod(db.path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(db.path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file others can read was taken: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	db := open(t)
	if err := db.Add(day, User{Name: "alice", Address: netip.MustParseAddr("10.0.0.9")}, "x"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what string
		err  error
		want string
	}{
		{"twice", db.Add(day, User{Name: "Alice"}, "x"), "there already"},
		{"no password", db.Add(day, User{Name: "bob"}, ""), "empty"},
		{"a name with a hub", db.Add(day, User{Name: "bob@x"}, "x"), "separate user and hub"},
		{"an address taken", db.Add(day, User{Name: "bob", Address: netip.MustParseAddr("10.0.0.9")}, "x"), `user "alice"'s`},
		{"a group MAC", db.Add(day, User{Name: "bob", MAC: eth.Broadcast}, "x"), "group"},
		{"unknown", db.Remove("bob"), "no such user"},
		{"unknown", db.SetPassword(day, "bob", "x"), "no such user"},
		{"multicast", db.Change(day, "alice", func(u *User) { u.Address = netip.MustParseAddr("224.0.0.1") }), "no IPv4 address"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.what, tt.err, tt.want)
		}
	}
	if n := len(db.List()); n != 1 {
		t.Errorf("%d users", n)
	}
}

func TestSplitName(t *testing.T) {
	isHub := func(s string) bool { return s == "default" || s == "office" }
	for _, tt := range []struct{ login, user, hub string }{
		{"alice", "alice", ""}, {"alice@office", "alice", "office"}, {`office\alice`, "alice", "office"},
		{"alice@example.com", "alice@example.com", ""}, {"alice@example.com@office", "alice@example.com", "office"}, {`DESKTOP\alice`, `DESKTOP\alice`, ""},
	} {
		if u, h := SplitName(tt.login, isHub); u != tt.user || h != tt.hub {
			t.Errorf("%s: %q %q", tt.login, u, h)
		}
	}
}
