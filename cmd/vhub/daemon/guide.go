package daemon

import (
	"context"
	"net"
	"net/netip"

	"vhub/api"
	"vhub/config"
	"vhub/eth"
	"vhub/etherip"
	"vhub/guide"
	"vhub/ipsec/esp"
)

// peerGuide writes the configuration of a port's peer.
func (d *Daemon) peerGuide(_ context.Context, r api.GuideRequest) (api.Guide, error) {
	p, err := d.portNamed(r.Hub, r.Port)
	if err != nil {
		return api.Guide{}, err
	}
	cfg := p.config()
	if !usesEngine(cfg) {
		return api.Guide{}, api.Errorf(api.CodeBadRequest, "%s is not an etherip port in IPsec", describe(cfg)).WithHint("its peer needs no more than an address; see 'vhub port show %s'", cfg.Name)
	}
	if r.Address != "" {
		if err := config.CheckHost(r.Address); err != nil {
			return api.Guide{}, api.Errorf(api.CodeBadRequest, "address: %v", err)
		}
	}
	values := guideValues(cfg)
	var out api.Guide
	values.Server = r.Address
	local, known := d.localAddr(cfg)
	if known && values.Server == "" {
		values.Server = local.String()
		if local.IsPrivate() || local.IsLoopback() || local.IsLinkLocalUnicast() {
			out.Notes = append(out.Notes, "the address "+values.Server+" is private: if the peer is elsewhere, say with --address by which one it reaches this host")
		}
	}
	if a, err := netip.ParseAddr(r.Address); !known && err == nil {
		local, known = a, true // what we will say we are, unless an address translator is in the way
	}
	if known && values.ServerID.Type == "" {
		values.ServerID = guide.Identity{Type: config.IDAddress, Value: local.String()}
	}
	values.KeyFile = (&config.Config{File: d.opts.ConfigFile}).Path(cfg.EtherIP.IPsec.KeyFile)
	if out.Text, err = guide.RouterConfig(r.For, values); err != nil {
		return api.Guide{}, api.Errorf(api.CodeBadRequest, "%v", err)
	}
	return out, nil
}

// guideValues is what the configuration of a port says to its peer.
func guideValues(cfg *config.Port) guide.Router {
	e, s := cfg.EtherIP, cfg.EtherIP.IPsec
	v := guide.Router{
		Port: cfg.Name, ServerID: guide.Identity(s.LocalID), PeerID: guide.Identity(s.PeerID), PeerAddr: e.Peer, Mode: s.Mode, IKE: s.IKE, ESP: s.ESP,
		Legacy: s.Legacy, PFS: s.PFS, Tunnel: s.Tunnel, IKELifetime: s.IKELifetime, ESPLifetime: s.ESPLifetime,
		DPDInterval: s.DPDInterval, DPDTimeout: s.DPDTimeout,
	}
	mode := esp.Transport
	if s.Tunnel {
		mode = esp.Tunnel
	}
	outer := esp.Outer{UDP: true} // a NAT may come into the way at any time
	if a, err := netip.ParseAddr(e.Peer); err == nil {
		outer.IPv6 = a.Is6()
	}
	mtu := e.PathMTU
	if mtu == 0 {
		mtu = 1500
	}
	v.InnerMTU = func(text string) int {
		suite, err := esp.ParseSuite(text)
		if err != nil {
			return 0
		}
		return suite.MaxPayload(mtu, outer, mode, outer.IPv6) - etherip.HeaderLen - eth.HeaderLen
	}
	return v
}

// localAddr is the address by which this host talks to a port's peer: of the
// port, of the engine, of the session there is, or of the route.
func (d *Daemon) localAddr(cfg *config.Port) (netip.Addr, bool) {
	if a := cfg.EtherIP.Local; a.IsValid() {
		return a, true
	}
	if listen := d.store.Current().IPsec.Listen; len(listen) > 0 {
		return listen[0], true
	}
	to := cfg.EtherIP.Peer
	if _, err := netip.ParseAddr(to); err != nil {
		to = "192.0.2.1" // any address that is not here (RFC 5737)
	}
	c, err := net.Dial("udp", net.JoinHostPort(to, "4500")) // sends nothing
	if err != nil {
		return netip.Addr{}, false
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), true
}
