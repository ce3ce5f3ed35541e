package guide

const (
	ikeSource   = "IKE, any peer (strongSwan, libreswan, racoon, routers)"
	linuxSource = "Linux (xl2tpd, pppd, NetworkManager)"
)

var peerIdentity = Cause{"the identity that the peer sends is not the one of the port",
	"vhub events: the line names the identity that arrived; vhub port show PORT the one that is expected",
	"set the identity on the router as vhub port config prints it, or vhub port set PORT --peer-id KIND:VALUE"}

var selectors = Cause{"the peer asks for other traffic than the port carries: another protocol, networks instead of hosts, or tunnel instead of transport mode",
	"vhub events: the line names what was asked for",
	"on the peer: transport mode for IP protocol 97 (EtherIP) or UDP 1701 (L2TP); vhub port config prints it"}

// ipsecErrors are notifications of IKE (RFC 2408 section 3.14.1) and the lines
// that peers log around them.
var ipsecErrors = []entry{
	{Explanation{"NO-PROPOSAL-CHOSEN", ikeSource, "One side offered its encryption, and the other took none of it.",
		[]Cause{noCommonProposal,
			{"the peer wants perfect forward secrecy with a group that the port does not take, or none where the port demands it", "vhub port show PORT: pfs", "make the groups of phase 2 equal"},
			selectors}},
		nil, []string{"no-proposal-chosen", "no_proposal_chosen", "no proposal chosen", "no suitable proposal found", "no acceptable proposal", "failed to get valid proposal", "no matching proposal", "received proposals unacceptable"}},
	{Explanation{"INVALID-ID-INFORMATION", ikeSource, "The identity or the traffic that one side named is not what the other expects.",
		[]Cause{peerIdentity, selectors}},
		nil, []string{"invalid-id-information", "invalid_id", "invalid id", "idir '…' does not match", "id type mismatched", "peer id…mismatch", "constraint check failed: identity"}},
	{Explanation{"AUTHENTICATION-FAILED", ikeSource, "The hash that proves the pre-shared key is wrong.",
		[]Cause{wrongKey, peerIdentity}},
		nil, []string{"authentication_failed", "authentication-failed", "mac mismatched", "hash mismatched", "hash mismatch", "probable pre-shared key mismatch", "deleting half open ike_sa"}},
	{Explanation{"PAYLOAD-MALFORMED", ikeSource, "A packet could not be read after it was decrypted: with pre-shared keys that is nearly always a wrong key.",
		[]Cause{wrongKey, {"the peer found another key for this server: several are configured there", "the peer's list of keys", "give the server's address its own key there"}}},
		nil, []string{"payload-malformed", "payload_malformed", "malformed payload", "could not decrypt payloads", "message parsing failed", "integrity check failed", "next payload type of isakmp"}},
	{Explanation{"INVALID-HASH-INFORMATION", ikeSource, "The hash of a packet is wrong.", []Cause{wrongKey}},
		nil, []string{"invalid-hash-information", "invalid_hash_information", "invalid hash"}},
	{Explanation{"INVALID-KEY-INFORMATION", ikeSource, "The Diffie-Hellman value does not fit the group.",
		[]Cause{{"the peer uses another group than it offered", "vhub events: the line for that address", "choose one group on the peer, such as MODP 2048 (14)"}}},
		nil, []string{"invalid-key-information", "invalid_ke_payload"}},
	{Explanation{"INVALID-SPI", ikeSource, "The peer sends in a tunnel that the other side does not have any more: it restarted, or one side deleted it.",
		[]Cause{{"one side restarted", "vhub events: the last 'tunnel up' and 'session over' of that peer", "switch dead peer detection on at the peer, so that it finds out by itself; at once: clear its SAs"}}},
		nil, []string{"invalid-spi", "invalid_spi", "unknown spi", "no policy/sa for spi"}},
	{Explanation{"INVALID-COOKIE", ikeSource, "The peer goes on with a negotiation that the other side does not know any more.",
		[]Cause{{"one side restarted in the middle", "vhub events for that address", "wait for the next attempt, or clear the peer's phase 1"}}},
		nil, []string{"invalid-cookie", "invalid_cookie"}},
	{Explanation{"No answer to IKE", ikeSource, "The peer sends and hears nothing.",
		[]Cause{portsClosed, portDown, wrongServer, otherProgram}},
		nil, []string{"phase1 negotiation failed due to time up", "phase 1 negotiation failed due to time up", "giving up after…retransmits", "retransmit…of request with message id", "peer not responding", "max number of retransmissions", "establishing connection…failed", "no response (or no acceptable response) to our first"}},
	{Explanation{"Phase 2 got no answer", ikeSource, "Phase 1 works, and quick mode does not end.",
		[]Cause{selectors, noCommonProposal, noIPv6ESP}},
		nil, []string{"phase2 negotiation failed due to time up", "phase 2 negotiation failed due to time up", "quick mode…timed out", "failed to establish child_sa"}},
	{Explanation{"No key for this peer", ikeSource, "The peer has no pre-shared key for the identities of this connection.",
		[]Cause{{"the peer's list of keys names another address or identity", "the peer's secrets", "give the key to the server's address and identity; vhub port config says where it goes"}}},
		nil, []string{"no shared key found", "couldn't find the pskey", "can't authenticate: no preshared key", "no secret found"}},
	{Explanation{"Aggressive mode refused", ikeSource, "Aggressive mode shows a hash of the key to anybody who asks, and one side does not do that.",
		[]Cause{{"the peer uses aggressive mode", "vhub events for that address", "use main mode; where the router can only do aggressive mode: vhub port set PORT --mode aggressive, with a key of at least 32 random characters"}}},
		nil, []string{"aggressive mode psk disabled", "aggressive mode pre-shared key authentication…not allowed", "aggressive mode…refused", "aggressive mode…not allowed"}},
}

var linuxErrors = []entry{
	{Explanation{"L2TP got no answer", linuxSource, "IPsec is up, and the L2TP packets in it got no answer.",
		[]Cause{noIPv6ESP,
			{"the packets leave without IPsec", "on the client: ip xfrm policy, and tcpdump shows UDP 1701 in the clear", "the IPsec connection must be for UDP 1701 in transport mode"},
			{"the server dropped the client's old tunnel only now", "vhub session list", "try again after some seconds"}, portDown}},
		nil, []string{"maximum retries exceeded for tunnel", "can not find tunnel", "cannot find tunnel", "timed out waiting for peer", "l2tp tunnel…timed out"}},
	{Explanation{"pppd: authentication failed", linuxSource, "The server refused the user name or the password.",
		[]Cause{wrongPassword, lockedOut, userDisabled, wrongMethod}},
		nil, []string{"ms-chap authentication failed", "chap authentication failed", "pap authentication failed", "e=691"}},
	{Explanation{"pppd: peer refused to authenticate", linuxSource, "pppd demands that the server logs in, too, which no VPN server does.",
		[]Cause{{"the option noauth is missing in pppd's options", "the pppd options file of the connection", "add noauth"}}},
		nil, []string{"peer refused to authenticate", "peer is not authorized"}},
	{Explanation{"pppd: could not determine local IP address", linuxSource, "PPP is up and gave no address.", []Cause{noAddress}},
		nil, []string{"could not determine local ip address", "could not determine remote ip address", "ipcp: timeout sending config-requests"}},
	{Explanation{"L2TP modules missing", linuxSource, "The client's kernel has no L2TP.",
		[]Cause{{"the modules are not installed or blacklisted", "on the client: modprobe l2tp_ppp", "install kernel-modules-extra (Fedora, RHEL) and take the lines out of /etc/modprobe.d/l2tp*-blacklist.conf"}}},
		nil, []string{"l2tp kernel support not detected", "l2tp kernel support…not"}},
	{Explanation{"IKEv1 refused by libreswan", linuxSource, "libreswan 5 does not make IKEv1 connections unless told to, and L2TP/IPsec is IKEv1.",
		[]Cause{{"the global policy forbids IKEv1", "on the client: /etc/ipsec.conf, section config setup", "add ikev1-policy=accept there and restart ipsec"}}},
		nil, []string{"global ikev1-policy does not allow", "ikev1 support disabled"}},
	{Explanation{"NetworkManager: the VPN service did not start", linuxSource, "The l2tp plug-in is missing or its helpers are.",
		[]Cause{{"network-manager-l2tp, xl2tpd or the IPsec program is not installed", "on the client: journalctl -u NetworkManager", "install network-manager-l2tp with strongswan or libreswan, and xl2tpd"}}},
		nil, []string{"vpn service 'l2tp' was not installed", "vpn service…not installed", "the vpn service stopped unexpectedly", "could not find…xl2tpd"}},
}
