package daemon

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"vhub/ipsec"
	"vhub/ipsec/esp"
)

// pathSender is a tunnel whose path MTU may be pinned by the configuration.
type pathSender struct {
	*ipsec.Tunnel
	mtu     atomic.Int64 // outer IP packet, bytes; 0: the engine's finding counts
	payload atomic.Int64 // what mtu leaves with the SA in use
}

// PathMTU is the largest payload in bytes that crosses without outer fragments.
func (s *pathSender) PathMTU() int {
	found := s.Tunnel.PathMTU()
	if p := int(s.payload.Load()); p > 0 && s.mtu.Load() > 0 {
		return p
	}
	return found
}

// pin sets the MTU of the path; 0 has the engine find it.
func (s *pathSender) pin(mtu int) {
	s.mtu.Store(int64(mtu))
	s.measure()
}

// measure computes what the pinned MTU leaves, with the SA in use. While there
// is none it assumes the costliest: CBC with SHA-2 in UDP.
func (s *pathSender) measure() {
	mtu := int(s.mtu.Load())
	if mtu == 0 {
		return
	}
	suite := esp.Suite{Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACSHA256}
	outer, mode := esp.Outer{UDP: true}, esp.Transport
	for _, p := range s.Tunnel.Status().Paths {
		for _, sa := range p.SAs {
			if !p.Active || !sa.InUse {
				continue
			}
			if used, err := esp.ParseSuite(sa.Suite); err == nil {
				suite = used
			}
			outer.UDP = sa.Encap == "udp"
			outer.IPv6 = isIPv6(p.Remote)
			if sa.Mode == esp.Tunnel.String() {
				mode = esp.Tunnel
			}
		}
	}
	s.payload.Store(int64(suite.MaxPayload(mtu, outer, mode, outer.IPv6)))
}

// isIPv6 tells the family of "address:port" or "address".
func isIPv6(endpoint string) bool {
	if a, err := netip.ParseAddrPort(endpoint); err == nil {
		return a.Addr().Unmap().Is6()
	}
	return strings.Count(endpoint, ":") > 1
}

// remeasure is how often the SA in use is looked at: a rekey may agree on
// another suite.
const remeasure = 5 * time.Second

// follow measures again now and then, until ctx ends.
func (s *pathSender) follow(ctx context.Context) {
	tick := time.NewTicker(remeasure)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.measure()
		}
	}
}
