package guest_test

import (
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/internal/testenv"
	"vhub/lab/guest"
)

func TestGuestHasWhatTheHostLacks(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "linux.uml", "debootstrap")
	l := netlab.New(t)
	wan := l.NS("wan")
	g := guest.Boot(t, guest.StrongSwan, "g1", guest.NIC{NS: wan, TAP: "g1", CIDR: "198.51.100.10/24"})
	wan.Addr("g1", "198.51.100.1/24")
	wan.Reaches("198.51.100.10", 5*time.Second)
	out := g.Must("ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 mode transport aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128 && ip xfrm state; ipsec --version; xl2tpd --version 2>&1; [ -c /dev/ppp ] && echo ppp")
	for _, want := range []string{"spi 0x00000001", "strongSwan", "ppp"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
}
