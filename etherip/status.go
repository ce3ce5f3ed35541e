package etherip

import (
	"sync/atomic"
)

// Reason says why a frame or packet was dropped by the port. Its String is
// stable: a JSON key and a metric's label.
type Reason uint8

// The reasons. Out: frames from the hub. In: packets from the peer.
const (
	none         Reason = iota
	NoPath              // out: nothing carries the port's packets now
	TooBig              // out: larger than the path with df; where it could be, the sender was told
	BadFrame            // out: the frame is not what its offload fields say
	AnswerLost          // out: an ICMP answer was not sent: over the limit
	ShortPacket         // in: no EtherIP header and Ethernet header in it
	BadVersion          // in: the EtherIP version is not 3
	BadReserved         // in: reserved bits of the EtherIP header are not 0
	LongFrame           // in: the frame is longer than eth.MaxPlainLen
	BadSource           // in: the frame's source is a group address or zero
	Unreachable         // out, plain: no route, host or network unreachable, interface down
	Refused             // out, plain: refused by a firewall rule of this machine
	SendQueue           // out, plain: the socket's buffer is full
	Oversize            // out, plain: larger than the path when it was sent
	SendError           // out, plain: another error of the socket
	ReceiveError        // in, plain: an error of the socket
	Truncated           // in, plain: longer than any frame
	SocketFull          // in, plain: the socket's receive buffer was full
	numReasons
)

var reasonNames = [numReasons]string{
	NoPath: "no-path", TooBig: "too-big", BadFrame: "bad-frame", AnswerLost: "answer-lost",
	ShortPacket: "short-packet", BadVersion: "bad-version", BadReserved: "bad-reserved", LongFrame: "long-frame", BadSource: "bad-source",
	Unreachable: "unreachable", Refused: "refused", SendQueue: "send-queue-full", Oversize: "oversize", SendError: "send-error",
	ReceiveError: "receive-error", Truncated: "truncated", SocketFull: "receive-queue-full",
}

// String returns the stable name, lower case with hyphens.
func (r Reason) String() string {
	if r > none && r < numReasons {
		return reasonNames[r]
	}
	return "none"
}

// MarshalText makes a Reason a JSON string or key.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Status is one port for "port show".
type Status struct {
	HeaderSeen  Form `json:"header_seen"`  // of the last packet; auto: nothing came yet
	HeaderSent  Form `json:"header_sent"`  // standard or swapped
	PayloadMTU  int  `json:"payload_mtu"`  // EtherIP header and frame that cross without outer fragments; 0: not known
	InnerMTU    int  `json:"inner_mtu"`    // IP packet in an untagged frame that crosses without outer fragments
	MSS4        int  `json:"mss4"`         // TCP over IPv4 is lowered to it; 0: left alone
	MSS6        int  `json:"mss6"`         // TCP over IPv6
	DF          bool `json:"df"`           // no outer fragments
	PreFragment bool `json:"pre_fragment"` // inner fragments where the inner packet allows
	MSSClamp    bool `json:"mss_clamp"`

	InPackets  uint64            `json:"in_packets"`  // taken from the peer and handed to the hub
	InBytes    uint64            `json:"in_bytes"`    // of frames
	OutPackets uint64            `json:"out_packets"` // taken by the sender
	OutBytes   uint64            `json:"out_bytes"`   // of frames
	OutLarger  uint64            `json:"out_larger"`  // of OutPackets: larger than the path, so they went in outer fragments
	Clamped    uint64            `json:"clamped"`     // TCP SYNs whose MSS was lowered, both ways
	Fragmented uint64            `json:"fragmented"`  // IPv4 packets cut inside
	Answers    uint64            `json:"answers"`     // ICMP too-big answers sent
	Drops      map[Reason]uint64 `json:"drops"`       // reasons without a drop are left out
}

// counters are written once a batch.
type counters struct {
	inPackets, inBytes, outPackets, outBytes atomic.Uint64
	outLarger, clamped, fragmented, answers  atomic.Uint64
	drops                                    [numReasons]atomic.Uint64
}

func (c *counters) drop(r Reason, n int) { c.drops[r].Add(uint64(n)) }

// Status tells how the port is doing. It may be called at any time.
func (p *Port) Status() Status {
	l := p.limits()
	s := Status{
		HeaderSeen: Form(p.seen.Load()), HeaderSent: p.form(),
		PayloadMTU: l.payload, InnerMTU: l.inner, MSS4: l.mss4, MSS6: l.mss6,
		DF: p.cfg.DF, PreFragment: p.cfg.PreFragment, MSSClamp: !p.cfg.NoClamp,
		InPackets: p.count.inPackets.Load(), InBytes: p.count.inBytes.Load(),
		OutPackets: p.count.outPackets.Load(), OutBytes: p.count.outBytes.Load(),
		OutLarger: p.count.outLarger.Load(), Clamped: p.count.clamped.Load(),
		Fragmented: p.count.fragmented.Load(), Answers: p.count.answers.Load(),
		Drops: map[Reason]uint64{},
	}
	for r := range p.count.drops {
		if n := p.count.drops[r].Load(); n > 0 {
			s.Drops[Reason(r)] = n
		}
	}
	return s
}
