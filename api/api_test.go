package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// daemonFor serves s on a socket of its own until the test ends.
func daemonFor(t *testing.T, s *Server) (*Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "v.sock")
	l, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c := NewClient(path)
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		l.Close()
	})
	return c, path
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestCallCarriesPathQueryAndBody(t *testing.T) {
	s := NewServer(quiet())
	var got SetPortRequest
	var who Who
	On(s, SetPort, func(ctx context.Context, r SetPortRequest) (Change, error) {
		got, who = r, WhoFrom(ctx)
		return Change{Revision: 7, Changed: []string{"port a changed"}}, nil
	})
	On(s, ListMACs, func(_ context.Context, r TableRequest) (MACList, error) {
		return MACList{MACs: []MAC{{Hub: r.Hub, Port: r.Port, MAC: r.MAC}}}, nil
	})
	c, _ := daemonFor(t, s)

	resp, err := Call(t.Context(), c, SetPort, SetPortRequest{Hub: "a b/c", Port: "p%2f?", Options: map[string]any{"mtu": 1400, "isolate": true, "group": nil}})
	if err != nil || resp.Revision != 7 {
		t.Fatalf("resp %+v, err %v", resp, err)
	}
	if got.Hub != "a b/c" || got.Port != "p%2f?" {
		t.Errorf("path came as %q %q", got.Hub, got.Port)
	}
	if got.Options["mtu"] != json.Number("1400") || got.Options["isolate"] != true || got.Options["group"] != nil || len(got.Options) != 3 {
		t.Errorf("options came as %#v", got.Options)
	}
	if who.UID != os.Getuid() || who.PID != os.Getpid() || !strings.Contains(who.String(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("who is %v", who)
	}
	l, err := Call(t.Context(), c, ListMACs, TableRequest{Port: "x&y=z", MAC: "02:00:00:00:00:01"})
	if err != nil || l.MACs[0] != (MAC{Hub: OnlyHub, Port: "x&y=z", MAC: "02:00:00:00:00:01"}) {
		t.Errorf("query came as %+v, %v", l, err)
	}
	if _, err := Call(t.Context(), c, GetPort, PortRequest{}); err == nil || err.Error() != "no port is named" {
		t.Errorf("an empty port name: %v", err)
	}
}

func TestErrorsArriveAsTheyWereMade(t *testing.T) {
	s := NewServer(quiet())
	On(s, GetPort, func(context.Context, PortRequest) (Port, error) {
		return Port{}, Errorf(CodeNotFound, "no port %q", "x").WithHint("see %s", "list")
	})
	On(s, GetHub, func(context.Context, HubRequest) (Hub, error) { return Hub{}, errors.New("plain") })
	On(s, GetStatus, func(context.Context, None) (Status, error) { panic("boom") })
	On(s, AddHub, func(_ context.Context, r AddHubRequest) (Change, error) { return Change{}, nil })
	_, path := daemonFor(t, s)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		want                     Error
	}{
		{"an error with a hint", "GET", "/v1/hubs/-/ports/x", "", 404, Error{`no port "x"`, "see list", CodeNotFound}},
		{"an error of another make", "GET", "/v1/hubs/-", "", 422, Error{"plain", "", CodeFailed}},
		{"a panic", "GET", "/v1/status", "", 500, Error{"GET /v1/status: an error of vhub itself: boom", "the daemon's log has the details", CodeInternal}},
		{"an unknown path", "GET", "/v2/x", "", 404, Error{"no operation GET /v2/x", "the operations are listed in docs/json.md", CodeNotFound}},
		{"a body that is no JSON", "POST", "/v1/hubs", "{", 400, Error{Code: CodeBadRequest}},
		{"an unknown field", "POST", "/v1/hubs", `{"nane":"x"}`, 400, Error{Code: CodeBadRequest}},
		{"two values", "POST", "/v1/hubs", `{"name":"x"} {}`, 400, Error{"the request body has more than one JSON value", "", CodeBadRequest}},
		{"an unknown query", "GET", "/v1/hubs/-?port=1", "", 400, Error{`unknown query "port" for GET /v1/hubs/{hub}`, "", CodeBadRequest}},
		{"a body too long", "POST", "/v1/hubs", `{"name":"` + strings.Repeat("x", MaxBody) + `"}`, 400,
			Error{fmt.Sprintf("the request body is longer than %d bytes", MaxBody), "", CodeBadRequest}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
			defer h.CloseIdleConnections()
			req, _ := http.NewRequest(c.method, "http://vhub"+c.path, strings.NewReader(c.body))
			r, err := h.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			var got Error
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if r.StatusCode != c.status || got.Code != c.want.Code || c.want.Message != "" && got != c.want {
				t.Errorf("got %d %+v, want %d %+v", r.StatusCode, got, c.status, c.want)
			}
		})
	}
}

func TestClientWithoutDaemon(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, path := range []string{filepath.Join(dir, "none.sock"), dead} {
		_, err := Call(t.Context(), NewClient(path), GetStatus, None{})
		want := "socket " + path + ": no vhub is running there; start one with 'vhub serve', or name its socket with --socket or VHUB_SOCKET"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestListen(t *testing.T) {
	t.Run("the folder is made and the socket has its mode", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a", "b", "v.sock")
		l, err := Listen(path, NoGroup)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != 0o660 || st.Mode()&os.ModeSocket == 0 {
			t.Errorf("mode %v, err %v", st.Mode(), err)
		}
		l.Close()
		l.Close()
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("a living one keeps its socket", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "v.sock")
		l, err := Listen(path, NoGroup)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, err = Listen(path, NoGroup)
		want := fmt.Sprintf("socket %s is in use by a running vhub (pid %d); give this one its own with --socket, --state and --config", path, os.Getpid())
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, err := net.Dial("unix", path); err != nil {
			t.Errorf("the living one lost its socket: %v", err)
		}
	})
	t.Run("a dead one's socket is taken over", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "v.sock")
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		dead.Close()
		l, err := Listen(path, NoGroup)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	})
	t.Run("a living one without a lock is not pushed aside", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "v.sock")
		other, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, err := Listen(path, NoGroup); err == nil || !strings.Contains(err.Error(), "is in use by") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file of that name is not removed", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "v.sock")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(path, NoGroup); err == nil || !strings.Contains(err.Error(), "is no socket") {
			t.Errorf("got %v", err)
		}
		if b, _ := os.ReadFile(path); string(b) != "precious" {
			t.Error("the file is gone")
		}
	})
	t.Run("a path too long", func(t *testing.T) {
		if _, err := Listen("/tmp/"+strings.Repeat("x", 110), os.Getgid()); err == nil || !strings.Contains(err.Error(), "the system takes 103 at most") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("of many at once, one wins", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "v.sock")
		var mu sync.Mutex
		var won []*Listener
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if l, err := Listen(path, NoGroup); err == nil {
					mu.Lock()
					won = append(won, l)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Errorf("%d have the socket", len(won))
		}
		for _, l := range won {
			l.Close()
		}
	})
}

func TestEvents(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	e := NewEvents(4)
	for i := range 6 {
		e.Add(Event{Time: start.Add(time.Duration(i) * time.Minute), Port: fmt.Sprint("p", i%2)})
	}
	now := start.Add(6 * time.Minute)
	for _, c := range []struct {
		name string
		req  EventsRequest
		want []uint64
	}{
		{"new ones only", EventsRequest{}, nil},
		{"the last two", EventsRequest{Last: 2}, []uint64{5, 6}},
		{"more than are remembered", EventsRequest{Last: 100}, []uint64{3, 4, 5, 6}},
		{"of the last two and a half minutes", EventsRequest{SinceSeconds: 150}, []uint64{5, 6}},
		{"after a number", EventsRequest{AfterSeq: 4}, []uint64{5, 6}},
		{"after a number long forgotten", EventsRequest{AfterSeq: 1}, []uint64{3, 4, 5, 6}},
		{"of one port", EventsRequest{Last: 100, Port: "p1"}, []uint64{4, 6}},
	} {
		var got []uint64
		if err := e.Watch(t.Context(), now, c.req, func(ev Event) error { got = append(got, ev.Seq); return nil }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestEventsAreFollowed(t *testing.T) {
	s := NewServer(quiet())
	e := NewEvents(16)
	e.Add(Event{Message: "before"})
	Stream(s, WatchEvents, func(ctx context.Context, r EventsRequest, send func(Event) error) error {
		return e.Watch(ctx, time.Now(), r, send)
	})
	c, _ := daemonFor(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []string
	err := Follow(ctx, c, WatchEvents, EventsRequest{Last: 1, Follow: true}, func(ev Event) error {
		got = append(got, ev.Message)
		if len(got) == 3 {
			return io.EOF
		}
		e.Add(Event{Message: fmt.Sprint("after ", len(got))})
		return nil
	})
	if err != io.EOF || !slices.Equal(got, []string{"before", "after 1", "after 2"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// A stream must not keep the daemon from ending.
func TestServeEndsWithAStreamOpen(t *testing.T) {
	s := NewServer(quiet())
	e := NewEvents(16)
	Stream(s, WatchEvents, func(ctx context.Context, r EventsRequest, send func(Event) error) error {
		return e.Watch(ctx, time.Now(), r, send)
	})
	path := filepath.Join(t.TempDir(), "v.sock")
	l, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c := NewClient(path)
	defer c.Close()
	e.Add(Event{Message: "one"})
	followed := make(chan error, 1)
	go func() {
		followed <- Follow(t.Context(), c, WatchEvents, EventsRequest{Last: 1, Follow: true}, func(Event) error { cancel(); return nil })
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not end")
	}
	<-followed
}
