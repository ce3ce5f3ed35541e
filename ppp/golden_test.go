package ppp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The traces below are emulations: what each system's client sends, options in
// its order, written from public logs (pppd debug output of servers), not
// captured here. A line that begins with ">" is the client's packet, "<" what
// the server must answer, "!" an event it must tell. Options are type:value.
//
//	> LCP ack                  acknowledges the server's last Configure-Request
//	> chap NAME PASSWORD       answers the server's challenge (MS-CHAPv2)

var protoNames = map[uint16]string{
	ProtoLCP: "LCP", ProtoIPCP: "IPCP", ProtoIPv6CP: "IPV6CP", ProtoCHAP: "CHAP", ProtoPAP: "PAP", ProtoEAP: "EAP",
	ProtoCCP: "CCP", 0x8235: "ACSCP",
}

var codeNames = []string{
	"", "ConfReq", "ConfAck", "ConfNak", "ConfRej", "TermReq", "TermAck", "CodeRej", "ProtRej", "EchoReq", "EchoRep", "Discard", "Ident",
}

// textOf writes a control packet: protocol, code, identifier, options or data.
func textOf(packet []byte) string {
	proto, p, ok := Split(packet)
	if !ok || len(p) < 4 {
		return fmt.Sprintf("malformed %x", packet)
	}
	name := protoNames[proto]
	if name == "" {
		name = fmt.Sprintf("%04x", proto)
	}
	switch proto { // what is in them is random, or looked at elsewhere
	case ProtoCHAP:
		return "CHAP " + []string{"", "Challenge", "Response", "Success", "Failure"}[p[0]]
	case ProtoEAP:
		return "EAP " + []string{"", "Request", "Response", "Success", "Failure"}[p[0]]
	case ProtoPAP:
		return "PAP " + []string{"", "Request", "Ack", "Nak"}[p[0]]
	}
	text := fmt.Sprintf("%s %s %d", name, codeNames[p[0]], p[1])
	if p[0] > codeConfRej {
		return strings.TrimSpace(text + " " + hex.EncodeToString(p[4:]))
	}
	each(p[4:], func(kind byte, v, _ []byte) {
		value := hex.EncodeToString(v)
		if proto == ProtoLCP && kind == optMagic && p[0] == codeConfReq {
			value = "MAGIC"
		}
		text += fmt.Sprintf(" %d:%s", kind, value)
	})
	return text
}

// packetOf is the opposite.
func packetOf(text string) []byte {
	f := strings.Fields(text)
	var proto uint16
	for n, name := range protoNames {
		if name == f[0] {
			proto = n
		}
	}
	code := 0
	for i, name := range codeNames {
		if name == f[1] {
			code = i
		}
	}
	id, _ := strconv.Atoi(f[2])
	var body []byte
	for _, x := range f[3:] {
		kind, value, isOption := strings.Cut(x, ":")
		if !isOption {
			body = append(body, unhex(x)...)
			continue
		}
		n, _ := strconv.Atoi(kind)
		body = appendOption(body, byte(n), unhex(value)...)
	}
	return control(proto, byte(code), byte(id), body)
}

func control(proto uint16, code, id byte, body []byte) []byte {
	n := len(body) + 4
	return append([]byte{0xff, 3, byte(proto >> 8), byte(proto), code, id, byte(n >> 8), byte(n)}, body...)
}

func playTrace(t *testing.T, trace string) *Link {
	t.Helper()
	l := NewServer(Server{Config: Config{Rand: source{rand.New(rand.NewPCG(1, 1))}}})
	now := time.Unix(1_700_000_000, 0)
	var got []string
	last := map[string][]byte{} // the server's last Configure-Request of a protocol
	var challenge []byte
	take := func(out *Out) {
		for _, p := range out.Packets {
			text := textOf(p)
			got = append(got, "< "+text)
			if strings.Contains(text, " ConfReq ") {
				last[strings.Fields(text)[0]] = bytes.Clone(p)
			}
			if text == "CHAP Challenge" {
				challenge = bytes.Clone(p)
			}
		}
		for _, e := range out.Events {
			switch e := e.(type) {
			case EventAuth:
				got = append(got, "! auth "+e.User)
				var more Out
				l.Authenticated(now, e.Seq, e.CheckPassword("secret"), &more)
				for _, p := range more.Packets {
					got = append(got, "< "+textOf(p))
				}
				for _, e := range more.Events {
					got = append(got, fmt.Sprintf("! %T", e))
				}
			case EventUp4:
				got = append(got, fmt.Sprintf("! up4 %v mtu %d pfc %v acfc %v", e.Peer, e.Params.MTU, e.Params.PFC, e.Params.ACFC))
			case EventUp6:
				got = append(got, fmt.Sprintf("! up6 %x", e.PeerID))
			case EventEnd:
				got = append(got, fmt.Sprintf("! end %v %q", e.Reason, e.Detail))
			default:
				got = append(got, fmt.Sprintf("! %T", e))
			}
		}
	}
	call := func(f func(*Out)) {
		var out Out
		f(&out)
		take(&out)
	}
	var want []string
	for _, line := range strings.Split(strings.TrimSpace(trace), "\n") {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, ">") {
			want = append(want, line)
			continue
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("before %s\n got  %s\n want %s", line, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
		}
		got, want = nil, nil
		f := strings.Fields(line)[1:]
		switch {
		case f[0] == "open":
			call(func(out *Out) { l.Open(now, out) })
		case f[0] == "assign":
			call(func(out *Out) {
				l.Assign(now, Addresses{
					Local: netip.MustParseAddr("10.1.0.1"), Peer: netip.MustParseAddr("10.1.0.9"),
					DNS:     [2]netip.Addr{netip.MustParseAddr("10.1.0.53")},
					LocalID: [8]byte{7: 1}, PeerID: [8]byte{7: 2},
				}, out)
			})
		case f[0] == "wait":
			now = now.Add(5 * time.Second)
			call(func(out *Out) { l.Advance(now, out) })
		case f[0] == "chap":
			c := challenge[8+1 : 8+1+challengeLen]
			r, _ := respond(f[1], f[2], c, make([]byte, challengeLen))
			p := control(ProtoCHAP, chapResponse, challenge[5], append(append([]byte{responseLen}, r...), f[1]...))
			call(func(out *Out) { l.Receive(now, p, out) })
		case f[1] == "ack":
			p := bytes.Clone(last[f[0]])
			p[4] = codeConfAck
			call(func(out *Out) { l.Receive(now, p, out) })
		default:
			call(func(out *Out) { l.Receive(now, packetOf(strings.Join(f, " ")), out) })
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("at the end\n got  %s\n want %s", strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
	return l
}

// Windows asks for callback, multilink and an endpoint discriminator, counts
// identifiers through all protocols, identifies itself (RFC 1570), tries MPPE,
// and wants name servers and WINS.
const windows = `
> open
< LCP ConfReq 1 1:0578 3:c22381 5:MAGIC
> LCP ConfReq 0 1:0578 5:2a3e6f0e 7: 8: 13:06 17:064e 19:01aabbccddeeff00112233445566778899aabbccdd
< LCP ConfRej 0 13:06 17:064e 19:01aabbccddeeff00112233445566778899aabbccdd
> LCP ack
> LCP ConfReq 1 1:0578 5:2a3e6f0e 7: 8:
< LCP ConfAck 1 1:0578 5:2a3e6f0e 7: 8:
< CHAP Challenge
> LCP Ident 2 2a3e6f0e4d535241535635
> LCP Ident 3 2a3e6f0e4d535241532d302d484f5354
> chap HOME\alice secret
! auth HOME\alice
< CHAP Success
! ppp.EventNetwork
> IPV6CP ConfReq 6 1:8d5c11aa22bb33cc
> CCP ConfReq 7 18:01000000
< LCP ProtRej 1 80fd0107000a120601000000
> IPCP ConfReq 8 3:00000000 129:00000000 130:00000000 131:00000000 132:00000000
> assign
< IPCP ConfReq 1 3:0a010001
< IPV6CP ConfReq 1 1:0000000000000001
< IPCP ConfRej 8 130:00000000 131:00000000 132:00000000
< IPV6CP ConfAck 6 1:8d5c11aa22bb33cc
> IPCP ack
> IPV6CP ack
! up6 8d5c11aa22bb33cc
> IPCP ConfReq 9 3:00000000 129:00000000
< IPCP ConfNak 9 3:0a010009 129:0a010035
> IPCP ConfReq 10 3:0a010009 129:0a010035
< IPCP ConfAck 10 3:0a010009 129:0a010035
! up4 10.1.0.9 mtu 1400 pfc true acfc true
> LCP EchoReq 11 2a3e6f0e
< LCP EchoRep 11 ECHO
> LCP TermReq 12 2a3e6f0e003ccd74000002dc
< LCP TermAck 12
! ppp.EventDown4
! ppp.EventDown6
> wait
! end closed by the peer "windows error 732"
`

// macOS and iOS: an ACCM, their own control protocol (ACSCP), and no WINS.
const apple = `
> open
< LCP ConfReq 1 1:0578 3:c22381 5:MAGIC
> LCP ConfReq 1 2:00000000 5:4bfff5f5 7: 8:
< LCP ConfAck 1 2:00000000 5:4bfff5f5 7: 8:
> LCP ack
< CHAP Challenge
> LCP EchoReq 0 4bfff5f5
< LCP EchoRep 0 ECHO
> chap alice secret
! auth alice
< CHAP Success
! ppp.EventNetwork
> IPCP ConfReq 1 3:00000000 129:00000000 131:00000000
> IPV6CP ConfReq 1 1:021122fffe334455
> ACSCP ConfReq 1 1:00000001 2:00000001
< LCP ProtRej 1 823501010010010600000001020600000001
> assign
< IPCP ConfReq 1 3:0a010001
< IPV6CP ConfReq 1 1:0000000000000001
< IPCP ConfRej 1 131:00000000
< IPV6CP ConfAck 1 1:021122fffe334455
> IPCP ack
> IPV6CP ack
! up6 021122fffe334455
> IPCP ConfReq 2 3:00000000 129:00000000
< IPCP ConfNak 2 3:0a010009 129:0a010035
> IPCP ConfReq 3 3:0a010009 129:0a010035
< IPCP ConfAck 3 3:0a010009 129:0a010035
! up4 10.1.0.9 mtu 1500 pfc true acfc true
> LCP TermReq 2 557365722072657175657374
< LCP TermAck 2
! ppp.EventDown4
! ppp.EventDown6
> wait
! end closed by the peer "User request"
`

// Android's mtpd and Linux' xl2tpd run pppd: MRU 1400, VJ compression, and
// deflate and BSD compression by CCP. The server's request comes before its own
// is acknowledged.
const pppd = `
> open
< LCP ConfReq 1 1:0578 3:c22381 5:MAGIC
> LCP ack
> LCP ConfReq 1 1:0578 2:00000000 5:c0ffee01 7: 8:
< LCP ConfAck 1 1:0578 2:00000000 5:c0ffee01 7: 8:
< CHAP Challenge
> chap alice secret
! auth alice
< CHAP Success
! ppp.EventNetwork
> CCP ConfReq 1 26:7800 24:7800 21:2f
< LCP ProtRej 1 80fd0101000f1a0478001804780015032f
> assign
< IPCP ConfReq 1 3:0a010001
< IPV6CP ConfReq 1 1:0000000000000001
> IPCP ConfReq 1 2:002d0f01 3:00000000 129:00000000 131:00000000
< IPCP ConfRej 1 2:002d0f01 131:00000000
> IPCP ack
> IPCP ConfReq 2 3:00000000 129:00000000
< IPCP ConfNak 2 3:0a010009 129:0a010035
> LCP ProtRej 2 80570101000e010a0000000000000001
> IPCP ConfReq 3 3:0a010009 129:0a010035
< IPCP ConfAck 3 3:0a010009 129:0a010035
! up4 10.1.0.9 mtu 1400 pfc true acfc true
`

// A client that only speaks PAP, against a server that allows only MS-CHAPv2:
// pppd's way to say so is a Terminate-Request while LCP is being negotiated.
const refusing = `
> open
< LCP ConfReq 1 1:0578 3:c22381 5:MAGIC
> LCP ConfReq 1 5:c0ffee01
< LCP ConfAck 1 5:c0ffee01
> LCP TermReq 2 7065657220726566757365642061757468
< LCP TermAck 2
< LCP TermReq 2
> LCP TermAck 2
! end closed by the peer "peer refused auth"
`

// Wrong password: the failure, then the end.
const wrong = `
> open
< LCP ConfReq 1 1:0578 3:c22381 5:MAGIC
> LCP ConfReq 1 5:c0ffee01
< LCP ConfAck 1 5:c0ffee01
> LCP ack
< CHAP Challenge
> chap alice guess
! auth alice
< CHAP Failure
< LCP TermReq 2
> LCP TermAck 2
! end authentication failed "alice"
`

func TestGoldenTraces(t *testing.T) {
	for name, trace := range map[string]string{"windows": windows, "apple": apple, "pppd": pppd, "refusing": refusing, "wrong": wrong} {
		t.Run(name, func(t *testing.T) {
			l := NewServer(Server{Config: Config{Rand: source{rand.New(rand.NewPCG(1, 1))}}})
			var out Out
			l.Open(time.Unix(0, 0), &out)
			// The first magic number of this seed.
			playTrace(t, strings.ReplaceAll(trace, "ECHO", fmt.Sprintf("%08x", l.lcp.magic)))
		})
	}
}
