package ike

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
)

// nattStyle is the document of NAT traversal that both sides follow.
type nattStyle uint8

const (
	nattNone nattStyle = iota
	nattDraft02
	nattDraft03
	nattRFC
)

// String is "rfc3947", "draft-03", "draft-02" or "".
func (s nattStyle) String() string {
	return [...]string{"", "draft-02", "draft-03", "rfc3947"}[s]
}

// draft tells whether the private numbers are used.
func (s nattStyle) draft() bool { return s == nattDraft02 || s == nattDraft03 }

func (s nattStyle) natd() PayloadType {
	if s.draft() {
		return PayloadNATDDraft
	}
	return PayloadNATD
}

func (s nattStyle) natoa() PayloadType {
	if s.draft() {
		return PayloadNATOADraft
	}
	return PayloadNATOA
}

func md5of(s string) []byte { h := md5.Sum([]byte(s)); return h[:] }

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Vendor ids that we send or act on.
var (
	vidRFC3947   = md5of("RFC 3947")
	vidDraft03   = md5of("draft-ietf-ipsec-nat-t-ike-03")
	vidDraft02n  = md5of("draft-ietf-ipsec-nat-t-ike-02\n") // what most who say 02 send
	vidDraft02   = md5of("draft-ietf-ipsec-nat-t-ike-02")
	vidDPD       = unhex("afcad71368a1f1c96b8696fc77570100") // RFC 3706 5.1
	vidMultipath = func() []byte { h := sha256.Sum256([]byte("vhub multipath 1")); return h[:16] }()
)

// vendors are the ids that are recognised; prefixes, since versions follow some of them.
var vendors = []struct {
	id   []byte
	name string
}{
	{vidRFC3947, "NAT-T RFC 3947"},
	{vidDraft03, "NAT-T draft-03"},
	{vidDraft02n, "NAT-T draft-02"},
	{vidDraft02, "NAT-T draft-02"},
	{md5of("draft-ietf-ipsec-nat-t-ike-01"), "NAT-T draft-01"},
	{md5of("draft-ietf-ipsec-nat-t-ike-00"), "NAT-T draft-00"},
	{vidDPD[:14], "DPD"},
	{vidMultipath, "vhub multipath"},
	{unhex("1e2b516905991c7d7c96fcbfb587e461"), "MS NT5 ISAKMPOAKLEY"},
	{unhex("4048b7d56ebce88525e7de7f00d6c2d3"), "FRAGMENTATION"},
	{unhex("fb1de3cdf341b7ea16b7e5be0855f120"), "MS-Negotiation Discovery Capable"},
	{unhex("26244d38eddb61b3172a36e3d0cfb819"), "Vid-Initial-Contact"},
	{unhex("e3a5966a76379fe707228231e5ce8652"), "IKE CGA version 1"},
	{unhex("12f5f28c457168a9702d9fe274cc"), "Cisco Unity"},
	{unhex("09002689dfd6b712"), "XAUTH"},
	{unhex("882fe56d6fd20dbc2251613b2ebe5beb"), "strongSwan"},
}

// vendorInfo is what a peer's vendor ids say.
type vendorInfo struct {
	natt      nattStyle // the best that both know
	dpd       bool
	multipath bool
	windows   bool
	names     string // for log lines
}

func readVendors(list []payload) vendorInfo {
	var v vendorInfo
	var names []string
	for _, id := range all(list, PayloadVendor) {
		for _, known := range vendors {
			if bytes.HasPrefix(id, known.id) {
				names = append(names, known.name)
				break
			}
		}
		switch {
		case bytes.Equal(id, vidRFC3947):
			v.natt = max(v.natt, nattRFC)
		case bytes.Equal(id, vidDraft03):
			v.natt = max(v.natt, nattDraft03)
		case bytes.Equal(id, vidDraft02n), bytes.Equal(id, vidDraft02):
			v.natt = max(v.natt, nattDraft02)
		case bytes.HasPrefix(id, vidDPD[:14]):
			v.dpd = true
		case bytes.Equal(id, vidMultipath):
			v.multipath = true
		case bytes.HasPrefix(id, vendors[8].id):
			v.windows = true
		}
	}
	v.names = strings.Join(names, ", ")
	return v
}

// answerVendors are the ids a responder sends, the most needed first: the style of NAT traversal
// that was chosen, DPD if the peer does it, multipath if both do.
func answerVendors(v vendorInfo, multipath bool) [][]byte {
	var ids [][]byte
	switch v.natt {
	case nattRFC:
		ids = append(ids, vidRFC3947)
	case nattDraft03:
		ids = append(ids, vidDraft03)
	case nattDraft02:
		ids = append(ids, vidDraft02n)
	}
	if v.dpd {
		ids = append(ids, vidDPD)
	}
	if v.multipath && multipath {
		ids = append(ids, vidMultipath)
	}
	if v.natt == nattDraft02 {
		ids = append(ids, vidDraft02) // the other spelling, if there is room
	}
	return ids
}

// natHash is the body of a NAT-D payload (RFC 3947 3.2).
func natHash(h Hash, c cookies, a netip.AddrPort) []byte {
	return h.sum(c.i[:], c.r[:], a.Addr().Unmap().AsSlice(), binary.BigEndian.AppendUint16(nil, a.Port()))
}

// appendOA appends the body of a NAT-OA payload (RFC 3947 5.2).
func appendOA(b []byte, a netip.Addr) []byte {
	a = a.Unmap()
	t := IDAddr4
	if a.Is6() {
		t = IDAddr6
	}
	return append(append(b, byte(t), 0, 0, 0), a.AsSlice()...)
}

// parseOA reads a NAT-OA payload; the zero address when it is none.
func parseOA(body []byte) netip.Addr {
	if len(body) < 4 {
		return netip.Addr{}
	}
	want := map[IDType]int{IDAddr4: 4, IDAddr6: 16}[IDType(body[0])]
	if want == 0 || len(body)-4 != want {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(body[4:])
	return a
}
