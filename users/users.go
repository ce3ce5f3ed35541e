// Package users is the database of the people who may log in: one JSON file
// that only its owner may read. Of a password it keeps the NT hash (MD4 of the
// password in UTF-16, RFC 2759 section 8.3), which is what MS-CHAPv2 needs and
// worth as much as the password to whoever steals it: hence the file's mode.
package users

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"vhub/eth"
	"vhub/ppp"
)

// Errors of a login. They are for the log and the lock-out; the peer is told
// the same for each of them (no oracle).
var (
	ErrUnknown  = errors.New("no such user")
	ErrPassword = errors.New("wrong password")
	ErrDisabled = errors.New("the user is disabled")
	ErrExpired  = errors.New("the user has expired")
	ErrHub      = errors.New("the user belongs to another hub")
)

// Errors of a change of the database.
var (
	ErrTaken = errors.New("taken")       // the name, the address or the MAC is another user's
	ErrWrite = errors.New("not written") // the file could not be written; nothing was changed
)

// changeError is an error with one of the above behind it.
type changeError struct {
	text string
	is   error
}

func (e *changeError) Error() string { return e.text }
func (e *changeError) Unwrap() error { return e.is }

func taken(format string, args ...any) error {
	return &changeError{fmt.Sprintf(format, args...), ErrTaken}
}

// NTHash is what is kept of a password. It prints as "(secret)".
type NTHash [16]byte

// String keeps it out of logs.
func (NTHash) String() string { return "(secret)" }

// MarshalText and UnmarshalText are for the file only.
func (h NTHash) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText reads 32 hex digits.
func (h *NTHash) UnmarshalText(b []byte) error {
	if n, err := hex.Decode(h[:], b); err != nil || n != len(h) || len(b) != 2*len(h) {
		return errors.New("nt_hash is not 32 hex digits")
	}
	return nil
}

// User is one who may log in.
type User struct {
	Name        string     `json:"name"`
	Hub         string     `json:"hub,omitempty"` // may log in to this hub only; "" to every
	NTHash      NTHash     `json:"nt_hash"`
	Disabled    bool       `json:"disabled,omitempty"`
	Address     netip.Addr `json:"address,omitzero"` // fixed address; zero: by DHCP or the pool
	MAC         eth.Addr   `json:"mac,omitzero"`     // of the user's station; zero: made from user and device
	Expires     time.Time  `json:"expires,omitzero"`
	MaxSessions int        `json:"max_sessions,omitempty"` // at once, 0 no limit
	Note        string     `json:"note,omitempty"`
	Created     time.Time  `json:"created"`
	Changed     time.Time  `json:"changed"`
}

// DB is the open database. It is for concurrent use.
type DB struct {
	path string
	mu   sync.Mutex
	list []User // by name
}

// file is what stands on disk.
type file struct {
	Version int    `json:"version"`
	Users   []User `json:"users"`
}

// Open reads the database, or begins an empty one where there is no file. A
// file that others can read is refused.
func Open(path string) (*DB, error) {
	db := &DB{path: path}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return db, nil
	}
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("users: %s can be read by others than its owner; chmod 600 %s", path, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("users: %s is damaged: %w; restore it, or remove it and add the users again", path, err)
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("users: %s is of version %d, this vhub knows 1", path, f.Version)
	}
	db.list = f.Users
	return db, nil
}

// List returns the users by name. Their hashes are blanked.
func (db *DB) List() []User {
	db.mu.Lock()
	defer db.mu.Unlock()
	list := slices.Clone(db.list)
	for i := range list {
		list[i].NTHash = NTHash{}
	}
	return list
}

// Get returns one user, the hash blanked.
func (db *DB) Get(name string) (User, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	i, ok := db.find(name)
	if !ok {
		return User{}, fmt.Errorf("user %q: %w; vhub user list tells who there is", name, ErrUnknown)
	}
	u := db.list[i]
	u.NTHash = NTHash{}
	return u, nil
}

// Add adds a user with a password.
func (db *DB) Add(now time.Time, u User, password string) error {
	if err := checkUser(&u); err != nil {
		return err
	}
	h, err := hashOf(password)
	if err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	i, ok := db.find(u.Name)
	if ok {
		return taken("user %q is there already; vhub user passwd changes the password", u.Name)
	}
	u.NTHash, u.Created, u.Changed = h, now.UTC(), now.UTC()
	if err := db.clash(&u, -1); err != nil {
		return err
	}
	return db.write(slices.Insert(slices.Clone(db.list), i, u))
}

// Change lets fn change a user; the name, the password and the times are not
// its to change.
func (db *DB) Change(now time.Time, name string, fn func(*User)) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	i, ok := db.find(name)
	if !ok {
		return fmt.Errorf("user %q: %w; vhub user list tells who there is", name, ErrUnknown)
	}
	u := db.list[i]
	fn(&u)
	u.Name, u.NTHash, u.Created, u.Changed = db.list[i].Name, db.list[i].NTHash, db.list[i].Created, now.UTC()
	if err := checkUser(&u); err != nil {
		return err
	}
	if err := db.clash(&u, i); err != nil {
		return err
	}
	list := slices.Clone(db.list)
	list[i] = u
	return db.write(list)
}

// SetPassword gives a user a new password.
func (db *DB) SetPassword(now time.Time, name, password string) error {
	h, err := hashOf(password)
	if err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	i, ok := db.find(name)
	if !ok {
		return fmt.Errorf("user %q: %w; vhub user list tells who there is", name, ErrUnknown)
	}
	list := slices.Clone(db.list)
	list[i].NTHash, list[i].Changed = h, now.UTC()
	return db.write(list)
}

// Remove forgets a user.
func (db *DB) Remove(name string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	i, ok := db.find(name)
	if !ok {
		return fmt.Errorf("user %q: %w; vhub user list tells who there is", name, ErrUnknown)
	}
	return db.write(slices.Delete(slices.Clone(db.list), i, i+1))
}

func (db *DB) find(name string) (int, bool) {
	return slices.BinarySearchFunc(db.list, name, func(u User, n string) int { return strings.Compare(fold(u.Name), fold(n)) })
}

// fold makes names compare as clients treat them: without case.
func fold(name string) string { return strings.ToLower(name) }

// clash refuses a fixed address or MAC that another user has.
func (db *DB) clash(u *User, self int) error {
	for i, x := range db.list {
		if i == self || (u.Hub != "" && x.Hub != "" && u.Hub != x.Hub) {
			continue
		}
		if u.Address.IsValid() && x.Address == u.Address {
			return taken("user %q: the address %s is user %q's", u.Name, u.Address, x.Name)
		}
		if !u.MAC.IsZero() && x.MAC == u.MAC {
			return taken("user %q: the MAC %s is user %q's", u.Name, u.MAC, x.Name)
		}
	}
	return nil
}

func checkUser(u *User) error {
	switch {
	case u.Name == "" || len(u.Name) > 64 || !utf8.ValidString(u.Name):
		return fmt.Errorf("user name %q: want 1 to 64 bytes of UTF-8", u.Name)
	case strings.ContainsAny(u.Name, `@\/`) || strings.ContainsFunc(u.Name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf(`user name %q: no spaces, @, \ or / (they separate user and hub at login)`, u.Name)
	case u.Address.IsValid() && (!u.Address.Is4() || u.Address.IsUnspecified() || u.Address.IsMulticast() || u.Address.IsLoopback()):
		return fmt.Errorf("user %q: %s is no IPv4 address for a station", u.Name, u.Address)
	case !u.MAC.IsZero() && u.MAC.IsGroup():
		return fmt.Errorf("user %q: %s is a group address", u.Name, u.MAC)
	case len(u.Note) > 1000 || !utf8.ValidString(u.Note) || strings.ContainsFunc(u.Note, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("user %q: the note is longer than 1000 bytes, or not one line of text", u.Name)
	case u.MaxSessions < 0:
		return fmt.Errorf("user %q: the session limit %d is below 0", u.Name, u.MaxSessions)
	}
	return nil
}

func hashOf(password string) (NTHash, error) {
	if password == "" {
		return NTHash{}, errors.New("the password is empty; a login without one is not possible")
	}
	if utf8.RuneCountInString(password) > 256 || !utf8.ValidString(password) {
		return NTHash{}, errors.New("the password is longer than 256 characters, or not UTF-8 (RFC 2759 section 8.1)")
	}
	return NTHash(ppp.NTHash(password)), nil
}

func notWritten(err error) error {
	return &changeError{fmt.Sprintf("users: %v; nothing was changed", err), ErrWrite}
}

// write replaces the file: temporary file, fsync, rename, fsync of the folder.
func (db *DB) write(list []User) error {
	b, err := json.MarshalIndent(file{1, list}, "", "  ")
	if err != nil {
		return notWritten(err)
	}
	dir := filepath.Dir(db.path)
	tmp, err := os.CreateTemp(dir, ".users-*") // mode 0600
	if err != nil {
		return notWritten(err)
	}
	defer os.Remove(tmp.Name()) // nothing once it is renamed
	_, err = tmp.Write(append(b, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), db.path)
	}
	if err != nil {
		return notWritten(err)
	}
	db.list = list
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("users: %w", err)
	}
	return nil
}

// SplitName takes a login name apart: "user", "user@hub" or "hub\user". isHub
// tells which names are hubs; a part that names none belongs to the user name.
func SplitName(login string, isHub func(string) bool) (user, hub string) {
	if h, u, ok := strings.Cut(login, `\`); ok && isHub(h) {
		return u, h
	}
	if i := strings.LastIndexByte(login, '@'); i >= 0 && isHub(login[i+1:]) {
		return login[:i], login[i+1:]
	}
	return login, ""
}

// Login finds a user who may log in to a hub now, with the hash to check the
// credentials against. On an error the hash is one that no password has, so
// that the check can be made all the same and a failure takes the same time.
func (db *DB) Login(now time.Time, name, hub string) (User, error) {
	db.mu.Lock()
	i, ok := db.find(name)
	var u User
	if ok {
		u = db.list[i]
	}
	db.mu.Unlock()
	err := error(nil)
	switch {
	case !ok:
		err = ErrUnknown
	case u.Disabled:
		err = ErrDisabled
	case !u.Expires.IsZero() && !now.Before(u.Expires):
		err = ErrExpired
	case u.Hub != "" && u.Hub != hub:
		err = ErrHub
	}
	if err != nil {
		u.NTHash = NTHash{}
	}
	return u, err
}
