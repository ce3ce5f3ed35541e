package lab_test

import (
	"encoding/json"
	"testing"
	"time"

	"vhub/internal/interop"
	"vhub/internal/netlab"
	"vhub/lab/roadclient"
	"vhub/lab/sites"
	"vhub/lab/softether"
)

// TestRoadClientDialsSoftEther has the synthetic client of the benchmarks and of
// the crowds dial SoftEther VPN Server: IKE with what SoftEther takes, EAP, which
// it offers first, refused for MS-CHAPv2, an address by DHCP, traffic. So the same
// client can be measured at both servers, and what passes with it at vhub is no
// agreement of vhub with itself.
func TestRoadClientDialsSoftEther(t *testing.T) {
	need(t, "dnsmasq")
	softether.Need(t)
	l := netlab.New(t)
	server, client := l.NS("server"), l.NS("client")
	l.Wire(server, "wan0", client, "wan0")
	server.Addr("wan0", "198.51.100.1/24")
	client.Addr("wan0", "198.51.100.2/24")
	softether.Start(t, server, softether.Config{PSK: sePSK, User: "labuser", Password: "labpass"})
	server.Addr(softether.TAP, "10.77.0.1/24")
	server.Start("dnsmasq", "dnsmasq", "-d", "-C", "/dev/null", "-u", "root", "--port=0", "--leasefile-ro", "--interface="+softether.TAP, "--bind-interfaces",
		"--dhcp-range=10.77.0.100,10.77.0.150,1h", "--dhcp-authoritative", "--no-ping")
	p := client.Start("road-tap", sites.Tool(t), "road-tap", "-server", "198.51.100.1", "-key", sePSK, "-user", "labuser", "-password", "labpass",
		"-tap", "rt", "-routes", "10.77.0.0/24", "-ike", "aes256-sha1-modp2048", "-esp", "aes128-sha1")
	var r roadclient.TAPReport
	l.WaitFor("the client up at SoftEther", 30*time.Second, func() (bool, string) {
		return json.Unmarshal([]byte(p.Output()), &r) == nil, p.Output()
	})
	t.Logf("up after %.2f s: %s at %s, MTU %d, IKE %s, ESP %s", r.Seconds, r.Address, r.Peer, r.MTU, r.IKE, r.ESP)
	if got := client.Ping("-c", "20", "-i", "0.05", "10.77.0.1"); got.Received != 20 || got.Duplicates > 0 {
		t.Errorf("through SoftEther: %s", got.Output)
	}
	interop.Record(t, "SoftEther VPN Server", softether.Version(), "initiator", "L2TP/IPsec by the synthetic client: EAP refused for MS-CHAPv2, address by DHCP, pings", "passed")
}
