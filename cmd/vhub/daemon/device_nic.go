package daemon

import (
	"encoding/json"
	"errors"
	"log/slog"

	"vhub/bridge"
	"vhub/config"
)

// nic is a bridge.NIC as a device.
type nic struct {
	*bridge.NIC
	hub string
}

func openNIC(hubName string, cfg *config.Port, log *slog.Logger) (device, error) {
	n, err := bridge.OpenNIC(nicConfig(hubName, cfg), log)
	if err != nil {
		return nil, err
	}
	return nic{n, hubName}, nil
}

func nicConfig(hubName string, cfg *config.Port) bridge.NICConfig {
	return bridge.NICConfig{Hub: hubName, Name: cfg.Name, Ifname: cfg.NIC.Interface, Promisc: cfg.NIC.Promisc, Offload: true}
}

func (n nic) reconfigure(cfg *config.Port) error {
	err := n.Reconfigure(nicConfig(n.hub, cfg))
	if errors.Is(err, bridge.ErrNeedsRecreate) {
		return errRemake
	}
	return err
}

func (n nic) segment() string { return n.Segment() }

func (n nic) maxFrame() int { return frameOf(n.Status().MTU) }

func (n nic) where() string { return n.Status().Ifname }

func (n nic) detail() json.RawMessage {
	s := n.Status()
	s.Warnings = nil // they are the port's notes
	return detailOf(s)
}

func (n nic) notes() []string { return n.Warnings() }
