package guide

import (
	"fmt"
	"strings"
)

func windowsCard(v Values) card {
	c := card{steps: []string{
		"Settings > Network & internet > VPN > Add VPN.",
		"VPN provider: Windows (built-in).\nConnection name: " + v.Name + "\nServer name or address: " + v.Server,
		"VPN type: L2TP/IPsec with pre-shared key. Type the key below it.",
		"Type of sign-in info: User name and password.\nUser name: " + v.User + "\nPassword: the user's. Save.",
		"Settings > Network & internet > Advanced network settings > More network adapter options: right click on\n" + v.Name + " > Properties > Security > Allow these protocols: tick only Microsoft CHAP Version 2 (MS-CHAP v2).",
	}}
	if v.BehindNAT {
		c.steps = append(c.steps, "The server is behind a NAT, and this step is for Windows that then shows error 809. In a terminal as administrator, then restart Windows:\n"+
			`reg add HKLM\SYSTEM\CurrentControlSet\Services\PolicyAgent /v AssumeUDPEncapsulationContextOnSendRule /t REG_DWORD /d 2 /f`)
	}
	if len(v.Routes) > 0 {
		step := "Only " + v.splitText() + " through the tunnel. In PowerShell:\nSet-VpnConnection -Name " + psQuote(v.Name) + " -SplitTunneling $true"
		for _, r := range v.Routes {
			step += "\nAdd-VpnConnectionRoute -ConnectionName " + psQuote(v.Name) + " -DestinationPrefix " + r.String()
		}
		c.steps = append(c.steps, step)
	}
	c.steps = append(c.steps, "Connect from the network icon of the task bar.")
	c.notes = append(c.notes, "vhub client card ... -w vhub.ps1 writes a script that does all of this.",
		"Feature updates of Windows have lost the saved key; type it again when a connection that worked says 789.")
	return c
}

func macCard(v Values) card {
	c := card{steps: []string{
		"System Settings > VPN > Add VPN Configuration > L2TP over IPSec.",
		"Display name: " + v.Name + "\nServer address: " + v.Server + "\nAccount name: " + v.User,
		"User authentication: Password, and the user's password.",
		"Machine authentication: Shared secret, and the pre-shared key. Group name: empty.",
	}}
	if len(v.Routes) == 0 {
		c.steps = append(c.steps, "Options: switch on Send all traffic over VPN connection. Create.")
	} else {
		c.steps = append(c.steps, "Options: leave Send all traffic over VPN connection off. Create. The server tells the way to "+v.splitText()+".")
	}
	c.steps = append(c.steps, "Connect from System Settings > VPN, or from the VPN menu of the menu bar.")
	c.notes = []string{"vhub client card ... -w vhub.mobileconfig writes a profile; open it, then System Settings > General > Device Management > install.",
		"A group name would make macOS use aggressive mode, which the server refuses: leave it empty."}
	return c
}

func iosCard(v Values) card {
	c := card{steps: []string{
		"Settings > General > VPN & Device Management > VPN > Add VPN Configuration.",
		"Type: L2TP",
		"Description: " + v.Name + "\nServer: " + v.Server + "\nAccount: " + v.User,
		"RSA SecurID: off. Password: the user's. Secret: the pre-shared key.",
	}}
	if len(v.Routes) == 0 {
		c.steps = append(c.steps, "Send All Traffic: on. Proxy: Off. Done.")
	} else {
		c.steps = append(c.steps, "Send All Traffic: off. Proxy: Off. Done. The server tells the way to "+v.splitText()+".")
	}
	c.steps = append(c.steps, "Switch the VPN on in the same place.")
	c.notes = []string{"vhub client card ... -w vhub.mobileconfig writes a profile: send it to the device, open it, then Settings > General > VPN & Device Management > install.",
		"The system drops the tunnel when the device sleeps and Wi-Fi goes off; connect again, the address stays the same."}
	return c
}

func androidCard(v Values) card {
	c := card{steps: []string{
		"This is for Android up to 11. From 12 on Android makes no new L2TP profiles; one that was made before the update goes on working.",
		"Settings > Network & internet > Advanced > VPN > + (the path differs between makers).",
		"Name: " + v.Name + "\nType: L2TP/IPSec PSK\nServer address: " + v.Server,
		"L2TP secret: empty. IPSec identifier: empty (an identifier makes Android use aggressive mode).",
		"IPSec pre-shared key: the key.",
	}}
	if len(v.Routes) > 0 {
		c.steps = append(c.steps, "Show advanced options > Forwarding routes: "+strings.ReplaceAll(v.splitText(), ",", ""))
	}
	c.steps = append(c.steps, "Save. Tap the connection.\nUser name: "+v.User+"\nPassword: the user's. Connect.")
	if !v.Legacy {
		c.notes = append(c.notes, "Android up to 11 offers only the 1024-bit group (MODP 1024), which this port does not take. Set legacy = true\non the port to let it in; that group is weak against well-funded attackers.")
	}
	c.notes = append(c.notes, "There is no file for Android: its system imports none.")
	return c
}

func linuxCard(v Values) card {
	c := card{steps: []string{
		"Install the plug-in. Debian, Ubuntu: sudo apt install network-manager-l2tp-gnome (without a desktop: network-manager-l2tp)\nFedora: sudo dnf install NetworkManager-l2tp-gnome",
		"With a desktop: Settings > Network > VPN > + > Layer 2 Tunneling Protocol (L2TP).\nName: " + v.Name + "\nGateway: " + v.Server + "\nUser name: " + v.User,
		"IPsec Settings: tick Enable IPsec tunnel to L2TP host. Machine authentication: pre-shared key, and the key. OK.",
	}}
	if len(v.Routes) > 0 {
		c.steps = append(c.steps, "IPv4: routes "+v.splitText()+"; tick Use this connection only for resources on its network.")
	}
	c.steps = append(c.steps, "Without a desktop: write the file with vhub client card ... -w vhub.nmconnection --with-key, copy it, then\n"+
		"sudo install -m 600 -o root vhub.nmconnection /etc/NetworkManager/system-connections/\nsudo nmcli connection reload",
		"nmcli --ask connection up "+shQuote(v.Name))
	c.notes = []string{"If another xl2tpd of the system holds UDP 1701, the plug-in uses another source port; vhub takes any.",
		"libreswan 5 refuses IKEv1 unless /etc/ipsec.conf says ikev1-policy=accept in its config setup section; with strongSwan nothing is to do."}
	return c
}

func chromeCard(v Values) card {
	c := card{steps: []string{
		"Settings > Network > Add connection > Add built-in VPN.",
		"Service name: " + v.Name + "\nProvider type: L2TP/IPsec\nServer hostname: " + v.Server,
		"Authentication type: Pre-shared key. Group name: empty. Pre-shared key: the key.",
		"Username: " + v.User + "\nPassword: the user's. Connect.",
	}, notes: []string{"vhub client card ... -w vhub.onc writes a file for chrome://network > ONC Configuration > Import ONC."}}
	if len(v.Routes) > 0 {
		c.notes = append(c.notes, fmt.Sprintf("ChromeOS sends all traffic through this kind of tunnel; routes (%s) cannot be chosen.", v.splitText()))
	}
	return c
}
