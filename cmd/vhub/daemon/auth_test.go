package daemon

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2759"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2868"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/vendors/microsoft"

	"vhub/config"
	"vhub/eth"
	"vhub/l2tp"
	"vhub/ppp"
	"vhub/radius"
	"vhub/users"
)

// credentials are what a client presents that knows the password.
func credentials(t *testing.T, method ppp.Method, user, password string) ppp.Credentials {
	t.Helper()
	c := ppp.Credentials{Method: method, User: user, ID: 7, Challenge: []byte("0123456789abcdef")}
	switch method {
	case ppp.PAP:
		return ppp.Credentials{Method: method, User: user, Password: []byte(password)}
	case ppp.CHAPMD5:
		sum := md5.Sum(append(append([]byte{7}, password...), c.Challenge...))
		c.Response = sum[:]
	default:
		peer := []byte("fedcba9876543210")
		name := user[strings.LastIndexByte(user, '\\')+1:]
		nt, err := rfc2759.GenerateNTResponse(c.Challenge, peer, []byte(name), []byte(password))
		if err != nil {
			t.Fatal(err)
		}
		c.Response = append(append(append(append([]byte(nil), peer...), make([]byte, 8)...), nt...), 0)
	}
	return c
}

func login(t *testing.T, a *portAuth, method ppp.Method, user, password string) l2tp.Grant {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return a.Login(ctx, l2tp.Login{Credentials: credentials(t, method, user, password), Port: "road", Session: "road/3",
		Remote: netip.MustParseAddrPort("203.0.113.9:4500"), Host: "pc"})
}

func testUsers(t *testing.T) *users.DB {
	t.Helper()
	db, err := users.Open(filepath.Join(t.TempDir(), "users.json"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, u := range []users.User{
		{Name: "alice", Address: netip.MustParseAddr("172.16.0.9"), MAC: eth.Addr{2, 0, 0, 0, 0, 9}, MaxSessions: 2},
		{Name: "disabled", Disabled: true}, {Name: "expired", Expires: now.Add(-time.Hour)}, {Name: "elsewhere", Hub: "other"},
	} {
		if err := db.Add(now, u, "secret"); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func isTestHub(name string) bool { return name == "default" || name == "other" }

func TestLocalLogins(t *testing.T) {
	a, err := newPortAuth(testUsers(t), isTestHub, "default", &config.L2TP{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, c := range []struct {
		user, password string
		reason         error // nil: let in
	}{
		{"alice", "secret", nil}, {"ALICE", "secret", nil}, {"alice@default", "secret", nil}, {`default\alice`, "secret", nil},
		{"alice", "Secret", users.ErrPassword}, {"alice", "", users.ErrPassword},
		{"alice@other", "secret", users.ErrHub}, {`other\alice`, "secret", users.ErrHub},
		{"alice@nowhere", "secret", users.ErrUnknown}, {`nowhere\alice`, "secret", users.ErrUnknown}, {"nobody", "secret", users.ErrUnknown}, {"", "secret", users.ErrUnknown},
		{"disabled", "secret", users.ErrDisabled}, {"expired", "secret", users.ErrExpired}, {"elsewhere", "secret", users.ErrHub},
	} {
		for _, m := range []ppp.Method{ppp.MSCHAPv2, ppp.EAPMSCHAPv2, ppp.PAP} {
			g := login(t, a, m, c.user, c.password)
			if c.reason != nil {
				if g.Result.OK || g.Result.Authenticator != "" || g.User != "" || !strings.Contains(g.Reason, c.reason.Error()) {
					t.Errorf("%s by %v: %+v, want %v", c.user, m, g, c.reason)
				}
				continue
			}
			if !g.Result.OK || g.User != "alice" || g.Address != netip.MustParseAddr("172.16.0.9") || g.MAC != (eth.Addr{2, 0, 0, 0, 0, 9}) || g.MaxSessions != 2 || g.Framed.IsValid() {
				t.Errorf("%s by %v: %+v", c.user, m, g)
			}
			if (m != ppp.PAP) != (len(g.Result.Authenticator) == 42) {
				t.Errorf("%s by %v: authenticator %q", c.user, m, g.Result.Authenticator)
			}
		}
	}
	if g := login(t, a, ppp.CHAPMD5, "alice", "secret"); g.Result.OK || !strings.Contains(g.Reason, "CHAP-MD5") {
		t.Errorf("CHAP-MD5: %+v", g)
	}
	a.Account(l2tp.Accounting{Phase: l2tp.Start}) // keeps no books
}

// A hash that nobody has is all zeros; one who knows that gets in nowhere.
func TestNoHashIsNoPassword(t *testing.T) {
	a, err := newPortAuth(testUsers(t), isTestHub, "default", &config.L2TP{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := credentials(t, ppp.MSCHAPv2, "nobody", "x")
	hash := rfc2759.ChallengeHash(c.Response[:16], c.Challenge, []byte("nobody"))
	copy(c.Response[24:48], rfc2759.ChallengeResponse(hash, make([]byte, 16)))
	if g := a.Login(t.Context(), l2tp.Login{Credentials: c}); g.Result.OK || g.Result.Authenticator != "" {
		t.Errorf("let in: %+v", g)
	}
}

// radiusServer answers for bob and carol, whose password is "secret"; what it
// was told goes to the channels.
func radiusServer(t *testing.T) (port int, logins, records chan *layeh.Packet) {
	t.Helper()
	logins, records = make(chan *layeh.Packet, 100), make(chan *layeh.Packet, 100)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &layeh.PacketServer{SecretSource: layeh.StaticSecretSource([]byte("shared"))}
	s.Handler = layeh.HandlerFunc(func(w layeh.ResponseWriter, r *layeh.Request) {
		if r.Code == layeh.CodeAccountingRequest {
			records <- r.Packet
			w.Write(r.Response(layeh.CodeAccountingResponse))
			return
		}
		logins <- r.Packet
		w.Write(answer(r.Packet))
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(conn); err != nil && !errors.Is(err, layeh.ErrServerShutdown) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { s.Shutdown(context.Background()); <-done })
	return conn.LocalAddr().(*net.UDPAddr).Port, logins, records
}

func answer(r *layeh.Packet) *layeh.Packet {
	name := rfc2865.UserName_GetString(r)
	p := r.Response(layeh.CodeAccessReject)
	known := strings.HasPrefix(name, "bob") || name == `CORP\carol`
	if known && rfc2865.UserPassword_GetString(r) == "secret" {
		p.Code = layeh.CodeAccessAccept
	}
	if id, hash, found := strings.Cut(string(rfc2865.CHAPPassword_Get(r)), "\x07"); found && id == "" && known {
		sum := md5.Sum(append([]byte("\x07secret"), rfc2865.CHAPChallenge_Get(r)...))
		if hash == string(sum[:]) {
			p.Code = layeh.CodeAccessAccept
		}
	}
	if v := microsoft.MSCHAP2Response_Get(r); known && len(v) == 50 {
		challenge, hashed := microsoft.MSCHAPChallenge_Get(r), []byte(name[strings.LastIndexByte(name, '\\')+1:])
		want, _ := rfc2759.GenerateNTResponse(challenge, v[2:18], hashed, []byte("secret"))
		if string(want) == string(v[26:50]) {
			p.Code = layeh.CodeAccessAccept
			proof, _ := rfc2759.GenerateAuthenticatorResponse(challenge, v[2:18], want, hashed, []byte("secret"))
			microsoft.MSCHAP2Success_AddString(p, "\x07"+proof)
		}
	}
	if p.Code == layeh.CodeAccessAccept {
		rfc2865.FramedIPAddress_Set(p, net.IPv4(172, 16, 0, 77))
		rfc2865.Class_AddString(p, "staff")
		rfc2865.SessionTimeout_Set(p, 60)
		rfc2865.IdleTimeout_Set(p, 30)
		rfc2865.FilterID_AddString(p, "no-guests")
		rfc2868.TunnelType_Set(p, 1, 13) // VLAN
		rfc2868.TunnelMediumType_Set(p, 1, rfc2868.TunnelMediumType_Value_IEEE802)
		rfc2868.TunnelPrivateGroupID_SetString(p, 1, "20")
	}
	p.Add(rfc2869.MessageAuthenticator_Type, make(layeh.Attribute, 16))
	b, _ := p.MarshalBinary()
	h := hmac.New(md5.New, p.Secret)
	h.Write(b)
	rfc2869.MessageAuthenticator_Set(p, h.Sum(nil))
	return p
}

// radiusPort is what the configuration of a port with such a server says.
func radiusPort(port int) *config.L2TP {
	return &config.L2TP{Radius: "corp", Servers: &config.Radius{Name: "corp", Servers: []string{fmt.Sprintf("127.0.0.1:%d", port)},
		Timeout: 3 * time.Second, Accounting: true, AccountingPort: port, NASIdentifier: "nas", Interim: 5 * time.Minute}}
}

// Filter-Id and a VLAN let the user in, and do nothing but stand in the log, as the manual says.
func TestFilterAndVLANAreLogged(t *testing.T) {
	port, _, _ := radiusServer(t)
	var log strings.Builder
	a, err := newPortAuth(testUsers(t), isTestHub, "default", radiusPort(port), config.Secret("shared"), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if g := login(t, a, ppp.MSCHAPv2, "bob", "secret"); !g.Result.OK || g.Framed != netip.MustParseAddr("172.16.0.77") {
		t.Errorf("%+v", g)
	}
	for _, want := range []string{`level=INFO msg="radius: login accepted" user=bob session=road/3`, "filter=no-guests",
		`level=WARN msg="radius: the server names a VLAN, and sessions of l2tp have none`, "user=bob vlan=20"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log.String())
		}
	}
}

func TestRadiusLogins(t *testing.T) {
	port, logins, _ := radiusServer(t)
	cfg := radiusPort(port)
	db := testUsers(t)
	a, err := newPortAuth(db, isTestHub, "default", cfg, config.Secret("shared"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, c := range []struct {
		method         ppp.Method
		user, password string
		asked          string // of the server; "" nothing
		ok             bool
	}{
		{ppp.MSCHAPv2, "bob", "secret", "bob", true}, {ppp.EAPMSCHAPv2, "bob", "secret", "bob", true}, {ppp.CHAPMD5, "bob", "secret", "bob", true}, {ppp.PAP, "bob", "secret", "bob", true},
		{ppp.MSCHAPv2, "bob", "wrong", "bob", false}, {ppp.CHAPMD5, "bob", "wrong", "bob", false}, {ppp.PAP, "bob", "wrong", "bob", false},
		{ppp.MSCHAPv2, `default\bob`, "secret", "bob", true}, {ppp.MSCHAPv2, "bob@default", "secret", "bob@default", true}, {ppp.PAP, "bob@default", "secret", "bob", true},
		{ppp.MSCHAPv2, `CORP\carol`, "secret", `CORP\carol`, true}, {ppp.MSCHAPv2, "bob@elsewhere.example", "secret", "bob@elsewhere.example", true},
		{ppp.MSCHAPv2, "bob@other", "secret", "", false},
		// The local database decides about its own users, whatever RADIUS would say.
		{ppp.MSCHAPv2, "alice", "secret", "", true}, {ppp.MSCHAPv2, "alice", "wrong", "", false}, {ppp.MSCHAPv2, "disabled", "secret", "", false},
	} {
		g := login(t, a, c.method, c.user, c.password)
		if g.Result.OK != c.ok || g.Result.OK != (g.Reason == "") || g.Result.OK != (g.User != "") {
			t.Errorf("%s by %v: %+v", c.user, c.method, g)
		}
		asked := ""
		select {
		case p := <-logins:
			asked = rfc2865.UserName_GetString(p)
			if id := rfc2866.AcctSessionID_GetString(p); !strings.HasSuffix(id, "-default/road/3") || rfc2865.CalledStationID_GetString(p) != "default/road" {
				t.Errorf("session %q, called %q", id, rfc2865.CalledStationID_GetString(p))
			}
		default:
		}
		if asked != c.asked {
			t.Errorf("%s by %v: the server was asked for %q, want %q", c.user, c.method, asked, c.asked)
		}
		if !c.ok || c.asked == "" {
			continue
		}
		if g.Framed != netip.MustParseAddr("172.16.0.77") || g.Address.IsValid() || g.MaxTime != time.Minute || g.IdleTime != 30*time.Second ||
			g.Interim != 5*time.Minute || len(g.Class) != 1 || string(g.Class[0]) != "staff" {
			t.Errorf("%s: %+v", c.user, g)
		}
		if chap := c.method == ppp.MSCHAPv2 || c.method == ppp.EAPMSCHAPv2; chap {
			c := credentials(t, c.method, c.user, c.password)
			if want := c.CheckPassword("secret").Authenticator; g.Result.Authenticator != want {
				t.Errorf("%s: authenticator %s, the client expects %s", c.User, g.Result.Authenticator, want)
			}
		}
	}

	cfg.RadiusOnly = true
	only, err := newPortAuth(db, isTestHub, "default", cfg, config.Secret("shared"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer only.Close()
	if g := login(t, only, ppp.MSCHAPv2, "alice", "secret"); g.Result.OK || len(logins) != 1 {
		t.Errorf("radius_only and a local user: %+v, asked %d times", g, len(logins))
	}
}

func TestRadiusUnreachable(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0") // takes, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cfg := radiusPort(conn.LocalAddr().(*net.UDPAddr).Port)
	cfg.Servers.Timeout = 50 * time.Millisecond
	a, err := newPortAuth(testUsers(t), isTestHub, "default", cfg, config.Secret("shared"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if g := login(t, a, ppp.MSCHAPv2, "bob", "secret"); g.Result.OK || !strings.Contains(g.Reason, "no server answers") {
		t.Errorf("%+v", g)
	}
	if g := login(t, a, ppp.MSCHAPv2, "alice", "secret"); !g.Result.OK {
		t.Errorf("a local user while RADIUS is away: %+v", g)
	}
	if _, err := newPortAuth(testUsers(t), isTestHub, "default", &config.L2TP{RadiusOnly: true}, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("RADIUS alone, without servers")
	}
}

func TestRadiusAccounting(t *testing.T) {
	port, _, records := radiusServer(t)
	a, err := newPortAuth(testUsers(t), isTestHub, "default", radiusPort(port), config.Secret("shared"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := l2tp.SessionStatus{Name: "road/3", Port: "road", User: "bob", Client: netip.MustParseAddrPort("203.0.113.9:4500"), Host: "pc",
		Address: netip.MustParseAddr("172.16.0.77"), Seconds: 61.5, InBytes: 1 << 33, OutBytes: 5, InPackets: 6, OutPackets: 7, Reason: "peer silent"}
	a.Account(l2tp.Accounting{Phase: l2tp.Stop, Session: s, Class: [][]byte{[]byte("staff")}})
	s.Name, s.User = "road/4", "alice"
	a.Account(l2tp.Accounting{Phase: l2tp.Start, Session: s})
	if err := a.Close(); err != nil { // what waits is told first
		t.Fatal(err)
	}
	got := map[string]*layeh.Packet{}
	for len(records) > 0 {
		p := <-records
		got[rfc2865.UserName_GetString(p)] = p
	}
	bob, alice := got["bob"], got["alice"]
	if bob == nil || alice == nil {
		t.Fatalf("records of %d users", len(got))
	}
	for what, ok := range map[string]bool{
		"stop":      rfc2866.AcctStatusType_Get(bob) == rfc2866.AcctStatusType_Value_Stop,
		"class":     rfc2865.Class_GetString(bob) == "staff",
		"time":      rfc2866.AcctSessionTime_Get(bob) == 61,
		"bytes":     rfc2869.AcctInputGigawords_Get(bob) == 2 && rfc2866.AcctInputOctets_Get(bob) == 0 && rfc2866.AcctOutputOctets_Get(bob) == 5,
		"packets":   rfc2866.AcctInputPackets_Get(bob) == 6 && rfc2866.AcctOutputPackets_Get(bob) == 7,
		"cause":     rfc2866.AcctTerminateCause_Get(bob) == rfc2866.AcctTerminateCause_Value_LostCarrier,
		"authentic": rfc2866.AcctAuthentic_Get(bob) == rfc2866.AcctAuthentic_Value_RADIUS && rfc2866.AcctAuthentic_Get(alice) == rfc2866.AcctAuthentic_Value_Local,
		"start":     rfc2866.AcctStatusType_Get(alice) == rfc2866.AcctStatusType_Value_Start,
		"address":   rfc2865.FramedIPAddress_Get(bob).Equal(net.IPv4(172, 16, 0, 77)),
		"names": rfc2866.AcctSessionID_GetString(bob) != rfc2866.AcctSessionID_GetString(alice) &&
			strings.HasSuffix(rfc2866.AcctSessionID_GetString(bob), "-default/road/3"),
	} {
		if !ok {
			t.Errorf("%s is not as it should be", what)
		}
	}
}

func TestTerminateCauses(t *testing.T) {
	for reason, want := range map[string]radius.Cause{
		"the client ended the call": radius.UserRequest, "the peer closed the tunnel: 1": radius.UserRequest, "peer silent": radius.LostCarrier,
		"the IPsec session ended: dead peer": radius.LostCarrier, "the session's time is over": radius.SessionTimeout,
		"replaced: the same user and device came back": radius.PortPreempted, "ended by the operator": radius.AdminReset,
		users.ErrDisabled.Error(): radius.AdminReset, users.ErrUnknown.Error(): radius.AdminReset, "the server shuts down": radius.NASReboot,
		"no address: the pool is exhausted": radius.ServiceUnavailable, "something else": radius.NASRequest, "": radius.NASRequest,
	} {
		if got := terminateCause(reason); got != want {
			t.Errorf("%q: %d, want %d", reason, got, want)
		}
	}
}
