package ike

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"vhub/ipsec/esp"
)

// Emulations of what routers send, written from the facts in reference/users-and-attacks.md 5
// (not captures): the order of proposals, attributes and vendor ids is theirs. Clients of
// L2TP are in lab/emulation, with all that is above IKE.

// emulation is one router.
type emulation struct {
	name     string
	suites   []Suite // phase 1, in order
	life     time.Duration
	vendors  []string // hex, in order
	id       ID
	esp      []esp.Suite // phase 2, in order
	espLife  time.Duration
	local    Selector // IDci
	remote   Selector // IDcr
	mode     esp.Mode
	aggr     bool
	behind   bool // a NAT
	legacy   bool // the server needs legacy = true
	wantIKE  string
	wantESP  string
	wantNATT string
	dpd      bool
}

const vidFrag = "4048b7d56ebce88525e7de7f00d6c2d3"

func hexes(ids ...any) []string {
	var list []string
	for _, id := range ids {
		switch id := id.(type) {
		case string:
			list = append(list, id)
		case []byte:
			list = append(list, fmt.Sprintf("%x", id))
		}
	}
	return list
}

var emulations = []emulation{
	{name: "NEC IX2015, aggressive, keyid, old algorithms", aggr: true, life: time.Hour, legacy: true, dpd: true,
		suites:  []Suite{{AES, 256, SHA1, MODP1024}},
		vendors: hexes(vidDPD), id: ID{IDKeyID, "branch1"},
		esp: []esp.Suite{{Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACSHA1}}, espLife: time.Hour, mode: esp.Transport,
		local: AddrSelector(netip.MustParseAddr("192.0.2.1"), 97, 0), remote: AddrSelector(netip.MustParseAddr("198.51.100.1"), 97, 0),
		wantIKE: "aes256-sha1-modp1024", wantESP: "aes256-sha1", wantNATT: ""},
	{name: "NEC IX2105, aggressive, NAT-T by draft, MD5", aggr: true, behind: true, life: 8 * time.Hour, legacy: true, dpd: true,
		suites:  []Suite{{AES, 256, SHA256, MODP1536}},
		vendors: hexes(vidDraft03, vidDraft02, vidDPD), id: ID{IDKeyID, "branch1"},
		esp: []esp.Suite{{Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACMD5}}, espLife: time.Hour, mode: esp.Tunnel,
		local: PrefixSelector(netip.MustParsePrefix("0.0.0.0/0"), 0, 0), remote: PrefixSelector(netip.MustParsePrefix("0.0.0.0/0"), 0, 0),
		wantIKE: "aes256-sha256-modp1536", wantESP: "aes256-md5", wantNATT: "draft-03"},
}

// TestRouters lets each emulation talk to a server with a default peer for road warriors and a
// peer for the router, and looks at each message of the answer.
func TestRouters(t *testing.T) {
	for _, em := range emulations {
		t.Run(em.name, func(t *testing.T) {
			road := &Peer{Name: "road", Key: psk, Accept: AcceptL2TP, PeerRekeys: true, Legacy: em.legacy}
			branch := answerer(func(p *Peer) { p.Aggressive, p.Legacy = em.aggr, em.legacy })
			w := newWire(t, 1)
			y := w.add("server", "198.51.100.1", Config{Peers: []*Peer{road, branch}})
			x := newEmulated(t, w, em)
			if em.behind {
				w.nat = &natBox{x.ip, mustAddr("203.0.113.9"), 7000}
			}
			w.tap = x.listen(t, y)
			x.begin()
			w.run(5*time.Second, func() bool { return len(y.sending) == 1 })
			up := eventsOf[Established](y)
			if len(up) != 1 || len(y.sending) != 1 {
				t.Fatalf("not up:\n%s%s", y.log(), x.log())
			}
			e := up[0]
			if e.Suite.String() != em.wantIKE || e.Peer != branch || e.RemoteID != em.id || e.NATT != em.wantNATT || e.NAT.Remote != em.behind || e.NAT.Local || e.DPD != em.dpd {
				t.Errorf("established %+v", e)
			}
			for _, c := range y.sending {
				if c.Suite.String() != em.wantESP || c.UDP != em.behind || c.Mode != em.mode || c.RemoteSelector != em.local || c.LocalSelector != em.remote {
					t.Errorf("child %+v", c)
				}
			}
			golden(t, em.name, strings.Join(x.trace, "\n")+"\n")
		})
	}
}

// golden compares a trace with the one kept in testdata; IKE_RECORD=1 writes it anew.
func golden(t *testing.T, name, trace string) {
	t.Helper()
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ,", r) {
			return '-'
		}
		return r
	}, strings.ToLower(name))
	file := "testdata/emulation-" + strings.ReplaceAll(name, "--", "-") + ".txt"
	if os.Getenv("IKE_RECORD") != "" {
		if err := os.WriteFile(file, []byte(trace), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if trace != string(want) {
		t.Errorf("the trace is no longer that of %s:\n%s", file, trace)
	}
}

// emulated is the client's side: vhub's own machine, made to send the emulation's bytes. Its
// negotiation is checked against the server's by keys that have to agree.
type emulated struct {
	*side
	w     *wire
	em    emulation
	trace []string
}

func newEmulated(t *testing.T, w *wire, em emulation) *emulated {
	ip := "192.0.2.1"
	if em.behind {
		ip = "192.168.1.7"
	}
	return &emulated{side: w.add("client", ip, Config{}), w: w, em: em}
}

// begin starts a phase 1 with the emulation's SA payload and vendor ids in place of our own.
func (x *emulated) begin() {
	em := x.em
	p := &Peer{Name: "server", Key: psk, LocalID: em.id, Suites: em.suites, ESP: em.esp, Lifetime: em.life, ChildLifetime: em.espLife, Aggressive: em.aggr, Legacy: true, NoInitialContact: true, DPD: -1,
		Children: []ChildConfig{{Name: "c", Mode: em.mode, Local: em.local, Remote: em.remote}}, Wording: &Wording{}}
	for _, v := range em.vendors {
		p.Wording.VendorIDs = append(p.Wording.VendorIDs, unhex(v))
	}
	x.dial(x.w, p, "198.51.100.1:500")
}

// listen writes down each message, and checks that what the server says before the
// client proved its address is not larger than what it answers.
func (x *emulated) listen(t *testing.T, y *side) func(*side, Packet) {
	return func(from *side, p Packet) {
		data := p.Data
		if p.NATT && len(data) > 4 {
			data = data[4:]
		}
		h, body, err := parseHeader(data)
		if err != nil {
			return
		}
		line := fmt.Sprintf("%-7s %s flags %d %d bytes:", from.name, h.exchange, h.flags, len(data))
		if h.flags&FlagEncrypted == 0 {
			list, err := parsePayloads(h.next, body, false)
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
			for _, pl := range list {
				line += " " + pl.kind.String()
			}
			if v := readVendors(list); v.names != "" {
				line += " (" + v.names + ")"
			}
		}
		x.trace = append(x.trace, line)
		if from == y && !y.up() && y.out1 > y.in1 {
			t.Errorf("%s: %d bytes answered to %d", line, y.out1, y.in1)
		}
		if from == y && h.exchange == ExchangeMain && bytes.Contains(body, unhex(vidFrag)) {
			t.Error("fragmentation is offered, which we do not do")
		}
	}
}

func (s *side) up() bool {
	for _, st := range s.e.Sessions() {
		if st.Up {
			return true
		}
		for _, p := range st.Phase1 {
			if p.Exchange == ExchangeMain { // message 3 showed the cookie
				return true
			}
		}
	}
	return false
}
