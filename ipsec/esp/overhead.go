package esp

// Outer is what stands before the ESP header on the wire.
type Outer struct {
	IPv6 bool // an IPv6 header of 40 bytes, else IPv4 of 20
	UDP  bool // UDP encapsulation (RFC 3948): 8 bytes more
}

// HeaderLen is the length in bytes of IP and, where used, UDP.
func (o Outer) HeaderLen() int {
	n := ipLen(o.IPv6)
	if o.UDP {
		n += 8
	}
	return n
}

func ipLen(v6 bool) int {
	if v6 {
		return 40
	}
	return 20
}

const (
	headerLen  = 8 // SPI and sequence number
	trailerLen = 2 // pad length and next header
)

// PacketLen is the length in bytes, from SPI to the end of the ICV, of an ESP
// packet around a payload of n bytes (in tunnel mode n counts the inner header).
func (s Suite) PacketLen(n int) int {
	return headerLen + s.IVLen() + n + s.padLen(n) + trailerLen + s.ICVLen()
}

// padLen is the shortest padding that makes payload and trailer whole blocks
// (RFC 4303 2.4).
func (s Suite) padLen(n int) int {
	block := s.BlockLen()
	return (block - (n+trailerLen)%block) % block
}

// MaxPayload is the largest payload in bytes that crosses a path of the given
// MTU in one piece: what is left of an outer packet of mtu bytes after the outer
// header, ESP, padding to whole blocks and, in tunnel mode, the inner header
// (20 bytes, or 40 with inner6). It is 0 when nothing fits.
//
// Example: AES-CBC with SHA1 over IPv4 and UDP at 1500 leaves 1422 bytes; less 16
// for EtherIP and Ethernet that is an inner IP MTU of 1406.
func (s Suite) MaxPayload(mtu int, outer Outer, mode Mode, inner6 bool) int {
	room := mtu - outer.HeaderLen() - headerLen - s.IVLen() - s.ICVLen()
	room -= room % s.BlockLen()
	room -= trailerLen
	if mode == Tunnel {
		room -= ipLen(inner6)
	}
	return max(room, 0)
}
