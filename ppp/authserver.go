package ppp

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// authenticator is the authentication of one end of a link.
type authenticator interface {
	protocol() uint16
	start()
	receive(code, id byte, data []byte)
	timeout()
	deadline() time.Time
	networkHeard() // a packet of a network protocol came while it is not over
}

// Codes of CHAP (RFC 1994 section 4), PAP (RFC 1334 section 2.2) and EAP
// (RFC 3748 section 4).
const (
	chapChallenge, chapResponse, chapSuccess, chapFailure = 1, 2, 3, 4
	papRequest, papAck, papNak                            = 1, 2, 3
	eapRequest, eapResponse, eapSuccess, eapFailure       = 1, 2, 3, 4
)

// EAP types, and operations of EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2 section 2).
const (
	eapIdentity, eapNotification, eapNak, eapMSCHAPv2 = 1, 2, 3, 26

	msChallenge, msResponse, msSuccess, msFailure = 1, 2, 3, 4
)

// What a peer is told. It is the same for an unknown user, a wrong password
// and a locked account.
const (
	textWelcome = "Welcome"
	textDenied  = "Access denied"
)

const (
	maxName     = 256 // bytes of a user name
	maxPassword = 256 // bytes of a PAP password
)

type authStep uint8

const (
	stepWaiting  authStep = iota // for the peer's credentials
	stepIdentity                 // EAP: for its identity
	stepChecking                 // EventAuth is out
	stepVerdict                  // EAP: for the peer's answer to the verdict
	stepDone
)

// authServer demands authentication by one method.
type authServer struct {
	link   *Link
	method Method
	step   authStep
	ok     bool // the verdict

	challenge []byte
	user      string

	// The packet sent last, repeated until it is answered.
	code, id byte
	data     []byte
	tries    int
	at       time.Time
}

func newAuthServer(l *Link, m Method) *authServer { return &authServer{link: l, method: m} }

func (a *authServer) protocol() uint16 { return protocolOf(a.method) }

func protocolOf(m Method) uint16 {
	switch m {
	case MSCHAPv2, CHAPMD5:
		return ProtoCHAP
	case EAPMSCHAPv2:
		return ProtoEAP
	}
	return ProtoPAP
}

func (a *authServer) deadline() time.Time { return a.at }
func (a *authServer) networkHeard()       {}

func (a *authServer) start() {
	if a.method != PAP {
		a.challenge = a.link.random(challengeLen)
		a.id = a.link.random(1)[0]
	}
	switch a.method {
	case MSCHAPv2, CHAPMD5:
		data := append([]byte{challengeLen}, a.challenge...)
		a.ask(chapChallenge, append(data, a.link.name...))
	case EAPMSCHAPv2:
		a.step = stepIdentity
		a.ask(eapRequest, []byte{eapIdentity})
	}
}

// ask sends a packet that the peer must answer.
func (a *authServer) ask(code byte, data []byte) {
	a.id++
	a.code, a.data, a.tries = code, data, 0
	a.repeat()
}

func (a *authServer) repeat() {
	a.tries++
	a.at = a.link.now.Add(a.link.cfg.Restart * time.Duration(min(a.tries, 3)))
	a.link.send(a.protocol(), a.code, a.id, a.data)
}

// tell sends a packet that nobody answers.
func (a *authServer) tell(code byte, data []byte) {
	a.code, a.data, a.at = code, data, time.Time{}
	a.link.send(a.protocol(), code, a.id, data)
}

func (a *authServer) timeout() {
	if a.tries >= maxConfigure || a.step == stepVerdict && !a.ok && a.tries >= maxTerminate {
		a.at = time.Time{}
		if a.step == stepVerdict && !a.ok {
			a.link.end(AuthFailed, printable([]byte(a.user)))
			return
		}
		a.link.end(NoAnswer, "no answer to "+a.method.String())
		return
	}
	a.repeat()
}

func (a *authServer) receive(code, id byte, data []byte) {
	switch a.method {
	case PAP:
		a.receivePAP(code, id, data)
	case EAPMSCHAPv2:
		a.receiveEAP(code, id, data)
	default:
		a.receiveCHAP(code, id, data)
	}
}

func (a *authServer) receiveCHAP(code, id byte, data []byte) {
	switch {
	case code != chapResponse || id != a.id || a.step == stepChecking:
		a.link.stats.Unexpected++
	case a.step == stepDone: // the verdict was lost (RFC 1994 section 4.2)
		a.tell(a.code, a.data)
	default:
		response, name, ok := valueAndName(data)
		if want := map[Method]int{MSCHAPv2: responseLen, CHAPMD5: 16}[a.method]; !ok || len(response) != want {
			a.link.stats.Malformed++
			return
		}
		a.check(name, Credentials{ID: id, Challenge: a.challenge, Response: response})
	}
}

// valueAndName takes apart "size, value, name".
func valueAndName(data []byte) (value []byte, name string, ok bool) {
	if len(data) < 1 || len(data) < 1+int(data[0]) {
		return nil, "", false
	}
	n := 1 + int(data[0])
	if len(data)-n > maxName {
		return nil, "", false
	}
	return slices.Clone(data[1:n]), string(data[n:]), true
}

// receivePAP takes "length, name, length, password" (RFC 1334 section 2.2.1).
func (a *authServer) receivePAP(code, id byte, data []byte) {
	switch {
	case code != papRequest || a.step == stepChecking:
		a.link.stats.Unexpected++
		return
	case a.step == stepDone: // the verdict was lost (RFC 1334 section 2.2.1)
		a.id = id
		a.tell(a.code, a.data)
		return
	}
	name, rest, ok := lengthAndText(data)
	password, _, ok2 := lengthAndText(rest)
	if !ok || !ok2 || len(name) > maxName || len(password) > maxPassword {
		a.link.stats.Malformed++
		return
	}
	a.id = id
	a.check(string(name), Credentials{Password: slices.Clone(password)})
}

func lengthAndText(data []byte) (text, rest []byte, ok bool) {
	if len(data) < 1 || len(data) < 1+int(data[0]) {
		return nil, nil, false
	}
	n := 1 + int(data[0])
	return data[1:n], data[n:], true
}

func (a *authServer) receiveEAP(code, id byte, data []byte) {
	if code != eapResponse || id != a.id || len(data) < 1 || a.step == stepChecking {
		a.link.stats.Unexpected++
		return
	}
	kind, body := data[0], data[1:]
	switch {
	case a.step == stepDone: // the verdict was lost
		a.tell(a.code, a.data)
	case kind == eapNak && a.step != stepVerdict:
		a.tell(eapFailure, nil)
		a.link.end(NoAuthMethod, "the peer refuses eap-mschapv2")
	case kind == eapIdentity && a.step == stepIdentity:
		a.step = stepWaiting
		value := append([]byte{challengeLen}, a.challenge...)
		a.ask(eapRequest, msPacket(msChallenge, a.id+1, append(value, a.link.name...)))
	case kind == eapMSCHAPv2 && a.step == stepWaiting:
		a.eapCredentials(body)
	case kind == eapMSCHAPv2 && a.step == stepVerdict && len(body) >= 1:
		a.eapVerdict(body[0])
	default:
		a.link.stats.Unexpected++
	}
}

// msPacket is the type byte and body of EAP-MSCHAPv2: operation, identifier,
// length from the operation on, data.
func msPacket(op, id byte, data []byte) []byte {
	n := 4 + len(data)
	return append([]byte{eapMSCHAPv2, op, id, byte(n >> 8), byte(n)}, data...)
}

func (a *authServer) eapCredentials(body []byte) {
	if len(body) < 4 || body[0] != msResponse {
		a.link.stats.Malformed++
		return
	}
	response, name, ok := valueAndName(body[4:])
	if !ok || len(response) != responseLen {
		a.link.stats.Malformed++
		return
	}
	a.check(name, Credentials{ID: body[1], Challenge: a.challenge, Response: response})
}

// eapVerdict: the peer has heard the verdict, and says what it thinks of it.
func (a *authServer) eapVerdict(op byte) {
	switch {
	case a.ok && op == msSuccess:
		a.step = stepDone
		a.tell(eapSuccess, nil)
		a.link.admitted(a.user)
	case !a.ok && op == msFailure:
		a.step = stepDone
		a.tell(eapFailure, nil)
		a.link.end(AuthFailed, printable([]byte(a.user)))
	case a.ok && op == msFailure: // it doubts us
		a.step = stepDone
		a.tell(eapFailure, nil)
		a.link.end(AuthFailed, "the peer does not accept this server's proof")
	default:
		a.link.stats.Unexpected++
	}
}

// check gives the credentials to the caller.
func (a *authServer) check(user string, c Credentials) {
	a.step, a.at, a.user = stepChecking, time.Time{}, user
	c.Method, c.User = a.method, user
	a.link.seq++
	a.link.event(EventAuth{Seq: a.link.seq, Credentials: c})
}

// verdict tells the peer whether it is let in.
func (a *authServer) verdict(r Result) {
	if a.step != stepChecking {
		return
	}
	ms := a.method == MSCHAPv2 || a.method == EAPMSCHAPv2
	if ms && r.OK && len(r.Authenticator) != 42 {
		r.OK = false // the peer would not believe it
	}
	a.ok = r.OK
	text := textDenied
	switch {
	case ms && r.OK:
		text = r.Authenticator + " M=" + textWelcome
	case ms: // RFC 2759 section 6: 691 is "authentication failure"; no retry
		text = "E=691 R=0 C=" + strings.ToUpper(hex.EncodeToString(a.link.random(challengeLen))) + " V=3 M=" + textDenied
	case r.OK:
		text = textWelcome
	}
	if a.method == EAPMSCHAPv2 {
		op := byte(msFailure)
		if r.OK {
			op = msSuccess
		}
		a.step = stepVerdict
		a.ask(eapRequest, msPacket(op, a.id, []byte(text)))
		return
	}
	a.step = stepDone
	code, data := byte(chapFailure), []byte(text)
	switch {
	case a.method == PAP && r.OK:
		code, data = papAck, append([]byte{byte(len(text))}, text...)
	case a.method == PAP:
		code, data = papNak, append([]byte{byte(len(text))}, text...)
	case r.OK:
		code = chapSuccess
	}
	a.tell(code, data)
	if r.OK {
		a.link.admitted(a.user)
		return
	}
	a.link.end(AuthFailed, printable([]byte(a.user)))
}
