package ike

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"vhub/ipsec/esp"
)

// Attributes of a phase 2 transform (RFC 2407 4.5; 11 is of RFC 4304).
const (
	attr2LifeType  = 1
	attr2LifeTime  = 2
	attr2Group     = 3
	attr2Mode      = 4
	attr2Auth      = 5
	attr2KeyLength = 6
	attr2ESN       = 11
)

// Encapsulation modes (RFC 2407 4.5, RFC 3947 5.1, and the numbers of its drafts).
const (
	modeTunnel            = 1
	modeTransport         = 2
	modeUDPTunnel         = 3
	modeUDPTransport      = 4
	modeUDPTunnelDraft    = 61443
	modeUDPTransportDraft = 61444
)

// offer2 is one phase 2 transform, understood.
type offer2 struct {
	suite esp.Suite
	mode  uint64
	group Group
	esn   bool
	life  lifetime
	bad   string
}

func readTransform2(t transform) offer2 {
	o := offer2{suite: esp.Suite{Cipher: esp.Cipher(t.id)}}
	for _, a := range t.attributes {
		v := a.value
		if a.wide || (v > 0xffff && a.kind != attr2LifeTime) {
			o.bad = fmt.Sprintf("attribute %d is out of range", a.kind)
			continue
		}
		switch a.kind {
		case attr2LifeType:
			o.life.unit = v
		case attr2LifeTime:
			if err := o.life.duration(a); err != nil {
				o.bad = err.Error()
			}
		case attr2Group:
			o.group = Group(v)
		case attr2Mode:
			o.mode = v
		case attr2Auth:
			if v > 255 {
				v = 255
			}
			o.suite.Auth = esp.Auth(v)
		case attr2KeyLength:
			o.suite.KeyBits = int(v)
		case attr2ESN:
			o.esn = v == 1
		default: // RFC 2407 4.5: what is not understood is not taken
			o.bad = fmt.Sprintf("attribute %d", a.kind)
		}
	}
	if o.suite.Cipher == esp.TripleDES && o.suite.KeyBits == 192 {
		o.suite.KeyBits = 0
	}
	return o
}

var modeNames = map[uint64]string{0: "no mode", modeTunnel: "tunnel", modeTransport: "transport", modeUDPTunnel: "tunnel in UDP",
	modeUDPTransport: "transport in UDP", modeUDPTunnelDraft: "tunnel in UDP (draft)", modeUDPTransportDraft: "transport in UDP (draft)"}

func (o offer2) String() string {
	name, ok := modeNames[o.mode]
	if !ok {
		name = fmt.Sprintf("mode %d", o.mode)
	}
	s := o.suite.String() + " " + name
	if o.group != 0 {
		s += " pfs " + o.group.String()
	}
	if o.bad != "" {
		s += " with " + o.bad
	}
	return s
}

// encapsulation splits a mode number.
func encapsulation(mode uint64) (m esp.Mode, udp, ok bool) {
	switch mode {
	case modeTunnel, 0: // RFC 2407 4.5: no default, but tunnel is what peers mean by silence
		return esp.Tunnel, false, true
	case modeTransport:
		return esp.Transport, false, true
	case modeUDPTunnel, modeUDPTunnelDraft:
		return esp.Tunnel, true, true
	case modeUDPTransport, modeUDPTransportDraft:
		return esp.Transport, true, true
	}
	return 0, false, false
}

// modeNumber is the number for an encapsulation in the style of NAT traversal.
func modeNumber(m esp.Mode, udp bool, style nattStyle) uint64 {
	n := uint64(modeTransport)
	if m == esp.Tunnel {
		n = modeTunnel
	}
	switch {
	case !udp:
		return n
	case style.draft():
		return n + modeUDPTunnelDraft - modeTunnel
	}
	return n + modeUDPTunnel - modeTunnel
}

// want2 is what we accept, or offer, in quick mode.
type want2 struct {
	suites     []esp.Suite
	mode       esp.Mode // offer only
	udp        bool
	style      nattStyle
	group      Group // offer: PFS
	requirePFS bool
	groupOK    func(Group) bool
	esn        bool
	life       time.Duration
	kbytes     uint64
}

// offerSA2 is the SA payload's body of quick mode's first message: one proposal
// with a transform for each suite.
func offerSA2(w want2, spi uint32) []byte {
	// The transform id is the cipher, so all suites fit one proposal.
	p := proposal{number: 1, protocol: protoESP, spi: binary.BigEndian.AppendUint32(nil, spi)}
	for _, esn := range []bool{true, false} { // a peer that knows no ESN skips the first half
		if esn && !w.esn {
			continue
		}
		for _, s := range w.suites {
			p.transforms = append(p.transforms, transform2(len(p.transforms)+1, s, w, esn))
		}
	}
	return appendSA(nil, []proposal{p})
}

func transform2(number int, s esp.Suite, w want2, esn bool) transform {
	raw := []byte{byte(number), byte(s.Cipher), 0, 0}
	raw = appendAttribute(raw, attr2LifeType, unitSeconds)
	raw = appendAttribute(raw, attr2LifeTime, uint64(w.life/time.Second))
	if w.kbytes != 0 {
		raw = appendAttribute(raw, attr2LifeType, unitKilobytes)
		raw = appendAttribute(raw, attr2LifeTime, w.kbytes)
	}
	if w.group != 0 {
		raw = appendAttribute(raw, attr2Group, uint64(w.group))
	}
	raw = appendAttribute(raw, attr2Mode, modeNumber(w.mode, w.udp, w.style))
	if s.Auth != 0 {
		raw = appendAttribute(raw, attr2Auth, uint64(s.Auth))
	}
	if s.KeyBits != 0 {
		raw = appendAttribute(raw, attr2KeyLength, uint64(s.KeyBits))
	}
	if esn {
		raw = appendAttribute(raw, attr2ESN, 1)
	}
	return transform{raw: raw}
}

// choice2 is what was agreed on in quick mode.
type choice2 struct {
	offer2
	espMode esp.Mode
	udp     bool
	spi     uint32 // the peer's
	number  byte
	chosen  transform
}

// choose2 takes from the offer what comes first in our list.
func choose2(list []proposal, w want2) (choice2, *Reason) {
	var best choice2
	bestRank, offered := -1, []string(nil)
	pfsMissing := false
	for i, p := range list {
		if p.protocol != protoESP || len(p.spi) != 4 || bundled(list, i) {
			offered = append(offered, fmt.Sprintf("protocol %d", p.protocol))
			continue
		}
		spi := binary.BigEndian.Uint32(p.spi)
		for _, t := range p.transforms {
			o := readTransform2(t)
			offered = append(offered, o.String())
			m, udp, ok := encapsulation(o.mode)
			if o.bad != "" || !ok || udp != w.udp || spi < 256 || (o.group != 0 && !w.groupOK(o.group)) || (o.esn && !w.esn) {
				continue
			}
			if w.requirePFS && o.group == 0 {
				pfsMissing = true
				continue
			}
			rank := slices.Index(w.suites, o.suite)
			if rank >= 0 && (bestRank < 0 || rank < bestRank) {
				bestRank = rank
				best = choice2{o, m, udp, spi, p.number, t}
			}
		}
	}
	if bestRank >= 0 {
		return best, nil
	}
	return choice2{}, refused2(w, offered, pfsMissing)
}

func refused2(w want2, offered []string, pfsMissing bool) *Reason {
	r := &Reason{Code: NoProposal, Detail: "the peer offered " + listed(offered)}
	encap := "raw ESP"
	if w.udp {
		encap = "ESP in UDP (a NAT was detected)"
	}
	names := make([]string, 0, len(w.suites))
	for _, s := range w.suites {
		names = append(names, s.String())
	}
	r.Hint = fmt.Sprintf("set the peer to one of %s, as %s", listed(names[:min(len(names), 6)]), encap)
	if pfsMissing {
		r.Hint = "switch on PFS on the peer, or pfs off here"
	}
	return r
}

// bundled tells whether proposal i belongs to others with the same number: all of
// them together, or none (RFC 2408 4.2). We do no bundles.
func bundled(list []proposal, i int) bool {
	for j := range list {
		if j != i && list[j].number == list[i].number {
			return true
		}
	}
	return false
}

// answerSA2 is the SA payload's body of a responder: the transform unchanged, our SPI.
func answerSA2(c choice2, spi uint32) []byte {
	return appendSA(nil, []proposal{{number: c.number, protocol: protoESP,
		spi: binary.BigEndian.AppendUint32(nil, spi), transforms: []transform{c.chosen}}})
}

// accepted2 reads a responder's answer in quick mode.
func accepted2(list []proposal, w want2) (choice2, error) {
	if len(list) != 1 || len(list[0].transforms) != 1 {
		return choice2{}, fmt.Errorf("the answer has %d proposals, or not one transform", len(list))
	}
	w.requirePFS = w.group != 0
	w.groupOK = func(g Group) bool { return g == w.group }
	c, r := choose2(list, w)
	if r != nil || c.espMode != w.mode {
		return choice2{}, fmt.Errorf("the peer chose %s, which was not offered", readTransform2(list[0].transforms[0]))
	}
	return c, nil
}
