package ipsec

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

func errNoPeer(name string) error { return fmt.Errorf("ipsec: there is no peer %q", name) }

func errNoPath(name, uplink string) error {
	return fmt.Errorf("ipsec: peer %q has no path up by uplink %q", name, uplink)
}

// Status is the engine at one moment.
type Status struct {
	Sockets   []SocketStatus    `json:"sockets"`
	Warnings  []string          `json:"warnings,omitempty"` // other users of IPsec on the machine, sockets that are missing
	Sessions  int               `json:"sessions"`
	HalfOpen  int               `json:"half_open"`
	Unknown   uint64            `json:"unknown_spi"` // ESP packets for no SA of ours
	Runts     uint64            `json:"runts"`
	IKELost   uint64            `json:"ike_lost"` // messages that found the queue full
	IKEBad    uint64            `json:"ike_bad"`
	IKEUnsent uint64            `json:"ike_unsent"`
	IKEDrops  map[string]uint64 `json:"ike_drops,omitempty"` // by reason
}

// SocketStatus is one socket.
type SocketStatus struct {
	Kind     string `json:"kind"`
	Local    string `json:"local"`
	Segment  bool   `json:"segment"`  // UDP segmentation offload works
	Coalesce bool   `json:"coalesce"` // UDP receive coalescing works
}

// TunnelStatus is one tunnel.
type TunnelStatus struct {
	Name    string       `json:"name"`
	Up      bool         `json:"up"`
	Role    string       `json:"role"`
	PeerID  string       `json:"peer_id,omitempty"` // as authenticated, or as configured while down
	MTU     int          `json:"mtu"`               // largest payload without outer fragments, bytes
	Paths   []PathStatus `json:"paths,omitempty"`
	Problem string       `json:"problem,omitempty"` // why it is not up
	In      Traffic      `json:"in"`
	Out     Traffic      `json:"out"`
	Drops   Drops        `json:"drops"`
}

// Traffic counts payload.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Drops are packets not carried, by reason.
type Drops struct {
	Replay    uint64 `json:"replay"`               // received: seen before, or behind the window
	Auth      uint64 `json:"auth"`                 // received: integrity check failed
	Malformed uint64 `json:"malformed"`            // received: length or trailer
	Protocol  uint64 `json:"protocol"`             // received: not the tunnel's protocol
	Inner     uint64 `json:"inner"`                // received: inner header malformed or addresses not negotiated
	Fragment  uint64 `json:"fragment"`             // received: inner fragments that never became whole
	NoSA      uint64 `json:"no_sa"`                // to send: the tunnel is down
	Seal      uint64 `json:"seal"`                 // to send: no sequence number left
	Send      uint64 `json:"send"`                 // to send: socket full, or no route
	SendError string `json:"send_error,omitempty"` // the last of them
}

// PathStatus is one session of a tunnel.
type PathStatus struct {
	Active    bool          `json:"active"`
	Uplink    string        `json:"uplink,omitempty"`
	Local     string        `json:"local"`
	Remote    string        `json:"remote"`
	NAT       string        `json:"nat"` // where translators are: none, ours, the peer's, both sides
	MTU       int           `json:"path_mtu"`
	Since     time.Time     `json:"since"`
	Dialled   bool          `json:"dialled"`
	Vendor    string        `json:"vendor,omitempty"`
	Suite     string        `json:"ike_suite"`
	ReauthAt  time.Time     `json:"reauth_at,omitzero"`
	Probed    bool          `json:"probed"` // RTT, Jitter and Loss are known
	Alive     bool          `json:"alive"`
	RTT       time.Duration `json:"rtt,omitempty"`
	Jitter    time.Duration `json:"jitter,omitempty"`
	Loss      float64       `json:"loss,omitempty"` // 0 to 1, of the last 120 probes
	LastHeard time.Time     `json:"last_heard,omitzero"`
	SAs       []SAStatus    `json:"sas"`
}

// SAStatus is one pair of ESP SAs.
type SAStatus struct {
	SPIIn   string    `json:"spi_in"` // the peer sends with it
	SPIOut  string    `json:"spi_out"`
	InUse   bool      `json:"in_use"` // we send with it
	Suite   string    `json:"suite"`
	Mode    string    `json:"mode"`
	Encap   string    `json:"encap"` // "udp" or "esp"
	ESN     bool      `json:"esn"`
	PFS     string    `json:"pfs,omitempty"`
	Born    time.Time `json:"born"`
	RekeyAt time.Time `json:"rekey_at,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Local   string    `json:"local_selector"`
	Remote  string    `json:"remote_selector"`
	In      Traffic   `json:"in"`
	Out     Traffic   `json:"out"`
	Replay  uint64    `json:"replay"`
	Auth    uint64    `json:"auth"`
}

// Status tells about the engine.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.ike.Counters()
	st := Status{
		Warnings: slices.Clone(e.warnings), Sessions: len(e.sessions), HalfOpen: c.HalfOpen,
		Unknown: e.count.unknownSPI.Load(), Runts: e.count.runt.Load(), IKELost: e.count.ikeLost.Load(),
		IKEBad: e.count.ikeBad.Load(), IKEUnsent: e.count.ikeSend.Load(), IKEDrops: map[string]uint64{},
	}
	for why, n := range c.Dropped {
		st.IKEDrops[string(why)] = n
	}
	for _, r := range e.readers {
		segment, coalesce := r.sock.Offload()
		st.Sockets = append(st.Sockets, SocketStatus{r.kind.String(), addrOf(r.local), segment, coalesce})
	}
	return st
}

// Tunnels tells about all tunnels: peers by name, then road warriors.
func (e *Engine) Tunnels() []TunnelStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []TunnelStatus
	for _, p := range e.peers {
		list = append(list, e.tunnelStatus(p.tunnel))
	}
	for _, r := range e.roads {
		for t := range r.tunnels {
			list = append(list, e.tunnelStatus(t))
		}
	}
	slices.SortFunc(list, func(a, b TunnelStatus) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Status tells about one tunnel.
func (t *Tunnel) Status() TunnelStatus {
	t.engine.mu.Lock()
	defer t.engine.mu.Unlock()
	return t.engine.tunnelStatus(t)
}

// Remote is where the peer is now, for log lines; the zero value while down.
func (t *Tunnel) Remote() netip.AddrPort {
	if s := t.active.Load(); s != nil {
		return *s.remote.Load()
	}
	return netip.AddrPort{}
}

// RemoteID is the identity that the peer proved; the zero ID while down.
func (t *Tunnel) RemoteID() ike.ID {
	t.engine.mu.Lock()
	defer t.engine.mu.Unlock()
	for _, s := range t.sessions() {
		return s.info.id
	}
	return ike.ID{}
}

// sessions are those of a tunnel, the active one first. The caller holds mu.
func (t *Tunnel) sessions() []*session {
	var list []*session
	active := t.active.Load()
	if active != nil {
		list = append(list, active)
	}
	all := []*session{}
	if t.peer != nil {
		all = t.peer.sessions
	} else if t.session != nil {
		all = append(all, t.session)
	}
	for _, s := range all {
		if s != active {
			list = append(list, s)
		}
	}
	return list
}

func (e *Engine) tunnelStatus(t *Tunnel) TunnelStatus {
	st := TunnelStatus{
		Name: t.name, Up: t.up, Role: "road warrior", MTU: t.PathMTU(),
		In:  Traffic{t.done.inPackets.Load(), t.done.inBytes.Load()},
		Out: Traffic{t.done.outPackets.Load(), t.done.outBytes.Load()},
		Drops: Drops{
			Replay: t.done.replay.Load(), Auth: t.done.auth.Load(), Malformed: t.done.malformed.Load(),
			Protocol: t.drops.protocol.Load(), Inner: t.drops.inner.Load(), Fragment: t.drops.fragment.Load(),
			NoSA: t.drops.noSA.Load(), Seal: t.drops.seal.Load(), Send: t.drops.send.Load(),
		},
	}
	if err := t.drops.lastError.Load(); err != nil {
		st.Drops.SendError = (*err).Error()
	}
	if t.peer != nil {
		st.Role, st.PeerID = t.peer.cfg.Role.String(), t.peer.cfg.PeerID.String()
		if !t.up {
			st.Problem = t.peer.problem()
		}
	}
	for _, s := range t.sessions() {
		st.PeerID = s.info.id.String()
		st.Paths = append(st.Paths, e.pathStatus(t, s))
		for _, in := range s.children {
			i, o := in.sa.Stats(), in.out.sa.Stats()
			st.In.Packets += i.Packets - i.Dummy
			st.In.Bytes += i.Bytes
			st.Out.Packets += o.Packets
			st.Out.Bytes += o.Bytes
			st.Drops.Replay += i.Replay
			st.Drops.Auth += i.Auth
			st.Drops.Malformed += i.Short + i.Padding
		}
	}
	return st
}

// problem is why the peer is not up, as far as is known.
func (p *peerState) problem() string {
	for _, d := range p.dials {
		if d.problem != "" {
			return d.problem
		}
	}
	if p.lastFailure != "" {
		return p.lastFailure
	}
	if len(p.dials) > 0 {
		return "dialling"
	}
	return "the peer has not called"
}

func (e *Engine) pathStatus(t *Tunnel, s *session) PathStatus {
	now := time.Now()
	st := PathStatus{
		Active: t.active.Load() == s, Uplink: s.uplink,
		Local: addrOf(s.local), Remote: addrOf(*s.remote.Load()), NAT: natText(s.nat),
		MTU: int(s.mtu.Load()), Since: s.since, Dialled: s.dialled, Vendor: s.info.vendor,
		Suite: s.info.suite.String(), Probed: s.path.probed(), Alive: s.up && !s.path.dead(now),
	}
	if st.Probed && s.dialled {
		st.RTT, st.Jitter = time.Duration(s.path.rtt.Load()), time.Duration(s.path.jitter.Load())
		st.Loss = s.path.loss()
	}
	times := map[uint32]ike.ChildStatus{}
	if is, ok := e.ike.Session(s.id); ok {
		for _, p1 := range is.Phase1 {
			st.ReauthAt = p1.ReauthAt
		}
		for _, c := range is.Children {
			times[c.Child.In.SPI] = c
		}
		st.LastHeard = is.LastHeard
	}
	for _, in := range s.children {
		if last := in.last.Load(); last != 0 && time.Unix(0, last).After(st.LastHeard) {
			st.LastHeard = time.Unix(0, last)
		}
		st.SAs = append(st.SAs, saStatus(s, in, times[in.spi]))
	}
	slices.SortFunc(st.SAs, func(a, b SAStatus) int { return a.Born.Compare(b.Born) })
	return st
}

func saStatus(s *session, in *inbound, times ike.ChildStatus) SAStatus {
	c, i, o := in.child, in.sa.Stats(), in.out.sa.Stats()
	st := SAStatus{
		SPIIn: fmt.Sprintf("%08x", c.In.SPI), SPIOut: fmt.Sprintf("%08x", c.Out.SPI),
		InUse: s.out.Load() == in.out, Suite: c.Suite.String(), Mode: c.Mode.String(), Encap: "esp", ESN: c.ESN,
		Born: c.Born, RekeyAt: times.RekeyAt, Expires: times.Expires,
		Local: c.LocalSelector.String(), Remote: c.RemoteSelector.String(),
		In: Traffic{i.Packets - i.Dummy, i.Bytes}, Out: Traffic{o.Packets, o.Bytes},
		Replay: i.Replay, Auth: i.Auth,
	}
	if c.UDP {
		st.Encap = "udp"
	}
	if c.PFS != 0 {
		st.PFS = c.PFS.String()
	}
	return st
}

// SAKeys are the secrets of one direction, for Wireshark's table of ESP SAs. They
// decrypt the peer's traffic: show them only to who asked for exactly that.
type SAKeys struct {
	Tunnel     string `json:"tunnel"`
	Source     string `json:"source"`
	Dest       string `json:"destination"`
	SPI        string `json:"spi"`
	Encryption string `json:"encryption"` // in Wireshark's words
	Key        string `json:"encryption_key"`
	Auth       string `json:"authentication"`
	AuthKey    string `json:"authentication_key"`
}

// Keys tells the keys of all ESP SAs of a tunnel, or of all tunnels with name "".
func (e *Engine) Keys(name string) []SAKeys {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []SAKeys
	for _, s := range e.sessions {
		if name != "" && s.tunnel.name != name {
			continue
		}
		local, remote := s.local.Addr().String(), s.remote.Load().Addr().String()
		for _, in := range s.children {
			c := in.child
			list = append(list, keysOf(s.tunnel.name, remote, local, c.Suite, c.In), keysOf(s.tunnel.name, local, remote, c.Suite, c.Out))
		}
	}
	return list
}

func keysOf(name, src, dst string, s esp.Suite, sa ike.SA) SAKeys {
	k := SAKeys{Tunnel: name, Source: src, Dest: dst, SPI: fmt.Sprintf("0x%08x", sa.SPI),
		Key: "0x" + hex.EncodeToString(sa.Keys.Enc) + hex.EncodeToString(sa.Keys.Salt), Auth: "NULL"}
	switch s.Cipher {
	case esp.AESGCM16:
		k.Encryption = "AES-GCM [RFC4106]"
		k.Auth = "ANY 128 bit authentication [no checking]"
	case esp.AESCBC:
		k.Encryption = "AES-CBC [RFC3602]"
	case esp.TripleDES:
		k.Encryption = "TripleDES-CBC [RFC2451]"
	}
	if len(sa.Keys.Auth) > 0 {
		k.AuthKey = "0x" + hex.EncodeToString(sa.Keys.Auth)
		k.Auth = map[esp.Auth]string{
			esp.HMACMD5: "HMAC-MD5-96 [RFC2403]", esp.HMACSHA1: "HMAC-SHA-1-96 [RFC2404]",
			esp.HMACSHA256: "HMAC-SHA-256-128 [RFC4868]", esp.HMACSHA384: "HMAC-SHA-384-192 [RFC4868]",
			esp.HMACSHA512: "HMAC-SHA-512-256 [RFC4868]",
		}[s.Auth]
	}
	return k
}
