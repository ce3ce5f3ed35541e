package guide

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// File is what a system imports to have the connection set up: a PowerShell
// script (Windows), a profile (macOS, iOS), a NetworkManager keyfile (Linux) or
// an ONC file (ChromeOS). With v.Key the file holds the pre-shared key and must
// be written for its owner only; without it the client asks for the key, or
// the user types it. ext is the file's usual ending. Android imports nothing:
// that is an error.
func File(s System, v Values) (content []byte, ext string, err error) {
	switch s {
	case Windows:
		return []byte(powerShell(v)), ".ps1", nil
	case MacOS, IOS:
		return []byte(mobileConfig(v)), ".mobileconfig", nil
	case Linux:
		return []byte(nmConnection(v)), ".nmconnection", nil
	case ChromeOS:
		return onc(v), ".onc", nil
	case Android:
		return nil, "", fmt.Errorf("android imports no file; follow the steps of the card")
	}
	return nil, "", fmt.Errorf("unknown system %q", string(s))
}

// uuid is a stable name-based UUID (RFC 9562 section 5.8, version 8) of what
// makes a connection this one: not of the key, which must not leave a trace,
// and not of what may change under the same connection.
func uuid(v Values, part string) string {
	h := sha256.New()
	for _, s := range []string{"vhub client card", part, v.Name, strings.ToLower(v.Server), v.User} {
		fmt.Fprintf(h, "%d:%s,", len(s), s)
	}
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// shQuote quotes for a POSIX shell.
func shQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
