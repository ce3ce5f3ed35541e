package text

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Facts turns a JSON object into lines for Pairs, in the object's own order.
// Names and values become words: "path_mtu" "path MTU", true "on" or "yes",
// "..._bytes" a size, "..._seconds" an age, a time "... (3m ago)". Objects in
// it are written as "name: key value, key value". Nulls, empty strings, empty
// lists and what has one of the names in without are left out.
func Facts(raw json.RawMessage, now time.Time, without ...string) ([]Pair, error) {
	fields, err := object(raw)
	if err != nil {
		return nil, err
	}
	var pairs []Pair
	for _, f := range fields {
		if !slices.Contains(without, f.name) {
			pairs = append(pairs, Pair{Words(f.name), value(f.name, f.raw, now, without)})
		}
	}
	return pairs, nil
}

type field struct {
	name string
	raw  json.RawMessage
}

// object splits a JSON object into its fields, in order.
func object(raw json.RawMessage) ([]field, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object: %.20q", raw)
	}
	var fields []field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		f := field{name: name.(string)}
		if err := d.Decode(&f.raw); err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// value writes one JSON value of the name; "" is nothing to tell.
func value(name string, raw json.RawMessage, now time.Time, without []string) string {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return ""
	case raw[0] == '{':
		return objectLine(raw, now, without)
	case raw[0] == '[':
		return listLine(name, raw, now, without)
	case raw[0] == '"':
		var s string
		_ = json.Unmarshal(raw, &s)
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			if t.IsZero() {
				return ""
			}
			return When(t) + ago(t, now)
		}
		return s
	case string(raw) == "true":
		return truth(name, "on", "yes")
	case string(raw) == "false":
		return truth(name, "off", "no")
	}
	return number(name, string(raw))
}

// facts are the names of truths that nobody switches on or off.
var facts = []string{"in_bridge", "bridge_is_ours", "present"}

func truth(name, switched, fact string) string {
	if slices.Contains(facts, name) {
		return fact
	}
	return switched
}

func ago(t, now time.Time) string {
	if t.After(now) {
		return " (in " + Age(t.Sub(now)) + ")"
	}
	return " (" + Age(now.Sub(t)) + " ago)"
}

func number(name, s string) string {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || x < 0 {
		return s
	}
	switch {
	case strings.HasSuffix(name, "_bytes"):
		return Bytes(uint64(x))
	case strings.HasSuffix(name, "_seconds"):
		return Seconds(x)
	case x == math.Trunc(x) && x >= 10_000 && x < 1<<53:
		return Count(uint64(x))
	}
	return s
}

func objectLine(raw json.RawMessage, now time.Time, without []string) string {
	fields, err := object(raw)
	if err != nil {
		return string(raw)
	}
	var parts []string
	for _, f := range fields {
		if slices.Contains(without, f.name) {
			continue
		}
		if v := value(f.name, f.raw, now, without); v != "" {
			parts = append(parts, Words(f.name)+" "+v)
		}
	}
	return strings.Join(parts, ", ")
}

func listLine(name string, raw json.RawMessage, now time.Time, without []string) string {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return string(raw)
	}
	var parts []string
	separator := ", "
	for _, item := range items {
		if item[0] == '{' {
			separator = "; "
		}
		parts = append(parts, value(name, item, now, without))
	}
	return strings.Join(parts, separator)
}

// upper are the words of names that are abbreviations.
var upper = map[string]string{
	"mtu": "MTU", "mss": "MSS", "mac": "MAC", "macs": "MACs", "ip": "IP", "id": "ID", "df": "DF", "gso": "GSO", "gro": "GRO",
	"tso": "TSO", "uso": "USO", "csum": "checksum", "vlan": "VLAN", "arp": "ARP", "esp": "ESP", "ike": "IKE", "sa": "SA", "spi": "SPI",
	"tcp": "TCP", "udp": "UDP", "icmp": "ICMP", "dns": "DNS", "nat": "NAT", "tcp4": "TCP4", "tcp6": "TCP6", "ecn": "ECN", "if": "interface",
	"tso4": "TSO4", "tso6": "TSO6", "uso4": "USO4", "uso6": "USO6", "vnet": "virtio", "hdr": "header", "ipv4": "IPv4", "ipv6": "IPv6", "mss4": "MSS IPv4", "mss6": "MSS IPv6",
}

// Words turns a JSON name into words: "path_mtu" becomes "path MTU". The ending
// "_seconds" goes, since the value shows it.
func Words(name string) string {
	name = strings.TrimSuffix(name, "_seconds")
	parts := strings.Split(name, "_")
	for i, p := range parts {
		if u := upper[p]; u != "" {
			parts[i] = u
		}
	}
	return strings.Join(parts, " ")
}
