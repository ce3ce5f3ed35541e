package radius

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	layeh "layeh.com/radius"
)

// Client asks a group of servers. It is for concurrent use.
type Client struct {
	cfg   Config
	login []*socket
	acct  []*socket
	queue queue
}

// Status is a Client at work.
type Status struct {
	Login      []SocketStatus `json:"login"`
	Accounting []SocketStatus `json:"accounting,omitempty"`
	Waiting    int            `json:"waiting"` // records
	Sent       uint64         `json:"sent"`    // records that a server has
	Dropped    uint64         `json:"dropped"` // records: the queue was full, or the end came
}

// New makes a client. It opens no socket before it is asked for something.
func New(cfg Config) (*Client, error) {
	cfg.Servers = slices.Clone(cfg.Servers)
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg}
	for _, s := range cfg.Servers {
		c.login = append(c.login, newSocket(s.address(false), &c.cfg))
		if !cfg.NoAccounting {
			c.acct = append(c.acct, newSocket(s.address(true), &c.cfg))
		}
	}
	c.queue.init(cfg.Queue)
	return c, nil
}

// Close closes the sockets; requests under way fail at their next try. A
// Client that Run runs is closed by it.
func (c *Client) Close() {
	for _, s := range slices.Concat(c.login, c.acct) {
		s.close()
	}
}

// Login asks who the user is. It takes at most Timeout for each try of each
// server, and ends with ctx. An error means that no server answered; it names
// each.
func (c *Client) Login(ctx context.Context, r Request) (Grant, error) {
	p, from, err := c.ask(ctx, c.login, layeh.CodeAccessRequest, func(p *layeh.Packet) ([]byte, error) {
		if err := c.accessRequest(p, &r); err != nil {
			return nil, err
		}
		return sealAccess(p)
	})
	if err != nil {
		return Grant{}, err
	}
	g := readGrant(p, &r)
	g.Server = from
	return g, nil
}

// errRequest is a request that cannot be made, at no server.
type errRequest struct{ error }

// ask asks one server after the other until one answers: those in good
// standing in their order, then the dead ones, the one dead longest first.
func (c *Client) ask(ctx context.Context, sockets []*socket, code layeh.Code, seal func(*layeh.Packet) ([]byte, error)) (p *layeh.Packet, from string, err error) {
	var faults []string
	order := inOrder(sockets, time.Now())
	for i, s := range order {
		p, err := s.exchange(ctx, code, i+1 < len(order), func(p *layeh.Packet) ([]byte, error) {
			b, err := seal(p)
			if err != nil {
				return nil, errRequest{err}
			}
			return b, nil
		})
		var bad errRequest
		switch {
		case err == nil:
			s.answered()
			return p, s.address, nil
		case errors.As(err, &bad):
			return nil, "", bad.error
		case ctx.Err() != nil:
			return nil, "", fmt.Errorf("radius: no answer in time: %s", strings.Join(append(faults, s.address+": "+err.Error()), "; "))
		}
		s.gaveUp(time.Now(), err)
		faults = append(faults, s.address+": "+err.Error())
	}
	return nil, "", fmt.Errorf("radius: no server answers: %s", strings.Join(faults, "; "))
}

func inOrder(sockets []*socket, now time.Time) []*socket {
	l := slices.Clone(sockets)
	dead := map[*socket]time.Time{}
	for _, s := range l {
		dead[s] = s.deadUntil(now)
	}
	slices.SortStableFunc(l, func(a, b *socket) int { return dead[a].Compare(dead[b]) })
	return l
}

// Status tells about servers and records.
func (c *Client) Status() Status {
	now := time.Now()
	var st Status
	for _, s := range c.login {
		st.Login = append(st.Login, s.status(now))
	}
	for _, s := range c.acct {
		st.Accounting = append(st.Accounting, s.status(now))
	}
	st.Waiting, st.Sent, st.Dropped = c.queue.counts()
	return st
}
