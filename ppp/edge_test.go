package ppp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// bench is one end of a link, driven packet by packet.
type bench struct {
	*Link
	t   *testing.T
	now time.Time
}

func newBench(t *testing.T, l *Link) *bench {
	b := &bench{l, t, time.Unix(1_700_000_000, 0)}
	var out Out
	l.Open(b.now, &out)
	return b
}

func server(m ...Method) *Link {
	return NewServer(Server{Config: Config{Rand: source{rand.New(rand.NewPCG(1, 1))}}, Methods: m})
}

func client(m ...Method) *Link {
	return NewClient(Client{
		Config: Config{Rand: source{rand.New(rand.NewPCG(2, 2))}},
		User:   "alice", Password: "secret", Methods: m, IPv4: true, IPv6: true, DNS: true,
	})
}

// get gives it a packet and returns what it sends and tells, as text.
func (b *bench) get(packet []byte) string {
	b.t.Helper()
	var out Out
	b.Receive(b.now, packet, &out)
	return b.text(&out)
}

func (b *bench) text(out *Out) string {
	var got []string
	for _, p := range out.Packets {
		got = append(got, textOf(p))
	}
	for _, e := range out.Events {
		switch e := e.(type) {
		case EventEnd:
			got = append(got, fmt.Sprintf("end %v %q", e.Reason, e.Detail))
		default:
			got = append(got, strings.TrimPrefix(fmt.Sprintf("%T", e), "ppp.Event"))
		}
	}
	return strings.Join(got, " | ")
}

func (b *bench) want(what, packet, answer string) {
	b.t.Helper()
	if got := b.get(packetOf(packet)); got != answer {
		b.t.Errorf("%s: %s\n got  %s\n want %s", what, packet, got, answer)
	}
}

// ack acknowledges the last Configure-Request of a protocol.
func (b *bench) ack(a *automaton) string {
	return b.get(control(a.proto, codeConfAck, a.id, a.sent))
}

// toNetwork takes a server to the network phase, by PAP.
func (b *bench) toNetwork() {
	b.t.Helper()
	b.ack(&b.lcp.automaton)
	b.get(packetOf("LCP ConfReq 1 5:c0ffee01"))
	if got := b.get(control(ProtoPAP, papRequest, 1, []byte("\x05alice\x06secret"))); got != "Auth" {
		b.t.Fatalf("auth: %s", got)
	}
	var out Out
	b.Authenticated(b.now, b.seq, Result{OK: true}, &out)
	if got := b.text(&out); got != "PAP Ack | Network" {
		b.t.Fatalf("network: %s", got)
	}
}

func TestLCPOptions(t *testing.T) {
	for _, x := range []struct{ what, request, answer string }{
		{"nothing", "LCP ConfReq 1", "LCP ConfAck 1"},
		{"a small MRU is raised", "LCP ConfReq 1 1:0040", "LCP ConfNak 1 1:0080"},
		{"a large MRU is as good", "LCP ConfReq 1 1:2328", "LCP ConfAck 1 1:2328"},
		{"a magic number of zero", "LCP ConfReq 1 5:00000000", "LCP ConfNak 1 5:*"},
		{"it will not authenticate itself to the client", "LCP ConfReq 1 3:c22381", "LCP ConfRej 1 3:c22381"},
		{"link quality", "LCP ConfReq 1 4:c02500000064", "LCP ConfRej 1 4:c02500000064"},
		{"a known option of a wrong length", "LCP ConfReq 1 7:00", "LCP ConfRej 1 7:00"},
		{"one reject outweighs the naks; order is kept", "LCP ConfReq 1 1:0040 200:01 2:00000000 13:06", "LCP ConfRej 1 200:01 13:06"},
	} {
		b := newBench(t, server())
		got := b.get(packetOf(x.request))
		if head, ok := strings.CutSuffix(x.answer, "*"); ok {
			got = strings.TrimSpace(got[:len(head)]) + "*"
		}
		if got != x.answer {
			t.Errorf("%s: %s, want %s", x.what, got, x.answer)
		}
	}
}

func TestIPCPOptions(t *testing.T) {
	b := newBench(t, server(PAP))
	b.toNetwork()
	var out Out
	b.want("kept until there is an address", "IPCP ConfReq 1 3:00000000", "")
	b.Assign(b.now, Addresses{Peer: netip.MustParseAddr("10.1.0.9"), DNS: [2]netip.Addr{1: netip.MustParseAddr("10.1.0.2")}}, &out)
	if got := b.text(&out); got != "IPCP ConfReq 1 | IPCP ConfNak 1 3:0a010009" {
		t.Errorf("no address of its own to tell: %s", got)
	}
	b.want("another address than assigned", "IPCP ConfReq 2 3:c0a80001", "IPCP ConfNak 2 3:0a010009")
	b.want("only the second name server is there", "IPCP ConfReq 3 3:0a010009 129:00000000 131:00000000", "IPCP ConfRej 3 129:00000000")
	b.want("and told", "IPCP ConfReq 4 3:0a010009 131:00000000", "IPCP ConfNak 4 131:0a010002")
	b.want("WINS", "IPCP ConfReq 5 3:0a010009 130:00000000", "IPCP ConfRej 5 130:00000000")
	b.want("no address at all: told once", "IPCP ConfReq 6", "IPCP ConfNak 6 3:0a010009")
	b.want("who does not want to hear it goes without", "IPCP ConfReq 7", "IPCP ConfAck 7")
	b.ack(&b.ipcp.automaton)
	b.want("IPV6CP is not assigned", "IPV6CP ConfReq 1 1:0000000000000005", "LCP ProtRej 1 80570101000e010a0000000000000005")
}

func TestInterfaceIDs(t *testing.T) {
	b := newBench(t, server(PAP))
	b.toNetwork()
	var out Out
	b.Assign(b.now, Addresses{LocalID: [8]byte{7: 1}, PeerID: [8]byte{7: 2}}, &out)
	b.want("zero", "IPV6CP ConfReq 1 1:0000000000000000", "IPV6CP ConfNak 1 1:0000000000000002")
	b.want("ours", "IPV6CP ConfReq 2 1:0000000000000001", "IPV6CP ConfNak 2 1:0000000000000002")
	b.want("compression", "IPV6CP ConfReq 3 2:004f", "IPV6CP ConfRej 3 2:004f")
	b.want("none: the one that was offered", "IPV6CP ConfReq 4", "IPV6CP ConfAck 4")
	b.want("IPv4 is not assigned", "IPCP ConfReq 1 3:00000000", "LCP ProtRej 1 80210101000a030600000000")
	if got := b.ack(&b.ipv6cp.automaton); got != "Up6" || b.ipv6cp.peer != [8]byte{7: 2} {
		t.Errorf("%s, peer %x", got, b.ipv6cp.peer)
	}
}

// TestNaksEnd: a peer that never takes a Nak is refused after Max-Failure, and
// one that goes on for ever is left.
func TestNaksEnd(t *testing.T) {
	b := newBench(t, server())
	for i := range 2 * maxFailure {
		want := "LCP ConfNak 1 1:0080"
		if i >= maxFailure {
			want = "LCP ConfRej 1 1:0040"
		}
		b.want("too small", "LCP ConfReq 1 1:0040", want)
	}
	last := ""
	for range maxRounds {
		last = b.get(packetOf("LCP ConfReq 1 1:0040"))
		if strings.HasPrefix(last, "LCP TermReq") {
			break
		}
	}
	if !strings.HasPrefix(last, "LCP TermReq") || b.reason != NoAgreement {
		t.Errorf("no end: %s, %v", last, b.reason)
	}

	b = newBench(t, server())
	packets := 0
	for range 1000 { // it refuses whatever it is asked, at once
		got := b.get(control(ProtoLCP, codeConfNak, b.lcp.id, []byte{1, 4, 2, 0}))
		if got != "" {
			packets++
		}
	}
	if packets > maxRounds+1 || b.reason != NoAgreement {
		t.Errorf("a peer's Naks made %d packets, %v", packets, b.reason)
	}
}

func TestLoopedLine(t *testing.T) {
	b := newBench(t, server())
	var out Out
	b.now = b.now.Add(time.Second)
	b.Advance(b.now, &out)
	packets := out.Packets
	for round := 0; len(packets) > 0; round++ { // everything comes back
		if round > 200 {
			t.Fatal("it never ends")
		}
		var next Out
		for _, p := range packets {
			b.Receive(b.now, bytes.Clone(p), &next)
		}
		packets = next.Packets
	}
	if b.reason != Looped {
		t.Errorf("ended by %v", b.reason)
	}
}

func TestUnknownThings(t *testing.T) {
	b := newBench(t, server(PAP))
	b.want("before LCP is open all else is dropped", "CCP ConfReq 1", "")
	b.want("an unknown code", "LCP Ident 9", "")
	if got := b.get(control(ProtoLCP, 99, 7, []byte{1})); got != "LCP CodeRej 1 6307000501" {
		t.Errorf("an unknown code: %s", got)
	}
	b.toNetwork()
	if got := b.get([]byte{0x00, 0xfd, 1, 2, 3}); got != "LCP ProtRej 2 00fd010203" {
		t.Errorf("compressed data: %s", got)
	}
	if got := b.get([]byte{0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0}); !strings.HasPrefix(got, "LCP EchoRep 1") {
		t.Errorf("without address and control: %s", got)
	}
	for what, p := range map[string][]byte{
		"empty": {}, "no protocol": {0xff, 3}, "even protocol": {0xff, 3, 0xc0, 0x20}, "no code": {0xc0, 0x21}, "length too long": {0xc0, 0x21, 1, 1, 0, 9, 1},
		"length too short": {0xc0, 0x21, 1, 1, 0, 3, 1}, "bad option": {0xc0, 0x21, 1, 1, 0, 7, 1, 9, 0}, "option of no length": {0xc0, 0x21, 1, 1, 0, 6, 1, 0},
		"short echo": {0xc0, 0x21, 9, 1, 0, 5, 1},
	} {
		before := b.Stats().Malformed
		if got := b.get(p); got != "" || b.Stats().Malformed != before+1 {
			t.Errorf("%s: %s, %+v", what, got, b.Stats())
		}
	}
	before := b.Stats()
	b.get([]byte{0x21, 0x45, 0, 0})
	b.get(packetOf("CHAP ConfReq 1"))
	if after := b.Stats(); after.NotUp != before.NotUp+1 || after.Unexpected != before.Unexpected+1 {
		t.Errorf("%+v", after)
	}
}

func TestProtocolRejects(t *testing.T) {
	b := newBench(t, server(PAP))
	b.toNetwork()
	var out Out
	b.Assign(b.now, Addresses{Peer: netip.MustParseAddr("10.1.0.9"), Local: netip.MustParseAddr("10.1.0.1"), LocalID: [8]byte{7: 1}}, &out)
	b.want("no IPv6", "LCP ProtRej 1 8057", "")
	b.want("no IPv4 either", "LCP ProtRej 2 8021", "LCP TermReq 2")
	if b.reason != NoNetwork {
		t.Errorf("ended by %v", b.reason)
	}
	b = newBench(t, server())
	b.ack(&b.lcp.automaton)
	b.get(packetOf("LCP ConfReq 1"))
	b.want("it agreed to CHAP and rejects it", "LCP ProtRej 1 c223", "LCP TermReq 2")
	if b.reason != NoAuthMethod {
		t.Errorf("ended by %v", b.reason)
	}
	b = newBench(t, server(PAP))
	b.toNetwork()
	b.want("a code that every link needs", "LCP CodeRej 1 01", "LCP TermReq 2")
	b = newBench(t, server(PAP))
	b.toNetwork()
	b.want("one that does not matter", "LCP CodeRej 1 0c", "")
	b.want("LCP itself", "LCP ProtRej 1 c021", "LCP TermReq 2")
}

func TestOtherProposals(t *testing.T) {
	b := newBench(t, server(MSCHAPv2, CHAPMD5, PAP))
	b.want("MRU refused", "LCP ConfRej 1 1:0578", "LCP ConfReq 2 3:c22381 5:MAGIC")
	b.want("an answer to an old request", "LCP ConfRej 1 5:00000000", "")
	b.want("magic number refused", "LCP ConfRej 2 5:00000000", "LCP ConfReq 3 3:c22381")
	b.want("a method that is not allowed is proposed: the next one", "LCP ConfNak 3 3:c227", "LCP ConfReq 4 3:c22305")
	b.want("authentication refused: the next one", "LCP ConfRej 4 3:c22305", "LCP ConfReq 5 3:c023")
	b.want("and none is left", "LCP ConfRej 5 3:c023", "LCP TermReq 6")
	if b.reason != NoAuthMethod {
		t.Errorf("ended by %v", b.reason)
	}
	b = newBench(t, server())
	b.want("a larger MRU is asked for", "LCP ConfNak 1 1:05dc", "LCP ConfReq 2 1:05dc 3:c22381 5:MAGIC")
	b.want("one that is too large", "LCP ConfNak 2 1:ffff", "LCP ConfReq 3 1:05dc 3:c22381 5:MAGIC")
}

func TestVerdictIsRepeated(t *testing.T) {
	for _, m := range []Method{CHAPMD5, PAP} {
		b := newBench(t, server(m))
		b.ack(&b.lcp.automaton)
		b.get(packetOf("LCP ConfReq 1"))
		p := control(ProtoPAP, papRequest, 9, []byte("\x05alice\x06secret"))
		if m == CHAPMD5 {
			a := b.auth.(*authServer)
			r := md5Response(a.id, "secret", a.challenge)
			p = control(ProtoCHAP, chapResponse, a.id, append(append([]byte{16}, r...), "alice"...))
		}
		if got := b.get(p); got != "Auth" {
			t.Fatalf("%v: %s", m, got)
		}
		if got := b.get(p); got != "" {
			t.Errorf("%v: asked twice: %s", m, got)
		}
		var first, second Out
		b.Authenticated(b.now, b.seq, Result{OK: true}, &first)
		b.Receive(b.now, p, &second)
		if len(second.Packets) != 1 || len(second.Events) != 0 || !bytes.Equal(first.Packets[0], second.Packets[0]) {
			t.Errorf("%v: the verdict was %x, then %x", m, first.Packets, second.Packets)
		}
	}
}

func TestLongNames(t *testing.T) {
	b := newBench(t, server())
	b.ack(&b.lcp.automaton)
	b.get(packetOf("LCP ConfReq 1"))
	a := b.auth.(*authServer)
	for what, value := range map[string][]byte{
		"name of 257 bytes": append([]byte{responseLen}, make([]byte, responseLen+257)...),
		"value too short":   append([]byte{48}, make([]byte, 48)...),
		"value cut":         append([]byte{responseLen}, make([]byte, 20)...),
		"nothing":           {},
	} {
		if got := b.get(control(ProtoCHAP, chapResponse, a.id, value)); got != "" {
			t.Errorf("%s: %s", what, got)
		}
	}
	if got := b.get(control(ProtoCHAP, chapResponse, a.id-1, append([]byte{responseLen}, make([]byte, responseLen)...))); got != "" {
		t.Errorf("an old identifier: %s", got)
	}
	n := 0
	var out Out
	for b.phase == phaseAuthenticate && n < 100 {
		b.now = b.Deadline()
		b.Advance(b.now, &out)
		n++
	}
	if b.reason != NoAnswer && b.reason != SetupTimeout {
		t.Errorf("ended by %v", b.reason)
	}
}

func TestEAPEdges(t *testing.T) {
	b := newBench(t, server(EAPMSCHAPv2))
	b.ack(&b.lcp.automaton)
	b.get(packetOf("LCP ConfReq 1"))
	a := b.auth.(*authServer)
	answer := func(data ...byte) string { return b.get(control(ProtoEAP, eapResponse, a.id, data)) }
	first := a.id
	if got := answer(eapMSCHAPv2, msResponse, 0, 0, 4); got != "" {
		t.Errorf("credentials before the identity: %s", got)
	}
	if got := answer(eapIdentity, 'x'); got != "EAP Request" {
		t.Errorf("identity: %s", got)
	}
	if got := b.get(control(ProtoEAP, eapResponse, first, []byte{eapIdentity, 'x'})); got != "" {
		t.Errorf("the identity again: %s", got)
	}
	for what, data := range map[string][]byte{
		"nothing": {eapMSCHAPv2}, "another operation": {eapMSCHAPv2, msChallenge, 1, 0, 4}, "no value": {eapMSCHAPv2, msResponse, 1, 0, 4},
		"short value": {eapMSCHAPv2, msResponse, 1, 0, 9, 4, 1, 2, 3, 4}, "no type": {}, "a notification": {eapNotification},
	} {
		if got := answer(data...); got != "" {
			t.Errorf("%s: %s", what, got)
		}
	}
	r, _ := respond("alice", "secret", a.challenge, make([]byte, 16))
	good := msPacket(msResponse, a.id, append(append([]byte{responseLen}, r...), "alice"...))
	if got := answer(good...); got != "Auth" {
		t.Fatalf("credentials: %s", got)
	}
	var out Out
	b.Authenticated(b.now, b.seq, Result{OK: true, Authenticator: "S=" + strings.Repeat("0", 40)}, &out)
	if got := b.text(&out); got != "EAP Request" {
		t.Errorf("verdict: %s", got)
	}
	if got := answer(eapMSCHAPv2, msFailure); got != "EAP Failure | LCP TermReq 2" || b.reason != AuthFailed {
		t.Errorf("the peer does not believe it: %s, %v", got, b.reason)
	}

	b = newBench(t, server(EAPMSCHAPv2))
	b.ack(&b.lcp.automaton)
	b.get(packetOf("LCP ConfReq 1"))
	a = b.auth.(*authServer)
	if got := answer(eapNak, 13); got != "EAP Failure | LCP TermReq 2" || b.reason != NoAuthMethod {
		t.Errorf("another type: %s, %v", got, b.reason)
	}
}

func TestWithoutAuthenticator(t *testing.T) {
	b := newBench(t, server())
	b.ack(&b.lcp.automaton)
	b.get(packetOf("LCP ConfReq 1"))
	a := b.auth.(*authServer)
	r, _ := respond("alice", "secret", a.challenge, make([]byte, 16))
	b.get(control(ProtoCHAP, chapResponse, a.id, append(append([]byte{responseLen}, r...), "alice"...)))
	var out Out
	b.Authenticated(b.now, b.seq, Result{OK: true}, &out) // a RADIUS server that forgot MS-CHAP2-Success
	if got := b.text(&out); got != "CHAP Failure | LCP TermReq 2" {
		t.Error(got)
	}
}

func TestClientEdges(t *testing.T) {
	b := newBench(t, client(MSCHAPv2))
	b.want("a way that it does not know", "LCP ConfReq 1 3:c023", "LCP ConfNak 1 3:c22381")
	b.want("the right one", "LCP ConfReq 2 3:c22381", "LCP ConfAck 2 3:c22381")
	b.ack(&b.lcp.automaton)
	challenge := control(ProtoCHAP, chapChallenge, 5, append([]byte{16}, make([]byte, 16)...))
	var first, second Out
	b.Receive(b.now, challenge, &first)
	b.Receive(b.now, challenge, &second)
	if len(first.Packets) != 1 || !bytes.Equal(first.Packets[0], second.Packets[0]) {
		t.Error("a repeated challenge has another answer")
	}
	if got := b.get(control(ProtoCHAP, chapSuccess, 4, []byte("S="))); got != "" {
		t.Errorf("a verdict on another challenge: %s", got)
	}
	if got := b.get(control(ProtoCHAP, chapFailure, 5, []byte("E=691 R=0"))); got != "LCP TermReq 2" || b.reason != AuthFailed || b.detail != "E=691 R=0" {
		t.Errorf("%s, %v %q", got, b.reason, b.detail)
	}

	b = newBench(t, client(EAPMSCHAPv2))
	b.want("eap", "LCP ConfReq 2 3:c227", "LCP ConfAck 2 3:c227")
	b.ack(&b.lcp.automaton)
	for _, x := range []struct {
		what string
		data []byte
		id   byte
		want []byte
	}{
		{"identity", []byte{eapIdentity}, 1, []byte("\x01alice")},
		{"a notification", []byte{eapNotification, 'x'}, 2, []byte{eapNotification}},
		{"a type that it does not know", []byte{13, 0x20}, 3, []byte{eapNak, eapMSCHAPv2}},
	} {
		var out Out
		b.Receive(b.now, control(ProtoEAP, eapRequest, x.id, x.data), &out)
		if len(out.Packets) != 1 || !bytes.Equal(out.Packets[0], control(ProtoEAP, eapResponse, x.id, x.want)) {
			t.Errorf("%s: %x", x.what, out.Packets)
		}
	}
	if got := b.get(control(ProtoEAP, eapSuccess, 3, nil)); got != "" {
		t.Errorf("a success without a proof: %s", got)
	}

	b = newBench(t, client())
	b.want("no authentication", "LCP ConfReq 2", "LCP ConfAck 2")
	if got := b.ack(&b.lcp.automaton); !strings.HasPrefix(got, "IPCP ConfReq 1 3:00000000 129:00000000 131:00000000 | IPV6CP ConfReq 1 1:") {
		t.Errorf("open: %s", got)
	}
	b.want("the server has no name servers", "IPCP ConfRej 1 129:00000000 131:00000000", "IPCP ConfReq 2 3:00000000")
	b.want("the server names an address", "IPCP ConfNak 2 3:0a010009", "IPCP ConfReq 3 3:0a010009")
	b.want("a server at 0.0.0.0", "IPCP ConfReq 1 3:00000000", "IPCP ConfRej 1 3:00000000")
	b.want("a server without an address", "IPCP ConfReq 2", "IPCP ConfAck 2")
	if got := b.ack(&b.ipcp.automaton); got != "Up4" {
		t.Errorf("up: %s", got)
	}
	b.want("another interface identifier", "IPV6CP ConfNak 1 1:0000000000000007", "IPV6CP ConfReq 2 1:0000000000000007")
	b.want("none", "IPV6CP ConfRej 2 1:0000000000000007", "IPV6CP ConfReq 3")
}

func TestHeaders(t *testing.T) {
	for _, x := range []struct {
		p    Params
		want string
	}{
		{Params{}, "ff030021"}, {Params{ACFC: true}, "0021"}, {Params{PFC: true}, "ff0321"}, {Params{ACFC: true, PFC: true}, "21"},
	} {
		h := x.p.AppendHeader(nil, ProtoIPv4)
		if fmt.Sprintf("%x", h) != x.want {
			t.Errorf("%+v: %x", x.p, h)
		}
		if proto, rest, ok := Split(append(h, 0x45)); !ok || proto != ProtoIPv4 || !bytes.Equal(rest, []byte{0x45}) {
			t.Errorf("%+v: %x, %x, %v", x.p, proto, rest, ok)
		}
	}
	if h := (Params{PFC: true}).AppendHeader(nil, ProtoLCP); fmt.Sprintf("%x", h) != "ff03c021" {
		t.Errorf("%x", h)
	}
}

func TestNames(t *testing.T) {
	for r := Closed; r <= ProtocolError; r++ {
		if r.String() == "" || r != Closed && r.String() == Closed.String() {
			t.Errorf("reason %d has no name of its own", r)
		}
	}
	if int(ProtocolError)+1 != len(reasonNames) || fmt.Sprint(MSCHAPv2, EAPMSCHAPv2, CHAPMD5, PAP) != "mschapv2 eap-mschapv2 chap-md5 pap" {
		t.Error("names")
	}
	if got := said([]byte("bye\x00")); got != "" {
		t.Errorf("control characters in a log: %q", got)
	}
	if got := said([]byte(strings.Repeat("ü", 40))); got != strings.Repeat("ü", 32) {
		t.Errorf("%q", got)
	}
	t.Logf("a Link has %d bytes", unsafe.Sizeof(Link{}))
}

// FuzzLink gives both kinds of end, in every phase, any packets and any time.
func FuzzLink(f *testing.F) {
	for _, p := range []string{"LCP ConfReq 1 1:0578 3:c22381 5:2a3e6f0e 7: 8: 13:06", "LCP ConfNak 1 3:c023", "LCP TermReq 1", "IPCP ConfReq 1 3:00000000 129:00000000", "IPV6CP ConfNak 1 1:0000000000000000", "LCP EchoReq 1 00000000", "LCP CodeRej 1 01", "LCP ProtRej 1 8021"} {
		f.Add(byte(0), packetOf(p))
		f.Add(byte(7), packetOf(p))
	}
	f.Add(byte(1), control(ProtoPAP, papRequest, 1, []byte("\x05alice\x06secret")))
	f.Add(byte(2), control(ProtoEAP, eapResponse, 1, []byte{eapIdentity, 'x'}))
	f.Fuzz(func(t *testing.T, how byte, data []byte) {
		m := Method(how>>1) % numMethods
		l := server(m)
		if how&1 == 1 {
			l = client(m)
		}
		now := time.Unix(1_700_000_000, 0)
		var out Out
		l.Open(now, &out)
		if how&16 != 0 {
			l.Receive(now, control(ProtoLCP, codeConfAck, l.lcp.id, l.lcp.sent), &out)
			l.Receive(now, packetOf("LCP ConfReq 1 5:c0ffee01"), &out)
		}
		for len(data) > 0 { // first byte: how long the packet is
			n := min(int(data[0]), len(data)-1)
			if how&32 != 0 || n == 0 {
				n = len(data) - 1
			}
			packet := data[1 : n+1]
			data = data[n+1:]
			if how&64 != 0 && len(packet) >= 8 {
				binary.BigEndian.PutUint16(packet[6:], uint16(len(packet)-4))
			}
			out.Reset()
			l.Receive(now, packet, &out)
			if len(out.Packets) > 8 {
				t.Fatalf("one packet made %d", len(out.Packets))
			}
			for _, e := range out.Events {
				var more Out
				switch e := e.(type) {
				case EventAuth:
					l.Authenticated(now, e.Seq, Result{OK: true, Authenticator: strings.Repeat("S", 42)}, &more)
				case EventNetwork:
					l.Assign(now, Addresses{Peer: netip.MustParseAddr("10.0.0.1"), LocalID: [8]byte{1}}, &more)
				}
			}
			now = now.Add(time.Second)
			l.Advance(now, &out)
		}
		for i := 0; !l.Deadline().IsZero(); i++ { // a link whose peer is gone always ends
			if i > 200 {
				t.Fatalf("no end: phase %d, LCP %d, reason %v", l.phase, l.lcp.state, l.reason)
			}
			out.Reset()
			l.Advance(l.Deadline(), &out)
		}
		if l.phase != phaseOver {
			t.Fatalf("nothing to wait for, and not over: phase %d, LCP %d", l.phase, l.lcp.state)
		}
	})
}

// A client whose pppd starts long after the call, as on a slow machine, does not
// wait for the timer of what it could not hear: our request comes again behind the
// acknowledgement of its own, once.
func TestPeerThatBeginsLate(t *testing.T) {
	for _, late := range []time.Duration{300 * time.Millisecond, 1250 * time.Millisecond, 4 * time.Second} {
		l := NewServer(Server{Config: Config{Rand: source{rand.New(rand.NewPCG(1, 1))}}})
		now := time.Unix(1_700_000_000, 0)
		end := now.Add(late)
		var out Out
		for l.Open(now, &out); !l.Deadline().After(end); l.Advance(now, &out) {
			now = l.Deadline()
		}
		for i, want := range []string{"[LCP ConfAck LCP ConfReq]", "[LCP ConfAck]"} {
			out.Reset()
			l.Receive(end.Add(time.Duration(i)*100*time.Millisecond), packetOf("LCP ConfReq 1 5:c0ffee01"), &out)
			var got []string
			for _, p := range out.Packets {
				f := strings.Fields(textOf(p))
				got = append(got, f[0]+" "+f[1])
			}
			if fmt.Sprint(got) != want {
				t.Errorf("%v after the call, request %d: answered %v, want %s", late, i+1, got, want)
			}
		}
	}
}
