// Package radius is a RADIUS client: it asks servers who may log in (RFC 2865)
// and tells them what sessions use (RFC 2866), over UDP.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|     Code      |  Identifier   |            Length             |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|                Authenticator (16 bytes)                       |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|  Attributes: type, length (with these two bytes), value ...   |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// The Authenticator of a reply is an MD5 that somebody on the way can make fit
// (BlastRADIUS, CVE-2024-3596). So an Access-Request goes out with a
// Message-Authenticator, as its first attribute, and a reply to it counts only
// with a good one, only once, and without a Proxy-State: this client sends
// none, and in it such an attack hides its padding. What does not count is
// dropped and the wait goes on, as RFC 2865 section 3 wants. Accounting has
// keyed requests, which nobody can add anything to, and RFC 2869 section 5.19
// knows no Message-Authenticator there: none is sent, and one in a reply must
// be good.
//
// Servers are asked in their order. One that stays silent is passed over for
// the dead time and then asked first again. Each has a socket of its own for
// authentication and one for accounting; a reply is matched by the socket,
// which takes from the server's address only, and by its identifier.
//
// Of an Access-Accept these attributes are used: Framed-IP-Address, Class,
// Session-Timeout, Idle-Timeout, Acct-Interim-Interval, Filter-Id, Reply-Message,
// MS-CHAP2-Success, and the VLAN of RFC 3580 section 3.31 (Tunnel-Type VLAN,
// Tunnel-Medium-Type 802, Tunnel-Private-Group-ID). A Service-Type other than
// Framed makes it a refusal (RFC 2865 section 5.6).
package radius
