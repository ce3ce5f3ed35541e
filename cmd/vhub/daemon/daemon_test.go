package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vhub/api"
	"vhub/config"
)

// running is a daemon on fake devices with a real file, state and socket.
type running struct {
	*Daemon
	bench  *bench
	client *api.Client
	file   string
	stop   func() (time.Duration, error) // ends it and says how long that took
}

func startDaemon(t *testing.T, text string) *running {
	t.Helper()
	dir := t.TempDir()
	r := &running{bench: newBench(), file: filepath.Join(dir, "etc", "vhub.hcl")}
	if err := os.MkdirAll(filepath.Dir(r.file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	d, err := New(Options{ConfigFile: r.file, StateDir: filepath.Join(dir, "state"), Socket: filepath.Join(dir, "s"),
		Log: NewLogger(io.Discard, "error", "text"), Ready: func(api.Status, bool) { close(up) }})
	if err != nil {
		t.Fatal(err)
	}
	d.open = r.bench.open
	r.Daemon, r.client = d, api.NewClient(d.opts.Socket)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	<-up
	r.stop = sync.OnceValues(func() (time.Duration, error) {
		began := time.Now()
		cancel()
		err := <-done
		return time.Since(began), err
	})
	t.Cleanup(func() { r.stop(); r.client.Close() })
	return r
}

// Many callers at once: every change is done wholly or not at all, and in the
// end the file says what runs.
func TestManyCallersAtOnce(t *testing.T) {
	r := startDaemon(t, "hub \"a\" {\n  mac_limit = 100\n}\nhub \"b\" {\n  mac_limit = 100\n}\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listening, endListening := context.WithCancel(ctx)
	var events sync.WaitGroup
	events.Go(func() {
		var last uint64
		err := api.Follow(listening, r.client, api.WatchEvents, api.EventsRequest{Last: 1000, Follow: true}, func(e api.Event) error {
			if last != 0 && e.Seq != last+1 {
				return fmt.Errorf("event %d follows %d", e.Seq, last)
			}
			last = e.Seq
			return nil
		})
		if err != nil {
			t.Error("events:", err)
		}
	})
	var callers sync.WaitGroup
	for i := range 6 {
		callers.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for range 25 {
				if err := r.randomCall(ctx, rnd); err != nil {
					if e := api.AsError(err); e.Code == api.CodeInternal || e.Code == api.CodeTimeout {
						t.Error(err)
					}
				}
			}
		})
	}
	callers.Wait()
	endListening()
	events.Wait()

	src, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	written, err := config.Parse(r.file, src)
	if err != nil {
		t.Fatal(err)
	}
	fresh := daemonOn(t.Context(), newBench())
	defer fresh.stopped()
	if err := fresh.reconcile(nil, written, strict); err != nil {
		t.Fatal(err)
	}
	if got, want := r.state(), fresh.state(); got != want {
		t.Errorf("what runs is\n%sbut the file makes\n%s", got, want)
	}
	if took, err := r.stop(); err != nil || took > 2*time.Second {
		t.Errorf("ended after %v with %v", took, err)
	}
	if left := r.bench.interfaces(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// randomCall makes one call that may or may not be possible.
func (r *running) randomCall(ctx context.Context, rnd *rand.Rand) error {
	hub := []string{"a", "b"}[rnd.IntN(2)]
	port := fmt.Sprint("p", rnd.IntN(4))
	ifname := fmt.Sprint("if", rnd.IntN(6))
	var err error
	switch rnd.IntN(8) {
	case 0, 1, 2:
		_, err = api.Call(ctx, r.client, api.AddPort, api.AddPortRequest{Hub: hub, Kind: "tap", Name: port, Options: map[string]any{"interface": ifname}})
	case 3:
		_, err = api.Call(ctx, r.client, api.RemovePort, api.PortRequest{Hub: hub, Port: port})
	case 4:
		_, err = api.Call(ctx, r.client, api.SetPort, api.SetPortRequest{Hub: hub, Port: port, Options: map[string]any{"interface": ifname, "mtu": 1111 + rnd.IntN(2)}})
	case 5:
		_, err = api.Call(ctx, r.client, api.SetHub, api.SetHubRequest{Hub: hub, Options: map[string]any{"arp": []string{"relay", "proxy"}[rnd.IntN(2)]}})
	case 6:
		_, err = api.Call(ctx, r.client, api.RollbackConfig, api.RollbackRequest{})
	case 7:
		_, err = api.Call(ctx, r.client, api.GetStatus, api.None{})
	}
	return err
}

// A file that cannot be written leaves the hubs as they were.
func TestAWriteThatFailsIsUndone(t *testing.T) {
	r := startDaemon(t, "hub \"a\" {\n  port \"tap\" \"p\" {\n    interface = \"if1\"\n    enabled = false\n  }\n}\n")
	dir := filepath.Join(r.opts.StateDir, "revisions")
	// The folder of revisions goes away and a file takes its name: no revision can be written, not even by root.
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := r.state()
	for _, call := range []func() error{
		func() error {
			_, err := api.Call(t.Context(), r.client, api.AddPort, api.AddPortRequest{Kind: "tap", Name: "q", Options: map[string]any{"interface": "if2"}})
			return err
		},
		func() error {
			_, err := api.Call(t.Context(), r.client, api.SetPort, api.SetPortRequest{Port: "p", Options: map[string]any{"enabled": true}})
			return err
		},
		func() error {
			_, err := api.Call(t.Context(), r.client, api.RemovePort, api.PortRequest{Port: "p"})
			return err
		},
		func() error {
			_, err := api.Call(t.Context(), r.client, api.AddHub, api.AddHubRequest{Name: "b"})
			return err
		},
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("a change that cannot be written: %v", err)
		}
		if after := r.state(); after != before {
			t.Errorf("before\n%safter\n%s", before, after)
		}
		if left := r.bench.interfaces(); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestNewLeavesNothingBehindWhenItFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.hcl")
	if err := os.WriteFile(file, []byte("hub \"a\" {\n  nonsense = 1\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	opts := Options{ConfigFile: file, StateDir: filepath.Join(dir, "st"), Socket: filepath.Join(dir, "s"), Log: NewLogger(io.Discard, "error", "text")}
	if _, err := New(opts); err == nil || !strings.Contains(err.Error(), "c.hcl:2") {
		t.Errorf("got %v, want an error at c.hcl:2", err)
	}
	opts.SocketGroup = "no-such-group"
	if _, err := New(opts); err == nil || !strings.Contains(err.Error(), `there is no group "no-such-group"`) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(opts.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is there: %v", err)
	}
	opts.SocketGroup = ""
	if err := os.WriteFile(file, []byte("hub \"a\" {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := New(opts)
	if err != nil {
		t.Fatalf("socket or state are still taken: %v", err)
	}
	d.listener.Close()
	d.store.Close()
}
