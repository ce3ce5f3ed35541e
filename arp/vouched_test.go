package arp

import (
	"testing"
	"time"
)

// TestVouched has stations of a client's own host probed twice in Age instead of every
// Idle, and not introduced to each other; others are treated as ever.
func TestVouched(t *testing.T) {
	probes := map[Link]int{}
	introduced := 0
	s := New(Config{Mode: Assist, HubMAC: m(0xff), Age: 10 * time.Minute, Keep: 15 * time.Second, Idle: 30 * time.Second,
		Vouched: func(l Link) bool { return l >= 10 }})
	now := time.Unix(1_700_000_000, 0)
	var out Out
	took := func() {
		for _, x := range out.Sends {
			f := x.Frame
			if x.Flood || f[12] != 8 || f[13] != 6 || f[21] != 1 {
				continue
			}
			switch {
			case [6]byte(f[6:12]) == m(0xff):
				probes[x.To]++
				var answer Out
				s.Receive(now, x.To, toHub(f[41]), &answer)
			case x.To >= 10 && f[31] >= 10:
				introduced++
			}
		}
		out.Reset()
	}
	for _, l := range []Link{1, 10, 11} {
		s.Receive(now, l, gratuitous(byte(l), byte(l)), &out)
		took()
	}
	for end := now.Add(20 * time.Minute); now.Before(end); now = now.Add(100 * time.Millisecond) {
		s.Advance(now, &out)
		took()
	}
	t.Logf("probes in 20 minutes by link: %v", probes)
	if probes[1] < 35 {
		t.Errorf("the station of a port was probed %d times in 20 minutes", probes[1])
	}
	for _, l := range []Link{10, 11} {
		if probes[l] < 2 || probes[l] > 7 {
			t.Errorf("the client on link %d was probed %d times in 20 minutes, want 2 to 7", l, probes[l])
		}
	}
	if introduced > 0 {
		t.Errorf("clients were introduced to each other %d times", introduced)
	}
	if n := len(s.List(now)); n != 3 {
		t.Errorf("%d neighbours are left of 3", n)
	}
}
