package emulation

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"layeh.com/radius/rfc2759"

	"vhub/l2tp"
	"vhub/ppp"
)

// link is the client's PPP: it proposes what the profile lists, takes refusals and corrections,
// and answers the server as pppd and Windows do.
type link struct {
	c        *client
	password string

	id    byte            // last used
	ids   map[uint16]byte // last used of each protocol, where they do not count together
	wants map[uint16][]option
	open  map[uint16]uint8 // heAcked, weAcked

	expect   string // the server's proof that it knows the password
	proved   bool
	failure  string // what it says instead
	echoed   bool   // the server answered our Echo-Request
	over     bool   // the server acknowledged our Terminate-Request
	rejected []uint16
	ip       [][]byte // IP packets that have come
}

// Codes of RFC 1661 section 5, and Identification of RFC 1570.
const (
	confReq, confAck, confNak, confRej = 1, 2, 3, 4
	termReq, termAck                   = 5, 6
	protRej                            = 8
	echoReq, echoRep                   = 9, 10
	identification                     = 12
)

const (
	heAcked uint8 = 1 << iota
	weAcked
	isOpen = heAcked | weAcked
)

const optMagic = 5

// send sends a control packet of PPP.
func (l *link) send(proto uint16, code, id byte, data []byte) {
	n := len(data) + 4
	b := binary.BigEndian.AppendUint16([]byte{0xff, 3}, proto)
	b = append(b, code, id, byte(n>>8), byte(n))
	l.frame(append(b, data...))
}

func (l *link) frame(b []byte) {
	l.c.tr.ppp(true, b)
	msg := make([]byte, l2tp.DataHeaderLen, l2tp.DataHeaderLen+len(b))
	l2tp.PutDataHeader(msg, l.c.peerTunnel, l.c.peerSession, len(b))
	l.c.send(append(msg, b...))
}

// nextID gives out identifiers: Windows counts them through all protocols, pppd in each.
func (l *link) nextID(proto uint16) byte {
	if l.c.p.countAll {
		l.id++
		return l.id - 1
	}
	if _, used := l.ids[proto]; !used {
		l.ids[proto] = l.c.p.firstID - 1
	}
	l.ids[proto]++
	return l.ids[proto]
}

// begin proposes.
func (l *link) begin(proto uint16, opts []option) {
	l.wants[proto] = slices.Clone(opts)
	l.request(proto)
}

func (l *link) request(proto uint16) {
	l.send(proto, confReq, l.nextID(proto), join(l.wants[proto]))
}

func join(opts []option) (b []byte) {
	for _, o := range opts {
		b = append(append(b, o.kind, byte(2+len(o.value))), o.value...)
	}
	return b
}

func split(b []byte) (opts []option) {
	for len(b) >= 2 && int(b[1]) >= 2 && int(b[1]) <= len(b) {
		opts = append(opts, option{b[0], b[2:b[1]]})
		b = b[b[1]:]
	}
	return opts
}

// receive takes a PPP packet of the server.
func (l *link) receive(b []byte) {
	l.c.tr.ppp(false, b)
	proto, body, ok := ppp.Split(b)
	switch {
	case !ok:
		l.c.t.Errorf("no PPP packet: %x", b)
		return
	case proto == ppp.ProtoIPv4 || proto == ppp.ProtoIPv6:
		l.ip = append(l.ip, body)
		return
	case len(body) < 4:
		l.c.t.Errorf("a short PPP packet: %x", b)
		return
	}
	code, id, data := body[0], body[1], body[4:]
	switch {
	case proto == ppp.ProtoCHAP:
		l.chap(code, id, data)
	case proto == ppp.ProtoLCP && code > confRej:
		l.lcp(code, id, data)
	case l.c.p.refuses6 && proto == ppp.ProtoIPv6CP:
		l.send(ppp.ProtoLCP, protRej, l.nextID(ppp.ProtoLCP), append(binary.BigEndian.AppendUint16(nil, proto), body...))
	default:
		l.negotiate(proto, code, id, data)
	}
}

func (l *link) negotiate(proto uint16, code, id byte, data []byte) {
	switch code {
	case confReq: // vhub asks for nothing that these systems refuse
		l.send(proto, confAck, id, data)
		l.became(proto, weAcked)
	case confAck:
		l.became(proto, heAcked)
	case confRej:
		for _, o := range split(data) {
			l.wants[proto] = slices.DeleteFunc(l.wants[proto], func(w option) bool { return w.kind == o.kind })
		}
		l.request(proto)
	case confNak:
		for _, o := range split(data) {
			for i, w := range l.wants[proto] {
				if w.kind == o.kind {
					l.wants[proto][i].value = bytes.Clone(o.value)
				}
			}
		}
		l.request(proto)
	}
}

func (l *link) became(proto uint16, how uint8) {
	before := l.open[proto]
	l.open[proto] |= how
	if proto == ppp.ProtoLCP && before != isOpen && l.open[proto] == isOpen && l.c.p.echo {
		l.send(ppp.ProtoLCP, echoReq, 0, l.magic())
	}
}

// magic is our number, zeros where the server did not want to hear of one.
func (l *link) magic() []byte {
	for _, o := range l.wants[ppp.ProtoLCP] {
		if o.kind == optMagic {
			return bytes.Clone(o.value)
		}
	}
	return make([]byte, 4)
}

func (l *link) lcp(code, id byte, data []byte) {
	switch code {
	case echoReq:
		l.send(ppp.ProtoLCP, echoRep, id, append(l.magic(), data[4:]...))
	case echoRep:
		l.echoed = true
	case protRej:
		l.rejected = append(l.rejected, binary.BigEndian.Uint16(data))
	case termReq:
		l.send(ppp.ProtoLCP, termAck, id, nil)
	case termAck:
		l.over = true
	default:
		l.c.t.Errorf("LCP code %d", code)
	}
}

// chap answers MS-CHAPv2 (RFC 2759), and believes the server only if it proves itself.
func (l *link) chap(code, id byte, data []byte) {
	const challenge, response, success, failure = 1, 2, 3, 4
	switch code {
	case challenge:
		for _, s := range l.c.p.idents {
			l.send(ppp.ProtoLCP, identification, l.nextID(ppp.ProtoLCP), append(l.magic(), s...))
		}
		server, peer := data[1:17], []byte("0123456789abcdef")
		nt, err := rfc2759.GenerateNTResponse(server, peer, []byte(userName), []byte(l.password))
		if err == nil {
			l.expect, err = rfc2759.GenerateAuthenticatorResponse(server, peer, nt, []byte(userName), []byte(l.password))
		}
		if err != nil {
			l.c.t.Fatal(err)
		}
		value := slices.Concat([]byte{49}, peer, make([]byte, 8), nt, []byte{0}, []byte(userName))
		l.send(ppp.ProtoCHAP, response, id, value)
	case success:
		if proof, _, _ := strings.Cut(string(data), " "); proof != l.expect {
			l.c.t.Errorf("the server proves itself by %q, want %q", proof, l.expect)
		}
		l.proved = true
		for _, n := range l.c.p.ncps {
			l.begin(n.proto, n.options)
		}
	case failure:
		l.failure = string(data)
	}
}

// sendIP sends an IPv4 packet. The server did not ask for compressed headers.
func (l *link) sendIP(ip []byte) {
	l.frame(append([]byte{0xff, 3, 0, ppp.ProtoIPv4}, ip...))
}

// address is what IPCP has agreed on.
func (l *link) address() []byte {
	for _, o := range l.wants[ppp.ProtoIPCP] {
		if o.kind == 3 {
			return o.value
		}
	}
	return nil
}
