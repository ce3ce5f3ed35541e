package l2tp

import (
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
)

// MessageType is the value of the first AVP of a control message (section 3.2).
type MessageType uint16

// The control messages.
const (
	SCCRQ   MessageType = 1
	SCCRP   MessageType = 2
	SCCCN   MessageType = 3
	StopCCN MessageType = 4
	Hello   MessageType = 6
	OCRQ    MessageType = 7
	OCRP    MessageType = 8
	OCCN    MessageType = 9
	ICRQ    MessageType = 10
	ICRP    MessageType = 11
	ICCN    MessageType = 12
	CDN     MessageType = 14
	WEN     MessageType = 15
	SLI     MessageType = 16
)

var messageNames = map[MessageType]string{SCCRQ: "SCCRQ", SCCRP: "SCCRP", SCCCN: "SCCCN", StopCCN: "StopCCN", Hello: "HELLO",
	OCRQ: "OCRQ", OCRP: "OCRP", OCCN: "OCCN", ICRQ: "ICRQ", ICRP: "ICRP", ICCN: "ICCN", CDN: "CDN", WEN: "WEN", SLI: "SLI"}

// String is the name the RFC uses.
func (m MessageType) String() string {
	if s := messageNames[m]; s != "" {
		return s
	}
	return fmt.Sprintf("message type %d", uint16(m))
}

// attribute is the number of an AVP of vendor 0 (section 4.4).
type attribute uint16

const (
	avpMessageType       attribute = 0
	avpResultCode        attribute = 1
	avpProtocolVersion   attribute = 2
	avpFramingCaps       attribute = 3
	avpBearerCaps        attribute = 4
	avpTieBreaker        attribute = 5
	avpFirmwareRevision  attribute = 6
	avpHostName          attribute = 7
	avpVendorName        attribute = 8
	avpAssignedTunnel    attribute = 9
	avpReceiveWindow     attribute = 10
	avpChallenge         attribute = 11
	avpQ931Cause         attribute = 12
	avpChallengeResponse attribute = 13
	avpAssignedSession   attribute = 14
	avpCallSerial        attribute = 15
	avpBearerType        attribute = 18
	avpFramingType       attribute = 19
	avpCalledNumber      attribute = 21
	avpCallingNumber     attribute = 22
	avpTxSpeed           attribute = 24
	avpRandomVector      attribute = 36
	avpRxSpeed           attribute = 38
	avpSequencing        attribute = 39
	avpLastKnown         attribute = 46 // PPP Disconnect Cause, RFC 3145
)

// Errors of a control message. Both are fatal for what the message is about
// (section 4.1 and 4.2); anything else an unknown AVP may be is ignored.
var (
	ErrAVP          = errors.New("malformed AVP")
	ErrMandatoryAVP = errors.New("unknown mandatory AVP")
	ErrHiddenAVP    = errors.New("hidden AVP that cannot be read: no shared secret, or no Random Vector before it")
)

const (
	avpMandatory  = 0x8000
	avpHidden     = 0x4000
	avpReserved   = 0x3c00
	avpLengthMask = 0x03ff
	avpHeaderLen  = 6
)

// maxAVPs bounds the work a message may cause.
const maxAVPs = 64

// message is a control message, read. Its byte slices are copies.
type message struct {
	Type      MessageType
	mandatory bool // the M bit of the Message Type
	values    map[attribute][]byte
}

// parseMessage reads the AVPs of a control message. A non-empty secret reads
// hidden ones (section 4.3).
func parseMessage(body []byte, secret []byte) (*message, error) {
	m := &message{values: make(map[attribute][]byte, 12)}
	var vector []byte
	for n := 0; len(body) > 0; n++ {
		if n >= maxAVPs || len(body) < avpHeaderLen {
			return m, ErrAVP
		}
		bits := binary.BigEndian.Uint16(body)
		length := int(bits & avpLengthMask)
		if length < avpHeaderLen || length > len(body) {
			return m, ErrAVP
		}
		vendor, attr := binary.BigEndian.Uint16(body[2:]), attribute(binary.BigEndian.Uint16(body[4:]))
		value := append([]byte(nil), body[avpHeaderLen:length]...)
		body = body[length:]
		// Section 4.1: an AVP with reserved bits set is treated as unknown.
		known := vendor == 0 && attr <= avpLastKnown && bits&avpReserved == 0
		if !known {
			if bits&avpMandatory != 0 {
				return m, fmt.Errorf("%w: vendor %d, attribute %d", ErrMandatoryAVP, vendor, attr)
			}
			continue
		}
		if bits&avpHidden != 0 {
			if len(secret) == 0 || vector == nil {
				if bits&avpMandatory != 0 {
					return m, ErrHiddenAVP
				}
				continue
			}
			var err error
			if value, err = reveal(value, attr, secret, vector); err != nil {
				return m, err
			}
		}
		if n == 0 {
			if attr != avpMessageType || len(value) != 2 {
				return m, fmt.Errorf("%w: the first is not a Message Type", ErrAVP)
			}
			m.Type, m.mandatory = MessageType(binary.BigEndian.Uint16(value)), bits&avpMandatory != 0
			continue
		}
		if attr == avpRandomVector {
			vector = value
		}
		m.values[attr] = value
	}
	return m, nil
}

// uint16 returns a two-byte value.
func (m *message) uint16(a attribute) (uint16, bool) {
	v := m.values[a]
	if len(v) != 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(v), true
}

// text returns a value for people: control characters are taken out.
func (m *message) text(a attribute) string { return printable(m.values[a]) }

func printable(b []byte) string {
	if len(b) > 64 {
		b = b[:64]
	}
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c >= ' ' && c < 0x7f {
			out = append(out, c)
		}
	}
	return string(out)
}

// result returns the Result Code AVP (section 4.4.2). Apple's clients send its
// numbers in the wrong byte order (a "1" arrives as 256); none of the defined
// values is above 255, so that is told apart.
func (m *message) result() (code, errorCode uint16, text string) {
	v := m.values[avpResultCode]
	if len(v) >= 2 {
		code = unswap(binary.BigEndian.Uint16(v))
	}
	if len(v) >= 4 {
		errorCode = unswap(binary.BigEndian.Uint16(v[2:]))
		text = printable(v[4:])
	}
	return code, errorCode, text
}

func unswap(v uint16) uint16 {
	if v > 0xff && v&0xff == 0 {
		return v >> 8
	}
	return v
}

// hidingBlock is the key stream of section 4.3: MD5 over the attribute, the
// secret and the vector, then over the secret and the cipher text before.
func hidingBlock(attr attribute, secret, vector, previous []byte) [16]byte {
	h := md5.New()
	if previous == nil {
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(attr)))
		h.Write(secret)
		h.Write(vector)
	} else {
		h.Write(secret)
		h.Write(previous)
	}
	return [16]byte(h.Sum(nil))
}

func reveal(value []byte, attr attribute, secret, vector []byte) ([]byte, error) {
	if len(value) < 2 {
		return nil, ErrAVP
	}
	plain := make([]byte, len(value))
	var previous []byte
	for at := 0; at < len(value); at += 16 {
		pad := hidingBlock(attr, secret, vector, previous)
		block := value[at:min(at+16, len(value))]
		for i, c := range block {
			plain[at+i] = c ^ pad[i]
		}
		previous = block
	}
	n := int(binary.BigEndian.Uint16(plain))
	if n > len(plain)-2 {
		return nil, fmt.Errorf("%w: hidden length %d (another secret?)", ErrAVP, n)
	}
	return plain[2 : 2+n], nil
}

// avps builds the AVPs of a message.
type avps []byte

func newMessage(t MessageType) avps { return avps(nil).uint16(avpMessageType, uint16(t)) }

func (b avps) bytes(a attribute, value []byte) avps {
	b = binary.BigEndian.AppendUint16(b, avpMandatory|uint16(avpHeaderLen+len(value)))
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(a))
	return append(b, value...)
}

func (b avps) uint16(a attribute, v uint16) avps {
	return b.bytes(a, binary.BigEndian.AppendUint16(nil, v))
}

func (b avps) uint32(a attribute, v uint32) avps {
	return b.bytes(a, binary.BigEndian.AppendUint32(nil, v))
}

// optional appends an AVP without the M bit, for what a peer may not know.
func (b avps) optional(a attribute, value []byte) avps {
	at := len(b)
	b = b.bytes(a, value)
	b[at] &^= avpMandatory >> 8
	return b
}

// result appends a Result Code with a text for the peer's log.
func (b avps) result(code, errorCode uint16, text string) avps {
	v := binary.BigEndian.AppendUint16(nil, code)
	if errorCode != 0 || text != "" {
		v = binary.BigEndian.AppendUint16(v, errorCode)
		v = append(v, text...)
	}
	return b.bytes(avpResultCode, v)
}
