package ipsec

import (
	"sync/atomic"
)

// dropCounters count what a tunnel did not carry, by reason. Only failures write
// to them, so they need no share for each goroutine.
type dropCounters struct {
	noSA      atomic.Uint64 // to send: no SA is up
	seal      atomic.Uint64 // to send: sequence numbers used up, or no room around the payload
	send      atomic.Uint64 // to send: the socket's buffer is full, or there is no route
	lastError atomic.Pointer[error]

	protocol atomic.Uint64 // received: another protocol than the tunnel's inside ESP
	inner    atomic.Uint64 // received: inner header malformed, or addresses not negotiated
	fragment atomic.Uint64 // received: inner fragments that never became whole
}

// doneCounters keep what SAs that are gone have counted.
type doneCounters struct {
	inPackets, inBytes, outPackets, outBytes atomic.Uint64
	replay, auth, malformed                  atomic.Uint64
}

// fold adds the counters of a child that ends.
func (d *doneCounters) fold(in *inbound) {
	i, o := in.sa.Stats(), in.out.sa.Stats()
	d.inPackets.Add(i.Packets - i.Dummy)
	d.inBytes.Add(i.Bytes)
	d.outPackets.Add(o.Packets)
	d.outBytes.Add(o.Bytes)
	d.replay.Add(i.Replay)
	d.auth.Add(i.Auth)
	d.malformed.Add(i.Short + i.Padding)
}

// engineCounters count what belongs to no tunnel.
type engineCounters struct {
	unknownSPI atomic.Uint64 // ESP for no SA of ours
	runt       atomic.Uint64 // too short to be anything
	ikeLost    atomic.Uint64 // IKE messages that the loop had no time for
	ikeBad     atomic.Uint64 // IKE messages dropped by the machine
	ikeSend    atomic.Uint64 // IKE messages that could not be sent
	keepalives atomic.Uint64
}
