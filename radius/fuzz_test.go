package radius

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
	"unicode"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2868"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/vendors/microsoft"
)

// Bytes that nobody sealed are never an answer, and never make trouble; the
// same attributes sealed by the server give a Grant within its bounds.
func FuzzReply(f *testing.F) {
	request := &layeh.Packet{Code: layeh.CodeAccessRequest, Identifier: 9, Secret: []byte(testSecret)}
	wire, err := sealAccess(request)
	if err != nil {
		f.Fatal(err)
	}
	full := reply{code: 2, fill: func(p *layeh.Packet) {
		rfc2865.ReplyMessage_AddString(p, "hello")
		p.Add(rfc2865.FramedIPAddress_Type, layeh.Attribute{172, 16, 0, 1})
		microsoft.MSCHAP2Success_AddString(p, "\x07S=407A5589115FD0D6209F510FE9C04566932CDA56")
		rfc2868.TunnelType_Add(p, 1, 13)
		rfc2868.TunnelMediumType_Add(p, 1, 6)
		rfc2868.TunnelPrivateGroupID_AddString(p, 1, "4094")
		rfc2865.SessionTimeout_Set(p, 1<<32-1)
	}}.wire(request)
	f.Add(full)
	f.Add(reply{code: 3, fill: func(p *layeh.Packet) { microsoft.MSCHAPError_AddString(p, "\x07E=691 R=0") }}.wire(request))
	f.Add([]byte{2, 9, 0, 20})
	f.Add(append(full[:20:20], 26, 6, 0, 0, 1, 55, 81, 2, 64, 6, 255, 0, 0, 13))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := openReply(b, wire, []byte(testSecret)); (p == nil) == (err == nil) {
			t.Fatal("neither a packet nor an error, or both")
		} else if err == nil && !bytes.Contains(b, full[22:38]) && b[0] == 2 {
			t.Fatalf("forged: %x", b)
		}
		if len(b) < 21 {
			return
		}
		attrs, err := layeh.ParseAttributes(b[20:])
		if err != nil {
			return
		}
		p := &layeh.Packet{Code: layeh.Code(b[0]), Secret: []byte(testSecret), Attributes: attrs}
		g := readGrant(p, &Request{Method: Method(b[1] % 3), ID: 7})
		if g.OK != (g.Reason == "") || g.OK && b[1]%3 == byte(MSCHAPv2) && len(g.Authenticator) != 42 {
			t.Fatalf("%+v", g)
		}
		if g.VLAN < 0 || g.VLAN > 4094 || g.MaxTime < 0 || g.IdleTime < 0 || g.Interim != 0 && g.Interim < time.Minute || len(g.Class) > maxClasses {
			t.Fatalf("%+v", g)
		}
		if a := g.Address; a != (netip.Addr{}) && (!a.Is4() || a.IsMulticast() || a.IsUnspecified()) {
			t.Fatalf("%+v", g)
		}
		for _, s := range []string{g.Message, g.Reason, g.Filter} {
			for _, r := range s {
				if unicode.IsControl(r) {
					t.Fatalf("%q would break a log line", s)
				}
			}
		}
		// Sealed by the server, the same is an answer, unless it has what ours has not.
		if p.Code == 2 && len(b) < 4000 {
			for _, t := range []layeh.Type{rfc2869.MessageAuthenticator_Type, rfc2865.ProxyState_Type} {
				p.Attributes.Del(t)
			}
			sealed := reply{code: 2, fill: func(q *layeh.Packet) { q.Attributes = append(q.Attributes, p.Attributes...) }}.wire(request)
			if _, err := openReply(sealed, wire, []byte(testSecret)); err != nil {
				t.Fatalf("a good answer: %v\n%x", err, sealed)
			}
		}
	})
}
