package guide

const appleSource = "macOS, iOS"

var appleErrors = []entry{
	{Explanation{"The L2TP-VPN server did not respond", appleSource,
		"The client sent packets and got no answer that it could use: nothing came back, or IPsec stopped on the way.",
		[]Cause{portsClosed, wrongKey, noCommonProposal, portDown, wrongServer, otherProgram,
			{"a group name is set, so the client uses aggressive mode", "vhub events: aggressive mode is refused", "empty the group name in the client"}}},
		nil, []string{"l2tp-vpn server did not respond", "l2tp vpn server did not respond", "vpn server did not respond"}},
	{Explanation{"Authentication failed", appleSource, "The server refused the user name or the password. IPsec and L2TP work.",
		[]Cause{wrongPassword, lockedOut, userDisabled, wrongMethod}},
		nil, []string{"authentication failed", "user authentication failed", "vpn server rejected…password"}},
	{Explanation{"IPSec shared secret is missing", appleSource, "The configuration has no shared secret.",
		[]Cause{{"the profile was written without the key, or the key is not typed", "the VPN's settings on the device", "type the secret there; or write the profile with --with-key and install it again"}}},
		nil, []string{"shared secret is missing", "shared secret…missing", "no shared secret"}},
	{Explanation{"The negotiation with the VPN server failed", appleSource, "IPsec failed: server and client spoke and did not agree.",
		[]Cause{wrongKey, noCommonProposal, {"a group name is set, so the client uses aggressive mode", "vhub events: aggressive mode is refused", "empty the group name in the client"}}},
		nil, []string{"negotiation with the vpn server failed", "negotiation…vpn server…failed"}},
	{Explanation{"The VPN server could not be found", appleSource, "The server's name has no address.", []Cause{wrongServer}},
		nil, []string{"server address could not be resolved", "vpn server could not be found", "could not be resolved"}},
	{Explanation{"The connection was disconnected by the device you were calling", appleSource, "The server ended the session.",
		[]Cause{noAddress, userDisabled, lineGone}},
		nil, []string{"disconnected by the device you were calling", "connection was terminated by the communication device", "the communication device has been disconnected", "ppp server could not be authenticated"}},
	{Explanation{"A configuration error occurred", appleSource, "The system's own VPN service did not start.",
		[]Cause{{"the configuration is incomplete or damaged", "user name, server and shared secret in the VPN's settings", "delete the configuration and install the card's profile again"}}},
		nil, []string{"configuration error occurred", "unexpected error occurred"}},
	{Explanation{"No echo-reply", appleSource, "The tunnel was up and then nothing came back: the client's IPsec keys ran out (typically after an hour), or the line went.",
		[]Cause{{"a rekey was lost on the way", "vhub events: lines of that address about rekeying", "connect again; when it comes back every hour, send the lines to whoever keeps the server"}, lineGone}},
		nil, []string{"no echo-reply", "no response to … echo-requests", "no response to…echo-requests", "lcp: timeout sending", "serial link appears to be disconnected"}},
}
