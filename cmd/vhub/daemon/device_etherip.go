package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"reflect"

	"vhub/config"
	"vhub/etherip"
)

// errNoRaw is the lack of a right that raw sockets need beside bridge.ErrRights.
var errNoRaw = fmt.Errorf("plain EtherIP needs root or CAP_NET_RAW: %w", os.ErrPermission)

// plain is an etherip.Plain as a device.
type plain struct {
	*etherip.Plain
	cfg *config.EtherIP
}

func openPlain(_ string, cfg *config.Port, log *slog.Logger) (device, error) {
	c, err := plainConfig(cfg)
	if err != nil {
		return nil, err
	}
	p, err := etherip.OpenPlain(c, log)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%s: %w", describe(cfg), errNoRaw)
	}
	if err != nil {
		return nil, err
	}
	return plain{p, cfg.EtherIP}, nil
}

func plainConfig(cfg *config.Port) (etherip.PlainConfig, error) {
	c := cfg.EtherIP
	out := etherip.PlainConfig{Local: c.Local, PathMTU: c.PathMTU}
	var err error
	if out.Config, err = etherIPConfig(cfg); err != nil {
		return out, err
	}
	if out.Peer, err = netip.ParseAddr(c.Peer); err != nil {
		return out, fmt.Errorf("%s: peer %q is not an IP address", describe(cfg), c.Peer)
	}
	return out, nil
}

// reconfigure: everything about a peer needs the socket anew; a change of what
// only the hub looks at does not.
func (p plain) reconfigure(cfg *config.Port) error {
	if reflect.DeepEqual(p.cfg, cfg.EtherIP) {
		return nil
	}
	return errRemake
}

func (p plain) segment() string { return "" }

func (p plain) maxFrame() int { return 0 }

func (p plain) where() string { return p.cfg.Peer }

func (p plain) detail() json.RawMessage { return detailOf(p.Status()) }

func (p plain) trouble() string {
	if err := p.Status().Error; err != "" {
		return "no way to the peer: " + err
	}
	return ""
}

func (p plain) notes() []string {
	return []string{"plain EtherIP is neither encrypted nor authenticated: only for networks where nobody else can send from the peer's address"}
}
