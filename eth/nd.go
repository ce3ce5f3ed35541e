package eth

import (
	"net/netip"
)

// ICMPv6 types of Neighbour Discovery (RFC 4861 section 4).
const (
	NDRouterSolicit    = 133
	NDRouterAdvert     = 134
	NDNeighborSolicit  = 135
	NDNeighborAdvert   = 136
	NDRedirect         = 137
	NAFlagRouter       = 0x80
	NAFlagSolicited    = 0x40
	NAFlagOverride     = 0x20
	ndOptSourceLink    = 1
	ndOptTargetLink    = 2
	ndNeighborLen      = 24 // bytes of a solicitation or advertisement before its options
	ndRouterSolicitLen = 8
	ndRouterAdvertLen  = 16
	ndRedirectLen      = 40
)

// ND is a Neighbour Discovery message, from the ICMPv6 type to the end of the
// packet.
type ND []byte

// ND returns the view; nil when the frame is no Neighbour Discovery message
// that passes the checks of RFC 4861 section 6.1 and 7.1 (hop limit 255, code
// 0, length, options with a length of not 0), except for the checksum, which
// ChecksumValid tells.
func (l *Layers) ND(b []byte) ND {
	if l.IP != 6 || l.Proto != ProtoICMPv6 || l.L4 == 0 || l.Frag != FragNone || b[l.Net+7] != 255 {
		return nil
	}
	p := b[l.L4:l.End]
	n := ndFixedLen(p[0])
	if n == 0 || len(p) < n || p[1] != 0 {
		return nil
	}
	for o := p[n:]; len(o) > 0; {
		if len(o) < 8 || o[1] == 0 || len(o) < int(o[1])*8 {
			return nil
		}
		o = o[int(o[1])*8:]
	}
	return ND(p)
}

func ndFixedLen(typ uint8) int {
	switch typ {
	case NDRouterSolicit:
		return ndRouterSolicitLen
	case NDRouterAdvert:
		return ndRouterAdvertLen
	case NDNeighborSolicit, NDNeighborAdvert:
		return ndNeighborLen
	case NDRedirect:
		return ndRedirectLen
	}
	return 0
}

// Type returns the ICMPv6 type, one of NDRouterSolicit to NDRedirect.
func (n ND) Type() uint8 { return n[0] }

// Flags returns NAFlagRouter, NAFlagSolicited and NAFlagOverride of an advertisement.
func (n ND) Flags() uint8 { return n[4] }

// Target returns the target address of a neighbour solicitation or
// advertisement; the zero Addr of others.
func (n ND) Target() netip.Addr {
	if t := n[0]; t != NDNeighborSolicit && t != NDNeighborAdvert && t != NDRedirect {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(n[8:24]))
}

// SourceLink returns the source link-layer address option (solicitations,
// router advertisements).
func (n ND) SourceLink() (Addr, bool) { return n.link(ndOptSourceLink) }

// TargetLink returns the target link-layer address option (neighbour
// advertisements, redirects).
func (n ND) TargetLink() (Addr, bool) { return n.link(ndOptTargetLink) }

func (n ND) link(kind uint8) (Addr, bool) {
	for o := n[ndFixedLen(n[0]):]; len(o) >= 8; o = o[int(o[1])*8:] {
		if o[0] == kind && o[1] == 1 {
			return Addr(o[2:8]), true
		}
	}
	return Addr{}, false
}
