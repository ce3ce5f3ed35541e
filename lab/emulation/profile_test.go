package emulation

import (
	"encoding/binary"
	"encoding/hex"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// profile is what one system's L2TP/IPsec client says, in its own order. It is an emulation,
// written from what is known of the system, not a capture; each fact has its source beside it:
//
//	[V]  seen in the named log, capture or source
//	[R]  remembered, without a source at hand
type profile struct {
	name string // of the file in testdata, too
	says string // heads the trace
	lan  string // the client's own address, behind the translator

	vendors  []string // of IKE message 1, in hex
	style    style    // how its IKE writes proposals
	phase1   []ike.Suite
	life     uint32 // seconds
	phase2   []espOffer
	espLife  uint32
	kbytes   uint32
	nonce    int
	initial  bool // INITIAL-CONTACT with message 5
	countIDs bool // message ids 1, 2, 3
	idPort   uint16
	srvPort  uint16 // of IDcr
	legacy   bool   // the server needs legacy = true for it
	sizes    map[string]int

	udpPort uint16 // that its L2TP sends from
	tunnel  uint16
	session uint16
	window1 bool // waits for the acknowledgement of SCCCN before its ICRQ
	sccrq   []avp
	icrq    []avp
	iccn    []avp

	lcp       []option
	firstID   byte
	countAll  bool // identifiers count through all protocols
	idents    []string
	echo      bool // an Echo-Request when LCP is open
	ncps      []ncp
	refuses6  bool   // IPV6CP is no protocol of it
	inform    []byte // options of its DHCPINFORM behind the message type; nil: sends none
	informHW  byte   // hardware type in it
	terminate []byte // data of its LCP Terminate-Request; nil: sends none
	cdn, stop []avp  // nil: sends none
}

// avp is one AVP of vendor 0.
type avp struct {
	mandatory bool
	kind      uint16
	value     []byte
}

func (a avp) append(b []byte) []byte {
	bits := uint16(6 + len(a.value))
	if a.mandatory {
		bits |= 0x8000
	}
	b = binary.BigEndian.AppendUint16(b, bits)
	b = binary.BigEndian.AppendUint16(b, 0)
	return append(binary.BigEndian.AppendUint16(b, a.kind), a.value...)
}

func short(kind, v uint16) avp { return avp{true, kind, binary.BigEndian.AppendUint16(nil, v)} }
func long(kind uint16, v uint32) avp {
	return avp{true, kind, binary.BigEndian.AppendUint32(nil, v)}
}
func text(kind uint16, s string) avp { return avp{true, kind, []byte(s)} }
func (a avp) optional() avp          { a.mandatory = false; return a }

// option is one of LCP, IPCP, IPV6CP or CCP.
type option struct {
	kind  byte
	value []byte
}

// options reads each option as its kind and value in hex.
func options(list ...string) []option {
	var out []option
	for _, s := range list {
		b := unhex(s)
		out = append(out, option{b[0], b[1:]})
	}
	return out
}

// ncp is one protocol that it opens after the login.
type ncp struct {
	proto   uint16
	options []option
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// espOffer is one suite of phase 2. What vhub does not know has a cipher's number and nothing else.
type espOffer struct {
	cipher  byte
	keyBits uint16
	auth    uint16
}

var (
	aes256sha1   = espOffer{12, 256, 2}
	aes128sha1   = espOffer{12, 128, 2}
	tripleSHA1   = espOffer{3, 0, 2}
	desSHA1      = espOffer{2, 0, 2}
	nullSHA1     = espOffer{11, 0, 2}
	aes256sha256 = espOffer{12, 256, 5}
	aes128sha256 = espOffer{12, 128, 5}
	tripleSHA256 = espOffer{3, 0, 5}
	aes256md5    = espOffer{12, 256, 1}
	aes128md5    = espOffer{12, 128, 1}
	tripleMD5    = espOffer{3, 0, 1}
	gcm128       = espOffer{20, 128, 0}
)

func (o espOffer) suite() esp.Suite {
	return esp.Suite{Cipher: esp.Cipher(o.cipher), KeyBits: int(o.keyBits), Auth: esp.Auth(o.auth)}
}

// style is how an IKE daemon writes what it offers: the order of attributes, lifetimes as
// four bytes or as two, proposals of their own or transforms of one.
type style struct {
	phase1, phase2 string // attributes in order: e cipher, k key length, h hash, g group, a authentication, m mode, l lifetime in seconds, b in kilobytes
	longLife       bool
	separate       bool // each suite of phase 2 is a proposal with a number of its own
}

var (
	// Windows: message 1 of 408 bytes and quick mode's of 444 fit lifetimes of four bytes and a
	// proposal for each suite [V xelerance/xl2tpd#219, apache/cloudstack#872]; the order [R].
	windowsStyle = style{phase1: "ekhgal", phase2: "mkalb", longLife: true, separate: true}
	// racoon, which is Apple's and Android's [V ipsec_doi.c: setph1attr, setph2proposal0].
	racoonStyle = style{phase1: "lekahg", phase2: "lmka"}
	// strongSwan: phase 1 [V ipsec/ike/testdata/strongswan-*.txt], phase 2 [R].
	strongswanStyle = style{phase1: "ekhgal", phase2: "kaml", separate: true}
)

func attribute(b []byte, kind, v uint16) []byte {
	b = binary.BigEndian.AppendUint16(b, 0x8000|kind)
	return binary.BigEndian.AppendUint16(b, v)
}

// lifetime writes the unit and the value.
func (s style) lifetime(b []byte, kind, unit uint16, v uint32) []byte {
	if v == 0 {
		return b
	}
	b = attribute(b, kind, unit)
	if !s.longLife && v <= 0xffff {
		return attribute(b, kind+1, uint16(v))
	}
	b = binary.BigEndian.AppendUint16(b, kind+1)
	b = binary.BigEndian.AppendUint16(b, 4)
	return binary.BigEndian.AppendUint32(b, v)
}

// chain joins substructures of one kind (RFC 2408 3.5, 3.6): each tells whether another follows.
func chain(kind byte, bodies [][]byte) (b []byte) {
	for i, body := range bodies {
		next := kind
		if i == len(bodies)-1 {
			next = 0
		}
		b = append(b, next, 0, byte((len(body)+4)>>8), byte(len(body)+4))
		b = append(b, body...)
	}
	return b
}

const (
	kindProposal  = 2
	kindTransform = 3
)

// head begins the body of an SA payload: the DOI of IPsec, the situation "identity only".
var head = []byte{0, 0, 0, 1, 0, 0, 0, 1}

// sa1 is the body of the SA payload of phase 1.
func (p *profile) sa1() []byte {
	var list [][]byte
	for i, s := range p.phase1 {
		t := []byte{byte(i + 1), 1, 0, 0}
		for _, c := range p.style.phase1 {
			switch {
			case c == 'e':
				t = attribute(t, 1, uint16(s.Cipher))
			case c == 'k' && s.KeyBits > 0:
				t = attribute(t, 14, uint16(s.KeyBits))
			case c == 'h':
				t = attribute(t, 2, uint16(s.Hash))
			case c == 'g':
				t = attribute(t, 4, uint16(s.Group))
			case c == 'a':
				t = attribute(t, 3, 1)
			case c == 'l':
				t = p.style.lifetime(t, 11, 1, p.life)
			}
		}
		list = append(list, t)
	}
	proposal := append([]byte{1, 1, 0, byte(len(list))}, chain(kindTransform, list)...)
	return append(head[:8:8], chain(kindProposal, [][]byte{proposal})...)
}

// sa2 is the body of the SA payload of quick mode: transport mode in UDP (RFC 3947 5.1).
func (p *profile) sa2(spi uint32) []byte {
	var transforms [][]byte
	for _, o := range p.phase2 {
		number := len(transforms) + 1
		if p.style.separate {
			number = 1
		}
		t := []byte{byte(number), o.cipher, 0, 0}
		for _, c := range p.style.phase2 {
			switch {
			case c == 'm':
				t = attribute(t, 4, 4)
			case c == 'k' && o.keyBits > 0:
				t = attribute(t, 6, o.keyBits)
			case c == 'a' && o.auth > 0:
				t = attribute(t, 5, o.auth)
			case c == 'l':
				t = p.style.lifetime(t, 1, 1, p.espLife)
			case c == 'b':
				t = p.style.lifetime(t, 1, 2, p.kbytes)
			}
		}
		transforms = append(transforms, t)
	}
	proposal := func(number int, list ...[]byte) []byte {
		b := binary.BigEndian.AppendUint32([]byte{byte(number), 3, 4, byte(len(list))}, spi)
		return append(b, chain(kindTransform, list)...)
	}
	if !p.style.separate {
		return append(head[:8:8], chain(kindProposal, [][]byte{proposal(1, transforms...)})...)
	}
	var list [][]byte
	for i, t := range transforms {
		list = append(list, proposal(i+1, t))
	}
	return append(head[:8:8], chain(kindProposal, list)...)
}

// wording makes the ike machine say it.
func (p *profile) wording() *ike.Wording {
	w := &ike.Wording{SA1: p.sa1(), SA2: p.sa2, NonceLen: p.nonce, CountIDs: p.countIDs}
	for _, v := range p.vendors {
		w.VendorIDs = append(w.VendorIDs, unhex(v))
	}
	return w
}

// suites2 are the suites of phase 2 that the ike machine knows.
func (p *profile) suites2() (list []esp.Suite) {
	for _, o := range p.phase2 {
		if s := o.suite(); s.Check() == nil {
			list = append(list, s)
		}
	}
	return list
}
