package main

import (
	"encoding/json"
	"maps"
	"slices"

	"vhub/api"
)

// dropWords says in words why a device dropped frames, by the stable names of
// the packages bridge and etherip. The hub's own reasons come with their words.
var dropWords = map[string]string{
	// bridge
	"runt":            "shorter than an Ethernet header",
	"too-long":        "longer than any frame may be; the kernel cut it",
	"bad-vnet-header": "the virtio header makes no sense",
	"over-mtu":        "longer than the device's MTU",
	"bad-offload":     "the frame is not what its offload fields say",
	"device-full":     "the device took no more just then",
	"device-down":     "the device is down or gone",
	"device-refused":  "the kernel refused the frame",
	"own-host":        "to or from this host's own address, which the kernel hears itself",
	"socket-full":     "lost in the socket's buffer: vhub did not get the processor in time",
	// ipsec
	"replay":    "seen before, or behind the window: doubled or far too late on the way",
	"auth":      "the integrity check failed: damaged, forged, or of an SA that is gone at the peer",
	"malformed": "length or trailer of the ESP packet makes no sense",
	"protocol":  "carries another protocol than EtherIP inside ESP",
	"inner":     "the inner header makes no sense, or its addresses were not negotiated",
	"fragment":  "an inner fragment whose rest never came",
	"no-sa":     "the peer is not there",
	"seal":      "the SA has no sequence number left",
	"send":      "the socket's buffer was full, or there is no route to the peer",
	// l2tp
	"l2tp-header":       "no L2TP version 2 message",
	"control-tunnel":    "control message for a tunnel that is not here (any more)",
	"control-session":   "ICCN for a call that is not here (any more)",
	"control-malformed": "control message that makes no sense, or without the tunnel secret",
	"control-double":    "SCCRQ that came again; answered as before",
	"control-refused":   "tunnel or call over a limit, or not what a server takes",
	"l2tp-session":      "data for a session that is not here (any more)",
	"ppp-header":        "no PPP packet",
	"ppp-closed":        "an IP packet before the client had its address",
	"client-source":     "from an address that is not the client's",
	"client-packet":     "no IP packet, or its lengths do not fit",
	"not-for-client":    "flooded frames that are not for the client",
	"client-mtu":        "larger than the client takes and not to be fragmented; answered by ICMP",
	"carrier-full":      "what carries the client's packets took no more",
	"control-full":      "control packets while the control loop was behind",
	"next-hop-silent":   "the station or router it is for does not answer ARP or ND",
	"next-hop-queue":    "made room for newer packets while ARP or ND had no answer yet",
	// etherip
	"no-path":            "nothing carries the port's packets now",
	"too-big":            "larger than the path, and df is on",
	"bad-frame":          "the frame is not what its offload fields say",
	"not-taken":          "the sender's queue was full",
	"answer-lost":        "an ICMP answer was not sent: over the limit",
	"short-packet":       "no EtherIP header and Ethernet header in it",
	"bad-version":        "the EtherIP version is not 3",
	"bad-reserved":       "reserved bits of the EtherIP header are set",
	"long-frame":         "longer than any frame may be",
	"bad-source":         "source address is a group address or zero",
	"unreachable":        "no route to the peer, or the way out is down",
	"refused":            "a firewall rule of this machine refused it",
	"send-queue-full":    "the socket's send buffer was full",
	"oversize":           "larger than the path when it was sent",
	"send-error":         "the system could not send it",
	"receive-error":      "the system could not receive it",
	"truncated":          "longer than any frame may be",
	"receive-queue-full": "lost in the socket's buffer: vhub did not get the processor in time",
}

// deviceDrops finds the drops in what a device tells, by reason.
func deviceDrops(device json.RawMessage) []api.Drop {
	var d struct {
		Drops    map[string]uint64 `json:"drops"`
		Tunnel   map[string]uint64 `json:"tunnel_drops"`
		Counters struct {
			Drops map[string]uint64 `json:"drops"`
		} `json:"counters"`
	}
	if json.Unmarshal(device, &d) != nil {
		return nil
	}
	var list []api.Drop
	for _, drops := range []map[string]uint64{d.Drops, d.Tunnel, d.Counters.Drops} {
		for _, reason := range slices.Sorted(maps.Keys(drops)) {
			list = append(list, api.Drop{Reason: reason, Text: dropWords[reason], Frames: drops[reason]})
		}
	}
	return list
}
