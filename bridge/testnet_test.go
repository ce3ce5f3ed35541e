package bridge

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"vhub/eth"
	"vhub/internal/netlab"
	"vhub/internal/testenv"
)

// port is what both kinds of port are to the tests.
type port interface {
	WriteFrames([]eth.Frame) int
	Close() error
}

// cable hands what comes in by one port to another: a hub of two ports that
// knows nothing.
type cable struct {
	to   port
	seen func([]eth.Frame) // nil, or called first
}

func (c cable) Input(_ time.Time, frames []eth.Frame) {
	if c.seen != nil {
		c.seen(frames)
	}
	c.to.WriteFrames(frames)
}

func newLab(t testing.TB) *netlab.Lab {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedFile(t, "/dev/net/tun")
	testenv.NeedTool(t, "ip", "ping", "bridge")
	return netlab.New(t)
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func openTAP(t testing.TB, cfg TAPConfig) *TAP {
	t.Helper()
	if cfg.Hub == "" {
		cfg.Hub = "test"
	}
	p, err := OpenTAP(cfg, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func openNIC(t testing.TB, cfg NICConfig) *NIC {
	t.Helper()
	p, err := OpenNIC(cfg, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// runPort runs a port into in until the test ends.
func runPort(t testing.TB, p port, in input) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		switch p := p.(type) {
		case *TAP:
			done <- p.run(ctx, func() input { return in })
		case *NIC:
			done <- p.run(ctx, in, func(bool) {})
		}
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// join makes two ports the ends of a cable.
func join(t testing.TB, a, b port) {
	t.Helper()
	runPort(t, a, cable{to: b})
	runPort(t, b, cable{to: a})
}

// wantPing pings and wants every answer once.
func wantPing(t testing.TB, from *netlab.NS, args ...string) {
	t.Helper()
	p := from.Ping(append([]string{"-i", "0.02", "-W", "1"}, args...)...)
	if p.Sent == 0 || p.Received != p.Sent || p.Duplicates != 0 {
		t.Errorf("ping %v: %d sent, %d received, %d duplicates\n%s", args, p.Sent, p.Received, p.Duplicates, p.Output)
	}
}

// transfer sends n random bytes by TCP from one namespace to another and wants
// them back unchanged.
func transfer(t testing.TB, from, to *netlab.NS, addr string, n int) {
	t.Helper()
	a, err := openSpace(from.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	b, err := openSpace(to.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()

	var l *net.TCPListener
	if err := b.do(func() (err error) {
		l, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(addr)})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // echoes
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()
	var c *net.TCPConn
	if err := a.do(func() (err error) {
		c, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	data := make([]byte, n)
	rand.Read(data)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("TCP to %s: sent %d bytes (%x), got %d (%x), err %v", addr, n, sha256.Sum256(data), len(got), sha256.Sum256(got), err)
	}
}
