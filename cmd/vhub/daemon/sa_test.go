package daemon

import (
	"testing"

	"vhub/ipsec"
)

// The forms that Wireshark 4.0 was seen to decrypt with.
func TestKeysAreInWiresharksForm(t *testing.T) {
	for _, c := range []struct {
		name string
		keys ipsec.SAKeys
		want string
	}{
		{"GCM", ipsec.SAKeys{Source: "198.51.100.1", Dest: "198.51.100.3", SPI: "0x3351bcce", Encryption: "AES-GCM [RFC4106]", Key: "0x01", Auth: "ANY 128 bit authentication [no checking]"},
			`"IPv4","198.51.100.1","198.51.100.3","0x3351bcce","AES-GCM with 16 octet ICV [RFC4106]","0x01","NULL",""`},
		{"CBC over IPv6", ipsec.SAKeys{Source: "2001:db8::1", Dest: "2001:db8::2", SPI: "0x00000001", Encryption: "AES-CBC [RFC3602]", Key: "0x01", Auth: "HMAC-SHA-256-128 [RFC4868]", AuthKey: "0x02"},
			`"IPv6","2001:db8::1","2001:db8::2","0x00000001","AES-CBC [RFC3602]","0x01","HMAC-SHA-256-128 [RFC4868]","0x02"`},
	} {
		if got := espKeyLine(c.keys); got != c.want {
			t.Errorf("%s: got %s want %s", c.name, got, c.want)
		}
	}
}
