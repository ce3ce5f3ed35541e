package daemon

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"vhub/config"
	"vhub/l2tp"
	"vhub/ppp"
	"vhub/radius"
	"vhub/users"
)

// portAuth checks the logins of one l2tp port: a user of the local database is
// decided by it; one whom it does not know is asked of RADIUS, where the port
// names servers. It tells RADIUS what the sessions of both use.
type portAuth struct {
	users   *users.DB
	isHub   func(string) bool
	hub     string
	log     *slog.Logger
	run     string // makes names of sessions unique over restarts
	only    bool   // RADIUS alone
	interim time.Duration
	radius  *radius.Client // nil: none
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the accounting is done
}

// newPortAuth begins; secret is what the port's servers share with us, and not
// looked at where it names none.
func newPortAuth(db *users.DB, isHub func(string) bool, hub string, cfg *config.L2TP, secret config.Secret, log *slog.Logger) (*portAuth, error) {
	a := &portAuth{users: db, isHub: isHub, hub: hub, log: log, only: cfg.RadiusOnly}
	if cfg.Servers == nil {
		if a.only {
			return nil, errors.New("radius_only, and no radius block is named")
		}
		return a, nil
	}
	rc, err := radiusConfig(cfg.Servers, secret, log)
	if err != nil {
		return nil, err
	}
	if a.radius, err = radius.New(rc); err != nil {
		return nil, err
	}
	var b [4]byte
	rand.Read(b[:])
	a.run, a.interim = hex.EncodeToString(b[:]), cfg.Servers.Interim
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel, a.ended = cancel, make(chan struct{})
	go func() {
		defer close(a.ended)
		_ = a.radius.Run(ctx) // it ends with ctx, without an error
	}()
	return a, nil
}

// radiusConfig is what a radius block means for the client.
func radiusConfig(q *config.Radius, secret config.Secret, log *slog.Logger) (radius.Config, error) {
	c := radius.Config{Secret: secret, Local: q.Local, Timeout: q.Timeout, Retries: q.Retries, DeadTime: q.DeadTime,
		NoAccounting: !q.Accounting, NASIdentifier: q.NASIdentifier, Log: log.With("radius", q.Name)}
	for _, s := range q.Servers {
		host, port, err := config.RadiusServer(s)
		if err != nil {
			return c, fmt.Errorf("radius %q: %w", q.Name, err)
		}
		c.Servers = append(c.Servers, radius.Server{Host: host, Port: port, AccountingPort: q.AccountingPort})
	}
	return c, nil
}

// Close tells the servers what is left to tell, which takes a second at most.
func (a *portAuth) Close() error {
	if a.radius != nil {
		a.cancel()
		<-a.ended
	}
	return nil
}

// Login checks credentials. Where there is no RADIUS a failure takes the same
// time whatever its cause; the peer is told the same for each.
func (a *portAuth) Login(ctx context.Context, l l2tp.Login) l2tp.Grant {
	name, hub := users.SplitName(l.User, a.isHub)
	if hub != "" && hub != a.hub {
		checkLocal(&l.Credentials, users.NTHash{})
		return l2tp.Grant{Reason: fmt.Sprintf("%v: the login names hub %q, and this port is of hub %q", users.ErrHub, hub, a.hub)}
	}
	if !a.only {
		u, err := a.users.Login(time.Now(), name, a.hub)
		if a.radius == nil || !errors.Is(err, users.ErrUnknown) {
			return a.local(&l, &u, err)
		}
	}
	return a.remote(ctx, &l, name)
}

// local decides by the database. On an error the hash is one that no password
// has, and is checked all the same.
func (a *portAuth) local(l *l2tp.Login, u *users.User, err error) l2tp.Grant {
	result := checkLocal(&l.Credentials, u.NTHash)
	switch {
	case err != nil:
		return l2tp.Grant{Reason: err.Error()}
	case !result.OK && l.Method == ppp.CHAPMD5:
		return l2tp.Grant{Reason: "CHAP-MD5 needs the password itself, of which the user database keeps only a hash"}
	case !result.OK:
		return l2tp.Grant{Reason: users.ErrPassword.Error()}
	}
	return l2tp.Grant{User: u.Name, Result: result, Address: u.Address, MAC: u.MAC, MaxSessions: u.MaxSessions, Interim: a.interim}
}

// checkLocal compares what was presented with the hash of the password.
func checkLocal(c *ppp.Credentials, hash users.NTHash) ppp.Result {
	if c.Method == ppp.PAP {
		got := ppp.NTHash(string(c.Password))
		return ppp.Result{OK: subtle.ConstantTimeCompare(got[:], hash[:]) == 1}
	}
	return c.CheckHash(hash)
}

// remote asks RADIUS.
func (a *portAuth) remote(ctx context.Context, l *l2tp.Login, name string) l2tp.Grant {
	r := radius.Request{User: name, Password: l.Password, ID: l.ID, Challenge: l.Challenge, Response: l.Response,
		Session: radius.Session{ID: a.sessionID(l.Session), Port: l.Session, Calling: l.Remote.Addr(), Called: a.hub + "/" + l.Port, Host: l.Host}}
	switch l.Method {
	case ppp.CHAPMD5:
		r.Method = radius.CHAPMD5
	case ppp.PAP:
		r.Method = radius.PAP
	default: // MS-CHAPv2, in EAP or bare
		r.Method = radius.MSCHAPv2
		// The name is in the hash, without what stands before a backslash (RFC
		// 2759 section 8.2), but with the hub behind an @.
		if !strings.HasSuffix(l.User, `\`+name) {
			r.User = l.User
		}
	}
	g, err := a.radius.Login(ctx, r)
	switch {
	case err != nil:
		return l2tp.Grant{Reason: err.Error()}
	case !g.OK:
		return l2tp.Grant{Reason: fmt.Sprintf("radius %s: %s", g.Server, g.Reason)}
	}
	if g.VLAN != 0 {
		a.log.Warn("radius: the server names a VLAN, and sessions of l2tp have none: the user is in the hub's untagged segment", "user", name, "vlan", g.VLAN, "server", g.Server)
	}
	a.log.Info("radius: login accepted", "user", name, "session", l.Session, "server", g.Server, "address", g.Address, "filter", g.Filter, "message", g.Message)
	if g.Interim == 0 {
		g.Interim = a.interim
	}
	return l2tp.Grant{User: name, Result: ppp.Result{OK: true, Authenticator: g.Authenticator}, Framed: g.Address,
		MaxTime: g.MaxTime, IdleTime: g.IdleTime, Class: g.Class, Interim: g.Interim}
}

func (a *portAuth) sessionID(session string) string { return a.run + "-" + a.hub + "/" + session }

// Account passes on what a session used.
func (a *portAuth) Account(x l2tp.Accounting) {
	if a.radius == nil {
		return
	}
	s := &x.Session
	_, unknown := a.users.Get(s.User)
	r := radius.Record{Phase: map[l2tp.Phase]radius.Phase{l2tp.Start: radius.Start, l2tp.Interim: radius.Interim, l2tp.Stop: radius.Stop}[x.Phase],
		At: time.Now(), User: s.User, Local: !a.only && unknown == nil, Class: x.Class, Address: s.Address,
		Session:  radius.Session{ID: a.sessionID(s.Name), Port: s.Name, Calling: s.Client.Addr(), Called: a.hub + "/" + s.Port, Host: s.Host},
		Duration: time.Duration(s.Seconds * float64(time.Second)),
		InBytes:  s.InBytes, OutBytes: s.OutBytes, InPackets: s.InPackets, OutPackets: s.OutPackets}
	if x.Phase == l2tp.Stop {
		r.Cause = terminateCause(s.Reason)
	}
	a.radius.Account(r)
}

// terminateCauses are what the reasons of l2tp are called in accounting, by
// how they begin.
var terminateCauses = []struct {
	reason string
	cause  radius.Cause
}{
	{"the client ended the call", radius.UserRequest}, {"closed by the peer", radius.UserRequest}, {"the peer closed the tunnel", radius.UserRequest},
	{"peer silent", radius.LostCarrier}, {"the peer does not answer", radius.LostCarrier}, {"the IPsec session ended", radius.LostCarrier},
	{"the session's time is over", radius.SessionTimeout}, {"idle", radius.IdleTimeout},
	{"replaced", radius.PortPreempted}, {"ended by the operator", radius.AdminReset}, {"the user ", radius.AdminReset}, {"no such user", radius.AdminReset}, {"the server shuts down", radius.NASReboot},
	{"no address", radius.ServiceUnavailable},
}

func terminateCause(reason string) radius.Cause {
	for _, c := range terminateCauses {
		if strings.HasPrefix(reason, c.reason) {
			return c.cause
		}
	}
	return radius.NASRequest
}
