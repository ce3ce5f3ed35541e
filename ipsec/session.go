package ipsec

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
)

// session is one IKE session as the data path sees it: where the peer is, what to
// seal with. The loop makes and ends it; what both sides use is atomic.
type session struct {
	id      ike.SessionID
	tunnel  *Tunnel
	dialled bool
	uplink  string // name of the uplink it was dialled from
	ifindex int    // interface to leave by, 0: the route's
	local   netip.AddrPort
	nat     ike.NAT
	since   time.Time
	info    peerInfo

	remote  atomic.Pointer[netip.AddrPort] // address and port of UDP, or of IKE with raw ESP
	out     atomic.Pointer[outbound]
	mtu     atomic.Int32  // of the route to the peer, bytes
	udpPort atomic.Uint32 // peer's UDP port inside ESP (road warriors)

	fragMu sync.Mutex
	frags  reassembler

	path    path      // probing; see probe.go
	up      bool      // has been usable and was not withdrawn; loop only
	mtuAt   time.Time // when the route was asked; loop only
	mtuSent uint64    // what sent was then; loop only
	astray  int       // how often in a row the route left from elsewhere; loop only
	roster  *roster   // where it waits for its turn; loop only
	at      int       // its place there

	children []*inbound // loop only
}

// peerInfo is what the newest phase 1 told of the peer.
type peerInfo struct {
	id     ike.ID
	vendor string
	suite  ike.Suite
}

func infoOf(ev *ike.Established) peerInfo { return peerInfo{ev.RemoteID, ev.Vendor, ev.Suite} }

// child is the child with this inbound SPI, or nil.
func (s *session) child(spi uint32) *inbound {
	for _, in := range s.children {
		if in.spi == spi {
			return in
		}
	}
	return nil
}

// sent is how many bytes of payload left by the SA in use.
func (s *session) sent() uint64 {
	if out := s.out.Load(); out != nil {
		return out.sa.Bytes()
	}
	return 0
}

// outbound is what Send needs to reach a peer. It is immutable but for its lock.
type outbound struct {
	child   *ike.Child
	sa      *esp.Outbound
	sock    Socket
	session *session

	// order keeps sealing and sending together when several goroutines send at once,
	// for peers whose anti-replay window may be small: strongSwan's is 32 packets,
	// less than one batch, and a batch that is overtaken would be lost. vhub's is large,
	// so between two vhubs with Multipath (which is how we know one) nobody waits.
	order  sync.Mutex
	strict bool
}

// inbound is what a reader needs to open a packet.
type inbound struct {
	spi     uint32
	child   *ike.Child
	sa      *esp.Inbound
	session *session
	out     *outbound    // of the same child
	told    atomic.Bool  // the loop knows that the SA is in use
	usable  atomic.Bool  // IKE has said ChildUsable
	waits   bool         // the loop's: it is, but the peer may not have installed it yet
	last    atomic.Int64 // when a packet last was opened, Unix nanoseconds
	rekeyAt time.Time    // the loop's: when a successor was first asked for, its bytes being used up
	restAt  time.Time    // the loop's: when its SAs were last told to rest
}

// remoteOf is where packets to the peer go: with raw ESP no port.
func (o *outbound) remote() netip.AddrPort {
	r := *o.session.remote.Load()
	if !o.child.UDP {
		return netip.AddrPortFrom(r.Addr(), 0)
	}
	return r
}

// outer is what stands before ESP on the wire.
func (o *outbound) outer() esp.Outer {
	return esp.Outer{IPv6: o.session.remote.Load().Addr().Is6(), UDP: o.child.UDP}
}

// maxPayload is the largest payload that crosses in one piece.
func (o *outbound) maxPayload() int {
	return o.child.Suite.MaxPayload(int(o.session.mtu.Load()), o.outer(), o.child.Mode, o.sa.InnerIPv6())
}

// newChild makes both directions of a child.
func (e *Engine) newChild(s *session, c *ike.Child) (*inbound, error) {
	alg := s.tunnel.alg
	inSA, err := esp.NewInbound(esp.Config{
		SPI: c.In.SPI, Suite: c.Suite, Keys: c.In.Keys, Mode: c.Mode, ESN: c.ESN,
		Window: alg.Window, LaxPadding: alg.LaxPadding,
	})
	if err != nil {
		return nil, err
	}
	cfg := esp.Config{SPI: c.Out.SPI, Suite: c.Suite, Keys: c.Out.Keys, Mode: c.Mode, ESN: c.ESN, Rand: e.cfg.Rand}
	if c.Mode == esp.Tunnel {
		cfg.InnerSrc = innerAddr(c.LocalSelector, s.local.Addr())
		cfg.InnerDst = innerAddr(c.RemoteSelector, s.remote.Load().Addr())
	}
	outSA, err := esp.NewOutbound(cfg)
	if err != nil {
		return nil, err
	}
	kind := Raw
	if c.UDP {
		kind = NATT
	}
	sock, err := e.socketFor(kind, s.local.Addr())
	if err != nil {
		return nil, err
	}
	in := &inbound{spi: c.In.SPI, child: c, sa: inSA, session: s}
	in.out = &outbound{child: c, sa: outSA, sock: sock, session: s, strict: !strings.Contains(s.info.vendor, "vhub")}
	return in, nil
}

// innerAddr is the address for the inner header of tunnel mode: the selector's
// when it is a single one, else the outer one.
func innerAddr(sel ike.Selector, outer netip.Addr) netip.Addr {
	if sel.From.IsValid() && sel.From == sel.To && !sel.From.IsUnspecified() {
		return sel.From
	}
	return outer
}

// allows tells whether an inner address is one that was negotiated (RFC 4301 5.2
// step 4). A selector without addresses stands for the peer itself, whose private
// address nobody told us.
func allows(sel ike.Selector, a netip.Addr) bool {
	if !sel.From.IsValid() || sel.From.Is4() != a.Is4() {
		return !sel.From.IsValid()
	}
	return sel.From.Compare(a) <= 0 && a.Compare(sel.To) <= 0
}
