package ppp

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// FuzzOptions gives LCP, IPCP and IPV6CP of both ends any options of a Configure-Request. What is
// rejected is what came, in its order (RFC 1661 section 5.4), and a peer that does what it is
// told has its request acknowledged soon.
func FuzzOptions(f *testing.F) {
	for i, text := range []string{"LCP ConfReq 1 1:0578 3:c22381 5:2a3e6f0e 7: 8: 13:06 17:064e", "IPCP ConfReq 1 2:002d0f01 3:00000000 129:00000000 130:00000000 131:00000000",
		"IPV6CP ConfReq 1 1:0000000000000000", "LCP ConfReq 1 1:0001 1:0002 3:c023 3:", "IPCP ConfReq 1 3:01020304 3:05060708 3:", "LCP ConfReq 1"} {
		f.Add(byte(i), packetOf(text)[8:], false)
		f.Add(byte(i+3), packetOf(text)[8:], true)
	}
	f.Fuzz(func(t *testing.T, which byte, opts []byte, rejects bool) {
		if !wellFormed(opts) || len(opts) > 1500 {
			return
		}
		l := server(MSCHAPv2)
		if which/3%2 == 1 {
			l = client(MSCHAPv2)
		}
		var out Out
		l.Open(time.Unix(1_700_000_000, 0), &out)
		l.ipcp.peer, l.ipcp.dns[0] = netip.MustParseAddr("10.1.0.9"), netip.MustParseAddr("10.1.0.53")
		l.ipv6cp.local, l.ipv6cp.offer = [8]byte{7: 1}, [8]byte{7: 2}
		review := []func([]byte, bool) (byte, []byte){l.lcp.review, l.ipcp.review, l.ipv6cp.review}[which%3]
		for range 5 {
			code, reply := review(opts, rejects)
			if !wellFormed(reply) {
				t.Fatalf("%x is answered %x", opts, reply)
			}
			switch code {
			case codeConfAck:
				return
			case codeConfRej:
				opts = without(t, opts, reply)
			case codeConfNak:
				opts = corrected(opts, reply)
			}
		}
		if l.phase != phaseOver { // a client that cannot agree on authentication ends
			t.Fatalf("no agreement: %x", opts)
		}
	})
}

// without takes the rejected options out; each must be there, in order.
func without(t *testing.T, opts, rejected []byte) (rest []byte) {
	each(opts, func(_ byte, _, whole []byte) {
		if bytes.HasPrefix(rejected, whole) {
			rejected = rejected[len(whole):]
			return
		}
		rest = append(rest, whole...)
	})
	if len(rejected) > 0 {
		t.Fatalf("rejected without having been asked for, or out of order: %x", rejected)
	}
	return rest
}

// corrected takes the values of a Nak over, and what it adds.
func corrected(opts, naks []byte) (out []byte) {
	wants := map[byte][]byte{}
	each(naks, func(kind byte, v, _ []byte) { wants[kind] = v })
	each(opts, func(kind byte, v, _ []byte) {
		if w, ok := wants[kind]; ok {
			v = w
		}
		out = appendOption(out, kind, v...)
	})
	each(naks, func(kind byte, v, _ []byte) {
		found := false
		each(opts, func(k byte, _, _ []byte) { found = found || k == kind })
		if !found {
			out = appendOption(out, kind, v...)
		}
	})
	return out
}

// FuzzAuth gives both ends of each method any packet while they authenticate. A server asks
// about credentials only of their proper length, and lets nobody in by itself; a client
// believes no MS-CHAPv2 server that does not prove itself.
func FuzzAuth(f *testing.F) {
	for m := range byte(numMethods) {
		f.Add(m, false, byte(chapResponse), byte(0), slices.Concat([]byte{49}, make([]byte, 49), []byte("alice")))
		f.Add(m, false, byte(chapResponse), byte(0), slices.Concat([]byte{16}, make([]byte, 16), []byte("alice")))
		f.Add(m, false, byte(papRequest), byte(1), []byte("\x05alice\x06secret"))
		f.Add(m, false, byte(eapResponse), byte(0), []byte("\x01alice"))
		f.Add(m, true, byte(chapChallenge), byte(0), slices.Concat([]byte{16}, make([]byte, 16), []byte("vhub")))
		f.Add(m, true, byte(chapSuccess), byte(0), []byte("S=0000000000000000000000000000000000000000 M=Welcome"))
		f.Add(m, true, byte(eapRequest), byte(1), slices.Concat([]byte{26, msChallenge, 1, 0, 25, 16}, make([]byte, 16), []byte("vhub")))
	}
	f.Fuzz(func(t *testing.T, m byte, asClient bool, code, id byte, data []byte) {
		method := Method(m) % numMethods
		l, now := server(method), time.Unix(1_700_000_000, 0)
		request := packetOf("LCP ConfReq 1 5:c0ffee01")
		if asClient {
			l = client(method)
			request = control(ProtoLCP, codeConfReq, 1, appendOption(nil, optAuth, authOption(method)...))
		}
		var out Out
		l.Open(now, &out)
		l.Receive(now, control(ProtoLCP, codeConfAck, l.lcp.id, l.lcp.sent), &out)
		l.Receive(now, request, &out)
		if l.phase != phaseAuthenticate {
			t.Fatalf("phase %d", l.phase)
		}
		if a, ok := l.auth.(*authServer); ok && id == 0 {
			id = a.id // what it waits for
		}
		for range 2 {
			out.Reset()
			l.Receive(now, control(protocolOf(method), code, id, data), &out)
			for _, e := range out.Events {
				switch e := e.(type) {
				case EventAuth:
					if want := map[Method]int{MSCHAPv2: 49, EAPMSCHAPv2: 49, CHAPMD5: 16}[method]; len(e.Response) != want || len(e.User) > maxName {
						t.Fatalf("asked about %+v", e)
					}
				case EventNetwork:
					if !asClient || method == MSCHAPv2 || method == EAPMSCHAPv2 {
						t.Fatalf("let in by %x", data)
					}
				}
			}
			if len(out.Packets) > 2 {
				t.Fatalf("one packet made %d", len(out.Packets))
			}
		}
	})
}
