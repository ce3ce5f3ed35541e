package bridge

import (
	"crypto/sha256"
	"os"
	"strings"

	"vhub/eth"
)

// stableMAC makes a locally administered address that is the same at every
// start of this machine and differs between machines and between the names.
// First says the first byte: 0xfe for TAP devices, because a Linux bridge without
// an address of its own takes the lowest of its ports' and must not take this
// one (the host's address would change under its neighbours); 0x02 for bridges.
func stableMAC(first byte, names ...string) eth.Addr {
	sum := sha256.Sum256([]byte("vhub mac\x00" + machineID() + "\x00" + strings.Join(names, "\x00")))
	return eth.Addr{first, sum[0], sum[1], sum[2], sum[3], sum[4]}
}

// machineID names this machine: machine-id(5), or its host name. Where vhub does
// not run in the network namespace of the machine's first process (a lab with
// several vhubs on one machine), the namespace is part of the name.
func machineID() string {
	id := readTrimmed("/etc/machine-id")
	if id == "" {
		id = readTrimmed("/var/lib/dbus/machine-id")
	}
	if id == "" {
		id, _ = os.Hostname()
	}
	first, err1 := os.Readlink("/proc/1/ns/net")
	own, err2 := os.Readlink("/proc/self/ns/net")
	if err1 == nil && err2 == nil && first != own {
		id += own
	}
	return id
}

func readTrimmed(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
