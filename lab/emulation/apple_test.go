package emulation

import "vhub/ipsec/ike"

// appleVendors are the ids of Apple's racoon and their order [V xelerance/Openswan#116: RFC 3947, the
// draft without a number, 08 down to 03; then R: 02, 02\n, fragmentation, DPD].
var appleVendors = []string{vidRFC3947, vidDraft, vidDraft08, vidDraft07, vidDraft06, vidDraft05, vidDraft04, vidDraft03, vidDraft02, vidDraft02n, vidFragmentation8, vidDPD}

// appleEnd is a Result Code of Apple's: the number in the byte order of the processor, in an AVP that
// says 14 bytes and has 8; behind it is what the message sent or received before has left there
// [V Apple's ppp, L2TP-plugin/l2tp.c: prepare_CDN, prepare_StopCCN; hwdsl2/docker-ipsec-vpn-server#20:
// network=768 le=3, network=256 le=1]. At these bytes ICCN has the framing type, and SCCRQ the vendor
// of the host name's AVP.
func appleEnd(code byte) avp {
	return avp{true, resultCode, []byte{code, 0, 0, 0, 0, 3, 0, 0}}
}

// apple is what macOS and iOS have in common.
func apple() profile {
	return profile{
		vendors: appleVendors, style: racoonStyle, life: 3600, espLife: 3600,
		initial: true,   // [V a log of libreswan: INITIAL-CONTACT of 28 bytes in main mode]
		idPort:  0,      // [V the same: 17/1701 -> 17/0]
		srvPort: 1701,   // likewise
		nonce:   16,     // [V racoon.l2tp: nonce_size]
		udpPort: 49787,  // not 1701 [V the same log; docker-ipsec-vpn-server#20: 51239]
		session: 0x5fee, // the process id [V main.c; 24558 in the same log]

		// [V l2tp.c: prepare_ICRQ, prepare_ICCN; main.c: serial number 1, 1,000,000 bit/s, framing 3]
		icrq: []avp{short(assignedSession, 0x5fee), long(15, 1)},
		iccn: []avp{long(24, 1_000_000), long(19, 3)},

		// [V SoftEtherVPN#2110, and a ppp.log of macOS beside libreswan and xl2tpd: options, order,
		// identifiers, the Echo-Request, IPCP, IPV6CP, ACSCP]
		lcp:     options("0200000000", "05025a9887", "07", "08"),
		firstID: 1, echo: true,
		ncps: []ncp{
			{0x8021, options("0300000000", "8100000000", "8300000000")},
			{0x8057, options("018e8590fffe3fafb9")},
			{protoACSCP, options("0100000001", "0200000001")},
		},
		terminate: []byte("User request"), // [V pppd's auth.c]
		cdn:       []avp{short(assignedSession, 0x5fee), appleEnd(3)},
	}
}

// macOS 11 to 15.
var macOS = func() profile {
	p := apple()
	p.name, p.lan = "macos", "192.168.31.201"
	p.says = "An emulation of the client of macOS 11 to 15, not a capture; its sources are in apple_test.go."
	// [V nm-l2tp README: the merge of Windows and Apple; SoftEtherVPN#2110: the first is chosen]
	p.phase1 = []ike.Suite{{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA256, Group: ike.MODP2048}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA256, Group: ike.MODP1536},
		{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA256, Group: ike.MODP1024}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP2048},
		{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP1536}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP1024},
		{Cipher: ike.TripleDES, Hash: ike.SHA1, Group: ike.MODP1024}}
	// SHA-256 is among them [V the log of libreswan: AES_CBC_256-HMAC_SHA2_256_128], SHA-1 too
	// [V SoftEtherVPN#2110]; the order [R].
	p.phase2 = []espOffer{aes256sha256, aes256sha1, aes128sha256, aes128sha1, tripleSHA256, tripleSHA1}
	// The host name with its zero byte [V l2tp.c: strlen + 1; main.c: gethostname], window 4 [R],
	// tunnel ids count from the start of the system [V 9, 16 and 18 in logs].
	p.tunnel = 16
	p.sccrq = []avp{short(2, 0x0100), long(3, 3), text(hostName, "MacBook-Pro.local\x00"), short(assignedTunnel, 16), short(10, 4)}
	p.stop = []avp{short(assignedTunnel, 16), appleEnd(1)}
	// [V the same ppp.log: client id 0x08000000010000, parameters 0x6 0x2c 0x2b 0x1 0xf9 0xf]
	p.inform, p.informHW = append([]byte("\x3d\x07\x08\x00\x00\x00\x01\x00\x00\x37\x06"), 6, 44, 43, 1, 249, 15), 8
	return p
}()

// iOS up to 14: the proposals of a log in kitten/setup-strong-strongswan#28, and Apple's code of that
// time, which tells no host name (main.c: host_name[0] = 0). No source shows a DHCPINFORM of it.
var iOS = func() profile {
	p := apple()
	p.name, p.lan = "ios", "192.168.1.3"
	p.says = "An emulation of the client of iOS up to 14, not a capture; its sources are in apple_test.go."
	p.phase1 = []ike.Suite{{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA256, Group: ike.MODP2048}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP2048},
		{Cipher: ike.AES, KeyBits: 256, Hash: ike.MD5, Group: ike.MODP2048}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA256, Group: ike.MODP1536},
		{Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP1536}, {Cipher: ike.AES, KeyBits: 256, Hash: ike.SHA1, Group: ike.MODP1024},
		{Cipher: ike.AES, KeyBits: 128, Hash: ike.SHA1, Group: ike.MODP1024}, {Cipher: ike.TripleDES, Hash: ike.SHA1, Group: ike.MODP1024},
		{Cipher: ike.TripleDES, Hash: ike.MD5, Group: ike.MODP1024}} // [R]
	p.phase2 = []espOffer{aes256sha1, aes256md5, aes128sha1, aes128md5, tripleSHA1, tripleMD5}
	p.tunnel, p.udpPort = 9, 56322
	p.sccrq = []avp{short(2, 0x0100), long(3, 3), text(hostName, "\x00"), short(assignedTunnel, 9), short(10, 4)}
	p.stop = []avp{short(assignedTunnel, 9), appleEnd(1)}
	return p
}()
