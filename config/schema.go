package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vhub/eth"
)

// Attribute is one key of the schema: what the file may say, and the flag and
// the help line of the commands that set it.
type Attribute struct {
	Name    string // as in the file: max_macs
	Doc     string // what it means; one line, no full stop
	Default string // as text (see Values); "" when there is none
	Example string // a value to show where there is no default
	Need    bool   // must be given

	// The rest follows from the field that holds the value.
	Type  string // string, bool, number, size, duration, address, prefix, range, route, mac, station or identity
	Range string // "1..1048576", "relay|assist|proxy"; "" where anything of the type is good
	List  bool   // a list in the file; comma-separated in Values
	Bool  bool   // a command flag that needs no value

	bind     func(target any) any // the field's pointer in its Hub, Port, ...; nil where the target has none now
	min, max int64                // numbers and sizes as they are, durations in nanoseconds; none when both are 0
	zero     bool                 // 0 is good too: off, or automatic
	enum     []string
	single   bool                    // of a list: one text may stand for a list of one
	check    func(text string) error // of a text, or of each text of a list
}

// Flag returns the attribute's name as a command flag: max-macs.
func (a *Attribute) Flag() string { return strings.ReplaceAll(a.Name, "_", "-") }

// on makes the binding of an attribute of T.
func on[T any](field func(*T) any) func(any) any {
	return func(target any) any { return field(target.(*T)) }
}

// finish fills in what follows from the fields, by means of a blank target.
func finish(attrs []*Attribute, blank any) []*Attribute {
	for _, a := range attrs {
		ptr := a.bind(blank)
		a.Type, a.List = typeName(ptr)
		a.Bool = a.Type == "bool"
		a.Range = rangeText(a)
	}
	return attrs
}

func typeName(ptr any) (name string, list bool) {
	switch ptr.(type) {
	case *string:
		return "string", false
	case *bool:
		return "bool", false
	case *int:
		return "number", false
	case *int64:
		return "size", false
	case *time.Duration:
		return "duration", false
	case *netip.Addr:
		return "address", false
	case *netip.Prefix:
		return "prefix", false
	case *eth.Addr:
		return "mac", false
	case *Identity:
		return "identity", false
	case *[]string:
		return "string", true
	case *[]netip.Addr:
		return "address", true
	case *[]netip.Prefix:
		return "prefix", true
	case *[]StaticMAC:
		return "station", true
	case *[]AddrRange:
		return "range", true
	case *[]Route:
		return "route", true
	}
	panic(fmt.Sprintf("config: the schema has no type for %T", ptr))
}

func rangeText(a *Attribute) string {
	if a.enum != nil {
		return strings.Join(a.enum, "|")
	}
	if a.min == 0 && a.max == 0 {
		return ""
	}
	show := func(v int64) string {
		switch a.Type {
		case "duration":
			return durationText(time.Duration(v))
		case "size":
			return sizeText(v)
		}
		return fmt.Sprint(v)
	}
	s := show(a.min) + ".."
	if a.max != math.MaxInt64 {
		s += show(a.max)
	}
	if a.zero {
		s = "0 or " + s
	}
	return s
}

// portKinds is the schema of ports: a line here, a struct in Port and a table
// of attributes make a new kind.
var portKinds = []struct {
	kind  string
	doc   string
	attrs []*Attribute
}{
	{KindTAP, "joins the hub to this host by a TAP device, alone or in a Linux bridge", portTable(KindTAP, tapAttributes)},
	{KindNIC, "joins the hub to a physical interface by AF_PACKET; a tap in a bridge with the interface is the better way where it can be had", portTable(KindNIC, nicAttributes)},
	{KindEtherIP, "joins the hub to a peer by EtherIP (RFC 3378), in IPsec or plain", portTable(KindEtherIP, append(etherIPAttributes(), ipsecAttributes(func(p *Port) *IPsec { return p.EtherIP.IPsec })...))},
	{KindL2TP, "lets road warriors in by L2TP in IPsec (RFC 3193); each of them is a host of the segment", portTable(KindL2TP, append(l2tpAttributes(), l2tpIPsecAttributes()...))},
}

func portTable(kind string, own []*Attribute) []*Attribute {
	return finish(append(own, commonAttributes(kind)...), blankPort(kind))
}

// Kinds returns the kinds of port, in the order of the reference.
func Kinds() []string {
	var l []string
	for _, k := range portKinds {
		l = append(l, k.kind)
	}
	return l
}

// KindDoc returns one line on a kind of port; "" for an unknown one.
func KindDoc(kind string) string {
	for _, k := range portKinds {
		if k.kind == kind {
			return k.doc
		}
	}
	return ""
}

// PortAttributes returns what a port of a kind may say: the kind's own first,
// then what all ports have; nil for an unknown kind.
func PortAttributes(kind string) []*Attribute {
	for _, k := range portKinds {
		if k.kind == kind {
			return k.attrs
		}
	}
	return nil
}

// HubAttributes returns what a hub may say beside its ports.
func HubAttributes() []*Attribute { return hubTable }

var hubTable = finish(hubAttributes, &Hub{})

// blocks is the schema of the settings at the top of the file.
var blocks = []struct {
	name  string
	doc   string
	attrs []*Attribute
	of    func(*Config) any
}{
	{"log", "how the daemon logs", finish(logAttributes, &Log{}), func(c *Config) any { return &c.Log }},
	{"ipsec", "the IPsec engine that all ports share", finish(engineAttributes, &Engine{}), func(c *Config) any { return &c.IPsec }},
}

// Blocks returns the names of the settings blocks at the top of the file.
func Blocks() []string {
	var l []string
	for _, b := range blocks {
		l = append(l, b.name)
	}
	return l
}

// BlockAttributes returns what a settings block may say; nil for an unknown one.
func BlockAttributes(name string) []*Attribute {
	for _, b := range blocks {
		if b.name == name {
			return b.attrs
		}
	}
	return nil
}

func find(attrs []*Attribute, name string) *Attribute {
	i := slices.IndexFunc(attrs, func(a *Attribute) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return attrs[i]
}

func names(attrs []*Attribute) []string {
	l := make([]string, len(attrs))
	for i, a := range attrs {
		l[i] = a.Name
	}
	return l
}

// setDefaults gives every attribute of target its default.
func setDefaults(attrs []*Attribute, target any) {
	for _, a := range attrs {
		if ptr := a.bind(target); ptr != nil && a.Default != "" {
			if err := a.setText(ptr, a.Default); err != nil {
				panic(fmt.Sprintf("config: the default of %s: %v", a.Name, err))
			}
		}
	}
}

// blankPort makes a port whose fields are all there and zero.
func blankPort(kind string) *Port {
	p := &Port{Kind: kind}
	switch kind {
	case KindTAP:
		p.TAP = &TAP{}
	case KindNIC:
		p.NIC = &NIC{}
	case KindEtherIP:
		p.EtherIP = &EtherIP{IPsec: &IPsec{}}
	case KindL2TP:
		p.L2TP = &L2TP{IPsec: &IPsec{}}
	}
	return p
}

// newPort makes a port with every default.
func newPort(kind, name string) *Port {
	p := blankPort(kind)
	p.Name = name
	setDefaults(PortAttributes(kind), p)
	if p.TAP != nil {
		p.TAP.Interface = "vh-" + name
	}
	if p.L2TP != nil { // what a client's peer has no key for
		p.L2TP.IPsec.Role, p.L2TP.IPsec.Mode, p.L2TP.IPsec.PFS = "responder", "auto", "none"
	}
	return p
}

func newHub(name string) *Hub {
	h := &Hub{Name: name, Ports: []Port{}}
	setDefaults(hubTable, h)
	return h
}

func newConfig() *Config {
	c := &Config{Radius: []Radius{}, Hubs: []Hub{}, radiusAt: map[string]Pos{}}
	for _, b := range blocks {
		setDefaults(b.attrs, b.of(c))
	}
	return c
}
