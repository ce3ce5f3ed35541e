package hub

import (
	"encoding/binary"
	"testing"
	"time"

	"vhub/eth"
)

// wires is a hub with a LAN whose stations are behind "lan", and two outside
// wires.
func wires() []LinkConfig {
	return []LinkConfig{
		{Name: "lan", Kind: "etherip"},
		{Name: "one", Kind: "nic", Suppress: true},
		{Name: "two", Kind: "tap", Suppress: true},
	}
}

const ms = time.Millisecond

// Each case is a story. A frame that the story calls its own must arrive; an
// echo or copy must not, and must teach nothing.
func TestDuplicates(t *testing.T) {
	A, B := mac(1), mac(2) // A is behind lan, B behind one
	same := udp(B, A, 0, []byte("identical"))
	big := large(tcp(B, A, 100, 1000, 5, eth.FlagACK|eth.FlagPSH, 5*1448), eth.GSOTCP4, 1448)
	bigUDP := large(udp(B, A, 100, seqBytes(4*1000)), eth.GSOUDP, 1000)
	partial := edit(udp(B, A, 3, []byte("half a checksum")), func(b []byte) []byte { b[40], b[41] = 0x12, 0x34; return b })
	partial.NeedsCsum, partial.CsumStart, partial.CsumOffset = true, 34, 6
	whole := edit(partial, func(b []byte) []byte { b[40], b[41], b[24], b[25] = 0x56, 0x78, 0x9a, 0xbc; return b })
	whole.Offload = eth.Offload{}
	known := []step{
		{what: "A speaks", link: "lan", frame: plain(eth.Broadcast, A, "A is here"), want: "one:1 two:1"},
		{what: "B answers", link: "one", frame: plain(A, B, "B is here"), want: "lan:1"},
	}
	cases := []struct {
		name  string
		steps []step
	}{
		{"what the hub sent out comes back", []step{
			{what: "ping", link: "lan", frame: ping(B, A, 1), want: "one:1"},
			{what: "its echo", link: "one", frame: ping(B, A, 1), want: "-", drop: "echo", wait: ms},
			{what: "its echo again", link: "one", frame: ping(B, A, 1), want: "-", drop: "echo", wait: ms},
			{what: "A has not moved", link: "one", frame: ping(A, B, 1), want: "lan:1"},
			{what: "next ping", link: "lan", frame: ping(B, A, 2), want: "one:1"},
		}},
		{"a flood comes back by the port it left by", []step{
			{what: "broadcast", link: "lan", frame: arpRequest(1, 7), want: "one:1 two:1"},
			{what: "echo on one", link: "one", frame: arpRequest(1, 7), want: "-", drop: "echo"},
			{what: "echo on two", link: "two", frame: arpRequest(1, 7), want: "-", drop: "echo"},
			{what: "A has not moved", link: "one", frame: ping(A, B, 1), want: "lan:1"},
		}},
		{"an echo is known although the table was flushed", []step{
			{what: "ping", link: "lan", frame: ping(B, A, 1), want: "one:1"},
			{what: "echo after a flush", link: "one", frame: ping(B, A, 1), want: "-", drop: "echo", do: func(l *lab) { l.hub.FlushStations(l.now, nil) }},
		}},
		{"the same frame by another port, where the hub did not send it", []step{
			{what: "ping", link: "lan", frame: ping(B, A, 1), want: "one:1"},
			{what: "by two", link: "two", frame: ping(B, A, 1), want: "-", drop: "copy-other-port"},
		}},
		{"the wire doubles", []step{
			{what: "ping", link: "one", frame: ping(A, B, 1), want: "lan:1"},
			{what: "its copy", link: "one", frame: ping(A, B, 1), want: "-", drop: "copy"},
			{what: "next", link: "one", frame: ping(A, B, 2), want: "lan:1", wait: 20 * ms},
			{what: "its copy", link: "one", frame: ping(A, B, 2), want: "-", drop: "copy", wait: ms},
		}},
		{"a port that does not suppress passes all", []step{
			{what: "ping", link: "lan", frame: ping(B, A, 1), want: "one:1"},
			{what: "again", link: "lan", frame: ping(B, A, 1), want: "one:1"},
		}},
		{"TCP retransmission", []step{
			{what: "segment", link: "one", frame: tcp(A, B, 10, 1000, 1, eth.FlagACK, 1000), want: "lan:1"},
			{what: "sent again, with an ID of its own", link: "one", frame: tcp(A, B, 11, 1000, 1, eth.FlagACK, 1000), want: "lan:1", wait: ms},
			{what: "and after the timeout", link: "one", frame: tcp(A, B, 12, 1000, 1, eth.FlagACK, 1000), want: "lan:1", wait: 200 * ms},
			{what: "a real copy", link: "one", frame: tcp(A, B, 12, 1000, 1, eth.FlagACK, 1000), want: "-", drop: "copy"},
		}},
		{"TCP retransmission of a host that does not number its packets", []step{
			{what: "segment", link: "one", frame: tcp(A, B, 0, 1000, 1, eth.FlagACK, 1000), want: "lan:1"},
			{what: "again", link: "one", frame: tcp(A, B, 0, 1000, 1, eth.FlagACK, 1000), want: "lan:1"},
			{what: "duplicate ACKs", link: "one", frame: tcp(A, B, 0, 2000, 1, eth.FlagACK, 0), want: "lan:1"},
			{what: "duplicate ACKs", link: "one", frame: tcp(A, B, 0, 2000, 1, eth.FlagACK, 0), want: "lan:1"},
			{what: "duplicate ACKs", link: "one", frame: tcp(A, B, 0, 2000, 1, eth.FlagACK, 0), want: "lan:1"},
		}},
		{"TCP over IPv6 sent again", []step{
			{what: "segment", link: "one", frame: tcp6(A, B, 1000, 1, eth.FlagACK, 1000), want: "lan:1"},
			{what: "again", link: "one", frame: tcp6(A, B, 1000, 1, eth.FlagACK, 1000), want: "lan:1"},
			{what: "from the other side", link: "lan", frame: tcp6(B, A, 5, 2000, eth.FlagACK, 100), want: "one:1"},
			{what: "its echo", link: "one", frame: tcp6(B, A, 5, 2000, eth.FlagACK, 100), want: "-", drop: "echo"},
		}},
		{"TCP retransmission towards the reflecting wire", []step{
			{what: "segment", link: "lan", frame: tcp(B, A, 10, 1000, 1, eth.FlagACK, 1000), want: "one:1"},
			{what: "echo", link: "one", frame: tcp(B, A, 10, 1000, 1, eth.FlagACK, 1000), want: "-", drop: "echo"},
			{what: "sent again", link: "lan", frame: tcp(B, A, 11, 1000, 1, eth.FlagACK, 1000), want: "one:1", wait: 200 * ms},
			{what: "echo of that", link: "one", frame: tcp(B, A, 11, 1000, 1, eth.FlagACK, 1000), want: "-", drop: "echo"},
		}},
		{"a TCP connection from SYN to FIN on a reflecting wire", []step{
			{what: "SYN", link: "lan", frame: tcp(B, A, 1, 999, 0, eth.FlagSYN, 0), want: "one:1"},
			{what: "echo", link: "one", frame: tcp(B, A, 1, 999, 0, eth.FlagSYN, 0), want: "-", drop: "echo"},
			{what: "SYN ACK", link: "one", frame: tcp(A, B, 0, 77, 1000, eth.FlagSYN|eth.FlagACK, 0), want: "lan:1"},
			{what: "ACK", link: "lan", frame: tcp(B, A, 2, 1000, 78, eth.FlagACK, 0), want: "one:1"},
			{what: "echo", link: "one", frame: tcp(B, A, 2, 1000, 78, eth.FlagACK, 0), want: "-", drop: "echo"},
			{what: "FIN", link: "lan", frame: tcp(B, A, 3, 1000, 78, eth.FlagFIN|eth.FlagACK, 0), want: "one:1"},
			{what: "echo", link: "one", frame: tcp(B, A, 3, 1000, 78, eth.FlagFIN|eth.FlagACK, 0), want: "-", drop: "echo"},
			{what: "a new connection from the same port, lower number", link: "lan", frame: tcp(B, A, 4, 500, 0, eth.FlagSYN, 0), want: "one:1", wait: 10 * ms},
			{what: "echo", link: "one", frame: tcp(B, A, 4, 500, 0, eth.FlagSYN, 0), want: "-", drop: "echo"},
		}},
		{"sequence numbers wrap", []step{
			{what: "before", link: "lan", frame: tcp(B, A, 1, 0xfffffff0, 1, eth.FlagACK, 8), want: "one:1"},
			{what: "across", link: "lan", frame: tcp(B, A, 2, 0xfffffff8, 1, eth.FlagACK, 100), want: "one:1"},
			{what: "echo of before", link: "one", frame: tcp(B, A, 1, 0xfffffff0, 1, eth.FlagACK, 8), want: "-", drop: "echo"},
			{what: "echo of across", link: "one", frame: tcp(B, A, 2, 0xfffffff8, 1, eth.FlagACK, 100), want: "-", drop: "echo"},
		}},
		{"repeated ARP", []step{
			{what: "request", link: "one", frame: arpRequest(2, 9), want: "lan:1 two:1"},
			{what: "after a second", link: "one", frame: arpRequest(2, 9), want: "lan:1 two:1", wait: time.Second},
			{what: "after 100 ms", link: "one", frame: arpRequest(2, 9), want: "lan:1 two:1", wait: 100 * ms},
			{what: "after 10 ms", link: "one", frame: arpRequest(2, 9), want: "lan:1 two:1", wait: 10 * ms},
		}},
		{"repeated gratuitous ARP", []step{
			{what: "first", link: "one", frame: garp(2), want: "lan:1 two:1"},
			{what: "second", link: "one", frame: garp(2), want: "lan:1 two:1", wait: 20 * ms},
			{what: "third", link: "one", frame: garp(2), want: "lan:1 two:1", wait: 500 * ms},
			{what: "from the LAN", link: "lan", frame: garp(1), want: "one:1 two:1"},
			{what: "from the LAN again", link: "lan", frame: garp(1), want: "one:1 two:1", wait: 300 * ms},
			{what: "echo of the second, long after the first", link: "one", frame: garp(1), want: "-", drop: "echo", wait: 80 * ms},
		}},
		{"identical UDP datagrams 20 ms apart", []step{
			{what: "first", link: "one", frame: udp(A, B, 0, []byte("same")), want: "lan:1"},
			{what: "second", link: "one", frame: udp(A, B, 0, []byte("same")), want: "lan:1", wait: 20 * ms},
			{what: "third", link: "one", frame: udp(A, B, 0, []byte("same")), want: "lan:1", wait: 20 * ms},
			{what: "towards the wire", link: "lan", frame: same, want: "one:1"},
			{what: "echo", link: "one", frame: same, want: "-", drop: "echo"},
			{what: "towards the wire", link: "lan", frame: same, want: "one:1", wait: 20 * ms},
			{what: "echo", link: "one", frame: same, want: "-", drop: "echo"},
		}},
		{"identical UDP datagrams at once, told by their IPv4 IDs", []step{
			{what: "first", link: "one", frame: udp(A, B, 1, []byte("same")), want: "lan:1"},
			{what: "second", link: "one", frame: udp(A, B, 2, []byte("same")), want: "lan:1"},
			{what: "copy of the second", link: "one", frame: udp(A, B, 2, []byte("same")), want: "-", drop: "copy"},
		}},
		{"VRRP advertisements each second", repeat(5, step{what: "advertisement", link: "one", frame: hello(1, 112), want: "lan:1 two:1", wait: time.Second})},
		{"VRRPv3 advertisements each 10 ms", repeat(50, step{what: "advertisement", link: "one", frame: hello(1, 112), want: "lan:1 two:1", wait: 10 * ms})},
		{"HSRP hellos each 50 ms", repeat(20, step{what: "hello", link: "one", frame: hello(2, 17), want: "lan:1 two:1", wait: 50 * ms})},
		{"PTP sync messages, 128 a second", []step{
			{what: "sync", link: "one", frame: ptp(2, 1), want: "lan:1 two:1"},
			{what: "sync", link: "one", frame: ptp(2, 2), want: "lan:1 two:1", wait: 7812 * time.Microsecond},
			{what: "follow up at once", link: "one", frame: edit(ptp(2, 2), func(b []byte) []byte { b[14] = 8; return b }), want: "lan:1 two:1"},
			{what: "sync", link: "one", frame: ptp(2, 3), want: "lan:1 two:1", wait: 7812 * time.Microsecond},
		}},
		{"mDNS: probes each 250 ms, announcement repeated after a second", append(
			repeat(3, step{what: "probe", link: "one", frame: hello(3, 17), want: "lan:1 two:1", wait: 250 * ms}),
			repeat(3, step{what: "announcement", link: "one", frame: hello(3, 17), want: "lan:1 two:1", wait: time.Second})...)},
		{"a station really moves: new content at once", []step{
			{what: "A at lan", link: "lan", frame: ping(B, A, 1), want: "one:1"},
			{what: "A at two", link: "two", frame: ping(B, A, 2), want: "one:1", wait: ms},
			{what: "B reaches it there", link: "one", frame: ping(A, B, 2), want: "two:1"},
		}},
		{"a station really moves in the middle of a TCP flow", []step{
			{what: "at lan", link: "lan", frame: tcp(B, A, 1, 1000, 1, eth.FlagACK, 100), want: "one:1"},
			{what: "at two", link: "two", frame: tcp(B, A, 2, 1100, 1, eth.FlagACK, 100), want: "one:1", wait: ms},
			{what: "found there", link: "one", frame: tcp(A, B, 0, 1, 1200, eth.FlagACK, 0), want: "two:1"},
			{what: "an echo of what it sent at two", link: "one", frame: tcp(B, A, 2, 1100, 1, eth.FlagACK, 100), want: "-", drop: "echo"},
		}},
		{"a station moves and repeats its announcement each 70 ms: taken within a third of a second", append(append(
			[]step{{what: "at lan", link: "lan", frame: garp(1), want: "one:1 two:1"}},
			repeat(3, step{what: "too soon", link: "two", frame: garp(1), want: "-", drop: "echo", wait: 70 * ms})...),
			step{what: "taken", link: "two", frame: garp(1), want: "lan:1 one:1", wait: 70 * ms},
			step{what: "found there", link: "one", frame: ping(A, B, 9), want: "two:1"})},
		{"a station moves and only retransmits: taken within a third of a second", []step{
			{what: "at lan", link: "lan", frame: tcp(B, A, 1, 1000, 1, eth.FlagACK, 100), want: "one:1"},
			{what: "retransmission at 20 ms", link: "two", frame: tcp(B, A, 2, 1000, 1, eth.FlagACK, 100), want: "-", drop: "copy-other-port", wait: 20 * ms},
			{what: "retransmission at 300 ms", link: "two", frame: tcp(B, A, 3, 1000, 1, eth.FlagACK, 100), want: "one:1", wait: 280 * ms},
			{what: "found there", link: "one", frame: ping(A, B, 9), want: "two:1"},
		}},
		{"a large TCP frame comes back in pieces", append(append(
			[]step{{what: "large", link: "lan", frame: big, want: "one:1"}},
			echoes("one", pieces(big))...),
			step{what: "next large", link: "lan", frame: large(tcp(B, A, 200, 1000+5*1448, 5, eth.FlagACK, 5*1448), eth.GSOTCP4, 1448), want: "one:1"},
			step{what: "comes back whole", link: "one", frame: tcp(B, A, 200, 1000+5*1448, 5, eth.FlagACK, 5*1448), want: "-", drop: "echo"})},
		{"TCP pieces come back joined", []step{
			{what: "first", link: "lan", frame: pieces(big)[0], want: "one:1"},
			{what: "second", link: "lan", frame: pieces(big)[1], want: "one:1"},
			{what: "both", link: "one", frame: large(tcp(B, A, 100, 1000, 5, eth.FlagACK, 2*1448), eth.GSOTCP4, 1448), want: "-", drop: "echo"},
		}},
		{"a large frame of UDP datagrams comes back in pieces", append(
			[]step{{what: "large", link: "lan", frame: bigUDP, want: "one:1"}},
			echoes("one", pieces(bigUDP))...)},
		{"UDP datagrams come back as one large frame", []step{
			{what: "first", link: "lan", frame: pieces(bigUDP)[0], want: "one:1"},
			{what: "second", link: "lan", frame: pieces(bigUDP)[1], want: "one:1"},
			{what: "third", link: "lan", frame: pieces(bigUDP)[2], want: "one:1"},
			{what: "fourth", link: "lan", frame: pieces(bigUDP)[3], want: "one:1"},
			{what: "all four", link: "one", frame: bigUDP, want: "-", drop: "echo"},
		}},
		{"short frames come back padded", []step{
			{what: "ARP", link: "lan", frame: eth.Frame{Data: arpRequest(1, 5).Data[:42]}, want: "one:1 two:1"},
			{what: "padded", link: "one", frame: padded(eth.Frame{Data: arpRequest(1, 5).Data[:42]}, 60), want: "-", drop: "echo"},
			{what: "unknown type", link: "lan", frame: plain(B, A, "short"), want: "one:1"},
			{what: "padded", link: "one", frame: padded(plain(B, A, "short"), 60), want: "-", drop: "echo"},
			{what: "UDP", link: "lan", frame: udp(B, A, 1, []byte("x")), want: "one:1"},
			{what: "padded", link: "one", frame: padded(udp(B, A, 1, []byte("x")), 60), want: "-", drop: "echo"},
			{what: "TCP", link: "lan", frame: tcp(B, A, 1, 5, 5, eth.FlagACK, 0), want: "one:1"},
			{what: "padded", link: "one", frame: padded(tcp(B, A, 1, 5, 5, eth.FlagACK, 0), 60), want: "-", drop: "echo"},
			{what: "IPv6", link: "lan", frame: udp6(B, A, nil), want: "one:1"},
			{what: "with a trailer", link: "one", frame: padded(udp6(B, A, nil), 66), want: "-", drop: "echo"},
		}},
		{"a partial checksum comes back complete", []step{
			{what: "partial", link: "lan", frame: partial, want: "one:1"},
			{what: "complete", link: "one", frame: whole, want: "-", drop: "echo"},
		}},
		{"a priority tag changes on the way", []step{
			{what: "out", link: "lan", frame: tagged(eth.Broadcast, A, 5, "tagged"), want: "one:1 two:1"},
			{what: "back", link: "one", frame: tagged(eth.Broadcast, A, 5|6<<13, "tagged"), want: "-", drop: "echo"},
			{what: "another VLAN is another frame", link: "one", frame: tagged(eth.Broadcast, mac(5), 6, "tagged"), want: "lan:1 two:1"},
		}},
		{"a flood of identical frames is a repeating sender", append(append(
			[]step{{what: "first", link: "one", frame: same2(A, B), want: "lan:1"}},
			repeat(2, step{what: "could be copies", link: "one", frame: same2(A, B), want: "-", drop: "copy"})...),
			append(repeat(100, step{what: "it goes on", link: "one", frame: same2(A, B), want: "lan:1"}),
				step{what: "after half a second", link: "one", frame: same2(A, B), want: "lan:1", wait: 500 * ms},
				step{what: "at once", link: "one", frame: same2(A, B), want: "lan:1"},
				step{what: "after quiet", link: "one", frame: same2(A, B), want: "lan:1", wait: 1200 * ms},
				step{what: "a copy again", link: "one", frame: same2(A, B), want: "-", drop: "copy"})...)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			runSteps(t, newLab(t, Config{}, wires()...), append(append([]step{}, known...), c.steps...))
		})
	}
}

func same2(dst, src eth.Addr) eth.Frame { return plain(dst, src, "flood") }

func seqBytes(n int) []byte {
	b := make([]byte, n)
	for i := 0; i+4 <= n; i += 4 {
		binary.BigEndian.PutUint32(b[i:], uint32(i))
	}
	return b
}

func repeat(n int, s step) (all []step) {
	for range n {
		all = append(all, s)
	}
	return all
}

func echoes(link string, frames []eth.Frame) (all []step) {
	for _, f := range frames {
		all = append(all, step{what: "piece", link: link, frame: f, want: "-", drop: "echo"})
	}
	return all
}

// BFD sends each 3.3 ms, always the same: at most one is taken for a copy.
func TestFastHellosAreNotEaten(t *testing.T) {
	l := newLab(t, Config{}, wires()...)
	for range 300 {
		l.send("one", hello(1, 17))
		l.now = l.now.Add(3300 * time.Microsecond)
	}
	if d := l.drops("one", Copy); d > 1 {
		t.Errorf("%d of 300 hellos were dropped", d)
	}
}

// The operator hears of an echo once, and again when it comes back after quiet.
func TestEchoIsToldOnce(t *testing.T) {
	l := newLab(t, Config{}, wires()...)
	say := func() {
		for i := range 50 {
			f := plain(eth.Broadcast, mac(1), string(rune(i))+l.now.String())
			l.send("lan", f)
			l.send("one", f)
			l.now = l.now.Add(100 * ms)
		}
	}
	say()
	if n := l.count(EchoSeen); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	l.now = l.now.Add(time.Hour)
	say()
	if n := l.count(EchoSeen); n != 2 {
		t.Errorf("told %d times after an hour, want twice", n)
	}
	if l.hub.Status().Counters.Moves != 0 {
		t.Error("an echo moved a station")
	}
}
