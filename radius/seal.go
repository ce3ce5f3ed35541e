package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"errors"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

const (
	headerLen    = 20
	maxAttribute = 253 // bytes of a value
)

// Why a reply does not count.
var (
	errMalformed  = errors.New("malformed")
	errCode       = errors.New("not an answer to this kind of request")
	errUnkeyed    = errors.New("no Message-Authenticator (an old server: enable it there; see BlastRADIUS, CVE-2024-3596)")
	errForged     = errors.New("the authenticator is wrong: forged, or the shared secrets differ")
	errProxyState = errors.New("a Proxy-State that was not asked for")
)

// sealAccess encodes an Access-Request with its Message-Authenticator as the
// first attribute (RFC 2869 section 5.14).
func sealAccess(p *layeh.Packet) ([]byte, error) {
	blank := &layeh.AVP{Type: rfc2869.MessageAuthenticator_Type, Attribute: make(layeh.Attribute, md5.Size)}
	p.Attributes = append(layeh.Attributes{blank}, p.Attributes...)
	b, err := p.Encode()
	if err != nil {
		return nil, err
	}
	h := hmac.New(md5.New, p.Secret)
	h.Write(b)
	h.Sum(b[headerLen+2 : headerLen+2])
	return b, nil
}

// openReply checks that b is a whole, genuine answer to request, and reads it.
// An answer to an Access-Request needs a Message-Authenticator.
func openReply(b, request, secret []byte) (*layeh.Packet, error) {
	if len(b) < headerLen {
		return nil, errMalformed
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < headerLen || n > len(b) || n > layeh.MaxPacketLength {
		return nil, errMalformed
	}
	b = b[:n] // what is behind is padding (RFC 2865 section 3)
	p, err := layeh.Parse(b, secret)
	if err != nil {
		return nil, errMalformed
	}
	access := layeh.Code(request[0]) == layeh.CodeAccessRequest
	switch p.Code {
	case layeh.CodeAccessAccept, layeh.CodeAccessReject, layeh.CodeAccessChallenge:
		if !access {
			return nil, errCode
		}
	case layeh.CodeAccountingResponse:
		if access {
			return nil, errCode
		}
	default:
		return nil, errCode
	}
	if b[1] != request[1] || !replyAuthentic(b, request, secret) {
		return nil, errForged
	}
	switch err := checkMessageAuthenticator(b, request, secret); {
	case err == errUnkeyed && !access:
	case err != nil:
		return nil, err
	}
	if _, ok := p.Lookup(rfc2865.ProxyState_Type); ok {
		return nil, errProxyState
	}
	return p, nil
}

// replyAuthentic checks the Response Authenticator (RFC 2865 section 3).
func replyAuthentic(b, request, secret []byte) bool {
	h := md5.New()
	h.Write(b[:4])
	h.Write(request[4:headerLen])
	h.Write(b[headerLen:])
	h.Write(secret)
	return hmac.Equal(h.Sum(nil), b[4:headerLen])
}

// checkMessageAuthenticator: an HMAC over the reply with the request's
// authenticator in place of its own, and zeros where the HMAC is. Attributes
// of b are well formed.
func checkMessageAuthenticator(b, request, secret []byte) error {
	at := 0
	for i := headerLen; i < len(b); i += int(b[i+1]) {
		if b[i] != byte(rfc2869.MessageAuthenticator_Type) {
			continue
		}
		if at != 0 || b[i+1] != 2+md5.Size {
			return errForged
		}
		at = i + 2
	}
	if at == 0 {
		return errUnkeyed
	}
	h := hmac.New(md5.New, secret)
	h.Write(b[:4])
	h.Write(request[4:headerLen])
	h.Write(b[headerLen:at])
	h.Write(make([]byte, md5.Size))
	h.Write(b[at+md5.Size:])
	if !hmac.Equal(h.Sum(nil), b[at:at+md5.Size]) {
		return errForged
	}
	return nil
}
