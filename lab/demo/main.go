// Demo builds the README's three sites in network namespaces, pings between
// them, and leaves them running until Ctrl-C.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"vhub/internal/netlab"
	"vhub/lab/sites"
)

// stage is a netlab.TB for a program: a failure tells why, takes the network
// down and ends it.
type stage struct {
	cleanups []func()
	failed   bool
}

func (s *stage) Helper()                   {}
func (s *stage) Failed() bool              { return s.failed }
func (s *stage) Cleanup(f func())          { s.cleanups = append(s.cleanups, f) }
func (s *stage) Logf(f string, a ...any)   { fmt.Printf(f+"\n", a...) }
func (s *stage) Fatalf(f string, a ...any) { s.failed = true; s.end(fmt.Sprintf(f, a...)) }

func (s *stage) end(text string) {
	for len(s.cleanups) > 0 {
		f := s.cleanups[len(s.cleanups)-1]
		s.cleanups = s.cleanups[:len(s.cleanups)-1]
		f()
	}
	if text != "" {
		fmt.Fprintln(os.Stderr, "demo: "+text)
		os.Exit(1)
	}
	os.Exit(0)
}

const picture = `
  vm 172.16.0.10          pc 172.16.0.20         tv 172.16.0.30
     |                       |                      |
  [ br0 ]                 [ br0 ]                [ brh ]
     | tap "lan"             | tap "lan"            | eip0
  vhub "cloud" ==EtherIP== vhub "office"         an EtherIP router
     ||                                          that is not vhub
     ++=====================EtherIP=================++

  one Ethernet segment, 172.16.0.0/24, over the "internet" 198.51.100.0/24
`

func main() {
	s := &stage{}
	if os.Geteuid() != 0 {
		s.Fatalf("needs root, for network namespaces: sudo make demo")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	fmt.Print(picture + "\nbuilding ...\n")
	start := time.Now()
	net := sites.Three(s)
	fmt.Printf("built in %.1f s\n\n", time.Since(start).Seconds())
	for _, p := range []struct {
		from *netlab.NS
		to   string
		args []string
	}{
		{net.VM, sites.PC, nil}, {net.VM, sites.TV, nil}, {net.PC, sites.TV, nil},
		{net.VM, sites.PC, []string{"-M", "do", "-s", "1472"}}, {net.PC, sites.TV, []string{"-M", "do", "-s", "1472"}},
	} {
		args := append([]string{"-c", "5", "-i", "0.1"}, p.args...)
		r := p.from.Ping(append(args, p.to)...)
		fmt.Printf("%s$ ping %s %s\n    %v\n", p.from.Name, strings.Join(args, " "), p.to, r)
	}
	fmt.Printf("\ncloud$ vhub port list\n%s", indent(net.CloudHub.Must("port", "list")))
	fmt.Printf("\ncloud$ vhub arp list\n%s", indent(net.CloudHub.Must("arp", "list")))
	bin, err := netlab.Build()
	if err != nil {
		s.Fatalf("%v", err)
	}
	fmt.Printf(`
It goes on until Ctrl-C. In another shell, as root:
    %[1]s --socket %[2]s status
    %[1]s --socket %[2]s port show office
    %[1]s --socket %[2]s events
    ip netns exec %[3]s ping %[4]s
`, bin, net.CloudHub.Socket, net.VM.Real(), sites.TV)
	<-stop
	fmt.Println("\ntaking it down")
	s.end("")
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}
