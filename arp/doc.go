// Package arp knows the neighbours of an Ethernet segment: which station (MAC
// address, link) has which IPv4 or IPv6 address. It learns from ARP (RFC 826,
// RFC 5227), neighbour discovery (RFC 4861) and DHCPv4 (RFC 2131), answers or
// redirects questions, keeps the hosts' caches fresh and announces what moved,
// so that a segment works although some of its legs lose broadcasts.
//
// An ARP packet as it stands after the EtherType 0x0806:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------------------------------+-------------------------------+
//	|     hardware type (1)         |   protocol type (0x0800)      |
//	+---------------+---------------+-------------------------------+
//	|  6            |  4            |  1 request, 2 reply           |
//	+---------------+---------------+-------------------------------+
//	|  sender MAC (6), sender IPv4 (4), target MAC (6), target IPv4 |
//	+---------------------------------------------------------------+
//
// A neighbour solicitation (135) or advertisement (136) after the IPv6 header,
// hop limit 255:
//
//	+---------------+---------------+-------------------------------+
//	|  135 or 136   |  0            |  checksum                     |
//	+---------------+---------------+-------------------------------+
//	|R|S|O|  reserved (flags only in the advertisement)             |
//	+---------------------------------------------------------------+
//	|  target address (16)                                          |
//	+---------------------------------------------------------------+
//	|  options: 1 source, 2 target link-layer address, length 1, MAC|
//	+---------------------------------------------------------------+
//
// A Segment is a pure machine: no goroutine, no clock, no I/O. Several readers
// may call it at once; it has one mutex, which is never held while it calls
// Config.Event. Frames given to it are lent; frames it makes belong to the Out
// they are in, until that is reset.
//
// Frames with no tag or one 802.1Q tag are understood; VLAN 0 (a priority tag)
// is the same as no tag. Frames with more tags pass and teach nothing.
package arp
