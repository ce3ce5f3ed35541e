package emulation

import (
	"strings"
	"testing"
	"time"
)

// TestWrongPassword: each system is told in the way that it makes an error of (Windows: 691, RFC 2759
// section 6), vhub says why in a line with the client's address, and nothing is left.
func TestWrongPassword(t *testing.T) {
	eachSystem(t, func(t *testing.T, p *profile) {
		w := newWAN(p.lan)
		o := newOffice(t, w, p.legacy)
		defer o.close()
		tr := &trace{}
		c := newClient(t, p, w, tr, sharedKey, "guess")
		c.until(o, "a refusal", 10*time.Second, func() bool { return c.link.failure != "" && len(o.server.Sessions()) == 0 })
		if !strings.HasPrefix(c.link.failure, "E=691 R=0 C=") || !strings.Contains(c.link.failure, " V=3") || c.link.proved {
			t.Errorf("refused by %q", c.link.failure)
		}
		if log := tr.text(); !strings.Contains(log, `msg="login failed" port=road user=alice client=203.0.113.9:`) {
			t.Errorf("the log does not tell:\n%s", log)
		}
		leave(c, o)
	})
}

// TestWrongKey: vhub does not answer message 5, as no server does (Windows: 789, Apple: the server did
// not respond), and says why at once, in a line with the client's address.
func TestWrongKey(t *testing.T) {
	eachSystem(t, func(t *testing.T, p *profile) {
		w := newWAN(p.lan)
		o := newOffice(t, w, p.legacy)
		defer o.close()
		tr := &trace{}
		c := newClient(t, p, w, tr, "another key that is as long as the right one", password)
		c.until(o, "a line about the key", 2*time.Second, func() bool { return strings.Contains(tr.text(), "negotiation failed") })
		if log := tr.text(); !strings.Contains(log, "remote=203.0.113.9:") || !strings.Contains(log, "wrong key") || !strings.Contains(log, "differs from the one here") {
			t.Errorf("the log does not tell:\n%s", log)
		}
		c.until(o, "the client gives up", time.Minute, func() bool { return c.gone })
		c.until(o, "nothing is left", time.Minute, func() bool { return len(o.released()) == 0 && o.engine.Status().Sessions == 0 })
	})
}
