package daemon

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"

	"vhub/bridge"
	"vhub/config"
	"vhub/eth"
)

// tap is a bridge.TAP as a device.
type tap struct {
	*bridge.TAP
	hub string
}

func openTAP(hubName string, cfg *config.Port, log *slog.Logger) (device, error) {
	t, err := bridge.OpenTAP(tapConfig(hubName, cfg), log)
	if err != nil {
		return nil, err
	}
	return tap{t, hubName}, nil
}

func tapConfig(hubName string, cfg *config.Port) bridge.TAPConfig {
	c := cfg.TAP
	return bridge.TAPConfig{
		Hub: hubName, Name: cfg.Name, Ifname: c.Interface, Bridge: c.Bridge, MTU: c.MTU, MAC: c.MAC, Addresses: c.Addresses,
		Queues: c.Queues, CreateBridge: c.CreateBridge, PinStations: c.PinStations, Offload: c.Offload,
	}
}

func (t tap) reconfigure(cfg *config.Port) error {
	err := t.Reconfigure(tapConfig(t.hub, cfg))
	if errors.Is(err, bridge.ErrNeedsRecreate) {
		return errRemake
	}
	return err
}

func (t tap) segment() string { return t.Segment() }

func (t tap) maxFrame() int { return frameOf(t.Status().MTU) }

// frameOf is the longest frame at an MTU; never below the usual, since a
// wire may carry more than its MTU says.
func frameOf(mtu int) int { return max(mtu+eth.HeaderLen+2*eth.TagLen, eth.MaxPlainLen) }

func (t tap) where() string {
	s := t.Status()
	switch {
	case s.Bridge != "" && s.InBridge:
		return s.Ifname + " in " + s.Bridge
	case s.Bridge != "":
		return s.Ifname + ", not in " + s.Bridge
	}
	return s.Ifname
}

func (t tap) detail() json.RawMessage {
	s := t.Status()
	s.Warnings = nil // they are the port's trouble
	return detailOf(s)
}

func (t tap) notes() []string { return nil }

// trouble is what the keeper of the TAP warns of.
func (t tap) trouble() string { return strings.Join(t.Warnings(), "; ") }
