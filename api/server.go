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
	"runtime/debug"
	"time"
)

// Limits of the server.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 60 * time.Second
	answerTimeout = 60 * time.Second // an answer that is not a stream, with the work for it
	itemTimeout   = 10 * time.Second // one line of a stream: a reader slower than that is let go
	maxHeader     = 64 << 10
)

// Server answers operations. Give it a function for each with On and Stream,
// then Serve.
type Server struct {
	mux *http.ServeMux
	log *slog.Logger
}

// NewServer returns a server without operations.
func NewServer(log *slog.Logger) *Server {
	s := &Server{mux: http.NewServeMux(), log: log}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, Errorf(CodeNotFound, "no operation %s %s", r.Method, r.URL.Path).
			WithHint("the operations are listed in docs/json.md"))
	})
	return s
}

// On has f answer an operation. WhoFrom(ctx) tells who asks.
func On[Req, Resp any](s *Server, op Op[Req, Resp], f func(ctx context.Context, req Req) (Resp, error)) {
	s.mux.HandleFunc(op.Method+" "+op.Path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout-5*time.Second)
		defer cancel()
		defer s.recovered(w, r)
		var req Req
		if err := decodeRequest(r, &req); err != nil {
			writeError(w, err)
			return
		}
		resp, err := f(ctx, req)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, resp)
	})
}

// Stream has f answer a stream operation: it calls send for each item, until
// it is done, ctx ends or send fails (the caller is gone or too slow).
func Stream[Req, Item any](s *Server, op StreamOp[Req, Item], f func(ctx context.Context, req Req, send func(Item) error) error) {
	s.mux.HandleFunc(op.Method+" "+op.Path, func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered(w, r)
		var req Req
		if err := decodeRequest(r, &req); err != nil {
			writeError(w, err)
			return
		}
		out := http.NewResponseController(w)
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.WriteHeader(http.StatusOK)
		_ = out.Flush() // the caller sees that it listens before the first item
		enc := json.NewEncoder(w)
		_ = f(r.Context(), req, func(item Item) error {
			_ = out.SetWriteDeadline(time.Now().Add(itemTimeout))
			if err := enc.Encode(item); err != nil {
				return err
			}
			return out.Flush()
		})
	})
}

// Text has f answer an operation whose answer is text of this content type.
func Text[Req any](s *Server, op TextOp[Req], contentType string, f func(ctx context.Context, req Req) (string, error)) {
	s.mux.HandleFunc(op.Method+" "+op.Path, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
		defer s.recovered(w, r)
		var req Req
		if err := decodeRequest(r, &req); err != nil {
			writeError(w, err)
			return
		}
		text, err := f(r.Context(), req)
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
	})
}

// Serve answers on l until ctx ends; then calls in progress have half a second.
// It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	live, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	h := &http.Server{
		Handler:           s.mux,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return live },
		ConnContext:       withWho,
	}
	done := make(chan error, 1)
	go func() { done <- h.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("api: %w", err)
	case <-ctx.Done():
	}
	end() // streams go at once
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	if h.Shutdown(grace) != nil {
		h.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

// recovered turns a panic of an operation into an answer, so that one bad
// operation does not take the hubs down.
func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	if p := recover(); p != nil {
		s.log.Error("an API operation failed badly", "operation", r.Pattern, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		writeError(w, Errorf(CodeInternal, "%s: an error of vhub itself: %v", r.Pattern, p).WithHint("the daemon's log has the details"))
	}
}

func writeError(w http.ResponseWriter, err error) {
	e := AsError(err)
	if errors.Is(err, context.DeadlineExceeded) {
		e.Code = CodeTimeout
	}
	status, ok := statusOf[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	writeJSON(w, status, e)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		raw, _ = json.Marshal(Errorf(CodeInternal, "the answer cannot be written as JSON: %v", err))
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
}
