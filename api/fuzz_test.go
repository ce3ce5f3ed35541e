package api

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"testing"
)

// FuzzRequest decodes any query and body as a change and as a question. What is
// taken says the same when the client writes it again.
func FuzzRequest(f *testing.F) {
	f.Add("", []byte(`{"kind": "tap", "name": "lan", "options": {"mtu": 1400, "isolate": true, "addresses": ["10.0.0.1/24"], "mac": null}}`))
	f.Add("last=10&since=60&follow=true", []byte(nil))
	f.Add("last=99999999999999999999&follow=maybe", []byte(`{"kind": 1e999, "x": {}}`))
	f.Add("%zz&=&last=-0", []byte(`{"options": {"a": [[["b"]]]}} {}`))
	f.Fuzz(func(t *testing.T, query string, body []byte) {
		if add := new(AddPortRequest); decodes("POST", "", body, add) {
			same(t, AddPort.Path, add, new(AddPortRequest))
		}
		if events := new(EventsRequest); decodes("GET", query, nil, events) {
			same(t, WatchEvents.Path, events, new(EventsRequest))
		}
	})
}

func decodes(method, query string, body []byte, into any) bool {
	r := httptest.NewRequest(method, "/v1/x", bytes.NewReader(body))
	r.URL.RawQuery = query
	return decodeRequest(r, into) == nil
}

// same writes a request as the client does and reads it again.
func same(t *testing.T, path string, req, again any) {
	t.Helper()
	method := "GET"
	if _, change := req.(*AddPortRequest); change {
		method = "POST"
	}
	target, body, err := encodeRequest(method, path, reflect.ValueOf(req).Elem().Interface())
	if err != nil {
		t.Fatalf("%+v cannot be written: %v", req, err)
	}
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	r.SetPathValue("hub", OnlyHub)
	if err := decodeRequest(r, again); err != nil {
		t.Fatalf("%s %s cannot be read again: %v", target, body, err)
	}
	if x, ok := req.(*AddPortRequest); ok {
		x.Hub = OnlyHub
	}
	a, _ := json.Marshal(req)
	b, _ := json.Marshal(again)
	if !bytes.Equal(a, b) {
		t.Fatalf("%s became %s", a, b)
	}
}
