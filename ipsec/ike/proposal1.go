package ike

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Attributes of a phase 1 transform (RFC 2409 appendix A).
const (
	attr1Cipher    = 1
	attr1Hash      = 2
	attr1Auth      = 3
	attr1Group     = 4
	attr1LifeType  = 11
	attr1LifeTime  = 12
	attr1PRF       = 13
	attr1KeyLength = 14

	authPSK = 1
)

// offer1 is one phase 1 transform, understood.
type offer1 struct {
	suite Suite
	auth  uint64
	life  lifetime
	bad   string // why it cannot be taken at all, or ""
}

func readTransform1(t transform) offer1 {
	var o offer1
	if t.id != transformKeyIKE {
		o.bad = fmt.Sprintf("transform id %d", t.id)
	}
	for _, a := range t.attributes {
		v := a.value
		if a.wide || (v > 0xffff && a.kind != attr1LifeTime) {
			o.bad = fmt.Sprintf("attribute %d is out of range", a.kind)
			continue
		}
		switch a.kind {
		case attr1Cipher:
			o.suite.Cipher = Cipher(v)
		case attr1Hash:
			o.suite.Hash = Hash(v)
		case attr1Auth:
			o.auth = v
		case attr1Group:
			o.suite.Group = Group(v)
		case attr1KeyLength:
			o.suite.KeyBits = int(v)
		case attr1LifeType:
			o.life.unit = v
		case attr1LifeTime:
			if err := o.life.duration(a); err != nil {
				o.bad = err.Error()
			}
		default: // own groups, other PRFs: not ours
			o.bad = fmt.Sprintf("attribute %d", a.kind)
		}
	}
	if o.suite.Cipher == TripleDES && o.suite.KeyBits == 192 {
		o.suite.KeyBits = 0 // some say it although they must not (RFC 2409 appendix A)
	}
	return o
}

func (o offer1) String() string {
	s := o.suite.String()
	if o.auth != authPSK {
		s += fmt.Sprintf(" with authentication method %d", o.auth)
	}
	if o.bad != "" {
		s += " with " + o.bad
	}
	return s
}

func transform1(number int, s Suite, life time.Duration) transform {
	raw := []byte{byte(number), transformKeyIKE, 0, 0}
	raw = appendAttribute(raw, attr1Cipher, uint64(s.Cipher))
	if s.KeyBits != 0 {
		raw = appendAttribute(raw, attr1KeyLength, uint64(s.KeyBits))
	}
	raw = appendAttribute(raw, attr1Hash, uint64(s.Hash))
	raw = appendAttribute(raw, attr1Group, uint64(s.Group))
	raw = appendAttribute(raw, attr1Auth, authPSK)
	raw = appendAttribute(raw, attr1LifeType, unitSeconds)
	raw = appendAttribute(raw, attr1LifeTime, uint64(life/time.Second))
	return transform{raw: raw}
}

// offerSA1 is the SA payload's body that an initiator sends.
func offerSA1(suites []Suite, life time.Duration) []byte {
	p := proposal{number: 1, protocol: protoISAKMP}
	for i, s := range suites {
		p.transforms = append(p.transforms, transform1(i+1, s, life))
	}
	return appendSA(nil, []proposal{p})
}

// choice1 is what a responder takes.
type choice1 struct {
	suite  Suite
	life   lifetime
	answer []byte // the SA payload's body to send
}

// choose1 takes from the offer what ranks best with us; rank says how (lower is
// better) and whether the suite is taken at all.
func choose1(list []proposal, rank func(Suite) (int, bool)) (choice1, *Reason) {
	var best choice1
	bestRank, offered := -1, []string(nil)
	pskSeen := false
	for _, p := range list {
		if p.protocol != protoISAKMP {
			continue
		}
		for _, t := range p.transforms {
			o := readTransform1(t)
			offered = append(offered, o.String())
			pskSeen = pskSeen || o.auth == authPSK
			if o.bad != "" || o.auth != authPSK || o.suite.Check() != nil {
				continue
			}
			if r, ok := rank(o.suite); ok && (bestRank < 0 || r < bestRank) {
				bestRank = r
				best = choice1{o.suite, o.life, appendSA(nil, []proposal{{number: p.number, protocol: protoISAKMP, transforms: []transform{t}}})}
			}
		}
	}
	if bestRank >= 0 {
		return best, nil
	}
	r := &Reason{Code: NoProposal, Detail: "the peer offered " + listed(offered)}
	if len(offered) > 0 && !pskSeen {
		r.Hint = "the peer does not offer a pre-shared key; set its authentication to pre-shared key, without XAUTH"
	}
	return choice1{}, r
}

// listed joins at most 12 items.
func listed(items []string) string {
	items = slices.Compact(items)
	if len(items) == 0 {
		return "nothing"
	}
	if len(items) > 12 {
		return strings.Join(items[:12], ", ") + fmt.Sprintf(" and %d more", len(items)-12)
	}
	return strings.Join(items, ", ")
}

// hint1 says what to type on a peer whose offer was not taken.
func hint1(list []proposal, taken []Suite) string {
	if len(taken) == 0 {
		return "no peer is configured for this address"
	}
	for _, p := range list {
		for _, t := range p.transforms {
			o := readTransform1(t)
			if o.bad == "" && o.auth == authPSK && o.suite.Check() == nil && o.suite.Legacy() {
				return fmt.Sprintf("set the peer to %s, or permit %s with legacy = true", advice(taken), o.suite)
			}
		}
	}
	return "set the peer to " + advice(taken)
}

// advice names suites that most devices can do: the first with MODP 2048, and the first of all.
func advice(taken []Suite) string {
	first := taken[0].String()
	for _, s := range taken {
		if s.Group == MODP2048 && s.Cipher == AES && s.String() != first {
			return s.String() + " or " + first
		}
	}
	return first
}

// accepted1 reads a responder's answer: one proposal with one of the transforms that were offered.
func accepted1(list []proposal, offered []Suite) (Suite, lifetime, error) {
	if len(list) != 1 || list[0].protocol != protoISAKMP || len(list[0].transforms) != 1 {
		return Suite{}, lifetime{}, fmt.Errorf("the answer has %d proposals, or not one transform", len(list))
	}
	o := readTransform1(list[0].transforms[0])
	if o.bad != "" || o.auth != authPSK || !slices.Contains(offered, o.suite) {
		return Suite{}, lifetime{}, fmt.Errorf("the peer chose %s, which was not offered", o)
	}
	return o.suite, o.life, nil
}
