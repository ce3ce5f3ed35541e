package daemon

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"time"

	"vhub/api"
	"vhub/eth"
	"vhub/users"
)

// openUsers opens the database of those who may log in.
func (d *Daemon) openUsers() (err error) {
	d.users, err = users.Open(filepath.Join(d.opts.StateDir, "users.json"))
	return err
}

// registerUsers gives the server the operations on users.
func (d *Daemon) registerUsers(s *api.Server) {
	api.On(s, api.ListUsers, func(_ context.Context, r api.ListUsersRequest) (api.UserList, error) {
		if r.Hub != "" && d.hub(r.Hub) == nil {
			return api.UserList{}, d.noHub(r.Hub)
		}
		l := api.UserList{Users: []api.User{}}
		by := d.sessionsByUser()
		for _, u := range d.users.List() {
			if r.Hub == "" || u.Hub == "" || u.Hub == r.Hub {
				l.Users = append(l.Users, userStatus(time.Now(), u, by[u.Name]))
			}
		}
		return l, nil
	})
	api.On(s, api.GetUser, func(_ context.Context, r api.UserRequest) (api.User, error) {
		u, err := d.users.Get(r.User)
		if err != nil {
			return api.User{}, userError(err)
		}
		return userStatus(time.Now(), u, d.sessionsByUser()[u.Name]), nil
	})
	api.On(s, api.AddUser, d.addUser)
	api.On(s, api.SetUser, d.setUser)
	api.On(s, api.SetPassword, d.setPassword)
	api.On(s, api.RemoveUser, d.removeUser)
}

func (d *Daemon) noHub(name string) error {
	return api.Errorf(api.CodeNotFound, "no hub %q", name).WithHint("%s", d.hubsThereAre())
}

// userError is an error of the database for the API.
func userError(err error) error {
	switch {
	case errors.Is(err, users.ErrUnknown):
		return notFound(err)
	case errors.Is(err, users.ErrTaken):
		return conflict(err)
	case errors.Is(err, users.ErrWrite):
		return failed(err)
	}
	return refused(err)
}

// userStatus is a user for the API. It has no field for what is kept of the password.
func userStatus(now time.Time, u users.User, sessions []string) api.User {
	out := api.User{Name: u.Name, Hub: u.Hub, State: api.UserActive, MaxSessions: u.MaxSessions, Note: u.Note, Created: u.Created,
		Changed: u.Changed, Sessions: append([]string{}, sessions...)}
	if u.Address.IsValid() {
		out.Address = u.Address.String()
	}
	if !u.MAC.IsZero() {
		out.MAC = u.MAC.String()
	}
	if !u.Expires.IsZero() {
		out.Expires = timePtr(u.Expires)
		if !now.Before(u.Expires) {
			out.State = api.UserExpired
		}
	}
	if u.Disabled {
		out.State = api.UserDisabled
	}
	return out
}

func (d *Daemon) addUser(ctx context.Context, r api.AddUserRequest) (api.UserChange, error) {
	u := users.User{Name: r.Name, Disabled: r.Disabled, MaxSessions: r.MaxSessions, Note: r.Note}
	if r.Expires != nil {
		u.Expires = r.Expires.UTC()
	}
	if err := errors.Join(d.setHub(&u, r.Hub), setAddress(&u, r.Address), setMAC(&u, r.MAC)); err != nil {
		return api.UserChange{}, firstOf(err)
	}
	if err := d.users.Add(time.Now(), u, r.Password); err != nil {
		return api.UserChange{}, userError(err)
	}
	return d.userChanged(ctx, r.Name, "added")
}

func (d *Daemon) setUser(ctx context.Context, r api.SetUserRequest) (api.UserChange, error) {
	before, err := d.users.Get(r.User)
	if err != nil {
		return api.UserChange{}, userError(err)
	}
	after := before
	if err := d.applyUser(&after, r); err != nil {
		return api.UserChange{}, err
	}
	what := userDifference(before, after)
	if what == "" {
		return api.UserChange{User: userStatus(time.Now(), before, d.sessionsByUser()[before.Name]), Changed: []string{}}, nil
	}
	err = d.users.Change(time.Now(), r.User, func(u *users.User) { // again, on what is there now
		if e := d.applyUser(u, r); e != nil {
			*u = before
		}
	})
	if err != nil {
		return api.UserChange{}, userError(err)
	}
	return d.userChanged(ctx, r.User, what)
}

// applyUser puts what a request asks for into u.
func (d *Daemon) applyUser(u *users.User, r api.SetUserRequest) error {
	if r.Disabled != nil {
		u.Disabled = *r.Disabled
	}
	if r.Hub != nil {
		if err := d.setHub(u, *r.Hub); err != nil {
			return err
		}
	}
	if r.Address != nil {
		if err := setAddress(u, *r.Address); err != nil {
			return err
		}
	}
	if r.MAC != nil {
		if err := setMAC(u, *r.MAC); err != nil {
			return err
		}
	}
	if r.Expires != nil {
		if err := setExpires(u, *r.Expires); err != nil {
			return err
		}
	}
	if r.MaxSessions != nil {
		u.MaxSessions = *r.MaxSessions
	}
	if r.Note != nil {
		u.Note = *r.Note
	}
	return nil
}

func (d *Daemon) setHub(u *users.User, name string) error {
	if name != "" && d.hub(name) == nil {
		return d.noHub(name)
	}
	u.Hub = name
	return nil
}

func setAddress(u *users.User, text string) (err error) {
	if u.Address = (netip.Addr{}); text != "" {
		if u.Address, err = netip.ParseAddr(text); err != nil {
			return api.Errorf(api.CodeBadRequest, "address: %q is not an IPv4 address", text)
		}
	}
	return nil
}

func setMAC(u *users.User, text string) (err error) {
	if u.MAC = (eth.Addr{}); text != "" {
		if u.MAC, err = eth.ParseAddr(text); err != nil {
			return refused(err)
		}
	}
	return nil
}

func setExpires(u *users.User, text string) (err error) {
	if u.Expires = (time.Time{}); text != "" {
		if u.Expires, err = time.Parse(time.RFC3339, text); err != nil {
			return api.Errorf(api.CodeBadRequest, "expires: %q is not a time like 2027-01-31T18:00:00Z", text)
		}
		u.Expires = u.Expires.UTC()
	}
	return nil
}

// userDifference says what is different, "" for nothing.
func userDifference(a, b users.User) string {
	switch {
	case a == b:
		return ""
	case a.Disabled != b.Disabled:
		a.Disabled = b.Disabled
		if state := map[bool]string{true: "disabled", false: "enabled"}[b.Disabled]; a == b {
			return state
		}
	}
	return "changed"
}

func (d *Daemon) setPassword(ctx context.Context, r api.SetPasswordRequest) (api.UserChange, error) {
	if err := d.users.SetPassword(time.Now(), r.User, r.Password); err != nil {
		return api.UserChange{}, userError(err)
	}
	return d.userChanged(ctx, r.User, "has a new password")
}

func (d *Daemon) removeUser(ctx context.Context, r api.UserRequest) (api.UserChange, error) {
	u, err := d.users.Get(r.User)
	if err == nil {
		err = d.users.Remove(r.User)
	}
	if err != nil {
		return api.UserChange{}, userError(err)
	}
	d.reserve()
	ended := d.endUser(u.Name)
	d.log.Info("a user was removed", "user", u.Name, "who", api.WhoFrom(ctx).String(), "sessions_ended", len(ended))
	return api.UserChange{User: userStatus(time.Now(), u, nil), Changed: []string{"user " + u.Name + " removed"}, Ended: ended}, nil
}

// userChanged ends the sessions that a user may no longer have, and answers.
func (d *Daemon) userChanged(ctx context.Context, name, what string) (api.UserChange, error) {
	u, err := d.users.Get(name)
	if err != nil {
		return api.UserChange{}, userError(err)
	}
	d.reserve()
	ended := d.endUser(u.Name)
	d.log.Info("a user "+what, "user", u.Name, "who", api.WhoFrom(ctx).String(), "sessions_ended", len(ended))
	return api.UserChange{User: userStatus(time.Now(), u, d.sessionsByUser()[u.Name]), Changed: []string{"user " + u.Name + " " + what}, Ended: ended}, nil
}

// endUser ends the sessions of a user in the hubs that he may not log in to
// (any more), and returns their names.
func (d *Daemon) endUser(name string) []string {
	var ended []string
	for _, h := range d.all() {
		if _, err := d.users.Login(time.Now(), name, h.name); err != nil {
			for _, r := range h.roads() {
				ended = append(ended, r.server.KickUser(name, "kicked: "+err.Error())...)
			}
		}
	}
	return ended
}

// fixedAddresses are the addresses of users, which no pool gives to others.
func (d *Daemon) fixedAddresses() []netip.Addr {
	var list []netip.Addr
	for _, u := range d.users.List() {
		if u.Address.IsValid() {
			list = append(list, u.Address)
		}
	}
	return list
}

// reserve tells the pools of all ports which addresses are users'.
func (d *Daemon) reserve() {
	for _, h := range d.all() {
		for _, r := range h.roads() {
			r.leases.reserve(r.reserved(r.config().L2TP))
		}
	}
}

// expiryEvery is how soon after a user has expired his sessions end.
const expiryEvery = 15 * time.Second

// expiryLoop ends the sessions of users who expired.
func (d *Daemon) expiryLoop(ctx context.Context) error {
	tick := time.NewTicker(expiryEvery)
	defer tick.Stop()
	before := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for _, u := range d.users.List() {
				if e := u.Expires; !e.IsZero() && e.After(before) && !e.After(now) {
					d.log.Info("a user has expired", "user", u.Name, "sessions_ended", len(d.endUser(u.Name)))
				}
			}
			before = now
		}
	}
}

// firstOf is the first of joined errors: one line is said, not several.
func firstOf(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()[0]
	}
	return err
}
