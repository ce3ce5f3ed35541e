// Package l2tp is an L2TP network server, LNS (RFC 2661), for road warriors
// inside IPsec (RFC 3193), and the client half (LAC) that tests and benchmarks
// drive it with.
//
// A message, control or data, in UDP port 1701:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|T|L|x|x|S|x|O|P|x|x|x|x|  Ver  |          Length (L)           |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|           Tunnel ID           |           Session ID          |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|             Ns (S)            |             Nr (S)            |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|      Offset Size (O)          |    Offset pad... (O)          |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|  control: AVPs;  data: a PPP frame                            |
//	+---------------------------------------------------------------+
//
// Control is a pure machine: an Endpoint for each IPsec peer, told apart by
// the SA and by nothing else, since clients behind one NAT share the private
// address, port 1701 and tunnel id 1. It gets packets and the time, and gives
// packets and events.
package l2tp
