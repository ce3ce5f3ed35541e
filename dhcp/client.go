package dhcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"vhub/eth"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// ClientConfig is what a Client is made with.
type ClientConfig struct {
	MAC  eth.Addr // the session's on the segment: the same at every connect
	VLAN uint16   // tag of the frames, 0 none
	// ID is the client identifier (option 61, type octet included), the same at
	// every connect; the MAC address with type 1 when empty.
	ID       []byte
	HostName string // option 12; what is no host name in it is left out
	// Want is the address asked for, invalid for any.
	Want netip.Addr
	// Last is the lease of an earlier connect; while it lasts it is asked for
	// first (INIT-REBOOT, RFC 2131 section 4.3.2). nil: none.
	Last *Lease
	// Patience is how long Start looks for an address before it fails, default
	// 8 s: a PPP client waits for IPCP not much longer.
	Patience time.Duration
}

// Timing, shorter than RFC 2131 section 4.1 has it for a network that starts all
// at once after a power cut: a login waits for us.
const (
	firstRetry  = time.Second // doubled with each try, and a tenth more or less
	maxRetry    = 8 * time.Second
	rebootTries = 2
	patience    = 8 * time.Second
	minRenewal  = time.Minute // between renewals (RFC 2131 section 4.4.5)
	// declineWait is what RFC 2131 section 3.1 asks for after a DECLINE is ten
	// seconds; a login does not wait so long, and the server that offers a used
	// address again gets no third chance.
	declineWait = time.Second
	maxDeclines = 2
	maxNotes    = 4
)

type state uint8

// The states of RFC 2131 figure 5, and two more: checking, between the ACK and
// the use, and rest.
const (
	rest state = iota
	rebooting
	selecting
	requesting
	checking
	declined
	bound
	renewing
	rebinding
)

var stateNames = [...]string{"rest", "rebooting", "selecting", "requesting", "checking", "declined", "bound", "renewing", "rebinding"}

// Client is the DHCPv4 client of one session on the segment.
type Client struct {
	cfg  ClientConfig
	rand io.Reader

	state    state
	xid      dhcpv4.TransactionID
	began    time.Time // of this search for an address
	giveUp   time.Time
	next     time.Time // when Advance has something to do
	tries    int
	declines int
	notes    int    // said since Start or the last acknowledgement
	offer    *Lease // while requesting and checking
	lease    *Lease // while bound, renewing, rebinding
}

// NewClient makes a client at rest. Transaction ids and the jitter of retries
// are read from rand.
func NewClient(cfg ClientConfig, rand io.Reader) *Client {
	if cfg.ID == nil {
		cfg.ID = append([]byte{1}, cfg.MAC[:]...)
	}
	if cfg.Patience == 0 {
		cfg.Patience = patience
	}
	cfg.HostName = hostName(cfg.HostName)
	return &Client{cfg: cfg, rand: rand}
}

// hostName leaves of a text what RFC 1123 section 2.1 allows in a host name.
func hostName(s string) string {
	s, _, _ = strings.Cut(s, ".")
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			return r
		case r == '_' || r == ' ':
			return '-'
		}
		return -1
	}, s)
	return strings.Trim(s[:min(len(s), 63)], "-")
}

// String names the client's state, for status displays.
func (c *Client) String() string { return stateNames[c.state] }

// Lease is what the client has, nil while it has none.
func (c *Client) Lease() *Lease { return c.lease }

// Start begins to look for an address: the one of an earlier lease that lasts,
// else any that a server offers.
func (c *Client) Start(now time.Time, out *Out) {
	c.began, c.giveUp, c.declines, c.notes, c.lease = now, now.Add(c.cfg.Patience), 0, 0, nil
	if last := c.cfg.Last; last != nil && (last.Expires.IsZero() || now.Before(last.Expires)) && last.Addr().Is4() {
		c.enter(rebooting)
		c.send(now, out)
		return
	}
	c.discover(now, out)
}

func (c *Client) discover(now time.Time, out *Out) {
	c.offer = nil
	c.enter(selecting)
	c.send(now, out)
}

// enter goes to a state with a transaction of its own; the REQUEST for an offer
// goes on with that of the offer (RFC 2131 section 4.4.1).
func (c *Client) enter(s state) {
	c.state, c.tries = s, 0
	if s != requesting {
		c.xid = dhcpv4.TransactionID(c.random())
	}
}

// random returns four random bytes; a source that fails gives what it gave.
func (c *Client) random() (b [4]byte) {
	io.ReadFull(c.rand, b[:])
	return b
}

// jitter returns d, up to a tenth more or less.
func (c *Client) jitter(d time.Duration) time.Duration {
	b := c.random()
	part := int64(binary.BigEndian.Uint16(b[:])) - 1<<15 // -32768..32767
	return d + time.Duration(int64(d)/10*part>>15)
}

// send sends the message of the state and sets when it is sent again.
func (c *Client) send(now time.Time, out *Out) {
	c.tries++
	retry := min(firstRetry<<min(c.tries-1, 10), maxRetry)
	switch c.state {
	case rebooting:
		// ciaddr zero, the address as an option, no server identifier.
		c.broadcast(now, out, dhcpv4.MessageTypeRequest, dhcpv4.OptRequestedIPAddress(ip(c.cfg.Last.Addr())))
	case selecting:
		var want []dhcpv4.Option
		if a := c.wanted(); a.Is4() {
			want = append(want, dhcpv4.OptRequestedIPAddress(ip(a)))
		}
		c.broadcast(now, out, dhcpv4.MessageTypeDiscover, want...)
	case requesting:
		c.broadcast(now, out, dhcpv4.MessageTypeRequest,
			dhcpv4.OptRequestedIPAddress(ip(c.offer.Addr())), dhcpv4.OptServerIdentifier(ip(c.offer.Server)))
	case renewing:
		c.unicast(now, out, dhcpv4.MessageTypeRequest)
		retry = max(c.lease.Rebind.Sub(now)/2, minRenewal)
	case rebinding:
		m := c.message(now, dhcpv4.MessageTypeRequest)
		m.ClientIPAddr = ip(c.lease.Addr())
		c.emit(out, eth.Broadcast, c.lease.Addr(), broadcast4, m)
		retry = max(c.lease.Expires.Sub(now)/2, minRenewal)
	}
	c.next = now.Add(c.jitter(retry))
}

func (c *Client) wanted() netip.Addr {
	if c.cfg.Last != nil && c.declines == 0 {
		return c.cfg.Last.Addr()
	}
	if c.declines == 0 {
		return c.cfg.Want
	}
	return netip.Addr{}
}

var (
	any4       = netip.AddrFrom4([4]byte{})
	broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})
)

func ip(a netip.Addr) []byte { return a.Unmap().AsSlice() }

// message makes a message with what every message has.
func (c *Client) message(now time.Time, typ dhcpv4.MessageType, more ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	m := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootRequest,
		HWType:        iana.HWTypeEthernet,
		TransactionID: c.xid,
		ClientHWAddr:  c.cfg.MAC[:],
		Options: dhcpv4.OptionsFromList(
			dhcpv4.OptMessageType(typ), dhcpv4.OptClientIdentifier(c.cfg.ID)),
	}
	m.NumSeconds = uint16(min(max(now.Sub(c.began)/time.Second, 0), 65535))
	if c.cfg.HostName != "" {
		m.UpdateOption(dhcpv4.OptHostName(c.cfg.HostName))
	}
	if typ == dhcpv4.MessageTypeDiscover || typ == dhcpv4.MessageTypeRequest {
		m.UpdateOption(dhcpv4.OptMaxMessageSize(maxMessage))
		m.UpdateOption(dhcpv4.OptParameterRequestList(parameters...))
	}
	for _, o := range more {
		m.UpdateOption(o)
	}
	return m
}

// parameters is what we ask servers for, routes first (RFC 3442).
var parameters = []dhcpv4.OptionCode{
	dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer,
	dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionNTPServers,
	dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue, dhcpv4.GenericOptionCode(optionMicrosoftRoutes),
}

// broadcast sends a message from 0.0.0.0 to all. From the third try on it asks
// for answers to all too: some server may be unable to send to an address that
// nobody has yet.
func (c *Client) broadcast(now time.Time, out *Out, typ dhcpv4.MessageType, more ...dhcpv4.Option) {
	m := c.message(now, typ, more...)
	if c.tries > 2 {
		m.SetBroadcast()
	}
	c.emit(out, eth.Broadcast, any4, broadcast4, m)
}

// unicast sends a message from our address to the server, by the station that
// its answer came from: itself, or the router in between.
func (c *Client) unicast(now time.Time, out *Out, typ dhcpv4.MessageType, more ...dhcpv4.Option) {
	m := c.message(now, typ, more...)
	m.ClientIPAddr = ip(c.lease.Addr())
	if typ == dhcpv4.MessageTypeRelease {
		m.UpdateOption(dhcpv4.OptServerIdentifier(ip(c.lease.Server)))
	}
	c.emit(out, c.lease.serverMAC, c.lease.Addr(), c.lease.Server, m)
}

func (c *Client) emit(out *Out, to eth.Addr, src, dst netip.Addr, m *dhcpv4.DHCPv4) {
	b := eth.AppendHeader(nil, c.cfg.VLAN, to, c.cfg.MAC, eth.TypeIPv4)
	out.Frames = append(out.Frames, appendIPv4UDP(b, src, dst, portClient, portServer, m.ToBytes()))
}

// Receive takes a frame from the segment; what is not an answer to this client
// is left alone. The frame is not kept.
func (c *Client) Receive(now time.Time, frame []byte, out *Out) {
	if c.state == rest || len(frame) < eth.HeaderLen {
		return
	}
	m := message(frame, portClient)
	if m == nil || m.OpCode != dhcpv4.OpcodeBootReply || m.TransactionID != c.xid || !bytes.Equal(m.ClientHWAddr, c.cfg.MAC[:]) {
		return
	}
	// A server that sends the client identifier back sends ours (RFC 6842 section 3).
	if id := m.Options.Get(dhcpv4.OptionClientIdentifier); id != nil && !bytes.Equal(id, c.cfg.ID) {
		return
	}
	switch m.MessageType() {
	case dhcpv4.MessageTypeOffer:
		c.offered(now, m, frame, out)
	case dhcpv4.MessageTypeAck:
		c.acked(now, m, frame, out)
	case dhcpv4.MessageTypeNak:
		c.naked(now, m, out)
	}
}

// offered takes the first good offer: what a second server would offer is no
// better for its coming later.
func (c *Client) offered(now time.Time, m *dhcpv4.DHCPv4, frame []byte, out *Out) {
	if c.state != selecting {
		return
	}
	l, err := leaseOf(now, m, eth.Source(frame))
	if err != nil || !l.Server.IsValid() {
		c.note(out, "a DHCP offer cannot be used: %v", orNoServer(err))
		return
	}
	c.offer = l
	c.enter(requesting)
	c.send(now, out)
}

func orNoServer(err error) error {
	if err == nil {
		return fmt.Errorf("it does not name its server")
	}
	return err
}

func (c *Client) acked(now time.Time, m *dhcpv4.DHCPv4, frame []byte, out *Out) {
	switch c.state {
	case rebooting, requesting, renewing, rebinding:
	default:
		return
	}
	l, err := leaseOf(now, m, eth.Source(frame))
	if err != nil {
		c.note(out, "a DHCP acknowledgement cannot be used: %v", err)
		return
	}
	c.known(l)
	if !l.Server.IsValid() {
		c.note(out, "a DHCP acknowledgement cannot be used: %v", orNoServer(nil))
		return
	}
	switch c.state {
	case rebooting, requesting:
		if want := c.asked(); l.Addr() != want {
			c.note(out, "a DHCP server acknowledged %s, and %s was asked for", l.Addr(), want)
			return
		}
		c.offer, c.state, c.next = l, checking, time.Time{}
		out.event(Event{Kind: Check, Addr: l.Addr()})
	case renewing, rebinding:
		if l.Addr() != c.lease.Addr() {
			c.lose(fmt.Sprintf("the DHCP server %s gives %s now", l.Server, l.Addr()), out)
			return
		}
		same := sameFacts(l, c.lease)
		l.Since = c.lease.Since
		c.lease, c.state, c.next, c.notes = l, bound, l.Renew, 0
		if !same {
			out.event(Event{Kind: Changed, Lease: l})
		}
	}
}

// known fills in the server where an acknowledgement does not name it.
func (c *Client) known(l *Lease) {
	if l.Server.IsValid() {
		return
	}
	switch c.state {
	case rebooting:
		l.Server = c.cfg.Last.Server
	case requesting:
		l.Server = c.offer.Server
	default:
		l.Server = c.lease.Server
	}
}

func (c *Client) asked() netip.Addr {
	if c.state == rebooting {
		return c.cfg.Last.Addr()
	}
	return c.offer.Addr()
}

func (c *Client) naked(now time.Time, m *dhcpv4.DHCPv4, out *Out) {
	switch c.state {
	case rebooting, requesting:
		c.cfg.Last = nil
		c.discover(now, out)
	case renewing, rebinding:
		c.lose("the DHCP server took the address back", out)
	}
}

// Checked answers the event Check: conflict tells that another station has the
// address. The address is declined then, and another looked for.
func (c *Client) Checked(now time.Time, conflict bool, out *Out) {
	if c.state != checking {
		return
	}
	if !conflict {
		c.lease, c.offer, c.state = c.offer, nil, bound
		c.next = c.lease.Renew
		out.event(Event{Kind: Assigned, Lease: c.lease})
		return
	}
	// RFC 2131 section 4.4.4: to all, ciaddr zero.
	m := c.message(now, dhcpv4.MessageTypeDecline,
		dhcpv4.OptRequestedIPAddress(ip(c.offer.Addr())), dhcpv4.OptServerIdentifier(ip(c.offer.Server)))
	c.emit(out, eth.Broadcast, any4, broadcast4, m)
	c.note(out, "another station has %s, which the DHCP server %s gave", c.offer.Addr(), c.offer.Server)
	c.cfg.Last, c.offer = nil, nil
	if c.declines++; c.declines > maxDeclines {
		c.fail(fmt.Sprintf("the DHCP server gave %d addresses that other stations have", c.declines), out)
		return
	}
	c.state, c.next = declined, now.Add(declineWait)
}

// Advance does what is due at now.
func (c *Client) Advance(now time.Time, out *Out) {
	if c.next.IsZero() || now.Before(c.next) {
		return
	}
	switch c.state {
	case rebooting, selecting, requesting, declined:
		c.search(now, out)
	case bound, renewing, rebinding:
		c.extend(now, out)
	}
}

// search goes on looking for an address.
func (c *Client) search(now time.Time, out *Out) {
	if !now.Before(c.giveUp) {
		c.fail(c.silent(), out)
		return
	}
	switch {
	case c.state == declined:
		c.discover(now, out)
	case c.state == rebooting && c.tries >= rebootTries:
		c.discover(now, out) // the server does not know us, or there is another now
	case c.state == requesting && c.tries >= 3:
		c.discover(now, out) // whoever offered it is gone
	default:
		c.send(now, out)
	}
	if c.next.After(c.giveUp) {
		c.next = c.giveUp
	}
}

func (c *Client) silent() string {
	if c.state == requesting {
		return fmt.Sprintf("the DHCP server %s offered an address and then fell silent", c.offer.Server)
	}
	return fmt.Sprintf("no DHCP server answered within %s", c.cfg.Patience)
}

// extend renews a lease in time (RFC 2131 section 4.4.5).
func (c *Client) extend(now time.Time, out *Out) {
	switch {
	case !now.Before(c.lease.Expires):
		c.lose("the DHCP lease ran out: no server renewed it", out)
		return
	case !now.Before(c.lease.Rebind):
		if c.state != rebinding {
			c.enter(rebinding)
		}
	case c.state == bound:
		c.enter(renewing)
	}
	c.send(now, out)
	// The next border may come before the next try.
	border := c.lease.Expires
	if c.state == renewing {
		border = c.lease.Rebind
	}
	if c.next.After(border) {
		c.next = border
	}
}

// Release gives the address back and rests: it tells the server where there is
// a lease (RFC 2131 section 4.4.6). The lease must not be used as Last then.
func (c *Client) Release(now time.Time, out *Out) {
	if c.lease != nil && !c.lease.serverMAC.IsZero() {
		c.xid = dhcpv4.TransactionID(c.random())
		c.unicast(now, out, dhcpv4.MessageTypeRelease)
	}
	c.cfg.Last = nil
	c.stop()
}

// Stop rests without a word to the server, and returns the lease, to be kept
// for the next connect; nil when there is none.
func (c *Client) Stop() *Lease {
	l := c.lease
	c.stop()
	return l
}

func (c *Client) stop() { c.state, c.next, c.lease, c.offer = rest, time.Time{}, nil, nil }

// note says what goes wrong, a few times: a server can cause it at any rate.
func (c *Client) note(out *Out, format string, args ...any) {
	if c.notes++; c.notes <= maxNotes {
		out.note(format, args...)
	}
}

func (c *Client) lose(reason string, out *Out) {
	c.cfg.Last = nil
	c.stop()
	out.event(Event{Kind: Lost, Reason: reason})
}

func (c *Client) fail(reason string, out *Out) {
	c.stop()
	out.event(Event{Kind: Failed, Reason: reason})
}

// Deadline is when Advance has something to do; the zero time for never.
func (c *Client) Deadline() time.Time { return c.next }
