package ppp

import (
	"bytes"
	"time"
)

// state is a state of the automaton, in the order of RFC 1661 section 4.1.
type state uint8

const (
	initial state = iota
	starting
	closed
	stopped
	closing
	stopping
	reqSent
	ackRcvd
	ackSent
	opened
	numStates
)

// trigger is an event of the automaton, in the order of RFC 1661 section 4.1.
type trigger uint8

const (
	evUp trigger = iota
	evDown
	evOpen
	evClose
	evTOPlus   // timeout, counter above zero
	evTOMinus  // timeout, counter expired
	evRCRPlus  // Configure-Request, good
	evRCRMinus // Configure-Request, bad
	evRCA      // Configure-Ack
	evRCN      // Configure-Nak or Configure-Reject
	evRTR      // Terminate-Request
	evRTA      // Terminate-Ack
	evRUC      // unknown code
	evRXJPlus  // Code-Reject or Protocol-Reject that does not matter
	evRXJMinus // one that does
	evRXR      // Echo-Request, Echo-Reply, Discard-Request
	numTriggers
)

// action is a set of actions. They are done in the order of these constants,
// which is the order of every cell of the table that has several.
type action uint16

const (
	tld action = 1 << iota // this layer down
	irc                    // initialise restart counter
	zrc                    // zero restart counter
	scr                    // send Configure-Request
	sca                    // send Configure-Ack
	scn                    // send Configure-Nak or Configure-Reject
	str                    // send Terminate-Request
	sta                    // send Terminate-Ack
	scj                    // send Code-Reject
	ser                    // send Echo-Reply
	tls                    // this layer started
	tlf                    // this layer finished
	tlu                    // this layer up
)

// cell is one cell of the table. Where the RFC has "-", the event can not
// happen or is ignored: the state stays.
type cell struct {
	do   action
	next state
}

// table is the state transition table of RFC 1661 section 4.1. The restart
// option "r" and the passive option "p" are not used.
var table = [numTriggers][numStates]cell{
	//           Initial         Starting              Closed                Stopped                     Closing               Stopping              Req-Sent              Ack-Rcvd              Ack-Sent              Opened
	evUp:       {{0, closed}, {irc | scr, reqSent}, {0, closed}, {0, stopped}, {0, closing}, {0, stopping}, {0, reqSent}, {0, ackRcvd}, {0, ackSent}, {0, opened}},
	evDown:     {{0, initial}, {0, starting}, {0, initial}, {tls, starting}, {0, initial}, {0, starting}, {0, starting}, {0, starting}, {0, starting}, {tld, starting}},
	evOpen:     {{tls, starting}, {0, starting}, {irc | scr, reqSent}, {0, stopped}, {0, stopping}, {0, stopping}, {0, reqSent}, {0, ackRcvd}, {0, ackSent}, {0, opened}},
	evClose:    {{0, initial}, {tlf, initial}, {0, closed}, {0, closed}, {0, closing}, {0, closing}, {irc | str, closing}, {irc | str, closing}, {irc | str, closing}, {tld | irc | str, closing}},
	evTOPlus:   {{0, initial}, {0, starting}, {0, closed}, {0, stopped}, {str, closing}, {str, stopping}, {scr, reqSent}, {scr, reqSent}, {scr, ackSent}, {0, opened}},
	evTOMinus:  {{0, initial}, {0, starting}, {0, closed}, {0, stopped}, {tlf, closed}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {0, opened}},
	evRCRPlus:  {{0, initial}, {0, starting}, {sta, closed}, {irc | scr | sca, ackSent}, {0, closing}, {0, stopping}, {sca, ackSent}, {sca | tlu, opened}, {sca, ackSent}, {tld | scr | sca, ackSent}},
	evRCRMinus: {{0, initial}, {0, starting}, {sta, closed}, {irc | scr | scn, reqSent}, {0, closing}, {0, stopping}, {scn, reqSent}, {scn, ackRcvd}, {scn, reqSent}, {tld | scr | scn, reqSent}},
	evRCA:      {{0, initial}, {0, starting}, {sta, closed}, {sta, stopped}, {0, closing}, {0, stopping}, {irc, ackRcvd}, {scr, reqSent}, {irc | tlu, opened}, {tld | scr, reqSent}},
	evRCN:      {{0, initial}, {0, starting}, {sta, closed}, {sta, stopped}, {0, closing}, {0, stopping}, {irc | scr, reqSent}, {scr, reqSent}, {irc | scr, ackSent}, {tld | scr, reqSent}},
	evRTR:      {{0, initial}, {0, starting}, {sta, closed}, {sta, stopped}, {sta, closing}, {sta, stopping}, {sta, reqSent}, {sta, reqSent}, {sta, reqSent}, {tld | zrc | sta, stopping}},
	evRTA:      {{0, initial}, {0, starting}, {0, closed}, {0, stopped}, {tlf, closed}, {tlf, stopped}, {0, reqSent}, {0, reqSent}, {0, ackSent}, {tld | scr, reqSent}},
	evRUC:      {{0, initial}, {0, starting}, {scj, closed}, {scj, stopped}, {scj, closing}, {scj, stopping}, {scj, reqSent}, {scj, ackRcvd}, {scj, ackSent}, {scj, opened}},
	evRXJPlus:  {{0, initial}, {0, starting}, {0, closed}, {0, stopped}, {0, closing}, {0, stopping}, {0, reqSent}, {0, reqSent}, {0, ackSent}, {0, opened}},
	evRXJMinus: {{0, initial}, {0, starting}, {tlf, closed}, {tlf, stopped}, {tlf, closed}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {tld | irc | str, stopping}},
	evRXR:      {{0, initial}, {0, starting}, {0, closed}, {0, stopped}, {0, closing}, {0, stopping}, {0, reqSent}, {0, ackRcvd}, {0, ackSent}, {ser, opened}},
}

// Codes of LCP, IPCP and IPV6CP (RFC 1661 section 5, RFC 1570).
const (
	codeConfReq = 1 + iota
	codeConfAck
	codeConfNak
	codeConfRej
	codeTermReq
	codeTermAck
	codeCodeRej
	codeProtoRej
	codeEchoReq
	codeEchoReply
	codeDiscard
	codeIdentification
	codeTimeRemaining
)

// Limits of RFC 1661 section 4.6, and one more.
const (
	maxConfigure = 10 // Configure-Requests without an answer
	maxTerminate = 2
	maxFailure   = 5   // Configure-Naks before a Nak becomes a Reject
	maxRejected  = 512 // bytes of a packet that are sent back in a reject
	maxRounds    = 40  // Configure packets taken without opening: the two do not converge
)

// options is what LCP, IPCP and IPV6CP put into the automaton.
type options interface {
	// request appends the options of a Configure-Request.
	request(b []byte) []byte
	// review judges the peer's well-formed options: it returns codeConfAck, or
	// codeConfNak or codeConfRej and the options of that packet. rejects means
	// that no Nak may be sent any more.
	review(opts []byte, rejects bool) (code byte, reply []byte)
	// changed takes the options of a Nak or a Reject of the last request. It
	// returns false when nothing is left to propose; it has ended the link then.
	changed(opts []byte, rejected bool) bool
	up()
	down()
	finished(timeout bool)
}

// automaton is the option negotiation automaton of RFC 1661 section 4. Its
// timer is a time, at, that the link looks at.
type automaton struct {
	link  *Link
	opts  options
	proto uint16
	state state

	id      byte   // of the last Configure-Request or Terminate-Request
	serial  byte   // of the last packet that nobody answers
	sent    []byte // options of the last Configure-Request
	settled bool   // it was answered: a second answer is a duplicate
	ackedID byte   // of the peer's Configure-Request that was acknowledged last
	acked   []byte // its options
	counter int16  // restart counter
	repeats int16  // of the same request
	naks    uint16 // sent since it was last open
	rounds  uint16 // Configure packets taken since it was last open
	at      time.Time
	sentAt  time.Time // of the last Configure-Request
	hurried bool      // it was sent again because the peer began
	silent  bool      // the last timeout causes what happens
	again   bool      // a timeout does
	*hand
}

// hand is the packet in hand. A link has one for all its protocols: what one of them
// causes in the others is no answer to a packet.
type hand struct {
	reqID    byte
	reqData  []byte
	replyTo  byte   // code of the answer to a Configure-Request
	reply    []byte // its options
	rejected []byte // the packet to Code-Reject
}

// trigger looks the event up and does what the table says.
func (a *automaton) trigger(e trigger) {
	c := table[e][a.state]
	a.state = c.next
	for bit := tld; bit <= tlu; bit <<= 1 {
		if c.do&bit == 0 {
			continue
		}
		if a.do(bit); a.state != c.next {
			return // what was done has ended the link
		}
	}
	switch a.state {
	case closing, stopping, reqSent, ackRcvd, ackSent:
		if a.at.IsZero() {
			a.startTimer()
		}
	default:
		a.at = time.Time{}
	}
}

func (a *automaton) do(what action) {
	l := a.link
	switch what {
	case tld:
		a.naks, a.rounds, a.repeats, a.hurried = 0, 0, 0, false
		a.opts.down()
	case irc:
		a.counter, a.repeats = maxConfigure, 0
		if a.state == closing || a.state == stopping {
			a.counter = maxTerminate
		}
	case zrc:
		a.counter = 0
		a.startTimer()
	case scr:
		a.counter--
		if !a.again || a.settled { // a repetition keeps its identifier, so that a late answer to the first counts
			a.id++
			a.sent, a.settled = a.opts.request(a.sent[:0]), false
		}
		l.send(a.proto, codeConfReq, a.id, a.sent)
		a.sentAt = l.now
		a.startTimer()
	case sca:
		l.send(a.proto, codeConfAck, a.reqID, a.reply)
		a.ackedID, a.acked = a.reqID, append(a.acked[:0], a.reply...)
	case scn:
		l.send(a.proto, a.replyTo, a.reqID, a.reply)
	case str:
		a.counter--
		a.id++
		l.send(a.proto, codeTermReq, a.id, nil)
		a.startTimer()
	case sta:
		l.send(a.proto, codeTermAck, a.reqID, nil)
	case scj:
		l.stats.Rejected++
		a.serial++
		l.send(a.proto, codeCodeRej, a.serial, a.rejected[:min(len(a.rejected), maxRejected)])
	case ser:
		l.lcp.echoed(a.reqID, a.reqData)
	case tlf:
		a.opts.finished(a.silent)
	case tlu:
		a.naks, a.rounds = 0, 0
		a.opts.up()
	}
}

// startTimer waits for the peer, longer each time that it did not answer
// (RFC 1661 section 4.6 allows that), up to three times Restart.
func (a *automaton) startTimer() {
	a.at = a.link.now.Add(a.link.cfg.Restart * time.Duration(min(a.repeats+1, 3)))
}

// timeout is the timer.
func (a *automaton) timeout() {
	a.at = time.Time{}
	a.repeats++
	if a.counter > 0 {
		a.again = true
		a.trigger(evTOPlus)
		a.again = false
		return
	}
	a.silent = true
	a.trigger(evTOMinus)
	a.silent = false
}

// receive takes one packet: code, identifier and what follows the length.
func (a *automaton) receive(code, id byte, data, packet []byte) {
	a.reqID, a.reqData, a.rejected = id, data, packet
	switch code {
	case codeConfReq:
		a.configureRequest(data)
	case codeConfAck:
		if a.answers(id, data) && bytes.Equal(data, a.sent) {
			a.settled = true
			a.trigger(evRCA)
			return
		}
		a.link.stats.Unexpected++
	case codeConfNak, codeConfRej:
		if !a.answers(id, data) {
			a.link.stats.Unexpected++
			return
		}
		a.settled = true
		if a.opts.changed(data, code == codeConfRej) && a.round() {
			a.trigger(evRCN)
		}
	case codeTermReq:
		a.trigger(evRTR)
	case codeTermAck:
		a.trigger(evRTA)
	case codeCodeRej:
		if len(data) > 0 && data[0] >= codeConfReq && data[0] <= codeCodeRej {
			a.trigger(evRXJMinus)
			return
		}
		a.trigger(evRXJPlus)
	default:
		a.trigger(evRUC)
	}
}

// peerWasAway is how old an unanswered Configure-Request must be when the peer
// begins for its part, to be taken for lost.
const peerWasAway = 50 * time.Millisecond

// hurry sends the Configure-Request again. xl2tpd starts pppd only when the
// L2TP session is up: what came before is lost, and pppd's first request is the
// sign that it is there, also seconds later on a slow machine, when the timer has
// repeated ours in vain. Waiting for it would cost seconds. A peer that has the
// first one takes this for a copy.
func (a *automaton) hurry() {
	if a.state == reqSent || a.state == ackSent {
		a.hurried = true
		a.link.send(a.proto, codeConfReq, a.id, a.sent)
		a.startTimer()
	}
}

// answers tells whether a packet is the first answer to the last
// Configure-Request. A copy of it, from a wire that doubles packets, would else
// tear an open link down.
func (a *automaton) answers(id byte, opts []byte) bool {
	return id == a.id && !a.settled && wellFormed(opts) && a.state >= reqSent
}

func (a *automaton) configureRequest(opts []byte) {
	if !wellFormed(opts) {
		a.link.stats.Malformed++
		return
	}
	switch a.state {
	case initial, starting, closing, stopping, closed:
		a.trigger(evRCRPlus) // not judged
		return
	}
	if a.state == opened && a.reqID == a.ackedID && bytes.Equal(opts, a.acked) {
		// The acknowledgement was lost, or the request was doubled. RFC 1661
		// would negotiate all again; a peer that really starts again counts its
		// identifiers on.
		a.link.send(a.proto, codeConfAck, a.reqID, opts)
		return
	}
	if !a.round() {
		return
	}
	if a.state == reqSent && !a.hurried && !a.settled && a.link.now.Sub(a.sentAt) >= peerWasAway {
		defer a.hurry()
	}
	a.replyTo, a.reply = a.opts.review(opts, a.naks >= maxFailure)
	switch a.replyTo {
	case codeConfAck:
		a.reply = opts
		a.trigger(evRCRPlus)
		return
	case codeConfNak:
		a.naks++
	}
	a.trigger(evRCRMinus)
}

// round counts a step of the negotiation, and ends the link when there were
// too many.
func (a *automaton) round() bool {
	a.rounds++
	if a.rounds <= maxRounds {
		return true
	}
	a.link.end(NoAgreement, "")
	return false
}

// wellFormed tells whether options fill their space.
func wellFormed(opts []byte) bool {
	for len(opts) > 0 {
		if len(opts) < 2 || opts[1] < 2 || int(opts[1]) > len(opts) {
			return false
		}
		opts = opts[opts[1]:]
	}
	return true
}

// each calls f with every option of a well-formed list: the whole option, and
// its value.
func each(opts []byte, f func(kind byte, value, whole []byte)) {
	for len(opts) > 0 {
		n := opts[1]
		f(opts[0], opts[2:n], opts[:n])
		opts = opts[n:]
	}
}

// answer collects the judgement of a Configure-Request. One Reject outweighs
// all Naks (RFC 1661 section 5.4).
type answer struct {
	rejects      bool // a Nak may not be sent any more
	naks, refuse []byte
}

func (a *answer) reject(whole []byte) { a.refuse = append(a.refuse, whole...) }

func (a *answer) nak(whole []byte, kind byte, value ...byte) {
	if a.rejects {
		if whole != nil {
			a.reject(whole)
		}
		return
	}
	a.naks = appendOption(a.naks, kind, value...)
}

func (a *answer) result() (code byte, reply []byte) {
	switch {
	case len(a.refuse) > 0:
		return codeConfRej, a.refuse
	case len(a.naks) > 0:
		return codeConfNak, a.naks
	}
	return codeConfAck, nil
}

func appendOption(b []byte, kind byte, value ...byte) []byte {
	return append(append(b, kind, byte(len(value)+2)), value...)
}
