package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// MaxBody is the longest request body that is read, in bytes.
const MaxBody = 4 << 20

// hasBody tells the methods whose requests carry a JSON body.
func hasBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPatch || method == http.MethodPut
}

// encodeRequest returns the path with its query string, and the body (nil when
// the method has none).
func encodeRequest(method, pattern string, req any) (target string, body []byte, err error) {
	target = pattern
	query := url.Values{}
	v := reflect.ValueOf(req)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if name := field.Tag.Get("path"); name != "" {
			s := v.Field(i).String()
			if s == "" && name == "hub" {
				s = OnlyHub
			}
			if s == "" {
				return "", nil, fmt.Errorf("no %s is named", name)
			}
			target = strings.Replace(target, "{"+name+"}", url.PathEscape(s), 1)
		}
		if name := field.Tag.Get("query"); name != "" && !v.Field(i).IsZero() {
			query.Set(name, fmt.Sprint(v.Field(i).Interface()))
		}
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	if hasBody(method) {
		body, err = json.Marshal(req)
	}
	return target, body, err
}

// decodeRequest fills *req from the path, the query string and the body of r.
// What it does not know is an error: a misspelt name must not pass for nothing.
func decodeRequest(r *http.Request, req any) error {
	if err := decodeBody(r, req); err != nil {
		return err
	}
	query := r.URL.Query()
	v := reflect.ValueOf(req).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if name := field.Tag.Get("path"); name != "" {
			v.Field(i).SetString(r.PathValue(name))
		}
		name := field.Tag.Get("query")
		if name == "" || !query.Has(name) {
			continue
		}
		if err := setField(v.Field(i), query.Get(name)); err != nil {
			return Errorf(CodeBadRequest, "query %s: %q is not a %s", name, query.Get(name), v.Field(i).Kind())
		}
		query.Del(name)
	}
	for name := range query {
		return Errorf(CodeBadRequest, "unknown query %q for %s", name, r.Pattern)
	}
	return nil
}

func decodeBody(r *http.Request, req any) error {
	if !hasBody(r.Method) {
		return nil
	}
	raw, err := io.ReadAll(r.Body)
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return Errorf(CodeBadRequest, "the request body is longer than %d bytes", MaxBody)
	}
	if err != nil {
		return Errorf(CodeBadRequest, "the request body cannot be read: %v", err)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	d.UseNumber() // a number among options keeps its digits
	if err := d.Decode(req); err != nil {
		return Errorf(CodeBadRequest, "the request body is not what %s takes: %v", r.Pattern, err)
	}
	if d.More() {
		return Errorf(CodeBadRequest, "the request body has more than one JSON value")
	}
	return nil
}

// setField reads s into a string, bool, integer or float field.
func setField(f reflect.Value, s string) error {
	switch f.Kind() {
	case reflect.String:
		f.SetString(s)
		return nil
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		f.SetBool(b)
		return err
	case reflect.Int:
		n, err := strconv.ParseInt(s, 10, 64)
		f.SetInt(n)
		return err
	case reflect.Uint64:
		n, err := strconv.ParseUint(s, 10, 64)
		f.SetUint(n)
		return err
	case reflect.Float64:
		x, err := strconv.ParseFloat(s, 64)
		f.SetFloat(x)
		return err
	}
	return fmt.Errorf("a query cannot be a %s", f.Kind())
}
