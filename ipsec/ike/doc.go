// Package ike is the Internet Key Exchange, version 1 (RFC 2407, 2408, 2409;
// NAT traversal of RFC 3947, dead peer detection of RFC 3706, elliptic curve
// groups of RFC 5903), as a pure machine for both roles: it does no I/O, starts
// no goroutine, reads no clock and draws its randomness from Config.Rand.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------------------------------------------------------+
//	|            (on UDP 4500 only: four zero bytes)                |
//	+===============================================================+
//	|                  initiator cookie (8 bytes)                   |
//	+---------------------------------------------------------------+
//	|                  responder cookie (8 bytes)                   |
//	+---------------+---------------+---------------+---------------+
//	| next payload  | version 1.0   | exchange type |   C E flags   |
//	+---------------+---------------+---------------+---------------+
//	|                          message id                           |
//	+---------------------------------------------------------------+
//	|                length of the whole message                    |
//	+===============+===============+===============================+
//	| next payload  |   reserved    | length of payload, with these |
//	+---------------+---------------+-------------------------------+
//	|  SA, KE, ID, HASH, NONCE, N, D, VID, NAT-D, NAT-OA ...        |
//
// # What a shell does
//
// One Endpoint holds all peers of one daemon. It is not safe for concurrent use:
// one goroutine owns it, feeds it and carries out what it says.
//
//	e, err := ike.New(ike.Config{Rand: rand.Reader, Peers: peers})
//	for {
//	    select {
//	    case p := <-received:      // UDP 500, or UDP 4500 with four leading zero bytes
//	        err = e.Receive(now, p, &out)   // err is only for a debug log and a counter
//	    case <-timer:              // set to e.Deadline()
//	        e.Advance(now, &out)
//	    case s := <-fromDataPath:  // see below
//	    }
//	    for _, ev := range out.Events { ... }     // events first,
//	    for _, p := range out.Packets { send(p) } // then packets: an SA is installed before the peer hears of it
//	    out.Reset()
//	}
//
// Packet.Local must be the address the packet really arrived on (IP_PKTINFO),
// not a wildcard: NAT detection hashes it. Packet.Data is the whole UDP payload,
// with the four zero bytes on the NAT-T port, in both directions.
//
// Peers that are dialled belong into Config.Peers too: they may begin a phase 1 themselves
// when it is time for a new one.
//
// Events come in this order for a peer that is fine:
//
//	Established      phase 1 is up: identity, addresses, NAT
//	ChildInstalled   take ESP on Child.In.SPI from now on
//	ChildUsable      send ESP with Child.Out from now on, no longer with Replaces; who began
//	                 the rekey (Child.Initiator) better waits some 0.3 s or for the first
//	                 packet on it, since the peer installs it only when message 3 arrives
//	ChildInstalled, ChildUsable ...                a rekey: old and new live together
//	ChildDown        forget this child, both directions
//	Closed           the session is over and all of its children are down
//
// Failed tells of a negotiation that came to nothing; it carries the reason, the
// likely cause and what to type on the peer, for one log line. It is rate-limited
// by the machine where strangers can cause it.
//
// The shell tells the machine what only the data path sees:
//
//   - InboundUsed when the first authenticated ESP packet of a child arrives that
//     is not usable yet: it proves that the peer has the SA although its last
//     message was lost.
//   - PeerMoved when an authenticated ESP packet came from another address or port
//     (and the newest sequence number): IKE follows.
//   - UnknownSPI when ESP came with an SPI that nobody has, from an address: a peer that is up
//     there is told, and makes a new child. (Budgeted; strangers hear nothing.)
//   - Rekey when a child nears Child.SoftBytes or the end of its sequence numbers.
//   - Config.LastInbound, when set, is asked when a peer was last heard by ESP, so
//     that dead peer detection stays silent while traffic flows.
//
// # Keys and identities
//
// A Peer is configuration: an identity, a key, what is accepted. With main mode and
// a pre-shared key the key is needed before the identity is known (RFC 2409 5.4).
// The Endpoint then tries, on the first encrypted message, the keys of all peers
// that may come from this address: first those bound to the address, then those
// with an identity of their own, then the default ones; at most MaxKeys different
// keys. The key that decrypts the message and verifies its hash, and belongs to a
// peer that has the identity claimed in it, decides. So a peer with its own key is
// known by its identity from any address, in main mode as well.
//
// # Work for strangers
//
// Nothing is computed for, remembered long of or sent again to a peer that has not
// shown that it receives at its address: the responder's cookie is a keyed hash
// of addresses, initiator cookie and time; message 1 of main mode is kept in a
// table of fixed size, oldest out first; message 2 is never larger than message 1;
// the first Diffie-Hellman computation comes after message 3 showed the cookie, and
// each source has a budget of them. Aggressive mode, where that order is impossible, is
// off but for peers that have Peer.Aggressive, answers only to known identities and
// never sends more bytes than it received, unless Peer.AggressivePrompt permits it: an answer with a long
// hash is larger than the question, and then waits until the peer has asked twice.
//
// Diffie-Hellman runs inline, for both of its halves together from 0.1 ms (ECP-256) and 0.8 ms (ECP-384)
// to 2.2 ms (MODP 2048: 0.5 for our own, by a table, and 1.7) on one core of a small machine; each session
// needs it once in a phase 1, and with PFS in each rekey. A shell that wants more cores runs several
// Endpoints and gives each the packets of its share of remote addresses; sessions of one
// identity in different Endpoints do not replace each other.
//
// # Peers and their ways
//
//   - SoftEther answers as responder only, claims to be 0.0.0.0, pretends a NAT by a random NAT-D, never
//     sends a notify and never renews phase 1: leave Peer.RemoteID zero when dialling it.
//   - Windows does no DPD, has the private address as identity, and refuses a server behind a NAT
//     (Peer.HideNAT). Its identity says nothing: road warriors are told apart by session.
//   - Apple's selectors may name UDP port 0 or a port other than 1701; Android 6 and 7 cut HMAC-SHA-256 in
//     ESP to 96 bits, so SHA-1 comes before it in DefaultESP.
//   - NEC IX may set the commit bit, comes in aggressive mode with a key-id from a dynamic address,
//     and sends few vendor ids: Peer.AggressivePrompt spares it its retransmission time.
//
// # Errors
//
// Receive returns an error for a packet that was dropped; the machine is as it was
// and can take the next packet. The reason is counted in Counters. Nothing that a
// packet carries makes the Endpoint unusable.
package ike
