package emulation

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vhub/ipsec/ike"
	"vhub/l2tp"
	"vhub/ppp"
)

// trace is what went over the wire, in order and in clear: "->" from the client, "<-" from vhub,
// "--" what the station and vhub's log say. What is random is left out, or named by an asterisk.
type trace struct {
	lines []string
	msgs  []ikeMessage // of IKE, which can be read when the keys are known

	suite  ike.Suite
	cookie [8]byte
	key    []byte
	server [2]uint16 // ids of the server, random
}

// ikeMessage is a message of IKE and the line that it will have.
type ikeMessage struct {
	out  bool
	natt bool
	data []byte
	line int
}

func (tr *trace) text() string { return strings.Join(tr.lines, "\n") + "\n" }

func (tr *trace) add(out bool, line string) {
	arrow := "<- "
	if out {
		arrow = "-> "
	}
	tr.lines = append(tr.lines, arrow+line)
}

func (tr *trace) note(line string) { tr.lines = append(tr.lines, "-- "+line) }

// logged takes lines of vhub's log.
func (tr *trace) logged(text string) {
	for line := range strings.Lines(text) {
		tr.note("log: " + strings.TrimSpace(line))
	}
}

func (tr *trace) keyLog(cookie [8]byte, key []byte) { tr.cookie, tr.key = cookie, key }

// ike takes a datagram of port 500, or of 4500 with its marker.
func (tr *trace) ike(out bool, port uint16, data []byte) {
	if port == portNATT {
		if len(data) == 1 {
			tr.add(out, "NAT keepalive")
			return
		}
		data = data[4:]
	}
	tr.msgs = append(tr.msgs, ikeMessage{out, port == portNATT, slices.Clone(data), len(tr.lines)})
	tr.add(out, "IKE")
}

// l2tp writes a control message: its AVPs in order, number and value.
func (tr *trace) l2tp(out bool, b []byte) {
	h, body, _ := l2tp.ParseHeader(b)
	line, name := "L2TP ", "ZLB"
	var list []string
	fits := eachAVP(body, func(mandatory bool, kind uint16, value []byte) {
		switch text := tr.avp(out, kind, value); {
		case kind == messageType && len(value) == 2:
			name = messageName(binary.BigEndian.Uint16(value))
		case !mandatory:
			list = append(list, text+"?")
		default:
			list = append(list, text)
		}
	})
	if !fits {
		list = append(list, "malformed")
	}
	line += fmt.Sprintf("%s ns=%d nr=%d", name, h.Ns, h.Nr)
	if h.Session != 0 {
		line += " session=" + tr.id(h.Session)
	}
	tr.add(out, strings.Join(append([]string{line}, list...), " "))
}

func messageName(n uint16) string {
	for name, m := range messageNumbers {
		if m == n {
			return name
		}
	}
	return fmt.Sprint("message ", n)
}

const (
	hostName   = 7
	vendorName = 8
	resultCode = 1
)

// avp is "number=value": names as text, the rest as bytes; ids that the server drew as asterisks.
func (tr *trace) avp(out bool, kind uint16, value []byte) string {
	switch {
	case kind == hostName || kind == vendorName:
		return fmt.Sprintf("%d=%q", kind, value)
	case !out && (kind == assignedTunnel || kind == assignedSession) && len(value) == 2:
		if v := binary.BigEndian.Uint16(value); v != 0 && !slices.Contains(tr.server[:], v) {
			tr.server[kind&1] = v // 9, 14
		}
		return fmt.Sprintf("%d=%s", kind, tr.id(binary.BigEndian.Uint16(value)))
	case kind == resultCode && len(value) > 4:
		return fmt.Sprintf("%d=%x %q", kind, value[:4], value[4:])
	}
	return fmt.Sprintf("%d=%x", kind, value)
}

func (tr *trace) id(v uint16) string {
	if v != 0 && slices.Contains(tr.server[:], v) {
		return "*"
	}
	return fmt.Sprint(v)
}

var protoNames = map[uint16]string{ppp.ProtoLCP: "LCP", ppp.ProtoIPCP: "IPCP", ppp.ProtoIPv6CP: "IPV6CP", ppp.ProtoCHAP: "CHAP", ppp.ProtoCCP: "CCP", protoACSCP: "ACSCP"}

var codeNames = []string{"", "ConfReq", "ConfAck", "ConfNak", "ConfRej", "TermReq", "TermAck", "CodeRej", "ProtRej", "EchoReq", "EchoRep", "Discard", "Ident"}

// ppp writes a packet: protocol, code, identifier, options as kind:value or the data.
func (tr *trace) ppp(out bool, b []byte) {
	proto, body, ok := ppp.Split(b)
	switch {
	case !ok:
		tr.add(out, fmt.Sprintf("PPP %x", b))
	case proto == ppp.ProtoIPv4:
		tr.add(out, fmt.Sprintf("PPP %x IP %s", b[:len(b)-len(body)], ipText(body)))
	case proto == ppp.ProtoIPv6:
		tr.add(out, fmt.Sprintf("PPP %x IPv6 of %d bytes", b[:len(b)-len(body)], len(body)))
	case proto == ppp.ProtoCHAP: // random but for the name
		n := 5 + int(body[4])
		line := "PPP CHAP " + []string{"", "Challenge", "Response", "Success", "Failure"}[body[0]]
		if body[0] <= 2 {
			line += fmt.Sprintf(" of %d bytes, name=%q", body[4], body[n:])
		} else if _, message, found := strings.Cut(string(body[4:]), " "); found {
			line += fmt.Sprintf(" %q", "S=* "+message)
		}
		tr.add(out, line)
	default:
		tr.add(out, fmt.Sprintf("PPP %s %s %d%s", protoNames[proto], codeNames[body[0]], body[1], tr.options(out, proto, body[0], body[4:])))
	}
}

func (tr *trace) options(out bool, proto uint16, code byte, data []byte) (line string) {
	lcp := proto == ppp.ProtoLCP
	if code > confRej {
		if lcp && (code == echoReq || code == echoRep) && len(data) >= 4 && !out {
			data = data[4:] // the server's magic number is random
			line = " *"
		}
		if len(data) > 0 {
			line += " " + hex.EncodeToString(data)
		}
		return line
	}
	for _, o := range split(data) {
		value := hex.EncodeToString(o.value)
		if lcp && o.kind == optMagic && (out == (code == confAck)) {
			value = "*"
		}
		line += fmt.Sprintf(" %d:%s", o.kind, value)
	}
	return line
}

// ipText says what an IPv4 packet is.
func ipText(b []byte) string {
	src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	line := fmt.Sprintf("%v > %v", src, dst)
	switch {
	case b[9] == 1:
		return line + fmt.Sprintf(" ICMP %d of %d bytes", b[20], len(b))
	case b[9] == 17:
		udp := b[20:]
		line += fmt.Sprintf(" UDP %d > %d", binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:]))
		if len(udp) > 8+240 {
			line += " DHCP"
			for o := udp[8+240:]; len(o) >= 2 && o[0] != 255; o = o[2+int(o[1]):] {
				line += fmt.Sprintf(" %d:%x", o[0], o[2:2+int(o[1])])
			}
		}
	}
	return line
}
