package bridge

import (
	"encoding/binary"

	"vhub/eth"
)

// vnetLen is the length of the virtio-net header without the count of merged
// buffers: TAP and AF_PACKET both take this one.
const vnetLen = 10

// Flags and GSO types of the virtio-net header (virtio 1.2 section 5.1.6).
const (
	vnetNeedsCsum = 1
	vnetDataValid = 2

	vnetGSONone  = 0
	vnetGSOTCP4  = 1
	vnetGSOTCP6  = 4
	vnetGSOUDPL4 = 5
	vnetGSOECN   = 0x80
)

var gsoToVnet = [...]byte{eth.GSONone: vnetGSONone, eth.GSOTCP4: vnetGSOTCP4, eth.GSOTCP6: vnetGSOTCP6, eth.GSOUDP: vnetGSOUDPL4}

// encodeVnet writes o as the header of a frame. The kernel takes it in the
// byte order of the host (no VIRTIO_F_VERSION_1 on TAP and AF_PACKET).
func encodeVnet(h *[vnetLen]byte, o *eth.Offload) {
	*h = [vnetLen]byte{}
	if o.GSO != eth.GSONone && int(o.GSO) < len(gsoToVnet) {
		h[1] = gsoToVnet[o.GSO]
		if o.ECN && o.GSO != eth.GSOUDP {
			h[1] |= vnetGSOECN
		}
		binary.NativeEndian.PutUint16(h[2:], o.HdrLen)
		binary.NativeEndian.PutUint16(h[4:], o.SegSize)
	}
	if o.NeedsCsum {
		h[0] = vnetNeedsCsum
		binary.NativeEndian.PutUint16(h[6:], o.CsumStart)
		binary.NativeEndian.PutUint16(h[8:], o.CsumOffset)
	} else if o.CsumValid {
		h[0] = vnetDataValid
	}
}

// decodeVnet reads the header of a frame of n bytes. It says false where the
// header speaks of bytes that are not in the frame, or of a kind of large frame
// that vhub does not know. h has vnetLen bytes.
func decodeVnet(h []byte, n int) (o eth.Offload, ok bool) {
	_ = h[vnetLen-1]
	switch h[1] &^ vnetGSOECN {
	case vnetGSONone:
		if h[1] != 0 {
			return o, false // ECN is a property of large TCP frames
		}
	case vnetGSOTCP4:
		o.GSO = eth.GSOTCP4
	case vnetGSOTCP6:
		o.GSO = eth.GSOTCP6
	case vnetGSOUDPL4:
		if h[1]&vnetGSOECN != 0 {
			return o, false
		}
		o.GSO = eth.GSOUDP
	default:
		return o, false
	}
	if o.GSO != eth.GSONone {
		o.ECN = h[1]&vnetGSOECN != 0
		o.HdrLen = binary.NativeEndian.Uint16(h[2:])
		o.SegSize = binary.NativeEndian.Uint16(h[4:])
		if o.SegSize == 0 {
			return eth.Offload{}, false
		}
		// hdr_len is a hint, and some senders put the whole linear part there.
		o.HdrLen = uint16(min(int(o.HdrLen), n))
	}
	if h[0]&vnetNeedsCsum != 0 {
		o.NeedsCsum = true
		o.CsumStart = binary.NativeEndian.Uint16(h[6:])
		o.CsumOffset = binary.NativeEndian.Uint16(h[8:])
		if int(o.CsumStart)+int(o.CsumOffset)+2 > n {
			return eth.Offload{}, false
		}
	} else if h[0]&vnetDataValid != 0 {
		o.CsumValid = true
	}
	return o, true
}

// shift moves the offsets of a header by n bytes, when a tag was put in front
// of what they point at. It says false where they no longer fit 16 bits.
func shift(o *eth.Offload, n int) bool {
	if o.NeedsCsum {
		if int(o.CsumStart)+n > 0xffff {
			return false
		}
		o.CsumStart += uint16(n)
	}
	if o.GSO != eth.GSONone {
		o.HdrLen = uint16(min(int(o.HdrLen)+n, 0xffff))
	}
	return true
}
