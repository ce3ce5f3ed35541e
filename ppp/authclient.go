package ppp

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// authClient authenticates this end by one method.
type authClient struct {
	link   *Link
	method Method
	expect string // MS-CHAPv2: the server's proof
	proven bool   // EAP: the server gave it

	// The packet sent last. PAP requests and CHAP responses are repeated until
	// there is a verdict; in EAP the server repeats.
	code, id  byte
	data      []byte
	challenge []byte // CHAP: that the response answers
	tries     int
	at        time.Time
}

func newAuthClient(l *Link, m Method) *authClient { return &authClient{link: l, method: m} }

func (a *authClient) protocol() uint16    { return protocolOf(a.method) }
func (a *authClient) deadline() time.Time { return a.at }

func (a *authClient) start() {
	if a.method == PAP {
		c := a.link.client
		data := append([]byte{byte(len(c.User))}, c.User...)
		data = append(append(data, byte(len(c.Password))), c.Password...)
		a.reply(papRequest, 1, data)
		a.wait()
	}
}

func (a *authClient) reply(code, id byte, data []byte) {
	a.code, a.id, a.data = code, id, data
	a.link.send(a.protocol(), code, id, data)
}

func (a *authClient) wait() {
	a.tries++
	a.at = a.link.now.Add(a.link.cfg.Restart * time.Duration(min(a.tries, 3)))
}

func (a *authClient) timeout() {
	if a.tries >= maxConfigure {
		a.at = time.Time{}
		a.link.end(NoAnswer, "no answer to "+a.method.String())
		return
	}
	a.reply(a.code, a.id, a.data)
	a.wait()
}

// networkHeard: the server opens network protocols, so it has let this end in
// although its EAP-Success was lost (RFC 3748 section 4.2).
func (a *authClient) networkHeard() {
	if a.method == EAPMSCHAPv2 && a.proven {
		a.link.admitted(a.link.client.User)
	}
}

func (a *authClient) receive(code, id byte, data []byte) {
	if a.link.phase != phaseAuthenticate {
		a.link.stats.Unexpected++
		return
	}
	switch {
	case a.method == EAPMSCHAPv2:
		a.receiveEAP(code, id, data)
	case a.method == PAP && code == papAck:
		a.done("")
	case a.method == PAP && code == papNak:
		text, _, _ := lengthAndText(data)
		a.refused(text)
	case a.method == PAP:
		a.link.stats.Unexpected++
	case code == chapChallenge:
		a.answerCHAP(id, data)
	case code == chapSuccess && id == a.id && a.data != nil:
		a.done(string(data))
	case code == chapFailure && id == a.id && a.data != nil:
		a.refused(data)
	default:
		a.link.stats.Unexpected++
	}
}

func (a *authClient) answerCHAP(id byte, data []byte) {
	challenge, _, ok := valueAndName(data)
	if !ok || len(challenge) == 0 || a.method == MSCHAPv2 && len(challenge) != challengeLen {
		a.link.stats.Malformed++
		return
	}
	if a.data != nil && id == a.id && bytes.Equal(challenge, a.challenge) { // repeated: so is the answer
		a.reply(a.code, a.id, a.data)
		return
	}
	c := a.link.client
	var response []byte
	if a.method == CHAPMD5 {
		response = md5Response(id, c.Password, challenge)
	} else {
		response, a.expect = respond(c.User, c.Password, challenge, a.link.random(challengeLen))
	}
	a.challenge, a.tries = challenge, 0
	a.reply(chapResponse, id, append(append([]byte{byte(len(response))}, response...), c.User...))
	a.wait()
}

// done: the server lets this end in, if it proves itself.
func (a *authClient) done(message string) {
	if a.method == MSCHAPv2 && !a.believes(message) {
		a.link.end(ServerNotTrue, "")
		return
	}
	a.at = time.Time{}
	a.link.admitted(a.link.client.User)
}

// believes checks the proof "S=..." at the head of a message.
func (a *authClient) believes(message string) bool {
	proof, _, _ := strings.Cut(message, " ")
	return a.expect != "" && strings.EqualFold(proof, a.expect)
}

func (a *authClient) refused(text []byte) {
	a.at = time.Time{}
	a.link.end(AuthFailed, printable(text))
}

func (a *authClient) receiveEAP(code, id byte, data []byte) {
	switch {
	case code == eapSuccess && a.proven:
		a.link.admitted(a.link.client.User)
	case code == eapFailure:
		a.refused(nil)
	case code != eapRequest || len(data) < 1:
		a.link.stats.Unexpected++
	case a.data != nil && id == a.id: // repeated
		a.reply(a.code, a.id, a.data)
	case data[0] == eapIdentity:
		a.reply(eapResponse, id, append([]byte{eapIdentity}, a.link.client.User...))
	case data[0] == eapNotification:
		a.reply(eapResponse, id, []byte{eapNotification})
	case data[0] == eapMSCHAPv2 && len(data) >= 5:
		a.receiveMS(id, data[1], data[2], data[5:])
	default:
		a.reply(eapResponse, id, []byte{eapNak, eapMSCHAPv2})
	}
}

func (a *authClient) receiveMS(id, op, msID byte, data []byte) {
	switch op {
	case msChallenge:
		challenge, _, ok := valueAndName(data)
		if !ok || len(challenge) != challengeLen {
			a.link.stats.Malformed++
			return
		}
		c := a.link.client
		response, expect := respond(c.User, c.Password, challenge, a.link.random(challengeLen))
		a.expect = expect
		value := append([]byte{responseLen}, response...)
		a.reply(eapResponse, id, msPacket(msResponse, msID, append(value, c.User...)))
	case msSuccess:
		if !a.believes(string(data)) {
			a.reply(eapResponse, id, []byte{eapMSCHAPv2, msFailure})
			a.link.end(ServerNotTrue, "")
			return
		}
		a.proven = true
		a.reply(eapResponse, id, []byte{eapMSCHAPv2, msSuccess})
	case msFailure:
		a.link.blame(AuthFailed, printable(slices.Clone(data)))
		a.reply(eapResponse, id, []byte{eapMSCHAPv2, msFailure})
	default:
		a.link.stats.Unexpected++
	}
}
