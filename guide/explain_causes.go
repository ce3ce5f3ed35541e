package guide

// Causes that several errors share. Commands are vhub's own unless they say otherwise.
var (
	portsClosed = Cause{"UDP 500 or 4500 does not reach the server: a firewall of the server or of its cloud, or of the client's network",
		"on the server: vhub explain 809 --client ADDRESS shows whether anything arrived; tcpdump -ni any 'udp port 500 or udp port 4500' while the client tries",
		"open UDP 500 and UDP 4500 to the server, in the cloud's security group too; try the client from a mobile phone's network"}
	serverBehindNAT = Cause{"the server is behind a NAT, and Windows does not go there without a setting of the registry",
		"the server has another address than the one dialled (ip addr)",
		"run the script of 'vhub client card USER --for windows -w FILE' as administrator and restart Windows (AssumeUDPEncapsulationContextOnSendRule = 2)"}
	wrongKey = Cause{"the pre-shared keys differ",
		"vhub events: a line 'negotiation failed' with the reason for that address",
		"type the key again on the client; it is one line, upper and lower case differ, and no space stands at its end"}
	noCommonProposal = Cause{"client and server have no encryption in common",
		"vhub events: the line names what was offered and what would have been taken",
		"update the client; for Android up to 11 and old routers set legacy = true on the port"}
	wrongPassword = Cause{"the user name or the password is wrong",
		"vhub events: 'login failed' with the user name as it arrived",
		"type both again; the name can be user, user@hub or hub\\user; set the password anew with vhub user passwd USER"}
	lockedOut = Cause{"there were too many wrong passwords from that address, and the server waits",
		"vhub events: 'login refused: too many failures before', with the time left",
		"wait that long, then log in with the right password"}
	userDisabled = Cause{"the user is disabled, has expired or has all its sessions in use",
		"vhub user list; vhub session list",
		"vhub user enable USER, or a later expiry with vhub user set; end the session that is left over with vhub session kick"}
	wrongMethod = Cause{"client and server have no way of checking the password in common",
		"vhub events: 'login failed' or the reason of the session's end names the methods",
		"on the client allow MS-CHAP v2 (Windows: Security tab of the connection) and switch the others off"}
	noAddress = Cause{"the server has no address for the client: no DHCP server answers on the segment and the port has no pool",
		"vhub events: the session's closing line says so; vhub port show of the l2tp port",
		"give the port addresses of its own: vhub port set PORT --pool FIRST-LAST"}
	portDown = Cause{"no port of kind l2tp is up, or vhub does not run",
		"vhub status; vhub port list",
		"vhub serve; vhub port add l2tp road --key-file FILE"}
	otherProgram = Cause{"another IPsec program of the server holds the ports or takes the packets",
		"vhub port show names it; ss -ulpn 'sport = 500 or sport = 4500'",
		"stop it on the server (systemctl disable --now strongswan-starter, or ipsec)"}
	lineGone = Cause{"the client's line broke off: sleep, Wi-Fi, a NAT that forgot the connection",
		"vhub events: the session's closing line has its duration and its likely cause",
		"connect again; nothing need be done on the server"}
	wrongServer = Cause{"the server's name or address is wrong, or its name resolves to another address",
		"compare with the address of the server (ip addr, or the cloud's page)",
		"correct it in the client; vhub client card USER --for SYSTEM has the right one"}
	noIPv6ESP = Cause{"the client's network drops ESP or UDP 4500 although UDP 500 passes",
		"vhub events: phase 1 begins for that address and goes no further",
		"try another network; ask whoever runs that one to let UDP 4500 out"}
)
