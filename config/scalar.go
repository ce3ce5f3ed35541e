package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"vhub/eth"
)

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("%q is not an IP address", s)
	}
	if a.IsMulticast() {
		return a, fmt.Errorf("%s is a multicast address", s)
	}
	return a.Unmap(), nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not an address with its prefix length, like 192.168.10.1/24", s)
	}
	if p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is an IPv4 address in IPv6 form; write it as IPv4", s)
	}
	return p, nil
}

// parseHostPrefix reads the address of one host with its prefix length: not the
// network's own address, nor its broadcast address (RFC 1122 section 3.2.1.3;
// networks of two have neither, RFC 3021).
func parseHostPrefix(s string) (netip.Prefix, error) {
	p, err := parsePrefix(s)
	if err != nil {
		return p, err
	}
	a := p.Addr()
	switch {
	case a.IsUnspecified() || a.IsMulticast():
		return p, fmt.Errorf("%s is not the address of a host", s)
	case a.Is4() && p.Bits() < 31 && a == p.Masked().Addr():
		return p, fmt.Errorf("%s is the address of a network; want that of a host in it, like %s", s, netip.PrefixFrom(a.Next(), p.Bits()))
	case a.Is4() && p.Bits() < 31 && !p.Contains(a.Next()):
		return p, fmt.Errorf("%s is the broadcast address of its network; want that of a host in it", s)
	}
	return p, nil
}

func parseStationMAC(s string) (eth.Addr, error) {
	a, err := eth.ParseAddr(s)
	if err == nil && (a.IsGroup() || a.IsZero()) {
		err = fmt.Errorf("%s is not the address of one station", s)
	}
	return a, err
}

func parseStation(s string) (st StaticMAC, err error) {
	mac, vlan, tagged := strings.Cut(s, "@")
	if st.MAC, err = parseStationMAC(mac); err != nil {
		return st, err
	}
	if tagged {
		if st.VLAN, err = strconv.Atoi(vlan); err != nil || st.VLAN < 1 || st.VLAN > 4094 {
			return st, fmt.Errorf("%q: the VLAN after @ must be 1..4094", s)
		}
	}
	return st, nil
}

// String returns MAC or MAC@VLAN.
func (s StaticMAC) String() string {
	if s.VLAN == 0 {
		return s.MAC.String()
	}
	return fmt.Sprintf("%s@%d", s.MAC, s.VLAN)
}

var sizeUnits = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseSize reads a number of bytes: "1500", "64KiB", "4GiB".
func parseSize(s string) (int64, error) {
	unit := int64(1)
	digits := s
	for _, u := range sizeUnits {
		if d, ok := strings.CutSuffix(s, u.name); ok {
			unit, digits = u.size, strings.TrimSpace(d)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not a size (want bytes, or a number and KiB, MiB, GiB or TiB)", s)
	}
	return n * unit, nil
}

func sizeText(n int64) string {
	for _, u := range sizeUnits {
		if n != 0 && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// durationText writes a duration in the largest unit that leaves no fraction:
// 500ms, 90s, 10m, 8h.
func durationText(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	case d%time.Millisecond == 0:
		return fmt.Sprintf("%dms", d/time.Millisecond)
	case d%time.Microsecond == 0:
		return fmt.Sprintf("%dus", d/time.Microsecond)
	}
	return d.String()
}

// quote quotes what a user gave, so much of it as a line of text bears.
func quote(s string) string {
	const most = 64
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(strings.ToValidUTF8(s[:most], "")) + "..."
}

// maxName is the longest name of a hub, port or group in bytes.
const maxName = 32

// checkName checks the name of a hub, a port or a group: it stands in command
// lines, log lines, metrics and file names.
func checkName(s string) error {
	ok := s != "" && len(s) <= maxName
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		ok = ok && (letter || i > 0 && (r == '-' || r == '_' || r == '.'))
	}
	if !ok {
		return fmt.Errorf("%s is not a name: want 1 to %d letters, digits, - _ . beginning with a letter or digit", quote(s), maxName)
	}
	return nil
}

func checkOptionalName(s string) error {
	if s == "" {
		return nil
	}
	return checkName(s)
}

// maxInterface is the longest interface name in bytes (IFNAMSIZ less the NUL).
const maxInterface = 15

func checkInterface(s string) error {
	bad := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/:%,"'\`, r) })
	if s == "" || s == "." || s == ".." || bad {
		return fmt.Errorf("%s is not an interface name", quote(s))
	}
	if len(s) > maxInterface {
		return fmt.Errorf("%s is too long for an interface name: %d characters, at most %d", quote(s), len(s), maxInterface)
	}
	return nil
}

func checkOptionalInterface(s string) error {
	if s == "" {
		return nil
	}
	return checkInterface(s)
}

func checkUplink(s string) error {
	if isAddr(s) {
		return nil
	}
	if checkInterface(s) != nil {
		return fmt.Errorf("%q is neither an interface name nor an address", s)
	}
	return nil
}

// CheckHost checks the name or address of a host that is to be dialled.
func CheckHost(s string) error {
	if s == "" {
		return errors.New("no host is named")
	}
	return checkHost(s)
}

// checkHost checks an address or a DNS name (RFC 1123 section 2.1); a text
// whose last label is a number is meant as an address.
func checkHost(s string) error {
	if s == "" {
		return nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		if a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return fmt.Errorf("%s is not the address of a peer", s)
		}
		if a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
			return fmt.Errorf("%s is link-local: name the interface too, like %s%%eth0", s, s)
		}
		return nil
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	ok := len(s) <= 253
	for _, l := range labels {
		ok = ok && l != "" && len(l) <= 63 && l[0] != '-' && l[len(l)-1] != '-' &&
			!strings.ContainsFunc(l, func(r rune) bool {
				return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
			})
	}
	if _, err := strconv.Atoi(labels[len(labels)-1]); err == nil || !ok {
		return fmt.Errorf("%q is neither an IP address nor a host name", s)
	}
	return nil
}

func checkFile(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(s) > 4096 {
		return fmt.Errorf("%q is not a file name", s)
	}
	return nil
}

func checkLine(max int) func(string) error {
	return func(s string) error {
		if len(s) > max || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("want one line of at most %d bytes", max)
		}
		return nil
	}
}
