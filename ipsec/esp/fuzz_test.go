package esp

import (
	"bytes"
	"testing"
)

// FuzzOpen: whatever comes is dropped with a reason or is what a seal made; the
// window moves for the latter only.
func FuzzOpen(f *testing.F) {
	for i, s := range Suites() {
		out, err := NewOutbound(configOf(s, Transport, i%2 == 0))
		if err != nil {
			f.Fatal(err)
		}
		p := packetOf(randomBytes(uint64(i), i*7))
		if err := out.Seal(&p, ProtoEtherIP); err != nil {
			f.Fatal(err)
		}
		wire := p.Payload()
		f.Add(uint8(i), wire)
		f.Add(uint8(i), wire[:len(wire)-1])
		f.Add(uint8(i), wire[:8])
		f.Add(uint8(i), bytes.Repeat([]byte{0xff}, 64))
	}
	f.Add(uint8(0), []byte{})
	suites := Suites()
	f.Fuzz(func(t *testing.T, which uint8, wire []byte) {
		s := suites[int(which)%len(suites)]
		in, err := NewInbound(configOf(s, Transport, int(which)%len(suites)%2 == 0))
		if err != nil {
			t.Fatal(err)
		}
		n := len(wire)
		payload, _, err := in.Open(wire)
		if err != nil {
			if in.Stats().Top != 0 && err != ErrPadding {
				t.Fatalf("%v, and the window moved", err)
			}
			return
		}
		if len(payload) >= n {
			t.Fatalf("%d bytes out of %d", len(payload), n)
		}
	})
}

// FuzzParseInner: never a payload outside the packet, never a panic.
func FuzzParseInner(f *testing.F) {
	f.Add(uint8(4), unhex("45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200"))
	f.Add(uint8(4), unhex("4f000044090c00004001f990c0a87b03c0a87bc8"))
	f.Add(uint8(41), unhex("6000000000082c40 20010db8000000000000000000000001 20010db8000000000000000000000002 6100000100000001"))
	f.Add(uint8(41), unhex("6000000000080040 20010db8000000000000000000000001 20010db8000000000000000000000002 00ff000000000000"))
	f.Fuzz(func(t *testing.T, next uint8, pkt []byte) {
		in, err := ParseInner(next, pkt)
		if err == nil && len(in.Payload) > len(pkt)-20 {
			t.Fatalf("payload of %d bytes in a packet of %d", len(in.Payload), len(pkt))
		}
	})
}

func FuzzParseSuite(f *testing.F) {
	for _, s := range []string{"aes256gcm16", "aes128-sha1", "3des-md5", "aes256-sha512", "aes-sha1", "null-md5", "-", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSuite(text)
		if err != nil {
			return
		}
		if again, err := ParseSuite(s.String()); err != nil || again != s {
			t.Fatalf("%q is %v, which is %v, %v", text, s, again, err)
		}
		if _, err := s.SplitKeymat(make([]byte, 200)[:s.KeymatLen()]); err != nil {
			t.Fatalf("%v does not take its own length of keys: %v", s, err)
		}
	})
}
