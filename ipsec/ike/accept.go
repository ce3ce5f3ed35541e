package ike

import (
	"fmt"
	"slices"

	"vhub/ipsec/esp"
)

// protocol numbers that children carry.
const (
	protoUDP     = 17
	protoEtherIP = 97
	portL2TP     = 1701
)

// AcceptEtherIP accepts children for EtherIP (RFC 3378): protocol 97 or any on both
// sides, any addresses. In tunnel mode routers often name subnets or 0.0.0.0/0.
func AcceptEtherIP(r *ChildRequest) error {
	for _, s := range []Selector{r.Local, r.Remote} {
		if (s.Protocol != 0 && s.Protocol != protoEtherIP) || s.Port != 0 {
			return fmt.Errorf("selector %s is not for EtherIP: want protocol 97 or any", s)
		}
	}
	return nil
}

// AcceptL2TP accepts children for L2TP (RFC 3193): UDP, or any protocol; our port 1701 or
// any; the client's port any (Apple sends from others). Addresses are the clients' own,
// often private ones: they are not looked at.
func AcceptL2TP(r *ChildRequest) error {
	for _, s := range []Selector{r.Local, r.Remote} {
		if s.Protocol != 0 && s.Protocol != protoUDP {
			return fmt.Errorf("selector %s is not for L2TP: want UDP or any", s)
		}
	}
	if !slices.Contains([]uint16{0, portL2TP}, r.Local.Port) {
		return fmt.Errorf("selector %s is not for L2TP: want port 1701 or any", r.Local)
	}
	return nil
}

// EtherIPChild is the child to bring up for EtherIP between the phase 1 addresses.
func EtherIPChild(name string, mode esp.Mode) ChildConfig {
	return ChildConfig{Name: name, Mode: mode, Local: Selector{Protocol: protoEtherIP}, Remote: Selector{Protocol: protoEtherIP}}
}

// L2TPChild is the child that an L2TP client brings up (RFC 3193 4).
func L2TPChild(name string) ChildConfig {
	return ChildConfig{Name: name, Mode: esp.Transport, Local: Selector{Protocol: protoUDP, Port: portL2TP},
		Remote: Selector{Protocol: protoUDP, Port: portL2TP}}
}
