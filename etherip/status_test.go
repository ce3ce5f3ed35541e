package etherip

import (
	"encoding/json"
	"testing"

	"vhub/eth"
)

// The names are what scripts read: they do not change.
func TestStatusNames(t *testing.T) {
	p, _ := newTestPort(Config{}, 1480)
	p.WriteFrames([]eth.Frame{{Data: plain(1514)}})
	p.count.drop(BadVersion, 2)
	got, err := json.Marshal(PlainStatus{Peer: addr("192.0.2.2"), Local: addr("192.0.2.1"), PathMTU: 1500, Status: p.Status()})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"peer":"192.0.2.2","local":"192.0.2.1","path_mtu":1500,"header_seen":"auto","header_sent":"standard","payload_mtu":1480,` +
		`"inner_mtu":1464,"mss4":1424,"mss6":1404,"df":false,"pre_fragment":false,"mss_clamp":true,"in_packets":0,"in_bytes":0,` +
		`"out_packets":1,"out_bytes":1514,"out_larger":1,"clamped":0,"fragmented":0,"answers":0,"drops":{"bad-version":2}}`
	if string(got) != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestEachReasonHasAName(t *testing.T) {
	seen := map[string]bool{}
	for r := none + 1; r < numReasons; r++ {
		if s := r.String(); s == "" || s == "none" || seen[s] {
			t.Errorf("reason %d is called %q", r, s)
		} else {
			seen[s] = true
		}
	}
}

func TestFormTexts(t *testing.T) {
	for _, f := range []Form{Auto, Standard, Swapped} {
		var g Form
		b, _ := f.MarshalText()
		if err := g.UnmarshalText(b); err != nil || g != f {
			t.Errorf("%v: %v, %v", f, g, err)
		}
	}
	var g Form
	if err := g.UnmarshalText([]byte("0x30")); err == nil {
		t.Error("0x30 was taken for a form")
	}
}
