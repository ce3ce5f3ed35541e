// Package eth holds Ethernet frames as views on bytes. It parses nothing into
// structs and allocates nothing per frame.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------------------------------------------------------+
//	|                 destination address (6 bytes)                 |
//	+                               +-------------------------------+
//	|                               |                               |
//	+-------------------------------+                               +
//	|                    source address (6 bytes)                   |
//	+-------------------------------+-------------------------------+
//	|  EtherType, or an 802.1Q tag (4 bytes) and then the EtherType |
//	+---------------------------------------------------------------+
//	|  payload ... (no FCS)                                         |
//
// Ownership: frames are lent. Whoever is handed a Frame may read its bytes
// until the call returns, must not write to them, and must copy what it keeps.
package eth

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
)

// Sizes in bytes.
const (
	HeaderLen = 14 // destination, source, EtherType
	TagLen    = 4  // one 802.1Q tag
	MinLen    = HeaderLen
	// MaxPlainLen is the longest frame that is not a large (segmentation
	// offload) frame: 9,000 bytes of payload, the header and two tags.
	MaxPlainLen = 9000 + HeaderLen + 2*TagLen
	// MaxLargeLen is the longest large frame: what a 16-bit IP length allows,
	// the header and two tags.
	MaxLargeLen = 65535 + HeaderLen + 2*TagLen
)

// EtherType values that the hub looks at.
const (
	TypeIPv4  = 0x0800
	TypeARP   = 0x0806
	TypeVLAN  = 0x8100 // 802.1Q customer tag
	TypeQinQ  = 0x88a8 // 802.1ad service tag
	TypeIPv6  = 0x86dd
	TypePause = 0x8808 // 802.3x MAC control
)

// Addr is a MAC address (EUI-48) in network order. It is comparable, so it can
// be a map key.
type Addr [6]byte

// Broadcast is the all-stations address ff:ff:ff:ff:ff:ff.
var Broadcast = Addr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ParseAddr reads a MAC address in the forms net.ParseMAC takes; it refuses
// EUI-64 and longer ones.
func ParseAddr(s string) (Addr, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return Addr{}, fmt.Errorf("%q is not a MAC address (want six bytes, like 02:00:5e:10:00:01)", s)
	}
	return Addr(hw), nil
}

// String returns the address as lower-case hex with colons.
func (a Addr) String() string {
	var b [17]byte
	for i, x := range a {
		hex.Encode(b[3*i:], []byte{x})
		if i < 5 {
			b[3*i+2] = ':'
		}
	}
	return string(b[:])
}

// MarshalText and UnmarshalText make an Addr a JSON string.
func (a Addr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is the opposite of MarshalText.
func (a *Addr) UnmarshalText(b []byte) error {
	x, err := ParseAddr(string(b))
	*a = x
	return err
}

// IsGroup tells a multicast or broadcast address (I/G bit, IEEE 802 section 8.2).
func (a Addr) IsGroup() bool { return a[0]&1 != 0 }

// IsZero tells the all-zero address, which no station may have.
func (a Addr) IsZero() bool { return a == Addr{} }

// IsReserved tells an address of the block 01:80:c2:00:00:00 to 0f, which a
// bridge never forwards (802.1Q section 8.6.3): BPDUs, pause, LLDP, LACP.
func (a Addr) IsReserved() bool {
	return a[0] == 0x01 && a[1] == 0x80 && a[2] == 0xc2 && a[3] == 0 && a[4] == 0 && a[5] < 0x10
}

// Uint64 returns the address in the low 48 bits.
func (a Addr) Uint64() uint64 {
	return uint64(a[0])<<40 | uint64(a[1])<<32 | uint64(binary.BigEndian.Uint32(a[2:]))
}

// GSO says what a large frame is made of. The values are vhub's own, not
// virtio's.
type GSO uint8

// The kinds of large frame.
const (
	GSONone GSO = iota // one plain frame
	GSOTCP4            // TCP over IPv4
	GSOTCP6            // TCP over IPv6
	GSOUDP             // UDP over IPv4 or IPv6 (virtio's UDP_L4): equal datagrams, the last may be shorter
)

// Offload is what the virtio-net header (virtio 1.2 section 5.1.6) says about
// a frame. All offsets are bytes from the start of Frame.Data.
type Offload struct {
	GSO        GSO
	ECN        bool   // GSOTCP*: the first segment carries CWR, and only it keeps it
	NeedsCsum  bool   // the 16 bits at CsumStart+CsumOffset hold the pseudo-header sum; the rest is to be added
	CsumValid  bool   // the checksums of this frame were checked by whoever handed it in
	HdrLen     uint16 // GSO: bytes up to the end of the TCP or UDP header (a hint: trust the headers)
	SegSize    uint16 // GSO: payload bytes a segment (TCP MSS, UDP datagram payload), > 0
	CsumStart  uint16 // where summing starts: the TCP or UDP header
	CsumOffset uint16 // where the sum goes, from CsumStart
}

// Frame is one Ethernet frame, or one large frame that stands for several
// (Offload.GSO is not GSONone). Data runs from the destination address to the
// end of the payload, without FCS; 802.1Q tags are in it.
type Frame struct {
	Data []byte
	Offload
}
