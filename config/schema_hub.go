package config

import "time"

var logAttributes = []*Attribute{
	{Name: "level", Default: "info", enum: []string{"debug", "info", "warn", "error"},
		Doc: "the least severe event that is logged", bind: on(func(l *Log) any { return &l.Level })},
	{Name: "format", Default: "text", enum: []string{"text", "json"},
		Doc: "how a log line looks", bind: on(func(l *Log) any { return &l.Format })},
}

var engineAttributes = []*Attribute{
	{Name: "listen", Example: "203.0.113.1,2001:db8::1",
		Doc: "addresses that take IKE and ESP; every address of the host when there are none", bind: on(func(e *Engine) any { return &e.Listen })},
	{Name: "port", Default: "500", min: 1, max: 65535,
		Doc: "UDP port of IKE; peers expect 500", bind: on(func(e *Engine) any { return &e.Port })},
	{Name: "nat_port", Default: "4500", min: 1, max: 65535,
		Doc: "UDP port of IKE and ESP behind NAT (RFC 3947); peers expect 4500", bind: on(func(e *Engine) any { return &e.NATPort })},
	{Name: "raw_esp", Default: "true",
		Doc: "take and send ESP as IP protocol 50 where there is no NAT", bind: on(func(e *Engine) any { return &e.RawESP })},
	{Name: "nat_keepalive", Default: "20s", min: int64(time.Second), max: int64(10 * time.Minute), zero: true,
		Doc: "a keepalive is sent through a NAT after such a silence (RFC 3948 section 4); 0s sends none", bind: on(func(e *Engine) any { return &e.KeepAlive })},
}

var hubAttributes = []*Attribute{
	{Name: "arp", Default: "assist", enum: []string{"relay", "assist", "proxy"},
		Doc:  "what the hub does with ARP and neighbour discovery: relay floods it, assist sends it to the station asked for, proxy answers for the station",
		bind: on(func(h *Hub) any { return &h.ARP })},
	{Name: "arp_limit", Default: "16384", min: 16, max: 1 << 20,
		Doc: "neighbours (IPv4 and IPv6 addresses) the hub remembers", bind: on(func(h *Hub) any { return &h.ARPLimit })},
	{Name: "arp_age", Default: "10m", min: int64(time.Second), max: int64(24 * time.Hour),
		Doc: "a neighbour that stays silent is forgotten after it", bind: on(func(h *Hub) any { return &h.ARPAge })},
	{Name: "arp_keep", Default: "15s", min: int64(time.Second), max: int64(time.Hour), zero: true,
		Doc: "a neighbour silent for so long is asked again, before hosts forget it; 0s never asks", bind: on(func(h *Hub) any { return &h.ARPKeep })},
	{Name: "mac_limit", Default: "65536", min: 16, max: 1 << 20,
		Doc: "MAC addresses in the forwarding table of the hub", bind: on(func(h *Hub) any { return &h.MACLimit })},
	{Name: "mac_age", Default: "5m", min: int64(time.Second), max: int64(24 * time.Hour),
		Doc: "a MAC address that stays silent is forgotten after it", bind: on(func(h *Hub) any { return &h.MACAge })},
	{Name: "echo_window", Default: "500ms", min: int64(10 * time.Millisecond), max: int64(10 * time.Second),
		Doc: "a frame that comes back within it, by another port than it entered, is an echo", bind: on(func(h *Hub) any { return &h.EchoWindow })},
	{Name: "copy_window", Default: "5ms", min: int64(100 * time.Microsecond), max: int64(time.Second),
		Doc: "the same frame again by the same port within it is a copy", bind: on(func(h *Hub) any { return &h.CopyWindow })},
	{Name: "forward_reserved", Default: "false",
		Doc:  "forward frames to 01:80:c2:00:00:00 to 0f (spanning tree, LLDP, LACP), which a bridge keeps to itself",
		bind: on(func(h *Hub) any { return &h.ForwardReserved })},
}
