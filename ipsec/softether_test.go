package ipsec

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhub/internal/netlab"
	"vhub/internal/testenv"
	"vhub/ipsec/esp"
)

const softether = "/usr/libexec/softether/vpnserver/vpnserver"

// softEther starts Debian's SoftEther VPN Server in a namespace, with EtherIP over
// IPsec on and its hub on a TAP named tap_lab. Its state stands in the lab's folder.
func softEther(t *testing.T, lab *netlab.Lab, ns *netlab.NS) {
	t.Helper()
	dir := filepath.Join(lab.Dir(), "se")
	var mounts strings.Builder
	for _, d := range []string{"lib", "log", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
		target := map[string]string{"lib": "/var/lib/softether", "log": "/var/log/softether", "run": "/run/softether"}[d]
		_ = os.MkdirAll(target, 0o755)
		fmt.Fprintf(&mounts, "mount --bind %s/%s %s && ", dir, d, target)
	}
	// execsvc is a watchdog: in a process namespace of its own its child goes with it.
	ns.Start("vpnserver", "unshare", "--pid", "--fork", "--kill-child", "-m", "--propagation", "private", "sh", "-c", mounts.String()+"exec "+softether+" execsvc")
	lab.WaitFor("vpnserver", 30*time.Second, func() (bool, string) {
		out, err := ns.Run("vpncmd", "localhost:5555", "/SERVER", "/CMD", "About")
		return err == nil, out
	})
	script := func(name, hub, lines string) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"vpncmd", "localhost:5555", "/SERVER", "/IN:" + path}
		if hub != "" {
			args = append(args[:3], "/ADMINHUB:"+hub, args[3])
		}
		if out, err := ns.Run(args...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	script("server.txt", "", `KeepDisable
HubDelete DEFAULT
HubCreate LAB /PASSWORD:hubpass
IPsecEnable /L2TP:yes /L2TPRAW:no /ETHERIP:yes /PSK:labpsk /DEFAULTHUB:LAB
EtherIpClientAdd * /HUB:LAB /USERNAME:labuser /PASSWORD:labpass
BridgeCreate LAB /DEVICE:lab /TAP:yes
`)
	script("hub.txt", "LAB", `UserCreate labuser /GROUP:none /REALNAME:none /NOTE:none
UserPasswordSet labuser /PASSWORD:labpass
SetEnumAllow
`)
	lab.WaitFor("tap_lab", 20*time.Second, func() (bool, string) {
		out, err := ns.Run("ip", "link", "set", "tap_lab", "up")
		return err == nil, out
	})
	lab.WaitFor("SoftEther's UDP 500", 30*time.Second, func() (bool, string) {
		out, _ := ns.Run("ss", "-Hlnu")
		return strings.Contains(out, ":500 "), out
	})
}

// packetSocketIn opens an AF_PACKET socket on an interface of a namespace.
func packetSocketIn(t *testing.T, ns *netlab.NS, ifname string) int {
	t.Helper()
	fd := -1
	nsNetwork{t, ns}.do(func() {
		const proto = 0x0300 // ETH_P_ALL in network order
		ifi, err := net.InterfaceByName(ifname)
		if err != nil {
			t.Error(err)
			return
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto); err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifi.Index})
		}
		if err != nil {
			t.Error(err)
		}
	})
	if fd < 0 {
		t.FailNow()
	}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000})
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

const testEtherType = "\x88\xb5"

// frameOf is an Ethernet frame of n bytes whose last ones tell the size.
func frameOf(dst, src string, n int) []byte {
	f := append([]byte(dst+src+testEtherType), bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 800)...)
	return f[:max(n, 14)]
}

// vhub dials SoftEther VPN Server. Frames of sizes from 14 to 1514 cross both ways.
//
// What SoftEther hands on of a frame that it received is longer than the frame: in
// transport mode it does not cut ESP's padding and trailer off (its defect A in the
// notes; Proto_IKE.c). So in that direction the frame has to be the beginning of
// what arrives; in tunnel mode and in the other direction it has to be all of it.
func TestDialSoftEther(t *testing.T) {
	needLab(t)
	testenv.NeedTool(t, "vpncmd", "ss", "unshare")
	testenv.NeedFile(t, softether)
	testenv.NeedFile(t, "/dev/net/tun")
	lab := netlab.New(t)
	branch, server := lab.NS("branch"), lab.NS("server")
	lab.Wire(branch, "ip0", server, "ip1")
	branch.Addr("ip0", "198.51.100.2/24")
	server.Addr("ip1", "198.51.100.1/24")
	softEther(t, lab, server)
	fd := packetSocketIn(t, server, "tap_lab")
	a := startNode(t, "vhub", nsNetwork{t, branch})

	for _, c := range []struct {
		name string
		mode esp.Mode
		udp  bool
	}{
		{"transport mode", esp.Transport, false}, {"tunnel mode", esp.Tunnel, false}, {"transport mode, UDP asked for", esp.Transport, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := PeerConfig{Name: "softether-" + c.name, Role: Initiator, Addresses: []string{"198.51.100.1"},
				LocalID: id("keyid:branch1"), Key: []byte("labpsk"), Mode: c.mode}
			cfg.ForceNATT = c.udp
			tn := a.add(cfg)
			defer a.engine.RemovePeer(cfg.Name)
			took := waitFor(t, "the tunnel", 20*time.Second, up(tn))
			st := tn.Status()
			sa := st.Paths[0].SAs[0]
			t.Logf("up after %v: IKE %s, ESP %s %s in %s, payload MTU %d", took.Round(time.Millisecond), st.Paths[0].Suite, sa.Suite, sa.Mode, sa.Encap, st.MTU)

			const station, host = "\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02"
			waitFor(t, "SoftEther's session", 20*time.Second, func() bool { // it logs in on the first frame
				send(tn, "\x30\x00"+string(frameOf("\xff\xff\xff\xff\xff\xff", station, 60)))
				return readFrame(fd, station, 60) != nil
			})
			for readFrame(fd, station, 60) != nil { // those that were on their way
			}
			grown := 0
			for n := 60; n <= 1514; n += 11 {
				send(tn, "\x30\x00"+string(frameOf(host, station, n)))
				got := readFrame(fd, station, n)
				want := frameOf(host, station, n)
				switch {
				case bytes.Equal(got, want):
				case bytes.HasPrefix(got, want) && len(got) <= n+18:
					grown++
				default:
					t.Errorf("to SoftEther: frame of %d bytes arrived as %d", n, len(got))
				}
			}
			t.Logf("to SoftEther: %d of %d frames arrived with ESP's trailer at their end", grown, (1514-60)/11+1)
			for n := 14; n <= 1514; n += 11 {
				have := a.count(cfg.Name)
				if err := unix.Send(fd, frameOf(station, host, n), 0); err != nil {
					t.Fatal(err)
				}
				want := "\x30\x00" + string(frameOf(station, host, n))
				waitFor(t, fmt.Sprintf("a frame of %d bytes from SoftEther", n), 5*time.Second, func() bool {
					for _, p := range a.payloads(cfg.Name)[have:] {
						if p == want {
							return true
						}
					}
					return false
				})
			}
		})
	}
}

// readFrame waits for a frame of a station that is about n bytes long.
func readFrame(fd int, src string, n int) []byte {
	buf := make([]byte, 4096)
	for range 200 {
		got, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil
		}
		if got >= 14 && string(buf[6:12]) == src && string(buf[12:14]) == testEtherType && got >= n && got < n+40 {
			return bytes.Clone(buf[:got])
		}
	}
	return nil
}
