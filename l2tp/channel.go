package l2tp

import "time"

// Timing of the control channel (RFC 2661 section 5.8 and appendix A).
const (
	firstRetransmit = 500 * time.Millisecond // the RFC recommends 1 s; a lost first packet should not cost a login a second
	maxRetransmit   = 8 * time.Second
	maxTries        = 8 // sends of one message before the peer is given up: about 32 s
	ourWindow       = 16
	defaultWindow   = 4 // of a peer that sends no Receive Window Size (section 4.4.3)
	maxQueue        = 256
)

// channel is the reliable delivery of control messages of one tunnel: Ns and
// Nr, a window that slowly opens, retransmission with back-off, and messages
// that arrive out of order kept until their turn.
type channel struct {
	ns, nr     seq // next to give out, next expected
	peerTunnel uint16
	peerWindow int
	cwnd       int // grows by one an acknowledgement below ssthresh, then by one a window (appendix A)
	ssthresh   int
	cwndAcks   int

	queue    []queued // not acknowledged yet; the first sent of them are on the wire
	sent     int
	tries    int
	wait     time.Duration
	resendAt time.Time

	early   map[seq][]byte // arrived before their turn; copies. nil: never any
	ackOwed bool
}

type queued struct {
	ns      seq
	session uint16
	body    []byte
}

func newChannel() channel {
	return channel{peerWindow: defaultWindow, cwnd: 1, ssthresh: ourWindow}
}

// send queues a message. It reports false when the queue is full, which a
// peer that acknowledges anything at all does not bring about.
func (c *channel) send(session uint16, body avps) bool {
	if len(c.queue) >= maxQueue {
		return false
	}
	c.queue = append(c.queue, queued{c.ns, session, body})
	c.ns++
	return true
}

// acknowledge takes the Nr of a message of the peer.
func (c *channel) acknowledge(now time.Time, nr seq) {
	n := 0
	for n < c.sent && c.queue[n].ns.before(nr) {
		n++
	}
	if n == 0 {
		return
	}
	if c.queue = c.queue[n:]; len(c.queue) == 0 {
		c.queue = nil // what was acknowledged goes
	}
	c.sent -= n
	c.tries, c.wait = 0, firstRetransmit
	c.resendAt = now.Add(c.wait)
	for range n {
		if c.cwnd < c.ssthresh {
			c.cwnd++
		} else if c.cwndAcks++; c.cwndAcks >= c.cwnd {
			c.cwnd, c.cwndAcks = c.cwnd+1, 0
		}
	}
	c.cwnd = min(c.cwnd, c.peerWindow)
}

// arrive takes a message with a body. It returns the bodies whose turn it is
// now: none for a duplicate or for one that came too early.
func (c *channel) arrive(ns seq, body []byte) [][]byte {
	c.ackOwed = true
	if ns != c.nr {
		// Early, and within our window: keep. Anything else is old.
		if c.nr.before(ns) && uint16(ns-c.nr) < ourWindow {
			if c.early == nil {
				c.early = map[seq][]byte{}
			}
			if _, have := c.early[ns]; !have {
				c.early[ns] = append([]byte(nil), body...)
			}
		}
		return nil
	}
	due := [][]byte{body}
	for c.nr++; ; c.nr++ {
		next, ok := c.early[c.nr]
		if !ok {
			return due
		}
		delete(c.early, c.nr)
		due = append(due, next)
	}
}

// flush writes what may go out now: new messages within the window, and an
// acknowledgement where one is owed and nothing else carried it.
func (c *channel) flush(now time.Time, out *Out) {
	window := max(1, min(c.cwnd, c.peerWindow))
	for c.sent < len(c.queue) && c.sent < window {
		if c.sent == 0 {
			c.tries, c.wait = 1, firstRetransmit
			c.resendAt = now.Add(c.wait)
		}
		c.write(c.queue[c.sent], out)
		c.sent++
	}
	if c.ackOwed {
		out.Packets = append(out.Packets, appendControl(nil, c.peerTunnel, 0, uint16(c.ns), uint16(c.nr), nil))
		c.ackOwed = false
	}
}

func (c *channel) write(q queued, out *Out) {
	out.Packets = append(out.Packets, appendControl(nil, c.peerTunnel, q.session, uint16(q.ns), uint16(c.nr), q.body))
	c.ackOwed = false
}

// resend repeats the oldest message that is not acknowledged. It reports
// false when the peer has had its tries.
func (c *channel) resend(now time.Time, out *Out) bool {
	if c.sent == 0 || now.Before(c.resendAt) {
		return true
	}
	if c.tries >= maxTries {
		return false
	}
	c.tries++
	c.wait = min(c.wait*2, maxRetransmit)
	c.resendAt = now.Add(c.wait)
	// Appendix A: a loss halves the threshold and the window begins anew.
	c.ssthresh, c.cwnd, c.cwndAcks = max(1, c.cwnd/2), 1, 0
	c.write(c.queue[0], out)
	c.sent = 1
	return true
}

// repeat sends the oldest unacknowledged message again at once: the peer has
// repeated itself, so it has not heard us.
func (c *channel) repeat(out *Out) {
	if c.sent > 0 {
		c.write(c.queue[0], out)
	}
}

// deadline is when resend has something to do.
func (c *channel) deadline() time.Time {
	if c.sent == 0 {
		return time.Time{}
	}
	return c.resendAt
}

// idle tells that everything sent was acknowledged.
func (c *channel) idle() bool { return len(c.queue) == 0 }
