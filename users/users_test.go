package users

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhub/eth"
)

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRFC2759Vectors is section 9.2.
func TestRFC2759Vectors(t *testing.T) {
	const name, password = "User", "clientPass"
	challenge := [16]byte(fromHex(t, "5B5D7C7D7B3F2F3E3C2C602132262628"))
	peer := [16]byte(fromHex(t, "21402324255E262A28295F2B3A337C7E"))
	if c := challengeHash(challenge, peer, name); hex.EncodeToString(c[:]) != "d02e4386bce91226" {
		t.Errorf("challenge %x", c)
	}
	h := HashPassword(password)
	if hex.EncodeToString(h[:]) != "44ebba8d5312b8d611474411f56989ae" {
		t.Errorf("hash %x", h[:])
	}
	r := ntResponse(challenge, peer, name, h)
	if hex.EncodeToString(r[:]) != "82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df" {
		t.Errorf("response %x", r)
	}
	if s := authenticatorResponse(challenge, peer, name, h, r); s != "S=407A5589115FD0D6209F510FE9C04566932CDA56" {
		t.Errorf("reply %s", s)
	}
}

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
	var challenge, peer [16]byte
	for _, tt := range []struct {
		name, said, hub, password string
		want                      error
	}{
		{"alice", "alice", "default", "pässword", nil},
		{"ALICE", "ALICE", "default", "pässword", nil},
		{"alice", `default\alice`, "default", "pässword", nil},
		{"alice", "alice@default", "default", "pässword", nil},
		{"alice", "alice", "default", "password", ErrPassword},
		{"bob", "bob", "office", "pässword", nil},
		{"bob", "bob", "default", "pässword", ErrHub},
		{"carol", "carol", "default", "pässword", ErrDisabled},
		{"dave", "dave", "default", "pässword", ErrExpired},
		{"eve", "eve", "default", "pässword", ErrUnknown},
	} {
		response := ntResponse(challenge, peer, tt.said, HashPassword(tt.password))
		u, reply, err := db.MSCHAPv2(day, tt.name, tt.hub, tt.said, challenge, peer, response)
		if !errors.Is(err, tt.want) || (err == nil) != strings.HasPrefix(reply, "S=") || u.NTHash != (NTHash{}) {
			t.Errorf("%s as %q: %q %v", tt.name, tt.said, reply, err)
		}
		if _, err := db.PAP(day, tt.name, tt.hub, tt.password); !errors.Is(err, tt.want) {
			t.Errorf("PAP %s: %v", tt.name, err)
		}
	}
	// The all-zero hash that stands in for an unknown user must open nothing.
	if _, _, err := db.MSCHAPv2(day, "eve", "", "eve", challenge, peer, ntResponse(challenge, peer, "eve", NTHash{})); !errors.Is(err, ErrUnknown) {
		t.Errorf("eve got in: %v", err)
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
	if _, err := again.PAP(day, "alice", "", "other"); err != nil {
		t.Error(err)
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
