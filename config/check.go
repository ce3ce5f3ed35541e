package config

import (
	"fmt"
	"net/netip"
)

// checkPort checks what the keys of one port say together; given tells where
// each key stands that the file has.
func (r *reader) checkPort(p *Port, given map[string]Pos) {
	where := func(name string) Pos {
		if pos, ok := given[name]; ok {
			return pos
		}
		return p.Pos
	}
	switch {
	case p.TAP != nil:
		if err := checkInterface(p.TAP.Interface); err != nil {
			r.errorf(where("interface"), "port %q: %v; give one: interface = \"vhub0\"", p.Name, err)
		}
		if p.TAP.CreateBridge && p.TAP.Bridge == "" {
			r.errorf(where("create_bridge"), "create_bridge needs bridge, like bridge = \"br0\"")
		}
	case p.EtherIP != nil:
		r.checkEtherIP(p, given, where)
	case p.L2TP != nil:
		r.checkL2TP(p, given, where)
	}
}

func (r *reader) checkEtherIP(p *Port, given map[string]Pos, where func(string) Pos) {
	e := p.EtherIP
	peer, peerErr := netip.ParseAddr(e.Peer)
	if peerErr == nil {
		e.Peer = peer.Unmap().String()
		if peer = peer.Unmap(); e.Local.IsValid() && e.Local.Is4() != peer.Is4() {
			r.errorf(where("local"), "local %s and peer %s are not of one family", e.Local, peer)
		}
	}
	if e.Local.IsValid() && e.Local.String() == e.Peer {
		r.errorf(where("local"), "local and peer are the same address %s", e.Peer)
	}
	if e.DF && e.PreFragment {
		r.errorf(where("df"), "df and pre_fragment exclude each other: say one")
	}
	if e.Plain {
		r.checkPlain(p, given, where)
		return
	}
	r.checkIPsec(p, e.IPsec, e.Peer, where)
}

func (r *reader) checkPlain(p *Port, given map[string]Pos, where func(string) Pos) {
	e := p.EtherIP
	if e.Peer == "" {
		r.errorf(where("plain"), "port %q is plain and needs peer, the one address it talks to", p.Name)
	} else if !isAddr(e.Peer) {
		r.errorf(where("peer"), "peer: %q is a host name; plain EtherIP needs the peer's address", e.Peer)
	}
	for _, a := range ipsecAttributes(func(*Port) *IPsec { return nil }) {
		if pos, ok := given[a.Name]; ok {
			r.errorf(pos, "%s is of IPsec, and port %q is plain: remove one of the two", a.Name, p.Name)
		}
	}
	e.IPsec = nil
}

func (r *reader) checkIPsec(p *Port, s *IPsec, peer string, where func(string) Pos) {
	if s.KeyFile == "" {
		hint := ""
		if p.EtherIP != nil {
			hint = ", or plain = true to go without IPsec"
		}
		r.errorf(where("key_file"), "port %q needs key_file, the file with the pre-shared key%s", p.Name, hint)
	}
	if peer == "" && s.PeerID.IsZero() {
		r.errorf(where("peer_id"), "port %q needs peer_id, the identity of its peer, or peer, its address", p.Name)
	} else if peer != "" && !isAddr(peer) && s.PeerID.IsZero() {
		r.errorf(where("peer"), "port %q needs peer_id: the peer is a host name, whose address may change", p.Name)
	}
	if s.Role == "initiator" && peer == "" {
		r.errorf(where("role"), "role = \"initiator\" needs peer, the address to begin with")
	}
	r.checkNegotiation(s, where)
}

// checkNegotiation checks what peers and road warriors have in common.
func (r *reader) checkNegotiation(s *IPsec, where func(string) Pos) {
	if s.DPDInterval > 0 && s.DPDTimeout <= s.DPDInterval {
		r.errorf(where("dpd_timeout"), "dpd_timeout %s must be longer than dpd_interval %s", durationText(s.DPDTimeout), durationText(s.DPDInterval))
	}
	if s.Legacy {
		return
	}
	for _, l := range []struct {
		name      string
		proposals []string
	}{{"ike", s.IKE}, {"esp", s.ESP}, {"pfs", []string{s.PFS}}} {
		for _, q := range l.proposals {
			if alg := legacyIn(q); alg != "" {
				r.errorf(where(l.name), "%s: %s is broken and allowed only with legacy = true", l.name, alg)
			}
		}
	}
}

// claim is something only one place of a configuration may have.
type claim struct {
	what string // `the peer 203.0.113.7`
	by   string // `port "a" of hub "default"`
	pos  Pos
}

// check finds what hubs and ports claim twice.
func (r *reader) check(c *Config) {
	hubs, ifaces, peers := map[string]Pos{}, map[string]claim{}, map[string]claim{}
	for i := range c.Hubs {
		h := &c.Hubs[i]
		r.name(hubs, h.Name, h.Pos, fmt.Sprintf("there are two hubs %q", h.Name))
		ports, bridges, stations := map[string]Pos{}, map[string]claim{}, map[string]claim{}
		for j := range h.Ports {
			p := &h.Ports[j]
			by := fmt.Sprintf("port %q of hub %q", p.Name, h.Name)
			r.name(ports, p.Name, p.Pos, fmt.Sprintf("hub %q has two ports %q", h.Name, p.Name))
			for _, s := range p.StaticMACs {
				r.claim(stations, s.String(), claim{"the static station " + s.String(), by, p.Pos})
			}
			switch {
			case p.TAP != nil:
				r.claim(ifaces, p.TAP.Interface, claim{fmt.Sprintf("the interface %q", p.TAP.Interface), by, p.Pos})
				if p.TAP.Bridge != "" {
					r.claim(bridges, p.TAP.Bridge, claim{fmt.Sprintf("the bridge %q (two ports of a hub in one bridge are a loop)", p.TAP.Bridge), by, p.Pos})
				}
			case p.NIC != nil && p.NIC.Interface != "": // without one: said already
				r.claim(ifaces, p.NIC.Interface, claim{fmt.Sprintf("the interface %q", p.NIC.Interface), by, p.Pos})
			case p.EtherIP != nil:
				r.claimPeer(peers, p, by)
			case p.L2TP != nil:
				r.resolveRadius(c, p)
				r.claimClients(peers, p, by)
			}
		}
	}
	r.checkBridges(c, ifaces)
	if e := c.IPsec; e.Port == e.NATPort {
		r.errorf(r.engine, "port and nat_port are both %d: IKE needs two UDP ports", e.Port)
	}
}

// claimPeer: a plain peer belongs to one port for each local address, an IPsec
// peer to one port by its identity.
func (r *reader) claimPeer(peers map[string]claim, p *Port, by string) {
	e := p.EtherIP
	if e.Plain {
		if e.Peer == "" {
			return // said already
		}
		c := claim{"the plain peer " + e.Peer, by, p.Pos}
		key, other := "plain "+e.Peer+" from "+e.Local.String(), "plain "+e.Peer+" from any"
		if !e.Local.IsValid() { // it has every local address
			key, other = other, "plain "+e.Peer+" from some"
		} else if _, ok := peers["plain "+e.Peer+" from some"]; !ok {
			peers["plain "+e.Peer+" from some"] = c
		}
		if first, ok := peers[other]; ok {
			r.twice(first, c)
			return
		}
		r.claim(peers, key, c)
		return
	}
	id := e.IPsec.PeerID
	if id.IsZero() && isAddr(e.Peer) {
		id = Identity{IDAddress, e.Peer}
	}
	if !id.IsZero() {
		r.claim(peers, "id "+id.String(), claim{"the peer " + id.String(), by, p.Pos})
	}
}

// checkBridges: a bridge is no TAP and no NIC of ours.
func (r *reader) checkBridges(c *Config, ifaces map[string]claim) {
	for i := range c.Hubs {
		for j := range c.Hubs[i].Ports {
			p := &c.Hubs[i].Ports[j]
			if p.TAP == nil || p.TAP.Bridge == "" {
				continue
			}
			if first, ok := ifaces[p.TAP.Bridge]; ok {
				r.errs = append(r.errs, &Error{Pos: p.Pos, Also: []Pos{first.pos},
					Message: fmt.Sprintf("port %q of hub %q has the bridge %q, which is the interface of %s", p.Name, c.Hubs[i].Name, p.TAP.Bridge, first.by)})
			}
		}
	}
}

// name: a name is there once.
func (r *reader) name(all map[string]Pos, name string, pos Pos, twice string) {
	if first, ok := all[name]; ok {
		r.errs = append(r.errs, &Error{Pos: pos, Also: []Pos{first}, Message: twice + "; give one another name"})
		return
	}
	all[name] = pos
}

func (r *reader) claim(all map[string]claim, key string, c claim) {
	if first, ok := all[key]; ok {
		r.twice(first, c)
		return
	}
	all[key] = c
}

func (r *reader) twice(first, second claim) {
	r.errs = append(r.errs, &Error{Pos: second.pos, Also: []Pos{first.pos},
		Message: fmt.Sprintf("%s has %s, and %s has it already", second.by, second.what, first.by)})
}
