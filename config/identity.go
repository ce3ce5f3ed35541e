package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Types of IKE identity (RFC 2407 section 4.6.2.1).
const (
	IDAddress  = "address"
	IDFQDN     = "fqdn"
	IDUserFQDN = "user"
	IDKeyID    = "keyid"
)

// Identity is an IKE identity as the file writes it: "203.0.113.7" or
// "address:203.0.113.7", "fqdn:branch.example", "user:ix@branch.example",
// "keyid:ix2015". Without a type, an address is an address, a text with @ a
// user name, anything else a name. The zero Identity is "not given".
type Identity struct {
	Type  string // one of the ID constants, "" when not given
	Value string
}

// ParseIdentity reads an identity.
func ParseIdentity(s string) (Identity, error) {
	if s == "" {
		return Identity{}, nil
	}
	typ, value, ok := strings.Cut(s, ":")
	switch {
	case ok && (typ == IDAddress || typ == IDFQDN || typ == IDUserFQDN || typ == IDKeyID):
	case isAddr(s):
		typ, value = IDAddress, s
	case ok:
		return Identity{}, fmt.Errorf("%q is not an identity: the type %q is none of address, fqdn, user, keyid", s, typ)
	case strings.Contains(s, "@"):
		typ, value = IDUserFQDN, s
	default:
		typ, value = IDFQDN, s
	}
	if value == "" || len(value) > 255 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Identity{}, fmt.Errorf("%q is not an identity: want 1 to 255 printable bytes after the type", s)
	}
	if typ == IDAddress {
		a, err := netip.ParseAddr(value)
		if err != nil || a.Zone() != "" {
			return Identity{}, fmt.Errorf("%q is not an identity: %q is not an IP address", s, value)
		}
		value = a.Unmap().String()
	}
	return Identity{typ, value}, nil
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// String returns the identity with its type; "" for none.
func (id Identity) String() string {
	if id.Type == "" {
		return ""
	}
	return id.Type + ":" + id.Value
}

// IsZero tells an identity that was not given.
func (id Identity) IsZero() bool { return id.Type == "" }

// MarshalText makes an Identity a JSON string.
func (id Identity) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the opposite of MarshalText.
func (id *Identity) UnmarshalText(b []byte) (err error) {
	*id, err = ParseIdentity(string(b))
	return err
}
