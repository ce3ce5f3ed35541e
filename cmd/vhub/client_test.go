package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhub/api"
	"vhub/config"
)

// fakeDaemon answers like a daemon with these ports, and a key in a file.
func fakeDaemon(t *testing.T, ports ...api.Port) (socket, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "road.psk"), []byte("s3cret'key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	l, err := api.Listen(socket, api.NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	s := api.NewServer(slog.New(slog.DiscardHandler))
	api.On(s, api.ListPorts, func(context.Context, api.HubRequest) (api.PortList, error) { return api.PortList{Ports: ports}, nil })
	api.On(s, api.GetPort, func(_ context.Context, r api.PortRequest) (api.Port, error) {
		for _, p := range ports {
			if p.Name == r.Port {
				return p, nil
			}
		}
		return api.Port{}, api.Errorf(api.CodeNotFound, "no port %q", r.Port)
	})
	api.On(s, api.GetStatus, func(context.Context, api.None) (api.Status, error) {
		return api.Status{ConfigFile: filepath.Join(dir, "vhub.hcl")}, nil
	})
	api.On(s, api.GetUser, func(_ context.Context, r api.UserRequest) (api.User, error) {
		if r.User != "alice" {
			return api.User{}, api.Errorf(api.CodeNotFound, "no user %q", r.User)
		}
		return api.User{Name: "alice"}, nil
	})
	api.On(s, api.GetClientLog, func(_ context.Context, r api.ClientLogRequest) (api.ClientLog, error) {
		if r.Address == "192.0.2.1" {
			return api.ClientLog{Address: r.Address, Lines: []api.Event{}}, nil
		}
		return api.ClientLog{Address: r.Address, Lines: []api.Event{
			{Time: time.Unix(1, 0), Level: "warn", Hub: "a", Port: "road", Message: "login failed", Detail: map[string]string{"client": r.Address, "user": "al ice"}}}}, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done; l.Close() })
	return socket, dir
}

// cli runs a command line and returns what it wrote and its exit status.
func cli(t *testing.T, socket string, args ...string) (out, errOut string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), append([]string{"--socket", socket}, args...), strings.NewReader(""), &o, &e)
	return o.String(), e.String(), status
}

var road = api.Port{Name: "road", Kind: config.KindL2TP, Options: map[string]string{"key_file": "road.psk", "routes": "172.16.0.0/24, 10.0.0.0/8 via 172.16.0.1"}}

func TestClientCard(t *testing.T) {
	socket, dir := fakeDaemon(t, api.Port{Name: "lan", Kind: "tap"}, road)
	for _, tt := range []struct {
		name        string
		args        []string
		status      int
		out, errOut string // must be in it
	}{
		{"steps", []string{"alice", "--for", "windows", "--server", "203.0.113.5"}, 0, "User name: alice", ""},
		{"where the key is", []string{"alice", "--for", "ios", "--server", "203.0.113.5"}, 0, dir + "/road.psk", ""},
		{"a server behind a NAT", []string{"alice", "--for", "windows", "--server", "203.0.113.5"}, 0, "AssumeUDPEncapsulationContextOnSendRule", ""},
		{"routes", []string{"alice", "--for", "windows", "--server", "203.0.113.5"}, 0, "-DestinationPrefix 10.0.0.0/8", ""},
		{"the port by name", []string{"alice", "--for", "linux", "--server", "vpn.example", "--port", "road"}, 0, "Gateway: vpn.example", ""},
		{"a user that is not there", []string{"bob", "--for", "android", "--server", "203.0.113.5"}, 0, "bob", `vhub: warning: user bob: no user "bob"`},
		{"no system", []string{"alice"}, 2, "", "--for is not given; there are windows, macos"},
		{"an unknown system", []string{"alice", "--for", "amiga"}, 2, "", "want windows or macos"},
		{"a port of another kind", []string{"alice", "--for", "ios", "--port", "lan", "--server", "203.0.113.5"}, 1, "", "port lan is of kind tap"},
		{"a key without a file", []string{"alice", "--for", "ios", "--with-key"}, 2, "", "--with-key is for a file"},
		{"no file for android", []string{"alice", "--for", "android", "--server", "203.0.113.5", "-w", dir + "/x"}, 1, "", "android imports no file"},
		{"a server that is none", []string{"alice", "--for", "ios", "--server", "a b"}, 1, "", "neither an address nor a DNS name"},
	} {
		out, errOut, status := cli(t, socket, append([]string{"client", "card"}, tt.args...)...)
		if status != tt.status || !strings.Contains(out, tt.out) || !strings.Contains(errOut, tt.errOut) {
			t.Errorf("%s: exit status %d\n%s%s", tt.name, status, out, errOut)
		}
		if strings.Contains(out+errOut, "s3cret") {
			t.Errorf("%s: it shows the key", tt.name)
		}
	}
}

func TestClientCardFiles(t *testing.T) {
	socket, dir := fakeDaemon(t, road)
	for system, want := range map[string]string{"windows": "$key = 's3cret''key'", "macos": "<data>czNjcmV0J2tleQ==</data>", "ios": "<data>czNjcmV0J2tleQ==</data>",
		"linux": "ipsec-psk=s3cret'key", "chromeos": `"PSK": "s3cret'key"`} {
		path := filepath.Join(dir, system)
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, key := range []bool{false, true} {
			args := []string{"client", "card", "alice", "--for", system, "--server", "203.0.113.5", "-w", path}
			if key {
				args = append(args, "--with-key")
			}
			out, errOut, status := cli(t, socket, args...)
			if status != 0 || !strings.Contains(out, "wrote "+path) || strings.Contains(out+errOut, "s3cret") {
				t.Errorf("%s: exit status %d: %s%s", system, status, out, errOut)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), want) != key {
				t.Errorf("%s, with key %v:\n%s", system, key, b)
			}
			if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v", system, st.Mode())
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".vhub-*")); left != nil {
		t.Errorf("left over: %v", left)
	}
	out, _, status := cli(t, socket, "client", "card", "alice", "--for", "linux", "--server", "203.0.113.5", "-w", "-")
	if status != 0 || !strings.HasPrefix(out, "[connection]\n") {
		t.Errorf("to the terminal: %d %s", status, out)
	}
	out, _, _ = cli(t, socket, "-o", "json", "client", "card", "alice", "--for", "linux", "--server", "203.0.113.5")
	var card clientCard
	if err := json.Unmarshal([]byte(out), &card); err != nil || card.User != "alice" || card.System != "linux" || card.Text == "" {
		t.Errorf("JSON: %v %s", err, out)
	}
	if err := os.Chmod(filepath.Join(dir, "road.psk"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, errOut, status := cli(t, socket, "client", "card", "alice", "--for", "linux", "--server", "203.0.113.5", "-w", filepath.Join(dir, "n"), "--with-key"); status != 1 || !strings.Contains(errOut, "road.psk") {
		t.Errorf("a key that others can read: %d %s", status, errOut)
	}
}

func TestClientCardPicksThePort(t *testing.T) {
	other := road
	other.Name = "other"
	for _, tt := range []struct {
		ports []api.Port
		want  string
	}{{nil, "no port takes clients"}, {[]api.Port{road, other}, "several ports take clients; say which with --port: road, other"}} {
		socket, _ := fakeDaemon(t, tt.ports...)
		if _, errOut, status := cli(t, socket, "client", "card", "alice", "--for", "ios", "--server", "203.0.113.5"); status != 1 || !strings.Contains(errOut, tt.want) {
			t.Errorf("%d %s, want %s", status, errOut, tt.want)
		}
	}
}

func TestServerAddress(t *testing.T) {
	addrs := func(list ...string) (out []netip.Addr) {
		for _, s := range list {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	for _, tt := range []struct {
		own  []netip.Addr
		want string
	}{
		{addrs("127.0.0.1", "10.0.0.2", "203.0.113.5", "fe80::1", "2001:db8::5"), "203.0.113.5"},
		{addrs("127.0.0.1", "172.16.0.1", "2001:db8::5"), "2001:db8::5"},
		{addrs("127.0.0.1", "192.168.0.2", "100.64.3.3", "fe80::1", "fd00::1"), ""},
		{addrs("203.0.113.5", "198.51.100.7"), ""},
	} {
		if got, err := ownServer(tt.own); got != tt.want || (err == nil) != (got != "") {
			t.Errorf("%v: %q, %v", tt.own, got, err)
		}
	}
	names := func(name string) []netip.Addr {
		return map[string][]netip.Addr{"here": addrs("203.0.113.5"), "there": addrs("198.51.100.7"), "both": addrs("198.51.100.7", "203.0.113.5")}[name]
	}
	for server, want := range map[string]bool{"203.0.113.5": false, "198.51.100.7": true, "here": false, "there": true, "both": false, "unknown": false, "::ffff:203.0.113.5": false} {
		if got := behindNAT(server, addrs("127.0.0.1", "203.0.113.5"), names); got != want {
			t.Errorf("%s: behind a NAT %v", server, got)
		}
	}
}

func TestExplainCommand(t *testing.T) {
	socket, _ := fakeDaemon(t)
	nobody := filepath.Join(t.TempDir(), "nobody")
	for _, tt := range []struct {
		name, socket string
		args         []string
		status       int
		out, errOut  string
	}{
		{"a code, without a daemon", nobody, []string{"809"}, 0, "809 (Windows)\n  Windows sent IKE packets", ""},
		{"a text in words", nobody, []string{"no", "proposal", "chosen"}, 0, "NO-PROPOSAL-CHOSEN (", ""},
		{"all there is", nobody, nil, 0, "Windows:\n  809\n      Windows sent IKE packets and heard nothing, or gave up between phase 1 and\n      L2TP\n", ""},
		{"unknown", nobody, []string{"12345"}, 1, "", `no explanation of "12345"`},
		{"with the client's lines", socket, []string{"691", "--client", "203.0.113.7"}, 0, `warn  a/road: login failed client=203.0.113.7 user="al ice"`, ""},
		{"only the lines", socket, []string{"--client", "203.0.113.7"}, 0, "The daemon's last lines about 203.0.113.7:\n", ""},
		{"no lines", socket, []string{"--client", "192.0.2.1"}, 0, "logged nothing about 192.0.2.1", ""},
		{"the explanation comes without the daemon, too", nobody, []string{"691", "--client", "203.0.113.7"}, 1, "691 (Windows)", "no vhub is running there"},
		{"an address with a port", socket, []string{"691", "--client", "203.0.113.7:500"}, 2, "", "is not an IP address"},
		{"no lines asked for", socket, []string{"691", "--client", "203.0.113.7", "-n", "0"}, 2, "", "want at least 1"},
	} {
		out, errOut, status := cli(t, tt.socket, append([]string{"explain"}, tt.args...)...)
		if status != tt.status || !strings.Contains(out, tt.out) || !strings.Contains(errOut, tt.errOut) {
			t.Errorf("%s: exit status %d\n%s%s", tt.name, status, out, errOut)
		}
	}
	out, _, _ := cli(t, socket, "-o", "json", "explain", "691", "--client", "203.0.113.7")
	var x explained
	if err := json.Unmarshal([]byte(out), &x); err != nil || x.Explanation.Code != "691" || len(x.Lines) != 1 {
		t.Errorf("JSON: %v %s", err, out)
	}
}
