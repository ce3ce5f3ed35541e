package daemon

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"vhub/api"
	"vhub/config"
)

func TestLogLinesAreEvents(t *testing.T) {
	var out bytes.Buffer
	l := NewLogger(&out, "warn", "json")
	log := l.With("hub", "a").With("port", "p", "try", 1)
	log.Debug("too small for anybody")
	log.Info("an event, not in the log", "mac", "02:00:00:00:00:01")
	log.WithGroup("peer").Warn("both", "addr", "203.0.113.7", "at", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	log.Error("a key that comes again", "port", "q", "hub", "a")

	var events []api.Event
	_ = l.events.Watch(t.Context(), time.Now(), api.EventsRequest{Last: 10}, func(e api.Event) error {
		events = append(events, e)
		return nil
	})
	if len(events) != 3 {
		t.Fatalf("%d events, want 3: %+v", len(events), events)
	}
	for i, want := range []api.Event{
		{Level: "info", Hub: "a", Port: "p", Message: "an event, not in the log", Detail: map[string]string{"try": "1", "mac": "02:00:00:00:00:01"}},
		{Level: "warn", Hub: "a", Port: "p", Message: "both", Detail: map[string]string{"try": "1", "peer.addr": "203.0.113.7", "peer.at": "2026-01-02T03:04:05Z"}},
		{Level: "error", Hub: "a", Port: "q", Message: "a key that comes again", Detail: map[string]string{"try": "1"}},
	} {
		got := events[i]
		if got.Level != want.Level || got.Hub != want.Hub || got.Port != want.Port || got.Message != want.Message || !maps.Equal(got.Detail, want.Detail) {
			t.Errorf("event %d is %+v, want %+v", i, got, want)
		}
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2 {
		t.Errorf("%d lines in the log, want 2:\n%s", lines, out.String())
	}
	if strings.Count(out.String(), `"port"`) != 2 || !strings.Contains(out.String(), `"port":"q"`) {
		t.Errorf("a key stands twice in a line:\n%s", out.String())
	}
	l.Set("error", "text")
	log.Warn("too small now")
	log.Error("text now")
	if !strings.Contains(out.String(), `level=ERROR msg="text now" hub=a port=p try=1`) || strings.Contains(out.String(), "too small now") {
		t.Errorf("after Set:\n%s", out.String())
	}
}

func TestOptionValues(t *testing.T) {
	for _, c := range []struct {
		name, json string
		set        config.Values
		unset      string
		err        string
	}{
		{"strings as they are", `{"bridge":"br0","mac_age":"5m"}`, config.Values{"bridge": "br0", "mac_age": "5m"}, "", ""},
		{"numbers keep their digits", `{"mtu":1400,"esp_bytes":12345678901234567890}`, config.Values{"mtu": "1400", "esp_bytes": "12345678901234567890"}, "", ""},
		{"booleans", `{"isolate":true,"offload":false}`, config.Values{"isolate": "true", "offload": "false"}, "", ""},
		{"lists", `{"addresses":["192.0.2.1/24","2001:db8::1/64"],"ports":[1,2]}`, config.Values{"addresses": "192.0.2.1/24,2001:db8::1/64", "ports": "1,2"}, "", ""},
		{"null unsets", `{"b":null,"a":null}`, config.Values{}, "a b", ""},
		{"an object is nothing", `{"a":{}}`, nil, "", "option a: want a string, a number, a boolean or a list of them"},
		{"a list of lists is nothing", `{"a":[["x"]]}`, nil, "", "option a: an item of a list cannot be a list"},
		{"a comma in an item would be two", `{"a":["x,y"]}`, nil, "", "option a: an item of a list cannot have a comma in it"},
	} {
		d := json.NewDecoder(strings.NewReader(c.json))
		d.UseNumber()
		var options map[string]any
		if err := d.Decode(&options); err != nil {
			t.Fatal(err)
		}
		set, unset, err := optionValues(options)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: error %v, want %s", c.name, err, c.err)
			}
			continue
		}
		if err != nil || !maps.Equal(set, c.set) || strings.Join(unset, " ") != c.unset {
			t.Errorf("%s: got %v, unset %v, %v", c.name, set, unset, err)
		}
	}
}
