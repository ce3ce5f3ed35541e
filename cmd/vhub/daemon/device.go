package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"vhub/config"
	"vhub/hub"
)

// device is what is under a port: a TAP, an interface, a peer. Each kind of
// port has a file here that makes one of its package's type.
type device interface {
	hub.Port
	// Run moves frames into the link until ctx ends, then returns nil; an error
	// says that the device is lost.
	Run(ctx context.Context, link *hub.Link) error
	// Close removes what was made.
	Close() error
	// reconfigure makes the live device what cfg says, or errRemake when it must
	// be made anew for that; it then changed nothing.
	reconfigure(cfg *config.Port) error
	// segment names the wire the device is on, "" where it shares none.
	segment() string
	// maxFrame is the longest frame in bytes, 0 for the usual.
	maxFrame() int
	// where is the device or the peer, in short.
	where() string
	// detail is what "port show" tells: a JSON object.
	detail() json.RawMessage
	// notes are what the user should know, in sentences.
	notes() []string
}

// troubled is a device that works and still may have something wrong with it:
// the peer cannot be reached, the bridge is gone.
type troubled interface {
	// trouble says what is wrong now, in a line; "" nothing.
	trouble() string
}

// errRemake is what reconfigure says to a change that the live device cannot make.
var errRemake = errors.New("the device must be made anew")

// opener makes the device of a port.
type opener func(hubName string, cfg *config.Port, log *slog.Logger) (device, error)

// deviceOpener is the opener of the program: it knows all kinds of port.
func deviceOpener(host *ipsecHost, keys keyReader, roads *roadHost) opener {
	return func(hubName string, cfg *config.Port, log *slog.Logger) (device, error) {
		switch {
		case cfg.Kind == config.KindTAP:
			return openTAP(hubName, cfg, log)
		case cfg.Kind == config.KindNIC:
			return openNIC(hubName, cfg, log)
		case cfg.Kind == config.KindEtherIP && cfg.EtherIP.Plain:
			return openPlain(hubName, cfg, log)
		case cfg.Kind == config.KindEtherIP:
			return openTunnel(hubName, cfg, host, keys, log)
		case cfg.Kind == config.KindL2TP:
			return openRoad(hubName, cfg, roads, log)
		}
		return nil, fmt.Errorf("%s: this vhub has no ports of kind %s", describe(cfg), cfg.Kind)
	}
}

// detailOf is a status as JSON. A status that cannot be written is an error of
// vhub; it must not keep the rest from being shown.
func detailOf(status any) json.RawMessage {
	raw, err := json.Marshal(status)
	if err != nil {
		raw, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return raw
}
