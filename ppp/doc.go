// Package ppp is one PPP link as L2TP carries it: LCP (RFC 1661),
// authentication (CHAP RFC 1994, MS-CHAPv2 RFC 2759, PAP RFC 1334, EAP RFC 3748
// with MS-CHAPv2), IPCP (RFC 1332, RFC 1877) and IPV6CP (RFC 5072). Everything
// else is rejected as RFC 1661 section 5.7 wants: CCP, MPPE, BCP, multilink.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------+---------------+-------------------------------+
//	| address 0xff  | control 0x03  |  protocol (one byte, odd,     |
//	|  (both may be missing: ACFC)  |  where PFC was agreed)        |
//	+---------------+---------------+-------------------------------+
//	|  code         |  identifier   |  length, from the code on     |
//	+---------------+---------------+-------------------------------+
//	|  options: type, length (with these two bytes), value ...      |
//	+---------------------------------------------------------------+
//
// A Link is a pure machine: no goroutine, no clock, no I/O; its randomness is
// an io.Reader that it is given. One goroutine at a time calls it. What may
// block, checking a password or finding an address, is an event out and a
// method in: EventAuth and Authenticated, EventNetwork and Assign.
//
// IP packets do not come here: Split tells them by their protocol, and the
// caller passes them on while the link is up for their family (EventUp4,
// EventUp6), in both directions.
package ppp
