package ppp

import "time"

// Link is one end of a PPP link.
type Link struct{}

// NewServer makes the end of a server. Nothing is sent before Open.
func NewServer(cfg Server) *Link { return &Link{} }

// NewClient makes the end of a client. Nothing is sent before Open.
func NewClient(cfg Client) *Link { return &Link{} }

// Open begins: the layer below is up.
func (l *Link) Open(now time.Time, out *Out) {}

// Receive takes one packet of the peer, with its PPP header; it is lent. IP
// packets are counted as drops: the caller passes those on itself.
func (l *Link) Receive(now time.Time, packet []byte, out *Out) {}

// Advance does what is due at now.
func (l *Link) Advance(now time.Time, out *Out) {}

// Deadline is when Advance must be called next at the latest; zero: never.
func (l *Link) Deadline() time.Time { return time.Time{} }

// Authenticated answers an EventAuth. An answer to one that the peer has
// overtaken by negotiating again is ignored.
func (l *Link) Authenticated(now time.Time, seq uint64, result Result, out *Out) {}

// Assign answers EventNetwork: a server opens IPCP and IPV6CP with these
// addresses. Called again, it negotiates again.
func (l *Link) Assign(now time.Time, a Addresses, out *Out) {}

// Heard tells that the peer sent IP packets: it is alive, and no echo request
// is needed for a while.
func (l *Link) Heard(now time.Time) {}

// Close ends the link: the peer is told, and EventEnd follows when it has
// confirmed or after at most two repetitions.
func (l *Link) Close(now time.Time, reason Reason, out *Out) {}

// Stats returns the counters.
func (l *Link) Stats() Stats { return Stats{} }
