package ike

import "fmt"

// PayloadType is the type of a payload (RFC 2408 3.1).
type PayloadType uint8

// The payload types. The drafts of NAT traversal used private numbers.
const (
	PayloadNone       PayloadType = 0
	PayloadSA         PayloadType = 1
	PayloadProposal   PayloadType = 2
	PayloadTransform  PayloadType = 3
	PayloadKE         PayloadType = 4
	PayloadID         PayloadType = 5
	PayloadCert       PayloadType = 6
	PayloadCertReq    PayloadType = 7
	PayloadHash       PayloadType = 8
	PayloadSig        PayloadType = 9
	PayloadNonce      PayloadType = 10
	PayloadNotify     PayloadType = 11
	PayloadDelete     PayloadType = 12
	PayloadVendor     PayloadType = 13
	PayloadSAK        PayloadType = 15 // RFC 6407, group keys; named for the packet that crashed a daemon
	PayloadNATD       PayloadType = 20 // RFC 3947
	PayloadNATOA      PayloadType = 21
	PayloadNATDDraft  PayloadType = 130 // draft-ietf-ipsec-nat-t-ike-00 to -03
	PayloadNATOADraft PayloadType = 131
	PayloadFragment   PayloadType = 132 // Microsoft and Cisco fragmentation; not negotiated
)

var payloadNames = map[PayloadType]string{
	PayloadNone: "none", PayloadSA: "SA", PayloadProposal: "P", PayloadTransform: "T", PayloadKE: "KE",
	PayloadID: "ID", PayloadCert: "CERT", PayloadCertReq: "CR", PayloadHash: "HASH", PayloadSig: "SIG",
	PayloadNonce: "NONCE", PayloadNotify: "N", PayloadDelete: "D", PayloadVendor: "VID", PayloadSAK: "SAK",
	PayloadNATD: "NAT-D", PayloadNATOA: "NAT-OA", PayloadNATDDraft: "NAT-D(draft)",
	PayloadNATOADraft: "NAT-OA(draft)", PayloadFragment: "FRAG",
}

// String is the RFC's short name.
func (t PayloadType) String() string {
	if s, ok := payloadNames[t]; ok {
		return s
	}
	return fmt.Sprintf("payload %d", uint8(t))
}

// Exchange is an exchange type (RFC 2408 3.1, RFC 2409 appendix A).
type Exchange uint8

// The exchanges.
const (
	ExchangeMain          Exchange = 2 // identity protection
	ExchangeAggressive    Exchange = 4
	ExchangeInformational Exchange = 5
	ExchangeQuick         Exchange = 32
)

// String names the exchange.
func (x Exchange) String() string {
	switch x {
	case ExchangeMain:
		return "main mode"
	case ExchangeAggressive:
		return "aggressive mode"
	case ExchangeInformational:
		return "informational"
	case ExchangeQuick:
		return "quick mode"
	}
	return fmt.Sprintf("exchange %d", uint8(x))
}

// Flags of the header (RFC 2408 3.1).
type Flags uint8

// The flags.
const (
	FlagEncrypted Flags = 1
	FlagCommit    Flags = 2
	FlagAuthOnly  Flags = 4
)

// NotifyType is a notify message type (RFC 2408 3.14.1, RFC 2407 4.6.3, RFC 3706 5).
type NotifyType uint16

// The notify types that are sent or understood.
const (
	NotifyInvalidPayload       NotifyType = 1
	NotifyDOINotSupported      NotifyType = 2
	NotifySituation            NotifyType = 3
	NotifyInvalidCookie        NotifyType = 4
	NotifyInvalidVersion       NotifyType = 5
	NotifyInvalidExchange      NotifyType = 7
	NotifyInvalidFlags         NotifyType = 8
	NotifyInvalidMessageID     NotifyType = 9
	NotifyInvalidProtocol      NotifyType = 10
	NotifyInvalidSPI           NotifyType = 11
	NotifyInvalidTransform     NotifyType = 12
	NotifyAttributes           NotifyType = 13
	NotifyNoProposalChosen     NotifyType = 14
	NotifyBadProposal          NotifyType = 15
	NotifyMalformed            NotifyType = 16
	NotifyInvalidKey           NotifyType = 17
	NotifyInvalidID            NotifyType = 18
	NotifyInvalidHash          NotifyType = 23
	NotifyAuthenticationFailed NotifyType = 24
	NotifyAddressNotification  NotifyType = 26
	NotifyLifetime             NotifyType = 27
	NotifyUnequalLength        NotifyType = 30
	NotifyConnected            NotifyType = 16384
	NotifyResponderLifetime    NotifyType = 24576
	NotifyReplayStatus         NotifyType = 24577
	NotifyInitialContact       NotifyType = 24578
	NotifyRUThere              NotifyType = 36136
	NotifyRUThereAck           NotifyType = 36137
)

var notifyNames = map[NotifyType]string{
	NotifyInvalidPayload: "INVALID-PAYLOAD-TYPE", NotifyDOINotSupported: "DOI-NOT-SUPPORTED",
	NotifySituation: "SITUATION-NOT-SUPPORTED", NotifyInvalidCookie: "INVALID-COOKIE",
	NotifyInvalidVersion: "INVALID-MAJOR-VERSION", NotifyInvalidExchange: "INVALID-EXCHANGE-TYPE",
	NotifyInvalidFlags: "INVALID-FLAGS", NotifyInvalidMessageID: "INVALID-MESSAGE-ID",
	NotifyInvalidProtocol: "INVALID-PROTOCOL-ID", NotifyInvalidSPI: "INVALID-SPI",
	NotifyInvalidTransform: "INVALID-TRANSFORM-ID", NotifyAttributes: "ATTRIBUTES-NOT-SUPPORTED",
	NotifyNoProposalChosen: "NO-PROPOSAL-CHOSEN", NotifyBadProposal: "BAD-PROPOSAL-SYNTAX",
	NotifyMalformed: "PAYLOAD-MALFORMED", NotifyInvalidKey: "INVALID-KEY-INFORMATION",
	NotifyInvalidID: "INVALID-ID-INFORMATION", NotifyInvalidHash: "INVALID-HASH-INFORMATION",
	NotifyAuthenticationFailed: "AUTHENTICATION-FAILED", NotifyAddressNotification: "ADDRESS-NOTIFICATION",
	NotifyLifetime: "NOTIFY-SA-LIFETIME", NotifyUnequalLength: "UNEQUAL-PAYLOAD-LENGTHS",
	NotifyConnected: "CONNECTED", NotifyResponderLifetime: "RESPONDER-LIFETIME",
	NotifyReplayStatus: "REPLAY-STATUS", NotifyInitialContact: "INITIAL-CONTACT",
	NotifyRUThere: "R-U-THERE", NotifyRUThereAck: "R-U-THERE-ACK",
}

// String is the RFC's name.
func (n NotifyType) String() string {
	if s, ok := notifyNames[n]; ok {
		return s
	}
	return fmt.Sprintf("notify %d", uint16(n))
}

// IsError tells whether the notify says that something failed (RFC 2408 3.14.1).
func (n NotifyType) IsError() bool { return n > 0 && n < 16384 }

// Protocols of proposals, notifies and deletes (RFC 2407 4.4.1).
const (
	protoISAKMP = 1
	protoAH     = 2
	protoESP    = 3
)

const (
	doiIPsec        = 1 // RFC 2407
	situationIDOnly = 1 // SIT_IDENTITY_ONLY
	transformKeyIKE = 1 // KEY_IKE
)
