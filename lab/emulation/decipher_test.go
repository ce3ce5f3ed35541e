package emulation

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"strings"
	"testing"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// reading is how far a trace's IKE has been read, as Wireshark does it from the key log.
type reading struct {
	tr        *trace
	ke        [2][]byte // KE payloads: the client's, the server's
	last      []byte    // last block of phase 1
	exchanges map[uint32][]byte
	count     map[string]int // messages of main mode and of each quick mode
}

// decipher fills in the lines of IKE. It checks what does not show in them: that the cookie is that of
// the key log, that vhub sends a stranger no more than it was sent, and the sizes that are known.
func (tr *trace) decipher(t *testing.T, sizes map[string]int) {
	r := &reading{tr: tr, exchanges: map[uint32][]byte{}, count: map[string]int{}}
	asked := 0
	for _, m := range tr.msgs {
		name, line := r.message(t, m.data)
		if m.natt {
			name += " natt"
		}
		tr.lines[m.line] = fmt.Sprintf("%sIKE %s, %d bytes: %s", tr.lines[m.line][:3], name, len(m.data), line)
		if want := sizes[name]; want != 0 && want != len(m.data) {
			t.Errorf("IKE %s has %d bytes, the system's has %d", name, len(m.data), want)
		}
		if m.out {
			asked = len(m.data)
		} else if name == "main 2" && len(m.data) > asked { // message 3 shows that the client is where it says
			t.Errorf("IKE %s answers %d bytes with %d", name, asked, len(m.data))
		}
	}
}

var kinds = map[byte]string{1: "SA", 4: "KE", 5: "ID", 8: "HASH", 10: "NONCE", 11: "N", 12: "D", 13: "VID", 20: "NAT-D", 21: "NAT-OA"}

// message reads one: its name and its payloads.
func (r *reading) message(t *testing.T, b []byte) (name, line string) {
	if [8]byte(b) != r.tr.cookie {
		t.Errorf("a message of another phase 1: %x", b[:16])
	}
	exchange, id := ike.Exchange(b[18]), binary.BigEndian.Uint32(b[20:])
	switch exchange {
	case ike.ExchangeMain:
		r.count["main"]++
		name = fmt.Sprint("main ", r.count["main"])
	case ike.ExchangeQuick:
		r.count[fmt.Sprint(id)]++
		name = fmt.Sprint("quick ", r.count[fmt.Sprint(id)])
	default:
		name = "informational"
	}
	body := b[28:]
	if ike.Flags(b[19])&ike.FlagEncrypted != 0 {
		body = r.open(exchange, id, body)
	}
	var list []string
	for next := b[16]; next != 0; {
		n := int(binary.BigEndian.Uint16(body[2:]))
		list = append(list, r.payload(next, exchange, body[4:n]))
		next, body = body[0], body[n:]
	}
	return name, strings.Join(list, " ")
}

// hash and block of the suite (RFC 2409 appendix A).
func (r *reading) sum(parts ...[]byte) []byte {
	h := map[ike.Hash]func() hash.Hash{ike.MD5: md5.New, ike.SHA1: sha1.New, ike.SHA256: sha256.New, ike.SHA384: sha512.New384, ike.SHA512: sha512.New}[r.tr.suite.Hash]()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func (r *reading) block() (c cipher.Block) {
	var err error
	if r.tr.suite.Cipher == ike.AES {
		c, err = aes.NewCipher(r.tr.key)
	} else {
		c, err = des.NewTripleDESCipher(r.tr.key)
	}
	if err != nil {
		panic(err)
	}
	return c
}

// open decrypts: in phase 1 the IV is of the public values, then chained; in phase 2 each exchange
// has its own (RFC 2409 appendix B).
func (r *reading) open(x ike.Exchange, id uint32, body []byte) []byte {
	c := r.block()
	n := c.BlockSize()
	iv := r.exchanges[id]
	switch {
	case x == ike.ExchangeMain && r.last == nil:
		iv = r.sum(r.ke[0], r.ke[1])[:n]
	case x == ike.ExchangeMain:
		iv = r.last
	case iv == nil:
		iv = r.sum(r.last, binary.BigEndian.AppendUint32(nil, id))[:n]
	}
	plain := make([]byte, len(body))
	cipher.NewCBCDecrypter(c, iv).CryptBlocks(plain, body)
	if last := body[len(body)-n:]; x == ike.ExchangeMain {
		r.last = last
	} else {
		r.exchanges[id] = last
	}
	return plain
}

// payload writes what is not random of one.
func (r *reading) payload(kind byte, x ike.Exchange, b []byte) string {
	name := kinds[kind]
	switch name {
	case "":
		return fmt.Sprintf("payload %d", kind)
	case "SA":
		return "SA(" + saText(b, x == ike.ExchangeQuick) + ")"
	case "VID":
		return "VID(" + vendorText(b) + ")"
	case "KE":
		if r.ke[0] == nil {
			r.ke[0] = b
		} else {
			r.ke[1] = b
		}
	case "ID", "NAT-OA":
		a, _ := netip.AddrFromSlice(b[4:])
		if kind == 5 && x == ike.ExchangeQuick {
			return fmt.Sprintf("ID(%v %d/%d)", a, b[1], binary.BigEndian.Uint16(b[2:]))
		}
		return fmt.Sprintf("%s(%v)", name, a)
	case "N":
		return fmt.Sprintf("N(%v)", ike.NotifyType(binary.BigEndian.Uint16(b[6:])))
	case "D":
		return "D(" + map[byte]string{1: "ISAKMP", 3: "ESP"}[b[4]] + ")"
	}
	return name
}

var vendorNames = map[string]string{
	vidMSv9: "MS NT5 ISAKMPOAKLEY 9", vidMSUnknown: "Microsoft, 01528bbb", vidRFC3947: "RFC 3947", vidDraft03: "draft-03", vidDraft02: "draft-02", vidDraft02n: "draft-02\\n",
	vidDraft08: "draft-08", vidDraft07: "draft-07", vidDraft06: "draft-06", vidDraft05: "draft-05", vidDraft04: "draft-04", vidDraft: "draft", vidDraft00: "draft-00",
	vidFragmentation: "FRAGMENTATION", vidFragmentation8: "FRAGMENTATION 80000000", vidNegotiation: "MS-Negotiation Discovery Capable", vidInitialContact: "Vid-Initial-Contact",
	vidCGA: "IKE CGA version 1", vidDPD: "DPD", vidXAUTH: "XAUTH",
}

func vendorText(b []byte) string {
	h := hex.EncodeToString(b)
	if s := vendorNames[h]; s != "" {
		return s
	}
	return h
}

// saText writes proposals and transforms with their numbers and attributes, in order.
func saText(b []byte, quick bool) string {
	var out []string
	each(b[8:], func(p []byte) {
		spi := int(p[2])
		each(p[4+spi:], func(t []byte) {
			out = append(out, fmt.Sprintf("%d.%d %s", p[0], t[0], transformText(t[1], t[4:], quick)))
		})
	})
	return strings.Join(out, "; ")
}

// each walks a chain of substructures.
func each(b []byte, f func(body []byte)) {
	for len(b) >= 4 {
		n := int(binary.BigEndian.Uint16(b[2:]))
		f(b[4:n])
		b = b[n:]
	}
}

// transformText names the suite, then the attributes in their order (see style) and the lifetimes, "/4"
// where they have four bytes.
func transformText(id byte, b []byte, quick bool) string {
	one := ike.Suite{}
	two := esp.Suite{Cipher: esp.Cipher(id)}
	letters, lives, unit := "", "", ""
	for len(b) >= 4 {
		kind, v, size, wide := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:])), 4, ""
		if kind&0x8000 == 0 {
			size, v, wide = 4+v, int(binary.BigEndian.Uint32(b[4:])), "/4"
		}
		kind &= 0x7fff
		if quick {
			kind += 100
		}
		b = b[size:]
		if kind == 12 || kind == 102 {
			lives += fmt.Sprintf(" %d%s%s", v, unit, wide)
			continue
		}
		letter := map[uint16]string{1: "e", 2: "h", 3: "a", 4: "g", 11: "l", 14: "k", 101: "l", 103: "g", 104: "m", 105: "a", 106: "k"}[kind]
		switch kind {
		case 1:
			one.Cipher = ike.Cipher(v)
		case 2:
			one.Hash = ike.Hash(v)
		case 4:
			one.Group = ike.Group(v)
		case 14:
			one.KeyBits = v
		case 105:
			two.Auth = esp.Auth(v)
		case 106:
			two.KeyBits = v
		case 11, 101:
			if unit = "s"; v == 2 {
				unit, letter = "k", "b"
			}
		}
		letters += letter
	}
	name := one.String()
	if quick {
		name = two.String()
	}
	return name + " " + letters + lives
}
