package bridge

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"vhub/internal/netlab"
)

// BenchmarkTCP sends 1 MB a step by one TCP connection: between two TAPs whose
// frames this process moves, and beside it between two hosts on a kernel bridge.
func BenchmarkTCP(b *testing.B) {
	for _, c := range []struct {
		name    string
		offload bool
	}{{"TAPs-offload", true}, {"TAPs-plain", false}} {
		b.Run(c.name, func(b *testing.B) {
			lab := newLab(b)
			na, nb := lab.NS("a"), lab.NS("b")
			p := openTAP(b, TAPConfig{Name: "a", Netns: na.Path(), Queues: 1, Offload: c.offload, Addresses: prefixes("10.80.0.1/24")})
			q := openTAP(b, TAPConfig{Name: "b", Netns: nb.Path(), Queues: 1, Offload: c.offload, Addresses: prefixes("10.80.0.2/24")})
			join(b, p, q)
			na.Reaches("10.80.0.2", 20*time.Second)
			stream(b, na, nb, "10.80.0.2")
			b.ReportMetric(float64(txDropped(b, na, "vh-a")+txDropped(b, nb, "vh-b")), "queue-drops")
		})
	}
	b.Run("kernel-bridge", func(b *testing.B) {
		lab := newLab(b)
		na, nb, sw := lab.NS("a"), lab.NS("b"), lab.NS("sw")
		lab.Wire(na, "w0", sw, "s0")
		lab.Wire(nb, "w0", sw, "s1")
		sw.Bridge("br0", "s0", "s1")
		na.Addr("w0", "10.80.0.1/24")
		nb.Addr("w0", "10.80.0.2/24")
		na.Reaches("10.80.0.2", 20*time.Second)
		stream(b, na, nb, "10.80.0.2")
	})
}

// txDropped is how many frames did not fit into a device's queue.
func txDropped(b *testing.B, ns *netlab.NS, dev string) int {
	n, err := strconv.Atoi(strings.TrimSpace(ns.Must("cat", "/sys/class/net/"+dev+"/statistics/tx_dropped")))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// stream sends b.N MB and waits until all have arrived.
func stream(b *testing.B, from, to *netlab.NS, addr string) {
	open := func(ns *netlab.NS, f func() error) {
		s, err := openSpace(ns.Path())
		if err == nil {
			defer s.close()
			err = s.do(f)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	var l *net.TCPListener
	open(to, func() (err error) {
		l, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(addr)})
		return err
	})
	defer l.Close()
	got := make(chan int64, 1)
	go func() {
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		defer c.Close()
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1<<18))
		got <- n
	}()
	var c *net.TCPConn
	open(from, func() (err error) {
		c, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
		return err
	})
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	b.ResetTimer()
	for range b.N {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	c.CloseWrite()
	if n := <-got; n != int64(b.N)*int64(len(buf)) {
		b.Fatalf("%d bytes arrived of %d", n, b.N<<20)
	}
}
