package esp

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"vhub/internal/packet"
)

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// packetOf puts a payload into a packet with the usual room around it.
func packetOf(payload []byte) packet.Packet {
	buf := make([]byte, packet.Headroom+len(payload)+packet.Tailroom)
	copy(buf[packet.Headroom:], payload)
	return packet.Packet{Buf: buf, Off: packet.Headroom, End: packet.Headroom + len(payload)}
}

// randomBytes returns n bytes that the seed decides.
func randomBytes(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// configOf is an SA with keys that the suite's name decides.
func configOf(s Suite, mode Mode, esn bool) Config {
	keys, err := s.SplitKeymat(randomBytes(uint64(s.KeyBits)<<16|uint64(s.Cipher)<<8|uint64(s.Auth), s.KeymatLen()))
	if err != nil {
		panic(err)
	}
	return Config{SPI: 0xc0ffee01, Suite: s, Keys: keys, Mode: mode, ESN: esn, Rand: zeros{},
		InnerSrc: netip.MustParseAddr("192.0.2.1"), InnerDst: netip.MustParseAddr("198.51.100.7")}
}

// pairOf returns both ends of one SA.
func pairOf(t testing.TB, c Config) (*Outbound, *Inbound) {
	t.Helper()
	out, err := NewOutbound(c)
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewInbound(c)
	if err != nil {
		t.Fatal(err)
	}
	return out, in
}
