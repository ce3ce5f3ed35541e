// Package etherip carries Ethernet frames in EtherIP (RFC 3378): IP protocol
// 97, a 16-bit header, then the frame from its destination address on, without
// FCS.
//
//	 0                   1
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
//	+-------+-----------------------+
//	|  0 3  |  reserved, 12 zeros   |   30 00, then the frame
//	+-------+-----------------------+
//
// OpenBSD and those after it had the nibbles of the first byte the other way
// round (03 00); both are taken, and a peer is answered in the form it sends.
//
// Port is the port of a hub. It hands finished packets to a Sender and is
// handed received ones through a Receiver: over Plain (raw sockets, in this
// package), or over IPsec, which this package does not know.
//
//	hub -> Port.WriteFrames -> split, complete checksums, clamp MSS, header -> Sender.Send
//	hub <- Reader.Input <- check, clamp MSS <- strip header <- Receiver.Receive
//
// What is larger than the path goes out whole and the sender makes outer
// fragments, unless Config says otherwise.
package etherip

import (
	"fmt"

	"vhub/internal/packet"
)

// Protocol is EtherIP's IP protocol number.
const Protocol = 97

// HeaderLen is the length of the EtherIP header in bytes.
const HeaderLen = 2

// Form is how the version stands in the EtherIP header.
type Form uint8

// The forms.
const (
	Auto     Form = iota // as the peer sends it; standard until it has sent
	Standard             // 30 00: the version in the upper four bits (RFC 3378 section 3)
	Swapped              // 03 00: in the lower four (OpenBSD, FreeBSD with send_rev_ethip_ver)
)

var formNames = [...]string{"auto", "standard", "swapped"}

// String returns auto, standard or swapped.
func (f Form) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return fmt.Sprintf("form-%d", uint8(f))
}

// MarshalText and UnmarshalText make a Form a JSON string.
func (f Form) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is the opposite of MarshalText.
func (f *Form) UnmarshalText(b []byte) error {
	for i, name := range formNames {
		if name == string(b) {
			*f = Form(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no form of the EtherIP header (auto, standard or swapped)", b)
}

// PutHeader writes the header to the first HeaderLen bytes of b. Auto is standard.
func PutHeader(b []byte, f Form) {
	b[0], b[1] = 0x30, 0
	if f == Swapped {
		b[0] = 0x03
	}
}

// ParseHeader reads the header of a payload, which has the frame behind it, and
// tells its form; or why it is none. "The EtherIP version field MUST be set to
// 3" and the rest to zero (RFC 3378 section 3).
func ParseHeader(b []byte) (Form, Reason) {
	switch {
	case len(b) < HeaderLen:
		return Auto, ShortPacket
	case b[0] == 0x30 && b[1] == 0:
		return Standard, none
	case b[0] == 0x03 && b[1] == 0:
		return Swapped, none
	case b[0]>>4 == 3 || b[0]&15 == 3:
		return Auto, BadReserved
	}
	return Auto, BadVersion
}

// Sender is what carries packets to the peer. It may be called by several
// goroutines at once, and does not wait.
type Sender interface {
	// Send sends packets in order and returns how many, from the first on, were
	// taken; taken ones may still be lost, and then the Sender counts them. The
	// bytes and the room around them may be overwritten (a packet is sealed in
	// place); they are the caller's again when Send returns.
	Send(packets []packet.Packet) int
	// PathMTU is the largest payload in bytes (EtherIP header and frame) that
	// now crosses without outer fragments. 0 means that it is not known.
	PathMTU() int
}
