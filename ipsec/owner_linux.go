package ipsec

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// portOwner names the process that has a UDP port, for example "charon (pid 123)",
// or "" when that cannot be seen.
func portOwner(local netip.AddrPort) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"} {
		for _, inode := range udpInodes(table, local.Port()) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}

// udpInodes reads /proc/net/udp: the inodes of sockets bound to a port.
func udpInodes(table string, port uint16) []string {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	var inodes []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		_, hexPort, ok := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(hexPort, 16, 16); ok && err == nil && uint16(n) == port {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

// Warnings looks for IPsec in the kernel: its policies take packets before our
// sockets see them, and its states decrypt ESP that may be for us.
func (systemNetwork) Warnings() []string {
	var list []string
	if policies, err := netlink.XfrmPolicyList(netlink.FAMILY_ALL); err == nil {
		n, example := 0, ""
		for _, p := range policies {
			if p.Dir > netlink.XFRM_DIR_FWD {
				continue // of a single socket, such as the bypass of ours
			}
			n++
			example = fmt.Sprintf("%v from %v to %v", p.Dir, p.Src, p.Dst)
		}
		if n > 0 {
			list = append(list, fmt.Sprintf("the kernel has %d IPsec %s (%s): they may take packets meant for vhub; see \"ip xfrm policy\"", n, plural(n, "policy", "policies"), example))
		}
	}
	if states, err := netlink.XfrmStateList(netlink.FAMILY_ALL); err == nil && len(states) > 0 {
		s := states[0]
		list = append(list, fmt.Sprintf("the kernel has %d IPsec %s (%v to %v): another IKE daemon is at work; see \"ip xfrm state\"", len(states), plural(len(states), "state", "states"), s.Src, s.Dst))
	}
	return list
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// userPolicy is struct xfrm_userpolicy_info of linux/xfrm.h; only the family and the
// direction are set, the action 0 is "allow".
type userPolicy struct {
	selector struct {
		daddr, saddr                       [16]byte
		dport, dportMask, sport, sportMask uint16
		family                             uint16
		prefixD, prefixS, proto, _         uint8
		ifindex                            int32
		user                               uint32
	}
	lifetime              [8]uint64
	current               [4]uint64
	priority, index       uint32
	dir, action, flags, _ uint8
	_                     uint32
}

// bypassPolicy lets the socket's own packets pass the kernel's IPsec policies, as
// IKE daemons do for theirs. Where the kernel has no IPsec it fails, and there is
// nothing to bypass.
func bypassPolicy(fd int, v6 bool) {
	level, option, family := unix.IPPROTO_IP, 17, uint16(unix.AF_INET) // IP_XFRM_POLICY
	if v6 {
		level, option, family = unix.IPPROTO_IPV6, 35, unix.AF_INET6 // IPV6_XFRM_POLICY
	}
	for dir := range uint8(2) { // in, out
		var p userPolicy
		p.selector.family, p.dir = family, dir
		raw := unsafe.String((*byte)(unsafe.Pointer(&p)), unsafe.Sizeof(p))
		_ = unix.SetsockoptString(fd, level, option, raw)
	}
}
