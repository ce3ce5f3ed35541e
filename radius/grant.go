package radius

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2868"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/vendors/microsoft"
)

// Limits of what is kept of an answer.
const (
	maxClasses = 16
	maxMessage = 512 // bytes
)

// readGrant makes a Grant of a genuine answer.
func readGrant(p *layeh.Packet, r *Request) Grant {
	g := Grant{Message: message(p)}
	switch p.Code {
	case layeh.CodeAccessReject:
		g.Reason = "the server refused" + chapError(p)
		if g.Message != "" {
			g.Reason += ": " + g.Message
		}
		return g
	case layeh.CodeAccessChallenge:
		g.Reason = "the server asks for a second answer (Access-Challenge), which these clients cannot give"
		return g
	}
	if a, ok := p.Lookup(rfc2865.ServiceType_Type); ok {
		if v, err := layeh.Integer(a); err != nil || v != uint32(rfc2865.ServiceType_Value_FramedUser) {
			g.Reason = fmt.Sprintf("the server granted another service (Service-Type %s), not Framed", rfc2865.ServiceType(v))
			return g
		}
	}
	if r.Method == MSCHAPv2 {
		var ok bool
		if g.Authenticator, ok = success(p, r.ID); !ok {
			g.Reason = "the server accepted without MS-CHAP2-Success, which the client needs to trust us"
			return g
		}
	}
	g.OK = true
	g.Address = framedAddress(p)
	g.MaxTime, g.IdleTime = seconds(p, rfc2865.SessionTimeout_Type), seconds(p, rfc2865.IdleTimeout_Type)
	if g.Interim = seconds(p, rfc2869.AcctInterimInterval_Type); g.Interim > 0 {
		g.Interim = max(g.Interim, time.Minute)
	}
	if a, ok := p.Lookup(rfc2865.FilterID_Type); ok {
		g.Filter = printable(string(a))
	}
	for _, avp := range p.Attributes {
		if avp.Type == rfc2865.Class_Type && len(g.Class) < maxClasses {
			g.Class = append(g.Class, avp.Attribute)
		}
	}
	g.VLAN = vlan(p)
	return g
}

// message joins the Reply-Messages, which are pieces of one text.
func message(p *layeh.Packet) string {
	var b strings.Builder
	for _, avp := range p.Attributes {
		if avp.Type == rfc2865.ReplyMessage_Type && b.Len()+len(avp.Attribute) <= maxMessage {
			b.Write(avp.Attribute)
			b.WriteByte(' ')
		}
	}
	return printable(b.String())
}

// success reads MS-CHAP2-Success (RFC 2548 section 2.3.3): the identifier, and
// "S=" with 40 hex digits; a message may follow.
func success(p *layeh.Packet, id byte) (string, bool) {
	v, err := microsoft.MSCHAP2Success_Lookup(p)
	if err != nil || len(v) < 43 || v[0] != id || string(v[1:3]) != "S=" {
		return "", false
	}
	if _, err := hex.DecodeString(string(v[3:43])); err != nil {
		return "", false
	}
	return strings.ToUpper(string(v[1:43])), true
}

// chapErrors are the codes of MS-CHAP-Error (RFC 2759 section 6).
var chapErrors = map[string]string{
	"646": "not at this hour", "647": "the account is disabled", "648": "the password has expired",
	"649": "the user may not dial in", "691": "wrong name or password", "709": "the password could not be changed",
}

func chapError(p *layeh.Packet) string {
	v, err := microsoft.MSCHAPError_Lookup(p)
	if err != nil || len(v) < 1 {
		return ""
	}
	for f := range strings.FieldsSeq(string(v[1:])) {
		if code, ok := strings.CutPrefix(f, "E="); ok && chapErrors[code] != "" {
			return fmt.Sprintf(" (%s, E=%s)", chapErrors[code], code)
		}
	}
	return ""
}

// framedAddress: 255.255.255.255 leaves the address to the user, .254 to us
// (RFC 2865 section 5.8).
func framedAddress(p *layeh.Packet) netip.Addr {
	a, ok := netip.AddrFromSlice(p.Get(rfc2865.FramedIPAddress_Type))
	if !ok || !a.Is4() || a.As4()[0] == 0 || a.As4()[0] >= 224 || a.IsLoopback() {
		return netip.Addr{}
	}
	return a
}

func seconds(p *layeh.Packet, t layeh.Type) time.Duration {
	v, err := layeh.Integer(p.Get(t))
	if err != nil {
		return 0
	}
	return time.Duration(v) * time.Second
}

// vlan is RFC 3580 section 3.31: of the attributes with one tag, the group id
// is a VLAN where the type says so.
func vlan(p *layeh.Packet) int {
	var isVLAN, is802 [32]bool
	for _, avp := range p.Attributes {
		if len(avp.Attribute) != 4 || avp.Attribute[0] > 31 {
			continue
		}
		tag, v := avp.Attribute[0], uint32(avp.Attribute[1])<<16|uint32(avp.Attribute[2])<<8|uint32(avp.Attribute[3])
		switch avp.Type {
		case rfc2868.TunnelType_Type:
			isVLAN[tag] = v == 13
		case rfc2868.TunnelMediumType_Type:
			is802[tag] = v == 6
		}
	}
	for _, avp := range p.Attributes {
		if avp.Type != rfc2868.TunnelPrivateGroupID_Type || len(avp.Attribute) == 0 {
			continue
		}
		tag, text := byte(0), avp.Attribute
		if text[0] <= 31 {
			tag, text = text[0], text[1:]
		}
		n, err := strconv.ParseUint(string(text), 10, 12)
		if err == nil && n >= 1 && n <= 4094 && isVLAN[tag] && is802[tag] {
			return int(n)
		}
	}
	return 0
}
