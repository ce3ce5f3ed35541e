package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What proposals are made of, in the spelling that strongSwan's users know.
var (
	ikeCiphers = []string{"aes128", "aes192", "aes256", "3des"}
	espAEADs   = []string{"aes128gcm16", "aes256gcm16"}
	hashes     = []string{"sha1", "sha256", "sha384", "sha512", "md5"}
	dhGroups   = []string{"modp1024", "modp1536", "modp2048", "modp3072", "modp4096", "ecp256", "ecp384", "ecp521"}
	legacyAlgs = []string{"3des", "md5", "modp1024"}
)

// ipsecAttributes is what a port says of its peer's IKE and ESP; of finds the
// settings in the port, nil where the port has none (plain EtherIP).
func ipsecAttributes(of func(*Port) *IPsec) []*Attribute {
	in := func(field func(*IPsec) any) func(any) any {
		return func(target any) any {
			s := of(target.(*Port))
			if s == nil {
				return nil
			}
			return field(s)
		}
	}
	return []*Attribute{
		{Name: "peer_id", Example: "keyid:ix2015",
			Doc:  "IKE identity of the peer, which decides the port: address:, fqdn:, user: or keyid: and the value; without it the peer's address",
			bind: in(func(s *IPsec) any { return &s.PeerID })},
		{Name: "local_id", Example: "fqdn:hub.example",
			Doc: "our IKE identity, written like peer_id; without it our address", bind: in(func(s *IPsec) any { return &s.LocalID })},
		{Name: "key_file", Example: "ix.psk", check: checkFile,
			Doc:  "file with the pre-shared key, readable by its owner alone; a relative name starts at the folder of the configuration",
			bind: in(func(s *IPsec) any { return &s.KeyFile })},
		{Name: "role", Default: "either", enum: []string{"responder", "initiator", "either"},
			Doc: "who begins; either begins when there is a peer address, and answers", bind: in(func(s *IPsec) any { return &s.Role })},
		{Name: "mode", Default: "auto", enum: []string{"auto", "main", "aggressive"},
			Doc: "IKE phase 1; auto begins with main mode and answers both", bind: in(func(s *IPsec) any { return &s.Mode })},
		{Name: "ike", Example: "aes256-sha256-modp2048,aes128-sha1-modp1536", check: checkIKE,
			Doc: "phase 1 proposals, best first: cipher-hash-group; without it all that are not legacy", bind: in(func(s *IPsec) any { return &s.IKE })},
		{Name: "esp", Example: "aes128gcm16,aes256-sha256", check: checkESP,
			Doc: "phase 2 proposals, best first: AEAD or cipher-hash; without it all that are not legacy", bind: in(func(s *IPsec) any { return &s.ESP })},
		{Name: "pfs", Default: "none", enum: append([]string{"none"}, dhGroups...),
			Doc: "group of phase 2 when we begin; an answer takes the peer's", bind: in(func(s *IPsec) any { return &s.PFS })},
		{Name: "tunnel", Default: "false",
			Doc: "ask for ESP tunnel mode instead of transport mode; an answer takes both", bind: in(func(s *IPsec) any { return &s.Tunnel })},
		{Name: "legacy", Default: "false",
			Doc: "allow 3DES, MD5 and the 1024-bit group", bind: in(func(s *IPsec) any { return &s.Legacy })},
		{Name: "uplinks", Example: "wan0,wan1", check: checkUplink,
			Doc: "interfaces or source addresses to reach the peer by, best first; SAs are kept up on each", bind: in(func(s *IPsec) any { return &s.Uplinks })},
		{Name: "hold_down", Default: "30s", min: int64(time.Second), max: int64(time.Hour),
			Doc: "a better uplink is good for so long before traffic moves back to it", bind: in(func(s *IPsec) any { return &s.HoldDown })},
		{Name: "nat_t", Default: "always", enum: []string{"always", "auto"},
			Doc: "ESP in UDP: always, which is several times faster than IP protocol 50, or only where there is a NAT", bind: in(func(s *IPsec) any { return &s.NATT })},
		{Name: "ike_lifetime", Default: "8h", min: int64(time.Minute), max: int64(7 * 24 * time.Hour),
			Doc: "lifetime of phase 1", bind: in(func(s *IPsec) any { return &s.IKELifetime })},
		{Name: "esp_lifetime", Default: "1h", min: int64(time.Minute), max: int64(7 * 24 * time.Hour),
			Doc: "lifetime of phase 2", bind: in(func(s *IPsec) any { return &s.ESPLifetime })},
		{Name: "esp_bytes", Default: "0", min: 1 << 20, max: noLimit, zero: true,
			Doc: "bytes an SA of phase 2 carries before it is renewed; 0 counts none", bind: in(func(s *IPsec) any { return &s.ESPBytes })},
		{Name: "dpd_interval", Default: "10s", min: int64(time.Second), max: int64(time.Hour), zero: true,
			Doc: "a peer silent for so long is asked whether it lives (RFC 3706); 0s never asks", bind: in(func(s *IPsec) any { return &s.DPDInterval })},
		{Name: "dpd_timeout", Default: "30s", min: int64(time.Second), max: int64(time.Hour),
			Doc: "a peer that has not answered for so long is gone", bind: in(func(s *IPsec) any { return &s.DPDTimeout })},
		{Name: "replay_window", Default: "4096", min: 64, max: 65536,
			Doc: "packets that may come late or out of order", bind: in(func(s *IPsec) any { return &s.Replay })},
		{Name: "esn", Default: "true",
			Doc: "64-bit sequence numbers where the peer has them (RFC 4304)", bind: in(func(s *IPsec) any { return &s.ESN })},
	}
}

func checkIKE(s string) error {
	p := strings.Split(s, "-")
	if len(p) != 3 || !slices.Contains(ikeCiphers, p[0]) || !slices.Contains(hashes, p[1]) || !slices.Contains(dhGroups, p[2]) {
		return fmt.Errorf("%q is not an IKE proposal: want cipher-hash-group of %s, %s, %s",
			s, strings.Join(ikeCiphers, " "), strings.Join(hashes, " "), strings.Join(dhGroups, " "))
	}
	return nil
}

func checkESP(s string) error {
	p := strings.Split(s, "-")
	if len(p) == 1 && slices.Contains(espAEADs, p[0]) {
		return nil
	}
	if len(p) != 2 || !slices.Contains(ikeCiphers, p[0]) || !slices.Contains(hashes, p[1]) {
		return fmt.Errorf("%q is not an ESP proposal: want %s, or cipher-hash of %s, %s",
			s, strings.Join(espAEADs, " "), strings.Join(ikeCiphers, " "), strings.Join(hashes, " "))
	}
	return nil
}

// legacyIn returns the first legacy algorithm of a proposal, "" when there is none.
func legacyIn(proposal string) string {
	for _, a := range strings.Split(proposal, "-") {
		if slices.Contains(legacyAlgs, a) {
			return a
		}
	}
	return ""
}
