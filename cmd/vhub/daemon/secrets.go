package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"vhub/config"
)

// keyed is a device that has read secret files.
type keyed interface {
	// rereadSecrets puts to work what the files say now and tells whether that
	// was something new; errRemake when the device must be made anew for it. An
	// error leaves the device as it was.
	rereadSecrets() (bool, error)
}

// secretNames are the secret files of a port.
func secretNames(cfg *config.Port) []string {
	var names []string
	switch {
	case cfg.EtherIP != nil && cfg.EtherIP.IPsec != nil:
		names = []string{cfg.EtherIP.IPsec.KeyFile}
	case cfg.L2TP != nil:
		names = []string{cfg.L2TP.TunnelSecretFile}
		if s := cfg.L2TP.IPsec; s != nil {
			names = append(names, s.KeyFile)
		}
		if s := cfg.L2TP.Servers; s != nil {
			names = append(names, s.SecretFile)
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}

// secretSum tells one set of secrets from another.
type secretSum [sha256.Size]byte

// sumSecrets reads the secret files of a port.
func sumSecrets(cfg *config.Port, keys keyReader) (sum secretSum, err error) {
	h := sha256.New()
	for _, name := range secretNames(cfg) {
		key, err := keys(name)
		if err != nil {
			return sum, fmt.Errorf("%s: %w", describe(cfg), err)
		}
		fmt.Fprintf(h, "%q\n", []byte(key))
	}
	return secretSum(h.Sum(nil)), nil
}

// rereadSecrets has every port read its secret files again and returns the
// ports for which they say something new. The caller holds d.changing.
func (d *Daemon) rereadSecrets() []string {
	var ports []string
	for _, h := range d.all() {
		for _, p := range h.all() {
			changed, err := p.rereadSecrets(d.ctx)
			if err != nil {
				p.log.Warn("a secret file cannot be used; the port goes on with what it said before", "error", oneLine(err))
			}
			if changed {
				p.log.Info("a secret file says something new; the peers need it too")
				ports = append(ports, p.name)
			}
		}
	}
	return ports
}

// rereadSecrets reads the port's secret files again. A port without a device
// reads them when it comes up.
func (p *port) rereadSecrets(ctx context.Context) (bool, error) {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.mu.Lock()
	dev, _ := p.dev.(keyed)
	p.mu.Unlock()
	if dev == nil {
		return false, nil
	}
	changed, err := dev.rereadSecrets()
	if errors.Is(err, errRemake) {
		p.stop()
		return true, p.start(ctx, lenient)
	}
	return changed, err
}
