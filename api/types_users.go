package api

import "time"

// User is one who may log in. What is kept of the password never leaves the
// daemon.
type User struct {
	// Name is what the user types; it compares without case.
	Name string `json:"name"`
	// Hub is the only hub the user may log in to; empty for every hub.
	Hub string `json:"hub,omitempty"`
	// State is active, disabled or expired.
	State string `json:"state"`
	// Address is the user's fixed IPv4 address; empty for one by DHCP or from the pool.
	Address string `json:"address,omitempty"`
	// MAC is the fixed address of the user's station; empty for one made of user and device.
	MAC string `json:"mac,omitempty"`
	// Expires is when the user may no longer log in.
	Expires *time.Time `json:"expires,omitempty"`
	// MaxSessions is how many sessions the user may have at once; 0 for no limit.
	MaxSessions int `json:"max_sessions"`
	// Note is what the operator wrote down.
	Note string `json:"note,omitempty"`
	// Created and Changed are when the user was added and last changed.
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed"`
	// Sessions are the names of the user's sessions now.
	Sessions []string `json:"sessions"`
}

// The states of a user.
const (
	UserActive   = "active"
	UserDisabled = "disabled"
	UserExpired  = "expired"
)

// UserList is the users, by name.
type UserList struct {
	Users []User `json:"users"`
}

// UserRequest names a user.
type UserRequest struct {
	User string `path:"user" json:"-"`
}

// ListUsersRequest picks users.
type ListUsersRequest struct {
	// Hub, when set, leaves out users who may not log in to this hub.
	Hub string `query:"hub" json:"-"`
}

// AddUserRequest asks for a new user.
type AddUserRequest struct {
	// Name is 1 to 64 bytes without spaces, "@", "\" and "/".
	Name string `json:"name"`
	// Password is 1 to 256 characters. Only what MS-CHAPv2 needs of it is kept.
	Password string `json:"password"`
	// The rest is as in User.
	Hub         string     `json:"hub,omitempty"`
	Address     string     `json:"address,omitempty"`
	MAC         string     `json:"mac,omitempty"`
	Expires     *time.Time `json:"expires,omitempty"`
	MaxSessions int        `json:"max_sessions,omitempty"`
	Note        string     `json:"note,omitempty"`
	Disabled    bool       `json:"disabled,omitempty"`
}

// SetUserRequest changes a user; what is not there, or null, stays.
type SetUserRequest struct {
	User     string  `path:"user" json:"-"`
	Disabled *bool   `json:"disabled,omitempty"`
	Hub      *string `json:"hub,omitempty"`
	Address  *string `json:"address,omitempty"`
	MAC      *string `json:"mac,omitempty"`
	// Expires is a time in RFC 3339, or empty for never.
	Expires     *string `json:"expires,omitempty"`
	MaxSessions *int    `json:"max_sessions,omitempty"`
	Note        *string `json:"note,omitempty"`
}

// SetPasswordRequest gives a user a new password. Sessions stay up.
type SetPasswordRequest struct {
	User     string `path:"user" json:"-"`
	Password string `json:"password"`
}

// UserChange is the answer to what changes a user.
type UserChange struct {
	// User is the user as it is now, or was when it was removed.
	User User `json:"user"`
	// Changed says in lines what is different from before ("user alice disabled").
	Changed []string `json:"changed"`
	// Ended are the sessions that ended by it.
	Ended []string `json:"ended,omitempty"`
}

// Session is one client of an l2tp port.
type Session struct {
	// Name is the port's name and a number ("road/17"), unique in its hub while the daemon runs.
	Name string `json:"name"`
	Hub  string `json:"hub"`
	Port string `json:"port"`
	// User is who logged in, by the name in the database; empty before the login.
	User string `json:"user,omitempty"`
	// State is connecting, authenticated (logged in, without an address yet) or up.
	State string `json:"state"`
	// Client is the address and UDP port that the client comes from now.
	Client string `json:"client"`
	// Host is what the client calls its machine, and Vendor its L2TP.
	Host   string `json:"host,omitempty"`
	Vendor string `json:"vendor,omitempty"`
	// Method is how the user proved the password.
	Method string `json:"method,omitempty"`
	// Address is the client's IPv4 address on the segment, Addresses6 its IPv6 addresses, MAC its station.
	Address    string   `json:"address,omitempty"`
	Addresses6 []string `json:"addresses6,omitempty"`
	MAC        string   `json:"mac,omitempty"`
	// AddressFrom is who gave the address: static, radius, dhcp or pool.
	AddressFrom string `json:"address_from,omitempty"`
	// DHCPServer is the server that gave it, LeaseExpires until when.
	DHCPServer   string     `json:"dhcp_server,omitempty"`
	LeaseExpires *time.Time `json:"lease_expires,omitempty"`
	// Router and DNS are what came with the address.
	Router string   `json:"router,omitempty"`
	DNS    []string `json:"dns,omitempty"`
	// MTU is the largest IP packet in bytes that goes to the client, MSS4 what TCP over IPv4 is held to.
	MTU  int `json:"mtu,omitempty"`
	MSS4 int `json:"mss4,omitempty"`
	// TunnelID and SessionID are the daemon's L2TP numbers, for reading captures.
	TunnelID  int `json:"tunnel_id"`
	SessionID int `json:"session_id"`
	// Began is when the call came, UpSince since when the client has its address.
	Began   time.Time  `json:"began"`
	UpSince *time.Time `json:"up_since,omitempty"`
	// UpSeconds is how long that is.
	UpSeconds float64 `json:"up_seconds"`
	// In is what came from the client, out is what went to it: IP packets and their bytes.
	InPackets  uint64 `json:"in_packets"`
	InBytes    uint64 `json:"in_bytes"`
	OutPackets uint64 `json:"out_packets"`
	OutBytes   uint64 `json:"out_bytes"`
	// Ending is why the session is about to end.
	Ending string `json:"ending,omitempty"`
}

// The states of a session.
const (
	SessionConnecting    = "connecting"
	SessionAuthenticated = "authenticated"
	SessionUp            = "up"
)

// SessionList is sessions by hub, port and number.
type SessionList struct {
	Sessions []Session `json:"sessions"`
}

// ListSessionsRequest picks sessions; what is empty does not restrict.
type ListSessionsRequest struct {
	Hub  string `query:"hub" json:"-"`
	Port string `query:"port" json:"-"`
	User string `query:"user" json:"-"`
}

// SessionRequest names a session. Hub is needed only where several hubs have
// one of that name.
type SessionRequest struct {
	Session string `path:"session" json:"-"`
	Hub     string `query:"hub" json:"-"`
}

// KickRequest ends a session.
type KickRequest struct {
	Session string `path:"session" json:"-"`
	Hub     string `json:"hub,omitempty"`
	// Reason is for the log, and for the user where the client shows it.
	Reason string `json:"reason,omitempty"`
}

// Kicked is the session that was ended, as it was just before.
type Kicked struct {
	Session Session `json:"session"`
}

// Road is what the field device of a port of kind l2tp holds.
type Road struct {
	// Sessions are up, Connecting are not up yet.
	Sessions   int `json:"sessions"`
	Connecting int `json:"connecting"`
	// Clients is how many have an IPsec session (without IPsec: how many are heard of), whether they log in or not.
	Clients int `json:"clients"`
	// Logins were good, LoginFailures not; LoginLocked were refused unseen, after too many failures.
	Logins        uint64 `json:"logins"`
	LoginFailures uint64 `json:"login_failures"`
	LoginLocked   uint64 `json:"login_locked"`
	// RefusedFull are calls beyond the limit of sessions.
	RefusedFull uint64 `json:"refused_full"`
	// Ended is how many sessions are over.
	Ended uint64 `json:"ended"`
	// PoolSize is how many addresses the pool has, PoolUsed how many are held.
	PoolSize int `json:"pool_size,omitempty"`
	PoolUsed int `json:"pool_used,omitempty"`
	// Drops are packets that went no further, by reason: l2tp-header, l2tp-session, ppp-header, ppp-closed, client-source,
	// client-packet, client-mtu, next-hop-silent, next-hop-queue (from clients), not-for-client, carrier-full (to clients),
	// control-full, control-tunnel, control-session, control-malformed, control-double, control-refused (L2TP's control
	// messages). Reasons without a drop are left out.
	Drops map[string]uint64 `json:"drops"`
	// Sockets are those of IPsec, which all ports share.
	Sockets []Socket `json:"sockets,omitempty"`
}
