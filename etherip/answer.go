package etherip

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"vhub/eth"
)

// Limits of answers: how many may wait, and how many are sent a second (RFC
// 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f) ask for a limit).
const (
	answersWaiting = 64
	answersASecond = 200
	answerLen      = eth.HeaderLen + 2*eth.TagLen + 1280 // the longest, an ICMPv6 error
)

// Input takes frames into the hub; *hub.Reader does.
type Input interface {
	Input(now time.Time, frames []eth.Frame)
}

// answerQueue brings ICMP answers from WriteFrames, which must not call Input,
// to the goroutine of Answer. Buffers go round: free, ready, free.
type answerQueue struct {
	free, ready chan []byte
}

func (q *answerQueue) init() {
	q.free, q.ready = make(chan []byte, answersWaiting), make(chan []byte, answersWaiting)
	for range answersWaiting {
		q.free <- make([]byte, 0, answerLen)
	}
}

// tooBig queues the answer to a frame that is longer than limit bytes.
func (q *answerQueue) tooBig(p *Port, frame []byte, limit int) {
	l := eth.Parse(frame)
	select {
	case b := <-q.free:
		b, ok := eth.AppendTooBig(b[:0], frame, limit-l.Net)
		if !ok { // nobody may be told
			q.free <- b
			return
		}
		q.ready <- b // there is room: as many buffers as places
	default:
		p.count.drop(AnswerLost, 1)
	}
}

// Answer hands the ICMP answers of the port to the hub until ctx ends. Without
// DF there are none.
func (p *Port) Answer(ctx context.Context, in Input) {
	limit := rate.NewLimiter(answersASecond, answersWaiting)
	frames := make([]eth.Frame, 1)
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-p.answers.ready:
			now := time.Now()
			if limit.AllowN(now, 1) {
				frames[0] = eth.Frame{Data: b}
				in.Input(now, frames)
				p.count.answers.Add(1)
			} else {
				p.count.drop(AnswerLost, 1)
			}
			p.answers.free <- b
		}
	}
}
