package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vhub/config"
	"vhub/internal/packet"
	"vhub/ipsec"
	"vhub/ipsec/esp"
)

// deaf is a network whose sockets receive nothing; busy names who has UDP 500.
type deaf struct{ busy *string }

func (n deaf) Listen(kind ipsec.Kind, _ netip.AddrPort, readers int, _ bool) ([]ipsec.Socket, error) {
	if *n.busy != "" {
		return nil, errors.New("ipsec: UDP 500 is in use by " + *n.busy)
	}
	var list []ipsec.Socket
	for range max(readers, 1) {
		list = append(list, &deafSocket{closed: make(chan struct{})})
	}
	return list, nil
}

func (deaf) Source(netip.Addr, netip.Addr, int) (netip.Addr, int, error) {
	return netip.Addr{}, 0, errors.New("no route")
}
func (deaf) Uplink(string, netip.Addr) (netip.Addr, int, error) {
	return netip.Addr{}, 0, errors.New("no uplink")
}
func (deaf) Resolve(string) ([]netip.Addr, error) { return nil, errors.New("no name") }
func (deaf) Warnings() []string                   { return []string{"the kernel has 3 IPsec policies"} }

type deafSocket struct{ closed chan struct{} }

func (s *deafSocket) Read([]ipsec.Datagram) (int, error) { <-s.closed; return 0, io.EOF }
func (s *deafSocket) Send(netip.AddrPort, netip.Addr, int, []packet.Packet) (int, error) {
	return 0, errors.New("deaf")
}
func (s *deafSocket) Offload() (bool, bool) { return false, false }
func (s *deafSocket) Close() error          { close(s.closed); return nil }

// deafHost makes engines on a deaf network and counts them.
func deafHost(busy *string, made *int) *ipsecHost {
	h := newIPsecHost(slog.New(slog.DiscardHandler))
	h.make = func(c ipsec.Config) (*ipsec.Engine, error) {
		*made++
		c.Network = deaf{busy}
		return ipsec.New(c)
	}
	return h
}

// ipsecPort is a port of a configuration text.
func ipsecPort(t *testing.T, text string) *config.Port {
	t.Helper()
	c, err := config.Parse("t.hcl", []byte("hub \"h\" {\nport \"etherip\" \"p\" {\nkey_file = \"k\"\n"+text+"\n}\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Hub("h").Port("p")
}

func TestTheEngineLivesAsLongAsItIsNeeded(t *testing.T) {
	busy, made := "", 0
	h := deafHost(&busy, &made)
	if h.now() != nil || made != 0 {
		t.Fatal("there is an engine, and nobody needs it")
	}
	first, err := h.take()
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.take()
	if err != nil || second != first || made != 1 {
		t.Fatalf("the second port: engine %v, %d made: %v", second == first, made, err)
	}
	first.give()
	if h.now() == nil {
		t.Error("the engine went with the first of two ports")
	}
	second.give()
	if h.now() != nil || !second.over() {
		t.Error("the engine did not go with its last port")
	}
	if third, err := h.take(); err != nil || third == first || made != 2 {
		t.Errorf("after the end: %d made: %v", made, err)
	} else {
		third.give()
	}
}

func TestABusyPortIsNamedAndNothingIsLeft(t *testing.T) {
	busy, made := "charon (pid 123)", 0
	h := deafHost(&busy, &made)
	open := deviceOpener(h, func(string) (config.Secret, error) { return config.Secret("secret"), nil }, nil)
	cfg := ipsecPort(t, `peer_id = "keyid:a"`)
	log := slog.New(slog.DiscardHandler)
	if _, err := open("h", cfg, log); err == nil || !strings.Contains(err.Error(), "UDP 500 is in use by charon (pid 123)") {
		t.Errorf("busy: %v", err)
	}
	busy = ""
	dev, err := open("h", cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	if notes := dev.notes(); len(notes) != 1 || !strings.Contains(notes[0], "3 IPsec policies") {
		t.Errorf("notes %q", notes)
	}
	if _, err := open("h", cfg, log); err == nil {
		t.Error("two ports of one name")
	}
	if err := dev.Close(); err != nil || h.now() != nil {
		t.Errorf("after close: %v, engine %v", err, h.now())
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	busy, made := "", 0
	r, err := deafHost(&busy, &made).take()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.wait(ctx); err != nil {
		t.Errorf("wait: %v", err)
	}
	r.give()
	if err := r.wait(t.Context()); !errors.Is(err, errEngineEnded) {
		t.Errorf("wait for an engine that ended: %v", err)
	}
}

func TestPeerConfig(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		ok               func(ipsec.PeerConfig) bool
	}{
		{"no address: it waits, answers both modes, follows several paths", `peer_id = "keyid:a"`, "", func(p ipsec.PeerConfig) bool {
			return p.Role == ipsec.Responder && p.Aggressive && p.Multipath && p.PeerID.String() == "keyid:a" && p.Name == "h/p"
		}},
		{"main mode only", "peer_id = \"keyid:a\"\nmode = \"main\"", "", func(p ipsec.PeerConfig) bool { return !p.Aggressive }},
		{"an address is the identity", `peer = "203.0.113.7"`, "", func(p ipsec.PeerConfig) bool {
			return p.Role == ipsec.Either && p.PeerID.String() == "203.0.113.7" && !p.Aggressive && !p.Multipath && p.Addresses[0] == "203.0.113.7"
		}},
		{"local is where it dials from", "peer = \"203.0.113.7\"\nlocal = \"198.51.100.1\"", "", func(p ipsec.PeerConfig) bool {
			return len(p.Uplinks) == 1 && p.Uplinks[0] == "198.51.100.1"
		}},
		{"proposals", "peer_id = \"fqdn:x\"\nike = [\"aes256-sha512-ecp521\"]\nesp = [\"aes256gcm16\"]\npfs = \"modp2048\"\ntunnel = true", "", func(p ipsec.PeerConfig) bool {
			return p.Suites[0].String() == "aes256-sha512-ecp521" && p.ESP[0].String() == "aes256gcm16" && p.PFS.String() == "modp2048" && p.Mode == esp.Tunnel
		}},
		{"dead peers", "peer_id = \"fqdn:x\"\ndpd_interval = \"10s\"\ndpd_timeout = \"30s\"", "", func(p ipsec.PeerConfig) bool {
			return p.DPD == 10*time.Second && p.DPDRetries == 10
		}},
		{"0s is never", "peer_id = \"fqdn:x\"\ndpd_interval = \"0s\"", "", func(p ipsec.PeerConfig) bool { return p.DPD < 0 }},
		{"uplinks without a peer to dial", "peer_id = \"fqdn:x\"\nuplinks = [\"wan0\"]", "no peer to dial", nil},
		{"ESP in UDP unless told otherwise", "peer_id = \"fqdn:x\"", "", func(p ipsec.PeerConfig) bool { return p.ForceNATT }},
		{"protocol 50 where there is no NAT", "peer_id = \"fqdn:x\"\nnat_t = \"auto\"", "", func(p ipsec.PeerConfig) bool { return !p.ForceNATT }},
	} {
		p, err := peerConfig("h", ipsecPort(t, c.text), config.Secret("k"), time.Second)
		switch {
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		case c.want == "" && (err != nil || !c.ok(p)):
			t.Errorf("%s: %v: %+v", c.name, err, p)
		}
	}
}

func TestPeerNames(t *testing.T) {
	for name, want := range map[string][2]string{"h/p": {"h", "p"}, peerName("a", "b"): {"a", "b"}, "h/road/aggressive": {"h", "road"}} {
		if hub, port, ok := cutPeerName(name); !ok || hub != want[0] || port != want[1] {
			t.Errorf("%s: %q %q %v", name, hub, port, ok)
		}
	}
	if _, _, ok := cutPeerName("?"); ok {
		t.Error("a name without a hub")
	}
	var out strings.Builder
	log := slog.New(portHandler{slog.NewTextHandler(&out, nil)})
	log.Info("x", "port", "h/p", "remote", "r")
	if !strings.Contains(out.String(), "hub=h port=p remote=r") {
		t.Errorf("logged %s", out.String())
	}
}
