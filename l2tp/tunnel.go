package l2tp

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"time"
)

// state of a control connection (section 7.2).
type state uint8

const (
	idle        state = iota
	waitReply         // LAC: SCCRQ sent, SCCRP awaited
	waitConnect       // LNS: SCCRP sent, SCCCN awaited
	established
	stopping // StopCCN sent, its acknowledgement awaited
	gone
)

// setupLimit is how long a control connection may take to come up.
const setupLimit = 30 * time.Second

// sameRequest is how long an identical SCCRQ is a duplicate of an answered one
// rather than a client that began anew.
const sameRequest = 3 * time.Second

// tunnel is one control connection.
type tunnel struct {
	e         *Endpoint
	id        uint16
	state     state
	ch        channel
	host      string
	vendor    string
	challenge []byte // ours, when the tunnel is authenticated
	answer    []byte // to the peer's challenge
	sessions  []*ctlSession
	firstBody []byte // of the SCCRQ that began it, as long as it may come again
	firstAt   time.Time
	began     time.Time
	helloAt   time.Time
}

// ctlSession is one call, as the control connection knows it.
type ctlSession struct {
	id, peer   uint16
	up         bool
	calling    string
	sequencing bool
	began      time.Time
}

// repeats tells that an SCCRQ is the one that began this tunnel, sent again.
func (t *tunnel) repeats(now time.Time, h Header, body []byte) bool {
	return h.Ns == 0 && bytes.Equal(body, t.firstBody) &&
		(t.state == waitConnect || now.Sub(t.firstAt) < sameRequest)
}

// hello builds SCCRQ or SCCRP, which say who we are.
func (t *tunnel) hello(kind MessageType) avps {
	b := newMessage(kind).
		bytes(avpProtocolVersion, []byte{1, 0}).
		uint32(avpFramingCaps, 3).
		uint32(avpBearerCaps, 3).
		optional(avpFirmwareRevision, []byte{1, 0}).
		bytes(avpHostName, []byte(t.e.cfg.HostName)).
		optional(avpVendorName, []byte("vhub")).
		uint16(avpAssignedTunnel, t.id).
		uint16(avpReceiveWindow, ourWindow)
	if len(t.answer) > 0 {
		b = b.bytes(avpChallengeResponse, t.answer)
	}
	if len(t.e.cfg.Secret) > 0 {
		t.challenge = make([]byte, 16)
		if _, err := io.ReadFull(t.e.cfg.Rand, t.challenge); err == nil {
			b = b.bytes(avpChallenge, t.challenge)
		}
	}
	return b
}

// receive takes a control message of this tunnel.
func (t *tunnel) receive(now time.Time, h Header, body []byte, out *Out) {
	if t.began.IsZero() {
		t.began = now
	}
	t.ch.acknowledge(now, seq(h.Nr))
	if len(body) > 0 { // else it is a pure acknowledgement
		for _, b := range t.ch.arrive(seq(h.Ns), body) {
			if t.state == gone {
				break
			}
			t.message(now, h.Session, b, out)
		}
	}
	if t.state == stopping && t.ch.idle() {
		t.close("", false, out)
	}
	t.ch.flush(now, out)
	t.helloAt = t.e.helloTime(now)
	if t.state == established && now.Sub(t.firstAt) >= sameRequest {
		t.firstBody = nil
	}
}

// session is the one with this id of ours, or nil.
func (t *tunnel) session(id uint16) *ctlSession {
	for _, s := range t.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

// helloSlack is how much later than it is due a hello may come: those of many
// peers then go together, and the processor sleeps in between.
const helloSlack = 250 * time.Millisecond

// helloTime is when a peer that was heard at a time is asked.
func (e *Endpoint) helloTime(heard time.Time) time.Time {
	at := heard.Add(e.cfg.HelloEvery + helloSlack)
	return at.Add(-time.Duration(at.UnixNano() % int64(helloSlack))) // Truncate would lose the monotonic clock
}

// message acts on one message whose turn it is.
func (t *tunnel) message(now time.Time, sess uint16, body []byte, out *Out) {
	m, err := parseMessage(body, t.e.cfg.Secret)
	if err != nil {
		t.e.Counters.Malformed++
		t.broken(now, m, sess, err, out)
		return
	}
	if t.state == stopping && m.Type != StopCCN {
		return
	}
	switch m.Type {
	case SCCRQ, SCCRP, SCCCN, StopCCN, Hello:
		t.control(now, m, out)
	case ICRQ, ICRP, ICCN, CDN, WEN, SLI, OCRQ, OCRP, OCCN:
		t.call(now, sess, m, out)
	default:
		// Section 4.4.1: an unknown type with the M bit ends the tunnel, without it it is ignored.
		if m.mandatory {
			t.fail(now, 2, 8, "unknown mandatory "+m.Type.String(), out)
		}
	}
}

// broken answers a message that cannot be read: it ends the session where it
// was about one (section 4.1), else the tunnel.
func (t *tunnel) broken(now time.Time, m *message, sess uint16, err error, out *Out) {
	code := uint16(2) // general error: "length is wrong", else
	errorCode := uint16(2)
	if errors.Is(err, ErrMandatoryAVP) || errors.Is(err, ErrHiddenAVP) {
		errorCode = 8
	}
	if m.Type == ICRQ {
		if peer, ok := m.uint16(avpAssignedSession); ok {
			t.ch.send(peer, newMessage(CDN).result(code, errorCode, err.Error()).uint16(avpAssignedSession, 0))
			return
		}
	}
	if s := t.session(sess); s != nil && sess != 0 {
		t.ch.send(s.peer, newMessage(CDN).result(code, errorCode, err.Error()).uint16(avpAssignedSession, s.id))
		t.endSession(s, err.Error(), false, out)
		return
	}
	t.fail(now, code, errorCode, err.Error(), out)
}

// control acts on the messages of the control connection (section 7.2.1).
func (t *tunnel) control(now time.Time, m *message, out *Out) {
	switch {
	case m.Type == Hello:
	case m.Type == StopCCN:
		code, errorCode, text := m.result()
		t.close(stopText(code, errorCode, text), true, out)
	case m.Type == SCCRQ && t.state == idle:
		if !t.peerHello(now, m, out) {
			return
		}
		t.state = waitConnect
		t.ch.send(0, t.hello(SCCRP))
	case m.Type == SCCRP && t.state == waitReply:
		peer, ok := m.uint16(avpAssignedTunnel)
		if !ok || peer == 0 {
			t.fail(now, 2, 2, "SCCRP without an Assigned Tunnel ID", out)
			return
		}
		t.ch.peerTunnel = peer
		if !t.peerHello(now, m, out) || !t.authentic(now, m, SCCRP, out) {
			return
		}
		b := newMessage(SCCCN)
		if len(t.answer) > 0 {
			b = b.bytes(avpChallengeResponse, t.answer)
		}
		t.ch.send(0, b)
		t.connected(out)
		t.placeCall(now)
	case m.Type == SCCCN && t.state == waitConnect:
		if t.authentic(now, m, SCCCN, out) {
			t.connected(out)
		}
	default:
		// Section 7.2.1: a message in the wrong state ends the control connection.
		t.fail(now, 2, 0, fmt.Sprintf("%v out of order", m.Type), out)
	}
}

func (t *tunnel) connected(out *Out) {
	t.state = established
	out.Events = append(out.Events, t.event(TunnelUp, nil))
}

// peerHello reads what the peer says of itself.
func (t *tunnel) peerHello(now time.Time, m *message, out *Out) bool {
	if v := m.values[avpProtocolVersion]; len(v) != 2 || v[0] != 1 {
		t.fail(now, 5, 0x0100, "protocol version 1.0 is wanted", out)
		return false
	}
	t.host, t.vendor = m.text(avpHostName), m.text(avpVendorName)
	if w, ok := m.uint16(avpReceiveWindow); ok && w > 0 {
		t.ch.peerWindow = int(min(w, 64))
	}
	if c := m.values[avpChallenge]; len(c) > 0 {
		if len(t.e.cfg.Secret) == 0 {
			t.fail(now, 4, 0, "the peer wants a tunnel secret and none is set here", out)
			return false
		}
		reply := SCCRP
		if m.Type == SCCRP {
			reply = SCCCN
		}
		t.answer = challengeResponse(reply, t.e.cfg.Secret, c)
	}
	return true
}

// authentic checks the answer to our challenge, when there was one.
func (t *tunnel) authentic(now time.Time, m *message, kind MessageType, out *Out) bool {
	if t.challenge == nil {
		return true
	}
	want := challengeResponse(kind, t.e.cfg.Secret, t.challenge)
	if hmac.Equal(want, m.values[avpChallengeResponse]) {
		return true
	}
	t.fail(now, 4, 0, "wrong tunnel secret", out)
	return false
}

// challengeResponse is section 4.4.3: MD5 over the type of the message that
// carries it, the secret and the challenge.
func challengeResponse(kind MessageType, secret, challenge []byte) []byte {
	h := md5.New()
	h.Write([]byte{byte(kind)})
	h.Write(secret)
	h.Write(challenge)
	return h.Sum(nil)
}

// stop queues a StopCCN.
func (t *tunnel) stop(now time.Time, code, errorCode uint16, text string, out *Out) {
	t.ch.send(0, newMessage(StopCCN).uint16(avpAssignedTunnel, t.id).result(code, errorCode, text))
	t.ch.cwnd = max(t.ch.cwnd, len(t.ch.queue)) // it does not wait for a window
	t.ch.flush(now, out)
}

// fail ends the tunnel from our side and waits for the acknowledgement.
func (t *tunnel) fail(now time.Time, code, errorCode uint16, text string, out *Out) {
	t.e.Counters.Refused++
	t.endAll(text, false, out)
	t.down(text, false, out)
	t.state = stopping
	t.stop(now, code, errorCode, text, out)
}

// close ends the tunnel without another word, but an acknowledgement.
func (t *tunnel) close(text string, byPeer bool, out *Out) {
	t.endAll(text, byPeer, out)
	if t.state != stopping {
		t.down(text, byPeer, out)
	}
	t.state = gone
}

func (t *tunnel) down(text string, byPeer bool, out *Out) {
	ev := t.event(TunnelDown, nil)
	ev.Reason, ev.ByPeer = text, byPeer
	out.Events = append(out.Events, ev)
}

func (t *tunnel) endAll(text string, byPeer bool, out *Out) {
	for _, s := range t.ordered() {
		t.endSession(s, text, byPeer, out)
	}
}

func (t *tunnel) event(kind EventKind, s *ctlSession) Event {
	ev := Event{Kind: kind, Tunnel: t.id, PeerTunnel: t.ch.peerTunnel, PeerHost: t.host, PeerVendor: t.vendor}
	if s != nil {
		ev.Session, ev.PeerSess, ev.CallingNumber, ev.Sequencing = s.id, s.peer, s.calling, s.sequencing
	}
	return ev
}

// advance does what is due.
func (t *tunnel) advance(now time.Time, out *Out) {
	if t.began.IsZero() {
		t.began = now
	}
	if !t.ch.resend(now, out) {
		t.close("the peer does not answer", false, out)
		return
	}
	if t.state != established && !now.Before(t.began.Add(setupLimit)) {
		t.close("the tunnel did not come up", false, out)
		return
	}
	for _, s := range t.ordered() {
		if !s.up && !now.Before(s.began.Add(setupLimit)) {
			t.ch.send(s.peer, newMessage(CDN).result(10, 0, "no answer").uint16(avpAssignedSession, s.id))
			t.endSession(s, "the session did not come up", false, out)
		}
	}
	// Section 6.5: a hello only when nothing else is on its way.
	if t.state == established && !t.helloAt.IsZero() && !now.Before(t.helloAt) {
		t.helloAt = t.e.helloTime(now)
		if t.ch.idle() {
			t.ch.send(0, newMessage(Hello))
		}
	}
	t.ch.flush(now, out)
}

func (t *tunnel) deadline() time.Time {
	next := t.ch.deadline()
	sooner := func(x time.Time) {
		if !x.IsZero() && (next.IsZero() || x.Before(next)) {
			next = x
		}
	}
	if t.state == established {
		sooner(t.helloAt)
	} else if !t.began.IsZero() {
		sooner(t.began.Add(setupLimit))
	}
	for _, s := range t.sessions {
		if !s.up {
			sooner(s.began.Add(setupLimit))
		}
	}
	return next
}

// Traffic tells the endpoint when something last came from the peer by this
// tunnel: no hello is needed before it has been silent for HelloEvery.
func (e *Endpoint) Traffic(heard time.Time, tunnel uint16) {
	if t := e.tunnel(tunnel); t != nil && !t.helloAt.IsZero() {
		t.helloAt = maxTime(t.helloAt, e.helloTime(heard))
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

var stopReasons = map[uint16]string{1: "request to clear the tunnel", 2: "general error", 3: "the tunnel exists already",
	4: "not authorised", 5: "protocol version", 6: "shutting down", 7: "state machine error"}

func stopText(code, errorCode uint16, text string) string {
	s := stopReasons[code]
	if s == "" {
		s = fmt.Sprintf("result code %d", code)
	}
	if errorCode != 0 {
		s += fmt.Sprintf(", error code %d", errorCode)
	}
	if text != "" {
		s += ": " + text
	}
	return "the peer closed the tunnel: " + s
}
