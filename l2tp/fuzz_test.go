package l2tp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzPayload gives a server that has a client up any payload of UDP 1701, as it comes
// and as data of the session. The client's session outlives it, or ends by a message
// that ends sessions; nothing that is no frame of its own station reaches the segment.
func FuzzPayload(f *testing.F) {
	f.Add([]byte{0x00, 0x21, 0x45}, true)
	f.Add([]byte{0xff, 0x03, 0xc0, 0x21, 5, 1, 0, 4}, true) // LCP Terminate-Request
	f.Add([]byte{0xc0, 0x21, 9, 1, 0, 255, 0, 0, 0, 0}, true)
	f.Add([]byte{0x21, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1}, true) // compressed protocol field
	f.Add([]byte{0x00, 0x57, 0x60, 0, 0, 0, 0, 0, 59, 255}, true)
	f.Add([]byte{0x80, 0x21, 1, 1, 0, 10, 3, 6, 1, 2, 3, 4}, true)
	f.Add([]byte{0x4a, 2, 255, 255, 0, 1, 0, 1, 255, 255}, false)
	f.Add([]byte{0xc8, 2, 0, 12, 0, 1, 0, 0, 0, 4, 0, 4}, false)
	f.Fuzz(func(t *testing.T, b []byte, data bool) {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t, nil)
			defer o.close()
			r := o.client("alice", "secret", "phone")
			r.up()
			mac := o.server.Sessions()[0].MAC
			o.reached()
			payload := b
			if data {
				for key := range *r.p.data.Load() {
					payload = make([]byte, DataHeaderLen+len(b))
					PutDataHeader(payload, uint16(key>>16), uint16(key), len(b))
					copy(payload[DataHeaderLen:], b)
				}
			}
			r.recv(time.Now(), [][]byte{payload, payload[:len(payload)/2]})
			r.run(100*time.Millisecond, func() bool { return false })
			for _, f := range o.reached() {
				if len(f) < 14 || string(f[6:12]) != string(mac[:]) && string(f[6:12]) != string(o.hubMAC()) {
					t.Fatalf("a frame of %x is on the segment: %x", f[6:12], f)
				}
			}
			for _, s := range o.server.Sessions() {
				if s.MAC != mac {
					t.Fatalf("another station: %+v", s)
				}
			}
		})
	})
}

func (o *office) hubMAC() []byte { m := o.hub.MAC(); return m[:] }

// FuzzMessage reads any AVPs, with a tunnel secret and without. What is read is a copy, no
// longer than what came, and what is shown of it can be printed.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(windowsSCCRQ()), false)
	f.Add([]byte(newMessage(CDN).result(2, 6, "why")), false)
	f.Add([]byte(newMessage(StopCCN).bytes(avpResultCode, []byte{3, 0, 0, 0, 0, 3, 0, 0})), false) // Apple's
	f.Add([]byte{0x83, 0xff, 0, 0, 0, 0, 0, 1}, false)
	f.Add([]byte(newMessage(SCCRP).bytes(avpRandomVector, []byte("vector"))), true)
	f.Add(append([]byte(newMessage(SCCRP).bytes(avpRandomVector, []byte("vector"))), 0xc0, 8, 0, 0, 0, 9, 1, 2), true)
	f.Fuzz(func(t *testing.T, whole []byte, hidden bool) {
		var secret []byte
		if hidden {
			secret = []byte("secret")
		}
		body := slices.Clone(whole)
		m, err := parseMessage(body, secret)
		if m == nil || err != nil && !errors.Is(err, ErrAVP) && !errors.Is(err, ErrMandatoryAVP) && !errors.Is(err, ErrHiddenAVP) {
			t.Fatalf("%v, %v", m, err)
		}
		before := fmt.Sprint(m)
		clear(body)
		if after := fmt.Sprint(m); after != before {
			t.Fatalf("what was read is not a copy: %s, then %s", before, after)
		}
		n := 0
		for a, v := range m.values {
			n += avpHeaderLen + len(v)
			if s := m.text(a); len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("text %q", s)
			}
		}
		if n > len(whole) {
			t.Fatalf("%d bytes read of %d", n, len(whole))
		}
		if _, _, text := m.result(); len(text) > 64 {
			t.Fatalf("a text of %d bytes", len(text))
		}
	})
}
