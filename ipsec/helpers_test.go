package ipsec

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vhub/internal/packet"
	"vhub/ipsec/ike"
)

// node is an engine with what it has received.
type node struct {
	t      testing.TB
	engine *Engine
	stop   context.CancelFunc
	done   chan error

	mu     sync.Mutex
	got    map[string][]string // payloads by tunnel
	events []Event
	gotOne chan struct{}

	counting atomic.Bool // count payloads only
	counted  atomic.Int64
}

// startNode runs an engine on a network until the test ends.
func startNode(t testing.TB, name string, network Network, change ...func(*Config)) *node {
	t.Helper()
	cfg := Config{Network: network, Log: testLog(t, name)}
	for _, f := range change {
		f(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{t: t, engine: e, stop: cancel, done: make(chan error, 1), got: map[string][]string{}, gotOne: make(chan struct{}, 1)}
	go func() { n.done <- e.Run(ctx) }()
	t.Cleanup(n.halt)
	return n
}

func (n *node) halt() {
	n.stop()
	if err := <-n.done; err != nil {
		n.t.Errorf("engine: %v", err)
	}
	n.done <- nil
}

func testLog(t testing.TB, name string) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.String("t", a.Value.Time().Format("05.000"))
		}
		return a
	}})).With("node", name)
}

// receiver collects what comes on a tunnel.
func (n *node) receiver(name string) func() Receiver {
	return func() Receiver {
		return func(_ time.Time, payloads [][]byte) {
			if n.counting.Load() {
				n.counted.Add(int64(len(payloads)))
				return
			}
			n.mu.Lock()
			for _, p := range payloads {
				n.got[name] = append(n.got[name], string(p))
			}
			n.mu.Unlock()
			select {
			case n.gotOne <- struct{}{}:
			default:
			}
		}
	}
}

func (n *node) onEvent(ev Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, ev)
}

// add makes a tunnel whose payloads and events are collected.
func (n *node) add(cfg PeerConfig) *Tunnel {
	n.t.Helper()
	cfg.NewReceiver, cfg.OnEvent = n.receiver(cfg.Name), n.onEvent
	if cfg.Key == nil {
		cfg.Key = []byte("a key long enough for anyone to use it")
	}
	t, err := n.engine.AddPeer(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	return t
}

func (n *node) payloads(tunnel string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.got[tunnel]...)
}

func (n *node) count(tunnel string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.got[tunnel])
}

func (n *node) eventList() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Event(nil), n.events...)
}

// waitFor waits until cond holds; past the limit the test fails.
func waitFor(t testing.TB, what string, limit time.Duration, cond func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !cond() {
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(begin)
}

func up(t *Tunnel) func() bool {
	return func() bool { s := t.active.Load(); return s != nil && s.out.Load() != nil }
}

// send sends payloads and says how many were taken.
func send(t *Tunnel, payloads ...string) int {
	var list []packet.Packet
	for _, p := range payloads {
		list = append(list, packetOf([]byte(p)))
	}
	return t.Send(list)
}

func packetOf(payload []byte) packet.Packet {
	buf := make([]byte, packet.Headroom+len(payload)+packet.Tailroom)
	copy(buf[packet.Headroom:], payload)
	return packet.Packet{Buf: buf, Off: packet.Headroom, End: packet.Headroom + len(payload)}
}

func id(s string) ike.ID {
	i, err := ike.ParseID(s)
	if err != nil {
		panic(err)
	}
	return i
}

// pass sends n payloads each way and wants all of them, in order.
func pass(t testing.TB, a, b *node, at, bt *Tunnel, n int) {
	t.Helper()
	haveA, haveB := a.count(at.Name()), b.count(bt.Name())
	for i := range n {
		if send(at, fmt.Sprintf("to b %d", i)) != 1 || send(bt, fmt.Sprintf("to a %d", i)) != 1 {
			t.Fatalf("payload %d was not taken: %+v %+v", i, at.Status().Drops, bt.Status().Drops)
		}
	}
	waitFor(t, "payloads at both ends", 5*time.Second, func() bool {
		return a.count(at.Name()) >= haveA+n && b.count(bt.Name()) >= haveB+n
	})
	for i := range n {
		if got, want := b.payloads(bt.Name())[haveB+i], fmt.Sprintf("to b %d", i); got != want {
			t.Fatalf("payload %d is %q, want %q", i, got, want)
		}
		if got, want := a.payloads(at.Name())[haveA+i], fmt.Sprintf("to a %d", i); got != want {
			t.Fatalf("payload %d is %q, want %q", i, got, want)
		}
	}
}
