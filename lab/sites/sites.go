// Package sites builds the README's picture in namespaces: three sites, one
// Ethernet segment.
//
//	vm 172.16.0.10         pc 172.16.0.20           tv 172.16.0.30
//	   |                      |                        |
//	[br0 in cloud]         [br0 in office]          [brh in home]
//	   | tap lan              | tap lan                | eip0
//	vhub cloud ==EtherIP== vhub office              an EtherIP router that is
//	   ||                                           not vhub (lab/tool)
//	   ++=======================EtherIP================++
//
//	"internet" 198.51.100.0/24: cloud .1, office .2, home .3
package sites

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"vhub/internal/netlab"
)

// Addresses of the picture.
const (
	CloudWAN  = "198.51.100.1"
	OfficeWAN = "198.51.100.2"
	HomeWAN   = "198.51.100.3"
	VM        = "172.16.0.10"
	PC        = "172.16.0.20"
	TV        = "172.16.0.30"
)

// Sites is the running picture.
type Sites struct {
	Lab                      *netlab.Lab
	WAN, Cloud, Office, Home *netlab.NS // the internet and the sites' routers
	VM, PC, TV               *netlab.NS // a host at each site
	CloudHub, OfficeHub      *netlab.VHub
}

// Three builds the picture and waits until every host reaches every other.
func Three(tb netlab.TB) *Sites {
	tb.Helper()
	l := netlab.New(tb)
	s := &Sites{Lab: l, WAN: l.NS("wan"), Cloud: l.NS("cloud"), Office: l.NS("office"), Home: l.NS("home"),
		VM: l.NS("vm"), PC: l.NS("pc"), TV: l.NS("tv")}
	s.wires()
	s.CloudHub = s.Cloud.VHub("cloud", "hub \"default\" {\n}\n")
	s.CloudHub.Must("port", "add", "tap", "lan", "--bridge", "br0")
	s.CloudHub.Must("port", "add", "etherip", "office", "--peer", OfficeWAN, "--plain")
	s.CloudHub.Must("port", "add", "etherip", "home", "--peer", HomeWAN, "--plain")
	s.OfficeHub = s.Office.VHub("office", "hub \"default\" {\n}\n")
	s.OfficeHub.Must("port", "add", "tap", "lan", "--bridge", "br0")
	s.OfficeHub.Must("port", "add", "etherip", "cloud", "--peer", CloudWAN, "--plain")
	s.router(tb)
	for _, to := range []string{PC, TV} {
		s.VM.Reaches(to, 10*time.Second)
	}
	s.PC.Reaches(TV, 10*time.Second)
	return s
}

func (s *Sites) wires() {
	l := s.Lab
	for _, x := range []struct {
		ns      *netlab.NS
		port, a string
	}{{s.Cloud, "cloud", CloudWAN}, {s.Office, "office", OfficeWAN}, {s.Home, "home", HomeWAN}} {
		l.Wire(x.ns, "wan0", s.WAN, x.port)
		x.ns.Addr("wan0", x.a+"/24")
	}
	s.WAN.Bridge("internet", "cloud", "office", "home")
	for _, x := range []struct {
		host, site *netlab.NS
		bridge, a  string
	}{{s.VM, s.Cloud, "br0", VM}, {s.PC, s.Office, "br0", PC}, {s.TV, s.Home, "brh", TV}} {
		l.Wire(x.host, "eth0", x.site, "host0")
		x.site.Bridge(x.bridge, "host0")
		x.host.Addr("eth0", x.a+"/24")
	}
}

// router starts the third site's EtherIP router, which shares no code with vhub.
func (s *Sites) router(tb netlab.TB) {
	tb.Helper()
	s.Home.Start("router", Tool(tb), "etherip", "-tap", "eip0", "-peer", CloudWAN)
	s.Lab.WaitFor("the router's TAP", 20*time.Second, func() (bool, string) {
		out, err := s.Home.Run("ip", "link", "show", "eip0")
		return err == nil, out
	})
	s.Home.Sh("ip link set dev eip0 master brh; ip link set dev eip0 up")
}

var tool struct {
	once sync.Once
	path string
	err  error
	out  []byte
}

// Tool builds lab/tool once a process and returns its path.
func Tool(tb netlab.TB) string {
	tb.Helper()
	tool.once.Do(func() {
		dir, err := os.MkdirTemp("", "vhub-tool-")
		if err != nil {
			tool.err = err
			return
		}
		tool.path = filepath.Join(dir, "tool")
		c := exec.Command("go", "build", "-o", tool.path, "vhub/lab/tool")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		tool.out, tool.err = c.CombinedOutput()
	})
	if tool.err != nil {
		tb.Fatalf("build lab/tool: %v: %s", tool.err, tool.out)
	}
	return tool.path
}
