package daemon

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vhub/api"
	"vhub/ipsec"
	"vhub/ipsec/ike"
)

// registerIPsec gives the server the operations on IPsec.
func (d *Daemon) registerIPsec(s *api.Server) {
	api.On(s, api.ListSAs, d.listSAs)
	api.On(s, api.PeerGuide, d.peerGuide)
}

// listSAs lists the SAs of both phases, and the keys only when they are asked for.
func (d *Daemon) listSAs(ctx context.Context, r api.SARequest) (api.SAList, error) {
	if r.Port != "" {
		p, err := d.portNamed(r.Hub, r.Port)
		if err != nil {
			return api.SAList{}, err
		}
		r.Hub = p.hub.name
	} else if r.Hub != "" {
		if _, err := d.hubNamed(r.Hub); err != nil {
			return api.SAList{}, err
		}
	}
	list := api.SAList{IKE: []api.IKESA{}, ESP: []api.ESPSA{}}
	if r.WithKeys {
		list.Keys = &api.SAKeys{IKEv1: []string{}, ESP: []string{}}
		d.log.Warn("the keys of SAs were shown", "who", api.WhoFrom(ctx).String(), "port", r.Port)
	}
	e := d.ipsec.now()
	if e == nil {
		return list, nil
	}
	wanted := func(name string) bool {
		hub, port, _ := cutPeerName(name)
		return (r.Hub == "" || hub == r.Hub) && (r.Port == "" || port == r.Port)
	}
	for _, s := range e.Sessions() {
		name := ""
		if s.Peer != nil {
			name = s.Peer.Name
		}
		if !wanted(name) {
			continue
		}
		for _, p1 := range s.Phase1 {
			list.IKE = append(list.IKE, ikeSA(name, s, p1))
			if r.WithKeys && len(p1.Key) > 0 {
				list.Keys.IKEv1 = append(list.Keys.IKEv1, ikeKeyLine(p1))
			}
		}
	}
	for _, t := range e.Tunnels() {
		if wanted(t.Name) {
			for _, p := range pathsOf(t) {
				list.ESP = append(list.ESP, p.SAs...)
			}
		}
	}
	if r.WithKeys {
		for _, k := range e.Keys("") {
			if wanted(k.Tunnel) {
				list.Keys.ESP = append(list.Keys.ESP, espKeyLine(k))
			}
		}
		slices.Sort(list.Keys.ESP)
	}
	return list, nil
}

// ikeKeyLine is a line of Wireshark's ikev1_decryption_table: the initiator's
// cookie and the encryption key, both in hexadecimal.
func ikeKeyLine(p ike.Phase1Status) string {
	return hex.EncodeToString(p.InitiatorCookie[:]) + "," + hex.EncodeToString(p.Key)
}

// espKeyLine is a line of Wireshark's esp_sa. With AES-GCM Wireshark wants no
// authentication, and the length of the ICV in the cipher's name.
func espKeyLine(k ipsec.SAKeys) string {
	if strings.HasPrefix(k.Encryption, "AES-GCM") {
		k.Encryption, k.Auth = "AES-GCM with 16 octet ICV [RFC4106]", "NULL"
	}
	family := "IPv4"
	if strings.Contains(k.Source, ":") {
		family = "IPv6"
	}
	quoted := []string{}
	for _, field := range []string{family, k.Source, k.Dest, k.SPI, k.Encryption, k.Key, k.Auth, k.AuthKey} {
		quoted = append(quoted, `"`+field+`"`)
	}
	return strings.Join(quoted, ",")
}

func ikeSA(name string, s ike.SessionStatus, p ike.Phase1Status) api.IKESA {
	hub, port, _ := cutPeerName(name)
	id := ""
	if !s.RemoteID.IsZero() {
		id = s.RemoteID.String()
	}
	return api.IKESA{
		Hub: hub, Port: port, PeerID: id, Local: s.Local.String(), Remote: s.Remote.String(),
		InitiatorCookie: hex.EncodeToString(p.InitiatorCookie[:]), ResponderCookie: hex.EncodeToString(p.ResponderCookie[:]),
		Initiator: p.Initiator, Exchange: p.Exchange.String(), State: p.State, Suite: suiteText(p.Suite), NATT: p.NATT, Vendor: p.Vendor,
		Born: p.Born.UTC(), ReauthAt: someTime(p.ReauthAt), Expires: someTime(p.Expires), LastHeard: someTime(s.LastHeard),
	}
}

func suiteText(s ike.Suite) string {
	if s == (ike.Suite{}) {
		return "" // not agreed on yet
	}
	return s.String()
}

// someTime is a time, or nil for none.
func someTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return timePtr(t)
}

// tunnelOf is a tunnel for the API.
func tunnelOf(s ipsec.TunnelStatus) api.Tunnel {
	t := api.Tunnel{PeerID: s.PeerID, Role: s.Role, Problem: s.Problem, Paths: pathsOf(s), TunnelDrops: map[string]uint64{}, SendError: s.Drops.SendError}
	d := s.Drops
	for reason, n := range map[string]uint64{"replay": d.Replay, "auth": d.Auth, "malformed": d.Malformed, "protocol": d.Protocol,
		"inner": d.Inner, "fragment": d.Fragment, "no-sa": d.NoSA, "seal": d.Seal, "send": d.Send} {
		if n > 0 {
			t.TunnelDrops[reason] = n
		}
	}
	return t
}

func pathsOf(s ipsec.TunnelStatus) []api.Path {
	hub, port, _ := cutPeerName(s.Name)
	paths := []api.Path{}
	for _, p := range s.Paths {
		x := api.Path{
			Active: p.Active, Uplink: p.Uplink, Local: p.Local, Remote: p.Remote, NAT: p.NAT, PathMTU: p.MTU, Since: p.Since.UTC(),
			Dialled: p.Dialled, Vendor: p.Vendor, IKESuite: p.Suite, ReauthAt: someTime(p.ReauthAt), LastHeard: someTime(p.LastHeard),
			Probed: p.Probed, Alive: p.Alive, DelaySeconds: p.RTT.Seconds(), JitterSeconds: p.Jitter.Seconds(), Loss: p.Loss, SAs: []api.ESPSA{},
		}
		for _, sa := range p.SAs {
			x.SAs = append(x.SAs, api.ESPSA{
				Hub: hub, Port: port, Local: p.Local, Remote: p.Remote, SPIIn: sa.SPIIn, SPIOut: sa.SPIOut, InUse: sa.InUse, Suite: sa.Suite,
				Mode: sa.Mode, Encap: sa.Encap, ESN: sa.ESN, PFS: sa.PFS, LocalSelector: sa.Local, RemoteSelector: sa.Remote,
				Born: sa.Born.UTC(), RekeyAt: someTime(sa.RekeyAt), Expires: someTime(sa.Expires),
				InPackets: sa.In.Packets, InBytes: sa.In.Bytes, OutPackets: sa.Out.Packets, OutBytes: sa.Out.Bytes,
				ReplayDrops: sa.Replay, AuthDrops: sa.Auth,
			})
		}
		paths = append(paths, x)
	}
	return paths
}

// socketsOf are the sockets that carry ESP, by kind and address. Several readers
// of one address have a socket each: an offload is on where all of them have it.
func socketsOf(s ipsec.Status) []api.Socket {
	var list []api.Socket
	for _, x := range s.Sockets {
		if x.Kind == ipsec.IKE.String() {
			continue
		}
		i := slices.IndexFunc(list, func(y api.Socket) bool { return y.Kind == x.Kind && y.Local == x.Local })
		if i < 0 {
			list = append(list, api.Socket{Kind: x.Kind, Local: x.Local, UDPGSO: x.Segment, UDPGRO: x.Coalesce})
			continue
		}
		list[i].UDPGSO = list[i].UDPGSO && x.Segment
		list[i].UDPGRO = list[i].UDPGRO && x.Coalesce
	}
	return list
}

// addrText is an endpoint without a port that says nothing.
func addrText(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return fmt.Sprint(a)
}
