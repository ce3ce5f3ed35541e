package emulation

import "vhub/ipsec/ike"

// Vendor ids, in hex.
const (
	vidMSUnknown      = "01528bbbc00696121849ab9a1c5b2a5100000001"
	vidMSv9           = "1e2b516905991c7d7c96fcbfb587e46100000009"
	vidRFC3947        = "4a131c81070358455c5728f20e95452f"
	vidDraft08        = "8f8d83826d246b6fc7a8a6a428c11de8"
	vidDraft07        = "439b59f8ba676c4c7737ae22eab8f582"
	vidDraft06        = "4d1e0e136deafa34c4f3ea9f02ec7285"
	vidDraft05        = "80d0bb3def54565ee84645d4c85ce3ee"
	vidDraft04        = "9909b64eed937c6573de52ace952fa6b"
	vidDraft03        = "7d9419a65310ca6f2c179d9215529d56"
	vidDraft02        = "cd60464335df21f87cfdb2fc68b6a448"
	vidDraft02n       = "90cb80913ebb696e086381b5ec427b1f"
	vidDraft00        = "4485152d18b6bbcd0be8a8469579ddcc"
	vidDraft          = "4df37928e9fc4fd1b3262170d515c662"
	vidFragmentation  = "4048b7d56ebce88525e7de7f00d6c2d3"
	vidFragmentation8 = "4048b7d56ebce88525e7de7f00d6c2d380000000"
	vidNegotiation    = "fb1de3cdf341b7ea16b7e5be0855f120"
	vidInitialContact = "26244d38eddb61b3172a36e3d0cfb819"
	vidCGA            = "e3a5966a76379fe707228231e5ce8652"
	vidDPD            = "afcad71368a1f1c96b8696fc77570100"
	vidXAUTH          = "09002689dfd6b712"
)

var windows10 = windows("windows-10", "DESKTOP-10")

// No source tells Windows 11's client from that of Windows 10; libreswan/libreswan#2014 is a log of
// one, with the same exchanges. So its trace has to be the same but for the name.
var windows11 = windows("windows-11", "DESKTOP-11")

func windows(name, host string) profile {
	return profile{
		name: name, lan: "192.168.1.7",
		says: "An emulation of the client of " + map[string]string{"windows-10": "Windows 10", "windows-11": "Windows 11"}[name] + ", not a capture; its sources are in windows_test.go.",

		// Order and values [V xelerance/xl2tpd#219 (a Windows 10 laptop), apache/cloudstack#872].
		vendors: []string{vidMSUnknown, vidMSv9, vidRFC3947, vidDraft02n, vidFragmentation, vidNegotiation, vidInitialContact, vidCGA},
		style:   windowsStyle,
		// [V hwdsl2/setup-ipsec-vpn#283, nm-l2tp#169 (libreswan's logs), SoftEtherVPN#1253 (28,800 s)]
		phase1: []ike.Suite{{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.ECP384}, {Cipher: ike.AES, KeyBits: 128, Hash: ike.SHA1, Group: ike.ECP256},
			{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP2048}, {Cipher: ike.TripleDES, Hash: ike.SHA1, Group: ike.MODP2048},
			{Cipher: ike.TripleDES, Hash: ike.SHA1, Group: ike.MODP1024}},
		life: 28800,
		// The first three [V nm-l2tp README], two more without a key length [V the size of message 1 in
		// apache/cloudstack#872], which are DES and NULL [R]; 3,600 s, 250,000 KB [V the 250,000,000
		// bytes of a pfSense log of charon].
		phase2: []espOffer{aes256sha1, aes128sha1, tripleSHA1, desSHA1, nullSHA1}, espLife: 3600, kbytes: 250000,
		nonce:    48,                  // [V SoftEtherVPN#1253: InitiatorRand]
		countIDs: true,                // [V "QUICK_MODE request 1" in charon's logs, msgid:03000000 in pluto's, which turns it round]
		idPort:   1701, srvPort: 1701, // [V hwdsl2/docker-ipsec-vpn-server#135: 17/1701 -> 17/1701, its private address]
		sizes: map[string]int{"main 1": 408, "quick 1 natt": 444}, // [V xelerance/xl2tpd#219, apache/cloudstack#872]

		// Tunnel id 1, as all of them; no bearer, firmware 10.0, window 8 [V xelerance/xl2tpd#219].
		udpPort: 1701, tunnel: 1, session: 1,
		sccrq: []avp{short(2, 0x0100), long(3, 1), long(4, 0), short(6, 0x0a00), text(hostName, host), text(vendorName, "Microsoft"), short(assignedTunnel, 1), short(10, 8)},
		// What RFC 2661 wants at least: no log at hand shows the AVPs of these messages.
		icrq: []avp{short(assignedSession, 1), long(15, 0), long(18, 2)},
		iccn: []avp{long(24, 100_000_000), long(19, 1)},

		// Options, their order, callback by CBCP refused; identifiers from 0 through all protocols;
		// three Identifications, the last a GUID; IPV6CP, CCP with MPPE, IPCP with WINS [V pptpd's log
		// of a Windows 10 client; accel-ppp's in VyOS: callback CBCP].
		lcp:     options("010578", "052a3e6f0e", "07", "08", "0d06"),
		firstID: 0, countAll: true,
		idents: []string{"MSRASV5.20", "MSRAS-0-" + host, "\x11\xc9\x1a\xb20:\xc7\xc0B\x9b\xcb\xb1\xd0\xb11\xf0\x84"},
		ncps: []ncp{
			{0x8057, options("018d5c11aa22bb33cc")},
			{0x80fd, options("1201000000")},
			{0x8021, options("0300000000", "8100000000", "8200000000", "8300000000", "8400000000")},
		},
		// Parameters and their order [V servers' logs, as in lab/tool/inform.go], vendor class [R].
		inform: append([]byte("\x3c\x08MSFT 5.0\x37\x08"), 6, 44, 43, 77, 12, 15, 121, 249), informHW: 8,

		// Magic number, 0x003ccd74 and an error number, 0 when the user hangs up [V pppd's logs of
		// servers, as in ppp/golden_test.go]; the result codes [R]. IPsec SAs are deleted before the
		// ISAKMP SA [V libreswan/libreswan#2014].
		terminate: unhex("2a3e6f0e003ccd7400000000"),
		cdn:       []avp{short(resultCode, 3), short(assignedSession, 1)},
		stop:      []avp{short(assignedTunnel, 1), short(resultCode, 6)},
	}
}
