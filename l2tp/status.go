package l2tp

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"vhub/dhcp"
	"vhub/eth"
)

// SessionStatus is one session for "session list" and accounting.
type SessionStatus struct {
	Name       string         `json:"name"` // unique while the daemon runs: port/number
	Port       string         `json:"port"`
	User       string         `json:"user,omitempty"` // once the login was good
	State      string         `json:"state"`          // connecting, authenticated, up
	Client     netip.AddrPort `json:"client"`         // where the client is now
	Host       string         `json:"host,omitempty"` // what the client's L2TP calls its machine
	Vendor     string         `json:"vendor,omitempty"`
	Method     string         `json:"method,omitempty"`
	Address    netip.Addr     `json:"address,omitzero"`
	Addresses6 []netip.Addr   `json:"addresses6,omitempty"`
	MAC        eth.Addr       `json:"mac,omitzero"`
	Lease      *dhcp.Lease    `json:"lease,omitempty"`
	MTU        int            `json:"mtu,omitempty"` // bytes of an IP packet to the client
	MSS4       int            `json:"mss4,omitempty"`
	Tunnel     uint16         `json:"tunnel"`
	Session    uint16         `json:"session"`
	Began      time.Time      `json:"began"`
	UpSince    *time.Time     `json:"up_since,omitempty"`
	Seconds    float64        `json:"seconds"` // since it came up
	InPackets  uint64         `json:"in_packets"`
	InBytes    uint64         `json:"in_bytes"` // from the client
	OutPackets uint64         `json:"out_packets"`
	OutBytes   uint64         `json:"out_bytes"` // to the client
	Reason     string         `json:"reason,omitempty"`
}

func (x *session) status(now time.Time) SessionStatus {
	st := SessionStatus{Name: x.name, Port: x.p.s.cfg.Port, User: x.grant.User, State: "connecting", Client: x.p.c.Remote(),
		Host: x.ev.PeerHost, Vendor: x.ev.PeerVendor, MAC: x.mac, Lease: x.lease, Tunnel: x.ev.Tunnel, Session: x.ev.Session, Began: x.began,
		InPackets: x.count.inPackets.Load(), InBytes: x.count.inBytes.Load(), OutPackets: x.count.outPackets.Load(), OutBytes: x.count.outBytes.Load(),
		Reason: x.reason}
	if x.grant.User != "" {
		st.State, st.Method = "authenticated", x.method.String()
	}
	if x.host != nil {
		st.Addresses6 = x.host.Addrs6()
	}
	st.Address = x.addr4
	if f := x.flow.Load(); f != nil && f.params.MTU > 0 {
		st.MTU, st.MSS4 = f.params.MTU, f.mss4In
	}
	if !x.upAt.IsZero() {
		at := x.upAt
		st.State, st.UpSince, st.Seconds = "up", &at, now.Sub(at).Seconds()
	}
	return st
}

func sortSessions(list []SessionStatus) {
	number := func(s SessionStatus) int {
		n, _ := strconv.Atoi(s.Name[strings.LastIndexByte(s.Name, '/')+1:])
		return n
	}
	slices.SortFunc(list, func(a, b SessionStatus) int { return cmp.Compare(number(a), number(b)) })
}

// causes are what lies behind the reasons that a session ends for, most likely.
var causes = []struct{ reason, cause string }{
	{"login failed", "wrong user or password, or the user is disabled (Windows shows error 691)"},
	{"authentication failed", "wrong user or password (Windows shows error 691)"},
	{"no agreement on authentication", "the client offers no method that this port allows; on Windows tick MS-CHAP v2"},
	{"peer silent", "the client's line or machine went away without a word (sleep, Wi-Fi switched off)"},
	{"the peer does not answer", "the client's line or machine went away without a word (sleep, Wi-Fi switched off)"},
	{"no answer", "the client's PPP never answered: look at the client's own log"},
	{"no address", "no DHCP server answers on the segment and the port has no pool: set one with vhub port set"},
	{"not up in time", "the client stopped in the middle of the login: look at the client's own log"},
	{"the client ended the call", "the user hung up"},
	{"closed by the peer", "the user hung up"},
	{"the peer closed the tunnel", "the user hung up"},
}

// Cause is the likely cause behind a reason; empty where the reason says it all.
func Cause(reason string) string {
	for _, c := range causes {
		if strings.HasPrefix(reason, c.reason) {
			return c.cause
		}
	}
	return ""
}

// byChoice tells that the session was ended on purpose, so that its lease is
// given back rather than kept for the next connect.
func (x *session) byChoice() bool {
	for _, p := range []string{"the client ended the call", "closed by the peer", "the peer closed the tunnel"} {
		if strings.HasPrefix(x.reason, p) {
			return true
		}
	}
	return false
}

// logEnd writes the one closing line of a session.
func (s *Server) logEnd(now time.Time, x *session) {
	var lasted time.Duration
	if !x.upAt.IsZero() {
		lasted = now.Sub(x.upAt)
	}
	args := []any{"session", x.name, "user", cmp.Or(x.grant.User, x.user), "client", x.p.c.Remote(), "lasted", lasted.Round(time.Second),
		"in_bytes", x.count.inBytes.Load(), "out_bytes", x.count.outBytes.Load(), "reason", x.reason}
	if x.addr4.IsValid() {
		args = append(args, "address", x.addr4)
	}
	if c := Cause(x.reason); c != "" {
		args = append(args, "likely_cause", c)
	}
	s.log.Info("session ended", args...)
}

func dhcpFor(fr *eth.Frame, mac eth.Addr) bool {
	return fr.GSO == eth.GSONone && dhcp.IsReply(fr.Data, mac)
}

// fromDHCP takes, on the loop, a DHCP answer of the segment.
func (x *session) fromDHCP(now time.Time, frame []byte) {
	if !x.over && x.assign != nil {
		x.assign.Receive(now, frame, &x.dout)
	}
}
