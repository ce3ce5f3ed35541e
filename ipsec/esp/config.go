package esp

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Mode is how an SA carries its payload (RFC 4301 4.1).
type Mode uint8

// The modes.
const (
	Transport Mode = iota // the payload follows ESP at once
	Tunnel                // an inner IP header stands between ESP and the payload
)

// String returns "transport" or "tunnel".
func (m Mode) String() string {
	if m == Tunnel {
		return "tunnel"
	}
	return "transport"
}

// Config is one SA of either direction.
type Config struct {
	SPI   uint32 // not 0 (RFC 4303 2.1); 1 to 255 are reserved and not refused
	Suite Suite
	Keys  Keys
	Mode  Mode
	ESN   bool // extended (64-bit) sequence numbers, as negotiated

	// InnerSrc and InnerDst are the addresses of the inner header that an Outbound
	// in tunnel mode writes. Both IPv4 or both IPv6. An Inbound does not use them.
	InnerSrc, InnerDst netip.Addr

	// Window is how many packets an Inbound may be behind the newest and still be
	// taken. 0 means DefaultWindow; less than MinWindow is raised to it.
	Window int

	// LaxPadding makes an Inbound take padding bytes of any value. RFC 4303 2.4
	// wants 1, 2, 3, ... and a check; a few old routers fill otherwise.
	LaxPadding bool

	// Rand gives 16 bytes when an Outbound with CBC is made: the key of the function
	// that makes IVs. Needed there, not used otherwise.
	Rand io.Reader
}

// The anti-replay window, in packets.
const (
	DefaultWindow = 4096
	MinWindow     = 1024
	maxWindow     = 1 << 20
)

// What Open says of a packet it does not take. None of them changes the SA's
// state, so the caller drops the packet and goes on. They carry no numbers: they
// are counted by the SA (InboundStats) and are never a log line each.
var (
	ErrShort   = errors.New("esp: packet is too short or not whole blocks")
	ErrReplay  = errors.New("esp: sequence number was seen before or is behind the window")
	ErrAuth    = errors.New("esp: integrity check failed (another key, or changed on the way)")
	ErrPadding = errors.New("esp: trailer is malformed")
)

// What Seal says when it does not seal.
var (
	// ErrSequence: the SA has no sequence number left (RFC 4303 3.3.3). It never
	// wraps; the SA must be replaced, which OutboundStats.RekeyWanted asks for long before.
	ErrSequence = errors.New("esp: sequence numbers are used up; the SA must be replaced")
	// ErrRoom: the packet's buffer has no room for header or trailer.
	ErrRoom = errors.New("esp: no room around the payload")
)

func (c *Config) check() error {
	if c.SPI == 0 {
		return errors.New("esp: SPI 0 is reserved")
	}
	if err := c.Suite.Check(); err != nil {
		return err
	}
	if err := c.Keys.check(c.Suite); err != nil {
		return err
	}
	if c.Mode != Transport && c.Mode != Tunnel {
		return fmt.Errorf("esp: unknown mode %d", c.Mode)
	}
	return nil
}
