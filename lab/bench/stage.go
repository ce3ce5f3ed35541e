package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"vhub/internal/netlab"
)

// Addresses of the hosts at the ends of every case, and of the wire between two
// tunnel end points.
const (
	addrA, addrB = "10.79.0.1", "10.79.0.2"
	wanA, wanB   = "198.51.100.1", "198.51.100.2"
)

// stage is where one case plays: its namespaces, its two hosts and its daemons.
type stage struct {
	lab        *netlab.Lab
	a, b       *netlab.NS // the hosts
	road       *road      // host A is a guest with a stock client; nil: it is not
	connected  float64    // seconds that the client took from IKE to its address
	layer3     bool       // host A has an interface without Ethernet: no frames of our own go in there
	devA, devB string     // their interfaces into the segment
	endA, endB *netlab.NS // the tunnel end points; nil where there is no tunnel
	daemons    []*netlab.Proc
	nice       int
	cleanups   []func()
}

// failure is what Fatalf throws and guard catches.
type failure struct{ error }

// guard calls f and returns what a part of the lab had to complain about.
func (s *stage) guard(f func()) (err error) {
	defer func() {
		if x := recover(); x != nil {
			why, ok := x.(failure)
			if !ok {
				panic(x)
			}
			err = why.error
		}
	}()
	f()
	return nil
}

// The stage is the netlab.TB of its lab.

func (s *stage) Helper()                           {}
func (s *stage) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (s *stage) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }
func (s *stage) Cleanup(f func())                  { s.cleanups = append(s.cleanups, f) }
func (s *stage) Failed() bool                      { return false }

// close takes everything down.
func (s *stage) close() {
	for len(s.cleanups) > 0 {
		last := s.cleanups[len(s.cleanups)-1]
		s.cleanups = s.cleanups[:len(s.cleanups)-1]
		if err := s.guard(last); err != nil {
			fmt.Fprintln(os.Stderr, "bench: taking down:", err)
		}
	}
}

// ns makes a namespace of the stage.
func (s *stage) ns(name string) *netlab.NS { return s.lab.NS(name) }

// must ends the case where err is one.
func (s *stage) must(err error) {
	if err != nil {
		s.Fatalf("%v", err)
	}
}

// file writes a file for the daemons of the stage and returns its path.
func (s *stage) file(name, text string) string {
	p := filepath.Join(s.lab.Dir(), name)
	s.must(os.MkdirAll(filepath.Dir(p), 0o755))
	s.must(os.WriteFile(p, []byte(text), 0o600))
	return p
}

// hosts makes the two hosts. Their interfaces come with the case.
func (s *stage) hosts() { s.a, s.b = s.ns("a"), s.ns("b") }

// wan makes the two hosts and the two tunnel end points, which are joined by a
// wire of 1,500 bytes. The hosts get the tunnels' interfaces: in namespaces of
// their own, so that the tunnel's packets are not counted with theirs.
func (s *stage) wan() {
	s.hosts()
	s.endA, s.endB = s.ns("ea"), s.ns("eb")
	s.lab.Wire(s.endA, "wan0", s.endB, "wan0")
	s.endA.Addr("wan0", wanA+"/24")
	s.endB.Addr("wan0", wanB+"/24")
}

// tunnelEnds is ends for interfaces that the tunnel end points have made.
func (s *stage) tunnelEnds(devA, devB string) {
	s.move(s.endA, devA, s.a)
	s.move(s.endB, devB, s.b)
	s.ends(devA, devB)
}

// daemon starts a program whose CPU time and memory count.
func (s *stage) daemon(ns *netlab.NS, name string, args ...string) *netlab.Proc {
	return s.count(ns.Start(name, args...))
}

// count counts the CPU time and memory of a program.
func (s *stage) count(p *netlab.Proc) *netlab.Proc {
	s.daemons = append(s.daemons, p)
	return p
}

// move takes an interface that a daemon has made in from, to a host, as dev.
func (s *stage) move(from *netlab.NS, dev string, to *netlab.NS) {
	s.appears(from, dev)
	from.Must("ip", "link", "set", "dev", dev, "netns", to.Real())
}

// appears waits for an interface.
func (s *stage) appears(ns *netlab.NS, dev string) {
	s.lab.WaitFor("interface "+dev, 10*time.Second, func() (bool, string) {
		out, err := ns.Run("ip", "link", "show", "dev", dev)
		return err == nil, out
	})
}

// ends gives the hosts' interfaces their addresses and waits until traffic
// passes.
func (s *stage) ends(devA, devB string) {
	s.devA, s.devB = devA, devB
	s.appears(s.a, devA)
	s.appears(s.b, devB)
	s.a.Addr(devA, addrA+"/24")
	s.b.Addr(devB, addrB+"/24")
	s.a.Reaches(addrB, 25*time.Second)
}

// pids returns the daemons' processes and those that they have started.
func (s *stage) pids() (out []int) {
	for _, p := range s.daemons {
		out = append(out, p.PID())
	}
	for i := 0; i < len(out); i++ {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", out[i]))
		for _, f := range files {
			b, _ := os.ReadFile(f)
			for _, w := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(w); err == nil {
					out = append(out, pid)
				}
			}
		}
	}
	return out
}

// alive tells which daemon has ended, if one has.
func (s *stage) alive() error {
	for _, p := range s.daemons {
		select {
		case <-p.Done():
			out := p.Output()
			return fmt.Errorf("%s ended: %v: %s", p.Name, p.Err(), out[max(0, len(out)-300):])
		default:
		}
	}
	return nil
}

// counter reads a counter of an interface.
func (s *stage) counter(ns *netlab.NS, dev, name string) float64 {
	out := ns.Must("cat", "/sys/class/net/"+dev+"/statistics/"+name)
	n, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	s.must(err)
	return n
}

// settled waits until a counter stands still, and returns it.
func (s *stage) settled(ns *netlab.NS, dev, name string) float64 {
	was := s.counter(ns, dev, name)
	for still := 0; still < 3; {
		time.Sleep(20 * time.Millisecond)
		is := s.counter(ns, dev, name)
		if still++; is-was > 5 { // neighbour discovery may speak up now and then
			still = 0
		}
		was = is
	}
	return was
}

// datagrams is how many UDP datagrams have reached host B: those that a program
// read, and those for which its socket had no room.
func (s *stage) datagrams() float64 {
	var names []string
	for line := range strings.Lines(s.b.Must("cat", "/proc/net/snmp")) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		var sum float64
		for i, name := range names {
			if name == "InDatagrams" || name == "RcvbufErrors" {
				n, err := strconv.ParseFloat(f[i], 64)
				s.must(err)
				sum += n
			}
		}
		return sum
	}
	s.Fatalf("no UDP counters in /proc/net/snmp")
	return 0
}

var errNoAnswer = errors.New("no answer came back")
