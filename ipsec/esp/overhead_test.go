package esp

import (
	"testing"

	"pgregory.net/rapid"
)

// What stands between the ESP payload and the inner IP packet.
const (
	overEtherIP = 2 + 14    // EtherIP header, Ethernet header
	overL2TP    = 8 + 8 + 4 // UDP, L2TP with length and offset-less header, PPP with address and control
	innerTCP    = 20 + 20   // IPv4 and TCP
)

// The largest inner IP packet by path MTU, as in the research notes: NTT's PPPoE,
// clouds with VXLAN, GCE.
func TestMTUTable(t *testing.T) {
	cbc, gcm := Suite{AESCBC, 128, HMACSHA1}, Suite{AESGCM16, 128, NoAuth}
	cbc256 := Suite{AESCBC, 256, HMACSHA256}
	raw, natt := Outer{}, Outer{UDP: true}
	for _, row := range []struct {
		mtu                            int
		rawEther, nattEther, gcm, l2tp int
	}{
		{1500, 1422, 1406, 1422, 1402},
		{1460, 1374, 1374, 1382, 1370},
		{1454, 1374, 1358, 1374, 1354},
		{1450, 1374, 1358, 1370, 1354},
		{1438, 1358, 1342, 1358, 1338},
	} {
		for _, c := range []struct {
			name       string
			suite      Suite
			outer      Outer
			over, want int
		}{
			{"EtherIP in raw ESP, CBC-SHA1", cbc, raw, overEtherIP, row.rawEther},
			{"EtherIP in NAT-T, CBC-SHA1", cbc, natt, overEtherIP, row.nattEther},
			{"EtherIP in NAT-T, CBC-SHA256", cbc256, natt, overEtherIP, row.nattEther},
			{"EtherIP in NAT-T, GCM", gcm, natt, overEtherIP, row.gcm},
			{"L2TP in NAT-T, CBC-SHA1", cbc, natt, overL2TP, row.l2tp},
		} {
			if got := c.suite.MaxPayload(row.mtu, c.outer, Transport, false) - c.over; got != c.want {
				t.Errorf("%s at %d: %d, want %d (MSS %d)", c.name, row.mtu, got, c.want, c.want-innerTCP)
			}
		}
	}
}

func TestMTUOtherCases(t *testing.T) {
	for _, c := range []struct {
		name   string
		suite  Suite
		mtu    int
		outer  Outer
		mode   Mode
		inner6 bool
		want   int
	}{
		{"3DES-MD5 raw: 1500-20-8-8-12 = 1452, blocks of 8: 1448", Suite{TripleDES, 0, HMACMD5}, 1500, Outer{}, Transport, false, 1446},
		{"IPv6 outer, raw GCM: 1500-40-8-8-16 = 1428", Suite{AESGCM16, 256, NoAuth}, 1500, Outer{IPv6: true}, Transport, false, 1426},
		{"tunnel mode takes 20 more", Suite{AESCBC, 128, HMACSHA1}, 1500, Outer{UDP: true}, Tunnel, false, 1402},
		{"tunnel mode with IPv6 inside takes 40 more", Suite{AESCBC, 128, HMACSHA1}, 1500, Outer{UDP: true}, Tunnel, true, 1382},
		{"SHA-512: ICV of 32", Suite{AESCBC, 256, HMACSHA512}, 1500, Outer{UDP: true}, Transport, false, 1406},
		{"nothing fits", Suite{AESCBC, 256, HMACSHA512}, 60, Outer{UDP: true}, Transport, false, 0},
	} {
		if got := c.suite.MaxPayload(c.mtu, c.outer, c.mode, c.inner6); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// MaxPayload is the largest that fits, and PacketLen is what Seal makes of it.
func TestOverheadIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(Suites()).Draw(t, "suite")
		mode := rapid.SampledFrom([]Mode{Transport, Tunnel}).Draw(t, "mode")
		outer := Outer{IPv6: rapid.Bool().Draw(t, "v6"), UDP: rapid.Bool().Draw(t, "udp")}
		mtu := rapid.IntRange(200, 1600).Draw(t, "mtu")
		inner := 0
		if mode == Tunnel {
			inner = 20
		}
		size := s.MaxPayload(mtu, outer, mode, false)
		if outer.HeaderLen()+s.PacketLen(size+inner) > mtu {
			t.Fatalf("%d bytes do not fit", size)
		}
		if outer.HeaderLen()+s.PacketLen(size+inner+1) <= mtu {
			t.Fatalf("%d bytes would fit too", size+1)
		}
		out, err := NewOutbound(configOf(s, mode, false))
		if err != nil {
			t.Fatal(err)
		}
		p := packetOf(make([]byte, size))
		if err := out.Seal(&p, ProtoEtherIP); err != nil {
			t.Fatal(err)
		}
		if got, want := len(p.Payload()), s.PacketLen(size+inner); got != want {
			t.Fatalf("sealed %d bytes, PacketLen says %d", got, want)
		}
	})
}
