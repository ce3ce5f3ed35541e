// Package esp is the Encapsulating Security Payload of RFC 4303: it seals and
// opens packets in place, keeps sequence numbers and the anti-replay window, and
// knows how many bytes each suite costs. It is pure: no socket, no clock; the
// only randomness is the secret behind CBC IVs, read once from Config.Rand.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------------------------------------------------------+  --
//	|                Security Parameters Index (SPI)                |   ^
//	+---------------------------------------------------------------+   |
//	|                  Sequence Number (low 32 bits)                |   | covered
//	+---------------------------------------------------------------+   | by the ICV
//	|              IV: 8 bytes (GCM, 3DES) or 16 (AES-CBC)          |   |
//	+---------------------------------------------------------------+   |  --
//	|              payload (transport: EtherIP, UDP, ...;           |   |   ^ en-
//	|               tunnel: an IP packet)                           |   |   | crypted
//	+               +-----------------------------------------------+   |   |
//	|               |     padding 1, 2, 3, ...                      |   |   |
//	+---------------+---------------+---------------+---------------+   |   |
//	                                |  pad length   |  next header  |   v   v
//	+---------------------------------------------------------------+  --  --
//	|              ICV: 12, 16, 24 or 32 bytes                      |
//	+---------------------------------------------------------------+
//
// With extended sequence numbers the high 32 bits are not sent, but the ICV
// covers them: behind the next-header byte with HMAC (RFC 4303 2.2.1), between
// SPI and sequence number with GCM (RFC 4106 5).
//
// An Outbound and an Inbound are safe for concurrent use. What they write to is
// the packet of the caller and a few counters; cipher state is taken from a pool
// for the length of a batch.
package esp
