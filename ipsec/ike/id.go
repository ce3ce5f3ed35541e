package ike

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// IDType is an identification type (RFC 2407 4.6.2.1).
type IDType uint8

// The types. DER names need certificates and are not accepted.
const (
	IDAddr4   IDType = 1
	IDFQDN    IDType = 2
	IDUser    IDType = 3 // user@fqdn
	IDSubnet4 IDType = 4
	IDAddr6   IDType = 5
	IDSubnet6 IDType = 6
	IDRange4  IDType = 7
	IDRange6  IDType = 8
	IDDERDN   IDType = 9
	IDDERGN   IDType = 10
	IDKeyID   IDType = 11
)

// ID is a phase 1 identity. It is comparable and may be a map key. The zero ID is none.
type ID struct {
	Type  IDType
	Value string // the bytes of the payload: 4 or 16 for addresses, the text otherwise
}

// maxIDLen bounds the bytes of an identity.
const maxIDLen = 255

// IsZero tells whether there is no identity.
func (i ID) IsZero() bool { return i.Type == 0 }

// AddrID is the identity that is an address.
func AddrID(a netip.Addr) ID {
	a = a.Unmap()
	if a.Is4() {
		return ID{IDAddr4, string(a.AsSlice())}
	}
	return ID{IDAddr6, string(a.AsSlice())}
}

// Addr is the address of an address identity.
func (i ID) Addr() (netip.Addr, bool) {
	if i.Type != IDAddr4 && i.Type != IDAddr6 {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice([]byte(i.Value))
}

// String writes "192.0.2.1", "fqdn:gw.example", "user:joe@example", "keyid:branch1";
// unprintable values as "keyid:0x...".
func (i ID) String() string {
	switch i.Type {
	case 0:
		return "any"
	case IDAddr4, IDAddr6:
		if a, ok := i.Addr(); ok {
			return a.String()
		}
	case IDFQDN:
		return "fqdn:" + printable(i.Value)
	case IDUser:
		return "user:" + printable(i.Value)
	case IDKeyID:
		return "keyid:" + printable(i.Value)
	}
	return fmt.Sprintf("type%d:0x%s", i.Type, hex.EncodeToString([]byte(i.Value)))
}

// printable keeps identities from writing into terminals and logs what they like.
func printable(s string) string {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return "0x" + hex.EncodeToString([]byte(s))
		}
	}
	return s
}

// ParseID reads what String writes: an address, or "fqdn:", "user:", "keyid:" and a
// value ("0x..." for bytes); a bare name is an FQDN, with an @ inside a user-FQDN.
// "any" and "" give the zero ID.
func ParseID(s string) (ID, error) {
	if s == "" || s == "any" || s == "*" {
		return ID{}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return ID{}, fmt.Errorf("identity %q: an address with a zone cannot be an identity", s)
		}
		return AddrID(a), nil
	}
	kind, value, found := strings.Cut(s, ":")
	types := map[string]IDType{"fqdn": IDFQDN, "user": IDUser, "keyid": IDKeyID}
	t, known := types[kind]
	switch {
	case found && !known:
		return ID{}, fmt.Errorf("identity %q: unknown kind %q (fqdn, user, keyid, or an address)", s, kind)
	case !found && strings.Contains(s, "@"):
		t, value = IDUser, s
	case !found:
		t, value = IDFQDN, s
	}
	if h, ok := strings.CutPrefix(value, "0x"); ok {
		raw, err := hex.DecodeString(h)
		if err != nil {
			return ID{}, fmt.Errorf("identity %q: %w", s, err)
		}
		value = string(raw)
	}
	if value == "" || len(value) > maxIDLen {
		return ID{}, fmt.Errorf("identity %q: need 1 to %d bytes", s, maxIDLen)
	}
	return ID{t, value}, nil
}

// equal compares identities; names of hosts and users regardless of case.
func (i ID) equal(o ID) bool {
	if i.Type == o.Type && (i.Type == IDFQDN || i.Type == IDUser) {
		return strings.EqualFold(i.Value, o.Value)
	}
	return i == o
}

// appendID appends the body of an ID payload of phase 1 (RFC 2407 4.6.2). Protocol and port
// are 0: the other permitted value, 17/500, is refused by some peers behind NAT.
func appendID(b []byte, i ID) []byte {
	b = append(b, byte(i.Type), 0, 0, 0)
	return append(b, i.Value...)
}

// parseID reads the body of an ID payload of phase 1.
func parseID(body []byte) (ID, error) {
	if len(body) < 4 {
		return ID{}, fmt.Errorf("ID payload of %d bytes", len(body))
	}
	id := ID{IDType(body[0]), string(body[4:])}
	switch id.Type {
	case IDAddr4:
		if len(id.Value) != 4 {
			return ID{}, fmt.Errorf("IPv4 identity of %d bytes", len(id.Value))
		}
	case IDAddr6:
		if len(id.Value) != 16 {
			return ID{}, fmt.Errorf("IPv6 identity of %d bytes", len(id.Value))
		}
	case IDFQDN, IDUser, IDKeyID, IDDERDN, IDDERGN:
		if len(id.Value) == 0 || len(id.Value) > maxIDLen {
			return ID{}, fmt.Errorf("identity of %d bytes", len(id.Value))
		}
	default:
		return ID{}, fmt.Errorf("identity of type %d", id.Type)
	}
	// RFC 2407 4.6.2: protocol and port are 0 and 0, or UDP and 500. Peers behind NAT-T say 4500.
	proto, port := body[1], binary.BigEndian.Uint16(body[2:])
	if (proto != 0 && proto != 17) || (port != 0 && port != 500 && port != 4500) {
		return ID{}, fmt.Errorf("identity for protocol %d port %d", proto, port)
	}
	return id, nil
}

// Selector is one side of a child: addresses, protocol, port (RFC 2407 4.6.2).
// The zero Selector is everything at the phase 1 address.
type Selector struct {
	// From and To are the first and the last address; both invalid: the phase 1 address.
	From, To netip.Addr
	// Prefix tells that From to To was, or is to be, written as a subnet with this
	// many bits plus one; 0: a single address or a range.
	Prefix   int
	Protocol uint8  // 0: any
	Port     uint16 // 0: any
	// Name is set when the peer sent a name instead of addresses (FQDN, key-id).
	Name ID
}

// AddrSelector is a single address.
func AddrSelector(a netip.Addr, protocol uint8, port uint16) Selector {
	return Selector{From: a.Unmap(), To: a.Unmap(), Protocol: protocol, Port: port}
}

// PrefixSelector is a subnet.
func PrefixSelector(p netip.Prefix, protocol uint8, port uint16) Selector {
	p = p.Masked()
	return Selector{From: p.Addr(), To: lastAddr(p), Prefix: p.Bits() + 1, Protocol: protocol, Port: port}
}

func lastAddr(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for i := range raw {
		for bit := range 8 {
			if i*8+bit >= p.Bits() {
				raw[i] |= 0x80 >> bit
			}
		}
	}
	a, _ := netip.AddrFromSlice(raw)
	return a
}

// String writes "192.0.2.1[97]", "10.0.0.0/8", "192.0.2.1[17/1701]".
func (s Selector) String() string {
	var b strings.Builder
	switch {
	case !s.Name.IsZero():
		b.WriteString(s.Name.String())
	case !s.From.IsValid():
		b.WriteString("phase-1-address")
	case s.Prefix > 0:
		fmt.Fprintf(&b, "%s/%d", s.From, s.Prefix-1)
	case s.From != s.To:
		fmt.Fprintf(&b, "%s-%s", s.From, s.To)
	default:
		b.WriteString(s.From.String())
	}
	if s.Protocol != 0 || s.Port != 0 {
		b.WriteString("[" + strconv.Itoa(int(s.Protocol)))
		if s.Port != 0 {
			b.WriteString("/" + strconv.Itoa(int(s.Port)))
		}
		b.WriteString("]")
	}
	return b.String()
}

// Contains tells whether the selector covers an address.
func (s Selector) Contains(a netip.Addr) bool {
	return s.From.IsValid() && a.BitLen() == s.From.BitLen() && s.From.Compare(a) <= 0 && a.Compare(s.To) <= 0
}

// All tells whether the selector covers every address of its family.
func (s Selector) All() bool {
	return s.Prefix == 1 || (s.From.IsValid() && s.From.IsUnspecified() && s.Prefix == 0 && s.From != s.To &&
		s.To == lastAddr(netip.PrefixFrom(s.From, 0)))
}

// appendSelector appends the body of an ID payload of phase 2.
func appendSelector(b []byte, s Selector) []byte {
	t, value := s.Name.Type, []byte(s.Name.Value)
	four := s.From.Is4()
	pick := func(v4, v6 IDType) IDType {
		if four {
			return v4
		}
		return v6
	}
	switch {
	case t != 0:
	case s.Prefix > 0:
		t = pick(IDSubnet4, IDSubnet6)
		value = append(s.From.AsSlice(), mask(s.From.BitLen(), s.Prefix-1)...)
	case s.From != s.To:
		t = pick(IDRange4, IDRange6)
		value = append(s.From.AsSlice(), s.To.AsSlice()...)
	default:
		t = pick(IDAddr4, IDAddr6)
		value = s.From.AsSlice()
	}
	b = append(b, byte(t), s.Protocol)
	b = binary.BigEndian.AppendUint16(b, s.Port)
	return append(b, value...)
}

func mask(bits, ones int) []byte {
	m := make([]byte, bits/8)
	for i := range ones {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m
}

// parseSelector reads the body of an ID payload of phase 2. Names are kept as
// names (an FQDN here crashed a daemon once: CVE-2023-38711).
func parseSelector(body []byte) (Selector, error) {
	if len(body) < 4 {
		return Selector{}, fmt.Errorf("ID payload of %d bytes", len(body))
	}
	s := Selector{Protocol: body[1], Port: binary.BigEndian.Uint16(body[2:])}
	t, v := IDType(body[0]), body[4:]
	sizes := map[IDType]int{IDAddr4: 4, IDAddr6: 16, IDSubnet4: 8, IDSubnet6: 32, IDRange4: 8, IDRange6: 32}
	if want, ok := sizes[t]; ok && len(v) != want {
		return Selector{}, fmt.Errorf("selector of type %d has %d bytes instead of %d", t, len(v), want)
	}
	half := len(v) / 2
	switch t {
	case IDAddr4, IDAddr6:
		s.From, _ = netip.AddrFromSlice(v)
		s.To = s.From
	case IDRange4, IDRange6:
		s.From, _ = netip.AddrFromSlice(v[:half])
		s.To, _ = netip.AddrFromSlice(v[half:])
		if s.To.Less(s.From) {
			return Selector{}, fmt.Errorf("selector range %s-%s is empty", s.From, s.To)
		}
	case IDSubnet4, IDSubnet6:
		ones, ok := prefixLen(v[half:])
		if !ok {
			return Selector{}, fmt.Errorf("selector with mask %x", v[half:])
		}
		a, _ := netip.AddrFromSlice(v[:half])
		p := netip.PrefixFrom(a, ones).Masked()
		s.From, s.To, s.Prefix = p.Addr(), lastAddr(p), ones+1
	case IDFQDN, IDUser, IDKeyID, IDDERDN, IDDERGN:
		if len(v) == 0 || len(v) > maxIDLen {
			return Selector{}, fmt.Errorf("selector name of %d bytes", len(v))
		}
		s.Name = ID{t, string(v)}
	default:
		return Selector{}, fmt.Errorf("selector of type %d", t)
	}
	return s, nil
}

func prefixLen(m []byte) (int, bool) {
	ones, ended := 0, false
	for i := range len(m) * 8 {
		set := m[i/8]&(0x80>>(i%8)) != 0
		if set && ended {
			return 0, false
		}
		if set {
			ones++
		} else {
			ended = true
		}
	}
	return ones, true
}
