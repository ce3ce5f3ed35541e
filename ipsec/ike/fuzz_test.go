package ike

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// cveSeeds are packets in the shape of those that broke other daemons
// (reference/users-and-attacks.md 10). Each must be refused, and nothing more.
func cveSeeds() map[string][]byte {
	seeds := map[string][]byte{}
	message := func(x Exchange, fill func(*builder)) []byte {
		b := newMessage(cookies{i: [8]byte{1, 2, 3, 4}}, x, 0, 0)
		fill(b)
		return b.finish()[markerLen:]
	}
	sa := offerSA1(quickSuites, time.Hour)
	patched := func(at int, b ...byte) []byte {
		c := bytes.Clone(sa)
		copy(c[at:], b)
		return c
	}
	seeds["short packet (CVE-2013-4564)"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, sa) })[:20]
	seeds["unassigned DOI bits (CVE-2015-3204)"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, patched(0, 0xff, 0, 0, 1)) })
	seeds["SAK payload (CVE-2015-3204)"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSAK, sa) })
	seeds["situation bits"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, patched(4, 0, 0, 0, 7)) })
	seeds["group 1025 (CVE-2014-9221)"] = message(ExchangeMain, func(b *builder) {
		b.add(PayloadSA, offerSA1([]Suite{{AES, 128, SHA256, 1025}}, time.Hour))
	})
	seeds["aggressive mode with a responder cookie (CVE-2023-30570)"] = func() []byte {
		m := aggressive1Message(ID{IDKeyID, "branch1"}, 1, ECP256, SHA256)
		copy(m[8:16], "whatever")
		return m
	}()
	seeds["KE of another length"] = func() []byte {
		m := aggressive1Message(ID{IDKeyID, "branch1"}, 1, ECP256, SHA256)
		at := bytes.Index(m, []byte{0x80, 4, 0, byte(ECP256)}) // the group of the proposal
		m[at+3] = byte(MODP2048)
		return m
	}()
	seeds["fragment of 8 bytes (CVE-2016-1287)"] = message(ExchangeMain, func(b *builder) { b.add(PayloadFragment, []byte{0, 1, 1, 0}) })
	seeds["length 0"] = func() []byte {
		m := message(ExchangeMain, func(b *builder) { b.add(PayloadSA, sa) })
		binary.BigEndian.PutUint16(m[headerLen+2:], 0)
		return m
	}()
	seeds["length 3"] = func() []byte {
		m := message(ExchangeMain, func(b *builder) { b.add(PayloadSA, sa) })
		binary.BigEndian.PutUint16(m[headerLen+2:], 3)
		return m
	}()
	seeds["length 65535"] = func() []byte {
		m := message(ExchangeMain, func(b *builder) { b.add(PayloadSA, sa) })
		binary.BigEndian.PutUint16(m[headerLen+2:], 65535)
		return m
	}()
	seeds["header length of 4 GB"] = func() []byte {
		m := message(ExchangeMain, func(b *builder) { b.add(PayloadSA, sa) })
		binary.BigEndian.PutUint32(m[24:], 0xffffffff)
		return m
	}()
	seeds["a thousand payloads"] = message(ExchangeMain, func(b *builder) {
		for range 1000 {
			b.add(PayloadVendor)
		}
	})
	seeds["two SA payloads"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, sa); b.add(PayloadSA, sa) })
	seeds["proposal of length 0"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, patched(8, 0, 0, 0, 0)) })
	seeds["proposal that follows itself"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, patched(8, 2)) })
	seeds["SPI of 255 bytes"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, patched(14, 255)) })
	seeds["200 transforms announced"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, patched(15, 200)) })
	seeds["attribute longer than all"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, patched(24, 0, 12, 0xff, 0xff)) })
	seeds["life duration of 0 bytes"] = message(ExchangeMain, func(b *builder) { b.add(PayloadSA, patched(24, 0, 12, 0, 0)) })
	return seeds
}

func TestNamedAttacks(t *testing.T) {
	for name, packet := range cveSeeds() {
		w := newWire(t, 1)
		y := w.add("y", "198.51.100.1", Config{Peers: []*Peer{answerer(aggressive), {Name: "road", Key: psk}}})
		err := y.e.Receive(w.now, Packet{Local: netip.AddrPortFrom(y.ip, 500), Remote: netip.MustParseAddrPort("203.0.113.1:500"), Data: packet}, &y.out)
		if _, ok := err.(*Dropped); !ok {
			t.Errorf("%s: %v", name, err)
		}
		if len(y.e.sessions) != 0 || len(y.e.half.entries) != 0 {
			t.Errorf("%s leaves something", name)
		}
	}
}

// A double delete (CVE-2023-38712) and an FQDN as IDcr (CVE-2023-38711), from a peer that is authenticated.
func TestAuthenticatedAttacks(t *testing.T) {
	d, a := dialler(cheap()), answerer(cheap())
	w, x, y := pair(t, 1, d, a)
	w.up(x, y, d)
	var px *phase1
	for _, p := range x.e.sas {
		px = p
	}
	send := func(what string, kind PayloadType, bodies ...[]byte) {
		t.Helper()
		x.e.now, x.e.out = w.now, &x.out
		id := px.newID()
		msg, _ := px.write2(ExchangeInformational, 0, id, px.suite.exchangeIV(px.iv, id), func(rest []byte) []byte { return px.hash2(id, rest) },
			func(b *builder) {
				for _, body := range bodies {
					b.add(kind, body)
				}
			})
		px.e.send(px.packet(msg))
		w.flush(x)
		w.run(time.Second, nil)
		if len(y.e.sessions) != 1 {
			t.Fatalf("%s ends the session:\n%s", what, y.log())
		}
	}
	esp4 := func(spi uint32) []byte { return binary.BigEndian.AppendUint32(nil, spi) }
	send("delete of an unknown SPI", PayloadDelete, deletion{protocol: protoESP, spis: [][]byte{esp4(0x12345)}}.append(nil))
	send("delete of SPI length 0", PayloadDelete, []byte{0, 0, 0, 1, 3, 0, 0, 9})
	send("delete of count 65535", PayloadDelete, []byte{0, 0, 0, 1, 3, 4, 0xff, 0xff, 1, 2, 3, 4})
	send("delete without body", PayloadDelete, nil)
	send("notify of an SPI too long", PayloadNotify, []byte{0, 0, 0, 1, 3, 255, 0, 14})
	send("notify of unknown kind", PayloadNotify, notification{protocol: protoESP, kind: 40999}.append(nil))
	send("a phase 1 delete of another's cookies", PayloadDelete, deletion{protocol: protoISAKMP, spis: [][]byte{make([]byte, 16)}}.append(nil))
	for _, k := range eventsOf[ChildUsable](x) {
		twice := deletion{protocol: protoESP, spis: [][]byte{esp4(k.Child.In.SPI), esp4(k.Child.In.SPI)}}.append(nil)
		send("double delete", PayloadDelete, twice, twice)
	}
	if len(y.in) != 0 {
		t.Errorf("after the delete, %d children", len(y.in))
	}
	// Selectors that are names.
	d.Children[0].Remote = Selector{Name: ID{IDFQDN, "evil.example"}}
	d.Children[0].Local = Selector{Name: ID{IDKeyID, "x"}}
	a.Accept = acceptAll
	w.run(30*time.Second, func() bool { return bothUp(x, y) })
	for _, c := range y.in {
		if c.LocalSelector.Name.Value != "evil.example" {
			t.Errorf("selector %s", c.LocalSelector)
		}
	}
}

func FuzzPayloads(f *testing.F) {
	for _, m := range cveSeeds() {
		f.Add(uint8(PayloadSA), m[min(len(m), headerLen):])
	}
	f.Add(uint8(PayloadNotify), notification{protocol: 1, kind: 5, spi: []byte{1, 2}}.append([]byte{0, 0, 0, 14}))
	f.Fuzz(func(t *testing.T, first uint8, b []byte) {
		for _, padded := range []bool{false, true} {
			list, err := parsePayloads(PayloadType(first), b, padded)
			if err != nil {
				continue
			}
			total := 0
			for _, p := range list {
				total += genericLen + len(p.body)
				if p.end != total {
					t.Fatal("ends do not add up")
				}
			}
			if total > len(b) || len(list) > maxPayloads {
				t.Fatalf("%d payloads of %d bytes in %d", len(list), total, len(b))
			}
			readVendors(list)
			_, _, _ = readSelectors(list)
			for _, p := range list {
				_, _ = parseNotify(p.body)
				_ = parseOA(p.body)
			}
		}
	})
}

func FuzzSA(f *testing.F) {
	f.Add(offerSA1(DefaultSuites(true)[:40], time.Hour))
	f.Add(offerSA2(want2{suites: DefaultESP(true), life: time.Hour, kbytes: 100, esn: true, group: ECP256}, 4711))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseSA(b)
		if err != nil {
			return
		}
		// What was understood is written back to the same bytes, but for reserved fields.
		again, err := parseSA(appendSA(nil, list))
		if err != nil || len(again) != len(list) {
			t.Fatalf("not the same again: %v", err)
		}
		for i, p := range list {
			for j, tr := range p.transforms {
				if !bytes.Equal(tr.raw, again[i].transforms[j].raw) {
					t.Fatal("a transform changed")
				}
				_ = readTransform1(tr).String()
				_ = readTransform2(tr).String()
			}
		}
		_, _ = choose1(list, func(Suite) (int, bool) { return 0, true })
		w := want2{suites: DefaultESP(true), groupOK: Group.Known, esn: true}
		_, _ = choose2(list, w)
		w.udp = true
		_, _ = choose2(list, w)
		_ = hint1(list, DefaultSuites(false))
	})
}

func FuzzIDs(f *testing.F) {
	f.Add(appendID(nil, ID{IDFQDN, "gw.example"}))
	f.Add(appendSelector(nil, PrefixSelector(netip.MustParsePrefix("10.0.0.0/8"), 17, 1701)))
	f.Add([]byte{7, 0, 0, 0, 1, 2, 3, 4, 1, 2, 3, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseID(b); err == nil {
			if again, err := parseID(appendID(nil, id)); err != nil || again != id {
				t.Fatalf("%v is %v again, %v", id, again, err)
			}
			if text := id.String(); id.Type != IDDERDN && id.Type != IDDERGN {
				if again, err := ParseID(text); err != nil || !again.equal(id) {
					t.Fatalf("%q reads as %v, %v; it was %#v", text, again, err, id)
				}
			}
		}
		if s, err := parseSelector(b); err == nil {
			if again, err := parseSelector(appendSelector(nil, s)); err != nil || again != s {
				t.Fatalf("%v is %v again, %v", s, again, err)
			}
			_ = s.String()
			_ = AcceptEtherIP(&ChildRequest{Local: s, Remote: s})
		}
	})
}

// FuzzMachines feeds both roles: a responder that holds a session, a negotiation and half-open
// ones, and an initiator that waits. The fuzzer's bytes come as they are, and as the inside of an
// authenticated message.
func FuzzMachines(f *testing.F) {
	for _, m := range cveSeeds() {
		f.Add(uint8(0), m)
	}
	f.Add(uint8(1), []byte{0, 0, 0, 12, 0, 0, 0, 1, 3, 4, 0, 1, 0, 0, 0, 0})
	f.Add(uint8(2), appendSA(nil, nil))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		d, a := dialler(cheap()), answerer(cheap(aggressive))
		a.Accept = acceptAll
		w, x, y := pair(t, 1, d, a)
		if kind&0x80 != 0 { // the initiator waits for an answer
			x.dial(w, d, "198.51.100.1:500")
			w.run(time.Duration(kind&7)*5*time.Millisecond, nil)
			var c cookies
			for i, p := range x.e.dialling {
				c.i, c.r = i, p.c.r
			}
			for k := range x.e.sas {
				c = k
			}
			bb := bytes.Clone(b)
			copy(bb, c.i[:])
			if len(bb) > 16 && kind&8 != 0 {
				copy(bb[8:], c.r[:])
			}
			_ = x.e.Receive(w.now, Packet{Local: netip.AddrPortFrom(x.ip, 500), Remote: netip.AddrPortFrom(y.ip, 500), Data: bb}, &x.out)
			w.flush(x)
			w.run(2*time.Minute, nil)
			return
		}
		w.up(x, y, d)
		var px *phase1
		for _, p := range x.e.sas {
			px = p
		}
		from := Packet{Local: netip.AddrPortFrom(y.ip, 500), Remote: netip.AddrPortFrom(x.ip, 500)}
		if kind == 0 || len(b) == 0 {
			from.Data = b
		} else {
			exchange := []Exchange{ExchangeInformational, ExchangeQuick}[kind&1]
			id := uint32(kind) + 1
			bb := px.message(exchange, FlagEncrypted|Flags(kind>>1)&FlagCommit, id)
			bb.add(PayloadHash, make([]byte, px.suite.Hash.size()))
			bb.buf[bb.next] = b[0] // the kind of what follows the hash is the fuzzer's
			bb.buf = append(bb.buf, b[1:]...)
			body := bb.body()
			size := px.suite.Hash.size()
			copy(body[genericLen:], px.hash2(id, body[genericLen+size:]))
			msg, _ := px.keys.seal(px.suite.exchangeIV(px.iv, id), bb)
			from.Data = msg[markerLen:]
		}
		for range 2 {
			_ = y.e.Receive(w.now, from, &y.out)
			w.flush(y)
			w.run(time.Second, nil)
		}
		w.run(10*time.Minute, nil)
	})
}

func FuzzParseSuite(f *testing.F) {
	for _, s := range []string{"aes256-sha256-modp2048", "3des-md5-modp1024", "aes128-sha1-ecp521", "aes256-sha256", "--", ""} {
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
	})
}
