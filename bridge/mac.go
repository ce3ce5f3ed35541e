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

// machineID names this machine: machine-id(5), or its host name, and the UUID of
// the hardware where it can be read, since machines are cloned with their files.
// Where vhub does not run in the machine's own network namespace (a lab with
// several vhubs on one machine), the namespace is part of the name.
func machineID() string {
	id := readTrimmed("/etc/machine-id")
	if id == "" {
		id = readTrimmed("/var/lib/dbus/machine-id")
	}
	if id == "" {
		id, _ = os.Hostname()
	}
	id += readTrimmed("/sys/class/dmi/id/product_uuid")
	if own, err := os.Readlink("/proc/self/ns/net"); err == nil && !inFirstNamespace(own) {
		id += own
	}
	return id
}

// inFirstNamespace tells whether a network namespace is that of the machine's
// first process. Who may not look at that process knows it by a setting that the
// kernel shows in its first namespace alone.
func inFirstNamespace(own string) bool {
	if first, err := os.Readlink("/proc/1/ns/net"); err == nil {
		return first == own
	}
	_, err := os.Stat("/proc/sys/net/core/dev_weight")
	return err == nil
}

func readTrimmed(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
