package text

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := Table(&b, []string{"PORT", "FRAMES", "SIZE", "NOTE"}, [][]string{
		{"lan", "1,234", "1.50 kB", "é"},
		{"office-long", "7", "12 B", ""},
	}); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"PORT         FRAMES     SIZE  NOTE\n" +
		"lan           1,234  1.50 kB  é\n" +
		"office-long       7     12 B\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTableLeavesEmptyColumnsOut(t *testing.T) {
	var b strings.Builder
	if err := Table(&b, []string{"", "IP", "CONFLICT", "AGE"}, [][]string{{"", "192.0.2.1", "", "2s"}, {"", "192.0.2.2", "", "3s"}}); err != nil {
		t.Fatal(err)
	}
	if want := "IP         AGE\n192.0.2.1  2s\n192.0.2.2  3s\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestReflow(t *testing.T) {
	got := Reflow("one two three\nfour five six\n\n  as it\n  is\n\nend", 20)
	if want := "one two three four\nfive six\n\n  as it\n  is\n\nend"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Reflow("one\ntwo three four, five six seven", 20), "one two three four,\nfive six seven"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{"it fits", "a short line of 28 letters..", "a short line of 28 letters.."},
		{"it is broken at the last space that fits", "TSO4 on, TSO6 on, ECN on, USO4 on, USO6 on", "TSO4 on, TSO6 on, ECN on,\n    USO4 on, USO6 on"},
		{"spaces inside a line stay", "9  no other port to send it to here", "9  no other port to send it\n    to here"},
		{"a long word stands over", "/a/very/long/path/that/has/no/space and more", "/a/very/long/path/that/has/no/space\n    and more"},
		{"a long word at the end stays whole", "/a/very/long/path/that/has/no/space", "/a/very/long/path/that/has/no/space"},
		{"a comma is a better place", "rx frames 38 so far, rx bytes 7.09 kB", "rx frames 38 so far,\n    rx bytes 7.09 kB"},
		{"letters count, not bytes", "éééé éééé éééé éééé éééé ééé", "éééé éééé éééé éééé éééé ééé"},
		{"nothing", "", ""},
	} {
		if got := wrap(c.text, 4, 32, true); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Bytes(0), "0 B"}, {Bytes(999), "999 B"}, {Bytes(1000), "1.00 kB"}, {Bytes(9994), "9.99 kB"}, {Bytes(9999), "10.0 kB"},
		{Bytes(999_499), "999 kB"}, {Bytes(999_500), "1.00 MB"}, {Bytes(1 << 40), "1.10 TB"}, {Bytes(1<<64 - 1), "18.4 EB"},
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(1234567), "1,234,567"},
		{Age(-time.Second), "0s"}, {Age(320 * time.Millisecond), "320ms"}, {Age(59 * time.Second), "59s"},
		{Age(247 * time.Second), "4m07s"}, {Age(200 * time.Minute), "3h20m"}, {Age(292 * time.Hour), "12d04h"},
		{Words("path_mtu"), "path MTU"}, {Words("age_seconds"), "age"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestFacts(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	raw := `{"interface":"vh-lan","mtu":1500,"bridge":"","offload":true,"queues":[{"id":0,"rx_bytes":1500},{"id":1,"rx_bytes":0}],
		"since":"2026-01-02T03:03:05Z","never":"0001-01-01T00:00:00Z","nothing":null,"tags":["a","b"],"path":{"mtu":1400,"df":false,"secret":1},"secret":{"x":1}}`
	pairs, err := Facts(json.RawMessage(raw), now, "secret")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Pairs(&b, "  ", pairs); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"  interface  vh-lan\n" +
		"  MTU        1500\n" +
		"  offload    on\n" +
		"  queues     ID 0, rx bytes 1.50 kB; ID 1, rx bytes 0 B\n" +
		"  since      " + When(now.Add(-time.Minute)) + " (1m00s ago)\n" +
		"  tags       a, b\n" +
		"  path       MTU 1400, DF off\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
