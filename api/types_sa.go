package api

import "time"

// Tunnel is what a port whose peer is reached by IPsec tells besides its
// EtherIP: who the peer is, by which paths, and why it is not there.
type Tunnel struct {
	// PeerID is the peer's identity: as it proved it, or as configured while it is not there.
	PeerID string `json:"peer_id"`
	// Role is responder, initiator or either.
	Role string `json:"role"`
	// Problem is why the peer is not there, as far as is known.
	Problem string `json:"problem,omitempty"`
	// Paths are the sessions with the peer, the one that carries traffic first.
	Paths []Path `json:"paths"`
	// TunnelDrops are packets that the tunnel did not carry, by reason: replay, auth, malformed, protocol, inner,
	// fragment (received), no-sa, seal, send (to send). Reasons without a drop are left out.
	TunnelDrops map[string]uint64 `json:"tunnel_drops"`
	// SendError is the last error of the socket.
	SendError string `json:"send_error,omitempty"`
	// Sockets are those of IPsec, which all ports share.
	Sockets []Socket `json:"sockets,omitempty"`
}

// Socket is the sockets of IPsec of one kind at one address: those that carry ESP.
type Socket struct {
	// Kind is natt (UDP 4500: ESP in UDP) or raw (IP protocol 50, for which there are no offloads).
	Kind string `json:"kind"`
	// Local is its address and port.
	Local string `json:"local"`
	// UDPGSO is whether the kernel cuts what is sent into datagrams (segmentation offload).
	UDPGSO bool `json:"udp_gso"`
	// UDPGRO is whether the kernel joins datagrams that come in (receive offload).
	UDPGRO bool `json:"udp_gro"`
}

// Path is one session with a peer: one way to it.
type Path struct {
	// Active is the path that carries traffic.
	Active bool `json:"active"`
	// Uplink is the interface or source address of the configuration that it takes.
	Uplink string `json:"uplink,omitempty"`
	// Local and Remote are address and port of both ends.
	Local  string `json:"local"`
	Remote string `json:"remote"`
	// NAT says where addresses are translated: none, ours, the peer's, or both sides.
	NAT string `json:"nat"`
	// PathMTU is the largest outer IP packet in bytes.
	PathMTU int `json:"path_mtu"`
	// Since is when the peer was authenticated.
	Since time.Time `json:"since"`
	// Dialled is set where we began.
	Dialled bool `json:"dialled"`
	// Vendor is what the peer says it is.
	Vendor string `json:"vendor,omitempty"`
	// IKESuite is what phase 1 agreed on.
	IKESuite string `json:"ike_suite"`
	// ReauthAt is when phase 1 is renewed by us.
	ReauthAt *time.Time `json:"reauth_at,omitempty"`
	// LastHeard is when something authentic last came.
	LastHeard *time.Time `json:"last_heard,omitempty"`
	// Probed is set where the path is measured: then the next four say something.
	Probed bool `json:"probed"`
	// Alive is whether the path answers.
	Alive bool `json:"alive"`
	// DelaySeconds is the smoothed time there and back, JitterSeconds its variation.
	DelaySeconds  float64 `json:"delay_seconds"`
	JitterSeconds float64 `json:"jitter_seconds"`
	// Loss is the share of the last 120 probes that were lost, 0 to 1.
	Loss float64 `json:"loss"`
	// SAs are the path's pairs of ESP SAs, the oldest first.
	SAs []ESPSA `json:"sas"`
}

// SAList is the security associations of both phases.
type SAList struct {
	IKE []IKESA `json:"ike"`
	ESP []ESPSA `json:"esp"`
	// Keys are there only when they were asked for.
	Keys *SAKeys `json:"keys,omitempty"`
}

// IKESA is one phase 1 SA (ISAKMP SA).
type IKESA struct {
	// Hub and Port say whose it is; empty while the peer is not authenticated.
	Hub  string `json:"hub,omitempty"`
	Port string `json:"port,omitempty"`
	// PeerID is the identity that the peer proved.
	PeerID string `json:"peer_id"`
	// Local and Remote are address and port of both ends.
	Local  string `json:"local"`
	Remote string `json:"remote"`
	// InitiatorCookie and ResponderCookie are 16 hexadecimal digits each.
	InitiatorCookie string `json:"initiator_cookie"`
	ResponderCookie string `json:"responder_cookie"`
	// Initiator is set where we began.
	Initiator bool `json:"initiator"`
	// Exchange is main mode or aggressive mode.
	Exchange string `json:"exchange"`
	// State is how far the negotiation is.
	State string `json:"state"`
	// Suite is cipher, hash and group.
	Suite string `json:"suite"`
	// NATT is the NAT traversal in use.
	NATT string `json:"nat_t"`
	// Vendor is what the peer says it is.
	Vendor string    `json:"vendor,omitempty"`
	Born   time.Time `json:"born"`
	// ReauthAt is when it is renewed by us, Expires when it ends.
	ReauthAt  *time.Time `json:"reauth_at,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	LastHeard *time.Time `json:"last_heard,omitempty"`
}

// ESPSA is one pair of phase 2 SAs, in and out.
type ESPSA struct {
	Hub  string `json:"hub"`
	Port string `json:"port"`
	// Local and Remote are address and port of both ends.
	Local  string `json:"local"`
	Remote string `json:"remote"`
	// SPIIn is what the peer sends with, SPIOut what we send with, 8 hexadecimal digits each.
	SPIIn  string `json:"spi_in"`
	SPIOut string `json:"spi_out"`
	// InUse is set for the pair we send with.
	InUse bool `json:"in_use"`
	// Suite is the cipher, and the authentication where the cipher has none.
	Suite string `json:"suite"`
	// Mode is transport or tunnel.
	Mode string `json:"mode"`
	// Encap is udp, or esp for IP protocol 50.
	Encap string `json:"encap"`
	// ESN is set with 64-bit sequence numbers.
	ESN bool `json:"esn"`
	// PFS is the group of the exchange in phase 2.
	PFS string `json:"pfs,omitempty"`
	// LocalSelector and RemoteSelector are what the pair carries.
	LocalSelector  string    `json:"local_selector"`
	RemoteSelector string    `json:"remote_selector"`
	Born           time.Time `json:"born"`
	// RekeyAt is when it is renewed by us, Expires when it ends.
	RekeyAt *time.Time `json:"rekey_at,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	// InPackets and the next three count payload.
	InPackets  uint64 `json:"in_packets"`
	InBytes    uint64 `json:"in_bytes"`
	OutPackets uint64 `json:"out_packets"`
	OutBytes   uint64 `json:"out_bytes"`
	// ReplayDrops were seen before or came behind the window; AuthDrops failed the integrity check.
	ReplayDrops uint64 `json:"replay_drops"`
	AuthDrops   uint64 `json:"auth_drops"`
}

// SAKeys decrypt what the SAs carried and carry. The lines are in the form of
// the files of these names in Wireshark's configuration folder.
type SAKeys struct {
	IKEv1 []string `json:"ikev1_decryption_table"`
	ESP   []string `json:"esp_sa"`
}

// SARequest picks SAs; what is empty does not restrict.
type SARequest struct {
	Hub  string `query:"hub" json:"-"`
	Port string `query:"port" json:"-"`
	// WithKeys adds the keys.
	WithKeys bool `query:"with_keys" json:"-"`
}

// GuideRequest asks for the configuration of a port's peer.
type GuideRequest struct {
	Hub  string `path:"hub" json:"-"`
	Port string `path:"port" json:"-"`
	// For is what the peer is: nec-ix, cisco, yamaha, strongswan or vhub.
	For string `query:"for" json:"-"`
	// Address is the address or name by which the peer reaches us, where vhub cannot know it (behind a NAT).
	Address string `query:"address" json:"-"`
}

// Guide is the configuration of a port's peer.
type Guide struct {
	// Text is what to type at the peer, with comments. It never holds a key.
	Text string `json:"text"`
	// Notes are what to know besides.
	Notes []string `json:"notes,omitempty"`
}
