// Package ipsec is the engine that carries IKE and ESP in user space: it owns the
// sockets, the table of inbound SAs and the tunnels of peers. Policy and formats
// are elsewhere: ipsec/ike negotiates, ipsec/esp seals and opens; both are pure.
//
//	UDP 500   ----> reader --+--> IKE (copied out) --> loop: owns ike.Endpoint, all sessions
//	UDP 4500  ----> reader --+                            |
//	raw IP 50 ----> reader --+                            | publishes SAs: SPI table (inbound),
//	                  |                                   | atomic pointer (outbound)
//	                  | SPI -> inbound SA, no lock        v
//	                  +--> open in place --> Receiver of the tunnel --> port --> hub
//
//	hub --> port --> Tunnel.Send: seal in place --> UDP or raw, many packets a call
//
// Two kinds of goroutine do all the work. A reader owns one socket: it opens what
// arrives and calls the tunnel's Receiver, which runs the hub; nothing is queued.
// The loop owns all of IKE and everything that is slow or timed. What the data path
// sees and IKE must know (first use of an SA, a peer that moved) goes to the loop
// as a message; what IKE decides reaches the data path as an immutable value behind
// an atomic pointer. A tunnel's Send runs on the caller's goroutine.
//
// A Tunnel belongs to an identity, never to an address. The peer may come back from
// anywhere: a new negotiation replaces the old at once, and authenticated ESP from
// another address or port moves the session's endpoint without one.
//
// A datagram on UDP 4500 (RFC 3948):
//
//	0xff                                    keepalive, dropped
//	00 00 00 00 | IKE message               non-ESP marker
//	SPI (not 0) | sequence number | ...     ESP
package ipsec
