package main

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vhub/internal/netlab"
)

// end is one end of a tunnel between the hosts.
type end struct {
	ns                *netlab.NS
	name, addr        string // of the host in the segment
	wan               string
	peerName, peerWAN string
}

// tunnel makes the hosts and their wire and returns the two ends.
func (s *stage) tunnel() [2]end {
	s.wan()
	return [2]end{
		{s.endA, "a", addrA, wanA, "b", wanB},
		{s.endB, "b", addrB, wanB, "a", wanA},
	}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// certificate makes a self-signed certificate and returns its files and its
// fingerprint as OpenVPN writes it.
func (s *stage) certificate(name string) (cert, key, print string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	s.must(err)
	priv, err := x509.MarshalPKCS8PrivateKey(k)
	s.must(err)
	sum := sha256.Sum256(der)
	var hexes []string
	for _, b := range sum {
		hexes = append(hexes, fmt.Sprintf("%02X", b))
	}
	return s.file(name+".crt", pemOf("CERTIFICATE", der)), s.file(name+".key", pemOf("PRIVATE KEY", priv)), strings.Join(hexes, ":")
}

func openVPN(s *stage) {
	ends := s.tunnel()
	var cert, key, print [2]string
	for i, e := range ends {
		cert[i], key[i], print[i] = s.certificate("openvpn-" + e.name)
	}
	for i, e := range ends {
		role := []string{"--tls-server", "--dh", "none"}
		if i == 1 {
			role = []string{"--tls-client"}
		}
		s.daemon(e.ns, "openvpn", append([]string{"openvpn", "--dev", "ovp0", "--dev-type", "tap", "--proto", "udp4", "--port", "1194",
			"--local", e.wan, "--remote", e.peerWAN, "--data-ciphers", "AES-256-GCM", "--cipher", "AES-256-GCM", "--disable-dco",
			"--cert", cert[i], "--key", key[i], "--peer-fingerprint", print[1-i]}, role...)...)
	}
	s.tunnelEnds("ovp0", "ovp0")
}

func tinc(s *stage) {
	ends := s.tunnel()
	for _, e := range ends {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		s.must(err)
		s.file("tinc-"+e.name+"/tinc.conf", fmt.Sprintf("Name = %s\nMode = switch\nDeviceType = tap\nInterface = tinc0\nAddressFamily = ipv4\nConnectTo = %s\n", e.name, e.peerName))
		s.file("tinc-"+e.name+"/rsa_key.priv", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)))
		host := "Address = " + e.wan + "\n" + pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.PublicKey))
		for _, at := range ends {
			s.file("tinc-"+at.name+"/hosts/"+e.name, host)
		}
	}
	for _, e := range ends {
		dir := filepath.Join(s.lab.Dir(), "tinc-"+e.name)
		s.daemon(e.ns, "tincd", "tincd", "-c", dir, "-D", "--pidfile="+filepath.Join(dir, "pid"))
	}
	s.tunnelEnds("tinc0", "tinc0")
}

func n2n(s *stage) {
	ends := s.tunnel()
	s.daemon(s.endA, "supernode", "supernode", "-l", "7654")
	for i, e := range ends {
		s.daemon(e.ns, "edge", "edge", "-d", "n2n0", "-a", e.addr, "-s", "255.255.255.0", "-c", "bench", "-k", "a-key-for-one-run",
			"-l", wanA+":7654", "-m", fmt.Sprintf("02:00:00:00:79:%02x", i+1), "-u", "0", "-g", "0")
	}
	for _, e := range ends { // an edge sets the address itself; only then may its interface move
		s.lab.WaitFor("address of n2n0", 10*time.Second, func() (bool, string) {
			out, err := e.ns.Run("ip", "-4", "addr", "show", "dev", "n2n0", "up")
			return err == nil && strings.Contains(out, e.addr+"/"), out
		})
	}
	s.tunnelEnds("n2n0", "n2n0")
}

// wireGuard is wireguard-go at both hosts, with a VXLAN on it that carries the
// segment.
func wireGuard(s *stage) {
	ends := s.tunnel()
	var keys [2]*ecdh.PrivateKey
	for i := range keys {
		k, err := ecdh.X25519().GenerateKey(rand.Reader)
		s.must(err)
		keys[i] = k
	}
	for i, e := range ends {
		dev := fmt.Sprintf("wg%d%s", os.Getpid(), e.name) // its control socket is named so, for the whole machine
		c := e.ns.Cmd(context.Background(), wireGuardPath(), "-f", dev)
		c.Env = append(os.Environ(), "LOG_LEVEL=error")
		s.count(e.ns.StartCmd("wireguard-go", c))
		sock := "/var/run/wireguard/" + dev + ".sock"
		s.Cleanup(func() { os.Remove(sock) })
		s.lab.WaitFor("control socket of wireguard-go", 10*time.Second, func() (bool, string) {
			_, err := os.Stat(sock)
			return err == nil, fmt.Sprint(err)
		})
		s.must(wireGuardSet(sock, keys[i], keys[1-i].PublicKey(), e.peerWAN))
		e.ns.Must("ip", "link", "set", "dev", dev, "mtu", "1420")
		e.ns.Addr(dev, fmt.Sprintf("10.9.0.%d/24", i+1))
		e.ns.Must("ip", "link", "add", "vx0", "mtu", "1370", "type", "vxlan", "id", "42", "dstport", "4789", "remote", fmt.Sprintf("10.9.0.%d", 2-i), "dev", dev)
	}
	s.tunnelEnds("vx0", "vx0")
}

// wireGuardSet configures a wireguard-go by its control socket
// (https://www.wireguard.com/xplatform/).
func wireGuardSet(sock string, own *ecdh.PrivateKey, peer *ecdh.PublicKey, addr string) error {
	c, err := net.Dial("unix", sock)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Fprintf(c, "set=1\nprivate_key=%s\nlisten_port=51820\npublic_key=%s\nendpoint=%s:51820\nallowed_ip=0.0.0.0/0\n\n",
		hex.EncodeToString(own.Bytes()), hex.EncodeToString(peer.Bytes()), addr)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && strings.TrimSpace(line) != "errno=0" {
		err = fmt.Errorf("wireguard-go: %s", strings.TrimSpace(line))
	}
	return err
}
