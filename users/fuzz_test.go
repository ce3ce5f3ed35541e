package users

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzFile opens any file as the database: an error, or users that can be asked for.
func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"version": 1, "users": [{"name": "alice", "nt_hash": "8846f7eaee8fb117ad06bdd830b7586c"}]}`))
	f.Add([]byte(`{"version": 1, "users": [{"name": "", "nt_hash": "zz", "address": "::1", "mac": "1"}]}`))
	f.Add([]byte(`{"version": 2}`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "users.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path)
		if err != nil {
			return
		}
		for _, u := range db.List() {
			if u.NTHash != (NTHash{}) {
				t.Fatal("a list shows a hash")
			}
			if _, err := db.Get(u.Name); err != nil {
				t.Fatalf("%q is listed and not there: %v", u.Name, err)
			}
			SplitName(u.Name, func(string) bool { return true })
		}
	})
}
