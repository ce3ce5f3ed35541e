package ppp

// Credentials are what a peer presents. Which fields are set depends on
// Method. They can be checked here, where the password or its NT hash is
// known, or be sent to a RADIUS server as they are (RFC 2865, RFC 2548).
type Credentials struct {
	Method Method
	User   string // as presented, with realm or hub

	Password []byte // PAP

	ID        byte   // CHAPMD5: identifier of the challenge
	Challenge []byte // CHAPMD5, MSCHAPv2, EAPMSCHAPv2: 16 bytes, ours
	Response  []byte // CHAPMD5: 16 bytes; MS-CHAPv2: the 49 bytes of the value field (RFC 2759 section 4)
}

// Result is the answer to an EventAuth.
type Result struct {
	OK bool
	// Authenticator is the proof that this end knows the password too, "S=" and
	// 40 hex digits (RFC 2759 section 5). MS-CHAPv2 needs it.
	Authenticator string
}

// CheckHash checks MS-CHAPv2 credentials against the NT hash of the password,
// in a time that does not depend on where they differ.
func (c *Credentials) CheckHash(ntHash [16]byte) Result { return Result{} }

// CheckPassword checks credentials of any method against the password.
func (c *Credentials) CheckPassword(password string) Result { return Result{} }

// NTHash is the hash that MS-CHAPv2 needs instead of the password: MD4 of the
// password in UTF-16 (RFC 2759 section 8.3). It is worth as much as the
// password to whoever has it.
func NTHash(password string) [16]byte { return [16]byte{} }
