package radius

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2868"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/vendors/microsoft"
)

// accessRequest makes the packet of a login; identifier and authenticator are
// set already.
func (c *Client) accessRequest(p *layeh.Packet, r *Request) error {
	if r.User == "" {
		return errors.New("radius: no user name")
	}
	b := builder{p: p}
	b.text(rfc2865.UserName_Type, r.User)
	switch r.Method {
	case MSCHAPv2:
		if len(r.Challenge) != 16 || len(r.Response) != 49 {
			return errors.New("radius: an MS-CHAPv2 response has 49 bytes, its challenge 16")
		}
		// RFC 2548 section 2.3.2: identifier, flags, peer challenge, reserved, response.
		value := append([]byte{r.ID, 0}, r.Response[:48]...)
		b.err(microsoft.MSCHAPChallenge_Add(p, r.Challenge))
		b.err(microsoft.MSCHAP2Response_Add(p, value))
	case CHAPMD5:
		if len(r.Response) != 16 || len(r.Challenge) == 0 {
			return errors.New("radius: a CHAP response has 16 bytes, and there is a challenge")
		}
		b.bytes(rfc2865.CHAPPassword_Type, append([]byte{r.ID}, r.Response...))
		b.bytes(rfc2865.CHAPChallenge_Type, r.Challenge)
	case PAP:
		hidden, err := layeh.NewUserPassword(r.Password, p.Secret, p.Authenticator[:])
		if err != nil {
			return fmt.Errorf("radius: the password has %d bytes; RADIUS carries at most 128", len(r.Password))
		}
		b.bytes(rfc2865.UserPassword_Type, hidden)
	default:
		return fmt.Errorf("radius: no method %d", r.Method)
	}
	c.session(&b, &r.Session)
	return b.fault
}

// session adds what requests of both kinds say of the session.
func (c *Client) session(b *builder, s *Session) {
	b.text(rfc2865.NASIdentifier_Type, c.cfg.NASIdentifier)
	b.number(rfc2865.NASPortType_Type, uint32(rfc2865.NASPortType_Value_Virtual))
	b.number(rfc2865.ServiceType_Type, uint32(rfc2865.ServiceType_Value_FramedUser))
	b.number(rfc2865.FramedProtocol_Type, uint32(rfc2865.FramedProtocol_Value_PPP))
	b.text(rfc2869.NASPortID_Type, s.Port)
	b.text(rfc2866.AcctSessionID_Type, s.ID)
	b.text(rfc2865.CalledStationID_Type, s.Called)
	b.number(rfc2868.TunnelType_Type, uint32(rfc2868.TunnelType_Value_L2TP)) // tag 0
	if s.Calling.IsValid() {
		a := s.Calling.Unmap()
		medium := rfc2868.TunnelMediumType_Value_IPv4
		if a.Is6() {
			medium = rfc2868.TunnelMediumType_Value_IPv6
		}
		b.text(rfc2865.CallingStationID_Type, a.WithZone("").String())
		b.number(rfc2868.TunnelMediumType_Type, uint32(medium))
		b.text(rfc2868.TunnelClientEndpoint_Type, "\x00"+a.WithZone("").String())
	}
	if s.Host != "" {
		b.text(rfc2868.TunnelClientAuthID_Type, "\x00"+s.Host)
	}
}

// builder adds attributes and keeps the first error. Texts are cut at what an
// attribute holds.
type builder struct {
	p     *layeh.Packet
	fault error
}

func (b *builder) err(err error) {
	if b.fault == nil && err != nil {
		b.fault = fmt.Errorf("radius: %w", err)
	}
}

func (b *builder) number(t layeh.Type, v uint32) { b.p.Add(t, layeh.NewInteger(v)) }

func (b *builder) bytes(t layeh.Type, v []byte) {
	a, err := layeh.NewBytes(v)
	b.err(err)
	b.p.Add(t, a)
}

func (b *builder) text(t layeh.Type, s string) {
	if s == "" {
		return
	}
	b.bytes(t, []byte(s[:min(len(s), maxAttribute)]))
}

func (b *builder) address(a netip.Addr) {
	if a = a.Unmap(); a.Is4() {
		b.bytes(rfc2865.FramedIPAddress_Type, a.AsSlice())
	}
}

// printable makes one line for people of what came from a server.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.Join(strings.Fields(s), " ")
}
