package daemon

import (
	"cmp"
	"context"
	"strings"

	"vhub/api"
	"vhub/l2tp"
)

// registerSessions gives the server the operations on sessions.
func (d *Daemon) registerSessions(s *api.Server) {
	api.On(s, api.ListSessions, d.listSessions)
	api.On(s, api.GetSession, func(_ context.Context, r api.SessionRequest) (api.Session, error) {
		_, x, err := d.sessionNamed(r.Hub, r.Session)
		return x, err
	})
	api.On(s, api.KickSession, func(ctx context.Context, r api.KickRequest) (api.Kicked, error) {
		road, x, err := d.sessionNamed(r.Hub, r.Session)
		if err != nil {
			return api.Kicked{}, err
		}
		reason := "kicked: " + cmp.Or(r.Reason, "the operator ended the session")
		if err := road.server.Kick(x.Name, reason); err != nil {
			return api.Kicked{}, notFound(err)
		}
		d.log.Info("a session was ended", "hub", x.Hub, "port", x.Port, "session", x.Name, "user", x.User, "reason", reason, "who", api.WhoFrom(ctx).String())
		return api.Kicked{Session: x}, nil
	})
}

func (d *Daemon) listSessions(_ context.Context, r api.ListSessionsRequest) (api.SessionList, error) {
	if r.Hub != "" && d.hub(r.Hub) == nil {
		return api.SessionList{}, d.noHub(r.Hub)
	}
	l := api.SessionList{Sessions: []api.Session{}}
	ports := 0
	for _, h := range d.all() {
		if r.Hub != "" && r.Hub != h.name {
			continue
		}
		for _, p := range h.all() {
			if r.Port != "" && r.Port != p.name {
				continue
			}
			ports++
			if road := p.road(); road != nil {
				for _, st := range road.server.Sessions() {
					if r.User == "" || strings.EqualFold(r.User, st.User) {
						l.Sessions = append(l.Sessions, sessionStatus(h.name, st))
					}
				}
			}
		}
	}
	if r.Port != "" && ports == 0 {
		return l, api.Errorf(api.CodeNotFound, "no port %q", r.Port).WithHint("see 'vhub port list'")
	}
	return l, nil
}

// sessionNamed finds a session. Without a hub's name, it may be in any hub as
// long as only one has it.
func (d *Daemon) sessionNamed(hubName, name string) (*road, api.Session, error) {
	portName, _, _ := strings.Cut(name, "/")
	var found []api.Session
	var of *road
	for _, h := range d.all() {
		if hubName != "" && hubName != h.name {
			continue
		}
		p := h.port(portName)
		if p == nil || p.road() == nil {
			continue
		}
		if st, ok := p.road().server.Session(name); ok {
			found, of = append(found, sessionStatus(h.name, st)), p.road()
		}
	}
	switch len(found) {
	case 0:
		return nil, api.Session{}, api.Errorf(api.CodeNotFound, "no session %q", name).WithHint("see 'vhub session list'")
	case 1:
		return of, found[0], nil
	}
	return nil, api.Session{}, api.Errorf(api.CodeBadRequest, "several hubs have a session %q", name).WithHint("say which with --hub: %s", d.hubsThereAre())
}

// roads are the l2tp ports of a hub that are at work.
func (h *hubRun) roads() []*road {
	var all []*road
	for _, p := range h.all() {
		if r := p.road(); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// sessionsByUser are the names of the sessions of each user.
func (d *Daemon) sessionsByUser() map[string][]string {
	by := map[string][]string{}
	for _, h := range d.all() {
		for _, r := range h.roads() {
			for _, st := range r.server.Sessions() {
				if st.User != "" {
					by[st.User] = append(by[st.User], st.Name)
				}
			}
		}
	}
	return by
}

// sessionStatus is a session for the API.
func sessionStatus(hubName string, s l2tp.SessionStatus) api.Session {
	out := api.Session{
		Name: s.Name, Hub: hubName, Port: s.Port, User: s.User, State: s.State, Host: s.Host, Vendor: s.Vendor, Method: s.Method,
		MTU: s.MTU, MSS4: s.MSS4, TunnelID: int(s.Tunnel), SessionID: int(s.Session), Began: s.Began.UTC(), UpSeconds: s.Seconds,
		InPackets: s.InPackets, InBytes: s.InBytes, OutPackets: s.OutPackets, OutBytes: s.OutBytes, Ending: s.Reason,
	}
	if s.Client.IsValid() {
		out.Client = s.Client.String()
	}
	if s.UpSince != nil {
		out.UpSince = timePtr(*s.UpSince)
	}
	if s.Address.IsValid() {
		out.Address = s.Address.String()
	}
	for _, a := range s.Addresses6 {
		out.Addresses6 = append(out.Addresses6, a.String())
	}
	if !s.MAC.IsZero() {
		out.MAC = s.MAC.String()
	}
	if l := s.Lease; l != nil {
		out.AddressFrom = string(l.Source)
		if l.Server.IsValid() {
			out.DHCPServer = l.Server.String()
		}
		if !l.Expires.IsZero() {
			out.LeaseExpires = timePtr(l.Expires)
		}
		if len(l.Routers) > 0 {
			out.Router = l.Routers[0].String()
		}
		for _, a := range l.DNS {
			out.DNS = append(out.DNS, a.String())
		}
	}
	return out
}
