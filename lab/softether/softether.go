// Package softether runs Debian's SoftEther VPN Server 5 in a namespace of a
// lab, as the other end of vhub: EtherIP and L2TP over IPsec as responder, with
// its hub on a TAP. It needs the packages softether-vpnserver and
// softether-vpncmd, and root.
//
// The server keeps its state in fixed folders. Each of ours sees folders of the
// lab there, mounted in a mount namespace of its own, and no resolver, so that
// it asks nobody on the internet.
package softether

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
	"vhub/internal/testenv"
)

// Program is where Debian's package has the server.
const Program = "/usr/libexec/softether/vpnserver/vpnserver"

// Need skips the test, or fails it in CI, where SoftEther is not installed.
func Need(t *testing.T) {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedFile(t, Program)
	testenv.NeedTool(t, "vpncmd", "unshare", "ss", "ip")
	testenv.NeedFile(t, "/dev/net/tun")
}

// Config is what the server is set to. The names of its parts are fixed: hub
// LAB on the TAP tap_lab.
type Config struct {
	PSK            string // of all peers
	User, Password string // of L2TP clients and of EtherIP peers
}

// TAP is the interface of the server's hub, in its namespace.
const TAP = "tap_lab"

// Server is a running server.
type Server struct {
	*netlab.Proc
	NS  *netlab.NS
	dir string
}

// Start starts the server and waits until it takes IKE on UDP 500, which is a
// second or two after everything else. It ends with the lab.
func Start(tb netlab.TB, ns *netlab.NS, c Config) *Server {
	tb.Helper()
	s := &Server{NS: ns, dir: filepath.Join(ns.Lab().Dir(), "softether-"+ns.Name)}
	var sh strings.Builder
	for _, d := range []struct{ own, at string }{{"lib", "/var/lib/softether"}, {"log", "/var/log/softether"}, {"run", "/run/softether"}} {
		own := filepath.Join(s.dir, d.own)
		for _, made := range []string{own, d.at} {
			if err := os.MkdirAll(made, 0o755); err != nil {
				tb.Fatalf("softether: %v", err)
			}
		}
		fmt.Fprintf(&sh, "mount --bind '%s' '%s'\n", own, d.at)
	}
	fmt.Fprintf(&sh, "mount --bind '%s' /etc/resolv.conf\nexec %s execsvc\n", s.file(tb, "resolv.conf", "# none\n"), Program)
	// execsvc is a watchdog in the foreground; in a process namespace of its own
	// its children go with it.
	s.Proc = ns.Start("softether", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--propagation", "private", "sh", "-ec", sh.String())
	ns.Lab().WaitFor("answer of SoftEther", 30*time.Second, func() (bool, string) {
		out, err := s.run("", "/CMD", "About")
		return err == nil, out
	})
	s.Server(tb, "KeepDisable", "HubDelete DEFAULT", "HubCreate LAB /PASSWORD:hubpass",
		"IPsecEnable /L2TP:yes /L2TPRAW:no /ETHERIP:yes /PSK:"+c.PSK+" /DEFAULTHUB:LAB",
		"EtherIpClientAdd * /HUB:LAB /USERNAME:"+c.User+" /PASSWORD:"+c.Password,
		"BridgeCreate LAB /DEVICE:lab /TAP:yes")
	s.Hub(tb, "UserCreate "+c.User+" /GROUP:none /REALNAME:none /NOTE:none", "UserPasswordSet "+c.User+" /PASSWORD:"+c.Password, "SetEnumAllow")
	ns.Lab().WaitFor("SoftEther's TAP", 20*time.Second, func() (bool, string) {
		out, err := ns.Run("ip", "link", "set", "dev", TAP, "up")
		return err == nil, out
	})
	ns.Lab().WaitFor("SoftEther on UDP 500 and 4500", 30*time.Second, func() (bool, string) {
		out, _ := ns.Run("ss", "-Hlnu")
		return strings.Contains(out, ":500 ") && strings.Contains(out, ":4500 "), out
	})
	return s
}

// Server gives commands to the server, one a line (vpncmd's).
func (s *Server) Server(tb netlab.TB, lines ...string) string {
	tb.Helper()
	return s.commands(tb, "", lines)
}

// Hub gives commands to its hub.
func (s *Server) Hub(tb netlab.TB, lines ...string) string {
	tb.Helper()
	return s.commands(tb, "LAB", lines)
}

func (s *Server) commands(tb netlab.TB, hub string, lines []string) string {
	tb.Helper()
	out, err := s.run(hub, "/IN:"+s.file(tb, "commands.txt", strings.Join(lines, "\n")+"\n"))
	if err != nil {
		tb.Fatalf("softether: %v", err)
	}
	return out
}

func (s *Server) run(hub string, args ...string) (string, error) {
	base := []string{"vpncmd", "localhost:5555", "/SERVER"}
	if hub != "" {
		base = append(base, "/ADMINHUB:"+hub)
	}
	return s.NS.Run(append(base, args...)...)
}

func (s *Server) file(tb netlab.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatalf("softether: %v", err)
	}
	return path
}

// Log is what the server has logged so far, all files after each other.
func (s *Server) Log() string {
	var all strings.Builder
	_ = filepath.WalkDir(filepath.Join(s.dir, "log"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := os.ReadFile(path)
			all.Write(b)
		}
		return nil
	})
	return all.String()
}

// WaitForgotten waits until the server has forgotten every IPsec client. It
// takes the packets of one that comes back within some ten seconds of its end
// for the old one's.
func (s *Server) WaitForgotten(limit time.Duration) {
	s.NS.Lab().WaitFor("SoftEther without IPsec clients", limit, func() (bool, string) {
		log := s.Log()
		made, gone := strings.Count(log, "A new IPsec client is created."), strings.Count(log, "This IPsec Client is deleted.")
		return made > 0 && made == gone, fmt.Sprintf("%d made, %d deleted", made, gone)
	})
}

// Version is the Debian package's, such as 5.01.9674.
func Version() string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", "softether-vpnserver").Output()
	if err != nil {
		return "unknown"
	}
	v, _, _ := strings.Cut(string(out), "+")
	return v
}
