package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// Client calls the operations of the daemon behind one socket.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the socket at path. It connects on the first
// call.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: 5 * time.Second}
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call performs an operation. Its error is an *Error, whether the daemon
// refused or was not there.
func Call[Req, Resp any](ctx context.Context, c *Client, op Op[Req, Resp], req Req) (Resp, error) {
	var resp Resp
	r, err := c.do(ctx, op.Method, op.Path, req)
	if err != nil {
		return resp, err
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&resp); err != nil {
		return resp, Errorf(CodeInternal, "socket %s: the answer to %s %s makes no sense: %v", c.path, op.Method, op.Path, err)
	}
	return resp, nil
}

// Read performs an operation whose answer is text.
func Read[Req any](ctx context.Context, c *Client, op TextOp[Req], req Req) (string, error) {
	r, err := c.do(ctx, op.Method, op.Path, req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return "", Errorf(CodeFailed, "socket %s: the daemon went away: %v", c.path, err)
	}
	return string(raw), nil
}

// Follow performs a stream operation and hands each item to f, until the
// daemon has no more, ctx ends (no error) or f returns an error.
func Follow[Req, Item any](ctx context.Context, c *Client, op StreamOp[Req, Item], req Req, f func(Item) error) error {
	r, err := c.do(ctx, op.Method, op.Path, req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, MaxBody)
	for lines.Scan() {
		var item Item
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			return Errorf(CodeInternal, "socket %s: a line of %s %s makes no sense: %v", c.path, op.Method, op.Path, err)
		}
		if err := f(item); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return Errorf(CodeFailed, "socket %s: the daemon went away: %v", c.path, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, pattern string, req any) (*http.Response, error) {
	target, body, err := encodeRequest(method, pattern, req)
	if err != nil {
		return nil, Errorf(CodeBadRequest, "%v", err)
	}
	h, err := http.NewRequestWithContext(ctx, method, "http://vhub"+target, bytes.NewReader(body))
	if err != nil {
		return nil, Errorf(CodeBadRequest, "%v", err)
	}
	if body != nil {
		h.Header.Set("Content-Type", "application/json")
	}
	r, err := c.http.Do(h)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if r.StatusCode == http.StatusOK {
		return r, nil
	}
	defer r.Body.Close()
	e := &Error{}
	raw, _ := io.ReadAll(io.LimitReader(r.Body, MaxBody))
	if json.Unmarshal(raw, e) != nil || e.Message == "" {
		return nil, Errorf(CodeInternal, "socket %s: %s %s: %s", c.path, method, target, r.Status)
	}
	return nil, e
}

// unreachable says why the daemon did not answer, and what to do.
func (c *Client) unreachable(err error) *Error {
	switch {
	case errors.Is(err, context.Canceled):
		return Errorf(CodeFailed, "interrupted")
	case len(c.path) > maxSocketPath:
		return Errorf(CodeBadRequest, "socket %.40s...: the path has %d bytes, and the system takes %d at most", c.path, len(c.path), maxSocketPath).
			WithHint("name the daemon's socket with --socket or VHUB_SOCKET")
	case c.path == "":
		return Errorf(CodeBadRequest, "no socket is named").WithHint("name it with --socket or VHUB_SOCKET; without them it is %s", DefaultSocket)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return Errorf(CodeFailed, "socket %s: no vhub is running there", c.path).
			WithHint("start one with 'vhub serve', or name its socket with --socket or VHUB_SOCKET")
	case errors.Is(err, os.ErrPermission):
		return Errorf(CodeNoRights, "socket %s: no rights to talk to the daemon", c.path).
			WithHint("use sudo, or let your group own the socket (vhub serve --socket-group)")
	}
	return Errorf(CodeFailed, "%s", fmt.Sprintf("socket %s: %v", c.path, errors.Unwrap(err)))
}
