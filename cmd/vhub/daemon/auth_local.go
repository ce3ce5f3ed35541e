package daemon

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"time"

	"vhub/config"
	"vhub/l2tp"
	"vhub/ppp"
	"vhub/users"
)

// localAuth checks logins against the database of users.
type localAuth struct {
	users *users.DB
	isHub func(string) bool
	hub   string
}

// newAuthenticator makes what checks the logins of one l2tp port.
func (d *Daemon) newAuthenticator(hubName string, _ *config.Port, _ *slog.Logger) (authenticator, error) {
	return &localAuth{users: d.users, isHub: func(name string) bool { return d.hub(name) != nil }, hub: hubName}, nil
}

// Login checks credentials. A failure takes the same time whatever its cause.
func (a *localAuth) Login(_ context.Context, l l2tp.Login) l2tp.Grant {
	name, hub := users.SplitName(l.User, a.isHub)
	u, err := a.users.Login(time.Now(), name, a.hub)
	if err == nil && hub != "" && hub != a.hub {
		err, u.NTHash = users.ErrHub, users.NTHash{}
	}
	result := check(&l.Credentials, u.NTHash)
	switch {
	case err != nil:
		return l2tp.Grant{Reason: err.Error()}
	case !result.OK && l.Method == ppp.CHAPMD5:
		return l2tp.Grant{Reason: "CHAP-MD5 needs the password itself, of which only a hash is kept"}
	case !result.OK:
		return l2tp.Grant{Reason: users.ErrPassword.Error()}
	}
	return l2tp.Grant{User: u.Name, Result: result, Address: u.Address, MAC: u.MAC, MaxSessions: u.MaxSessions}
}

// check compares what was presented with the hash.
func check(c *ppp.Credentials, hash users.NTHash) ppp.Result {
	if c.Method == ppp.PAP {
		got := ppp.NTHash(string(c.Password))
		return ppp.Result{OK: subtle.ConstantTimeCompare(got[:], hash[:]) == 1}
	}
	return c.CheckHash(hash)
}

// Account keeps no books.
func (a *localAuth) Account(l2tp.Accounting) {}

// Close has nothing to close.
func (a *localAuth) Close() error { return nil }
