package radius

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2759"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2868"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/vendors/microsoft"
)

func TestRequestAndGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		var got *layeh.Request
		n.server(t, "192.0.2.1:1812", func(r *layeh.Request) [][]byte {
			got = r
			return accept(func(p *layeh.Packet) {
				rfc2865.FramedIPAddress_Set(p, net.IPv4(172, 16, 0, 77))
				rfc2865.Class_Add(p, []byte("one"))
				rfc2865.Class_Add(p, []byte{0, 1})
				rfc2865.SessionTimeout_Set(p, 3600)
				rfc2865.IdleTimeout_Set(p, 600)
				rfc2869.AcctInterimInterval_Set(p, 5)
				rfc2865.FilterID_SetString(p, "staff")
				rfc2865.ReplyMessage_AddString(p, "Hello\r\n\x1b[31malice")
				rfc2868.TunnelType_Add(p, 1, 13)
				rfc2868.TunnelMediumType_Add(p, 1, 6)
				rfc2868.TunnelPrivateGroupID_AddString(p, 1, "20")
			})(r)
		})
		g, err := n.client(t, nil, "192.0.2.1").Login(t.Context(), papRequest())
		want := Grant{OK: true, Server: "192.0.2.1:1812", Message: "Hello [31malice", Address: netip.MustParseAddr("172.16.0.77"),
			Class: [][]byte{[]byte("one"), {0, 1}}, MaxTime: time.Hour, IdleTime: 10 * time.Minute, Interim: time.Minute, Filter: "staff", VLAN: 20}
		if err != nil || !reflect.DeepEqual(g, want) {
			t.Errorf("got %+v %v\nwant %+v", g, err, want)
		}
		p := got.Packet
		if !requestIsSealed(got) {
			t.Error("the request has no good Message-Authenticator in front")
		}
		for what, ok := range map[string]bool{
			"password":               rfc2865.UserPassword_GetString(p) == "secret",
			"NAS-Identifier":         rfc2865.NASIdentifier_GetString(p) == "nas",
			"NAS-Port-Type":          rfc2865.NASPortType_Get(p) == rfc2865.NASPortType_Value_Virtual,
			"Service-Type":           rfc2865.ServiceType_Get(p) == rfc2865.ServiceType_Value_FramedUser,
			"Framed-Protocol":        rfc2865.FramedProtocol_Get(p) == rfc2865.FramedProtocol_Value_PPP,
			"Calling-Station-Id":     rfc2865.CallingStationID_GetString(p) == "203.0.113.9",
			"Called-Station-Id":      rfc2865.CalledStationID_GetString(p) == "default/road",
			"Acct-Session-Id":        rfc2866.AcctSessionID_GetString(p) == "x-1",
			"NAS-Port-Id":            rfc2869.NASPortID_GetString(p) == "road/1",
			"no Proxy-State":         rfc2865.ProxyState_Get(p) == nil,
			"Tunnel-Client-Auth-ID":  string(p.Get(rfc2868.TunnelClientAuthID_Type)) == "\x00alices-pc",
			"Tunnel-Client-Endpoint": string(p.Get(rfc2868.TunnelClientEndpoint_Type)) == "\x00203.0.113.9",
			"Tunnel-Type":            string(p.Get(rfc2868.TunnelType_Type)) == "\x00\x00\x00\x03",
			"Tunnel-Medium-Type":     string(p.Get(rfc2868.TunnelMediumType_Type)) == "\x00\x00\x00\x01",
		} {
			if !ok {
				t.Errorf("%s is not as it should be", what)
			}
		}
	})
}

// The vectors of RFC 2759 section 9.2 through RADIUS.
func mschapRequest() (Request, string) {
	challenge := []byte("\x5B\x5D\x7C\x7D\x7B\x3F\x2F\x3E\x3C\x2C\x60\x21\x32\x26\x26\x28")
	peer := []byte("\x21\x40\x23\x24\x25\x5E\x26\x2A\x28\x29\x5F\x2B\x3A\x33\x7C\x7E")
	nt := []byte("\x82\x30\x9E\xCD\x8D\x70\x8B\x5E\xA0\x8F\xAA\x39\x81\xCD\x83\x54\x42\x33\x11\x4A\x3D\x85\xD6\xDF")
	response := append(append(append([]byte(nil), peer...), make([]byte, 8)...), nt...)
	return Request{User: "User", Method: MSCHAPv2, ID: 7, Challenge: challenge, Response: append(response, 0)}, "S=407A5589115FD0D6209F510FE9C04566932CDA56"
}

func TestMSCHAPv2(t *testing.T) {
	for _, c := range []struct {
		name    string
		success string // value of MS-CHAP2-Success, "" none
		ok      bool
	}{
		{"good", "\x07%s", true},
		{"with a message behind", "\x07%s M=welcome", true},
		{"none", "", false},
		{"another identifier", "\x08%s", false},
		{"cut", "\x07S=407A", false},
		{"no hex", "\x07S=Z07A5589115FD0D6209F510FE9C04566932CDA56", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				r, proof := mschapRequest()
				n.server(t, "192.0.2.1:1812", func(q *layeh.Request) [][]byte {
					v, challenge := microsoft.MSCHAP2Response_Get(q.Packet), microsoft.MSCHAPChallenge_Get(q.Packet)
					want, err := rfc2759.GenerateNTResponse(challenge, v[2:18], []byte("User"), []byte("clientPass"))
					if err != nil || string(want) != string(v[26:50]) || v[0] != 7 || v[1] != 0 {
						t.Errorf("the server got %x: %v", v, err)
					}
					return accept(func(p *layeh.Packet) {
						if c.success != "" {
							microsoft.MSCHAP2Success_Add(p, []byte(strings.ReplaceAll(c.success, "%s", proof)))
						}
					})(q)
				})
				g, err := n.client(t, nil, "192.0.2.1").Login(t.Context(), r)
				if err != nil || g.OK != c.ok || c.ok && g.Authenticator != proof || !c.ok && g.Reason == "" {
					t.Errorf("got %+v %v", g, err)
				}
			})
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		code   layeh.Code
		fill   func(*layeh.Packet)
		reason string
	}{
		{"plain", layeh.CodeAccessReject, nil, "the server refused"},
		{"with words", layeh.CodeAccessReject, func(p *layeh.Packet) { rfc2865.ReplyMessage_AddString(p, "not today") }, "the server refused: not today"},
		{"of MS-CHAP", layeh.CodeAccessReject, func(p *layeh.Packet) { microsoft.MSCHAPError_Add(p, []byte("\x07E=648 R=0 V=3")) }, "the server refused (the password has expired, E=648)"},
		{"a challenge", layeh.CodeAccessChallenge, nil, "the server asks for a second answer"},
		{"another service", layeh.CodeAccessAccept, func(p *layeh.Packet) {
			rfc2865.ServiceType_Set(p, rfc2865.ServiceType_Value_AdministrativeUser)
		}, "the server granted another service (Service-Type Administrative-User)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				n.server(t, "192.0.2.1:1812", func(r *layeh.Request) [][]byte { return [][]byte{reply{code: c.code, fill: c.fill}.wire(r.Packet)} })
				g, err := n.client(t, nil, "192.0.2.1").Login(t.Context(), papRequest())
				if err != nil || g.OK || !strings.HasPrefix(g.Reason, c.reason) {
					t.Errorf("got %+v %v", g, err)
				}
			})
		})
	}
}

// What does not count is dropped, and the good answer behind it is taken.
func TestForgedReplies(t *testing.T) {
	flip := func(i int) func([]byte) []byte { return func(b []byte) []byte { b[i] ^= 1; return b } }
	for _, c := range []struct {
		name  string
		reply reply
		spoil func([]byte) []byte
	}{
		{"by one who has no secret", reply{code: 2, secret: "guess"}, nil},
		{"without Message-Authenticator, the rest good", reply{code: 2, noMA: true}, nil},
		{"with a wrong Message-Authenticator, the rest good", reply{code: 2, badMA: true}, nil},
		{"with two Message-Authenticators", reply{code: 2, fill: func(p *layeh.Packet) { p.Add(rfc2869.MessageAuthenticator_Type, make(layeh.Attribute, 16)) }}, nil},
		{"with a short one", reply{code: 2, noMA: true, fill: func(p *layeh.Packet) { p.Add(rfc2869.MessageAuthenticator_Type, make(layeh.Attribute, 15)) }}, nil},
		{"with a Proxy-State", reply{code: 2, fill: func(p *layeh.Packet) { p.Add(rfc2865.ProxyState_Type, layeh.Attribute("padding")) }}, nil},
		{"a refusal made an acceptance", reply{code: 3}, func(b []byte) []byte { b[0] = 2; return b }},
		{"with a wrong Response Authenticator", reply{code: 2}, flip(4)},
		{"cut", reply{code: 2}, func(b []byte) []byte { return b[:len(b)-1] }},
		{"of nothing", reply{code: 2}, func(b []byte) []byte { return b[:0] }},
		{"of 19 bytes", reply{code: 2}, func(b []byte) []byte { return b[:19] }},
		{"with a length of 5", reply{code: 2}, func(b []byte) []byte { b[2], b[3] = 0, 5; return b }},
		{"with an attribute of no length", reply{code: 2, fill: func(p *layeh.Packet) { p.Add(25, layeh.Attribute{}) }}, func(b []byte) []byte { b[len(b)-1] = 0; return b }},
		{"of accounting", reply{code: 5}, nil},
		{"of an unknown code", reply{code: 40}, nil},
		{"to another identifier", reply{code: 2}, flip(1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				var alone atomic.Bool
				alone.Store(true)
				n.server(t, "192.0.2.1:1812", func(r *layeh.Request) [][]byte {
					bad := c.reply.wire(r.Packet)
					if c.spoil != nil {
						bad = c.spoil(bad)
					}
					if alone.Load() {
						return [][]byte{bad}
					}
					return append([][]byte{bad}, accept(nil)(r)...)
				})
				cl := n.client(t, nil, "192.0.2.1")
				if g, err := cl.Login(t.Context(), papRequest()); err == nil {
					t.Fatalf("taken: %+v", g)
				}
				if s := cl.Status().Login[0]; s.BadReply+s.Unknown != 2 || s.Silent != 1 || s.Repeated != 1 {
					t.Errorf("counted %+v", s)
				}
				alone.Store(false)
				if g, err := cl.Login(t.Context(), papRequest()); err != nil || !g.OK {
					t.Errorf("the good answer behind the bad one: %+v %v", g, err)
				}
			})
		})
	}
}

func TestPaddingBehindTheReplyIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.server(t, "192.0.2.1:1812", func(r *layeh.Request) [][]byte { return [][]byte{append(accept(nil)(r)[0], 0, 0, 0)} })
		if g, err := n.client(t, nil, "192.0.2.1").Login(t.Context(), papRequest()); err != nil || !g.OK {
			t.Errorf("%+v %v", g, err)
		}
	})
}

func TestFailoverAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		var silent atomic.Bool
		var asked atomic.Int64
		silent.Store(true)
		n.server(t, "192.0.2.1:1812", func(r *layeh.Request) [][]byte {
			asked.Add(1)
			if silent.Load() {
				return nil
			}
			return accept(nil)(r)
		})
		n.server(t, "192.0.2.2:1812", accept(nil))
		c := n.client(t, nil, "192.0.2.1", "192.0.2.2")
		login := func() (string, time.Duration) {
			t.Helper()
			start := time.Now()
			g, err := c.Login(t.Context(), papRequest())
			if err != nil || !g.OK {
				t.Fatalf("%+v %v", g, err)
			}
			return g.Server, time.Since(start)
		}
		if s, d := login(); s != "192.0.2.2:1812" || d != 2*time.Second || asked.Load() != 2 {
			t.Errorf("first: %s after %v, the silent one asked %d times", s, d, asked.Load())
		}
		silent.Store(false)
		if s, d := login(); s != "192.0.2.2:1812" || d != 0 || asked.Load() != 2 {
			t.Errorf("while the first is dead: %s after %v", s, d)
		}
		time.Sleep(time.Minute)
		if s, _ := login(); s != "192.0.2.1:1812" {
			t.Errorf("after the dead time: %s", s)
		}
		if st := c.Status().Login[0]; st.Answered != 1 || st.Silent != 1 || !st.DeadUntil.IsZero() {
			t.Errorf("status: %+v", st)
		}
	})
}

// The dead are asked too when nobody else answers, the one dead longest first.
func TestDeadServersAreAskedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		var up atomic.Bool
		answer := func(r *layeh.Request) [][]byte {
			if up.Load() {
				return accept(nil)(r)
			}
			return nil
		}
		n.server(t, "192.0.2.1:1812", answer)
		n.server(t, "192.0.2.2:1812", answer)
		c := n.client(t, nil, "192.0.2.1", "192.0.2.2")
		start := time.Now()
		if _, err := c.Login(t.Context(), papRequest()); err == nil || time.Since(start) != 4*time.Second ||
			!strings.Contains(err.Error(), "192.0.2.1:1812: no answer; 192.0.2.2:1812: no answer") {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		up.Store(true)
		if g, err := c.Login(t.Context(), papRequest()); err != nil || g.Server != "192.0.2.1:1812" {
			t.Errorf("%+v %v", g, err)
		}
	})
}

func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.server(t, "192.0.2.1:1812", func(r *layeh.Request) [][]byte {
			time.Sleep(1500 * time.Millisecond) // the repetition is dropped as a copy
			return accept(nil)(r)
		})
		start := time.Now()
		g, err := n.client(t, nil, "192.0.2.1").Login(t.Context(), papRequest())
		if err != nil || !g.OK || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%+v %v after %v", g, err, time.Since(start))
		}
	})
}

func TestRefusedPortIsLeftAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.server(t, "192.0.2.2:1812", accept(nil))
		c := n.client(t, nil, "192.0.2.1", "192.0.2.2")
		start := time.Now()
		if g, err := c.Login(t.Context(), papRequest()); err != nil || g.Server != "192.0.2.2:1812" || time.Since(start) != 0 {
			t.Errorf("%+v %v after %v", g, err, time.Since(start))
		}
		// The only server is waited for: it may be starting.
		c = n.client(t, nil, "192.0.2.1")
		time.AfterFunc(500*time.Millisecond, func() { n.server(t, "192.0.2.1:1812", accept(nil)) })
		if g, err := c.Login(t.Context(), papRequest()); err != nil || !g.OK {
			t.Errorf("%+v %v", g, err)
		}
	})
}

func TestLoginEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.server(t, "192.0.2.1:1812", func(*layeh.Request) [][]byte { return nil })
		c := n.client(t, nil, "192.0.2.1")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := c.Login(ctx, papRequest()); err == nil || time.Since(start) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if st := c.Status().Login[0]; !st.DeadUntil.IsZero() {
			t.Error("a server is dead for a caller's impatience")
		}
	})
}

// More logins at once than there are identifiers, answered out of order.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.server(t, "192.0.2.1:1812", func(r *layeh.Request) [][]byte {
			user := rfc2865.UserName_GetString(r.Packet)
			time.Sleep(time.Duration(user[0]%7) * 10 * time.Millisecond)
			return accept(func(p *layeh.Packet) { rfc2865.Class_AddString(p, user) })(r)
		})
		c := n.client(t, func(c *Config) { c.Retries = 5 }, "192.0.2.1")
		done := make(chan string)
		const logins = 1000
		for i := range logins {
			go func() {
				r := papRequest()
				r.User = string(rune('a'+i%26)) + strings.Repeat("x", i/26)
				g, err := c.Login(t.Context(), r)
				if err != nil || len(g.Class) != 1 || string(g.Class[0]) != r.User {
					done <- "wrong"
					return
				}
				done <- ""
			}()
		}
		for range logins {
			if bad := <-done; bad != "" {
				t.Fatal("a login got another's answer, or none")
			}
		}
	})
}

func TestRequestsThatCannotBeMade(t *testing.T) {
	c := newNetwork().client(t, nil, "192.0.2.1")
	for _, r := range []Request{
		{Method: PAP}, {User: "a", Method: PAP, Password: make([]byte, 129)}, {User: "a", Method: MSCHAPv2, Response: make([]byte, 48), Challenge: make([]byte, 16)},
		{User: "a", Method: CHAPMD5, Response: make([]byte, 15), Challenge: []byte{1}}, {User: "a", Method: 9},
	} {
		if g, err := c.Login(t.Context(), r); err == nil || g.OK || strings.Contains(err.Error(), "no answer") {
			t.Errorf("%+v: %+v %v", r, g, err)
		}
	}
}

func TestConfigs(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no server":   {Secret: []byte("x")},
		"no secret":   {Servers: []Server{{Host: "a"}}},
		"no host":     {Servers: []Server{{}}, Secret: []byte("x")},
		"port 70000":  {Servers: []Server{{Host: "a", Port: 70000}}, Secret: []byte("x")},
		"port behind": {Servers: []Server{{Host: "a", Port: 65535}}, Secret: []byte("x")},
		"a long name": {Servers: []Server{{Host: "a"}}, Secret: []byte("x"), NASIdentifier: strings.Repeat("x", 254)},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
