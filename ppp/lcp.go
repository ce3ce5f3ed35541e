package ppp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// LCP options (RFC 1661 section 6, RFC 1662 section 7.1).
const (
	optMRU   = 1
	optACCM  = 2
	optAuth  = 3
	optMagic = 5
	optPFC   = 7
	optACFC  = 8
)

const (
	defaultMRU = 1500 // RFC 1661 section 6.1
	leastMRU   = 128
	maxLoops   = 5 // same magic numbers in a row until the line counts as looped
)

// lcp negotiates the link.
type lcp struct {
	automaton
	link *Link

	// What this end asks for.
	mru    int    // 0: the peer refused to hear of it
	magic  uint32 // 0: refused
	method int    // server: index of the method asked for

	// What the peer asked for in its last Configure-Request.
	peer struct {
		mru       int
		magic     uint32
		pfc, acfc bool
		auth      bool // client: the server demands authentication by method
		method    Method
	}
	loops int
}

// reset makes the proposals of a new negotiation.
func (c *lcp) reset() {
	c.mru, c.method = c.link.cfg.MRU, 0
	c.newMagic()
}

func (c *lcp) newMagic() {
	for c.magic = 0; c.magic == 0; {
		c.magic = binary.BigEndian.Uint32(c.link.random(4))
	}
}

func (c *lcp) request(b []byte) []byte {
	if c.mru > 0 {
		b = appendOption(b, optMRU, byte(c.mru>>8), byte(c.mru))
	}
	if c.link.serves {
		b = appendOption(b, optAuth, authOption(c.link.methods[c.method])...)
	}
	if c.magic != 0 {
		b = appendOption(b, optMagic, binary.BigEndian.AppendUint32(nil, c.magic)...)
	}
	return b
}

// authOption is the value of the authentication option (RFC 1661 section 6.2,
// RFC 1994 section 3, RFC 2759 section 3).
func authOption(m Method) []byte {
	switch m {
	case MSCHAPv2:
		return []byte{0xc2, 0x23, 0x81}
	case CHAPMD5:
		return []byte{0xc2, 0x23, 0x05}
	case EAPMSCHAPv2:
		return []byte{0xc2, 0x27}
	}
	return []byte{0xc0, 0x23}
}

// review: ACCM means nothing over L2TP and is taken. Callback, multilink,
// endpoint discriminators and the like, which Windows proposes, are refused.
func (c *lcp) review(opts []byte, rejects bool) (byte, []byte) {
	a, loops := answer{rejects: rejects}, c.loops
	c.peer.mru, c.peer.magic, c.peer.pfc, c.peer.acfc, c.peer.auth = defaultMRU, 0, false, false, false
	each(opts, func(kind byte, v, whole []byte) {
		switch {
		case kind == optMRU && len(v) == 2:
			c.peer.mru = int(binary.BigEndian.Uint16(v))
			if c.peer.mru < leastMRU {
				a.nak(whole, optMRU, 0, leastMRU)
			}
		case kind == optACCM && len(v) == 4:
		case kind == optPFC && len(v) == 0:
			c.peer.pfc = true
		case kind == optACFC && len(v) == 0:
			c.peer.acfc = true
		case kind == optMagic && len(v) == 4:
			c.reviewMagic(&a, v, whole)
		case kind == optAuth && c.link.client != nil:
			c.reviewAuth(&a, v, whole)
		default:
			a.reject(whole)
		}
	})
	if c.loops > loops { // nothing else matters then
		a.refuse = nil
	}
	return a.result()
}

// reviewMagic is RFC 1661 section 6.4: the same number as ours may mean that
// we hear ourselves.
func (c *lcp) reviewMagic(a *answer, v, whole []byte) {
	c.peer.magic = binary.BigEndian.Uint32(v)
	if c.peer.magic != 0 && c.peer.magic != c.magic {
		c.loops = 0
		return
	}
	if c.peer.magic != 0 {
		if c.loops++; c.loops > maxLoops {
			c.link.end(Looped, "")
		}
	}
	a.nak(whole, optMagic, c.link.random(4)...)
}

// reviewAuth is what a client thinks of the way that the server wants.
func (c *lcp) reviewAuth(a *answer, v, whole []byte) {
	for _, m := range c.link.methods {
		if slices.Equal(v, authOption(m)) {
			c.peer.auth, c.peer.method = true, m
			return
		}
	}
	if a.rejects {
		c.link.end(NoAuthMethod, fmt.Sprintf("the server wants % x", v))
	}
	a.nak(whole, optAuth, authOption(c.link.methods[0])...)
}

func (c *lcp) changed(opts []byte, rejected bool) bool {
	ok := true
	each(opts, func(kind byte, v, _ []byte) {
		switch {
		case kind == optMRU && rejected:
			c.mru = 0
		case kind == optMRU && len(v) == 2:
			if n := int(binary.BigEndian.Uint16(v)); n >= leastMRU && n <= defaultMRU {
				c.mru = n
			}
		case kind == optMagic && rejected:
			c.magic = 0
		case kind == optMagic && c.magic != 0:
			c.newMagic()
		case kind == optAuth && c.link.serves:
			ok = c.otherMethod(v, rejected)
		}
	})
	return ok
}

// otherMethod looks for another way to authenticate after the peer did not
// want the last: the one it proposes where that is allowed, else the next one.
// A method is never asked for again, so this ends.
func (c *lcp) otherMethod(v []byte, rejected bool) bool {
	c.link.methods = slices.Clone(c.link.methods)
	rest := c.link.methods[c.method+1:]
	for i, m := range rest {
		if !rejected && slices.Equal(v, authOption(m)) {
			rest[0], rest[i] = rest[i], rest[0]
			break
		}
	}
	if len(rest) == 0 {
		c.link.end(NoAuthMethod, fmt.Sprintf("the peer refuses %v", c.link.methods))
		return false
	}
	c.method++
	return true
}

func (c *lcp) up() { c.link.established() }

func (c *lcp) down() {
	c.link.torn()
	c.reset()
}

func (c *lcp) finished(timeout bool) {
	if timeout {
		c.link.blame(NoAnswer, "")
	}
	c.link.over()
}

func (c *lcp) params() Params {
	return Params{MTU: min(c.peer.mru, defaultMRU), PFC: c.peer.pfc, ACFC: c.peer.acfc}
}

// receive takes the packets that only LCP has, and leaves the others to the
// automaton.
func (c *lcp) receive(code, id byte, data, packet []byte) {
	switch code {
	case codeProtoRej:
		if c.state == opened && len(data) >= 2 {
			c.link.rejected(binary.BigEndian.Uint16(data))
		}
	case codeEchoReq:
		c.reqID, c.reqData = id, data
		c.trigger(evRXR)
	case codeEchoReply:
		if c.state == opened {
			c.link.missed = 0
		}
	case codeDiscard, codeIdentification, codeTimeRemaining: // RFC 1570: nothing to answer
	case codeTermReq:
		c.link.blame(PeerClosed, said(data))
		open := c.state == opened
		c.automaton.receive(code, id, data, packet)
		if !open && c.state >= reqSent { // it gave up while negotiating: do not ask it again
			c.link.end(PeerClosed, "")
		}
	default:
		c.automaton.receive(code, id, data, packet)
	}
}

// echoed answers an Echo-Request: our magic number, then what was sent
// (RFC 1661 section 5.8).
func (c *lcp) echoed(id byte, data []byte) {
	if len(data) < 4 {
		c.link.stats.Malformed++
		return
	}
	reply := binary.BigEndian.AppendUint32(make([]byte, 0, len(data)), c.magic)
	c.link.send(ProtoLCP, codeEchoReply, id, append(reply, data[4:]...))
}

// said makes text of the data of a Terminate-Request. Windows puts its magic
// number there, four bytes of its own and an error number.
func said(data []byte) string {
	if len(data) == 12 && binary.BigEndian.Uint32(data[4:]) == 0x003ccd74 {
		if e := binary.BigEndian.Uint32(data[8:]); e != 0 {
			return fmt.Sprintf("windows error %d", e)
		}
		return ""
	}
	return printable(data)
}

// printable keeps at most 64 bytes of text of a peer, for a log line; what is
// no printable text is nothing.
func printable(data []byte) string {
	if !utf8.Valid(data) {
		return ""
	}
	end := 0
	for i, r := range string(data) {
		n := i + utf8.RuneLen(r)
		if !unicode.IsPrint(r) {
			return ""
		}
		if n > 64 {
			break
		}
		end = n
	}
	return string(data[:end])
}
