package daemon

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"vhub/config"
	"vhub/ipsec"
	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// peerConfig is what a port's configuration means for the engine. key is the
// pre-shared key, keepalive the engine's nat_keepalive.
func peerConfig(hubName string, cfg *config.Port, key config.Secret, keepalive time.Duration) (ipsec.PeerConfig, error) {
	e, s := cfg.EtherIP, cfg.EtherIP.IPsec
	c := ipsec.PeerConfig{Name: peerName(hubName, cfg.Name), Key: key, Role: roleOf(e), HoldDown: s.HoldDown, Uplinks: s.Uplinks}
	if e.Peer != "" {
		c.Addresses = []string{e.Peer}
	}
	if len(c.Uplinks) == 0 && e.Local.IsValid() && c.Role != ipsec.Responder {
		c.Uplinks = []string{e.Local.String()}
	}
	if c.Role == ipsec.Responder && len(c.Uplinks) > 0 {
		return c, fmt.Errorf("%s: uplinks are for dialling, and there is no peer to dial; give peer, or take uplinks away", describe(cfg))
	}
	if s.Tunnel {
		c.Mode = esp.Tunnel
	}
	// Auto dials in main mode, and answers both: only a port that never dials can say so.
	c.Aggressive = s.Mode == "aggressive" || s.Mode == "auto" && c.Role == ipsec.Responder && !s.PeerID.IsZero()
	// A peer with several uplinks says so itself; one without is always at one place.
	c.Multipath = c.Role == ipsec.Responder
	var err error
	if c.PeerID, err = identity(s.PeerID); err != nil {
		return c, fmt.Errorf("%s: peer_id: %w", describe(cfg), err)
	}
	if a, err := netip.ParseAddr(e.Peer); err == nil && c.PeerID.IsZero() {
		c.PeerID = ike.AddrID(a)
	}
	if c.LocalID, err = identity(s.LocalID); err != nil {
		return c, fmt.Errorf("%s: local_id: %w", describe(cfg), err)
	}
	if c.Algorithms, err = algorithms(s, keepalive); err != nil {
		return c, fmt.Errorf("%s: %w", describe(cfg), err)
	}
	return c, nil
}

// roleOf: without an address there is nobody to dial.
func roleOf(e *config.EtherIP) ipsec.Role {
	switch {
	case e.Peer == "" || e.IPsec.Role == "responder":
		return ipsec.Responder
	case e.IPsec.Role == "initiator":
		return ipsec.Initiator
	}
	return ipsec.Either
}

// identity is the engine's form of an identity.
func identity(id config.Identity) (ike.ID, error) {
	if id.Type == config.IDAddress {
		return ike.ParseID(id.Value)
	}
	return ike.ParseID(id.String())
}

// dpdEvery is how long IKE waits for each answer to a DPD question.
const dpdEvery = 2 * time.Second

// algorithms is what peers and road warriors say alike.
func algorithms(s *config.IPsec, keepalive time.Duration) (ipsec.Algorithms, error) {
	a := ipsec.Algorithms{
		Legacy: s.Legacy, ESN: s.ESN, Lifetime: s.IKELifetime, ChildLifetime: s.ESPLifetime, ChildBytes: uint64(s.ESPBytes),
		DPD: orNever(s.DPDInterval), DPDRetries: max(int((s.DPDTimeout-s.DPDInterval)/dpdEvery), 1),
		Keepalive: orNever(keepalive), ForceNATT: s.NATT == "always", Window: s.Replay,
	}
	for _, text := range s.IKE {
		suite, err := ike.ParseSuite(text)
		if err != nil {
			return a, err
		}
		a.Suites = append(a.Suites, suite)
	}
	for _, text := range s.ESP {
		suite, err := esp.ParseSuite(text)
		if err != nil {
			return a, err
		}
		a.ESP = append(a.ESP, suite)
	}
	var err error
	if s.PFS != "none" {
		a.PFS, err = group(s.PFS)
	}
	return a, err
}

// orNever: 0 in the file is never, which the engine writes as a negative time.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// group finds a Diffie-Hellman group by its name.
func group(name string) (ike.Group, error) {
	suite, err := ike.ParseSuite("aes128-sha1-" + strings.ToLower(name))
	if err != nil {
		return 0, fmt.Errorf("unknown group %q", name)
	}
	return suite.Group, nil
}
