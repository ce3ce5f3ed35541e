package daemon

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"vhub/api"
)

// Logger writes the daemon's log and keeps every line of level info and above
// as an event. Level and format may change while it is in use.
type Logger struct {
	*slog.Logger
	out    io.Writer
	level  slog.LevelVar
	format atomic.Pointer[slog.Handler]
	events *api.Events
	// clients keeps the last lines about each client's address.
	clients *clientLog
}

// eventsKept is how many events "vhub events" can look back on.
const eventsKept = 4096

// NewLogger logs to out. Level is debug, info, warn or error; format is text
// or json.
func NewLogger(out io.Writer, level, format string) *Logger {
	l := &Logger{out: out, events: api.NewEvents(eventsKept), clients: newClientLog(clientsKept, clientLinesKept)}
	l.Set(level, format)
	l.Logger = slog.New(&teeHandler{logger: l})
	return l
}

// Set changes level and format; what it does not know leaves things as they are.
func (l *Logger) Set(level, format string) {
	var parsed slog.Level
	if parsed.UnmarshalText([]byte(level)) == nil {
		l.level.Set(parsed)
	}
	options := &slog.HandlerOptions{Level: &l.level}
	var h slog.Handler
	switch format {
	case "json":
		h = slog.NewJSONHandler(l.out, options)
	case "text", "":
		h = slog.NewTextHandler(l.out, options)
	default:
		return
	}
	l.format.Store(&h)
}

// teeHandler hands each record to the log and to the events. Attributes that a
// logger was given before are kept here, since the handler below may change.
type teeHandler struct {
	logger *Logger
	attrs  []slog.Attr
	groups []string
}

var _ slog.Handler = (*teeHandler)(nil)

// Enabled lets through what either the log or the events take.
func (t *teeHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= min(t.logger.level.Level(), slog.LevelInfo)
}

func (t *teeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *t
	c.attrs = append(append([]slog.Attr{}, t.attrs...), t.grouped(attrs)...)
	return &c
}

func (t *teeHandler) WithGroup(name string) slog.Handler {
	c := *t
	c.groups = append(append([]string{}, t.groups...), name)
	return &c
}

// grouped puts the open groups before the keys: "group.key".
func (t *teeHandler) grouped(attrs []slog.Attr) []slog.Attr {
	if len(t.groups) == 0 {
		return attrs
	}
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = slog.Attr{Key: strings.Join(t.groups, ".") + "." + a.Key, Value: a.Value}
	}
	return out
}

// Handle writes one record.
func (t *teeHandler) Handle(ctx context.Context, r slog.Record) error {
	full := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	attrs := slices.Clone(t.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, t.grouped([]slog.Attr{a})...)
		return true
	})
	for i, a := range attrs { // a key that comes again counts as it came last
		if !slices.ContainsFunc(attrs[i+1:], func(later slog.Attr) bool { return later.Key == a.Key }) {
			full.AddAttrs(a)
		}
	}
	if r.Level >= slog.LevelInfo {
		e := eventOf(full)
		t.logger.events.Add(e)
		t.logger.clients.add(e)
	}
	h := *t.logger.format.Load()
	if !h.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handle(ctx, full)
}

// eventOf makes an event of a log record: hub and port are its place.
func eventOf(r slog.Record) api.Event {
	e := api.Event{Time: r.Time.UTC(), Level: strings.ToLower(r.Level.String()), Message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		value := a.Value.Resolve()
		switch a.Key {
		case "hub":
			e.Hub = value.String()
		case "port":
			e.Port = value.String()
		default:
			if e.Detail == nil {
				e.Detail = map[string]string{}
			}
			if value.Kind() == slog.KindTime {
				e.Detail[a.Key] = value.Time().Format(time.RFC3339Nano)
			} else {
				e.Detail[a.Key] = value.String()
			}
		}
		return true
	})
	return e
}
