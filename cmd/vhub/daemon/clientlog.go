package daemon

import (
	"container/list"
	"context"
	"net/netip"
	"sync"

	"vhub/api"
)

// How much is kept: 1,024 addresses with 64 lines of some 300 bytes are 20 MB
// at the very most.
const (
	clientsKept     = 1024
	clientLinesKept = 64
)

// clientKeys are the attributes of a log line that hold the address of a
// client or peer; "was" is the one it had before it moved.
var clientKeys = []string{"client", "peer", "remote", "was"}

// clientLog remembers the last lines about each client's address, so that an
// operator can see at once what the server has to say about the client that
// does not get in. It may be used by many goroutines at once. Of too many
// addresses, the one that was logged about the longest ago is forgotten.
type clientLog struct {
	addresses, lines int

	mu     sync.Mutex
	byAddr map[netip.Addr]*list.Element // of *clientLines
	recent *list.List                   // the address of the newest line in front
}

// clientLines is the ring of one address.
type clientLines struct {
	addr  netip.Addr
	lines []api.Event
	next  int // where the next line goes, once the ring is full
}

func newClientLog(addresses, lines int) *clientLog {
	return &clientLog{addresses: addresses, lines: lines, byAddr: map[netip.Addr]*list.Element{}, recent: list.New()}
}

// add keeps the line for every address that it names as a client's.
func (c *clientLog) add(e api.Event) {
	var done [4]netip.Addr
	n := 0
next:
	for _, key := range clientKeys {
		addr, ok := clientAddr(e.Detail[key])
		if !ok {
			continue
		}
		for _, d := range done[:n] {
			if d == addr {
				continue next
			}
		}
		done[n] = addr
		n++
		c.mu.Lock()
		c.linesOf(addr).add(e, c.lines)
		c.mu.Unlock()
	}
}

// linesOf finds or makes the ring of an address, which becomes the newest.
func (c *clientLog) linesOf(addr netip.Addr) *clientLines {
	if el := c.byAddr[addr]; el != nil {
		c.recent.MoveToFront(el)
		return el.Value.(*clientLines)
	}
	if c.recent.Len() >= c.addresses {
		oldest := c.recent.Back()
		delete(c.byAddr, oldest.Value.(*clientLines).addr)
		c.recent.Remove(oldest)
	}
	l := &clientLines{addr: addr}
	c.byAddr[addr] = c.recent.PushFront(l)
	return l
}

func (l *clientLines) add(e api.Event, limit int) {
	if len(l.lines) < limit {
		l.lines = append(l.lines, e)
		return
	}
	l.lines[l.next] = e
	l.next = (l.next + 1) % limit
}

// last returns up to n lines of an address, oldest first; n = 0 is all.
func (c *clientLog) last(addr netip.Addr, n int) []api.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []api.Event{}
	el := c.byAddr[addr.Unmap()]
	if el == nil {
		return out
	}
	l := el.Value.(*clientLines)
	out = append(append(out, l.lines[l.next:]...), l.lines[:l.next]...)
	if n > 0 && len(out) > n {
		out = out[len(out)-n:]
	}
	return out
}

// clientAddr reads "address" or "address:port".
func clientAddr(s string) (netip.Addr, bool) {
	if s == "" {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		var ap netip.AddrPort
		if ap, err = netip.ParseAddrPort(s); err != nil {
			return netip.Addr{}, false
		}
		addr = ap.Addr()
	}
	return addr.Unmap().WithZone(""), !addr.IsUnspecified()
}

// registerClientLog gives the server the operation.
func (d *Daemon) registerClientLog(s *api.Server) {
	api.On(s, api.GetClientLog, func(_ context.Context, r api.ClientLogRequest) (api.ClientLog, error) {
		addr, ok := clientAddr(r.Address)
		if !ok {
			return api.ClientLog{}, api.Errorf(api.CodeBadRequest, "%q is not the IP address of a client", r.Address)
		}
		return api.ClientLog{Address: addr.String(), Lines: d.opts.Log.clients.last(addr, r.Last)}, nil
	})
}
