package radius

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// Server is where a server listens.
type Server struct {
	Host           string // address or host name; a name is looked up at the first request, and after silence
	Port           int    // authentication; 0 means 1812
	AccountingPort int    // 0: the port after Port
}

// Config is what a Client is made with.
type Config struct {
	Servers []Server   // best first
	Secret  []byte     // shared with all of them
	Local   netip.Addr // our address; invalid: the system's choice
	Timeout time.Duration
	// Timeout is how long an answer is waited for, 0 means 2 s; Retries is how
	// often a silent server is asked again.
	Retries int
	// DeadTime is how long a silent server is asked last. 0: it is asked in its
	// turn the next time.
	DeadTime      time.Duration
	NoAccounting  bool   // Account does nothing
	NASIdentifier string // "": the name of the host
	Queue         int    // records that may wait; 0 means 4,096
	Log           *slog.Logger
	// Dial opens a datagram socket to an address; nil: this machine's.
	Dial func(ctx context.Context, local netip.Addr, address string) (net.Conn, error)
}

// check fills in defaults.
func (c *Config) check() error {
	if len(c.Servers) == 0 {
		return errors.New("radius: no server")
	}
	if len(c.Secret) == 0 {
		return errors.New("radius: the shared secret is empty")
	}
	for i := range c.Servers {
		s := &c.Servers[i]
		if s.Port == 0 {
			s.Port = 1812
		}
		if s.AccountingPort == 0 {
			s.AccountingPort = s.Port + 1
		}
		if s.Host == "" || s.Port < 1 || s.Port > 65535 || s.AccountingPort < 1 || s.AccountingPort > 65535 {
			return fmt.Errorf("radius: no such server: host %q, ports %d and %d", s.Host, s.Port, s.AccountingPort)
		}
	}
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Queue <= 0 {
		c.Queue = 4096
	}
	if c.NASIdentifier == "" {
		c.NASIdentifier = "vhub"
		if name, err := os.Hostname(); err == nil && name != "" {
			c.NASIdentifier = name
		}
	}
	if len(c.NASIdentifier) > maxAttribute {
		return fmt.Errorf("radius: the NAS identifier has %d bytes; at most %d go into an attribute", len(c.NASIdentifier), maxAttribute)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = dialUDP
	}
	return nil
}

func dialUDP(ctx context.Context, local netip.Addr, address string) (net.Conn, error) {
	var d net.Dialer
	if local.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	return d.DialContext(ctx, "udp", address)
}

func (s Server) address(accounting bool) string {
	port := s.Port
	if accounting {
		port = s.AccountingPort
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}
