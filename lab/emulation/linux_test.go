package emulation

import "vhub/ipsec/ike"

// Android up to 11: racoon, mtpd, pppd. New profiles of later ones are IKEv2.
var android = profile{
	name: "android", lan: "10.20.30.40",
	says: "An emulation of the client of Android up to 11, not a capture; its sources are in linux_test.go.",

	vendors: []string{vidRFC3947, vidDraft02, vidDraft02n, vidDraft00, vidFragmentation8, vidDPD}, // [R]
	style:   racoonStyle,
	// AES 256 with SHA-384 first, which older servers refuse [V hwdsl2/setup-ipsec-vpn#391,
	// SoftEtherVPN#1002], then SHA-256, SHA-1, MD5, all with MODP 1024 [V setup-ipsec-vpn#101, #1329].
	phase1: []ike.Suite{{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA384, Group: ike.MODP1024}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA256, Group: ike.MODP1024},
		{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP1024}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.MD5, Group: ike.MODP1024},
		{Cipher: ike.AES, KeyBits: 128, Hash: ike.SHA1, Group: ike.MODP1024}, {Cipher: ike.AES, KeyBits: 128, Hash: ike.MD5, Group: ike.MODP1024},
		{Cipher: ike.TripleDES, Hash: ike.SHA1, Group: ike.MODP1024}, {Cipher: ike.TripleDES, Hash: ike.MD5, Group: ike.MODP1024}},
	life: 28800, legacy: true,
	// SHA-256 is offered first, and cut to 96 bits by Android 6 and 7 [V streisand#231, #439]: vhub has
	// to choose SHA-1. The others [R].
	phase2: []espOffer{aes256sha256, aes256sha1, aes128sha256, aes128sha1, tripleSHA1}, espLife: 28800,
	initial: true, // [V setup-ipsec-vpn#391: in main mode]
	nonce:   16,
	idPort:  0, srvPort: 1701,

	// AVPs, their order, "anonymous", window 1, ICRQ after the acknowledgement of SCCCN, StopCCN with
	// result 6 and no CDN [V mtpd's l2tp.c; a packet in xelerance/Openswan#204].
	udpPort: 1701, tunnel: 0x0d6a, session: 0x4e21, window1: true,
	sccrq: []avp{short(2, 0x0100), text(hostName, "anonymous"), long(3, 3), short(assignedTunnel, 0x0d6a), short(10, 1)},
	icrq:  []avp{short(assignedSession, 0x4e21), long(15, 0x6b8b4567)},
	iccn:  []avp{long(24, 100_000_000), long(19, 3)},
	stop:  []avp{short(assignedTunnel, 0x0d6a), short(resultCode, 6)},

	// mtu 1400, mru 1400, usepeerdns, refuse-eap [V AOSP's Vpn.java], the rest pppd's defaults
	// [V esp-protocols#565: order of IPCP; the compressions R].
	lcp:     options("010578", "0200000000", "05c0ffee01", "07", "08"),
	firstID: 1,
	ncps: []ncp{
		{0x80fd, options("1a7800", "187800", "152f")},
		{0x8021, options("02002d0f01", "0300000000", "8100000000", "8300000000")},
	},
	refuses6: true, // [V pppd without +ipv6 in pptpd's log: "Unsupported protocol"]
}

// linux is xl2tpd and pppd with strongSwan, of NetworkManager-l2tp and ChromeOS.
func linux(name, host string, tunnel uint16) profile {
	return profile{
		name: name, lan: "192.168.1.7",
		vendors: []string{vidXAUTH, vidDPD, vidFragmentation8, vidRFC3947, vidDraft02n}, // [V ipsec/ike/testdata/strongswan-*.txt]
		style:   strongswanStyle, initial: true,
		idPort: 1701, srvPort: 1701,

		// [V a packet in xelerance/xl2tpd#166: order, values, M bits; control.c: ICRQ, ICCN]
		udpPort: 1701, tunnel: tunnel, session: 0x3124,
		sccrq: []avp{short(2, 0x0100), long(3, 3), long(4, 0), short(6, 0x0690).optional(), text(hostName, host), text(vendorName, "xelerance.com").optional(),
			short(assignedTunnel, tunnel), short(10, 8)},
		icrq: []avp{short(assignedSession, 0x3124), long(15, 1), long(18, 0)},
		iccn: []avp{long(24, 10_000_000), long(19, 1), long(38, 10_000_000).optional()},
		// StopCCN alone [V call.c: call_close; result 1, error 0 and the text R].
		stop: []avp{short(assignedTunnel, tunnel), text(resultCode, "\x00\x01\x00\x00Server closing")},

		firstID: 1,
		ncps: []ncp{
			{0x8021, options("02002d0f01", "0300000000", "8100000000", "8300000000")}, // [V esp-protocols#565]
		},
		refuses6: true,
	}
}

var networkManager = func() profile {
	p := linux("networkmanager", "fedora", 0xb6e9)
	p.says = "An emulation of NetworkManager-l2tp with strongSwan, xl2tpd and pppd, not a capture; its sources are in linux_test.go."
	// [V nm-l2tp: STRONGSWAN_IKEV1_ALGORITHMS_PHASE1, _PHASE2, IKE lifetime 3 h, 1 h]
	p.phase1 = []ike.Suite{{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA256, Group: ike.MODP2048}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA256, Group: ike.MODP1536},
		{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA256, Group: ike.MODP1024}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP2048},
		{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP1536}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP1024},
		{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.ECP384}, {Cipher: ike.AES, KeyBits: 128, Hash: ike.SHA1, Group: ike.MODP1024},
		{Cipher: ike.AES, KeyBits: 128, Hash: ike.SHA1, Group: ike.ECP256}, {Cipher: ike.TripleDES, Hash: ike.SHA1, Group: ike.MODP2048},
		{Cipher: ike.TripleDES, Hash: ike.SHA1, Group: ike.MODP1024}}
	p.life = 10800
	p.phase2, p.espLife = []espOffer{aes256sha1, aes128sha1, tripleSHA1}, 3600
	p.lcp = options("010578", "0200000000", "05cb85e497") // [V nm-l2tp#51]
	return p
}()

var chromeOS = func() profile {
	p := linux("chromeos", "localhost", 0x2a91)
	p.says = "An emulation of ChromeOS's client (shill, strongSwan, xl2tpd, pppd), not a capture; its sources are in linux_test.go."
	// [V shill's ipsec_connection_test.cc; without strongSwan's defaults, which follow]
	p.phase1 = []ike.Suite{{Cipher: ike.AES, KeyBits: 128, Hash: ike.SHA256, Group: ike.MODP3072}, {Cipher: ike.AES, KeyBits: 128, Hash: ike.SHA1, Group: ike.MODP2048},
		{Cipher: ike.TripleDES, Hash: ike.SHA1, Group: ike.MODP1536}, {Cipher: ike.TripleDES, Hash: ike.SHA1, Group: ike.MODP1024}}
	p.life = 14400 // [V strongSwan's default of 4 h]
	p.phase2, p.espLife = []espOffer{gcm128, aes128sha256, aes128sha1, tripleSHA1, tripleMD5}, 3600
	p.lcp = options("0200000000", "05c0ffee02", "07", "08") // [R]
	return p
}()
